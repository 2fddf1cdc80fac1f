"""That no operation of the operator's API costs more because there are more devices.

Every operation of the table is tried, so that none can be forgotten: by the plans of its statements, and by
what it takes with ten times as many devices. Costs are counted, not timed: statements, rows, and the
instructions of SQLite's virtual machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from attrs import define, field

from csipd.db import group_counts, listing, tally
from csipd.db.database import Transaction
from csipd.db.tables import (
    alarms,
    audit,
    contacts,
    device_rates,
    devices,
    documents,
    logevents,
    memberships,
    readings,
    receivers,
    responses,
    rollups,
    series,
    subscriptions,
)
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.table import OPERATIONS
from tests.support.steps import steps
from tests.support.store import lfdi
from tests.support.world import NOW, REGISTERED, World
from tests.web.admin.case import Case
from tests.web.admin.examples import calls

#: Tables that grow with the fleet.
BIG = (
    "devices",
    "memberships",
    "documents",
    "controls",
    "responses",
    "logevents",
    "audit",
    "alarms",
    "subscriptions",
    "receivers",
    "contacts",
    "device_rates",
    "series",
    "readings",
    "rollups",
)
_SCAN = re.compile(rf"SCAN ({'|'.join(BIG)})\b")
_SORT = re.compile(r"USE TEMP B-TREE FOR (RIGHT PART OF )?ORDER BY")
_STATEMENT = re.compile("SELECT|WITH|UPDATE|DELETE|INSERT")
_VALUES = re.compile(r"INSERT INTO \w+ \([^()]*\) VALUES")
#: What each of the devices has logged.
EVENT = codec.encode(
    r.LogEvent(createdDateTime=NOW, functionSet=11, logEventCode=0, logEventID=1, logEventPEN=1, profileID=2)
)
#: What their meters read.
VOLTS, WATTS = (codec.encode(r.ReadingType(uom=uom)) for uom in (29, 38))
#: Numbers of the devices that a test adds begin here.
FIRST = 1000

#: Operations that look at all devices of a group, within SQLite and on the operators' own connection: what
#: they tell is who of them is in other groups, too, or has answered.
LOOKS_AT_ALL = {
    "controlAnswers": "who of all has answered, and who not",
    "previewChangeGroup": "who loses and gains a program depends on what other groups each is in",
    "previewChangeProgram": "likewise",
}
#: Sorts of few rows, by a part of the statement: another part has bounded them before.
SORTED = {
    'JOIN memberships ON memberships."group" = below': "a page's rows of each group",
    "GROUP BY anon_1.program": "the programs of so many controls",
}


@define
class Costs:
    """What some statements took.

    :param said: the statements, with their values
    :param ticks: tens of instructions of SQLite's virtual machine
    """

    said: list[str] = field(factory=list)
    ticks: int = 0

    def tick(self) -> int:
        self.ticks += 1
        return 0


@contextmanager
def costs(connection: sa.Connection) -> Iterator[Costs]:
    """What is executed on a connection meanwhile."""
    driver: Any = connection.connection.driver_connection
    found = Costs()
    driver.set_trace_callback(found.said.append)
    driver.set_progress_handler(found.tick, 10)
    try:
        yield found
    finally:
        driver.set_trace_callback(None)
        driver.set_progress_handler(None, 0)


class _Undone(Exception):
    """What a write did is taken back."""


def fill(transaction: Transaction, first: int, number: int, aggregator: int) -> None:
    """Add devices to Point 1, every second to Feeder B, and something of each kind that they leave behind."""
    numbers = range(first, first + number)

    def insert(table: sa.Table, row: Callable[[int], dict[str, Any]], every: int = 1) -> None:
        transaction.connection.execute(sa.insert(table), [row(one) for one in numbers[::every]])

    insert(
        devices,
        lambda one: {
            "id": one,
            "lfdi": lfdi(one),
            "sfdi": one,
            "name": f"dev{one}",
            "aggregator": False,
            "manager": aggregator if one % 2 else None,
            "registered": REGISTERED,
            "pin": 111115,
            "changed_time": REGISTERED,
        },
    )
    insert(memberships, lambda one: {"device": one, "group": 4, "since": REGISTERED})
    insert(memberships, lambda one: {"device": one, "group": 3, "since": REGISTERED}, 2)
    insert(device_rates, lambda one: {"device": one, "resource": "DERList", "seconds": 60})
    insert(contacts, lambda one: {"device": one, "at": NOW - one % 7, "host": "192.0.2.1", "refusals": 0})
    insert(
        documents,
        lambda one: {
            "href": f"/edev/{one}/der/1/ders",
            "device": one,
            "changed": NOW,
            "body": b"<DERStatus/>",
        },
    )
    insert(
        responses,
        lambda one: {
            "control": 1,
            "subject": "0",
            "lfdi": lfdi(one),
            "device": one,
            "status": 1,
            "received": NOW,
            "flagged": "look" if one % 3 else None,
            "body": b"",
        },
    )
    insert(
        logevents,
        lambda one: {
            "device": one,
            "created_time": NOW,
            "event_id": 1,
            "pen": 1,
            "profile": 2,
            "function_set": 11,
            "code": 0,
            "hidden": False,
            "classified": True,
            "received": NOW,
            "body": EVENT,
        },
    )
    insert(
        series,
        lambda one: {
            "id": one,
            "meter_reading": one,
            "device": one,
            "der": True,
            "unit": 29 if one % 5 else 38,
            "body": VOLTS if one % 5 else WATTS,
            "since": REGISTERED,
            "latest_at": NOW - 60,
            "latest_start": NOW - 60,
            "latest_duration": -1,
            "latest_value": 2300,
        },
    )
    insert(
        readings,
        lambda one: {
            "series": one,
            "start": NOW - 60,
            "duration": -1,
            "local_id": -1,
            "block": 0,
            "tier": 0,
            "value": 2300,
            "widths": 0,
            "in_set": 0,
            "number": 0,
        },
    )
    insert(
        rollups,
        lambda one: {
            "series": one,
            "step": 300,
            "start": NOW - 600,
            "block": 0,
            "tier": 0,
            "readings": 1,
            "mean": 2300.0,
        },
    )
    insert(
        receivers,
        lambda one: {
            "id": one,
            "host": f"r{one}.example",
            "port": 443,
            "failing_since": NOW if one % 3 else None,
        },
    )
    insert(
        subscriptions,
        lambda one: {
            "device": one,
            "href": f"/edev/{one}",
            "resource": f"/edev/{one}",
            "uri": f"https://r{one}.example/",
            "receiver": one,
            "level": "-S1",
            "limit": 10,
            "created": REGISTERED,
            "expires": NOW + 86_400,
            "changed": 2 if one % 3 else 1,
            "certain": 1,
            "told": 1,
            "next_at": NOW,
            "failing_since": NOW if one % 3 else None,
        },
    )
    insert(alarms, lambda one: {"device": one, "function_set": 11, "code": 0, "raised": NOW})
    insert(
        audit,
        lambda one: {"at": NOW, "who": "alice", "action": "add", "subject": f"/edev/{one}", "detail": ""},
    )
    tally.change(transaction, tally.devices("registered"), number)
    tally.change(transaction, tally.OPEN_ALARMS, number)
    group_counts.recount(transaction)


class CostTests(Case):
    """What operations ask of the store."""

    def every(self, world: World) -> Iterator[tuple[str, Operation, Call]]:
        """All operations with each thing that they can be asked, and a name for that."""
        for operation in OPERATIONS:
            for call in calls(operation, self.numbers, world.server):
                asked = {k: v for k, v in call.query.items() if v is not None and k != "limit"}
                yield f"{operation.name} {asked or ''}", operation, call

    def run_one(self, world: World, operation: Operation, call: Call, extra: Callable[..., None]) -> Costs:
        """Carry out an operation and leave nothing behind of it.

        :param extra: called with the connection and what it cost, before it is taken back
        """
        found: list[Costs] = []

        def run(connection: sa.Connection, argument: Any) -> None:
            with costs(connection) as spent:
                if operation.check is not None:
                    operation.check(connection, call)
                operation.run(argument, call)
            found.append(spent)
            extra(connection, spent)

        def write(transaction: Transaction) -> None:
            run(transaction.connection, transaction)
            raise _Undone

        if operation.writes:
            self.assertRaises(_Undone, world.write, write)
        else:
            world.read(lambda connection: run(connection, connection))
        return found[0]

    def test_plans(self) -> None:
        """No statement reads a big table through, or sorts what it finds there; pages come from indexes."""
        world = self.world
        world.write(lambda transaction: fill(transaction, FIRST, 300, self.numbers.aggregator))
        world.database.lacks.clear()  # nobody had asked for anything yet
        seen: set[str] = set()
        flaws: dict[str, str] = {}

        def check(name: str) -> Callable[[sa.Connection, Costs], None]:
            def judge(connection: sa.Connection, spent: Costs) -> None:
                driver: Any = connection.connection.driver_connection
                for said in spent.said:
                    # What refers to a row that is inserted is looked for only while something is missing.
                    if "EXPLAIN" in said or not _STATEMENT.match(said) or _VALUES.match(said):
                        continue
                    plan = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {said}")]
                    seen.update(table for line in plan for table in BIG if table in line)
                    for line in plan:
                        scan, sort = _SCAN.search(line), _SORT.search(line)
                        # What is read in the order of its key ends with the page.
                        if (scan and "LIMIT" not in said) or (
                            sort and any(t in said for t in BIG) and not any(part in said for part in SORTED)
                        ):
                            flaws.setdefault(said, f"{name}: {said}\n    " + "\n    ".join(plan))

            return judge

        for name, operation, call in self.every(world):
            if operation.name not in LOOKS_AT_ALL:
                self.run_one(world, operation, call, check(name))
        self.assertEqual("\n".join(flaws.values()), "")
        self.assertEqual(seen, set(BIG))

    def test_ten_times_as_many(self) -> None:
        """With ten times as many devices an operation takes no more statements, and hardly more of SQLite.

        Nor of Python, in which it would hold up everybody else.
        """
        world, aggregator = self.world, self.numbers.aggregator
        # What is counted or looked at up to a bound is beyond it in both.
        self.patch(tally, "MOST_COUNTED", 500)
        self.patch(listing, "MOST_LOOKED_AT", 500)
        taken: list[dict[str, tuple[Costs, int]]] = []
        for first, number in ((FIRST, 1_000), (FIRST + 1_000, 9_000)):
            world.write(lambda t, first=first, number=number: fill(t, first, number, aggregator))
            world.database.lacks.clear()  # nobody had asked for anything yet
            taken.append({})
            for name, operation, call in self.every(world):
                if operation.name not in LOOKS_AT_ALL:
                    # The second time with what is kept of what it asked the first time.
                    for _ in range(2):
                        spent = self.run_one(world, operation, call, lambda connection, spent: None)
                    python = 0
                    if not operation.writes:
                        run, asked = operation.run, call
                        python = world.read(lambda c, run=run, asked=asked: steps(lambda: run(c, asked)))
                    taken[-1][name] = spent, python
        few, many = taken
        self.assertEqual(few.keys(), many.keys())
        for name, (once, steps_once) in few.items():
            spent, python = many[name]
            self.assertLessEqual(len(spent.said), len(once.said), name)
            self.assertLess(spent.ticks, 1.25 * once.ticks + 10, name)
            self.assertLess(python, 1.1 * steps_once + 100, name)
