"""What an event loses to a better one, as the operator is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.conflicts import LostModes, loss
from csipd.der.events import ALL_CATEGORIES, Event
from csipd.der.programs import EndReason, ProgramEvent, mode_outcomes

W, PF = "opModFixedW", "opModFixedPFInjectW"


def candidate(
    mrid: str,
    primacy: int,
    start: int,
    duration: int,
    *modes: str,
    created: int = 0,
    categories: int = ALL_CATEGORIES,
) -> ProgramEvent:
    return ProgramEvent(Event(mrid, created, start, duration, frozenset(modes or (W,)), categories), primacy)


class LossTests(SynchronousTestCase):
    """Times in minutes."""

    def test_short_over_long(self) -> None:
        """A short, better control ends a long one for good, and leaves its rest without (case B3)."""
        long, short = candidate("a", 5, 0, 60), candidate("b", 1, 21, 10, created=20)
        self.assertEqual(loss(long, short), LostModes((W,), True, 21, 29))

    def test_known_before(self) -> None:
        """One that has not begun does not run at all, not even before the better one (rule 3)."""
        long, short = candidate("a", 5, 10, 60), candidate("b", 1, 21, 10)
        self.assertEqual(loss(long, short), LostModes((W,), True, None, 50))

    def test_covered(self) -> None:
        """Where the better one lasts as long nothing is left without."""
        long, short = candidate("a", 5, 0, 60), candidate("b", 1, 30, 60, created=20)
        self.assertEqual(loss(long, short), LostModes((W,), True, 30, 0))

    def test_in_part(self) -> None:
        """It loses the modes that both have; wholly only where those are all, for all categories."""
        both, one = candidate("a", 5, 0, 60, W, PF), candidate("b", 1, 30, 10, PF, created=20)
        self.assertEqual(loss(both, one), LostModes((PF,), False, 30, 20))
        some = candidate("b", 1, 30, 10, created=20, categories=1)
        self.assertEqual(loss(candidate("a", 5, 0, 60), some), LostModes((W,), False, 30, 20))

    def test_nothing(self) -> None:
        """Nothing is lost to what is worse, later, or about something else."""
        long = candidate("a", 5, 0, 60)
        for other in (
            candidate("b", 9, 30, 10, created=20),
            candidate("b", 1, 60, 10, created=20),
            candidate("b", 1, 30, 10, PF, created=20),
        ):
            self.assertIsNone(loss(long, other))

    @given(
        *(st.integers(0, 20) for _ in range(4)),
        *(st.integers(1, 20) for _ in range(2)),
        *(st.integers(1, 3) for _ in range(2)),
    )
    def test_second_by_second(
        self, a: int, b: int, made_a: int, made_b: int, long: int, short: int, p: int, q: int
    ) -> None:
        """What is left without is what a clock would count."""
        one = candidate("a", p, a, long, created=made_a)
        other = candidate("b", q, b, short, created=made_b)
        found = loss(one, other)
        mine = next(outcome for outcome in mode_outcomes([one, other], W) if outcome.candidate is one)
        lost = mine.by is other and mine.end in (EndReason.SUPERSEDED, EndReason.NEVER)
        self.assertEqual(found is not None, lost)
        if found is not None:
            period = range(one.begins, one.event.end)
            without = [t for t in period if not mine.at(t) and not other.begins <= t < other.event.end]
            self.assertEqual(found.uncovered, len(without))
