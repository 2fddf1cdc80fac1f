"""Log events of devices, and the alarms that they raise and clear.

A log event is looked at in the transaction that stores it, so that an alarm is open once its device has its
answer (decision 21). A device's list holds so many log events; the operator's history has those besides that
the device deleted, as many again. What goes when there is no more room is what came first: a device whose
clock is wrong would otherwise lose what it has just sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import evolve, frozen

from csipd.db import audit, facts, listing, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import alarms as alarm_table
from csipd.db.tables import devices as device_table
from csipd.db.tables import logevents
from csipd.db.tally import Total
from csipd.der import alarms as rules
from csipd.der.alarms import AlarmChange, AlarmEvent, AlarmPeriod
from csipd.refusals import Conflict, NotFound
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import LogProfile

#: Alarms that are over and kept for each device.
MOST_OVER = 1000
#: What one sweep works off of each kind; the rest waits for the next.
_AT_ONCE = 1000
#: Log events that one sweep goes over, at least: meanwhile nothing else is written.
_LOOKED_AT = 20_000

_LIST = ROWS["LogEventList"]
_ITEM = ROWS["LogEvent"]

_SAME = Prepared(
    sa.select(logevents.c.id, logevents.c.hidden).where(
        *(
            logevents.c[name] == sa.bindparam(name)
            for name in ("device", "created_time", "event_id", "pen", "profile", "function_set", "code")
        )
    )
)
_ADD = Prepared(
    sa.insert(logevents).returning(logevents.c.id),
    *(column.name for column in logevents.columns if column is not logevents.c.id),
)
_COUNTS = Prepared(
    sa.select(logevents.c.device, sa.func.count().label("number"))
    .where(logevents.c.device.in_(sa.bindparam("devices", expanding=True)), sa.not_(logevents.c.hidden))
    .group_by(logevents.c.device)
)
_LISTED = sa.and_(logevents.c.device == sa.bindparam("device"), sa.not_(logevents.c.hidden))
_LATER = logevents.c.created_time > sa.bindparam("after")
_THIS = logevents.c.id == sa.bindparam("number")
_BODY = Prepared(sa.select(logevents.c.body).where(_LISTED, _THIS))
_COUNT_LATER = Prepared(sa.select(sa.func.count()).select_from(logevents).where(_LISTED, _LATER))
# The newest first: by createdDateTime, then logEventID (9.6).
_MEMBERS = (
    sa.select(logevents.c.id, logevents.c.body)
    .where(_LISTED)
    .order_by(logevents.c.created_time.desc(), logevents.c.event_id.desc(), logevents.c.id.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_PAGE = Prepared(_MEMBERS)
_PAGE_LATER = Prepared(_MEMBERS.where(_LATER))
_HIDE = Prepared(
    sa.update(logevents)
    .where(_THIS, logevents.c.device == sa.bindparam("owner"), sa.not_(logevents.c.hidden))
    .values(hidden=True)
)
_SHOW = Prepared(sa.update(logevents).where(_THIS).values(hidden=False))
_BEYOND = (
    sa.select(logevents.c.id)
    .where(logevents.c.device == sa.bindparam("device"), logevents.c.hidden == sa.bindparam("hidden"))
    .order_by(logevents.c.id.desc())
    .limit(_AT_ONCE)
    .offset(sa.bindparam("keep", type_=sa.Integer))
)
_AGE = Prepared(sa.delete(logevents).where(logevents.c.id.in_(_BEYOND)).returning(logevents.c.id))
_AHEAD = Prepared(
    sa.select(alarm_table.c.id, alarm_table.c.raised, alarm_table.c.cleared, alarm_table.c.closed_by)
    .where(
        *(alarm_table.c[name] == sa.bindparam(name) for name in ("device", "function_set", "code")),
        sa.or_(alarm_table.c.cleared.is_(None), alarm_table.c.cleared > sa.bindparam("at")),
    )
    .order_by(alarm_table.c.raised)
    .limit(1)
)
_OPEN = Prepared(sa.insert(alarm_table), "device", "function_set", "code", "raised", "cleared", "details")
_MOVE = Prepared(
    sa.update(alarm_table).where(alarm_table.c.id == sa.bindparam("number")), "raised", "cleared", "closed_by"
)
_OVER_BEYOND = (
    sa.select(alarm_table.c.id)
    .where(alarm_table.c.device == sa.bindparam("device"), alarm_table.c.cleared.is_not(None))
    .order_by(alarm_table.c.id.desc())
    .limit(_AT_ONCE)
    .offset(sa.bindparam("keep", type_=sa.Integer))
)
_AGE_ALARMS = Prepared(sa.delete(alarm_table).where(alarm_table.c.id.in_(_OVER_BEYOND)))
#: As der/alarms.py's ``happened`` has it.
_HAPPENED = sa.case(
    (logevents.c.created_time < logevents.c.received, logevents.c.created_time), else_=logevents.c.received
)
_NEXT = Prepared(
    sa.select(sa.func.min(_HAPPENED)).where(
        *(logevents.c[name] == sa.bindparam(name) for name in ("device", "function_set", "code")),
        logevents.c.profile == int(LogProfile.IEEE_2030_5),
        sa.bindparam("after") < _HAPPENED,
    )
)
_DATED_AHEAD = Prepared(
    sa.select(logevents.c.id).where(
        *(logevents.c[name] == sa.bindparam(name) for name in ("device", "function_set", "code")),
        logevents.c.received == sa.bindparam("raised"),
        logevents.c.created_time > logevents.c.received,
    )
)
_WHOSE = Prepared(
    sa.select(device_table.c.name, device_table.c.lfdi).where(device_table.c.id == sa.bindparam("device"))
)


@frozen
class StoredLogEvent:
    """A log event in the operator's history.

    :param hidden: whether its device deleted it
    :param received: TimeType
    """

    number: int
    device: int
    event: r.LogEvent
    hidden: bool
    received: int


@frozen
class Alarm:
    """An alarm of a device.

    :param code: the logEventCode that raises it
    :param raised: TimeType, by the device's clock where that does not run ahead
    :param cleared: likewise; None while it is open
    :param details: of the log event that raised it
    :param closed_by: the operator who closed it; None: its device cleared it, or it is open
    """

    number: int
    device: int
    function_set: int
    code: int
    raised: int
    cleared: int | None
    details: str | None
    closed_by: str | None

    @property
    def name(self) -> str:
        """For people."""
        return rules.name(self.function_set, self.code)


@frozen
class SweepResult:
    """What a sweep did.

    :param kept: log events that there are of the devices that it came to
    :param aged: of those that were too many, how many went
    :param classified: how many had not been looked at for alarms
    :param open: alarms that are open
    :param following: the device after which the rest comes; None: it came to all
    """

    kept: int
    aged: int
    classified: int
    open: int
    following: int | None = None


# What devices do.


def post(transaction: Transaction, device: int, event: r.LogEvent, keep: int, now: int) -> Place:
    """Keep a log event of a device, and see what it does to the device's alarms.

    One that the device posted before is the one that there is already, in its list again if it was deleted.

    :param keep: how many the device's list holds
    """
    connection = transaction.connection
    content = {
        "device": device,
        "created_time": event.createdDateTime,
        "event_id": event.logEventID,
        "pen": event.logEventPEN,
        "profile": event.profileID,
        "function_set": event.functionSet,
        "code": event.logEventCode,
    }
    again = _SAME.first(connection, content)
    if again is not None:
        if again.hidden:
            _SHOW.execute(connection, {"number": again.id})
            _invalidate(transaction, device, [again.id])
            _age(transaction, device, False, keep)
        return Place(_ITEM, (device, again.id))
    number: int = _ADD.scalar(
        connection,
        {
            **content,
            "hidden": False,
            "classified": True,
            "received": now,
            "body": codec.encode(event, extensions=True),
        },
    )
    _classify(transaction, device, event, now)
    _invalidate(transaction, device, [number])
    _age(transaction, device, False, keep)
    return Place(_ITEM, (device, number))


def hide(transaction: Transaction, device: int, number: int, keep: int) -> None:
    """Take a log event out of the list of its device (decision 3).

    :raises NotFound: it is not there
    """
    if not _HIDE.execute(transaction.connection, {"owner": device, "number": number}):
        raise NotFound(_ITEM.href((device, number)))
    _invalidate(transaction, device, [number])
    _age(transaction, device, True, keep)


def get(connection: sa.Connection, device: int, number: int) -> r.LogEvent | None:
    """A log event that is in the list of its device."""
    body = _BODY.scalar(connection, {"device": device, "number": number})
    return None if body is None else decode(body, r.LogEvent, f"/edev/{device}/lel/{number}")


def counts(connection: sa.Connection, devices: Sequence[int]) -> Mapping[int, int]:
    """How many log events the list of each device holds; devices without any are left out."""
    return dict(_COUNTS.all(connection, {"devices": devices}))


def page(connection: sa.Connection, device: int, part: Page) -> tuple[int, list[tuple[Place, r.LogEvent]]]:
    """A part of the list of a device, the newest first: by createdDateTime, then logEventID (9.6).

    :return: how many there are (after the filter ``a``), and those wanted with their places
    """
    asked = {"device": device, "after": part.after, "limit": part.limit, "start": part.start}
    if part.after is None:
        query, total = _PAGE, counts(connection, [device]).get(device, 0)
    else:
        query, total = _PAGE_LATER, _COUNT_LATER.scalar(connection, asked)
    if part.start >= total or not part.limit:
        return total, []
    return total, [
        (Place(_ITEM, (device, row.id)), decode(row.body, r.LogEvent, f"logevents {row.id}"))
        for row in query.all(connection, asked)
    ]


def _age(transaction: Transaction, device: int, hidden: bool, keep: int) -> int:
    """Remove what came first of the list of a device, or of what it deleted, beyond so many."""
    gone = _AGE.scalars(transaction.connection, {"device": device, "hidden": hidden, "keep": keep})
    if gone and not hidden:
        _invalidate(transaction, device, gone)
    return len(gone)


def _invalidate(transaction: Transaction, device: int, numbers: Sequence[int]) -> None:
    transaction.invalidate(
        facts.list_of(_LIST.href((device,))),
        *(facts.document(_ITEM.href((device, number))) for number in numbers),
    )


# What alarms follow.


def _classify(transaction: Transaction, device: int, event: r.LogEvent, received: int) -> None:
    """Raise or clear an alarm where a log event says so."""
    signal = rules.classify(event)
    if signal is None:
        return
    connection, at = transaction.connection, rules.happened(event.createdDateTime, received)
    _remark(transaction, device, signal, event)
    if signal.clears is None:
        _open(transaction, device, signal, AlarmPeriod(at, at), event.details)
        return
    this = {"device": device, "function_set": signal.function_set, "code": signal.code, "at": at}
    row = _AHEAD.first(connection, this)
    ahead = None if row is None else AlarmPeriod(row.raised, row.cleared)
    if signal.turn is AlarmChange.RAISED:
        outcome = rules.raised(at, ahead, _next(connection, device, signal, signal.clears, at))
        details = event.details
    else:
        if ahead is not None and at < ahead.raised <= at + rules.SKEW:
            dated_ahead = _DATED_AHEAD.scalar(connection, {**this, "raised": ahead.raised})
            at = at if dated_ahead is None else ahead.raised
        outcome = rules.cleared(at, ahead, _next(connection, device, signal, signal.code, at))
        details = None
    if row is not None and outcome.ahead is not None and outcome.ahead != ahead:
        kept = ahead is not None and ahead.cleared == outcome.ahead.cleared
        values = {
            "number": row.id,
            "raised": outcome.ahead.raised,
            "cleared": outcome.ahead.cleared,
            # Where that is new, it was its device that cleared it after all.
            "closed_by": row.closed_by if kept else None,
        }
        _MOVE.execute(connection, values)
        _age_alarms(connection, device, outcome.ahead)
        opened = (outcome.ahead.cleared is None) - (row.cleared is None)
        if opened:
            tally.change(transaction, tally.OPEN_ALARMS, opened)
    if outcome.made is not None:
        _open(transaction, device, signal, outcome.made, details)


def _remark(transaction: Transaction, device: int, signal: AlarmEvent, event: r.LogEvent) -> None:
    """A line for the log: what is wrong with a device, or is over."""
    row = _WHOSE.first(transaction.connection, {"device": device})
    transaction.remark(
        "alarm",
        "{name} (LFDI {peer}) {says}: {alarm}, {details!r}"
        if event.details
        else "{name} (LFDI {peer}) {says}: {alarm}",
        peer=row.lfdi,
        name=row.name or f"device {device}",
        says="raised an alarm" if signal.turn is AlarmChange.RAISED else "cleared an alarm",
        alarm=signal.name,
        # In quotes and with what is not printable escaped: it is the device's text.
        details=event.details,
    )


def _next(connection: sa.Connection, device: int, signal: AlarmEvent, code: int, after: int) -> int | None:
    """When a log event of a code was first created after a moment."""
    asked = {"device": device, "function_set": signal.function_set, "code": code, "after": after}
    found: int | None = _NEXT.scalar(connection, asked)
    return found


def _open(
    transaction: Transaction, device: int, signal: AlarmEvent, episode: AlarmPeriod, details: str | None
) -> None:
    connection = transaction.connection
    if episode.cleared is None:
        tally.change(transaction, tally.OPEN_ALARMS, 1)
    _OPEN.execute(
        connection,
        {
            "device": device,
            "function_set": signal.function_set,
            "code": signal.code,
            "raised": episode.raised,
            "cleared": episode.cleared,
            "details": details,
        },
    )
    _age_alarms(connection, device, episode)


def _age_alarms(connection: sa.Connection, device: int, changed: AlarmPeriod) -> None:
    """Where an alarm is over now, remove what came first of the device's that are, beyond so many."""
    if changed.cleared is not None:
        _AGE_ALARMS.execute(connection, {"device": device, "keep": MOST_OVER})


