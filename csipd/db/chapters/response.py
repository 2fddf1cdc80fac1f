"""Responses to events, and the one set that holds them (IEEE 2030.5-2018 8.8)."""

from __future__ import annotations

from collections.abc import Sequence

from csipd.db import facts, response_list, responses
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Chapter, Ids, Members, Source
from csipd.db.tree.context import SMALL, Context
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place, bare, member


class ResponseSet(Source):
    """The one set of responses there is: events of every kind are answered there."""

    reads = ()
    linked = ()

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        return self._bare(context) if ids == (responses.SET,) else None

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [ids == (responses.SET,) for ids in many]

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        return [1] * len(many)

    def page(self, context: Context, place: Place, part: Page) -> Members:
        every = [(Place(ROWS["ResponseSet"], (responses.SET,)), self._bare(context))]
        return len(every), every[part.start : part.start + part.limit]

    def _bare(self, context: Context) -> r.Resource:
        mrid = context.server.issuer.mrid(Kind.RESPONSES, responses.SET)
        return r.ResponseSet(mRID=mrid, description="Responses to events")


class Response(Source):
    """Responses: a caller's own and those of its fleet."""

    reads = (facts.responses, facts.fleet)
    linked = (facts.responses, facts.fleet)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        if ids[0] != responses.SET:
            return None
        self._depend(context)
        return response_list.get(context.connection, context.caller, ids[1])

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self.get(context, ids) is not None for ids in many]

    def exists(self, context: Context, ids: Ids) -> bool:
        return ids == (responses.SET,)

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        self._depend(context)
        return [context.cached(response_list.count, context.caller)] * len(many)

    def page(self, context: Context, place: Place, part: Page) -> Members:
        self._depend(context)
        caller, fleet = context.caller, context.caller.aggregator
        key = ("responses", caller.device, part.after)
        behind = context.bookmark((*key, part.start)) if fleet else None
        total = self._later(context, part.after) if fleet else None
        total, members, last = response_list.page(context.connection, caller, part, behind, total)
        if fleet and caller.device is not None and last is not None:
            # Whoever pages on is given what follows without passing over what it has.
            hangs_on = facts.responses(caller.device), facts.fleet(caller.device)
            context.set_bookmark((*key, part.start + len(members)), last, *hangs_on)
        return total, list(members)

    def _later(self, context: Context, after: int | None) -> int:
        """How many of a fleet's were created after a moment, counted once; without one that is kept."""

        def count() -> int:
            self._depend(context)
            return response_list.count(context.connection, context.caller, after)

        key = ("responses later", context.caller.device, after)
        return count() if after is None else context.kept(key, count, lambda _: SMALL, own=True)

    def _depend(self, context: Context) -> None:
        asker = context.caller.device
        if asker is not None:
            context.depend(facts.responses(asker))
        if context.caller.aggregator and asker is not None:
            context.depend(facts.fleet(asker))


def post(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> Place:
    """A device answers an event, or an aggregator for one of its fleet."""
    assert body is not None
    kept = bare(member(place.row), body)
    assert isinstance(kept, r.Response)
    return responses.post(transaction, context.caller, kept, context.now)


CHAPTER = Chapter(
    sources={
        "ResponseSetList": ResponseSet,
        "ResponseSet": ResponseSet,
        "ResponseList": Response,
        "Response": Response,
    },
    writes={("ResponseList", "POST"): post},
    drops={("ResponseList", "POST"): (facts.responses,)},
)
