"""A server on one link, with the clock turned by hand (RFC 6762)."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.messages import write
from csipd.discovery.packets import Message, Packet, Peer, Question
from csipd.discovery.records import ENUMERATION, HOST_TTL, SERVICE, Advertisement, Kind, Record, Where, Zone
from csipd.discovery.responder import Responder, State
from tests.discovery.test_records import ADDRESSES, HOST, SERVER, ZONE

ASKER = Peer("192.0.2.9", 5353)
RESOLVER = Peer("192.0.2.9", 40_000)
PTR = Question(SERVICE, Kind.PTR)
INSTANCE = SERVER.instance


class Bench:
    """A responder, and all that it sent with the moments."""

    def __init__(self, zone: Zone = ZONE, own: tuple[Record, ...] = ()) -> None:
        self.now = 1000.0
        self.allowed = True
        self.responder = Responder(lambda: 0.5, lambda address, now: self.allowed, own.__contains__)
        self.sent: list[tuple[float, Packet]] = []
        self.note(self.responder.publish(zone, self.now))

    def note(self, packets: list[Packet]) -> list[Packet]:
        self.sent += [(round(self.now - 1000.0, 3), packet) for packet in packets]
        return packets

    def run(self, seconds: float) -> list[Packet]:
        """Let time pass; what was sent meanwhile."""
        before, end = len(self.sent), self.now + seconds
        while (due := self.responder.next_due) is not None and due <= end:
            self.now = max(due, self.now)
            self.note(self.responder.due(self.now))
        self.now = end
        return [packet for _, packet in self.sent[before:]]

    def hear(self, message: Message, peer: Peer = ASKER) -> list[Packet]:
        return self.note(self.responder.received(message, peer, self.now))

    def ask(self, *questions: Question, peer: Peer = ASKER, **more: object) -> list[Packet]:
        return self.hear(Message(questions=questions, **more), peer)  # type: ignore[arg-type]  # its own fields


def announced(zone: Zone = ZONE) -> Bench:
    """One that has been on the link for long."""
    bench = Bench(zone)
    bench.run(3600)
    return bench


class NameTests(SynchronousTestCase):
    """Probing, announcing, conflicts, goodbyes (8, 9, 10.1)."""

    def test_beginning(self) -> None:
        """Three probes 250 ms apart, then three announcements, and then nothing until somebody asks."""
        bench = Bench()
        bench.run(3600)
        probes = [at for at, packet in bench.sent if packet.query]
        announcements = [(at, packet.answers) for at, packet in bench.sent if not packet.query]
        self.assertEqual(sorted(set(probes)), [0.125, 0.375, 0.625])
        self.assertEqual(announcements, [(at, ZONE.records) for at in (0.875, 1.875, 3.875)])
        self.assertIs(bench.responder.state, State.ANNOUNCED)
        self.assertIsNone(bench.responder.next_due)

    def test_probes(self) -> None:
        """Every name that is to be its own is asked for, with all that it would have, in one message each."""
        bench = Bench()
        probes = [packet for packet in bench.run(0.2) if packet.query]
        asked = [question.name for packet in probes for question in packet.questions]
        self.assertEqual(sorted(asked), sorted(ZONE.names))
        for packet in probes:
            names = {question.name for question in packet.questions}
            self.assertEqual({record.key[0] for record in packet.proposed}, names)
            self.assertEqual(len(write(packet)), 1)

    def test_silent_while_probing(self) -> None:
        """Names that are not its own yet are not answered for."""
        bench = Bench()
        self.assertEqual(bench.ask(PTR), [])
        self.assertEqual(bench.ask(PTR, peer=RESOLVER), [])

    def test_taken(self) -> None:
        """A name that somebody else has is given up before it was announced."""
        for record in (
            Record(HOST, Kind.A, b"\xc0\0\2\7", 120, True),
            Record(INSTANCE, Kind.SRV, Where(1, "other.local."), 120, True),
            Record(INSTANCE.upper(), Kind.TXT, b"\0", 120, True),
        ):
            bench = Bench()
            bench.run(0.4)
            self.assertEqual(bench.hear(Message(response=True, records=(record,))), [])
            self.assertTrue(bench.responder.conflicted)
            self.assertEqual(bench.run(3600), [])
            zone = Zone.of(SERVER.numbered(2), ADDRESSES)
            self.assertEqual(bench.note(bench.responder.publish(zone, bench.now, 1.0)), [])
            sent = bench.run(3600)
            self.assertEqual(sent[-1].answers, zone.records)
            self.assertIn("csipd-2-001234567890.local.", zone.names)

    def test_same_record(self) -> None:
        """Who says the same is no rival: an echo, a reflector, the server itself on another link."""
        elsewhere = Record(HOST, Kind.A, b"\xc0\0\2\7", 120, True)
        bench = Bench(own=(elsewhere,))
        bench.run(0.4)
        bench.hear(Message(response=True, records=(*ZONE.records, elsewhere)))
        self.assertFalse(bench.responder.conflicted)

    def test_goodbye_of_another(self) -> None:
        """Who takes its name back is no rival."""
        bench = Bench()
        bench.hear(Message(response=True, records=(Record(HOST, Kind.A, b"1234", 0, True),)))
        self.assertFalse(bench.responder.conflicted)

    def test_other_names(self) -> None:
        """Records of other names, and what several may have, are nobody's rivals."""
        bench = Bench()
        records = (
            Record("other.local.", Kind.A, b"1234", 120, True),
            Record(SERVICE, Kind.PTR, f"other.{SERVICE}", 120, False),
        )
        bench.hear(Message(response=True, records=records))
        self.assertFalse(bench.responder.conflicted)

    def test_tie(self) -> None:
        """Of two who want a name at once the one with the lesser records waits a second (8.2)."""
        for port, waits in ((9999, True), (1, False), (7443, False)):
            bench = Bench(Zone.of(SERVER, ()))
            bench.run(0.2)
            theirs = tuple(
                evolve(record, data=Where(port, HOST)) if record.kind == Kind.SRV else record
                for record in bench.responder._zone.unique(INSTANCE.lower())
            )
            before = len(bench.sent)
            bench.hear(Message(questions=(Question(INSTANCE, Kind.ANY, True),), proposed=theirs))
            bench.run(0.9)
            self.assertEqual(len(bench.sent) == before, waits, port)
            bench.run(10)
            self.assertIs(bench.responder.state, State.ANNOUNCED)

    def test_defence(self) -> None:
        """Who asks for a name that is its own is answered at once, which ends that one's wish."""
        bench = announced()
        theirs = (Record(INSTANCE, Kind.SRV, Where(9999, "other.local."), 120, False),)
        bench.ask(Question(INSTANCE, Kind.ANY, unicast=True), proposed=theirs)
        alone = [packet for _, packet in bench.sent if packet.to == ASKER]
        self.assertEqual({one.kind for one in alone[-1].answers}, {Kind.SRV, Kind.TXT})
        self.assertEqual(bench.sent[-1][0], 3600.0)

    def test_defence_in_a_flood(self) -> None:
        """A flood that uses up what is told to one alone keeps no name from being defended."""
        bench = announced()
        bench.ask(Question(INSTANCE, Kind.ANY))
        bench.run(1)
        bench.allowed = False
        mine = Record(INSTANCE, Kind.SRV, Where(1, "other.local."), HOST_TTL, True)
        asked = Message(questions=(Question(INSTANCE, Kind.ANY, unicast=True),), proposed=(mine,))
        said = [*bench.hear(asked), *bench.run(0.25)]
        self.assertEqual([packet.to for packet in said], [None])
        self.assertIn(INSTANCE, {record.name for record in said[0].answers})
        # As often as a name is defended, and no more.
        for _ in range(100):
            said += bench.hear(asked)
        said += bench.run(0.5)
        self.assertLessEqual(len(said), 3)

    def test_dispute(self) -> None:
        """Who claims its name makes it ask again, every 10 s at most; who then insists has the name (9)."""
        bench = announced()
        rival = Message(response=True, records=(Record(HOST, Kind.A, b"1234", 120, True),))
        bench.hear(rival)
        self.assertEqual((bench.responder.state, bench.responder.conflicted), (State.PROBING, False))
        bench.run(5)
        self.assertIs(bench.responder.state, State.ANNOUNCED)
        bench.hear(rival)
        self.assertIs(bench.responder.state, State.ANNOUNCED)
        bench.run(6)
        bench.hear(rival)
        bench.run(0.2)
        bench.hear(rival)
        self.assertTrue(bench.responder.conflicted)

    def test_goodbye(self) -> None:
        """All records end when it goes, and it says no more; before they are announced it has none."""
        bench = announced()
        (packet,) = bench.responder.withdraw()
        others = ZONE.answers(ENUMERATION, Kind.PTR)  # say the same of this type of service
        self.assertEqual([*packet.answers, *others], list(ZONE.records))
        self.assertEqual({record.ttl for record in packet.answers}, {0})
        self.assertFalse(packet.flush, "nobody else's are taken back")
        self.assertEqual(bench.ask(PTR), [])
        self.assertEqual(bench.run(3600), [])
        self.assertEqual(Bench().responder.withdraw(), [])
        disputed = announced()
        disputed.hear(Message(response=True, records=(Record(HOST, Kind.A, b"1234", 120, True),)))
        self.assertIs(disputed.responder.state, State.PROBING)
        self.assertEqual(disputed.responder.withdraw(), [packet])

    def test_other_address(self) -> None:
        """Another address is announced at once, under the same names, and the old one taken back (8.4)."""
        bench = announced()
        zone = Zone.of(SERVER, [ip_address("192.0.2.77")])
        (goodbye,) = bench.note(bench.responder.publish(zone, bench.now))
        self.assertEqual({one.data for one in goodbye.answers}, {one.packed for one in ADDRESSES})
        self.assertEqual([packet.answers for packet in bench.run(10)], [zone.records] * 3)
        self.assertFalse(any(packet.query for packet in bench.run(10)))
        # What was on its way meanwhile is no rival's.
        old = tuple(one for one in ZONE.records if one.kind == Kind.A)
        bench.hear(Message(response=True, records=old))
        self.assertIs(bench.responder.state, State.ANNOUNCED)


