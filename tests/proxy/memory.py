"""The proxy between devices and a server in memory: nothing moves but when it is told to.

bench = Bench()
device = bench.device("A")
device.send(b"GET /dcap HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
(link,) = bench.server.links
link.answer()
device.answers
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from csipd.net.connections import Connections
from csipd.net.identity import Identity
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.quotas import Quotas
from csipd.proxy.context import ProxyContext, Spokesman
from csipd.proxy.device import DeviceConnection
from csipd.proxy.lane import Lane, LaneLimits, UpstreamConnection
from tests.support.memory_tls import End

PROXY = IPv4Address("TCP", "192.0.2.1", 8443)
SERVER = IPv4Address("TCP", "192.0.2.2", 443)
#: How many turns things may take to come to rest.
TURNS = 10_000


@frozen
class Received:
    """A request as the server got it."""

    who: bytes
    method: bytes
    target: bytes
    head: bytes
    body: bytes


@frozen
class Got:
    """An answer as a device got it."""

    status: int
    head: bytes
    body: bytes


class Link:
    """The server's end of a connection with the proxy. It reads what comes, and answers when it is told to.

    :ivar requests: all that came, in order
    :ivar open: those that are not answered
    """

    def __init__(self, server: Server, connection: UpstreamConnection) -> None:
        self.server = server
        self.connection = connection
        self.end = End(connection, PROXY, SERVER)
        self.requests: list[Received] = []
        self.open: deque[Received] = deque()
        self.gone = False
        self._data = b""
        self._rest = b""
        connection.makeConnection(self.end)

    def read(self) -> bool:
        """Take what the proxy has sent; whether there was anything."""
        if self.gone:
            return False
        if self.end.disconnecting and (self.end.aborted or not self.end.out):
            self.lose(ConnectionAborted() if self.end.aborted else ConnectionDone())
            return True
        data = self.end.take()
        self._data += data
        probe = self.server.probe
        if probe and self._data.startswith(probe):
            self._data = self._data[len(probe) :]
            for octet in self.server.probed:
                self.connection.dataReceived(bytes((octet,)))
        while (found := _request(self._data)) is not None:
            request, self._data = found
            self.requests.append(request)
            self.open.append(request)
            self.server.requests.append(request)
        return bool(data)

    def answer(self, status: int = 200, body: bytes | None = None, more: bytes = b"") -> None:
        """Answer the oldest request, all of it or the rest of it; by default with what says whose it is."""
        if self.gone or not self.open:
            return
        if self._rest:
            data, self._rest = self._rest, b""
            self.open.popleft()
            self.connection.dataReceived(data)
            return
        self.connection.dataReceived(self._answer(self.open.popleft(), status, body, more))

    def answer_all(self) -> None:
        """Answer all that is open, in one piece."""
        if self.gone or self._rest:
            self.answer()
        if not self.gone and self.open:
            answers = [self._answer(request, 200, None, b"") for request in self.open]
            self.open.clear()
            self.connection.dataReceived(b"".join(answers))

    def begin_answer(self, octets: int) -> None:
        """Send so many octets of the answer to the oldest request."""
        if self.gone or not self.open or self._rest:
            return
        data = self._answer(self.open[0], 200, None, b"")
        octets = 1 + octets % (len(data) - 1)
        self._rest = data[octets:]
        self.connection.dataReceived(data[:octets])

    def end_with(self) -> None:
        """Answer the oldest request, and close: what is behind it is not carried out."""
        if not self.gone and self.open and not self._rest:
            data = self._answer(self.open.popleft(), 200, None, b"Connection: close\r\n")
            for request in self.open:
                self.server.requests.remove(request)
            self.open.clear()
            self.connection.dataReceived(data)

    def lose(self, why: Exception | None = None) -> None:
        """The connection is lost."""
        if not self.gone:
            self.gone = self.end.closed = True
            self.open.clear()
            self.connection.connectionLost(Failure(why or ConnectionLost()))

    def _answer(self, request: Received, status: int, body: bytes | None, more: bytes) -> bytes:
        if body is None:
            body = request.who + b" " + request.target + b" " + b"." * _wanted(request.target)
        head = b"HTTP/1.1 %d It is\r\nDate: now\r\n%bContent-Length: %d\r\n\r\n" % (status, more, len(body))
        return head if request.method == b"HEAD" else head + body


def _wanted(target: bytes) -> int:
    """How long an answer is to be, which the query says."""
    return int(target.partition(b"?")[2] or 0)


def _request(data: bytes) -> tuple[Received, bytes] | None:
    """The first request of what the proxy has sent, and what follows; read apart from the proxy's reader."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    line, *lines = head.split(b"\r\n")
    method, target, version = line.split(b" ")
    if version != b"HTTP/1.1" or not lines[0].startswith(b"Client-Cert: :"):
        raise AssertionError(f"not as the server wants it: {head!r}")
    if any(
        one.lower().startswith((b"client-cert", b"transfer-encoding", b"connection")) for one in lines[2:]
    ):
        raise AssertionError(f"a header that is not handed on: {head!r}")
    length = 0
    for one in lines:
        if one.startswith(b"Content-Length: "):
            length = int(one[16:])
    if len(rest) < length:
        return None
    who = lines[0][len(b"Client-Cert: :") : -1]
    return Received(who, method, target, head, rest[:length]), rest[length:]


