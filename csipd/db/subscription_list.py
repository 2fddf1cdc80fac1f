"""Subscriptions as operators see and handle them: what is pending or failing, and why; to send, to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import audit, changes, facts, listing, subscriptions, tally
from csipd.db.database import Transaction
from csipd.db.listing import Conditions, Order, conditions
from csipd.db.notifications import APART
from csipd.db.tables import receivers
from csipd.db.tables import subscriptions as table
from csipd.db.tally import Total
from csipd.refusals import NotFound

#: What a list can be narrowed to.
STATES = ("told", "pending", "failing", "ended")

_PENDING = table.c.changed > table.c.told
_FAILING = table.c.failing_since.is_not(None) | (
    _PENDING & table.c.receiver.in_(sa.select(receivers.c.id).where(receivers.c.failing_since.is_not(None)))
)
_ENDED = table.c.cancelled.is_not(None)
_IS: dict[str, sa.ColumnElement[bool]] = {
    "told": sa.not_(_PENDING) & sa.not_(_FAILING) & sa.not_(_ENDED),
    "pending": _PENDING,
    "failing": _FAILING,
    "ended": _ENDED,
}
_ORDER = Order((table.c.id,))
_QUERY = sa.select(
    table.c.id,
    table.c.device,
    table.c.resource,
    table.c.uri,
    table.c.limit,
    table.c.created,
    table.c.expires,
    table.c.notified,
    table.c.cancelled,
    table.c.changed > table.c.told,
    table.c.next_at,
    table.c.attempts,
    table.c.failing_since,
    table.c.error,
    receivers.c.next_at,
    receivers.c.attempts,
    receivers.c.failing_since,
    receivers.c.error,
).join_from(table, receivers, receivers.c.id == table.c.receiver)


@frozen
class Attempts:
    """Deliveries that failed in a row.

    :param since: when the first of them did
    :param error: why the last one did
    """

    number: int
    since: int
    error: str


@frozen
class Listed:
    """A subscription.

    :param resource: as its subscriber spelled it
    :param limit: members of a list that a Notification has at most
    :param notified: when it was told last
    :param ended: when it was ended, where its subscriber has still to hear of that
    :param pending: whether something may have to be sent
    :param next_at: when that will be tried, where something is pending
    :param failing: what failed of its own
    :param receiver_failing: what failed of all that goes to its receiver
    """

    number: int
    device: int
    resource: str
    uri: str
    limit: int
    created: int
    expires: int
    notified: int | None
    ended: int | None
    pending: bool
    next_at: int | None
    failing: Attempts | None
    receiver_failing: Attempts | None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.ended is not None:
            return "ended"
        if self.failing is not None or (self.pending and self.receiver_failing is not None):
            return "failing"
        return "pending" if self.pending else "told"


def listed(
    connection: sa.Connection,
    *,
    device: int | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int,
) -> tuple[list[Listed], int | None]:
    """Subscriptions, the newest first, and the number before which the next page begins; None: it was the
    last.

    :param device: of this device alone
    :param state: in one of `STATES` alone
    """
    asked = _asked(device, state)
    after = None if before is None else (before,)
    rows, following = listing.page(connection, _QUERY, _ORDER, asked, after=after, limit=limit)
    return [_listed(row) for row in rows], None if following is None else following[0]


def total(connection: sa.Connection, device: int | None, state: str | None) -> Total:
    """How many such a list has in all."""
    return listing.total(connection, table.c.id, _asked(device, state))


def show(connection: sa.Connection, number: int) -> Listed:
    """One subscription. NotFound."""
    row = connection.execute(_QUERY.where(table.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"there is no subscription {number}")
    return _listed(tuple(row))


def pending(connection: sa.Connection) -> Total:
    """How many have something that may have to be sent."""
    return tally.up_to(connection, sa.select(table.c.receiver).where(_PENDING))


def failing(connection: sa.Connection) -> Total:
    """How many subscriptions have failures of their own."""
    return tally.up_to(connection, sa.select(table.c.id).where(table.c.failing_since.is_not(None)))


def failing_receivers(connection: sa.Connection) -> Total:
    """How many receivers cannot be talked to."""
    return tally.up_to(connection, sa.select(receivers.c.id).where(receivers.c.failing_since.is_not(None)))


def send(transaction: Transaction, number: int, who: str, now: int) -> Listed:
    """Have a subscriber told what its resource says now, whatever it was told last, and have that tried now.

    That is a test of a receiver, too. The subscriber is told at most once in 30 s all the same.
    """
    connection = transaction.connection
    one = show(connection, number)
    mark = changes.draw(connection)
    soonest = now if one.notified is None else max(now, one.notified + APART)
    this = table.c.id == number
    connection.execute(
        sa.update(table).where(this).values(changed=mark, certain=mark, digest=None, next_at=soonest)
    )
    receiver = sa.select(table.c.receiver).where(this).scalar_subquery()
    connection.execute(sa.update(receivers).where(receivers.c.id == receiver).values(next_at=now))
    _record(transaction, one, who, "notify", now)
    return show(connection, number)


def end(transaction: Transaction, number: int, who: str, now: int) -> Listed:
    """End a subscription, and have its subscriber told so (status 1)."""
    one = show(transaction.connection, number)
    if subscriptions.cancel(transaction, number, now):
        _record(transaction, one, who, "end subscription", now)
    return show(transaction.connection, number)


def drop(transaction: Transaction, number: int, who: str, now: int) -> None:
    """Delete a subscription; its subscriber is told nothing."""
    one = show(transaction.connection, number)
    subscriptions.remove(transaction, number)
    _record(transaction, one, who, "drop subscription", now)


def _asked(device: int | None, state: str | None) -> Conditions:
    of = None if device is None else table.c.device == device
    return conditions(of, others=[None if state is None else _IS[state]])


def _record(transaction: Transaction, one: Listed, who: str, action: str, now: int) -> None:
    href = subscriptions.place_of(one.device, one.number).href
    # Who sends wakes when the document of a subscription is dropped.
    transaction.invalidate(facts.document(href))
    audit.record(transaction, now, who, action, href, f"{one.resource} to {one.uri}")


def _listed(row: Sequence[Any]) -> Listed:
    (number, device, resource, uri, limit, created, expires, notified, ended, waits, next_at, *failed) = row
    own, receiver = _attempts(failed[:3]), _attempts(failed[4:])
    return Listed(
        number=number,
        device=device,
        resource=resource,
        uri=uri,
        limit=limit,
        created=created,
        expires=expires,
        notified=notified,
        ended=ended,
        pending=bool(waits),
        next_at=max(next_at, failed[3]) if waits else None,
        failing=own,
        receiver_failing=receiver,
    )


def _attempts(failed: Sequence[Any]) -> Attempts | None:
    number, since, error = failed
    return None if since is None else Attempts(number, since, error or "")
