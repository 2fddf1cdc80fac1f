"""Pages of the operators' lists, by key: a page begins where the one before ended, and nothing is skipped.

What is asked for has two parts. The first leads: an index has its rows in the order of the list. The others
are tried on the rows as they come, on so many at most, so that a list of a million that hardly any row fits
costs no more than another one: such a page may be short, or empty, and the next one goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from attrs import field, frozen

from csipd.db import tally
from csipd.db.tally import Total

#: Rows that are looked at for one page, at most.
MOST_LOOKED_AT = 5000

_Condition = sa.ColumnElement[bool]


@frozen
class Order:
    """The order of a list.

    :param key: columns that an index has in this order; the last is the number of the row
    :param newest_first: whether it is that from the greatest to the least
    """

    key: tuple[sa.ColumnElement[Any], ...]
    newest_first: bool = True

    def beyond(self, place: Sequence[Any]) -> list[_Condition]:
        """That a row comes after a place."""
        mine, other = self._sides(place)
        return [mine < other, *self._near(place)] if self.newest_first else [mine > other, *self._near(place)]

    def up_to(self, place: Sequence[Any]) -> list[_Condition]:
        """That a row comes before a place, or is there."""
        mine, other = self._sides(place)
        first, value = self.key[0], place[0]
        near = [] if len(place) == 1 else [first >= value if self.newest_first else first <= value]
        return [mine >= other, *near] if self.newest_first else [mine <= other, *near]

    def sorted(self) -> list[sa.ColumnElement[Any]]:
        """For ORDER BY."""
        return [column.desc() if self.newest_first else column.asc() for column in self.key]

    def _sides(self, place: Sequence[Any]) -> tuple[sa.ColumnElement[Any], Any]:
        if len(place) == 1:
            return self.key[0], place[0]
        return sa.tuple_(*self.key), sa.tuple_(*place)

    def _near(self, place: Sequence[Any]) -> list[_Condition]:
        """What follows for the first column alone: SQLite looks for no expression within a row of values."""
        if len(place) == 1:
            return []
        first, value = self.key[0], place[0]
        return [first <= value if self.newest_first else first >= value]


def _tried(conditions: Sequence[_Condition]) -> list[_Condition]:
    """The same conditions in a form that no index is used for: the order of the list would be lost."""
    return [sa.case((condition, 1), else_=0) == 1 for condition in conditions]


@frozen
class Conditions:
    """What is asked for.

    :param leading: what an index finds in the order of the list
    :param others: what is tried on its rows
    """

    leading: Sequence[_Condition]
    others: Sequence[_Condition] = field(converter=_tried)


def conditions(*given: _Condition | None, others: Sequence[_Condition | None] = ()) -> Conditions:
    """What is asked for, of which the first that is given leads.

    :param given: conditions that each have an index; None: it is not asked for
    :param others: those that have none
    """
    found = [one for one in given if one is not None]
    return Conditions(found[:1], [*found[1:], *(one for one in others if one is not None)])


def period(
    moment: sa.ColumnElement[int], since: int | None, until: int | None
) -> sa.ColumnElement[bool] | None:
    """That a moment lies in a period; None: any does.

    :param since: from then on; None: from the beginning
    :param until: before then; None: to the end
    """
    bounds = [] if since is None else [moment >= since]
    if until is not None:
        bounds.append(moment < until)
    return sa.and_(*bounds) if bounds else None


def page(
    connection: sa.Connection,
    query: sa.Select[Any],
    order: Order,
    asked: Conditions,
    *,
    after: Sequence[Any] | None,
    limit: int,
) -> tuple[list[Any], tuple[Any, ...] | None]:
    """The rows of a page.

    :param query: for the columns that are wanted
    :param after: the place that it begins after; None: at the start of the list
    :return: the rows, and the place after which the next page begins; None: nothing follows
    """
    key = [column.label(f"key_{place}") for place, column in enumerate(order.key)]
    leading = [*asked.leading, *([] if after is None else order.beyond(after))]
    bound: tuple[Any, ...] | None = None
    if asked.others:
        last = sa.select(*key).where(*leading).order_by(*order.sorted())
        row = connection.execute(last.limit(1).offset(MOST_LOOKED_AT - 1)).one_or_none()
        if row is not None:
            bound = tuple(row)
            leading += order.up_to(bound)
    query = query.add_columns(*key).where(*leading, *asked.others).order_by(*order.sorted()).limit(limit + 1)
    rows = [tuple(row) for row in connection.execute(query)]
    width = -len(key)
    if len(rows) > limit:
        bound = rows[limit - 1][width:]
    return [row[:width] for row in rows[:limit]], bound


def total(connection: sa.Connection, number: sa.ColumnElement[int], asked: Conditions) -> Total:
    """How many rows all pages have together, where that can be counted without reading too many.

    :param number: of a row
    """
    found = tally.up_to(connection, sa.select(number).where(*asked.leading))
    if not asked.others:
        return found
    # How many of more than so many fit the rest, too, is not worth reading them all.
    if found.exact is None:
        return tally.UNKNOWN
    return tally.up_to(connection, sa.select(number).where(*asked.leading, *asked.others))
