"""Where an event stands at a moment, against the table of IEEE 2030.5-2018 10.2.3."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.events import Span, Standing, span, standing
from csipd.sep2.types import EventState

T0 = 1_767_225_600
BOUND = st.integers(-3600, 3600)
DURATION = st.integers(0, 2**32 - 1)
TIME = st.integers(0, 2**40)


class SpanTests(SynchronousTestCase):
    """The Effective Scheduled Period."""

    def test_plain(self) -> None:
        """Without randomisation it is the interval itself."""
        self.assertEqual(span(T0, 600), Span(T0, T0 + 600))

    def test_bounds(self) -> None:
        """It reaches from the earliest start to the latest end that randomisation allows."""
        self.assertEqual(span(T0, 600, 30, 0), Span(T0, T0 + 630))
        self.assertEqual(span(T0, 600, -30, 0), Span(T0 - 30, T0 + 600))
        self.assertEqual(span(T0, 600, 0, 60), Span(T0, T0 + 660))
        self.assertEqual(span(T0, 600, 0, -60), Span(T0, T0 + 600))
        self.assertEqual(span(T0, 600, -30, 60), Span(T0 - 30, T0 + 660))
        self.assertEqual(span(T0, 600, 30, -60), Span(T0, T0 + 630))

    @given(TIME, DURATION, BOUND, BOUND, st.floats(0, 1), st.floats(0, 1))
    def test_every_device(self, start: int, duration: int, rs: int, rd: int, x: float, y: float) -> None:
        """Whatever a device draws, uniformly between 0 and each bound, lies in the period."""
        period = span(start, duration, rs, rd)
        begins = start + x * rs
        ends = begins + max(0, duration + y * rd)
        self.assertLessEqual(period.earliest, begins)
        if duration + y * rd >= 0:
            self.assertGreaterEqual(period.latest + 1e-3, ends)


class StandingTests(SynchronousTestCase):
    """EventStatus by the clock."""

    def test_life(self) -> None:
        """An event is scheduled from its creation, active from its earliest start, and over at its end."""
        period = Span(T0, T0 + 600)
        made = T0 - 100
        scheduled = Standing(EventState.SCHEDULED, made, T0)
        active = Standing(EventState.ACTIVE, T0, T0 + 600)
        over = Standing(EventState.ACTIVE, T0, None)
        for now, expected in (
            (made, scheduled),
            (T0 - 1, scheduled),
            (T0, active),
            (T0 + 599, active),
            (T0 + 600, over),
            (T0 + 10**6, over),
        ):
            self.assertEqual(standing(period, made, now), expected, now)

    def test_late(self) -> None:
        """One that is created when it should already have begun is active from then on, never scheduled."""
        period = Span(T0, T0 + 600)
        for made in (T0, T0 + 300):
            self.assertEqual(standing(period, made, made), Standing(EventState.ACTIVE, made, T0 + 600))

    def test_never_completed(self) -> None:
        """The 2018 edition has no status for an event that is over: the last one stays."""
        self.assertEqual(standing(Span(0, 10), 0, T0).status, 1)

    @given(TIME, DURATION, BOUND, BOUND, TIME, st.integers(0, 2**33))
    def test_true_until(self, start: int, duration: int, rs: int, rd: int, made: int, later: int) -> None:
        """What is said holds until the moment it names and no longer, and began in the past."""
        period, now = span(start, duration, rs, rd), made + later
        stands = standing(period, made, now)
        self.assertLessEqual(stands.since, now)
        if stands.until is not None:
            self.assertGreater(stands.until, now)
            self.assertEqual(standing(period, made, stands.until - 1), stands)
            self.assertNotEqual(standing(period, made, stands.until), stands)
        else:
            self.assertEqual(standing(period, made, now + later + 1), stands)
