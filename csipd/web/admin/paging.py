"""Pages of the operator's lists: one item more is read than is shown, which shows whether any follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar

from csipd.db.tally import Total
from csipd.web.admin.operations import Parameter

T = TypeVar("T")

#: The query parameters of every list.
PAGE = (
    Parameter("limit", int, "the most items in one answer", most=500, default=50),
    Parameter("after", int, "the next of the page before"),
)


class Counted(TypedDict):
    """What a page says of how many there are."""

    total: int | None
    more_than: int | None


def counted(total: Total) -> Counted:
    """How many there are in all pages together, as a page has it."""
    return {"total": total.exact, "more_than": total.more_than}


def cut(found: Sequence[T], limit: int, number: Callable[[T], int]) -> tuple[Sequence[T], int | None]:
    """The items of a page, and what the next one is asked for by; None where nothing follows.

    :param found: up to ``limit`` + 1 items
    """
    items = found[:limit]
    return items, number(items[-1]) if len(found) > limit else None
