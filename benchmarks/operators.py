"""What devices notice of operators: `python -m benchmarks.operators`.

100,000 devices are in the store, and 16 of them ask on kept connections, one every few milliseconds: each
polls, and PUTs its DERStatus. In every second turn a console asks beside them, twice a second, for all that
it shows: how the server is, a page of all devices, of the groups, of the open alarms, and what a device is to
do. What counts is how long the slowest in a hundred of the devices' requests take, by the clock, from when
they were due; and beside it how long the console waits.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from statistics import median, quantiles
from threading import Event, Thread

import sqlalchemy as sa

from benchmarks import clients, rig
from benchmarks.clients import Connection
from benchmarks.figures import Row, Table, in_turns
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import NOW, Layout
from csipd.db import engine, tables, tally
from csipd.db.database import Transaction

GET, PUT = "GET: the slowest in a hundred, ms", "PUT of a DERStatus: the slowest in a hundred, ms"
#: What the console asks for, by the rows that say how long it waits.
CONSOLE: Mapping[str, str] = {
    "console: status, ms": "/admin/status",
    "console: 50 devices of a group of all, ms": "/admin/devices?group=1&limit=50",
    "console: 50 groups, ms": "/admin/groups",
    "console: 50 open alarms, ms": "/admin/alarms?open=true",
    "console: a device's state, ms": "/admin/devices/1/state",
}
ROWS = (GET, PUT, *CONSOLE)
DEVICES, TURNS = 100_000, 5
#: Seconds of a turn, between two requests of devices, and between two rounds of the console.
TURN, DUE, ROUND = 10.0, 0.005, 0.5
BESIDE = "with console"


class Console:
    """An operator's console that asks for everything that it shows, twice a second."""

    def __init__(self, side: Side) -> None:
        self._connection = side.operator()
        self._turn: dict[str, list[float]] = {}
        #: How long each answer takes (ms): the median of each turn.
        self.waited: dict[str, list[float]] = defaultdict(list)

    def ask(self) -> None:
        """Ask once, and note how long each answer takes."""
        for name, path in CONSOLE.items():
            began = time.perf_counter()
            self._connection.ask(clients.get(path))
            self._turn.setdefault(name, []).append(1000 * (time.perf_counter() - began))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the block ends."""
        over = Event()

        def ask() -> None:
            while not over.wait(ROUND):
                self.ask()

        thread = Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            for name, waited in self._turn.items():
                self.waited[name].append(median(waited))
            self._turn.clear()

    def close(self) -> None:
        self._connection.close()


def compare(sides: Sequence[Side], table: Table, turns: int = TURNS) -> None:
    """Print all rows: of each csipd with a console and alone."""
    waits: dict[str, dict[str, list[float]]] = {GET: defaultdict(list), PUT: defaultdict(list)}
    consoles = {side.name: Console(side) for side in sides}
    work: dict[str, Callable[[], float]] = {}
    for side in sides:
        _alarms(side)
        numbers = count()
        turn = partial(_turn, side, numbers)
        turn(1.0)
        work |= {
            _name(side, beside): partial(_measure, turn, consoles[side.name] if beside else None, waits, name)
            for beside in (True, False)
            for name in [_name(side, beside)]
        }
    in_turns(turns, work)
    for name, found in waits.items():
        table.add(Row(name, found, places=1))
    for name in CONSOLE:
        found = {_name(side, True): consoles[side.name].waited[name] for side in sides}
        table.add(Row(name, found, places=1))
    for console in consoles.values():
        console.close()


def _name(side: Side, beside: bool) -> str:
    return f"{side.name} {BESIDE if beside else 'alone'}"


def _measure(
    turn: Callable[[float], tuple[list[float], list[float]]],
    console: Console | None,
    waits: dict[str, dict[str, list[float]]],
    name: str,
) -> float:
    """A turn with a console or without."""
    if console is None:
        found = turn(TURN)
    else:
        with console.asking():
            found = turn(TURN)
    for row, waited in zip((GET, PUT), found, strict=True):
        waits[row][name].append(quantiles(waited, n=100)[98])
    return 0.0


def _turn(side: Side, numbers: Iterator[int], seconds: float) -> tuple[list[float], list[float]]:
    """How long GETs and PUTs take that are due one after the other (ms)."""
    devices = range(1, AT_ONCE + 1)
    connections = dict(zip(devices, side.connect(devices), strict=True))
    waited: tuple[list[float], list[float]] = ([], [])
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        for step in range(len(clients.POLL) + 1):
            for device, connection in connections.items():
                put = step == len(clients.POLL)
                request = clients.put_status(device, next(numbers)) if put else side.poll(device)[step]
                time.sleep(max(due - time.perf_counter(), 0))
                _ask(connection, request)
                waited[put].append(1000 * (time.perf_counter() - due))
                due += DUE
    return waited


def _ask(connection: Connection, request: bytes) -> None:
    connection.send(request)
    connection.receive()


def _alarms(side: Side) -> None:
    """Have every tenth device an open alarm, unless they have."""
    opened = engine.make_engine(engine.sqlite_url(side.server.folder / "var"), immediate=True)
    numbers = range(1, side.store.layout.devices + 1, 10)
    rows = [{"device": one, "function_set": 11, "code": 0, "raised": NOW} for one in numbers]
    with opened.begin() as connection:
        if connection.scalar(sa.select(tables.alarms.c.id).limit(1)) is None:
            connection.execute(sa.insert(tables.alarms), rows)
            if sa.inspect(connection).has_table(tables.counts.name):  # not in another checkout's
                tally.change(Transaction(connection), tally.OPEN_ALARMS, len(rows))
    opened.dispose()


def main() -> None:
    parser = rig.options("Measure what devices notice of operators.", DEVICES)
    parser.add_argument("--turns", type=int, default=TURNS)
    chosen = parser.parse_args()
    layout = Layout(chosen.devices, AT_ONCE)
    with rig.sides(chosen, layout, nginx=False) as sides:
        print(f"{chosen.devices:,} devices, a request every {1000 * DUE:.0f} ms")
        names = [_name(side, beside) for side in sides for beside in (True, False)]
        compare(sides, Table(ROWS, names, "ms"), chosen.turns)


if __name__ == "__main__":
    main()
