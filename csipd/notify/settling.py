"""What came of deliveries, written down together: one transaction at a time, and what gathers meanwhile next.

A commit costs more than what it holds, and waits for the disk. So while more is under way a little is waited
for it: nobody waits for what is written here, but the next Notification of that subscription.

Nothing is forgotten while the store cannot be used: it is tried again. How much may gather is bounded by how
much is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.db.notifications import Outcome
from csipd.notify.store import Report
from csipd.refusals import Unavailable

#: Outcomes of one transaction.
PORTION: Final = 256
#: Outcomes that are written down at once, and the seconds for which fewer wait for others that are under way.
ENOUGH: Final = 16
GATHERING: Final = 0.02
#: Seconds until a store that cannot be used is tried again.
PAUSE: Final = 5


@frozen
class _Taken:
    """What one transaction writes, and who waits for it."""

    outcomes: list[tuple[Outcome, Deferred[None]]]
    failed: dict[int, tuple[str, Deferred[None]]]
    worked: set[int]

    @property
    def report(self) -> Report:
        outcomes = [outcome for outcome, _ in self.outcomes]
        return Report(outcomes, {number: why for number, (why, _) in self.failed.items()}, self.worked)

    @property
    def waiting(self) -> list[Deferred[None]]:
        return [done for _, done in (*self.outcomes, *self.failed.values())]


class Settling:
    """Gathers outcomes, and has them written down.

    :param settle: writes a report down
    :param clock: for pauses
    :param more: whether more is under way
    """

    _log = Logger()

    def __init__(
        self, settle: Callable[[Report], Deferred[None]], clock: Any, more: Callable[[], bool]
    ) -> None:
        self._settle = settle
        self._clock = clock
        self._more = more
        self._outcomes: list[tuple[Outcome, Deferred[None]]] = []
        self._failed: dict[int, tuple[str, Deferred[None]]] = {}
        self._worked: set[int] = set()
        self._writing = False
        self._pause: IDelayedCall | None = None
        self._gathering: IDelayedCall | None = None

    def settle(self, outcome: Outcome) -> Deferred[None]:
        """Have an outcome written down; fires when it is, or cannot be for a reason of its own."""
        done: Deferred[None] = Deferred()
        self._outcomes.append((outcome, done))
        self._soon()
        return done

    def receiver_failed(self, receiver: int, why: str) -> Deferred[None]:
        """Have it written down that a receiver cannot be talked to; fires as `settle` does."""
        done: Deferred[None] = Deferred()
        self._worked.discard(receiver)
        self._failed[receiver] = why, done
        self._next()
        return done

    def receiver_worked(self, receiver: int) -> None:
        """Have it written down that a receiver has answered, with the next outcome."""
        if receiver not in self._failed:
            self._worked.add(receiver)

    def stop(self) -> None:
        """Write nothing any more, but what is being written."""
        for timer in (self._pause, self._gathering):
            if timer is not None and timer.active():
                timer.cancel()
        self._writing = True

    def _soon(self) -> None:
        """Write down what there is, once it is enough or nothing more comes."""
        if self._failed or len(self._outcomes) >= ENOUGH or not self._more():
            self._next()
        elif self._outcomes and self._gathering is None:
            self._gathering = self._clock.callLater(GATHERING, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._next()

    def _next(self) -> None:
        if self._writing or not (self._outcomes or self._failed):
            return
        taken = _Taken(self._outcomes[:PORTION], self._failed, self._worked)
        self._outcomes, self._failed, self._worked = self._outcomes[PORTION:], {}, set()
        self._writing = True
        self._settle(taken.report).addCallbacks(
            lambda _: self._written(taken), lambda failure: self._not_written(failure, taken)
        )

    def _written(self, taken: _Taken) -> None:
        self._writing = False
        # The next transaction begins before those who wait for this one go on.
        self._soon()
        for done in taken.waiting:
            done.callback(None)

    def _not_written(self, failure: Failure, taken: _Taken) -> None:
        if not failure.check(Unavailable):
            # It would fail each time; who waits for it sets the subscription aside.
            self._log.failure("outcomes of notifications could not be written", failure=failure)
            self._writing = False
            for done in taken.waiting:
                done.errback(failure)
            self._next()
            return
        self._outcomes[:0] = taken.outcomes
        self._failed = {**taken.failed, **self._failed}
        self._worked |= taken.worked - self._failed.keys()
        self._pause = self._clock.callLater(PAUSE, self._try_again)

    def _try_again(self) -> None:
        self._pause = None
        self._writing = False
        self._next()
