"""The rules of events once more, slowly: a second opinion on csipd/der/events.py and programs.py.

Nothing is worked out ahead here. The clock goes second by second; in each, what is due by the clock happens
first, and then what the operator commanded in that second. Nobody is told anything before it has happened: an
event is not there before its creationTime, and its cancellation is not there before it was commanded.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, evolve, field

from csipd.der.events import Event
from csipd.der.programs import EndReason, ProgramEvent
from csipd.sep2.types import EventState


@define
class Record:
    """What the list of the program shows of an event, and what the rules must remember of it.

    :param flagged: since when potentiallySuperseded has been true without a break
    :param by: mRIDs of the events that held all of it when it was superseded
    :param began: whether it was ever active while it could run
    """

    event: Event
    state: EventState
    since: int
    flagged: int | None = None
    by: frozenset[str] = frozenset()
    began: bool = False

    def turn(self, state: EventState, now: int) -> None:
        """The state changes."""
        self.state, self.since = state, now

    def over(self, now: int) -> bool:
        """Whether no device can be running it any more, whatever it drew."""
        latest_start = self.event.start + max(0, self.event.randomize_start)
        return now >= latest_start + self.event.duration + max(0, self.event.randomize_duration)

    def due(self, now: int) -> bool:
        """Whether a device may have started it."""
        return now >= self.event.start + min(0, self.event.randomize_start)

    def open(self, now: int) -> bool:
        """Whether anything can still happen to it."""
        return self.state in (EventState.SCHEDULED, EventState.ACTIVE) and not self.over(now)

    def listed(self, now: int) -> bool:
        """Whether it is in the DERControlList."""
        if self.state is EventState.CANCELLED:
            return now < self.event.start + self.event.duration
        return not self.over(now)


class Program:
    """The server's side: EventStatus of the events of one program."""

    def __init__(self, facts: Sequence[Event]) -> None:
        self._facts = sorted(facts, key=lambda event: (event.created, event.mrid))
        self._records: list[Record] = []

    def history(self, until: int) -> list[dict[str, Record]]:
        """What the list shows in each second from 0 on, by mRID."""
        return [self._second(now) for now in range(until + 1)]

    def _second(self, now: int) -> dict[str, Record]:
        self._settle(now)
        for event in self._facts:
            if event.created == now:
                record = Record(event, EventState.SCHEDULED, now)
                if record.due(now):
                    record.state = EventState.ACTIVE
                self._records.append(record)
        for record in self._records:
            if record.event.cancelled == now and record.open(now):
                randomized = record.event.randomized
                state = EventState.CANCELLED_RANDOMIZED if randomized else EventState.CANCELLED
                record.turn(state, now)
        self._settle(now)
        self._flag(now)
        return {record.event.mrid: evolve(record) for record in self._records}

    def _settle(self, now: int) -> None:
        """What follows by itself; the later win, so they come first."""
        for record in reversed(self._records):
            if not record.open(now):
                continue
            holding = [
                other
                for other in self._later(record)
                if other.state is EventState.ACTIVE and not other.over(now)
            ]
            if self._nothing_left(record, holding):
                record.turn(EventState.SUPERSEDED, now)
                record.by = frozenset(other.event.mrid for other in holding)
            elif record.state is EventState.SCHEDULED and record.due(now):
                record.turn(EventState.ACTIVE, now)
        for record in self._records:
            if record.state is EventState.ACTIVE and not record.over(now):
                record.began = True

    def _flag(self, now: int) -> None:
        """potentiallySuperseded, as the second leaves it; what is closed keeps what it has."""
        for record in self._records:
            if record.open(now):
                if not any(self._takes_a_part(other, record) for other in self._later(record)):
                    record.flagged = None
                elif record.flagged is None:
                    record.flagged = now

    def _later(self, loser: Record) -> list[Record]:
        """The later events that want at the same time the same of the same devices."""
        return [
            other
            for other in self._records[self._records.index(loser) + 1 :]
            if other.event.start < loser.event.start + loser.event.duration
            and loser.event.start < other.event.start + other.event.duration
            and other.event.modes & loser.event.modes
            and other.event.categories & loser.event.categories
        ]

    def _nothing_left(self, loser: Record, holding: Sequence[Record]) -> bool:
        """Whether those that hold have every mode of it, for every category of it."""
        for mode in loser.event.modes:
            left = loser.event.categories
            for other in holding:
                if mode in other.event.modes:
                    left &= ~other.event.categories
            if left:
                return False
        return bool(holding)

    def _takes_a_part(self, other: Record, loser: Record) -> bool:
        """Whether it has taken, or is to take, some of it and not all."""
        took = other.began or other.state is EventState.SCHEDULED
        return took and not self._nothing_left(loser, [other])


