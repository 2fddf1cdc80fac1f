"""The audit log: who changed what, and when. And the memory of answers to repeated requests."""

from __future__ import annotations

import sqlalchemy as sa
from attrs import frozen

from csipd.db.database import Transaction
from csipd.db.tables import audit, idempotency
from csipd.refusals import Misused

#: Seconds for which a repeated request gets the first answer.
REMEMBERED = 86_400


@frozen
class Line:
    """A line of the audit log; ``at`` is TimeType."""

    id: int
    at: int
    who: str
    action: str
    subject: str
    detail: str


def record(transaction: Transaction, now: int, who: str, action: str, subject: str, detail: str = "") -> None:
    """Write a line of the audit log."""
    transaction.connection.execute(
        sa.insert(audit).values(at=now, who=who, action=action, subject=subject, detail=detail)
    )


def lines(
    connection: sa.Connection,
    *,
    before: int | None = None,
    limit: int = 50,
    who: str | None = None,
    subject: str | None = None,
) -> list[Line]:
    """Lines of the audit log, the newest first.

    :param before: only those of a lower number
    """
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.id < before)
    if who is not None:
        query = query.where(audit.c.who == who)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    return [Line(*row) for row in connection.execute(query)]


@frozen
class Answer:
    """What a request was answered with."""

    status: int
    location: str | None
    body: bytes


def remembered(connection: sa.Connection, who: str, key: str, request: str, now: int) -> Answer | None:
    """The answer that a request with this key was given, if there was one.

    :param request: a digest of the request
    :raises Misused: the key was used for another request
    """
    row = connection.execute(
        sa.select(idempotency).where(
            idempotency.c.who == who, idempotency.c.key == key, idempotency.c.at > now - REMEMBERED
        )
    ).one_or_none()
    if row is None:
        return None
    if row.request != request:
        raise Misused(f"the idempotency key {key} was used for another request")
    return Answer(row.status, row.location, row.body)


def remember(transaction: Transaction, who: str, key: str, request: str, answer: Answer, now: int) -> None:
    """Keep an answer for when the request is repeated, and forget those that are a day old."""
    connection = transaction.connection
    connection.execute(sa.delete(idempotency).where(idempotency.c.at <= now - REMEMBERED))
    connection.execute(
        sa.insert(idempotency).values(
            who=who,
            key=key,
            request=request,
            status=answer.status,
            location=answer.location,
            body=answer.body,
            at=now,
        )
    )
