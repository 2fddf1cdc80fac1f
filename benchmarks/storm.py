"""What it takes when all come back at once: `python -m benchmarks.storm`.

2,000 devices connect in the same moment, as after an outage: each shakes hands and asks for its
DeviceCapability. What counts is how long it takes until the last one has its answer, by the clock: whoever
finds the queue of connections full tries again after one, three, seven seconds, and whose connection is cut
after one. csipd has been asked by all of them before; the second row is the same right after its start. The
devices are on the same machine and take their share of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks import rig
from benchmarks.clients import Visit, crowd
from benchmarks.figures import Row, Table, in_turns
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import Layout

STORM = "storm: the last answer, s"
COLD = "storm after the start: the last answer, s"
CONNECTIONS = "connections of a storm"
ROWS = (STORM, COLD, CONNECTIONS)
DEVICES, TURNS = 2_000, 3


def compare(sides: Sequence[Side], table: Table, devices: int, turns: int = TURNS) -> None:
    """Print all rows."""
    for side in sides:
        crowd(_visits(side, devices), AT_ONCE)

    made: dict[str, list[float]] = {side.name: [] for side in sides}

    def measure(side: Side, anew: bool) -> float:
        seconds, connections = _storm(side, devices, anew)
        made[side.name].append(connections)
        return seconds

    for name, anew in ((STORM, False), (COLD, True)):
        work = {side.name: partial(measure, side, anew) for side in sides}
        table.add(Row(name, in_turns(turns, work), places=2))
    table.add(Row(CONNECTIONS, made))


def _visits(side: Side, devices: int) -> list[Visit]:
    return [side.visit(device, [side.get("/dcap", device)]) for device in range(1, devices + 1)]


def _storm(side: Side, devices: int, anew: bool) -> tuple[float, int]:
    """Seconds until the last answer, and connections that were made for that."""
    if anew:
        side.restart()
    visits = _visits(side, devices)
    began = time.perf_counter()
    made = crowd(visits, devices, again=1.0)
    return time.perf_counter() - began, made


def main() -> None:
    parser = rig.options("Measure how long a storm of connections takes.", DEVICES)
    parser.add_argument("--turns", type=int, default=TURNS)
    chosen = parser.parse_args()
    with rig.sides(chosen, Layout(chosen.devices, chosen.devices), shipped=True) as sides:
        print(f"{chosen.devices:,} devices at once, quotas as shipped")
        compare(sides, Table(ROWS, [side.name for side in sides], "s"), chosen.devices, chosen.turns)


if __name__ == "__main__":
    main()
