"""Plain HTTP: the way to the server over TLS, and nothing else, for whoever has no more than an address."""
