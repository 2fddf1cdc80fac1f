"""The list of devices as operators read it: rows by name, LFDI, group and standing, and their number."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import fields, frozen

from csipd.db import contacts, former, groups
from csipd.db.devices import is_admitted, is_shown
from csipd.db.tables import devices

_STANDINGS = {
    "registered": is_shown,
    "listed": is_admitted & devices.c.registered.is_(None),
    "withdrawn": devices.c.withdrawn.is_not(None),
    "retired": devices.c.retired.is_not(None) & devices.c.withdrawn.is_(None),
}


@frozen
class DeviceRow:
    """A row of the list as the operator sees it; times are TimeType."""

    id: int
    name: str | None
    lfdi: str
    sfdi: int
    aggregator: bool
    manager: int | None
    registered: int | None
    retired: int | None
    withdrawn: int | None
    withdrawn_reason: str | None
    pin: int
    changed_time: int
    device_category: int | None
    poll_rate: int | None
    post_rate: int | None
    wished_post_rate: int | None

    @property
    def standing(self) -> str:
        """In a word: registered, listed, withdrawn or retired."""
        if self.withdrawn is not None:
            return "withdrawn"
        if self.retired is not None:
            return "retired"
        return "listed" if self.registered is None else "registered"


def listed(
    connection: sa.Connection,
    *,
    after: int = 0,
    limit: int = 50,
    numbers: Sequence[int] | None = None,
    name: str | None = None,
    lfdi: str | None = None,
    group: int | None = None,
    manager: int | None = None,
    standing: str | None = None,
    silent_since: int | None = None,
) -> list[DeviceRow]:
    """Rows of the list in the order of their numbers.

    :param after: only numbers above this one
    :param numbers: only these
    :param name: only those whose name begins with this
    :param lfdi: only the one that has this LFDI, or had it before its certificate was replaced
    :param group: only those in this group or below it
    :param silent_since: only those that were not heard of since a moment (TimeType), or never
    """
    query = sa.select(*(devices.c[column.name] for column in fields(DeviceRow)))
    query = query.where(devices.c.id > after).order_by(devices.c.id).limit(limit)
    if numbers is not None:
        query = query.where(devices.c.id.in_(numbers))
    query = query.where(*_matching(connection, name, lfdi, group, manager, standing, silent_since))
    return [DeviceRow(*row) for row in connection.execute(query)]


def number(
    connection: sa.Connection,
    *,
    name: str | None = None,
    lfdi: str | None = None,
    group: int | None = None,
    manager: int | None = None,
    standing: str | None = None,
    silent_since: int | None = None,
) -> int:
    """How many rows ``listed`` has in all."""
    matching = _matching(connection, name, lfdi, group, manager, standing, silent_since)
    return connection.scalar(sa.select(sa.func.count()).select_from(devices).where(*matching)) or 0


def _matching(
    connection: sa.Connection,
    name: str | None,
    lfdi: str | None,
    group: int | None,
    manager: int | None,
    standing: str | None,
    silent_since: int | None,
) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if name is not None:
        found.append(devices.c.name.startswith(name, autoescape=True))
    if lfdi is not None:
        before = former.find(connection, lfdi)
        found.append(devices.c.lfdi == lfdi if before is None else devices.c.id == before.device)
    if group is not None:
        found.append(devices.c.id.in_(groups.under(group)))
    if manager is not None:
        found.append(devices.c.manager == manager)
    if standing is not None:
        found.append(_STANDINGS[standing])
    if silent_since is not None:
        found.append(contacts.silent_since(silent_since))
    return found


def numbers_by_standing(connection: sa.Connection) -> dict[str, int]:
    """How many rows of the list stand how."""
    return {
        standing: connection.scalar(sa.select(sa.func.count()).select_from(devices).where(which)) or 0
        for standing, which in _STANDINGS.items()
    }
