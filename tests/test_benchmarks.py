"""benchmarks/: what they print is documented, what they work on can be served. Nothing is measured here."""

from __future__ import annotations

import importlib
from functools import cache
from itertools import count
from pathlib import Path
from socket import socket
from types import ModuleType

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import clients, get, processes, rig, stores
from benchmarks.figures import NGINX, Row, Table, in_turns
from benchmarks.fleets import Fleet
from benchmarks.stores import BUSY, CONTROLS, Layout
from csipd.db import devices, documents, engine, group_counts, groups, schedules, tables
from csipd.db.database import Database
from csipd.sep2 import codec
from csipd.sep2 import resources as r

ROOT = Path(__file__).resolve().parent.parent
LAYOUT = Layout(40, known=30, fleet=10, busy=2)


def modules() -> list[ModuleType]:
    """Those that are to be run: `stores` is run by the others."""
    return [
        importlib.import_module(f"benchmarks.{path.stem}")
        for path in sorted((ROOT / "benchmarks").glob("*.py"))
        if "__main__" in path.read_text("utf-8") and path.stem != stores.__name__.rpartition(".")[2]
    ]


class DocumentTests(SynchronousTestCase):
    """docs/performance.md against the modules."""

    def setUp(self) -> None:
        self.text = (ROOT / "docs" / "performance.md").read_text("utf-8")

    def test_modules(self) -> None:
        """Each benchmark is named."""
        for module in modules():
            self.assertIn(f"`python -m {module.__name__}`", self.text)

    def test_rows(self) -> None:
        """Each row that is printed has its row, by its name."""
        shown = {line.split("|")[1].strip(" *") for line in self.text.splitlines() if line.startswith("| ")}
        rows = [name for module in modules() for name in getattr(module, "ROWS", ())]
        self.assertGreater(len(rows), 30)
        self.assertEqual([name for name in rows if name not in shown], [])


class FigureTests(SynchronousTestCase):
    """Medians, ratios, and how they are printed."""

    ROW = Row("a", {"csipd": [10.0, 30.0, 20.0], NGINX: [5.0, 10.0, 20.0]}, handshakes=1)

    def setUp(self) -> None:
        self.shown: list[str] = []

    def test_ratio(self) -> None:
        """The median of the turns' ratios, not the ratio of medians."""
        self.assertEqual(self.ROW.figure("csipd"), 20.0)
        self.assertEqual(self.ROW.ratio(NGINX), 2.0)

    def test_equal_libraries(self) -> None:
        """What a handshake costs more with nginx's library is taken off nginx's figures."""
        self.assertEqual(self.ROW.ratio(NGINX, 2.5), 4.0)
        table = Table(["a"], ["csipd", NGINX], library=2.5, show=self.shown.append)
        self.assertEqual(table.line(self.ROW).split(), ["a", "20", "10", "2.00", "4.00"])

    def test_missing_side(self) -> None:
        """What a side does not do is a dash."""
        table = Table(["a"], ["csipd", "other", NGINX], show=self.shown.append)
        self.assertEqual(table.line(self.ROW).split(), ["a", "20", "-", "10", "-", "2.00"])

    def test_unknown_row(self) -> None:
        """A row that is not named beforehand is not printed."""
        self.assertRaises(KeyError, Table(["b"], ["csipd"], show=self.shown.append).add, self.ROW)

    def test_turns(self) -> None:
        """Sides alternate."""
        numbers = count(1.0)
        work = {side: lambda: next(numbers) for side in "ab"}
        self.assertEqual(in_turns(2, work), {"a": [1.0, 3.0], "b": [2.0, 4.0]})


@cache
def built() -> tuple[Fleet, stores.Store]:
    """A small store, which the tests only read."""
    fleet = Fleet.make(LAYOUT.known)
    return fleet, stores.build(Path("benchmark store").absolute(), LAYOUT, fleet.lfdis())


