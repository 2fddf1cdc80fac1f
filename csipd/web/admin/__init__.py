"""The operator's API: JSON over mutual TLS, on a listener of its own (docs/api.md)."""
