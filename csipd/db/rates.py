"""The rates that operators set while the server runs: in general, by group, by device (`der.rates`).

What a device's EndDevice and Registration have alone stands in its row, which is read with them anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from attrs import frozen

from csipd.db import devices, facts, groups
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import device_rates, memberships, own_rate_in_row, rates
from csipd.db.tables import devices as rows_of_devices
from csipd.db.tables import groups as group_rows
from csipd.db.upsert import insert
from csipd.der.rates import MOST, Commanded, deepest
from csipd.refusals import Full
from csipd.sep2 import resources as r

#: Groups that may have a rate of their own for one resource.
MOST_GROUPS: Final = 10_000
#: The column of a device's row that has its own rate for a resource.
_COLUMNS: Final[Mapping[str, str]] = {"EndDevice": "post_rate", "Registration": "poll_rate"}
#: Stands for all groups and devices.
_GENERAL: Final = 0
#: Groups hang no deeper than this.
_DEEPEST: Final = 2**20

_OF = Prepared(sa.select(rates.c.group, rates.c.seconds).where(rates.c.resource == sa.bindparam("resource")))
_ANY = Prepared(
    sa.select(device_rates.c.device).where(device_rates.c.resource == sa.bindparam("resource")).limit(1)
)
_OWN = Prepared(
    sa.select(device_rates.c.resource, device_rates.c.seconds).where(
        device_rates.c.device == sa.bindparam("device")
    )
)
_OWN_OF_EACH = Prepared(
    sa.select(device_rates.c.device, device_rates.c.seconds).where(
        device_rates.c.device.in_(sa.bindparam("devices", expanding=True)),
        device_rates.c.resource == sa.bindparam("resource"),
    )
)


def commanded(connection: sa.Connection, resource: str) -> Commanded:
    """What operators have set for a kind of resource."""
    asked = {"resource": resource}
    by_group = dict(_OF.all(connection, asked))
    general = by_group.pop(_GENERAL, None)
    return Commanded(general, by_group, _ANY.scalar(connection, asked) is not None)


def own(connection: sa.Connection, device: int) -> dict[str, int]:
    """What they have set for a device alone, by resource, but for what stands in its row."""
    return dict(_OWN.all(connection, {"device": device}))


def own_of_each(connection: sa.Connection, resource: str, numbers: Sequence[int]) -> dict[int, int]:
    """The same for one resource and many devices; those without are left out."""
    return dict(_OWN_OF_EACH.all(connection, {"resource": resource, "devices": numbers}))


def of_set(
    connection: sa.Connection, by_group: Mapping[int, int], of: Sequence[int]
) -> tuple[int, int] | None:
    """Whose rate counts for a device that is in these groups: the group and the rate (s).

    :param by_group: seconds by group
    """
    group = deepest(by_group, groups.parents_of_set(connection, of))
    return None if group is None else (group, by_group[group])


@frozen
class InForce:
    """A rate that counts, and whose word it is.

    :param seconds: None: nobody has said anything
    :param by: device, group, general: an operator's; wish: the device's own; configuration, standard
    :param group: whose, where it is a group's
    """

    seconds: int | None
    by: str
    group: int | None = None


def in_force(
    connection: sa.Connection,
    resource: str,
    without: Mapping[str, int],
    *,
    device: int | None = None,
    group: int | None = None,
    alone: bool = True,
) -> InForce:
    """The rate of a resource for a device, for those of a group that have no other, or in general.

    :param without: what it is in seconds where no operator has said anything, by resource
    :param alone: whether what was set for the device alone counts
    """
    known = commanded(connection, resource)
    if device is not None and alone:
        column = _COLUMNS.get(resource)
        own_rate = (
            own(connection, device).get(resource)
            if column is None
            else devices.setting(connection, device, column)
        )
        if own_rate is not None:
            return InForce(own_rate, "device")
    of = [group] if group is not None else [] if device is None else groups.set_of(connection, device)
    found = of_set(connection, known.groups, of) if known.groups and of else None
    if found is not None:
        return InForce(found[1], "group", found[0])
    if known.general is not None:
        return InForce(known.general, "general")
    if device is not None and resource == "EndDevice":
        wished = devices.setting(connection, device, "wished_post_rate")
        if wished is not None:
            return InForce(wished, "wish")
    if resource in without:
        return InForce(without[resource], "configuration")
    return InForce(standard(resource), "standard")


def poll_rate(
    connection: sa.Connection,
    resource: str,
    without: Mapping[str, int],
    *,
    device: int | None = None,
    group: int | None = None,
) -> int:
    """The pollRate of a resource for a device, for those of a group that have no other, or in general (s).

    :param without: what it is where no operator has said anything, by resource
    """
    found = in_force(connection, resource, without, device=device, group=group).seconds
    if found is None:
        raise ValueError(f"{resource} has no pollRate")
    return found


def standard(resource: str) -> int | None:
    """What the standard says of a resource where nobody else does."""
    found: int | None = getattr(getattr(r, resource), "pollRate", None)
    return found


def of_devices(connection: sa.Connection, resource: str) -> list[sa.Subquery]:
    """What was set for devices alone and for groups, as queries of (device, seconds); the first one counts.

    None, where nothing was set. They look at the devices that something was set for.
    """
    known = commanded(connection, resource)
    found = []
    if known.devices:
        alone = sa.select(device_rates.c.device, device_rates.c.seconds)
        found.append(alone.where(device_rates.c.resource == resource).subquery("alone"))
    if known.groups:
        found.append(_by_groups(resource).subquery("grouped"))
    return found


def _by_groups(resource: str) -> sa.Select[Any]:
    """The rate of each device by its groups: as `der.rates.deepest` says."""
    mine = rates.alias()
    is_mine = (mine.c.group == group_rows.c.id) & (mine.c.resource == resource)
    tree = (
        sa.select(
            group_rows.c.id.label("group"),
            sa.literal(0).label("depth"),
            sa.case((mine.c.seconds.is_not(None), 0)).label("at"),
            mine.c.seconds.label("seconds"),
        )
        .outerjoin(mine, is_mine)
        .where(group_rows.c.parent.is_(None))
        .cte("tree", recursive=True)
    )
    tree = tree.union_all(
        sa.select(
            group_rows.c.id,
            tree.c.depth + 1,
            sa.case((mine.c.seconds.is_not(None), tree.c.depth + 1), else_=tree.c.at),
            sa.func.coalesce(mine.c.seconds, tree.c.seconds),
        )
        .join(tree, tree.c.group == group_rows.c.parent)
        .outerjoin(mine, is_mine)
    )
    # The deepest first, of these the shortest: one number has both in that order.
    rank = (_DEEPEST - tree.c.at) * (MOST + 1) + tree.c.seconds
    return (
        sa.select(memberships.c.device, (sa.func.min(rank) % (MOST + 1)).label("seconds"))
        .join(tree, tree.c.group == memberships.c.group)
        .where(memberships.c.until.is_(None), tree.c.seconds.is_not(None))
        .group_by(memberships.c.device)
    )


def groups_with(connection: sa.Connection, after: int, limit: int) -> dict[int, dict[str, int]]:
    """Groups that have rates of their own, in the order of their numbers, and these by resource (s)."""
    numbers = (
        sa.select(rates.c.group).distinct().where(rates.c.group > after).order_by(rates.c.group).limit(limit)
    )
    rows = connection.execute(
        sa.select(rates.c.group, rates.c.resource, rates.c.seconds)
        .where(rates.c.group.in_(connection.scalars(numbers).all()))
        .order_by(rates.c.group, rates.c.resource)
    )
    return _by_number(rows)


def devices_with(connection: sa.Connection, after: int, limit: int) -> dict[int, dict[str, int]]:
    """Devices that have rates of their own, likewise."""
    table, row = device_rates.c, rows_of_devices.c
    by_row = sa.select(row.id).where(own_rate_in_row, row.id > after).order_by(row.id).limit(limit)
    by_table = sa.select(table.device).distinct().where(table.device > after).order_by(table.device)
    found = {*connection.scalars(by_row), *connection.scalars(by_table.limit(limit))}
    numbers = sorted(found)[:limit]
    rows = [
        *connection.execute(
            sa.select(table.device, table.resource, table.seconds).where(table.device.in_(numbers))
        ),
        *(
            (number, resource, seconds)
            for resource, column in _COLUMNS.items()
            for number, seconds in connection.execute(
                sa.select(row.id, row[column]).where(row.id.in_(numbers), row[column].is_not(None))
            )
        ),
    ]
    return _by_number(sorted(map(tuple, rows)))


def _by_number(rows: Iterable[Any]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for number, resource, seconds in rows:
        found.setdefault(number, {})[resource] = seconds
    return found


def set_general(transaction: Transaction, resource: str, seconds: int | None) -> int | None:
    """Set a rate for all devices, or unset it; gives the one before."""
    return _put(transaction, resource, _GENERAL, seconds)


def set_of_group(transaction: Transaction, resource: str, group: int, seconds: int | None) -> int | None:
    """Set a rate for the devices in a group and below it, or unset it; gives the one before.

    :raises Full: too many groups have one
    """
    connection = transaction.connection
    if seconds is not None:
        others = len(commanded(connection, resource).groups.keys() - {group})
        if others >= MOST_GROUPS:
            raise Full(f"{MOST_GROUPS} groups have a rate of {resource} of their own already")
    return _put(transaction, resource, group, seconds)


def _put(transaction: Transaction, resource: str, group: int, seconds: int | None) -> int | None:
    connection = transaction.connection
    before: int | None = connection.scalar(
        sa.select(rates.c.seconds).where(rates.c.resource == resource, rates.c.group == group)
    )
    if before == seconds:
        return before
    _write(connection, rates, {"resource": resource, "group": group}, seconds)
    transaction.invalidate(facts.rates(resource))
    return before


def _write(
    connection: sa.Connection, table: sa.Table, this: Mapping[str, str | int], seconds: int | None
) -> None:
    """Keep a rate in one of the tables of rates, or remove it.

    :param this: its key
    """
    if seconds is None:
        which = (table.c[name] == value for name, value in this.items())
        connection.execute(sa.delete(table).where(*which))
        return
    statement = insert(connection.dialect.name, table).values(**this, seconds=seconds)
    connection.execute(statement.on_conflict_do_update(index_elements=[*this], set_={"seconds": seconds}))


def set_of_device(
    transaction: Transaction, resource: str, device: int, seconds: int | None, now: int
) -> int | None:
    """Set a rate for a device alone, or unset it; gives the one before.

    :param now: TimeType
    """
    connection = transaction.connection
    column = _COLUMNS.get(resource)
    if column is not None:
        before = devices.setting(connection, device, column)
        if before != seconds:
            devices.update(transaction, device, **{column: seconds}, changed_time=now)
        return before
    before = own(connection, device).get(resource)
    if before == seconds:
        return before
    any_before = _ANY.scalar(connection, {"resource": resource})
    _write(connection, device_rates, {"resource": resource, "device": device}, seconds)
    transaction.invalidate(facts.own_rates(device))
    if (any_before is None) != (_ANY.scalar(connection, {"resource": resource}) is None):
        # Whether any device has its own is part of what is known of the resource.
        transaction.invalidate(facts.rates(resource))
    return before
