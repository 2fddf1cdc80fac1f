"""Answers that were given before, for the fast path: whole GETs, by caller and by the head of the request.

A device sends the same bytes each time that it polls, so the head itself is the key and nothing is parsed.
What is kept hangs on the facts that it was made from (`csipd.db.facts`), its caller's rights among them, and
is dropped with them. An answer that follows the clock carries the moment at which it stops being true.

Nothing stale is ever given: facts are dropped before the write that changed them is acknowledged, and an
answer whose facts were dropped between the moment it was asked for and the moment it arrived is not kept. So
a device whose access is withdrawn finds nothing here once the withdrawal is acknowledged.

What is the same for everybody, the Time of a second, is kept once, for whoever is known: who was given an
answer before, and whose rights are what they were then. Somebody else's first request has effects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from csipd.db.bounded_cache import BoundedCache
from csipd.db.facts import EVERYTHING, REMEMBERED

#: Changes that are remembered for answers still under way, as long as they dropped no more than `REMEMBERED`
#: facts; an answer that is older is not taken in.
_REMEMBERED = 4096
#: Heads of requests for what is the same for everybody: there are few ways to ask for it.
_MOST_COMMON = 256
#: Octets of heads and answers that are kept where the configuration says nothing else.
LARGEST = 64 * 2**20


class Cache:
    """Bounded by bytes.

    :param wall: seconds since 1970
    :param date: what the Date header says now
    :param largest: bytes of heads and answers that are kept at most
    """

    def __init__(self, wall: Callable[[], float], date: Callable[[], bytes], largest: int = LARGEST) -> None:
        self._wall = wall
        self._date = date
        #: By LFDI and head: what stands before and after the value of the Date header.
        self._answers: BoundedCache[tuple[str, bytes], tuple[bytes, bytes]] = BoundedCache(largest)
        #: By the head: the same, from when and until when.
        self._common: dict[bytes, tuple[tuple[bytes, bytes], float, float]] = {}
        #: What these hang on.
        self._common_facts: set[str] = set()
        #: LFDIs of callers who are known. There is always room for another: it is needed at once.
        self._known: BoundedCache[str, None] = BoundedCache(largest // 16, admitted=1)
        self._common_hits = 0
        self._generation = 0
        self._changes: deque[tuple[int, frozenset[str]]] = deque()
        self._facts_of_changes = 0
        # The last change that is no longer remembered.
        self._forgotten = 0

    @property
    def generation(self) -> int:
        """A count of changes: taken before an answer is asked for, it shows whether the answer is stale."""
        return self._generation

    @property
    def hits(self) -> int:
        """How many requests have found their answer here."""
        return self._answers.hits + self._common_hits

    @property
    def misses(self) -> int:
        """How many have not."""
        return self._answers.misses

    def changed(self, facts: Sequence[str]) -> None:
        """Drop what hangs on these facts."""
        self._generation += 1
        dropped = frozenset(facts)
        self._changes.append((self._generation, dropped))
        self._facts_of_changes += len(dropped)
        while len(self._changes) > _REMEMBERED or self._facts_of_changes > REMEMBERED:
            self._forgotten, forgotten = self._changes.popleft()
            self._facts_of_changes -= len(forgotten)
        if EVERYTHING in dropped or not self._common_facts.isdisjoint(dropped):
            self._common.clear()
            self._common_facts.clear()
        self._answers.drop(facts)
        self._known.drop(facts)

    def changed_since(self, generation: int, facts: Collection[str]) -> bool:
        """Whether any of the facts was dropped after a generation, or that is too long ago to say."""
        if generation < self._forgotten:
            return True
        for at, dropped in reversed(self._changes):
            if at <= generation:
                break
            if EVERYTHING in dropped or not dropped.isdisjoint(facts):
                return True
        return False

    def keep(
        self,
        generation: int,
        lfdi: str,
        head: bytes,
        answer: tuple[bytes, bytes],
        until: float,
        depends_on: Collection[str],
        *,
        common: bool = False,
    ) -> None:
        """Keep an answer.

        :param generation: the count of changes when it was asked for
        :param head: the whole request
        :param answer: what stands before and after the value of the Date header
        :param until: when it stops being true (epoch s; infinity: never)
        :param depends_on: the facts that it was made from, the caller's rights among them unless it is common
        :param common: whether it is the same for everybody
        """
        if self.changed_since(generation, depends_on):
            return
        if common:
            self._keep_common(head, answer, until, depends_on)
        else:
            weight = len(head) + len(answer[1])
            self._answers.keep((lfdi, head), answer, weight, depends_on, self._wall(), until)

    def know(self, generation: int, lfdi: str, rights: str, until: float) -> None:
        """Note that a caller is known.

        :param generation: the count of changes when it was asked who that is
        :param rights: the fact that its rights hang on
        :param until: when its certificate ends (epoch s)
        """
        if self._known.find(lfdi, self._wall()) is None and not self.changed_since(generation, [rights]):
            self._known.keep(lfdi, None, 0, [rights], self._wall(), until)

    def _keep_common(
        self, head: bytes, answer: tuple[bytes, bytes], until: float, depends_on: Collection[str]
    ) -> None:
        if len(self._common) >= _MOST_COMMON:
            self._common.clear()
        self._common_facts.update(depends_on)
        self._common[head] = answer, self._wall(), until

    def find(self, lfdi: str, head: bytes) -> bytes | None:
        """The whole answer to a request that was answered before, if it is still true."""
        now = self._wall()
        if head in self._common:
            (before, after), since, until = self._common[head]
            if not since <= now < until or self._known.find(lfdi, now) is None:
                return None
            self._common_hits += 1
            return before + self._date() + after
        entry = self._answers.find((lfdi, head), now)
        if entry is None:
            return None
        before, after = entry.value
        return before + self._date() + after