# What the scheduler does.


def sweep(transaction: Transaction, keep: int, after: int = 0) -> SweepResult:
    """Age out what is beyond the number for each device, and look at what was missed: of some devices.

    Nothing is beyond it but after the number was lowered; nothing is missed but what another release, or
    another tool, put there.

    :param keep: how many log events the list of each device holds
    :param after: only devices of greater numbers
    """
    connection = transaction.connection
    classified = _classify_missed(transaction)
    some = logevents.c.device > after
    last = sa.select(logevents.c.device).where(some).order_by(logevents.c.device)
    following: int | None = connection.scalar(last.limit(1).offset(_LOOKED_AT - 1))
    if following is not None:
        some = sa.and_(some, logevents.c.device <= following)
    aged = 0
    beyond = (
        sa.select(logevents.c.device, logevents.c.hidden)
        .where(some)
        .group_by(logevents.c.device, logevents.c.hidden)
        .having(sa.func.count() > keep)
        .limit(_AT_ONCE)
    )
    for row in connection.execute(beyond).all():
        aged += _age(transaction, row.device, row.hidden, keep)
    kept = connection.scalar(sa.select(sa.func.count()).select_from(logevents).where(some)) or 0
    return SweepResult(kept, aged, classified, open_alarms(connection), following)


def _classify_missed(transaction: Transaction) -> int:
    """Look at the log events that were not looked at for alarms, in the order of when they happened."""
    connection = transaction.connection
    missed = connection.execute(
        sa.select(logevents.c.id, logevents.c.device, logevents.c.body, logevents.c.received)
        .where(sa.not_(logevents.c.classified))
        .order_by(_HAPPENED, logevents.c.event_id, logevents.c.id)
        .limit(_AT_ONCE)
    ).all()
    for row in missed:
        _classify(transaction, row.device, decode(row.body, r.LogEvent, f"logevents {row.id}"), row.received)
    done = [row.id for row in missed]
    connection.execute(sa.update(logevents).where(logevents.c.id.in_(done)).values(classified=True))
    return len(done)


