"""The audit log: who changed what, from what to what, and when.

What an operator, the configuration file or a device changed has a line in the transaction that changed it;
what was the same before has none. Responses and log events are records of their own, with who and when, and
so are measured values: of these the log has the first one. Lines have an age (`csipd.db.retention`) and a
number: what one device does repeatedly drives out its own lines, and nobody else's.
"""

from __future__ import annotations

import sqlalchemy as sa
from attrs import fields, frozen

from csipd.db import listing
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import audit
from csipd.db.tally import Total

#: Lines that are kept of each device.
LINES_OF_DEVICE = 200
#: Characters of what changed that are kept.
LONGEST_DETAIL = 2000
#: Who commands by the GridAPPS-D bus: some times a second, so the daemon's log has a line a minute of it.
PLATFORM = "GridAPPS-D"


@frozen
class AuditEntry:
    """A line of the audit log; ``at`` is TimeType."""

    id: int
    at: int
    who: str
    action: str
    subject: str
    detail: str


_ADD = Prepared(sa.insert(audit), "at", "who", "action", "subject", "detail", "device")
_OLDER = audit.alias("older")
_AGE = Prepared(
    sa.delete(audit).where(
        audit.c.device == sa.bindparam("device"),
        audit.c.id
        <= sa.select(_OLDER.c.id)
        .where(_OLDER.c.device == sa.bindparam("device"))
        .order_by(_OLDER.c.id.desc())
        .limit(1)
        .offset(sa.bindparam("keep", type_=sa.Integer))
        .scalar_subquery(),
    )
)


def record(
    transaction: Transaction,
    now: int,
    who: str,
    action: str,
    subject: str,
    detail: str = "",
    *,
    device: int | None = None,
) -> None:
    """Write a line of the audit log; what an operator did is a line of the daemon's log, too.

    :param subject: href or name of what was changed
    :param detail: from what to what; no secrets. What is too long is cut off
    :param device: the device or aggregator that did it; None: an operator or the configuration
    """
    if len(detail) > LONGEST_DETAIL:
        detail = f"{detail[: LONGEST_DETAIL - 4]} ..."
    connection = transaction.connection
    _ADD.execute(
        connection,
        {"at": now, "who": who, "action": action, "subject": subject, "detail": detail, "device": device},
    )
    if device is None:
        transaction.remark(
            "operator",
            "{who}: {action} {subject}: {detail}" if detail else "{who}: {action} {subject}",
            who=who,
            peer=who if who == PLATFORM else "",
            action=action,
            subject=subject,
            detail=detail,
        )
    else:
        _AGE.execute(connection, {"device": device, "keep": LINES_OF_DEVICE})


def lines(
    connection: sa.Connection,
    *,
    before: int | None = None,
    limit: int = 50,
    who: str | None = None,
    subject: str | None = None,
) -> tuple[list[AuditEntry], int | None]:
    """A page of the audit log, the newest lines first.

    :param before: only those of a lower number
    :return: the lines, and before which the next page begins; None: nothing follows. There may be fewer than
        ``limit`` though more follow
    """
    query = sa.select(*(audit.c[column.name] for column in fields(AuditEntry)))
    after = None if before is None else (before,)
    rows, following = listing.page(connection, query, _NEWEST, _of(who, subject), after=after, limit=limit)
    return [AuditEntry(*row) for row in rows], None if following is None else following[0]


def total(connection: sa.Connection, who: str | None = None, subject: str | None = None) -> Total:
    """How many lines there are of an operator and a subject, or of all, where that can be counted."""
    return listing.total(connection, audit.c.id, _of(who, subject))


_NEWEST = listing.Order((audit.c.id,))


def _of(who: str | None, subject: str | None) -> listing.Conditions:
    return listing.conditions(
        None if subject is None else audit.c.subject == subject, None if who is None else audit.c.who == who
    )
