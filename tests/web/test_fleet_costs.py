"""What an aggregator's lists cost where its fleet is large: the same at both ends, and for any size.

Counted are statements and the instructions of SQLite's virtual machine, never time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from attrs import define, field
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices, fleet_counts, group_counts, own_programs, programs
from csipd.db import responses as response_store
from csipd.db.database import Transaction
from csipd.db.tables import devices as device_rows
from csipd.db.tables import lists, memberships, receivers, responses, subscriptions
from csipd.db.tables import own_programs as own_program_rows
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support.store import lfdi
from tests.support.world import AGGREGATOR, MANAGED, NOW, REGISTERED, RIVAL, World

#: Numbers of the devices that a test adds begin here.
FIRST = 1000
PAGE = 255
SIZES = (100, 10_000)
RESPONSE = codec.encode(r.Response(endDeviceLFDI=lfdi(1), subject="0", status=1))
#: Of a list from a moment on, which leaves the fleet that a test adds.
LATER = REGISTERED + 1


RECEIVER = {"host": "receiver.example", "port": 443, "next_at": 0, "attempts": 0}
SUBSCRIPTION = {
    "resource": "/edev",
    "uri": "https://receiver.example/told",
    "level": "-S1",
    "limit": 1,
    "created": NOW,
    "expires": NOW + 10**6,
    "changed": 0,
    "certain": 0,
    "told": 0,
    "next_at": 0,
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


def fill(transaction: Transaction, number: int, manager: int) -> None:
    """Add devices to a fleet, in a group, each with an own program that is shown and a Response."""
    connection, numbers = transaction.connection, range(FIRST, FIRST + number)
    connection.execute(
        sa.insert(device_rows),
        [
            {
                "id": one,
                "lfdi": lfdi(one),
                "sfdi": one,
                "aggregator": False,
                "manager": manager,
                "registered": REGISTERED,
                "pin": 111115,
                "changed_time": NOW - one % 97,
            }
            for one in numbers
        ],
    )
    group = [{"device": one, "group": 4, "since": REGISTERED} for one in numbers]
    connection.execute(sa.insert(memberships), group)
    connection.execute(sa.insert(own_program_rows), [{"device": one, "shown": NOW} for one in numbers])
    said = {"control": 1, "subject": "0", "status": 1, "received": NOW, "body": RESPONSE}
    connection.execute(
        sa.insert(responses),
        [{**said, "lfdi": lfdi(one), "device": one, "created_time": NOW - one % 97} for one in numbers],
    )
    receiver = connection.scalar(sa.insert(receivers).values(RECEIVER).returning(receivers.c.id))
    mine = {**SUBSCRIPTION, "device": manager, "receiver": receiver}
    connection.execute(sa.insert(subscriptions), [{**mine, "href": f"/edev/{one}/fsa"} for one in numbers])
    kept = {"href": f"/edev/{manager}/sub", "members": number, "last": number}
    connection.execute(sa.insert(lists), [kept])
    more = sa.update(device_rows).where(device_rows.c.id == manager)
    connection.execute(more.values(fleet=device_rows.c.fleet + number))
    group_counts.recount(transaction)
    fleet_counts.recount(connection)


class FleetCase(SynchronousTestCase):
    """Worlds whose aggregator has a fleet."""

    def world_of(self, number: int) -> World:
        world = World(Path(self.mktemp()))
        self.addCleanup(world.close)
        world.write(lambda transaction: fill(transaction, number, world.numbers.aggregator))
        world.database.lacks.clear()  # nobody had asked for anything yet
        return world

    @contextmanager
    def costs(self, world: World) -> Iterator[Costs]:
        """What is asked of the reading connection meanwhile."""
        found: list[Any] = []
        world.read(found.append)
        driver = found[0].connection.driver_connection
        costs = Costs()
        driver.set_trace_callback(costs.said.append)
        driver.set_progress_handler(costs.tick, 10)
        try:
            yield costs
        finally:
            driver.set_trace_callback(None)
            driver.set_progress_handler(None, 0)

    def page(self, world: World, path: str, start: int, limit: int = PAGE) -> tuple[Costs, list[str], int]:
        """What a page costs, the hrefs of its members, and ``all``."""
        with self.costs(world) as spent:
            asked = path.format(aggregator=world.numbers.aggregator)
            answer = world.fresh(AGGREGATOR, f"{asked}s={start}&l={limit}")
        self.assertEqual(answer.status, 200, path)
        document = etree.fromstring(answer.body)
        return spent, [one.get("href") or "" for one in document], int(document.get("all") or 0)


class PageTests(FleetCase):
    """Pages of lists of a whole fleet."""

    LISTS = (
        "/edev/{aggregator}/sub?",
        "/edev?",
        f"/edev?a={LATER}&",
        "/rsps/1/rsp?",
        f"/rsps/1/rsp?a={LATER}&",
        "/derp?",
    )

    def test_same_at_both_ends(self) -> None:
        """Who pages on pays as much for the last page as for the first, and for a hundred times the fleet."""
        limit = 20
        taken: dict[str, list[Costs]] = {}
        for number in SIZES:
            world = self.world_of(number)
            for path in self.LISTS:
                self.page(world, path, 0, limit)
                far = number - 3 * limit
                # Where it begins is not known yet: what comes before is passed over, once.
                self.page(world, path, far, limit)
                for start in (0, far + limit):
                    spent, members, _ = self.page(world, path, start, limit)
                    self.assertEqual(len(members), limit)
                    taken.setdefault(path, []).append(spent)
        for path, found in taken.items():
            least = min(found, key=lambda spent: spent.ticks)
            for spent in found:
                self.assertLessEqual(len(spent.said), len(least.said) + 2, path)
                self.assertLess(spent.ticks, 1.3 * least.ticks + 20, f"{path} {[one.ticks for one in found]}")

    def cold(self, world: World, path: str, start: int) -> Costs:
        """What a page costs that nobody has come to."""
        self.page(world, path, 0, 1)
        world.forget()
        world.fresh(AGGREGATOR, "/tm")
        spent, members, _ = self.page(world, path, start, 20)
        self.assertEqual(len(members), 20, path)
        return spent

    def test_in_the_middle_and_cold(self) -> None:
        """A page that nobody has come to is skipped to on an index: a few instructions for each before it."""
        few, many = (self.world_of(number) for number in SIZES)
        for path in self.LISTS:
            middles = [number // 2 for number in SIZES]
            one, other = (self.cold(world, path, at) for world, at in zip((few, many), middles, strict=True))
            # With the filter those that it leaves are counted besides, once.
            most = 8 + (12 if "a=" in path else 0)
            self.assertLess(10 * (other.ticks - one.ticks) / (middles[1] - middles[0]), most, path)
            self.assertLessEqual(len(other.said), len(one.said) + 1, path)

    def test_end_and_cold(self) -> None:
        """The end of the lists of devices and of Responses is as near as their beginning."""
        few, many = (self.world_of(number) for number in SIZES)
        for path in ("/edev?", "/rsps/1/rsp?"):
            one, other = (
                self.cold(world, path, number - 20) for world, number in zip((few, many), SIZES, strict=True)
            )
            self.assertLess(other.ticks, 1.3 * one.ticks + 20, path)

    def test_whole_lists(self) -> None:
        """Read in pages, each list has every member once, in the order of one page, however it is begun."""
        world = self.world_of(120)
        for path in self.LISTS:
            _, every, total = self.page(world, path, 0, 500)
            self.assertEqual(len(every), total, path)
            self.assertGreaterEqual(total, 120)
            for starts in (range(0, total, 7), range(0, total, 7), reversed(range(0, total, 11))):
                found: dict[int, list[str]] = {}
                step = 0
                for start in starts:
                    step = max(step, 7 if isinstance(starts, range) else 11)
                    _, found[start], again = self.page(world, path, start, step)
                    self.assertEqual(again, total)
                whole = [one for start in sorted(found) for one in found[start]]
                self.assertEqual(whole, every, path)


class KeptTests(FleetCase):
    """What is kept of a fleet follows what happens to its devices."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers

    def check(self, what: str) -> None:
        """What is kept is what there is, and what the lists show."""

        def look(transaction: Transaction) -> tuple[object, object]:
            connection = transaction.connection
            names = [
                name(manager)
                for manager in (self.numbers.aggregator, self.numbers.rival)
                for name in (fleet_counts.responses_of, fleet_counts.own_programs_of)
            ]

            def all_of_it() -> object:
                rows = [
                    connection.execute(sa.select(table.c[key], table.c.fleet).order_by(key)).all()
                    for table, key in ((responses, "id"), (own_program_rows, "device"))
                ]
                return rows, [fleet_counts.number(connection, name) for name in names]

            kept = all_of_it()
            for name in names:
                fleet_counts.tally.put(connection, name, 0)
            fleet_counts.recount(connection)
            return kept, all_of_it()

        kept, counted = self.world.write(look)
        self.world.database.lacks.clear()
        self.assertEqual(kept, counted, what)
        for who in (AGGREGATOR, RIVAL):
            for path in ("/rsps/1/rsp?l=100", "/derp?l=100"):
                document = self.world.document(who, path)
                self.assertEqual(int(document.get("all") or 0), len(document), f"{what} {path}")

    def test_follows(self) -> None:
        """Whatever is posted, shown, moved, withdrawn or removed: what is kept is as if counted anew."""
        n = self.numbers
        self.check("at first")

        def answer(device: int, status: int) -> None:
            body = r.Response(
                endDeviceLFDI=self.world.read(
                    lambda connection: devices.end_device(connection, device).lFDI  # type: ignore[union-attr]
                ),
                subject=f"{status:032X}",
                status=status,
                createdDateTime=NOW + status,
            )
            who = AGGREGATOR if device in (n.managed, n.bare, n.aggregator) else RIVAL
            self.assertEqual(self.world.post(who, "/rsps/1/rsp", body).status, 201)

        for device in (n.managed, n.bare, n.foreign, n.managed, n.aggregator):
            answer(device, 1)
            answer(device, 2)
            self.check(f"{device} has answered")

        def do(what: str, write: object) -> None:
            self.world.write(write)  # type: ignore[arg-type]  # each its own
            self.check(what)

        own = programs.own_program
        for device in (n.managed, n.bare, n.foreign, n.owner):
            do("shown", lambda t, device=device: own_programs.show(t, own(device), NOW))
        do("leaves its last group", lambda t: devices.leave(t, n.bare, 3, NOW))
        do("joins one again", lambda t: devices.join(t, n.bare, 3, NOW))
        do("joins another", lambda t: devices.join(t, n.bare, 5, NOW))
        do("comes to the other fleet", lambda t: devices.update(t, n.bare, manager=n.rival))
        do("leaves all fleets", lambda t: devices.update(t, n.bare, manager=None))
        do("comes back", lambda t: devices.update(t, n.bare, manager=n.aggregator))
        do("is withdrawn", lambda t: devices.withdraw(t, MANAGED.lfdi, "operator", NOW))
        do("is readmitted", lambda t: devices.readmit(t, MANAGED.lfdi, "operator", NOW))
        do("is removed", lambda t: devices.retire(t, n.foreign, NOW))
        do("is hidden", lambda t: own_programs.hide(t, own(n.bare), NOW))
        self.assertEqual(self.world.delete(AGGREGATOR, f"/edev/{n.managed}").status, 204)
        self.check("is unregistered")
        do("answers go", lambda t: response_store.remove(t, n.active, 1))
