"""A part of a long list: skipped to from its nearer end, or sought behind what came right before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db.prepared import Prepared
from csipd.sep2.paging import Page


@frozen
class BothEnds:
    """A list by both of its ends; each statement takes ``start`` and ``limit``.

    :param forwards: in the order of the list
    :param backwards: the same from its end
    """

    forwards: Prepared
    backwards: Prepared

    def rows(self, connection: sa.Connection, asked: Mapping[str, Any], part: Page, total: int) -> list[Any]:
        """The rows of a part, skipped to from the end of the list that it is nearer to.

        :param asked: what the statements take besides
        :param part: one that begins in the list
        :param total: how many rows the list has
        """
        limit = min(part.limit, total - part.start)
        beyond = total - part.start - limit
        if part.start <= beyond:
            return self.forwards.all(connection, {**asked, "limit": limit, "start": part.start})
        return self.backwards.all(connection, {**asked, "limit": limit, "start": beyond})[::-1]


def in_turn(
    connection: sa.Connection, queries: Sequence[Prepared], asked: Mapping[str, Any], limit: int
) -> list[Any]:
    """So many rows at most, of the first statement, then of the next: each takes ``limit``."""
    rows: list[Any] = []
    for query in queries:
        if len(rows) < limit:
            rows += query.all(connection, {**asked, "limit": limit - len(rows)})
    return rows
