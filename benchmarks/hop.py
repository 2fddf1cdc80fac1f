"""What a request costs the server on a proxy's connection: `python -m benchmarks.hop`.

The same csipd is asked by devices on connections of their own, and for the same devices on one connection of
a proxy, which says with each request whose it is: one after the other, and of 64 devices in one write. What
has not been asked before is asked in words that are new each time.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import define

from benchmarks import clients, rig
from benchmarks.clients import Connection
from benchmarks.figures import Row, Table, in_turns
from benchmarks.processes import Csipd
from benchmarks.rig import Side
from benchmarks.stores import Layout
from csipd.net.hop import HandedOn, header_lines

#: Devices that ask at once.
MANY = 64
CACHED = {number: f"on a hop: cached GET, devices: {number}" for number in (1, MANY)}
UNCACHED = {number: f"on a hop: uncached DERStatus, devices: {number}" for number in (1, MANY)}
ROWS = (*CACHED.values(), *UNCACHED.values())


@define
class Size:
    """How much is done."""

    turns: int = 7
    requests: int = 3_200
    uncached: int = 640


class Hop:
    """One connection of a proxy, on which it asks for devices."""

    def __init__(self, side: Side) -> None:
        fleet = side.fleet
        self._connection = Connection(side.server.port, fleet, fleet.proxy)
        self._lines = [header_lines(HandedOn(one.der, one.above[:-1])) for one in fleet.devices[:MANY]]

    def spelled(self, device: int, request: bytes) -> bytes:
        """A request as it is sent for a device."""
        line, end, rest = request.partition(b"\r\n")
        return line + end + self._lines[device - 1] + rest

    def wave(self, requests: Sequence[bytes], at_once: int) -> int:
        """Ask in writes of so many requests, each when the one before is answered."""
        for first in range(0, len(requests), at_once):
            part = requests[first : first + at_once]
            self._connection.send(b"".join(part))
            self._connection.receive_each(len(part))
        return len(requests)

    def close(self) -> None:
        self._connection.close()


def compare(side: Side, hop: Hop, table: Table, size: Size) -> None:
    """Print all rows."""
    fresh = count()
    for names, times, path in (
        (CACHED, size.requests, "/edev/{}"),
        (UNCACHED, size.uncached, "/edev/{}/der/1/ders"),
    ):
        word: Callable[[bytes], bytes] = _new(fresh) if names is UNCACHED else bytes
        for number, name in names.items():
            work = {
                "on a hop": partial(_hop, side, hop, number, times, path, word),
                "straight": partial(_straight, side, number, times, path, word),
            }
            table.add(Row(name, in_turns(size.turns, work)))


def _new(fresh: count[int]) -> Callable[[bytes], bytes]:
    """Makes words of a request that are new."""
    return lambda request: request[:-2] + b"X-Number: %d\r\n\r\n" % next(fresh)


def _hop(side: Side, hop: Hop, devices: int, times: int, path: str, word: Callable[[bytes], bytes]) -> float:
    asked = [(one, clients.get(path.format(one))) for one in range(1, devices + 1)] * (times // devices)
    requests = [hop.spelled(one, word(request)) for one, request in asked]
    hop.wave(requests[:devices], devices)
    return side.cpu_of(lambda: hop.wave(requests, devices))


def _straight(side: Side, devices: int, times: int, path: str, word: Callable[[bytes], bytes]) -> float:
    numbers = range(1, devices + 1)
    connections = side.connect(numbers)
    asked = [
        (connection, clients.get(path.format(one)))
        for connection, one in zip(connections, numbers, strict=True)
    ]
    requests = [(connection, word(request)) for connection, request in asked * (times // devices)]
    side.wave(requests[:devices], devices)
    return side.cpu_of(lambda: side.wave(requests, devices))


def main() -> None:
    """Print the table."""
    parser = rig.options(__doc__.splitlines()[0], 1_000)
    parser.add_argument("--turns", type=int, default=Size().turns, help="of each measurement")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with TemporaryDirectory() as name:
        layout = Layout(chosen.devices, MANY)
        store, fleet, place = rig.stored(layout, Path(name), chosen.keep, rig.processes.HERE)
        server = Csipd(place, fleet, more=["proxy_hostname: 127.0.0.1:0"])
        side = Side("straight", server, store, fleet)
        try:
            server.start()
            hop = Hop(side)
            compare(side, hop, Table(ROWS, ["on a hop", "straight"]), Size(turns=chosen.turns))
            hop.close()
        finally:
            side.connect(())
            server.stop()


if __name__ == "__main__":
    main()
