"""What events cost: `python -m benchmarks.events`.

Three questions. What does the clock cost that passes over 100,000 scheduled events, when 1,000 of them are
due and when none is? What does a control cost whose program 100,000 devices are in? And what does it cost to
say what a device is to do that is in many programs of many events? Beside each large case runs a small one,
and the ratio says whether size is felt. Every transaction is counted up to its durable commit; rows are those
that SQLite counts as changed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from benchmarks import stores
from csipd.daemon import scheduler
from csipd.db import commands, controls, engine, facts, group_counts, groups, in_force, programs, tables
from csipd.db import schedules as stored
from csipd.db.commands import Command, Target
from csipd.db.database import Database, Transaction
from csipd.der.events import Event, next_change, statuses
from csipd.der.programs import ProgramEvent, mode_outcomes
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.types import MODE

FEW, MANY = 1_000, 100_000
SMALL, LARGE = 100, 100_000
#: Events of a program, and one in how many is due in the second that is looked at.
EACH, DUE = 100, 100
#: What a device of many programs has: programs, and events of each.
PROGRAMS, EVENTS = 15, 24
REPEATS = 40
OWN = programs.OwnPrograms(stores.ISSUER, 3)
MODES = ("opModMaxLimW", "opModFixedW", "opModFixedVar", "opModTargetW", "opModTargetVar", "opModConnect")


@frozen
class Cost:
    """Medians over the repeats: milliseconds of time and of CPU, and rows written."""

    time: float
    cpu: float
    rows: float


def main() -> None:
    options = argparse.ArgumentParser(description="Measure what events cost.")
    options.add_argument("--events", type=int, default=MANY, help="scheduled events")
    options.add_argument("--devices", type=int, default=LARGE, help="devices of a program")
    chosen = options.parse_args()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        sizes = (FEW, chosen.events)
        table([f"{size:,} events" for size in sizes], [clock(place / str(size), size) for size in sizes])
        table(*commanding(place / "devices", (SMALL, chosen.devices)))
        shapes = ((1, 1), (PROGRAMS, EVENTS))
        names = [f"{programs} x {events} events" for programs, events in shapes]
        table(names, [device(place / f"device{programs}", programs, events) for programs, events in shapes])


def table(names: list[str], found: list[dict[str, Cost]]) -> None:
    """Print two columns of costs, and what the second is to the first."""
    print(f"{'':36}" + "".join(f"{name:>30}" for name in names) + f"{'ratio':>8}")
    print(f"{'':36}" + 2 * f"{'ms':>12}{'ms CPU':>10}{'rows':>8}" + f"{'CPU':>8}")
    small, large = found
    for step, one in small.items():
        other = large[step]
        figures = "".join(f"{cost.time:12.2f}{cost.cpu:10.2f}{cost.rows:8.0f}" for cost in (one, other))
        print(f"{step:36}{figures}{other.cpu / one.cpu:8.1f}")
    print()


# --- the clock


def clock(folder: Path, number: int) -> dict[str, Cost]:
    """What time costs that passes over so many events, of which one in a hundred is due at NOW."""
    kept = {program: list(_events(program)) for program in range(1, number // EACH + 1)}
    due = sum(event.earliest == stores.NOW for events in kept.values() for event in events)
    check(due == number // DUE, "another number of events is due")
    folder.mkdir()
    url = engine.sqlite_url(folder)
    engine.prepare(url)
    opened = engine.make_engine(url, immediate=True)
    stores.insert(
        opened,
        tables.controls,
        (_row(program, event) for program, events in kept.items() for event in events),
    )
    opened.dispose()
    database = Database(url, None)
    now = cycle((stores.NOW - 1, stores.NOW))
    later = count(stores.NOW + 1)
    step(database, lambda transaction: scheduler.tick(transaction, next(now)))

    def pure() -> None:
        for events in kept.values():
            check(statuses(events, stores.NOW)[events[0].mrid].since > 0, "no status")
            check((next_change(events, stores.NOW) or 0) > stores.NOW, "no next change")

    def ticks() -> None:
        # There and back again: a clock that is set back tells of the same changes.
        moment = next(now)
        done = step(database, lambda transaction: scheduler.tick(transaction, moment))
        check(done.programs == number // DUE, "a tick missed something")

    def idles() -> None:
        moment = next(later)
        done = step(database, lambda transaction: scheduler.tick(transaction, moment))
        check(done.programs == 0, "a tick found what is not there")

    def lists(transaction: Transaction) -> None:
        # As after a change: what is kept of them is dropped.
        transaction.invalidate(*map(facts.controls, kept))
        for program in kept:
            stored.of(transaction.connection, [program], stores.NOW)

    def nothing(transaction: Transaction) -> None:
        check(controls.changing(transaction.connection, stores.NOW, stores.NOW + 1) == [], "something is due")

    found = {
        "status of each, by the rules": cost(None, pure, 3),
        "a tick, 1 event in 100 is due": cost(database, ticks),
        "the lists that change then": cost(database, lambda: step(database, lists), 3),
        "what is due: nothing": cost(database, lambda: step(database, nothing)),
        "when the next one is due": cost(
            database, lambda: step(database, lambda t: controls.next_moment(t.connection, stores.NOW))
        ),
    }
    step(database, lambda transaction: scheduler.tick(transaction, next(later)))
    return found | {"a tick, nothing is due": cost(database, idles)}


def _events(program: int) -> Iterator[Event]:
    """One each quarter of an hour from NOW on, which lasts a minute longer: neighbours overlap."""
    for number in range(EACH):
        serial = program * EACH + number
        yield Event(
            mrid=stores.ISSUER.mrid(Kind.CONTROL, serial),
            created=stores.NOW - 10_000 + number,
            start=stores.NOW + 900 * number,
            duration=960,
            modes=frozenset((MODES[number % 2], MODES[2 + number % 2])),
        )


def _row(program: int, event: Event) -> dict[str, Any]:
    return {
        "program": program,
        "mrid": event.mrid,
        "start": event.start,
        "duration": event.duration,
        "randomize_start": 0,
        "randomize_duration": 0,
        "creation_time": event.created,
        "earliest": event.earliest,
        "latest": event.latest,
        "categories": event.categories,
        "modes": " ".join(sorted(event.modes)),
        "randomized": False,
        "body": b"",
    }


# --- commanding


def commanding(folder: Path, sizes: tuple[int, int]) -> tuple[list[str], list[dict[str, Cost]]]:
    """What it costs to command a program, by how many devices are in it."""
    store = stores.build(folder, stores.Layout(max(sizes)))
    opened = engine.make_engine(store.url, immediate=True)
    made = {}
    for size in sizes:
        with opened.begin() as connection:
            transaction = Transaction(connection)
            fsa = groups.assignment(transaction, "Topology")
            group = groups.put_group(transaction, f"{size}", parent=None, level=None, assignment=fsa)
            group_counts.count_abilities(transaction, None, None, [group], size)
            made[size] = programs.add(transaction, stores.ISSUER, group, f"Program of {size}", 1)
        members = ({"device": one, "group": group, "since": stores.NOW} for one in range(1, size + 1))
        stores.insert(opened, tables.memberships, members)
    opened.dispose()
    database = Database(store.url, None)
    found = [_commanded(database, program, size) for size, program in made.items()]
    return [f"{size:,} devices" for size in sizes], found


def _commanded(database: Database, program: int, size: int) -> dict[str, Cost]:
    numbers: list[int] = []
    starts = count(stores.NOW + 3600, 7200)
    target = Target(program=program)

    def preview(transaction: Transaction) -> None:
        effect = commands.preview(transaction.connection, OWN, target, _command(stores.NOW), stores.NOW)
        check(effect.devices == size, "another number of devices")

    def create(transaction: Transaction) -> None:
        command = _command(next(starts))
        made, _ = commands.create(transaction, OWN, "/rsps/1/r", target, command, stores.NOW, "benchmark")
        numbers.extend(place.ids[1] for place in made)

    def cancel(transaction: Transaction) -> None:
        commands.cancel(transaction, numbers.pop(), False, None, stores.NOW, "benchmark")

    return {
        name: cost(database, lambda work=work: step(database, work))
        for name, work in (("create", create), ("preview", preview), ("cancel", cancel))
    }


def _command(start: int) -> Command:
    return Command(base=r.DERControlBase(opModMaxLimW=5000), duration=3600, start=start)


# --- a device


def device(folder: Path, number: int, events: int) -> dict[str, Cost]:
    """What it costs to say what a device is to do that is in so many programs, with so many events each."""
    store = stores.build(folder, stores.Layout(1))
    database = Database(store.url, None)

    def fill(transaction: Transaction) -> None:
        fsa = groups.assignment(transaction, "Topology")
        group = groups.put_group(transaction, "Device", parent=None, level=None, assignment=fsa)
        transaction.connection.execute(sa.delete(tables.memberships))
        groups.join(transaction, 1, group, stores.NOW)
        for program in range(number):
            made = programs.add(transaction, stores.ISSUER, group, f"Program {program}", 10 + program)
            base = r.DERControlBase(opModMaxLimW=9000, opModConnect=True)
            default = r.DefaultDERControl(mRID="0", DERControlBase=base)
            programs.set_default(transaction, stores.ISSUER, made, default, stores.NOW)
            for event in range(events):
                controls.add(transaction, stores.ISSUER, made, _control(program, event))

    step(database, fill)
    candidates = [
        ProgramEvent(_candidates(program, event), 10 + program, program)
        for program in range(number)
        for event in range(events)
    ]

    def look(transaction: Transaction) -> None:
        seen = in_force.of_device(transaction.connection, OWN, 1, stores.NOW + 60)
        check(bool(seen.acting), "nothing holds a mode")

    def rules() -> None:
        for mode in MODE:
            mode_outcomes(candidates, mode)

    return {
        "what it is to do, from the store": cost(database, lambda: step(database, look)),
        "of that, the rules": cost(None, rules),
    }


def _control(program: int, event: int) -> r.DERControl:
    """An event of an hour: each hour has one of each program, begun a minute after the program before."""
    return r.DERControl(
        mRID="0",
        creationTime=stores.NOW,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=stores.NOW, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=3600, start=stores.NOW + 3600 * event + 60 * program),
        DERControlBase=r.DERControlBase(opModMaxLimW=5000, opModFixedW=-1000, opModConnect=True),
    )


def _candidates(program: int, event: int) -> Event:
    control = _control(program, event)
    return controls.event_of(control.replace(mRID=stores.ISSUER.mrid(Kind.CONTROL, program * EACH + event)))


# --- figures


def cost(database: Database | None, work: Callable[[], object], repeats: int = REPEATS) -> Cost:
    """What a piece of work costs."""
    times, used, rows = [], [], []
    for _ in range(repeats):
        before = 0 if database is None else _changes(database)
        began, cpu = time.perf_counter(), time.process_time()
        work()
        times.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
        rows.append(0 if database is None else _changes(database) - before)
    return Cost(1e3 * median(times), 1e3 * median(used), median(rows))


def step(database: Database, work: Callable[[Transaction], Any]) -> Any:
    """What a write gives, up to its commit; it raises what the write raised."""
    answer = database.write(work)
    answer.addErrback(lambda failure: failure.raiseException())
    return answer.result  # at once: the database works in place


def _changes(database: Database) -> int:
    """Rows that the writing connection has changed so far."""
    total: int = step(database, lambda t: t.connection.scalar(sa.text("SELECT total_changes()")))
    return total


def check(holds: bool, otherwise: str) -> None:
    """A benchmark of what does not work is none."""
    if not holds:
        raise RuntimeError(otherwise)


if __name__ == "__main__":
    main()
