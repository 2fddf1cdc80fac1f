"""The times of an event, with all the numbers that the standard admits (IEEE 2030.5-2018 10.2.3)."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.events import Event, next_change, statuses
from csipd.sep2.types import EventState

T0 = 1_767_225_600
BOUND = st.integers(-3600, 3600)
DURATION = st.integers(0, 2**32 - 1)
TIME = st.integers(0, 2**40)


def event(
    start: int, duration: int, randomize_start: int = 0, randomize_duration: int = 0, created: int = 0
) -> Event:
    return Event(
        "e",
        created,
        start,
        duration,
        frozenset({"opModFixedW"}),
        randomize_start=randomize_start,
        randomize_duration=randomize_duration,
    )


class PeriodTests(SynchronousTestCase):
    """The Effective Scheduled Period."""

    def check(self, one: Event, earliest: int, latest: int) -> None:
        self.assertEqual((one.earliest, one.latest), (earliest, latest))
        self.assertEqual(one.end, T0 + 600, "without randomisation")

    def test_plain(self) -> None:
        """Without randomisation it is the interval itself."""
        self.check(event(T0, 600), T0, T0 + 600)

    def test_bounds(self) -> None:
        """It reaches from the earliest start to the latest end that randomisation allows."""
        self.check(event(T0, 600, 30, 0), T0, T0 + 630)
        self.check(event(T0, 600, -30, 0), T0 - 30, T0 + 600)
        self.check(event(T0, 600, 0, 60), T0, T0 + 660)
        self.check(event(T0, 600, 0, -60), T0, T0 + 600)
        self.check(event(T0, 600, -30, 60), T0 - 30, T0 + 660)
        self.check(event(T0, 600, 30, -60), T0, T0 + 630)

    @given(TIME, DURATION, BOUND, BOUND, st.floats(0, 1), st.floats(0, 1))
    def test_every_device(self, start: int, duration: int, rs: int, rd: int, x: float, y: float) -> None:
        """Whatever a device draws, uniformly between 0 and each bound, lies in the period."""
        one = event(start, duration, rs, rd)
        begins = start + x * rs
        ends = begins + max(0, duration + y * rd)
        self.assertLessEqual(one.earliest, begins)
        if duration + y * rd >= 0:
            self.assertGreaterEqual(one.latest + 1e-3, ends)


class MomentTests(SynchronousTestCase):
    """When it begins and closes, within a second and in numbers of any size."""

    def test_late(self) -> None:
        """It begins when it is due; one that is made later begins with what is commanded in that second."""
        self.assertEqual(event(T0, 600, -30, created=T0 - 31).due, (T0 - 30, False))
        self.assertEqual(event(T0, 600, -30, created=T0 - 30).due, (T0 - 30, True))
        self.assertEqual(event(T0, 600, -30, created=T0 + 5).due, (T0 + 5, True))

    def test_closed(self) -> None:
        """It closes by the clock, or with what is commanded in the second of its cancellation."""
        one = event(T0, 600, 30)
        self.assertEqual(one.closed, (T0 + 630, False))
        self.assertEqual(evolve(one, cancelled=T0 + 629).closed, (T0 + 629, True))
        self.assertEqual(evolve(one, cancelled=T0 + 630).closed, (T0 + 630, False), "it is over by then")

    @given(TIME, DURATION, BOUND, BOUND, TIME, st.integers(0, 2**33))
    def test_true_until(self, start: int, duration: int, rs: int, rd: int, made: int, later: int) -> None:
        """What is said of one event holds until its next change, and began in the past."""
        one, now = event(start, duration, rs, rd, made), made + later
        status = statuses([one], now)["e"]
        self.assertIs(status.state, EventState.ACTIVE if now >= one.earliest else EventState.SCHEDULED)
        self.assertLessEqual(status.since, now)
        until = next_change([one], now)
        if until is None:
            self.assertEqual(statuses([one], now + later + 1)["e"], status)
            self.assertGreaterEqual(now, status.listed_until)
            return
        self.assertGreater(until, now)
        self.assertEqual(statuses([one], until - 1)["e"], status)
        self.assertLessEqual(until, one.latest)
        self.assertEqual(until > one.earliest, status.state is EventState.ACTIVE)
