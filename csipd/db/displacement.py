"""Which active controls are not followed, or not in all modes, since a better one ended them on devices.

EventStatus speaks of one program alone, and of a control as a whole (IEEE 2030.5-2018 10.2.3): a list shows a
control as active also where one of a better program took its modes, or a later one of its own program some of
them, after which it does not resume in these. The operator learns of it here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db import group_counts, group_devices, groups, programs, schedules
from csipd.db.schedules import Schedule, StoredControl
from csipd.db.tables import controls, memberships
from csipd.der.programs import EndReason, ProgramEvent, mode_outcomes, program_events
from csipd.sep2.types import MODE, EventState

#: Programs whose controls are compared with those that are asked about, at most: the latest controls first.
MOST_PROGRAMS = 200

#: Controls that are looked at for these, at most: the first to end.
MOST_LOOKED_AT = 5000

_MEANWHILE = (
    sa.select(controls.c.program, controls.c.id)
    .where(
        controls.c.earliest < sa.bindparam("last"),
        controls.c.latest > sa.bindparam("first"),
    )
    .order_by(controls.c.latest)
    .limit(MOST_LOOKED_AT)
    .subquery()
)
_RIVALS = (
    sa.select(_MEANWHILE.c.program)
    .group_by(_MEANWHILE.c.program)
    .order_by(sa.func.max(_MEANWHILE.c.id).desc())
    .limit(MOST_PROGRAMS)
)


@frozen
class Displacement:
    """A control that ended another on devices, or kept it from running there; that one does not resume.

    :param by: number of the control that did it
    :param program: of that
    :param modes: that the other lost to it
    :param devices: how many devices of the other's program it addresses
    """

    by: int
    program: int
    modes: tuple[str, ...]
    devices: int


def of_controls(
    connection: sa.Connection, own: programs.OwnPrograms, found: Sequence[StoredControl], now: int
) -> dict[int, list[Displacement]]:
    """What displaced those of some controls that their lists show as active; the others are left out.

    It takes a few statements and one for each program, however many controls there are.
    """
    active = [kept for kept in found if kept.status.state is EventState.ACTIVE and now < kept.event.latest]
    if not active:
        return {}
    first, last = min(kept.event.begins for kept in active), max(kept.event.end for kept in active)
    rivals = list(connection.scalars(_RIVALS, {"first": first, "last": last}))
    mine = sorted({kept.program for kept in active})
    every = list(dict.fromkeys([*mine, *rivals]))
    primacies = {number: one.primacy for number, one in programs.get(connection, every, own).items()}
    known = schedules.together(connection, every, now)
    # One that was retired meanwhile is nobody's, though its controls go on being told of.
    mine = [program for program in mine if program in primacies]
    result: dict[int, list[Displacement]] = {}
    for program in mine:
        better = [
            rival
            for rival in rivals
            if rival != program and rival in primacies and primacies[rival] <= primacies[program]
        ]
        shared = {program: _members(connection, program), **_shared(connection, program, better)}
        for rival, devices in shared.items():
            for number, by, modes in _lost(program, rival, known, primacies, now):
                result.setdefault(number, []).append(Displacement(by, rival, modes, devices))
    wanted = {kept.number for kept in active}
    return {number: lost for number, lost in result.items() if number in wanted}


def _members(connection: sa.Connection, program: int) -> int:
    """How many devices have a program."""
    if programs.owner_of(program) is not None:
        return 1
    return group_counts.number_under(connection, programs.group_of(connection, program))


def _shared(connection: sa.Connection, program: int, others: Sequence[int]) -> dict[int, int]:
    """How many devices of a program have each of some other programs, too; those without any are left out."""
    if not others:
        return {}
    owner = programs.owner_of(program)
    if owner is not None:
        theirs = groups.programs_of_each(connection, [owner])[owner]
        return {other: 1 for other in others if other in theirs}
    return shared_with_group(connection, programs.group_of(connection, program), others)


def shared_with_group(connection: sa.Connection, group: int, others: Sequence[int]) -> dict[int, int]:
    """How many devices under a group have each of some programs; those that none has are left out."""
    owners = [owner for other in others if (owner := programs.owner_of(other)) is not None]
    found: dict[int, int] = {}
    if owners:
        query = group_devices.under(group).where(memberships.c.device.in_(owners))
        found = {programs.own_program(row.device): 1 for row in connection.execute(query)}
    common = {number: of for number, (_, of) in programs.names(connection, others).items()}
    above, around = groups.programs_above(connection, group), set(groups.programs_around(connection, group))
    below = [common[other] for other in common if other in around]
    apart = [of for other, of in common.items() if other not in above and other not in around]
    known = group_counts.numbers_under(connection, [group, *below])
    both = group_devices.numbers_in_both(connection, group, apart) if apart else {}
    for other, of in common.items():
        number = known[group] if other in above else known[of] if other in around else both.get(of, 0)
        if number:
            found[other] = number
    return found


def _lost(
    program: int, rival: int, known: Mapping[int, Schedule], primacies: Mapping[int, int], now: int
) -> Iterable[tuple[int, int, tuple[str, ...]]]:
    """The active controls of a program that lost modes to another, or to its own later ones.

    For each its number, to which control, and which modes.
    """
    if program not in known or rival not in known:
        return
    both = dict.fromkeys((program, rival))  # one, where they are the same
    kept = {k.event.mrid: k for one in both for k in known[one].all.values()}
    candidates: list[ProgramEvent] = []
    for one in both:
        candidates += program_events((k.event for k in known[one].all.values()), primacies[one], one)
    lost: dict[tuple[int, int], list[str]] = {}
    for mode in {mode for candidate in candidates for mode in candidate.event.modes}:
        for outcome in mode_outcomes(candidates, mode):
            over = outcome.end in (EndReason.SUPERSEDED, EndReason.NEVER) and not outcome.at(now)
            if (
                outcome.candidate.program == program
                and over
                and outcome.by is not None
                and outcome.by.program == rival
            ):
                by = kept[outcome.by.event.mrid]
                if outcome.candidate.begins <= now and by.event.shares(outcome.candidate.event):
                    lost.setdefault((kept[outcome.candidate.event.mrid].number, by.number), []).append(mode)
    order = list(MODE)
    for (number, by_number), modes in lost.items():
        yield number, by_number, tuple(sorted(modes, key=order.index))
