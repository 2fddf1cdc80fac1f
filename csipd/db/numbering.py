"""Numbers that are never used again: the store's own, and those of the things in it.

Both are in mRIDs and hrefs that devices keep. A backup that is restored knows nothing of the numbers that
were given after it was made, so a restored store draws a new number of its own, and goes on counting from
where nobody can have been (decision 46).
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

import sqlalchemy as sa

from csipd.db import declarations
from csipd.db.database import Transaction
from csipd.db.tables import default_versions, documents, facts, lists, metadata, programs
from csipd.db.upsert import insert
from csipd.sep2 import codec, site
from csipd.sep2.mrid import Issuer

#: Facts of the store: its first number, that of what is made since it was restored, and after which number
#: lists begin that had no member then.
_FIRST, _SINCE_RESTORE, _LISTS_FROM = "store", "store since restore", "lists from"
#: Bits of the store's number in an mRID.
_STORE_BITS = 24
#: Bits of what counters are raised by at least; as much again is random, so that one backup that is restored
#: twice does not give the same numbers twice. Numbers of rows have 40 bits in an mRID, those of members of
#: lists and of FSAs 24.
_ROW_BITS, _MEMBER_BITS = 20, 12
_MOST_ROWS, _MOST_MEMBERS = 2**39, 2**23
#: What versions are raised by; they have 16 bits.
_VERSIONS = 256

#: Gives a number of so many random bits.
Draw = Callable[[int], int]


class Exhausted(Exception):
    """The store was restored so often that there is no room for higher numbers."""


def issuer(transaction: Transaction, pen: int, draw: Draw) -> Issuer:
    """Who makes the mRIDs of this store; its number is drawn the first time."""
    first = int(declarations.fact(transaction, _FIRST, str(draw(_STORE_BITS))))
    since = declarations.known_fact(transaction.connection, _SINCE_RESTORE)
    return Issuer(first, pen, None if since is None else int(since))


def lists_from(connection: sa.Connection) -> int:
    """The number after which a list begins that never had a member."""
    return int(declarations.known_fact(connection, _LISTS_FROM) or 0)


#: The same within a statement.
LISTS_FROM = sa.func.coalesce(
    sa.select(sa.cast(facts.c.value, sa.BigInteger)).where(facts.c.name == _LISTS_FROM).scalar_subquery(), 0
)


def go_on_elsewhere(transaction: Transaction, draw: Draw) -> None:
    """Draw a new number for the store, and raise every counter and version beyond what may have been seen.

    :raises Exhausted: there is no room left
    """
    connection = transaction.connection
    used = {declarations.known_fact(connection, name) for name in (_FIRST, _SINCE_RESTORE)}
    drawn = str(draw(_STORE_BITS))
    while drawn in used:
        drawn = str(draw(_STORE_BITS))
    _set_fact(transaction, _SINCE_RESTORE, drawn)
    rows, members = (2**bits + draw(bits) for bits in (_ROW_BITS, _MEMBER_BITS))
    for table in metadata.sorted_tables:
        if table.dialect_options["sqlite"]["autoincrement"] is True:
            # Numbers of FSAs stand in the field of an mRID that members of lists have.
            small = table.name == "assignments"
            _raise_rows(connection, table, members if small else rows, _MOST_MEMBERS if small else _MOST_ROWS)
    if (connection.scalar(sa.select(sa.func.max(lists.c.last))) or 0) + members > _MOST_MEMBERS:
        raise Exhausted("lists")
    connection.execute(sa.update(lists).values(last=lists.c.last + members))
    _set_fact(transaction, _LISTS_FROM, str(lists_from(connection) + members))
    _raise_versions(connection)


def _set_fact(transaction: Transaction, name: str, value: str) -> None:
    statement = insert(transaction.connection.dialect.name, facts).values(name=name, value=value)
    transaction.connection.execute(
        statement.on_conflict_do_update(index_elements=[facts.c.name], set_={"value": value})
    )


def _raise_rows(connection: sa.Connection, table: sa.Table, step: int, most: int) -> None:
    """Raise the counter of a table, which SQLite keeps in a table of its own."""
    name = {"name": table.name}
    last: int | None = connection.scalar(sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name"), name)
    if (last or 0) + step > most:
        raise Exhausted(table.name)
    wanted = {**name, "seq": (last or 0) + step}
    if last is None:
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :seq)"), wanted)
    else:
        connection.execute(sa.text("UPDATE sqlite_sequence SET seq = :seq WHERE name = :name"), wanted)


def _raise_versions(connection: sa.Connection) -> None:
    """Raise the version of each program, default and curve: a device may have seen higher ones since."""
    for table in (programs, default_versions):
        connection.execute(sa.update(table).values(version=(table.c.version + _VERSIONS) % 2**16))
    query = sa.select(documents.c.href, documents.c.body).where(documents.c.href.startswith("/derp/"))
    for row in connection.execute(query).all():
        place = site.locate(row.href)
        if place is None:
            continue
        try:
            resource = codec.decode(row.body, place.row.resource_type)
        except codec.DocumentError:
            continue  # damaged: there is nothing to be raised
        if hasattr(resource, "version"):
            raised = resource.replace(version=((resource.version or 0) + _VERSIONS) % 2**16)
            body = codec.encode(raised, extensions=True)
            this = sa.update(documents).where(documents.c.href == row.href)
            connection.execute(this.values(body=body, checksum=crc32(body)))
