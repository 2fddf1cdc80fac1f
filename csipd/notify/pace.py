"""What begins in one turn of the reactor is bounded, so that no device waits for all of it.

What is under way costs little until its answer comes. To begin is what costs: to read, to seal, to shake
hands. A thousand Notifications that begin at once would hold up every device for as long as that takes.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed

#: That begin in one turn.
PER_TURN: Final = 2


class Pace:
    """Lets those that want to begin do so in their order.

    :param clock: the reactor, whose turns are counted
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._begun = 0
        self._ticking = False
        self._waiting: deque[Deferred[None]] = deque()

    def turn(self) -> Deferred[None]:
        """Fires when one more may begin."""
        self._tick()
        if self._begun < PER_TURN and not self._waiting:
            self._begun += 1
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _tick(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._clock.callLater(0, self._next)

    def _next(self) -> None:
        self._ticking = False
        self._begun = 0
        if self._waiting:
            self._tick()
        while self._waiting and self._begun < PER_TURN:
            self._begun += 1
            self._waiting.popleft().callback(None)
