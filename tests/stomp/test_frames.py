"""Frames and octets."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.stomp.frames import MOST_HEAD, MOST_HEADERS, SERVER_COMMANDS, BadFrame, Decoder, Frame, encode

TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
#: What is no name of a header that the codec gives a meaning to.
NAMES = TEXT.filter(lambda name: name and name != "content-length")
FRAMES = st.builds(
    Frame,
    st.sampled_from([command for command in SERVER_COMMANDS if command != "CONNECTED"]),
    st.dictionaries(NAMES, TEXT, max_size=5),
    st.binary(max_size=200),
)


def decoder(most: int = 1 << 20) -> Decoder:
    """One that keeps bodies of so many octets."""
    return Decoder(lambda command, headers: most)


def taken(decoder: Decoder) -> list[Frame]:
    """All frames that can be taken."""
    return list(iter(decoder.take, None))


def decoded(octets: bytes, most: int = 1 << 20) -> list[Frame]:
    """The frames of octets that come at once."""
    one = decoder(most)
    one.feed(octets)
    return taken(one)


class CodecTests(SynchronousTestCase):
    """Frames that are right."""

    @settings(max_examples=200, deadline=None)
    @given(st.lists(FRAMES, max_size=5), st.data())
    def test_what_is_written_is_read(self, frames: list[Frame], data: st.DataObject) -> None:
        """Frames come back as they were, however their octets are cut, with ends of lines in between."""
        octets = b"".join(
            encode(frame.command, frame.headers.items(), frame.body)
            + data.draw(st.sampled_from([b"", b"\n", b"\r\n\n"]))
            for frame in frames
        )
        one, found = decoder(), []
        while octets:
            cut = data.draw(st.integers(1, len(octets)))
            one.feed(octets[:cut])
            found += taken(one)
            octets = octets[cut:]
        self.assertEqual(
            [(frame.command, frame.body) for frame in found],
            [(frame.command, frame.body) for frame in frames],
        )
        for frame, was in zip(found, frames, strict=True):
            length = {"content-length": str(len(was.body))} if was.body else {}
            self.assertEqual(frame.headers, {**was.headers, **length})
        self.assertFalse(one.within_frame)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=300), st.integers(1, 7))
    def test_garbage_ends_well(self, octets: bytes, size: int) -> None:
        """Whatever comes gives frames, the wish for more, or BadFrame; alike at once and in pieces."""

        def outcome(pieces: list[bytes]) -> tuple[list[Frame], str]:
            one, found = decoder(), []
            try:
                for piece in pieces:
                    one.feed(piece)
                    while (frame := one.take()) is not None:
                        found.append(frame)
            except BadFrame as error:
                return found, str(error)
            return found, ""

        head = b"MESSAGE\n" if octets[:1] < b"\x80" else b""
        whole = head + octets
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        self.assertEqual(outcome([whole])[0], outcome(pieces)[0])
        self.assertEqual(bool(outcome([whole])[1]), bool(outcome(pieces)[1]))

    def test_as_the_standard_writes_them(self) -> None:
        """Escapes, ends of lines with CR, a body up to its octet 0, the first of headers that repeat."""
        self.assertEqual(
            decoded(b"MESSAGE\r\na\\cb:x\\ny\\\\\\r\r\na:1\r\na:2\r\nempty:\r\n\r\nbody\r\n\0\n"),
            [Frame("MESSAGE", {"a:b": "x\ny\\\r", "a": "1", "empty": ""}, b"body\r\n")],
        )
        self.assertEqual(
            encode("SEND", [("a:b", "x\ny\\\r"), ("c", " d ")], b"\0body"),
            b"SEND\na\\cb:x\\ny\\\\\\r\nc: d \ncontent-length:5\n\n\0body\0",
        )
        self.assertEqual(decoded(b"RECEIPT\nreceipt-id:1\n\n\0"), [Frame("RECEIPT", {"receipt-id": "1"})])

    def test_no_escapes_at_the_beginning(self) -> None:
        """CONNECT and CONNECTED are written without escapes, as STOMP 1.0 had it."""
        self.assertEqual(
            encode("CONNECT", [("host", "::1"), ("passcode", "a\\b")]),
            b"CONNECT\nhost:::1\npasscode:a\\b\n\n\0",
        )
        self.assertEqual(
            decoded(b"CONNECTED\nsession:a:b\\q\n\n\0"), [Frame("CONNECTED", {"session": "a:b\\q"})]
        )
        for value in ("a\nb", "a\rb", "a\0b"):
            self.assertRaises(ValueError, encode, "CONNECT", [("passcode", value)])
        self.assertRaises(ValueError, encode, "SEND", [("destination", "a\0b")])

    def test_a_body_too_large(self) -> None:
        """Of a body that is too large only the size is kept, however it ends; what follows is read."""
        for length in (b"content-length:9\n", b""):
            octets = b"MESSAGE\n" + length + b"\n123456789\0RECEIPT\nreceipt-id:1\n\n\0"
            found = decoded(octets, most=8)
            self.assertEqual([(f.command, f.body, f.dropped) for f in found[:1]], [("MESSAGE", b"", 9)])
            self.assertEqual(found[1], Frame("RECEIPT", {"receipt-id": "1"}))
            self.assertEqual(decoded(octets, most=9)[0].body, b"123456789")

    def test_what_is_passed_over_is_not_kept(self) -> None:
        """A body without an end takes no room, and neither does one of a gigabyte."""
        for length in (b"content-length:1073741824\n", b""):
            one = decoder(most=1000)
            one.feed(b"MESSAGE\n" + length + b"\n")
            for _ in range(100):
                one.feed(b"x" * 65_536)
                self.assertIsNone(one.take())
                self.assertLess(len(one._buffer), 1001)
            self.assertTrue(one.within_frame)


class CostTests(SynchronousTestCase):
    """What octets cost that come in small pieces."""

    def test_pieces(self) -> None:
        """What was looked at is not looked at again: a head and a body octet by octet."""
        one = decoder()
        looked: list[int] = []
        one.feed(b"MESSAGE\nx:")
        for _ in range(3000):
            one.feed(b"y")
            self.assertIsNone(one.take())
            looked.append(len(one._buffer) - one._looked_at)
        one.feed(b"\n\n")
        for _ in range(3000):
            one.feed(b"z")
            self.assertIsNone(one.take())
            looked.append(len(one._buffer) - one._looked_at)
        self.assertEqual(max(looked), 0)
        one.feed(b"\0")
        self.assertEqual(one.take().body, b"z" * 3000)


class BadFrameTests(SynchronousTestCase):
    """Octets that are no frames."""

    def assert_bad(self, octets: bytes, why: str) -> None:
        with self.assertRaises(BadFrame) as caught:
            decoded(octets)
        self.assertIn(why, str(caught.exception))

    def test_no_stomp(self) -> None:
        """What cannot become a command of a broker is refused at its first octet that differs."""
        for octets in (
            b"H",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\x16\x03\x01",
            b"MESSAGEX",
            b"MESSAGES\n",
            b"\0",
            b"message\n",
            b"SEND\n",
            b" MESSAGE\n",
            b"MESSAGE \n",
        ):
            self.assert_bad(octets, "a command that a broker does not send")
        for octets in (b"", b"\n\r\n", b"M", b"MESSAGE", b"MESSAGE\r", b"RECEIPT\n"):
            self.assertEqual(decoded(octets), [])

    def test_heads(self) -> None:
        """Headers have a name, a colon and escapes that there are, in UTF-8."""
        self.assert_bad(b"MESSAGE\nabc\n\n\0", "without a name or a colon")
        self.assert_bad(b"MESSAGE\n:abc\n\n\0", "without a name or a colon")
        self.assert_bad(b"MESSAGE\na:b\\t\n\n\0", "an escape")
        self.assert_bad(b"MESSAGE\na:b\\\n\n\0", "an escape")
        self.assert_bad(b"MESSAGE\na:\xff\n\n\0", "not UTF-8")
        self.assert_bad(b"MESSAGE\na:b\0c\n\n\0", "an octet of value 0 among headers")
        self.assert_bad(b"MESSAGE\na:b\0MESSAGE\n\n\0", "an octet of value 0 among headers")

    def test_heads_without_end(self) -> None:
        """Neither the octets nor the number of headers is without bound."""
        self.assert_bad(b"MESSAGE\na:" + b"b" * MOST_HEAD, "octets of headers")
        self.assert_bad(b"MESSAGE\na:" + b"b" * MOST_HEAD + b"\n\n\0", "octets of headers")
        self.assert_bad(b"MESSAGE\n" + b"a:b\n" * (MOST_HEADERS + 1) + b"\n\0", "more than 100 headers")
        self.assertEqual(len(decoded(b"MESSAGE\n" + b"a:b\n" * MOST_HEADERS + b"\n\0")), 1)

    def test_lengths(self) -> None:
        """A content-length is a number in bounds, and the octet 0 stands where it says."""
        for length in (b"-1", b"", b"1.0", b"0x1", b" 1", b"1073741825", b"9" * 11, "٣".encode()):
            self.assert_bad(b"MESSAGE\ncontent-length:" + length + b"\n\n", "no size of a body")
        self.assert_bad(b"MESSAGE\ncontent-length:2\n\nabc\0", "does not end where")
        self.assertEqual(decoded(b"MESSAGE\ncontent-length:3\n\na\0c\0")[0].body, b"a\0c")

    def test_a_gigabyte_without_an_end(self) -> None:
        """A frame that is passed over for its size ends some time, or is none."""
        one = decoder(most=10)
        one.feed(b"MESSAGE\n\n")
        one.take()
        piece = bytes([1]) * (1 << 24)
        with self.assertRaises(BadFrame) as caught:
            for _ in range(65):
                one.feed(piece)
                one.take()
        self.assertIn("without an end", str(caught.exception))
