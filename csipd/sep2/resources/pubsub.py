"""Subscriptions and notifications (IEEE 2030.5-2018 8.7)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import List, ListLink, Resource
from csipd.sep2.schema import Attribute, Element, Polymorphic
from csipd.sep2.types import AnyURI, Int48, String16, UInt8, UInt32


class Condition(Element):
    """The bounds outside of which a value is notified."""

    attributeIdentifier: UInt8
    lowerThreshold: Int48
    upperThreshold: Int48


class SubscriptionBase(Resource):
    """What subscription and notification share: the resource they are about."""

    subscribedResource: AnyURI


class Subscription(SubscriptionBase):
    """A client's request for notifications, to `notificationURI`, with at most `limit` members of a list."""

    Condition: r.Condition | None = None
    encoding: UInt8
    level: String16
    limit: UInt32
    notificationURI: AnyURI


class SubscriptionList(List):
    """A page of a list of Subscription."""

    pollRate: Attribute[UInt32] = 900
    Subscription: tuple[r.Subscription, ...] = ()


class SubscriptionListLink(ListLink):
    """To a list of Subscription."""


class Notification(SubscriptionBase):
    """What a subscriber gets of a change (`status` is a NotificationStatus): the resource as it now is."""

    newResourceURI: AnyURI | None = None
    Resource: Polymorphic[r.Resource] | None = None
    status: UInt8
    subscriptionURI: AnyURI


class NotificationList(List):
    """A page of a list of Notification."""

    Notification: tuple[Polymorphic[r.Notification], ...] = ()


class NotificationListLink(ListLink):
    """To a list of Notification."""
