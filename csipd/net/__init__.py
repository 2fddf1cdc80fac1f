"""Connections before HTTP: TLS, who is at the other end, how much each may use, what is logged of them."""
