"""What Responses say, who may give them, and when a device owes one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der import responses
from csipd.der.events import Event, statuses
from csipd.der.responses import ReceivedResponse, ResponseKind, Stage, Subject
from csipd.sep2.types import ResponseStatus

POLL = 600
GRACE = 2 * POLL
#: responseRequired: received, and what becomes of it.
ALL = 3

#: IEEE 2030.5-2018 Table 27: the kind of each status, and how far it brings a device.
STATUSES = {
    1: (ResponseKind.RECEIVED, Stage.RECEIVED),
    2: (ResponseKind.STARTED, Stage.STARTED),
    3: (ResponseKind.COMPLETED, Stage.ENDED),
    4: (ResponseKind.OPTED_OUT, Stage.ENDED),
    5: (ResponseKind.RECEIVED, Stage.RECEIVED),
    6: (ResponseKind.CANCELLED, Stage.ENDED),
    7: (ResponseKind.SUPERSEDED, Stage.ENDED),
    8: (ResponseKind.OPTED_OUT, Stage.ENDED),
    9: (ResponseKind.COMPLETED, Stage.ENDED),
    10: (ResponseKind.OPTED_OUT, Stage.ENDED),
    11: (ResponseKind.RECEIVED, Stage.RECEIVED),
    12: (ResponseKind.REJECTED, Stage.ENDED),
    13: (ResponseKind.SUPERSEDED, Stage.ENDED),
    14: (ResponseKind.SUPERSEDED, Stage.ENDED),
    251: (ResponseKind.REJECTED, Stage.ENDED),
    252: (ResponseKind.REJECTED, Stage.ENDED),
    253: (ResponseKind.REJECTED, Stage.ENDED),
    254: (ResponseKind.REJECTED, Stage.ENDED),
}


def event(start: int = 10_000, duration: int = 3000, created: int = 0, mrid: str = "A", **more: Any) -> Event:
    """An event of one mode."""
    modes = frozenset(["opModFixedW"])
    return Event(mrid=mrid, created=created, start=start, duration=duration, modes=modes, **more)


class MeaningTests(SynchronousTestCase):
    """The statuses."""

    def test_table(self) -> None:
        """Every status of the standard's table is known, as what it says; no other is."""
        self.assertEqual(set(responses.MEANINGS), set(STATUSES))
        self.assertEqual(set(responses.MEANINGS), set(ResponseStatus))
        for status in range(256):
            kind, stage = STATUSES.get(status, (None, Stage.RECEIVED))
            self.assertIs(responses.kind_of(status), kind, status)
            self.assertIs(responses.stage(status), stage, status)

    def test_none(self) -> None:
        """A response without a status counts as nothing but that the event was received."""
        self.assertIsNone(responses.kind_of(None))
        self.assertIs(responses.stage(None), Stage.RECEIVED)

    def test_names(self) -> None:
        """Every status has a name of its own for people, known or not."""
        names = {responses.meaning(status) for status in (*range(256), None)}
        self.assertEqual(len(names), 257)
        self.assertEqual(responses.meaning(3), "completed")
        self.assertEqual(responses.meaning(251), "not supported")
        self.assertEqual(responses.meaning(250), "unknown (250)")

    def test_taken(self) -> None:
        """A status of the table is taken, and none; any other is refused (case A4)."""
        for status in range(256):
            self.assertIs(responses.may_give(status), status in STATUSES, status)
        self.assertTrue(responses.may_give(None))


class FlagTests(SynchronousTestCase):
    """What is looked at."""

    def test_nothing_to_flag(self) -> None:
        """A known status to an event for the device is nothing to look at."""
        for status in STATUSES:
            self.assertIsNone(responses.flag(Subject.ADDRESSED, status))

    def test_flags(self) -> None:
        """An event that is not known or not for the device, and a status that is missing, are flagged."""
        self.assertEqual(responses.flag(Subject.UNKNOWN, 1), "the event is not known")
        self.assertEqual(responses.flag(Subject.OTHERS, 1), "the event is not for this device")
        self.assertEqual(responses.flag(Subject.ADDRESSED, None), "there is no status")
        self.assertEqual(responses.flag(Subject.UNKNOWN, None), "the event is not known, there is no status")


