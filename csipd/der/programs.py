"""What a device should be doing: which event or default holds each control mode, and why.

The rule, in one place (IEEE 2030.5-2018 10.2.3.3, CSIP G13, G14; decision 17):

1. *Who wins.* Of two events that want the same mode at the same time, that of the program with the lower
   primacy wins; between equals the one made later, and between those the greater mRID (`ProgramEvent.beats`).
2. *Each mode by itself.* Events of unlike modes run side by side.
3. *A loser that is known before it starts never starts.* When an event is due and a better one that wants the
   mode in an overlapping period is there, running or still to come, it does not run, not even for the part
   that the better one leaves.
4. *A loser that is running ends when the winner starts*, and does not resume.
5. *One that will not run takes nothing from others*: an event loses only to one that is itself going to run.
6. Where no event runs, the default holds: that of the program of the lowest primacy that sets the mode.
7. *What its own list shows as superseded (4) ends, or never starts*, also on a device on which the event that
   superseded it does not run: a device obeys the status that it reads (`program_events` adds it).

What is commanded in the second in which an event is due comes after it: a better one that is made only then
has not been known before (rule 4), and an event that is cancelled only then has started.

Seen from the server, without the randomisation that each device draws for itself. The device's side of the
same rules is client.py; the two are written apart and tested against each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from csipd.der.events import Event, Moment, statuses
from csipd.der.intervals import Intervals
from csipd.sep2 import resources as r
from csipd.sep2.types import EventState

Known = TypeVar("Known")  # what the caller knows a program by

#: What a DefaultDERControl says besides modes.
SETTINGS = (
    "setESDelay",
    "setESHighFreq",
    "setESHighVolt",
    "setESLowFreq",
    "setESLowVolt",
    "setESRampTms",
    "setESRandomDelay",
    "setGradW",
    "setSoftGradW",
)
_LAST = 2**63 - 1  # the last TimeType


class EndReason(Enum):
    """Why an event's hold on a mode ended, or never began."""

    COMPLETED = "completed"  #: its time was over
    CANCELLED = "cancelled"  #: by the operator
    SUPERSEDED = "superseded"  #: a better one started, or its list showed it as superseded
    NEVER = "never"  #: a better one was known when it was due, or it was over, cancelled or superseded before


@frozen
class ProgramEvent:
    """An event as a device sees it: with the primacy of its program.

    :param program: the program, by whatever the caller knows it
    :param primacy: of the program; the lower wins
    :param superseded: when its list begins to show it as superseded (TimeType), if it does
    :param superseded_by: mRIDs of the events of its program that together did that
    """

    event: Event
    primacy: int
    program: object = None
    superseded: int | None = None
    superseded_by: tuple[str, ...] = ()
    rank: tuple[int, int, str] = field(init=False, eq=False, repr=False)
    begins: int = field(init=False, eq=False, repr=False)
    due: Moment = field(init=False, eq=False, repr=False)
    over: Moment = field(init=False, eq=False, repr=False)

    @rank.default
    def _rank(self) -> tuple[int, int, str]:
        return -self.primacy, self.event.created, self.event.mrid

    def beats(self, other: ProgramEvent) -> bool:
        """Whether it wins where both want a mode."""
        return self.rank > other.rank

    @begins.default
    def _begins(self) -> int:
        """When a device is to start it: at once where it was made late."""
        return max(self.event.start, self.event.created)

    @due.default
    def _due(self) -> Moment:
        """When a device is to decide about it: by the clock, or among the commands of the second."""
        return self.begins, self.event.created >= self.event.start

    @over.default
    def _over(self) -> Moment:
        """When it is over if no better one takes the mode from it."""
        # A device reads in the list that it is superseded: after what is due by the clock, as with a command.
        read = [(m, True) for m in (self.event.cancelled, self.superseded) if m is not None]
        return min([(self.event.end, False), *read])


@frozen
class ModeOutcome:
    """What became of an event in one mode.

    :param begin: when it took the mode; None if it never did
    :param until: when it lost it, or will
    :param end: why
    :param by: the event that it lost it to, or never got it for
    """

    candidate: ProgramEvent
    begin: int | None
    until: int | None
    end: EndReason
    by: ProgramEvent | None = None

    def at(self, moment: int) -> bool:
        """Whether it holds the mode at a moment."""
        return self.begin is not None and self.until is not None and self.begin <= moment < self.until


@frozen
class ProgramDefault(Generic[Known]):
    """A DefaultDERControl as a device sees it: with the primacy of its program.

    :param program: the program, by whatever the caller knows it
    :param document: the whole of it, for those that need more than its modes
    """

    base: r.DERControlBase
    primacy: int
    program: Known
    document: r.DefaultDERControl | None = None


def program_events(events: Iterable[Event], primacy: int, program: object = None) -> list[ProgramEvent]:
    """The events of one program as devices see them, with what its list is to show if nothing is commanded.

    :param events: all of the program, also those that do not address the device: they count in its list
    """
    events = list(events)
    found = statuses(events, _LAST)
    candidates = []
    for event in events:
        status = found[event.mrid]
        superseded = status.since if status.state is EventState.SUPERSEDED else None
        candidates.append(ProgramEvent(event, primacy, program, superseded, status.superseded_by))
    return candidates


def default(defaults: Iterable[ProgramDefault[Known]], mode: str) -> ProgramDefault[Known] | None:
    """Which default holds a mode where no event does (rule 6): of equal primacies the first that is given."""
    setting = (d for d in defaults if getattr(d.base, mode) is not None)
    return min(setting, key=lambda d: d.primacy, default=None)


