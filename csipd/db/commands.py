"""What the operator commands: making, previewing and cancelling controls.

Everything is checked before anything is written, and all that is wrong is said at once. What is checked
against the store is checked in the transaction that writes, so that two operators at once cannot both be
right about a state that only one of them leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import sqlalchemy as sa
from attrs import evolve, field, frozen

from csipd.db import (
    addressees,
    audit,
    controls,
    devices,
    group_counts,
    groups,
    own_programs,
    program_contents,
    programs,
    schedules,
)
from csipd.db.database import Transaction
from csipd.der.conflicts import LostModes, loss
from csipd.der.events import Event
from csipd.der.programs import ProgramEvent
from csipd.der.wording import counted, moment_text
from csipd.refusals import Conflict, Full, Impossible, NotFound
from csipd.sep2 import resources as r
from csipd.sep2 import rules
from csipd.sep2.differences import described
from csipd.sep2.site import Place
from csipd.sep2.types import MODE, EventState

#: Devices of a preview that are named; the others are counted.
SAMPLE = 50

_GREATEST_MRID = "F" * 32
#: Devices that a refusal calls by their names.
_MOST_CALLED = 100


@frozen
class Target:
    """Whom a control is for: one of the three.

    :param program: a program by its number
    :param group: a group, which has to have one program
    :param devices: devices by their numbers; each gets the control in its own program
    """

    program: int | None = None
    group: int | None = None
    devices: tuple[int, ...] = ()


@frozen
class Command:
    """What is to happen.

    :param base: the modes; those that are curves name them by href
    :param duration: s
    :param start: TimeType; None: at once
    :param randomize_start: bound (s), or None for no element
    :param randomize_duration: likewise
    :param category: deviceCategory (bit map), or None for all
    :param response_required: bit map of what devices are to answer
    :param description: for people
    """

    base: r.DERControlBase
    duration: int
    start: int | None = None
    randomize_start: int | None = None
    randomize_duration: int | None = None
    category: int | None = None
    response_required: int = 3
    description: str | None = None


@frozen
class Overlap:
    """A control and another of its program that want modes in common at the same time.

    :param other: number of the other
    :param program: of both
    :param modes: that they have in common
    :param wholly: whether the loser loses all that it has
    :param event: the other
    :param loss: what the loser loses on a device that has to follow both
    """

    other: int
    program: int
    modes: tuple[str, ...]
    wholly: bool
    event: Event
    loss: LostModes | None


@frozen
class Effect:
    """What a command would do.

    :param event: what it would make
    :param programs: the programs that get a control
    :param devices: how many devices it addresses
    :param sample: some of them
    :param supersedes: controls that it would take modes from
    :param superseded_by: controls that would take modes from it
    :param warnings: what is doubtful, a line each
    """

    event: Event
    programs: tuple[int, ...]
    devices: int
    sample: tuple[int, ...]
    supersedes: tuple[Overlap, ...] = ()
    superseded_by: tuple[Overlap, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def preview(
    connection: sa.Connection,
    own: programs.OwnPrograms,
    target: Target,
    command: Command,
    now: int,
    *,
    overlaps: bool = True,
) -> Effect:
    """What a command would do if it were given now.

    :param overlaps: whether it is wanted what takes modes from what
    :raises Impossible: it would be refused, with all that is wrong with it
    """
    wanted = _programs(connection, own, target)
    start = now if command.start is None else command.start
    flaws, doubts = _flaws(command, start, now)
    sample, number, others = _addressed(connection, target, wanted, command.category)
    flaws += _curve_flaws(connection, command)
    unable, warnings = _abilities(connection, target, wanted, command)
    flaws += unable
    if flaws:
        raise Impossible(flaws)
    # The mRID that it will get is greater than all others of its second.
    event = evolve(controls.event_of(_control(command, start, now)), mrid=_GREATEST_MRID)
    supersedes: tuple[Overlap, ...] = ()
    superseded_by: tuple[Overlap, ...] = ()
    if overlaps:
        supersedes, superseded_by = _overlaps(connection, own, target, wanted, event, now)
    return Effect(
        event, tuple(wanted), number, tuple(sample), supersedes, superseded_by, (*others, *warnings, *doubts)
    )


def _overlaps(
    connection: sa.Connection,
    own: programs.OwnPrograms,
    target: Target,
    wanted: Sequence[int],
    event: Event,
    now: int,
) -> tuple[tuple[Overlap, ...], tuple[Overlap, ...]]:
    """The controls that an event made now would take modes from, and those that would take modes from it.

    Looked for in every program that a device addressed by it may be in.
    """
    numbers = list(dict.fromkeys((*wanted, *_related(connection, target, wanted))))
    primacies = {number: found.primacy for number, found in programs.get(connection, numbers, own).items()}
    primacy = min(primacies[number] for number in wanted)
    takes: list[Overlap] = []
    gives: list[Overlap] = []
    for program, schedule in schedules.of(connection, numbers, now).items():
        # Between equals the one made later wins, and that is the new one.
        wins = primacy <= primacies[program]
        for kept in schedule.listed():
            other = kept.event
            if kept.status.state not in (EventState.SCHEDULED, EventState.ACTIVE):
                continue
            if not (other.overlaps(event) and other.shares(event)):
                continue
            loser, winner = (other, event) if wins else (event, other)
            wholly = not (loser.modes - winner.modes) and not (loser.categories & ~winner.categories)
            common = tuple(name for name in MODE if name in other.modes & event.modes)
            new, old = ProgramEvent(event, primacy), ProgramEvent(other, primacies[program])
            lost = loss(old, new) if wins else loss(new, old)
            (takes if wins else gives).append(Overlap(kept.number, program, common, wholly, other, lost))
    return tuple(takes), tuple(gives)


def _related(connection: sa.Connection, target: Target, wanted: Sequence[int]) -> list[int]:
    """Programs of groups that devices addressed by a command may be in."""
    owners = target.devices or tuple(o for o in (programs.owner_of(wanted[0]),) if o is not None)
    if owners:
        return groups.programs_of_any(connection, owners)
    return groups.programs_around(connection, programs.group_of(connection, wanted[0]))


def create(
    transaction: Transaction,
    own: programs.OwnPrograms,
    reply_to: str,
    target: Target,
    command: Command,
    now: int,
    who: str,
    *,
    overlaps: bool = True,
) -> tuple[list[Place], Effect]:
    """Make a control in each program that a command is for: all of them or none.

    :param reply_to: href of the ResponseList that devices answer to
    :param who: the operator
    :param overlaps: as for ``preview``
    :raises Impossible: as for ``preview``
    :raises Full: a program has as many controls as it can have
    """
    connection = transaction.connection
    effect = preview(connection, own, target, command, now, overlaps=overlaps)
    for program in effect.programs:
        if controls.live(connection, program, now) >= controls.MOST_LIVE:
            raise Full(f"program {program} has {controls.MOST_LIVE} controls that are not over")
    for program in effect.programs:
        own_programs.show(transaction, program, now)
    start = now if command.start is None else command.start
    made = []
    for program in effect.programs:
        base = program_contents.with_own_curves(transaction, own.issuer, program, command.base, now)
        control = _control(evolve(command, base=base), start, now)
        if command.response_required:
            control = control.replace(replyTo=reply_to, responseRequired=command.response_required)
        made.append(controls.add(transaction, own.issuer, program, control, who))
    period = f"from {moment_text(start, UTC)} to {moment_text(start + command.duration, UTC)}"
    said = f"{described(command.base)}; {period}"
    for place in made:
        audit.record(transaction, now, who, "create", place.href, said)
    return made, effect


def cancellable(
    connection: sa.Connection, number: int, randomized: bool, now: int
) -> schedules.StoredControl:
    """The control that ``cancel`` would cancel; what it raises."""
    kept = controls.commanded(connection, number, now)
    if kept is None:
        raise NotFound(f"no control {number}")
    state = kept.status.state
    if state not in (EventState.SCHEDULED, EventState.ACTIVE):
        raise Conflict(f"control {number} is {state.name.lower().replace('_', ' ')} already")
    if now >= kept.event.latest:
        raise Conflict(f"control {number} is over")
    if randomized and not (kept.event.randomize_start or kept.event.randomize_duration):
        raise Conflict(f"control {number} has no randomisation to be cancelled with")
    return kept


def cancel(
    transaction: Transaction, number: int, randomized: bool, reason: str | None, now: int, who: str
) -> None:
    """Cancel a control.

    :param randomized: let each device end it at a moment of its own within the control's randomisation
    :raises NotFound: there is no such control
    :raises Conflict: it is over, superseded or cancelled already; or has no randomisation to end it by
    """
    kept = cancellable(transaction.connection, number, randomized, now)
    if not controls.cancel(transaction, number, randomized, reason, now):
        raise Conflict(f"control {number} is cancelled already")
    audit.record(transaction, now, who, "cancel", f"/derp/{kept.program}/derc/{number}", reason or "")


def _control(command: Command, start: int, now: int) -> r.DERControl:
    return r.DERControl(
        mRID="0",
        description=command.description,
        creationTime=now,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=now, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=command.duration, start=start),
        randomizeDuration=command.randomize_duration,
        randomizeStart=command.randomize_start,
        DERControlBase=command.base,
        deviceCategory=command.category,
    )


def _flaws(command: Command, start: int, now: int) -> tuple[list[rules.Problem], list[str]]:
    """What is wrong with a command by itself, with pointers into it, and what is doubtful."""
    control = _control(command, start, now)
    if problems := program_contents.misfits(control):
        return [(_in_command(pointer), message) for pointer, message in problems], []
    found = rules.control_flaws(control, now=now)
    found += rules.response_flaws(command.response_required)
    return [(_in_command(pointer), message) for pointer, message in rules.errors(found)], rules.warnings(
        found
    )


def _in_command(pointer: str) -> str:
    """A pointer into a DERControl as one into the command that it is made from."""
    return pointer.replace("/DERControlBase", "/base", 1).removeprefix("/interval")


def _programs(connection: sa.Connection, own: programs.OwnPrograms, target: Target) -> list[int]:
    """The programs that get a control."""
    if target.program is not None:
        owner = programs.owner_of(target.program)
        known = programs.get(connection, [target.program], own) if owner is None else [target.program]
        if not known or (owner is not None and devices.missing(connection, [owner])):
            raise Impossible([("/program", f"there is no program {target.program}")])
        if owner is not None:
            _check_assigned(connection, [(owner, "/program")])
        return [target.program]
    if target.group is not None:
        if not groups.exists(connection, target.group):
            raise Impossible([("/group", f"there is no group {target.group}")])
        found = groups.own_programs(connection, target.group)
        if len(found) != 1:
            named = ", ".join(map(str, found)) or "none"
            raise Impossible([("/group", f"a group with one program is needed, it has {named}")])
        return found
    missing = set(devices.missing(connection, target.devices))
    flaws = [
        (f"/devices/{place}", f"{device} is no registered device")
        for place, device in enumerate(target.devices)
        if device in missing
    ]
    if len(set(target.devices)) != len(target.devices):
        flaws.append(("/devices", "names a device twice"))
    if flaws:
        raise Impossible(flaws)
    _check_assigned(connection, [(device, f"/devices/{i}") for i, device in enumerate(target.devices)])
    theirs = own_programs.of_devices(connection, target.devices)
    return [theirs[device] for device in target.devices]


def _check_assigned(connection: sa.Connection, named: Sequence[tuple[int, str]]) -> None:
    """See that devices have an FSA, without which they cannot find a program of theirs (decision 39).

    :param named: devices, each with a pointer to where it is named
    """
    assigned = groups.assignment_counts(connection, [device for device, _ in named])
    without = [(device, pointer) for device, pointer in named if device not in assigned]
    called = devices.called(connection, [device for device, _ in without[:_MOST_CALLED]])
    flaws = [
        (
            pointer,
            f"{called.get(device, f'device {device}')} is in no group, so it has no FSA to find a control by",
        )
        for device, pointer in without
    ]
    if flaws:
        raise Impossible(flaws)


def _addressed(
    connection: sa.Connection, target: Target, wanted: Sequence[int], category: int | None
) -> tuple[Sequence[int], int, list[str]]:
    """Whom a command is for: some of them, how many, and what is doubtful about it.

    Devices of other categories do not follow it: they are not counted (case A22).
    """
    owner = programs.owner_of(wanted[0])
    named = target.devices or (() if owner is None else (owner,))
    group = 0 if named else programs.group_of(connection, wanted[0])
    if category is None:
        if named:
            return named[:SAMPLE], len(named), []
        return (
            addressees.some_under(connection, group, SAMPLE),
            group_counts.number_under(connection, group),
            [],
        )
    if named:
        found = addressees.addressed(connection, named, category, SAMPLE)
    else:
        found = addressees.addressed_under(connection, group, category, SAMPLE)
    doubts = []
    if found.others:
        doubts.append(f"{counted(found.others, 'device')} of another category will not follow it")
    if found.unknown:
        doubts.append(f"{counted(found.unknown, 'device')} of unknown category: each decides by itself")
    return found.sample, found.known + found.unknown, doubts


def _curve_flaws(connection: sa.Connection, command: Command) -> list[rules.Problem]:
    def curve_type(href: str) -> int | None:
        curve = program_contents.curve_at(connection, href)
        return None if curve is None else curve.curveType

    links = rules.link_flaws(command.base, curve_type, "of a program")
    return rules.errors(flaw.under("base") for flaw in links)


def _abilities(
    connection: sa.Connection, target: Target, wanted: Sequence[int], command: Command
) -> tuple[list[tuple[str, str]], list[str]]:
    """Modes that some of those addressed do not support: refused for named devices, a warning for a group."""
    needed = 0
    for mode in controls.modes_of(command.base):
        needed |= MODE[mode].flag
    owner = programs.owner_of(wanted[0])
    named = target.devices or (() if owner is None else (owner,))
    if named:
        unable, silent = addressees.abilities(connection, named, needed)
        called = devices.called(connection, list(unable)[:_MOST_CALLED])
        flaws = [
            (
                "/devices",
                f"{called.get(device, f'device {device}')} does not support {_names(needed & ~modes)}",
            )
            for device, modes in unable.items()
        ]
        return flaws, ([_unsaid(silent)] if silent else [])
    warnings = []
    for modes, members in group_counts.abilities_under(
        connection, programs.group_of(connection, wanted[0])
    ).items():
        if modes < 0:
            warnings.append(_unsaid(members))
        elif needed & ~modes:
            do = "does" if members == 1 else "do"
            warnings.append(f"{counted(members, 'device')} {do} not support {_names(needed & ~modes)}")
    return [], warnings


def _unsaid(count: int) -> str:
    what = "has not said what it supports" if count == 1 else "have not said what they support"
    return f"{counted(count, 'device')} {what}"


def _names(flags: int) -> str:
    return ", ".join(mode.name for mode in MODE.values() if flags & mode.flag)
