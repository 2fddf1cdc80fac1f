"""The straight path: which requests are ordinary, that these take it and no others, and what can happen."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import event, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from csipd.net.identity import Identity
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import CallerInfo, Quotas
from csipd.refusals import Unavailable
from csipd.sep2 import codec
from csipd.web.answers import Answer, octets
from csipd.web.endpoint import Ask, Endpoint
from csipd.web.errors import error_document
from csipd.web.ordinary import LONGEST_HEAD, Ordinary, parse
from csipd.web.server import Request, Site
from tests.support.bodies import FULL, MINIMAL
from tests.support.memory_tls import Wire
from tests.support.steps import steps
from tests.support.world import BOUNDLESS, NOW, OWNER, UNKNOWN, World, encoded

LIMITS = ConnectionLimits()
HOST = b"Host: x\r\n"


def get(path: bytes = b"/dcap", *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """A request without a body."""
    return b"%b %b %b\r\n%b\r\n" % (method, path, version, HOST + b"".join(line + b"\r\n" for line in lines))


def put(path: bytes, body: bytes, *lines: bytes, method: bytes = b"PUT", length: int | None = None) -> bytes:
    """A request with a body."""
    announced = len(body) if length is None else length
    kind = b"Content-Type: application/sep+xml"
    return get(path, kind, b"Content-Length: %d" % announced, *lines, method=method) + body


class OrdinaryTests(SynchronousTestCase):
    """What is an ordinary request."""

    def ordinary(self, data: bytes, limits: ConnectionLimits = LIMITS) -> Ordinary:
        request = parse(data, limits)
        assert request is not None, data
        return request

    def assertUnusual(self, data: bytes, limits: ConnectionLimits = LIMITS) -> None:
        self.assertIsNone(parse(data, limits), data)

    def test_get(self) -> None:
        """GET, HEAD and DELETE without a body, with or without a query."""
        for method in ("GET", "HEAD", "DELETE"):
            request = self.ordinary(get(b"/edev/1/der?s=0&l=255", b"Accept: a/b", method=method.encode()))
            self.assertEqual((request.method, request.target), (method, b"/edev/1/der?s=0&l=255"))
            self.assertEqual((request.path, request.query), ("/edev/1/der", "s=0&l=255"))
            self.assertEqual((request.fields.accept, request.fields.content_type), ("a/b", None))
            self.assertEqual((request.body, request.missing), (b"", 0))
        request = self.ordinary(get(b"/tm?"))
        self.assertEqual((request.path, request.query), ("/tm", ""))

    def test_put(self) -> None:
        """PUT and POST with the body that is announced; as long as some is missing there is none."""
        for method in (b"PUT", b"POST"):
            whole = put(b"/edev/1/der/1/ders", b"<a/>", method=method)
            request = self.ordinary(whole)
            self.assertEqual((request.method, request.body, request.missing), (method.decode(), b"<a/>", 0))
            self.assertEqual(request.fields.content_type, "application/sep+xml")
            for cut in range(1, 5):
                request = self.ordinary(whole[:-cut])
                self.assertEqual((request.body, request.missing), (b"", cut))

    def test_whole(self) -> None:
        """A head that is not all there, or anything behind the request, is not ordinary."""
        for whole in (get(), put(b"/dcap", b"<a/>")):
            head = whole.index(b"\r\n\r\n") + 4
            for cut in range(head):
                self.assertUnusual(whole[:cut])
            for more in (b"\r", b"\r\n", b" ", get(), whole):
                self.assertUnusual(whole + more)
                self.assertUnusual(more + whole if more.strip() == b"" else whole + more)

    def test_request_line(self) -> None:
        """Methods of the table, a plain path in its one spelling, HTTP/1.1."""
        for line in (
            b"OPTIONS /dcap HTTP/1.1",
            b"get /dcap HTTP/1.1",
            b"GET /dcap HTTP/1.0",
            b"GET /dcap HTTP/1.2",
            b"GET /dcap HTTP/2.0",
            b"GET /dcap http/1.1",
            b"GET  /dcap HTTP/1.1",
            b"GET /dcap  HTTP/1.1",
            b"GET /dcap HTTP/1.1 ",
            b" GET /dcap HTTP/1.1",
            b"GET\t/dcap HTTP/1.1",
            b"GET dcap HTTP/1.1",
            b"GET * HTTP/1.1",
            b"GET / HTTP/1.1",
            b"GET //dcap HTTP/1.1",
            b"GET /edev//1 HTTP/1.1",
            b"GET /dcap/ HTTP/1.1",
            b"GET /dca%70 HTTP/1.1",
            b"GET /dcap;x HTTP/1.1",
            b"GET /dcap#x HTTP/1.1",
            b"GET /edev?s=0#x HTTP/1.1",
            b"GET /edev?s=\xff HTTP/1.1",
            b"GET https://server/dcap HTTP/1.1",
            b"GET /dcap",
            b"GET /dcap HTTP/1.1\r",
        ):
            self.assertUnusual(b"%b\r\n%b\r\n" % (line, HOST))

    def test_headers(self) -> None:
        """One Host, well-formed lines, none that bears on where the request ends."""
        for lines in (
            b"",
            b"Host: a\r\nHost: a\r\n",
            b"Host: a b\r\n",
            b"Host: a/b\r\n",
            HOST + b"Transfer-Encoding: chunked\r\n",
            # What Python takes for white space at the end of a value, and HTTP does not.
            *(HOST + b"A: b%b\r\n" % octet for octet in (b"\n", b"\r", b"\x0b", b"\x0c", b"\x1c", b"\0")),
            HOST + b"Transfer-Encoding: identity\r\n",
            HOST + b"transfer-encoding:\r\n",
            HOST + b"Content-Length: 0\r\n",
            HOST + b"Content-Length: 5\r\n",
            HOST + b"Expect: 100-continue\r\n",
            HOST + b"Upgrade: h2c\r\n",
            HOST + b"Connection: close\r\n",
            HOST + b"connection: keep-alive, CLOSE\r\n",
            HOST + b"Connection: keep-alive\r\nConnection: close\r\n",
            HOST + b" folded\r\n",
            HOST + b"\tfolded\r\n",
            b" Host: a\r\n",
            HOST + b"A : b\r\n",
            HOST + b"A\r\n",
            HOST + b": b\r\n",
            HOST + b"A: b\x00\r\n",
            HOST + b"A: b\rc: d\r\n",
            HOST + b"A: b\nTransfer-Encoding: chunked\r\n",
            HOST + b"A: b\n\nc\r\n",
            HOST + b"A\xff: b\r\n",
            HOST + b"Content-Type: a\r\nContent-Type: b\r\n",
        ):
            self.assertUnusual(b"GET /dcap HTTP/1.1\r\n%b\r\n" % lines)
        for lines in (
            b"host:x\r\n",
            b"HOST: \t x \t\r\n",
            b"Host:\r\n",
            HOST + b"Connection: keep-alive\r\n",
            HOST + b"A:\r\nA: b\r\n",
            HOST + b"User-Agent: \xe4\xf6\xfc (x; y)\r\nX_y-z!: 1\r\n",
        ):
            self.ordinary(b"GET /dcap HTTP/1.1\r\n%b\r\n" % lines)

    def test_accept_in_several_lines(self) -> None:
        """A header that comes in several lines is one list."""
        request = self.ordinary(get(b"/dcap", b"Accept: a", b"accept:b "))
        self.assertEqual(request.fields.accept, "a, b")

    def test_lengths(self) -> None:
        """A body's length is one plain number above zero, and no larger than a body may be."""
        for value in (b"", b"0", b"04", b"+4", b"-4", b"4 ,4", b"4,4", b"0x4", b"4.", b"1" * 30, b"\xb2"):
            self.assertUnusual(b"PUT /dcap HTTP/1.1\r\n%bContent-Length: %b\r\n\r\n<a/>" % (HOST, value))
        self.assertUnusual(put(b"/dcap", b"<a/>", b"Content-Length: 4"))
        self.assertUnusual(put(b"/dcap", b"<a/>", b"Transfer-Encoding: chunked"))
        self.assertUnusual(get(b"/dcap", method=b"PUT"))
        limits = evolve(LIMITS, body_bytes=100)
        self.ordinary(put(b"/dcap", b"x" * 100), limits)
        self.assertUnusual(put(b"/dcap", b"x" * 101), limits)
        self.assertUnusual(put(b"/dcap", b"", length=101), limits)

    def test_limits(self) -> None:
        """What is longer than it may be, or than is worth the straight path, is not ordinary."""
        data = get(b"/dcap?" + b"x" * 10, b"A: b")
        for limits, unusual in (
            (evolve(LIMITS, uri_bytes=16), False),
            (evolve(LIMITS, uri_bytes=15), True),
            (evolve(LIMITS, head_bytes=len(data)), False),
            (evolve(LIMITS, head_bytes=len(data) - 1), True),
            (evolve(LIMITS, header_lines=2), False),
            (evolve(LIMITS, header_lines=1), True),
        ):
            self.assertEqual(parse(data, limits) is None, unusual, limits)
        room = LONGEST_HEAD - len(get(b"/dcap", b"A: "))
        self.ordinary(get(b"/dcap", b"A: " + b"x" * room))
        self.assertUnusual(get(b"/dcap", b"A: " + b"x" * (room + 1)))

    @given(st.binary(max_size=60), st.integers(0, 200))
    def test_garbage(self, garbage: bytes, at: int) -> None:
        """Whatever octets are put in, an answer comes, and a request ends where its octets end."""
        for whole in (get(b"/edev/1?s=0", b"Accept: a"), put(b"/edev/1", b"<a/>")):
            data = whole[: at % len(whole)] + garbage + whole[at % len(whole) :]
            request = parse(data, LIMITS)
            if request is not None:
                head = data.index(b"\r\n\r\n") + 4
                self.assertEqual(len(data) + request.missing, head + request.fields.length)


