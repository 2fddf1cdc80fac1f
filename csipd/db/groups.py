"""Who is in which group, and what follows from it: assignments (FSAs), programs, who reaches them.

All of it is a view over memberships: adding a program to a group of 100,000 devices writes the program
and nothing else (decision 9). Being in a group is being in every group above it (CSIP IG 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts, group_counts, group_tree, tally
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import (
    abilities,
    assignments,
    fleets,
    groups,
    memberships,
    programs,
    rates,
)
from csipd.db.upsert import insert
from csipd.refusals import Conflict

#: The level of a group that stands for one connection point (CSIP IG 4.3).
SERVICE_POINT = 6


def set_of_row(device: sa.ColumnElement[int]) -> sa.ScalarSelect[str]:
    """A column with the groups that the device of a row is in itself, now; `read_set` makes numbers of it."""
    texts = sa.func.aggregate_strings(sa.cast(memberships.c.group, sa.Text), ",")
    mine = sa.select(texts).where(memberships.c.device == device, memberships.c.until.is_(None))
    return mine.scalar_subquery()


def read_set(text: str | None) -> tuple[int, ...]:
    """The groups in a column of `set_of_row`, in order."""
    if not text:
        return ()
    try:
        return tuple(sorted(map(int, text.split(","))))
    except ValueError as error:
        raise Unreadable(f"memberships.group: {error}") from error


_NOW = sa.select(memberships.c.device.label("who"), memberships.c.group.label("group")).where(
    memberships.c.until.is_(None)
)
_OF_SET = group_tree.above(
    sa.select(sa.literal(0).label("who"), groups.c.id.label("group")).where(
        groups.c.id.in_(sa.bindparam("groups", expanding=True))
    )
)
_OF_DEVICES = group_tree.above(_NOW.where(memberships.c.device.in_(sa.bindparam("who", expanding=True))))
_OF_FLEET = group_tree.above(
    sa.select(fleets.c.manager.label("who"), fleets.c.group.label("group")).where(
        fleets.c.manager == sa.bindparam("who"), fleets.c.members > 0
    )
)


def _programs(reach: sa.CTE) -> sa.Select[int, int]:
    """Programs that are reached, and the FSA of each, in the order of a DERProgramList."""
    return (
        sa.select(programs.c.id, groups.c.assignment)
        .join(groups, groups.c.id == programs.c.group)
        .where(programs.c.group.in_(sa.select(reach.c.group)), programs.c.retired.is_(None))
        .order_by(programs.c.primacy, programs.c.mrid.desc())
    )


_SETS = Prepared(
    sa.select(memberships.c.device, memberships.c.group).where(
        memberships.c.device.in_(sa.bindparam("devices", expanding=True)), memberships.c.until.is_(None)
    )
)
_SET = Prepared(sa.select(set_of_row(sa.bindparam("device", type_=sa.BigInteger))))
_PROGRAMS_OF_EACH = Prepared(
    sa.select(_OF_DEVICES.c.who, programs.c.id)
    .join(programs, programs.c.group == _OF_DEVICES.c.group)
    .where(programs.c.retired.is_(None))
    .order_by(programs.c.primacy, programs.c.mrid.desc())
)
_ASSIGNMENTS = Prepared(
    sa.select(assignments.c.id, assignments.c.name)
    .distinct()
    .join(groups, groups.c.assignment == assignments.c.id)
    .join(_OF_SET, _OF_SET.c.group == groups.c.id)
    .order_by(assignments.c.id.desc())
)
_ASSIGNMENT_COUNTS = Prepared(
    sa.select(_OF_DEVICES.c.who, sa.func.count(groups.c.assignment.distinct()).label("number"))
    .join(groups, groups.c.id == _OF_DEVICES.c.group)
    .group_by(_OF_DEVICES.c.who)
)
_PARENTS_OF_SET = Prepared(
    sa.select(groups.c.id, groups.c.parent).distinct().join(_OF_SET, _OF_SET.c.group == groups.c.id)
)
_PROGRAMS = Prepared(_programs(_OF_SET))
_PROGRAMS_OF_ANY = Prepared(_programs(_OF_DEVICES))
_PROGRAMS_OF_FLEET = Prepared(_programs(_OF_FLEET))
_FLEET_REACHES = Prepared(_programs(_OF_FLEET).where(programs.c.id == sa.bindparam("program")))


def set_of(connection: sa.Connection, device: int) -> tuple[int, ...]:
    """The groups that a device is in itself, now, in order. What else it is in follows from them."""
    return read_set(_SET.scalar(connection, {"device": device}))


def programs_of_set(connection: sa.Connection, of: Sequence[int]) -> list[tuple[int, int]]:
    """The programs that a device finds by being in these groups: theirs, and those of the groups above.

    They are in the order of a DERProgramList, each with the number of the FSA that it is in.
    """
    return [(number, assignment) for number, assignment in _PROGRAMS.all(connection, {"groups": of})]


def assignments_of_set(connection: sa.Connection, of: Sequence[int]) -> list[tuple[int, str]]:
    """The FSAs of a device that is in these groups: number and name, newest number first.

    That is the list order, mRID descending.
    """
    return [(number, name) for number, name in _ASSIGNMENTS.all(connection, {"groups": of})]


def assignments_of(connection: sa.Connection, device: int) -> list[tuple[int, str]]:
    """The FSAs of a device, likewise."""
    return assignments_of_set(connection, set_of(connection, device))


def assignment_counts(connection: sa.Connection, devices: Sequence[int]) -> dict[int, int]:
    """How many FSAs each device has; devices without any are left out."""
    return dict(_ASSIGNMENT_COUNTS.all(connection, {"who": devices}))


def programs_of(connection: sa.Connection, device: int) -> list[tuple[int, int]]:
    """The programs of a device in the order of a DERProgramList, each with the FSA that it is in."""
    return programs_of_set(connection, set_of(connection, device))


def programs_of_fleet(connection: sa.Connection, manager: int) -> list[tuple[int, int]]:
    """The programs that any device of an aggregator's fleet is in, likewise."""
    found = _PROGRAMS_OF_FLEET.all(connection, {"who": manager})
    return [(number, assignment) for number, assignment in found]


