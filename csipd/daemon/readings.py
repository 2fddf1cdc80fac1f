"""Goes over the series of readings behind the devices' backs: roll-ups, and what is too old.

Both are made in portions, each a transaction of its own in the share of what may wait, with a pause after it
for others' writes. A pass that is not through when the next one is due goes on. Nothing is kept here of how
far they came: the marks are in the store (`csipd.db.rollups`), so a stop costs the portion that was at work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.db import old_readings, rollups
from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import BULK
from csipd.der.retention import Retention
from csipd.refusals import Unavailable

#: Seconds between the beginnings of two passes that make roll-ups, and of two that remove.
ROLL_SECONDS, REMOVE_SECONDS = 300, 3600
#: With a wall clock that runs fast they are sooner, but not less than this (s).
_LEAST = 10.0
#: Seconds between two portions of a pass.
PAUSE = 0.02


class _Portion(Protocol):
    """What a portion says."""

    @property
    def following(self) -> int | None: ...


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
        self._wall = wall
        self._retention = retention
        self._ages_count = ages_count
        self._rolling = _Pass(database, clock, self._roll, self._log)
        self._removing = _Pass(database, clock, self._remove, self._log)
        self._clearing = _Pass(database, clock, self._clear, self._log)
        self._loops = [
            (self._loop(clock, self._rolling.begin), max(_LEAST, ROLL_SECONDS / speed)),
            (self._loop(clock, self._clearing.begin), ROLL_SECONDS),
            (self._loop(clock, self._begin_removing), max(_LEAST, REMOVE_SECONDS / speed)),
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
        for each in (self._rolling, self._removing, self._clearing):
            each.stop()

    def _loop(self, clock: Any, begin: Callable[[], None]) -> LoopingCall:
        loop = LoopingCall(begin)
        loop.clock = clock
        return loop

    def _begin_removing(self) -> None:
        if self._ages_count():
            self._removing.begin()

    def _roll(self, transaction: Transaction, after: int) -> _Portion:
        return rollups.roll(transaction, int(self._wall()), after)

    def _remove(self, transaction: Transaction, after: int) -> _Portion:
        return old_readings.remove(transaction, self._retention, int(self._wall()), after)

    def _clear(self, transaction: Transaction, after: int) -> _Portion:
        # Not by age: a device can end as many series as it can post.
        return old_readings.remove_doomed(transaction)


class _Pass:
    """One going over of all series, portion by portion.

    :param work: does a portion of it, from after a series of that number on
    """

    def __init__(
        self, database: Database, clock: Any, work: Callable[[Transaction, int], _Portion], log: Logger
    ) -> None:
        self._database = database
        self._clock = clock
        self._work = work
        self._log = log
        self._at_work: Deferred[None] | None = None
        self._pause: IDelayedCall | None = None
        self._stopped = False

    def begin(self) -> None:
        """Begin, unless the last one is not through."""
        self._stopped = False
        if self._at_work is None and self._pause is None:
            self._go_on(0)

    def stop(self) -> None:
        """Begin no more portions."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _go_on(self, after: int) -> None:
        self._pause = None
        done: Deferred[Any] = self._database.write(lambda transaction: self._work(transaction, after), BULK)
        self._at_work = done
        done.addCallbacks(self._done, self._failed)

    def _done(self, portion: _Portion) -> None:
        self._at_work = None
        following = portion.following
        if following is not None and not self._stopped:
            self._pause = self._clock.callLater(PAUSE, lambda: self._go_on(following))

    def _failed(self, failure: Failure) -> None:
        # The next pass begins anew. A database that cannot be used says so itself.
        self._at_work = None
        if not failure.check(Unavailable):
            self._log.failure("going over the readings failed, and goes on", failure=failure)
