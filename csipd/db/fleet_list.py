"""The EndDeviceList: a device's own, and an aggregator's fleet, paged by key (IEEE 2030.5-2018 8.5)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from attrs import asdict, frozen

from csipd.db import skipping
from csipd.db.devices import END_DEVICES, end_device, end_device_of_row, is_shown
from csipd.db.prepared import Prepared
from csipd.db.tables import devices
from csipd.der.access import Caller
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

_EDEV = ROWS["EndDevice"]
#: Before every TimeType.
_EVER = -1

_MANAGED = (devices.c.manager == sa.bindparam("asker")) & is_shown
_FLEET_SIZE = Prepared(sa.select(devices.c.fleet).where(devices.c.id == sa.bindparam("asker")))
_LATER = devices.c.changed_time > sa.bindparam("after")
_FLEET = (
    END_DEVICES.where(_MANAGED)
    .order_by(devices.c.changed_time.desc(), devices.c.sfdi, devices.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_LATER_COUNT = Prepared(sa.select(sa.func.count()).select_from(devices).where(_MANAGED, _LATER))
_FLEET_PAGE = Prepared(_FLEET.where(_LATER))
# The same from the other end.
_FLEET_BACKWARDS = Prepared(
    _FLEET.where(_LATER)
    .order_by(None)
    .order_by(devices.c.changed_time, devices.c.sfdi.desc(), devices.c.id.desc())
)
_ENDS = skipping.BothEnds(_FLEET_PAGE, _FLEET_BACKWARDS)
# What comes behind an EndDevice: those of its changedTime, then those of an earlier one. In one statement
# SQLite would pass over all of that time first.
_BEHIND = (
    Prepared(
        _FLEET.where(
            devices.c.changed_time == sa.bindparam("changed_time"),
            sa.tuple_(devices.c.sfdi, devices.c.id) > sa.tuple_(sa.bindparam("sfdi"), sa.bindparam("id")),
        )
    ),
    Prepared(_FLEET.where(_LATER, devices.c.changed_time < sa.bindparam("changed_time"))),
)


@frozen
class Position:
    """An EndDevice of a fleet by what the list is ordered by: the ones behind it are sought on the index."""

    changed_time: int
    sfdi: int
    id: int


def page(
    connection: sa.Connection,
    asker: Caller,
    part: Page,
    behind: Position | None = None,
    total: int | None = None,
) -> tuple[int, list[tuple[Place, r.Resource]], Position | None]:
    """The EndDeviceList as this caller sees it: itself, and the fleet of an aggregator.

    Ordered by changedTime, newest first, then sFDI (IEEE 2030.5-2018 8.5, Table 16 of the list orders).

    :param behind: the EndDevice right before the part of a fleet, where that is known: what comes before the
        part is then not passed over
    :param total: how many there are in the fleet that ``a`` leaves, where that is known
    :return: how many there are, those wanted, and the position of the last of these where it is a fleet
    """
    if asker.device is None:
        return 0, [], None
    if not asker.aggregator:
        own = end_device(connection, asker.device)
        if own is None or (part.after is not None and own.changedTime <= part.after):
            return 0, [], None
        alone: list[tuple[Place, r.Resource]] = [(Place(_EDEV, (asker.device,)), own)]
        return 1, alone[part.start : part.start + part.limit], None
    wanted: dict[str, Any] = {"asker": asker.device, "after": _EVER if part.after is None else part.after}
    if total is None:
        total = later_count(connection, asker, part.after)
    if part.start >= total or not part.limit:
        return total, [], None
    if behind is not None:
        rows = skipping.in_turn(connection, _BEHIND, {**wanted, **asdict(behind), "start": 0}, part.limit)
    else:
        rows = _ENDS.rows(connection, wanted, part, total)
    last = Position(rows[-1].changed_time, rows[-1].sfdi, rows[-1].id) if rows else None
    return total, [(Place(_EDEV, (row.id,)), end_device_of_row(row)) for row in rows], last


def later_count(connection: sa.Connection, asker: Caller, after: int | None) -> int:
    """How many EndDevices of an aggregator's fleet changed after a moment; None: how many there are."""
    if after is None:
        return count(connection, asker)
    found: int = _LATER_COUNT.scalar(connection, {"asker": asker.device, "after": after})
    return found


def count(connection: sa.Connection, asker: Caller) -> int:
    """How many EndDevices this caller sees."""
    if asker.device is None:
        return 0
    if asker.aggregator:
        return _FLEET_SIZE.scalar(connection, {"asker": asker.device}) or 0
    return 1
