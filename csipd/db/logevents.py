"""Log events of devices: their lists, and the operator's history; what they raise is in ``csipd.db.alarms``.

A device's list holds so many log events; the operator's history has those besides that
the device deleted, as many again. What goes when there is no more room is what came first: a device whose
clock is wrong would otherwise lose what it has just sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import alarms, facts, listing
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import logevents
from csipd.db.tally import Total
from csipd.refusals import NotFound
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

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
    alarms.classify(transaction, device, event, now)
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
    return SweepResult(kept, aged, classified, alarms.number_open(connection), following)


def _classify_missed(transaction: Transaction) -> int:
    """Look at the log events that were not looked at for alarms, in the order of when they happened."""
    connection = transaction.connection
    missed = connection.execute(
        sa.select(logevents.c.id, logevents.c.device, logevents.c.body, logevents.c.received)
        .where(sa.not_(logevents.c.classified))
        .order_by(alarms.HAPPENED, logevents.c.event_id, logevents.c.id)
        .limit(_AT_ONCE)
    ).all()
    for row in missed:
        alarms.classify(
            transaction, row.device, decode(row.body, r.LogEvent, f"logevents {row.id}"), row.received
        )
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


def total(
    connection: sa.Connection, device: int, since: int | None = None, until: int | None = None
) -> Total:
    """How many log events of a device ``listed`` has in all."""
    return listing.total(connection, logevents.c.id, _log_of(device, since, until))
