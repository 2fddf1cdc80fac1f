"""What a device should be doing now, and why: the rules of der/programs.py over what the store holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import controls, documents, programs, schedules
from csipd.db.prepared import Prepared
from csipd.db.schedules import StoredControl
from csipd.db.tables import devices
from csipd.der.programs import (
    EndReason,
    ModeOutcome,
    ProgramDefault,
    ProgramEvent,
    addressed,
    default,
    holder,
    mode_outcomes,
    program_events,
)
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import MODE

_DEFAULT = ROWS["DefaultDERControl"]

_CATEGORY = Prepared(sa.select(devices.c.device_category).where(devices.c.id == sa.bindparam("device")))


@frozen
class ModeInForce:
    """What holds a control mode.

    :param value: of the mode, as DERControlBase has it
    :param program: number of the program that it comes from
    :param control: number of the control; None: it is the program's default
    :param since: when the control took the mode (TimeType)
    :param until: when it will lose it if nothing new is commanded
    """

    mode: str
    value: Any
    program: int
    control: int | None = None
    since: int | None = None
    until: int | None = None


@frozen
class OverriddenMode:
    """A control whose time it is and that does not hold a mode it wants.

    :param reason: an ``EndReason``: it lost the mode, or never had it
    :param by: number of the control that it lost it to
    """

    mode: str
    control: int
    program: int
    reason: EndReason
    by: int


@frozen
class ModesOfDevice:
    """What a device should be doing at a moment, by mode in the order of the standard."""

    acting: tuple[ModeInForce, ...]
    passed: tuple[OverriddenMode, ...]


def of_device(connection: sa.Connection, own: programs.OwnPrograms, device: int, now: int) -> ModesOfDevice:
    """What an EndDevice should be doing.

    An EndDevice that has not said its category is taken to be of any.
    """
    numbers = [number for number, _ in programs.of_device(connection, own, device)]
    seen = _seen(connection, own, category_of(connection, device), numbers, now)
    kept = seen.kept
    followed = seen.candidates
    defaults = _defaults(connection, numbers, seen.primacies)
    acting: list[ModeInForce] = []
    passed: list[OverriddenMode] = []
    found: list[tuple[str, ModeOutcome]] = []
    for mode in MODE:
        results = mode_outcomes(followed, mode)
        current = next((outcome for outcome in results if outcome.at(now)), None)
        if current is not None:
            found.append((mode, current))
        elif (usual := default(defaults, mode)) is not None:
            acting.append(ModeInForce(mode, getattr(usual.base, mode), usual.program))
        passed += [
            OverriddenMode(
                mode,
                kept[outcome.candidate.event.mrid].number,
                kept[outcome.candidate.event.mrid].program,
                outcome.end,
                kept[outcome.by.event.mrid].number,
            )
            for outcome in results
            if outcome.candidate.begins <= now < outcome.candidate.event.end
            and not outcome.at(now)
            and outcome.end in (EndReason.SUPERSEDED, EndReason.NEVER)
            and outcome.by is not None
        ]
    wanted = list(
        {outcome.candidate.event.mrid: kept[outcome.candidate.event.mrid] for _, outcome in found}.values()
    )
    bases = {
        k.number: c.DERControlBase for k, c in zip(wanted, controls.shown(connection, wanted), strict=True)
    }
    for mode, outcome in found:
        held = kept[outcome.candidate.event.mrid]
        value = getattr(bases[held.number], mode)
        acting.append(ModeInForce(mode, value, held.program, held.number, outcome.begin, outcome.until))
    order = list(MODE)
    return ModesOfDevice(tuple(sorted(acting, key=lambda a: order.index(a.mode))), tuple(passed))


@frozen
class Seen:
    """What became of controls of some programs, for devices that follow all or some of them."""

    candidates: Mapping[int, list[ProgramEvent]]

    def outcomes(self, numbers: Iterable[int], category: int, mode: str) -> list[ModeOutcome]:
        """What becomes of each control that has a mode, for a device of a category that follows programs."""
        followed = [event for number in numbers for event in self.candidates.get(number, ())]
        return mode_outcomes(addressed(followed, category), mode)


def seen(connection: sa.Connection, own: programs.OwnPrograms, numbers: Sequence[int], now: int) -> Seen:
    """The controls of programs as they stand at a moment, once for many devices that follow them."""
    primacies = {number: one.primacy for number, one in programs.get(connection, numbers, own).items()}
    return Seen(
        {
            number: program_events((k.event for k in schedule.all.values()), primacies[number], number)
            for number, schedule in schedules.together(connection, numbers, now).items()
        }
    )


@frozen
class _Seen:
    """What a device has to follow.

    :param primacies: of its programs by their numbers, in the order of a DERProgramList
    :param kept: controls by mRID
    :param until: when any of their schedules changes next though nobody commands anything; None: never
    """

    primacies: Mapping[int, int]
    kept: Mapping[str, StoredControl]
    candidates: list[ProgramEvent]
    until: int | None


def category_of(connection: sa.Connection, device: int) -> int:
    """The deviceCategory that a device has said; 0 where it has not."""
    return _CATEGORY.scalar(connection, {"device": device}) or 0


def _seen(
    connection: sa.Connection, own: programs.OwnPrograms, category: int, numbers: Sequence[int], now: int
) -> _Seen:
    found = programs.get(connection, numbers, own)
    primacies = {number: found[number].primacy for number in numbers}
    known = schedules.together(connection, numbers, now)
    candidates = [
        candidate
        for number, schedule in known.items()
        for candidate in program_events((k.event for k in schedule.all.values()), primacies[number], number)
    ]
    # The clock begins and ends events for a device at other moments than for their list.
    moments = [m for o in candidates for m in (o.begins, o.event.end) if m > now]
    moments += [schedule.until for schedule in known.values() if schedule.until is not None]
    return _Seen(
        primacies,
        {k.event.mrid: k for schedule in known.values() for k in schedule.all.values()},
        addressed(candidates, category),
        min(moments, default=None),
    )


def current_program(
    connection: sa.Connection, own: programs.OwnPrograms, category: int, numbers: Sequence[int], now: int
) -> tuple[int | None, int | None]:
    """The program that a device follows: of those with a control in force on it the best (decision 41).

    :param category: the device's
    :param numbers: the device's programs in the order of a DERProgramList
    :return: its number, or None where no control is in force; and when that may change though nobody
        commands anything
    """
    seen = _seen(connection, own, category, numbers, now)
    modes = {mode for candidate in seen.candidates for mode in candidate.event.modes}
    acting = {
        seen.kept[outcome.candidate.event.mrid].program
        for mode in modes
        if (outcome := holder(seen.candidates, mode, now)) is not None
    }
    return next((number for number in seen.primacies if number in acting), None), seen.until


def _defaults(
    connection: sa.Connection, numbers: list[int], primacies: Mapping[int, int]
) -> list[ProgramDefault[int]]:
    """The defaults of programs that have one, in the order of the programs."""
    found = []
    for number in numbers:
        document = documents.get(connection, Place(_DEFAULT, (number,)))
        if isinstance(document, r.DefaultDERControl):
            found.append(ProgramDefault(document.DERControlBase, primacies[number], number))
    return found
