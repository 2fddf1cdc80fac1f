"""Which devices an event is for, and what they support: what a command says before it is given."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db import group_counts, group_devices
from csipd.db.devices import is_shown
from csipd.db.prepared import Prepared
from csipd.db.tables import devices, memberships

#: Devices that are looked at for a sample of them.
MOST_LOOKED_AT = 5000

_MODES = Prepared(
    sa.select(devices.c.id, devices.c.modes).where(devices.c.id.in_(sa.bindparam("devices", expanding=True)))
)


def some_under(connection: sa.Connection, group: int, limit: int) -> list[int]:
    """Some of the EndDevices in a group and below it: those that are found first, however many there are."""
    query = group_devices.under(group).join(devices, devices.c.id == memberships.c.device).where(is_shown)
    return sorted(connection.scalars(query.limit(limit)))


def counted(
    connection: sa.Connection, which: sa.Select[tuple[int]], limit: int
) -> tuple[int, tuple[int, ...]]:
    """How many of some devices are EndDevices, and the first of these.

    :param which: their numbers, as a query
    """
    query = sa.select(devices.c.id).where(devices.c.id.in_(which), is_shown)
    total = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0
    return total, tuple(connection.scalars(query.order_by(devices.c.id).limit(limit)))


@frozen
class AddressedDevices:
    """Which of some EndDevices an event for some categories addresses.

    :param sample: some of those that it addresses, or may
    :param known: how many it addresses
    :param unknown: how many have not said their category, and decide by themselves
    :param others: how many it does not address
    """

    sample: tuple[int, ...]
    known: int
    unknown: int
    others: int


def addressed(connection: sa.Connection, named: Sequence[int], category: int, limit: int) -> AddressedDevices:
    """Which of some EndDevices an event addresses.

    :param named: their numbers
    :param category: its deviceCategory
    :param limit: of the sample
    """
    said = sa.func.coalesce(devices.c.device_category, 0)
    meant = said.bitwise_and(category) != 0
    among = sa.and_(devices.c.id.in_(named), is_shown)
    sample = sa.select(devices.c.id).where(among, sa.or_(meant, said == 0)).order_by(devices.c.id)
    numbers = sa.select(
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(sa.case((meant, 1), else_=0)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((said == 0, 1), else_=0)), 0),
    ).where(among)
    total, known, unknown = connection.execute(numbers).one()
    found = tuple(connection.scalars(sample.limit(limit)))
    return AddressedDevices(found, int(known), int(unknown), total - int(known) - int(unknown))


def addressed_under(connection: sa.Connection, group: int, category: int, limit: int) -> AddressedDevices:
    """Which of the EndDevices in a group and below it an event addresses; from what is kept of the group.

    The sample is of the first that are found, however many there are.
    """
    known, unknown, others = group_counts.numbers_by_category(connection, group, category)
    some = group_devices.under(group).limit(MOST_LOOKED_AT).subquery()
    said = sa.func.coalesce(devices.c.device_category, 0)
    sample = (
        sa.select(devices.c.id)
        .join(some, some.c.device == devices.c.id)
        .where(is_shown, sa.or_(said.bitwise_and(category) != 0, said == 0))
        .limit(limit)
    )
    return AddressedDevices(tuple(sorted(connection.scalars(sample))), known, unknown, others)


def abilities(connection: sa.Connection, numbers: Sequence[int], needed: int) -> tuple[dict[int, int], int]:
    """Those of the devices that do not support all of these modes, and what they do support.

    Both as DERControlType.

    :return: with it how many of the devices have not said what they support
    """
    rows = _MODES.all(connection, {"devices": numbers})
    unable = {row.id: row.modes for row in rows if row.modes is not None and needed & ~row.modes}
    return unable, sum(row.modes is None for row in rows)
