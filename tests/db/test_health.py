"""One answer for a store that cannot be used: real files are broken under a store that is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import health
from csipd.db.columns import Unreadable
from csipd.db.database import Database, Transaction
from csipd.db.tables import audit, facts
from csipd.refusals import Unavailable
from tests.support.store import new_database

_LINES = 400
CANNOT = "the database cannot be used: "
STOPPED = "; nothing is written until it is mended"
AGAIN = "the database can be used again"


def said(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a log."""
    return [str(event.get("line", event)) for event in log]


def fill(transaction: Transaction) -> None:
    """Write enough for the database to have many pages."""
    row = {"at": 1, "who": "w" * 200, "action": "fill", "subject": "s" * 200, "detail": "d" * 2000}
    transaction.connection.execute(sa.insert(audit), [row] * _LINES)


def keep(name: str) -> Callable[[Transaction], None]:
    """A write of one fact."""

    def write(transaction: Transaction) -> None:
        transaction.connection.execute(sa.insert(facts).values(name=name, value=""))

    return write


def read_all(connection: sa.Connection) -> int:
    """A read of every line of the audit log."""
    return len(connection.execute(sa.select(audit)).all())


def names(connection: sa.Connection) -> list[str]:
    """A read of the facts."""
    return list(connection.scalars(sa.select(facts.c.name).order_by(facts.c.name)))


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.url = new_database(self.mktemp())
        self.file = Path(sa.engine.make_url(self.url).database or "")
        self.now = 1000.0
        self.published: list[str] = []
        first = self.opened()
        self.successResultOf(first.write(fill))
        self.successResultOf(first.stopService())
        self.database = self.opened()

    def opened(self) -> Database:
        made = Database(self.url, None, self.published.extend, monotonic=lambda: self.now)
        self.addCleanup(made.stopService)
        return made

    def refused(self, answer: Deferred[Any]) -> None:
        self.failureResultOf(answer, Unavailable)

    def stored(self) -> list[str]:
        """The facts as the next start would find them."""
        self.successResultOf(self.database.stopService())
        connection = sqlite3.connect(self.file)
        self.addCleanup(connection.close)
        return [name for (name,) in connection.execute("SELECT name FROM facts ORDER BY name")]

    def break_pages(self) -> bytes:
        """Overwrite the second half of the file; what was there."""
        with self.file.open("r+b") as file:
            size = self.file.stat().st_size
            file.seek(size // 2)
            before = file.read()
            file.seek(size // 2)
            file.write(b"\xa5" * len(before))
        return before

    def mend_pages(self, before: bytes) -> None:
        with self.file.open("r+b") as file:
            file.seek(self.file.stat().st_size - len(before))
            file.write(before)


class DamageTests(_Case):
    """What is read is not what was written."""

    def test_a_rotten_page(self) -> None:
        """Reads that meet it are refused and not broken; from then on nothing is written (case F9)."""
        self.break_pages()
        with capturedLogs() as log:
            self.refused(self.database.read(read_all))
            for number in range(20):
                self.refused(self.database.write(keep(f"{number}")))
                self.refused(self.database.read(read_all))
        (line,) = said(log)
        self.assertTrue(line.startswith(CANNOT) and line.endswith(STOPPED), line)
        self.assertNotIn("sss", line, "nothing of what it holds")
        self.assertEqual(self.successResultOf(self.database.read(names)), [])

    def test_a_rotten_page_met_by_a_write(self) -> None:
        """A write that meets it is refused as well, with the same line and no traceback (case F9)."""
        self.break_pages()

        def write(transaction: Transaction) -> None:
            transaction.connection.execute(sa.update(audit).values(detail=""))

        with capturedLogs() as log:
            self.refused(self.database.write(write))
            self.refused(self.database.write(keep("a")))
        (line,) = said(log)
        self.assertTrue(line.startswith(CANNOT) and line.endswith(STOPPED), line)

    def test_mended(self) -> None:
        """A damaged database is checked at a pace, and written again once a check finds nothing."""
        before = self.break_pages()
        self.refused(self.database.read(read_all))
        self.refused(self.database.write(keep("a")))
        self.mend_pages(before)
        self.refused(self.database.write(keep("b")))
        self.now += health.CHECK_SECONDS
        with capturedLogs() as log:
            self.successResultOf(self.database.write(keep("c")))
            self.assertEqual(self.successResultOf(self.database.read(read_all)), _LINES)
        self.assertEqual(said(log), [AGAIN])
        self.assertEqual(self.stored(), ["c"])

    def test_checks_are_rare(self) -> None:
        """The check, which reads the whole file, is not made for each write."""
        self.break_pages()
        self.refused(self.database.read(read_all))
        checks = []
        self.patch(
            health.Health,
            "check",
            lambda this, connection: checks.append(self.now) or _put_off(this, self.now),
        )
        for _ in range(100):
            self.refused(self.database.write(keep("a")))
            self.now += 1
        self.assertEqual(len(checks), 100 // health.CHECK_SECONDS)

    def test_truncated_while_running(self) -> None:
        """A file that was cut short is refused, whatever the driver calls it (case F9)."""
        os.truncate(self.file, 8192)
        with capturedLogs() as log:
            self.refused(self.database.read(read_all))
            for number in range(20):
                self.refused(self.database.write(keep(f"{number}")))
        self.assertEqual(len(log), 1)

    def test_emptied_while_running(self) -> None:
        """A file that was emptied is refused, and not taken for a new database (case F9)."""
        os.truncate(self.file, 0)
        for _ in range(3):
            self.refused(self.database.read(read_all))
            self.refused(self.database.write(keep("a")))
        self.assertEqual(self.file.stat().st_size, 0)

    def test_overwritten_with_something_else(self) -> None:
        """A file whose head was overwritten is no database: refused, with one line."""
        self.file.write_bytes(b"no database at all " * 1000)
        with capturedLogs() as log:
            self.refused(self.database.read(read_all))
            self.refused(self.database.write(keep("a")))
        self.assertEqual(len(log), 1)

    def test_text_that_is_none(self) -> None:
        """Text that rotted within its row is damage, too, though the driver has no code for it."""
        with sqlite3.connect(self.file) as other:
            other.execute("UPDATE audit SET who = CAST(x'ff00fe' AS TEXT) WHERE id = 7")
        other.close()
        self.refused(self.database.read(read_all))

    def test_a_row_that_cannot_be_read(self) -> None:
        """One unreadable document is refused by itself and logged a few times; everything else goes on."""

        def read(connection: sa.Connection) -> None:
            raise Unreadable("/edev/1/di: is no DeviceInformation")

        with capturedLogs() as log:
            for _ in range(10):
                self.refused(self.database.read(read))
        self.assertEqual(said(log), [f"{CANNOT}/edev/1/di: is no DeviceInformation"] * health.LINES)
        self.successResultOf(self.database.write(keep("a")))


def _put_off(this: health.Health, now: float) -> None:
    this._next_check = now + health.CHECK_SECONDS


class DisplacedTests(_Case):
    """The files are no longer those that were opened."""

    def setUp(self) -> None:
        super().setUp()
        self.successResultOf(self.database.write(keep("before")))
        self.successResultOf(self.database.read(names))

    def both_refused(self) -> None:
        for _ in range(3):
            self.refused(self.database.write(keep("meanwhile")))
            self.refused(self.database.read(names))

    def test_deleted(self) -> None:
        """Nothing is acknowledged into a file that was deleted, and no new one is made (case F10)."""
        self.file.unlink()
        with capturedLogs() as log:
            self.both_refused()
        self.assertEqual(said(log), [f"{CANNOT}{self.file}: was deleted"])
        self.assertFalse(self.file.exists())

    def test_replaced(self) -> None:
        """Nor is anything while another file stands in its place; that one stays as it is (case F10)."""
        other = self.file.with_suffix(".other")
        shutil.copy(self.file, other)
        content = other.read_bytes()
        other.replace(self.file)
        with capturedLogs() as log:
            self.both_refused()
        self.assertEqual(said(log), [f"{CANNOT}{self.file}: was replaced by another file"])
        self.assertEqual(self.file.read_bytes(), content)

    def test_put_back(self) -> None:
        """When the file is back in its place everything goes on, with what was acknowledged (case F10)."""
        elsewhere = self.file.with_suffix(".moved")
        self.file.rename(elsewhere)
        self.both_refused()
        elsewhere.rename(self.file)
        with capturedLogs() as log:
            self.successResultOf(self.database.write(keep("after")))
            self.assertEqual(self.successResultOf(self.database.read(names)), ["after", "before"])
        self.assertEqual(said(log), [AGAIN])
        self.assertEqual(self.stored(), ["after", "before"])

    def test_journal_deleted(self) -> None:
        """With the -wal deleted nothing more is acknowledged, and what was is not lost (case F10)."""
        Path(f"{self.file}-wal").unlink()
        with capturedLogs() as log:
            self.both_refused()
        self.assertEqual(len(log), 1)
        self.assertIn("-wal", said(log)[0])
        self.assertEqual(self.stored(), ["before"])

    def test_never_there(self) -> None:
        """A database that is not there when the service is made is not made by it."""
        self.successResultOf(self.database.stopService())
        self.file.unlink()
        self.database = self.opened()
        self.both_refused()
        self.assertFalse(self.file.exists())


class OutageTests(_Case):
    """What passes by itself."""

    def test_locked(self) -> None:
        """While another process holds the lock writes are refused; afterwards they are taken."""
        other = sqlite3.connect(self.file, isolation_level=None)
        self.addCleanup(other.close)
        self.successResultOf(self.database.write(keep("a")))
        self.database._connections[-1]._connection.exec_driver_sql("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]  # open
        self.database._connections[-1]._connection.rollback()  # type: ignore[union-attr]
        other.execute("BEGIN IMMEDIATE")
        self.refused(self.database.write(keep("b")))
        self.assertEqual(self.successResultOf(self.database.read(names)), ["a"])
        other.execute("ROLLBACK")
        self.successResultOf(self.database.write(keep("c")))

    def test_a_fault_that_comes_and_goes(self) -> None:
        """One reason is a few lines a minute, however often it comes and goes."""

        def broken(connection: sa.Connection) -> None:
            raise sa.exc.OperationalError("SELECT", None, sqlite3.OperationalError("disk I/O error"))

        with capturedLogs() as log:
            for _ in range(120):
                self.refused(self.database.read(broken))
                self.successResultOf(self.database.read(names))
                self.now += 1
        failures = [line for line in said(log) if line != AGAIN]
        self.assertEqual(failures, [f"{CANNOT}disk I/O error"] * (2 * health.LINES))

    def test_a_commit_that_fails(self) -> None:
        """What a failed commit may have changed is told all the same: it may be found on the disk later."""

        def write(transaction: Transaction) -> None:
            transaction.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            transaction.connection.exec_driver_sql(
                'INSERT INTO memberships (device, "group", since) VALUES (1, 1, 0)'
            )
            transaction.invalidate("/edev/1")

        self.refused(self.database.write(write))
        self.assertEqual(self.published, ["/edev/1"])