class StandingTests(SynchronousTestCase):
    """Which answer repeats another, and which says where a device stands (decision 38)."""

    def said(self, *given: tuple[int | None, int | None, int]) -> list[ReceivedResponse]:
        """Answers numbered from 1: status, createdDateTime, receipt."""
        return [ReceivedResponse(number, *one) for number, one in enumerate(given, 1)]

    def assertLatest(self, number: int | None, *given: tuple[int | None, int | None, int]) -> None:
        found = responses.latest(self.said(*given))
        self.assertEqual(None if found is None else found.number, number)

    def test_latest(self) -> None:
        """The last is that of the latest createdDateTime; one that lies ahead counts as it was received."""
        self.assertLatest(None)
        self.assertLatest(2, (4, 10, 100), (5, 20, 100))
        self.assertLatest(1, (4, 20, 100), (5, 10, 110))
        self.assertLatest(2, (4, 9999, 100), (5, 110, 120))
        self.assertLatest(2, (4, 9999, 100), (5, None, 101))
        self.assertLatest(1, (4, 9999, 102), (5, 101, 103))

    def test_ties(self) -> None:
        """Of the same moment the one that was received later is the last, then that of the higher number."""
        self.assertLatest(2, (4, 10, 100), (5, 10, 101))
        self.assertLatest(1, (4, 10, 101), (5, 10, 100))
        self.assertLatest(2, (4, None, 100), (5, None, 100))

    def test_repeated(self) -> None:
        """The same status of the same createdDateTime is a repeat, of another it is not (case A3)."""
        given = self.said((1, 10, 100), (4, 20, 100), (5, 30, 100))
        for status, created, number in ((1, 10, 1), (4, 20, 2), (5, 30, 3), (4, 40, None), (1, 20, None)):
            found = responses.repeated(given, status, created)
            self.assertEqual(None if found is None else found.number, number)

    def test_repeated_without_a_time(self) -> None:
        """Without createdDateTime the last status again is a repeat; another is new (case A3)."""
        given = self.said((4, 20, 100), (5, 30, 101))
        for status, number in ((5, 2), (4, None), (None, None)):
            found = responses.repeated(given, status, None)
            self.assertEqual(None if found is None else found.number, number)
        self.assertIsNone(responses.repeated([], 1, None))

    def test_stands(self) -> None:
        """Received and started stay true; how it ended, the last status says (case A3)."""
        received, started, opted_out = ResponseKind.RECEIVED, ResponseKind.STARTED, ResponseKind.OPTED_OUT
        for said, buckets, stage in (
            ((), set(), Stage.NOTHING),
            ((1, 2, 3), {received, started, ResponseKind.COMPLETED}, Stage.ENDED),
            ((1, 4), {received, opted_out}, Stage.ENDED),
            ((1, 4, 5), {received}, Stage.RECEIVED),
            ((1, 4, 5, 4, 5), {received}, Stage.RECEIVED),
            ((1, 4, 5, 4), {received, opted_out}, Stage.ENDED),
            ((1, 2, 4, 5), {received, started}, Stage.STARTED),
            ((4, 6), {ResponseKind.CANCELLED}, Stage.ENDED),
            ((None,), set(), Stage.RECEIVED),
        ):
            self.assertEqual(responses.stands(said), buckets, said)
            self.assertIs(responses.reached(said), stage, said)


