"""The requests of one device, on all its connections: so many are on their way, and others wait for them.

Devices share the connections with the server, which answers each in its order. Without this bound who asks on
two hundred connections at once would have everybody wait for all that it asks; the server itself takes turns
between devices, but what it has done for one cannot leave before what was asked on that connection earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from attrs import define, field

from csipd.proxy.lane import Asked, Lane

#: Requests of one device that are on their way at once.
AT_ONCE: Final = 8


@define(eq=False)
class Turns:
    """The requests of one device.

    :param seconds: that the server has for an answer, from when it is asked
    :param now: the clock of deadlines
    :ivar connections: of the device
    """

    seconds: float
    now: Callable[[], float]
    connections: int = 0
    on_their_way: int = 0
    waiting: deque[tuple[Lane, Asked]] = field(factory=deque)

    def ask(self, lane: Lane, asked: Asked) -> None:
        """Have a request sent, now or when it is its turn."""
        if self.on_their_way < AT_ONCE:
            self.on_their_way += 1
            lane.ask(asked)
        else:
            self.waiting.append((lane, asked))

    def done(self) -> None:
        """Hear that one that was on its way is answered, or that nobody waits for its answer any more."""
        self.on_their_way -= 1
        while self.waiting and self.on_their_way < AT_ONCE:
            self.on_their_way += 1
            lane, asked = self.waiting.popleft()
            asked.deadline = self.now() + self.seconds
            lane.ask(asked)

    def drop(self, asked: Asked) -> None:
        """Hear that nobody waits for the answer to a request."""
        for each in self.waiting:
            if each[1] is asked:
                self.waiting.remove(each)
                return
        self.done()
