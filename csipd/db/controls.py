"""DERControls: what was commanded is kept, what it has come to is computed when it is read.

Status, membership of lists and version of a control follow from its times, its cancellation and the other
controls of its program (der/events.py). So a GET is right to the second, whether or not anything ticked. A
control that is over is out of its list; its own href answers for a day more, the operator's history for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts, listing, schedules, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.schedules import StoredControl
from csipd.db.stored import decode
from csipd.db.tables import controls
from csipd.db.tally import Total
from csipd.der.events import ALL_CATEGORIES, Event, Status
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import MODES, EventState

_CONTROL = ROWS["DERControl"]

#: Seconds for which the href of a control answers after its end.
RETENTION = 86_400
#: The most controls of one program that are not over; more are refused.
MOST_LIVE = 1000


_ADD = Prepared(
    sa.insert(controls).values(randomized=False, body=b"").returning(controls.c.id),
    "program",
    "start",
    "duration",
    "randomize_start",
    "randomize_duration",
    "creation_time",
    "earliest",
    "latest",
    "categories",
    "modes",
    "who",
)
_COMPLETE = Prepared(
    sa.update(controls)
    .where(controls.c.id == sa.bindparam("number"))
    .values(mrid=sa.bindparam("new_mrid"), body=sa.bindparam("new_body"))
)
_LIVE_OF = Prepared(
    sa.select(sa.func.count())
    .select_from(controls)
    .where(controls.c.program == sa.bindparam("of"), controls.c.latest > sa.bindparam("now"))
)
_CONTROLS_OF = Prepared(schedules.EVENTS.where(controls.c.id.in_(sa.bindparam("numbers", expanding=True))))
_LATEST = listing.Order((controls.c.start, controls.c.id))
_BODIES = Prepared(
    sa.select(controls.c.id, controls.c.body, controls.c.reason).where(
        controls.c.id.in_(sa.bindparam("numbers", expanding=True))
    )
)


def modes_of(base: r.DERControlBase) -> list[str]:
    """The control modes that a DERControlBase sets, in the order of the standard."""
    given = vars(base)
    return [mode.name for mode in MODES if mode.name in given]


def event_of(control: r.DERControl) -> Event:
    """What the rules need of a control."""
    return Event(
        mrid=control.mRID,
        created=control.creationTime,
        start=control.interval.start,
        duration=control.interval.duration,
        modes=frozenset(modes_of(control.DERControlBase)),
        categories=ALL_CATEGORIES if control.deviceCategory is None else control.deviceCategory,
        randomize_start=control.randomizeStart or 0,
        randomize_duration=control.randomizeDuration or 0,
    )


def add(
    transaction: Transaction, issuer: Issuer, program: int, control: r.DERControl, who: str | None = None
) -> Place:
    """Keep a control of a program.

    :param control: with any mRID, which is replaced, and any EventStatus, which is computed when it is read
    :param who: the operator
    """
    connection = transaction.connection
    event = event_of(control)
    number: int = _ADD.scalar(
        connection,
        {
            "program": program,
            "start": event.start,
            "duration": event.duration,
            "randomize_start": event.randomize_start,
            "randomize_duration": event.randomize_duration,
            "creation_time": event.created,
            "earliest": event.earliest,
            "latest": event.latest,
            "categories": event.categories,
            "modes": " ".join(modes_of(control.DERControlBase)),
            "who": who,
        },
    )
    mrid = issuer.mrid(Kind.CONTROL, number)
    body = codec.encode(control.replace(mRID=mrid))
    _COMPLETE.execute(connection, {"number": number, "new_mrid": mrid, "new_body": body})
    _invalidate(transaction, program)
    return Place(_CONTROL, (program, number))


def cancel(transaction: Transaction, number: int, randomized: bool, reason: str | None, now: int) -> bool:
    """Note that a control was cancelled. False if it had been before.

    One that is cancelled in the second in which it was made is so from the next: whoever read it in between
    has read something that was true. One whose making is still to come, since the clock was set back, is
    cancelled from there on.
    """
    program = transaction.connection.scalar(
        sa.update(controls)
        .where(controls.c.id == number, controls.c.cancelled.is_(None))
        .values(
            cancelled=sa.case(
                (controls.c.creation_time > now, controls.c.creation_time),
                (controls.c.creation_time == now, now + 1),
                else_=now,
            ),
            randomized=randomized,
            reason=reason,
        )
        .returning(controls.c.program)
    )
    if program is None:
        return False
    _invalidate(transaction, program)
    return True


def _invalidate(transaction: Transaction, program: int) -> None:
    transaction.invalidate(facts.controls(program), facts.schedule(program))


def commanded(connection: sa.Connection, number: int, now: int) -> StoredControl | None:
    """A control as the operator sees it: one that was made before the clock was set back is there at once.

    It has the status that it had when it was made. Devices see it when that time comes again (case F13).
    """
    return next(iter(commanded_of(connection, [number], now)), None)


def commanded_of(connection: sa.Connection, numbers: Sequence[int], now: int) -> list[StoredControl]:
    """Controls as the operator sees them, in the order of their numbers' list; unknown ones are left out."""
    rows = _CONTROLS_OF.all(connection, {"numbers": numbers})
    found = _commanded(connection, rows, now)
    return [found[number] for number in numbers if number in found]