@define
class Fate:
    """What became of an event on a device, in one mode.

    :param begin: the second in which it started
    :param until: the second in which it stopped
    :param ran: the seconds that it held the mode
    :param lost_to: for whom it did not start, or stopped: any of these
    """

    begin: int | None = None
    until: int | None = None
    end: EndReason | None = None
    ran: list[int] = field(factory=list)
    lost_to: frozenset[str] = frozenset()


class Device:
    """A device's side, for one mode: it does each second what it must with what it knows.

    :param candidates: those that address it
    """

    def __init__(self, candidates: Sequence[ProgramEvent], mode: str) -> None:
        self._candidates = [candidate for candidate in candidates if mode in candidate.event.modes]
        # The best first, by the rule of G13 and G14.
        self._candidates.sort(key=lambda o: (-o.primacy, o.event.created, o.event.mrid), reverse=True)
        self._fates: dict[str, Fate] = {}
        self._running: ProgramEvent | None = None

    def history(self, until: int) -> list[str | None]:
        """Which event (its mRID) held the mode in each second from 0 on; None: the default."""
        return [self._second(now) for now in range(until + 1)]

    def fates(self) -> dict[str, Fate]:
        """What became of each event, by mRID, after `history`."""
        return self._fates

    def _second(self, now: int) -> str | None:
        heard = [candidate for candidate in self._candidates if candidate.event.created < now]
        self._stop(now)
        self._start([candidate for candidate in heard if candidate.event.start == now], heard, heard, now)

        for candidate in self._candidates:
            if candidate.event.created == now:
                self._fates[candidate.event.mrid] = Fate()
            if candidate.event.created <= now and candidate.event.cancelled == now:
                self._cancel(candidate, now)
        fresh = [candidate for candidate in self._candidates if candidate.event.created == now]
        late = [candidate for candidate in fresh if candidate.event.start <= now]
        self._start(late, heard, [*heard, *fresh], now)

        if self._running is None:
            return None
        self._fate(self._running).ran.append(now)
        return self._running.event.mrid

    def _fate(self, candidate: ProgramEvent) -> Fate:
        return self._fates[candidate.event.mrid]

    def _end(self, candidate: ProgramEvent, now: int, end: EndReason) -> None:
        fate = self._fate(candidate)
        fate.end = end
        if candidate is self._running:
            fate.until = now
            self._running = None

    def _stop(self, now: int) -> None:
        """The running one is done when its time is over."""
        if self._running is not None and now >= self._running.event.start + self._running.event.duration:
            self._end(self._running, now, EndReason.COMPLETED)

    def _cancel(self, candidate: ProgramEvent, now: int) -> None:
        """One that runs stops; one that does not never will."""
        if candidate is self._running:
            self._end(candidate, now, EndReason.CANCELLED)
        elif self._fate(candidate).end is None:
            self._end(candidate, now, EndReason.NEVER)

    def _start(
        self,
        due: Sequence[ProgramEvent],
        heard: Sequence[ProgramEvent],
        known: Sequence[ProgramEvent],
        now: int,
    ) -> None:
        """Each that is due starts, unless a better one is in its way.

        :param heard: what was there before this second; nothing else can be in the way
        :param known: what decides whether that is going to run
        """
        for candidate in due:
            if self._fate(candidate).end is not None:
                continue
            if now >= candidate.event.start + candidate.event.duration:
                self._end(candidate, now, EndReason.NEVER)
                continue
            superiors = self._superiors(candidate, heard, known, now)
            if superiors:
                self._end(candidate, now, EndReason.NEVER)
                self._fate(candidate).lost_to = frozenset(superiors)
                continue
            if self._running is not None:
                self._fate(self._running).lost_to = frozenset({candidate.event.mrid})
                self._end(self._running, now, EndReason.SUPERSEDED)
            self._running = candidate
            self._fate(candidate).begin = now

    def _superiors(
        self, loser: ProgramEvent, heard: Sequence[ProgramEvent], known: Sequence[ProgramEvent], now: int
    ) -> list[str]:
        """The better ones that run, or will as far as anybody has heard, in a part of its time."""
        better = self._candidates[: self._candidates.index(loser)]
        return [
            candidate.event.mrid
            for candidate in better
            if candidate is self._running or (candidate in heard and self._will_run(candidate, known, now))
            if candidate.event.start < loser.event.start + loser.event.duration
            if loser.event.start < candidate.event.start + candidate.event.duration
        ]

    def _will_run(self, candidate: ProgramEvent, known: Sequence[ProgramEvent], now: int) -> bool:
        """Whether it is still to start and nobody is in its way."""
        return self._fate(candidate).end is None and not self._superiors(candidate, known, known, now)
