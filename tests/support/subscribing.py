"""Subscriptions as devices send them."""

from __future__ import annotations

from csipd.sep2 import resources as r

#: Where Notifications go unless a test says so.
RECEIVER = "https://receiver.example/notified"


def subscription(resource: str, uri: str = RECEIVER, limit: int = 1) -> r.Subscription:
    """A subscription to a resource.

    :param limit: of members of a list that a Notification has at most
    """
    return r.Subscription(
        subscribedResource=resource, encoding=0, level="-S1", limit=limit, notificationURI=uri
    )
