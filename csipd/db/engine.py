"""Opening the store: engine, pragmas, schema version.

``prepare`` is run before the daemon forks, where an error can still be one line and an exit code: it
makes the database if there is none, brings its schema up to date, and refuses one that is locked,
corrupt, emptied, or written by a later version of csipd. The files are readable by their owner alone.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from csipd.db.copying import copy
from csipd.db.prepared import run

#: Octets that the write-ahead journal keeps on the disk once it has been larger; SQLite's checkpoint after
#: 1,000 pages makes it about as long in the ordinary way.
JOURNAL_SIZE = 4 * 2**20
#: The option of an engine that says how its transactions begin.
_BEGIN = "csipd_begin"
#: What SQLite keeps beside a database.
_BESIDE = ("-wal", "-shm")
#: Statements that the driver keeps parsed: all that devices' requests make, with their lengths of lists.
STATEMENTS = 512
#: Seconds that a statement waits for another process's lock before it is refused.
LOCK_SECONDS = 5


class StoreError(Exception):
    """The database cannot be used; the message is one line that says which and why."""


def sqlite_url(folder: Path) -> str:
    """The URL of the SQLite database in a state folder."""
    return f"sqlite:///{folder / 'csipd.sqlite'}"


def make_engine(url: str, *, immediate: bool = False, lock_seconds: float = LOCK_SECONDS) -> sa.Engine:
    """An engine over one held connection.

    :param immediate: begin transactions as writers, so that two never wait for each other half-way
    """
    sqlite = sa.engine.make_url(url).get_backend_name() == "sqlite"
    more = {"cached_statements": STATEMENTS} if sqlite else {}
    engine = sa.create_engine(
        url, poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=0, connect_args=more
    )
    if sqlite:
        begin = "BEGIN IMMEDIATE" if immediate else "BEGIN"
        engine.update_execution_options(**{_BEGIN: begin})

        @sa.event.listens_for(engine, "connect")
        def connect(connection: Any, _record: Any) -> None:
            # The driver's own handling of transactions knows neither IMMEDIATE nor savepoints.
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout = {int(lock_seconds * 1000)}")
            cursor.execute("PRAGMA journal_mode = WAL")
            # What was acknowledged survives a power cut; commits in groups pay for it.
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
            # A reader that took long has let it grow; without this it would never shrink again.
            cursor.execute(f"PRAGMA journal_size_limit = {JOURNAL_SIZE}")
            cursor.close()

        @sa.event.listens_for(engine, "begin")
        def begin_transaction(connection: sa.Connection) -> None:
            # Where the driver is in one already (`DriverTransaction`), that is meant.
            driver: Any = connection.connection.driver_connection
            if not driver.in_transaction:
                run(connection, begin)

    return engine


class DriverTransaction:
    """A transaction begun and ended on the driver's cursor, which costs a quarter of what Core's own does.

    with DriverTransaction(connection): ...

    It is committed, or rolled back where an exception leaves it. Core's statements take part in it: with the
    first of them Core begins what has begun already, and ends it here.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        begin = self._connection.get_execution_options().get(_BEGIN)
        # Other drivers than SQLite's begin by themselves.
        if begin is not None:
            run(self._connection, begin)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            try:
                self._end("COMMIT", self._connection.commit)
            except BaseException:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        # What is to be heard of is why, and not that there is nothing left to be taken back.
        with suppress(sa.exc.SQLAlchemyError):
            self._end("ROLLBACK", self._connection.rollback)

    def _end(self, sql: str, as_core: Callable[[], None]) -> None:
        if self._connection.in_transaction():
            as_core()
        else:
            run(self._connection, sql)


def rows_written(connection: sa.Connection) -> int | None:
    """How many rows a connection has written since it was opened; None: its driver does not say."""
    written: int | None = getattr(connection.connection.driver_connection, "total_changes", None)
    return written


# A savepoint for each operation of a group: SQL's own words, on the driver's cursor like BEGIN. They are
# never nested, so one name will do.


def set_savepoint(connection: sa.Connection) -> None:
    """Begin a part of the transaction that can be taken back alone."""
    run(connection, "SAVEPOINT operation")


def release_savepoint(connection: sa.Connection) -> None:
    """End the part and keep what it did."""
    run(connection, "RELEASE SAVEPOINT operation")


def undo_to_savepoint(connection: sa.Connection) -> None:
    """End the part and take back what it did."""
    run(connection, "ROLLBACK TO SAVEPOINT operation")
    run(connection, "RELEASE SAVEPOINT operation")


