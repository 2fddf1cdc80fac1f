"""How long things are kept, and what removes them: some rows at a time (decision 47).

Everything that grows with time has an age here, or a number where it is written: log events and alarms of
each device (`csipd.db.logevents`), Responses to each event (`csipd.db.responses`), lines of the audit log of
each device (`csipd.db.audit`), members of lists (`most` in `csipd.sep2.site`).
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from attrs import frozen

from csipd.db import der_reports, facts, mirrors
from csipd.db.audit import PLATFORM
from csipd.db.database import Transaction
from csipd.db.responses import remove as remove_responses
from csipd.db.tables import alarms, audit, contacts, controls, deliveries, memberships, series
from csipd.der.metering import Metering
from csipd.der.retention import Retention

#: Rows that one transaction removes at most.
AT_ONCE = 1000
#: Lines of the audit log of all devices together, and of everybody else.
MOST_AUDIT_LINES = 1_000_000
#: Those of them that the GridAPPS-D bus may have: it commands second by second, and leaves operators theirs.
MOST_PLATFORM_LINES = 200_000
#: Seconds for which a control that was relieved is kept: as long as its href answers.
RELIEVED = 86_400


@frozen
class Removed:
    """How many rows a sweep has removed, by table; ``more`` are to be removed."""

    rows: dict[str, int]
    more: bool


def sweep(
    transaction: Transaction,
    retention: Retention,
    now: int,
    metering: Metering = Metering(),  # noqa: B008 - frozen
) -> Removed:
    """Remove what is older than it may be, at most ``AT_ONCE`` rows of it."""
    connection = transaction.connection
    left = AT_ONCE
    rows: dict[str, int] = {}
    steps: tuple[tuple[str, Callable[[int], int]], ...] = (
        ("controls", lambda most: _controls(transaction, retention.controls(now), most)),
        ("relieved controls", lambda most: _controls(transaction, now - RELIEVED, most, relieved=True)),
        ("audit", lambda most: _audit(connection, retention.audit(now), most)),
        ("alarms", lambda most: _alarms(connection, retention.alarms(now), most)),
        ("refusals", lambda most: _refusals(connection, retention.refusals(now), most)),
        ("mirrors", lambda most: mirrors.sweep(transaction, metering, now, most)),
        ("former settings", lambda most: der_reports.forget(connection, retention.controls(now), most)),
        ("memberships", lambda most: _memberships(connection, retention, now, most)),
    )
    for name, step in steps:
        if left and (removed := step(left)):
            rows[name] = removed
            left -= removed
    return Removed(rows, more=not left)


def _controls(transaction: Transaction, before: int, most: int, *, relieved: bool = False) -> int:
    """Controls that ended before a moment, each after all Responses to it.

    :param relieved: only those that were relieved (relief.py)
    """
    connection = transaction.connection
    removed = 0
    while removed < most:
        oldest = sa.select(controls.c.id, controls.c.program).where(controls.c.latest < before)
        if relieved:
            oldest = oldest.where(controls.c.relieved.is_not(None))
        found = connection.execute(oldest.order_by(controls.c.latest).limit(1)).one_or_none()
        if found is None:
            break
        number, program = found
        removed += remove_responses(transaction, number, most - removed)
        connection.execute(sa.delete(deliveries).where(deliveries.c.control == number))
        if removed < most:
            removed += _remove(
                connection, controls, sa.select(controls.c.id).where(controls.c.id == number), 1
            )
            transaction.invalidate(facts.controls(program), facts.schedule(program))
    return removed


def _audit(connection: sa.Connection, before: int, most: int) -> int:
    """Lines that are too old, and those that are too many; the oldest first."""
    oldest = sa.select(audit.c.id, audit.c.at).order_by(audit.c.id).limit(most)
    # Lines are numbered in the order of time, but for a clock that was set.
    gone = [row.id for row in connection.execute(oldest) if row.at < before]
    first, last = (connection.scalar(sa.select(end(audit.c.id))) or 0 for end in (sa.func.min, sa.func.max))
    # To count a million takes time: as a rule their numbers say that there are fewer.
    many = last - first >= MOST_AUDIT_LINES
    by_device, by_platform = audit.c.device.is_not(None), audit.c.who == PLATFORM
    bounds = (
        (by_device, MOST_AUDIT_LINES),
        (sa.not_(by_device) & by_platform, MOST_PLATFORM_LINES),
        (sa.not_(by_device) & sa.not_(by_platform), MOST_AUDIT_LINES),
    )
    for which, bound in bounds if many else ():
        number = connection.scalar(sa.select(sa.func.count()).select_from(audit).where(which)) or 0
        excess = min(number - bound, most)
        if excess > 0:
            gone += connection.scalars(sa.select(audit.c.id).where(which).order_by(audit.c.id).limit(excess))
    gone = sorted(set(gone))[:most]
    connection.execute(sa.delete(audit).where(audit.c.id.in_(gone)))
    return len(gone)


def _alarms(connection: sa.Connection, before: int, most: int) -> int:
    """Alarms that were over before a moment; one that is open stays."""
    return _remove(connection, alarms, sa.select(alarms.c.id).where(alarms.c.cleared < before), most)


def _refusals(connection: sa.Connection, before: int, most: int) -> int:
    """What devices were refused; when they were heard of last stays."""
    old = sa.select(contacts.c.device).where(contacts.c.refused < before).limit(most)
    numbers = list(connection.scalars(old))
    forgotten = sa.update(contacts).where(contacts.c.device.in_(numbers))
    connection.execute(forgotten.values(refusals=0, refused=None, reason=None))
    return len(numbers)


def _memberships(connection: sa.Connection, retention: Retention, now: int, most: int) -> int:
    """Memberships that ended before any control that is kept was made or began, and any reading was.

    Whose readings a group had is asked as long as days of them are kept (decision 58), which is for ever.
    """
    # Series are numbered in the order in which they began; what is read may have been some days old by then.
    first = connection.scalar(sa.select(series.c.since).order_by(series.c.id).limit(1))
    needed = now if first is None else min(now, retention.readings(first))
    for column in (controls.c.creation_time, controls.c.earliest):
        needed = min(needed, connection.scalar(sa.select(sa.func.min(column))) or now)
    ended = sa.select(memberships.c.id).where(memberships.c.until < needed)
    return _remove(connection, memberships, ended, most)


def _remove(connection: sa.Connection, table: sa.Table, which: sa.Select[tuple[int]], most: int) -> int:
    gone = list(connection.scalars(which.limit(most)))
    if gone:
        connection.execute(sa.delete(table).where(table.c.id.in_(gone)))
    return len(gone)
