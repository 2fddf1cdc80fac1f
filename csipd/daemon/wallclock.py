"""The clock that devices see: the machine's, or in a lab one that runs fast (decision 67).

It is what events, statuses, lists, Date and expiries go by. Deadlines of sockets and timers go by a clock
that nobody sets, and certificates by the machine's time of day; neither is ever fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import field, frozen


@frozen
class WallClock:
    """Seconds since 1970, as devices are told.

    :param now: what the time is
    :param speed: how many of its seconds pass in one of the machine's
    :param real: the machine's time of day (epoch s)
    """

    now: Callable[[], float] = time.time
    speed: int = 1
    real: Callable[[], float] = field(default=time.time, kw_only=True)

    def of_real(self, moment: float) -> float:
        """What this clock shows at a moment of the machine's, such as the end of a certificate."""
        if self.now is self.real:
            return moment
        return self.now() + (moment - self.real()) * self.speed


def lab_clock(
    speed: int,
    at_least: float,
    real: Callable[[], float] = time.time,
    elapsed: Callable[[], float] = time.monotonic,
) -> WallClock:
    """A clock that runs at ``speed`` from now on.

    It begins with the machine's time, or with ``at_least``, where a store was ahead of that before: what
    devices were told is not to come again. Nobody can set it meanwhile.

    :param elapsed: seconds of a clock that only ever goes on
    """
    began = elapsed()
    origin = max(real(), at_least)
    return WallClock(lambda: origin + (elapsed() - began) * speed, speed, real=real)
