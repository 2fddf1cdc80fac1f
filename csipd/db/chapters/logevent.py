"""Log events of devices (IEEE 2030.5-2018 9.6)."""

from __future__ import annotations

from collections.abc import Sequence

from csipd.db import facts, logevents
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Chapter, Ids, Members, Source
from csipd.db.tree.context import Context
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import Place, bare, member


class LogEvent(Source):
    """Log events, those that their device has not deleted."""

    reads = (facts.document,)
    linked = (facts.list_of,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.document(self.row.href(ids)))
        return logevents.get(context.connection, *ids)

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        context.depend(*(facts.list_of(self.row.href(ids)) for ids in many))
        found = logevents.counts(context.connection, [ids[0] for ids in many])
        return [found.get(ids[0], 0) for ids in many]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        # A log event never changes, it is only there or not.
        context.depend(facts.list_of(place.href))
        total, members = logevents.page(context.connection, place.ids[0], part)
        return total, list(members)


def post(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> Place:
    """A device reports something; an alarm may be raised or cleared by it."""
    assert body is not None
    kept = bare(member(place.row), body)
    assert isinstance(kept, r.LogEvent)
    return logevents.post(transaction, place.ids[0], kept, context.server.log_events, context.now)


def delete(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """A device takes a log event out of its list; the operator's history keeps it."""
    device, number = place.ids
    logevents.hide(transaction, device, number, context.server.log_events)


CHAPTER = Chapter(
    sources={"LogEventList": LogEvent, "LogEvent": LogEvent},
    writes={("LogEventList", "POST"): post, ("LogEvent", "DELETE"): delete},
    drops={
        ("LogEventList", "POST"): (facts.list_of, facts.document),
        ("LogEvent", "DELETE"): (facts.list_of, facts.document),
    },
)
