"""The server's engine and the device's side agree: of the same events the same ones run, at every moment.

They were written apart (csipd/der/events.py and programs.py; client.py). They must agree, for each control
mode and moment, on the event or default that holds it, and for each event and device on whether it ever ran
(decision 16). The device is given nothing but what the server shows it: the DERControlList of each of its
programs as it stands then, and their DefaultDERControls. Nothing is randomised, as the server does not know
what a device draws.

Within a second the clock comes first, then what was commanded in it: in each the device first lets time pass
and then reads. Against what a device does that reads first they may differ in that second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import compress

from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.client import Device, ProgramSeen
from csipd.der.events import ALL_CATEGORIES, Event, Status, next_change, statuses
from csipd.der.programs import (
    EndReason,
    ModeOutcome,
    ProgramDefault,
    addressed,
    default,
    mode_outcomes,
    program_events,
)
from csipd.sep2 import resources as r
from csipd.sep2.types import DeviceCategory
from tests.support import schedules
from tests.support.schedules import END, MODES

MANY = settings(max_examples=max(1200, settings().max_examples))

W, PF = "opModFixedW", "opModFixedPFInjectW"
VALUES = {
    "opModFixedW": 5000,
    "opModFixedPFInjectW": r.PowerFactorWithExcitation(displacement=900, excitation=False, multiplier=-3),
    "opModMaxLimW": 6000,
    "opModVoltVar": r.DERCurveLink(href="/derp/1/dc/1"),
}


@frozen
class Program:
    """A program with all that is ever commanded in it.

    :param href: and mRID of its default
    :param default: the modes that its DefaultDERControl sets; it has none where that is empty
    """

    href: str
    primacy: int
    events: tuple[Event, ...] = ()
    default: frozenset[str] = frozenset()

    def known(self, now: int) -> list[Event]:
        return schedules.known(list(self.events), now)


@cache
def base(modes: frozenset[str]) -> r.DERControlBase:
    return r.DERControlBase(**{mode: VALUES[mode] for mode in modes})


def control(event: Event, status: Status) -> r.DERControl:
    """An event as the list of its program shows it."""
    return r.DERControl(
        mRID=event.mrid,
        creationTime=event.created,
        EventStatus=r.EventStatus(
            currentStatus=status.state,
            dateTime=status.since,
            potentiallySuperseded=status.partly_since is not None,
            potentiallySupersededTime=status.partly_since,
        ),
        interval=r.DateTimeInterval(duration=event.duration, start=event.start),
        DERControlBase=base(event.modes),
        deviceCategory=None if event.categories == ALL_CATEGORIES else DeviceCategory(event.categories),
    )


def shown(programs: Iterable[Program], now: int) -> list[ProgramSeen]:
    """What a device reads of its programs at a moment."""
    seen = []
    for program in programs:
        events = program.known(now)
        found = statuses(events, now)
        listed = [event for event in events if now < found[event.mrid].listed_until]
        controls = tuple(control(event, found[event.mrid]) for event in listed)
        usual = r.DefaultDERControl(mRID=program.href, DERControlBase=base(program.default))
        seen.append(ProgramSeen(program.href, program.primacy, controls, usual if program.default else None))
    return seen


def fates(programs: Sequence[Program], categories: int, known: int) -> dict[str, list[ModeOutcome]]:
    """What the server says becomes of each event, by mode, by what is commanded until `known`."""
    candidates = [o for p in programs for o in program_events(p.known(known), p.primacy, p.href)]
    followed = addressed(candidates, categories)
    return {mode: mode_outcomes(followed, mode) for mode in MODES}


def acting(found: dict[str, list[ModeOutcome]], programs: Sequence[Program], now: int) -> dict[str, str]:
    """What the server says holds each mode: the mRID of an event or default."""
    defaults = [ProgramDefault(base(p.default), p.primacy, p.href) for p in programs if p.default]
    held = {}
    for mode in MODES:
        usual = default(defaults, mode)
        event = next((outcome.candidate.event.mrid for outcome in found[mode] if outcome.at(now)), None)
        if event is not None or usual is not None:
            held[mode] = event or str(usual and usual.program).zfill(32)
    return held


def ran(found: dict[str, list[ModeOutcome]], now: int) -> set[str]:
    """The events that the server says have ever run by a moment."""
    every = (outcome for fate in found.values() for outcome in fate)
    return {
        outcome.candidate.event.mrid
        for outcome in every
        if outcome.begin is not None and outcome.begin <= now
    }


@st.composite
def fleets(draw: st.DrawFn) -> list[Program]:
    """1 to 4 programs, of which some may have the same primacy, with 2 to 8 events among them."""
    found = draw(schedules.candidates())
    masks = draw(st.binary(min_size=4, max_size=4))
    events: dict[tuple[int, object], list[Event]] = {}
    for candidate in found:
        event = evolve(
            candidate.event, mrid=candidate.event.mrid.zfill(32), randomize_start=0, randomize_duration=0
        )
        events.setdefault((candidate.primacy, candidate.program), []).append(event)
    return [
        Program(
            f"D{number}",
            primacy,
            tuple(kept),
            frozenset(compress(MODES, (masks[number] >> i & 1 for i in range(len(MODES))))),
        )
        for number, ((primacy, _), kept) in enumerate(events.items())
    ]


def event(name: int, created: int, start: int, end: int, *modes: str, **given: int) -> Event:
    return Event(f"{name:032X}", created, start, end - start, frozenset(modes or (W,)), **given)


class Case(SynchronousTestCase):
    """A device and the server's view of it, side by side."""

    def compare(self, programs: Sequence[Program], device: Device, categories: int, now: int) -> None:
        """At a moment they say the same by what is known then."""
        found = fates(programs, categories, now)
        self.assertEqual(
            {mode: one.source for mode, one in device.modes(now).items()}, acting(found, programs, now), now
        )
        self.assertEqual(device.ran(), ran(found, now), now)

    def every_second(self, programs: Sequence[Program], categories: int) -> dict[str, list[ModeOutcome]]:
        """The device polls in every second; what the server says afterwards of all that has been."""
        device = Device("", categories)
        found = fates(programs, categories, END)
        for now in range(1 + max((e.end for p in programs for e in p.events), default=0)):
            device.advance(now)
            device.read(now, shown(programs, now))
            self.assertEqual(
                {mode: one.source for mode, one in device.modes(now).items()},
                acting(found, programs, now),
                now,
            )
        self.assertEqual(device.ran(), ran(found, END))
        return found


