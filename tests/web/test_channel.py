"""What a connection lets through, refuses, cuts off and answers by the fast path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from csipd import refusals
from csipd.net.identity import Identity
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import Quotas
from csipd.web.answers import Answer as MadeAnswer
from csipd.web.endpoint import Ask
from csipd.web.errors import METHODS, error, error_document, method_not_allowed, refused
from csipd.web.server import Request, Site
from tests.support.client import Answer, Client
from tests.support.memory_tls import SERVER, Wire
from tests.support.world import BOUNDLESS

DEVICE = Identity(
    lfdi="3E4F45AB31EDFE5B67E343E5E4562E31984E23E5", sfdi=167261211391, not_after=None, fingerprint=""
)
NOW = 1_767_225_600.0
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
INVALID = error_document(0)
FULL = error_document(2)
HEAD = b"Host: localhost\r\n\r\n"


class App(Resource):
    """Answers with what was asked, or as the path says; keeps the requests that wait."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Request] = []
        self.waiting: list[Request] = []

    def render(self, request: Request) -> Any:
        self.seen.append(request)
        if request.withheld is not None:
            return request.take(error(413, 2))
        if request.path == b"/slow":
            self.waiting.append(request)
            return NOT_DONE_YET
        if request.path == b"/broken":
            raise RuntimeError("a secret of the server")
        if request.path == b"/pieces":
            for piece in (b"one ", b"two ", b"three"):
                request.write(piece)
            request.finish()
            return NOT_DONE_YET
        if request.path == b"/empty":
            request.setResponseCode(204)
            return b""
        if request.path.startswith(b"/big/"):
            return b"x" * int(request.path[5:])
        if request.method not in (b"GET", b"HEAD", b"POST", b"PUT"):
            known = request.method in METHODS
            return request.take(method_not_allowed(("GET", "HEAD")) if known else error(501))
        return b"%s %s %s" % (request.method, request.uri, request.content.read())

    def finish(self) -> None:
        """Answer the request that waits longest."""
        request = self.waiting.pop(0)
        request.write(b"slow")
        request.finish()


class ChannelCase(SynchronousTestCase):
    """A site in memory, without TLS: the caller is known from the start."""

    limits = ConnectionLimits()

    def setUp(self) -> None:
        self.clock = Clock()
        self.app = App()
        self.site = self.make_site()
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def make_site(self, **more: Any) -> Site:
        arguments: dict[str, Any] = {
            "clock": self.clock,
            "now": lambda: NOW,
            "limits": self.limits,
            "identify": lambda transport: DEVICE,
            "quotas": BOUNDLESS,
        }
        return Site(self.app, **(arguments | more))

    def wire(self) -> Wire:
        return Wire.plain(self.site, self.clock)

    def lines(self) -> str:
        return "\n".join(str(format_event(event)) for event in self.events)

    def raw(self, data: bytes, **how: Any) -> tuple[Wire, Answer]:
        """What one request gets for an answer, on a connection of its own."""
        wire = self.wire()
        (answer,) = wire.results(wire.client.raw(data, **how))
        return wire, answer

    def assertRefused(self, data: bytes, status: int, body: bytes = INVALID) -> Answer:
        """`data` is answered with an Error, nothing reaches the application and the connection closes."""
        before = len(self.app.seen)
        wire, answer = self.raw(data)
        self.assertEqual((answer.status, answer.body), (status, body), answer)
        self.assertEqual(
            answer.headers,
            {
                "date": DATE,
                "content-type": "application/sep+xml",
                "content-length": str(len(body)),
                "connection": "close",
            },
        )
        self.assertTrue(wire.closed)
        self.assertEqual(wire.client.leftovers(), b"")
        # What is too large is for the application to refuse, which knows what comes first.
        self.assertEqual(len(self.app.seen), before + (status == 413))
        return answer

    def assertAnswered(self, data: bytes, body: bytes) -> Answer:
        """`data` is good and the application gives `body`."""
        _, answer = self.raw(data)
        self.assertEqual((answer.status, answer.body), (200, body), answer)
        return answer


