"""Stores for tests, made fast, and short ways to put devices, groups and programs into them.

with store() as transaction: ...    # empty, in memory, gone afterwards
url = new_database(self.mktemp())   # a file, for what opens the store by itself
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from csipd.db import devices, engine, groups, programs
from csipd.db.database import Transaction
from csipd.db.fact_store import Commits, FactStore
from csipd.db.tables import metadata
from csipd.sep2.mrid import Issuer

#: The moment at which most tests play (TimeType).
NOW = 1_700_000_000
ISSUER = Issuer(store=0xABCDEF, pen=32473)


@contextmanager
def store() -> Iterator[Transaction]:
    """An empty store in memory, inside a transaction that is rolled back. One at a time."""
    with _memory().connect() as connection, connection.begin() as whole:
        FactStore(Commits()).attach(connection)
        try:
            yield Transaction(connection)
        finally:
            whole.rollback()


def forget(connection: sa.Connection) -> None:
    """Keep nothing of what was read with a connection so far."""
    FactStore(Commits()).attach(connection)


@cache
def _memory() -> sa.Engine:
    made = engine.make_engine("sqlite://")
    with made.begin() as connection:
        metadata.create_all(connection)
    return made


def new_database(folder: str) -> str:
    """The URL of an empty database in a folder, which is made."""
    place = Path(folder)
    place.mkdir(parents=True)
    (place / "csipd.sqlite").write_bytes(_empty_database())
    return engine.sqlite_url(place)


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        engine.prepare(engine.sqlite_url(Path(folder)))
        return (Path(folder) / "csipd.sqlite").read_bytes()


def lfdi(number: int) -> str:
    """The LFDI of the device of that number in a test."""
    return sha256(b"%d" % number).hexdigest()[:40].upper()


def add_device(
    transaction: Transaction,
    number: int,
    *,
    manager: int | None = None,
    aggregator: bool = False,
    registered: bool = True,
    now: int = NOW,
) -> int:
    """List a device of LFDI `lfdi(number)`, register it unless told otherwise, and give its row's number."""
    device = devices.add(
        transaction, lfdi(number), now=now, name=f"dev{number}", aggregator=aggregator, manager=manager
    )
    if registered:
        devices.make_end_device(transaction, device, now)
    return device.id


def add_group(
    transaction: Transaction,
    name: str,
    parent: int | None = None,
    assignment: str = "Topology",
    level: int | None = None,
) -> int:
    """Make a group in the FSA of that name."""
    fsa = groups.assignment(transaction, assignment)
    return groups.put_group(transaction, name, parent=parent, level=level, assignment=fsa)


def add_program(transaction: Transaction, group: int, description: str, primacy: int = 10) -> int:
    """Make a program of a group."""
    return programs.add(transaction, ISSUER, group, description, primacy)


@contextmanager
def statements(transaction: Transaction) -> Iterator[list[str]]:
    """The statements that are executed meanwhile, savepoints and the like aside; values are left out."""
    said: list[str] = []

    def note(statement: str) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")):
            said.append(re.sub(r"[Xx]?'(?:[^']|'')*'|\b\d+\b", "?", statement))

    # Of the driver: Core's statements and those that are prepared alike.
    driver: Any = transaction.connection.connection.driver_connection
    driver.set_trace_callback(note)
    try:
        yield said
    finally:
        driver.set_trace_callback(None)
