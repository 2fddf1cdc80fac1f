"""The rates that operators set while the server runs: in general, by group, by device (`der.rates`).

What a device's EndDevice and Registration have alone stands in its row, which is read with them anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from csipd.db import devices, facts, groups
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import device_rates, rates
from csipd.db.upsert import insert
from csipd.der.rates import Commanded, deepest
from csipd.refusals import Full

#: Groups that may have a rate of their own for one resource.
MOST_GROUPS: Final = 10_000
#: The column of a device's row that has its own rate for a resource.
_COLUMNS: Final[Mapping[str, str]] = {"EndDevice": "post_rate", "Registration": "poll_rate"}
#: Stands for all groups and devices.
_GENERAL: Final = 0

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
    this = (rates.c.resource == resource) & (rates.c.group == group)
    before: int | None = connection.scalar(sa.select(rates.c.seconds).where(this))
    if before == seconds:
        return before
    if seconds is None:
        connection.execute(sa.delete(rates).where(this))
    else:
        statement = insert(connection.dialect.name, rates).values(
            resource=resource, group=group, seconds=seconds
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[rates.c.resource, rates.c.group], set_={"seconds": seconds}
            )
        )
    transaction.invalidate(facts.rates(resource))
    return before


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
    this = (device_rates.c.resource == resource) & (device_rates.c.device == device)
    if seconds is None:
        connection.execute(sa.delete(device_rates).where(this))
    else:
        statement = insert(connection.dialect.name, device_rates).values(
            resource=resource, device=device, seconds=seconds
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[device_rates.c.device, device_rates.c.resource], set_={"seconds": seconds}
            )
        )
    transaction.invalidate(facts.own_rates(device))
    if (any_before is None) != (_ANY.scalar(connection, {"resource": resource}) is None):
        # Whether any device has its own is part of what is known of the resource.
        transaction.invalidate(facts.rates(resource))
    return before
