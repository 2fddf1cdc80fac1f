"""How many begin in one turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from csipd.notify.pace import PER_TURN, Pace


class Turns:
    """A clock of turns: what is to be called later is called in the next one."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def callLater(self, delay: float, function: Callable[[], None]) -> None:
        self.later.append(function)

    def turn(self) -> None:
        later, self.later = self.later, []
        for function in later:
            function()


class PaceTests(SynchronousTestCase):
    """However much wants to begin."""

    def test_few_in_a_turn(self) -> None:
        """Few begin in each turn, in their order; between them devices have theirs."""
        turns = Turns()
        pace = Pace(turns)
        begun: list[int] = []
        for number in range(3 * PER_TURN + 1):
            pace.turn().addCallback(lambda _, number=number: begun.append(number))
        counts = [len(begun)]
        for _ in range(4):
            turns.turn()
            counts.append(len(begun) - sum(counts))
        self.assertEqual(counts, [PER_TURN, PER_TURN, PER_TURN, 1, 0])
        self.assertEqual(begun, sorted(begun))

    def test_idle(self) -> None:
        """What comes after a pause begins at once, and nothing is left to be called."""
        turns = Turns()
        pace = Pace(turns)
        for _ in range(3):
            self.successResultOf(pace.turn())
            turns.turn()
            self.assertEqual(turns.later, [])