# What the operator sees.


def listed(
    connection: sa.Connection,
    *,
    device: int,
    since: int | None = None,
    until: int | None = None,
    before: int | None = None,
    limit: int = 100,
) -> tuple[list[StoredLogEvent], int | None]:
    """A page of the log events of a device, also those that it deleted, the last to come first.

    :param since: only those that came from this time on
    :param until: only those that came before this time
    :param before: only those of lower numbers
    :return: the log events, and before which the next page begins; None: nothing follows. There may be fewer
        than ``limit`` though more follow
    """
    after = None if before is None else (before,)
    asked = _log_of(device, since, until)
    rows, following = listing.page(connection, _STORED, _NEWEST, asked, after=after, limit=limit)
    return _stored(rows), None if following is None else following[0]


def received(
    connection: sa.Connection,
    *,
    since: int | None = None,
    until: int | None = None,
    device: int | None = None,
    after: Sequence[int] | None = None,
    limit: int = 500,
) -> tuple[list[StoredLogEvent], Sequence[int] | None]:
    """Log events that came in a period, of one device or of all, in the order in which they came.

    :param since: from this time on
    :param until: before this time
    :param after: the place that they begin after
    :return: the log events, and the place after which the rest begins; None: nothing follows. There may be
        fewer than ``limit`` though more follow
    """
    if device is None:
        order = _BY_RECEIPT
        asked = listing.conditions(listing.period(logevents.c.received, since, until))
    else:
        order, asked = _OLDEST, _log_of(device, since, until)
    rows, following = listing.page(connection, _STORED, order, asked, after=after, limit=limit)
    return _stored(rows), following


