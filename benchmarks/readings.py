"""What readings cost: `python -m benchmarks.readings`.

Sixteen devices POST readings to their mirrors on kept connections, one in a body, and beside that PUT a
DERStatus in the same turns: each is durable before it is answered. Then many readings in a body, beside bare
inserts of the same rows in transactions as large. Last two stores, of 10,000 readings and of many (`--rows`),
for what an insert, the latest value and a stretch of a series cost in each.
"""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from attrs import frozen

from benchmarks import clients, rig
from benchmarks.figures import Row, Table, in_turns, mebibytes
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import Layout
from csipd.db import devices, engine, rollups, segments, series, tables
from csipd.db.database import Transaction
from csipd.db.engine import DriverTransaction, release_savepoint, set_savepoint
from csipd.db.series import Sample
from csipd.sep2 import codec
from csipd.sep2 import resources as r

READING, STATUS = "a reading", "a DERStatus"
ONE = "POST of one reading, to a PUT of a DERStatus"
ONE_RATE = "the same, requests a second"
WIRE, BARE = "in lists", "bare inserts"
MANY = "readings in a body of 1,000, each"
MANY_RATE = "the same, readings a second"
STORED = "the store's part of it, each"
STORED_RATE = "the same, stored readings a second"
INSERT, LATEST, STRETCH = "insert of one reading", "latest value", "a day of a series, 96 readings"
ROLLED, PORTION = "roll-up of a reading", "a portion of that, ms"
ROWS = (ONE, ONE_RATE, MANY, MANY_RATE, STORED, STORED_RATE, INSERT, LATEST, STRETCH, ROLLED, PORTION)
TURNS, ROUNDS = 7, 60
#: Readings in a body.
IN_A_BODY = 1_000
#: Readings of the small store, and series of both; one of the large store's is this much longer.
SMALL, SERIES = 10_000, 100
LARGE = 1_000_000
#: Seconds between two readings of these.
_EVERY = 900
#: Readings that are rolled up, one a minute.
_TO_ROLL = 144_000
_BEGIN = 1_767_225_600
_DEVICES = range(1, AT_ONCE + 1)
_NUMBERS = count(1)
_LOCATION = re.compile(rb"\r\nLocation: (/\S+)\r\n", re.IGNORECASE)
_POWER = r.ReadingType(
    accumulationBehaviour=12, commodity=1, flowDirection=19, intervalLength=60, powerOfTenMultiplier=0, uom=38
)

# --- on the wire


def compare_one(side: Side, turns: int, rounds: int = ROUNDS) -> None:
    """Print the rows of one reading in a body."""
    mirrors = mirrors_of(side)
    rates: dict[str, list[float]] = {READING: [], STATUS: []}

    def timed(name: str, request: Callable[[int, int], bytes]) -> float:
        figure, rate = _rounds(side, rounds, request)
        rates[name].append(rate)
        return figure

    table = Table((ONE, ONE_RATE), (READING, STATUS))
    work = {
        READING: partial(timed, READING, partial(_post, mirrors)),
        STATUS: partial(timed, STATUS, clients.put_status),
    }
    table.add(Row(ONE, in_turns(turns, work)))
    table.add(Row(ONE_RATE, rates))


def compare_many(side: Side, folder: Path, turns: int) -> None:
    """Print the rows of many readings in a body."""
    mirrors = mirrors_of(side)
    rates: dict[str, list[float]] = {WIRE: [], BARE: []}
    rounds = 4

    def posted() -> float:
        figure, rate = _rounds(side, rounds, partial(post_many, mirrors))
        rates[WIRE].append(rate * IN_A_BODY)
        return figure / IN_A_BODY

    with closing(_bare(folder / "bare.sqlite")) as bare:

        def inserted() -> float:
            figure, rate = _insert(bare, rounds * AT_ONCE)
            rates[BARE].append(rate)
            return figure

        table = Table((MANY, MANY_RATE), (WIRE, BARE))
        table.add(Row(MANY, in_turns(turns, {WIRE: posted, BARE: inserted}), places=1))
        table.add(Row(MANY_RATE, rates))


def mirrors_of(side: Side, devices: Sequence[int] = _DEVICES) -> dict[int, str]:
    """The mirror of each device, with a MeterReading of power: made, or found again."""
    found = {}
    for connection, device in zip(side.connect(devices), devices, strict=True):
        body = r.MirrorUsagePoint(
            mRID=f"{device:032X}",
            roleFlags=0x49,
            serviceCategoryKind=0,
            status=1,
            deviceLFDI=side.fleet.devices[device - 1].lfdi,
            MirrorMeterReading=(r.MirrorMeterReading(mRID="01", ReadingType=_POWER),),
        )
        connection.send(clients.send_body("POST", "/mup", codec.encode(body)))
        location = _LOCATION.search(connection.receive())
        assert location is not None
        found[device] = location[1].decode()
    return found


