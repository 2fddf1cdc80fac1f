"""Which receivers are served at once, and how many Notifications are under way to each.

Every receiver that is served has a lane with room for one Notification; one that has answered gets more, from
what is common to all. Lanes for receivers that are not known to work are half of them at most: however many
hang, those that work find a lane free. Of these in turn one subscriber has half at most: however many of its
hang, those of others are tried, as all are that nobody has talked to since the start. Nothing here knows of
time or of the store.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred

from csipd.db.notifications import Receiver

#: Outcomes of a lane that are being written down meanwhile.
UNSETTLED: Final = 32
#: Receivers of which it is kept that they work; beyond it all are found out anew.
MOST_KNOWN: Final = 100_000


@define(eq=False)
class Lane:
    """A receiver that is served.

    :param sure: whether it is known to work
    :param failure: why nothing more is sent to it
    :param under_way: the subscriptions whose Notifications are
    :param unsettled: those of which it is known what came of it, and not written down yet
    """

    receiver: Receiver
    sure: bool
    failure: str | None = None
    under_way: set[int] = field(factory=set)
    unsettled: set[int] = field(factory=set)
    _waiting: list[Deferred[None]] = field(factory=list)

    @property
    def busy(self) -> set[int]:
        """The subscriptions that nothing else may be begun for."""
        return self.under_way | self.unsettled

    def one_ended(self) -> Deferred[None]:
        """Fires when something that is under way has ended, or was written down."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def ended(self) -> None:
        """Tell who waits that something has ended."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


class Lanes:
    """The lanes that there are.

    :param most: Notifications that are under way at once, half of them the first of their lanes
    :param each: Notifications that are under way to one receiver
    """

    def __init__(self, most: int, each: int) -> None:
        self._most = max(2, most // 2)
        self._extra = most - most // 2
        self._each = each
        self._lanes: dict[int, Lane] = {}
        # Receivers whose last attempt went well, since the start.
        self._works: set[int] = set()
        self._unsure = 0
        self._unsure_of: Counter[int] = Counter()
        self._sent = 0
        # Lanes with something under way.
        self._used = 0

    @property
    def receivers(self) -> list[int]:
        """Numbers of the receivers that are served."""
        return list(self._lanes)

    @property
    def under_way(self) -> int:
        """How many Notifications are."""
        return self._sent

    def works(self, receiver: Receiver) -> bool:
        """Whether a receiver is known to work."""
        return receiver.number in self._works

    def has_lane(self, *, sure: bool) -> bool:
        """Whether there is a lane for one more receiver.

        :param sure: whether it is known to work
        """
        return len(self._lanes) < self._most and (sure or self._unsure < self._most // 2)

    @property
    def full(self) -> bool:
        """Whether there is no lane for anybody."""
        return len(self._lanes) >= self._most

    def may_try(self, receiver: Receiver) -> bool:
        """Whether one that is not known to work may have a lane beside others of its subscriber."""
        return self._unsure_of[receiver.subscriber] < max(1, self._most // 4)

    def begin(self, receiver: Receiver) -> Lane | None:
        """Begin to serve a receiver, for which there is a lane; None where it is served already."""
        if receiver.number in self._lanes:
            return None
        sure = self.works(receiver)
        lane = self._lanes[receiver.number] = Lane(receiver, sure=sure)
        if not sure:
            self._count_unsure(lane, 1)
        return lane

    def _count_unsure(self, lane: Lane, step: int) -> None:
        self._unsure += step
        subscriber = lane.receiver.subscriber
        self._unsure_of[subscriber] += step
        if not self._unsure_of[subscriber]:
            del self._unsure_of[subscriber]

    def end(self, lane: Lane) -> None:
        """A receiver is served no more."""
        del self._lanes[lane.receiver.number]
        if not lane.sure:
            self._count_unsure(lane, -1)

    def has_room(self, lane: Lane) -> bool:
        """Whether one more Notification may be sent to a receiver now."""
        if len(lane.unsettled) >= UNSETTLED:
            return False
        if not lane.under_way:
            return True
        return lane.sure and len(lane.under_way) < self._each and self._sent - self._used < self._extra

    def start(self, lane: Lane, subscription: int) -> None:
        """A Notification is under way."""
        self._used += not lane.under_way
        lane.under_way.add(subscription)
        self._sent += 1

    def answered(self, lane: Lane, subscription: int) -> None:
        """It is known what came of it, which is to be written down: another one may go to the receiver."""
        self._leave(lane, subscription)
        lane.unsettled.add(subscription)
        lane.ended()

    def stop(self, lane: Lane, subscription: int) -> None:
        """It is over."""
        if subscription in lane.unsettled:
            lane.unsettled.remove(subscription)
        else:
            self._leave(lane, subscription)
        lane.ended()

    def _leave(self, lane: Lane, subscription: int) -> None:
        lane.under_way.remove(subscription)
        self._sent -= 1
        self._used -= not lane.under_way

    def worked(self, lane: Lane) -> bool:
        """Note that a receiver has answered; whether that was not known."""
        news = lane.receiver.number not in self._works
        if len(self._works) >= MOST_KNOWN:
            self._works.clear()
        self._works.add(lane.receiver.number)
        if not lane.sure:
            lane.sure = True
            self._count_unsure(lane, -1)
        return news

    def failed(self, lane: Lane, why: str) -> bool:
        """Note that a receiver cannot be talked to; whether that was not known."""
        news = lane.failure is None
        if news:
            lane.failure = why
        self._works.discard(lane.receiver.number)
        return news
