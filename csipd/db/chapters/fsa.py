"""FunctionSetAssignments: a view over the groups that a device is in (IEEE 2030.5-2018 8.7)."""

from __future__ import annotations

from collections.abc import Sequence

from csipd.db import facts
from csipd.db.tree.chapter import Chapter, Ids, Members, Source
from csipd.db.tree.context import Context
from csipd.db.tree.reach import assignment_counts, assignments_of
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place


class FunctionSetAssignments(Source):
    """A device's FSAs."""

    reads = (facts.groups_of, facts.topology)
    linked = (facts.groups_of, facts.topology)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        device, wanted = ids
        for number, name in assignments_of(context, device):
            if number == wanted:
                return self._bare(context, device, number, name)
        return None

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self.get(context, ids) is not None for ids in many]

    def exists(self, context: Context, ids: Ids) -> bool:
        return not context.is_own_aggregator(ids[0])

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        return assignment_counts(context, [ids[0] for ids in many])

    def page(self, context: Context, place: Place, part: Page) -> Members:
        device = place.ids[0]
        every = assignments_of(context, device)
        wanted = every[part.start : part.start + part.limit]
        return len(every), [
            (
                Place(ROWS["FunctionSetAssignments"], (device, number)),
                self._bare(context, device, number, name),
            )
            for number, name in wanted
        ]

    def _bare(self, context: Context, device: int, number: int, name: str) -> r.Resource:
        return r.FunctionSetAssignments(
            mRID=context.server.issuer.mrid(Kind.ASSIGNMENTS, device, number),
            description=name[:32],
            ResponseSetListLink=r.ResponseSetListLink(href=ROWS["ResponseSetList"].uri, all=1),
            TimeLink=r.TimeLink(href=ROWS["Time"].uri),
        )


CHAPTER = Chapter(
    sources={
        "FunctionSetAssignmentsList": FunctionSetAssignments,
        "FunctionSetAssignments": FunctionSetAssignments,
    }
)