def programs_of_each(connection: sa.Connection, devices: Sequence[int]) -> dict[int, list[int]]:
    """The programs that each of the devices is in, in the order of a DERProgramList."""
    found: dict[int, list[int]] = {device: [] for device in devices}
    for device, number in _PROGRAMS_OF_EACH.all(connection, {"who": devices}):
        found[device].append(number)
    return found


def programs_of_any(connection: sa.Connection, devices: Sequence[int]) -> list[int]:
    """The programs that any of the devices is in."""
    return list(dict.fromkeys(_PROGRAMS_OF_ANY.scalars(connection, {"who": devices})))


def programs_around(connection: sa.Connection, group: int) -> list[int]:
    """The programs of a group, of those above it and of those below it."""
    below = group_tree.below(group)
    above = group_tree.above(sa.select(sa.literal(0).label("who"), sa.literal(group).label("group")))
    query = sa.select(programs.c.id).where(
        programs.c.retired.is_(None),
        sa.or_(
            programs.c.group.in_(sa.select(below.c.group)), programs.c.group.in_(sa.select(above.c.group))
        ),
    )
    return list(connection.scalars(query.order_by(programs.c.id)))


def programs_above(connection: sa.Connection, group: int) -> set[int]:
    """The programs of a group and of those above it: of all that are in the group."""
    above = group_tree.above(sa.select(sa.literal(0).label("who"), sa.literal(group).label("group")))
    query = sa.select(programs.c.id).where(
        programs.c.retired.is_(None), programs.c.group.in_(sa.select(above.c.group))
    )
    return set(connection.scalars(query))


def reaches(connection: sa.Connection, device: int, aggregator: bool, program: int) -> bool:
    """Whether a program is in an FSA of the device, or of its fleet."""
    if aggregator:
        return _FLEET_REACHES.scalar(connection, {"who": device, "program": program}) is not None
    return any(number == program for number, _ in programs_of(connection, device))


def join(transaction: Transaction, device: int, group: int, now: int) -> bool:
    """Put a device into a group. True if it was not in it."""
    connection = transaction.connection
    if connection.scalar(sa.select(memberships.c.id).where(_current(device, group))) is not None:
        return False
    connection.execute(sa.insert(memberships).values(device=device, group=group, since=now))
    return True


