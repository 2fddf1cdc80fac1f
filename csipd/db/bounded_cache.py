"""Values that are kept until a fact that they hang on is dropped, their time is over, or room is needed.

To drop a fact costs the same however much hangs on it: what is kept holds the facts themselves, and looks
whether they are true when it is asked for. What is dead is found then, replaced, or makes room first.

Something has to go where more is asked for than there is room for. Which, is drawn: a fleet that polls in
turn is served from what fits, where to remove what was used least recently would remove each thing just
before it is asked for. For the same reason, and to spare the work, not everything new is taken in then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from math import inf
from random import randrange
from typing import Generic, TypeVar

from csipd.db.facts import EVERYTHING

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: What Python keeps around a value, and for each fact that it hangs on (octets).
_AROUND, _PER_FACT = 500, 150
#: One in so many new values is taken in where others have to go for it, unless it is said otherwise.
ADMITTED = 4
#: So many are looked at for dead ones before one that is alive has to go: where few are dead few are found by
#: looking at more, and where many are each new value finds some, which makes room for the next.
_SAMPLE = 2


class Fact:
    """A fact that something hangs on; ``holds`` until it is dropped, and never again."""

    __slots__ = ("holds", "name", "uses")

    def __init__(self, name: str) -> None:
        self.name = name
        self.holds = True
        #: how many entries hang on it
        self.uses = 0


class Entry(Generic[V]):
    """A value, from when to when it is true, and what it hangs on."""

    __slots__ = ("facts", "place", "since", "until", "value", "weight")

    def __init__(
        self, value: V, weight: int, facts: tuple[Fact, ...], since: float, until: float, place: int
    ) -> None:
        self.value = value
        self.weight = weight
        self.facts = facts
        self.since = since
        self.until = until
        #: where its key stands among the keys
        self.place = place

    def is_true(self, now: float) -> bool:
        """Whether it is of this time, and nothing that it hangs on was dropped.

        A time before that at which it was made is none of its own: the clock was set back.
        """
        if not self.since <= now < self.until:
            return False
        for fact in self.facts:  # noqa: SIM110  (all() takes three times as long, at each hit)
            if not fact.holds:
                return False
        return True


class BoundedCache(Generic[K, V]):
    """A dictionary, bounded by octets.

    :param largest: octets that are kept at most, by the weights that are given and what Python adds to them
    :param draw: a number from 0 up to one below the given, at random
    :param admitted: one in so many new values is taken in where others have to go for it
    """

    def __init__(
        self, largest: int, draw: Callable[[int], int] = randrange, *, admitted: int = ADMITTED
    ) -> None:
        self._largest = largest
        self._admitted = admitted
        self._draw = draw
        self._entries: dict[K, Entry[V]] = {}
        self._keys: list[K] = []
        # Those that an entry hangs on, each counted: Python's dictionaries of weak references are slow.
        self._facts: dict[str, Fact] = {}
        self.size = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: K, now: float) -> Entry[V] | None:
        """What was kept under a key, if it is true."""
        entry = self._entries.get(key)
        if entry is not None:
            if entry.is_true(now):
                self.hits += 1
                return entry
            self.forget(key)
        self.misses += 1
        return None

    def keep(
        self, key: K, value: V, weight: int, facts: Collection[str], now: float, until: float = inf
    ) -> Entry[V] | None:
        """Keep a value in the place of the one before; None where it is not taken in.

        :param weight: octets
        :param facts: what it hangs on
        :param until: when it stops being true though nothing is dropped
        """
        weight += _AROUND + _PER_FACT * len(facts)
        known = self.forget(key)
        if until <= now or weight > self._largest:
            return None
        if self.size + weight > self._largest and not self._make_room(weight, now, known):
            return None
        entry = Entry(value, weight, tuple(map(self._use, facts)), now, until, len(self._keys))
        self._entries[key] = entry
        self._keys.append(key)
        self.size += weight
        return entry

    def drop(self, names: Collection[str]) -> None:
        """Drop facts, and with them what hangs on them."""
        for name in names:
            if name == EVERYTHING:
                self.clear()
                return
            fact = self._facts.pop(name, None)
            if fact is not None:
                fact.holds = False

    def clear(self) -> None:
        """Drop everything."""
        for fact in self._facts.values():
            fact.holds = False
        self._facts.clear()
        self._entries.clear()
        self._keys.clear()
        self.size = 0

    def forget(self, key: K) -> bool:
        """Keep nothing under a key; whether there was something."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.size -= entry.weight
        for fact in entry.facts:
            fact.uses -= 1
            if not fact.uses and fact.holds:
                del self._facts[fact.name]
        last = self._keys.pop()
        if entry.place < len(self._keys):
            self._keys[entry.place] = last
            self._entries[last].place = entry.place
        return True

    def _use(self, name: str) -> Fact:
        """The fact of a name, on which one entry more hangs."""
        fact = self._facts.get(name)
        if fact is None:
            fact = self._facts[name] = Fact(name)
        fact.uses += 1
        return fact

    def _make_room(self, weight: int, now: float, known: bool) -> bool:
        """See that there is room for so many octets; False where what is there is to stay.

        :param known: what is to be kept was kept before: it is not new
        """
        for _ in range(_SAMPLE):
            if not self._keys:
                break
            key = self._keys[self._draw(len(self._keys))]
            if not self._entries[key].is_true(now):
                self.forget(key)
        if self.size + weight > self._largest and not known and self._draw(self._admitted):
            return False
        while self.size + weight > self._largest:
            self.forget(self._keys[self._draw(len(self._keys))])
        return True
