"""Receivers of Notifications: what they got, and every answer that one may give.

A `Receiver` is the factory of a receiver's connections, over sockets or in memory; what it answers a request
with is a function's to say. A `MemoryNetwork` joins csipd's client with receivers, and is pumped by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from csipd.net.client_tls import ClientTLS
from csipd.net.tls import ServerTLS, TLSSettings
from tests.support import pki
from tests.support.memory_tls import End
from tests.support.pki import Authority, Credential

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


@frozen
class Received:
    """A request as it came."""

    target: str
    headers: dict[str, str]
    body: bytes


#: What a receiver answers: octets, or None to say nothing.
Answers = Callable[[Received], bytes | None]


def status(code: int, *more: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join((f"HTTP/1.1 {code} X", "Content-Length: 0", *more, "", "")).encode()


class Receiver(Factory):
    """Takes Notifications.

    :param answers: what each is answered with; created, as a rule
    :ivar received: what came, in order
    :ivar open: the connections that there are
    :ivar made: how many there were in all
    """

    noisy = False

    def __init__(self, answers: Answers = lambda request: CREATED) -> None:
        self.answers = answers
        self.received: list[Received] = []
        self.open: list[_Connection] = []
        self.made = 0

    def buildProtocol(self, addr: Any) -> _Connection:
        self.made += 1
        return _Connection(self)


class _Connection(Protocol):
    transport: Any

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def connectionMade(self) -> None:
        self._receiver.open.append(self)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            first, *lines = head.decode("ascii").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = int(headers["content-length"])
            if len(rest) < size:
                return
            self._buffer = rest[size:]
            request = Received(first.split(" ")[1], headers, rest[:size])
            self._receiver.received.append(request)
            answer = self._receiver.answers(request)
            if answer is not None:
                self.transport.write(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._receiver.open.remove(self)


def tls_settings(folder: Path, own: Credential, *roots: Authority) -> TLSSettings:
    """Settings for a side of TLS with these certificates, whose files are written into a folder."""
    pki.write(folder, None, own=own)
    paths = []
    for number, root in enumerate(roots):
        paths.append(folder / f"root{number}.crt")
        paths[-1].write_bytes(root.cert_pem)
    return TLSSettings(
        private_key=folder / "private" / "own.pem",
        certificate=folder / "certs" / "own.crt",
        trust_roots=tuple(paths),
    )


def receiver_tls(own: Credential, *roots: Authority, now: float = 0.0) -> ServerTLS:
    """A receiver's side of TLS."""
    with TemporaryDirectory() as name:
        return ServerTLS(tls_settings(Path(name), own, *roots), now=lambda: now, announce_end=False)


def sender_tls(own: Credential, *roots: Authority, now: float = 0.0) -> ClientTLS:
    """csipd's side of TLS."""
    with TemporaryDirectory() as name:
        return ClientTLS(tls_settings(Path(name), own, *roots), now=lambda: now)


class MemoryNetwork:
    """Places to connect to, in memory.

    :ivar places: what listens, by address and port
    :ivar silent: addresses from which nothing ever comes
    :ivar connected: where connections were asked for, in order
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wires: list[tuple[End, End]] = []
        self.places: dict[tuple[str, int], IProtocolFactory] = {}
        self.silent: set[str] = set()
        self.connected: list[tuple[str, int]] = []

    def listen(self, address: str, port: int, receiver: Receiver, tls: ServerTLS | None) -> None:
        """Have a receiver listen, with TLS or without."""
        factory: Any = receiver
        if tls is not None:
            factory = TLSMemoryBIOFactory(tls, False, receiver, self._clock)
            factory.protocol = TLSMemoryBIOProtocol
        self.places[(address, port)] = factory

    def connect(self, address: str, port: int, factory: IProtocolFactory) -> Deferred[Any]:
        """What the client connects with."""
        self.connected.append((address, port))
        if address in self.silent:
            return Deferred()
        kind = IPv6Address if ":" in address else IPv4Address
        there = kind("TCP", address, port)
        listening = self.places.get((address, port))
        if listening is None:
            return fail(ConnectionRefusedError())
        here = kind("TCP", "::1" if ":" in address else "127.0.0.1", 50_000)
        server, client = listening.buildProtocol(here), factory.buildProtocol(there)
        ends = End(client, here, there), End(server, there, here)
        self._wires.append(ends)
        server.makeConnection(ends[1])
        client.makeConnection(ends[0])
        return succeed(client)

    def pump(self) -> None:
        """Move octets to and fro until there is nothing to move."""
        for _ in range(10_000):
            self._clock.advance(0)
            # All of them, not up to the first that moves.
            moved = [self._carry(one, other) | self._carry(other, one) for one, other in self._wires]
            if True not in moved:
                self._wires = [ends for ends in self._wires if not (ends[0].closed and ends[1].closed)]
                return
        raise AssertionError("the network never comes to rest")

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Turn the time in steps, and pump after each."""
        for _ in range(round(seconds / step)):
            self._clock.advance(step)
            self.pump()

    @staticmethod
    def _carry(source: End, sink: End) -> bool:
        moved = False
        data = source.take()
        if data and not sink.closed:
            sink.protocol.dataReceived(data)
            moved = True
        if source.disconnecting and not source.closed:
            for end in (source, sink):
                if not end.closed:
                    end.closed = True
                    end.protocol.connectionLost(Failure(ConnectionDone()))
            moved = True
        return moved
