"""Stores of earlier releases: what a migration makes of the rows that it finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from twisted.trial.unittest import SynchronousTestCase

import csipd.db
from csipd.db import engine


class MigrationCase(SynchronousTestCase):
    """A store at one revision, filled, and brought up to date."""

    def migrate(self, revision: str, fill: Callable[[sa.Connection], None]) -> sa.Connection:
        """A connection to a store that was filled at a revision and is up to date now."""
        url = f"sqlite:///{self.mktemp()}"
        config = Config()
        config.set_main_option("script_location", f"{csipd.db.__path__[0]}/migrations")
        before = engine.make_engine(url, immediate=True)
        with before.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            fill(connection)
        before.dispose()
        engine.prepare(url)
        opened = engine.make_engine(url)
        self.addCleanup(opened.dispose)
        connection = opened.connect()
        self.addCleanup(connection.close)
        return connection

    def insert(self, connection: sa.Connection, table: str, **values: Any) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        slots = ", ".join(f":{name}" for name in values)
        connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({slots})"), values)


class ResponseTests(MigrationCase):
    """Responses that were kept before it was known which one says where a device stands."""

    def test_latest_and_addressed(self) -> None:
        """The last of a device to an event is marked; what an event for it did not ask for is told apart."""

        def fill(connection: sa.Connection) -> None:
            device = {"sfdi": 1, "aggregator": False, "changed_time": 1}
            self.insert(connection, "devices", id=1, lfdi="A" * 40, **device)
            for number, subject, status, created, received, flagged in (
                (1, "A", 1, 10, 100, None),
                (2, "A", 4, 9999, 110, None),
                (3, "A", 5, 120, 120, None),
                (4, "A", 2, None, 105, "status 99 is not known"),
                (5, "B", 1, 50, 60, "the event is not known"),
                (6, "C", 1, 50, 60, "the event is not for this device, there is no status"),
            ):
                self.insert(
                    connection,
                    "responses",
                    id=number,
                    subject=subject,
                    lfdi="A" * 40,
                    device=1,
                    status=status,
                    created_time=created,
                    received=received,
                    flagged=flagged,
                    body=b"",
                )

        connection = self.migrate("0001", fill)
        found = connection.execute(sa.text("SELECT id, latest, addressed FROM responses ORDER BY id")).all()
        self.assertEqual([row.id for row in found if row.latest], [3, 5, 6])
        self.assertEqual([row.id for row in found if row.addressed], [1, 2, 3, 4])
