"""Brings the database to what the configuration file declares, when the daemon starts.

`statements` takes the file apart into small statements ("device dev1 has this PIN", "dev1 is in this group").
`reconciliation` compares them with those of the last start (db/declarations.py) and carries out only what
differs, so that what devices and operators made meanwhile stays. How one kind of statement is carried out is
in the module of its chapter: `groups`, `programs`, `devices`, `events`.

Nothing is deleted: a device that is gone from the file is retired and comes back with its readings and
settings when the file speaks of it again; a program likewise. docs/operating.md has the rule in the
operator's words.
"""
