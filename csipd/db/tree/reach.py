"""What a device has by being in its groups: FSAs and programs, the same for all devices in the same groups.

In which groups the caller is comes with it; what follows from that is kept by the set of groups.
"""

from __future__ import annotations

from collections.abc import Sequence

from csipd.db import facts, groups, programs
from csipd.db.tree.context import SMALL, Context


def assignments_of(context: Context, device: int) -> Sequence[tuple[int, str]]:
    """The FSAs of a device: number and name, newest number first (list order mRID descending)."""
    return _assignments_of_set(context, _groups_of(context, device))


def assignment_counts(context: Context, devices: Sequence[int]) -> list[int]:
    """How many FSAs each of the devices has."""
    others = tuple(device for device in devices if device != context.caller.device)
    sets = context.cached(groups.memberships_of_many, others) if others else {}
    context.depend(*map(facts.groups_of, others))
    return [
        len(
            assignments_of(context, device)
            if device == context.caller.device
            else _assignments_of_set(context, tuple(sets.get(device, ())))
        )
        for device in devices
    ]


def programs_of(context: Context, device: int) -> Sequence[tuple[int, int]]:
    """The programs of a device, its own among them, each with the FSA that it is in."""
    of, own = _groups_of(context, device), context.server.own
    context.depend(facts.own_program(device))
    caller = context.caller
    if device == caller.device:
        shown = caller.own_program
    else:
        shown = bool(context.cached(programs.shown, (device,)))
    shows = device if shown else None

    def make() -> list[tuple[int, int]]:
        context.depend(facts.TOPOLOGY)
        return programs.of_set(context.connection, own, of, shows)

    return context.kept(("programs", of, shows), make, _weight, own=shows is not None)


def reaches(context: Context, program: int) -> bool:
    """Whether a program is in an FSA of the caller, or of its fleet."""
    caller = context.caller
    if caller.device is None:
        return False
    if not caller.aggregator:
        return any(number == program for number, _ in programs_of(context, caller.device))
    device = caller.device

    def make() -> bool:
        context.depend(facts.fleet_groups(device), facts.TOPOLOGY)
        owner = programs.owner_of(program)
        if owner is not None:
            context.depend(facts.own_program(owner), facts.device(owner))
        return programs.reaches(context.connection, device, True, program)

    return context.kept(("reaches", device, program), make, lambda _: SMALL, own=True)


def _assignments_of_set(context: Context, of: tuple[int, ...]) -> Sequence[tuple[int, str]]:
    def make() -> list[tuple[int, str]]:
        context.depend(facts.TOPOLOGY)
        return groups.assignments_of_set(context.connection, of)

    return context.kept(("assignments", of), make, _weight)


def _groups_of(context: Context, device: int) -> tuple[int, ...]:
    context.depend(facts.groups_of(device))
    if device == context.caller.device:
        return context.caller.groups
    return context.cached(groups.set_of, device)


def _weight(found: Sequence[object]) -> int:
    return SMALL * (1 + len(found))
