"""How fast Notifications begin, so that no device waits for them, however many there are to send.

What is under way costs little until its answer comes. To begin is what costs: to read, to seal, to shake
hands. A thousand that begin at once hold up every device for as long as all of that takes. So a few begin
together, and when these are on their way nothing begins for a while that grows with what that took: sending
has a share of the time, and leaves the more of it to devices the more they ask for, since then it takes
longer. A flood lasts longer for it, and nobody waits for its end.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred, succeed


@frozen
class Share:
    """How much begins.

    :param together: that begin at once; each group of reads and of writes has about as many
    :param rest: for so many times what these took nothing begins
    :param shortest: seconds for which nothing begins at least
    :param longest: and at most: whatever devices ask for, something is sent
    """

    together: int
    rest: float
    shortest: float
    longest: float


#: Of Notifications: from the read of what is to be said until it is handed to a connection. The longest rest
#: lets 500 a second go out on a machine that is busy.
NOTIFICATIONS: Final = Share(together=4, rest=2, shortest=0, longest=0.005)
#: Of handshakes. What they take is mostly what the receiver takes, so that says nothing: each costs about a
#: millisecond of computing.
HANDSHAKES: Final = Share(together=1, rest=0, shortest=0.004, longest=0.004)


class Pace:
    """Lets those that want to begin do so in their order.

    :param clock: for timers; monotonic
    """

    def __init__(self, clock: Any, share: Share) -> None:
        self._clock = clock
        self._share = share
        # Of those that begin together: how many have had their turn, how many are not on their way yet, and
        # when the first one began. Before `_rested` the next ones do not begin.
        self._turns = 0
        self._beginning = 0
        self._since = 0.0
        self._rested = -1.0
        self._timed = False
        self._waiting: deque[Deferred[None]] = deque()

    def turn(self) -> Deferred[None]:
        """Fires when one more may begin. Who was given a turn calls `begun`, whatever comes of it."""
        if not self._waiting and self._may_begin():
            self._begin()
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        self._set_timer()
        return waiting

    def begun(self) -> None:
        """One that was given a turn is on its way, or will not be."""
        self._beginning -= 1
        if not self._beginning:
            now, share = self._clock.seconds(), self._share
            self._turns = 0
            self._rested = now + min(max(share.rest * (now - self._since), share.shortest), share.longest)
            self._set_timer()

    def _may_begin(self) -> bool:
        if self._turns:
            return self._turns < self._share.together
        # Even a rest of no time lasts a turn of the reactor.
        return bool(self._clock.seconds() > self._rested)

    def _begin(self) -> None:
        if not self._turns:
            self._since = self._clock.seconds()
        self._turns += 1
        self._beginning += 1

    def _set_timer(self) -> None:
        """Go on when the time of rest is over, where somebody waits for that."""
        if self._waiting and not self._turns and not self._timed:
            self._timed = True
            self._clock.callLater(max(self._rested - self._clock.seconds(), 0), self._go_on)

    def _go_on(self) -> None:
        self._timed = False
        if not self._turns and self._clock.seconds() >= self._rested:
            self._rested = -1.0
        # None of these is over while the others are given their turns.
        going = []
        while self._waiting and self._may_begin():
            self._begin()
            going.append(self._waiting.popleft())
        for waiting in going:
            waiting.callback(None)
        self._set_timer()
