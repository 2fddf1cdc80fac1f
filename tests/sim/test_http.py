"""The simulator's HTTP client: what it takes for an answer, and what it does about connections."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from csipd.sim.counts import Counts
from csipd.sim.http import BODY_LIMIT, HEAD_LIMIT, TIMEOUT, Answer, HTTPClient, Unanswered

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/sep+xml\r\nContent-Length: 5\r\n\r\n<a/>\n"


@implementer(IStreamClientEndpoint)
class Server:
    """Takes connections, whose protocols and transports it keeps."""

    def __init__(self) -> None:
        self.taken: list[tuple[Any, StringTransport]] = []
        self.refuses = False
        self.shakes_hands = True

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        protocol, transport = protocolFactory.buildProtocol(None), StringTransport()
        protocol.makeConnection(transport)
        self.taken.append((protocol, transport))
        if self.shakes_hands:
            protocol.handshakeCompleted()
        return succeed(protocol)

    def say(self, data: bytes) -> None:
        """Answer on the last connection."""
        self.taken[-1][0].dataReceived(data)

    def hang_up(self) -> None:
        """Close the last connection."""
        self.taken[-1][0].connectionLost(Failure(ConnectionDone()))

    @property
    def heard(self) -> bytes:
        """What came on the last connection since it was asked last."""
        transport = self.taken[-1][1]
        heard = transport.value()
        transport.clear()
        return heard


class ClientCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server()
        self.counts = Counts()
        self.client = HTTPClient(self.server, self.clock, "server:1", self.counts)

    def ask(self, method: str = "GET", path: str = "/dcap", body: bytes | None = None) -> Deferred[Answer]:
        return Deferred.fromCoroutine(self.client.request(method, path, body))

    def reason(self, asked: Deferred[Answer]) -> str:
        """Why there is no answer."""
        return str(self.failureResultOf(asked, Unanswered).value)


class AnswerTests(ClientCase):
    """What is an answer, and what is none."""

    def test_requests(self) -> None:
        """A GET and a POST as they stand on the wire."""
        self.ask()
        self.assertEqual(
            self.server.heard,
            b"GET /dcap HTTP/1.1\r\nHost: server:1\r\nAccept: application/sep+xml\r\n\r\n",
        )
        self.server.say(GOOD)
        self.ask("POST", "/mup", b"<x/>")
        self.assertIn(
            b"Content-Type: application/sep+xml\r\nContent-Length: 4\r\n\r\n<x/>", self.server.heard
        )

    def test_answers_in_any_pieces(self) -> None:
        """An answer is the same wherever its octets are cut, and what comes before it is passed over."""
        whole = b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD
        for cut in range(1, len(whole)):
            asked = self.ask()
            self.server.say(whole[:cut])
            self.assertNoResult(asked)
            self.server.say(whole[cut:])
            self.assertEqual(self.successResultOf(asked).body, b"<a/>\n")
        self.assertEqual(len(self.server.taken), 1)

    def test_without_a_body(self) -> None:
        """204 has none, and 201 says where."""
        asked = self.ask("PUT", "/x", b"")
        self.server.say(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual(self.successResultOf(asked).status, 204)
        asked = self.ask("POST", "/x", b"")
        self.server.say(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nLocation: /x/1\r\n\r\n")
        self.assertEqual(self.successResultOf(asked).location, "/x/1")

    def test_what_is_none(self) -> None:
        """Each of these ends the connection, with its reason."""
        for data, reason in (
            (b"HTTP/1.0 200 OK\r\n\r\n", "an answer that is no HTTP/1.1"),
            (b"nonsense\r\n\r\n", "an answer that is no HTTP/1.1"),
            (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "a header that cannot be read"),
            (b"HTTP/1.1 200 OK\r\n\r\n", "an answer without a length"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "an answer without a length"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                "two headers content-length",
            ),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "an answer in pieces (Transfer-Encoding)",
            ),
            (b"HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n", "a body with status 204"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Type: text/html\r\n\r\n",
                "a body that is no document of the standard",
            ),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_LIMIT + 1),
                "an answer that is too long",
            ),
            (b"x" * (HEAD_LIMIT + 1), "a head that does not end"),
            (GOOD + b"more", "more octets than the answer has"),
        ):
            asked = self.ask()
            self.server.say(data)
            self.assertEqual(self.reason(asked), reason)
            self.assertTrue(self.server.taken[-1][1].disconnected or self.server.taken[-1][1].disconnecting)

    def test_octets_that_nobody_asked_for(self) -> None:
        """They end the connection; the next request goes out on another."""
        asked = self.ask()
        self.server.say(GOOD)
        self.successResultOf(asked)
        self.server.say(b"x")
        self.ask()
        self.assertEqual(len(self.server.taken), 2)


class ConnectionTests(ClientCase):
    """Connections: kept, lost, refused."""

    def test_requests_go_one_after_the_other(self) -> None:
        """The second waits for the first one's answer, on the same connection."""
        first, second = self.ask(path="/1"), self.ask(path="/2")
        self.assertIn(b"/1 ", self.server.heard)
        self.assertEqual(self.server.heard, b"")
        self.server.say(GOOD)
        self.successResultOf(first)
        self.assertIn(b"/2 ", self.server.heard)
        self.server.say(GOOD)
        self.successResultOf(second)
        self.assertEqual(self.counts.connections, 1)

    def test_a_kept_connection_that_was_closed(self) -> None:
        """What was asked on it is asked again, once, on a new one."""
        self.ask()
        self.server.say(GOOD)
        for method in ("GET", "PUT", "POST"):
            asked = self.ask(method, body=None if method == "GET" else b"")
            before = len(self.server.taken)
            self.server.hang_up()
            self.assertEqual(len(self.server.taken), before + 1)
            self.server.say(GOOD)
            self.successResultOf(asked)

    def test_a_new_connection_that_is_closed(self) -> None:
        """It is not tried again at once, or two would keep each other busy for ever."""
        asked = self.ask()
        self.server.hang_up()
        self.assertEqual(self.reason(asked), "closed")
        self.assertEqual(len(self.server.taken), 1)

    def test_half_an_answer(self) -> None:
        """A connection that is lost within an answer leaves none."""
        asked = self.ask()
        self.server.say(GOOD[:-1])
        self.server.hang_up()
        self.assertEqual(self.reason(asked), "closed")

    def test_close(self) -> None:
        """The server's `Connection: close` is heeded."""
        asked = self.ask()
        self.server.say(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.successResultOf(asked)
        self.ask()
        self.assertEqual(len(self.server.taken), 2)

    def test_nobody_there(self) -> None:
        """A refused connection is told of, and counted."""
        self.server.refuses = True
        self.assertEqual(self.reason(self.ask()), "no connection: ConnectionRefusedError")
        self.assertEqual((self.counts.connections, self.counts.failed_connections), (0, 1))

    def test_deadlines(self) -> None:
        """Neither a handshake nor an answer is waited for without end; then there is another connection."""
        self.server.shakes_hands = False
        asked = self.ask()
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.reason(asked), "no connection in time")
        self.server.shakes_hands = True
        asked = self.ask()
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.reason(asked), "no answer in time")
        asked = self.ask()
        self.server.say(GOOD)
        self.successResultOf(asked)
        self.assertEqual(len(self.server.taken), 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_for_good(self) -> None:
        """Who is closed opens nothing more."""
        self.client.close()
        self.assertEqual(self.reason(self.ask()), "closed")
        self.assertEqual(self.server.taken, [])
