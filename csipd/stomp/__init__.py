"""STOMP 1.2 (stomp.github.io), the client's side, without I/O and without a clock."""
