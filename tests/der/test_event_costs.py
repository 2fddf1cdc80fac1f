"""What the rules cost: in proportion to the events of a program, counted in steps (case F3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.events import Event, statuses
from csipd.der.intervals import Intervals
from csipd.der.programs import ProgramEvent, mode_outcomes, program_events
from tests.support.steps import steps

MODE = "opModFixedW"
SHORT = 300
#: What twice as many events may cost, in times: twice, and something for the logarithm.
LINEAR = 2.4


def event(mrid: int, start: int, duration: int, created: int = 0) -> Event:
    return Event(f"{mrid:032}", created, start, duration, frozenset({MODE}))


def shorts(number: int, first: int = 1) -> list[Event]:
    """Five-minute events, one after another."""
    return [event(first + i, SHORT * i, SHORT) for i in range(number)]


def under_a_long(number: int) -> list[Event]:
    """They, and one below that was made before them and lasts as long as all together."""
    return [event(0, 0, SHORT * number), *shorts(number)]


def over_by_a_long(number: int) -> list[Event]:
    """They, and one over them that was made after them."""
    return [event(10**6, 0, SHORT * number), *shorts(number)]


def partly_over(number: int) -> list[Event]:
    """They, and one below of which they never take all."""
    low = evolve(event(0, 0, SHORT * number), modes=frozenset({MODE, "opModFixedVar"}))
    return [low, *shorts(number)]


SCENES = (shorts, under_a_long, over_by_a_long, partly_over)


class CostTests(SynchronousTestCase):
    """Twice as many events, twice the steps."""

    def check(self, call: Callable[[Sequence[Event]], object]) -> None:
        for scene in SCENES:
            once, twice = (steps(lambda n=n, scene=scene: call(scene(n))) for n in (200, 400))
            self.assertLess(twice / once, LINEAR, f"{scene.__name__}: {once} and {twice} steps")

    def test_statuses(self) -> None:
        """The status of all events of a program, with one long event among many short ones (case F3)."""
        for now in (-1, SHORT * 100, 10**7):
            self.check(lambda events, now=now: statuses(events, now))

    def test_candidates(self) -> None:
        """What a device has to be reported them."""
        self.check(lambda events: program_events(events, 5))

    def test_holds(self) -> None:
        """Which of them holds a mode, where the long one is of a worse or a better program (case F3)."""
        for primacy in (1, 9):

            def mixed(events: Sequence[Event], primacy: int = primacy) -> object:
                return mode_outcomes(
                    [ProgramEvent(e, primacy if e.duration > SHORT else 5) for e in events], MODE
                )

            self.check(mixed)


class IntervalTests(SynchronousTestCase):
    """The index behind it."""

    @given(
        st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 40)), max_size=30),
        st.integers(-60, 60),
        st.integers(0, 60),
    )
    def test_overlapping(self, items: list[tuple[int, int]], start: int, length: int) -> None:
        """It finds what looking at each finds, in the order in which they were given."""
        end = start + length
        found = Intervals((s, s + d, i) for i, (s, d) in enumerate(items)).overlapping(start, end)
        expected = [i for i, (s, d) in enumerate(items) if s < end and start < s + d]
        self.assertEqual(found, expected)

    def test_cost(self) -> None:
        """One long thing among many short ones makes no query look at all of them."""
        few, many = (
            Intervals([(0, 10 * n, -1), *((10 * i, 10 * i + 10, i) for i in range(n))]) for n in (500, 1000)
        )
        self.assertEqual(few.overlapping(55, 58), [-1, 5])
        once, twice = (steps(lambda i=i: i.overlapping(55, 58)) for i in (few, many))
        self.assertEqual(once, twice)