class _Tree(Resource):
    """Takes down what Twisted's parser and csipd's channel made of requests."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def render(self, request: Request) -> bytes:
        accept, kind = request.header(b"Accept"), request.header(b"Content-Type")
        content = request.content.read()
        self.seen.append((request.method.decode(), request.uri, accept, kind, content))
        return b""


_LINES = st.sampled_from(
    (
        b"Host: x",
        b"host:x",
        b"Host: a b",
        b"Accept: a/b",
        b"accept:  c ",
        b"Content-Type: a/b;c=d",
        b"Content-Length: 4",
        b"Content-Length: 0",
        b"content-length:\t5 ",
        b"Content-Length: +4",
        b"Content-Length : 4",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Expect: 100-continue",
        b"Upgrade: h2c",
        b" folded",
        b"X: \xe4",
        b"X: a\x00",
        b"X: a\rb",
        b"X: a\nContent-Length: 9",
        b"X\xff: a",
        b"Cookie: a=b; =; c",
        b"no colon",
        b": a",
    )
)


def _mostly(good: bytes, *others: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from((good,) * 20 * len(others) + others)


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """What is a request, nearly one, or more than one."""
    with_body = draw(st.booleans())
    method = draw(st.sampled_from((b"PUT", b"POST") if with_body else (b"GET", b"HEAD", b"DELETE")))
    method = draw(_mostly(method, b"FOO", b"get", b"PUT", b"GET"))
    target = draw(_mostly(b"/a/1?s=0&l=%20", b"/a", b"/a?", b"/", b"//a", b"/a%41", b"/a#b", b"*"))
    version = draw(_mostly(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.1 "))
    lines = [b"Host: x", *([b"Content-Length: 4", b"Content-Type: a/b"] if with_body else [])]
    for line in draw(st.just([]) | st.lists(_LINES, max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), line)
    if draw(st.integers(0, 9)) == 0:
        lines.pop(draw(st.integers(0, len(lines) - 1)))
    end = draw(_mostly(b"\r\n", b"\n"))
    behind = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    body = draw(_mostly(b"abcd" if with_body else b"", b"", b"abc", b"abcd", b"abcde", behind))
    head = b"".join(line + end for line in (b" ".join((method, target, version)), *lines, b""))
    return draw(_mostly(b"", b"\r\n")) + head + body


class AgreementTests(SynchronousTestCase):
    """What `parse` takes, Twisted's parser reads alike."""

    @given(_requests())
    def test_where_it_ends(self, data: bytes) -> None:
        """An ordinary request is one request to Twisted's parser, too, and the same one; nothing is left."""
        request = parse(data, LIMITS)
        event(f"ordinary: {request is not None}")
        if request is None:
            return
        clock, tree = Clock(), _Tree()
        served = Site(
            tree, clock=clock, now=lambda: NOW, limits=LIMITS, quotas=BOUNDLESS, identify=lambda _: OWNER
        )
        wire = Wire.plain(served, clock)
        (asked,) = wire.client.raw(data, bodiless=request.method == "HEAD")
        wire.pump()
        if request.missing:
            self.assertEqual(tree.seen, [])
            wire.client.send(b"x" * request.missing)
        self.assertEqual(wire.result(asked).status, 200)
        body = data[len(data) - request.fields.length + request.missing :] if request.fields.length else b""
        expected = (
            request.method,
            request.target,
            request.fields.accept,
            request.fields.content_type,
            body + b"x" * request.missing,
        )
        self.assertEqual(tree.seen, [expected])
        # The connection is where it was before: the next request is understood.
        (answer,) = wire.results(wire.client.raw(get(b"/next")))
        self.assertEqual((answer.status, tree.seen[1][1]), (200, b"/next"))


