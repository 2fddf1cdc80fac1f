"""The time that simulated devices live by: a wall clock that may run fast.

A server in a lab may run its wall clock fast, too (`lab_speed`). Sockets and their deadlines stay on real
time; all that devices do is on this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred


class SimulatedClock:
    """A wall clock that runs `speed` times as fast as the reactor that drives it.

    :param reactor: measures real seconds and calls later
    :param begins: what it shows now (epoch s)
    """

    def __init__(self, reactor: Any, begins: float, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"a clock does not run {speed} times as fast")
        self.speed = speed
        self._reactor = reactor
        self._begins = begins
        self._began = reactor.seconds()

    def now(self) -> float:
        """What time it is (epoch s)."""
        real: float = self._reactor.seconds() - self._began
        return self._begins + real * self.speed

    def call_at(self, moment: float, call: Callable[[], object]) -> Any:
        """Have something called at a moment of this clock, at once if it has passed; an IDelayedCall."""
        return self._reactor.callLater(max(0.0, moment - self.now()) / self.speed, call)


class Alarm:
    """Waits for a moment, or until it is rung before."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._call: Any = None
        self._waiting: Deferred[None] | None = None
        self._rung = False

    def wait(self, moment: float) -> Deferred[None]:
        """Fires at the moment, or as soon as it is rung; at once if it was rung since the last wait."""
        waiting: Deferred[None] = Deferred(lambda _: self._clear())
        if self._rung:
            self._rung = False
            waiting.callback(None)
            return waiting
        self._waiting = waiting
        self._call = self._clock.call_at(moment, self._fire)
        return waiting

    def ring(self) -> None:
        """End the wait, or the next one if there is none."""
        if self._waiting is None:
            self._rung = True
        else:
            self._fire()

    def _fire(self) -> None:
        waiting = self._waiting
        self._clear()
        if waiting is not None:
            waiting.callback(None)

    def _clear(self) -> None:
        self._waiting = None
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
