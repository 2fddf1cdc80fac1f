"""Answers that were given before, for the fast path: whole GETs, by caller and by the head of the request.

A device sends the same bytes each time that it polls, so the head itself is the key and nothing is parsed.
What is kept is dropped by scope: everything below one EndDevice or one DERProgram is a scope, and an answer
hangs on those that it was made from and on its caller's own EndDevice, which the caller's rights hang on
too. A change to the list of programs drops everything; it is rare. An answer that follows the clock carries
the moment at which it stops being true.

Nothing stale is ever given: changes are notified before the write that made them is acknowledged, and an
answer whose scopes changed between the moment it was asked for and the moment it arrived is not kept. So a
device whose access is withdrawn finds nothing here once the withdrawal is acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence

from attrs import frozen

#: The scope that every answer hangs on.
_PROGRAMS = "derp"
#: Changes that are remembered for answers still under way; an answer that is older is not taken in.
_REMEMBERED = 4096

_Key = tuple[str, bytes]


def scope(href: str) -> str:
    """What a change at an href concerns: its EndDevice or DERProgram, or the list of them."""
    return "/".join(href.split("/", 3)[1:3])


@frozen
class _Entry:
    """An answer around its Date header, from when to when it is true, and what it hangs on."""

    before: bytes
    after: bytes
    since: float
    until: float
    scopes: frozenset[str]


class Cache:
    """Bounded by bytes; the least recently used goes first.

    :param wall: seconds since 1970
    :param date: what the Date header says now
    :param largest: bytes of heads and answers that are kept at most
    """

    def __init__(
        self, wall: Callable[[], float], date: Callable[[], bytes], largest: int = 64 * 2**20
    ) -> None:
        self._wall = wall
        self._date = date
        self._largest = largest
        self._size = 0
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._by_scope: dict[str, set[_Key]] = {}
        self._generation = 0
        self._changes: deque[tuple[int, frozenset[str]]] = deque(maxlen=_REMEMBERED)

    @property
    def generation(self) -> int:
        """A count of changes: taken before an answer is asked for, it shows whether the answer is stale."""
        return self._generation

    def changed(self, hrefs: Sequence[str]) -> None:
        """Drop what hangs on the scopes of these hrefs."""
        self._generation += 1
        scopes = frozenset(map(scope, hrefs))
        self._changes.append((self._generation, scopes))
        if _PROGRAMS in scopes:
            self._entries.clear()
            self._by_scope.clear()
            self._size = 0
            return
        for one in scopes:
            for key in list(self._by_scope.get(one, ())):
                self._drop(key)

    def changed_since(self, generation: int, scopes: Collection[str]) -> bool:
        """Whether any of the scopes changed after a generation, or that is too long ago to say."""
        if self._generation - generation > _REMEMBERED:
            return True
        for at, concerned in reversed(self._changes):
            if at <= generation:
                break
            if _PROGRAMS in concerned or not concerned.isdisjoint(scopes):
                return True
        return False

    def keep(
        self,
        generation: int,
        lfdi: str,
        head: bytes,
        answer: tuple[bytes, bytes],
        until: float,
        scopes: Collection[str],
    ) -> None:
        """Keep an answer.

        :param generation: the count of changes when it was asked for
        :param head: the whole request
        :param answer: what stands before and after the value of the Date header
        :param until: when it stops being true (epoch s; infinity: never)
        :param scopes: what it was made from
        """
        key = (lfdi, head)
        now = self._wall()
        entry = _Entry(*answer, now, until, frozenset(scopes))
        weight = _weight(key, entry)
        if until <= now or weight > self._largest or self.changed_since(generation, scopes):
            return
        self._drop(key)
        self._entries[key] = entry
        self._size += weight
        for one in entry.scopes:
            self._by_scope.setdefault(one, set()).add(key)
        while self._size > self._largest:
            self._drop(next(iter(self._entries)))

    def find(self, lfdi: str, head: bytes) -> bytes | None:
        """The whole answer to a request that was answered before, if it is still true."""
        key = (lfdi, head)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not entry.since <= self._wall() < entry.until:
            # Over, or of a time that is still to come: the clock was set back.
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.before + self._date() + entry.after

    def _drop(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._size -= _weight(key, entry)
        for one in entry.scopes:
            keys = self._by_scope[one]
            keys.discard(key)
            if not keys:
                del self._by_scope[one]


def _weight(key: _Key, entry: _Entry) -> int:
    # The constant stands for what Python keeps around the bytes.
    return len(key[1]) + len(entry.after) + 1000
