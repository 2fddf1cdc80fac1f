"""Transactions that are watched: whoever changes a row drops the facts that are made from it.

with written(connection) as changes:
    ...
lacking(changes, transaction.changed)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from attrs import field, frozen

from csipd.db.database import Database, Transaction, Write
from csipd.db.facts import kind_of
from csipd.db.fair_queue import SERVER, Share
from csipd.db.invalidation import MADE_FROM

_STATEMENT = re.compile(r'\s*(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM) "?(\w+)"?', re.IGNORECASE)
_SET = re.compile(r"\sSET\s(.*)", re.DOTALL)
_COLUMN = re.compile(r'(?:^|, )"?(\w+)"?\s*=')
_VALUES = re.compile(r"'(?:[^']|'')*'|\((?:[^()]|\([^()]*\))*\)")


@frozen
class Changed:
    """Rows of a table that a statement changed.

    :param columns: those of an UPDATE; None where rows were made or removed
    """

    table: str
    columns: tuple[str, ...] | None


@frozen
class _Said:
    statement: str
    before: int


@frozen
class Changes:
    """What statements have changed so far."""

    found: list[Changed] = field(factory=list)


@contextmanager
def written(connection: sa.Connection) -> Iterator[Changes]:
    """What is written by a connection meanwhile, as SQLite is told it."""
    raw: Any = connection.connection.dbapi_connection
    said: list[_Said] = []
    changes = Changes()
    raw.set_trace_callback(lambda statement: said.append(_Said(statement, raw.total_changes)))
    try:
        yield changes
    finally:
        raw.set_trace_callback(None)
        said.append(_Said("", raw.total_changes))
        for one, following in pairwise(said):
            if following.before > one.before and (change := _change(one.statement)) is not None:
                changes.found.append(change)


def _change(statement: str) -> Changed | None:
    match = _STATEMENT.match(statement)
    if match is None:
        return None
    if match[1].upper() != "UPDATE":
        return Changed(match[2], None)
    assignments = _SET.search(_VALUES.sub("x", statement))
    assert assignments is not None, statement
    given = assignments[1].partition(" WHERE ")[0]
    return Changed(match[2], tuple(_COLUMN.findall(given)))


def lacking(changes: Changes, dropped: Collection[str]) -> list[str]:
    """What was written and whose facts were not dropped."""
    kinds = {kind_of(fact) for fact in dropped}
    return [
        f"{change.table} {'' if change.columns is None else ', '.join(change.columns)}: no {kind.name}"
        for change in changes.found
        for kind in MADE_FROM[change.table].dropped(change.columns)
        if kind not in kinds
    ]


class WatchedDatabase(Database):
    """Each of its writes is watched. ``lacks`` has what was not dropped; whoever made it looks at the end."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.lacks: list[str] = []

    def write(self, operation: Write[Any], share: Share = SERVER) -> Any:
        def watched(transaction: Transaction) -> Any:
            with written(transaction.connection) as changes:
                result = operation(transaction)
            self.lacks += lacking(changes, transaction.changed)
            return result

        return super().write(watched, share)
