"""What the proxy reads as one request and as one answer, however it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.proxy.fields import VIA, Malformed, read_fields
from csipd.proxy.framing import (
    AnswerReader,
    BadAnswer,
    BadRequest,
    Bounds,
    Request,
    RequestReader,
    ordinary,
    ordinary_answer,
)
from tests.proxy.smuggling import HANDED_ON, REFUSED, SECOND, STRIPPED

BOUNDS = Bounds(body=100_000)
FRAMING = (b"host", b"expect", b"content-length", b"transfer-encoding", b"connection")

Fields = list[tuple[bytes, bytes]]

TOKENS = st.from_regex(rb"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in FRAMING
)
VALUES = st.from_regex(rb"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
TARGETS = st.from_regex(rb"/[a-z0-9/?=&%~]{0,40}", fullmatch=True)
OTHERS: st.SearchStrategy[Fields] = st.lists(st.tuples(TOKENS, VALUES), max_size=5)
BODIES = st.one_of(st.none(), st.binary(max_size=300))
CUTS = st.lists(st.integers(0, 4000), max_size=12)


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """The octets in pieces, cut at some places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield data[start:end]


def requests(data: bytes, cuts: Sequence[int] = ()) -> list[Request]:
    """All requests in a stream."""
    found = []
    reader = RequestReader(BOUNDS, b"server")
    for piece in pieces(data, cuts):
        reader.feed(piece)
        while (request := reader.next()) is not None:
            found.append(request)
    return found


def octets(request: Request) -> bytes:
    """A request as it is handed on, without the proxy's Via."""
    return request.line + request.rest.replace(VIA, b"", 1)


def head(first: bytes, lines: Fields) -> bytes:
    """A head with its end."""
    return b"\r\n".join((first, *(name + b": " + value for name, value in lines), b"", b""))


def chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    """A body in chunks."""
    parts = []
    for size in sizes:
        part, body = body[:size], body[size:]
        if part:
            parts.append(b"%x\r\n%b\r\n" % (len(part), part))
    if body:
        parts.append(b"%X;last\r\n%b\r\n" % (len(body), body))
    return b"".join((*parts, b"0\r\n\r\n"))


