"""Requests on their way to the server: a few kept connections, which all devices share or one has to itself.

A lane has so many connections, and so many requests at most are on their way on each of them. GETs go one
behind the other on the same connection (pipelined), answers come back in that order, and requests of several
devices that come at once leave in one write; anything else has a connection of which nothing else is in
flight (depth 1). A connection whose answers do not come is left to what it has: others go round it.

A request is sent once. A GET or HEAD is sent once more, on a connection that was opened since, where its
connection was lost before an octet of its answer came. Whatever else fails is 502, or 504 where its time is
over.
No answer is handed on in parts, so what a device gets is a whole one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

from attrs import define, field, frozen
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.net.peer_log import PeerLog
from csipd.proxy.framing import AnswerReader, BadAnswer, ordinary_answer

#: Seconds without an answer after which no further request is sent behind those that wait for theirs.
PATIENCE: Final = 0.02
#: Seconds for which no connection is tried once one could not be made, while there are others.
BACK_OFF: Final = 1.0
#: Octets of the longest answer whose parts are joined when the next one comes.
_LARGEST_PART: Final = 64 * 1024
#: Under whose name the lines about the server are counted.
_SERVER: Final = "the server"

_log = Logger()


class Asker(Protocol):
    """Who hears of the answer to a request."""

    def answered(self, asked: Asked, status: int, octets: bytes) -> None:
        """Take the whole answer, as it is to be handed on."""

    def failed(self, asked: Asked, status: int) -> None:
        """Hear that there is none: 502 or 504."""


# On the way of every request, and a frozen class takes thrice as long to make.
@define(eq=False)
class Asked:
    """One request that is on its way.

    :param octets: all of it, with the header lines that say whose it is
    :param bodiless: whether its answer has no body
    :param repeatable: whether it may be sent once more
    :param asker: None once nobody waits for the answer
    :param deadline: by the clock of deadlines
    :param tries: how often its connection was lost under it
    :param oldest: number of the first connection that it may go on
    """

    octets: bytes
    bodiless: bool
    repeatable: bool
    asker: Asker | None
    deadline: float
    tries: int = 0
    oldest: int = 0

    def fail(self, status: int) -> None:
        """Tell who asks that there is no answer."""
        asker, self.asker = self.asker, None
        if asker is not None:
            asker.failed(self, status)


@frozen
class LaneLimits:
    """The bounds of a lane; times in seconds.

    :param connections: at once
    :param depth: requests on their way on one connection
    :param handshake: from the beginning of a connection to the end of its handshake
    :param idle: for which a connection without requests is kept
    """

    connections: int = 8
    depth: int = 64
    handshake: float = 10.0
    idle: float = 120.0


#: Of what devices only read, and of all else: the server puts writes together that come at once.
READING: Final = LaneLimits(connections=8, depth=64)
WRITING: Final = LaneLimits(connections=64, depth=1)
#: Of one device that has a connection to itself.
OWN: Final = LaneLimits(connections=1, depth=1)


class Connecting(Protocol):
    """How a lane comes by a connection."""

    def connect(self, connection: UpstreamConnection) -> None:
        """Connect; `UpstreamConnection.connection_failed` is called if that fails before it is made."""

    def why_not_server(self, transport: Any) -> str | None:
        """Why the other end of a finished handshake is not the server; None: it is."""

    @property
    def probe(self) -> bytes:
        """A HEAD that is asked on each connection before all else; empty: nothing is."""

    def why_not_believed(self, status: int) -> str | None:
        """Why nobody can be spoken for where the probe is answered so; None: they can."""


@implementer(IHandshakeListener)
class UpstreamConnection(TwistedProtocol):
    """One connection to the server.

    :ivar number: connections of a lane are numbered in the order in which they were begun
    :ivar flight: the requests on their way, the oldest first
    :ivar ready: whether requests may be sent
    :ivar progress: when something last came of it, by the clock of deadlines
    """

    transport: Any = None

    def __init__(self, lane: Lane, number: int, now: float) -> None:
        self.number = number
        self.flight: deque[Asked] = deque()
        self.ready = False
        self.progress = now
        self._lane = lane
        # What has come of an answer that is not all there: of one as csipd writes it, of another.
        self._part = b""
        self._reader: AnswerReader | None = None
        self._ended = False
        self._refusal: str | None = None
        self._gone = False
        self._probing = False

    # --- beginning

    def handshakeCompleted(self) -> None:
        """TLS is up, and the peer's chain is good: is it the server's?"""
        self._refusal = self._lane.connecting.why_not_server(self.transport)
        if self._refusal is not None:
            self.abort()
        elif self._lane.connecting.probe:
            self._probing = True
            self.transport.write(self._lane.connecting.probe)
        else:
            self._begin()

    def _begin(self) -> None:
        self.ready = True
        self.progress = self._lane.clock.seconds()
        self._lane.opened(self)

    def _take_probed(self, data: bytes) -> None:
        """Read the answer to the probe."""
        reader = self._reader = self._reader or AnswerReader()
        reader.feed(data)
        try:
            answer = reader.next(bodiless=True)
        except BadAnswer as error:
            self._refusal = f"what answers there cannot be understood: {error}"
        else:
            if answer is None:
                return
            self._refusal = self._lane.connecting.why_not_believed(answer.status)
            if reader.take_rest():
                self._refusal = "what answers there says more than it was asked for"
        self._reader, self._probing = None, False
        if self._refusal is None:
            self._begin()
        else:
            self.abort()

    def certificate_refused(self, reason: str) -> None:
        """Hear why TLS will not come up."""
        self._refusal = reason

    def connection_failed(self, reason: str) -> None:
        """Hear that there will be no connection."""
        if not self._gone:
            self._gone = True
            self._lane.lost(self, reason)

    def read_begins(self) -> None:
        """What comes from now on came with one read of the socket."""

    @property
    def is_gone(self) -> bool:
        """Whether it is lost, or was given up before it was made."""
        return self._gone

    # --- requests

    def send(self, asked: Asked) -> None:
        """Send a request on a connection that has none on its way."""
        self.flight.append(asked)
        self.progress = self._lane.clock.seconds()
        self.transport.write(asked.octets)

    def send_all(self, octets: Iterable[bytes]) -> None:
        """Send the octets of requests that were put into the flight."""
        self.transport.write(b"".join(octets))

    def dataReceived(self, data: bytes) -> None:
        flight = self.flight
        if self._reader is None and flight and not self._part:
            size = len(data)
            end = ordinary_answer(data, 0, bodiless=flight[0].bodiless)
            if end == size:
                # One whole answer, and nothing behind it.
                self.progress = self._lane.clock.seconds()
                asked = flight.popleft()
                asker, asked.asker = asked.asker, None
                if asker is not None:
                    asker.answered(asked, int(data[9:12]), data)
                if self._lane.waiting:
                    self._lane.go_on()
                return
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Take in several answers, parts of some, or what is not as csipd writes it."""
        if self._probing:
            self._take_probed(data)
            return
        if self._part:
            data, self._part = self._part + data, b""
        # Nothing is sent meanwhile: what came before it was sent is no answer to it.
        ready, self.ready = self.ready, False
        try:
            while data and not self._gone:
                data = self._take_ordinary(data) if self._reader is None else data
                if data:
                    data = self._take_other(data)
            ready = ready and not self._ended
        except BadAnswer as error:
            ready = False
            self._lane.complain("an answer that is none", f"the server's answer cannot be handed on: {error}")
            self.abort()
        finally:
            self.ready = ready and not self._gone
        self.progress = self._lane.clock.seconds()
        if self._lane.waiting:
            self._lane.go_on()

    def _take_ordinary(self, data: bytes) -> bytes:
        """Hand on what is as csipd writes it; what is left."""
        flight = self.flight
        at, size = 0, len(data)
        while at < size and flight:
            end = ordinary_answer(data, at, bodiless=flight[0].bodiless)
            if end > size and end - at <= _LARGEST_PART:
                self._part = data[at:]
                return b""
            if not 0 <= end <= size:
                break
            self._hand_on(int(data[at + 9 : at + 12]), data[at:end])
            at = end
        return data[at:]

    def _take_other(self, data: bytes) -> bytes:
        """Read one answer with the reader that knows all of HTTP; what is left. BadAnswer."""
        reader = self._reader
        if reader is None:
            reader = self._reader = AnswerReader()
        reader.feed(data)
        if not self.flight:
            raise BadAnswer("more than was asked for")
        answer = reader.next(bodiless=self.flight[0].bodiless)
        if answer is None:
            return b""
        self._reader = None
        self._hand_on(answer.status, answer.octets)
        if answer.last:
            # What was sent behind it is not carried out (RFC 9112 9.6), so it counts as not sent.
            self._ended = True
            self._lane.ends(self)
            return b""
        return reader.take_rest()

    def _hand_on(self, status: int, octets: bytes) -> None:
        asked = self.flight.popleft()
        asker, asked.asker = asked.asker, None
        if asker is not None:
            asker.answered(asked, status, octets)

    # --- ending

    @property
    def has_begun_answer(self) -> bool:
        """Whether an octet of the answer to the oldest request has come."""
        return bool(self._part) or (self._reader is not None and self._reader.has_begun)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._gone:
            return
        self._gone = True
        self.ready = False
        said = self._refusal or ("closed" if reason.check(ConnectionDone) else reason.getErrorMessage())
        self._lane.lost(self, said)

    def close(self) -> None:
        """Close a connection of which nothing is on its way."""
        self.ready = False
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection, whatever is on its way."""
        self.ready = False
        if self.transport is not None:
            self.transport.abortConnection()
        else:
            self.connection_failed("given up")


@define(eq=False)
class Lane:
    """The connections that requests of one kind go on.

    :param connecting: makes connections
    :param clock: for deadlines; monotonic
    :param peer_log: writes what is wrong with the server, once a minute for each kind
    """

    connecting: Connecting
    clock: IReactorTime
    limits: LaneLimits
    peer_log: PeerLog
    waiting: deque[Asked] = field(factory=deque)
    _connections: list[UpstreamConnection] = field(factory=list)
    _beginning: UpstreamConnection | None = None
    _begun_at: float = 0.0
    _numbers: int = 0
    _tried_in_vain: float = float("-inf")
    _gathering: bool = False
    _closed: bool = False

    @property
    def connections(self) -> int:
        """How many connections there are, those that are being made among them."""
        return len(self._connections) + (self._beginning is not None)

    def ask(self, asked: Asked) -> None:
        """Send a request as soon as may be."""
        if not self.waiting:
            for connection in self._connections:
                if connection.ready:
                    if not connection.flight:
                        connection.send(asked)
                        return
                    break
        self.waiting.append(asked)
        if self.limits.depth == 1 or not self._connections:
            self.go_on()
        elif not self._gathering:
            # Whatever else comes in this turn of the reactor leaves in the same write.
            self._gathering = True
            self.clock.callLater(0, self._gathered)

    def _gathered(self) -> None:
        self._gathering = False
        self.go_on()

    def go_on(self) -> None:
        """Send what waits, as far as there is room on connections."""
        batches: dict[UpstreamConnection, list[bytes]] = {}
        waiting = self.waiting
        now = self.clock.seconds()
        while waiting:
            asked = waiting[0]
            if asked.asker is None and asked.repeatable:
                waiting.popleft()  # who asked is gone
                continue
            connection = self._choose(asked, now)
            if connection is None:
                break
            waiting.popleft()
            if not connection.flight:
                connection.progress = now
            connection.flight.append(asked)
            batches.setdefault(connection, []).append(asked.octets)
        for connection, octets in batches.items():
            connection.send_all(octets)
        if waiting:
            self._open_another()

    def _choose(self, asked: Asked, now: float) -> UpstreamConnection | None:
        """The connection that a request is sent on; None: it has to wait for one."""
        depth = self.limits.depth
        least: UpstreamConnection | None = None
        for connection in self._connections:
            if not connection.ready or connection.number < asked.oldest:
                continue
            number = len(connection.flight)
            if not number or (number < depth and now - connection.progress < PATIENCE):
                return connection
            if number < depth and (least is None or number < len(least.flight)):
                least = connection
        # Where there can be no other, one that is slow has to do.
        return None if self._may_open(now) or self._beginning is not None else least

    # --- connections

    def _may_open(self, now: float) -> bool:
        if self._closed or self._beginning is not None:
            return False
        if self._connections and now - self._tried_in_vain < BACK_OFF:
            return False
        return len(self._connections) < self.limits.connections

    def _open_another(self) -> None:
        now = self.clock.seconds()
        if self._may_open(now):
            self._numbers += 1
            connection = UpstreamConnection(self, self._numbers, now)
            self._beginning = connection
            self._begun_at = now
            self.connecting.connect(connection)

    def opened(self, connection: UpstreamConnection) -> None:
        """Hear that a connection can be used."""
        if self._beginning is connection:
            self._beginning = None
        self._connections.append(connection)
        self.go_on()

    def ends(self, connection: UpstreamConnection) -> None:
        """Hear that the server takes no more requests on a connection; what is on its way goes on another."""
        self._forget(connection)
        self._again(connection.flight, counted=False)
        connection.flight = deque()
        connection.close()
        self.go_on()

    def lost(self, connection: UpstreamConnection, reason: str) -> None:
        """Hear that a connection is gone, or was not made."""
        never = connection is self._beginning
        self._forget(connection)
        flight, connection.flight = connection.flight, deque()
        if flight and connection.has_begun_answer:
            self.complain("an answer in part", f"the server went away in the midst of an answer: {reason}")
            flight.popleft().fail(502)
        self._again(flight, counted=True)
        if never:
            self._tried_in_vain = self.clock.seconds()
            self.complain("no connection", f"no connection with the server: {reason}")
            # Whoever nobody is there to ask for is not kept waiting for somebody to come back.
            newest = max((each.number for each in self._connections), default=-1)
            waiting, self.waiting = self.waiting, deque()
            for asked in waiting:
                if asked.oldest > newest:
                    asked.fail(502)
                else:
                    self.waiting.append(asked)
        self.go_on()

    def _again(self, flight: deque[Asked], *, counted: bool) -> None:
        """Have requests that a connection was lost under sent again, where that is right."""
        again = []
        for asked in flight:
            if asked.asker is None:
                continue
            if not asked.repeatable or (counted and asked.tries):
                asked.fail(502)
                continue
            asked.tries += counted
            asked.oldest = self._numbers + 1
            again.append(asked)
        self.waiting.extendleft(reversed(again))

    def _forget(self, connection: UpstreamConnection) -> None:
        if self._beginning is connection:
            self._beginning = None
        if connection in self._connections:
            self._connections.remove(connection)

    # --- time

    def look(self, now: float) -> None:
        """Give up what has taken too long; to be called about once a second."""
        for asked in [each for each in self.waiting if now >= each.deadline]:
            self.waiting.remove(asked)
            if asked.asker is not None:
                self.complain("no answer in time", "no answer of the server in time, answered 504")
                asked.fail(504)
        for connection in list(self._connections):
            if not connection.flight:
                if not connection.ready or now - connection.progress >= self.limits.idle:
                    self._forget(connection)
                    connection.close()
                continue
            # The oldest one holds up all that was sent behind it.
            stuck = now >= connection.flight[0].deadline
            for asked in connection.flight:
                if now >= asked.deadline and asked.asker is not None:
                    self.complain("no answer in time", "no answer of the server in time, answered 504")
                    asked.fail(504)
            if stuck:
                connection.abort()
        beginning = self._beginning
        if beginning is not None and now - self._begun_at >= self.limits.handshake:
            beginning.certificate_refused("no handshake in time")
            beginning.abort()
        if self.waiting:
            self.go_on()

    def renew(self) -> None:
        """Have requests go on connections that are made from now on; older ones end with what they have."""
        for connection in list(self._connections):
            connection.ready = False
            if not connection.flight:
                self._forget(connection)
                connection.close()

    def close(self) -> None:
        """Close all connections, and make no others."""
        self._closed = True
        for asked in self.waiting:
            asked.asker = None
        self.waiting.clear()
        for connection in list(self._connections):
            connection.abort()
        if self._beginning is not None:
            self._beginning.abort()

    def complain(self, reason: str, line: str) -> None:
        """Write what is wrong with the server, once a minute for each reason."""
        self.peer_log.warn(_log, _SERVER, reason, "proxy: {line}", line=line)
