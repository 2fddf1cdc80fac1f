"""What an idle connection holds: `python -m benchmarks.idle`.

2,000 devices shake hands and stay; then each asks once and stays. What counts is by how much the server's
resident memory has grown for each. As many have come and gone before, so that what is made once is not
counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import rig
from benchmarks.clients import Visit, crowd
from benchmarks.figures import Row, Table
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import Layout

IDLE = "idle connection, KiB"
ASKED = "idle connection that has asked, KiB"
ROWS = (IDLE, ASKED)
DEVICES, TURNS = 2_000, 1


def compare(sides: Sequence[Side], table: Table, devices: int) -> None:
    """Print all rows."""
    found = {side.name: _hold(side, devices) for side in sides}
    for number, name in enumerate(ROWS):
        table.add(Row(name, {side: [held[number]] for side, held in found.items()}, places=1))


def _hold(side: Side, devices: int) -> tuple[float, float]:
    """KiB for each connection: after the handshake, and after a GET of what is the same for all."""
    # A tenth of them come first: the memory that they leave behind is less than what the others need.
    crowd(_visits(side, devices // 10), AT_ONCE)
    side.server.settled()
    empty = side.server.memory()
    visits = _visits(side, devices)
    crowd(visits, AT_ONCE, keep=True)
    side.server.settled()
    connected = side.server.memory()
    for visit in visits:
        visit.ask([side.get("/tm", 1)])
    crowd(visits, AT_ONCE, keep=True)
    side.server.settled()
    asked = side.server.memory()
    for visit in visits:
        visit.close()
    return (connected - empty) / devices / 1024, (asked - empty) / devices / 1024


def _visits(side: Side, devices: int) -> list[Visit]:
    return [side.visit(device, ()) for device in range(1, devices + 1)]


def main() -> None:
    chosen = rig.options("Measure the memory of idle connections.", DEVICES).parse_args()
    with rig.sides(chosen, Layout(chosen.devices, chosen.devices)) as sides:
        print(f"{chosen.devices:,} connections")
        compare(sides, Table(ROWS, [side.name for side in sides], "KiB"), chosen.devices)


if __name__ == "__main__":
    main()
