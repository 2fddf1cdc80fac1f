"""Where events stand: a function of what was commanded, and of `now`.

Nothing of an event's status is stored. When it was made, its times and modes, and when it was cancelled are
facts; from these and from the other events of its program its EventStatus follows for every moment, so that a
late tick, a restart or a second process cannot make it wrong (IEEE 2030.5-2018 10.2.3; decisions 17, 18).

The life of an event, as its program's list shows it:

    scheduled --(earliest start)--> active --(latest end)--> out of the list
        |                             |
        +------- cancelled (2), with randomisation (3), superseded (4): for good

*Who supersedes whom.* Within a program the later event wins: that of the greater creationTime, and between
equals that of the greater mRID (`Event.rank`). It takes from an earlier one the control modes that both have,
for the device categories that both address, where their periods overlap. An event of which at some moment
nothing is left, because events that have begun hold all its modes for all its categories, is superseded from
that moment on and does not come back. One that loses only a part is potentially superseded. Across
programs nothing of this shows in EventStatus: that is each device's affair (programs.py).

*Within a second* what is due by the clock comes first, then what was commanded in it, all at once: an event
that is cancelled in the second in which it is to begin has begun, and what it took is taken. So nothing that
was to be read before a command is undone by it. A cancellation of what was closed by then changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from heapq import heappop, heappush
from itertools import groupby

from attrs import field, frozen

from csipd.der.intervals import Intervals
from csipd.sep2.types import EventState

#: Every device category: what an event without deviceCategory addresses.
ALL_CATEGORIES = 2**32 - 1

# A second (TimeType), and whether the commands of that second are meant, or what is due before them.
Moment = tuple[int, bool]


@frozen
class Event:
    """What the rules need to know of a DERControl.

    :param mrid: its mRID; between events made in the same second the greater wins
    :param created: creationTime (TimeType)
    :param start: interval.start (TimeType)
    :param duration: interval.duration (s)
    :param modes: the control modes of its DERControlBase
    :param categories: bit map of the device categories that it addresses
    :param randomize_start: bound of the shift of the start (s, -3600 to 3600)
    :param randomize_duration: bound of the change of the duration (s, -3600 to 3600)
    :param cancelled: when the operator cancelled it (TimeType); None if nobody did
    :param randomized: whether it was cancelled with randomisation
    """

    mrid: str
    created: int
    start: int
    duration: int
    modes: frozenset[str]
    categories: int = ALL_CATEGORIES
    randomize_start: int = 0
    randomize_duration: int = 0
    cancelled: int | None = None
    randomized: bool = False
    rank: tuple[int, str] = field(init=False, eq=False, repr=False)
    end: int = field(init=False, eq=False, repr=False)
    earliest: int = field(init=False, eq=False, repr=False)
    latest: int = field(init=False, eq=False, repr=False)

    @rank.default
    def _rank(self) -> tuple[int, str]:
        return self.created, self.mrid

    @end.default
    def _end(self) -> int:
        """End of the specified period, without randomisation."""
        return self.start + self.duration

    @earliest.default
    def _earliest(self) -> int:
        """First moment at which a device may start: the Effective Scheduled Period begins."""
        return self.start + min(0, self.randomize_start)

    @latest.default
    def _latest(self) -> int:
        """Last moment at which a device may end: the Effective Scheduled Period is over."""
        return self.start + self.duration + max(0, self.randomize_start) + max(0, self.randomize_duration)

    @property
    def begins(self) -> int:
        """When it becomes active: one that was made too late begins when it is made."""
        return max(self.earliest, self.created)

    @property
    def due(self) -> Moment:
        """The same to the moment: by the clock, or as it was made."""
        return self.begins, self.created >= self.earliest

    @property
    def closed(self) -> Moment:
        """When it is over or cancelled, if nothing supersedes it before."""
        latest = (self.latest, False)
        return latest if self.cancelled is None else min(latest, (self.cancelled, True))

    def overlaps(self, other: Event) -> bool:
        """Whether the specified periods overlap: randomisation makes no conflicts, and one that ends where
        another starts is its neighbour."""
        return self.start < other.end and other.start < self.end

    def shares(self, other: Event) -> bool:
        """Whether they want a mode of a device in common."""
        return bool(self.modes & other.modes) and bool(self.categories & other.categories)


@frozen
class Status:
    """EventStatus of an event at a moment, and what follows from it.

    :param state: EventStatus.currentStatus
    :param since: EventStatus.dateTime: when that began (TimeType)
    :param version: IdentifiedObject.version: rises whenever anything of this changes, and never falls
    :param partly_since: EventStatus.potentiallySupersededTime; None where potentiallySuperseded is false
    :param listed_until: when it leaves the DERControlList (TimeType)
    :param superseded_by: mRIDs of the events that took the last of it
    """

    state: EventState
    since: int
    version: int
    partly_since: int | None
    listed_until: int
    superseded_by: tuple[str, ...] = ()


def statuses(events: Iterable[Event], now: int) -> dict[str, Status]:
    """The status of every event of one program at a moment, by mRID.

    Events that are not made yet (created after `now`) are as if they were not there.
    """
    known = sorted((e for e in events if e.created <= now), key=lambda e: (e.start, e.rank))
    by_time = Intervals((e.start, e.end, e) for e in known)
    closed: dict[str, Moment] = {}
    found: dict[str, Status] = {}
    # The best first: whether an event holds its modes is known before those that it could take them from.
    for event in sorted(known, key=lambda e: e.rank, reverse=True):
        near = by_time.overlapping(event.start, event.end)
        later = [w for w in near if w.rank > event.rank and w.shares(event) and w.overlaps(event)]
        superseded, by = _superseded(event, later, closed)
        closed[event.mrid] = end = superseded or event.closed
        partly, _ = _partly(event, later, closed, min(now, end[0] - 1))
        # What was seen in the second of its end, before that, counts as well.
        _, flags = _partly(event, later, closed, min(now, end[0]))
        found[event.mrid] = _status(event, superseded, by, partly, flags, now)
    return found


def _superseded(
    event: Event, later: Sequence[Event], closed: dict[str, Moment]
) -> tuple[Moment | None, tuple[str, ...]]:
    """The first moment at which nothing is left of an event, and by whom; None if that never comes."""
    holding: dict[int, Event] = {}
    ends: list[tuple[Moment, int]] = []
    in_time = sorted(enumerate(later), key=lambda pair: pair[1].due)
    for moment, begin in groupby(in_time, key=lambda pair: pair[1].due):
        if moment >= event.closed:
            break
        for place, winner in begin:
            if moment < closed[winner.mrid]:
                holding[place] = winner
                heappush(ends, (closed[winner.mrid], place))
        while ends and ends[0][0] <= moment:
            del holding[heappop(ends)[1]]
        if _holds_all(event, holding.values()):
            return moment, tuple(holding[place].mrid for place in sorted(holding))
    return None, ()


def _holds_all(event: Event, holding: Collection[Event]) -> bool:
    for mode in event.modes:
        categories = 0
        for winner in holding:
            if mode in winner.modes:
                categories |= winner.categories
        if event.categories & ~categories:
            return False
    return bool(holding)


def _partly(
    event: Event, later: Sequence[Event], closed: dict[str, Moment], seen: int
) -> tuple[int | None, int]:
    """Since when, without a break, a part of the event has been, or was to be, another's.

    One that was closed before it began takes nothing from then on.

    :param seen: the moment to look at: for an event that is closed itself, the last before that
    :return: that, and how often it has begun and ended so far
    """
    since = until = None
    changes = 0
    for winner in sorted(later, key=lambda w: w.created):
        if winner.created > seen or _holds_all(event, [winner]):
            continue
        end = closed[winner.mrid]
        gone = end[0] if end <= min(winner.due, (seen, True)) else seen + 1
        # One that begins in the second in which another ended may have been seen as either.
        changes += 1 if until is None else 2 if winner.created >= until else 0
        if until is None or winner.created > until:
            since, until = winner.created, gone
        else:
            until = max(until, gone)
    if until is None or until > seen:
        return since, changes
    return None, changes + 1


def _status(
    event: Event, superseded: Moment | None, by: tuple[str, ...], partly: int | None, flags: int, now: int
) -> Status:
    """:param flags: how often potentiallySuperseded has changed"""
    active = flags + int(event.created < event.earliest)
    end = superseded or event.closed
    since, commanded = end
    if since <= now:
        version = 1 + (active if end > event.due else flags)
        if superseded:
            return Status(EventState.SUPERSEDED, since, version, partly, event.latest, by)
        if commanded and event.randomized:
            return Status(EventState.CANCELLED_RANDOMIZED, since, version, partly, event.latest)
        if commanded:
            return Status(EventState.CANCELLED, since, version, partly, event.end)
    if now < event.earliest:
        return Status(EventState.SCHEDULED, event.created, flags, partly, event.latest)
    return Status(EventState.ACTIVE, event.begins, active, partly, event.latest)


def next_change(events: Iterable[Event], now: int) -> int | None:
    """The next moment at which any status or the list itself can change though nobody commands anything.

    It may come early, when nothing changes after all; it never comes late. What is commanded counts where the
    clock was set back behind it: it is to come again.
    """
    moments = (
        m
        for e in events
        for m in (e.created, e.begins, e.end, e.latest, e.cancelled)
        if m is not None and m > now
    )
    return min(moments, default=None)
