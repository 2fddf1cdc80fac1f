"""Answers that are kept: found again by the same words, and never when they are no longer true."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, devices, documents, facts, groups, programs
from csipd.db.database import Transaction
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.web.cache import Cache
from tests.support.bodies import FULL, MINIMAL
from tests.support.walk import EVERYTHING, walk
from tests.support.world import (
    AGGREGATOR,
    BARE,
    ISSUER,
    LISTED,
    MANAGED,
    NOW,
    OTHER,
    OWNER,
    UNKNOWN,
    UNREGISTERED,
    World,
    end_device,
)

HEAD = b"GET /edev/1 HTTP/1.1\r\nHost: x\r\n\r\n"
LFDI = "A" * 40
ANSWER = (b"HTTP/1.1 200 OK\r\nDate: ", b"\r\n\r\nbody")


class CacheCase(SynchronousTestCase):
    """A cache and the time of day."""

    def setUp(self) -> None:
        self.now = 1000.0
        self.cache = self.make()

    def make(self, **more: Any) -> Cache:
        return Cache(lambda: self.now, lambda: b"%d" % self.now, **more)

    def keep(
        self,
        *depends_on: str,
        lfdi: str = LFDI,
        head: bytes = HEAD,
        until: float = inf,
        moment: int | None = None,
        answer: tuple[bytes, bytes] = ANSWER,
    ) -> None:
        at = self.cache.generation if moment is None else moment
        self.cache.keep(at, lfdi, head, answer, until, depends_on or ("device 1",))

    def assertKept(self, kept: bool, head: bytes = HEAD, lfdi: str = LFDI) -> None:
        self.assertEqual(self.cache.find(lfdi, head) is not None, kept)


class KeepTests(CacheCase):
    """What is found, and until when."""

    def test_found(self) -> None:
        """What was kept is given with the date of the moment at which it is asked for."""
        self.keep()
        self.assertEqual(self.cache.find(LFDI, HEAD), b"HTTP/1.1 200 OK\r\nDate: 1000\r\n\r\nbody")
        self.now = 1060.0
        self.assertEqual(self.cache.find(LFDI, HEAD), b"HTTP/1.1 200 OK\r\nDate: 1060\r\n\r\nbody")

    def test_not_found(self) -> None:
        """Another caller, or other words, find nothing."""
        self.assertKept(False)
        self.keep()
        self.assertKept(False, lfdi="B" * 40)
        self.assertKept(False, head=HEAD.replace(b"x", b"y"))
        self.assertKept(True)

    def test_end(self) -> None:
        """An answer is gone from the moment at which it stops being true."""
        self.keep(until=1010)
        self.now = 1009.999
        self.assertKept(True)
        self.now = 1010.0
        self.assertKept(False)
        self.now = 1009.0
        self.assertKept(False)

    def test_over_before_it_came(self) -> None:
        """An answer that is no longer true when it comes is not found."""
        for until in (999.0, 1000.0):
            self.keep(until=until)
            self.assertKept(False)

    def test_clock_set_back(self) -> None:
        """Nothing is given for a time before that at which it was made."""
        self.keep(until=2000)
        self.now = 900.0
        self.assertKept(False)

    def test_anew(self) -> None:
        """A newer answer takes the place of the older one, with facts of its own."""
        self.keep("device 1")
        self.keep("device 2", answer=(b"a", b"b"))
        self.assertEqual(self.cache.find(LFDI, HEAD), b"a1000b")
        self.cache.changed(["device 1"])
        self.assertKept(True)
        self.cache.changed(["device 2"])
        self.assertKept(False)


class ChangeTests(CacheCase):
    """What a change drops."""

    def test_dropped(self) -> None:
        """What hangs on a fact goes when that is dropped, and nothing else does."""
        self.keep("device 1", "schedule 3")
        for other in ("device 2", "device 11", "schedule 30", "program 3", "topology"):
            self.cache.changed([other])
            self.assertKept(True)
        self.cache.changed(["device 9", "schedule 3"])
        self.assertKept(False)

    def test_everything(self) -> None:
        """Where another process has written everything is dropped."""
        self.keep("device 1")
        self.keep("topology", head=HEAD + b" ")
        self.cache.changed([facts.EVERYTHING])
        self.assertKept(False)
        self.assertKept(False, HEAD + b" ")

    def test_under_way(self) -> None:
        """An answer that was asked for before a change that concerns it is not taken in."""
        asked = self.cache.generation
        self.cache.changed(["device 2"])
        self.keep("device 1", moment=asked)
        self.assertKept(True)
        for change in ("device 1", facts.EVERYTHING):
            asked = self.cache.generation
            self.cache.changed([change])
            self.cache.changed(["device 2"])
            self.keep("device 1", moment=asked)
            self.assertKept(False)

    def test_long_under_way(self) -> None:
        """An answer that more changes have overtaken than are remembered is not taken in."""
        asked = self.cache.generation
        for number in range(2, 10_000):
            self.cache.changed([f"device {number}"])
        self.assertTrue(self.cache.changed_since(asked, ["device 1"]))
        self.keep("device 1", moment=asked)
        self.assertKept(False)
        self.assertFalse(self.cache.changed_since(self.cache.generation, ["device 1"]))

    def test_many_facts(self) -> None:
        """Where each change drops many facts fewer are remembered, and none that drops too many of them."""
        several = [f"device {number}" for number in range(2, 2 + facts.REMEMBERED // 10)]
        for _ in range(3):
            asked = self.cache.generation
            for _ in range(10):
                self.cache.changed(several)
            self.assertFalse(self.cache.changed_since(asked, ["device 1"]))
            self.cache.changed(["device 2", *several])
            self.assertTrue(self.cache.changed_since(asked, ["device 1"]))
            self.assertFalse(self.cache.changed_since(asked + 3, ["device 1"]))
            asked = self.cache.generation
            self.cache.changed([f"device {number}" for number in range(2, 3 + facts.REMEMBERED)])
            self.assertTrue(self.cache.changed_since(asked, ["device 1"]))
            self.cache.changed([])
            self.assertFalse(self.cache.changed_since(asked + 1, ["device 1"]))

    @given(st.data())
    def test_as_if_it_remembered_all(self, data: st.DataObject) -> None:
        """Whatever happens in whatever order: what is found is true, and what is true is found."""
        self.setUp()
        names = ["device 1", "device 2", "schedule 1", "topology"]
        some = st.lists(st.sampled_from(names), min_size=1)
        changes = st.lists(st.sampled_from([*names, facts.EVERYTHING]))
        heads = st.sampled_from([b"one", b"two", b"three"])
        model: dict[bytes, tuple[bytes, float, set[str]]] = {}
        log: list[set[str]] = []
        for step in range(data.draw(st.integers(0, 20))):
            match data.draw(st.integers(0, 3)):
                case 0:
                    head, hangs_on = data.draw(heads), set(data.draw(some))
                    moment = data.draw(st.integers(max(0, self.cache.generation - 2), self.cache.generation))
                    until = self.now + data.draw(st.integers(1, 5))
                    self.keep(*hangs_on, head=head, until=until, moment=moment, answer=(b"", b"%d" % step))
                    if all(not change & (hangs_on | {facts.EVERYTHING}) for change in log[moment:]):
                        model[head] = (b"%d%d" % (0, step), until, hangs_on)
                case 1:
                    change = data.draw(changes)
                    self.cache.changed(change)
                    log.append(set(change))
                    model = {h: m for h, m in model.items() if not log[-1] & (m[2] | {facts.EVERYTHING})}
                case 2:
                    self.now += data.draw(st.integers(0, 3))
                case 3:
                    head = data.draw(heads)
                    kept = model.get(head)
                    expected = kept is not None and self.now < kept[1]
                    found = self.cache.find(LFDI, head)
                    self.assertEqual(found is not None, expected)
                    if found is not None and kept is not None:
                        self.assertTrue(found.endswith(kept[0][1:]))


class CommonTests(CacheCase):
    """What is the same for everybody."""

    OTHER = "B" * 40

    def common(self, until: float, head: bytes = HEAD) -> None:
        self.cache.keep(self.cache.generation, LFDI, head, ANSWER, until, ["rates Time"], common=True)

    def know(self, lfdi: str = LFDI, rights: str = "device 1", until: float = inf) -> None:
        self.cache.know(self.cache.generation, lfdi, rights, until)

    def test_known(self) -> None:
        """It is given to whoever is known, and to nobody else, while it is true."""
        self.common(1001)
        self.assertKept(False)
        self.know()
        self.assertKept(True)
        self.assertKept(False, lfdi=self.OTHER)
        self.know(self.OTHER, "device 2")
        self.assertKept(True, lfdi=self.OTHER)
        self.assertEqual(self.cache.hits, 2)
        self.now = 1001.0
        self.assertKept(False)
        self.common(1002)
        self.assertKept(True)

    def test_dropped(self) -> None:
        """What it hangs on drops it for everybody, also while it is under way; nothing else does."""
        self.know()
        self.common(1001)
        self.cache.changed(["rates DERList"])
        self.assertKept(True)
        self.cache.changed(["rates Time"])
        self.assertKept(False)
        before = self.cache.generation
        self.cache.changed(["rates Time"])
        self.cache.keep(before, LFDI, HEAD, ANSWER, 1001, ["rates Time"], common=True)
        self.assertKept(False)

    def test_withdrawn(self) -> None:
        """Whose rights have changed is not known any longer; the answer stays for others."""
        self.common(1001)
        self.know()
        self.know(self.OTHER, "device 2")
        self.cache.changed(["device 1"])
        self.assertKept(False)
        self.assertKept(True, lfdi=self.OTHER)

    def test_changed_meanwhile(self) -> None:
        """A caller whose rights changed while its answer was under way is not known by it."""
        self.common(1001)
        asked = self.cache.generation
        self.cache.changed(["device 1"])
        self.cache.know(asked, LFDI, "device 1", inf)
        self.assertKept(False)

    def test_certificate(self) -> None:
        """Nobody is known for longer than its certificate is good."""
        self.common(1100)
        self.know(until=1050)
        self.assertKept(True)
        self.now = 1050.0
        self.assertKept(False)

    def test_many_ways_to_ask(self) -> None:
        """However it is asked for, so many answers are kept at most."""
        self.know()
        for number in range(1000):
            self.common(1001, b"%d" % number)
            self.assertKept(True, b"%d" % number)
        kept = sum(self.cache.find(LFDI, b"%d" % number) is not None for number in range(1000))
        self.assertLessEqual(kept, 256)


class BoundTests(CacheCase):
    """How much is kept."""

    def test_bytes(self) -> None:
        """No more octets are kept than allowed."""
        self.cache = self.make(largest=100_000)
        for number in range(1000):
            self.keep(head=b"%d" % number, answer=(b"", bytes(4000)))
        kept = [number for number in range(1000) if self.cache.find(LFDI, b"%d" % number)]
        self.assertLess(len(kept) * 4000, 100_000)
        self.assertGreater(len(kept), 10)

    def test_many_small(self) -> None:
        """What is kept around small answers counts too."""
        self.cache = self.make(largest=100_000)
        for number in range(10_000):
            self.keep(head=b"%d" % number, answer=(b"", b""))
        kept = [number for number in range(10_000) if self.cache.find(LFDI, b"%d" % number)]
        self.assertLess(len(kept), 1000)

    def test_room_comes_back(self) -> None:
        """Room is given back by changes, by the clock and by newer answers, time and again."""
        self.cache = self.make(largest=50_000)
        for turn in range(100):
            self.keep("device 1", head=b"a", answer=(b"", bytes(20_000)), until=self.now + 1)
            self.keep("device 2", head=b"b", answer=(b"", bytes(20_000)))
            self.keep("device 2", head=b"b", answer=(b"", bytes(20_000)))
            self.assertKept(True, b"a")
            self.assertKept(True, b"b")
            if turn % 2:
                self.cache.changed(["device 2"] if turn % 4 == 1 else [facts.EVERYTHING])
            self.now += 1
            self.assertKept(False, b"a")

    def test_larger_than_all(self) -> None:
        """An answer that there is no room for at all is not kept, at nobody's cost."""
        self.cache = self.make(largest=10_000)
        self.keep(head=b"small")
        self.keep(head=b"large", answer=(b"", bytes(20_000)))
        self.assertKept(False, b"large")
        self.assertKept(True, b"small")


