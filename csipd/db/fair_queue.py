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
from collections.abc import Iterable
from enum import Enum
from heapq import heapify, heappop, heappush, heapreplace, nlargest
from operator import attrgetter
from typing import Generic, TypeVar

from attrs import define, field, frozen

T = TypeVar("T")

#: Seconds that an operation is taken to cost as long as its flow has none that was measured.
FIRST_COST = 0.0005
# Heap entries that are out of date, and flows of which nothing waits, are dropped when there are so many more
# than flows that wait.
_STALE = 1_000


class Kind(Enum):
    """What work is done for; the value is its weight among the kinds that wait."""

    DEVICES = 8.0
    OPERATORS = 6.0
    #: The server's own: what the scheduler changes.
    SERVER = 4.0
    #: What applications on the GridAPPS-D bus command.
    BUS = 2.5
    #: Readings that come many in one request: nobody's control or status waits behind them.
    READINGS = 2.0
    #: Notifications: who is told of what has changed.
    OUTBOX = 3.0
    #: What may wait: clean-up, roll-ups, and whatever else comes in bulk.
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
OUTBOX = Share(Kind.OUTBOX)
BUS = Share(Kind.BUS)
BULK = Share(Kind.BULK)


def device_share(lfdi: str, managed: int = 0) -> Share:
    """The share of a device, or of an aggregator with so many managed devices (decision 37)."""
    return Share(Kind.DEVICES, lfdi, 1 + managed / 100)


def readings_share(lfdi: str, managed: int = 0) -> Share:
    """The share in which the same caller's many readings of one request are stored."""
    return Share(Kind.READINGS, lfdi, 1 + managed / 100)