class SilenceTests(SynchronousTestCase):
    """When an answer is overdue: two poll rates after it was due, and the randomisation."""

    def assertRequired(self, one: Event, steps: Collection[tuple[int, Stage]], asked: int = ALL) -> None:
        """What is required changes at each of the moments to the stage beside it, and at no other."""
        moments = dict(steps)
        stage = Stage.NOTHING
        for at in range(one.created, max(moments) + 3 * GRACE, 50):
            for moment in (at - 1, at, at + 1):
                if moment < one.created:
                    continue
                passed = [m for m in moments if m < moment]
                stage = moments[max(passed)] if passed else Stage.NOTHING
                status = statuses([one], moment)[one.mrid]
                self.assertIs(responses.required(one, status, asked, POLL, moment), stage, moment)
        self.assertIs(stage, moments[max(moments)])

    def test_normal(self) -> None:
        """Received is due once the event is made, started when it starts, the end when it is over."""
        self.assertRequired(
            event(),
            [(GRACE, Stage.RECEIVED), (10_000 + GRACE, Stage.STARTED), (13_000 + GRACE, Stage.ENDED)],
        )

    def test_randomised(self) -> None:
        """A device that may start and end later has so much more time for it."""
        self.assertRequired(
            event(randomize_start=600, randomize_duration=300),
            [(GRACE, Stage.RECEIVED), (10_600 + GRACE, Stage.STARTED), (13_900 + GRACE, Stage.ENDED)],
        )

    def test_randomised_to_the_front(self) -> None:
        """A device that may start sooner may still start at the last moment."""
        self.assertRequired(
            event(randomize_start=-600, randomize_duration=-300),
            [(GRACE, Stage.RECEIVED), (10_000 + GRACE, Stage.STARTED), (13_000 + GRACE, Stage.ENDED)],
        )

    def test_made_late(self) -> None:
        """An event that was made when it should have begun is received and started from then."""
        self.assertRequired(
            event(created=11_000), [(11_000 + GRACE, Stage.STARTED), (13_000 + GRACE, Stage.ENDED)]
        )

    def test_cancelled_before(self) -> None:
        """An event that was cancelled before it began is started by nobody; its end is due at once."""
        self.assertRequired(event(cancelled=5000), [(GRACE, Stage.RECEIVED), (5000 + GRACE, Stage.ENDED)])

    def test_cancelled_while_running(self) -> None:
        """An event that is cancelled while it runs is over then; with randomisation, by so much later."""
        for randomized, more in ((False, 0), (True, 600)):
            self.assertRequired(
                event(randomize_start=-600, cancelled=12_000, randomized=randomized),
                [
                    (GRACE, Stage.RECEIVED),
                    (10_000 + GRACE, Stage.STARTED),
                    (12_000 + more + GRACE, Stage.ENDED),
                ],
            )

    def test_superseded(self) -> None:
        """What another event of the program took is over when that one begins."""
        loser, winner = event(), event(start=11_000, created=9000, mrid="B")
        at = 11_000 + GRACE
        for moment, stage in ((at, Stage.STARTED), (at + 1, Stage.ENDED)):
            status = statuses([loser, winner], moment)["A"]
            self.assertIs(responses.required(loser, status, ALL, POLL, moment), stage)

    def test_superseded_from_the_start(self) -> None:
        """What never began because another event took it is over, and was not to be started."""
        loser, winner = event(), event(start=9_000, duration=8000, created=5000, mrid="B")
        for moment, stage in ((9000 + GRACE, Stage.RECEIVED), (9001 + GRACE, Stage.ENDED)):
            status = statuses([loser, winner], moment)["A"]
            self.assertIs(responses.required(loser, status, ALL, POLL, moment), stage)

    def test_not_asked(self) -> None:
        """Nothing is owed that responseRequired does not ask for."""
        late = 10**6
        self.assertRequired(event(), [(GRACE, Stage.RECEIVED)], asked=1)
        self.assertRequired(
            event(), [(10_000 + GRACE, Stage.STARTED), (13_000 + GRACE, Stage.ENDED)], asked=2
        )
        for asked in (0, 4):
            status = statuses([event()], late)["A"]
            self.assertIs(responses.required(event(), status, asked, POLL, late), Stage.NOTHING)

    def test_silent(self) -> None:
        """A device is silent that has not told of the stage that is due, whatever else it said."""
        one = event()
        for now, said, silent in (
            (GRACE, (), False),
            (GRACE + 1, (), True),
            (GRACE + 1, (1,), False),
            (GRACE + 1, (99,), False),
            (GRACE + 1, (None,), False),
            (10_001 + GRACE, (1,), True),
            (10_001 + GRACE, (2,), False),
            (10_001 + GRACE, (1, 14), False),
            (10_001 + GRACE, (254,), False),
            (13_001 + GRACE, (1, 2), True),
            (13_001 + GRACE, (3,), False),
            (13_001 + GRACE, (1, 4), False),
            (13_001 + GRACE, (1, 4, 5), True),
        ):
            status = statuses([one], now)["A"]
            self.assertIs(responses.silent(said, one, status, ALL, POLL, now), silent, (now, said))

    @given(
        st.integers(-3600, 3600),
        st.integers(-3600, 3600),
        st.integers(0, 20_000),
        st.one_of(st.none(), st.integers(0, 20_000)),
        st.booleans(),
        st.integers(0, 255),
    )
    def test_never_back(
        self,
        randomize_start: int,
        randomize_duration: int,
        created: int,
        after: int | None,
        randomized: bool,
        asked: int,
    ) -> None:
        """What is owed grows with time and never shrinks, unless the operator cancels."""
        cancelled = None if after is None else created + after
        one = event(
            created=created,
            randomize_start=randomize_start,
            randomize_duration=randomize_duration,
            cancelled=cancelled,
            randomized=randomized,
        )
        stage = Stage.NOTHING
        for now in range(max(created, cancelled or 0), created + 50_000, 400):
            status = statuses([one], now)["A"]
            following = responses.required(one, status, asked, POLL, now)
            self.assertGreaterEqual(following, stage)
            stage = following
