"""The configuration laid over the database at start, and on SIGHUP."""
