"""`csipctl backup` and `restore`: the state of a csipd in one file, and what a restored one must not do."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from click.testing import Result
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from csipd import config
from csipd.cli.ctl import archives
from csipd.cli.ctl.archives import ArchiveError
from csipd.daemon import scheduler, start
from csipd.daemon.start import PreparedDaemon, StartOptions
from csipd.db import controls, engine, programs, rollups, segments, series, subscriptions, tables
from csipd.db import devices as device_list
from csipd.db.database import Database, Transaction
from csipd.db.tables import audit, devices, facts
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.site import Place as Href
from tests.cli.fake import NOW, FakeAPI
from tests.db.test_migrations import first_release
from tests.support import pki
from tests.support.daemon import LAB, Daemon, small_place


def control(begins: int = NOW - 60) -> r.DERControl:
    return r.DERControl(
        mRID="0",
        creationTime=begins,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=begins, potentiallySuperseded=False),
        interval=r.DateTimeInterval(start=begins, duration=7200),
        DERControlBase=r.DERControlBase(opModMaxLimW=50),
    )


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = small_place(Path(self.mktemp()), "service_point_primacy: 2", "generate_admin_cert: true")
        pki.write(self.place.tls, admin=LAB.admin())
        self.file = self.place.folder / "backup.tar.gz"
        self.api = FakeAPI()

    def ready(self) -> PreparedDaemon:
        """A start of csipd, as far as it gets before it forks."""
        made = start.prepare(config.load(self.place.config), StartOptions(resolve=False))
        self.addCleanup(os.close, made.lock)
        return made

    def with_store(self, work: Callable[[Transaction, PreparedDaemon], Any]) -> Any:
        """Start, do something in the store, and stop."""
        made = start.prepare(config.load(self.place.config), StartOptions(resolve=False))
        database = Database(made.url, None)
        try:
            return self.successResultOf(database.write(lambda transaction: work(transaction, made)))
        finally:
            self.successResultOf(database.stopService())
            os.close(made.lock)

    def ctl(self, *arguments: str, code: int = 0, input: str = "") -> Result:
        done = self.api.run("--config", str(self.place.config), *arguments, input=input)
        self.assertEqual(done.exit_code, code, done.output)
        return done

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.place.folder)): path.read_bytes()
            for path in sorted(self.place.folder.rglob("*"))
            if path.is_file()
        }


def command(transaction: Transaction, ready: PreparedDaemon) -> tuple[str, str]:
    """Make a control for dev1 by name; its href and mRID."""
    device = transaction.connection.scalar(sa.select(devices.c.id).where(devices.c.name == "dev1"))
    assert device is not None
    made: Href = controls.add(transaction, ready.server.issuer, programs.own_program(device), control())
    kept = controls.find(transaction.connection, made.ids[1], NOW)
    assert kept is not None
    return made.href, kept.event.mrid


def own_mrid(transaction: Transaction, ready: PreparedDaemon) -> str:
    return ready.server.issuer.mrid(Kind.OWN_PROGRAM, 1)


class BackupTests(_Case):
    """What is in the file."""

    def members(self) -> dict[str, bytes]:
        with tarfile.open(self.file) as archive:
            found = {}
            for member in archive.getmembers():
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
            return found

    def test_contents(self) -> None:
        """Configuration, database and certificates, each as it is; no private key; 0600."""
        self.with_store(command)
        done = self.ctl("backup", str(self.file))
        self.assertIn("Private keys are not in it", done.stderr)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        found = self.members()
        self.assertEqual(found["configuration/config.yml"], self.place.config.read_bytes())
        for id in ("ca", "dev1", "admin", "127.0.0.1"):
            self.assertEqual(
                found[f"tls/certs/{id}.crt"], (self.place.tls / "certs" / f"{id}.crt").read_bytes()
            )
        self.assertNotIn(b"PRIVATE KEY", b"".join(found.values()))
        self.assertEqual([name for name in found if "private" in name or "combined" in name], [])
        copied = self.place.folder / "copy"
        copied.write_bytes(found["csipd.sqlite"])
        with sqlite3.connect(copied) as connection:
            self.assertEqual(connection.execute("SELECT count(*) FROM controls").fetchone(), (1,))
        connection.close()
        self.assertEqual(list(self.place.folder.glob(".*")), [], "nothing is left over")

    def test_with_keys(self) -> None:
        """Private keys only where they are asked for."""
        self.with_store(command)
        self.ctl("backup", "--with-keys", str(self.file))
        key = (self.place.tls / "private" / "dev1.pem").read_bytes()
        self.assertEqual(self.members()["tls/private/dev1.pem"], key)

    def test_not_overwritten(self) -> None:
        """A file that exists stays."""
        self.with_store(command)
        self.file.write_bytes(b"precious")
        self.assertIn("not overwritten", self.ctl("backup", str(self.file), code=1).stderr)
        self.assertEqual(self.file.read_bytes(), b"precious")

    def test_no_folder(self) -> None:
        """A folder that is not there is named, and no file of csipctl's own."""
        self.with_store(command)
        said = self.ctl("backup", str(self.place.folder / "none" / "x.tar.gz"), code=1).stderr
        self.assertIn(f"{self.place.folder / 'none'}: there is no such folder to write x.tar.gz into", said)

    def test_damaged(self) -> None:
        """Of a database that is damaged no backup is made that could not be restored."""
        self.with_store(command)
        with self.place.database.open("r+b") as file:
            file.seek(self.place.database.stat().st_size // 2)
            file.write(b"\xa5" * 20_000)
        done = self.ctl("backup", str(self.file), code=1)
        (line,) = done.stderr.splitlines()
        self.assertIn("is damaged", line)
        self.assertFalse(self.file.exists())

    def test_nothing_to_back_up(self) -> None:
        """Where there is no database, or no --config, that is said."""
        self.assertIn("there is no database", self.ctl("backup", str(self.file), code=1).stderr)
        self.assertIn("--config", self.api.run("backup", str(self.file)).output)
        self.assertFalse(self.file.exists())

    def test_one_moment(self) -> None:
        """What is written while the copy is made is not in it, and does not make it begin anew (case B4)."""
        from csipd.db import copying

        ready = self.ready()
        database = Database(ready.url, None)
        self.addCleanup(database.stopService)
        self.patch(copying, "_PAGES", 1)
        steps: list[int] = []

        def meanwhile(done: int, total: int) -> None:
            steps.append(done)

            def write(transaction: Transaction) -> None:
                transaction.connection.execute(
                    sa.insert(facts).values(name=f"{len(steps)}", value="x" * 10_000)
                )

            self.successResultOf(database.write(write))

        copied = self.place.folder / "copy.sqlite"
        copying.copy(self.place.database, copied, meanwhile)
        self.assertGreater(len(steps), 20)
        self.assertEqual(steps, sorted(set(steps)), "it never went back")
        with sqlite3.connect(copied) as connection:
            self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
            query = "SELECT count(*) FROM facts WHERE length(value) = 10000"
            self.assertEqual(connection.execute(query).fetchone(), (0,))
        connection.close()


class RestoreTests(_Case):
    """What comes of it."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.with_store(command)
        self.own = self.with_store(own_mrid)
        self.ctl("backup", "--with-keys", str(self.file))

    def test_never_a_number_again(self) -> None:
        """A control made after the backup and one made after the restore share no mRID or href (case B4)."""
        lost = self.with_store(command)
        self.ctl("restore", "--yes", str(self.file))
        found = self.with_store(command)
        self.assertEqual(set(found) & {*lost, *self.first}, set())
        self.ctl("restore", "--yes", str(self.file))
        again = self.with_store(command)
        self.assertEqual(set(again) & {*found, *lost, *self.first}, set())

    def test_readings(self) -> None:
        """Readings, and what they come to, are in it; a series that is new has a number of its own."""

        def add(transaction: Transaction, ready: PreparedDaemon) -> int:
            device = transaction.connection.scalar(sa.select(devices.c.id).where(devices.c.name == "dev1"))
            assert device is not None
            segment = segments.open_segment(transaction, 1, device, r.ReadingType(uom=38), True, NOW)
            samples = [series.Sample(NOW - NOW % 3600 + 60 * each, 60, each) for each in range(120)]
            series.store(transaction, segment, samples, NOW)
            rollups.roll(transaction, NOW + 3600)
            return segment.number

        def seen(transaction: Transaction, ready: PreparedDaemon) -> tuple[Any, ...]:
            connection = transaction.connection
            return (
                segments.current(connection, 1),
                series.latest(connection, 1),
                rollups.read(connection, number, 3600, 0, 2**40),
            )

        number = self.with_store(add)
        before = self.with_store(seen)
        self.assertEqual([bucket.readings for bucket in before[2]], [60, 60])
        file = self.place.folder / "with readings.tar.gz"
        self.ctl("backup", "--with-keys", str(file))
        lost = self.with_store(add)
        self.ctl("restore", "--yes", str(file))
        self.assertEqual(self.with_store(seen), before)
        self.assertGreater(self.with_store(add), lost)

    def test_what_is_computed_stays(self) -> None:
        """mRIDs of what is no row keep the store's first number for ever (decision 46, case B4)."""
        self.ctl("restore", "--yes", str(self.file))
        self.assertEqual(self.with_store(own_mrid), self.own)

    def test_subscribers(self) -> None:
        """Each subscriber is told what is true now: it may have heard of what came after the backup."""

        def subscribe(transaction: Transaction, ready: PreparedDaemon) -> None:
            made = device_list.add(transaction, "A" * 40, now=NOW, name="subscriber")
            wanted = subscriptions.Wanted("/edev", "/edev", "https://r.example/", "r.example", 443, "-S1", 1)
            look = subscriptions.Look(b"digest", frozenset(["device 1"]))
            number = subscriptions.add(transaction, made.id, wanted, look, NOW + 100_000, NOW)
            transaction.connection.execute(sa.insert(tables.changes).values(fact="device 1"))
            table = tables.subscriptions
            this = sa.update(table).where(table.c.id == number)
            transaction.connection.execute(this.values(told=70, changed=70, certain=70))

        def marked(transaction: Transaction, ready: PreparedDaemon) -> tuple[bool, bool, int | None]:
            table = tables.subscriptions
            row = transaction.connection.execute(sa.select(table)).one()
            outbox = sa.select(sa.func.count()).select_from(tables.changes)
            waiting = transaction.connection.scalar(outbox)
            return row.changed > row.told, row.certain > row.told, waiting

        self.with_store(subscribe)
        self.ctl("backup", "--with-keys", str(self.file.with_name("other.tar.gz")))
        self.ctl("restore", "--yes", str(self.file.with_name("other.tar.gz")))
        self.assertEqual(self.with_store(marked), (True, True, 0))

    def test_a_lab_s_time(self) -> None:
        """In the store of a lab that ran fast it is as late as when it ticked last: controls go by that."""

        def run_on(transaction: Transaction, ready: PreparedDaemon) -> None:
            scheduler.tick(transaction, NOW + 7000)
            device = transaction.connection.scalar(sa.select(devices.c.id).where(devices.c.name == "dev1"))
            assert device is not None
            later = control(NOW + 6000)
            controls.add(transaction, ready.server.issuer, programs.own_program(device), later)
            scheduler.tick(transaction, NOW + 7200)

        def when(transaction: Transaction, ready: PreparedDaemon) -> list[tuple[int | None, str]]:
            query = "SELECT cancelled, reason FROM controls ORDER BY id"
            return [tuple(row) for row in transaction.connection.execute(sa.text(query))]

        self.with_store(run_on)
        file = self.place.folder / "lab.tar.gz"
        self.ctl("backup", str(file))
        self.ctl("restore", "--yes", str(file))
        ((first, _), (second, _)) = self.with_store(when)
        self.assertEqual((first, second), (None, NOW + 7200), "the first was over")

    def test_live_controls(self) -> None:
        """Controls that are not over are shown and cancelled; --keep leaves them; the audit log has it."""

        def cancelled(transaction: Transaction, ready: PreparedDaemon) -> list[str | None]:
            query = "SELECT reason FROM controls WHERE cancelled IS NOT NULL"
            return list(transaction.connection.scalars(sa.text(query)))

        done = self.ctl("restore", "--yes", "--keep", str(self.file))
        self.assertIn("they stay in force", done.stdout)
        self.assertEqual(self.with_store(cancelled), [])
        done = self.ctl("restore", "--yes", str(self.file))
        self.assertIn("they are cancelled", done.stdout)
        self.assertEqual(self.with_store(cancelled), ["restored from a backup of 2026-07-01T14:00:00Z"])

        def reported(transaction: Transaction, ready: PreparedDaemon) -> list[str]:
            return list(
                transaction.connection.scalars(sa.select(audit.c.detail).where(audit.c.action == "restore"))
            )

        (line,) = self.with_store(reported)
        self.assertIn("controls cancelled: [1]", line)

    def test_devices_are_shown(self) -> None:
        """The devices that it admits are shown for review: a later withdrawal is not known to it."""
        done = self.ctl("restore", "--yes", str(self.file))
        self.assertIn("Devices that are admitted: 1", done.stdout)
        self.assertIn("dev1", done.stdout)
        said = json.loads(self.ctl("--json", "restore", "--yes", str(self.file), code=0).stdout)
        self.assertEqual([one["name"] for one in said["devices"]], ["dev1"])
        self.assertEqual((said["cancelled"], said["made"]), (True, NOW))

    def test_admitted_again(self) -> None:
        """A device that was withdrawn after the backup is said by itself, before anything is done (B4)."""
        self.assertEqual(
            json.loads(self.ctl("--json", "restore", "--yes", str(self.file)).stdout)["admitted_again"], []
        )
        self.with_store(
            lambda transaction, ready: transaction.connection.execute(
                sa.update(devices).values(withdrawn=NOW)
            )
        )
        before = self.files()
        done = self.ctl("restore", str(self.file), input="n\n", code=5)
        self.assertIn("shut out now and are admitted again: 1;", done.stdout)
        self.assertEqual(self.files(), before)
        said = json.loads(self.ctl("--json", "restore", "--yes", str(self.file)).stdout)
        self.assertEqual(said["admitted_again"], [1])
        self.assertEqual(said["controls"][0]["program_name"], "own program of dev1")
        self.place.database.write_bytes(b"rotten")
        self.assertIn("cannot be read", self.ctl("restore", "--yes", str(self.file)).stderr)

    def test_what_was_there_is_kept(self) -> None:
        """The database that was there stays in a folder of its own, and the new one is its owner's alone."""
        self.with_store(command)
        before = self.place.database.read_bytes()
        self.ctl("restore", "--yes", str(self.file))
        (aside,) = self.place.database.parent.glob("before-restore-*")
        self.assertEqual((aside / "csipd.sqlite").read_bytes(), before)
        self.assertEqual(aside.stat().st_mode & 0o777, 0o700)
        self.assertEqual(self.place.database.stat().st_mode & 0o777, 0o600)
        self.assertEqual(
            sorted(path.name for path in self.place.database.parent.iterdir()),
            [aside.name, "csipd.sqlite"],
        )

    def test_a_broken_database_is_replaced(self) -> None:
        """What was there may be broken, and have a journal: neither gets in the way."""
        self.place.database.write_bytes(b"no database " * 1000)
        Path(f"{self.place.database}-wal").write_bytes(b"no journal")
        self.ctl("restore", "--yes", str(self.file))
        self.with_store(command)
        (aside,) = self.place.database.parent.glob("before-restore-*")
        found = sorted(path.name for path in aside.iterdir())
        self.assertEqual(found, ["configuration", "csipd.sqlite", "csipd.sqlite-wal"])

    def test_certificates(self) -> None:
        """Files of tls/ that are missing are put back, keys 0600; one that differs stays and is named."""
        key, certificate = self.place.tls / "private" / "dev1.pem", self.place.tls / "certs" / "dev1.crt"
        lost = key.read_bytes()
        key.unlink()
        other = LAB.device("other").cert_pem
        certificate.write_bytes(other)
        done = self.ctl("restore", "--yes", str(self.file))
        self.assertEqual((key.read_bytes(), key.stat().st_mode & 0o777), (lost, 0o600))
        self.assertEqual(certificate.read_bytes(), other)
        self.assertIn("certs/dev1.crt", done.stderr)

    def test_keys_that_are_missing(self) -> None:
        """A backup without keys brings certificates back that were lost, and says which keys to find."""
        self.file.unlink()
        self.ctl("backup", str(self.file))
        for path in sorted(self.place.tls.glob("*/*")):
            path.unlink()
        done = self.ctl("restore", "--yes", str(self.file))
        self.assertIn("4 certificates of", done.stderr)
        self.assertIn(
            "have no key: 127.0.0.1, admin, ca, dev1. Put their keys into its private/", done.stderr
        )

    def test_as_root(self) -> None:
        """As root it acts as the owner of the storage folder, and what it cannot see of tls/ is named."""
        if os.geteuid() != 0:
            raise SkipTest("only root can act as somebody else")
        storage = self.place.database.parent
        for path in (storage, *storage.iterdir()):
            os.chown(path, 65534, 65534)
        for folder in self.place.folder.parents:
            if folder.name == "_trial_temp":
                break
            folder.chmod(0o711)
        done = self.ctl("restore", "--yes", str(self.file))
        owners = {path.name: path.stat().st_uid for path in storage.iterdir()}
        self.assertEqual(set(owners.values()), {65534}, owners)
        self.assertEqual(os.geteuid(), 0)
        self.assertIn("could not be looked at or written", done.stderr)
        self.assertIn("private/admin.pem", done.stderr)

    def test_asked(self) -> None:
        """Without --yes it asks first, and a no changes nothing."""
        before = self.files()
        done = self.ctl("restore", str(self.file), input="n\n", code=5)
        self.assertIn("Put this backup in the place of what is there?", done.stderr)
        self.assertEqual(self.files(), before)

    def test_running(self) -> None:
        """While csipd runs nothing is restored."""
        self.ready()
        before = self.files()
        done = self.ctl("restore", "--yes", str(self.file), code=1)
        self.assertIn("stop it first", done.stderr)
        self.assertEqual(self.files(), before)

    def test_broken(self) -> None:
        """What was cut short, changed or never was a backup is refused in one line; nothing is changed."""
        whole = self.file.read_bytes()
        before = self.files()
        middle = len(whole) // 2
        spoilt = [whole[: len(whole) * part // 4] for part in range(4)]
        spoilt += [whole[:middle] + b"spoilt" + whole[middle + 6 :], whole + b"more"]
        spoilt += [b"a letter to my aunt" * 100, gzip.compress(b"a letter")]
        for content in spoilt:
            self.file.write_bytes(content)
            done = self.ctl("restore", "--yes", str(self.file), code=1)
            (line,) = done.stderr.splitlines()
            self.assertTrue(line.startswith(f"csipctl: {self.file}: "), line)
        self.file.write_bytes(whole)
        self.assertEqual(self.files(), before)

    def test_of_the_first_release(self) -> None:
        """A backup whose database is of an earlier release is restored, and its schema brought up to date."""
        folder = self.place.folder / "first"
        folder.mkdir()
        first_release(engine.sqlite_url(folder))
        self.file.unlink()
        source = archives.Source("csipd.sqlite", folder / "csipd.sqlite")
        with self.file.open("wb") as out:
            archives.write(out, archives.Manifest(NOW, "1", False), [source], lambda octets: None)
        self.ctl("restore", "--yes", str(self.file))
        connection = sqlite3.connect(self.place.database)
        self.addCleanup(connection.close)
        self.assertEqual(connection.execute("SELECT lfdi FROM devices").fetchall(), [("A" * 40,)])
        query = "SELECT value FROM facts WHERE name LIKE 'store%' ORDER BY name"
        (first,), (since,) = connection.execute(query).fetchall()
        self.assertEqual(first, "4711")
        self.assertNotEqual(since, first)

    def test_a_database_of_something_else(self) -> None:
        """An archive that is whole, and whose database is none of csipd's, is refused."""
        foreign = self.place.folder / "foreign.sqlite"
        with sqlite3.connect(foreign) as connection:
            connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.close()
        self.file.unlink()
        with self.file.open("wb") as out:
            archives.write(
                out,
                archives.Manifest(NOW, "1", False),
                [archives.Source("csipd.sqlite", foreign)],
                lambda octets: None,
            )
        done = self.ctl("restore", "--yes", str(self.file), code=1)
        self.assertIn("holds tables but no schema version", done.stderr)


class ArchiveTests(SynchronousTestCase):
    """An archive from somebody who means harm."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def extracted(self, content: bytes, largest: int = 1 << 20) -> archives.Manifest:
        return archives.extract(io.BytesIO(content), self.folder, largest, lambda octets: None)

    def archive(self, *members: tarfile.TarInfo, content: bytes = b"x") -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
            for member in members:
                archive.addfile(member, io.BytesIO(content))
        return out.getvalue()

    def file(self, name: str, size: int = 1, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.size, info.type = size, kind
        return info

    def refused(self, content: bytes, largest: int = 1 << 20) -> str:
        said = str(self.assertRaises(ArchiveError, self.extracted, content, largest))
        self.assertNotIn("\n", said)
        return said

    def test_names(self) -> None:
        """No name leads out of the folder, and none that is not known is written."""
        for name in (
            "/etc/passwd",
            "../csipd.sqlite",
            "tls/../../escaped",
            "tls/certs/../../../escaped",
            "tls//certs",
            "./csipd.sqlite",
            "tls/./a",
            "var/csipd.sqlite",
            "tls/a\nb",
            "csipd.sqlite/x",
        ):
            self.assertIn("does not belong", self.refused(self.archive(self.file(name))), name)
        self.assertEqual(list(self.folder.rglob("*")), [])
        self.assertFalse((self.folder.parent / "escaped").exists())

    def test_kinds(self) -> None:
        """Links, devices, folders and headers that extend others are no files."""
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
        for kind in (*kinds, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE):
            content = self.archive(self.file("csipd.sqlite", 0, kind), content=b"")
            self.assertIn("is no file", self.refused(content), kind)

    def test_bounded(self) -> None:
        """What is more than there is room for is not unpacked, however small it is packed."""
        bomb = self.archive(self.file("csipd.sqlite", 10_000_000), content=bytes(10_000_000))
        self.assertLess(len(bomb), 20_000)
        self.assertIn("no room", self.refused(bomb))
        self.assertEqual(list(self.folder.rglob("*")), [])
        large = self.archive(self.file("tls/certs/a", 2_000_000), content=bytes(2_000_000))
        self.assertIn("larger than", self.refused(large, 1 << 30))

    def test_changed(self) -> None:
        """Whatever octet was changed or cut off: it is refused, or nothing that matters was changed."""
        source = self.folder / "source"
        source.write_bytes(bytes(range(256)) * 40)
        out = io.BytesIO()
        sources = [archives.Source(name, source) for name in ("csipd.sqlite", "tls/certs/a")]
        archives.write(out, archives.Manifest(NOW, "1", False), sources, lambda octets: None)
        whole = out.getvalue()
        right = {name: source.read_bytes() for name in ("csipd.sqlite", "tls/certs/a")}
        refused = 0
        spoilt = [
            whole[:place] + bytes((whole[place] ^ 0x55,)) + whole[place + 1 :] for place in range(len(whole))
        ]
        for number, content in enumerate(spoilt + [whole[:place] for place in range(len(whole))]):
            self.folder = source.parent / f"{number}"
            self.folder.mkdir()
            try:
                self.extracted(content)
            except ArchiveError:
                refused += 1
            else:
                found = {name: (self.folder / name).read_bytes() for name in right}
                self.assertEqual(found, right, number)
        self.assertGreater(refused, 1.9 * len(whole))

    def test_twice(self) -> None:
        """A name that comes twice is refused."""
        twice = self.archive(self.file("tls/certs/a"), self.file("tls/certs/a"))
        self.assertIn("does not belong", self.refused(twice))

    def test_manifest(self) -> None:
        """What the last member says has to make sense and to be of this version."""
        for said in (b"[]", b"{", b'{"format": 2, "version": "9"}', b'{"format": 1}', b"[" * 100_000):
            info = self.file("manifest.json", len(said))
            self.refused(self.archive(info, content=said))


class DaemonTests(SynchronousTestCase):
    """Beside a daemon that runs."""

    def test_beside_a_daemon(self) -> None:
        """A backup is made while csipd runs; a restore is refused until it has stopped (case B4)."""
        place = small_place(Path(self.mktemp()), "generate_admin_cert: true")
        pki.write(place.tls, admin=LAB.admin())
        daemon = Daemon(self, place)
        daemon.start()
        api = FakeAPI()
        file = str(place.folder / "backup.tar.gz")
        words = ("--config", str(place.config))
        done = api.run(*words, "backup", file)
        self.assertEqual(done.exit_code, 0, done.output)
        self.assertEqual(daemon.device("dev1").get("/edev/1").status, 200)
        self.assertIn("stop it first", api.run(*words, "restore", "--yes", file).stderr)
        self.assertEqual(daemon.stop(), 0)
        done = api.run(*words, "restore", "--yes", file)
        self.assertEqual(done.exit_code, 0, done.output)
        daemon.start()
        self.assertEqual(daemon.device("dev1").get("/edev/1").status, 200)