class _Case(SynchronousTestCase):
    """A world, and requests as octets."""

    def setUp(self) -> None:
        self.world = self.make()
        self.status = f"/edev/{self.world.numbers.owner}/der/1/ders"

    def make(self, **more: Any) -> World:
        world = World(Path(self.mktemp()), **more)
        self.addCleanup(world.close)
        return world

    def know(self, who: Identity = OWNER) -> None:
        """Have the server know who a caller is."""
        self.world.send(who, "HEAD", "/dcap")
        self.world.straight = 0

    def took(
        self, data: bytes, *more: bytes, who: Identity = OWNER, bodiless: bool = False
    ) -> tuple[int, int]:
        """The status of a request that comes in one piece, or in more; how many took the straight path."""
        wire = self.world.wire(who)
        before = self.world.straight
        (asked,) = wire.client.raw(data, bodiless=bodiless)
        for piece in more:
            wire.pump()
            wire.client.send(piece)
        status = wire.result(asked).status
        self.assertEqual(wire.client.leftovers(), b"")
        return status, self.world.straight - before

    def report(self, body: bytes | None = None) -> bytes:
        return put(self.status.encode(), encoded(MINIMAL["DERStatus"]) if body is None else body)


class WayTests(_Case):
    """Which way a request takes."""

    def test_reads(self) -> None:
        """GET and HEAD of anything, whatever they are answered with; again a GET comes from the cache."""
        owner = self.world.numbers.owner
        for path, status in (
            (b"/dcap", 200),
            (b"/tm", 200),
            (b"/edev/%d" % owner, 200),
            (b"/derp?s=0&l=10", 200),
            (b"/derp?l=x", 400),
            (b"/edev/999999", 404),
            (b"/no/such/thing", 404),
            (b"/edev/01", 404),
        ):
            with self.subTest(path=path):
                self.assertEqual(self.took(get(path)), (status, 1))
                self.assertEqual(self.took(get(path, method=b"HEAD"), bodiless=True), (status, 1))
        self.assertEqual(self.took(get(b"/dcap")), (200, 0))
        self.assertEqual(self.world.hits, 1)
        self.assertEqual(self.took(get(b"/dcap", b"Accept: application/sep-exi")), (406, 1))

    def test_writes(self) -> None:
        """PUT, POST and DELETE of a caller that is known, in one piece or with the body behind the head."""
        self.know()
        owner = self.world.numbers.owner
        whole = self.report()
        head = whole.index(b"\r\n\r\n") + 4
        self.assertEqual(self.took(whole), (204, 1))
        for cuts in ((head,), (head + 1,), (head, head + 10, head + 11), (len(whole) - 1,)):
            pieces = [whole[a:b] for a, b in zip((0, *cuts), (*cuts, len(whole)), strict=True)]
            self.assertEqual(self.took(*pieces), (204, 1), cuts)
        locale = encoded(FULL["SupportedLocale"])
        self.assertEqual(self.took(put(b"/edev/%d/di/loc" % owner, locale, method=b"POST")), (201, 1))
        self.assertEqual(self.took(get(b"/edev/%d/di/loc/1" % owner, method=b"DELETE")), (204, 1))
        self.assertEqual(self.took(self.report(b"<a/>")), (400, 1))
        self.assertEqual(self.took(put(b"/dcap", b"<a/>")), (405, 1))

    def test_first_write(self) -> None:
        """Who sends a body first is looked up before it is taken in, and then it goes straight."""
        whole = self.report()
        head = whole.index(b"\r\n\r\n") + 4
        for cut in (len(whole), head, head + 7):
            self.world = self.make()
            self.assertEqual(self.took(whole[:cut], whole[cut:]), (204, 1))

    def test_strangers(self) -> None:
        """The body of a sender that is on no list is not read, each time."""
        for _ in range(2):
            self.assertEqual(self.took(self.report(), who=UNKNOWN), (404, 1))
            self.assertTrue(self.world.wire(UNKNOWN).client.lost is None)
        self.assertEqual(self.took(get(b"/dcap"), who=UNKNOWN), (200, 1))

    def test_unusual(self) -> None:
        """Whatever is not ordinary goes the long way, and is answered there."""
        self.know()
        whole = self.report()
        for data, status in (
            (get(b"/dca%70"), 200),
            (get(b"/dcap", b"Connection: close"), 200),
            (get(b"/dcap", method=b"OPTIONS"), 405),
            (get(b"/dcap", method=b"FOO"), 501),
            (get(b"/dcap", b"A: " + b"x" * LONGEST_HEAD), 200),
            (get(b"/dcap", b"Content-Length: 0"), 200),
            (whole.replace(b"Content-Length", b"Expect: x\r\nContent-Length"), 204),
            (get(b"https://server/dcap"), 200),
            (get(b"/dcap", version=b"HTTP/1.0"), 200),
            (b"GET /dcap HTTP/1.1\r\n\r\n", 400),
        ):
            with self.subTest(data=data):
                self.assertEqual(self.took(data), (status, 0))

    def test_in_pieces(self) -> None:
        """A head that comes in pieces goes the long way."""
        data = get(b"/dcap")
        for cut in (1, 10, len(data) - 1):
            self.assertEqual(self.took(data[:cut], data[cut:]), (200, 0))

    def test_together(self) -> None:
        """Requests that come in one read go the long way, those that waited for another likewise."""
        wire = self.world.wire(OWNER)
        answers = wire.results(wire.client.raw(get(b"/tm") + get(b"/sdev"), 2))
        self.assertEqual(([answer.status for answer in answers], self.world.straight), ([200, 200], 0))
        self.world.back.hold()
        asked = wire.client.raw(get(b"/tm"))
        for _ in range(2):
            wire.pump()
            asked += wire.client.raw(get(b"/sdev"))
        wire.pump()
        self.assertEqual((self.world.straight, wire.client.leftovers()), (1, b""))
        self.world.back.release()
        # The two behind the first were read together.
        self.assertEqual([answer.status for answer in wire.results(asked)], [200] * 3)
        self.assertEqual(self.world.straight, 1)

    def test_too_much_behind_a_body(self) -> None:
        """What comes behind a body in one read with its end is another request; alone it goes straight."""
        self.know()
        whole = self.report()
        wire = self.world.wire(OWNER)
        wire.client.send(whole[:-5])
        wire.pump()
        answers = wire.results(wire.client.raw(whole[-5:] + get(b"/tm"), 2))
        self.assertEqual(([answer.status for answer in answers], self.world.straight), ([204, 200], 1))

    def test_switched_off(self) -> None:
        """With straight_path: false every request goes the long way, and nothing is kept."""
        self.world = self.make(straight=False)
        for _ in range(2):
            self.assertEqual(self.took(get(b"/dcap")), (200, 0))
            self.assertEqual(self.took(self.report()), (204, 0))
        self.assertEqual(self.world.hits, 0)


