"""The audit log: who changed what, from what to what, and when.

What an operator, the configuration file or a device changed has a line in the transaction that changed it;
what was the same before has none. Responses and log events are records of their own, with who and when, and
so are measured values: of these the log has the first one. Lines have an age (`csipd.db.retention`) and a
number: what one device does repeatedly drives out its own lines, and nobody else's.
"""

from __future__ import annotations

import sqlalchemy as sa
from attrs import fields, frozen

from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import audit

#: Lines that are kept of each device.
LINES_OF_DEVICE = 200
#: Characters of what changed that are kept.
LONGEST_DETAIL = 2000


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
) -> list[AuditEntry]:
    """Lines of the audit log, the newest first.

    :param before: only those of a lower number
    """
    columns = (audit.c[column.name] for column in fields(AuditEntry))
    query = sa.select(*columns).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    query = query.where(*_of(who, subject))
    return [AuditEntry(*row) for row in connection.execute(query)]


def number_of_lines(connection: sa.Connection, who: str | None = None, subject: str | None = None) -> int:
    """How many lines there are of an operator and a subject, or of all."""
    query = sa.select(sa.func.count()).select_from(audit).where(*_of(who, subject))
    return connection.scalar(query) or 0


def _of(who: str | None, subject: str | None) -> list[sa.ColumnElement[bool]]:
    given = ((audit.c.who, who), (audit.c.subject, subject))
    return [column == value for column, value in given if value is not None]
