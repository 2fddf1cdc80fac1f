"""What it will mean that a group hangs elsewhere, or that a program is changed, in sentences.

Both change what many devices do at once: who gains and loses which programs, and which of them come first.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from csipd.db import addressees, controls, displacement, documents, group_devices, groups, programs
from csipd.der.wording import counted, listed
from csipd.sep2.site import ROWS, Place
from csipd.web.admin.names import Names
from csipd.web.admin.summary import MOST_LISTED, NAMED, group_members, line

_DEFAULT = ROWS["DefaultDERControl"]

#: What a program's new place among the others means, by where it will stand: before (1), level, behind (-1).
_PLACES = {
    1: "It will stand before {}, which it does not now: what it says wins over what they say",
    0: "It will be level with {}, which it is not now: of two controls the one made later wins",
    -1: "It will stand behind {}, which it does not now: what they say wins over what it says",
}


def of_group(
    connection: sa.Connection, group: groups.Group, *, parent: int | None, level: int | None, now: int
) -> tuple[str, ...]:
    """What devices gain and lose where a group hangs elsewhere.

    :param parent: the group that it is to hang below; None: none
    :param level: that it is to have
    """
    names = Names(connection)
    if (parent, level) == (group.parent, group.level):
        return (line(f"Group {group.name} ({group.id}) is there already: nothing changes."),)
    sentences = []
    if parent != group.parent:
        was, will = (_group(names, one) for one in (group.parent, parent))
        sentences.append(f"Group {group.name} ({group.id}) will hang below {will} instead of {was}.")
        sentences.append(f"It has {group_members(connection, group.id)}.")
    if level != group.level:
        was, will = ("none" if one is None else str(one) for one in (group.level, level))
        sentences.append(f"The level of group {group.name} ({group.id}) will be {will} instead of {was}.")
    own = set(groups.own_programs(connection, group.id))
    before = groups.programs_above(connection, group.id)
    after = own if parent is None else own | groups.programs_above(connection, parent)
    changed = [(number, False) for number in sorted(before - after)]
    changed += [(number, True) for number in sorted(after - before)]
    told = []
    for number, gains in changed[:MOST_LISTED]:
        # A device may see a program by another of its groups, too: that one neither gains nor loses it.
        which = group_devices.under_alone(group.id, programs.group_of(connection, number), cut_off=True)
        told += _seen(connection, names, number, which, gains=gains, now=now)
    if len(changed) > MOST_LISTED:
        told.append(f"{counted(len(changed) - MOST_LISTED, 'more program')} are not told here.")
    return tuple(map(line, sentences + (told or ["No device gains or loses a program."])))


def of_program(
    connection: sa.Connection,
    own: programs.OwnPrograms,
    program: programs.ProgramRow,
    *,
    group: int,
    primacy: int,
    now: int,
) -> tuple[str, ...]:
    """Who gains and loses a program that is changed, and what it then stands before or behind.

    :param group: the number of the group that it is to be for
    :param primacy: that it is to have
    """
    names = Names(connection)
    title = f"Program {program.description!r} ({program.id})"
    if (group, primacy) == (program.group, program.primacy) and program.retired is None:
        return (line(f"{title} is so already: nothing changes."),)
    sentences = []
    if program.retired is not None:
        sentences.append(f"{title} was retired and comes back, for {_group(names, group)}.")
        sentences += _seen(connection, names, program.id, group_devices.under(group), gains=True, now=now)
    elif group != program.group:
        was, will = (_group(names, one) for one in (program.group, group))
        sentences.append(f"{title} will be for {will} instead of {was}.")
        for which, gains in (
            (group_devices.under_alone(program.group, group), False),
            (group_devices.under_alone(group, program.group), True),
        ):
            sentences += _seen(connection, names, program.id, which, gains=gains, now=now)
    if primacy != program.primacy:
        sentences.append(
            f"{title} will have primacy {primacy} instead of {program.primacy}, for"
            f" {group_members(connection, group)}; the lower wins."
        )
        if live := controls.live_numbers(connection, [program.id], now):
            sentences.append(f"Its controls that are not over: {controls.named(live)}.")
        sentences += _places(connection, names, own, program, group, primacy, now)
    return tuple(map(line, sentences))


def _seen(
    connection: sa.Connection,
    names: Names,
    program: int,
    which: sa.Select[tuple[int]],
    *,
    gains: bool,
    now: int,
) -> list[str]:
    """That some devices will see a program, or no longer, with what it says; nothing where there are none."""
    total, some = addressees.counted(connection, which, NAMED)
    if not total:
        return []
    has = ["its default"] if documents.get(connection, Place(_DEFAULT, (program,))) is not None else []
    if live := controls.live_numbers(connection, [program], now):
        has.append(controls.named(live))
    who = f"{counted(total, 'device')} ({listed(names.devices(some), total)})"
    verb = "gain" if gains else "lose"
    what = f"{'it' if total == 1 else 'they'} {verb}{'s' if total == 1 else ''} {' and '.join(has)}"
    return [
        f"{who} will {'' if gains else 'no longer '}see program {_program(names, program)}"
        f"{f': {what}' if has else ', which has neither a default nor a control that is not over'}."
    ]


def _places(
    connection: sa.Connection,
    names: Names,
    own: programs.OwnPrograms,
    program: programs.ProgramRow,
    group: int,
    primacy: int,
    now: int,
) -> Iterable[str]:
    """Which programs of the same devices a program will stand before or behind, where that changes."""
    most = displacement.MOST_PROGRAMS
    first, last = sorted((primacy, program.primacy))
    around = programs.between(connection, first, last, most + 1)
    capped = len(around) > most
    around.pop(program.id, None)
    shared = displacement.shared_with_group(connection, group, list(around)[:most])
    found: dict[int, list[str]] = {}
    numbers: dict[int, list[int]] = {}
    for other in sorted(shared, key=lambda number: (around[number], number)):
        place = _place(primacy, around[other])
        if place != _place(program.primacy, around[other]):
            found.setdefault(place, []).append(
                f"{_program(names, other)} of primacy {around[other]} for {counted(shared[other], 'device')}"
            )
            numbers.setdefault(place, []).append(other)
    place = _place(primacy, own.primacy)
    if place != _place(program.primacy, own.primacy) and (
        count := programs.number_shown_under(connection, group)
    ):
        found.setdefault(place, []).append(f"the own programs of {counted(count, 'device')}")
    for place, others in sorted(found.items(), reverse=True):
        live = controls.live_numbers(connection, numbers.get(place, []), now)
        theirs = f"; their controls that are not over: {controls.named(live)}" if live else ""
        yield f"{_PLACES[place].format(listed(others))}{theirs}."
    if not found:
        yield "Among the programs of its devices its place stays the same."
    if capped:
        yield f"Only {most} programs of the primacies between are told of here."


def _place(mine: int, other: int) -> int:
    """1 before the other, -1 behind it, 0 level with it: the lower primacy wins (der/programs.py)."""
    return (other > mine) - (other < mine)


def _program(names: Names, number: int) -> str:
    return f"{names.program(number)} ({number})"


def _group(names: Names, number: int | None) -> str:
    return "no group" if number is None else f"group {names.group(number)} ({number})"
