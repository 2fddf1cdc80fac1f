"""Pages of the operator's lists: one item more is read than is shown, which tells whether any follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def cut(found: Sequence[T], limit: int, number: Callable[[T], int]) -> tuple[Sequence[T], int | None]:
    """The items of a page, and what the next one is asked for by; None where nothing follows.

    :param found: up to ``limit`` + 1 items
    """
    items = found[:limit]
    return items, number(items[-1]) if len(found) > limit else None
