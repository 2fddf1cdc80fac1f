"""SQL on pool threads. Knows no HTTP."""
