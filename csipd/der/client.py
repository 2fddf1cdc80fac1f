"""The device's side of the DER rules: what it does with the events that it reads, and what it answers.

A `Device` is handed what it would read of its programs, and the time; it says which event or default holds
each control mode, and which responses are due. It knows no more than that, as a real device: it is the brain
of a simulated one, and a check of the server's view of the same things, written apart from it.

How it decides (IEEE 2030.5-2018 10.2.3.3, CSIP G11 to G14):

1. *Every mode by itself*, in order of rank: the lower primacy, then the later creationTime, then the greater
   mRID. From what is known follows, for each mode of each event, a span of time in which the event is going
   to hold it; those of better rank come first (`Device._span`). Time then only walks along these spans, and
   they are drawn anew at each reading.
2. *A better event that overlaps and was known before the loser's start* leaves it nothing, not even what it
   does not use itself. One that becomes known later cuts the loser off where it starts. Neither loser comes
   back. An event that is not going to run takes nothing from others, and nothing is final before the loser is
   due: if the winner is cancelled until then, the loser runs.
3. *What overlaps is judged by the scheduled interval*; when things start and end by the device's own, with
   its random offsets. Of two successive events the first lasts until the second starts if the second is the
   better; otherwise the second waits where the first lasts longer.
4. *An event that leaves its list* goes on to its end. One whose program the device does not see any more is
   abandoned, and answered 14.

Responses (8.8, Table 27): 1; then 2 when it starts; then 3, 6, 7, 14 or 252 to 254 as soon as it is known
that it has ended or is not going to start. What was answered 7 or 14 ahead of its start and does run after
all (the winner was cancelled) goes on with 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import Factory, define, frozen

from csipd.sep2 import resources as r
from csipd.sep2.schema import fields
from csipd.sep2.types import (
    MODE,
    MODES,
    EventState,
    ResponseRequired,
    ResponseStatus,
    TimeType,
)

CAPACITY: Final = 100  # events remembered of one program; CSIP G10 asks for 24 that are scheduled
RETENTION: Final = 3600  # seconds for which an event is remembered after its scheduled end
EVERY_MODE: Final = sum(mode.flag for mode in MODES)
SETTINGS: Final = tuple(item.name for item in fields(r.DefaultDERControl) if item.name.startswith("set"))

_CANCELLED = (EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED)
_ENDED = (*_CANCELLED, EventState.SUPERSEDED)


@frozen
class ProgramSeen:
    """A DERProgram as a device reads it: its `href`, and what its two links led to."""

    href: str
    primacy: int
    controls: tuple[r.DERControl, ...] = ()
    default: r.DefaultDERControl | None = None


@frozen
class ResponseDue:
    """A response to be POSTed to `replyTo`: the event `subject` (mRID) came to `status` at `at`."""

    replyTo: str
    subject: str
    status: ResponseStatus
    at: TimeType


@frozen
class ModeInForce:
    """What holds a control mode: its `value`, as in DERControlBase, and the `rampTms` that goes with it.

    `source` is the mRID of the DERControl or DefaultDERControl, `program` the href of its program.
    """

    value: Any
    source: str
    program: str
    rampTms: int | None = None


@frozen
class _Span:
    """From when until when an event is going to hold a mode, and what it is answered for the end of it."""

    start: TimeType
    until: TimeType
    closing: ResponseStatus

    @property
    def empty(self) -> bool:
        return self.until <= self.start

    def holds(self, moment: TimeType) -> bool:
        return self.start <= moment < self.until


@define(eq=False)
class _ReceivedEvent:
    """An event that the device has received; `start` and `end` are its own, with its random offsets.

    `spans` has the modes that the event holds (`holding`) or may still get.
    """

    control: r.DERControl
    program: str
    received: TimeType
    start: TimeType
    end: TimeType
    spans: dict[str, _Span]
    holding: set[str] = Factory(set)
    said: set[ResponseStatus] = Factory(set)
    cancelled: bool = False
    superseded: bool = False  # by the server's word
    started: bool = False
    closed: bool = False  # its end was answered, perhaps ahead

    @property
    def over(self) -> bool:
        return not self.spans

    @property
    def begins(self) -> TimeType:
        return self.control.interval.start

    @property
    def finishes(self) -> TimeType:
        return self.control.interval.start + self.control.interval.duration

    @property
    def known(self) -> TimeType:
        """Since when it is known: by creationTime, so that one that polls late decides like the rest."""
        return min(self.control.creationTime, self.received)


class Device:
    """One DER, as its programs see it.

    `categories` are its DeviceCategory bits: with 0, none known, it ignores events that name any. `supported`
    are the DERControlType flags of the modes that it has; it neither runs others nor takes them from a
    default. `draw(bound)` gives its offset for a randomizeStart, a randomizeDuration or the end of an event
    cancelled with randomisation: seconds between 0 and `bound`, which may be negative; it is asked once each.

    `superseded_early` is what it answers to an event that will not start because of one in another program:
    7 as CSIP's tests ask of a direct DER (BASIC-021, 022), or 14 as they ask of an aggregator for its DERs
    (AGG-007, 008). Within one program it is 7.
    """

    def __init__(
        self,
        lfdi: str,
        categories: int = 0,
        draw: Callable[[int], int] = lambda bound: 0,
        *,
        supported: int = EVERY_MODE,
        superseded_early: ResponseStatus = ResponseStatus.SUPERSEDED,
    ) -> None:
        self.lfdi = lfdi
        self._categories = categories
        self._draw = draw
        self._supported = supported
        self._superseded_early = superseded_early
        self._now: TimeType = -(2**63)
        self._programs: dict[str, ProgramSeen] = {}
        self._events: dict[str, _ReceivedEvent] = {}
        self._due: list[ResponseDue] = []

    def read(self, now: TimeType, programs: Sequence[ProgramSeen]) -> tuple[ResponseDue, ...]:
        """Take in what is read at `now`: every program of the device, each with its whole lists.

        Time passes first, up to but without `now`: what is read in the second of a start counts for it. Time
        does not go backwards: an earlier `now` than before is taken for the last one.
        """
        now = max(now, self._now)
        self._pass(now - 1)
        self._now = now
        self._programs = {program.href: program for program in programs}
        listed = {control.mRID for program in programs for control in program.controls}
        for program in self._programs.values():
            for control in program.controls:
                self._apply(program, control, listed)
        self._events = {
            mrid: held
            for mrid, held in self._events.items()
            if mrid in listed or not held.over or now < held.finishes + RETENTION
        }
        self._plan()
        self._step()
        return self._answers()

    def advance(self, now: TimeType) -> tuple[ResponseDue, ...]:
        """Let time pass until `now` inclusive; each response carries the moment at which it became due."""
        self._pass(now)
        self._now = max(now, self._now)
        return self._answers()

    def modes(self, now: TimeType) -> Mapping[str, ModeInForce]:
        """What holds each control mode at `now` by what is known, which may be ahead of the last reading.

        A mode for which there is neither an event nor a default is not in it.
        """
        now = max(now, self._now)
        acting: dict[str, ModeInForce] = {}
        for program in self._by_primacy():
            if program.default is not None:
                for mode in self._modes(program.default.DERControlBase):
                    acting.setdefault(mode, _acting(program.default, mode, program.href))
        for held in self._events.values():
            for mode, span in held.spans.items():
                if span.holds(now):
                    acting[mode] = _acting(held.control, mode, held.program)
        return acting

    def acting(self, mode: str, now: TimeType) -> ModeInForce | None:
        """What holds the control mode of this name (types.MODES) at `now`, None if nothing does."""
        return self.modes(now).get(mode)

    def running(self) -> Mapping[str, frozenset[str]]:
        """The events that run now, by mRID, each with the modes that it holds."""
        return {mrid: frozenset(held.holding) for mrid, held in self._events.items() if held.holding}

    def ran(self) -> frozenset[str]:
        """The mRIDs of the remembered events that have ever started here."""
        return frozenset(mrid for mrid, held in self._events.items() if held.started)

    def settings(self) -> Mapping[str, int]:
        """Ramp rates and enter service values (SETTINGS), in the units of DefaultDERControl.

        Each is that of the DefaultDERControl which has it in the program of lowest primacy.
        """
        found: dict[str, int] = {}
        for program in self._by_primacy():
            for name in SETTINGS:
                value = getattr(program.default, name, None)
                if value is not None:
                    found.setdefault(name, value)
        return found

    def next_moment(self, now: TimeType) -> TimeType | None:
        """The next moment after `now` at which time alone may change something; None: there is none."""
        return min((moment for moment in self._moments() if moment > now), default=None)

    def document(self, due: ResponseDue) -> r.DERControlResponse:
        """The response as it is POSTed."""
        return r.DERControlResponse(
            createdDateTime=due.at, endDeviceLFDI=self.lfdi, status=due.status, subject=due.subject
        )

    def _apply(self, program: ProgramSeen, control: r.DERControl, listed: set[str]) -> None:
        """Take in one event of a program's list."""
        held = self._events.get(control.mRID)
        if held is None:
            category = control.deviceCategory
            if category is not None and not category & self._categories:
                return
            if not self._room(program.href, listed):
                return
            held = self._events[control.mRID] = self._receive(program, control)
        held.program = program.href
        state, since = control.EventStatus.currentStatus, control.EventStatus.dateTime
        if state in _CANCELLED and not held.cancelled:
            held.cancelled = True
            ends = self._now
            if state == EventState.CANCELLED_RANDOMIZED:
                bound = max(abs(control.randomizeStart or 0), abs(control.randomizeDuration or 0))
                ends = since + self._offset(bound)
            held.end = min(held.end, ends)
        held.superseded |= state == EventState.SUPERSEDED

    def _room(self, href: str, listed: set[str]) -> bool:
        """Whether one more event of a program may be remembered; one that is over makes way if need be."""
        kin = {mrid: held for mrid, held in self._events.items() if held.program == href}
        if len(kin) < CAPACITY:
            return True
        spare = next((mrid for mrid, held in kin.items() if held.over and mrid not in listed), None)
        if spare is None:
            return False
        del self._events[spare]
        return True

    def _receive(self, program: ProgramSeen, control: r.DERControl) -> _ReceivedEvent:
        start = control.interval.start + self._offset(control.randomizeStart)
        lasts = control.interval.duration + self._offset(control.randomizeDuration)
        held = _ReceivedEvent(control, program.href, self._now, start, start + max(1, lasts), {})
        self._say(held, ResponseStatus.RECEIVED)
        refusal = self._refusal(held)
        if refusal is None:
            never = _Span(start, start, ResponseStatus.COMPLETED)
            held.spans = dict.fromkeys(self._modes(control.DERControlBase), never)
        else:
            self._say(held, refusal)
        return held

    def _refusal(self, held: _ReceivedEvent) -> ResponseStatus | None:
        """Why an event cannot be followed at all, if so."""
        base, state = held.control.DERControlBase, held.control.EventStatus.currentStatus
        if not self._modes(base):
            foreign = base.extensions or any(getattr(base, mode.name) is not None for mode in MODES)
            return ResponseStatus.REJECTED_NOT_APPLICABLE if foreign else ResponseStatus.REJECTED_INVALID
        if not held.control.interval.duration:
            return ResponseStatus.REJECTED_INVALID
        if state not in _ENDED and min(held.end, held.finishes) <= self._now:
            return ResponseStatus.REJECTED_EXPIRED
        return None

    def _plan(self) -> None:
        """Draw the spans of all events from what is known now."""
        taken: dict[str, list[tuple[_ReceivedEvent, _Span]]] = {mode: [] for mode in MODE}
        for held in sorted(self._live(), key=self._rank, reverse=True):
            for mode in held.spans:
                span = held.spans[mode] = self._span(held, mode, taken[mode])
                if not span.empty:
                    taken[mode].append((held, span))

    def _span(self, held: _ReceivedEvent, mode: str, better: Iterable[tuple[_ReceivedEvent, _Span]]) -> _Span:
        """When `held` holds `mode` from now on, given the spans of the `better` events that hold it too."""
        running = mode in held.holding
        start, end = max(held.start, self._now), held.end
        if held.program not in self._programs:
            return _Span(start, start, ResponseStatus.ABORTED_PROGRAM)
        if held.cancelled and not running:
            return _Span(start, start, ResponseStatus.CANCELLED)
        if held.superseded and not running:
            return _Span(start, start, ResponseStatus.SUPERSEDED)
        ahead = [(other, span) for other, span in better if running or span.until > start]
        if not held.cancelled:  # no gap before a successive event
            end = min((span.start for other, span in ahead if other.begins == held.finishes), default=end)
        winner = None
        for other, span in ahead:
            meets = other.begins < held.finishes
            if meets and not running:
                if span.until < end and (other.cancelled or other.finishes <= held.begins):
                    start = max(start, span.until)
                    continue
                if span.start <= start or other.known < max(held.start, held.control.creationTime):
                    return _Span(start, start, self._early(held, other))
            if span.start < end:
                end = span.start
                winner = other if meets else None
        if held.superseded and not self._turning_over(held, winner):
            return _Span(start, start, ResponseStatus.SUPERSEDED)
        if held.cancelled:
            return _Span(start, end, ResponseStatus.CANCELLED)
        pushed_out = end <= start and not running
        superseded = winner is not None or pushed_out
        return _Span(start, end, ResponseStatus.SUPERSEDED if superseded else ResponseStatus.COMPLETED)

    def _turning_over(self, held: _ReceivedEvent, winner: _ReceivedEvent | None) -> bool:
        """Whether what its list shows as superseded still waits for the own, random start of its winner."""
        if winner is None or winner.program != held.program:
            return False
        return winner.begins + min(0, winner.control.randomizeStart or 0) <= self._now

    def _early(self, held: _ReceivedEvent, winner: _ReceivedEvent) -> ResponseStatus:
        """What an event is answered that does not start because of another."""
        return ResponseStatus.SUPERSEDED if winner.program == held.program else self._superseded_early

    def _rank(self, held: _ReceivedEvent) -> tuple[int, int, str]:
        program = self._programs.get(held.program)
        primacy = 0 if program is None else program.primacy  # of one that is gone nothing depends on it
        return -primacy, held.control.creationTime, held.control.mRID

    def _pass(self, until: TimeType) -> None:
        while (moment := self.next_moment(self._now)) is not None and moment <= until:
            self._now = moment
            self._step()

    def _step(self) -> None:
        """Do what the spans say for this moment: what ends first, then what starts."""
        begun = [held for held in list(self._live()) if self._turn(held)]
        for held in begun:
            held.started, held.closed = True, False
            self._say(held, ResponseStatus.STARTED)

    def _turn(self, held: _ReceivedEvent) -> bool:
        """Take from an event the modes that it loses now, give it those that it gets: does it begin?"""
        due = self._now >= held.start
        closings = [span.closing for span in held.spans.values() if span.until <= self._now or span.empty]
        for mode, span in list(held.spans.items()):
            lost = span.until <= self._now if mode in held.holding else span.empty and due
            if span.holds(self._now):
                held.holding.add(mode)
            elif lost:
                held.holding.discard(mode)
                del held.spans[mode]
        hopeless = all(span.empty for span in held.spans.values())
        if hopeless and not held.closed:
            held.closed = True
            self._say(held, max(closings))  # modes lost to different winners: 14 before 7
        return bool(held.holding) and not held.started

    def _moments(self) -> Iterator[TimeType]:
        for held in self._live():
            yield held.start
            for span in held.spans.values():
                if not span.empty:
                    yield span.start
                    yield span.until

    def _live(self) -> Iterator[_ReceivedEvent]:
        return (held for held in self._events.values() if not held.over)

    def _by_primacy(self) -> list[ProgramSeen]:
        return sorted(self._programs.values(), key=lambda program: program.primacy)

    def _modes(self, base: r.DERControlBase) -> list[str]:
        """The modes of a base that the device has."""
        return [m.name for m in MODES if m.flag & self._supported and getattr(base, m.name) is not None]

    def _offset(self, bound: int | None) -> int:
        return self._draw(bound) if bound else 0

    def _say(self, held: _ReceivedEvent, status: ResponseStatus) -> None:
        """Answer, if that is asked for and was not done before."""
        wanted = ResponseRequired.RECEIVED if status == ResponseStatus.RECEIVED else ResponseRequired.SPECIFIC
        control = held.control
        if control.replyTo is not None and control.responseRequired & wanted and status not in held.said:
            self._due.append(ResponseDue(control.replyTo, control.mRID, status, self._now))
        held.said.add(status)

    def _answers(self) -> tuple[ResponseDue, ...]:
        due, self._due = tuple(self._due), []
        return due


def _acting(given: r.DERControl | r.DefaultDERControl, mode: str, program: str) -> ModeInForce:
    base = given.DERControlBase
    return ModeInForce(getattr(base, mode), given.mRID, program, base.rampTms)
