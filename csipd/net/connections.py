"""The live connections: whose they are, and whose patience has ended.

Bounded by the number of connections that the gate lets in. Withdrawal of access closes what is found here
under an LFDI; that a request is allowed is asked at the request all the same.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How often the deadlines are looked at, in seconds: how late one may be noticed.
SWEEP_SECONDS = 1.0


class Connection(Protocol):
    """What is asked of a channel here."""

    due: float
    drain_due: float

    def expire(self, now: float) -> None:
        """Close or cut the connection if one of its deadlines has passed."""

    def loseConnection(self) -> None:
        """Close the connection."""

    def retire(self) -> None:
        """Close the connection when it has no request in the works."""


class Connections:
    """Every live connection, by LFDI once that is known, with the one timer that keeps their deadlines."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._live: dict[Connection, str | None] = {}
        self._by_lfdi: dict[str, set[Connection]] = {}
        self._sweep: IDelayedCall | None = None
        self._gone: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._live)

    def of(self, lfdi: str) -> int:
        """How many connections this caller holds."""
        return len(self._by_lfdi.get(lfdi, ()))

    def add(self, connection: Connection) -> None:
        """Take a connection in; its deadlines are kept from now on."""
        self._live[connection] = None
        if self._sweep is None:
            self._sweep = self._clock.callLater(SWEEP_SECONDS, self._look)

    def name(self, connection: Connection, lfdi: str) -> None:
        """Note whose a connection is."""
        self._live[connection] = lfdi
        self._by_lfdi.setdefault(lfdi, set()).add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        lfdi = self._live.pop(connection)
        if lfdi is not None:
            mine = self._by_lfdi[lfdi]
            mine.discard(connection)
            if not mine:
                del self._by_lfdi[lfdi]
        if self._live:
            return
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        gone, self._gone = self._gone, []
        for waiting in gone:
            waiting.callback(None)

    def close(self, lfdi: str) -> int:
        """Close all connections of a caller whose access was withdrawn; how many there were.

        Nothing more is read from them, and an answer that is in the works does not leave.
        """
        mine = list(self._by_lfdi.get(lfdi, ()))
        for connection in mine:
            connection.loseConnection()
        return len(mine)

    def retire(self) -> Deferred[None]:
        """Close every connection as soon as it has no request in the works: the server is going down.

        Fires when the last one is gone, which the limits bound: an answer's time, then a peer's to take it.
        """
        if not self._live:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._gone.append(waiting)
        for connection in list(self._live):
            connection.retire()
        return waiting

    def _look(self) -> None:
        self._sweep = self._clock.callLater(SWEEP_SECONDS, self._look)
        now = self._clock.seconds()
        for connection in [each for each in self._live if now >= each.due or now >= each.drain_due]:
            connection.expire(now)
