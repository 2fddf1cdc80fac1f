"""What a receiver answers, however it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.notify.answers import BODY_BYTES, HEAD_BYTES, AnswerParser, BadAnswer, Rest


def read(*pieces: bytes) -> AnswerParser:
    parser = AnswerParser()
    for piece in pieces:
        parser.feed(piece)
    return parser


def split(octets: bytes) -> list[bytes]:
    return [octets[place : place + 1] for place in range(len(octets))]


class WholeTests(SynchronousTestCase):
    """Answers that are read to their end: the connection may be used again."""

    CASES = (
        (201, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        (204, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (204, b"HTTP/1.1 204\r\nServer: x\r\n\r\n"),
        (200, b"HTTP/1.1 200 OK\r\ncontent-length:   5\t\r\n\r\nhello"),
        (400, b"HTTP/1.1 400 Bad\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nno"),
        (201, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        (201, b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (
            201,
            b"HTTP/1.1 201 C\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
        ),
        (201, b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n"),
    )

    def test_whole(self) -> None:
        """The status is known and nothing is left, whether it came in one piece or octet by octet."""
        for status, octets in self.CASES:
            for pieces in ([octets], split(octets)):
                parser = read(*pieces)
                self.assertEqual((parser.status, parser.rest), (status, Rest.NONE), octets)

    def test_part(self) -> None:
        """Before the last octet something is left."""
        for _, octets in self.CASES:
            for end in range(1, len(octets)):
                self.assertIs(read(octets[:end]).rest, Rest.LEFT, octets[:end])

    def test_behind_the_end(self) -> None:
        """What comes behind the end was not asked for: the connection is not used again."""
        for _, octets in self.CASES:
            self.assertIs(read(octets + b"x").rest, Rest.CLOSE, octets)
            self.assertIs(read(octets, b"x").rest, Rest.CLOSE, octets)


class ClosingTests(SynchronousTestCase):
    """Answers whose status counts, and after which the connection is closed."""

    def test_closing(self) -> None:
        """Bodies that are long, without a known length or wrong are not read."""
        large = str(BODY_BYTES + 1).encode()
        for octets in (
            b"HTTP/1.1 201 Created\r\n\r\n",
            b"HTTP/1.0 201 Created\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nConnection: a\r\nConnection: b , close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: " + large + b"\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n",
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * BODY_BYTES,
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * BODY_BYTES,
        ):
            parser = read(octets)
            self.assertEqual((parser.status, parser.rest), (201, Rest.CLOSE), octets[:100])


class BadTests(SynchronousTestCase):
    """What is no answer."""

    def test_bad(self) -> None:
        """Garbage is known by its first octets; a head without end by its length."""
        for octets in (
            b"x",
            b"SSH-2.0-OpenSSH\r\n",
            b"HTTP/2 200\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 99 X\r\n\r\n",
            b"HTTP/1.1 600 X\r\n\r\n",
            b"HTTP/1.1 2000 X\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
            b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: " + b"b" * HEAD_BYTES,
            b"HTTP/1.1 200 OK\r\nA: " + b"b" * HEAD_BYTES + b"\r\n\r\n",
            b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        ):
            self.assertRaises(BadAnswer, read, octets)
            self.assertRaises(BadAnswer, read, *split(octets))

    @given(
        st.lists(
            st.sampled_from(
                (
                    b"HTTP/1.1 201 x",
                    b"\r\n",
                    b"\r",
                    b"\n",
                    b"Content-Length: 3",
                    b"0",
                    b"abc",
                    b"Transfer-Encoding: chunked",
                    b"3",
                    b"\r\n\r\n",
                    b"\xff",
                )
            )
        )
    )
    def test_any(self, pieces: list[bytes]) -> None:
        """Whatever comes gives the same in one piece, in those pieces and octet by octet."""
        whole = b"".join(pieces)
        found = []
        for cut in ([whole], pieces, split(whole)):
            try:
                parser = read(*cut)
            except BadAnswer:
                found.append(None)
            else:
                found.append((parser.status, parser.rest))
        self.assertEqual(len(set(found)), 1, found)
