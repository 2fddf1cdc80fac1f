"""Files of SQLite apart from the store that is open: copies of it, and whether one is sound."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

#: Pages between two calls of ``progress``: 16 MiB.
_PAGES = 4096

#: Called with how many pages of how many have been copied.
Progress = Callable[[int, int], None]


def copy(source: Path, target: Path, progress: Progress = lambda done, total: None) -> None:
    """Copy a SQLite database, whoever writes to it meanwhile, into a new file that its owner alone can read.

    :raises OSError: the new file cannot be made, or exists
    :raises sqlite3.Error: the database cannot be read, or the copy not be written
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        # Read and write, since a -wal that is left over is read by nobody who may not write.
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as store,
            closing(sqlite3.connect(target)) as made,
        ):
            store.isolation_level = None
            store.execute("PRAGMA busy_timeout = 5000")
            # An open transaction holds one moment: without it each write of csipd would begin the copy anew.
            store.execute("BEGIN")
            store.execute("SELECT count(*) FROM sqlite_master").fetchone()
            store.backup(made, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
            store.execute("ROLLBACK")
            # A file by itself: nothing beside it belongs to it.
            made.execute("PRAGMA journal_mode = DELETE")
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def damage(file: Path) -> str | None:
    """What is wrong with a SQLite database that nobody else has opened; None: nothing.

    :raises sqlite3.Error: it cannot even be read
    """
    with closing(sqlite3.connect(file)) as connection:
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.DatabaseError as error:
            # Damage of some kinds ends the check itself.
            if not is_damage(error):
                raise
            said = error
    return None if said == "ok" else str(said).splitlines()[0]


def is_damage(error: sqlite3.Error) -> bool:
    """Whether what SQLite could not do says that the file is damaged."""
    # One of Python's own has no code.
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