class AnswerTests(SynchronousTestCase):
    """What is answered to whom, and when (5.4, 6, 7)."""

    def test_multicast(self) -> None:
        """Without the QU bit everybody is answered, with what is asked for next beside it (COMM-001)."""
        bench = announced()
        self.assertEqual(bench.ask(PTR), [])
        (packet,) = bench.run(0.2)
        self.assertIsNone(packet.to)
        self.assertEqual(packet.answers, ZONE.answers(SERVICE, Kind.PTR))
        self.assertEqual({one.kind for one in packet.beside}, {Kind.SRV, Kind.TXT, Kind.A, Kind.AAAA})
        self.assertTrue(packet.flush)

    def test_unicast(self) -> None:
        """With it the asker alone is, if everybody was told lately; else everybody is as well (5.4)."""
        bench = announced()
        asked = Question(SERVICE, Kind.PTR, unicast=True)
        (packet,) = bench.ask(asked, number=5)
        self.assertEqual((packet.to, packet.number), (ASKER, 5))
        self.assertEqual(len(bench.run(1)), 1, "it was last told an hour ago")
        bench.run(10)
        (packet,) = bench.ask(asked)
        self.assertEqual((packet.to, packet.answers), (ASKER, ZONE.answers(SERVICE, Kind.PTR)))
        self.assertEqual(bench.run(1), [])

    def test_resolver(self) -> None:
        """Who asks from another port knows no mDNS: it is answered in its own way, for 10 s (6.7)."""
        bench = announced()
        (packet,) = bench.ask(Question(HOST, Kind.A), peer=RESOLVER, number=7)
        self.assertEqual((packet.to, packet.number, packet.legacy), (RESOLVER, 7, True))
        self.assertEqual(packet.questions, (Question(HOST, Kind.A),))
        self.assertEqual({one.ttl for one in packet.answers + packet.beside}, {10})
        self.assertFalse(packet.flush)
        self.assertEqual(bench.run(10), [], "nobody else is told")

    def test_unique_at_once(self) -> None:
        """What is its own alone is answered without waiting."""
        bench = announced()
        (packet,) = bench.ask(Question(INSTANCE, Kind.SRV))
        self.assertEqual([one.kind for one in packet.answers], [Kind.SRV])

    def test_together(self) -> None:
        """Answers to several askers within a moment go together."""
        bench = announced()
        for subtype in ("derp", "tm", "edev"):
            bench.ask(Question(f"_{subtype}._sub.{SERVICE}", Kind.PTR))
            bench.run(0.001)
        packets = bench.run(1)
        self.assertLessEqual(len(packets), 3)
        self.assertEqual(sum(len(packet.answers) for packet in packets), 3)

    def test_known(self) -> None:
        """What the asker knows for half its time or longer is not said again (7.1)."""
        for ttl, answered in ((4500, False), (2250, False), (2249, True)):
            bench = announced()
            known = tuple(record.lasting(ttl) for record in ZONE.answers(SERVICE, Kind.PTR))
            bench.ask(PTR, records=known)
            self.assertEqual(bool(bench.run(1)), answered, ttl)

    def test_known_in_parts(self) -> None:
        """More known answers that were promised are waited for (7.2)."""
        enumeration = Question(ENUMERATION, Kind.PTR)
        known = ZONE.answers(SERVICE, Kind.PTR)
        for last in (True, False):
            bench = announced()
            bench.ask(PTR, enumeration, truncated=True)
            self.assertEqual(bench.run(0.3), [])
            bench.hear(Message(records=known, truncated=not last))
            (packet,) = bench.run(1)
            self.assertEqual(packet.answers, ZONE.answers(ENUMERATION, Kind.PTR))

    def test_once_a_second(self) -> None:
        """Everybody is told a record once a second, however often it is asked for, and then it is (6)."""
        bench = announced()
        for _ in range(100):
            bench.ask(PTR)
            bench.run(0.05)
        bench.run(2)
        moments = [at for at, packet in bench.sent if at > 3599]
        self.assertEqual(len(moments), 6)
        self.assertTrue(all(later - at >= 1 for at, later in pairwise(moments)))

    def test_allowance(self) -> None:
        """Beyond what it may be sent an asker alone is sent nothing."""
        bench = announced()
        bench.allowed = False
        self.assertEqual(bench.ask(Question(HOST, Kind.A), peer=RESOLVER), [])

    def test_no_such_kind(self) -> None:
        """Of a name of its own it is said that there is no such thing (6.1)."""
        bench = announced(Zone.of(SERVER, ADDRESSES[:1]))
        (packet,) = bench.ask(Question(HOST, Kind.AAAA))
        self.assertEqual([one.kind for one in packet.answers], [Kind.NSEC])

    def test_waiting_is_bounded(self) -> None:
        """However many say that more follows: a few are waited for, with a bounded number of answers."""
        bench = announced()
        for number in range(1000):
            bench.hear(
                Message(questions=(PTR,), truncated=True), Peer(f"10.0.{number // 250}.{number % 250}", 5353)
            )
        known = tuple(Record(f"{n}.local.", Kind.A, b"1234", 9, True) for n in range(300))
        for _ in range(100):
            bench.hear(Message(records=known, truncated=True), Peer("10.0.0.0", 5353))
        self.assertLessEqual(len(bench.responder._waiting), 16)
        self.assertLessEqual(max(len(one.message.records) for one in bench.responder._waiting.values()), 500)
        bench.run(1)
        self.assertEqual(bench.responder._waiting, {})

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_never_more(self, data: st.DataObject) -> None:
        """Whatever is asked however: no record goes to everybody twice within a second."""
        bench = announced()
        names = st.sampled_from([record.name for record in ZONE.records] + ["x.local."])
        kinds = st.sampled_from([*Kind, 99])
        start = len(bench.sent)
        for _ in range(data.draw(st.integers(1, 30))):
            questions = [
                Question(data.draw(names), data.draw(kinds), data.draw(st.booleans())) for _ in range(3)
            ]
            bench.ask(
                *questions,
                peer=data.draw(st.sampled_from([ASKER, RESOLVER])),
                truncated=data.draw(st.booleans()),
            )
            bench.run(data.draw(st.sampled_from([0.0, 0.01, 0.3, 1.0])))
        bench.run(5)
        last: dict[Record, float] = {}
        for at, packet in bench.sent[start:]:
            if packet.to is None:
                for record in packet.answers:
                    self.assertGreaterEqual(at - last.get(record, -9.0), 0.999)
                    last[record] = at
        self.assertLessEqual(len(bench.responder._sent), 2 * len(ZONE.records))
        self.assertIsNone(bench.responder.next_due)