def find(connection: sa.Connection, number: int, now: int) -> StoredControl | None:
    """A control with its status, also when it is over; None where it is not made yet, as devices see it."""
    found = commanded(connection, number, now)
    return None if found is None or found.event.created > now else found


def _commanded(connection: sa.Connection, rows: Sequence[Any], now: int) -> dict[int, StoredControl]:
    """Controls with their status, by number.

    :param rows: of ``schedules.EVENTS``
    """
    relieved = {row.id: _relieved(row) for row in rows if row.relieved is not None}
    if relieved:
        rows = [row for row in rows if row.id not in relieved]
    made = [row for row in rows if row.creation_time <= now]
    current = [row for row in made if row.latest > now]
    programs = sorted({row.program for row in current})
    known = schedules.of(connection, programs, now) if programs else {}
    found = schedules.past(connection, [row for row in made if row.latest <= now], now)
    found |= {row.id: known[row.program].all[row.id] for row in current}
    for row in rows:
        if row.creation_time > now:
            event = schedules.event_of_row(row)
            state = EventState.SCHEDULED if event.created < event.earliest else EventState.ACTIVE
            status = Status(state, event.created, 0, None, event.latest)
            found[row.id] = StoredControl(row.id, row.program, event, status)
    return found | relieved


def _relieved(row: Any) -> StoredControl:
    """A control that is out of its list since the bus's next one superseded it: that is all it will say."""
    since = row.relieved
    status = Status(EventState.SUPERSEDED, since, row.relieved_version, row.relieved_partly, since)
    return StoredControl(row.id, row.program, schedules.event_of_row(row), status)


def get(
    connection: sa.Connection, program: int, number: int, now: int
) -> tuple[r.DERControl, int | None] | None:
    """A control of a program, and when what it says stops being true."""
    kept = find(connection, number, now)
    if kept is None or kept.program != program or kept.event.latest <= now - RETENTION:
        return None
    schedule = schedules.of(connection, [program], now)[program]
    until = kept.event.latest + RETENTION
    if schedule.until is not None:
        until = min(until, schedule.until)
    return shown(connection, [kept])[0], until


def page(
    connection: sa.Connection, program: int, part: Page, now: int, active: bool
) -> tuple[int, list[tuple[Place, r.DERControl]], int | None]:
    """A part of the DERControlList or ActiveDERControlList of a program.

    :return: how many there are (after the filter ``a``), those wanted, and when that stops being true
    """
    schedule = schedules.of(connection, [program], now)[program]
    every = [k for k in schedule.listed(active) if part.after is None or k.event.start > part.after]
    wanted = every[part.start : part.start + part.limit]
    places = [Place(_CONTROL, (program, kept.number)) for kept in wanted]
    return len(every), list(zip(places, shown(connection, wanted), strict=True)), schedule.until