def _log_of(device: int, since: int | None, until: int | None) -> listing.Conditions:
    return listing.conditions(
        logevents.c.device == device, others=[listing.period(logevents.c.received, since, until)]
    )


def _stored(rows: Sequence[Any]) -> list[StoredLogEvent]:
    return [
        StoredLogEvent(number, of, decode(body, r.LogEvent, f"logevents {number}"), hidden, received)
        for number, of, body, hidden, received in rows
    ]


_STORED = sa.select(
    logevents.c.id, logevents.c.device, logevents.c.body, logevents.c.hidden, logevents.c.received
)
_NEWEST = listing.Order((logevents.c.id,))
_OLDEST = listing.Order((logevents.c.id,), newest_first=False)
_BY_RECEIPT = listing.Order((logevents.c.received, logevents.c.id), newest_first=False)
_NEWEST_ALARMS = listing.Order((alarm_table.c.id,))
_OLDEST_ALARMS = listing.Order((alarm_table.c.id,), newest_first=False)
_ALARMS_AS_RAISED = listing.Order((alarm_table.c.raised, alarm_table.c.id), newest_first=False)
_ALARM = sa.select(
    alarm_table.c.id,
    alarm_table.c.device,
    alarm_table.c.function_set,
    alarm_table.c.code,
    alarm_table.c.raised,
    alarm_table.c.cleared,
    alarm_table.c.details,
    alarm_table.c.closed_by,
)


