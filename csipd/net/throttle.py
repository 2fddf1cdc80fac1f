"""A log line that the network can provoke, at a bounded rate.

Refused handshakes and surplus connections are worth a line, but their number is up to whoever sends
them: the first is logged at once, the rest are counted and the count goes with the next line.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field


@define
class Throttle:
    """Admits one line in ``interval`` seconds of ``clock`` and counts what it held back."""

    clock: Callable[[], float]
    interval: float = 60.0
    _next: float = field(default=float("-inf"), init=False)
    _held: int = field(default=0, init=False)

    def admit(self) -> int | None:
        """How many lines were held back since the last one, or None when this one is held back too."""
        now = self.clock()
        if now < self._next:
            self._held += 1
            return None
        self._next = now + self.interval
        held, self._held = self._held, 0
        return held
