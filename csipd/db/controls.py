"""DERControls: kept once, shown as the clock has them.

A control's status is not stored but computed when it is read (der/events.py), so that a GET is right to
the second whether or not anything ticked. A control that is over is out of its list; its own href
answers for a day more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

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


# Statements that every poll asks are built once: to build one costs ten times what it takes to execute it.
_CONTROLS = sa.select(
    controls.c.id, controls.c.earliest, controls.c.latest, controls.c.creation_time, controls.c.body
)
_NOT_OVER = controls.c.latest > sa.bindparam("now")
_BEGUN = controls.c.earliest <= sa.bindparam("now")
_OF_PROGRAMS = controls.c.program.in_(sa.bindparam("programs", expanding=True))
_CONTROL_OF = _CONTROLS.where(
    controls.c.id == sa.bindparam("number"), controls.c.program == sa.bindparam("program"), _NOT_OVER
)
_NEXT_START = sa.select(sa.func.min(controls.c.earliest)).where(
    _OF_PROGRAMS, controls.c.earliest > sa.bindparam("now")
)
#: What is in a list: the active ones alone, or all that are not over.
_LISTED = {True: _OF_PROGRAMS & _NOT_OVER & _BEGUN, False: _OF_PROGRAMS & _NOT_OVER}
_TALLIES = (
    sa.select(
        controls.c.program,
        sa.func.count(),
        sa.func.count(sa.case((_BEGUN, 1))),
        sa.func.min(controls.c.latest),
        sa.func.min(sa.case((~_BEGUN, controls.c.earliest))),
    )
    .where(_OF_PROGRAMS, _NOT_OVER)
    .group_by(controls.c.program)
)
_WHOLE = {
    active: sa.select(sa.func.count(), sa.func.min(controls.c.latest)).where(listed)
    for active, listed in _LISTED.items()
}
_PAGE = {
    active: _CONTROLS.where(listed)
    .order_by(controls.c.start, controls.c.creation_time.desc(), controls.c.mrid.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
    for active, listed in _LISTED.items()
}
_LATER = controls.c.start > sa.bindparam("after")


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
    asked = {"number": number, "program": program, "now": now - RETENTION}
    row = connection.execute(_CONTROL_OF, asked).one_or_none()
    if row is None:
        return None
    shown, until = _shown(row, now)
    return shown, row.latest + RETENTION if until is None else until


@frozen
class Tally:
    """How many controls of a program are listed and active, and when that stops being true."""

    listed: int = 0
    active: int = 0
    until: int | None = None


def tallies(connection: sa.Connection, programs: Sequence[int], now: int) -> dict[int, Tally]:
    """The controls of these programs, counted; programs without any are left out."""
    return {
        program: Tally(listed, active, _first((end, start)))
        for program, listed, active, end, start in connection.execute(
            _TALLIES, {"programs": programs, "now": now}
        )
    }


def page(
    connection: sa.Connection, program: int, part: Page, now: int, active: bool
) -> tuple[int, list[tuple[Place, r.DERControl]], int | None]:
    """A part of the DERControlList or ActiveDERControlList of a program.

    Ordered by interval.start, then creationTime, newest first, then mRID, highest first.

    :return: how many there are (after the filter ``a``), those wanted, and when that stops being true
    """
    asked: dict[str, object] = {"programs": [program], "now": now}
    total, first_end = connection.execute(_WHOLE[active], asked).one()
    ends = [first_end]
    if active:
        ends.append(connection.scalar(_NEXT_START, asked))
    query = _PAGE[active]
    if part.after is not None:
        asked["after"] = part.after
        query = query.where(_LATER)
        total = connection.execute(_WHOLE[active].where(_LATER), asked).one()[0]
    found = []
    if part.start < total and part.limit:
        asked |= {"limit": part.limit, "start": part.start}
        for row in connection.execute(query, asked):
            shown, until = _shown(row, now)
            ends.append(until)
            found.append((Place(_CONTROL, (program, row.id)), shown))
    return total, found, _first(ends)


def _first(moments: Iterable[int | None]) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)


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