def alarms(
    connection: sa.Connection,
    *,
    device: int | None = None,
    open: bool | None = None,
    before: int | None = None,
    limit: int = 100,
) -> tuple[list[Alarm], int | None]:
    """A page of alarms, the last to come first.

    :param device: of one device; None: of all
    :param open: True: those that are open; False: those that are over; None: all
    :param before: only those of lower numbers
    :return: the alarms, and before which the next page begins; None: nothing follows. There may be fewer than
        ``limit`` though more follow
    """
    after = None if before is None else (before,)
    rows, following = listing.page(
        connection, _ALARM, _NEWEST_ALARMS, _alarms_of(device, open), after=after, limit=limit
    )
    return [Alarm(*row) for row in rows], None if following is None else following[0]


def raised(
    connection: sa.Connection,
    *,
    since: int | None = None,
    until: int | None = None,
    device: int | None = None,
    after: Sequence[int] | None = None,
    limit: int = 500,
) -> tuple[list[Alarm], Sequence[int] | None]:
    """Alarms that were raised in a period, of one device or of all, in the order in which they were.

    :param since: from this time on
    :param until: before this time
    :param after: the place that they begin after
    :return: the alarms, and the place after which the rest begins; None: nothing follows. There may be fewer
        than ``limit`` though more follow
    """
    period = listing.period(alarm_table.c.raised, since, until)
    if device is None:
        order, asked = _ALARMS_AS_RAISED, listing.conditions(period)
    else:
        order = _OLDEST_ALARMS
        asked = listing.conditions(alarm_table.c.device == device, others=[period])
    rows, following = listing.page(connection, _ALARM, order, asked, after=after, limit=limit)
    return [Alarm(*row) for row in rows], following