def _rounds(side: Side, rounds: int, request: Callable[[int, int], bytes]) -> tuple[float, float]:
    """Microseconds of CPU of a request by each of the devices, and how many were answered in a second."""
    connected = list(zip(side.connect(_DEVICES), _DEVICES, strict=True))
    # What devices send is made beforehand: they have a core of their own, as a rule.
    waves = [
        [(connection, request(device, next(_NUMBERS))) for connection, device in connected]
        for _ in range(rounds)
    ]
    rate = 0.0

    def work() -> int:
        nonlocal rate
        began = time.perf_counter()
        for wave in waves:
            side.wave(wave)
        done = rounds * len(connected)
        rate = done / (time.perf_counter() - began)
        return done

    return side.cpu_of(work), rate


def _reading(number: int, start: int) -> r.Reading:
    # Readings of one second are told apart by their localID.
    return r.Reading(
        qualityFlags=1,
        timePeriod=r.DateTimeInterval(duration=60, start=start),
        value=number % 10_000 - 5_000,
        localID=number % 65_536,
    )


def _post(mirrors: dict[int, str], device: int, number: int) -> bytes:
    body = r.MirrorMeterReading(mRID="01", Reading=_reading(number, int(time.time())))
    return clients.send_body("POST", mirrors[device], codec.encode(body))


def post_many(mirrors: dict[int, str], device: int, number: int, ago: int = 0) -> bytes:
    """A POST of as many readings as a body has, a second each, until so many seconds ago."""
    start = int(time.time()) - IN_A_BODY - ago
    found = r.MirrorReadingSet(
        mRID=f"{number:X}",
        timePeriod=r.DateTimeInterval(duration=IN_A_BODY, start=start),
        Reading=tuple(_reading(second, start + second) for second in range(IN_A_BODY)),
    )
    body = r.MirrorMeterReading(mRID="01", MirrorReadingSet=(found,))
    return clients.send_body("POST", mirrors[device], codec.encode(body))


# --- in this process


def _bare(file: Path) -> sqlite3.Connection:
    """A database of the table of readings and nothing else, opened as csipd opens its own."""
    made = sqlite3.connect(file, isolation_level=None)
    made.execute("PRAGMA journal_mode = WAL")
    made.execute("PRAGMA synchronous = FULL")
    dialect = sa.create_engine("sqlite://").dialect
    made.execute(str(sa.schema.CreateTable(tables.readings).compile(dialect=dialect)))
    for index in tables.readings.indexes:
        made.execute(str(sa.schema.CreateIndex(index).compile(dialect=dialect)))
    return made


def _insert(connection: sqlite3.Connection, bodies: int) -> tuple[float, float]:
    """Microseconds of CPU of a row, and rows a second, of as many and as large lots as there are bodies."""
    marks = ", ".join("?" * len(tables.readings.columns))
    lots = []
    for _ in range(bodies):
        number, start = next(_NUMBERS), int(time.time())
        lots.append(
            [
                (number, start + each, 60, each, 0, 0, each - 500, 1, 0, number, each + 1)
                for each in range(IN_A_BODY)
            ]
        )
    began, used = time.perf_counter(), time.process_time()
    for lot in lots:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO readings VALUES ({marks})", lot)
        connection.execute("COMMIT")
    rows = bodies * IN_A_BODY
    return (time.process_time() - used) / rows * 1e6, rows / (time.perf_counter() - began)


@frozen
class Filled:
    """A store with readings.

    :param each: how many there are of each series, ``every`` so many seconds
    :param added: how many were added to each since
    """

    name: str
    connection: sa.Connection
    each: int
    added: list[int]
    chance: random.Random
    every: int = _EVERY

    @classmethod
    @contextmanager
    def make(cls, folder: Path, rows: int, every: int = _EVERY) -> Iterator[Filled]:
        """A new store with so many readings of `SERIES` series."""
        folder.mkdir()
        url = engine.sqlite_url(folder)
        engine.prepare(url)
        opened = engine.make_engine(url, immediate=True)
        each = rows // SERIES
        with opened.connect() as connection:
            made = cls(f"{rows:,}", connection, each, [0] * SERIES, random.Random(1), every)
            with DriverTransaction(connection):
                made.open_series()
            for meter in range(SERIES):
                for first in range(0, each, 10_000):
                    with DriverTransaction(connection):
                        made.fill(meter, first, min(10_000, each - first))
            yield made
        opened.dispose()

    def open_series(self) -> None:
        """A series for each number."""
        transaction = Transaction(self.connection)
        device = devices.add(transaction, "A" * 40, now=_BEGIN, name="dev", aggregator=False, manager=None)
        for meter in range(SERIES):
            segments.open_segment(transaction, meter, device.id, _POWER, True, _BEGIN)

    def fill(self, meter: int, first: int, number: int) -> None:
        """Put readings at the end of a series."""
        segment = segments.current(self.connection, meter)
        assert segment is not None
        samples = [
            Sample(_BEGIN + self.every * each, 60, each % 5_000, 1) for each in range(first, first + number)
        ]
        series.store(Transaction(self.connection), segment, samples, samples[-1].start or 0)

    def insert(self, number: int) -> float:
        """Microseconds of CPU of one more reading of any series, sixteen to a commit as on the wire."""

        def one() -> None:
            meter = self.chance.randrange(SERIES)
            set_savepoint(self.connection)
            self.fill(meter, self.each + self.added[meter], 1)
            self.added[meter] += 1
            release_savepoint(self.connection)

        def work() -> None:
            for _ in range(number // AT_ONCE):
                with DriverTransaction(self.connection):
                    for _ in range(AT_ONCE):
                        one()

        return _spent(work, number)

    def latest(self, number: int) -> float:
        """The same of the latest value of any series."""

        def work() -> None:
            with DriverTransaction(self.connection):
                for _ in range(number):
                    assert series.latest(self.connection, self.chance.randrange(SERIES)) is not None

        return _spent(work, number)

    def stretch(self, number: int) -> float:
        """The same of 96 readings of any series, anywhere in it."""

        def work() -> None:
            with DriverTransaction(self.connection):
                for _ in range(number):
                    begin = _BEGIN + _EVERY * self.chance.randrange(max(self.each - 96, 1))
                    of = self.chance.randrange(SERIES) + 1
                    found, _ = series.page(self.connection, of, begin, begin + 96 * _EVERY)
                    assert len(found) == 96

        return _spent(work, number)

    def roll(self) -> tuple[float, float]:
        """Microseconds of CPU of each reading that is rolled up, and milliseconds of a portion."""
        began, portions = time.process_time(), 0
        rounds = rollups.Rounds()
        after: int | None = 0
        while after is not None:
            with DriverTransaction(self.connection):
                after = rounds(rollups.roll(Transaction(self.connection), _BEGIN + 10**9, after))
            portions += 1
        used = time.process_time() - began
        return used / (self.each * SERIES) * 1e6, used / portions * 1e3


def _spent(work: Callable[[], None], number: int) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) / number * 1e6


