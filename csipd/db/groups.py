"""Who is in which group, and what follows from it: assignments (FSAs), programs, who reaches them.

All of it is a view over memberships: adding a program to a group of 100,000 devices writes the program
and nothing else (decision 9). Being in a group is being in every group above it (CSIP IG 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts, tally
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import (
    abilities,
    assignments,
    devices,
    fleets,
    groups,
    memberships,
    programs,
    standing_number,
)
from csipd.db.upsert import insert
from csipd.refusals import Conflict

#: The level of a group that stands for one connection point (CSIP IG 4.3).
SERVICE_POINT = 6


def _above(start: sa.Select[*tuple[Any, ...]]) -> sa.CTE:
    """The groups of a select of (who, group), and all those above them."""
    reach = start.cte("reach", recursive=True)
    return reach.union(
        sa.select(reach.c.who, groups.c.parent)
        .join(groups, groups.c.id == reach.c.group)
        .where(groups.c.parent.is_not(None))
    )


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
_OF_SET = _above(
    sa.select(sa.literal(0).label("who"), groups.c.id.label("group")).where(
        groups.c.id.in_(sa.bindparam("groups", expanding=True))
    )
)
_OF_DEVICES = _above(_NOW.where(memberships.c.device.in_(sa.bindparam("who", expanding=True))))
_OF_FLEET = _above(
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
_PROGRAMS = Prepared(_programs(_OF_SET))
_PROGRAMS_OF_ANY = Prepared(_programs(_OF_DEVICES))
_PROGRAMS_OF_FLEET = Prepared(_programs(_OF_FLEET))
_FLEET_REACHES = Prepared(_programs(_OF_FLEET).where(programs.c.id == sa.bindparam("program")))
_SINCE = _above(
    sa.select(memberships.c.device.label("who"), memberships.c.group.label("group")).where(
        memberships.c.device == sa.bindparam("who"),
        sa.or_(memberships.c.until.is_(None), memberships.c.until > sa.bindparam("since")),
    )
)
_BELONGED = Prepared(sa.select(_SINCE.c.who).where(_SINCE.c.group == sa.bindparam("group")))


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
    below = _below(group)
    above = _above(sa.select(sa.literal(0).label("who"), sa.literal(group).label("group")))
    query = sa.select(programs.c.id).where(
        programs.c.retired.is_(None),
        sa.or_(
            programs.c.group.in_(sa.select(below.c.group)), programs.c.group.in_(sa.select(above.c.group))
        ),
    )
    return list(connection.scalars(query.order_by(programs.c.id)))


def programs_above(connection: sa.Connection, group: int) -> set[int]:
    """The programs of a group and of those above it: of all that are in the group."""
    above = _above(sa.select(sa.literal(0).label("who"), sa.literal(group).label("group")))
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


def count(transaction: Transaction, manager: int, of: Sequence[int], change: int) -> None:
    """Keep how many EndDevices a fleet has in each of these groups."""
    for group in of:
        statement = insert(transaction.connection.dialect.name, fleets).values(
            manager=manager, group=group, members=change
        )
        transaction.connection.execute(
            statement.on_conflict_do_update(
                index_elements=[fleets.c.manager, fleets.c.group],
                set_={"members": fleets.c.members + change},
            )
        )
        if change < 0:
            nothing = (fleets.c.manager == manager, fleets.c.group == group, fleets.c.members == 0)
            transaction.connection.execute(sa.delete(fleets).where(*nothing))


def memberships_of_many(connection: sa.Connection, devices: Sequence[int]) -> dict[int, list[int]]:
    """The groups that each device is in itself, now; devices in none are left out."""
    found: dict[int, list[int]] = {}
    for device, group in _SETS.all(connection, {"devices": devices}):
        found.setdefault(device, []).append(group)
    return {device: sorted(of) for device, of in found.items()}


def count_abilities(
    transaction: Transaction, modes: int | None, category: int | None, of: Sequence[int], change: int
) -> None:
    """Keep how many EndDevices of each of these groups, and of those above them, support what.

    :param modes: DERControlType of the device that comes or goes; None while it has not said
    :param category: its DeviceCategoryType; None while it has not said
    """
    connection = transaction.connection
    said = {"modes": -1 if modes is None else modes, "category": category or 0}
    for group in of:
        connection.execute(_tally(connection.dialect.name), {"start": group, "change": change, **said})
        if change < 0:
            # A device could leave one that came to nothing behind for whatever it says.
            connection.execute(_FORGET, {"start": group, **said})


_CHAIN = _above(
    sa.select(sa.literal(0).label("who"), groups.c.id.label("group")).where(
        groups.c.id == sa.bindparam("start")
    )
)
_UP = sa.select(_CHAIN.c.group)
_EMPTY = sa.delete(abilities).where(abilities.c.group.in_(_UP), abilities.c.members == 0)
_FORGET = _EMPTY.where(
    abilities.c.modes == sa.bindparam("modes"), abilities.c.category == sa.bindparam("category")
)


@cache
def _tally(dialect: str) -> sa.Insert:
    """Count devices of one kind in or out of a group and those above it."""
    integer = sa.BigInteger()
    return _count_in(
        dialect,
        sa.select(
            _CHAIN.c.group,
            sa.bindparam("modes", type_=integer),
            sa.bindparam("category", type_=integer),
            sa.bindparam("change", type_=integer),
        ).where(sa.true()),
    )


@cache
def _tally_all(dialect: str) -> sa.Insert:
    """Count all that a group counts in or out of another one and those above that."""
    return _count_in(
        dialect,
        sa.select(
            _CHAIN.c.group,
            abilities.c.modes,
            abilities.c.category,
            abilities.c.members * sa.bindparam("sign", type_=sa.Integer),
        )
        .select_from(_CHAIN.join(abilities, abilities.c.group == sa.bindparam("of")))
        .where(sa.true()),
    )


def _count_in(dialect: str, found: sa.Select[Any]) -> sa.Insert:
    statement = insert(dialect, abilities).from_select(["group", "modes", "category", "members"], found)
    return statement.on_conflict_do_update(
        index_elements=[abilities.c.group, abilities.c.modes, abilities.c.category],
        set_={"members": abilities.c.members + statement.excluded.members},
    )


def _shift(transaction: Transaction, number: int, was: int | None, will: int | None) -> None:
    """Count what is in a group and below it out of those above it, and into those that will be."""
    connection = transaction.connection
    if was == will:
        return
    for parent, sign in ((was, -1), (will, 1)):
        if parent is not None:
            asked = {"start": parent, "of": number, "sign": sign}
            connection.execute(_tally_all(connection.dialect.name), asked)
            connection.execute(_EMPTY, {"start": parent})


def recount(transaction: Transaction) -> None:
    """Count anew what ``abilities`` keeps, of all groups."""
    connection = transaction.connection
    connection.execute(sa.delete(abilities))
    chains = _above(sa.select(groups.c.id.label("who"), groups.c.id.label("group")))
    said = (sa.func.coalesce(devices.c.modes, -1), sa.func.coalesce(devices.c.device_category, 0))
    members = (
        sa.select(chains.c.group, *said, sa.func.count())
        .select_from(memberships)
        .join(devices, devices.c.id == memberships.c.device)
        .join(chains, chains.c.who == memberships.c.group)
        .where(memberships.c.until.is_(None), standing_number == 0)
        .group_by(chains.c.group, *said)
    )
    connection.execute(_count_in(connection.dialect.name, members))


def abilities_under(connection: sa.Connection, group: int) -> dict[int, int]:
    """How many EndDevices in a group and below it support what; -1 stands for those that have not said.

    A device that is in several of these groups counts in each.
    """
    return {row.modes: int(row.members) for row in connection.execute(_ABILITIES, {"group": group})}


_ABILITIES = (
    sa.select(abilities.c.modes, sa.func.sum(abilities.c.members).label("members"))
    .where(abilities.c.group == sa.bindparam("group"))
    .group_by(abilities.c.modes)
)
_NUMBERS_UNDER = Prepared(
    sa.select(abilities.c.group, sa.func.sum(abilities.c.members).label("members"))
    .where(abilities.c.group.in_(sa.bindparam("groups", expanding=True)))
    .group_by(abilities.c.group)
)
_MEANT = abilities.c.category.bitwise_and(sa.bindparam("category", type_=sa.BigInteger)) != 0
_CATEGORIES = sa.select(
    *(
        sa.func.coalesce(sa.func.sum(sa.case((which, abilities.c.members), else_=0)), 0).label(name)
        for name, which in (
            ("meant", _MEANT),
            ("unknown", abilities.c.category == 0),
            ("every", sa.true()),
        )
    )
).where(abilities.c.group == sa.bindparam("group"))


def number_under(connection: sa.Connection, group: int) -> int:
    """How many EndDevices are in a group and below it; one that is in several of these counts in each."""
    return numbers_under(connection, [group])[group]


def numbers_under(connection: sa.Connection, of: Sequence[int]) -> dict[int, int]:
    """The same of several groups."""
    found = {group: int(members) for group, members in _NUMBERS_UNDER.all(connection, {"groups": of})}
    return {group: found.get(group, 0) for group in of}


def numbers_by_category(connection: sa.Connection, group: int, category: int) -> tuple[int, int, int]:
    """How many EndDevices in a group and below it are of a category, have not said theirs, and are of others.

    One that is in several of these groups counts in each.

    :param category: DeviceCategoryType: of any of these
    """
    row = connection.execute(_CATEGORIES, {"group": group, "category": category}).one()
    meant, unknown = int(row.meant), int(row.unknown)
    return meant, unknown, int(row.every) - meant - unknown


def exists(connection: sa.Connection, group: int) -> bool:
    """Whether there is a group of this number."""
    return connection.scalar(sa.select(groups.c.id).where(groups.c.id == group)) is not None


def service_points(connection: sa.Connection, group: int) -> list[int]:
    """The programs of the SERVICE_POINT groups that a group is, or is under."""
    reach = _above(sa.select(sa.literal(0).label("who"), sa.literal(group).label("group")))
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
    _shift(transaction, number, _parent_of(transaction.connection, number), parent)
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
    chain = sa.select(_CHAIN.c.group).where(_CHAIN.c.group == other)
    return connection.scalar(chain, {"start": number}) is not None


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
    for table in (fleets, abilities):
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


def _below(group: int, name: str = "below") -> sa.CTE:
    """A group and all those below it; two in one statement need two names."""
    reach = sa.select(sa.literal(group).label("group")).cte(name, recursive=True)
    return reach.union(sa.select(groups.c.id).join(reach, groups.c.parent == reach.c.group))


_BELOW = sa.select(sa.bindparam("of", type_=sa.BigInteger).label("group")).cte("below", recursive=True)
_BELOW = _BELOW.union(sa.select(groups.c.id).join(_BELOW, groups.c.parent == _BELOW.c.group))
_MEMBER = (
    memberships.c.group == _BELOW.c.group,
    memberships.c.until.is_(None),
    memberships.c.device > sa.bindparam("after", type_=sa.BigInteger),
)
_NUMBER_BELOW = Prepared(
    sa.select(sa.func.count()).select_from(
        sa.select(_BELOW.c.group).limit(sa.bindparam("limit", type_=sa.Integer)).subquery()
    )
)
_LAST_OF_PAGE = Prepared(
    sa.select(
        sa.func.min(
            sa.select(memberships.c.device)
            .where(*_MEMBER)
            .order_by(memberships.c.device)
            .limit(1)
            .offset(sa.bindparam("skipped", type_=sa.Integer))
            .correlate(_BELOW)
            .scalar_subquery()
        )
    ).select_from(_BELOW)
)
_MERGED = Prepared(
    sa.select(memberships.c.device)
    .distinct()
    .select_from(_BELOW.join(memberships, sa.and_(*_MEMBER)))
    .where(memberships.c.device <= sa.bindparam("most", type_=sa.BigInteger))
    .order_by(memberships.c.device)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


_OTHERS = (
    sa.select(groups.c.id.label("who"), groups.c.id.label("group"))
    .where(groups.c.id.in_(sa.bindparam("others", expanding=True)))
    .cte("others", recursive=True)
)
_OTHERS = _OTHERS.union(
    sa.select(_OTHERS.c.who, groups.c.id).join(groups, groups.c.parent == _OTHERS.c.group)
)
_THEIRS = memberships.alias("theirs")
_IN_BOTH = (
    sa.select(_OTHERS.c.who, sa.func.count(memberships.c.device.distinct()).label("number"))
    .select_from(_BELOW)
    .join(memberships, sa.and_(memberships.c.group == _BELOW.c.group, memberships.c.until.is_(None)))
    .join(_THEIRS, sa.and_(_THEIRS.c.device == memberships.c.device, _THEIRS.c.until.is_(None)))
    .join(_OTHERS, _OTHERS.c.group == _THEIRS.c.group)
    .group_by(_OTHERS.c.who)
)


def under(group: int, at: int | None = None) -> sa.Select[tuple[int]]:
    """The devices in a group and below it, each once, as a query.

    :param at: as it was at a moment (TimeType); None: as it is now
    """
    below = _below(group)
    held = (
        memberships.c.until.is_(None)
        if at is None
        else sa.and_(
            memberships.c.since <= at, sa.or_(memberships.c.until.is_(None), memberships.c.until > at)
        )
    )
    return (
        sa.select(memberships.c.device)
        .distinct()
        .where(memberships.c.group.in_(sa.select(below.c.group)), held)
    )


#: Groups whose devices are merged in the order of their numbers; those of more are looked for one by one.
MOST_MERGED = 1000


def has(device: sa.ColumnElement[int], group: int) -> sa.ColumnElement[bool]:
    """Whether a device is in a group or below it, now; for a query over devices."""
    held = sa.select(memberships.c.id).where(
        memberships.c.device == device,
        memberships.c.until.is_(None),
        memberships.c.group.in_(sa.select(_below(group).c.group)),
    )
    return held.exists()


def merged(connection: sa.Connection, group: int, after: int, limit: int) -> list[int] | None:
    """The devices in a group and below it, each once and in the order of their numbers, up to ``limit``.

    Of each of the groups no more is read than that many.

    :param after: only numbers above this one
    :return: None where there are too many groups
    """
    asked = {"of": group, "after": after}
    if _NUMBER_BELOW.scalar(connection, {"of": group, "limit": MOST_MERGED + 1}) > MOST_MERGED:
        return None
    # Of any group the number at that place is one that the page does not reach beyond.
    last = _LAST_OF_PAGE.scalar(connection, {**asked, "skipped": limit - 1})
    most = 2**62 if last is None else last
    return _MERGED.scalars(connection, {**asked, "most": most, "limit": limit})


def under_alone(group: int, other: int, *, cut_off: bool = False) -> sa.Select[tuple[int]]:
    """The devices in a group and below it that are not in or below another one, too, as a query.

    :param cut_off: as if the first group did not hang below the other
    """
    others = _below(other, "others")
    theirs = sa.select(memberships.c.device).where(
        memberships.c.group.in_(sa.select(others.c.group)), memberships.c.until.is_(None)
    )
    if cut_off:
        theirs = theirs.where(memberships.c.group.not_in(sa.select(_below(group, "mine").c.group)))
    return under(group).where(memberships.c.device.not_in(theirs.correlate(None)))


def numbers_in_both(connection: sa.Connection, one: int, others: Sequence[int]) -> dict[int, int]:
    """How many devices are in a group or below it and in or below each of others; where there are any."""
    rows = connection.execute(_IN_BOTH, {"of": one, "others": others})
    return {row.who: row.number for row in rows}


def belonged(connection: sa.Connection, device: int, group: int, since: int) -> bool:
    """Whether a device is in a group or below it, or was at any time since a moment (TimeType)."""
    asked = {"who": device, "group": group, "since": since}
    return _BELONGED.scalar(connection, asked) is not None


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
            _shift(transaction, present, before, parent)
    statement = insert(transaction.connection.dialect.name, groups).values(name=name, **values)
    number: int | None = transaction.connection.scalar(
        statement.on_conflict_do_update(index_elements=[groups.c.name], set_=values).returning(groups.c.id)
    )
    assert number is not None
    if circular:
        recount(transaction)
    transaction.invalidate(facts.TOPOLOGY)
    return number


def find(connection: sa.Connection, name: str) -> int | None:
    """The number of the group of this name."""
    return connection.scalar(sa.select(groups.c.id).where(groups.c.name == name))


def total(connection: sa.Connection) -> tally.Total:
    """How many groups ``listed`` has in all."""
    return tally.up_to(connection, sa.select(groups.c.id))
