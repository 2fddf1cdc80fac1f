"""Answers by Idempotency-Key: a repeated request of an operator gets the answer of the first."""

from __future__ import annotations

import sqlalchemy as sa
from attrs import frozen

from csipd.db.database import Transaction
from csipd.db.tables import idempotency
from csipd.refusals import KeyReused

#: Seconds for which a repeated request gets the first answer.
REMEMBERED = 86_400


@frozen
class StoredAnswer:
    """What a request was answered with."""

    status: int
    location: str | None
    body: bytes


def remembered(connection: sa.Connection, who: str, key: str, request: str, now: int) -> StoredAnswer | None:
    """The answer that a request with this key was given, if there was one.

    :param request: a digest of the request
    :raises KeyReused: the key was used for another request
    """
    row = connection.execute(
        sa.select(idempotency).where(
            idempotency.c.who == who, idempotency.c.key == key, idempotency.c.at > now - REMEMBERED
        )
    ).one_or_none()
    if row is None:
        return None
    if row.request != request:
        raise KeyReused(f"the idempotency key {key} was used for another request")
    return StoredAnswer(row.status, row.location, row.body)


def remember(
    transaction: Transaction, who: str, key: str, request: str, answer: StoredAnswer, now: int
) -> None:
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
