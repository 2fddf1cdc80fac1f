"""DERControls: kept once, shown as the clock has them.

A control's status is not stored but computed when it is read (der/events.py), so that a GET is right to
the second whether or not anything ticked. A control that is over is out of its list; its own href
answers for a day more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from csipd.db.database import Transaction
from csipd.db.tables import controls
from csipd.der.events import Span, span, standing
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

_CONTROL = ROWS["DERControl"]
_ACTIVE = ROWS["ActiveDERControlList"]

#: Seconds for which the href of a control answers after its end.
RETENTION = 86_400


def add(transaction: Transaction, issuer: Issuer, program: int, control: r.DERControl) -> Place:
    """Keep a control of a program.

    :param control: with any mRID, which is replaced, and any EventStatus, which is computed when it is read
    """
    connection = transaction.connection
    period = _period(control)
    number = connection.scalar(
        sa.insert(controls)
        .values(
            program=program,
            start=control.interval.start,
            creation_time=control.creationTime,
            earliest=period.earliest,
            latest=period.latest,
            body=b"",
        )
        .returning(controls.c.id)
    )
    assert number is not None
    mrid = issuer.mrid(Kind.CONTROL, number)
    connection.execute(
        sa.update(controls)
        .where(controls.c.id == number)
        .values(mrid=mrid, body=codec.encode(control.replace(mRID=mrid)))
    )
    place = Place(_CONTROL, (program, number))
    transaction.touch(f"/derp/{program}/derc", f"/derp/{program}/actderc", place.href)
    return place


def get(
    connection: sa.Connection, program: int, number: int, now: int
) -> tuple[r.DERControl, int | None] | None:
    """A control of a program, and when what it says stops being true."""
    row = connection.execute(
        _CONTROLS.where(
            controls.c.id == number, controls.c.program == program, controls.c.latest > now - RETENTION
        )
    ).one_or_none()
    if row is None:
        return None
    shown, until = _shown(row, now)
    return shown, row.latest + RETENTION if until is None else until


def counts(
    connection: sa.Connection, programs: Sequence[int], now: int, active: bool
) -> tuple[dict[int, int], int | None]:
    """How many controls the lists of these programs hold, and when that stops being true.

    :param active: of their ActiveDERControlLists in place of their DERControlLists
    """
    mine = controls.c.program.in_(programs) & _listed(now, active)
    query = (
        sa.select(controls.c.program, sa.func.count(), sa.func.min(controls.c.latest))
        .where(mine)
        .group_by(controls.c.program)
    )
    found = {}
    ends = []
    for program, number, latest in connection.execute(query):
        found[program] = number
        ends.append(latest)
    if active:
        ends += _starts(connection, programs, now)
    return found, min(ends, default=None)


def page(
    connection: sa.Connection, program: int, part: Page, now: int, active: bool
) -> tuple[int, list[tuple[Place, r.DERControl]], int | None]:
    """A part of the DERControlList or ActiveDERControlList of a program.

    Ordered by interval.start, then creationTime, newest first, then mRID, highest first.

    :return: how many there are (after the filter ``a``), those wanted, and when that stops being true
    """
    mine = (controls.c.program == program) & _listed(now, active)
    ends = [connection.scalar(sa.select(sa.func.min(controls.c.latest)).where(mine))]
    if active:
        ends += _starts(connection, [program], now)
    if part.after is not None:
        mine &= controls.c.start > part.after
    total = connection.scalar(sa.select(sa.func.count()).select_from(controls).where(mine)) or 0
    found = []
    if part.start < total and part.limit:
        query = (
            _CONTROLS.where(mine)
            .order_by(controls.c.start, controls.c.creation_time.desc(), controls.c.mrid.desc())
            .limit(part.limit)
            .offset(part.start)
        )
        for row in connection.execute(query):
            shown, until = _shown(row, now)
            ends.append(until)
            found.append((Place(_CONTROL, (program, row.id)), shown))
    return total, found, min((end for end in ends if end is not None), default=None)


_CONTROLS = sa.select(
    controls.c.id, controls.c.earliest, controls.c.latest, controls.c.creation_time, controls.c.body
)


def _listed(now: int, active: bool) -> sa.ColumnElement[bool]:
    listed: sa.ColumnElement[bool] = controls.c.latest > now
    return sa.and_(listed, controls.c.earliest <= now) if active else listed


def _starts(connection: sa.Connection, programs: Sequence[int], now: int) -> list[int]:
    """When the next control of these programs becomes active, as a list of one or none."""
    start = connection.scalar(
        sa.select(sa.func.min(controls.c.earliest)).where(
            controls.c.program.in_(programs), controls.c.earliest > now
        )
    )
    return [] if start is None else [start]


def _period(control: r.DERControl) -> Span:
    return span(
        control.interval.start,
        control.interval.duration,
        control.randomizeStart or 0,
        control.randomizeDuration or 0,
    )


def _shown(row: sa.Row[*tuple[Any, ...]], now: int) -> tuple[r.DERControl, int | None]:
    control = codec.decode(row.body, r.DERControl)
    stands = standing(Span(row.earliest, row.latest), row.creation_time, now)
    status = control.EventStatus.replace(currentStatus=int(stands.status), dateTime=stands.since)
    return control.replace(EventStatus=status), stands.until
