"""A store whose threads are turned by hand, so that reads and writes overlap in any way that is wanted.

Each thread is a `Lane`: a group of operations waits in it until it is let `run`, and what came of it waits
until it is let `arrive`. While a group of reads runs, another lane may be let run between two statements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.watched import WatchedDatabase


class Lane:
    """One thread: at most one group is in it, which waits, then has run, then arrives.

    While `by_itself` is set nothing waits: each group runs and arrives at once, as tests elsewhere want it.
    """

    def __init__(self) -> None:
        self.by_itself = True
        self._waiting: tuple[Callable[[], Any], Callable[[Any], object]] | None = None
        self._ran: tuple[Any, Callable[[Any], object]] | None = None

    def ask(self, function: Callable[[], Any], done: Callable[[Any], object]) -> None:
        """What the store calls to have a group carried out."""
        if self.by_itself:
            done(function())
        else:
            assert self._waiting is None and self._ran is None
            self._waiting = (function, done)

    @property
    def has_run(self) -> bool:
        """Whether something is to arrive."""
        return self._ran is not None

    @property
    def is_busy(self) -> bool:
        """Whether there is something to be turned."""
        return self._waiting is not None or self._ran is not None

    def run(self) -> bool:
        """Carry out the group that waits; whether there was one."""
        if self._waiting is None:
            return False
        (function, done), self._waiting = self._waiting, None
        self._ran = (function(), done)
        return True

    def arrive(self) -> bool:
        """Hand back what came of the group that has run; whether there was one."""
        if self._ran is None:
            return False
        (outcome, done), self._ran = self._ran, None
        done(outcome)
        return True


class SteppedDatabase(WatchedDatabase):
    """The store. Its lanes stand in the order in which its threads are made."""

    def __init__(self, *args: Any, **how: Any) -> None:
        self.lanes: list[Lane] = []
        super().__init__(*args, **how)

    def _ask(self) -> Any:
        lane = Lane()
        self.lanes.append(lane)
        return lane.ask

    def by_hand(self) -> None:
        """From now on everything waits to be turned."""
        for lane in self.lanes:
            lane.by_itself = False

    def settle(self) -> None:
        """Turn until nothing waits any more."""
        while any(lane.run() or lane.arrive() for lane in self.lanes):
            pass
