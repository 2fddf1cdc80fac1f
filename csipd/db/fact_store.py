"""What each connection keeps of what it has read, and how it knows that it is still true.

What is kept hangs on facts (`facts`), and a write names those that it drops. Each group of writes that drops
any gives the one row of the table ``commits`` another number in its own transaction, and notes before its
COMMIT which facts that number drops (`Commits`). A group of reads reads the number first, which takes its
snapshot, too: what the commits between its last one and this one dropped is no longer kept, and where it does
not know them, since another process made one, nothing is. So what is found is neither staler nor newer than
the snapshot of who asks. There is nothing to notify and nothing to race.

The connection that writes sees what it has not committed yet: there a fact is dropped as soon as a write says
so, and what an operation kept goes with the operation if that is rolled back (`FactStore.undo`).

Numbers are drawn, not counted: one that belonged to a commit that failed never comes again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Hashable
from math import inf
from typing import Any

import sqlalchemy as sa

from csipd.db.bounded_cache import BoundedCache, Entry
from csipd.db.columns import Unreadable
from csipd.db.facts import REMEMBERED
from csipd.db.prepared import Prepared
from csipd.db.tables import commits

#: Octets that are kept for devices' reads where the configuration says nothing else.
LARGEST = 64 * 2**20
#: Commits that are remembered, as long as they drop no more than `REMEMBERED` facts: a connection that was
#: idle for longer begins with nothing.
_REMEMBERED = 4096
_KEY = "facts"

_NUMBER = Prepared(sa.select(commits.c.number))
_SET = Prepared(sa.update(commits).values(number=sa.bindparam("drawn", type_=sa.BigInteger)))


class Commits:
    """Which facts the last commits of this process dropped; the writing thread adds, all others read."""

    def __init__(self) -> None:
        # By the number before: the number after, and what was dropped.
        self._links: dict[int, tuple[int, Collection[str]]] = {}
        self._facts = 0

    def note(self, before: int, after: int, dropped: Collection[str]) -> None:
        """Note what a commit is about to drop. One that fails is a link that nobody comes to."""
        if before in self._links:
            self._forget(before)
        self._links[before] = (after, dropped)
        self._facts += len(dropped)
        while len(self._links) > _REMEMBERED or self._facts > REMEMBERED:
            self._forget(next(iter(self._links)))

    def _forget(self, before: int) -> None:
        _, dropped = self._links.pop(before)
        self._facts -= len(dropped)

    def between(self, before: int, after: int) -> list[Collection[str]] | None:
        """What was dropped from one number to another; None where that is not known."""
        found: list[Collection[str]] = []
        at = before
        while at != after:
            link = self._links.get(at)
            if link is None or len(found) > _REMEMBERED:
                return None
            at, dropped = link
            found.append(dropped)
        return found


class FactStore:
    """What one connection keeps.

    :param commits: of all connections to a database
    :param largest: octets
    """

    def __init__(self, commits: Commits, largest: int = LARGEST) -> None:
        self._commits = commits
        # What is of one caller does not take the room of what all share. There is always room for another's:
        # who asks for one thing asks for the next at once, however many others have asked before.
        self._shared: BoundedCache[Hashable, Any] = BoundedCache(largest // 2)
        self._own: BoundedCache[Hashable, Any] = BoundedCache(largest // 2, admitted=1)
        self._number: int | None = None
        # What an operation that may be rolled back has kept.
        self._journal: list[tuple[BoundedCache[Hashable, Any], Hashable]] | None = None

    @property
    def hits(self) -> int:
        """How often something was found."""
        return self._shared.hits + self._own.hits

    @property
    def misses(self) -> int:
        """How often not."""
        return self._shared.misses + self._own.misses

    @property
    def size(self) -> int:
        """Octets that are kept."""
        return self._shared.size + self._own.size

    def attach(self, connection: sa.Connection) -> None:
        """Be what is found by `of`. Nothing is kept yet: the connection is a new one."""
        self.clear()
        connection.info[_KEY] = self

    def begin(self, connection: sa.Connection) -> bool:
        """Keep what is true in the transaction that has begun; False where others have written.

        The first statement of the transaction: it takes its snapshot.
        """
        try:
            number: int | None = _NUMBER.scalar(connection)
        except Unreadable:
            number = None  # the next write puts another in its place
        if number is not None and number == self._number:
            return True
        first = self._number is None
        known = None
        if number is not None and self._number is not None:
            known = self._commits.between(self._number, number)
        self._number = number
        if known is None:
            self.clear()
            return first and number is not None
        for dropped in known:
            self.drop(dropped)
        return True

    def commit(self, connection: sa.Connection, dropped: Collection[str]) -> int:
        """Note what the transaction that is about to be committed drops; gives its number."""
        drawn = renumber(connection)
        if self._number is not None:
            self._commits.note(self._number, drawn, frozenset(dropped))
        return drawn

    def committed(self, number: int) -> None:
        """It was committed: what is kept is true of that number."""
        self._number = number

    def attempt(self) -> None:
        """An operation begins, which may be undone."""
        self._journal = []

    def settle(self) -> None:
        """The operation has written nothing so far: what it kept is true also if it is rolled back."""
        if self._journal:
            self._journal.clear()

    def undo(self) -> None:
        """The operation is rolled back: what it kept may never have been true."""
        for kept, key in self._journal or ():
            kept.forget(key)
        self._journal = None

    def drop(self, dropped: Collection[str]) -> None:
        """Keep nothing that hangs on these facts."""
        self._shared.drop(dropped)
        self._own.drop(dropped)

    def clear(self) -> None:
        """Keep nothing."""
        self._shared.clear()
        self._own.clear()

    def find(self, key: Hashable, now: float, *, own: bool = False) -> Entry[Any] | None:
        """What was kept under a key, if it is true at a moment (TimeType).

        :param own: whether it is of one device alone, and not of any number of them
        """
        return (self._own if own else self._shared).find(key, now)

    def keep(
        self,
        key: Hashable,
        value: Any,
        weight: int,
        facts: Collection[str],
        now: float,
        until: float = inf,
        *,
        own: bool = False,
    ) -> None:
        """Keep a value: the arguments are those of `BoundedCache.keep` and `find`."""
        kept = self._own if own else self._shared
        if self._journal is not None:
            self._journal.append((kept, key))
        kept.keep(key, value, weight, facts, now, until)


def renumber(connection: sa.Connection) -> int:
    """Give the commits another number: whoever keeps something and does not know this one drops all."""
    drawn = secrets.randbits(62)
    _SET.execute(connection, {"drawn": drawn})
    return drawn


def of(connection: sa.Connection) -> FactStore | None:
    """What is kept with a connection; None where nothing is: it is asked a few things only."""
    return connection.info.get(_KEY)