class AnswerTests(ChannelCase):
    """What every answer has."""

    def test_headers(self) -> None:
        """An answer has its date and length, and nothing about the program that made it."""
        wire = self.wire()
        answer = wire.result(wire.client.get("/dcap"))
        self.assertEqual((answer.status, answer.body), (200, b"GET /dcap "))
        self.assertEqual(answer.headers, {"date": DATE, "content-length": "10"})

    def test_pieces(self) -> None:
        """An answer that is written in pieces leaves whole, with its length, never chunked."""
        wire = self.wire()
        answer = wire.result(wire.client.get("/pieces"))
        self.assertEqual((answer.headers["content-length"], answer.body), ("13", b"one two three"))

    def test_head(self) -> None:
        """HEAD has the headers of GET and no body, and the connection goes on."""
        wire = self.wire()
        for path in ("/dcap", "/pieces", "/big/1000"):
            head = wire.result(wire.client.head(path))
            get = wire.result(wire.client.get(path))
            length = {"/dcap": 11}.get(path, int(get.headers["content-length"]))
            self.assertEqual(head.headers, get.headers | {"content-length": str(length)})
            self.assertEqual(head.body, b"")
        self.assertEqual(wire.client.leftovers(), b"")

    def test_no_content(self) -> None:
        """204 has neither body nor length, and the connection goes on."""
        wire = self.wire()
        for answer in wire.results([wire.client.put("/empty", b"<a/>"), wire.client.get("/empty")]):
            self.assertEqual((answer.status, answer.headers), (204, {"date": DATE}))

    def test_length_of_its_own(self) -> None:
        """An application that states a length may write as it goes."""
        wire = self.wire()
        asked = wire.client.get("/slow")
        wire.pump()
        (request,) = self.app.waiting
        request.setHeader(b"Content-Length", b"6")
        request.write(b"abc")
        wire.pump()
        self.assertTrue(wire.client.received.endswith(b"\r\n\r\nabc"))
        request.write(b"def")
        request.finish()
        self.assertEqual(wire.result(asked).body, b"abcdef")

    def test_methods(self) -> None:
        """A method that is not taken is 405 with Allow; one that HTTP does not know is 501."""
        wire = self.wire()
        answer = wire.result(wire.client.delete("/dcap"))
        self.assertEqual((answer.status, answer.headers["allow"], answer.body), (405, "GET, HEAD", INVALID))
        answer = wire.result(wire.client.request("FOO", "/dcap"))
        self.assertEqual((answer.status, answer.body), (501, INVALID))
        self.assertNotIn("allow", answer.headers)

    def test_failure(self) -> None:
        """An application that fails answers an Error; the log has the incident, the client nothing of it."""
        wire = self.wire()
        answer = wire.result(wire.client.get("/broken"))
        self.assertEqual((answer.status, answer.body), (500, error_document(2, 60)))
        self.assertEqual(answer.headers["content-type"], "application/sep+xml")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertRegex(self.lines(), r"incident [0-9a-f]{8}: .*/broken")
        self.assertEqual(wire.result(wire.client.get("/dcap")).status, 200)

    def test_failure_half_way(self) -> None:
        """A failure behind the first byte of an answer cuts the connection."""
        wire = self.wire()
        asked = wire.client.get("/slow")
        wire.pump()
        (request,) = self.app.waiting
        request.setHeader(b"Content-Length", b"6")
        request.write(b"abc")
        request.processingFailed(Failure(RuntimeError("half way")))
        wire.pump()
        self.failureResultOf(asked)
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_client_gone(self) -> None:
        """Answering a client that has gone does nothing, and whoever waits for it hears of it."""
        wire = self.wire()
        wire.client.get("/slow").addErrback(lambda _: None)
        wire.pump()
        gone = self.app.waiting[0].notifyFinish()
        wire.hang_up()
        self.failureResultOf(gone)
        self.app.finish()
        self.assertEqual(len(self.site.connections), 0)

    def test_refusals(self) -> None:
        """Each refusal of the layers below has a status, a reason code and the headers that belong to it."""
        expected: list[tuple[refusals.Refusal, int, bytes, dict[str, str]]] = [
            (refusals.NotFound("secret"), 404, error_document(1), {}),
            (refusals.NotAllowed(("GET", "HEAD")), 405, error_document(0), {"allow": "GET, HEAD"}),
            (refusals.Forbidden("secret"), 403, error_document(1), {}),
            (refusals.Duplicate("/edev/1"), 409, error_document(1), {"location": "/edev/1"}),
            (refusals.Conflict("secret"), 409, error_document(1), {}),
            (refusals.BadRequest("secret"), 400, error_document(1), {}),
            (refusals.WrongMediaType("secret"), 415, error_document(0), {}),
            (refusals.TooLarge("secret"), 413, error_document(2), {}),
            (refusals.Full("secret"), 413, error_document(2), {}),
            (refusals.Unavailable("secret"), 503, error_document(2, 60), {}),
        ]
        self.assertEqual({type(each[0]) for each in expected}, set(refusals.Refusal.__subclasses__()))
        wire = self.wire()
        for refusal, status, body, headers in expected:
            asked = wire.client.get("/slow")
            wire.pump()
            request = self.app.waiting.pop()
            request.write(request.take(refused(refusal)))
            request.finish()
            answer = wire.result(asked)
            self.assertEqual((answer.status, answer.body), (status, body))
            self.assertLessEqual(headers.items(), answer.headers.items())

    def test_identity(self) -> None:
        """Every request of a connection knows its caller, who was asked for once."""
        asked: list[object] = []

        def identify(transport: object) -> Identity:
            asked.append(transport)
            return DEVICE

        self.site = self.make_site(identify=identify)
        wire = self.wire()
        wire.results([wire.client.get("/one"), wire.client.get("/two")])
        self.assertEqual([request.peer.identity for request in self.app.seen], [DEVICE, DEVICE])
        self.assertEqual(len(asked), 1)

    def test_unidentified(self) -> None:
        """A caller that cannot be identified is cut off, and nothing it sends is read."""

        def identify(transport: object) -> Identity:
            raise ValueError("no certificate")

        self.site = self.make_site(identify=identify)
        wire = self.wire()
        wire.client.get("/dcap").addErrback(lambda _: None)
        wire.pump()
        self.assertTrue(wire.closed)
        self.assertEqual((self.app.seen, wire.client.received), ([], b""))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_debug_line(self) -> None:
        """A request makes one line if that is wanted, and none as a rule."""
        self.raw(b"GET /quiet HTTP/1.1\r\n" + HEAD)
        self.assertNotIn("/quiet", self.lines())
        self.site = self.make_site(log_requests=True)
        self.raw(b"GET /loud HTTP/1.1\r\n" + HEAD)
        self.assertIn(f"{DEVICE.lfdi} GET /loud 200 10", self.lines().replace("b'", "").replace("'", ""))


