"""The tests of csipd; they mirror its packages."""
