"""Decisions: access, programs, events. Functions of values and of a `now` that is handed in."""
