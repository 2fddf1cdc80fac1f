"""The GridAPPS-D bus."""
