"""What the proxy costs: `python -m benchmarks.proxy`.

The same csipd is asked straight and by way of the proxy, for what it has answered before; the proxy's figures
are the CPU of both processes. With one request in flight each of them goes alone, with 64 devices they go
together; on one core means that both processes share one, and who asks is on the other. Then a PUT, and the
handshake of a device that comes, asks once and leaves.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define

from benchmarks import clients, rig
from benchmarks.clients import crowd
from benchmarks.figures import Row, Table, in_turns
from benchmarks.processes import Csipd, Proxied, ProxiedInside, free_port
from benchmarks.rig import Side
from benchmarks.stores import Layout

#: Devices that ask at once.
MANY = 64
CACHED = {number: f"by the proxy: cached GET, devices: {number}" for number in (1, 4, 16, MANY)}
PUT = "by the proxy: PUT of DERStatus, devices: 16"
SHAKEN = "by the proxy: handshake + GET, cached"
#: The same where csipd and its proxy have one core, and who asks another one.
ON_ONE = {number: f"by the proxy on one core: cached GET, devices: {number}" for number in (1, MANY)}
#: The same of the proxy inside the daemon.
INSIDE = {number: f"by the proxy inside: cached GET, devices: {number}" for number in (1, MANY)}
ROWS = (*CACHED.values(), *ON_ONE.values(), PUT, SHAKEN, *INSIDE.values())
#: At most so many times what it costs without the proxy.
BARS = {row: most for rows in (CACHED, ON_ONE, INSIDE) for row, most in ((rows[1], 3.2), (rows[MANY], 2.2))}


@define
class Size:
    """How much is done."""

    turns: int = 7
    requests: int = 3_200
    writes: int = 320
    visits: int = 64


def compare(sides: Sequence[Side], table: Table, size: Size) -> None:
    """Print the rows of a proxy that is a process of its own."""
    compare_cached(sides, table, size, CACHED)
    with _on_one_core(sides):
        compare_cached(sides, table, size, ON_ONE)
    numbers = count()
    work = {side.name: partial(_put, side, 16, size.writes, numbers) for side in sides}
    table.add(Row(PUT, in_turns(size.turns, work)))
    work = {side.name: partial(_shaken, side, size.visits) for side in sides}
    table.add(Row(SHAKEN, in_turns(size.turns, work), handshakes=1))


def compare_cached(sides: Sequence[Side], table: Table, size: Size, names: Mapping[int, str]) -> None:
    """Print the rows of cached GETs."""
    for number, name in names.items():
        work = {side.name: partial(_cached, side, number, size.requests) for side in sides}
        table.add(Row(name, in_turns(size.turns, work)))


@contextmanager
def _on_one_core(sides: Sequence[Side]) -> Iterator[None]:
    """Give csipd and its proxy one core and this process another, until the block ends."""
    cores = sorted(os.sched_getaffinity(0))
    for side in sides:
        side.server.keep_to(cores[:1])
    os.sched_setaffinity(0, cores[1:2] or cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for side in sides:
            side.server.keep_to(cores)


def _cached(side: Side, devices: int, requests: int) -> float:
    numbers = range(1, devices + 1)
    asked = [
        (one, side.get("/edev/{}", device))
        for one, device in zip(side.connect(numbers), numbers, strict=True)
    ]
    side.wave(asked, devices)
    return side.cpu_of(lambda: side.wave(asked * (requests // devices), devices))


def _put(side: Side, devices: int, writes: int, numbers: count[int]) -> float:
    connections = side.connect(range(1, devices + 1))
    asked = [
        (connections[number % devices], clients.put_status(number % devices + 1, next(numbers)))
        for number in range(writes)
    ]
    return side.cpu_of(lambda: side.wave(asked, devices))


def _shaken(side: Side, visits: int) -> float:
    side.connect(())
    coming = [side.visit(1 + number % MANY, [side.get("/tm", 1)]) for number in range(visits)]
    return side.cpu_of(lambda: crowd(coming, rig.AT_ONCE))


def main() -> None:
    """Print the table."""
    parser = rig.options(__doc__.splitlines()[0], 1_000)
    parser.add_argument("--turns", type=int, default=Size().turns, help="of each measurement")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    size = Size(turns=chosen.turns)
    table = Table(ROWS, ["by the proxy", "straight"])
    with TemporaryDirectory() as name:
        layout = Layout(chosen.devices, MANY)
        store, fleet, place = rig.stored(layout, Path(name), chosen.keep, rig.processes.HERE)
        for inside in (False, True):
            port = free_port()
            lines = [f"proxy_hostname: 127.0.0.1:{port}", f"proxy: {str(inside).lower()}"]
            straight = Csipd(place, fleet, more=lines)
            proxied = ProxiedInside(straight, port) if inside else Proxied(straight, port)
            sides = [Side("by the proxy", proxied, store, fleet), Side("straight", straight, store, fleet)]
            try:
                straight.start()
                if inside:
                    proxied.wait()
                    compare_cached(sides, table, size, INSIDE)
                else:
                    proxied.start()
                    compare(sides, table, size)
            finally:
                for side in sides:
                    side.connect(())
                proxied.stop()
                straight.stop()
    for row, most in BARS.items():
        ratio = table.rows[row].ratio("straight")
        print(f"{row}: {ratio:.2f} times, at most {most}: {'as asked' if ratio <= most else 'MORE'}")


if __name__ == "__main__":
    main()