class FastPathTests(SynchronousTestCase):
    """The cache behind a server: whatever changes, nobody is given what is no longer true."""

    CALLERS = (OWNER, AGGREGATOR)

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers

    def test_hit(self) -> None:
        """The same words get the same answer without asking the database; others are asked anew."""
        first = self.world.get(OWNER, "/derp")
        self.assertEqual(self.world.hits, 0)
        self.assertEqual(self.world.get(OWNER, "/derp"), first)
        self.assertEqual(self.world.hits, 1)
        self.world.fresh(OWNER, "/derp")
        self.world.get(OTHER, "/derp")
        self.world.get(OWNER, "/derp?s=0")
        self.assertEqual(self.world.hits, 1)

    def test_equal(self) -> None:
        """An answer of the fast path is to the octet what the ordinary way gives, Date aside."""
        self.world.get(OWNER, "/edev?l=5")
        self.world.now += 2
        wire = self.world.wire(OWNER)
        before = len(wire.client.received)
        self.world.get(OWNER, "/edev?l=5")
        kept = wire.client.received[before:]
        self.assertEqual(self.world.hits, 1)
        before = len(wire.client.received)
        self.world.fresh(OWNER, "/edev?l=5")
        self.assertEqual(kept, wire.client.received[before:])
        self.assertIn(b"Date: Thu, 01 Jan 2026 00:00:02 GMT", kept)

    def test_only_good_answers(self) -> None:
        """Errors, HEAD and who is not registered leave nothing behind."""
        for who, method, path in (
            (OWNER, "GET", "/edev/999"),
            (OWNER, "HEAD", "/dcap"),
            (LISTED, "GET", "/dcap"),
            (LISTED, "GET", "/edev"),
        ):
            for _ in range(2):
                self.world.send(who, method, path)
        self.assertEqual(self.world.hits, 0)

    def test_time(self) -> None:
        """The Time resource is of the second at which it is asked for."""
        for _ in range(3):
            self.world.now += 1
            time = self.world.document(OWNER, "/tm")
            self.assertEqual(int(time[0].text or ""), self.world.now)

    def test_time_of_all(self) -> None:
        """The Time of a second is made once, for all who are known; whoever is not is asked about first."""
        for who in (OWNER, OTHER):
            self.world.get(who, "/dcap")
        self.world.get(OWNER, "/tm")
        self.assertEqual(self.world.hits, 0)
        self.assertEqual(self.world.get(OTHER, "/tm"), self.world.fresh(OTHER, "/tm"))
        self.world.get(OWNER, "/tm")
        self.assertEqual(self.world.hits, 2)
        for who in (LISTED, MANAGED):
            self.world.get(who, "/tm")
        self.assertEqual(self.world.hits, 2)
        self.world.withdraw(OTHER)
        self.world.get(OTHER, "/tm")
        self.assertEqual(self.world.hits, 2)
        self.world.now += 1
        self.assertEqual(self.world.get(OWNER, "/tm"), self.world.fresh(OWNER, "/tm"))
        self.assertEqual(self.world.hits, 2)

    def truth(self, primed: dict[Identity, list[str]], after: str) -> list[bytes]:
        """What each caller is given at each path; what was kept has to be what it would be given anew.

        That goes for whole answers as for what the reading thread keeps.
        """
        every = [(who, path) for who, paths in primed.items() for path in paths]
        given = [self.world.get(who, path) for who, path in every]
        read = [self.world.fresh(who, path) for who, path in every]
        self.world.forget()
        for (who, path), answer, other in zip(every, given, read, strict=True):
            truth = self.world.fresh(who, path)
            self.assertEqual(answer, truth, f"{path} after: {after}")
            self.assertEqual(other, truth, f"{path} after: {after}")
        # What is to be found the next time.
        for who, path in every:
            self.world.get(who, path)
        return [answer.body for answer in given]

    def test_listed(self) -> None:
        """Who asked in vain and is listed then is known at its next request, by each thread of the store."""
        mine = MINIMAL["DERStatus"]
        self.assertEqual(self.world.get(UNKNOWN, "/edev").status, 404)
        self.assertEqual(self.world.put(UNKNOWN, "/edev/1/der/1/ders", mine).status, 404)

        def admit(transaction: Transaction) -> int:
            device = devices.add(transaction, UNKNOWN.lfdi, now=NOW)
            devices.make_end_device(transaction, device, NOW)
            return device.id

        number = self.world.write(admit)
        self.assertEqual(self.world.put(UNKNOWN, f"/edev/{number}/der/1/ders", mine).status, 204)
        self.assertEqual(self.world.get(UNKNOWN, f"/edev/{number}/der/1/ders").status, 200)

    def test_changes(self) -> None:
        """After any change, by whomever and wherever, whatever was kept is either gone or still true."""
        primed = {}
        for who in self.CALLERS:
            paths = walk(self.world, who)
            # What a program holds is looked at through the eyes of one caller; lists as a whole.
            once = [path for path in paths if who is OWNER or not path.startswith("/derp/")]
            primed[who] = [path for path in once if path + EVERYTHING not in paths]
        before = self.truth(primed, "nothing")
        self.assertGreater(self.world.hits, 50)
        for name, change in self.changes().items():
            change()
            now = self.truth(primed, name)
            self.assertNotEqual(before, now, f"{name} changed nothing")
            before = now

    def changes(self) -> dict[str, Callable[[], Any]]:
        """Changes of every kind, in an order in which each makes a difference."""
        world, n = self.world, self.numbers

        def write(operation: Callable[[Transaction], Any]) -> Callable[[], Any]:
            return lambda: world.write(operation)

        def put(who: Identity, path: str, body: r.Resource) -> Callable[[], Any]:
            return lambda: self.assertEqual(world.put(who, path, body).status, 204)

        def at(moment: int) -> Callable[[], Any]:
            return lambda: setattr(world, "now", moment)

        def alter(device: int, **values: Any) -> Callable[[], Any]:
            return write(lambda t: devices.update(t, device, **values))

        def answered(who: Identity) -> r.Resource:
            body: r.Resource = FULL["DERControlResponse"].replace(endDeviceLFDI=who.lfdi)
            return body

        default = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(opModFixedW=1))
        curve = r.DERCurve(
            mRID="0",
            creationTime=NOW,
            CurveData=(r.CurveData(xvalue=1, yvalue=2),),
            curveType=0,
            xMultiplier=0,
            yMultiplier=0,
            yRefType=1,
        )
        curve_place = Place(ROWS["DERCurve"], (n.feeder_a, n.curve))
        return {
            "a device reports": put(OWNER, f"/edev/{n.owner}/der/1/ders", MINIMAL["DERStatus"]),
            "an aggregator reports": put(AGGREGATOR, f"/edev/{n.managed}/der/1/derg", MINIMAL["DERSettings"]),
            "a managed device reports itself": put(
                MANAGED, f"/edev/{n.managed}/dstat", MINIMAL["DeviceStatus"]
            ),
            "a device is changed": put(OWNER, f"/edev/{n.owner}", end_device(OWNER, postRate=60)),
            "a fleet device is changed": put(AGGREGATOR, f"/edev/{n.bare}", end_device(BARE, postRate=60)),
            "a first report": put(AGGREGATOR, f"/edev/{n.aggregator}/ps", FULL["PowerStatus"]),
            "a locale more": lambda: world.post(OWNER, f"/edev/{n.owner}/di/loc", FULL["SupportedLocale"]),
            "a locale changed": put(OWNER, f"/edev/{n.owner}/di/loc/1", MINIMAL["SupportedLocale"]),
            "a locale less": lambda: world.delete(OWNER, f"/edev/{n.owner}/di/loc/1"),
            "a response": lambda: world.post(OWNER, "/rsps/1/rsp", answered(OWNER)),
            "a response for the fleet": lambda: world.post(AGGREGATOR, "/rsps/1/rsp", answered(BARE)),
            "a managed device responds itself": lambda: world.post(MANAGED, "/rsps/1/rsp", answered(MANAGED)),
            "a log event": lambda: world.post(OWNER, f"/edev/{n.owner}/lel", FULL["LogEvent"]),
            "a managed device logs": lambda: world.post(MANAGED, f"/edev/{n.managed}/lel", FULL["LogEvent"]),
            "a log event goes": lambda: world.delete(OWNER, f"/edev/{n.owner}/lel/1"),
            "a device of the fleet registers": lambda: world.post(
                AGGREGATOR, "/edev", end_device(UNREGISTERED)
            ),
            "a device of the fleet goes": lambda: world.delete(AGGREGATOR, f"/edev/{n.bare}"),
            "a PIN": alter(n.owner, pin=0),
            "a rate": alter(n.managed, poll_rate=60),
            "a control is made": lambda: world.control(n.point_1, start=60),
            "a control of a group above is made": lambda: world.control(n.system, start=60, duration=60),
            "two controls begin": at(NOW + 60),
            "one ends": at(NOW + 120),
            "the one of before ends": at(NOW + 600),
            "the last ends": at(NOW + 660),
            "the first is forgotten": at(NOW - 600 + controls.RETENTION),
            "a default changes": write(lambda t: programs.set_default(t, ISSUER, n.system, default, NOW)),
            "a default goes": write(lambda t: programs.set_default(t, ISSUER, n.point_1, None, NOW)),
            "a default comes": write(lambda t: programs.set_default(t, ISSUER, n.point_1, default, NOW)),
            "a curve comes": write(lambda t: programs.add_curve(t, ISSUER, n.point_1, curve, NOW)),
            "a curve changes": write(lambda t: programs.change_curve(t, curve_place, curve, NOW)),
            "a curve goes": write(lambda t: documents.delete(t, curve_place)),
            "a program in a group above": write(
                lambda t: programs.add(t, ISSUER, self.group(t, "System"), "New", 3)
            ),
            "a primacy": write(
                lambda t: programs.change(t, n.feeder_a, group=self.group(t, "Feeder A"), primacy=0)
            ),
            "a program moves": write(
                lambda t: programs.change(t, n.spare, group=self.group(t, "Point 1"), primacy=9)
            ),
            "a program is retired": write(lambda t: programs.retire(t, n.system, NOW)),
            "a group moves": write(
                lambda t: groups.put_group(
                    t, "Point 1", parent=self.group(t, "Feeder B"), level=6, assignment=n.topology
                )
            ),
            "a device leaves a group": write(
                lambda t: devices.leave(t, n.owner, self.group(t, "Campaign"), NOW)
            ),
            "a device of the fleet moves": write(
                lambda t: (
                    devices.leave(t, n.managed, self.group(t, "Point 1"), NOW),
                    devices.join(t, n.managed, self.group(t, "Campaign"), NOW),
                )
            ),
            "a device changes its aggregator": alter(n.managed, manager=n.rival),
            "it comes back": alter(n.managed, manager=n.aggregator),
            "a device is retired": alter(n.owner, retired=NOW),
            "it is back": alter(n.owner, retired=None),
            "a device is shut out": lambda: world.withdraw(OWNER),
            "it is let in": write(lambda t: devices.readmit(t, OWNER.lfdi, "operator", NOW)),
            "a fleet device is shut out": lambda: world.withdraw(MANAGED),
            "an aggregator is shut out": lambda: world.withdraw(AGGREGATOR),
        }

    @staticmethod
    def group(transaction: Transaction, name: str) -> int:
        number = groups.find(transaction.connection, name)
        assert number is not None
        return number

    def test_withdrawn(self) -> None:
        """Who is shut out finds nothing once that is acknowledged, kept answers or not."""
        for path in ("/edev", f"/edev/{self.numbers.owner}", "/derp", "/sdev"):
            for _ in range(2):
                self.assertEqual(self.world.get(OWNER, path).status, 200)
        hits = self.world.hits
        self.assertEqual(hits, 4)
        self.world.withdraw(OWNER)
        for path in ("/edev", f"/edev/{self.numbers.owner}", "/derp", "/sdev"):
            self.assertEqual(self.world.get(OWNER, path).status, 404)
        self.assertEqual(self.world.hits, hits)

    def test_expired(self) -> None:
        """A kept answer outlives no certificate, though the connection does."""
        who = evolve(OWNER, not_after=NOW + 60.5)
        for moment in (NOW, NOW + 60):
            self.world.now = moment
            self.assertEqual(self.world.get(who, "/sdev").status, 200)
        self.assertEqual(self.world.hits, 1)
        self.world.now = NOW + 61
        self.assertEqual(self.world.get(who, "/sdev").status, 403)
        self.assertEqual(self.world.hits, 1)

    def test_withdrawn_under_way(self) -> None:
        """An answer that was under way when its caller was shut out is not given."""
        wire = self.world.wire(OWNER)
        self.world.back.hold()
        asked = [wire.client.get(path) for path in ("/edev", "/derp")]
        wire.pump()
        self.world.withdraw(OWNER)
        self.world.back.release()
        self.assertEqual([answer.status for answer in wire.results(asked)], [404, 404])

    def test_changed_under_way(self) -> None:
        """An answer that was under way when what it tells changed is not kept."""
        path = f"/edev/{self.numbers.owner}/der/1/ders"
        wire = self.world.wire(OWNER)
        self.world.back.hold()
        asked = wire.client.get(path)
        wire.pump()
        place = Place(ROWS["DERStatus"], (self.numbers.owner, 1))
        self.world.write(lambda t: documents.put(t, place, MINIMAL["DERStatus"], NOW, None))
        self.world.back.release()
        self.assertEqual(wire.result(asked).status, 200)
        self.assertEqual(self.world.get(OWNER, path), self.world.fresh(OWNER, path))
