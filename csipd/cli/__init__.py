"""Command lines, thin, over the same functions as the daemon."""
