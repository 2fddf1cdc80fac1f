"""What the service that sends Notifications asks of the store, each in the share of the outbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from attrs import field, frozen
from twisted.internet.defer import Deferred

from csipd.db import notifications, outbox, subscriptions
from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import OUTBOX
from csipd.db.notifications import Outcome, Outgoing, Receiver, Settled
from csipd.db.tree.context import Server

#: Receivers that one look gives.
MOST_RECEIVERS: Final = 2_000


@frozen
class Look:
    """What there is to do.

    :param waits: whether `OutboxStore.hand_on` has something to do
    :param receivers: to whom something may be sent now, those that were served longest ago first
    :param seconds: until there is something though nothing is written, as devices' clock goes; None: never
    """

    waits: bool
    receivers: Sequence[Receiver]
    seconds: float | None


@frozen
class Report:
    """What came of deliveries, to be written down in one transaction.

    :param outcomes: by subscription
    :param failed: receivers that cannot be talked to, and why
    :param worked: receivers that have answered
    """

    outcomes: Sequence[Outcome] = ()
    failed: Mapping[int, str] = field(factory=dict)
    worked: Collection[int] = ()


class OutboxStore:
    """The outbox in the database.

    :param wall: TimeType, as devices see it
    """

    def __init__(self, database: Database, server: Server, wall: Callable[[], float]) -> None:
        self._database = database
        self._server = server
        self._wall = wall

    def begin(self) -> Deferred[None]:
        """Begin anew after a stop."""
        return self._database.write(
            lambda transaction: notifications.resume(transaction, self._server), OUTBOX
        )

    def look(self, busy: Collection[int], after: int) -> Deferred[Look]:
        """Find out what there is to do.

        :param busy: receivers that are served already
        :param after: the receiver that was given last
        """
        now = self._wall()

        def look(connection: sa.Connection) -> Look:
            whole = int(now)
            found = notifications.due_receivers(connection, whole, MOST_RECEIVERS, busy=busy, after=after)
            moment = notifications.next_moment(connection, whole)
            by_clock = (subscriptions.next_end(connection), outbox.next_look(connection))
            waits = outbox.waits(connection) or any(due is not None and due <= whole for due in by_clock)
            return Look(waits, found, None if moment is None else max(0.0, moment - now))

        return self._database.read(look, OUTBOX)

    def hand_on(self) -> Deferred[bool]:
        """Mark a portion of the subscriptions that hang on what has changed; whether there is more."""
        now = int(self._wall())
        return self._database.write(lambda transaction: outbox.fan_out(transaction, now), OUTBOX)

    def due(self, receiver: int, most: int, busy: Collection[int]) -> Deferred[list[int]]:
        """Subscriptions of which something may be sent to a receiver now."""
        now = int(self._wall())
        return self._database.read(
            lambda connection: notifications.due(connection, receiver, now, most, busy=busy), OUTBOX
        )

    def prepare(self, subscription: int) -> Deferred[Outgoing | Settled]:
        """What a subscription is to be told."""
        now = int(self._wall())
        return self._database.read(
            lambda connection: notifications.prepare(connection, self._server, subscription, now), OUTBOX
        )

    def settle(self, report: Report) -> Deferred[None]:
        """Write down what came of deliveries."""
        now = int(self._wall())

        def settle(transaction: Transaction) -> None:
            notifications.settle(transaction, report.outcomes, now)
            for receiver in report.worked:
                notifications.receiver_worked(transaction, receiver)
            for receiver, why in report.failed.items():
                notifications.receiver_failed(transaction, receiver, why, now)

        return self._database.write(settle, OUTBOX)