def leave(transaction: Transaction, device: int, group: int, now: int) -> bool:
    """Take a device out of a group; that it was in it stays known. True if it was in it."""
    ended = transaction.connection.execute(
        sa.update(memberships).where(_current(device, group)).values(until=now)
    )
    return bool(ended.rowcount)


def _current(device: int, group: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        memberships.c.device == device, memberships.c.group == group, memberships.c.until.is_(None)
    )


def memberships_of_many(connection: sa.Connection, devices: Sequence[int]) -> dict[int, list[int]]:
    """The groups that each device is in itself, now; devices in none are left out."""
    found: dict[int, list[int]] = {}
    for device, group in _SETS.all(connection, {"devices": devices}):
        found.setdefault(device, []).append(group)
    return {device: sorted(of) for device, of in found.items()}


def parents_of_set(connection: sa.Connection, of: Sequence[int]) -> dict[int, int | None]:
    """All groups that a device is in by being in these, each with the one that it hangs below."""
    return dict(_PARENTS_OF_SET.all(connection, {"groups": of}))


def exists(connection: sa.Connection, group: int) -> bool:
    """Whether there is a group of this number."""
    return connection.scalar(sa.select(groups.c.id).where(groups.c.id == group)) is not None


def service_points(connection: sa.Connection, group: int) -> list[int]:
    """The programs of the SERVICE_POINT groups that a group is, or is under."""
    reach = group_tree.above(sa.select(sa.literal(0).label("who"), sa.literal(group).label("group")))
    query = (
        sa.select(programs.c.id)
        .join(groups, groups.c.id == programs.c.group)
        .where(
            programs.c.group.in_(sa.select(reach.c.group)),
            groups.c.level == SERVICE_POINT,
            programs.c.retired.is_(None),
        )
    )
    return list(connection.scalars(query.order_by(programs.c.id)))


def own_programs(connection: sa.Connection, group: int) -> list[int]:
    """The programs of a group itself, in the order of their numbers."""
    return own_programs_of(connection, [group])[group]


def own_programs_of(connection: sa.Connection, of: Sequence[int]) -> dict[int, list[int]]:
    """The same of several groups."""
    found: dict[int, list[int]] = {group: [] for group in of}
    for group, number in _PROGRAMS_OF_GROUPS.all(connection, {"groups": of}):
        found[group].append(number)
    return found


_PROGRAMS_OF_GROUPS = Prepared(
    sa.select(programs.c.group, programs.c.id)
    .where(programs.c.group.in_(sa.bindparam("groups", expanding=True)), programs.c.retired.is_(None))
    .order_by(programs.c.id)
)


@frozen
class Group:
    """A group as the operator sees it; ``level`` is 0 System to 6 Service Point, None beside the topology."""

    id: int
    name: str
    parent: int | None
    level: int | None
    fsa: str


def listed(
    connection: sa.Connection, *, after: int = 0, limit: int = 50, number: int | None = None
) -> list[Group]:
    """Groups in the order of their numbers, or the one of a number."""
    query = (
        sa.select(
            groups.c.id, groups.c.name, groups.c.parent, groups.c.level, assignments.c.name.label("fsa")
        )
        .join(assignments, assignments.c.id == groups.c.assignment)
        .where(groups.c.id > after)
        .order_by(groups.c.id)
        .limit(limit)
    )
    if number is not None:
        query = query.where(groups.c.id == number)
    return [Group(*row) for row in connection.execute(query)]


