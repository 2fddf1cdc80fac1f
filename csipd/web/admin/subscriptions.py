"""Subscriptions, and what becomes of their Notifications: ``/admin/subscriptions``."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa

from csipd.db import subscription_list
from csipd.db.database import Transaction
from csipd.db.subscription_list import STATES, Attempts, Listed
from csipd.sep2.schema import Element
from csipd.sep2.types import Boolean, Choice, TimeType, UInt32
from csipd.web.admin.forms import Count, Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Parameter
from csipd.web.admin.paging import PAGE, counted


class Failure(Element):
    """Deliveries that failed in a row, since when, and why the last one did."""

    attempts: Count
    since: TimeType
    reason: Line


class SubscriptionShown(Element):
    """A subscription: who wants to be told of what, and where; what is pending, and what fails.

    ``state``: told (its subscriber knows all), pending (something may have to be sent), failing (the last
    attempt failed) or ended (its subscriber has still to hear of that). ``failing`` is what failed of its
    own, ``receiver_failing`` of all that goes to its receiver. ``next_attempt`` is given where something is
    pending.
    """

    number: Number
    device: Number
    device_name: Line | None = None
    state: Annotated[str, Choice(16, STATES)]
    resource: Line
    notificationURI: Line
    limit: UInt32
    created: TimeType
    expires: TimeType
    told: TimeType | None = None
    ended: TimeType | None = None
    pending: Boolean
    next_attempt: TimeType | None = None
    failing: Failure | None = None
    receiver_failing: Failure | None = None


class SubscriptionPage(Page):
    """Subscriptions, the newest first."""

    items: tuple[SubscriptionShown, ...] = ()


def list_subscriptions(connection: sa.Connection, call: Call) -> SubscriptionPage:
    """Subscriptions, the newest first."""
    query = call.query
    asked = {"device": query["device"], "state": query["state"]}
    items, following = subscription_list.listed(
        connection, **asked, before=query["after"], limit=query["limit"]
    )
    return SubscriptionPage(
        items=tuple(_forms(connection, items)),
        next=following,
        **counted(subscription_list.total(connection, **asked)),
    )


def show(connection: sa.Connection, call: Call) -> SubscriptionShown:
    """A subscription."""
    return _form(connection, subscription_list.show(connection, call.numbers["subscription"]))


def send(transaction: Transaction, call: Call) -> SubscriptionShown:
    """Tell a subscriber what its resource says now."""
    found = subscription_list.send(transaction, call.numbers["subscription"], call.who, call.now)
    return _form(transaction.connection, found)


def end(transaction: Transaction, call: Call) -> SubscriptionShown:
    """End a subscription and tell its subscriber so."""
    found = subscription_list.end(transaction, call.numbers["subscription"], call.who, call.now)
    return _form(transaction.connection, found)


def drop(transaction: Transaction, call: Call) -> None:
    """Delete a subscription and tell nobody."""
    subscription_list.drop(transaction, call.numbers["subscription"], call.who, call.now)


def _form(connection: sa.Connection, one: Listed) -> SubscriptionShown:
    return _forms(connection, [one])[0]


def _forms(connection: sa.Connection, found: list[Listed]) -> list[SubscriptionShown]:
    names = Names(connection).devices([one.device for one in found])
    return [
        SubscriptionShown(
            number=one.number,
            device=one.device,
            device_name=name,
            state=one.state,
            resource=one.resource,
            notificationURI=one.uri,
            limit=one.limit,
            created=one.created,
            expires=one.expires,
            told=one.notified,
            ended=one.ended,
            pending=one.pending,
            next_attempt=one.next_at,
            failing=_failure(one.failing),
            receiver_failing=_failure(one.receiver_failing),
        )
        for one, name in zip(found, names, strict=True)
    ]


def _failure(failed: Attempts | None) -> Failure | None:
    if failed is None:
        return None
    return Failure(attempts=failed.number, since=failed.since, reason=failed.error)


OPERATIONS = (
    Operation(
        "GET",
        "/admin/subscriptions",
        "listSubscriptions",
        "Subscriptions, the newest first",
        list_subscriptions,
        gives=SubscriptionPage,
        query=(
            *PAGE,
            Parameter("device", int, "number of the device or aggregator that subscribed"),
            Parameter("state", str, "only those in this state", words=STATES),
        ),
    ),
    Operation(
        "GET",
        "/admin/subscriptions/{subscription}",
        "showSubscription",
        "A subscription, what is pending and what fails",
        show,
        gives=SubscriptionShown,
    ),
    Operation(
        "POST",
        "/admin/subscriptions/{subscription}/send",
        "sendNotification",
        "Tell a subscriber what its resource says now, though nothing has changed; a test of its receiver",
        send,
        gives=SubscriptionShown,
        writes=True,
    ),
    Operation(
        "POST",
        "/admin/subscriptions/{subscription}/end",
        "endSubscription",
        "End a subscription, and tell its subscriber so",
        end,
        gives=SubscriptionShown,
        writes=True,
    ),
    Operation(
        "DELETE",
        "/admin/subscriptions/{subscription}",
        "dropSubscription",
        "Delete a subscription; nobody is told",
        drop,
        status=204,
        writes=True,
    ),
)
