"""Opening the store: engine, pragmas, schema version.

``prepare`` is run before the daemon forks, where an error can still be one line and an exit code: it
makes the database if there is none, brings its schema up to date, and refuses one that is locked,
corrupt, or written by a later version of csipd.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

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
    engine = sa.create_engine(url, poolclass=sa.pool.QueuePool, pool_size=1, max_overflow=0)
    if engine.dialect.name == "sqlite":
        begin = "BEGIN IMMEDIATE" if immediate else "BEGIN"

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
            cursor.close()

        @sa.event.listens_for(engine, "begin")
        def begin_transaction(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

    return engine


def prepare(url: str) -> None:
    """Make the database or bring its schema up to date.

    :raises StoreError: it is locked, corrupt, unreachable or of a later version
    """
    # Opening a file as ours already writes to it; one of somebody else's is to stay as it is.
    check(url)
    engine = make_engine(url, immediate=True, lock_seconds=1)
    try:
        _upgrade(engine)
    except sa.exc.DBAPIError as error:
        raise StoreError(f"{_shown(url)}: {_reason(error)}") from error
    finally:
        engine.dispose()


def check(url: str) -> None:
    """See that the database, if it exists, could be used; change nothing.

    :raises StoreError: as for ``prepare``
    """
    place = sa.engine.make_url(url)
    sqlite = place.get_backend_name() == "sqlite"
    if sqlite and place.database and not Path(place.database).exists():
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


def _upgrade(engine: sa.Engine) -> None:
    config = _alembic()
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        if _known(connection, script, str(engine.url)) != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


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
