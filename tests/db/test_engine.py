"""Opening the store: the schema that it gets, and what it refuses to open."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import engine
from csipd.db.prepared import Prepared, run
from csipd.db.tables import facts, metadata
from tests.support.store import new_database


def indexes(connection: sa.Connection) -> set[str]:
    """The statements that made the indexes of a SQLite database, those of constraints aside."""
    query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    return set(connection.scalars(query))


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "csipd.sqlite"
        self.url = engine.sqlite_url(self.folder)

    def files(self) -> dict[str, bytes]:
        """What is in the folder, octet by octet."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def assertRefused(self, open_it: Callable[[str], None], *said: str) -> None:
        """The store is refused with one line that names the file and says each of these."""
        message = str(self.assertRaises(engine.StoreError, open_it, self.url))
        self.assertNotIn("\n", message)
        for part in (str(self.file), *said):
            self.assertIn(part, message)


class SchemaTests(_Case):
    """What `prepare` makes."""

    def test_again_changes_nothing(self) -> None:
        """A database that is up to date is left as it is, octet by octet."""
        engine.prepare(self.url)
        before = self.files()
        engine.prepare(self.url)
        self.assertEqual(self.files(), before)

    def test_migrations_make_what_the_tables_say(self) -> None:
        """The migrated schema is that of the tables which the statements are written for."""
        engine.prepare(self.url)
        opened = engine.make_engine(self.url)
        self.addCleanup(opened.dispose)
        with opened.connect() as connection:
            # Indexes are compared below: Alembic cannot tell those over expressions.
            tables = {"include_object": lambda thing, name, kind, *_: kind != "index"}
            context = MigrationContext.configure(connection, opts=tables)
            self.assertEqual(compare_metadata(context, metadata), [])

    def test_migrations_make_every_index(self) -> None:
        """Indexes too are those of the tables, the ones over expressions and parts of a table included."""
        engine.prepare(self.url)
        migrated, made = engine.make_engine(self.url), engine.make_engine("sqlite://")
        for each in (migrated, made):
            self.addCleanup(each.dispose)
        with migrated.connect() as connection:
            found = indexes(connection)
        with made.begin() as connection:
            metadata.create_all(connection)
            self.assertEqual(found, indexes(connection))

    def test_acknowledged_writes_survive_a_power_cut(self) -> None:
        """A connection writes ahead, waits for the disk at every commit, and minds foreign keys."""
        opened = engine.make_engine(new_database(self.mktemp()))
        self.addCleanup(opened.dispose)
        with opened.connect() as connection:
            pragmas = {
                name: connection.scalar(sa.text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
        self.assertEqual(pragmas, expected)

    def test_only_its_owner_reads_it(self) -> None:
        """A new database and what lies beside it are 0600, whatever the umask (case F14)."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        engine.prepare(self.url)
        opened = engine.make_engine(self.url)
        self.addCleanup(opened.dispose)
        with opened.connect() as connection:
            connection.execute(sa.text("SELECT 1 FROM devices"))
            modes = {path.name: path.stat().st_mode & 0o777 for path in self.folder.iterdir()}
        self.assertEqual(
            modes, dict.fromkeys(("csipd.sqlite", "csipd.sqlite-wal", "csipd.sqlite-shm"), 0o600)
        )

    def test_others_could_read_it(self) -> None:
        """A database that others can read is made private, and that is said (case F14)."""
        engine.prepare(self.url)
        self.file.chmod(0o644)
        self.assertEqual(
            engine.prepare(self.url), [f"{self.file}: others could read it; now only its owner can"]
        )
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_the_journal_shrinks(self) -> None:
        """A journal that grew while a reader held a snapshot shrinks when the reader is gone (case C12)."""
        url = new_database(self.mktemp())
        journal = Path(f"{engine.file_of(url)}-wal")
        writer, reader = engine.make_engine(url, immediate=True), engine.make_engine(url)
        for each in (writer, reader):
            self.addCleanup(each.dispose)

        def write(times: int) -> None:
            with writer.begin() as connection:
                for number in range(times):
                    row = {"name": f"{number}", "value": "x" * 10_000}
                    connection.execute(sa.insert(facts).prefix_with("OR REPLACE").values(row))

        with reader.begin() as connection:
            connection.execute(sa.select(facts)).all()
            for _ in range(4):
                write(800)
            self.assertGreater(journal.stat().st_size, 2 * engine.JOURNAL_SIZE)
        for _ in range(3):
            write(1)
        self.assertLessEqual(journal.stat().st_size, engine.JOURNAL_SIZE)

    def test_a_writer_is_one_from_its_beginning(self) -> None:
        """Two writers meet when the second begins, not half-way when neither could go on."""
        url = new_database(self.mktemp())
        first, second = (engine.make_engine(url, immediate=True, lock_seconds=0) for _ in range(2))
        reader = engine.make_engine(url)
        for each in (first, second, reader):
            self.addCleanup(each.dispose)
        with first.begin():
            self.assertRaises(sa.exc.OperationalError, second.connect().begin)
            with reader.begin() as connection:
                self.assertEqual(connection.scalar(sa.text("SELECT count(*) FROM devices")), 0)


_KEEP = Prepared(sa.insert(facts), "name", "value")


class DriverTransactionTests(SynchronousTestCase):
    """A transaction on the driver's cursor, in which Core's statements take part."""

    def setUp(self) -> None:
        self.url = new_database(self.mktemp())
        opened = engine.make_engine(self.url, immediate=True)
        self.addCleanup(opened.dispose)
        self.connection = opened.connect()
        self.addCleanup(self.connection.close)

    def keep(self, name: str, core: bool = False) -> None:
        row = {"name": name, "value": ""}
        if core:
            self.connection.execute(sa.insert(facts), row)
        else:
            _KEEP.execute(self.connection, row)

    def stored(self) -> str:
        """The names of all facts, as another process sees them."""
        connection = sqlite3.connect(sa.engine.make_url(self.url).database or "")
        try:
            return "".join(name for (name,) in connection.execute("SELECT name FROM facts ORDER BY name"))
        finally:
            connection.close()

    def test_is_committed(self) -> None:
        """What either way wrote is committed at its end and not before, and the next one begins anew."""
        for ways, stored in (
            ((False,), "a"),
            ((True, False), "abc"),
            ((False, True), "abcde"),
            ((), "abcde"),
        ):
            with engine.DriverTransaction(self.connection):
                for way in ways:
                    before = self.stored()
                    self.keep("abcde"[len(before) + ways.index(way)], core=way)
                    self.assertEqual(self.stored(), before)
            self.assertEqual(self.stored(), stored)
            self.assertFalse(self.connection.in_transaction())

    def test_is_rolled_back(self) -> None:
        """An exception takes back what either way wrote."""
        for core in (False, True):
            with self.assertRaises(ZeroDivisionError), engine.DriverTransaction(self.connection):
                self.keep("a")
                self.keep("b", core)
                raise ZeroDivisionError
            self.assertEqual(self.stored(), "")
        with engine.DriverTransaction(self.connection):
            self.keep("c")
        self.assertEqual(self.stored(), "c")

    def test_a_commit_that_fails(self) -> None:
        """A commit that fails leaves nothing behind that the next transaction would begin in."""
        for core in (False, True):
            with self.assertRaises(sa.exc.IntegrityError), engine.DriverTransaction(self.connection):
                run(self.connection, "PRAGMA defer_foreign_keys = ON")
                self.keep("a", core)
                run(self.connection, "INSERT INTO fleets VALUES (1, 1, 1)")
            self.assertEqual(self.stored(), "")
        with engine.DriverTransaction(self.connection):
            self.keep("b")
        self.assertEqual(self.stored(), "b")

    def test_parts(self) -> None:
        """A part is taken back alone, whatever failed in it; the rest stays."""
        with engine.DriverTransaction(self.connection):
            for number, name in enumerate("ababc"):
                engine.set_savepoint(self.connection)
                try:
                    self.keep(str(number), core=bool(number % 2))
                    self.keep(name, core=bool(number % 2))
                except sa.exc.IntegrityError:
                    engine.undo_to_savepoint(self.connection)
                else:
                    engine.release_savepoint(self.connection)
        self.assertEqual(self.stored(), "014abc")

    def test_locked(self) -> None:
        """One that cannot begin is the driver's error, as Core's is."""
        other = engine.make_engine(self.url, immediate=True, lock_seconds=0)
        self.addCleanup(other.dispose)
        with engine.DriverTransaction(self.connection), other.connect() as waiting:
            error = self.assertRaises(sa.exc.OperationalError, engine.DriverTransaction(waiting).__enter__)
            self.assertIn("locked", str(error))


class RefusalTests(_Case):
    """What neither `prepare` nor `check` takes, and that nothing is done to it."""

    def refused_by_both(self, *said: str) -> None:
        before = self.files()
        for open_it in (engine.check, engine.prepare):
            self.assertRefused(open_it, *said)
            self.assertEqual(self.files(), before, "nothing is changed")

    def test_no_database(self) -> None:
        """A file of something else is no database."""
        self.file.write_bytes(b"This is a letter to my aunt, and rather a long one.\n" * 100)
        self.refused_by_both("not a database")

    def test_corrupt(self) -> None:
        """A database whose pages were overwritten is refused."""
        engine.prepare(self.url)
        data = self.file.read_bytes()
        self.file.write_bytes(data[:100] + b"\xa5" * (len(data) - 100))
        self.refused_by_both()

    def test_cut_short(self) -> None:
        """A database of which only the beginning is there is refused."""
        engine.prepare(self.url)
        data = self.file.read_bytes()
        self.file.write_bytes(data[: len(data) // 4])
        self.refused_by_both()

    def test_empty(self) -> None:
        """An empty file where there was a store is not taken for a new one (case F10)."""
        self.file.touch()
        self.refused_by_both("is empty", "csipctl restore")

    def test_missing_beside_its_journal(self) -> None:
        """Nor is a journal without its database (case F10)."""
        Path(f"{self.file}-wal").write_bytes(b"frames")
        self.refused_by_both("is missing", "csipd.sqlite-wal is there")

    def test_a_start_that_fails_leaves_no_file(self) -> None:
        """A new store that cannot be made leaves no empty file, which the next start would refuse."""

        def fail(*_: object) -> None:
            raise sa.exc.OperationalError("BEGIN", None, sqlite3.OperationalError("database or disk is full"))

        self.patch(engine, "_upgrade", fail)
        self.assertRefused(engine.prepare, "disk is full")
        self.assertEqual(self.files(), {})

    def test_foreign(self) -> None:
        """A database of another program is not built into."""
        with sqlite3.connect(self.file) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.close()
        self.refused_by_both("holds tables but no schema version")

    def test_later_version(self) -> None:
        """A database that a later version has written is refused, and said to be one."""
        engine.prepare(self.url)
        with sqlite3.connect(self.file) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        self.refused_by_both("9999", "a later one")

    def test_locked(self) -> None:
        """A database that another process keeps writing to is refused after a second."""
        engine.prepare(self.url)
        other = sqlite3.connect(self.file, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.assertRefused(engine.check, "locked")
        self.assertRefused(engine.prepare, "locked")

    def test_no_folder(self) -> None:
        """A folder that is not there is one line too."""
        self.file = self.folder / "none" / "csipd.sqlite"
        self.url = engine.sqlite_url(self.file.parent)
        self.assertRefused(engine.prepare, "unable to open")

    def test_check_makes_nothing(self) -> None:
        """To check a store that is not there yet does not make it."""
        engine.check(self.url)
        self.assertEqual(self.files(), {})

    def test_check_of_a_good_one(self) -> None:
        """To check a good store leaves it as it is."""
        engine.prepare(self.url)
        before = self.files()
        engine.check(self.url)
        self.assertEqual(self.files(), before)
