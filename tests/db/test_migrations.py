"""A store of the first release becomes one of this release, and nothing in it is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import copying, engine
from csipd.db.tables import metadata

#: A row of each table of the first release.
ROWS: dict[str, dict[str, Any]] = {
    "assignments": {"id": 3, "name": "Topology"},
    "audit": {"id": 9, "at": 5, "who": "admin", "action": "add", "subject": "/edev/7", "detail": "dev1"},
    "controls": {
        "id": 11,
        "program": 5,
        "mrid": "02" + "0" * 30,
        "start": 100,
        "duration": 60,
        "randomize_start": 0,
        "randomize_duration": 0,
        "creation_time": 90,
        "earliest": 100,
        "latest": 160,
        "categories": 1,
        "modes": "opModMaxLimW",
        "cancelled": None,
        "randomized": 0,
        "reason": None,
        "who": "admin",
        "body": b"<DERControl/>",
    },
    "declarations": {"kind": "device", "key": "dev1", "content": "{}"},
    "devices": {
        "id": 7,
        "lfdi": "A" * 40,
        "sfdi": 1,
        "name": "dev1",
        "aggregator": 0,
        "manager": None,
        "fleet": 0,
        "registered": 50,
        "retired": None,
        "withdrawn": None,
        "pin": 111115,
        "changed_time": 50,
        "device_category": 2,
        "modes": 3,
        "post_rate": 900,
        "poll_rate": 900,
    },
    "facts": {"name": "store", "value": "4711"},
    "idempotency": {
        "who": "admin",
        "key": "k",
        "request": "0" * 64,
        "status": 201,
        "location": "/x",
        "body": b"{}",
        "at": 80,
    },
    "lists": {"href": "/derp/5/dc", "members": 1, "last": 4},
    "groups": {"id": 4, "name": "Feeder", "parent": None, "level": 3, "assignment": 3},
    "programs": {
        "id": 5,
        "mrid": "01" + "0" * 30,
        "group": 4,
        "description": "Program",
        "primacy": 10,
        "version": 2,
        "retired": None,
    },
    "alarms": {
        "id": 13,
        "device": 7,
        "function_set": 11,
        "code": 0,
        "raised": 70,
        "cleared": None,
        "details": "hot",
    },
    "documents": {
        "href": "/edev/7/di",
        "list": None,
        "order": None,
        "time": None,
        "device": 7,
        "changed": 60,
        "body": b"<DeviceInformation/>",
    },
    "logevents": {
        "id": 15,
        "device": 7,
        "created_time": 70,
        "event_id": 1,
        "pen": 1,
        "profile": 2,
        "function_set": 11,
        "code": 0,
        "hidden": 0,
        "classified": 1,
        "received": 71,
        "body": b"<LogEvent/>",
    },
    "responses": {
        "id": 17,
        "control": 11,
        "subject": "02" + "0" * 30,
        "lfdi": "A" * 40,
        "device": 7,
        "status": 1,
        "created_time": 95,
        "received": 96,
        "flagged": None,
        "body": b"<Response/>",
    },
    "abilities": {"group": 4, "modes": 3, "members": 1},
    "fleets": {"manager": 7, "group": 4, "members": 1},
    "memberships": {"id": 19, "device": 7, "group": 4, "since": 50, "until": None},
}

#: What a migration has given another place.
MOVED = {"devices": {"post_rate": "wished_post_rate"}}


def first_release(url: str) -> None:
    """Make a store as the first release did, with something in each table."""
    opened = engine.make_engine(url, immediate=True)
    with opened.begin() as connection:
        config = engine._alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for table, row in ROWS.items():
            columns = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            statement = f"INSERT INTO {table} ({columns}) VALUES ({values})"
            connection.execute(sa.text(statement), row)
        # Some that came to nothing, as the first release left them.
        connection.exec_driver_sql('INSERT INTO abilities ("group", modes, members) VALUES (4, 99, 0)')
    opened.dispose()


class MigrationTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.url = engine.sqlite_url(folder)
        self.file = folder / "csipd.sqlite"
        first_release(self.url)

    def found(self, file: Path, table: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(file)
        self.addCleanup(connection.close)
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]

    def test_every_table_is_filled(self) -> None:
        """What is tried has a row in each table that the first release had."""
        connection = sqlite3.connect(self.file)
        self.addCleanup(connection.close)
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        names = {name for (name,) in connection.execute(query)} - {"alembic_version"}
        self.assertEqual(names, set(ROWS))

    def test_nothing_is_lost(self) -> None:
        """Every row is there after the migration as it was, with new columns beside (decision 47)."""
        engine.prepare(self.url)
        for table, row in ROWS.items():
            (after,) = self.found(self.file, table)
            moved = MOVED.get(table, {})
            self.assertEqual({name: after[moved.get(name, name)] for name in row}, row, table)
        # What is kept by group is counted anew: by category, too.
        self.assertEqual(self.found(self.file, "abilities"), [{**ROWS["abilities"], "category": 2}])
        kept = {row["name"]: row["number"] for row in self.found(self.file, "counts")}
        others = {f"devices {word}": 0 for word in ("listed", "withdrawn", "retired")}
        self.assertEqual(
            kept, {"devices registered": 1, **others, "alarms open": 1, "programs": 1, "subscriptions": 0}
        )
        with sqlite3.connect(self.file) as connection:
            self.assertEqual(connection.execute("PRAGMA foreign_key_check").fetchall(), [])
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        connection.close()

    def test_own_programs_that_were_used_stay_shown(self) -> None:
        """A device's own program that had a control is shown; its default is a view now (case A1)."""
        device = ROWS["devices"]["id"]
        own = 10**12 + device
        control = {**ROWS["controls"], "id": 10, "program": own, "mrid": "02" + "1" * 30, "creation_time": 70}
        with sqlite3.connect(self.file) as connection:
            names = ", ".join(f'"{name}"' for name in control)
            marks = ", ".join("?" * len(control))
            connection.execute(f"INSERT INTO controls ({names}) VALUES ({marks})", [*control.values()])
            for number in (own, 5, 15, 1555):
                connection.execute(
                    "INSERT INTO documents (href, changed, body) VALUES (?, 1, x'00')",
                    [f"/derp/{number}/dderc"],
                )
        connection.close()
        engine.prepare(self.url)
        shown = [{"device": device, "shown": 70, "fleet": None}]
        self.assertEqual(self.found(self.file, "own_programs"), shown)
        left = {row["href"] for row in self.found(self.file, "documents")}
        self.assertNotIn(f"/derp/{own}/dderc", left)
        self.assertLess({f"/derp/{number}/dderc" for number in (5, 15, 1555)}, left)

    def test_lists_of_fleets(self) -> None:
        """Responses of a fleet's devices are found by the aggregator, and counted."""
        with sqlite3.connect(self.file) as connection:
            connection.execute("UPDATE devices SET manager = id, retired = NULL, withdrawn = NULL")
        connection.close()
        engine.prepare(self.url)
        (device,) = self.found(self.file, "devices")
        (response,) = self.found(self.file, "responses")
        self.assertEqual(response["fleet"], device["id"])
        kept = {row["name"]: row["number"] for row in self.found(self.file, "counts")}
        self.assertEqual(kept[f"responses of fleet {device['id']}"], 1)

    def test_numbers_go_on(self) -> None:
        """No table has forgotten which numbers it gave: the next one is higher."""
        engine.prepare(self.url)
        found = {row["name"]: row["seq"] for row in self.found(self.file, "sqlite_sequence")}
        for table in metadata.sorted_tables:
            if table.dialect_options["sqlite"]["autoincrement"] is True and table.name in ROWS:
                self.assertEqual(found[table.name], ROWS[table.name]["id"], table.name)

    def test_a_copy_is_kept(self) -> None:
        """What was there before stays beside it, readable by its owner alone; that is said (decision 47)."""
        head = ScriptDirectory.from_config(engine._alembic()).get_current_head()
        (line,) = [line for line in engine.prepare(self.url) if "migrated" in line]
        self.assertIn(f"migrated from schema 0001 to {head}; csipd.sqlite.0001 is a copy from before", line)
        kept = self.file.with_name("csipd.sqlite.0001")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.found(kept, "alembic_version"), [{"version_num": "0001"}])
        self.assertEqual(self.found(kept, "devices"), [ROWS["devices"]])
        before = kept.read_bytes()
        self.assertEqual(engine.prepare(self.url), [])
        self.assertEqual(kept.read_bytes(), before)

    def test_no_migration_without_a_copy(self) -> None:
        """Where no copy can be made nothing is migrated."""

        def full(source: Path, target: Path, progress: object = None) -> None:
            raise OSError(28, "No space left on device")

        self.patch(engine, "copy", full)
        error = self.assertRaises(engine.StoreError, engine.prepare, self.url)
        self.assertIn("no copy could be made before the migration", str(error))
        self.assertEqual(self.found(self.file, "alembic_version"), [{"version_num": "0001"}])

    def test_a_copy_that_fails_leaves_nothing(self) -> None:
        """A copy that could not be finished is removed."""

        def stop(done: int, total: int) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        target = self.file.with_name("copy")
        self.assertRaises(sqlite3.OperationalError, copying.copy, self.file, target, stop)
        self.assertFalse(target.exists())
