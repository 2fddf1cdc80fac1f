"""Goes over the series of readings behind the devices' backs: roll-ups, and what is too old.

Both are made in portions (`csipd.daemon.passes`). How far the roll-ups came is in the store
(`csipd.db.rollups`), so that a stop costs the portion that was at work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.daemon.passes import Passes
from csipd.db import old_readings, rollups
from csipd.db.database import Database, Transaction
from csipd.db.old_readings import RemovedReadings
from csipd.db.rollups import Rolled, Rounds
from csipd.der.retention import Retention

#: Seconds between the beginnings of two passes that make roll-ups, and of two that remove.
ROLL_SECONDS, REMOVE_SECONDS = 300, 3600
#: With a wall clock that runs fast they are sooner, but not less than this (s).
_LEAST = 10.0
#: Seconds between two portions of a pass.
PAUSE = 0.02


class ReadingSweeps(Service):
    """Makes roll-ups and removes what is too old, for as long as it runs.

    :param clock: for timers; monotonic
    :param wall: seconds since 1970, by which readings are rolled up and grow old
    :param speed: how many of its seconds pass in one of the clock's
    :param ages_count: whether the wall clock can be believed for what is too old
    """

    name = "readings"
    _log = Logger()

    def __init__(
        self,
        database: Database,
        clock: Any,
        wall: Callable[[], float],
        *,
        speed: float = 1,
        retention: Retention,
        ages_count: Callable[[], bool] = lambda: True,
    ) -> None:
        self._retention = retention
        self._rounds = Rounds()
        # What the round that makes roll-ups has found so far.
        self._until = self._stored = 0
        made = partial(Passes, database, clock, wall, pause=PAUSE, failed=self._failed)
        # What came late is gone over by itself: however much of it there is, what is due does not wait.
        self._rolling: list[Passes[Rolled]] = [
            made(self._roll, lambda done: done.following),
            made(rollups.roll_late, Rounds()),
        ]
        self._removing: Passes[RemovedReadings] = made(
            self._remove, lambda done: done.following, may=ages_count
        )
        self._clearing: Passes[RemovedReadings] = made(_clear, lambda done: done.following)
        self._loops = [
            *(
                (self._loop(clock, rolling.begin), max(_LEAST, ROLL_SECONDS / speed))
                for rolling in self._rolling
            ),
            (self._loop(clock, self._clearing.begin), ROLL_SECONDS),
            (self._loop(clock, self._removing.begin), max(_LEAST, REMOVE_SECONDS / speed)),
        ]

    def startService(self) -> None:
        super().startService()
        for loop, seconds in self._loops:
            loop.start(seconds, now=True)

    def stopService(self) -> None:
        super().stopService()
        for loop, _ in self._loops:
            if loop.running:
                loop.stop()
        for rolling in self._rolling:
            rolling.stop()
        self._removing.stop()
        self._clearing.stop()

    def _loop(self, clock: Any, begin: Callable[[], None]) -> LoopingCall:
        loop = LoopingCall(begin)
        loop.clock = clock
        return loop

    def _roll(self, transaction: Transaction, now: int, after: int) -> Rolled:
        done = rollups.roll(transaction, now, after)
        begins = after == 0
        # What is over by now need not have been when the first portion was done.
        self._until = done.until if begins else min(self._until, done.until)
        self._stored = done.stored + (0 if begins else self._stored)
        following = self._rounds(done)
        if following is None:
            rollups.keep_figures(transaction, self._until, self._stored)
        return evolve(done, following=following)

    def _remove(self, transaction: Transaction, now: int, after: int) -> RemovedReadings:
        return old_readings.remove(transaction, self._retention, now, after)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("going over the readings failed, and goes on", failure=failure)


def _clear(transaction: Transaction, now: int, after: int) -> RemovedReadings:
    # Not by age: a device can end as many series as it can post.
    return old_readings.remove_doomed(transaction)