def alarm(connection: sa.Connection, number: int) -> Alarm | None:
    """The alarm of a number."""
    row = connection.execute(_ALARM.where(alarm_table.c.id == number)).one_or_none()
    return None if row is None else Alarm(*row)


def close(transaction: Transaction, number: int, who: str, now: int) -> Alarm:
    """Close an alarm whose device does not clear it. The same alarm, raised later, is another one.

    :param who: the operator
    :raises NotFound: there is no such alarm
    :raises Conflict: it is over already
    """
    connection = transaction.connection
    found = alarm(connection, number)
    if found is None:
        raise NotFound(f"there is no alarm {number}")
    if found.cleared is not None:
        raise Conflict(f"alarm {number} is over already")
    # An alarm of before a date ahead counted as its receipt may begin later than it is closed.
    values: dict[str, Any] = {"raised": min(found.raised, now), "cleared": now, "closed_by": who}
    connection.execute(sa.update(alarm_table).where(alarm_table.c.id == number).values(**values))
    tally.change(transaction, tally.OPEN_ALARMS, -1)
    subject = f"/edev/{found.device}"
    audit.record(transaction, now, who, "close alarm", subject, f"{number}: {found.name}")
    _age_alarms(connection, found.device, AlarmPeriod(values["raised"], now))
    return evolve(found, **values)


def open_alarms(connection: sa.Connection) -> int:
    """How many alarms are open."""
    return tally.numbers(connection, [tally.OPEN_ALARMS])[tally.OPEN_ALARMS]


def total_of_alarms(connection: sa.Connection, device: int | None = None, open: bool | None = None) -> Total:
    """How many alarms ``alarms`` has in all, where that is kept or can be counted."""
    if open and device is None:
        return Total(open_alarms(connection))
    return listing.total(connection, alarm_table.c.id, _alarms_of(device, open))


def total_of_events(
    connection: sa.Connection, device: int, since: int | None = None, until: int | None = None
) -> Total:
    """How many log events of a device ``listed`` has in all."""
    return listing.total(connection, logevents.c.id, _log_of(device, since, until))


def _alarms_of(device: int | None, open: bool | None) -> listing.Conditions:
    return listing.conditions(
        None if device is None else alarm_table.c.device == device,
        alarm_table.c.cleared.is_(None) if open else None,
        others=[alarm_table.c.cleared.is_not(None) if open is False else None],
    )
