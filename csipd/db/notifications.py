"""What subscribers are told, when, and what comes of it: the interface of the store to whoever delivers.

A subscription that was marked (`outbox`) is looked at when its time has come: `prepare` reads its resource
as the subscriber would now, with the subscriber's rights, in one snapshot. Where that says nothing new at its
own level there is nothing to send. What there is to send is made then and kept nowhere; `settle` writes down
what came of it, so that after a crash it is sent again, and not lost.

Between the snapshot and what is written down others write. A change that is of no fact that the subscription
watches would not be recorded: so where a look shows that it hangs on other facts than it watches, these are
stored first, and it is looked at once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import audit, declarations, facts, former, outbox
from csipd.db import subscriptions as store
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.subscriptions import Look
from csipd.db.tables import devices, receivers, subscriptions
from csipd.db.tree import access, context, own_level
from csipd.db.tree.context import Outdated, Server
from csipd.db.tree.read import read
from csipd.der.access import Standing
from csipd.refusals import NotAllowed, NotFound
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import Place, locate
from csipd.sep2.splicing import with_resource
from csipd.sep2.types import NotificationStatus

#: Seconds between two Notifications of one subscription at least (IEEE 2030.5-2018 8.7.3.4).
APART = 30
#: Seconds until the next attempt after each that failed, from the first on; the last is for all that follow.
BACK_OFF = (10, 100, 300, 1800, 3600)
_CONFIGURED = "notified configuration"
#: Characters of a reason that are kept.
LONGEST_REASON = 200


@frozen
class Receiver:
    """Where Notifications go: a host and port, as it is written in notificationURIs.

    :param subscriber: number of a device for which something waits there
    """

    number: int
    host: str
    port: int
    subscriber: int


@frozen
class Outgoing:
    """A Notification that is to be sent.

    :param receiver: number of the receiver
    :param lfdis: of certificates that may answer there: the subscriber's, one that it replaces and that still
        works, those that the configuration lists; none: any
    :param last: whether the subscription ends with it
    :param changed: the last change that it tells of
    :param digest: of what it tells
    :param revision: of the subscription that it is for
    :param look_at: when its resource may change though nothing is written (TimeType); None: never
    """

    subscription: int
    receiver: int
    uri: str
    lfdis: tuple[str, ...]
    body: bytes
    last: bool
    changed: int
    digest: bytes
    revision: int
    look_at: int | None


@frozen
class Settled:
    """There is nothing to send; what was found out is to be written down.

    :param changed: the last change that was looked at; the subscriber knows all up to it
    :param look_at: as of `Outgoing`
    :param look: what the subscription hangs on, where that is not what it watches: it is looked at once more
    :param gone: whether it is deleted, and its subscriber told nothing
    :param update: what has to be brought up to date before it can be looked at
    """

    subscription: int
    changed: int = 0
    revision: int = 0
    look_at: int | None = None
    look: Look | None = None
    gone: bool = False
    update: Callable[[Transaction], None] | None = None


@frozen
class Delivered:
    """A Notification was taken (2xx)."""

    outgoing: Outgoing


@frozen
class Refused:
    """A Notification was refused (4xx): its subscriber does not want it."""

    outgoing: Outgoing
    status: int


@frozen
class Failed:
    """A Notification did not arrive, or was not understood (3xx, 5xx, an error of the connection)."""

    outgoing: Outgoing
    reason: str


Outcome = Delivered | Refused | Failed | Settled

_PENDING = subscriptions.c.changed > subscriptions.c.told
_SUBSCRIPTION = Prepared(
    sa.select(
        subscriptions.c.id,
        subscriptions.c.device,
        subscriptions.c.href,
        subscriptions.c.resource,
        subscriptions.c.uri,
        subscriptions.c.receiver,
        subscriptions.c.limit,
        subscriptions.c.revision,
        subscriptions.c.cancelled,
        subscriptions.c.changed,
        subscriptions.c.certain,
        subscriptions.c.told,
        subscriptions.c.digest,
        devices.c.lfdi,
        devices.c.sfdi,
        devices.c.former_works,
    )
    .join_from(subscriptions, devices, devices.c.id == subscriptions.c.device)
    .where(subscriptions.c.id == sa.bindparam("subscription"))
)
_DUE = Prepared(
    sa.select(subscriptions.c.id)
    .where(
        subscriptions.c.receiver == sa.bindparam("receiver"),
        _PENDING,
        subscriptions.c.next_at <= sa.bindparam("now"),
    )
    .order_by(subscriptions.c.next_at, subscriptions.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)


def _awaited() -> sa.Select[Any]:
    """Each receiver for which something is pending, and when: one step on the index for each."""
    first = sa.select(sa.func.min(subscriptions.c.receiver).label("receiver")).where(_PENDING)
    found = first.cte("awaited", recursive=True)
    other = subscriptions.alias("other")
    following = (
        sa.select(sa.func.min(other.c.receiver))
        .where(other.c.changed > other.c.told, other.c.receiver > found.c.receiver)
        .scalar_subquery()
    )
    found = found.union_all(sa.select(following).where(found.c.receiver.is_not(None)))
    soonest = (
        sa.select(sa.func.min(subscriptions.c.next_at))
        .where(subscriptions.c.receiver == receivers.c.id, _PENDING)
        .scalar_subquery()
    )
    first_waiting = other.alias("first_waiting")
    subscriber = (
        sa.select(first_waiting.c.device)
        .where(first_waiting.c.receiver == receivers.c.id, first_waiting.c.changed > first_waiting.c.told)
        .order_by(first_waiting.c.next_at)
        .limit(1)
        .scalar_subquery()
    )
    return sa.select(
        receivers.c.id,
        receivers.c.host,
        receivers.c.port,
        receivers.c.next_at,
        soonest.label("soonest"),
        subscriber.label("subscriber"),
    ).join_from(found, receivers, receivers.c.id == found.c.receiver)


_AWAITED = Prepared(_awaited())
_THIS = (subscriptions.c.id == sa.bindparam("row")) & (
    subscriptions.c.revision == sa.bindparam("at_revision", type_=sa.Integer)
)
_WORKS: dict[str, Any] = {"attempts": 0, "failing_since": None, "error": None}
_KNOWS = Prepared(
    sa.update(subscriptions).where(_THIS).values(told=sa.bindparam("up_to", type_=sa.BigInteger), **_WORKS),
    "look_at",
)
_TOLD = Prepared(
    sa.update(subscriptions).where(_THIS).values(told=sa.bindparam("up_to", type_=sa.BigInteger), **_WORKS),
    "digest",
    "look_at",
    "next_at",
    "notified",
)
# Its subscriber has changed it meanwhile: what is told anew comes no sooner than another Notification does.
_TOLD_BEFORE = Prepared(
    sa.update(subscriptions).where(
        subscriptions.c.id == sa.bindparam("row"),
        subscriptions.c.uri == sa.bindparam("at_uri"),
        subscriptions.c.cancelled.is_(None),
    ),
    "next_at",
    "notified",
)
_ATTEMPTS = Prepared(sa.select(subscriptions.c.attempts).where(_THIS))
_FAILS = Prepared(
    sa.update(subscriptions)
    .where(_THIS)
    .values(
        attempts=subscriptions.c.attempts + 1,
        failing_since=sa.func.coalesce(
            subscriptions.c.failing_since, sa.bindparam("now", type_=sa.BigInteger)
        ),
        # Whether it has arrived is not known.
        digest=None,
    ),
    "next_at",
    "error",
)
_RECEIVER_ATTEMPTS = Prepared(
    sa.select(receivers.c.attempts).where(receivers.c.id == sa.bindparam("receiver"))
)
_RECEIVER_FAILS = Prepared(
    sa.update(receivers)
    .where(receivers.c.id == sa.bindparam("receiver"))
    .values(
        attempts=receivers.c.attempts + 1,
        failing_since=sa.func.coalesce(receivers.c.failing_since, sa.bindparam("now", type_=sa.BigInteger)),
    ),
    "next_at",
    "error",
)
_RECEIVER_WORKS = Prepared(
    sa.update(receivers)
    .where(receivers.c.id == sa.bindparam("receiver"), receivers.c.attempts > 0)
    .values(next_at=0, **_WORKS)
)
_OWNER = Prepared(
    sa.select(subscriptions.c.device, subscriptions.c.href, subscriptions.c.uri).where(
        subscriptions.c.id == sa.bindparam("row"),
        subscriptions.c.revision == sa.bindparam("at_revision", type_=sa.Integer),
    )
)


@frozen
class _Subscriber:
    """A subscriber as its certificate would have it."""

    lfdi: str
    sfdi: int


def resume(transaction: Transaction, server: Server) -> None:
    """Begin anew after a stop, once, before anything is prepared.

    Of what was under way it is not known whether it has arrived. Where the configuration says other rates, or
    whatever else documents hang on that is not in the store, every resource is looked at.
    """
    connection = transaction.connection
    connection.execute(sa.update(subscriptions).where(_PENDING).values(digest=None))
    rates = sorted(server.poll_rates.items())
    said = repr((rates, server.own_primacy, server.page_maximum, server.subscriptions.direct))
    known = blake2b(said.encode(), digest_size=16).hexdigest()
    before = declarations.fact(transaction, _CONFIGURED, known)
    if before != known and declarations.move_fact(transaction, _CONFIGURED, before, known):
        transaction.invalidate(facts.EVERYTHING)


def clock_set_back(transaction: Transaction, now: int) -> None:
    """Wait no longer than between two Notifications for what had to wait for a time that is to come again."""
    soon = now + APART
    for table in (subscriptions, receivers):
        transaction.connection.execute(sa.update(table).where(table.c.next_at > soon).values(next_at=soon))


def due_receivers(
    connection: sa.Connection, now: int, most: int, *, busy: Collection[int] = (), after: int = 0
) -> list[Receiver]:
    """Receivers to whom something may be sent now, at most so many.

    Subscribers take turns: the first receiver of each comes before the second of any. However many somebody
    has that hang, the receiver of another is not behind them all.

    :param busy: numbers of receivers that are left out
    :param after: the one that was given last: those behind it come first, so that each has its turn
    """
    due = [
        Receiver(row.id, row.host, row.port, row.subscriber)
        for row in _AWAITED.all(connection)
        if max(row.next_at, row.soonest) <= now and row.id not in busy
    ]
    due.sort(key=lambda receiver: (receiver.number <= after, receiver.number))
    return _in_turns(due)[:most]


def _in_turns(receivers: Sequence[Receiver]) -> list[Receiver]:
    """Receivers as their subscribers take turns, those of each in the order in which they were."""
    turns: Counter[int] = Counter()
    placed = []
    for place, receiver in enumerate(receivers):
        placed.append((turns[receiver.subscriber], place, receiver))
        turns[receiver.subscriber] += 1
    return [receiver for _, _, receiver in sorted(placed, key=lambda one: one[:2])]


def due(
    connection: sa.Connection, receiver: int, now: int, most: int, *, busy: Collection[int] = ()
) -> list[int]:
    """Subscriptions that may be prepared now for a receiver, those that have waited longest first.

    :param busy: numbers of subscriptions that are under way
    """
    asked = {"receiver": receiver, "now": now, "most": most + len(busy)}
    return [number for number in _DUE.scalars(connection, asked) if number not in busy][:most]


def next_moment(connection: sa.Connection, now: int) -> int | None:
    """When there is more to do though nothing is written: now, later (TimeType) or never (None).

    What may be sent now says `due_receivers`: while a receiver takes its time, what comes later is not to be
    missed for it.
    """
    if outbox.waits(connection):
        return now
    by_clock = (store.next_end(connection), outbox.next_look(connection))
    moments = [max(now, moment) for moment in by_clock if moment is not None]
    for row in _AWAITED.all(connection):
        moment = max(row.next_at, row.soonest)
        if moment > now:
            moments.append(moment)
    return min(moments, default=None)


def prepare(connection: sa.Connection, server: Server, subscription: int, now: int) -> Outgoing | Settled:
    """Look at what a subscription is to be told; in a transaction that reads.

    :param now: TimeType, as devices see it
    """
    row = _SUBSCRIPTION.first(connection, {"subscription": subscription})
    if row is None or row.changed <= row.told:
        return Settled(subscription)
    caller = context.find_caller(connection, server, _Subscriber(row.lfdi, row.sfdi))
    if caller.standing is not Standing.REGISTERED or caller.device != row.device:
        return Settled(subscription, row.changed, row.revision, gone=True)
    if row.cancelled is not None:
        return _outgoing(connection, server, row, NotificationStatus.CANCELLED)
    place = locate(row.href)
    if place is None:
        return _outgoing(connection, server, row, NotificationStatus.DELETED)
    asked = context.known(connection, server, caller, place, now)
    if not asked.may_subscribe:
        return _outgoing(connection, server, row, NotificationStatus.CANCELLED)
    try:
        access.authorize(asked, place, "GET")
        look = own_level.look(asked, place)
        if store.facts_of(look) != store.watched_facts(connection, subscription):
            return Settled(subscription, row.changed, row.revision, look=look)
        if row.digest == look.digest and row.certain <= row.told:
            return Settled(subscription, row.changed, row.revision, look.until)
        body = _document(asked, place, row.limit)
    except Outdated as outdated:
        return Settled(subscription, row.changed, row.revision, update=outdated.update)
    except (NotFound, NotAllowed):
        return _outgoing(connection, server, row, NotificationStatus.DELETED)
    return _outgoing(connection, server, row, NotificationStatus.NORMAL, look, body)


def _document(asked: context.Context, place: Place, limit: int) -> bytes | None:
    """What a GET of a place would give, or None where the subscriber wants none of it."""
    if not place.row.is_list:
        return read(asked, place, Page(), extensions=False) if limit else None
    return read(asked, place, Page(limit=min(limit, asked.server.page_maximum)), extensions=False)


def _outgoing(
    connection: sa.Connection,
    server: Server,
    row: Any,
    status: NotificationStatus,
    look: Look | None = None,
    document: bytes | None = None,
) -> Outgoing:
    said = r.Notification(
        subscribedResource=row.resource,
        status=status,
        subscriptionURI=server.base_uri + store.place_of(row.device, row.id).href,
    )
    lfdis = server.receivers.may_answer(row.lfdi)
    if lfdis and row.former_works:
        for before in former.working(connection, row.device):
            lfdis += server.receivers.may_answer(before)
    return Outgoing(
        subscription=row.id,
        receiver=row.receiver,
        uri=row.uri,
        lfdis=lfdis,
        body=codec.encode(said) if document is None else with_resource(said, document),
        last=status is not NotificationStatus.NORMAL,
        changed=row.changed,
        digest=b"" if look is None else look.digest,
        revision=row.revision,
        look_at=None if look is None else look.until,
    )


def settle(transaction: Transaction, outcomes: Sequence[Outcome], now: int) -> None:
    """Write down what came of it.

    What its subscriber has changed meanwhile, or has deleted, is as that left it.

    :param now: TimeType, as devices see it
    """
    for outcome in outcomes:
        match outcome:
            case Settled():
                _settle(transaction, outcome, now)
            case Delivered(outgoing):
                _delivered(transaction, outgoing, now)
            case Refused(outgoing, status):
                what = f"its receiver refused a Notification: {status}"
                _end(transaction, outgoing.subscription, outgoing.revision, what, now)
            case Failed(outgoing, reason):
                _failed(transaction, outgoing, reason, now)


def _settle(transaction: Transaction, settled: Settled, now: int) -> None:
    connection = transaction.connection
    this = {"row": settled.subscription, "at_revision": settled.revision}
    if settled.update is not None:
        settled.update(transaction)
    elif settled.gone:
        _end(transaction, settled.subscription, settled.revision, "its subscriber has no access", now)
    elif settled.look is not None:
        if _ATTEMPTS.scalar(connection, this) is not None:
            store.watch(connection, settled.subscription, settled.look)
    elif settled.changed:
        _KNOWS.execute(connection, {**this, "up_to": settled.changed, "look_at": settled.look_at})


def _delivered(transaction: Transaction, outgoing: Outgoing, now: int) -> None:
    if outgoing.last:
        _end(transaction, outgoing.subscription, outgoing.revision, "its subscriber was told of its end", now)
        return
    when = {"next_at": now + APART, "notified": now}
    said = {"up_to": outgoing.changed, "digest": outgoing.digest, "look_at": outgoing.look_at, **when}
    this = {"row": outgoing.subscription, "at_revision": outgoing.revision}
    if not _TOLD.execute(transaction.connection, {**this, **said}):
        where = {"row": outgoing.subscription, "at_uri": outgoing.uri}
        _TOLD_BEFORE.execute(transaction.connection, {**where, **when})


def _failed(transaction: Transaction, outgoing: Outgoing, reason: str, now: int) -> None:
    this = {"row": outgoing.subscription, "at_revision": outgoing.revision}
    attempts: int | None = _ATTEMPTS.scalar(transaction.connection, this)
    if attempts is None:
        return
    later = {"now": now, "next_at": now + back_off(attempts), "error": reason[:LONGEST_REASON]}
    _FAILS.execute(transaction.connection, {**this, **later})


def _end(transaction: Transaction, subscription: int, revision: int, why: str, now: int) -> None:
    """Delete a subscription, if it is what it was."""
    this = {"row": subscription, "at_revision": revision}
    row = _OWNER.first(transaction.connection, this)
    if row is None:
        return
    store.remove(transaction, subscription)
    place = store.place_of(row.device, subscription)
    detail = f"{row.href} to {row.uri}: {why}"
    audit.record(transaction, now, "server", "end subscription", place.href, detail, device=row.device)


def back_off(attempts: int) -> int:
    """Seconds until the next attempt.

    :param attempts: that failed in a row before the last one
    """
    return BACK_OFF[min(attempts, len(BACK_OFF) - 1)]


def receiver_failed(transaction: Transaction, receiver: int, reason: str, now: int) -> None:
    """Note that no connection to a receiver could be made: nothing is sent there for a while."""
    attempts: int | None = _RECEIVER_ATTEMPTS.scalar(transaction.connection, {"receiver": receiver})
    if attempts is None:
        return
    later = {"now": now, "next_at": now + back_off(attempts), "error": reason[:LONGEST_REASON]}
    _RECEIVER_FAILS.execute(transaction.connection, {"receiver": receiver, **later})


def receiver_worked(transaction: Transaction, receiver: int) -> None:
    """Note that a receiver can be connected to."""
    _RECEIVER_WORKS.execute(transaction.connection, {"receiver": receiver})
