"""Whose operation the database carries out next: fair shares of its time.

The unit is measured time and not a call, since one caller's list may cost a thousand times another's. Time is
shared twice: between kinds of work, so that neither many devices delay a command nor a clean-up a device, and
among the devices or operators of one kind by their LFDI or name, however many connections they ask on. Who
has waited has been served less and comes first; who was idle has saved nothing up.

This is start-time fair queueing: each flow has a tag, the weighted time it was given so far, and the flow of
the lowest tag is next. What an operation will cost is not known before it ran, so it is charged with what the
flow's last one took, and corrected when it is measured. Nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from attrs import define, field, frozen

T = TypeVar("T")
F = TypeVar("F", bound=Hashable)

#: Seconds that an operation is taken to cost as long as its flow has none that was measured.
FIRST_COST = 0.0005
# Heap entries and tags that are out of date are dropped when there are so many more than flows that wait.
_STALE = 1_000


class Kind(Enum):
    """What work is done for; the value is its weight among the kinds that wait."""

    DEVICES = 8.0
    OPERATORS = 6.0
    #: The server's own: what the scheduler changes.
    SERVER = 4.0
    #: What may wait: clean-up, and whatever comes in bulk.
    BULK = 1.0


@frozen
class Share:
    """On whose account an operation is carried out.

    :param key: LFDI of a device, name of an operator
    :param weight: of this caller among those of its kind
    """

    kind: Kind
    key: str = ""
    weight: float = 1.0


SERVER = Share(Kind.SERVER)
BULK = Share(Kind.BULK)


def device_share(lfdi: str, managed: int = 0) -> Share:
    """The share of a device, or of an aggregator with so many managed devices (decision 37)."""
    return Share(Kind.DEVICES, lfdi, 1 + managed / 100)


@define
class QueuedOperation(Generic[T]):
    """One operation that was taken.

    :param charged: seconds that its flow was charged with so far
    :param tags: of its kind and its flow when it was taken
    """

    item: T
    share: Share
    charged: float = 0.0
    tags: tuple[float, float] = (0.0, 0.0)


class FairQueue(Generic[T]):
    """The operations that wait, by whose turn it is."""

    def __init__(self) -> None:
        self._size = 0
        self._kinds: _Level[Kind] = _Level()
        self._flows: dict[Kind, _Level[str]] = {kind: _Level() for kind in Kind}
        self._waiting: dict[tuple[Kind, str], deque[QueuedOperation[T]]] = {}
        self._costs: dict[tuple[Kind, str], float] = {}

    def __len__(self) -> int:
        return self._size

    def put(self, item: T, share: Share) -> None:
        """Let an operation wait behind those of the same flow."""
        self._flow(share).append(QueuedOperation(item, share))

    def put_back(self, operations: Iterable[QueuedOperation[T]]) -> None:
        """Let operations that were taken and not carried out wait again, where they had stood."""
        for queued in reversed(list(operations)):
            self._charge(queued, 0.0)
            self._flow(queued.share).appendleft(queued)

    def take(self) -> QueuedOperation[T]:
        """The operation whose turn it is; there has to be one."""
        kind, kind_tag = self._kinds.first()
        key, tag = self._flows[kind].first()
        waiting = self._waiting[kind, key]
        queued = waiting.popleft()
        queued.tags = kind_tag, tag
        self._size -= 1
        if not waiting:
            del self._waiting[kind, key]
            self._flows[kind].leave(key)
            if not self._flows[kind].active:
                self._kinds.leave(kind)
        self._charge(queued, self._costs.get((kind, key), FIRST_COST))
        return queued

    def measured(self, queued: QueuedOperation[T], seconds: float) -> None:
        """An operation was carried out: charge it with what it took."""
        self._kinds.reach(queued.tags[0])
        self._flows[queued.share.kind].reach(queued.tags[1])
        self._charge(queued, seconds)
        self._costs[queued.share.kind, queued.share.key] = seconds

    def forget(self) -> None:
        """Begin anew: nothing waits and nothing runs, so nobody was kept from anything."""
        self._kinds.clear()
        for level in self._flows.values():
            level.clear()
        self._costs.clear()

    def _flow(self, share: Share) -> deque[QueuedOperation[T]]:
        self._size += 1
        waiting = self._waiting.get((share.kind, share.key))
        if waiting is None:
            waiting = self._waiting[share.kind, share.key] = deque()
            self._flows[share.kind].enter(share.key)
            self._kinds.enter(share.kind)
            if len(self._costs) > 2 * len(self._waiting) + _STALE:
                self._costs.clear()
        return waiting

    def _charge(self, queued: QueuedOperation[T], seconds: float) -> None:
        more = seconds - queued.charged
        queued.charged = seconds
        share = queued.share
        self._flows[share.kind].charge(share.key, more / share.weight)
        self._kinds.charge(share.kind, more / share.kind.value)


@define
class _Level(Generic[F]):
    """Flows beside each other, each with its tag.

    :param active: the flows that wait, with the order in which they came
    :param reached: the highest tag that was served: where flows begin that come now
    """

    active: dict[F, int] = field(factory=dict)
    reached: float = 0.0
    _tags: dict[F, float] = field(factory=dict)
    _heap: list[tuple[float, int, F]] = field(factory=list)
    _entered: int = 0

    def enter(self, flow: F) -> None:
        """A flow begins to wait. What it did not ask for meanwhile is not owed to it."""
        if flow in self.active:
            return
        self._entered += 1
        self.active[flow] = self._entered
        self._tags[flow] = max(self._tags.get(flow, self.reached), self.reached)
        self._push(flow)

    def leave(self, flow: F) -> None:
        """Nothing of a flow waits. Its tag stays for as long as it is ahead of the others."""
        del self.active[flow]

    def charge(self, flow: F, time: float) -> None:
        """Move a flow's tag by weighted time."""
        self._tags[flow] = max(self._tags.get(flow, self.reached) + time, 0.0)
        if flow in self.active:
            self._push(flow)

    def first(self) -> tuple[F, float]:
        """The waiting flow of the lowest tag, and of those the one that came first; and its tag."""
        while True:
            tag, order, flow = self._heap[0]
            if self.active.get(flow) == order and self._tags[flow] == tag:
                return flow, tag
            heappop(self._heap)

    def reach(self, tag: float) -> None:
        """A flow was served that had this tag."""
        self.reached = max(self.reached, tag)

    def clear(self) -> None:
        self.active.clear()
        self._tags.clear()
        self._heap.clear()
        self.reached = 0.0

    def _push(self, flow: F) -> None:
        heappush(self._heap, (self._tags[flow], self.active[flow], flow))
        if len(self._heap) > 4 * len(self.active) + _STALE:
            self._heap = [(self._tags[flow], order, flow) for flow, order in self.active.items()]
            heapify(self._heap)
        if len(self._tags) > 2 * len(self.active) + _STALE:
            self._tags = {
                flow: tag for flow, tag in self._tags.items() if tag > self.reached or flow in self.active
            }
