"""How many devices are in each group, kept by what changes it, so that nobody has to count a fleet.

Of each group, by what its EndDevices and those below it support and their category (``abilities``); of each
aggregator, how many of its EndDevices are in which group itself (``fleets``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from csipd.db import group_tree
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import abilities, devices, fleets, groups, memberships, standing_number
from csipd.db.upsert import insert


def count_fleet(transaction: Transaction, manager: int, of: Sequence[int], change: int) -> None:
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


_UP = sa.select(group_tree.CHAIN.c.group)
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
            group_tree.CHAIN.c.group,
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
            group_tree.CHAIN.c.group,
            abilities.c.modes,
            abilities.c.category,
            abilities.c.members * sa.bindparam("sign", type_=sa.Integer),
        )
        .select_from(group_tree.CHAIN.join(abilities, abilities.c.group == sa.bindparam("of")))
        .where(sa.true()),
    )


def _count_in(dialect: str, found: sa.Select[Any]) -> sa.Insert:
    statement = insert(dialect, abilities).from_select(["group", "modes", "category", "members"], found)
    return statement.on_conflict_do_update(
        index_elements=[abilities.c.group, abilities.c.modes, abilities.c.category],
        set_={"members": abilities.c.members + statement.excluded.members},
    )


def shift(transaction: Transaction, number: int, was: int | None, will: int | None) -> None:
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
    chains = group_tree.above(sa.select(groups.c.id.label("who"), groups.c.id.label("group")))
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
