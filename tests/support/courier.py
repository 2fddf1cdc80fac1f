"""Delivers what subscribers are to be told, in place: the service that does so, without sockets and threads.

courier = Courier(world)
world.post(AGGREGATOR, f"/edev/{n}/sub", subscription("/edev"))
...
(notification,) = courier.deliver()     # those that went out, in order
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from lxml import etree

from csipd.db import notifications, outbox
from csipd.db.notifications import Delivered, Outcome, Outgoing, Settled
from csipd.sep2 import resources as r
from tests.support.schema import validate
from tests.support.world import World

NAMESPACE = "{urn:ieee:std:2030.5:ns}"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def subscription(
    resource: str, uri: str = "https://receiver.example/notified", limit: int = 10
) -> r.Resource:
    """What a client posts to subscribe."""
    return r.Subscription(
        subscribedResource=resource, encoding=0, level="-S1", limit=limit, notificationURI=uri
    )


@frozen
class Notified:
    """A Notification that went out.

    :param resource: the element, or None
    """

    outgoing: Outgoing
    subscribed: str
    status: int
    subscription: str
    resource: etree._Element | None

    @property
    def kind(self) -> str | None:
        """The class of the resource."""
        return None if self.resource is None else self.resource.get(_TYPE)


def read(outgoing: Outgoing) -> Notified:
    """What a Notification says; it has to be valid."""
    validate(outgoing.body)
    root = etree.fromstring(outgoing.body)
    assert root.tag == f"{NAMESPACE}Notification"

    def text(name: str) -> str:
        return root.findtext(NAMESPACE + name) or ""

    return Notified(
        outgoing,
        text("subscribedResource"),
        int(text("status")),
        text("subscriptionURI"),
        root.find(f"{NAMESPACE}Resource"),
    )


class Courier:
    """Takes what is due in a world to those it is for.

    :param answers: what comes of each
    """

    def __init__(self, world: World, answers: Callable[[Outgoing], Outcome] = Delivered) -> None:
        self.world = world
        self.answers = answers
        #: How many subscriptions were looked at.
        self.looked = 0

    def fan_out(self) -> None:
        """Hand on all changes."""
        now = int(self.world.now)
        while self.world.write(lambda transaction: outbox.fan_out(transaction, now)):
            pass

    def due(self) -> list[int]:
        """The subscriptions that are due."""
        now = int(self.world.now)
        return self.world.read(
            lambda connection: [
                number
                for receiver in notifications.due_receivers(connection, now, 1000)
                for number in notifications.due(connection, receiver.number, now, 1000)
            ]
        )

    def prepare(self, number: int) -> Outgoing | Settled:
        """Look at a subscription."""
        self.looked += 1
        now = int(self.world.now)
        return self.world.read(
            lambda connection: notifications.prepare(connection, self.world.server, number, now)
        )

    def settle(self, *outcomes: Outcome) -> None:
        """Write down what came of it."""
        now = int(self.world.now)
        self.world.write(lambda transaction: notifications.settle(transaction, outcomes, now))

    def deliver(self) -> list[Notified]:
        """Deliver until nothing is due."""
        sent = []
        self.fan_out()
        while due := self.due():
            for number in due:
                prepared = self.prepare(number)
                if isinstance(prepared, Settled):
                    self.settle(prepared)
                else:
                    sent.append(read(prepared))
                    self.settle(self.answers(prepared))
            self.fan_out()
        return sent
