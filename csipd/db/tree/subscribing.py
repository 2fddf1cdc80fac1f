"""What a device asks for that subscribes (IEEE 2030.5-2018 8.7.3; decisions 62 to 65).

A subscription is about another place of the tree than its own, so its rules stand above the chapters: the
subscriber has to see the resource now, as it has to each time that it is told of it.
"""

from __future__ import annotations

from csipd.db import subscriptions
from csipd.db.database import Transaction
from csipd.db.subscriptions import Look, Wanted
from csipd.db.tree import access, own_level
from csipd.db.tree import context as contexts
from csipd.db.tree.chapter import record
from csipd.db.tree.context import Context
from csipd.der.receivers import Forbidden
from csipd.refusals import BadDocument, BadRequest, Duplicate, Full, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.site import Place
from csipd.sep2.types import Encoding, ReasonCode


def subscribe(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> Place:
    """POST of a Subscription. One for the same resource and notificationURI is renewed, and not doubled.

    :return: where it is
    :raises NotFound: the caller may have none, or does not see the resource
    :raises BadRequest: it cannot be subscribed to, or not so
    :raises Full: the caller has as many as it may have
    """
    asked, target, wanted = _wanted(context, body)
    device = place.ids[0]
    known = subscriptions.find(transaction.connection, device, wanted.href, wanted.uri)
    if known is not None:
        kept = subscriptions.place_of(device, known)
        _go_on(transaction, context, kept, own_level.look(asked, target), wanted)
        return kept
    caller = context.caller
    most = context.server.subscriptions.most(aggregator=caller.aggregator, managed=caller.managed)
    if subscriptions.count(transaction.connection, device) >= most:
        raise Full(f"{caller.lfdi} has {most} subscriptions")
    look = own_level.look(asked, target)
    until = context.now + context.server.subscriptions.expiry
    number = subscriptions.add(transaction, device, wanted, look, until, context.now)
    made = subscriptions.place_of(device, number)
    record(transaction, context, "post", made, _said(wanted))
    return made


def change(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """PUT of a Subscription: it goes on so.

    :raises NotFound: it is not there, or the caller does not see the resource
    :raises Duplicate: there is another for the same resource and notificationURI
    :raises BadRequest: as `subscribe`
    """
    if subscriptions.get(transaction.connection, *place.ids) is None:
        raise NotFound(place.href)
    asked, target, wanted = _wanted(context, body)
    other = subscriptions.find(transaction.connection, place.ids[0], wanted.href, wanted.uri)
    if other not in (None, place.ids[1]):
        raise Duplicate(place.row.href((place.ids[0], other)))
    _go_on(transaction, context, place, own_level.look(asked, target), wanted)


def _go_on(transaction: Transaction, context: Context, place: Place, look: Look, wanted: Wanted) -> None:
    """Renew a subscription, as its subscriber wants it now."""
    connection, (device, number) = transaction.connection, place.ids
    until = context.now + context.server.subscriptions.expiry
    before = subscriptions.wanted_by(connection, number)
    if wanted != before:
        moved = look if wanted.href != before.href else None
        subscriptions.change(transaction, device, number, wanted, moved, until)
        record(transaction, context, "put", place, _said(wanted))
    subscriptions.renew(transaction, number, until, context.now)


def _wanted(context: Context, body: r.Resource | None) -> tuple[Context, Place, Wanted]:
    """The caller as it asks for the place that is to be subscribed to, that place, and what is wanted."""
    assert isinstance(body, r.Subscription)
    if not context.may_subscribe:
        raise NotFound("the caller may have no subscriptions")
    target = _target(context, body.subscribedResource)
    # What it does not see is not there, subscribable or not.
    asked = contexts.known(context.connection, context.server, context.caller, target, context.now)
    access.authorize(asked, target, "GET")
    if not target.row.subscribable:
        raise BadRequest(f"{target.href} cannot be subscribed to")
    if body.Condition is not None:
        raise BadDocument(f"{target.href} takes no Condition", ReasonCode.CONDITION_UNSUPPORTED)
    if body.encoding != Encoding.XML:
        raise BadRequest(f"Notifications come in XML alone, not in encoding {body.encoding}")
    try:
        receiver = context.server.receivers.target(body.notificationURI)
    except Forbidden as forbidden:
        raise BadRequest(f"the notificationURI {forbidden}") from None
    return (
        asked,
        target,
        Wanted(
            target.href,
            body.subscribedResource,
            body.notificationURI,
            receiver.host,
            receiver.port,
            body.level,
            body.limit,
        ),
    )


def _target(context: Context, written: str) -> Place:
    """The place that a subscribedResource names; which part of a list is wanted the limit says, no query.

    :raises NotFound: it names none
    """
    path = written.partition("?")[0]
    for base in context.server.base_uris:
        if path[: len(base)].lower() == base.lower():
            path = path[len(base) :]
            break
    target = context.server.layout.locate(path)
    if target is None:
        raise NotFound(f"subscribedResource {written!r}")
    return target


def _said(wanted: Wanted) -> str:
    return f"{wanted.resource} to {wanted.uri}, limit {wanted.limit}, level {wanted.level}"