def prepare(url: str) -> list[str]:
    """Make the database or bring its schema up to date; a copy is kept of what a migration begins with.

    :return: what was done that the operator should know, a line each
    :raises StoreError: it is locked, corrupt, emptied, unreachable or of a later version
    """
    # Opening a file as ours already writes to it; one of somebody else's is to stay as it is.
    check(url)
    file = file_of(url)
    notes = []
    made = False
    if file is not None:
        notes = _make_private(file)
        if not file.exists():
            made = _make(file)
    engine = make_engine(url, immediate=True, lock_seconds=1)
    try:
        notes += _upgrade(engine, file)
    except BaseException as error:
        if made and file is not None and not file.stat().st_size:
            file.unlink()
        if isinstance(error, sa.exc.DBAPIError):
            raise StoreError(f"{_shown(url)}: {_reason(error)}") from error
        raise
    finally:
        engine.dispose()
    return notes


def file_of(url: str) -> Path | None:
    """The file of a SQLite database; None for any other."""
    place = sa.engine.make_url(url)
    if place.get_backend_name() != "sqlite" or place.database in (None, "", ":memory:"):
        return None
    return Path(str(place.database))


def _make(file: Path) -> bool:
    """Make the file of a new database before SQLite does, which would let others read it."""
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{file}: unable to open database file: {error.strerror}") from error
    return True


def _make_private(file: Path) -> list[str]:
    """Take the rights of others to read the database: PINs are in it."""
    notes = []
    for path in (file, *(file.with_name(file.name + suffix) for suffix in _BESIDE)):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            try:
                path.chmod(0o600)
                notes.append(f"{path}: others could read it; now only its owner can")
            except OSError as error:
                notes.append(f"warning: {path}: others can read it ({error.strerror}): chmod 600")
    return notes


def is_whole(connection: sa.Connection) -> bool:
    """Read a whole SQLite database, and say whether it is free of damage.

    :raises sa.exc.DBAPIError: it cannot even be read
    """
    with connection.begin():
        return connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() == "ok"


def checkpoint(connection: sa.Connection) -> None:
    """Bring what was committed from the write-ahead journal into a SQLite database, as far as that goes."""
    with suppress(sqlite3.Error):
        # Not by SQLAlchemy, which would begin a transaction first.
        connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def check(url: str) -> None:
    """See that the database, if it exists, could be used; change nothing.

    :raises StoreError: as for ``prepare``
    """
    sqlite = sa.engine.make_url(url).get_backend_name() == "sqlite"
    file = file_of(url)
    if file is not None:
        _check_not_emptied(file)
        if not file.exists():
            return
    waits = {"timeout": 1} if sqlite else {}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=waits)
    try:
        with engine.connect() as connection:
            _known(connection, ScriptDirectory.from_config(_alembic()), url)
            if sqlite:
                # To read it is possible beside a writer that never ends; to write is what csipd is for.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sa.exc.DBAPIError as error:
        raise StoreError(f"{_shown(url)}: {_reason(error)}") from error
    finally:
        engine.dispose()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _check_not_emptied(file: Path) -> None:
    """See that there is no trace of a store where there is no database: SQLite would make a new one."""
    journal = file.with_name(f"{file.name}-wal")
    if file.exists():
        if file.is_file() and not file.stat().st_size:
            raise StoreError(
                f"{file}: is empty, and csipd never leaves it so: what was in it is lost. "
                "Restore a backup (csipctl restore), or remove the file to begin a new store"
            )
    elif journal.exists() and journal.stat().st_size:
        raise StoreError(
            f"{file}: is missing, but {journal.name} is there: put the file back, restore a backup "
            f"(csipctl restore), or remove {journal.name} to begin a new store"
        )


def _upgrade(engine: sa.Engine, file: Path | None) -> list[str]:
    config = _alembic()
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    with engine.begin() as connection:
        version = _known(connection, script, str(engine.url))
        if version == head:
            return []
        notes = []
        if version is not None and file is not None:
            notes.append(_copy_before(file, version, str(head)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return notes


def _copy_before(file: Path, version: str, head: str) -> str:
    """Keep a copy of the database as it is before a migration; it takes the place of an earlier one."""
    kept = file.with_name(f"{file.name}.{version}")
    new = file.with_name(f"{kept.name}.new")
    new.unlink(missing_ok=True)
    try:
        copy(file, new)
        new.replace(kept)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{kept}: no copy could be made before the migration: {error}") from error
    return f"{file}: migrated from schema {version} to {head}; {kept.name} is a copy from before"


def _known(connection: sa.Connection, script: ScriptDirectory, url: str) -> str | None:
    """The schema version of the database, which has to be one that this csipd knows."""
    version = MigrationContext.configure(connection).get_current_revision()
    if version is not None and version not in {known.revision for known in script.walk_revisions()}:
        raise StoreError(
            f"{_shown(url)}: its schema version {version} is not known to this csipd; "
            "it was written by a later one"
        )
    if version is None and sa.inspect(connection).get_table_names():
        raise StoreError(
            f"{_shown(url)}: is a database of something else: it holds tables but no schema version"
        )
    return version


def _shown(url: str) -> str:
    place = sa.engine.make_url(url)
    if place.get_backend_name() == "sqlite":
        return str(place.database)
    return place.render_as_string(hide_password=True)


def _reason(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else "cannot be opened"