def compare_store(folder: Path, turns: int) -> None:
    """Print the rows of storing many readings."""
    rates: dict[str, list[float]] = {WIRE: [], BARE: []}
    bodies = 20
    with Filled.make(folder / "many", 0) as store, closing(_bare(folder / "beside.sqlite")) as bare:
        sets = count(1)

        def stored() -> float:
            lots = [
                [Sample(int(time.time()) + each, 60, each - 500, 1, each) for each in range(IN_A_BODY)]
                for _ in range(bodies)
            ]
            began, used = time.perf_counter(), time.process_time()
            for lot in lots:
                with DriverTransaction(store.connection):
                    number = next(sets)
                    segment = segments.current(store.connection, number % SERIES)
                    assert segment is not None
                    series.store(Transaction(store.connection), segment, lot, int(time.time()), number)
            rows = bodies * IN_A_BODY
            rates[WIRE].append(rows / (time.perf_counter() - began))
            return (time.process_time() - used) / rows * 1e6

        def inserted() -> float:
            figure, rate = _insert(bare, bodies)
            rates[BARE].append(rate)
            return figure

        table = Table((STORED, STORED_RATE), (WIRE, BARE))
        table.add(Row(STORED, in_turns(turns, {WIRE: stored, BARE: inserted}), places=1))
        table.add(Row(STORED_RATE, rates))


def compare_rolled(folder: Path, turns: int) -> None:
    """Print what roll-ups cost."""
    table = Table((ROLLED, PORTION), ["csipd"])
    found = []
    for turn in range(min(turns, 3)):
        with Filled.make(folder / f"rolled {turn}", _TO_ROLL, 60) as store:
            found.append(store.roll())
    for name, figures in zip((ROLLED, PORTION), zip(*found, strict=True), strict=True):
        table.add(Row(name, {"csipd": figures}, places=1))


def compare_sizes(folder: Path, rows: int, turns: int) -> None:
    """Print what it costs that there are many readings."""
    with ExitStack() as stack:
        stores: Sequence[Filled] = [
            stack.enter_context(Filled.make(folder / f"{number}", number)) for number in (rows, SMALL)
        ]
        size = (folder / f"{rows}" / "csipd.sqlite").stat().st_size
        print(f"{rows:,} readings take {mebibytes(size)}")
        table = Table((INSERT, LATEST, STRETCH), [store.name for store in stores])
        for name, work, number in (
            (INSERT, Filled.insert, 3200),
            (LATEST, Filled.latest, 2000),
            (STRETCH, Filled.stretch, 200),
        ):
            for store in stores:
                work(store, number)
            measured = in_turns(turns, {store.name: partial(work, store, number) for store in stores})
            table.add(Row(name, measured, places=1))


def main() -> None:
    parser = rig.options("Measure what readings cost.", AT_ONCE)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--rows", type=int, default=LARGE, help=f"readings of the large store ({LARGE:,})")
    chosen = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        with rig.sides(chosen, Layout(chosen.devices, len(_DEVICES)), nginx=False) as (side, *_):
            print(f"readings on {AT_ONCE} connections")
            compare_one(side, chosen.turns)
            compare_many(side, folder, chosen.turns)
        compare_store(folder, chosen.turns)
        compare_rolled(folder, chosen.turns)
        compare_sizes(folder, chosen.rows, chosen.turns)


if __name__ == "__main__":
    main()
