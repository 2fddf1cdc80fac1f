"""What a chapter of the standard brings to the tree: where its documents come from, what writing them does.

A row of the resource table whose chapter says nothing about it has its documents in the table of documents
(db/documents.py): `Source` reads them there, `put`, `post` and `delete` write them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from attrs import field, frozen

from csipd.db import audit, documents
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.documents import DocumentChange
from csipd.db.stored import decode
from csipd.db.tree.context import Context
from csipd.refusals import Duplicate, Full, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.differences import described, differences
from csipd.sep2.paging import Page
from csipd.sep2.site import Place, Row, bare, list_of, member

Ids = tuple[int, ...]
#: A part of a list: how many members there are after the filter, and those wanted.
Members = tuple[int, list[tuple[Place, r.Resource]]]


class Source:
    """Where the documents of a row come from: the table of documents, unless a subclass says otherwise.

    What it gives is bare: `read` adds href, pollRate and links.
    """

    def __init__(self, row: Row) -> None:
        self.row = row

    def target(self, context: Context, ids: Ids) -> Place:
        """The place whose document stands here: this one, except for a resource under two names."""
        return Place(self.row, ids)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        """The bare resource, or None where there is none."""
        return documents.get(context.connection, Place(self.row, ids))

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        """Which of the resources there are."""
        hrefs = [self.row.href(ids) for ids in many]
        found = documents.present(context.connection, hrefs)
        return [href in found for href in hrefs]

    def exists(self, context: Context, ids: Ids) -> bool:
        """Whether there is such a list, empty or not, for whoever may see it."""
        return True

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        """How many members each of the lists has for this caller."""
        hrefs = [self.row.href(ids) for ids in many]
        found = documents.counts(context.connection, hrefs)
        return [found.get(href, 0) for href in hrefs]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        """A part of the list."""
        return documents.page(context.connection, place, part)


class Singleton(Source):
    """A resource that is there for whoever may see it."""

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [True] * len(many)


#: What a write does: given the decoded body of a PUT or POST, it returns the place of what a POST made.
WriteRule = Callable[[Transaction, Context, Place, "r.Resource | None"], "Place | None"]


@frozen
class Chapter:
    """A chapter's part in the tree.

    :param sources: by the name of a row, where its documents come from
    :param writes: by the name of a row and a method, what the write does
    """

    sources: Mapping[str, Callable[[Row], Source]] = field(factory=dict)
    writes: Mapping[tuple[str, str], WriteRule] = field(factory=dict)


def put(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """Keep what was put. The first PUT makes the resource, unless it is a list's member.

    :raises Duplicate: another member of the list is equal in its order
    """
    assert body is not None
    kept = bare(place.row, body)
    members = list_of(place.row)
    if members is None:
        written = documents.put(transaction, place, kept, context.now, place.device)
    else:
        if members.most:
            equal = documents.find_equal(context.connection, Place(members, place.ids[:-1]), kept)
            if equal is not None and equal != place:
                raise Duplicate(equal.href)
        written = documents.replace(transaction, members, place, kept, context.now)
    if written is not None:
        _record_write(transaction, context, place, written)
        _invalidate_manager(transaction, context)


def post(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> Place:
    """Add a member to a list. One that is equal to another in the list's order takes the other's place.

    :raises Full: the list holds as many as it may
    """
    assert body is not None
    row = member(place.row)
    kept = bare(row, body)
    if place.row.most:
        equal = documents.find_equal(context.connection, place, kept)
        if equal is not None:
            put(transaction, context, equal, kept)
            return equal
        if documents.counts(context.connection, [place.href]).get(place.href, 0) >= place.row.most:
            raise Full(f"{place.href} holds {place.row.most} members")
    made = documents.post(transaction, place, kept, context.now, place.device)
    record(transaction, context, "post", made, described(kept))
    _invalidate_manager(transaction, context)
    return made


def delete(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """Delete a document."""
    before = documents.get(context.connection, place)
    if not documents.delete(transaction, place):
        raise NotFound(place.href)
    record(transaction, context, "delete", place, "" if before is None else described(before))
    _invalidate_manager(transaction, context)


def record(transaction: Transaction, context: Context, action: str, place: Place, detail: str) -> None:
    """Write a line of the audit log for the caller."""
    caller = context.caller
    audit.record(transaction, context.now, caller.lfdi, action, place.href, detail, device=caller.device)


def _record_write(transaction: Transaction, context: Context, place: Place, written: DocumentChange) -> None:
    """A line for what a PUT changed; of values that are measured, for the first one."""
    if written.before is not None and place.row.measured:
        return
    kind = place.row.resource_type
    before = None
    if written.before is not None:
        # What was damaged on the disk is mended by what comes in its place.
        with suppress(Unreadable):
            before = decode(written.before, kind, place.href)
    after = decode(written.after, kind, place.href)
    detail = described(after) if before is None else differences(before, after)
    record(transaction, context, "put", place, detail)


def _invalidate_manager(transaction: Transaction, context: Context) -> None:
    """Counts and links of a device's resources are shown in its aggregator's lists, too."""
    if context.owner is not None and context.owner.manager is not None:
        transaction.invalidate(f"/edev/{context.owner.manager}")