@define(eq=False)
class Server:
    """The server, whose connections are opened by the proxy.

    :ivar is_up: whether it takes connections
    :ivar probed: what it answers to the probe
    :ivar shakes: whether it finishes handshakes
    """

    clock: Clock
    is_up: bool = True
    shakes: bool = True
    is_server: bool = True
    probe: bytes = b""
    probed: bytes = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 72\r\n\r\n"
    links: list[Link] = field(factory=list)
    requests: list[Received] = field(factory=list)

    def connect(self, connection: UpstreamConnection) -> None:
        self.clock.callLater(0, self._connect, connection)

    def _connect(self, connection: UpstreamConnection) -> None:
        if connection.is_gone:
            return
        if not self.is_up:
            connection.connection_failed("connection refused")
            return
        self.links.append(Link(self, connection))
        if self.shakes:
            connection.handshakeCompleted()

    def why_not_server(self, transport: Any) -> str | None:
        return None if self.is_server else "it is a device"

    def why_not_believed(self, status: int) -> str | None:
        return None if status == 403 else "it does not believe us"

    def stop(self) -> None:
        """Go down: all connections are lost, and none is taken."""
        self.is_up = False
        for link in self.links:
            link.lose()


class TLSEnd(End):
    """An end with TLS on it, which closes only once nobody is registered who might still write."""

    _closes = False

    def loseConnection(self) -> None:
        self._closes = True
        self.disconnecting = self._producer is None

    def unregisterProducer(self) -> None:
        super().unregisterProducer()
        self.disconnecting = self.disconnecting or self._closes


