"""Subscriptions as operators see and handle them: what is to be delivered, what fails, and what to do."""

from __future__ import annotations

import sqlalchemy as sa
from attrs import frozen

from csipd.db import audit, changes, listing, subscriptions
from csipd.db.database import Transaction
from csipd.db.tables import devices, receivers
from csipd.db.tables import subscriptions as table
from csipd.db.tally import Total


@frozen
class Delivery:
    """A subscription, and how its Notifications fare. Moments are TimeType.

    :param device: its subscriber; ``name`` is what operators call it, if they do
    :param resource: what it is subscribed to; ``uri`` is where Notifications go
    :param pending: whether something may have to be told
    :param next_at: before when nothing is sent, its receiver's pause included
    :param notified: when the last Notification was taken; None: none was yet
    :param attempts: that failed in a row, since ``failing_since`` and for the reason ``error``; those to
        connect to its receiver are counted with them
    :param cancelled: when the server ended it, where its subscriber has not heard of that yet
    """

    number: int
    device: int
    name: str | None
    resource: str
    uri: str
    limit: int
    created: int
    expires: int
    pending: bool
    next_at: int
    notified: int | None
    attempts: int
    failing_since: int | None
    error: str | None
    cancelled: int | None


_PENDING = table.c.changed > table.c.told
_LATER = sa.case((receivers.c.next_at > table.c.next_at, receivers.c.next_at), else_=table.c.next_at)
_DELIVERY = (
    sa.select(
        table.c.id,
        table.c.device,
        devices.c.name,
        table.c.resource,
        table.c.uri,
        table.c.limit,
        table.c.created,
        table.c.expires,
        _PENDING.label("pending"),
        _LATER.label("next_at"),
        table.c.notified,
        (table.c.attempts + receivers.c.attempts).label("attempts"),
        sa.func.coalesce(table.c.failing_since, receivers.c.failing_since).label("failing_since"),
        sa.func.coalesce(table.c.error, receivers.c.error).label("error"),
        table.c.cancelled,
    )
    .join_from(table, devices, devices.c.id == table.c.device)
    .join(receivers, receivers.c.id == table.c.receiver)
)
_NEWEST = listing.Order((table.c.id,))


def listed(
    connection: sa.Connection,
    *,
    device: int | None = None,
    failing: bool = False,
    pending: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> tuple[list[Delivery], int | None]:
    """A page of the subscriptions, the last made first.

    :param device: those of one device
    :param failing: those of which a Notification was sent and not taken; of what cannot be connected to, see
        `failing_receivers`
    :param pending: those that something may have to be told of
    :param before: only those of lower numbers
    :return: the subscriptions, and before which the next page begins; None: nothing follows. There may be
        fewer than ``limit`` though more follow
    """
    after = None if before is None else (before,)
    rows, following = listing.page(
        connection, _DELIVERY, _NEWEST, _of(device, failing, pending), after=after, limit=limit
    )
    return [Delivery(*row) for row in rows], None if following is None else following[0]


def total(
    connection: sa.Connection, *, device: int | None = None, failing: bool = False, pending: bool = False
) -> Total:
    """How many there are, where that can be counted without reading too many."""
    return listing.total(connection, table.c.id, _of(device, failing, pending))


def find(connection: sa.Connection, number: int) -> Delivery | None:
    """The subscription of a number, or None."""
    row = connection.execute(_DELIVERY.where(table.c.id == number)).one_or_none()
    return None if row is None else Delivery(*row)


def _of(device: int | None, failing: bool, pending: bool) -> listing.Conditions:
    return listing.conditions(
        table.c.failing_since.is_not(None) if failing else None,
        None if device is None else table.c.device == device,
        others=[_PENDING if pending else None],
    )


@frozen
class FailingReceiver:
    """A host and port that no connection can be made to; the columns are those of the table."""

    number: int
    host: str
    port: int
    attempts: int
    next_at: int
    failing_since: int
    error: str


def failing_receivers(connection: sa.Connection, most: int) -> list[FailingReceiver]:
    """Receivers that cannot be connected to, at most so many."""
    columns = ("id", "host", "port", "attempts", "next_at", "failing_since", "error")
    query = sa.select(*(receivers.c[name] for name in columns))
    failing = query.where(receivers.c.failing_since.is_not(None)).order_by(receivers.c.id).limit(most)
    return [FailingReceiver(*row) for row in connection.execute(failing)]


def send(transaction: Transaction, number: int, who: str, now: int) -> bool:
    """Have a subscriber told at once what its resource says now, whatever it was told last.

    It tries out a receiver, and ends the pause after what failed.

    :return: whether there is such a subscription
    """
    connection = transaction.connection
    mark = changes.draw(connection)
    marked = sa.update(table).where(table.c.id == number).values(changed=mark, certain=mark, next_at=now)
    receiver: int | None = connection.scalar(marked.returning(table.c.receiver))
    if receiver is None:
        return False
    connection.execute(sa.update(receivers).where(receivers.c.id == receiver).values(next_at=0))
    _record(transaction, number, who, "notify", now)
    return True


def drop(transaction: Transaction, number: int, who: str, now: int) -> bool:
    """Let what a subscriber was not told so far be; it is told of the next change.

    :return: whether there is such a subscription, and anything that it was not told
    """
    known = {"told": table.c.changed, "attempts": 0, "failing_since": None, "error": None}
    raised = sa.update(table).where(table.c.id == number, _PENDING, table.c.cancelled.is_(None))
    if not transaction.connection.execute(
        raised.values(**known, revision=table.c.revision + 1, next_at=now)
    ).rowcount:
        return False
    _record(transaction, number, who, "drop notification", now)
    return True


def cancel(transaction: Transaction, number: int, who: str, now: int) -> bool:
    """End a subscription, and have its subscriber told so; False where there is none."""
    if not subscriptions.cancel(transaction, number, now):
        return False
    _record(transaction, number, who, "cancel subscription", now)
    return True


def _record(transaction: Transaction, number: int, who: str, action: str, now: int) -> None:
    found = find(transaction.connection, number)
    assert found is not None
    href = subscriptions.place_of(found.device, number).href
    audit.record(transaction, now, who, action, href, f"{found.resource} to {found.uri}")
