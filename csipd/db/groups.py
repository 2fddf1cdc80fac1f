"""Who is in which group, and what follows from it: assignments (FSAs), programs, who reaches them.

All of it is a view over memberships: adding a program to a group of 100,000 devices writes the program
and nothing else (decision 9). Being in a group is being in every group above it (CSIP IG 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db.database import Transaction
from csipd.db.tables import assignments, fleets, groups, memberships, programs
from csipd.db.upsert import insert


def _above(start: sa.Select[tuple[int, int]]) -> sa.CTE:
    """The groups of a select of (who, group), and all those above them."""
    reach = start.cte("reach", recursive=True)
    return reach.union(
        sa.select(reach.c.who, groups.c.parent)
        .join(groups, groups.c.id == reach.c.group)
        .where(groups.c.parent.is_not(None))
    )


# Statements that every poll asks are built once: to build one costs ten times what it takes to execute it.
_NOW = sa.select(memberships.c.device.label("who"), memberships.c.group.label("group")).where(
    memberships.c.until.is_(None)
)
_OF_DEVICE = _above(_NOW.where(memberships.c.device == sa.bindparam("who")))
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


_ASSIGNMENTS = (
    sa.select(assignments.c.id, assignments.c.name)
    .distinct()
    .join(groups, groups.c.assignment == assignments.c.id)
    .join(_OF_DEVICE, _OF_DEVICE.c.group == groups.c.id)
    .order_by(assignments.c.id.desc())
)
_ASSIGNMENT_COUNTS = (
    sa.select(_OF_DEVICES.c.who, sa.func.count(groups.c.assignment.distinct()).label("number"))
    .join(groups, groups.c.id == _OF_DEVICES.c.group)
    .group_by(_OF_DEVICES.c.who)
)
_PROGRAMS = _programs(_OF_DEVICE)
_PROGRAMS_OF_FLEET = _programs(_OF_FLEET)
_REACHES = _PROGRAMS.where(programs.c.id == sa.bindparam("program"))
_FLEET_REACHES = _PROGRAMS_OF_FLEET.where(programs.c.id == sa.bindparam("program"))


def assignments_of(connection: sa.Connection, device: int) -> list[tuple[int, str]]:
    """The FSAs of a device: number and name, newest number first (list order mRID descending)."""
    return [(number, name) for number, name in connection.execute(_ASSIGNMENTS, {"who": device})]


def assignment_counts(connection: sa.Connection, devices: Sequence[int]) -> dict[int, int]:
    """How many FSAs each device has; devices without any are left out."""
    return {row.who: row.number for row in connection.execute(_ASSIGNMENT_COUNTS, {"who": devices})}


def programs_of(connection: sa.Connection, device: int) -> list[tuple[int, int]]:
    """The programs of a device in the order of a DERProgramList, each with the FSA that it is in."""
    return [(number, assignment) for number, assignment in connection.execute(_PROGRAMS, {"who": device})]


def programs_of_fleet(connection: sa.Connection, manager: int) -> list[tuple[int, int]]:
    """The programs that any device of an aggregator's fleet is in, likewise."""
    found = connection.execute(_PROGRAMS_OF_FLEET, {"who": manager})
    return [(number, assignment) for number, assignment in found]


def reaches(connection: sa.Connection, device: int, aggregator: bool, program: int) -> bool:
    """Whether a program is in an FSA of the device, or of its fleet."""
    query = _FLEET_REACHES if aggregator else _REACHES
    return connection.scalar(query, {"who": device, "program": program}) is not None


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


def memberships_of(connection: sa.Connection, device: int) -> list[int]:
    """The groups that a device is in itself, now."""
    return list(
        connection.scalars(
            sa.select(memberships.c.group).where(
                memberships.c.device == device, memberships.c.until.is_(None)
            )
        )
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
    statement = insert(transaction.connection.dialect.name, groups).values(name=name, **values)
    number: int | None = transaction.connection.scalar(
        statement.on_conflict_do_update(index_elements=[groups.c.name], set_=values).returning(groups.c.id)
    )
    assert number is not None
    transaction.touch("/derp")
    return number


def find(connection: sa.Connection, name: str) -> int | None:
    """The number of the group of this name."""
    return connection.scalar(sa.select(groups.c.id).where(groups.c.name == name))
