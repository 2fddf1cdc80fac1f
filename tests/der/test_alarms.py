"""Which log events raise and clear alarms, and what they make of one, in whatever order they arrive."""

from __future__ import annotations

from itertools import pairwise

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der import alarms
from csipd.der.alarms import AlarmChange, AlarmEvent, AlarmPeriod, Outcome
from csipd.sep2 import resources as r

#: CSIP IG Table 14: each DER alarm, the code that raises it and the one of its return to normal.
DER_ALARMS = (
    ("over current", 0, 1),
    ("over voltage", 2, 3),
    ("under voltage", 4, 5),
    ("over frequency", 6, 7),
    ("under frequency", 8, 9),
    ("voltage imbalance", 10, 11),
    ("current imbalance", 12, 13),
    ("emergency local", 14, 15),
    ("emergency remote", 16, 17),
    ("low power input", 18, 19),
    ("phase rotation", 20, 21),
)
times = st.integers(0, 12)


def event(function_set: int, code: int, profile: int = 2) -> r.LogEvent:
    """A log event of a code."""
    return r.LogEvent(
        createdDateTime=5,
        functionSet=function_set,
        logEventCode=code,
        logEventID=1,
        logEventPEN=40732,
        profileID=profile,
    )


class ClassificationTests(SynchronousTestCase):
    """What a log event does."""

    def test_der(self) -> None:
        """Each alarm of a DER is raised by its code and cleared by the next, under one name."""
        for name, raises, clears in DER_ALARMS:
            for turn, code in ((AlarmChange.RAISED, raises), (AlarmChange.CLEARED, clears)):
                signal = alarms.classify(event(11, code))
                self.assertEqual(signal, AlarmEvent(turn, 11, raises, name, clears))
            self.assertEqual(alarms.name(11, raises), name)

    def test_hardware(self) -> None:
        """A hardware fault is raised by 0 and cleared by 1 of the general codes."""
        self.assertEqual(
            alarms.classify(event(0, 0)), AlarmEvent(AlarmChange.RAISED, 0, 0, "hardware fault", clears=1)
        )
        self.assertEqual(
            alarms.classify(event(0, 1)), AlarmEvent(AlarmChange.CLEARED, 0, 0, "hardware fault", clears=1)
        )

    def test_software(self) -> None:
        """A software fault is an alarm that nothing clears."""
        self.assertEqual(
            alarms.classify(event(0, 2)), AlarmEvent(AlarmChange.RAISED, 0, 2, "software fault", clears=None)
        )

    def test_neither(self) -> None:
        """Codes without a meaning of the standard's do nothing: reserved, of other sets, of a vendor."""
        for function_set, code in ((0, 3), (0, 27), (11, 22), (11, 63), (11, 255), (1, 0), (19, 2), (255, 0)):
            self.assertIsNone(alarms.classify(event(function_set, code)), (function_set, code))
        for profile in (0, 1, 3, 4, 255):
            for function_set, code in ((0, 0), (0, 1), (0, 2), (11, 0), (11, 1)):
                self.assertIsNone(alarms.classify(event(function_set, code, profile)))

    @given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
    def test_every_code(self, function_set: int, code: int, profile: int) -> None:
        """Whatever is raised or cleared is so by one of its two codes and has a name."""
        signal = alarms.classify(event(function_set, code, profile))
        if signal is not None:
            self.assertEqual(code, signal.code if signal.turn is AlarmChange.RAISED else signal.clears)
            self.assertEqual(signal.name, alarms.name(function_set, signal.code))

    def test_names_of_others(self) -> None:
        """An alarm that has no name is called by its code."""
        self.assertEqual(alarms.name(11, 22), "alarm 22 of function set 11")


