"""What a chapter of the standard brings to the tree: where its documents come from, what writing them does.

A row of the resource table whose chapter says nothing about it has its documents in the table of documents
(db/documents.py): `Source` reads them there, `put`, `post` and `delete` write them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

from attrs import field, frozen

from csipd.db import audit, documents, facts
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.facts import Kind
from csipd.db.stored import decode
from csipd.db.tree.context import Context
from csipd.refusals import Duplicate, Full, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.differences import described, differences
from csipd.sep2.paging import Page
from csipd.sep2.site import Audience, Place, Row, bare, list_of, member

Ids = tuple[int, ...]
#: A part of a list: how many members there are after the filter, and those wanted.
Members = tuple[int, list[tuple[Place, r.Resource]]]
#: The same without the resources.
Places = tuple[int, list[Place]]


class Source:
    """Where the documents of a row come from: the table of documents, unless a subclass says otherwise.

    What it gives is bare: `read` adds href, pollRate and links.
    """

    #: Kinds of facts that its documents, or the members that a list shows, hang on; besides them goes a list.
    reads: tuple[Kind, ...] = (facts.document,)
    #: Those that a link to it hangs on: whether it is there, how many members it has.
    linked: tuple[Kind, ...] = (facts.document,)
    #: Whether its document is the same for everybody, and hangs on nothing but time.
    is_common = False
    #: Whether its documents say nothing but what they link to.
    is_all_links = False

    def __init__(self, row: Row) -> None:
        self.row = row
        if row.is_list and type(self).linked is Source.linked:
            self.linked = (facts.list_of,)

    def target(self, context: Context, ids: Ids) -> Place:
        """The place whose document stands here: this one, except for a resource under two names."""
        return Place(self.row, ids)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        """The bare resource, or None where there is none."""
        href = self.row.href(ids)
        context.depend(facts.document(href))
        stored = context.cached(documents.stored_at, href)
        return None if stored is None else decode(stored.body, self.row.resource_type, href)

    @cached_property
    def is_kept(self) -> bool:
        """Whether its documents are in the table of documents, each at its href."""
        return type(self).get is Source.get and not self.row.is_list

    @cached_property
    def is_counted(self) -> bool:
        """Whether the members of its lists are counted in the table of lists: many at once, of any rows."""
        return type(self).counts is Source.counts and self.row.is_list

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        """Which of the resources there are."""
        hrefs = [self.row.href(ids) for ids in many]
        context.depend(*map(facts.document, hrefs))
        found = documents.present(context.connection, hrefs)
        return [href in found for href in hrefs]

    def is_shared(self, context: Context, ids: Ids) -> bool:
        """Whether the octets of its document are kept: all who may see it are given the same."""
        return self.row.audience is Audience.PROGRAM

    def exists(self, context: Context, ids: Ids) -> bool:
        """Whether there is such a list, empty or not, for whoever may see it."""
        return True

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        """How many members each of the lists has for this caller."""
        return count_members(context, [self.row.href(ids) for ids in many])

    def shared(self, context: Context, place: Place, part: Page) -> Places | None:
        """A part of the list by the places of its members, where each of these `is_shared`.

        None where they are not: then `page` has the members.
        """
        return None

    def said(self, context: Context, place: Place) -> bytes | None:
        """What all members of the list say, in a few octets that are others when one of them changes.

        None: what they say is read. For who subscribed to the list (`own_level`).
        """
        return None

    def certain(self, context: Context, place: Place) -> Sequence[str]:
        """Facts of which a drop is a change of what is at a place, without a look at what it says."""
        return ()

    def page(self, context: Context, place: Place, part: Page) -> Members:
        """A part of the list."""
        total, members = documents.page(context.connection, place, part)
        context.depend(
            facts.list_of(place.href), *(facts.document(member_place.href) for member_place, _ in members)
        )
        return total, members


def count_members(context: Context, hrefs: Sequence[str]) -> list[int]:
    """How many members each of some lists has that are in the table of lists."""
    context.depend(*map(facts.list_of, hrefs))
    found = documents.counts(context.connection, hrefs)
    return [found.get(href, 0) for href in hrefs]


class Singleton(Source):
    """A resource that is there for whoever may see it."""

    reads: tuple[Kind, ...] = ()
    linked: tuple[Kind, ...] = ()

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [True] * len(many)


@frozen
class Overwritten:
    """A POST found at ``place`` what it is about, and overwrote it."""

    place: Place


#: What a write comes to: the place of what a POST made, or of what it overwrote.
Outcome = Place | Overwritten | None
#: What a write does, given the decoded body of a PUT or POST.
WriteRule = Callable[[Transaction, Context, Place, "r.Resource | None"], Outcome]


@frozen
class Chapter:
    """A chapter's part in the tree.

    :param sources: by the name of a row, where its documents come from, and what they hang on
    :param writes: by the name of a row and a method, what the write does
    :param drops: likewise, the kinds of facts that it drops, where a document's are not all
    """

    sources: Mapping[str, Callable[[Row], Source]] = field(factory=dict)
    writes: Mapping[tuple[str, str], WriteRule] = field(factory=dict)
    drops: Mapping[tuple[str, str], tuple[Kind, ...]] = field(factory=dict)


@frozen(slots=False)
class Change:
    """What a PUT changed.

    :param place: of the document
    :param kept: how it was stored before; None: there was none
    :param after: the bare resource
    """

    place: Place
    kept: bytes | None
    after: r.Resource

    @cached_property
    def before(self) -> r.Resource | None:
        """The bare resource that was there; None where there was none that can be read.

        What was damaged on the disk is mended by what comes in its place.
        """
        if self.kept is None:
            return None
        with suppress(Unreadable):
            return decode(self.kept, self.place.row.resource_type, self.place.href)
        return None


def put(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """Keep what was put; `replace`, for the table of rules."""
    replace(transaction, context, place, body)


def replace(
    transaction: Transaction, context: Context, place: Place, body: r.Resource | None
) -> Change | None:
    """Keep what was put. The first PUT makes the resource, unless it is a list's member.

    :return: None where it was the same before: then nothing was written
    :raises Duplicate: another member of the list is equal in its order
    """
    assert body is not None
    kept = bare(place.row, body)
    members = list_of(place.row)
    if members is None:
        stored = context.cached(documents.stored_at, place.href)
        before = None if stored is None else stored.body
        written = documents.put_over(transaction, place, before, kept, context.now, place.device)
    else:
        if members.most:
            equal = documents.find_equal(context.connection, Place(members, place.ids[:-1]), kept)
            if equal is not None and equal != place:
                raise Duplicate(equal.href)
        written = documents.replace(transaction, members, place, kept, context.now)
    if written is None:
        return None
    change = Change(place, written.before, kept)
    _record_change(transaction, context, change)
    return change


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
    return made


def delete(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """Delete a document."""
    before = documents.get(context.connection, place)
    if not documents.delete(transaction, place):
        raise NotFound(place.href)
    record(transaction, context, "delete", place, "" if before is None else described(before))


def record(transaction: Transaction, context: Context, action: str, place: Place, detail: str) -> None:
    """Write a line of the audit log for the caller."""
    caller = context.caller
    audit.record(transaction, context.now, caller.lfdi, action, place.href, detail, device=caller.device)


def _record_change(transaction: Transaction, context: Context, change: Change) -> None:
    """A line for what a PUT changed; of values that are measured, for the first one."""
    if change.kept is not None and change.place.row.measured:
        return
    before = change.before
    detail = described(change.after) if before is None else differences(before, change.after)
    record(transaction, context, "put", change.place, detail)
