"""The ResponseList: a caller's own Responses, and those of an aggregator's fleet (IEEE 2030.5-2018 8.8)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from attrs import asdict, frozen

from csipd.db import devices, fleet_counts, skipping
from csipd.db.prepared import Prepared
from csipd.db.responses import SET
from csipd.db.stored import decode
from csipd.db.tables import responses
from csipd.der.access import Caller
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

_ITEM = ROWS["Response"]

# As everywhere, an optional time that is absent counts as 0, spelled as the index has it.
_created_time = sa.func.coalesce(responses.c.created_time, sa.literal_column("0"))
_LATER = _created_time > sa.bindparam("after", type_=sa.BigInteger)
_ORDER = (_created_time.desc(), responses.c.lfdi, responses.c.id.desc())


def _seen_by(aggregator: bool) -> sa.ColumnElement[bool]:
    """Of the caller or its fleet."""
    if aggregator:
        return responses.c.fleet == sa.bindparam("asker")
    return responses.c.device.in_(devices.visible_to(aggregator=False))


def _page(aggregator: bool) -> sa.Select[Any]:
    """In the order of a ResponseList: by createdDateTime, then endDeviceLFDI (8.8)."""
    return (
        sa.select(responses.c.id, responses.c.body, _created_time.label("created"), responses.c.lfdi)
        .where(_seen_by(aggregator))
        .order_by(*_ORDER)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .offset(sa.bindparam("start", type_=sa.Integer))
    )


#: Before every TimeType.
_EVER = -1
# By whether an aggregator asks.
_BODY = {
    aggregator: Prepared(
        sa.select(responses.c.body).where(responses.c.id == sa.bindparam("number"), _seen_by(aggregator))
    )
    for aggregator in (False, True)
}
_COUNT = {
    aggregator: Prepared(
        sa.select(sa.func.count()).select_from(responses).where(_seen_by(aggregator), _LATER)
    )
    for aggregator in (False, True)
}
_PAGE = {aggregator: Prepared(_page(aggregator).where(_LATER)) for aggregator in (False, True)}
# The same of a fleet from the other end.
_BACKWARDS = Prepared(
    _page(aggregator=True)
    .where(_LATER)
    .order_by(None)
    .order_by(_created_time, responses.c.lfdi.desc(), responses.c.id)
)
_ENDS = skipping.BothEnds(_PAGE[True], _BACKWARDS)
_THEN = _created_time == sa.bindparam("created")
# What comes behind a Response of a fleet, in three statements: each begins at its place in the index. What
# all rows of one have in common is left out of its order: SQLite would sort them.
_BEHIND = tuple(
    Prepared(_page(aggregator=True).where(*where).order_by(None).order_by(*order))
    for where, order in (
        (
            (_THEN, responses.c.lfdi == sa.bindparam("lfdi"), responses.c.id < sa.bindparam("number")),
            (responses.c.id.desc(),),
        ),
        ((_THEN, responses.c.lfdi > sa.bindparam("lfdi")), (responses.c.lfdi, responses.c.id.desc())),
        ((_created_time < sa.bindparam("created"), _LATER), _ORDER),
    )
)


@frozen
class Position:
    """A Response by what the list is ordered by: the ones behind it are sought on the index."""

    created: int
    lfdi: str
    number: int


def get(connection: sa.Connection, asker: Caller, number: int) -> r.Response | None:
    """A Response of the caller or its fleet."""
    body = _BODY[asker.aggregator].scalar(connection, {"number": number, "asker": asker.device})
    return None if body is None else decode(body, r.Response, "responses")


def count(connection: sa.Connection, asker: Caller, after: int | None = None) -> int:
    """How many Responses this caller sees, or of these were created after a moment."""
    if after is None and asker.aggregator and asker.device is not None:
        return fleet_counts.number(connection, fleet_counts.responses_of(asker.device))
    asked = {"asker": asker.device, "after": _EVER if after is None else after}
    found: int = _COUNT[asker.aggregator].scalar(connection, asked)
    return found


def page(
    connection: sa.Connection,
    asker: Caller,
    part: Page,
    behind: Position | None = None,
    total: int | None = None,
) -> tuple[int, list[tuple[Place, r.Response]], Position | None]:
    """A part of the ResponseList as this caller sees it: its own Responses, and those of its fleet.

    Ordered by createdDateTime, the newest first and those without one last, then endDeviceLFDI (8.8).

    :param behind: the Response right before the part of a fleet's, where that is known: what comes before the
        part is then not passed over
    :param total: how many there are (after the filter ``a``), where that is known
    :return: how many there are, those wanted with their places, and the position of the last of these
    """
    if total is None:
        total = count(connection, asker, part.after)
    if part.start >= total or not part.limit:
        return total, [], None
    asked = {"asker": asker.device, "after": _EVER if part.after is None else part.after}
    if behind is not None:
        rows = skipping.in_turn(connection, _BEHIND, {**asked, **asdict(behind), "start": 0}, part.limit)
    elif asker.aggregator:
        rows = _ENDS.rows(connection, asked, part, total)
    else:
        rows = _PAGE[False].all(connection, asked | {"limit": part.limit, "start": part.start})
    last = Position(rows[-1].created, rows[-1].lfdi, rows[-1].id) if rows else None
    shown = [
        (Place(_ITEM, (SET, row.id)), decode(row.body, r.Response, f"responses {row.id}")) for row in rows
    ]
    return total, shown, last
