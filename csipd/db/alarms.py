"""Alarms of devices: what log events raise and clear, what is missing or disobeyed, and what operators close.

A log event is looked at in the transaction that stores it, so that an alarm is open once its device has its
answer (decision 21). When what happened is a rule of ``csipd.der.alarms``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from attrs import evolve, frozen

from csipd.db import audit, listing, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import alarms as alarm_table
from csipd.db.tables import devices as device_table
from csipd.db.tables import logevents
from csipd.db.tally import Total
from csipd.der import alarms as rules
from csipd.der.alarms import AlarmChange, AlarmEvent, AlarmPeriod
from csipd.refusals import Conflict, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.types import LogProfile

#: Alarms that are over and kept for each device, of those that it reported and of those that the server
#: itself has found.
MOST_OVER = 1000
#: Of those that are beyond it, how many go at once.
_AT_ONCE = 1000

_AHEAD = Prepared(
    sa.select(alarm_table.c.id, alarm_table.c.raised, alarm_table.c.cleared, alarm_table.c.closed_by)
    .where(
        *(alarm_table.c[name] == sa.bindparam(name) for name in ("device", "function_set", "code")),
        sa.or_(alarm_table.c.cleared.is_(None), alarm_table.c.cleared > sa.bindparam("at")),
    )
    .order_by(alarm_table.c.raised)
    .limit(1)
)
_ADD = Prepared(sa.insert(alarm_table), "device", "function_set", "code", "raised", "cleared", "details")
_MOVE = Prepared(
    sa.update(alarm_table).where(alarm_table.c.id == sa.bindparam("number")), "raised", "cleared", "closed_by"
)


def _age_of(whose: sa.ColumnElement[bool]) -> Prepared:
    beyond = (
        sa.select(alarm_table.c.id)
        .where(alarm_table.c.device == sa.bindparam("device"), alarm_table.c.cleared.is_not(None), whose)
        .order_by(alarm_table.c.id.desc())
        .limit(_AT_ONCE)
        .offset(sa.bindparam("keep", type_=sa.Integer))
    )
    return Prepared(sa.delete(alarm_table).where(alarm_table.c.id.in_(beyond)))


# By whether the server itself has found them: no device can have these removed by reporting others.
_AGE = {
    True: _age_of(alarm_table.c.function_set == rules.OWN),
    False: _age_of(alarm_table.c.function_set != rules.OWN),
}
#: As der/alarms.py's ``happened`` has it.
HAPPENED = sa.case(
    (logevents.c.created_time < logevents.c.received, logevents.c.created_time), else_=logevents.c.received
)
_NEXT = Prepared(
    sa.select(sa.func.min(HAPPENED)).where(
        *(logevents.c[name] == sa.bindparam(name) for name in ("device", "function_set", "code")),
        logevents.c.profile == int(LogProfile.IEEE_2030_5),
        sa.bindparam("after") < HAPPENED,
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
_NEWEST = listing.Order((alarm_table.c.id,))
_OLDEST = listing.Order((alarm_table.c.id,), newest_first=False)
_AS_RAISED = listing.Order((alarm_table.c.raised, alarm_table.c.id), newest_first=False)
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


# What log events do.


def classify(transaction: Transaction, device: int, event: r.LogEvent, received: int) -> None:
    """Raise or clear an alarm where a log event says so.

    :param received: TimeType
    """
    signal = rules.classify(event)
    if signal is None:
        return
    connection, at = transaction.connection, rules.happened(event.createdDateTime, received)
    _remark(transaction, device, signal, event)
    if signal.clears is None:
        open(transaction, device, signal.function_set, signal.code, AlarmPeriod(at, at), event.details)
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
        _age(connection, device, signal.function_set, outcome.ahead)
        opened = (outcome.ahead.cleared is None) - (row.cleared is None)
        if opened:
            tally.change(transaction, tally.OPEN_ALARMS, opened)
    if outcome.made is not None:
        open(transaction, device, signal.function_set, signal.code, outcome.made, details)


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


# How alarms begin and end, whoever says so.


def open(
    transaction: Transaction,
    device: int,
    function_set: int,
    code: int,
    period: AlarmPeriod,
    details: str | None,
) -> None:
    """Raise an alarm; one that is over already where its period has an end."""
    connection = transaction.connection
    if period.cleared is None:
        tally.change(transaction, tally.OPEN_ALARMS, 1)
    _ADD.execute(
        connection,
        {
            "device": device,
            "function_set": function_set,
            "code": code,
            "raised": period.raised,
            "cleared": period.cleared,
            "details": details,
        },
    )
    _age(connection, device, function_set, period)


def clear(transaction: Transaction, number: int, device: int, period: AlarmPeriod) -> None:
    """Clear an alarm that the server itself has found, and that is open.

    :param period: since when it was raised, and until when
    """
    values = {"number": number, "raised": period.raised, "cleared": period.cleared, "closed_by": None}
    _MOVE.execute(transaction.connection, values)
    tally.change(transaction, tally.OPEN_ALARMS, -1)
    _age(transaction.connection, device, rules.OWN, period)


def _age(connection: sa.Connection, device: int, function_set: int, changed: AlarmPeriod) -> None:
    """Where an alarm is over now, remove what came first of the device's that are, beyond so many."""
    if changed.cleared is not None:
        _AGE[function_set == rules.OWN].execute(connection, {"device": device, "keep": MOST_OVER})


# What the operator sees.


def listed(
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
        connection, _ALARM, _NEWEST, _asked(device, open), after=after, limit=limit
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
        order, asked = _AS_RAISED, listing.conditions(period)
    else:
        order = _OLDEST
        asked = listing.conditions(alarm_table.c.device == device, others=[period])
    rows, following = listing.page(connection, _ALARM, order, asked, after=after, limit=limit)
    return [Alarm(*row) for row in rows], following


def find(connection: sa.Connection, number: int) -> Alarm | None:
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
    found = find(connection, number)
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
    _age(connection, found.device, found.function_set, AlarmPeriod(values["raised"], now))
    return evolve(found, **values)


def number_open(connection: sa.Connection) -> int:
    """How many alarms are open."""
    return tally.numbers(connection, [tally.OPEN_ALARMS])[tally.OPEN_ALARMS]


def total(connection: sa.Connection, device: int | None = None, open: bool | None = None) -> Total:
    """How many alarms ``listed`` has in all, where that is kept or can be counted."""
    if open and device is None:
        return Total(number_open(connection))
    return listing.total(connection, alarm_table.c.id, _asked(device, open))


def _asked(device: int | None, open: bool | None) -> listing.Conditions:
    return listing.conditions(
        None if device is None else alarm_table.c.device == device,
        alarm_table.c.cleared.is_(None) if open else None,
        others=[alarm_table.c.cleared.is_not(None) if open is False else None],
    )
