"""Going over what is kept in portions, each a transaction of its own in the share of what may wait.

Between two portions there is a pause for others' writes. A pass that is not through when the next one is due
goes on. Nothing is kept here of how far it came: a stop costs the portion that was at work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import BULK
from csipd.refusals import Unavailable

#: What a portion says.
Found = TypeVar("Found")


def _nothing(_: Any) -> None:
    pass


class Passes(Generic[Found]):
    """Goes over something, again and again.

    :param wall: seconds since 1970, asked when ``may`` is: a clock that is set ahead then removes nothing
    :param work: does a portion by a moment (TimeType), from a place on; the first begins at 0
    :param following: where the rest begins, by what a portion said; None: it was the last
    :param pause: between two portions (s)
    :param failed: hears of what went wrong, but for a database that cannot be used, which says so itself; the
        next pass begins anew
    :param found: hears of what a portion said
    :param may: whether a portion may be done now: asked before each of them
    """

    def __init__(
        self,
        database: Database,
        clock: Any,
        wall: Callable[[], float],
        work: Callable[[Transaction, int, int], Found],
        following: Callable[[Found], int | None],
        *,
        pause: float,
        failed: Callable[[Failure], Any],
        found: Callable[[Found], None] = _nothing,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._work = work
        self._following = following
        self._pause = pause
        self._report = failed
        self._found = found
        self._may = may
        self._at_work: Deferred[None] | None = None
        self._waiting: IDelayedCall | None = None
        self._stopped = False

    def begin(self) -> None:
        """Begin a pass, unless the last one is not through."""
        self._stopped = False
        if self._at_work is None and self._waiting is None:
            self._go_on(0)

    def stop(self) -> None:
        """Begin no more portions."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _go_on(self, place: int) -> None:
        self._waiting = None
        if not self._may():
            return
        now = int(self._wall())
        done: Deferred[Any] = self._database.write(
            lambda transaction: self._work(transaction, now, place), BULK
        )
        self._at_work = done
        done.addCallback(self._done).addErrback(self._failed)

    def _done(self, found: Found) -> None:
        self._at_work = None
        following = self._following(found)
        if following is not None and not self._stopped:
            self._waiting = self._clock.callLater(self._pause, partial(self._go_on, following))
        self._found(found)

    def _failed(self, failure: Failure) -> None:
        self._at_work = None
        if not failure.check(Unavailable):
            self._report(failure)
