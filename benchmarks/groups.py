"""What it costs to give a program to a group: `python -m benchmarks.groups`.

A program belongs to its group, and who sees it follows from that: one row is written whether 100 devices are
in the group or 100,000. Time is that of a transaction up to its durable commit; rows are those that SQLite
counts as changed. The same for a control of the program, and for taking the program away.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from attrs import frozen

from benchmarks import stores
from csipd.db import controls, engine, groups, programs
from csipd.db.database import Database, Transaction
from csipd.db.tables import memberships
from csipd.sep2 import resources as r

SMALL, LARGE = 100, 100_000
REPEATS = 50


@frozen
class Cost:
    """Medians over the repeats: milliseconds of time and of CPU, and rows written."""

    time: float
    cpu: float
    rows: float


def main() -> None:
    options = argparse.ArgumentParser(description="Measure what follows from a change to a group.")
    options.add_argument("--small", type=int, default=SMALL)
    options.add_argument("--large", type=int, default=LARGE)
    chosen = options.parse_args()
    with TemporaryDirectory() as folder:
        compare(Path(folder), (chosen.small, chosen.large))


def compare(folder: Path, sizes: tuple[int, int]) -> None:
    """Print what each step costs in a group of each size."""
    store = stores.build(folder / "var", stores.Layout(max(sizes)))
    opened = engine.make_engine(store.url, immediate=True)
    with opened.begin() as connection:
        made = {size: _group(Transaction(connection), size) for size in sizes}
    for size, group in made.items():
        members = ({"device": one, "group": group, "since": stores.NOW} for one in range(1, size + 1))
        stores.insert(opened, memberships, members)
    opened.dispose()
    database = Database(store.url, None)
    found = {size: measure(database, group, size) for size, group in made.items()}
    small, large = sizes
    print(f"{'':28}{f'{small:,} devices':>30}{f'{large:,} devices':>30}{'ratio':>8}")
    print(f"{'':28}" + 2 * f"{'ms':>12}{'ms CPU':>10}{'rows':>8}" + f"{'CPU':>8}")
    for step in found[small]:
        one, other = found[small][step], found[large][step]
        figures = "".join(f"{cost.time:12.2f}{cost.cpu:10.2f}{cost.rows:8.0f}" for cost in (one, other))
        print(f"{step:28}{figures}{other.cpu / one.cpu:8.2f}")


def _group(transaction: Transaction, size: int) -> int:
    fsa = groups.assignment(transaction, "Topology")
    return groups.put_group(transaction, f"Group of {size}", parent=None, level=None, assignment=fsa)


def measure(database: Database, group: int, size: int) -> dict[str, Cost]:
    """What each step costs in a group, done again and again."""
    numbers = count(1)
    made: list[int] = []

    def add(transaction: Transaction) -> None:
        made.append(programs.add(transaction, stores.ISSUER, group, f"{size}: {next(numbers)}", 1))

    def control(transaction: Transaction) -> None:
        controls.add(transaction, stores.ISSUER, made[-1], _control())

    def retire(transaction: Transaction) -> None:
        programs.retire(transaction, made.pop(), stores.NOW)

    found = {}
    for name, step in (("a program is added", add), ("a control is added", control), ("retired", retire)):
        found[name] = _cost(database, step)
    # What was written has to be what a member sees.
    database.write(add)
    seen: list[tuple[int, int]] = database.read(lambda c: groups.programs_of(c, size)).result  # type: ignore[assignment]  # at once
    if made[-1] not in [number for number, _ in seen]:
        raise RuntimeError("a member does not see the program")
    database.write(retire)
    return found


def _cost(database: Database, step: Callable[[Transaction], None]) -> Cost:
    times, used, rows = [], [], []
    for _ in range(REPEATS):
        before = _changes(database)
        began, cpu = time.perf_counter(), time.process_time()
        answer = database.write(step)
        times.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
        answer.addErrback(lambda failure: failure.raiseException())
        rows.append(_changes(database) - before)
    return Cost(1e3 * median(times), 1e3 * median(used), median(rows))


def _changes(database: Database) -> int:
    """Rows that the writing connection has changed so far."""
    found: list[int] = []
    database.write(lambda transaction: found.append(_total(transaction.connection)))
    return found[0]


def _total(connection: sa.Connection) -> int:
    total: int = connection.scalar(sa.text("SELECT total_changes()"))
    return total


def _control() -> r.DERControl:
    return r.DERControl(
        mRID="0",
        creationTime=stores.NOW,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=stores.NOW, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=3600, start=stores.NOW),
        DERControlBase=r.DERControlBase(opModMaxLimW=5000),
    )


if __name__ == "__main__":
    main()
