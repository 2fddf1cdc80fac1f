"""The daemon: what happens before the fork, the tree of services, and what wakes by itself."""
