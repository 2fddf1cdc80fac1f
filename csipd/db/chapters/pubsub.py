"""Subscriptions of a device (IEEE 2030.5-2018 8.7.3).

What a POST or PUT asks for is about another place of the tree: `csipd.db.tree.subscribing`.
"""

from __future__ import annotations

from csipd.db import facts, subscriptions
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Chapter, Ids, Members, Source, record
from csipd.db.tree.context import Context
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import Place


class Subscription(Source):
    """A device's subscriptions, for whoever may have any."""

    reads = (facts.document,)
    linked = (facts.list_of,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.document(self.row.href(ids)))
        return subscriptions.get(context.connection, *ids)

    def exists(self, context: Context, ids: Ids) -> bool:
        return context.may_subscribe

    def page(self, context: Context, place: Place, part: Page) -> Members:
        of = facts.list_of(place.href)
        context.depend(of)
        behind = context.bookmark((place.href, part.start))
        total, members = subscriptions.page(context.connection, place.ids[0], part, behind)
        if members:
            # An aggregator may have some for each of its devices: who pages on passes over none.
            last = members[-1][0].ids[1]
            context.set_bookmark((place.href, part.start + len(members)), last, of)
        return total, list(members)


def delete(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """A subscriber wants to hear no more."""
    device, number = place.ids
    kept = subscriptions.get(transaction.connection, device, number)
    if kept is None:
        raise NotFound(place.href)
    subscriptions.remove(transaction, number)
    record(transaction, context, "delete", place, f"{kept.subscribedResource} to {kept.notificationURI}")


CHAPTER = Chapter(
    sources={"SubscriptionList": Subscription, "Subscription": Subscription},
    writes={("Subscription", "DELETE"): delete},
    drops={
        ("SubscriptionList", "POST"): (facts.document, facts.list_of),
        ("Subscription", "PUT"): (facts.document, facts.list_of),
        ("Subscription", "DELETE"): (facts.document, facts.list_of),
    },
)
