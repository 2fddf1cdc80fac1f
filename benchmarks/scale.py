"""What a million devices cost: `python -m benchmarks.scale`.

Two stores, one of a thousand devices and one of a million, each served by a csipd of its own, do in turns
what the other benchmarks measure: polls, GETs, writes, a storm, idle connections. Then an aggregator's fleet,
a tenth of all devices. The ratio is what counts: a device must not notice how many others there are. To lay
out the large store takes minutes and 2 GB; with `--keep` it is used again next time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import clients, get, idle, poll, processes, rig, storm, write
from benchmarks.clients import Connection
from benchmarks.figures import Row, Table, in_turns, mebibytes
from benchmarks.processes import Csipd
from benchmarks.rig import Side
from benchmarks.stores import Layout

SMALL, LARGE = 1_000, 1_000_000
LISTENS = "csipd listens after, s"
MEMORY = "csipd's memory at its start, MiB"
FLEET = {
    "aggregator: DeviceCapability": "/dcap",
    "aggregator: 50 EndDevices at the start": "/edev?l=50",
    "aggregator: 50 EndDevices at the end": "/edev?s={last}&l=50",
    "aggregator: 50 DERPrograms": "/derp?l=50",
}
ROWS = (LISTENS, MEMORY, *FLEET)
#: Devices that storm and that are idle: the smaller store has no more with certificates.
_MANY = 800
_numbers = count()


def compare(sides: Sequence[Side]) -> None:
    """Print all tables."""
    names = [side.name for side in sides]
    size = get.Size(lot=96)
    table = Table((*ROWS, *poll.ROWS), names)
    starts = {side.name: _start(side) for side in sides}
    for number, name in enumerate((LISTENS, MEMORY)):
        table.add(Row(name, {side: [figures[number]] for side, figures in starts.items()}, places=1))
    table.add(poll.headline(sides))
    table.add(poll.kept(sides))
    for name, path in FLEET.items():
        work = {side.name: partial(_managed, side, path) for side in sides}
        table.add(Row(name, in_turns(5, work)))
    print()
    get.compare(sides, Table(get.ROWS, names), size)
    print()
    write.compare(sides, Table(write.ROWS, names), 5)
    print()
    storm.compare(sides, Table(storm.ROWS, names, "s"), _MANY)
    print()
    idle.compare(sides, Table(idle.ROWS, names, "KiB"), _MANY)


def _start(side: Side) -> tuple[float, float]:
    """Seconds until csipd listens, and MiB that it holds then."""
    side.server.stop()
    began = time.perf_counter()
    side.server.start()
    return time.perf_counter() - began, side.server.memory("VmHWM") / 2**20


def _managed(side: Side, path: str) -> float:
    """The aggregator asks on a kept connection for what was not asked for before."""
    connection = Connection(side.server.port, side.fleet, side.fleet.boss)
    last = max(side.store.layout.fleet - 49, 0)
    paths = (path.format(last=last) + ("&" if "?" in path else "?") + f"x={n}" for n in _numbers)
    requests = [clients.get(next(paths)) for _ in range(20)]
    try:
        return side.cpu_of(lambda: side.wave([(connection, request) for request in requests], 1))
    finally:
        connection.close()


def _sides(folder: Path, keep: Path | None, small: int, large: int, stack: ExitStack) -> list[Side]:
    """A csipd for each store; the large one is what is looked at."""
    found = []
    known = get.Size(lot=96).known
    for number in (large, small):
        layout = Layout(number, min(known, number - number // 10), number // 10, get.BUSY_EACH)
        began = time.perf_counter()
        place = (keep or folder) / f"{number}"
        store, fleet, place = rig.stored(layout, place, place, processes.HERE)
        size = mebibytes((place / "var" / "csipd.sqlite").stat().st_size)
        print(f"{number:,} devices in {time.perf_counter() - began:.0f} s, {size}", flush=True)
        side = Side(f"{number:,}", Csipd(place, fleet), store, fleet)
        side.server.start()
        stack.callback(side.server.stop)
        stack.callback(side.connect, ())
        found.append(side)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure csipd with many devices.")
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    parser.add_argument("--keep", type=Path, help="a folder for the stores, used again next time")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        compare(_sides(Path(folder), chosen.keep, chosen.small, chosen.large, stack))


if __name__ == "__main__":
    main()