class Device:
    """A device and its connection with the proxy."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.name = name.encode()
        self.reading = True
        self.received = b""
        self.hung_up = False
        self.connection = DeviceConnection(bench.context)
        self.end = TLSEnd(
            self.connection, PROXY, IPv4Address("TCP", f"198.51.100.{len(bench.devices) + 1}", 5)
        )
        self.end.name = name  # type: ignore[attr-defined] # whom the bench's `identify` finds
        self.connection.makeConnection(self.end)

    def shake(self) -> None:
        """Finish the handshake."""
        self.connection.handshakeCompleted()

    def send(self, data: bytes) -> None:
        """Send octets, if the proxy reads."""
        if not self.closed:
            self.connection.read_begins()
            self.connection.dataReceived(data)

    def read(self) -> bool:
        """Read what the proxy has written; whether there was anything."""
        if self.end.closed:
            return False
        if self.end.disconnecting and (self.end.aborted or not self.end.out):
            self.end.closed = True
            self.connection.connectionLost(Failure(ConnectionDone()))
            return True
        data = self.end.take() if self.reading else b""
        self.received += data
        return bool(data)

    def hang_up(self) -> None:
        """Go away without a word."""
        if not self.end.closed:
            self.hung_up = self.end.closed = True
            self.connection.connectionLost(Failure(ConnectionLost()))

    @property
    def closed(self) -> bool:
        return bool(self.end.closed or self.end.disconnecting)

    def answers(self, bodiless: tuple[bool, ...] = ()) -> list[Got]:
        """What it got, which is whole answers and nothing else."""
        found, data = [], self.received
        while data:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                raise AssertionError(f"no whole answer: {head!r}")
            (length,) = [int(one[16:]) for one in head.split(b"\r\n") if one.startswith(b"Content-Length: ")]
            if len(found) < len(bodiless) and bodiless[len(found)]:
                length = 0
            if len(data) < length:
                raise AssertionError(f"no whole answer: {head!r}, {len(data)} octets")
            found.append(Got(int(head[9:12]), head, data[:length]))
            data = data[length:]
        return found


class _Speaking:
    def __init__(self, reading: Lane, writing: Lane) -> None:
        self.reading, self.writing = reading, writing

    def speak_for(self, transport: Any, identity: Identity) -> Spokesman:
        lines = f"Client-Cert: :{identity.lfdi}:\r\nClient-Cert-Chain: :above:\r\n".encode()
        return Spokesman(lines, self.reading, self.writing)

    def done_with(self, lane: Lane) -> None:
        """The lanes are everybody's."""


class Bench:
    """All of it."""

    def __init__(
        self,
        *,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
        reading: LaneLimits = LaneLimits(connections=2, depth=4),  # noqa: B008 - frozen
        writing: LaneLimits = LaneLimits(connections=2, depth=1),  # noqa: B008 - frozen
        quotas: Quotas = Quotas(),  # noqa: B008 - frozen
        most_held_up: int = 1 << 30,
    ) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self.devices: list[Device] = []
        peer_log = PeerLog(self.clock)
        self.reading = Lane(self.server, self.clock, reading, peer_log)
        self.writing = Lane(self.server, self.clock, writing, peer_log)
        self.context = ProxyContext(
            clock=self.clock,
            now=lambda: 1_700_000_000.0,
            limits=limits,
            connections=Connections(self.clock, quotas, limits.connections),
            identify=_identify,
            speaking=_Speaking(self.reading, self.writing),
            peer_log=peer_log,
            host=b"server:443",
            most_held_up=most_held_up,
        )

    def device(self, name: str, *, shakes: bool = True) -> Device:
        """A device that connects."""
        device = Device(self, name)
        self.devices.append(device)
        if shakes:
            device.shake()
        return device

    def settle(self) -> None:
        """Move what there is to move, in no time."""
        for _ in range(TURNS):
            self.clock.advance(0)
            moved = [link.read() for link in list(self.server.links)]
            moved += [device.read() for device in self.devices]
            if not any(moved) and not any(
                call.getTime() <= self.clock.seconds() for call in self.clock.calls
            ):
                return
        raise AssertionError("it never comes to rest")

    def advance(self, seconds: int) -> None:
        """Time passes, and once a second the lanes are looked at."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.reading.look(self.clock.seconds())
            self.writing.look(self.clock.seconds())
            self.settle()

    def serve_all(self) -> None:
        """Have the server answer until nothing is open."""
        for _ in range(TURNS):
            self.settle()
            busy = [link for link in self.server.links if link.open and not link.gone]
            if not busy:
                return
            for link in busy:
                link.answer()
        raise AssertionError("the server is never done")


def _identify(transport: Any) -> Identity:
    return Identity(lfdi=transport.name, sfdi=0, not_after=None, fingerprint="")
