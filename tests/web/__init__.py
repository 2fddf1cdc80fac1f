"""Tests of what stands between the socket and the application."""