class RequestTests(ChannelCase):
    """What is refused before it is routed, and what is not."""

    def test_host(self) -> None:
        """HTTP/1.1 needs one Host, no more and no less, and one that could be a host."""
        for head in (b"\r\n", b"Host: a\r\nHost: a\r\n\r\n", b"Host: a b\r\n\r\n", b"Host: a/b\r\n\r\n"):
            with self.subTest(head=head):
                self.assertRefused(b"GET /dcap HTTP/1.1\r\n" + head, 400)
        for host in (b"localhost", b"[::1]:443", b"192.0.2.1:8443", b"", b"a..b", b"x" * 300):
            with self.subTest(host=host):
                self.assertAnswered(b"GET /dcap HTTP/1.1\r\nHost: %s\r\n\r\n" % host, b"GET /dcap ")

    def test_uri_length(self) -> None:
        """Path and query may have 255 bytes together."""
        path = b"/" + b"a" * 244
        self.assertAnswered(b"GET %s?s=0&l=255 HTTP/1.1\r\n%s" % (path, HEAD), b"GET %s?s=0&l=255 " % path)
        self.assertRefused(b"GET %s?s=10&l=255 HTTP/1.1\r\n%s" % (path, HEAD), 414)

    def test_endless_uri(self) -> None:
        """A request line that never ends is refused once it is longer than a head may be."""
        self.assertRefused(b"GET /" + b"a" * 9000, 414)

    def test_uri_form(self) -> None:
        """The absolute form is taken for the path in it; anything else that is no path is refused."""
        for target, path in (
            (b"https://server/dcap", b"/dcap"),
            (b"HTTPS://server:443/edev?s=1", b"/edev?s=1"),
            (b"http://server", b"/"),
            (b"https://[::1]:443/dcap", b"/dcap"),
            (b"https://a@b:443/dcap", b"/dcap"),
            (b"https://server?s=1", b"/?s=1"),
            (b"//dcap", b"//dcap"),
        ):
            with self.subTest(target=target):
                self.assertAnswered(b"GET %s HTTP/1.1\r\n%s" % (target, HEAD), b"GET %s " % path)
        for target in (
            b"dcap",
            b"*",
            b"server:443",
            b"ftp://server/",
            b"http:///dcap",
            b"https://:443/dcap",
            b"https://a@/dcap",
            b"https://a@:443/dcap",
            b"https://a@b@c/dcap",
            b"https://",
            b"/a#b",
            b"/a\x01",
            b"/\x7f",
            b"/\xe9",
        ):
            with self.subTest(target=target):
                self.assertRefused(b"GET %s HTTP/1.1\r\n%s" % (target, HEAD), 400)

    def test_refused_head(self) -> None:
        """A HEAD that is refused is answered without a body, too."""
        for data, status in (
            (b"HEAD /dcap HTTP/1.1\r\n\r\n", 400),
            (b"HEAD dcap HTTP/1.1\r\n" + HEAD, 400),
            (b"HEAD /" + b"a" * 9000, 414),
            (b"HEAD /dcap HTTP/1.1\r\nA: " + b"b" * 9000, 400),
        ):
            wire = self.wire()
            sent = wire.client.raw(data, bodiless=True)
            (answer,) = wire.results(sent)
            self.assertEqual((answer.status, wire.client.received.partition(b"\r\n\r\n")[2]), (status, b""))

    def test_request_line(self) -> None:
        """A request line that is none is refused."""
        for line in (
            b"GET",
            b"GET /dcap",
            b"GET  /dcap HTTP/1.1",
            b"GET /dcap HTTP/1.1 ",
            b"G(T /dcap HTTP/1.1",
        ):
            with self.subTest(line=line):
                self.assertRefused(line + b"\r\n" + HEAD, 400)

    def test_version(self) -> None:
        """A version of HTTP that is not spoken here is 505; what is no version is 400."""
        for version, status in (
            (b"HTTP/2.0", 505),
            (b"HTTP/1.2", 505),
            (b"HTTP/0.9", 505),
            (b"http/1.1", 400),
        ):
            with self.subTest(version=version):
                self.assertRefused(b"GET /dcap %s\r\n%s" % (version, HEAD), status)

    def test_http_2_preface(self) -> None:
        """A client that assumes HTTP/2 is told so."""
        self.assertRefused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)

    def test_headers(self) -> None:
        """A header that is none is refused, wherever it stands."""
        for line in (b"no colon", b"na me: x", b"name : x", b": x", b"a: \x00", b" folded: x", b"a: b\nc: d"):
            for before, after in ((b"", b"Host: a\r\n"), (b"Host: a\r\n", b"")):
                with self.subTest(line=line, before=before):
                    self.assertRefused(b"GET /dcap HTTP/1.1\r\n%s%s\r\n%s\r\n" % (before, line, after), 400)

    def test_folded_header(self) -> None:
        """A header that goes on in the next line is refused."""
        self.assertRefused(b"GET /dcap HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400)

    def test_head_size(self) -> None:
        """A head may have 8 KiB, in one header or many."""
        self.assertAnswered(b"GET /dcap HTTP/1.1\r\nA: %s\r\n%s" % (b"b" * 8000, HEAD), b"GET /dcap ")
        self.assertRefused(b"GET /dcap HTTP/1.1\r\nA: %s\r\n%s" % (b"b" * 8200, HEAD), 400)
        self.assertRefused(b"GET /dcap HTTP/1.1\r\nA: %s" % (b"b" * 8200), 400)
        many = b"".join(b"A%d: %s\r\n" % (n, b"b" * 90) for n in range(90))
        self.assertRefused(b"GET /dcap HTTP/1.1\r\n" + many + HEAD, 400)

    def test_header_count(self) -> None:
        """A head may have a hundred headers."""
        lines = b"".join(b"A%d: b\r\n" % n for n in range(100))
        self.assertRefused(b"GET /dcap HTTP/1.1\r\n" + lines + HEAD, 400)

    def test_blank_line_first(self) -> None:
        """One blank line between requests is forgiven, as some clients send one; two are not."""
        self.assertAnswered(b"\r\nGET /dcap HTTP/1.1\r\n" + HEAD, b"GET /dcap ")
        self.assertRefused(b"\r\n\r\nGET /dcap HTTP/1.1\r\n" + HEAD, 400)

    def test_refusal_of_head(self) -> None:
        """A refusal to HEAD has no body either."""
        wire, answer = self.raw(b"HEAD /dcap HTTP/1.1\r\n\r\n", bodiless=True)
        self.assertEqual((answer.status, answer.headers["content-length"]), (400, str(len(INVALID))))
        self.assertEqual(wire.client.leftovers(), b"")

    def test_refusal_behind_head(self) -> None:
        """What stands behind a good HEAD and is refused has its body."""
        wire = self.wire()
        wire.result(wire.client.head("/dcap"))
        (answer,) = wire.results(wire.client.raw(b"nonsense\r\n\r\n"))
        self.assertEqual((answer.status, answer.body), (400, INVALID))

    @given(st.binary(min_size=1, max_size=200))
    def test_noise(self, noise: bytes) -> None:
        """Whatever bytes come, there is no exception, and no answer that a strict client cannot read."""
        assume(b"HEAD" not in noise)
        wire = self.wire()
        (answer,) = wire.client.raw(noise + b"\r\n\r\n\r\n\r\n")
        results: list[Any] = []
        answer.addBoth(results.append)
        wire.pump()
        wire.client.close()
        wire.pump()
        self.assertIsInstance(results[0], Answer)
        self.assertIn(results[0].status, (400, 414, 505))
        self.assertEqual(self.flushLoggedErrors(), [])


class BodyTests(ChannelCase):
    """Bodies: how they are measured, and how much of one is taken."""

    limits = ConnectionLimits(body_bytes=100)

    def post(self, headers: bytes, body: bytes) -> bytes:
        return b"POST /edev HTTP/1.1\r\nHost: a\r\n%s\r\n%s" % (headers, body)

    def test_length(self) -> None:
        """A body of the length it is said to have is taken, also with blanks behind the number."""
        for blanks in (b"", b"   ", b"\t"):
            self.assertAnswered(self.post(b"Content-Length: 5%s\r\n" % blanks, b"hello"), b"POST /edev hello")

    def test_no_body(self) -> None:
        """A POST that names no length has no body."""
        self.assertAnswered(self.post(b"", b""), b"POST /edev ")

    def test_no_length(self) -> None:
        """A length that is none, is doubled, or has more digits than there are bytes on earth is refused."""
        digits = b"9" * 5000
        for value in (b"x", b"-1", b"+5", b"5, 5", b"0x5", b"5 5", b"", digits, b"1\r\nContent-Length: 1"):
            with self.subTest(value=value[:10]):
                self.assertRefused(self.post(b"Content-Length: %s\r\n" % value, b""), 400)

    def test_too_long(self) -> None:
        """A body that is announced too long goes no further than its head, which is refused."""
        self.assertAnswered(self.post(b"Content-Length: 100\r\n", b"x" * 100), b"POST /edev " + b"x" * 100)
        self.assertRefused(self.post(b"Content-Length: 101\r\n", b""), 413, FULL)

    def test_chunked(self) -> None:
        """A chunked body is taken, with extensions and trailers, in whatever pieces it comes."""
        body = b"3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
        request = self.post(b"Transfer-Encoding: chunked\r\n", body)
        self.assertAnswered(request, b"POST /edev hello")
        wire = self.wire()
        for octet in request[:-1]:
            wire.client.send(bytes([octet]))
            wire.pump()
        (answer,) = wire.results(wire.client.raw(request[-1:]))
        self.assertEqual(answer.body, b"POST /edev hello")

    def test_chunked_too_long(self) -> None:
        """A chunked body is refused as soon as more of it came than there is room for."""
        chunks = b"32\r\n%s\r\n" % (b"x" * 50)
        request = self.post(b"Transfer-Encoding: chunked\r\n", b"")
        self.assertRefused(request + chunks * 3, 413, FULL)
        self.assertRefused(request + chunks * 3 + b"0\r\n\r\n", 413, FULL)
        self.assertAnswered(request + chunks * 2 + b"0\r\n\r\n", b"POST /edev " + b"x" * 100)

    def test_many_chunks(self) -> None:
        """A body in chunks of an octet each has fewer of them: their number is bounded, too (kind of F1)."""
        request = self.post(b"Transfer-Encoding: chunked\r\n", b"")
        few = b"1\r\nx\r\n" * 6
        self.assertAnswered(request + few + b"0\r\n\r\n", b"POST /edev xxxxxx")
        self.assertRefused(request + b"1\r\nx\r\n" * 7, 413, FULL)

    def test_chunked_badly(self) -> None:
        """Chunks that are none are refused."""
        for body in (b"zz\r\n", b"-1\r\n", b"3\r\nhello\r\n", b"3;\x00\r\nhel\r\n", b"1" * 2000):
            with self.subTest(body=body[:10]):
                self.assertRefused(self.post(b"Transfer-Encoding: chunked\r\n", body), 400)

    def test_two_lengths(self) -> None:
        """A request that could be measured in two ways is refused, as is any coding but chunked (F16)."""
        for headers in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: \r\n",
        ):
            with self.subTest(headers=headers):
                self.assertRefused(self.post(headers, b"0\r\n\r\n"), 400)

    def test_chunked_1_0(self) -> None:
        """HTTP/1.0 knows no chunks."""
        self.assertRefused(b"POST /edev HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)

    def test_expect(self) -> None:
        """A client that waits to be told to send its body is told so, once."""
        wire = self.wire()
        wire.client.send(self.post(b"Content-Length: 5\r\nExpect: 100-continue\r\n", b""))
        wire.pump()
        self.assertEqual(wire.client.received, b"HTTP/1.1 100 Continue\r\n\r\n")
        (answer,) = wire.results(wire.client.raw(b"hello"))
        self.assertEqual((answer.status, wire.client.interim), (200, 1))

    def test_expect_too_long(self) -> None:
        """A client that asks whether it may send too much is told that it may not."""
        request = self.post(b"Content-Length: 101\r\nExpect: 100-continue\r\n", b"")
        self.assertRefused(request, 413, FULL)

    def test_still_sending(self) -> None:
        """A client that goes on sending what was refused is not read, and not answered twice."""
        wire = self.wire()
        (answer,) = wire.client.raw(self.post(b"Content-Length: 101\r\n", b"x" * 101) * 3)
        self.assertEqual(wire.result(answer).status, 413)
        self.assertEqual((wire.client.leftovers(), len(self.app.seen)), (b"", 1))


class PersistenceTests(ChannelCase):
    """How long a connection lives, and in what order it is answered."""

    limits = ConnectionLimits(pipelined_bytes=1000, pipelined_requests=10)

    def test_keep_alive(self) -> None:
        """A connection stays open by itself."""
        wire = self.wire()
        for n in range(20):
            self.assertEqual(wire.result(wire.client.get(f"/{n}")).status, 200)
        self.assertFalse(wire.closed)

    def test_close(self) -> None:
        """A client that wants the connection closed gets its answer and is told so; nothing else is read."""
        for value in (b"close", b"Close", b"keep-alive, close", b"TE,close"):
            with self.subTest(value=value):
                wire, answer = self.raw(
                    b"GET /one HTTP/1.1\r\nConnection: %s\r\n%sGET /two HTTP/1.1\r\n%s" % (value, HEAD, HEAD)
                )
                self.assertEqual((answer.body, answer.headers["connection"]), (b"GET /one ", "close"))
                self.assertTrue(wire.closed)
                self.assertEqual(wire.client.leftovers(), b"")

    def test_close_by_application(self) -> None:
        """An application that answers with Connection: close has the connection closed."""
        wire = self.wire()
        asked = wire.client.raw(b"GET /slow HTTP/1.1\r\n%sGET /two HTTP/1.1\r\n%s" % (HEAD, HEAD))
        wire.pump()
        self.app.waiting[0].setHeader(b"Connection", b"close")
        self.app.finish()
        self.assertEqual(wire.results(asked)[0].headers["connection"], "close")
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.app.seen), 1)

    def test_1_0(self) -> None:
        """HTTP/1.0 needs no Host and gets one answer."""
        wire, answer = self.raw(b"GET /dcap HTTP/1.0\r\n\r\n")
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.assertTrue(wire.closed)

    def test_order(self) -> None:
        """Requests that come together are answered in their order, however long the first one takes."""
        wire = self.wire()
        asked = wire.client.raw(
            b"".join(
                b"GET %s HTTP/1.1\r\n%s" % (path, HEAD) for path in (b"/slow", b"/one", b"/slow", b"/two")
            ),
            answers=4,
        )
        wire.pump()
        self.assertEqual(len(self.app.seen), 1)
        self.app.finish()
        wire.pump()
        self.assertEqual(len(self.app.seen), 3)
        self.app.finish()
        self.assertEqual(
            [answer.body for answer in wire.results(asked)], [b"slow", b"GET /one ", b"slow", b"GET /two "]
        )

    def test_body_between(self) -> None:
        """A body ends where it says, and the next request begins there."""
        wire = self.wire()
        asked = wire.client.raw(
            b"POST /one HTTP/1.1\r\nContent-Length: 3\r\n%sabcGET /two HTTP/1.1\r\n%s" % (HEAD, HEAD),
            answers=2,
        )
        self.assertEqual([answer.body for answer in wire.results(asked)], [b"POST /one abc", b"GET /two "])

    def test_waiting_requests_bounded(self) -> None:
        """Behind a request that takes its time only so much is read, and no more until it is done."""
        wire = self.wire()
        asked = wire.client.raw(b"GET /slow HTTP/1.1\r\n" + HEAD)
        wire.pump()
        asked += wire.client.raw(b"GET /%s HTTP/1.1\r\n%s" % (b"a" * 200, HEAD) * 5, answers=5)
        wire.pump()
        self.assertFalse(wire.server_reading)
        asked += wire.client.raw(b"GET /last HTTP/1.1\r\n" + HEAD)
        self.app.finish()
        self.assertEqual(wire.results(asked)[-1].body, b"GET /last ")
        self.assertTrue(wire.server_reading)

    def test_burst_bounded(self) -> None:
        """A client that sends requests by the hundred gets so many answers; the last closes."""
        wire = self.wire()
        asked = wire.client.raw(b"GET /dcap HTTP/1.1\r\n%s" % HEAD * 30, answers=10)
        answers = wire.results(asked)
        self.assertEqual([answer.headers.get("connection") for answer in answers], [None] * 9 + ["close"])
        self.assertTrue(wire.closed)
        self.assertEqual((len(self.app.seen), wire.client.leftovers()), (10, b""))

    def test_closed_while_pending(self) -> None:
        """An answer that is finished between the close and the end of the connection is dropped."""
        wire = self.wire()
        asked = wire.client.get("/slow")
        wire.pump()
        for connection in list(vars(self.site.connections)["_live"]):
            connection.loseConnection()
        self.app.finish()
        wire.pump()
        self.failureResultOf(asked)
        self.assertEqual(wire.client.received, b"")

    def test_retire(self) -> None:
        """When the server goes down, idle connections close at once, busy ones behind their answer."""
        busy, idle, begun = self.wire(), self.wire(), self.wire()
        asked = busy.client.get("/slow")
        busy.pump()
        begun.client.send(b"GET /begun HTTP/1.1\r\n")
        begun.pump()
        gone = self.site.connections.drain()
        idle.pump()
        self.assertEqual((busy.closed, idle.closed), (False, True))
        self.assertNoResult(gone)
        self.app.finish()
        answer = busy.result(asked)
        self.assertEqual((answer.body, answer.headers["connection"]), (b"slow", "close"))
        self.assertTrue(busy.closed)
        self.assertNoResult(gone)
        (last,) = begun.results(begun.client.raw(HEAD))
        self.assertEqual((last.body, last.headers["connection"]), (b"GET /begun ", "close"))
        self.successResultOf(gone)
        self.successResultOf(self.site.connections.drain())