def merged(defaults: Iterable[ProgramDefault[Known]]) -> r.DefaultDERControl | None:
    """One DefaultDERControl that says what is in force where no event is (rule 6).

    Each mode, and each setting for ramps and entering service, comes from the best default that has it.
    Curves stay what they are: hrefs into the program that they are of.

    :param defaults: with their documents; of equal primacies the first that is given wins
    :return: without version; None where there is no default
    """
    best_first = sorted(defaults, key=lambda d: d.primacy)
    if not best_first:
        return None
    base: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for one in best_first:
        base = {**vars(one.base), **base}
        settings = {**(vars(one.document) if one.document is not None else {}), **settings}
    given = {name: settings[name] for name in SETTINGS if name in settings}
    return r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(**base), **given)


def addressed(candidates: Iterable[ProgramEvent], categories: int) -> list[ProgramEvent]:
    """The events that a device of these categories has to follow: all, for one of unknown category."""
    return [o for o in candidates if not categories or o.event.categories & categories]


def mode_outcomes(candidates: Iterable[ProgramEvent], mode: str) -> list[ModeOutcome]:
    """What becomes of each event that has a mode, in the order in which they are due.

    What is not commanded yet has no part in it: for a moment in the future the answer is what will be unless
    something new is commanded.

    :param candidates: the events that the device has to follow, of all its programs, also those that are over
    """
    wanting = {o.event.mrid: o for o in candidates if mode in o.event.modes}
    # In the order in which they begin, the best first where several do.
    due = sorted(wanting.values(), key=lambda o: o.rank, reverse=True)
    due.sort(key=lambda o: o.due)
    by_time = Intervals((o.begins, o.event.end, place) for place, o in enumerate(due))
    found: list[ModeOutcome] = []
    running: ProgramEvent | None = None
    for place, candidate in enumerate(due):
        if running is not None and running.over <= candidate.due:
            found.append(_ended(running, wanting))
            running = None
        if candidate.over <= candidate.due:
            found.append(ModeOutcome(candidate, None, None, EndReason.NEVER, _superseder(candidate, wanting)))
            continue
        winner = _winner(candidate, place, running, due, by_time)
        if winner is not None:
            found.append(ModeOutcome(candidate, None, None, EndReason.NEVER, winner))
            continue
        if running is not None:
            found.append(
                ModeOutcome(running, running.begins, candidate.begins, EndReason.SUPERSEDED, candidate)
            )
        running = candidate
    if running is not None:
        found.append(_ended(running, wanting))
    return sorted(found, key=lambda h: h.candidate.due)


def holder(candidates: Iterable[ProgramEvent], mode: str, moment: int) -> ModeOutcome | None:
    """Which event holds a mode at a moment; None: the default does (rule 6)."""
    return next((outcome for outcome in mode_outcomes(candidates, mode) if outcome.at(moment)), None)


def _winner(
    candidate: ProgramEvent,
    place: int,
    running: ProgramEvent | None,
    due: Sequence[ProgramEvent],
    by_time: Intervals[int],
) -> ProgramEvent | None:
    """The better event for which one that is due does not start (rule 3), if there is one.

    :param place: of the candidate among those due
    :param by_time: the places of those due
    """
    if running is not None and running.beats(candidate):
        return running

    # One that is made late is judged among all that is commanded in its second, though only what was known
    # before that takes anything from it.
    def is_better(other: ProgramEvent) -> bool:
        return other.beats(candidate) and (other.event.created, True) <= candidate.due < other.over

    later = (other for other in by_time.overlapping(candidate.begins, candidate.event.end) if other > place)
    rivals = {other for other in later if is_better(due[other]) and _overlap(due[other], candidate)}
    if not rivals:
        return None
    # Who is better than `candidate` is better than what runs, too: that keeps none of them from running.
    better = ((other, due[other]) for other in range(place + 1, len(due)) if is_better(due[other]))
    for other, winner in _going_to_run(better):
        if other in rivals and winner.event.created < candidate.begins:
            return winner
    return None


def _going_to_run(candidates: Iterable[tuple[int, ProgramEvent]]) -> Iterator[tuple[int, ProgramEvent]]:
    """Those of numbered events to come that no better one will keep from it (rule 5), the best first."""
    begins: list[int] = []
    ends: list[int] = []  # of those found, which never meet: each ends before the next begins
    for number, candidate in sorted(candidates, key=lambda pair: pair[1].rank, reverse=True):
        place = bisect_left(begins, candidate.event.end)
        if place and ends[place - 1] > candidate.begins:
            continue
        begins.insert(place, candidate.begins)
        ends.insert(place, candidate.event.end)
        yield number, candidate


def _overlap(one: ProgramEvent, other: ProgramEvent) -> bool:
    return one.begins < other.event.end and other.begins < one.event.end


def _superseder(candidate: ProgramEvent, wanting: Mapping[str, ProgramEvent]) -> ProgramEvent | None:
    """The best of the events that superseded one in its program, if that is how it was over."""
    if candidate.superseded is None or candidate.over != (candidate.superseded, True):
        return None
    winners = (wanting[mrid] for mrid in candidate.superseded_by if mrid in wanting)
    return max(winners, key=lambda o: o.rank, default=None)


def _ended(candidate: ProgramEvent, wanting: Mapping[str, ProgramEvent]) -> ModeOutcome:
    over, commanded = candidate.over
    winner = _superseder(candidate, wanting)
    if winner is not None:
        return ModeOutcome(candidate, candidate.begins, over, EndReason.SUPERSEDED, winner)
    return ModeOutcome(
        candidate, candidate.begins, over, EndReason.CANCELLED if commanded else EndReason.COMPLETED
    )
