"""What devices notice of whatever else goes on: `python -m benchmarks.beside`.

Sixteen devices ask on kept connections, one every few milliseconds, for what they poll. In one turn they are
alone; in the next eight others post bodies of a thousand readings without a pause; then an operator exports
the readings of a device again and again; then somebody on the link asks by multicast DNS, thousands of times
a second. What counts is how long the slowest in a hundred GETs take, by the clock, from when they were due.
The others are processes of their own.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from benchmarks import clients, rig
from benchmarks.figures import Row, Table, in_turns
from benchmarks.processes import HERE, Csipd
from benchmarks.readings import IN_A_BODY, mirrors_of, post_many
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import Layout

BESIDE, ALONE = "beside", "alone"
READINGS = "GET beside readings, p99, ms"
EXPORT = "GET beside an export, p99, ms"
MDNS = "GET beside a flood of mDNS, p99, ms"
ROWS = (READINGS, EXPORT, MDNS)
DEVICES, TURNS = 1_000, 5
#: Seconds of a turn, and between two requests of devices.
TURN, DUE = 10.0, 0.005
#: Who posts readings, and the bodies of a device that are there to be exported.
POSTING, BODIES = range(AT_ONCE + 1, AT_ONCE + 9), 100
#: Questions a second on the link.
ASKED = 5_000


def readings(side: Side, mirrors: dict[int, str]) -> None:
    """Post bodies of readings, each device one after the other."""
    connected = list(zip(side.connect(POSTING), POSTING, strict=True))
    for number in count(1_000_000):
        side.wave([(connection, post_many(mirrors, device, number)) for connection, device in connected])


def export(side: Side, path: str) -> None:
    """Export readings, and take them in as they come."""
    operator = side.operator()
    while True:
        operator.send(clients.get(path))
        operator.receive_chunks()


def mdns() -> None:
    """Ask where the server is, everybody on the link."""
    asked = b"\0\0\0\0\0\1\0\0\0\0\0\0\x0c_smartenergy\4_tcp\5local\0\0\x0c\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        while True:
            for _ in range(ASKED // 100):
                sender.sendto(asked, ("224.0.0.251", 5353))
            time.sleep(0.01)


@contextmanager
def going_on(work: Callable[[], None] | None) -> Iterator[None]:
    """Have something go on in another process until the block ends."""
    if work is None:
        yield
        return
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    try:
        yield
        if not process.is_alive():
            raise RuntimeError("what was to go on has ended")
    finally:
        process.kill()
        process.join()


def waited(side: Side, seconds: float) -> float:
    """How long the slowest in a hundred of GETs take that are due one after the other (ms)."""
    devices = range(1, AT_ONCE + 1)
    connected = list(zip(side.connect(devices), devices, strict=True))
    found = []
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        for step in range(len(clients.POLL)):
            for connection, device in connected:
                request = side.poll(device)[step]
                time.sleep(max(due - time.perf_counter(), 0))
                connection.send(request)
                connection.receive()
                found.append(1000 * (time.perf_counter() - due))
                due += DUE
    return quantiles(found, n=100)[98]


def compare(side: Side, table: Table, turns: int) -> None:
    """Print all rows."""
    mirrors = mirrors_of(side, POSTING)
    first = POSTING[0]
    (connection,) = side.connect([first])
    for number in range(BODIES):
        connection.ask(post_many(mirrors, first, number + 1, number * IN_A_BODY))
    path = f"/admin/exports/devices/{first}/readings?since={int(time.time()) - BODIES * IN_A_BODY}"
    beside: Mapping[str, Callable[[], None] | None] = {
        READINGS: partial(readings, side, mirrors),
        EXPORT: partial(export, side, path),
        MDNS: mdns,
        ALONE: None,
    }
    waited(side, 1.0)

    def turn(work: Callable[[], None] | None) -> float:
        side.connect(())  # connections are none that two processes share
        with going_on(work):
            return waited(side, TURN)

    found = in_turns(turns, {name: partial(turn, work) for name, work in beside.items()})
    for name in ROWS:
        table.add(Row(name, {BESIDE: found[name], ALONE: found[ALONE]}, places=1))


def main() -> None:
    parser = rig.options("Measure what devices notice of whatever else goes on.", DEVICES)
    parser.add_argument("--turns", type=int, default=TURNS)
    chosen = parser.parse_args()
    layout = Layout(chosen.devices, AT_ONCE + len(POSTING))
    with TemporaryDirectory() as name:
        store, fleet, place = rig.stored(layout, Path(name), chosen.keep, HERE)
        server = Csipd(place, fleet)
        with (place / "config.yml").open("a") as file:
            file.write("mdns: true\nmdns_interfaces: [127.0.0.1]\n")
        side = Side(rig.CSIPD, server, store, fleet)
        server.start()
        try:
            compare(side, Table(ROWS, (BESIDE, ALONE), ""), chosen.turns)
        finally:
            side.connect(())
            server.stop()


if __name__ == "__main__":
    main()
