"""What an aggregator of 100,000 devices pays for its whole fleet: `python -m benchmarks.fleet`.

It reads its EndDeviceList in pages of 255, from the first to the last, again and again, and never in words
that csipd has answered before. What counts is what a page at the end costs beside one at the start: CPU of
the server for a page, the medians of the turns. Then pages that nobody has come to, each at its own place.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import clients, processes, rig
from benchmarks.clients import Connection
from benchmarks.figures import Row, Table
from benchmarks.processes import Csipd
from benchmarks.rig import Side
from benchmarks.stores import NOW, Layout

IN_ORDER = "255 EndDevices, page after page"
LATER = "255 EndDevices that changed since, page after page"
NOWHERE = "255 EndDevices, out of nowhere"
ROWS = (IN_ORDER, LATER, NOWHERE)
DEVICES, TURNS, PAGE = 100_000, 3, 255
#: Pages that are measured together, at each end.
SOME = 20
LAST, FIRST = "last pages", "first pages"

_words = count()


def compare(side: Side, table: Table, turns: int = TURNS) -> None:
    """Print all rows."""
    fleet = side.store.layout.fleet
    connection = Connection(side.server.port, side.fleet, side.fleet.boss)
    whole = range(0, fleet, PAGE)

    def ask(starts: list[int], more: str = "") -> float:
        requests = [clients.get(f"/edev?s={one}&l={PAGE}{more}&x={next(_words)}") for one in starts]
        return side.cpu_of(lambda: side.wave([(connection, request) for request in requests], 1))

    try:
        for name, more in ((IN_ORDER, ""), (LATER, f"&a={NOW - 10**6}")):
            found: dict[str, list[float]] = {LAST: [], FIRST: []}
            for _ in range(turns):
                found[FIRST].append(ask(list(whole[:SOME]), more))
                ask(list(whole[SOME:-SOME]), more)
                found[LAST].append(ask(list(whole[-SOME:-1]), more))
            table.add(Row(name, found))
        found = {LAST: [], FIRST: []}
        for turn in range(turns):
            for end, base in ((FIRST, 1), (LAST, fleet - PAGE - 1)):
                step = 1 if end == FIRST else -1
                found[end].append(ask([base + step * (turn * SOME + one) for one in range(SOME)]))
        table.add(Row(NOWHERE, found))
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an aggregator that reads its whole fleet.")
    parser.add_argument("--devices", type=int, default=DEVICES, help=f"of the fleet ({DEVICES:,})")
    parser.add_argument("--keep", type=Path, help="a folder for the store, used again next time")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        layout = Layout(chosen.devices + 100, 100, chosen.devices)
        store, fleet, place = rig.stored(layout, Path(folder), chosen.keep, processes.HERE)
        side = Side("csipd", Csipd(place, fleet), store, fleet)
        side.server.start()
        stack.callback(side.server.stop)
        compare(side, Table(ROWS, (LAST, FIRST)))


if __name__ == "__main__":
    main()
