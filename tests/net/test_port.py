"""The listening socket and what it accepts, over the loopback interface."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.port import Connection, Port, listen


class Talk(Protocol):
    """Keeps what it is given, and its end."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class Reactor(Clock):
    """Notes who waits for what; nothing happens but what a test calls."""

    def __init__(self) -> None:
        super().__init__()
        self.reading: set[Any] = set()
        self.writing: set[Any] = set()
        self.addReader = self.reading.add
        self.addWriter = self.writing.add
        self.removeReader = self.reading.discard
        self.removeWriter = self.writing.discard


class Sent:
    """A socket whose `send` is scripted: how much it takes, or an error. `sent` is what it took."""

    def __init__(self, real: socket.socket, *script: int | OSError) -> None:
        self._real = real
        self._script = list(script)
        self.sent = b""
        self.calls = 0

    def send(self, data: bytes) -> int:
        self.calls += 1
        taken = self._script.pop(0) if self._script else len(data)
        if isinstance(taken, OSError):
            raise taken
        self.sent += bytes(data[:taken])
        return min(taken, len(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class PortCase(SynchronousTestCase):
    """A port and its connections."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.protocols: list[Talk] = []

        def build() -> Talk:
            self.protocols.append(Talk())
            return self.protocols[-1]

        self.port: Any = listen(self.reactor, 0, Factory.forProtocol(build), backlog=7, interface="127.0.0.1")
        self.addCleanup(self.port.connectionLost, None)

    def accept(self) -> tuple[Any, socket.socket]:
        """A connection, and its client's socket."""
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        client.settimeout(10)
        self.addCleanup(client.close)
        self.port.doRead()
        made: Any = self.protocols[-1].transport

        def close() -> None:
            if not made.disconnected:
                made.connectionLost(connectionDone)

        self.addCleanup(close)
        return made, client

    def scripted(self, made: Any, *script: int | OSError) -> Sent:
        sent = Sent(made.socket, *script)
        made.socket = sent
        return sent


class Gate:
    """Lets in as many as it is told."""

    def __init__(self) -> None:
        self.free = 0
        self.waiting: list[Callable[[], None]] = []

    def room(self, wanted: int) -> int:
        return min(self.free, wanted)

    def when_room(self, call: Callable[[], None]) -> None:
        self.waiting.append(call)


class GateTests(PortCase):
    """How many come in."""

    def setUp(self) -> None:
        super().setUp()
        self.port.gate = self.gate = Gate()
        for _ in range(5):
            client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
            self.addCleanup(client.close)
        self.addCleanup(self.cut)

    def cut(self) -> None:
        for each in self.protocols:
            each.transport.connectionLost(connectionDone)  # type: ignore[attr-defined]

    def test_waits(self) -> None:
        """Where there is no room the port is not read, until there is; they come in as there is room."""
        self.port.doRead()
        self.assertEqual((len(self.protocols), self.port in self.reactor.reading), (0, False))
        self.gate.free = 2
        (go_on,) = self.gate.waiting
        go_on()
        self.assertIn(self.port, self.reactor.reading)
        for expected in (2, 4, 5):
            self.port.doRead()
            self.assertEqual(len(self.protocols), expected)

    def test_closed_meanwhile(self) -> None:
        """A port that was closed while it waited stays closed."""
        self.port.doRead()
        self.port.loseConnection()
        self.gate.waiting[0]()
        self.assertNotIn(self.port, self.reactor.reading)

    def test_unread(self) -> None:
        """Whether a peer has sent something, or has left, without reading it."""
        self.gate.free = 1
        client = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        self.addCleanup(client.close)
        for _ in range(6):
            self.port.doRead()
        made: Any = self.protocols[-1].transport
        self.assertFalse(made.has_unread())
        client.sendall(b"x")
        self.assertTrue(made.has_unread())
        made.doRead()
        self.assertEqual((self.protocols[-1].received, made.has_unread()), (b"x", False))
        client.close()
        self.assertTrue(made.has_unread())


class AcceptTests(PortCase):
    """Who comes in."""

    def test_class(self) -> None:
        """Twisted's port makes its connections by ``transport`` (26.10)."""
        made, client = self.accept()
        self.assertIs(type(made), Connection)
        self.assertEqual((made.getPeer().host, made.getPeer().port), client.getsockname())
        self.assertIs(made.getPeer(), made.getPeer())
        self.assertEqual(made.getHost(), self.port.getHost())
        self.assertIn(made, self.reactor.reading)
        self.assertIn("127.0.0.1", made.logPrefix())
        self.assertIn("127.0.0.1", repr(made))

    def test_like_twisteds(self) -> None:
        """A connection is what Twisted's ``Server.__init__`` makes, but for two strings (26.10)."""
        made, _ = self.accept()
        made.stopReading()
        other: Any = Server(socket.socket(), Talk(), made.client, self.port, 0, self.reactor)  # type: ignore[arg-type]
        self.addCleanup(other.socket.close)
        ours, theirs = vars(made), vars(other)
        self.assertEqual(set(theirs) - set(ours), {"logstr", "repstr"})
        for name in set(ours) & set(theirs) - {"socket", "fileno", "protocol", "sessionno"}:
            self.assertEqual(ours[name], theirs[name], name)

    def test_options(self) -> None:
        """A connection has the listening socket's options: kept alive, nothing delayed (decision 36)."""
        made, _ = self.accept()
        for level, option, value in (
            (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
            (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
            (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 120),
            (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 30),
            (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
        ):
            self.assertEqual(made.socket.getsockopt(level, getattr(socket, option)), value, option)

    def test_six(self) -> None:
        """IPv6 as well."""
        try:
            port: Any = listen(self.reactor, 0, self.port.factory, backlog=5, interface="::1")
        except OSError:
            self.skipTest("no IPv6 here")
        self.addCleanup(port.connectionLost, None)
        with socket.create_connection(("::1", port.getHost().port)) as client:
            port.doRead()
            made = self.protocols[-1].transport
            assert made is not None
            self.assertEqual(made.getPeer().host, client.getsockname()[0])
            made.connectionLost(connectionDone)  # type: ignore[attr-defined]

    def test_interface(self) -> None:
        """``listen`` takes what ``listenTCP`` takes."""
        self.assertIs(type(self.port), Port)
        self.assertEqual((self.port.interface, self.port.backlog), ("127.0.0.1", 7))
        self.assertIn(self.port, self.reactor.reading)


class WriteTests(PortCase):
    """What is sent at once, and what waits."""

    def test_at_once(self) -> None:
        """An answer is with the kernel when ``write`` returns, and nobody waits for room."""
        made, client = self.accept()
        made.write(b"answer")
        self.assertEqual(client.recv(100), b"answer")
        self.assertNotIn(made, self.reactor.writing)

    def test_parts(self) -> None:
        """What the kernel does not take waits for room; what follows waits behind it."""
        made, _ = self.accept()
        sent = self.scripted(made, 3)
        made.write(b"answer")
        made.write(b"more")
        self.assertEqual((sent.sent, sent.calls), (b"ans", 1))
        self.assertIn(made, self.reactor.writing)
        self.assertIsNone(made.doWrite())
        self.assertEqual(sent.sent, b"answermore")
        self.assertNotIn(made, self.reactor.writing)
        made.write(b"!")
        self.assertEqual(sent.sent, b"answermore!")

    def test_no_room(self) -> None:
        """A full buffer of the kernel is no error."""
        made, _ = self.accept()
        sent = self.scripted(made, BlockingIOError(11, "again"))
        made.write(b"answer")
        self.assertIsNone(made.doWrite())
        self.assertEqual(sent.sent, b"answer")

    def test_gone(self) -> None:
        """A peer that is gone is noticed in the loop, not in the middle of whoever writes."""
        made, _ = self.accept()
        self.scripted(made, ConnectionResetError(104, "reset"), BrokenPipeError(32, "pipe"))
        made.write(b"answer")
        self.assertIsNone(self.protocols[-1].lost)
        self.assertIn(made, self.reactor.writing)
        self.assertIsInstance(made.doWrite(), ConnectionLost)

    def test_slow_reader(self) -> None:
        """A large answer to a peer that reads slowly arrives whole, and its producer waits meanwhile."""
        made, client = self.accept()
        asked: list[str] = []

        class Producer:
            def __getattr__(self, name: str) -> Callable[[], None]:
                return lambda: asked.append(name)

        made.registerProducer(Producer(), True)
        large = bytes(range(256)) * 40_000
        made.write(large)
        self.assertEqual(asked, ["pauseProducing"])
        found = b""
        while len(found) < len(large):
            found += client.recv(65_536)
            if made in self.reactor.writing:
                self.assertIsNone(made.doWrite())
        self.assertEqual(found, large)
        self.assertEqual(asked, ["pauseProducing", "resumeProducing"])
        made.unregisterProducer()

    def test_pull_producer(self) -> None:
        """A producer that is asked for each piece is asked when the one before is sent."""
        made, client = self.accept()
        pieces = [b"one", b"two"]

        class Producer:
            def resumeProducing(self) -> None:
                if pieces:
                    made.write(pieces.pop(0))
                else:
                    made.unregisterProducer()

            def stopProducing(self) -> None:
                """Not asked again."""

        made.registerProducer(Producer(), False)
        for _ in range(3):
            made.doWrite()
        self.assertEqual(client.recv(100), b"onetwo")

    def test_closing(self) -> None:
        """What was written leaves before the connection is closed."""
        made, client = self.accept()
        sent = self.scripted(made, 2)
        made.write(b"answer")
        made.loseConnection()
        self.assertIsNotNone(made.doWrite())
        self.assertEqual(sent.sent, b"answer")
        made.connectionLost(connectionDone)
        self.assertEqual(client.recv(100), b"")

    def test_aborted(self) -> None:
        """Nothing is written behind an abort, and the peer is told by a reset."""
        made, client = self.accept()
        made.abortConnection()
        made.write(b"late")
        self.reactor.advance(0)
        lost = self.protocols[-1].lost
        assert lost is not None
        self.assertIs(lost.type, ConnectionAborted)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            found = client.recv(100)
        self.assertEqual(found, b"")
        made.write(b"later still")
