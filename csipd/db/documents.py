"""The tree of documents: what devices, the operator and the configuration gave, kept as given.

The same operations serve every function set: get, page, put, post, delete. A list of documents has no
row before its first member; its count is kept, not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import sqlalchemy as sa
from attrs import frozen

from csipd.db import numbering
from csipd.db.database import Transaction
from csipd.db.stored import decode
from csipd.db.tables import documents, lists
from csipd.db.upsert import insert
from csipd.refusals import NotFound
from csipd.sep2 import codec
from csipd.sep2.ordering import order_key, order_prefix, time_key
from csipd.sep2.paging import Page
from csipd.sep2.resources import Resource
from csipd.sep2.site import Place, Row, member

#: The whole of a list that is known to be short: the curves of a program, the DERs of a device.
ALL = Page(limit=10_000)

# Built once: to build a statement costs more than to execute it.
_BODY = sa.select(documents.c.body).where(documents.c.href == sa.bindparam("href"))
_PRESENT = sa.select(documents.c.href).where(documents.c.href.in_(sa.bindparam("hrefs", expanding=True)))
_COUNTS = sa.select(lists.c.href, lists.c.members).where(
    lists.c.href.in_(sa.bindparam("hrefs", expanding=True))
)
_LAST = sa.select(lists.c.last).where(lists.c.href == sa.bindparam("href"))
_MEMBERS = (
    sa.select(documents.c.href, documents.c.body)
    .where(documents.c.list == sa.bindparam("list"))
    .order_by(documents.c.order)
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_EQUAL = sa.select(documents.c.href).where(
    documents.c.list == sa.bindparam("list"),
    documents.c.order > sa.bindparam("from"),
    documents.c.order < sa.bindparam("to"),
)
_INSERT = sa.insert(documents)
_LATER = documents.c.time > sa.bindparam("after")
_MEMBERS_LATER = _MEMBERS.where(_LATER)
_COUNT_LATER = sa.select(sa.func.count()).where(documents.c.list == sa.bindparam("list"), _LATER)


def get(connection: sa.Connection, place: Place) -> Resource | None:
    """The document at a place, or None."""
    body = connection.scalar(_BODY, {"href": place.href})
    return None if body is None else decode(body, place.row.resource_type, place.href)


def present(connection: sa.Connection, hrefs: Sequence[str]) -> set[str]:
    """Those of the hrefs at which there is a document."""
    return set(connection.scalars(_PRESENT, {"hrefs": hrefs}))


def counts(connection: sa.Connection, hrefs: Sequence[str]) -> dict[str, int]:
    """How many members each of the lists has; lists without any are left out."""
    return {row.href: row.members for row in connection.execute(_COUNTS, {"hrefs": hrefs})}


def page(connection: sa.Connection, place: Place, part: Page) -> tuple[int, list[tuple[Place, Resource]]]:
    """A part of a list.

    :return: how many members there are (after the filter ``a``), and those wanted with their places
    """
    wanted: dict[str, object] = {"list": place.href}
    query = _MEMBERS
    if part.after is None or not place.row.timed:
        total = counts(connection, [place.href]).get(place.href, 0)
    else:
        wanted["after"] = part.after
        query = _MEMBERS_LATER
        total = connection.scalar(_COUNT_LATER, wanted) or 0
    if part.start >= total or not part.limit:
        return total, []
    wanted |= {"limit": part.limit, "start": part.start}
    row = member(place.row)
    return total, [
        (Place(row, (*place.ids, int(href.rpartition("/")[2]))), decode(body, row.resource_type, href))
        for href, body in connection.execute(query, wanted)
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
    connection = transaction.connection
    body = codec.encode(resource, extensions=True)
    before: bytes | None = connection.scalar(_BODY, {"href": place.href})
    if before == body:
        return None
    row = {"href": place.href, "device": device, "changed": now, "body": body}
    connection.execute(_put(connection.dialect.name), row)
    transaction.invalidate(place.href)
    return DocumentChange(before, body)


@cache
def _put(dialect: str) -> sa.Insert:
    statement = insert(dialect, documents)
    return statement.on_conflict_do_update(
        index_elements=[documents.c.href],
        set_={"changed": statement.excluded.changed, "body": statement.excluded.body},
    )


def next_number(connection: sa.Connection, place: Place) -> int:
    """The number that the next member of a list will get; certain within a write."""
    last: int | None = connection.scalar(_LAST, {"href": place.href})
    return (numbering.lists_from(connection) if last is None else last) + 1


def post(transaction: Transaction, place: Place, resource: Resource, now: int, device: int | None) -> Place:
    """Add a member to a list; its number has never been used there before.

    :param place: of the list
    :return: the place of the member
    """
    connection = transaction.connection
    number: int | None = connection.scalar(_lengthen(connection.dialect.name), {"href": place.href})
    assert number is not None
    made = Place(member(place.row), (*place.ids, number))
    row = {
        "href": made.href,
        "list": place.href,
        "order": order_key(place.row, resource, number),
        "time": time_key(place.row, resource),
        "device": device,
        "changed": now,
        "body": codec.encode(resource, extensions=True),
    }
    connection.execute(_INSERT, row)
    transaction.invalidate(place.href, made.href)
    return made


@cache
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


def find_equal(connection: sa.Connection, place: Place, resource: Resource) -> Place | None:
    """The member of a list that is equal to a resource in the keys of the list's order.

    :param place: of the list
    """
    prefix = order_prefix(place.row, resource)
    href: str | None = connection.scalar(_EQUAL, {"list": place.href, "from": prefix, "to": f"{prefix}~"})
    return None if href is None else Place(member(place.row), (*place.ids, int(href.rpartition("/")[2])))


def replace(
    transaction: Transaction, list_row: Row, place: Place, resource: Resource, now: int
) -> DocumentChange | None:
    """Replace a member of a list, which may change its place in the order.

    :return: None where it is the same already: then nothing is written, and nothing has changed
    :raises NotFound: there is no such member
    """
    connection = transaction.connection
    before: bytes | None = connection.scalar(_BODY, {"href": place.href})
    if before is None:
        raise NotFound(place.href)
    body = codec.encode(resource, extensions=True)
    if before == body:
        return None
    connection.execute(
        sa.update(documents)
        .where(documents.c.href == place.href)
        .values(
            order=order_key(list_row, resource, place.ids[-1]),
            time=time_key(list_row, resource),
            changed=now,
            body=body,
        )
    )
    transaction.invalidate(place.href, Place(list_row, place.ids[:-1]).href)
    return DocumentChange(before, body)


def delete(transaction: Transaction, place: Place) -> bool:
    """Remove a document; its list, if it is in one, counts one less.

    :return: whether there was one
    """
    connection = transaction.connection
    parent = connection.execute(
        sa.delete(documents).where(documents.c.href == place.href).returning(documents.c.list)
    ).one_or_none()
    if parent is None:
        return False
    if parent.list is not None:
        connection.execute(
            sa.update(lists).where(lists.c.href == parent.list).values(members=lists.c.members - 1)
        )
        transaction.invalidate(parent.list)
    transaction.invalidate(place.href)
    return True