class TroubleTests(_Case):
    """What can happen between a request and its answer."""

    def held(self, data: bytes, who: Identity = OWNER) -> Any:
        """A wire on which a request waits for the database."""
        wire = self.world.wire(who)
        self.world.back.hold()
        self.asked = wire.client.raw(data)[0]
        wire.pump()
        return wire

    def stored(self) -> bytes:
        return self.world.fresh(OWNER, self.status).body

    def test_client_gone(self) -> None:
        """A client that hangs up between commit and answer has lost the answer and nothing else."""
        self.know()
        wire = self.held(self.report())
        self.asked.addErrback(lambda _: None)
        wire.hang_up()
        self.world.back.release()
        self.assertTrue(wire.closed)
        document: Any = codec.decode(self.stored(), type(MINIMAL["DERStatus"]))
        self.assertEqual(document.readingTime, MINIMAL["DERStatus"].__dict__["readingTime"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_too_late(self) -> None:
        """An answer that does not come in time is not given; the connection is cut."""
        wire = self.held(get(b"/dcap"))
        self.asked.addErrback(lambda _: None)
        wire.advance(62)
        self.assertTrue(wire.closed)
        self.world.back.release()
        self.assertEqual(wire.client.received, b"")

    def test_body_too_late(self) -> None:
        """A body that does not come in time cuts the connection, however often a bit of it comes."""
        self.know()
        wire = self.world.wire(OWNER)
        whole = self.report()
        wire.client.send(whole[:-100])
        for n in range(31):
            wire.client.send(whole[n - 100 : n - 99])
            wire.advance(1)
        self.assertTrue(wire.closed)

    def test_body_in_drops(self) -> None:
        """A body that comes in very many pieces takes no more room than one that comes in few."""
        self.know()
        wire = self.world.wire(OWNER)
        whole = self.report(b"x" * 8_000)
        wire.client.send(whole[:-8_000])
        wire.pump()
        self.assertLess(self.taken(wire, whole[-8_000:-2]), 4 * 8_000)
        (asked,) = wire.client.raw(whole[-2:])
        self.assertEqual((wire.result(asked).status, self.world.straight), (400, 1))

    def test_drops_behind(self) -> None:
        """So it is with what comes behind a request that is being answered."""
        next_one = get(b"/dcap?" + b"x" * 8_000)
        for data in (get(b"/tm"), get(b"/tm", b"X: " + b"x" * LONGEST_HEAD)):
            wire = self.held(data)
            self.assertLess(self.taken(wire, next_one), 4 * 8_000)
            (other,) = wire.client.raw(b"")
            self.world.back.release()
            self.assertEqual([wire.result(each).status for each in (self.asked, other)], [200, 414])

    def taken(self, wire: Wire, data: bytes) -> int:
        """How much memory the server takes for octets that come two by two."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for at in range(0, len(data), 2):
            wire.client.send(data[at : at + 2])
            wire.pump()
        now, _ = tracemalloc.get_traced_memory()
        return now - before

    def test_certificate_ends(self) -> None:
        """A certificate that ends in the middle of a connection: 403, and closed, whatever is asked."""
        who = evolve(OWNER, not_after=NOW + 10.5)
        for data in (get(b"/dcap"), self.report(), get(b"/no/such/thing")):
            self.world.now = NOW
            wire = self.world.wire(who)
            wire.results(wire.client.raw(get(b"/tm")))
            self.world.now = NOW + 11
            straight = self.world.straight
            (answer,) = wire.results(wire.client.raw(data))
            self.assertEqual((answer.status, answer.headers["connection"]), (403, "close"))
            self.assertEqual(self.world.straight, straight + 1)
            self.assertTrue(wire.closed)

    def test_failure(self) -> None:
        """What fails in the server is a 500 with nothing in it, at once or later; the connection lives."""

        def answer(ask: Ask) -> Any:
            if ask.method == "GET":
                raise ZeroDivisionError("a secret")
            return Deferred().addCallback(lambda _: 1 // 0)

        failing: Deferred[Answer] = Deferred()
        self.world.site.context.endpoint = lambda ask: failing if ask.method == "HEAD" else answer(ask)
        wire = self.world.wire(OWNER)
        (given,) = wire.results(wire.client.raw(get(b"/dcap")))
        self.assertEqual((given.status, given.body), (500, error_document(2, 60)))
        asked = wire.client.raw(get(b"/dcap", method=b"HEAD"), bodiless=True)
        wire.pump()
        failing.errback(ZeroDivisionError("a secret"))
        self.assertEqual([given.status for given in wire.results(asked)], [500])
        self.assertFalse(wire.closed)
        # One traceback for each peer and reason.
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_server_goes_down(self) -> None:
        """A request that is in progress is answered, and said to be the last; one whose body comes, too."""
        wire = self.held(get(b"/tm"))
        self.world.site.connections.drain()
        self.world.back.release()
        answer = wire.result(self.asked)
        self.assertEqual((answer.status, answer.headers["connection"], wire.closed), (200, "close", True))
        self.know()
        wire = self.world.wire(OWNER)
        whole = self.report()
        wire.client.send(whole[:-10])
        wire.pump()
        self.world.site.connections.drain()
        wire.pump()
        (answer,) = wire.results(wire.client.raw(whole[-10:]))
        self.assertEqual((answer.status, answer.headers["connection"], wire.closed), (204, "close", True))

    def test_begun_when_the_server_goes_down(self) -> None:
        """A request of which only a part of the first line is there is answered, too."""
        wire = self.world.wire(OWNER)
        data = get(b"/tm")
        wire.client.send(data[:6])
        wire.pump()
        self.world.site.connections.drain()
        wire.pump()
        (answer,) = wire.results(wire.client.raw(data[6:]))
        self.assertEqual((answer.status, answer.headers["connection"], wire.closed), (200, "close", True))

    def test_last_of_a_row(self) -> None:
        """The last answer of a row closes; what stands behind it is not looked at."""
        self.world = self.make(limits=ConnectionLimits(pipelined_requests=3))
        waiting: list[Deferred[Answer]] = []

        def answer(ask: Ask) -> Deferred[Answer]:
            waiting.append(Deferred())
            return waiting[-1]

        self.world.site.context.endpoint = answer
        wire = self.world.wire(OWNER)
        asked = wire.client.raw(get(b"/tm"))
        for n in range(3):
            wire.pump()
            asked += wire.client.raw(get(b"/tm"))
            wire.pump()
            self.assertEqual(len(waiting), n + 1)
            waiting[n].callback(Answer(200))
        asked.pop().addErrback(lambda _: None)
        answers = wire.results(asked)
        self.assertEqual([answer.headers.get("connection") for answer in answers], [None, None, "close"])
        self.assertEqual((len(waiting), wire.closed), (3, True))

    def test_peer_does_not_read(self) -> None:
        """One that does not read gets one answer more than it has room for, and all once it reads."""
        big = Answer(200, (), b"x" * 100_000)
        asked: list[Ask] = []

        def answer(ask: Ask) -> Answer:
            asked.append(ask)
            return big

        self.world.site.context.endpoint = answer
        wire = self.world.wire(OWNER)
        wire.reading = False
        waiting = []
        for _ in range(5):
            waiting += wire.client.raw(get(b"/tm"))
            wire.pump()
        self.assertEqual((len(asked), wire.server_reading), (1, False))
        self.assertLess(wire.server_waiting, 110_000)
        wire.reading = True
        answers = wire.results(waiting[:1])
        self.assertEqual(len(answers[0].body), 100_000)
        self.assertEqual([answer.status for answer in wire.results(waiting[1:])], [200] * 4)

    def test_much_behind(self) -> None:
        """What a peer sends while its request is answered is taken in up to a bound, and reading stops."""
        wire = self.held(get(b"/tm"))
        for _ in range(40):
            wire.client.send(b"x" * 1000)
            wire.pump()
        self.assertFalse(wire.server_reading)
        self.world.back.release()
        self.assertEqual(wire.result(self.asked).status, 200)

    def test_quota(self) -> None:
        """More requests than the quota: 503 with reasonCode 4, and the endpoint is not asked."""
        self.world = self.make(quotas=Quotas(requests_per_second=1, request_burst=3))
        statuses = [self.took(get(b"/tm", method=b"HEAD"), bodiless=True) for _ in range(4)]
        self.assertEqual(statuses, [(200, 1)] * 3 + [(503, 0)])
        (answer,) = self.world.wire(OWNER).results(self.world.wire(OWNER).client.raw(get(b"/tm")))
        self.assertEqual(answer.body, error_document(4, 5))

    def test_look_up_fails(self) -> None:
        """Where the store cannot say who sends a body, that is the answer, and the body is not read."""
        wire = self.held(self.report())
        self.assertFalse(wire.server_reading)
        self.world.back.release(Unavailable("not now"))
        self.assertEqual((wire.result(self.asked).status, self.world.straight), (503, 1))

    def test_clock_set_back_under_way(self) -> None:
        """An answer that was under way when the clock was set back is not given again."""
        for path in (b"/tm", b"/edev/%d" % self.world.numbers.owner):
            self.world.now = NOW
            wire = self.held(get(path))
            self.world.now = NOW - 3600
            self.world.back.release()
            self.assertEqual(wire.result(self.asked).status, 200)
            (answer,) = wire.results(wire.client.raw(get(path)))
            self.assertEqual(answer.body, self.world.fresh(OWNER, path.decode()).body)
            self.assertEqual(self.world.hits, 0)

    def test_gone_while_looked_up(self) -> None:
        """A client that hangs up while it is looked up leaves nothing behind."""
        wire = self.held(self.report())
        self.asked.addErrback(lambda _: None)
        wire.hang_up()
        self.world.back.release()
        self.assertEqual((self.world.straight, len(self.world.site.connections)), (0, 0))

    def test_body_while_looked_up(self) -> None:
        """What comes of a body while its sender is looked up is kept, and goes straight."""
        whole = self.report()
        wire = self.held(whole[:-10])
        self.assertFalse(wire.server_reading)
        self.world.back.release()
        wire.client.send(whole[-10:])
        self.assertEqual((wire.result(self.asked).status, self.world.straight), (204, 1))


class _Known:
    """A database that has every answer at once: what it costs is nobody's."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._known: dict[str, Any] = {}

    def read(self, operation: Any, share: Any) -> Deferred[Any]:
        return self._answer("read", operation, share)

    def write(self, operation: Any, share: Any) -> Deferred[Any]:
        return self._answer("write", operation, share)

    def _answer(self, kind: str, operation: Any, share: Any) -> Deferred[Any]:
        if kind not in self._known:
            answer = getattr(self._database, kind)(operation, share)
            return answer.addCallback(lambda outcome: self._known.setdefault(kind, outcome))
        return succeed(self._known[kind])


class CostTests(_Case):
    """What a request costs, in steps of csipd's own code."""

    def setUp(self) -> None:
        super().setUp()
        self.world = self.make(quotas=Quotas(requests_per_second=1e6))
        self.know()
        self.channel = next(iter(self.world.site.connections.identified()))[1]

    def cost(self, data: bytes) -> int:
        """Of a request that is like one before."""
        for _ in range(2):
            self.channel.dataReceived(data)
        return steps(lambda: self.channel.dataReceived(data))

    def test_around_the_database(self) -> None:
        """A GET that is not in the cache, and a PUT, from octets to octets: without TLS and the store."""
        self.world.site.context.find_answer = None
        world = self.world
        known: Any = _Known(world.back)
        world.site.context.endpoint = Endpoint(known, world.server, lambda: world.now, world.cache).answer
        self.assertLess(self.cost(get(self.status.encode(), b"Accept: application/sep+xml")), 1600)
        self.assertLess(self.cost(self.report()), 1150)

    def test_from_the_cache(self) -> None:
        """A GET that was answered before."""
        self.assertLess(self.cost(get(b"/dcap")), 320)

    def test_refusals(self) -> None:
        """What is refused costs less than what is not."""
        world = self.world
        world.site.context.find_answer = None
        status = self.status.encode()
        read = self.cost(get(status))
        for path in (b"/edev/%d" % world.numbers.other, b"/derp/9999", b"/no/such/thing", status + b"?x=1"):
            self.assertLessEqual(self.cost(get(path)), read, path)
        reports = [self.report(encoded(each["DERStatus"])) for each in (FULL, MINIMAL)]
        for report in reports:
            self.channel.dataReceived(report)
        written = steps(lambda: self.channel.dataReceived(reports[0]))
        for data in (
            put(b"/edev/%d/der/1/ders" % world.numbers.other, encoded(MINIMAL["DERStatus"])),
            put(b"/dcap", encoded(MINIMAL["DERStatus"])),
            self.report(b"<a/>"),
            self.report(encoded(MINIMAL["DERSettings"])),
            self.report().replace(b"application/sep+xml", b"text/plain"),
        ):
            self.assertLess(self.cost(data), written, data)


class LineTests(_Case):
    """What the log says of a request."""

    def setUp(self) -> None:
        super().setUp()
        self.world.site.context.log_requests = True
        self.lines: list[str] = []

        def note(event: Any) -> None:
            if event["log_namespace"] == "csipd.web.sitecontext.SiteContext":
                self.lines.append(str(format_event(event)))

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    def test_not_given(self) -> None:
        """An answer that comes when its connection was cut has no line."""
        wire = self.world.wire(OWNER)
        self.world.back.hold()
        wire.client.raw(get(b"/tm"))[0].addErrback(lambda _: None)
        wire.pump()
        self.world.clock.advance(61)
        wire.pump()
        self.assertTrue(wire.closed)
        self.world.back.release()
        self.assertEqual((self.lines, len(self.world.site.connections)), ([], 0))

    def test_each_answer(self) -> None:
        """With log_requests each answer makes one line, whichever way and from wherever it comes."""
        seen = get(b"/sdev")
        requests = (seen, seen, get(b"/no/such/thing?a"), get(b"/sdev", method=b"HEAD"), self.report())
        said = {}
        for straight in (True, False):
            self.world.site.context.endpoint = self.world.endpoint.answer if straight else None
            for data in requests:
                self.took(data, bodiless=data.startswith(b"HEAD"))
            said[straight], self.lines = self.lines, []
        self.assertEqual(said[True], said[False])
        self.assertEqual(len(said[True]), len(requests))
        self.assertEqual(self.world.hits, 1)
        self.assertEqual(said[True][0], said[True][1])
        self.assertIn(f"{OWNER.lfdi} GET /no/such/thing?a 404 {len(error_document(1))}", said[True])
        self.assertIn(f"{OWNER.lfdi} HEAD /sdev 200 0", said[True])


class AnswerTests(SynchronousTestCase):
    """The octets of answers."""

    def test_octets(self) -> None:
        """Date, then Connection if it is the answer's, its headers, the length; else Connection last."""
        plain = Answer(200, ((b"A", b"b"),), b"body")
        self.assertEqual(
            octets(plain, b"D"), b"HTTP/1.1 200 OK\r\nDate: D\r\nA: b\r\nContent-Length: 4\r\n\r\nbody"
        )
        self.assertEqual(octets(plain, b"D", bodiless=True), octets(plain, b"D")[:-4])
        self.assertEqual(
            octets(plain, b"D", last=True),
            b"HTTP/1.1 200 OK\r\nDate: D\r\nA: b\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
        )
        closing = evolve(plain, close=True)
        expected = b"HTTP/1.1 200 OK\r\nDate: D\r\nConnection: close\r\nA: b\r\nContent-Length: 4\r\n\r\nbody"
        for last in (False, True):
            self.assertEqual(octets(closing, b"D", last=last), expected)
        self.assertEqual(octets(Answer(204), b"D"), b"HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n")


class LookUpTests(SynchronousTestCase):
    """Who is looked up."""

    def test_once(self) -> None:
        """A caller is looked up for its first body, and not again while it is known."""
        asked: list[str] = []
        world = World(Path(self.mktemp()))
        self.addCleanup(world.close)
        look_up = world.site.context.look_up
        assert look_up is not None

        def noted(identity: Identity) -> Deferred[CallerInfo]:
            asked.append(identity.lfdi)
            return look_up(identity)

        world.site.context.look_up = noted
        for _ in range(3):
            answer = world.put(OWNER, f"/edev/{world.numbers.owner}/der/1/ders", MINIMAL["DERStatus"])
            self.assertEqual(answer.status, 204)
        self.assertEqual(asked, [OWNER.lfdi])
