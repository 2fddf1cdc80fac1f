"""Pages of the operator's lists: one item more is read than is shown, which shows whether any follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from csipd.web.admin.operations import Parameter

T = TypeVar("T")

#: The query parameters of every list.
PAGE = (
    Parameter("limit", int, "the most items in one answer", most=500, default=50),
    Parameter("after", int, "the next of the page before"),
)


def cut(found: Sequence[T], limit: int, number: Callable[[T], int]) -> tuple[Sequence[T], int | None]:
    """The items of a page, and what the next one is asked for by; None where nothing follows.

    :param found: up to ``limit`` + 1 items
    """
    items = found[:limit]
    return items, number(items[-1]) if len(found) > limit else None