class RequestTests(SynchronousTestCase):
    """Requests."""

    def test_refused(self) -> None:
        """What two readers might read differently is refused, however it comes, and nothing of it goes on."""
        for what, (status, data) in REFUSED.items():
            for cuts in ((), range(len(data))):
                try:
                    found = requests(data, cuts)
                except BadRequest as error:
                    self.assertEqual(error.status, status, what)
                else:
                    self.fail(f"{what}: handed on as {found}")

    def test_handed_on(self) -> None:
        """What is odd and plain goes on as one request with a length; what stands behind it is another."""
        for what, (data, wanted) in HANDED_ON.items():
            for cuts in ((), range(1000)):
                found = [octets(request) for request in requests(data + SECOND, cuts)]
                self.assertEqual(sorted(found[0].split(b"\r\n")), sorted(wanted.split(b"\r\n")), what)
                self.assertEqual(found[1:], [SECOND], what)

    def test_stripped(self) -> None:
        """What says who asks, what concerns the connection alone, and what it names, does not go on."""
        named = (b"Connection: Accept-Language, close-not,", b"Accept-Language: en")
        for lines in (*((line,) for line in STRIPPED), named, STRIPPED[:-1]):
            data = b"\r\n".join((b"GET /dcap HTTP/1.1", b"Host: a", *lines, b"Accept: b", b"", b""))
            (request,) = requests(data)
            self.assertEqual(octets(request), b"GET /dcap HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n", lines)
            quick = ordinary(data, 255)
            self.assertEqual(quick and octets(quick), octets(request), lines)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE")), TARGETS, OTHERS, BODIES
            ),
            min_size=1,
            max_size=4,
        ),
        st.lists(st.integers(1, 50), max_size=8),
        CUTS,
        st.booleans(),
    )
    def test_streams(
        self,
        wanted: list[tuple[bytes, bytes, Fields, bytes | None]],
        sizes: list[int],
        cuts: list[int],
        in_chunks: bool,
    ) -> None:
        """A stream of requests is the same requests however it is cut, and whichever way bodies come."""
        stream = []
        for method, target, others, body in wanted:
            lines = [(b"Host", b"a"), *others]
            sent = b""
            if body is not None:
                sent = chunked(body, sizes) if in_chunks else body
                length = b"%d" % len(body)
                lines.append((b"Transfer-Encoding", b"chunked") if in_chunks else (b"Content-Length", length))
            stream.append(head(method + b" " + target + b" HTTP/1.1", lines) + sent)
        found = requests(b"".join(stream), cuts)
        self.assertEqual([(one.method, one.target) for one in found], [one[:2] for one in wanted])
        for one, (method, _, _, body) in zip(found, wanted, strict=True):
            said, _, rest = one.rest.partition(b"\r\n\r\n")
            self.assertEqual(rest, body or b"")
            self.assertEqual(b"\r\nContent-Length: %d" % len(body or b"") in said, body is not None)
            self.assertNotIn(b"\r\nTransfer-Encoding", said)
            self.assertEqual(one.repeatable, method in (b"GET", b"HEAD") and not body)

    @given(st.binary(max_size=400), CUTS)
    @example(b"GET /dcap HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n", [])
    @example(b"HEAD / HTTP/1.1\r\nHost: \r\n\r\n", [])
    def test_any_octets(self, data: bytes, cuts: list[int]) -> None:
        """Whatever comes is requests, the beginning of one, or refused; never another error, however cut."""

        def outcome(cuts: list[int]) -> list[bytes] | None:
            try:
                return [octets(one) for one in requests(data, cuts)]
            except BadRequest:
                return None

        whole = outcome([])
        self.assertEqual(outcome(cuts), whole)
        quick = ordinary(data, 255)
        if quick is not None:
            self.assertEqual(whole, [octets(quick)])

    @given(TARGETS, OTHERS, st.sampled_from((b"GET", b"HEAD", b"POST", b"get")))
    def test_ordinary(self, target: bytes, others: Fields, method: bytes) -> None:
        """The short way hands on what the long one does."""
        data = head(method + b" " + target + b" HTTP/1.1", [(b"Host", b"a"), *others])
        (slow,) = requests(data)
        quick = ordinary(data, 255)
        self.assertEqual(quick is not None, method in (b"GET", b"HEAD"))
        if quick is not None:
            for name in ("line", "rest", "method", "target", "bodiless", "repeatable", "last"):
                self.assertEqual(getattr(quick, name), getattr(slow, name))
        self.assertIsNone(ordinary(data + b"GET", 255))
        self.assertIsNone(ordinary(data[:-1], 255))
        self.assertIsNone(ordinary(data, len(target) - 1))

    def test_last(self) -> None:
        """A request says whether the connection goes on: HTTP/1.1 does, HTTP/1.0 never, as on the server."""
        for line, version, last in (
            (b"A: b", b"1.1", False),
            (b"Connection: close", b"1.1", True),
            (b"Connection: a, CLOSE", b"1.1", True),
            (b"A: b", b"1.0", True),
            (b"Connection: Keep-Alive", b"1.0", True),
        ):
            data = b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n\r\n" % (version, line)
            self.assertEqual(requests(data)[0].last, last, data)

    def test_older(self) -> None:
        """A request of HTTP/1.0 goes on as one of HTTP/1.1, with a Host."""
        (found,) = requests(b"GET /dcap HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(octets(found), b"GET /dcap HTTP/1.1\r\nHost: server\r\n\r\n")

    def test_continue(self) -> None:
        """A device that waits for 100 Continue is known until it sends its body."""
        reader = RequestReader(BOUNDS, b"server")
        reader.feed(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        self.assertIsNone(reader.next())
        self.assertTrue(reader.awaits_continue)
        self.assertEqual(reader.expected_body, 2)
        reader.feed(b"a")
        self.assertIsNone(reader.next())
        self.assertFalse(reader.awaits_continue)
        reader.feed(b"b")
        request = reader.next()
        assert request is not None
        self.assertNotIn(b"xpect", request.rest)
        self.assertTrue(request.rest.endswith(b"\r\n\r\nab"))

    def test_small_chunks_cost(self) -> None:
        """A body in a chunk for each octet is given up before it has cost much."""
        reader = RequestReader(Bounds(body=1600), b"server")
        reader.feed(b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        reader.feed(b"1\r\na\r\n" * 99)
        self.assertIsNone(reader.next())
        reader.feed(b"1\r\na\r\n" * 3)
        self.assertEqual(self.assertRaises(BadRequest, reader.next).status, 413)


#: Status, other headers, body, how its end is said, whether it answers a HEAD.
Written = tuple[int, Fields, bytes, str, bool]
ANSWERS: st.SearchStrategy[Written] = st.tuples(
    st.sampled_from((200, 201, 204, 301, 404, 503)),
    OTHERS,
    st.binary(max_size=300),
    st.sampled_from(("length", "chunks")),
    st.booleans(),
)


def written(answer: Written) -> bytes:
    """An answer as a server writes it."""
    status, others, body, how, bodiless = answer
    lines = list(others)
    sent = b"" if bodiless or status == 204 else body
    if status != 204 and how == "chunks":
        lines.append((b"Transfer-Encoding", b"chunked"))
        sent = b"" if bodiless else chunked(body, [7, 30])
    elif status != 204:
        lines.append((b"Content-Length", b"%d" % len(body)))
    return head(b"HTTP/1.1 %d It is so" % status, lines) + sent


class AnswerTests(SynchronousTestCase):
    """Answers."""

    @given(st.lists(ANSWERS, min_size=1, max_size=4), CUTS)
    def test_streams(self, wanted: list[Written], cuts: list[int]) -> None:
        """A stream of answers is the same answers however it is cut; each leaves whole, with a length."""
        reader = AnswerReader()
        found = []
        for piece in pieces(b"".join(map(written, wanted)), cuts):
            reader.feed(piece)
            while len(found) < len(wanted):
                answer = reader.next(bodiless=wanted[len(found)][4])
                if answer is None:
                    break
                found.append(answer)
        self.assertFalse(reader.has_begun)
        for answer, (status, _, body, how, bodiless) in zip(found, wanted, strict=True):
            said, _, rest = answer.octets.partition(b"\r\n\r\n")
            self.assertEqual(answer.status, status)
            self.assertTrue(said.startswith(b"HTTP/1.1 %d It is so" % status))
            self.assertEqual(rest, b"" if bodiless or status == 204 else body)
            has_length = status != 204 and not (bodiless and how == "chunks")
            self.assertEqual(b"\r\nContent-Length: %d" % len(body) in said, has_length)

    def test_refused(self) -> None:
        """What is no answer, or has no clear end, is not handed on."""
        for data in (
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
            b"a" * 20_000,
        ):
            reader = AnswerReader()
            reader.feed(data)
            self.assertRaises(BadAnswer, reader.next, bodiless=False)

    def test_interim(self) -> None:
        """Answers that are only on their way are passed over, however many there are."""
        reader = AnswerReader()
        reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000)
        self.assertIsNone(reader.next(bodiless=False))
        reader.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
        answer = reader.next(bodiless=False)
        self.assertEqual(answer and answer.status, 204)

    def test_connection(self) -> None:
        """What the server says of its connection stays between it and the proxy."""
        reader = AnswerReader()
        reader.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na")
        answer = reader.next(bodiless=False)
        assert answer is not None
        self.assertTrue(answer.last)
        self.assertEqual(answer.octets, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")

    @given(ANSWERS, st.binary(max_size=20))
    def test_ordinary(self, wanted: Written, behind: bytes) -> None:
        """What the short way finds is an answer that the long one hands on unchanged."""
        status, others, body, how, bodiless = wanted
        for lines in (others, []):
            date = [(b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"), *lines]
            data = written((status, date, body, how, bodiless))
            end = ordinary_answer(b"ab" + data + behind, 2, bodiless=bodiless)
            if not lines and how == "length" and status != 204:
                self.assertEqual(end, 2 + len(data))
            if end >= 0:
                reader = AnswerReader()
                reader.feed(data)
                answer = reader.next(bodiless=bodiless)
                self.assertEqual(answer and answer.octets, (b"ab" + data)[2:end])
                self.assertEqual(answer and answer.last, False)
            if end >= 0 and body and not bodiless:
                self.assertEqual(ordinary_answer(data[:-1], 0, bodiless=bodiless), len(data))
            else:
                self.assertEqual(ordinary_answer(data[:-1], 0, bodiless=bodiless), -1)


class FieldTests(SynchronousTestCase):
    """Header lines."""

    @given(st.binary(max_size=200))
    @example(b"A: b\r\nClient-Cert: c\r\nD:e")
    def test_any_octets(self, block: bytes) -> None:
        """Any octets are fields or malformed, and what is kept is whole lines."""
        try:
            fields = read_fields(block + b"\r\n", 100)
        except Malformed:
            return
        for line in fields.kept.split(b"\r\n")[:-1]:
            self.assertFalse(set(line) & set(b"\r\n\0"))
            self.assertIn(b": ", line)
