"""The list of devices as operators read it, page by page: by name, LFDI, group, manager and standing.

What two indexes have at once is not merged: the first of what is asked for leads (``listing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from attrs import evolve, fields, frozen

from csipd.db import contacts, former, group_devices, listing, tally
from csipd.db.devices import STANDINGS
from csipd.db.prepared import Prepared
from csipd.db.tables import devices, folded_name, standing_number
from csipd.db.tally import Total
from csipd.refusals import BadRequest

#: Devices of a group that are looked at where they have to fit something else, too.
_LOOKED_AT_OF_GROUP = 500
#: Greater than any character of a name.
_LAST = "\U0010ffff"


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


@frozen
class Wanted:
    """Which devices are asked for; all that is given has to fit.

    :param name: those whose name begins with this; capitals are as small letters
    :param lfdi: the one that has this LFDI, or had it before its certificate was replaced
    :param group: those in this group or below it
    :param manager: those that an aggregator manages, itself included
    :param standing: one of ``STANDINGS``
    :param silent_since: those that were not heard of since a moment (TimeType), or never
    """

    name: str | None = None
    lfdi: str | None = None
    group: int | None = None
    manager: int | None = None
    standing: str | None = None
    silent_since: int | None = None


_EVERYTHING = Wanted()
_BY_NUMBER = listing.Order((devices.c.id,), newest_first=False)
_BY_NAME = listing.Order((folded_name, devices.c.id), newest_first=False)
_COLUMNS = sa.select(*(devices.c[column.name] for column in fields(DeviceRow)))
_OF_NUMBERS = devices.c.id.in_(sa.bindparam("numbers", expanding=True))
_ROWS = Prepared(_COLUMNS.where(_OF_NUMBERS).order_by(devices.c.id))
_NAMES = Prepared(sa.select(devices.c.id, devices.c.name).where(_OF_NUMBERS))


def get(connection: sa.Connection, numbers: Sequence[int]) -> list[DeviceRow]:
    """The rows of these numbers, in their order; unknown ones are left out."""
    return [DeviceRow(*row) for row in _ROWS.all(connection, {"numbers": numbers})]


def names(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """What each of these is called: by its name, or else its number; unknown ones are left out."""
    return {number: name or str(number) for number, name in _NAMES.all(connection, {"numbers": numbers})}


def find(connection: sa.Connection, lfdi: str) -> DeviceRow | None:
    """The row of an LFDI, also of one that a device had before its certificate was replaced."""
    rows, _ = page(connection, Wanted(lfdi=lfdi), limit=1)
    return rows[0] if rows else None


def page(
    connection: sa.Connection, wanted: Wanted = _EVERYTHING, *, after: int = 0, limit: int = 50
) -> tuple[list[DeviceRow], int | None]:
    """A page of the list: in the order of names where a name is asked for, else of numbers.

    :param after: the number of the device after which it begins; 0: at the start
    :return: the rows, and the number after which the next page begins; None: nothing follows
    :raises BadRequest: it is to begin after a device that has no name, in the order of names
    """
    merged = _merged(connection, wanted, after, limit)
    if merged is not None:
        return merged
    order = _BY_NUMBER if wanted.name is None else _BY_NAME
    place = _place(connection, order, after)
    asked = _conditions(connection, wanted)
    rows, following = listing.page(connection, _COLUMNS, order, asked, after=place, limit=limit)
    return [DeviceRow(*row) for row in rows], None if following is None else following[-1]


def total(connection: sa.Connection, wanted: Wanted = _EVERYTHING) -> Total:
    """How many devices all pages have together, where that is kept or can be counted."""
    if wanted in (_EVERYTHING, Wanted(standing=wanted.standing)):
        kept = numbers_by_standing(connection)
        return Total(kept[wanted.standing] if wanted.standing is not None else sum(kept.values()))
    if wanted == Wanted(group=wanted.group):
        assert wanted.group is not None
        return tally.up_to(connection, group_devices.under(wanted.group))
    return listing.total(connection, devices.c.id, _conditions(connection, wanted))


def _merged(
    connection: sa.Connection, wanted: Wanted, after: int, limit: int
) -> tuple[list[DeviceRow], int | None] | None:
    """A page of a group's devices; None where they are better looked for in the whole list."""
    rest = evolve(wanted, group=None)
    if wanted.group is None or wanted.lfdi is not None or wanted.name is not None:
        return None
    asked = limit + 1 if rest == _EVERYTHING else max(limit + 1, _LOOKED_AT_OF_GROUP)
    numbers = group_devices.merged(connection, wanted.group, after, asked)
    if numbers is None:
        return None
    if rest == _EVERYTHING:
        rows = get(connection, numbers[:limit])
        return rows, rows[-1].id if len(numbers) > limit else None
    fitting = _conditions(connection, rest)
    query = _COLUMNS.where(devices.c.id.in_(numbers), *fitting.leading, *fitting.others)
    query = query.order_by(devices.c.id).limit(limit + 1)
    rows = [DeviceRow(*row) for row in connection.execute(query)]
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1].id
    return rows, numbers[-1] if len(numbers) == asked else None


def _conditions(connection: sa.Connection, wanted: Wanted) -> listing.Conditions:
    before = None if wanted.lfdi is None else former.find(connection, wanted.lfdi)
    of_lfdi = devices.c.lfdi == wanted.lfdi if before is None else devices.c.id == before.device
    return listing.conditions(
        None if wanted.lfdi is None else of_lfdi,
        None if wanted.name is None else _named(wanted.name),
        None if wanted.manager is None else devices.c.manager == wanted.manager,
        None if wanted.standing is None else standing_number == STANDINGS.index(wanted.standing),
        others=[
            None if wanted.group is None else group_devices.has(devices.c.id, wanted.group),
            None if wanted.silent_since is None else contacts.silent_since(wanted.silent_since),
        ],
    )


def _named(prefix: str) -> sa.ColumnElement[bool]:
    return sa.and_(folded_name >= sa.func.lower(prefix), folded_name < sa.func.lower(prefix + _LAST))


def _place(connection: sa.Connection, order: listing.Order, after: int) -> tuple[Any, ...] | None:
    """Where in the list a device is."""
    if not after:
        return None
    if order is _BY_NUMBER:
        return (after,)
    name = connection.scalar(sa.select(folded_name).where(devices.c.id == after))
    if name is None:
        raise BadRequest(f"there is no device {after} with a name to go on from")
    return name, after


def numbers_by_standing(connection: sa.Connection) -> dict[str, int]:
    """How many rows of the list stand how: kept, not counted."""
    names = {standing: tally.devices(standing) for standing in STANDINGS}
    kept = tally.numbers(connection, names.values())
    return {standing: kept[name] for standing, name in names.items()}
