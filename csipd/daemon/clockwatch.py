"""Steps of the wall clock: it is compared with a clock that nobody sets (case F13)."""

from __future__ import annotations

from collections.abc import Callable

#: A difference of less than this many seconds between two calls is no step: clocks are slewed all the time.
TOLERANCE = 1.0


class ClockWatch:
    """Sees when the wall clock is set.

    :param monotonic: seconds, from a clock that only ever goes on
    :param wall: seconds since 1970
    :ivar steps: how many there were
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self.steps = 0

    def step(self) -> float | None:
        """By how many seconds the wall clock was set since the last call, or None; below 0: back."""
        before, self._offset = self._offset, self._wall() - self._monotonic()
        step = self._offset - before
        if abs(step) < TOLERANCE:
            return None
        self.steps += 1
        return step