@define(eq=False)
class QueuedOperation(Generic[T]):
    """One operation that waits or was taken.

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
        self._kinds: dict[Kind, _Flows[T]] = {kind: _Flows(kind.value) for kind in Kind}
        # Those that wait.
        self._active: list[_Flows[T]] = []
        self._reached = 0.0
        self._entered = 0

    def __len__(self) -> int:
        return self._size

    def put(self, item: T, share: Share) -> None:
        """Let an operation wait behind those of the same flow."""
        self._enter(share).waiting.append(QueuedOperation(item, share))

    def put_back(self, operations: Iterable[QueuedOperation[T]]) -> None:
        """Let operations that were taken and not carried out wait again, where they had stood."""
        for queued in reversed(list(operations)):
            self._charge(queued, 0.0)
            self._enter(queued.share).waiting.appendleft(queued)

    def take(self) -> QueuedOperation[T]:
        """The operation whose turn it is; there has to be one."""
        kind = self._active[0]
        for other in self._active:
            if (other.tag, other.entered) < (kind.tag, kind.entered):
                kind = other
        flow = kind.first()
        queued = flow.waiting.popleft()
        queued.tags = kind.tag, flow.tag
        self._size -= 1
        if not flow.waiting and kind.leave():
            self._active.remove(kind)
        queued.charged = flow.cost
        kind.charge(flow, flow.cost, queued.share.weight)
        return queued

    def measured(self, queued: QueuedOperation[T], seconds: float) -> None:
        """An operation was carried out: charge it with what it took."""
        flow, kind = self._charge(queued, seconds)
        flow.cost = seconds
        kind_tag, tag = queued.tags
        if kind_tag > self._reached:
            self._reached = kind_tag
        if tag > kind.reached:
            kind.reached = tag

    def forget(self) -> None:
        """Begin anew: nothing waits and nothing runs, so nobody was kept from anything."""
        self._reached = 0.0
        for kind in self._kinds.values():
            if kind.flows:
                kind.clear()

    def _enter(self, share: Share) -> _Flow[T]:
        """The flow of one more operation. What it did not ask for meanwhile is not owed to it."""
        self._size += 1
        kind = self._kinds[share.kind]
        flow = kind.find(share.key)
        if not flow.waiting:
            self._entered += 1
            if not kind.active:
                kind.tag = max(kind.tag, self._reached)
                kind.entered = self._entered
                self._active.append(kind)
            kind.enter(flow, self._entered)
        return flow

    def _charge(self, queued: QueuedOperation[T], seconds: float) -> tuple[_Flow[T], _Flows[T]]:
        share = queued.share
        kind = self._kinds[share.kind]
        flow = kind.find(share.key)
        kind.charge(flow, seconds - queued.charged, share.weight)
        queued.charged = seconds
        return flow, kind


@define(eq=False)
class _Flow(Generic[T]):
    """What one caller asked for.

    :param tag: the weighted time that it was given
    :param cost: seconds that its last operation took
    :param entered: when it began to wait, in the order of all that did
    :param pushed: number of its entry in the heap: earlier ones are out of date
    """

    tag: float
    cost: float = FIRST_COST
    entered: int = 0
    pushed: int = 0
    waiting: deque[QueuedOperation[T]] = field(factory=deque)


@define(eq=False)
class _Flows(Generic[T]):
    """The flows of one kind beside each other; itself a flow beside the other kinds, with a tag.

    :param weight: among the kinds
    :param reached: the highest tag of a flow that was served: where flows begin that come now
    :param active: how many wait
    """

    weight: float
    tag: float = 0.0
    entered: int = 0
    reached: float = 0.0
    active: int = 0
    flows: dict[str, _Flow[T]] = field(factory=dict)
    # One entry of each flow that waits is valid. Its tag may be too low: that shows when it comes to the top.
    heap: list[tuple[float, int, int, _Flow[T]]] = field(factory=list)

    def find(self, key: str) -> _Flow[T]:
        """The flow of a caller."""
        flow = self.flows.get(key)
        if flow is None:
            if len(self.flows) > 2 * self.active + _STALE:
                self._drop_idle()
            flow = self.flows[key] = _Flow(self.reached)
        return flow

    def enter(self, flow: _Flow[T], entered: int) -> None:
        """A flow begins to wait."""
        if flow.tag < self.reached:
            flow.tag = self.reached
        flow.entered = entered
        self.active += 1
        self._push(flow)

    def first(self) -> _Flow[T]:
        """The waiting flow of the lowest tag, and of those the one that came first."""
        heap = self.heap
        while True:
            tag, entered, pushed, flow = heap[0]
            if pushed != flow.pushed:
                heappop(heap)
            elif tag != flow.tag:
                heapreplace(heap, (flow.tag, entered, pushed, flow))
            else:
                return flow

    def leave(self) -> bool:
        """Nothing of the first flow waits any more; True if nothing of any does.

        Its tag stays: it may be ahead of the others.
        """
        heappop(self.heap)
        self.active -= 1
        return not self.active

    def charge(self, flow: _Flow[T], seconds: float, weight: float) -> None:
        """Move the tags of a flow and of the kind by the time that an operation took."""
        flow.tag = max(flow.tag + seconds / weight, 0.0)
        self.tag = max(self.tag + seconds / self.weight, 0.0)
        if seconds < 0.0 and flow.waiting:
            self._push(flow)

    def clear(self) -> None:
        """Forget what everybody was given."""
        self.flows.clear()
        self.heap.clear()
        self.tag = self.reached = 0.0

    def _push(self, flow: _Flow[T]) -> None:
        flow.pushed += 1
        heappush(self.heap, (flow.tag, flow.entered, flow.pushed, flow))
        if len(self.heap) > 4 * self.active + _STALE:
            self.heap = [entry for entry in self.heap if entry[2] == entry[3].pushed]
            heapify(self.heap)

    def _drop_idle(self) -> None:
        """Drop flows of which nothing waits: those that are not ahead of who comes now, or least."""
        ahead = {
            key: flow for key, flow in self.flows.items() if not flow.waiting and flow.tag > self.reached
        }
        kept = nlargest(_STALE // 2, ahead.values(), key=attrgetter("tag"))
        wanted = set(map(id, kept))
        self.flows = {key: flow for key, flow in self.flows.items() if flow.waiting or id(flow) in wanted}
