"""What plain HTTP costs, and a DeviceCapability that has moved all others: `python -m benchmarks.plain`.

In memory, without sockets: connections that ask, and those that are one too many, beside as many silent ones
as there may be and beside none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import count

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from benchmarks.figures import Row, Table, in_turns
from csipd.config import PlainMode
from csipd.net.peer_log import PeerLog
from csipd.plain.answers import Signpost
from csipd.plain.protocol import CONNECTIONS, PlainFactory
from csipd.sep2 import site
from csipd.sep2.layout import Layout
from tests.support.memory_tls import End

ASKED = "plain HTTP: a request, its connection included"
TOO_MANY = "plain HTTP: a connection that another one makes room for"
LOCATED = "the place at a path"
ROWS = (ASKED, TOO_MANY, LOCATED)
TURNS = 7
#: Silent connections, by what a side is called.
SIDES = {"full": CONNECTIONS // 2, "empty": 0}
_MANY = 2_000
_HOSTS = 50
_HERE = IPv4Address("TCP", "192.0.2.1", 80)
_GET = b"GET /dcap HTTP/1.1\r\nHost: 192.0.2.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"


class Subject:
    """A listener, with some who say nothing.

    :param silent: how many
    """

    def __init__(self, silent: int) -> None:
        self._clock = Clock()
        self._factory = PlainFactory(
            Signpost(PlainMode.DCAP, "https://csip.example:7443", "/dcap"),
            clock=self._clock,
            now=lambda: 0,
            peer_log=PeerLog(self._clock),
        )
        self._hosts = count()
        self._silent = [self._connect() for _ in range(silent)]

    def _connect(self) -> End:
        peer = IPv4Address("TCP", f"198.51.100.{next(self._hosts) % _HOSTS}", 50_000)
        protocol = self._factory.buildProtocol(peer)
        assert protocol is not None
        end = End(protocol, _HERE, peer)
        protocol.makeConnection(end)
        return end

    def asked(self) -> float:
        """us of a request."""

        def ask() -> None:
            end = self._connect()
            end.protocol.dataReceived(_GET)
            assert end.waiting() > 200
            end.protocol.connectionLost()
            self._reap()

        return _each(ask)

    def too_many(self) -> float:
        """us of a connection that comes, and has another one cut where there are as many as may be."""

        def come() -> None:
            self._silent.append(self._connect())
            self._reap()
            if len(self._silent) > CONNECTIONS:
                self._silent.pop(0)

        return _each(come)

    def _reap(self) -> None:
        """Those that were cut are gone, as the reactor would see to."""
        while self._silent and self._silent[0].aborted:
            self._silent.pop(0).protocol.connectionLost()


def _each(call: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(_MANY):
        call()
    return (time.process_time() - began) / _MANY * 1e6


def compare(table: Table) -> None:
    """Print all rows but the last. Each turn has a listener of its own."""
    for row, measure in ((ASKED, Subject.asked), (TOO_MANY, Subject.too_many)):
        sides = {name: partial(_of_new, measure, silent) for name, silent in SIDES.items()}
        table.add(Row(row, in_turns(TURNS, sides), places=1))


def _of_new(measure: Callable[[Subject], float], silent: int) -> float:
    return measure(Subject(silent))


def locate(table: Table) -> None:
    """Print the last row."""
    finders = {"moved": Layout("/sep2/dcap").locate, "the table's": site.locate}
    sides = {name: partial(_each, partial(find, "/edev/4/der/1/ders")) for name, find in finders.items()}
    table.add(Row(LOCATED, in_turns(TURNS, sides), places=2))


def main() -> None:
    compare(Table(ROWS, list(SIDES)))
    locate(Table(ROWS, ["moved", "the table's"]))


if __name__ == "__main__":
    main()