class EpisodeTests(SynchronousTestCase):
    """One signal and what is there already."""

    def test_raised(self) -> None:
        """The first raise opens an alarm at the time that it tells."""
        self.assertEqual(alarms.raised(5, None, None), Outcome(None, AlarmPeriod(5)))

    def test_raised_again(self) -> None:
        """A raise of what is open already makes no second alarm."""
        self.assertEqual(alarms.raised(7, AlarmPeriod(5), None), Outcome(AlarmPeriod(5)))
        self.assertEqual(alarms.raised(5, AlarmPeriod(5), None), Outcome(AlarmPeriod(5)))

    def test_cleared(self) -> None:
        """A clear ends what is open at the time that it tells."""
        self.assertEqual(alarms.cleared(9, AlarmPeriod(5), None), Outcome(AlarmPeriod(5, 9)))

    def test_cleared_without_a_raise(self) -> None:
        """A clear of what was never raised makes no alarm, nor does one that tells of a time before it."""
        self.assertEqual(alarms.cleared(9, None, None), Outcome(None))
        self.assertEqual(alarms.cleared(4, AlarmPeriod(5), None), Outcome(AlarmPeriod(5)))

    def test_raise_after_its_clear(self) -> None:
        """A raise that arrives after its clear makes an alarm that is over."""
        self.assertEqual(alarms.raised(5, None, 9), Outcome(None, AlarmPeriod(5, 9)))

    def test_earlier_raise(self) -> None:
        """A raise from before an alarm, with no clear between, says that the alarm began then."""
        self.assertEqual(alarms.raised(3, AlarmPeriod(5), None), Outcome(AlarmPeriod(3)))
        self.assertEqual(alarms.raised(3, AlarmPeriod(5, 9), 9), Outcome(AlarmPeriod(3, 9)))

    def test_earlier_alarm(self) -> None:
        """A raise from before an alarm, with a clear between, is an alarm of its own."""
        self.assertEqual(alarms.raised(1, AlarmPeriod(5), 4), Outcome(AlarmPeriod(5), AlarmPeriod(1, 4)))

    def test_earlier_clear(self) -> None:
        """A clear from within an alarm that was raised again since parts it in two."""
        self.assertEqual(alarms.cleared(7, AlarmPeriod(5), 8), Outcome(AlarmPeriod(5, 7), AlarmPeriod(8)))
        self.assertEqual(
            alarms.cleared(7, AlarmPeriod(5, 9), 8), Outcome(AlarmPeriod(5, 7), AlarmPeriod(8, 9))
        )
        self.assertEqual(alarms.cleared(7, AlarmPeriod(5, 9), 10), Outcome(AlarmPeriod(5, 7)))


@define
class Log:
    """The episodes of one alarm, kept as the store keeps them, with all that arrived."""

    episodes: list[AlarmPeriod] = field(factory=list)
    arrived: list[tuple[int, AlarmChange]] = field(factory=list)

    def take(self, at: int, turn: AlarmChange) -> None:
        still = [e for e in self.episodes if e.cleared is None or e.cleared > at]
        ahead = min(still, key=lambda e: e.raised, default=None)
        other = AlarmChange.CLEARED if turn is AlarmChange.RAISED else AlarmChange.RAISED
        following = min((time for time, what in self.arrived if what is other and time > at), default=None)
        rule = alarms.raised if turn is AlarmChange.RAISED else alarms.cleared
        outcome = rule(at, ahead, following)
        if ahead is not None and outcome.ahead is not None:
            self.episodes[self.episodes.index(ahead)] = outcome.ahead
        if outcome.made is not None:
            self.episodes.append(outcome.made)
        self.arrived.append((at, turn))


def in_order(signals: list[tuple[int, AlarmChange]]) -> set[AlarmPeriod]:
    """The episodes that signals tell of, read in the order of their times; those of no length left out."""
    found: set[AlarmPeriod] = set()
    begun: int | None = None
    for at, turn in sorted(signals, key=lambda signal: signal[0]):
        if turn is AlarmChange.RAISED and begun is None:
            begun = at
        elif turn is AlarmChange.CLEARED and begun is not None:
            found.add(AlarmPeriod(begun, at))
            begun = None
    if begun is not None:
        found.add(AlarmPeriod(begun))
    return {episode for episode in found if episode.cleared != episode.raised}


class OrderTests(SynchronousTestCase):
    """The order of arrival makes no difference."""

    @given(st.lists(st.tuples(times, st.sampled_from(AlarmChange)), max_size=12))
    def test_any_order(self, signals: list[tuple[int, AlarmChange]]) -> None:
        """Whatever order signals arrive in, the alarms are those that their times tell of."""
        log = Log()
        for at, turn in signals:
            log.take(at, turn)
        found = {episode for episode in log.episodes if episode.cleared != episode.raised}
        self.assertEqual(found, in_order(signals))

    @given(st.lists(st.tuples(times, st.sampled_from(AlarmChange)), max_size=12))
    def test_one_at_a_time(self, signals: list[tuple[int, AlarmChange]]) -> None:
        """An alarm is never open twice at the same time."""
        log = Log()
        for at, turn in signals:
            log.take(at, turn)
            ordered = sorted(log.episodes, key=lambda e: (e.raised, e.cleared is None))
            for one, other in pairwise(ordered):
                self.assertTrue(one.cleared is not None and one.cleared <= other.raised, ordered)
