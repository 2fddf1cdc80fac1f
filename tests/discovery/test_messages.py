"""Messages as octets: what zeroconf writes and reads, and what is not looked at."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.messages import LARGEST, read, write
from csipd.discovery.packets import Message, Packet, Peer, Question
from csipd.discovery.records import SERVICE, Kind, Record
from tests.discovery.test_records import SERVER, ZONE

PTR = Question(SERVICE, Kind.PTR)


def header(questions: int = 0, answers: int = 0, proposed: int = 0, more: int = 0, flags: int = 0) -> bytes:
    """The head of a message that says so much of itself."""
    return b"".join(one.to_bytes(2, "big") for one in (7, flags, questions, answers, proposed, more))


def question(*labels: bytes, kind: int = Kind.PTR, class_: int = 1) -> bytes:
    """A question, written by hand."""
    name = b"".join(bytes((len(one),)) + one for one in labels) + b"\0"
    return name + kind.to_bytes(2, "big") + class_.to_bytes(2, "big")


SERVICE_LABELS = (b"_smartenergy", b"_tcp", b"local")


class RoundTripTests(SynchronousTestCase):
    """What is written is read as it was."""

    def read_back(self, packet: Packet) -> list[Message]:
        messages = [read(octets) for octets in write(packet)]
        self.assertNotIn(None, messages)
        return [message for message in messages if message is not None]

    def test_response(self) -> None:
        """All records of a server, in messages of at most 1,460 octets."""
        packet = Packet(answers=ZONE.records)
        self.assertLessEqual(max(map(len, write(packet))), 1460)
        messages = self.read_back(packet)
        records = [record for message in messages for record in message.records]
        self.assertEqual(records, list(ZONE.records))
        self.assertEqual([one.ttl for one in records], [one.ttl for one in ZONE.records])
        self.assertEqual([one.unique for one in records], [one.unique for one in ZONE.records])
        self.assertTrue(all(one.response and not one.questions for one in messages))

    def test_probe(self) -> None:
        """A probe asks for everything of a name, and says what it would have."""
        name = ZONE.names[0]
        records = ZONE.unique(name)
        asked = (Question(name, Kind.ANY, unicast=True),)
        (message,) = self.read_back(Packet(query=True, questions=asked, proposed=records))
        self.assertEqual(message, Message(questions=asked, proposed=records))
        self.assertFalse(any(one.unique for one in message.proposed), "it takes no one's place yet")

    def test_legacy(self) -> None:
        """An answer to a plain resolver has its number and question, and no record takes others' place."""
        packet = Packet(
            number=7, to=Peer("a", 9), legacy=True, flush=False, questions=(PTR,), answers=ZONE.records[:1]
        )
        (message,) = self.read_back(packet)
        self.assertEqual((message.number, message.questions), (7, (PTR,)))
        self.assertFalse(message.records[0].unique)

    def test_unicast(self) -> None:
        """An answer to one asker has the number of its question (RFC 6762 18.1), others have none."""
        self.assertEqual(
            write(Packet(number=258, to=Peer("a", 5353), answers=ZONE.records[:1]))[0][:2], b"\1\2"
        )
        self.assertEqual(write(Packet(answers=ZONE.records[:1]))[0][:2], b"\0\0")

    def test_no_such_kind(self) -> None:
        """That a host has no address of a kind."""
        (record,) = ZONE.answers(SERVER.host, Kind.TXT)
        self.assertEqual(record.kind, Kind.NSEC)
        (octets,) = write(Packet(answers=(record,)))
        self.assertEqual(octets[6:8], b"\0\1")


class ReadingTests(SynchronousTestCase):
    """What others send."""

    def test_by_hand(self) -> None:
        """A question as octets, with the bit that asks for an answer to the asker alone and without."""
        for class_, unicast in ((1, False), (0x8001, True), (255, False)):
            found = read(header(1) + question(*SERVICE_LABELS, class_=class_))
            assert found is not None
            self.assertEqual(found.questions, (Question(SERVICE, Kind.PTR, unicast),))
            self.assertEqual((found.number, found.truncated), (7, False))

    def test_other_classes(self) -> None:
        """Questions of other classes than IN are none."""
        found = read(header(1, flags=0x0200) + question(*SERVICE_LABELS, class_=3))
        assert found is not None
        self.assertEqual((found.questions, found.truncated), ((), True))

    def test_not_looked_at(self) -> None:
        """Too small, too large, more than can be in it, more than anybody asks, other operations."""
        one = question(*SERVICE_LABELS)
        for octets in (
            b"",
            header()[:11],
            header(1) + one + bytes(LARGEST),
            header(2) + one,
            header(1, answers=3) + one,
            header(41) + one * 41,
            header(0, answers=301) + bytes(5000),
            header(65_535, 65_535, 65_535, 65_535) + one,
            header(1, flags=0x0800) + one,
            header(1, flags=0x8003) + one,
        ):
            self.assertIsNone(read(octets), octets[:20])

    def test_compression(self) -> None:
        """Pointers to themselves, to each other, and beyond the end are no message."""
        tail = (Kind.PTR).to_bytes(2, "big") + b"\0\1"
        for name in (
            b"\xc0\x0c",
            b"\xc0\x0e\xc0\x0c",
            b"\xff\xff",
            b"\x01a\xc0\x0c",
            b"\x80a",
            b"\x3fabc",
        ):
            self.assertIsNone(read(header(1) + name + tail), name)

    def test_unknown_records(self) -> None:
        """Records of other kinds are passed over."""
        other = b"\x01a\x00" + (99).to_bytes(2, "big") + b"\0\1" + bytes(4) + b"\0\2xy"
        found = read(header(0, answers=1, flags=0x8400) + other)
        assert found is not None
        self.assertEqual(found.records, ())

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=400), st.integers(0, 4), st.integers(0, 4), st.integers(0, 3))
    def test_anything(self, octets: bytes, questions: int, answers: int, proposed: int) -> None:
        """Whatever comes is a message or none."""
        found = read(header(questions, answers, proposed) + octets)
        if found is not None:
            self.assertLessEqual(len(found.questions), questions)
            self.assertTrue(all(isinstance(one, Record) for one in found.records + found.proposed))

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_damage(self, data: st.DataObject) -> None:
        """Real messages in which octets were changed are messages or none."""
        octets = bytearray(write(Packet(answers=ZONE.records))[0])
        for _ in range(data.draw(st.integers(1, 5))):
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        read(bytes(octets))