class DeadlineTests(ChannelCase):
    """How long a peer is waited for. The sweep looks once a second."""

    limits = ConnectionLimits(
        handshake_seconds=10, idle_seconds=100, request_seconds=30, answer_seconds=60, drain_seconds=20
    )

    def assertCutAfter(
        self, wire: Wire, seconds: int, *, before: Callable[[], object] = lambda: None
    ) -> None:
        """The connection lives for so many seconds, and not for two more; `before` is called each second."""
        for _ in range(seconds - 1):
            before()
            wire.advance(1)
        self.assertFalse(wire.closed)
        wire.advance(3)
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.site.connections), 0)

    def test_handshake(self) -> None:
        """A peer that connects and says nothing is cut."""
        client = Client()
        wire = Wire(self.site.buildProtocol(None), client, client, self.clock, SERVER)
        wire.client.send(b"GET /dcap HTTP/1.1\r\n" + HEAD)
        self.assertCutAfter(wire, 10)
        self.assertEqual((self.app.seen, wire.client.received), ([], b""))

    def test_idle(self) -> None:
        """A connection without requests is closed after a while, counted from its last answer."""
        wire = self.wire()
        wire.advance(90)
        wire.result(wire.client.get("/dcap"))
        self.assertCutAfter(wire, 100)

    def test_slow_head(self) -> None:
        """A head that comes a byte at a time is cut by the deadline of its request."""
        wire = self.wire()
        self.assertCutAfter(wire, 30, before=lambda: wire.client.send(b"G"))
        self.assertEqual(wire.client.received, b"")

    def test_slow_body(self) -> None:
        """So is a body."""
        wire = self.wire()
        wire.client.send(b"POST /edev HTTP/1.1\r\nContent-Length: 1000\r\n" + HEAD)
        wire.pump()
        self.assertCutAfter(wire, 30, before=lambda: wire.client.send(b"x"))
        self.assertEqual(self.app.seen, [])

    def test_slow_in_the_middle(self) -> None:
        """A request that begins behind a whole one has a deadline too."""
        wire = self.wire()
        (answer,) = wire.client.raw(b"GET /dcap HTTP/1.1\r\n%sGET /dc" % HEAD)
        self.assertEqual(wire.result(answer).status, 200)
        self.assertCutAfter(wire, 30)

    def test_slow_answer(self) -> None:
        """A request that the application does not answer is cut off, and named in the log."""
        wire = self.wire()
        wire.client.get("/slow").addErrback(lambda _: None)
        wire.pump()
        self.assertCutAfter(wire, 60)
        self.assertIn("/slow", self.lines())
        self.app.finish()

    def test_not_reading(self) -> None:
        """A client that asks and does not read what it gets is cut, and not read while it does so."""
        wire = self.wire()
        wire.reading = False
        for _ in range(5):
            wire.client.get("/big/50000").addErrback(lambda _: None)
            wire.pump()
        self.assertFalse(wire.server_reading)
        self.assertLess(wire.server_waiting, 110_000)
        self.assertCutAfter(wire, 20)

    def test_reading_in_time(self) -> None:
        """A client that reads late, but in time, gets everything."""
        wire = self.wire()
        wire.reading = False
        asked = wire.client.raw(b"GET /big/50000 HTTP/1.1\r\n%s" % HEAD * 5, answers=5)
        wire.advance(15)
        self.assertEqual(len(self.app.seen), 2)
        asked.append(wire.client.get("/big/50000"))
        wire.reading = True
        self.assertEqual([len(answer.body) for answer in wire.results(asked)], [50_000] * 6)
        wire.advance(50)
        self.assertFalse(wire.closed)

    def test_not_closing(self) -> None:
        """A client that does not take the last answer of a closing connection is cut."""
        wire = self.wire()
        wire.reading = False
        wire.client.raw(b"GET /dcap HTTP/1.0\r\n\r\n")[0].addErrback(lambda _: None)
        wire.pump()
        self.assertCutAfter(wire, 20)

    def test_clock_at_rest(self) -> None:
        """Without connections there is no timer."""
        wire = self.wire()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        wire.client.close()
        wire.pump()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FastPathTests(ChannelCase):
    """Answers that do without the parser."""

    limits = ConnectionLimits(idle_seconds=100)
    plain = b"GET /fast HTTP/1.1\r\n" + HEAD
    fast = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast"

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[bytes] = []
        self.keys: list[bytes | None] = []
        self.sent: list[bytes | None] = []
        self.known: dict[bytes, bytes] = {self.plain: self.fast}
        self.site = self.make_site(endpoint=self.endpoint, find_answer=self.find)

    def find(self, lfdi: str, head: bytes) -> bytes | None:
        self.assertEqual(lfdi, DEVICE.lfdi)
        self.asked.append(head)
        return self.known.get(head)

    def endpoint(self, ask: Ask) -> MadeAnswer:
        self.keys.append(ask.key)
        self.sent.append(ask.body)
        return MadeAnswer(200, (), b"straight")

    def bodies(self, wire: Wire, asked: list[Deferred[Answer]]) -> list[bytes]:
        return [answer.body for answer in wire.results(asked)]

    def test_hit(self) -> None:
        """A plain GET that the fast path knows is answered by it, and the connection lives on."""
        wire = self.wire()
        for _ in range(3):
            self.assertEqual(self.bodies(wire, wire.client.raw(self.plain)), [b"fast"])
            wire.advance(90)
        self.assertEqual((self.app.seen, len(self.asked)), ([], 3))
        wire.advance(12)
        self.assertTrue(wire.closed)

    def test_miss(self) -> None:
        """One that it does not know is answered by the endpoint, with the key to put its answer under."""
        wire = self.wire()
        other = b"GET /other HTTP/1.1\r\n" + HEAD
        self.assertEqual(self.bodies(wire, wire.client.raw(other)), [b"straight"])
        self.assertEqual((self.asked, self.keys), ([other], [other]))
        self.assertEqual(self.bodies(wire, wire.client.raw(other.replace(b"GET", b"DELETE"))), [b"straight"])
        self.assertEqual((self.asked, self.keys), ([other], [other, None]))

    def test_body_to_come(self) -> None:
        """A GET that announces a body is no plain one: what follows it is not a request."""
        wire = self.wire()
        asked = wire.client.raw(b"GET /fast HTTP/1.1\r\ncontent-LENGTH: %d\r\n%s" % (len(self.plain), HEAD))
        wire.pump()
        wire.client.send(self.plain)
        self.assertEqual(self.bodies(wire, asked), [b"GET /fast " + self.plain])
        self.assertNotIn(self.plain, self.asked)

    def test_together(self) -> None:
        """Requests that come together go the ordinary way, in their order."""
        wire = self.wire()
        asked = wire.client.raw(self.plain * 3, answers=3)
        self.assertEqual(self.bodies(wire, asked), [b"GET /fast "] * 3)

    def test_in_pieces(self) -> None:
        """A head that comes in pieces goes the ordinary way, even if the last piece looks like a head."""
        wire = self.wire()
        wire.client.send(b"GET /other HTTP/1.1\r\nA: ")
        wire.pump()
        self.assertEqual(self.bodies(wire, wire.client.raw(self.plain)), [b"GET /other "])
        self.assertNotIn(self.plain, self.asked)
        self.assertEqual(self.bodies(wire, wire.client.raw(self.plain)), [b"fast"])

    def test_order(self) -> None:
        """The fast path overtakes neither a request that is still in the works nor one that waits."""
        wire = self.wire()
        asked = wire.client.raw(b"GET /slow HTTP/1.1\r\nConnection: TE, Close-Not\r\n" + HEAD)
        wire.pump()
        asked += wire.client.raw(b"GET /slow HTTP/1.1\r\nConnection: TE, Close-Not\r\n" + HEAD)
        wire.pump()
        asked += wire.client.raw(self.plain)
        wire.pump()
        self.assertNotIn(self.plain, self.asked)
        self.app.finish()
        wire.pump()
        self.assertEqual(wire.client.leftovers(), b"")
        self.app.finish()
        self.assertEqual(self.bodies(wire, asked), [b"slow", b"slow", b"fast"])

    def test_inside_a_body(self) -> None:
        """What looks like a plain GET inside a body is body."""
        wire = self.wire()
        head = b"POST /edev HTTP/1.1\r\nContent-Length: %d\r\n%s" % (len(self.plain) + 3, HEAD)
        wire.client.send(head)
        wire.pump()
        wire.client.send(self.plain)
        wire.pump()
        self.assertEqual(self.bodies(wire, wire.client.raw(b"end")), [b"straight"])
        self.assertEqual((self.asked, self.sent), ([], [self.plain + b"end"]))

    def test_not_read(self) -> None:
        """A peer that does not read gets one answer more than it has room for, however it asks (case F2)."""
        big = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
        self.known[self.plain] = big
        wire = self.wire()
        wire.reading = False
        for _ in range(50):
            wire.client.raw(self.plain)[0].addErrback(lambda _: None)
            wire.pump()
        self.assertEqual(len(self.asked), 1)
        self.assertLess(wire.server_waiting, 110_000)
        self.assertFalse(wire.server_reading)

    def test_read_late(self) -> None:
        """One that reads in time gets everything, in order."""
        self.known[self.plain] = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
        wire = self.wire()
        wire.reading = False
        asked = []
        for path in (b"/fast", b"/one", b"/fast", b"/two"):
            asked += wire.client.raw(b"GET %b HTTP/1.1\r\n%b" % (path, HEAD))
            wire.pump()
        wire.reading = True
        sizes = [len(body) for body in self.bodies(wire, asked)]
        self.assertEqual(sizes[:2], [100_000, 9])
        self.assertEqual(self.bodies(wire, wire.client.raw(self.plain)), [b"x" * 100_000])

    def test_failure(self) -> None:
        """A cache that fails costs a line in the log, and the endpoint is asked."""

        def find(lfdi: str, head: bytes) -> bytes | None:
            raise KeyError("lost")

        self.site = self.make_site(endpoint=self.endpoint, find_answer=find)
        wire = self.wire()
        self.assertEqual(self.bodies(wire, wire.client.raw(self.plain)), [b"straight"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class QuotaTests(ChannelCase):
    """How often one caller may ask, by whichever way it is answered (case F5)."""

    other = evolve(DEVICE, lfdi="0" * 40)
    plain = b"GET /fast HTTP/1.1\r\n" + HEAD
    quotas = Quotas(requests_per_second=2.0, request_burst=5.0)

    def setUp(self) -> None:
        super().setUp()
        self.asks = DEVICE
        self.straight = 0
        fast = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast"
        self.site = self.make_site(
            endpoint=self.endpoint,
            find_answer=lambda lfdi, head: fast if head == self.plain else None,
            identify=lambda transport: self.asks,
            quotas=self.quotas,
        )

    def endpoint(self, ask: Ask) -> MadeAnswer:
        self.straight += 1
        return MadeAnswer(200, (), b"straight")

    def ask(self, wire: Wire, *paths: str) -> list[int]:
        found = []
        for path in paths:
            asked = wire.client.raw(self.plain)[0] if path == "/fast" else wire.client.get(path)
            found.append(wire.result(asked).status)
        return found

    def test_every_way(self) -> None:
        """Cached answers and others are of one account, on all connections of the caller."""
        wires = [self.wire() for _ in range(3)]
        ways = ("/fast", "/straight", "/by%21Klein")
        statuses = [self.ask(wires[n % 2], ways[n % 3])[0] for n in range(14)]
        self.assertEqual(statuses, [200] * 10 + [503] * 4)
        self.assertEqual((self.straight, len(self.app.seen)), (3, 3))
        self.clock.advance(1)
        self.assertEqual(self.ask(wires[0], "/fast", "/a", "/fast", "/a"), [200, 200, 503, 503])
        self.assertFalse(any(wire.closed for wire in wires))

    def test_answer(self) -> None:
        """Both ways say when to come back and why: maxRetryDuration, reasonCode 4, and stay open."""
        wire = self.wire()
        self.ask(wire, *["/a"] * 10)
        for request in (self.plain, b"GET /a HTTP/1.1\r\n" + HEAD):
            (answer,) = wire.results(wire.client.raw(request))
            self.assertEqual((answer.status, answer.body), (503, error_document(4, 5)))
            self.assertEqual(
                answer.headers,
                {
                    "date": DATE,
                    "content-type": "application/sep+xml",
                    "content-length": str(len(answer.body)),
                },
            )
        self.assertFalse(wire.closed)
        lines = [line for line in self.lines().splitlines() if DEVICE.lfdi in line]
        self.assertEqual(
            lines, [f"{DEVICE.lfdi} at 198.51.100.7: more requests than its quota, answered 503"]
        )

    def test_others(self) -> None:
        """Another caller has its own."""
        self.ask(self.wire(), *["/a"] * 12)
        self.asks = self.other
        self.assertEqual(self.ask(self.wire(), *["/a"] * 10), [200] * 10)

    def test_connecting_again(self) -> None:
        """To hang up and come again gives nothing back."""
        self.asks = self.other
        self.wire()
        self.asks = DEVICE
        wire = self.wire()
        self.ask(wire, *["/a"] * 10)
        wire.hang_up()
        self.assertEqual(self.ask(self.wire(), "/a"), [503])