class ZoneOfAnotherTests(SynchronousTestCase):
    """Two servers on one link, each hearing what the other sends."""

    def test_two_of_one_name(self) -> None:
        """Two servers of one certificate and name: one keeps it, the other takes the next."""
        benches = [Bench(Zone.of(SERVER, [ip_address(f"192.0.2.{host}")])) for host in (1, 2)]
        numbers = [1, 1]
        for _ in range(400):
            for at, bench in enumerate(benches):
                other = benches[1 - at]
                for packet in bench.run(0.05):
                    other.hear(
                        Message(
                            response=not packet.query,
                            questions=packet.questions,
                            records=packet.answers,
                            proposed=packet.proposed,
                        )
                    )
                if bench.responder.conflicted:
                    numbers[at] += 1
                    zone = Zone.of(SERVER.numbered(numbers[at]), [ip_address(f"192.0.2.{at + 1}")])
                    bench.responder.publish(zone, bench.now, 1.0)
        self.assertEqual(sorted(numbers), [1, 2])
        self.assertEqual({bench.responder.state for bench in benches}, {State.ANNOUNCED})

    def test_ttl(self) -> None:
        """What hangs on the host lasts two minutes, so that a host that moved is found again."""
        server = Advertisement("csipd", 1, 1)
        zone = Zone.of(server, ADDRESSES)
        self.assertEqual(
            {one.ttl for one in zone.records if one.kind in (Kind.A, Kind.AAAA, Kind.SRV)}, {HOST_TTL}
        )
