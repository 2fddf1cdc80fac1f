"""Connections without TLS: how one ends, what it may cost, and who makes room for whom."""

from __future__ import annotations

from email.utils import formatdate
from itertools import count
from socket import create_connection
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import HostPort, PlainMode
from csipd.daemon.plain import PlainListener
from csipd.net.peer_log import PeerLog
from csipd.plain.answers import Signpost
from csipd.plain.protocol import CONNECTIONS, HEAD_BYTES, PlainConnection, PlainFactory
from tests.net.test_port import Reactor
from tests.plain.test_answers import BASE, DOCUMENT, asked
from tests.support.memory_tls import End
from tests.support.schema import NAMESPACE

HERE = IPv4Address("TCP", "192.0.2.1", 80)
NOW = 1_767_225_600
GET = asked("GET", "/dcap")
CLIENT_HELLO = bytes.fromhex("160301020001000 1fc0303".replace(" ", "")) + bytes(range(256)) * 2

_ports = count(50_000)


class Socket(End):
    """One that can be closed for writing alone, and is, once it is aborted, closed."""

    half_closed = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    @property
    def written(self) -> bytes:
        return b"".join(self.out)


class PlainCase(SynchronousTestCase):
    """A factory and its connections."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.make(PlainMode.DCAP)

    def make(self, mode: PlainMode, **how: Any) -> None:
        self.peer_log = PeerLog(self.clock)
        self.factory = PlainFactory(
            Signpost(mode, BASE, "/dcap"), clock=self.clock, now=lambda: NOW, peer_log=self.peer_log, **how
        )

    def connect(self, host: str = "198.51.100.7") -> Socket | None:
        peer = IPv4Address("TCP", host, next(_ports))
        protocol = self.factory.buildProtocol(peer)
        if protocol is None:
            return None
        socket = Socket(protocol, HERE, peer)
        protocol.makeConnection(socket)
        return socket

    def connected(self, host: str = "198.51.100.7") -> Socket:
        socket = self.connect(host)
        assert socket is not None
        return socket

    def say(self, *pieces: bytes) -> Socket:
        """A connection on which this is received."""
        socket = self.connected()
        for piece in pieces:
            socket.protocol.dataReceived(piece)
        return socket

    def hang_up(self, socket: Socket) -> None:
        socket.protocol.connectionLost()

    def reap(self, *sockets: Socket) -> None:
        """Tell those whose socket was aborted, as the reactor does a moment later."""
        for socket in sockets:
            if socket.aborted and not socket.closed:
                socket.closed = True
                socket.protocol.connectionLost()

    def status(self, socket: Socket) -> int:
        return int(socket.written.split(b" ", 2)[1])

    def assert_refused(self, status: int, socket: Socket) -> None:
        head, _, body = socket.written.partition(b"\r\n\r\n")
        self.assertEqual(self.status(socket), status)
        self.assertIn(b"\r\nConnection: close", head)
        self.assertIn(b"\r\nContent-Length: %d" % len(body), head)
        self.assertEqual(etree.fromstring(body).tag, f"{{{NAMESPACE}}}Error")
        self.assertTrue(socket.half_closed)


class AnswerTests(PlainCase):
    """What leaves."""

    def test_octets(self) -> None:
        """One answer, whole, in one write, and the end of the connection with it."""
        socket = self.say(GET)
        self.assertEqual(
            socket.out,
            [
                b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Type: application/sep+xml\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n%b"
                % (formatdate(NOW, usegmt=True).encode(), len(DOCUMENT), DOCUMENT)
            ],
        )
        self.assertTrue(socket.half_closed)

    def test_head(self) -> None:
        """A HEAD gets the same head and nothing behind it."""
        got, head = (self.say(asked(method, "/dcap")).written for method in ("GET", "HEAD"))
        self.assertEqual(head, got.removesuffix(DOCUMENT))

    def test_refused_head(self) -> None:
        """Nothing stands behind the head of the answer to a HEAD that is refused, either."""
        for malformed, status in (
            (b"HEAD /dcap HTTP/1.1\r\n\r\n", 400),
            (b"HEAD /dcap\0", 400),
            (b"HEAD http:///dcap HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"\r\nHEAD /tm HTTP/3.0\r\nHost: a\r\n\r\n", 505),
            (b"HEAD /" + b"a" * HEAD_BYTES, 414),
            (b"HEAD /dcap HTTP/1.1\r\nA: " + b"a" * HEAD_BYTES, 400),
        ):
            head, got = (self.say(one) for one in (malformed, malformed.replace(b"HEAD", b"GET")))
            self.assertEqual(self.status(head), status)
            self.assertEqual(head.written, got.written.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            self.assert_refused(status, got)

    def test_empty_line_first(self) -> None:
        """One empty line in front of a request is let pass (RFC 9112 2.2), wherever it is cut."""
        for pieces in ((b"\r\n" + GET,), (b"\r\n", GET), (b"\r", b"\n" + GET), (b"\r", b"\n", GET)):
            self.assertTrue(self.say(*pieces).written.endswith(DOCUMENT))
        self.assertEqual(self.say(b"\r").out, [])

    def test_redirect(self) -> None:
        """A redirect has no body, and says so."""
        self.make(PlainMode.REDIRECT)
        said = self.say(GET).written
        self.assertIn(b" 301 Moved Permanently\r\n", said)
        self.assertIn(b"\r\nLocation: %b/dcap\r\nContent-Length: 0\r\n" % BASE.encode(), said)
        self.assertTrue(said.endswith(b"\r\n\r\n"))

    @given(st.lists(st.integers(0, len(GET)), max_size=8).map(sorted))
    def test_cut(self, cuts: list[int]) -> None:
        """Wherever a head is cut, the answer is the same."""
        ends = zip([0, *cuts], [*cuts, len(GET)], strict=True)
        socket = self.say(*(piece for start, end in ends if (piece := GET[start:end])))
        self.assertTrue(socket.written.endswith(DOCUMENT))
        self.hang_up(socket)

    def test_octet_by_octet(self) -> None:
        """So is what comes an octet at a time."""
        self.assertTrue(self.say(*(bytes([octet]) for octet in GET)).written.endswith(DOCUMENT))

    def test_behind(self) -> None:
        """What stands behind a request is not looked at: no other request, no body, however framed."""
        smuggled = asked("GET", "/tm")
        for behind in (smuggled, GET, b"5\r\nhello\r\n0\r\n\r\n", b"\0" * 100, CLIENT_HELLO):
            for pieces in ((GET + behind,), (GET, behind), (GET[:-1], GET[-1:] + behind, behind)):
                socket = self.say(*pieces)
                self.assertEqual(len(socket.out), 1)
                self.assertTrue(socket.written.endswith(DOCUMENT))
        post = asked("POST", "/dcap", f"Content-Length: {len(smuggled)}")
        self.assert_refused(405, self.say(post + smuggled))

    @given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
    def test_anything(self, pieces: list[bytes]) -> None:
        """Whatever comes makes one answer or none, and no failure."""
        socket = self.say(*pieces)
        self.assertLessEqual(len(socket.out), 1)
        self.assertEqual(bool(socket.out), socket.half_closed)
        self.hang_up(socket)


class HostileTests(PlainCase):
    """What is no request, or never becomes one."""

    def test_not_http(self) -> None:
        """TLS, NULs, half line ends and binary are refused at once, before a head's end."""
        for data in (CLIENT_HELLO, b"\0", b"GET /dcap HTTP/1.1\nHost: a\n\n", b"GET /dcap\0", b"GET \r/dcap"):
            for pieces in ((data,), tuple(bytes([octet]) for octet in data)):
                self.assert_refused(400, self.say(*pieces))
        for data in (b"\r\n\r\n", b"\r\rGET", b" GET", b"\x80", b"{}", b"<?xml"):
            self.assert_refused(400, self.say(data))

    def test_large(self) -> None:
        """A head beyond the bound is refused when it has come so far, whole or by octets."""
        line = b"GET /dcap HTTP/1.1\r\nHost: a\r\nX: "
        for head, status in ((line, 400), (b"GET /", 414)):
            socket = self.say(head, b"x" * (HEAD_BYTES - len(head) - 1))
            self.assertEqual(socket.out, [])
            socket.protocol.dataReceived(b"x")
            self.assert_refused(status, socket)
            self.assert_refused(status, self.say(head + b"x" * 1_000_000 + b"\r\n\r\n"))
        fits = line + b"x" * (HEAD_BYTES - len(line) - 4) + b"\r\n\r\n"
        self.assertEqual(self.status(self.say(fits)), 200)
        self.assert_refused(400, self.say(line + b"x" * (HEAD_BYTES - len(line) - 3) + b"\r\n\r\n"))

    def test_slow(self) -> None:
        """A head that is not there in five seconds is waited for no longer, however it trickles in."""
        socket = self.connected()
        for octet in GET[:8]:
            socket.protocol.dataReceived(bytes([octet]))
            self.clock.advance(0.6)
        self.assertFalse(socket.aborted)
        self.clock.advance(1.2)
        self.assertEqual((socket.aborted, socket.out), (True, []))

    def test_silent(self) -> None:
        """So is one who says nothing."""
        socket = self.connected()
        self.clock.pump([1] * 6)
        self.assertTrue(socket.aborted)

    def test_never_closes(self) -> None:
        """Who has its answer and does not close is cut off; what it sends is not taken in for ever."""
        socket = self.say(GET)
        for _ in range(5):
            socket.protocol.dataReceived(b"x" * 16_384)
        self.assertFalse(socket.reading)
        self.clock.pump([1] * 3)
        self.assertTrue(socket.aborted)

    def test_debug(self) -> None:
        """Where each answer is logged, what a peer sent is neither a line of its own nor a terminal's."""
        self.make(PlainMode.DCAP, log_requests=True)
        said: list[str] = []
        observer = said.append
        self.patch(PlainFactory, "_log", Logger(observer=lambda event: observer(formatEvent(event))))
        self.say(GET)
        self.say(b"GET /\x1b[31m HTTP/2.0\r\nHost: \x1b\r\n\r\n")
        self.assertEqual(
            said,
            [
                "198.51.100.7 without TLS: GET /dcap HTTP/1.1 200",
                "198.51.100.7 without TLS: GET /\\x1b[31m HTTP/2.0 505",
            ],
        )

    def test_logged(self) -> None:
        """What is no request makes a line, one a minute for each peer."""
        for _ in range(50):
            self.hang_up(self.say(b"\0"))
        self.assertEqual(self.peer_log.size, 1)


