"""What produced the figures in docs/performance.md, one command each."""