class SchedulesTests(Case):
    """Any schedule at all."""

    @MANY
    @given(fleets(), st.integers(1, 7))
    def test_every_second(self, programs: list[Program], categories: int) -> None:
        """On a device that polls each second runs what the server says in the end has run."""
        self.every_second(programs, categories)

    @MANY
    @given(fleets(), st.integers(1, 7), schedules.moments())
    def test_steps(self, programs: list[Program], categories: int, looks: list[int]) -> None:
        """A device that reads a list when it changes, and at random, is at any moment where the server says
        by what is known then; between its readings it goes by itself."""
        device = Device("", categories)
        every = [e for p in programs for e in p.events]
        now: int | None = 0
        changes = {0}
        while (now := next_change(every, now)) is not None:
            changes.add(now)
        for now in sorted(changes.union(looks)):
            device.advance(now)
            device.read(now, shown(programs, now))
            if now in looks:
                self.compare(programs, device, categories, now)


class NamedTests(Case):
    """What random schedules found, one by one: (begin, until, end) of each event in mode W."""

    def check(
        self, programs: Sequence[Program], **expected: tuple[int | None, int | None, EndReason]
    ) -> None:
        """Both sides have this."""
        found = self.every_second(programs, 1)
        fate = {f"e{int(h.candidate.event.mrid, 16)}": (h.begin, h.until, h.end) for h in found[W]}
        self.assertEqual(fate, expected)

    def test_told_superseded(self) -> None:
        """What its list shows as superseded ends, though its winner loses to another program's event."""
        near = Program("D1", 1, (event(3, 0, 12, 20),))
        far = Program("D2", 2, (event(1, 0, 2, 12), event(2, 1, 5, 15)))
        self.check(
            [near, far],
            e1=(2, 5, EndReason.SUPERSEDED),
            e2=(None, None, EndReason.NEVER),
            e3=(12, 20, EndReason.COMPLETED),
        )

    def test_told_superseded_before(self) -> None:
        """And one that is not due yet when its list shows it as superseded never runs, though its winner is
        cancelled before."""
        one = Program("D1", 1, (event(1, 0, 9, 12), event(2, 1, 2, 12, cancelled=6)))
        self.check([one], e1=(None, None, EndReason.NEVER), e2=(2, 6, EndReason.CANCELLED))

    def test_told_superseded_in_a_chain(self) -> None:
        """It ends at once, not when an event starts that is better than its winner."""
        one = Program("D1", 1, (event(1, 0, 2, 15), event(2, 3, 7, 18), event(3, 6, 9, 23, categories=3)))
        self.check(
            [one],
            e1=(2, 7, EndReason.SUPERSEDED),
            e2=(None, None, EndReason.NEVER),
            e3=(9, 23, EndReason.COMPLETED),
        )

    def test_made_late(self) -> None:
        """One that is made after its start never runs where a better one to come was known by then."""
        near, far = Program("D1", 1, (event(1, 8, 14, 20),)), Program("D2", 2, (event(2, 10, 6, 18),))
        self.check([near, far], e1=(14, 20, EndReason.COMPLETED), e2=(None, None, EndReason.NEVER))

    def test_made_late_among_others(self) -> None:
        """It does run where what is made in the same second keeps that better one from running."""
        near = Program("D1", 1, (event(1, 0, 21, 31), event(2, 13, 24, 39)))
        far = Program("D2", 2, (event(3, 13, 10, 30),))
        self.check(
            [near, far],
            e1=(None, None, EndReason.NEVER),
            e2=(24, 39, EndReason.COMPLETED),
            e3=(13, 24, EndReason.SUPERSEDED),
        )