def shown(connection: sa.Connection, wanted: Iterable[StoredControl]) -> list[r.DERControl]:
    """Controls as devices see them, with the status that they stand at."""
    wanted = list(wanted)
    if not wanted:
        return []
    asked = {"numbers": [kept.number for kept in wanted]}
    rows = {row.id: row for row in _BODIES.all(connection, asked)}
    return [_shown(rows[kept.number], kept.status) for kept in wanted]


def _shown(row: Any, status: Status) -> r.DERControl:
    cancelled = status.state in (EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED)
    return decode(row.body, r.DERControl, f"controls {row.id}").replace(
        version=status.version,
        EventStatus=r.EventStatus(
            currentStatus=int(status.state),
            dateTime=status.since,
            potentiallySuperseded=status.partly_since is not None,
            potentiallySupersededTime=status.partly_since,
            reason=row.reason if cancelled else None,
        ),
    )


def live(connection: sa.Connection, program: int, now: int) -> int:
    """How many controls of a program are not over."""
    found: int = _LIVE_OF.scalar(connection, {"of": program, "now": now})
    return found


def any_live(connection: sa.Connection, program: int, now: int) -> int | None:
    """A control of a program that is neither over nor cancelled, if there is one: the last to end."""
    number: int | None = connection.scalar(
        sa.select(controls.c.id)
        .where(controls.c.program == program, controls.c.latest > now, controls.c.cancelled.is_(None))
        .order_by(controls.c.latest.desc())
        .limit(1)
    )
    return number


def live_numbers(connection: sa.Connection, programs: Sequence[int], now: int) -> list[int]:
    """The controls of programs that are neither over nor cancelled nor superseded, in order."""
    query = sa.select(controls.c.id).where(
        controls.c.program.in_(programs), controls.c.latest > now, controls.c.cancelled.is_(None)
    )
    candidates = sorted(connection.scalars(query))
    if not candidates:
        return []
    known = {n: k for s in schedules.of(connection, programs, now).values() for n, k in s.all.items()}
    return [n for n in candidates if n not in known or known[n].status.state is not EventState.SUPERSEDED]


def named(numbers: Sequence[int]) -> str:
    """Controls in a sentence: all of a few, some of many."""
    first = ", ".join(f"control {number}" for number in numbers[:20])
    return first if len(numbers) <= 20 else f"{first} and {len(numbers) - 20} more"


def next_moment(connection: sa.Connection, now: int) -> int | None:
    """The next moment at which any control begins or ends."""
    moments = [
        connection.scalar(sa.select(sa.func.min(column)).where(column > now))
        for column in (controls.c.earliest, controls.c.latest)
    ]
    return min((moment for moment in moments if moment is not None), default=None)


@frozen
class LiveControls:
    """How many controls have begun and are not over, and how many are to begin; none that is cancelled.

    :param counted: None: all were counted; else of the first so many to end
    """

    active: int
    scheduled: int
    counted: int | None = None


_LIVE = (
    sa.select(controls.c.earliest)
    .where(controls.c.latest > sa.bindparam("now"), controls.c.cancelled.is_(None))
    .order_by(controls.c.latest)
    .limit(tally.MOST_COUNTED + 1)
    .subquery()
)
_LIVE_NUMBERS = sa.select(
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(sa.case((_LIVE.c.earliest <= sa.bindparam("now"), 1), else_=0)), 0),
).select_from(_LIVE)


def numbers_now(connection: sa.Connection, now: int) -> LiveControls:
    """How many controls are not over, counted up to a bound."""
    number, active = connection.execute(_LIVE_NUMBERS, {"now": now}).one()
    counted = None if number <= tally.MOST_COUNTED else tally.MOST_COUNTED
    return LiveControls(active, number - active, counted)