def names(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The names of groups by their numbers."""
    return dict(_NAMES.all(connection, {"numbers": numbers}))


_NAMES = Prepared(
    sa.select(groups.c.id, groups.c.name).where(groups.c.id.in_(sa.bindparam("numbers", expanding=True)))
)


def called(connection: sa.Connection, number: int) -> str:
    """What people call a group, within a sentence: ``group Feeder 1 (2)``."""
    name = names(connection, [number]).get(number)
    return f"group {number}" if name is None else f"group {name} ({number})"


def move(transaction: Transaction, number: int, *, parent: int | None, level: int | None) -> None:
    """Give a group another place. All under it see other programs from now on.

    :raises Conflict: it would be under itself
    """
    check_parent(transaction.connection, number, parent)
    group_counts.shift(transaction, number, _parent_of(transaction.connection, number), parent)
    transaction.connection.execute(
        sa.update(groups).where(groups.c.id == number).values(parent=parent, level=level)
    )
    transaction.invalidate(facts.TOPOLOGY)


def _parent_of(connection: sa.Connection, number: int) -> int | None:
    found: int | None = connection.scalar(sa.select(groups.c.parent).where(groups.c.id == number))
    return found


def check_parent(connection: sa.Connection, number: int, parent: int | None) -> None:
    """See that a group would not be under itself below this one: what ``move`` raises."""
    if parent is not None and is_below(connection, parent, number):
        one, other = called(connection, number), called(connection, parent)
        raise Conflict(f"{one} cannot hang below {other}, which is itself or under it")


def is_below(connection: sa.Connection, number: int, other: int) -> bool:
    """Whether a group is another one, or below it."""
    chain = sa.select(group_tree.CHAIN.c.group).where(group_tree.CHAIN.c.group == other)
    return connection.scalar(chain, {"start": number}) is not None


def numbers_below(connection: sa.Connection, group: int) -> set[int]:
    """A group and all those below it."""
    return set(connection.scalars(sa.select(group_tree.below(group).c.group)))


def level_below(connection: sa.Connection, number: int) -> int | None:
    """The highest level (the least number) of the groups right below one; None: none of them has a level."""
    found: int | None = connection.scalar(
        sa.select(sa.func.min(groups.c.level)).where(groups.c.parent == number)
    )
    return found


def remove(transaction: Transaction, number: int) -> None:
    """Remove a group that nothing is in.

    :raises Conflict: there is a program, a group or a device in it, or was one
    """
    connection = transaction.connection
    check_unused(connection, number)
    for resource in connection.scalars(sa.select(rates.c.resource).where(rates.c.group == number)).all():
        transaction.invalidate(facts.rates(resource))
    for table in (fleets, abilities, rates):
        connection.execute(sa.delete(table).where(table.c.group == number))
    connection.execute(sa.delete(groups).where(groups.c.id == number))
    transaction.invalidate(facts.TOPOLOGY)


def check_unused(connection: sa.Connection, number: int) -> None:
    """See that nothing is, or was, in a group: what ``remove`` raises."""
    for table, column in ((programs, "group"), (groups, "parent"), (memberships, "group")):
        if connection.scalar(sa.select(table.c.id).where(table.c[column] == number).limit(1)) is not None:
            what = {groups: "groups below it", memberships: "devices"}.get(table, "programs")
            raise Conflict(
                f"{called(connection, number)} has {what}, or had: it is kept, so that what was commanded to"
                " it stays known"
            )


def assignment(transaction: Transaction, name: str) -> int:
    """The number of the FSA of this name, which is made if there is none."""
    connection = transaction.connection
    connection.execute(
        insert(connection.dialect.name, assignments).values(name=name).on_conflict_do_nothing()
    )
    number: int | None = connection.scalar(sa.select(assignments.c.id).where(assignments.c.name == name))
    assert number is not None
    return number


def put_group(
    transaction: Transaction, name: str, *, parent: int | None, level: int | None, assignment: int
) -> int:
    """Make the group of this name, or give it this place and FSA.

    Whoever is under it sees other programs from now on.
    """
    values = {"parent": parent, "level": level, "assignment": assignment}
    connection = transaction.connection
    present = find(connection, name)
    circular = False
    if present is not None:
        before = _parent_of(connection, present)
        # The configuration file may hang one below another before it hangs that elsewhere.
        circular = any(is_below(connection, one, present) for one in (before, parent) if one is not None)
        if not circular:
            group_counts.shift(transaction, present, before, parent)
    statement = insert(transaction.connection.dialect.name, groups).values(name=name, **values)
    number: int | None = transaction.connection.scalar(
        statement.on_conflict_do_update(index_elements=[groups.c.name], set_=values).returning(groups.c.id)
    )
    assert number is not None
    if circular:
        group_counts.recount(transaction)
    transaction.invalidate(facts.TOPOLOGY)
    return number


def find(connection: sa.Connection, name: str) -> int | None:
    """The number of the group of this name."""
    return connection.scalar(sa.select(groups.c.id).where(groups.c.name == name))


def total(connection: sa.Connection) -> tally.Total:
    """How many groups ``listed`` has in all."""
    return tally.up_to(connection, sa.select(groups.c.id))
