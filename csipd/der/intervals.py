"""Which of many half-open intervals overlap one, without looking at them all."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Intervals(Generic[T]):
    """Things that last from a start to an end, to be asked for by time.

    They are kept by length, in classes of which each is twice as long as the one before: so one that is long
    does not make all the others candidates. A query looks at what it finds, and at most as many again.

    :param items: start, end (not included) and the thing itself
    """

    def __init__(self, items: Iterable[tuple[int, int, T]]) -> None:
        classes: dict[int, list[tuple[int, int, int, T]]] = {}
        for order, (start, end, item) in enumerate(items):
            classes.setdefault((end - start).bit_length(), []).append((start, order, end, item))
        # The order of insertion is unique: items themselves are never compared.
        self._classes = [(1 << size, sorted(found)) for size, found in classes.items()]
        self._starts = [[start for start, _, _, _ in found] for _, found in self._classes]

    def overlapping(self, start: int, end: int) -> list[T]:
        """The things that have a time in common with one that lasts from a start to an end, as inserted."""
        return [item for _, item in sorted(self._overlapping(start, end), key=lambda pair: pair[0])]

    def _overlapping(self, start: int, end: int) -> Iterator[tuple[int, T]]:
        for (longest, found), starts in zip(self._classes, self._starts, strict=True):
            first, last = bisect_right(starts, start - longest), bisect_left(starts, end)
            for _, order, until, item in found[first:last]:
                if until > start:
                    yield order, item
