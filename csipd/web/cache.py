"""Answers that were given before, for the fast path: whole GETs, by caller and by the head of the request.

A device sends the same bytes each time that it polls, so the head itself is the key and nothing is parsed.
What is kept hangs on the facts that it was made from (`csipd.db.facts`), its caller's rights among them, and
is dropped with them. An answer that follows the clock carries the moment at which it stops being true.

Nothing stale is ever given: facts are dropped before the write that changed them is acknowledged, and an
answer whose facts were dropped between the moment it was asked for and the moment it arrived is not kept. So
a device whose access is withdrawn finds nothing here once the withdrawal is acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence

from csipd.db.facts import EVERYTHING
from csipd.db.kept import Kept

#: Changes that are remembered for answers still under way; an answer that is older is not taken in.
_REMEMBERED = 4096
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
        self._answers: Kept[tuple[str, bytes], tuple[bytes, bytes]] = Kept(largest)
        self._generation = 0
        self._changes: deque[tuple[int, frozenset[str]]] = deque(maxlen=_REMEMBERED)

    @property
    def generation(self) -> int:
        """A count of changes: taken before an answer is asked for, it shows whether the answer is stale."""
        return self._generation

    @property
    def hits(self) -> int:
        """How many requests have found their answer here."""
        return self._answers.hits

    @property
    def misses(self) -> int:
        """How many have not."""
        return self._answers.misses

    def changed(self, facts: Sequence[str]) -> None:
        """Drop what hangs on these facts."""
        self._generation += 1
        self._changes.append((self._generation, frozenset(facts)))
        self._answers.drop(facts)

    def changed_since(self, generation: int, facts: Collection[str]) -> bool:
        """Whether any of the facts was dropped after a generation, or that is too long ago to say."""
        if self._generation - generation > _REMEMBERED:
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
    ) -> None:
        """Keep an answer.

        :param generation: the count of changes when it was asked for
        :param head: the whole request
        :param answer: what stands before and after the value of the Date header
        :param until: when it stops being true (epoch s; infinity: never)
        :param depends_on: the facts that it was made from, the caller's rights among them
        """
        if not self.changed_since(generation, depends_on):
            weight = len(head) + len(answer[1])
            self._answers.keep((lfdi, head), answer, weight, depends_on, self._wall(), until)

    def find(self, lfdi: str, head: bytes) -> bytes | None:
        """The whole answer to a request that was answered before, if it is still true."""
        entry = self._answers.find((lfdi, head), self._wall())
        if entry is None:
            return None
        before, after = entry.value
        return before + self._date() + after
