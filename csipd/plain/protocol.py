"""Connections without TLS: one request each, and soon over.

Whoever reaches the port may open one, so all of it is small: a head of `HEAD_BYTES`, seconds to send it in,
`CONNECTIONS` at once, where the one that has been here longest makes room for the next, first of those of an
address that has many.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from csipd.net.connections import Connections
from csipd.net.http_grammar import END_OF_HEAD, is_head
from csipd.net.origin import host_of, origin_of
from csipd.net.peer_log import PeerLog
from csipd.net.phases import DRAIN_BYTES
from csipd.net.quotas import Quotas
from csipd.plain.answers import Signpost
from csipd.web.answers import Answer, octets
from csipd.web.errors import fault

#: Octets of a request line and its headers.
HEAD_BYTES: Final = 4096
#: Connections at once, beside those that are about to be gone.
CONNECTIONS: Final = 256
#: Accepted in one turn of the reactor: whoever floods this port shall not have devices wait behind it.
_A_TURN: Final = 8
#: For all of a head, from the connection on; and for the peer to take the answer and close (s).
_REQUEST_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 2.0
#: A connection counts as one whose handshake is not finished, as long as it lives.
_QUOTAS: Final = Quotas(unfinished=CONNECTIONS // 2, unfinished_per_address=CONNECTIONS // 8)

#: What no head has, with the octet before it: half a line's end, and a NUL.
_NEVER: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|\0")
#: How a method begins.
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~\w-]", re.ASCII)


class PlainConnection(Protocol):
    """One connection."""

    transport: Any
    factory: PlainFactory
    deadline = float("inf")
    write_deadline = float("inf")
    idle_since = None
    last_used = None

    def __init__(self) -> None:
        self._head = bytearray()
        self._begun = False
        self._answered = False
        self._drained = 0

    def connectionMade(self) -> None:
        self.deadline = self.factory.clock.seconds() + _REQUEST_SECONDS
        self.factory.connections.add(self, origin_of(self.transport.getPeer()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.connections.remove(self)

    def dataReceived(self, data: bytes) -> None:
        if self._answered:
            self._drain(len(data))
            return
        head = self._head
        # What was looked at before is not looked at again, but for what may have been cut in two.
        seen = max(len(head) - len(END_OF_HEAD) + 1, 0)
        head += data
        if not self._begun:
            if head == b"\r":
                return
            # One empty line in front of a request is let pass (RFC 9112 2.2).
            self._begun = True
            if head.startswith(b"\r\n"):
                del head[:2]
            if not head:
                return
        end = head.find(END_OF_HEAD, seen, HEAD_BYTES)
        if end >= 0:
            end += len(END_OF_HEAD)
        if _NEVER.search(head, seen, end if end >= 0 else HEAD_BYTES) or not _METHOD.match(head):
            self._give(fault(http.BAD_REQUEST), b"", bodiless=is_head(head))
        elif end >= 0:
            self._drained = len(head) - end
            whole = bytes(head[:end])
            answer, bodiless = self.factory.signpost.answer(whole)
            self._give(answer, whole, bodiless=bodiless)
        elif len(head) >= HEAD_BYTES:
            line = head.find(b"\r\n", 0, HEAD_BYTES) >= 0
            refusal = fault(http.BAD_REQUEST if line else http.REQUEST_URI_TOO_LONG)
            self._give(refusal, b"", bodiless=is_head(head))

    def _give(self, answer: Answer, head: bytes, *, bodiless: bool = False) -> None:
        """Write the one answer that there is, and have the peer read it before the connection goes."""
        self._answered = True
        self._head = bytearray()
        factory = self.factory
        factory.note(self.transport.getPeer(), head.partition(b"\r\n")[0], answer.status)
        self.transport.write(octets(answer, factory.date(), bodiless=bodiless, last=True))
        self.transport.loseWriteConnection()
        self.deadline = factory.clock.seconds() + _CLOSE_SECONDS

    def _drain(self, octets: int) -> None:
        self._drained += octets
        if self._drained > DRAIN_BYTES:
            self.transport.pauseProducing()

    # --- what `Connections` asks

    @property
    def host(self) -> str:
        return host_of(self.transport.getPeer())

    def has_unread(self) -> bool:
        waits: bool = self.transport.has_unread()
        return waits

    def expire(self, now: float) -> None:
        if now >= self.deadline:
            self.transport.abortConnection()

    def make_room(self) -> None:
        self.transport.abortConnection()

    def loseConnection(self) -> None:
        self.transport.loseConnection()

    def close_when_done(self) -> None:
        # Whatever was asked is answered.
        self.transport.abortConnection()


class PlainFactory(Factory):
    """Makes the connections, and bounds them.

    :param clock: drives deadlines
    :param now: the time of day that answers are dated with (epoch s)
    :param log_requests: whether each answer makes one debug line
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        signpost: Signpost,
        *,
        clock: IReactorTime,
        now: Callable[[], float],
        peer_log: PeerLog,
        log_requests: bool = False,
    ) -> None:
        self.signpost = signpost
        self.clock = clock
        self.connections = Connections(clock, _QUOTAS, CONNECTIONS)
        self._now = now
        self._peer_log = peer_log
        self._log_requests = log_requests

    # --- what `Port` asks

    def room(self, wanted: int) -> int:
        """How many connections may come in in this turn, at most so many as are wanted."""
        return min(wanted, _A_TURN)

    def when_room(self, call: Callable[[], None]) -> None:
        """Not asked: there always is some."""

    # A port closes the socket for None (IProtocolFactory); the type of the class wants more of a protocol.
    def buildProtocol(self, addr: IAddress | None) -> PlainConnection | None:  # type: ignore[override]
        origin = origin_of(addr)
        why = self.connections.make_way(origin)
        if why is not None:
            self._peer_log.warn(
                self._log,
                origin,
                f"plain HTTP: {why}",
                "connection without TLS from {host} closed: {why}",
                host=host_of(addr),
                why=why,
            )
            return None
        made = PlainConnection()
        made.factory = self
        return made

    def date(self) -> bytes:
        """The time of day as a Date header has it."""
        date: bytes = http.datetimeToString(self._now())
        return date

    def note(self, peer: Any, line: bytes, status: int) -> None:
        """Log an answer where that is wanted, and what was no request of HTTP at a bounded rate.

        :param line: the request's
        """
        host = host_of(peer)
        if self._log_requests:
            said = ascii(line.decode("latin-1"))[1:-1]
            self._log.debug("{host} without TLS: {line} {status}", host=host, line=said, status=status)
        if status == http.BAD_REQUEST:
            self._peer_log.info(
                self._log,
                host,
                "malformed plain HTTP",
                "{host} sent what is no request of HTTP to the port without TLS",
                origin=origin_of(peer),
                host=host,
            )
