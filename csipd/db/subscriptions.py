"""Subscriptions as they are kept: who wants to be told of which resource, and where.

A subscription is known by its subscriber, its resource and its notificationURI. What it hangs on and how far
its subscriber was told is the business of `outbox` and `notifications`; here it is made, renewed, changed,
listed and ended. One that the server ends stays until its subscriber has heard of that, or cannot be reached:
to everybody it is gone at once.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import changes, documents, facts, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import changes as outbox_rows
from csipd.db.tables import receivers, subscriptions, watched
from csipd.db.upsert import insert
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

#: Seconds for which a subscription that the server has ended is tried to be told so.
FAREWELL = 3600

_ROW = ROWS["Subscription"]
_LIST = ROWS["SubscriptionList"]


@frozen
class Look:
    """What a resource said at its own level when it was looked at, and what that hangs on.

    :param digest: of what it said
    :param facts: names of facts (`csipd.db.facts`)
    :param certain: those of them of which a drop is a change of the resource, whatever it says
    :param until: when it may say something else though nothing is written (TimeType); None: never
    """

    digest: bytes
    facts: frozenset[str]
    certain: frozenset[str] = frozenset()
    until: int | None = None


@frozen
class Wanted:
    """What a subscriber asks for.

    :param href: where the resource is; ``resource`` is how the subscriber spelled that
    :param uri: where its Notifications go, which is at ``host`` and ``port``
    :param limit: members of a list that a Notification has at most
    """

    href: str
    resource: str
    uri: str
    host: str
    port: int
    level: str
    limit: int


_LIVE = subscriptions.c.cancelled.is_(None)
_SHOWN = sa.select(
    subscriptions.c.id,
    subscriptions.c.resource,
    subscriptions.c.level,
    subscriptions.c.limit,
    subscriptions.c.uri,
)
_OF_DEVICE = (subscriptions.c.device == sa.bindparam("device")) & _LIVE
_GET = Prepared(_SHOWN.where(_OF_DEVICE, subscriptions.c.id == sa.bindparam("number")))
_PAGE = Prepared(
    _SHOWN.where(_OF_DEVICE, subscriptions.c.id > sa.bindparam("behind"))
    .order_by(subscriptions.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_FIND = Prepared(
    sa.select(subscriptions.c.id, subscriptions.c.cancelled).where(
        subscriptions.c.device == sa.bindparam("device"),
        subscriptions.c.href == sa.bindparam("href"),
        subscriptions.c.uri == sa.bindparam("uri"),
    )
)
_ADD = Prepared(
    sa.insert(subscriptions).returning(subscriptions.c.id),
    "device",
    "href",
    "resource",
    "uri",
    "receiver",
    "level",
    "limit",
    "created",
    "expires",
    "changed",
    "certain",
    "told",
    "digest",
    "look_at",
    "next_at",
)
_THIS = subscriptions.c.id == sa.bindparam("row")
_WANTED = Prepared(
    sa.select(
        subscriptions.c.href,
        subscriptions.c.resource,
        subscriptions.c.uri,
        receivers.c.host,
        receivers.c.port,
        subscriptions.c.level,
        subscriptions.c.limit,
    )
    .join_from(subscriptions, receivers, receivers.c.id == subscriptions.c.receiver)
    .where(_THIS)
)
_RENEW = Prepared(
    sa.update(subscriptions)
    .where(_THIS)
    .values(
        expires=sa.bindparam("until"),
        # One that is tried hourly is tried at its renewal, too.
        next_at=sa.case(
            (subscriptions.c.attempts > 0, sa.bindparam("at", type_=sa.BigInteger)),
            else_=subscriptions.c.next_at,
        ),
    )
)
_RECEIVER_OF = sa.select(subscriptions.c.receiver).where(_THIS).scalar_subquery()
_RETRY_RECEIVER = Prepared(
    sa.update(receivers)
    .where(receivers.c.id == _RECEIVER_OF, receivers.c.attempts > 0)
    .values(next_at=sa.bindparam("at", type_=sa.BigInteger))
)
_CHANGE = Prepared(
    sa.update(subscriptions).where(_THIS).values(revision=subscriptions.c.revision + 1),
    "href",
    "resource",
    "uri",
    "receiver",
    "level",
    "limit",
    "expires",
)
_REMOVE = Prepared(
    sa.delete(subscriptions)
    .where(_THIS)
    .returning(subscriptions.c.device, subscriptions.c.receiver, subscriptions.c.cancelled)
)
_CANCEL = Prepared(
    sa.update(subscriptions)
    .where(_THIS, _LIVE)
    .values(
        cancelled=sa.bindparam("at", type_=sa.BigInteger),
        next_at=sa.bindparam("at", type_=sa.BigInteger),
        changed=sa.bindparam("number", type_=sa.BigInteger),
        certain=sa.bindparam("number", type_=sa.BigInteger),
        revision=subscriptions.c.revision + 1,
    )
    .returning(subscriptions.c.device)
)
_WATCHED = Prepared(
    sa.select(watched.c.fact, watched.c.certain).where(watched.c.subscription == sa.bindparam("subscription"))
)
_UNWATCH = Prepared(sa.delete(watched).where(watched.c.subscription == sa.bindparam("subscription")))
_WATCH = sa.insert(watched)
_EXPIRED = Prepared(
    sa.select(subscriptions.c.id)
    .where(_LIVE, subscriptions.c.expires <= sa.bindparam("now"))
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_UNHEARD = Prepared(
    sa.select(subscriptions.c.id)
    .where(subscriptions.c.cancelled <= sa.bindparam("before"))
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_NEXT_END = Prepared(sa.select(sa.func.min(subscriptions.c.expires)).where(_LIVE))
_LONGEST_CANCELLED = Prepared(sa.select(sa.func.min(subscriptions.c.cancelled)))
_FORGET_RECEIVER = Prepared(
    sa.delete(receivers).where(
        receivers.c.id == sa.bindparam("receiver"),
        ~sa.exists().where(subscriptions.c.receiver == receivers.c.id),
    )
)


def _receiver(dialect: str) -> sa.Insert:
    statement = insert(dialect, receivers)
    return statement.on_conflict_do_update(
        index_elements=[receivers.c.host, receivers.c.port], set_={"host": statement.excluded.host}
    ).returning(receivers.c.id)


_RECEIVER = Prepared(_receiver, "host", "port")


def place_of(device: int, number: int) -> Place:
    """Where a subscription is."""
    return Place(_ROW, (device, number))


def get(connection: sa.Connection, device: int, number: int) -> r.Subscription | None:
    """A subscription of a device, or None."""
    row = _GET.first(connection, {"device": device, "number": number})
    return None if row is None else _shown(row)


def page(
    connection: sa.Connection, device: int, part: Page, behind: int | None = None
) -> tuple[int, list[tuple[Place, r.Subscription]]]:
    """A part of a device's subscriptions, in the order of their numbers, and how many there are.

    :param behind: the number of the one right before the part, where that is known: what comes before is then
        not passed over
    """
    total = count(connection, device)
    if part.start >= total or not part.limit:
        return total, []
    start = part.start if behind is None else 0
    asked = {"device": device, "behind": behind or 0, "limit": part.limit, "start": start}
    rows = _PAGE.all(connection, asked)
    return total, [(place_of(device, row.id), _shown(row)) for row in rows]


def count(connection: sa.Connection, device: int) -> int:
    """How many subscriptions a device has."""
    href = _LIST.href((device,))
    return documents.counts(connection, [href]).get(href, 0)


def find(connection: sa.Connection, device: int, href: str, uri: str) -> int | None:
    """The number of the subscription of a device to a resource with a notificationURI, if there is one."""
    row = _FIND.first(connection, {"device": device, "href": href, "uri": uri})
    return None if row is None or row.cancelled is not None else row.id


def wanted_by(connection: sa.Connection, number: int) -> Wanted:
    """What a subscription was made for."""
    return Wanted(*_WANTED.first(connection, {"row": number}))


def add(transaction: Transaction, device: int, wanted: Wanted, look: Look, expires: int, now: int) -> int:
    """Keep a subscription, whose subscriber knows what its resource says now; gives its number.

    :param look: at the resource, in this transaction
    """
    connection = transaction.connection
    ended = _FIND.first(connection, {"device": device, "href": wanted.href, "uri": wanted.uri})
    if ended is not None:
        # Its subscriber has not heard of its end, and need not: it is there again.
        remove(transaction, ended.id)
    known = changes.draw(connection)
    number: int = _ADD.scalar(
        connection,
        {
            **_columns(connection, wanted),
            "device": device,
            "created": now,
            "expires": expires,
            **dict.fromkeys(("changed", "certain", "told"), known),
            "digest": look.digest,
            "look_at": look.until,
            "next_at": now,
        },
    )
    watch(connection, number, look)
    documents.lengthen(connection, _LIST.href((device,)))
    tally.change(transaction, tally.SUBSCRIPTIONS, 1)
    _invalidate(transaction, device, number)
    return number


def renew(transaction: Transaction, number: int, expires: int, now: int) -> None:
    """Let a subscription go on as it is."""
    _RENEW.execute(transaction.connection, {"row": number, "until": expires, "at": now})
    _RETRY_RECEIVER.execute(transaction.connection, {"row": number, "at": now})


def change(
    transaction: Transaction, device: int, number: int, wanted: Wanted, look: Look | None, expires: int
) -> None:
    """Let a subscription go on as its subscriber wants it now.

    :param look: at its resource, where that is another than before; None: what is to be told still is
    """
    connection = transaction.connection
    before = connection.scalar(sa.select(subscriptions.c.receiver).where(subscriptions.c.id == number))
    _CHANGE.execute(connection, {"row": number, **_columns(connection, wanted), "expires": expires})
    if look is not None:
        known = changes.draw(connection)
        told = sa.update(subscriptions).where(subscriptions.c.id == number)
        said = {"digest": look.digest, "look_at": look.until}
        connection.execute(told.values(changed=known, certain=known, told=known, **said))
        watch(connection, number, look)
    _FORGET_RECEIVER.execute(connection, {"receiver": before})
    _invalidate(transaction, device, number)


def remove(transaction: Transaction, number: int) -> bool:
    """Delete a subscription, and its receiver if it was the last there; False: it was gone."""
    connection = transaction.connection
    _UNWATCH.execute(connection, {"subscription": number})
    row = _REMOVE.first(connection, {"row": number})
    if row is None:
        return False
    _FORGET_RECEIVER.execute(connection, {"receiver": row.receiver})
    if row.cancelled is None:
        _one_less(transaction, row.device)
    _invalidate(transaction, row.device, number)
    return True


def _one_less(transaction: Transaction, device: int) -> None:
    documents.shorten(transaction.connection, _LIST.href((device,)))
    tally.change(transaction, tally.SUBSCRIPTIONS, -1)


def cancel(transaction: Transaction, number: int, now: int) -> bool:
    """End a subscription, and have its subscriber told so (status 1); False where there is none."""
    connection = transaction.connection
    mark = changes.draw(connection)
    row = _CANCEL.first(connection, {"row": number, "at": now, "number": mark})
    if row is None:
        return False
    _one_less(transaction, row.device)
    _invalidate(transaction, row.device, number)
    return True


def expire(transaction: Transaction, now: int, most: int) -> int:
    """End some subscriptions that were not renewed, and forget some that ended; gives how many."""
    connection = transaction.connection
    ended = _EXPIRED.scalars(connection, {"now": now, "most": most})
    for number in ended:
        cancel(transaction, number, now)
    unheard = _UNHEARD.scalars(connection, {"before": now - FAREWELL, "most": most - len(ended)})
    for number in unheard:
        remove(transaction, number)
    return len(ended) + len(unheard)


def next_end(connection: sa.Connection) -> int | None:
    """When the next subscription expires, or its subscriber is given up that was to hear of its end."""
    expires: int | None = _NEXT_END.scalar(connection)
    cancelled: int | None = _LONGEST_CANCELLED.scalar(connection)
    if cancelled is None:
        return expires
    given_up = cancelled + FAREWELL
    return given_up if expires is None else min(given_up, expires)


def watched_facts(connection: sa.Connection, number: int) -> Collection[tuple[str, bool]]:
    """The facts that a subscription watches, each with whether its drop is certain to be a change."""
    return {(row.fact, row.certain) for row in _WATCHED.all(connection, {"subscription": number})}


def facts_of(look: Look) -> Collection[tuple[str, bool]]:
    """The facts that are to be watched after a look."""
    return {(fact, fact in look.certain) for fact in {*look.facts, facts.EVERYTHING}}


def watch(connection: sa.Connection, number: int, look: Look) -> None:
    """Watch what a look has shown to matter, and nothing else."""
    _UNWATCH.execute(connection, {"subscription": number})
    connection.execute(
        _WATCH, [{"fact": fact, "subscription": number, "certain": c} for fact, c in facts_of(look)]
    )


def mark_all(connection: sa.Connection) -> None:
    """Have every subscriber told what its resource says now, whatever it was told last (decision 46).

    The outbox is emptied: there is nothing more in it to tell.
    """
    number = changes.draw(connection)
    connection.execute(sa.delete(outbox_rows))
    connection.execute(sa.update(subscriptions).values(changed=number, certain=number, next_at=0))


def _columns(connection: sa.Connection, wanted: Wanted) -> dict[str, Any]:
    """The columns that say what a subscriber wants."""
    return {
        "href": wanted.href,
        "resource": wanted.resource,
        "uri": wanted.uri,
        "receiver": _RECEIVER.scalar(connection, {"host": wanted.host, "port": wanted.port}),
        "level": wanted.level,
        "limit": wanted.limit,
    }


def _shown(row: Any) -> r.Subscription:
    return r.Subscription(
        subscribedResource=row.resource,
        encoding=0,
        level=row.level,
        limit=row.limit,
        notificationURI=row.uri,
    )


def _invalidate(transaction: Transaction, device: int, number: int) -> None:
    transaction.invalidate(facts.list_of(_LIST.href((device,))), facts.document(_ROW.href((device, number))))