def changing(connection: sa.Connection, after: int, until: int) -> list[int]:
    """The programs of which a control begins or ends in a time: after one moment, up to another."""
    passed = [sa.and_(column > after, column <= until) for column in (controls.c.earliest, controls.c.latest)]
    return list(connection.scalars(sa.select(controls.c.program).distinct().where(sa.or_(*passed))))


def passing(
    connection: sa.Connection, after: int, until: int, limit: int
) -> list[tuple[int, int, str, bool, str | None]]:
    """The controls that begin or end in a time, after one moment, up to another, unless they were cancelled.

    :return: number, program, modes, whether it begins, and whose it is; in the order of what happens, so many
        at most
    """
    moments = [
        sa.select(
            controls.c.id, controls.c.program, controls.c.modes, sa.literal(begins), controls.c.who, column
        ).where(
            column > after,
            column <= until,
            sa.or_(controls.c.cancelled.is_(None), controls.c.cancelled > column),
        )
        for begins, column in ((True, controls.c.earliest), (False, controls.c.latest))
    ]
    query = sa.union_all(*moments).order_by(sa.text("6, 1")).limit(limit)
    return [
        (number, program, modes, bool(begins), who)
        for number, program, modes, begins, who, _ in connection.execute(query)
    ]


def listed(
    connection: sa.Connection,
    now: int,
    *,
    before: Sequence[int] | None = None,
    limit: int = 50,
    program: int | None = None,
    since: int | None = None,
    until: int | None = None,
    over: bool | None = None,
    cancelled: bool | None = None,
) -> tuple[list[StoredControl], tuple[int, ...] | None]:
    """Controls of the past and the future, the latest start first.

    :param before: start and number of the last one before these
    :param since: only those that end after it (TimeType)
    :param until: only those that start before it (TimeType)
    :param over: only those that have ended by the clock, or only the others
    :param cancelled: only those that the operator cancelled, or only the others
    :return: the controls, and where to go on (the next ``before``); None: there are no more. There may be
        fewer than ``limit`` though more follow
    """
    asked = _matching(now, program, since, until, over, cancelled)
    query = sa.select(controls.c.id)
    rows, following = listing.page(connection, query, _LATEST, asked, after=before, limit=limit)
    return commanded_of(connection, [number for (number,) in rows], now), following


def total(
    connection: sa.Connection,
    now: int,
    *,
    program: int | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Total:
    """How many controls ``listed`` has in all, where that can be counted."""
    return listing.total(connection, controls.c.id, _matching(now, program, since, until, None, None))


def _matching(
    now: int,
    program: int | None,
    since: int | None,
    until: int | None,
    over: bool | None,
    cancelled: bool | None,
) -> listing.Conditions:
    leading: list[sa.ColumnElement[bool]] = []
    others: list[sa.ColumnElement[bool]] = []
    if program is not None:
        leading.append(controls.c.program == program)
    if until is not None:
        leading.append(controls.c.start < until)
    if since is not None:
        others.append(controls.c.latest > since)
    if over is not None:
        others.append(controls.c.latest <= now if over else controls.c.latest > now)
    if cancelled is not None:
        others.append(controls.c.cancelled.is_not(None) if cancelled else controls.c.cancelled.is_(None))
    return listing.Conditions(leading, others)


def whose(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, str | None]:
    """Who made each of the controls."""
    query = sa.select(controls.c.id, controls.c.who).where(controls.c.id.in_(numbers))
    return {row.id: row.who for row in connection.execute(query)}


def numbers_of(connection: sa.Connection, mrids: Sequence[str]) -> dict[str, int]:
    """The numbers of controls by their mRIDs."""
    query = sa.select(controls.c.mrid, controls.c.id).where(controls.c.mrid.in_(mrids))
    return {row.mrid: row.id for row in connection.execute(query)}
