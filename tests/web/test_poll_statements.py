"""What a device's requests ask of the database: few statements, and none that is compiled each time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, facts
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from tests.support.metering import usage_point
from tests.support.world import AGGREGATOR, BARE, FULL, MANAGED, NOW, OTHER, OWNER, World, end_device

#: Statements of a GET by a device that has not asked before, what devices share being known: the number of
#: the last commit, who asks, and what is its own.
MOST = {
    "/tm": 2,
    "/dcap": 2,
    "/edev?l=10": 5,
    "/edev/{device}": 5,
    "/edev/{device}/fsa": 2,
    "/edev/{device}/fsa/{fsa}/derp": 2,
    "/edev/{device}/der": 4,
    "/edev/{device}/rg": 3,
    "/edev/{device}/der/1/ders": 3,
    "/derp/{program}/derc?l=10": 2,
}


class PollTests(SynchronousTestCase):
    """Statements, counted at the driver and at Core."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(folder / "world.sqlite")
        self.addCleanup(self.world.close)

    def engines(self) -> Iterator[sa.Connection]:
        """The connections that reads and writes of devices have."""
        for ask in (self.world.read, self.world.write):
            found: list[Any] = []
            ask(found.append)
            yield getattr(found[0], "connection", found[0]) if ask == self.world.write else found[0]

    @contextmanager
    def driver(self, connection: sa.Connection) -> Iterator[list[str]]:
        """The statements that the driver is given meanwhile, transactions aside."""
        said: list[str] = []
        database: Any = connection.connection.driver_connection
        database.set_trace_callback(said.append)
        try:
            yield said
        finally:
            database.set_trace_callback(None)
            said[:] = [
                one for one in said if one.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
            ]

    def test_far_pages(self) -> None:
        """What was read of a long list is not passed over again, until the list changes (decision 55)."""
        reader, _ = self.engines()

        def skips(start: int) -> bool:
            with self.driver(reader) as said:
                self.assertEqual(self.world.fresh(AGGREGATOR, f"/edev?s={start}&l=1").status, 200)
            return any(re.search("OFFSET [1-9]", one) for one in said)

        self.assertEqual([skips(0), skips(1)], [False, False])
        changed = r.EndDevice(lFDI=MANAGED.lfdi, sFDI=MANAGED.sfdi, changedTime=0, postRate=60)
        self.assertEqual(self.world.put(MANAGED, f"/edev/{self.world.numbers.managed}", changed).status, 204)
        self.assertEqual([skips(1), skips(2)], [True, False])

    def test_far_pages_of_mirrors(self) -> None:
        """The same of an aggregator's mirrors and of its fleet's usage points."""
        reader, _ = self.engines()
        for n in range(6):
            of = (BARE, MANAGED)[n % 2]
            self.assertEqual(self.world.post(AGGREGATOR, "/mup", usage_point(of, f"F{n}")).status, 201)

        def skips(path: str, start: int) -> bool:
            with self.driver(reader) as said:
                self.assertEqual(self.world.fresh(AGGREGATOR, f"{path}?s={start}&l=2").status, 200)
            return any(re.search("OFFSET [1-9]", one) for one in said)

        for path in ("/mup", "/upt"):
            self.assertEqual([skips(path, start) for start in (0, 2, 4)], [False] * 3)
        self.world.post(AGGREGATOR, "/mup", usage_point(BARE, "F9"))
        for path in ("/mup", "/upt"):
            self.assertEqual([skips(path, start) for start in (2, 4)], [True, False])

    def core(self, ask: Callable[[], None]) -> list[str]:
        """The statements that go through Core meanwhile."""
        said: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            said.append(statement)

        engines = [connection.engine for connection in self.engines()]
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", note)
        try:
            ask()
        finally:
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", note)
        return said

    def test_few(self) -> None:
        """A device's poll is few statements: what others have asked before is known."""
        numbers = self.world.numbers
        places = {"fsa": numbers.topology, "program": numbers.point_1}
        reading = next(self.engines())
        for path, most in MOST.items():
            href = path.format(device=numbers.owner, **places)
            self.world.fresh(OWNER, href)
            # As if it had not asked: what is the device's own is no longer known.
            own = [kind(numbers.owner) for kind in (facts.device, facts.groups_of, facts.own_program)]
            self.world.write(lambda transaction, own=own: transaction.invalidate(*own))  # type: ignore[misc]
            with self.driver(reading) as said:
                answer = self.world.fresh(OWNER, href)
            self.assertEqual(answer.status, 200, path)
            self.assertLessEqual(len(said), most, f"{path}: {said}")

    def test_end_device_after_its_list(self) -> None:
        """The EndDevice that a device's list has shown asks nothing more, until it changes."""
        numbers = self.world.numbers
        reading = next(self.engines())
        listed = self.world.fresh(OWNER, "/edev").body
        with self.driver(reading) as said:
            alone = self.world.fresh(OWNER, f"/edev/{numbers.owner}").body
        self.assertEqual(len(said), 1, said)  # the number of the last commit
        self.assertEqual(etree.fromstring(listed)[0].attrib, etree.fromstring(alone).attrib)
        self.assertEqual(self.world.post(OWNER, f"/edev/{numbers.owner}/lel", FULL["LogEvent"]).status, 201)
        again = self.world.fresh(OWNER, f"/edev/{numbers.owner}").body
        self.assertNotEqual(again, alone)
        self.assertEqual(self.world.fresh(OWNER, "/edev").body.count(b"<LogEventListLink"), 1)

    def test_looked_up(self) -> None:
        """Who was looked up before its body was taken in is known to what it asks for next."""
        number = self.world.numbers.owner
        reading = next(self.engines())
        self.world.fresh(OWNER, "/tm")
        look_up = self.world.site.context.look_up
        assert look_up is not None
        self.world.write(lambda transaction: transaction.invalidate(facts.device(number)))
        self.successResultOf(look_up(OWNER))
        with self.driver(reading) as said:
            self.assertEqual(self.world.fresh(OWNER, "/tm").status, 200)
        self.assertEqual(len(said), 1, said)  # the number of the last commit

    def test_all_are_prepared(self) -> None:
        """Whatever a device or an aggregator can GET, PUT or POST, no statement goes through Core."""

        def walk() -> None:
            for who in (OWNER, OTHER, AGGREGATOR, MANAGED, BARE):
                waiting, seen = ["/dcap"], set()
                while waiting:
                    path = waiting.pop()
                    if path in seen:
                        continue
                    seen.add(path)
                    answer = self.world.fresh(who, f"{path}?l=20&a=5")
                    if answer.status == 200:
                        found = etree.fromstring(answer.body).iter()
                        waiting += [href for each in found if (href := each.get("href"))]
                self.assertGreater(len(seen), 20, who)

        def write() -> None:
            owner = self.world.numbers.owner
            for name in ("DERStatus", "DERAvailability", "DERSettings"):
                place = Place(ROWS[name], (owner, 1))
                for number in range(2):
                    time = "updatedTime" if name == "DERSettings" else "readingTime"
                    body = FULL[name].replace(**{time: NOW + number})
                    self.assertEqual(self.world.put(OWNER, place.href, body).status, 204, name)
            self.assertEqual(self.world.post(OWNER, f"/edev/{owner}/lel", FULL["LogEvent"]).status, 201)
            body = end_device(OWNER, postRate=77)
            self.assertEqual(self.world.put(OWNER, f"/edev/{owner}", body).status, 204)
            kept = self.world.read(
                lambda connection: controls.find(connection, self.world.numbers.active, int(self.world.now))
            )
            assert kept is not None
            response = r.DERControlResponse(
                endDeviceLFDI=OWNER.lfdi, status=1, subject=kept.event.mrid, createdDateTime=NOW
            )
            self.assertEqual(self.world.post(OWNER, "/rsps/1/rsp", response).status, 201)

        self.assertEqual(self.core(walk), [])
        self.assertEqual(self.core(write), [])
