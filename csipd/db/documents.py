"""The tree of documents: what devices, the operator and the configuration gave, kept as given.

The same operations serve every function set: get, page, put, post, delete. A list of documents has no
row before its first member; its count is kept, not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts, numbering
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import documents, lists
from csipd.db.upsert import insert
from csipd.refusals import NotFound
from csipd.sep2 import codec
from csipd.sep2.ordering import order_key, order_prefix, time_key
from csipd.sep2.paging import Page
from csipd.sep2.resources import Resource
from csipd.sep2.site import Place, Row, member

#: The columns of what a document says.
_CONTENT = ("body", "checksum")
#: The whole of a list that is known to be short: the curves of a program, the DERs of a device.
ALL = Page(limit=10_000)

_STORED = Prepared(
    sa.select(documents.c.body, documents.c.checksum).where(documents.c.href == sa.bindparam("href"))
)
_PRESENT = Prepared(
    sa.select(documents.c.href).where(documents.c.href.in_(sa.bindparam("hrefs", expanding=True)))
)
_COUNTS = Prepared(
    sa.select(lists.c.href, lists.c.members).where(lists.c.href.in_(sa.bindparam("hrefs", expanding=True)))
)
_HREFS = Prepared(sa.select(documents.c.href).where(documents.c.list == sa.bindparam("list")))
_LAST = Prepared(sa.select(lists.c.last).where(lists.c.href == sa.bindparam("href")))
_MEMBERS = (
    sa.select(documents.c.href, documents.c.body)
    .where(documents.c.list == sa.bindparam("list"))
    .order_by(documents.c.order)
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_LATER = documents.c.time > sa.bindparam("after")
_PAGE = Prepared(_MEMBERS)
_PAGE_LATER = Prepared(_MEMBERS.where(_LATER))
_COUNT_LATER = Prepared(sa.select(sa.func.count()).where(documents.c.list == sa.bindparam("list"), _LATER))
_EQUAL = Prepared(
    sa.select(documents.c.href).where(
        documents.c.list == sa.bindparam("list"),
        documents.c.order > sa.bindparam("from"),
        documents.c.order < sa.bindparam("to"),
    )
)
_INSERT = Prepared(sa.insert(documents), "href", "list", "order", "time", "device", "changed", *_CONTENT)
_REPLACE = Prepared(
    sa.update(documents).where(documents.c.href == sa.bindparam("place")),
    "order",
    "time",
    "changed",
    *_CONTENT,
)
_DELETE = Prepared(
    sa.delete(documents).where(documents.c.href == sa.bindparam("href")).returning(documents.c.list)
)
_SHORTEN = Prepared(
    sa.update(lists).where(lists.c.href == sa.bindparam("list")).values(members=lists.c.members - 1)
)


def _put(dialect: str) -> sa.Insert:
    statement = insert(dialect, documents)
    return statement.on_conflict_do_update(
        index_elements=[documents.c.href],
        set_={name: statement.excluded[name] for name in ("changed", *_CONTENT)},
    )


def _lengthen(dialect: str) -> sa.Insert:
    """Count one member more; gives its number."""
    return (
        insert(dialect, lists)
        .values(href=sa.bindparam("href"), members=1, last=numbering.LISTS_FROM + 1)
        .on_conflict_do_update(
            index_elements=[lists.c.href],
            set_={"members": lists.c.members + 1, "last": lists.c.last + 1},
        )
        .returning(lists.c.last)
    )


_PUT = Prepared(_put, "href", "device", "changed", *_CONTENT)
_LENGTHEN = Prepared(_lengthen)


@frozen
class StoredDocument:
    """A document as it is stored.

    :param sound: whether its checksum says that this is what was stored; one from before there were checksums
        may be so all the same
    """

    body: bytes
    sound: bool


def stored_at(connection: sa.Connection, href: str) -> StoredDocument | None:
    """The document at an href as it is stored, or None."""
    row = _STORED.first(connection, {"href": href})
    return None if row is None else StoredDocument(row.body, crc32(row.body) == row.checksum)


def body_at(connection: sa.Connection, href: str) -> bytes | None:
    """The octets of the document at an href, or None."""
    stored = stored_at(connection, href)
    return None if stored is None else stored.body


def get(connection: sa.Connection, place: Place) -> Resource | None:
    """The document at a place, or None."""
    body = body_at(connection, place.href)
    return None if body is None else decode(body, place.row.resource_type, place.href)


def present(connection: sa.Connection, hrefs: Sequence[str]) -> set[str]:
    """Those of the hrefs at which there is a document."""
    return set(_PRESENT.scalars(connection, {"hrefs": hrefs}))


def counts(connection: sa.Connection, hrefs: Sequence[str]) -> dict[str, int]:
    """How many members each of the lists has; lists without any are left out."""
    return dict(_COUNTS.all(connection, {"hrefs": hrefs}))


def numbers(connection: sa.Connection, place: Place) -> list[int]:
    """The numbers of the members of a list that is known to be short, the least first."""
    return sorted(int(href.rpartition("/")[2]) for href in _HREFS.scalars(connection, {"list": place.href}))


def page(connection: sa.Connection, place: Place, part: Page) -> tuple[int, list[tuple[Place, Resource]]]:
    """A part of a list.

    :return: how many members there are (after the filter ``a``), and those wanted with their places
    """
    wanted: dict[str, object] = {"list": place.href}
    query = _PAGE
    if part.after is None or not place.row.timed:
        total = counts(connection, [place.href]).get(place.href, 0)
    else:
        wanted["after"] = part.after
        query = _PAGE_LATER
        total = _COUNT_LATER.scalar(connection, wanted)
    if part.start >= total or not part.limit:
        return total, []
    wanted |= {"limit": part.limit, "start": part.start}
    row = member(place.row)
    return total, [
        (Place(row, (*place.ids, int(href.rpartition("/")[2]))), decode(body, row.resource_type, href))
        for href, body in query.all(connection, wanted)
    ]


@frozen
class DocumentChange:
    """What a write did to a document: its encoded content before and after; None: there was none."""

    before: bytes | None
    after: bytes


def put(
    transaction: Transaction, place: Place, resource: Resource, now: int, device: int | None
) -> DocumentChange | None:
    """Make or replace the document of a resource that is no list's member.

    :return: None where it is the same already: then nothing is written, and nothing has changed
    """
    before = body_at(transaction.connection, place.href)
    return put_over(transaction, place, before, resource, now, device)


def put_over(
    transaction: Transaction,
    place: Place,
    before: bytes | None,
    resource: Resource,
    now: int,
    device: int | None,
) -> DocumentChange | None:
    """What `put` does, where what is kept there so far is known in this transaction.

    :param before: `body_at` its place
    """
    connection = transaction.connection
    body = codec.encode(resource, extensions=True)
    if before == body:
        return None
    row = {"href": place.href, "device": device, "changed": now, "body": body, "checksum": crc32(body)}
    _PUT.execute(connection, row)
    transaction.invalidate(facts.document(place.href))
    return DocumentChange(before, body)


def next_number(connection: sa.Connection, place: Place) -> int:
    """The number that the next member of a list will get; certain within a write."""
    last: int | None = _LAST.scalar(connection, {"href": place.href})
    return (numbering.lists_from(connection) if last is None else last) + 1


def post(transaction: Transaction, place: Place, resource: Resource, now: int, device: int | None) -> Place:
    """Add a member to a list; its number has never been used there before.

    :param place: of the list
    :return: the place of the member
    """
    connection = transaction.connection
    number = lengthen(connection, place.href)
    made = Place(member(place.row), (*place.ids, number))
    body = codec.encode(resource, extensions=True)
    row = {
        "href": made.href,
        "list": place.href,
        "order": order_key(place.row, resource, number),
        "time": time_key(place.row, resource),
        "device": device,
        "changed": now,
        "body": body,
        "checksum": crc32(body),
    }
    _INSERT.execute(connection, row)
    transaction.invalidate(facts.list_of(place.href), facts.document(made.href))
    return made


def lengthen(connection: sa.Connection, href: str) -> int:
    """Count one member more of the list at an href; gives the number that it may have."""
    number: int = _LENGTHEN.scalar(connection, {"href": href})
    return number


def shorten(connection: sa.Connection, href: str) -> None:
    """Count one member less."""
    _SHORTEN.execute(connection, {"list": href})


def find_equal(connection: sa.Connection, place: Place, resource: Resource) -> Place | None:
    """The member of a list that is equal to a resource in the keys of the list's order.

    :param place: of the list
    """
    prefix = order_prefix(place.row, resource)
    href: str | None = _EQUAL.scalar(connection, {"list": place.href, "from": prefix, "to": f"{prefix}~"})
    return None if href is None else Place(member(place.row), (*place.ids, int(href.rpartition("/")[2])))


def replace(
    transaction: Transaction, list_row: Row, place: Place, resource: Resource, now: int
) -> DocumentChange | None:
    """Replace a member of a list, which may change its place in the order.

    :return: None where it is the same already: then nothing is written, and nothing has changed
    :raises NotFound: there is no such member
    """
    connection = transaction.connection
    before = body_at(connection, place.href)
    if before is None:
        raise NotFound(place.href)
    body = codec.encode(resource, extensions=True)
    if before == body:
        return None
    row = {
        "place": place.href,
        "order": order_key(list_row, resource, place.ids[-1]),
        "time": time_key(list_row, resource),
        "changed": now,
        "body": body,
        "checksum": crc32(body),
    }
    _REPLACE.execute(connection, row)
    transaction.invalidate(facts.document(place.href), facts.list_of(Place(list_row, place.ids[:-1]).href))
    return DocumentChange(before, body)


def delete(transaction: Transaction, place: Place) -> bool:
    """Remove a document; its list, if it is in one, counts one less.

    :return: whether there was one
    """
    connection = transaction.connection
    parent = _DELETE.first(connection, {"href": place.href})
    if parent is None:
        return False
    if parent.list is not None:
        shorten(connection, parent.list)
        transaction.invalidate(facts.list_of(parent.list))
    transaction.invalidate(facts.document(place.href))
    return True
