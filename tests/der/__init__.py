"""Decisions: access, programs, events."""
