"""Connections in memory, with and without TLS, moved by hand.

A `Wire` joins a server's protocol and a `Client`; nothing moves but in `pump`, and time only in `advance`.
Each end buffers what is written to it and asks its producer to pause as a socket would, and a wire whose
`reading` is False stands for a client that no longer reads.

    wire = Wire.tls(factory, ClientTLS(device, trust=lab), clock)
    answer = wire.result(wire.client.get("/dcap"))
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.net.tls_factory import TLSFactory
from csipd.web.server import Site
from tests.support.client import Client, ClientTLS

T = TypeVar("T")

SERVER = IPv4Address("TCP", "192.0.2.1", 443)
_HIGH_WATER = 64 * 1024
_ports = count(50_000)


@implementer(ITransport, IConsumer, IPushProducer)
class End:
    """One end of a wire: what a protocol sees of its socket."""

    def __init__(self, protocol: Any, host: IPv4Address, peer: IPv4Address) -> None:
        self.protocol = protocol
        self.out: list[bytes] = []
        self.disconnecting = False
        self.closed = False
        self.aborted = False
        self.reading = True
        self._host, self._peer = host, peer
        self._producer: Any = None
        self._producer_paused = False

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.closed:
            return
        self.out.append(data)
        if self._producer is not None and not self._producer_paused and self.waiting() > _HIGH_WATER:
            self._producer_paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def waiting(self) -> int:
        """How many bytes were written and have not left."""
        return sum(map(len, self.out))

    def take(self, most: int | None = None) -> bytes:
        """What was written, or so many bytes of it, on its way to the other end."""
        data, self.out = b"".join(self.out), []
        if most is not None and len(data) > most:
            self.out.append(data[most:])
            data = data[:most]
        if self._producer_paused:
            self._producer_paused = False
            self._producer.resumeProducing()
        return data

    def loseConnection(self) -> None:
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        """Whoever reads the end of this closes, too."""
        self.loseConnection()

    def abortConnection(self) -> None:
        self.out = []
        self.disconnecting = self.aborted = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None
        self._producer_paused = False

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing here is delayed."""

    def stopProducing(self) -> None:
        self.loseConnection()

    def has_unread(self) -> bool:
        """What is moved is read in the same moment."""
        return False

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getHost(self) -> IPv4Address:
        return self._host


class Wire:
    """A server's protocol and a client, joined."""

    def __init__(
        self, server: Any, client_side: Any, client: Client, clock: Clock, peer: IPv4Address
    ) -> None:
        self.client = client
        self.clock = clock
        self.reading = True
        #: How many bytes one read of the server's socket gives at most; None: all that there are.
        self.portion: int | None = None
        self._server_end = End(server, SERVER, peer)
        self._client_end = End(client_side, peer, SERVER)
        server.makeConnection(self._server_end)
        client_side.makeConnection(self._client_end)

    @classmethod
    def tls(cls, factory: TLSFactory, tls: ClientTLS, clock: Clock, host: str = "198.51.100.7") -> Wire:
        """A wire to a factory, with TLS, not yet pumped. ConnectionRefusedError if it does not take it."""
        peer = IPv4Address("TCP", host, next(_ports))
        server = factory.buildProtocol(peer)
        if server is None:
            raise ConnectionRefusedError(host)
        client_factory = TLSMemoryBIOFactory(tls, True, Factory.forProtocol(Client), clock)
        client_side = client_factory.buildProtocol(SERVER)
        return cls(server, client_side, client_side.wrappedProtocol, clock, peer)

    @classmethod
    def plain(cls, site: Site, clock: Clock, host: str = "198.51.100.7") -> Wire:
        """A wire to a site without TLS; the site's own `identify` must know who this is."""
        peer = IPv4Address("TCP", host, next(_ports))
        channel = site.buildProtocol(peer)
        client = Client()
        wire = cls(channel, client, client, clock, peer)
        channel.handshakeCompleted()
        return wire

    def pump(self) -> None:
        """Move bytes to and fro until there is nothing to move."""
        for _ in range(10_000):
            self.clock.advance(0)
            moved = self._carry(self._client_end, self._server_end, self._server_end.reading)
            moved |= self._carry(self._server_end, self._client_end, self.reading)
            if not moved:
                return
        raise AssertionError("the two ends never come to rest")

    def take_once(self) -> None:
        """The client reads once what waits for it, and no more."""
        self._carry(self._server_end, self._client_end, True)

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Turn the time in steps, and pump after each."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.pump()

    def result(self, deferred: Deferred[T]) -> T:
        """What a Deferred fires with once the wire is pumped; raises what it fails with."""
        self.pump()
        results: list[Any] = []
        deferred.addBoth(results.append)
        if not results:
            raise AssertionError(f"no result yet; received {self.client.received!r}")
        if isinstance(results[0], Failure):
            results[0].raiseException()
        outcome: T = results[0]
        return outcome

    def results(self, deferreds: list[Deferred[T]]) -> list[T]:
        """What several Deferreds fire with."""
        return [self.result(deferred) for deferred in deferreds]

    @property
    def server_waiting(self) -> int:
        """How many bytes the server has written that have not left."""
        return self._server_end.waiting()

    @property
    def server_reading(self) -> bool:
        """Whether the server reads from its end."""
        return self._server_end.reading

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._server_end.closed

    @property
    def closing(self) -> bool:
        """Whether the server has begun to close the connection, or something is on its way."""
        return bool(self._server_end.disconnecting or self._server_end.out)

    def hang_up(self) -> None:
        """The client's machine loses power: the server gets no close but that of its own system."""
        self._client_end.abortConnection()
        self.pump()

    def _carry(self, source: End, sink: End, reading: bool) -> bool:
        if source.closed:
            return False
        if source.out and reading and not sink.disconnecting:
            most = self.portion if source is self._client_end else None
            sink.protocol.dataReceived(source.take(most))
            return True
        if source.disconnecting and (not source.out or sink.disconnecting):
            _close(source, sink)
            return True
        return False


def _close(first: End, other: End) -> None:
    reason: Callable[[], Exception] = ConnectionAborted if first.aborted else ConnectionDone
    for end in (first, other):
        end.closed = True
        end.protocol.connectionLost(Failure(reason()))