class DefaultTests(Case):
    """Where no event runs, a default holds."""

    def defaults(self, *programs: Program) -> dict[str, str]:
        """Of these programs, as both sides have it."""
        self.every_second(programs, 1)
        held = acting(fates(programs, 1, 0), programs, 0)
        return {mode: source.lstrip("0") for mode, source in held.items()}

    def test_lowest_primacy(self) -> None:
        """BASIC-016, AGG-002: of two defaults that of the program of the lower primacy holds."""
        near, far = Program("D1", 4, (), frozenset({PF})), Program("D2", 10, (), frozenset({PF}))
        self.assertEqual(self.defaults(near, far), {PF: "D1"})
        self.assertEqual(self.defaults(far, near), {PF: "D1"})
        self.assertEqual(self.defaults(far), {PF: "D2"})

    def test_each_mode(self) -> None:
        """A mode that the nearer does not set is the farther's; one that neither sets is nobody's."""
        near, far = Program("D1", 4, (), frozenset({PF})), Program("D2", 10, (), frozenset({PF, W}))
        self.assertEqual(self.defaults(far, near), {PF: "D1", W: "D2"})

    def test_equal_primacy(self) -> None:
        """Between equal primacies the first holds, in the order in which the programs are listed."""
        one, other = Program("D1", 4, (), frozenset({W})), Program("D2", 4, (), frozenset({W}))
        self.assertEqual(self.defaults(one, other), {W: "D1"})
        self.assertEqual(self.defaults(other, one), {W: "D2"})

    def test_event_of_another(self) -> None:
        """An event holds over a default of any primacy."""
        near = Program("D1", 4, (), frozenset({W}))
        far = Program("D2", 10, (event(1, 0, 0, 9),))
        self.assertEqual(self.defaults(near, far), {W: "1"})