class BoundTests(PlainCase):
    """How many there are."""

    def all_that_come(self, number: int, hosts: int) -> list[Socket]:
        """So many connections that say nothing, from so many addresses, and those that were let in."""
        found = []
        for each in range(number):
            socket = self.connect(f"10.{each % hosts >> 8}.{each % hosts & 255}.1")
            if socket is not None:
                found.append(socket)
            if each % 64 == 63:
                self.reap(*found)
                self.assertLessEqual(len(self.factory.connections), CONNECTIONS)
        return found

    def test_ten_thousand(self) -> None:
        """Ten thousand silent connections have a bounded number of places; who asks next is answered."""
        for hosts in (1, 50, 10_000):
            found = self.all_that_come(10_000, hosts)
            asker = self.say(GET)
            self.assertTrue(asker.written.endswith(DOCUMENT), hosts)
            for _ in range(8):
                self.clock.advance(1)
                self.reap(asker, *found)
            self.assertEqual(len(self.factory.connections), 0)
            self.clock.advance(60)

    def test_a_turn(self) -> None:
        """Who floods this port takes a short piece of each turn of the reactor from devices."""
        reactor = Reactor()
        listener = PlainListener(HostPort("127.0.0.1", 0), self.factory, reactor, self.peer_log, 100)
        listener.privilegedStartService()
        port: Any = listener._port
        self.addCleanup(port.connectionLost, None)
        clients = [create_connection(("127.0.0.1", port.getHost().port), 10) for _ in range(40)]
        for each in clients:
            self.addCleanup(each.close)
        turns = []
        while (before := len(self.factory.connections)) < len(clients) and len(turns) < 100:
            port.doRead()
            turns.append(len(self.factory.connections) - before)
        self.assertEqual(sum(turns), len(clients))
        self.assertLessEqual(max(turns), 8)
        self.factory.connections.drain()
        reactor.advance(1)
        self.assertEqual(len(self.factory.connections), 0)

    def test_rate(self) -> None:
        """One address begins so many in a second and no more; another one is let in."""
        taken = 0
        for _ in range(3000):
            socket = self.connect("203.0.113.1")
            if socket is not None:
                taken += 1
                self.hang_up(socket)
        self.assertLess(taken, 1200)
        self.assertIsNotNone(self.connect("203.0.113.2"))

    def test_drained(self) -> None:
        """When the daemon stops they are closed."""
        sockets = [self.connected(), self.say(GET)]
        gone: list[Any] = []
        self.factory.connections.drain().addCallback(gone.append)
        self.assertEqual(gone, [])
        self.reap(*sockets)
        self.assertEqual(gone, [None])
        self.assertIsInstance(sockets[0].protocol, PlainConnection)
