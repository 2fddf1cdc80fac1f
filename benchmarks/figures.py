"""Figures: taken in turns, so that whatever else the machine does falls on all sides alike, and printed in
tables.

The rows of a table are named beforehand: docs/performance.md has each of them by its name, and a test sees to
it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from attrs import frozen


@frozen
class Row:
    """What was measured of one thing.

    :param values: by side, a figure for each turn; the first side is what the others are compared with
    :param handshakes: how many TLS handshakes are in a figure
    :param places: decimal places
    """

    name: str
    values: Mapping[str, Sequence[float]]
    handshakes: int = 0
    places: int = 0

    def figure(self, side: str) -> float:
        """The median of a side."""
        return median(self.values[side])

    def ratio(self, other: str, less: float = 0.0) -> float:
        """The first side to another: the median of the turns' ratios.

        :param less: what is taken off the other's figures first
        """
        first = next(iter(self.values))
        pairs = zip(self.values[first], self.values[other], strict=True)
        return median(one / (two - less) for one, two in pairs)


def _say(line: str) -> None:
    print(line, flush=True)


class Table:
    """Prints rows as they come.

    :param names: those that there may be; another one is a KeyError
    :param sides: whose figures these are, in the order of the columns
    :param library: how many microseconds a handshake costs more with nginx's OpenSSL than with csipd's
    """

    def __init__(
        self,
        names: Sequence[str],
        sides: Sequence[str],
        unit: str = "us CPU",
        library: float | None = None,
        show: Callable[[str], None] = _say,
    ) -> None:
        self._show = show
        self._names = frozenset(names)
        self._sides = sides
        self._library = library
        self._width = max(map(len, names)) + 2
        self.rows: dict[str, Row] = {}
        columns = [f"{unit:{self._width}}", *(f"{side:>12}" for side in sides)]
        columns += [f"{'/ ' + side:>10}" for side in sides[1:]]
        if library is not None and NGINX in sides:
            columns.append(f"{'equal TLS':>11}")
        self._show("".join(columns))

    def add(self, row: Row) -> None:
        """Print a row."""
        if row.name not in self._names:
            raise KeyError(f"{row.name} is no row of this table")
        self.rows[row.name] = row
        self._show(self.line(row))

    def line(self, row: Row) -> str:
        """A row as it is printed."""
        text = f"{row.name:{self._width}}"
        text += "".join(
            f"{row.figure(side):12,.{row.places}f}" if side in row.values else f"{'-':>12}"
            for side in self._sides
        )
        for side in self._sides[1:]:
            text += f"{row.ratio(side):10.2f}" if side in row.values else f"{'-':>10}"
        if self._library is not None and NGINX in row.values and row.handshakes:
            text += f"{row.ratio(NGINX, row.handshakes * self._library):11.2f}"
        return text


#: The side that is compared with, where it is there.
NGINX = "nginx"


def in_turns(turns: int, work: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure all sides one after the other, so many times."""
    found: dict[str, list[float]] = {side: [] for side in work}
    for _ in range(turns):
        for side, measure in work.items():
            found[side].append(measure())
    return found


def spent(work: Callable[[], object], times: int) -> float:
    """Seconds of this process's CPU that one piece of work costs."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def middle(measure: Callable[[], float], repeats: int) -> float:
    """The median of a few measurements."""
    return median(measure() for _ in range(repeats))


def mebibytes(octets: int) -> str:
    """Octets for people."""
    return f"{octets / 2**20:,.0f} MiB"