class StoreTests(SynchronousTestCase):
    """What the benchmarks lay out by rows is what csipd would have written."""

    def setUp(self) -> None:
        self.fleet, self.store = built()
        opened = engine.make_engine(self.store.url)
        self.addCleanup(opened.dispose)
        self.connection = opened.connect()
        self.addCleanup(self.connection.close)

    def test_served(self) -> None:
        """The store is opened as it is, and a device of it found by the LFDI of its certificate."""
        engine.prepare(self.store.url)
        database = Database(self.store.url, None)
        self.addCleanup(lambda: self.successResultOf(database.stopService()))
        lfdi = self.fleet.devices[6].lfdi
        found = self.successResultOf(database.read(lambda c: devices.owner_by_lfdi(c, lfdi)))
        self.assertEqual(found and found.device, 7)

    def test_programs(self) -> None:
        """A device has four programs, the last ones with certificates also one that is busy."""
        self.assertEqual(len(groups.programs_of(self.connection, 1)), 4)
        for which, number in enumerate(BUSY):
            (one, *_) = self.store.busy_devices(which)
            found = [program for program, _ in groups.programs_of(self.connection, one)]
            self.assertEqual(len(found), 5)
            self.assertIn(self.store.busy_programs[which], found)
            self.assertEqual(self._scheduled(self.store.busy_programs[which]), number)
        self.assertIn(self.store.program_of(7), [p for p, _ in groups.programs_of(self.connection, 7)])
        self.assertEqual(self._scheduled(self.store.program_of(7)), CONTROLS)

    def _scheduled(self, program: int) -> int:
        (found,) = schedules.of(self.connection, [program], stores.NOW).values()
        return len(found.listed())

    def test_counts(self) -> None:
        """What is kept rather than counted is what would be counted."""
        kept = dict(self.connection.execute(sa.select(tables.counts.c.name, tables.counts.c.number)).all())
        self.assertEqual(kept["devices registered"], LAYOUT.devices + 1)
        (feeder,) = self.connection.scalars(
            sa.select(tables.memberships.c.group).where(tables.memberships.c.device == 1)
        )
        members = sa.select(sa.func.count()).where(tables.memberships.c.group == feeder)
        self.assertEqual(
            sum(group_counts.abilities_under(self.connection, feeder).values()),
            self.connection.scalar(members),
        )

    def test_documents(self) -> None:
        """A device's documents are known to be what was stored."""
        for path in ("/edev/7/der/1", "/edev/7/der/1/ders"):
            found = documents.stored_at(self.connection, path)
            self.assertTrue(found is not None and found.sound, path)

    def test_described(self) -> None:
        """A store in a line is the same store."""
        self.assertEqual(stores.found(stores.described(self.store)), self.store)


class FleetTests(SynchronousTestCase):
    """Certificates of many devices."""

    def test_kept(self) -> None:
        """What is written is what is read, and usable as TLS."""
        folder = Path(self.mktemp())
        made = Fleet.make(3)
        made.keep(folder)
        again = Fleet.kept(folder)
        self.assertEqual(again.lfdis(), made.lfdis())
        self.assertEqual(len(set(made.lfdis())), 4)
        again.tls(again.devices[1], socket()).close()

    def test_addresses(self) -> None:
        """Each device calls from an address of its own."""
        self.assertEqual(len({Fleet.address(number) for number in range(1, 50_001)}), 50_000)


class RequestTests(SynchronousTestCase):
    """What devices send."""

    def test_status(self) -> None:
        """Another number is another DERStatus, and each is valid."""
        one, other = (codec.decode(clients.status(number), r.DERStatus) for number in (1, 2))
        self.assertNotEqual(one, other)

    def test_size(self) -> None:
        """An answer is whole once its body is there; one that is not wanted is an error."""
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        self.assertEqual(clients.size_of(answer, (b"200",)), len(answer) + 2)
        self.assertIsNone(clients.size_of(answer[:-1], (b"200",)))
        self.assertRaises(RuntimeError, clients.size_of, answer, (b"404",))

    def test_lots(self) -> None:
        """There are devices enough for each kind of GET, apart from those that ask first."""
        size = get.Size()
        layout = Layout(1_000, size.known, busy=get.BUSY_EACH)
        store = stores.Store("", layout, tuple(range(90)), (1, 2, 3))
        first_busy = store.busy_devices(0)[0]
        self.assertEqual(first_busy, 90 + len(get.UNCACHED) * size.lot + 1)
        self.assertEqual(store.busy_devices(2)[-1], size.known)

    def test_options(self) -> None:
        """The options that they share."""
        chosen = rig.options("x", 7).parse_args(["--against", "/elsewhere"])
        self.assertEqual((chosen.devices, chosen.against, chosen.keep), (7, Path("/elsewhere"), None))
        there = processes.HERE / "x"
        self.assertEqual(processes.python_of(there), str(there / ".venv/bin/python"))
