"""What the configuration file said last time, as pairs of what is spoken of and what is said of it.

The file is merged into the database by a three-way merge (decision 23): where the file says what it said last
time, what is there stays, an operator's change included; where it says something new, that is brought
about; what it no longer speaks of is retired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db.database import Transaction
from csipd.db.tables import declarations, facts
from csipd.db.upsert import insert

#: (kind, key), such as ("device", "dev1").
Entry = tuple[str, str]


@frozen
class Change:
    """An entry that the file says something new of.

    :param before: what it said last time; None if it did not speak of it
    :param after: what it says now; None if it no longer speaks of it
    """

    entry: Entry
    before: str | None
    after: str | None


def differences(connection: sa.Connection, said: Mapping[Entry, str]) -> list[Change]:
    """How what the file says differs from last time: what is new and changed first, in the file's order."""
    before = dict(_all(connection))
    changes = [
        Change(entry, before.get(entry), content)
        for entry, content in said.items()
        if before.get(entry) != content
    ]
    gone = [Change(entry, content, None) for entry, content in before.items() if entry not in said]
    return changes + gone


def remember(transaction: Transaction, changes: list[Change]) -> None:
    """Keep what the file says now for the next time."""
    for change in changes:
        kind, key = change.entry
        if change.after is None:
            mine = (declarations.c.kind == kind) & (declarations.c.key == key)
            transaction.connection.execute(sa.delete(declarations).where(mine))
            continue
        statement = insert(transaction.connection.dialect.name, declarations).values(
            kind=kind, key=key, content=change.after
        )
        transaction.connection.execute(
            statement.on_conflict_do_update(
                index_elements=[declarations.c.kind, declarations.c.key], set_={"content": change.after}
            )
        )


def rename(transaction: Transaction, kinds: Sequence[str], old: str, new: str) -> None:
    """Have said of one thing what was said of another: of entries of these kinds, whose key is its name
    or begins with it and a tab."""
    mine = declarations.c.kind.in_(kinds) & (
        (declarations.c.key == old) | declarations.c.key.startswith(f"{old}\t", autoescape=True)
    )
    for row in transaction.connection.execute(sa.select(declarations).where(mine)).all():
        one = (declarations.c.kind == row.kind) & (declarations.c.key == row.key)
        key = new + row.key.removeprefix(old)
        transaction.connection.execute(sa.update(declarations).where(one).values(key=key))


def fact(transaction: Transaction, name: str, drawn: str) -> str:
    """What the store itself is known by; ``drawn`` the first time it is asked for."""
    transaction.connection.execute(
        insert(transaction.connection.dialect.name, facts)
        .values(name=name, value=drawn)
        .on_conflict_do_nothing()
    )
    return str(known_fact(transaction.connection, name))


def known_fact(connection: sa.Connection, name: str) -> str | None:
    """The same; None where nobody has asked for it yet."""
    return connection.scalar(sa.select(facts.c.value).where(facts.c.name == name))


def move_fact(transaction: Transaction, name: str, before: str, after: str) -> bool:
    """Give a fact a new value, unless somebody else did since. True if it was done."""
    moved = transaction.connection.execute(
        sa.update(facts).where(facts.c.name == name, facts.c.value == before).values(value=after)
    )
    return bool(moved.rowcount)


def _all(connection: sa.Connection) -> Iterator[tuple[Entry, str]]:
    for row in connection.execute(sa.select(declarations)):
        yield (row.kind, row.key), row.content
