"""CORE-018 and 019, UTIL-003, ERR-002, MAINT: subscriptions (CSIP Conformance Test Procedures v1.3).

Whatever a Notification carries is compared with a GET in the moment in which it comes (listener.py); what is
asserted here is which come, when, and what follows.
"""

from __future__ import annotations

from lxml import etree

from csipd.sep2 import resources as r
from tests.conformance.case import WHOLE
from tests.conformance.devices import DER
from tests.conformance.test_agg import FLEET, OTHERS, FleetCase
from tests.support.subscribing import subscription
from tests.support.ways import both_ways

NORMAL, CANCELLED, DELETED = 0, 1, 4


class SubscriberCase(FleetCase):
    """The aggregator has walked and runs a receiver; it has subscribed to nothing yet."""

    def setUp(self) -> None:
        super().setUp()
        self.aggregator.walk()
        self.listener = self.bench.listen(self.aggregator, "aggregator")
        self.own = self.aggregator.own_href()

    def follow(self, *resources: str, limit: int = 100) -> list[str]:
        """Subscribe to these alone; the places of the subscriptions."""
        self.aggregator.listen(self.listener)
        return [self.aggregator.subscribe_to(resource, limit=limit) for resource in resources]

    def shown(self, path: str) -> etree._Element:
        """A document as the aggregator reads it, by lxml alone."""
        answer = self.aggregator.request("GET", path)
        self.assertEqual(answer.status, 200, path)
        return etree.fromstring(answer.body)

    def fsas(self, name: str) -> str:
        """The list of FSAs of a DER."""
        link = self.der(name).device.FunctionSetAssignmentsListLink
        assert link is not None
        return link.href

    def programs(self, der: DER) -> list[str | None]:
        """The programs of a DER as its aggregator knows them."""
        return [program.description for program in der.programs]

    def controls(self, program: str) -> str:
        """The list of controls of a program."""
        return f"/derp/{self.bench.programs[program]}/derc"


class SubscriptionTests(SubscriberCase):
    """What is subscribed to, and one Notification for each change."""

    def test_core_018(self) -> None:
        """The list of subscriptions is empty at first. A subscription to a list of FSAs is 201 with a
        Location and is given back; when the list changes a Notification comes that equals a GET."""
        device = self.shown(self.own)
        link = device.find("{*}SubscriptionListLink")
        assert link is not None
        self.assertEqual(link.get("all"), "0")
        place = link.get("href") or ""
        self.assertEqual(self.shown(f"{place}?l=255").get("all"), "0")
        fsas = self.fsas("EDA1")
        self.assertEqual(self.shown(fsas).get("subscribable"), "1")
        asked = subscription(fsas, self.listener.uri, 100)
        made = self.aggregator.post(place, asked)
        self.assertTrue(made.startswith(f"{place}/"), made)
        kept = self.aggregator.get(made, r.Subscription)
        self.assertEqual(kept.replace(href=None), asked)
        (link,) = self.shown(self.own).findall("{*}SubscriptionListLink")
        self.assertEqual(link.get("all"), "1")
        self.bench.run(until=1)
        self.assertEqual(self.listener.names(), [])

        self.bench.program("Campaign", 11)
        self.bench.move("EDA1", None, "Campaign")
        self.bench.run(until=2)
        self.assertEqual(self.listener.names(), [(1, fsas, NORMAL)])
        (told,) = self.listener.told
        self.assertEqual((told.kind, told.subscription), ("FunctionSetAssignmentsList", made))
        named = [one.text for one in told.document.iterfind(".//{*}FunctionSetAssignments/{*}description")]
        self.assertEqual(sorted(named), ["Campaign", "Topology"])

    def test_core_019(self) -> None:
        """A second subscription, to an EndDevice. Each change is told once, at its own level; then the server
        ends the subscription to the FSAs by status 1, and tells of them no more."""
        fsas, device = self.fsas("EDA1"), self.der("EDA1").device.href
        assert device is not None
        self.assertEqual(self.shown(device).get("subscribable"), "1")
        of_fsas, of_device = self.follow(fsas, device)
        self.bench.run(until=1)
        self.bench.categorize("EDA1", 1 << 21)
        self.bench.run(until=2)
        self.assertEqual(self.listener.names(), [(1, device, NORMAL)])
        (told,) = self.listener.told
        self.assertEqual(told.document.findtext(".//{*}deviceCategory"), "00200000")
        self.bench.program("Campaign", 11)
        self.bench.move("EDA1", None, "Campaign")
        self.bench.run(until=3)
        self.assertEqual(self.listener.names(since=2), [(2, fsas, NORMAL)])

        self.bench.end_subscription(of_fsas)
        self.assertEqual(self.listener.names(since=3), [(3, fsas, CANCELLED)])
        self.assertIsNone(self.listener.told[-1].kind)
        self.assertEqual(self.aggregator.request("GET", of_fsas).status, 404)
        self.assertEqual(self.shown(f"{self.own}/sub?l=255").get("all"), "1")
        self.bench.move("EDA1", "Campaign", None)
        self.bench.run(until=4)
        self.bench.categorize("EDA1", 1 << 23)
        self.bench.run(until=5)
        self.assertEqual(self.listener.names(since=3.01), [(4, device, NORMAL)])
        self.assertEqual(self.listener.told[-1].subscription, of_device)

    def test_util_003(self) -> None:
        """Subscriptions to the lists of programs and of controls are 201 with a Location, each its own."""
        places = []
        for name in FLEET:
            der = self.der(name)
            (fsa,) = der.fsas
            assert fsa.DERProgramListLink is not None
            places += self.follow(fsa.DERProgramListLink.href)
        places += self.follow(*(self.controls(program) for program in self.bench.programs))
        self.assertEqual(len(set(places)), 4 + 13)
        listed = self.shown(f"{self.own}/sub?l=255").findall("{*}Subscription")
        self.assertEqual({one.get("href") for one in listed}, set(places))
        # The same once more is the same subscription.
        again = self.follow(self.controls("SY"))
        self.assertLess(set(again), set(places))

    def test_err_002(self) -> None:
        """Subscriptions outlive a restart. What is answered 400 is deleted in silence; 204 is taken for
        delivered."""
        kept, unwanted = self.follow(self.controls("TFA"), self.controls("SY"))
        self.bench.restart()
        self.assertEqual(self.shown(f"{self.own}/sub?l=255").get("all"), "2")
        self.listener.answer = lambda told: 400 if told.subscription == unwanted else 204
        self.bench.command("TFA", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.command("SY", start=4, lasts=1, opModMaxLimW=7000)
        self.bench.run(until=1)
        tfa, sy = self.controls("TFA"), self.controls("SY")
        self.assertEqual(sorted(self.listener.names()), sorted([(0, tfa, NORMAL), (0, sy, NORMAL)]))
        self.assertEqual(self.aggregator.request("GET", unwanted).status, 404)
        self.assertEqual(self.aggregator.request("GET", kept).status, 200)
        self.bench.run(until=6)
        self.assertEqual(self.listener.names(since=1), [(2, tfa, NORMAL), (3, tfa, NORMAL)])
        self.bench.end_subscription(kept)
        self.assertEqual(self.listener.names(since=6), [(6, tfa, CANCELLED)])

    def test_err_002_pending(self) -> None:
        """What could not be delivered before the restart is delivered after it."""
        self.follow(self.controls("TFA"))
        self.listener.answer = lambda told: 503
        self.bench.command("TFA", start=2, lasts=9, opModMaxLimW=6000)
        self.assertEqual(self.listener.names(), [(0, self.controls("TFA"), NORMAL)])
        self.bench.restart()
        self.listener.answer = lambda told: 201
        self.bench.run(until=1)
        self.assertEqual(len(self.listener.told), 2)
        named = self.listener.told[-1].document.findtext(".//{*}DERControl/{*}description")
        self.assertEqual(named, "TFA")


class MaintenanceTests(SubscriberCase):
    """The aggregator has subscribed to all that CSIP has it subscribe to."""

    def setUp(self) -> None:
        super().setUp()
        self.aggregator.subscribe(self.listener)

    def test_agg_001(self) -> None:
        """A DER more is told of with the list of devices; it is walked, followed, and controlled like the
        others."""
        place = self.bench.join_fleet("aggregator", "EDA1X", "SPA1")
        self.bench.run(until=1)
        self.assertEqual(self.listener.names(), [(0, "/edev", NORMAL)])
        shown = {device.get("href") for device in self.listener.told[0].document.iterfind(".//{*}EndDevice")}
        self.assertIn(place, shown)
        new = self.der("EDA1X")
        self.assertEqual(new.device.href, place)
        self.assertEqual(self.programs(new), self.programs(self.der("EDA1")))
        self.bench.command("TFA", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=4)
        for name in ("EDA1", "EDA2", "EDA1X"):
            self.assertAnswered(name, TFA=WHOLE)
        self.assertAnswered("EDB1")

    def test_maint_001(self) -> None:
        """A DER that is removed is told of with the list, and by status 4 to who follows the instance; it is
        404 from then on."""
        place = self.bench.join_fleet("aggregator", "EDA1X", "SPA1")
        self.bench.run(until=1)
        self.aggregator.subscribe_to(place)
        self.bench.unregister("EDA1X")
        self.bench.run(until=2)
        told = self.listener.names(since=1)
        self.assertIn((1, "/edev", NORMAL), told)
        self.assertIn((1, place, DELETED), told)
        listed = next(one for one in self.listener.told if one.at >= 60 and one.resource == "/edev")
        self.assertNotIn(
            place, {device.get("href") for device in listed.document.iterfind(".//{*}EndDevice")}
        )
        gone = next(one for one in self.listener.told if one.resource == place)
        self.assertIsNone(gone.kind)
        self.assertEqual(self.aggregator.request("GET", place).status, 404)
        self.assertNotIn(place, [der.device.href for der in self.aggregator.ders])

    def test_maint_003_one_fsa(self) -> None:
        """Where one FSA holds all programs, a DER that is moved is told of with the list of its programs."""
        self.bench.run(until=1)
        self.bench.move("EDB1", "SPB1", "SPA1")
        self.bench.run(until=2)
        (fsa,) = self.der("EDB1").fsas
        assert fsa.DERProgramListLink is not None
        self.assertIn((1, fsa.DERProgramListLink.href, NORMAL), self.listener.names())
        # The controls of where it was are not for anybody of this fleet any more.
        self.assertIn((1, self.controls("SPB1"), DELETED), self.listener.names())
        self.assertEqual(self.programs(self.der("EDB1")), self.programs(self.der("EDA1")))

    def test_maint_004(self) -> None:
        """A new control of TFA is told of with its list of controls, up to the subscription's limit; the
        aggregator schedules it."""
        for number in range(3):
            self.bench.command("TFA", start=20 + number, lasts=1, label=f"later {number}", opModMaxLimW=5000)
        self.bench.run(until=1)
        place = self.aggregator.subscribe_to(self.controls("TFA"), limit=4)
        self.assertEqual(self.aggregator.get(place, r.Subscription).limit, 4)
        self.bench.command("TFA", start=15, lasts=5, label="new", opModMaxLimW=6000)
        self.bench.run(until=2)
        (told,) = [one for one in self.listener.told if one.at >= 60]
        named = [one.text for one in told.document.iterfind(".//{*}DERControl/{*}description")]
        self.assertEqual(named, ["new", "later 0", "later 1", "later 2"])
        self.bench.run(until=21)
        for name in ("EDA1", "EDA2"):
            self.assertEqual(self.bench.answers(name)["new"], WHOLE)

    def test_maint_005(self) -> None:
        """Primacies that change places are told of with the lists of programs; the priorities follow."""
        self.bench.rank({"TFA": 1, "TFB": 1, "SGA": 2, "SGB": 2})
        self.bench.run(until=1)
        lists = {resource for at, resource, _ in self.listener.names() if resource.endswith("/derp")}
        self.assertEqual(len(lists), 4)
        before = self.programs(self.der("EDA1"))
        self.assertEqual(before[:3], ["TFA", "SGA", "SPA1"])
        self.bench.rank({"TFA": 2, "TFB": 2, "SGA": 1, "SGB": 1})
        self.bench.run(until=2)
        told = self.listener.names(since=1)
        self.assertEqual({(at, resource) for at, resource, _ in told}, {(1, one) for one in lists})
        for name, point in FLEET.items():
            side = point[2]
            self.assertEqual(self.programs(self.der(name))[:2], [f"SG{side}", f"TF{side}"])
        for program in ("TFA", "SGA"):
            self.bench.command(program, start=4, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=6)
        self.assertStory(self.der("EDA1"), "opModMaxLimW", (4, 6000, "SGA"), (5, None, None))


class OtherTests(FleetCase):
    """An aggregator of others' making that subscribes to all that it can, and is told."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.default("SY", opModMaxLimW=4000)
        self.bench.default("TFA", opModMaxLimW=5000)
        self.others = self.bench.independent_aggregator("other", OTHERS, listens=True)

    def test_agg_009_told(self) -> None:
        """TFA's control made while SY's runs: it answers in the second in which it is made, not at its next
        poll, and does what the one that polls does."""
        self.bench.run(until=1)
        self.bench.command("SY", start=1.5, lasts=4, opModMaxLimW=6000)
        self.bench.run(until=2)
        self.bench.command("TFA", start=3, lasts=1, opModMaxLimW=7000)
        self.bench.run(until=7)
        for name, point in OTHERS.items():
            if point[2] == "A":
                self.assertAnswered(name, SY=[1, 2, 7], TFA=WHOLE)
            else:
                self.assertAnswered(name, SY=WHOLE)
        received = {(one.what, one.at) for one in self.bench.answered() if one.status == 1}
        self.assertEqual(received, {("SY", 60), ("TFA", 120)})


class MoveTests(SubscriberCase):
    """The same with an FSA for each program."""

    fsa = ""

    def test_maint_003(self) -> None:
        """A DER that is moved to another service point is told of with its FSAs; its programs are those above
        its new place, whose controls it runs."""
        self.aggregator.subscribe(self.listener)
        self.bench.run(until=1)
        fsas = self.fsas("EDB1")
        self.bench.move("EDB1", "SPB1", "SPA1")
        self.bench.run(until=2)
        self.assertIn((1, fsas, NORMAL), self.listener.names())
        names = {fsa.description for fsa in self.der("EDB1").fsas}
        self.assertEqual(names, {"SY", "ST", "SS", "FDA", "SGA", "TFA", "SPA1"})
        self.assertEqual(set(self.programs(self.der("EDB1"))), set(self.programs(self.der("EDA1"))))
        self.bench.command("SPA1", start=3, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=5)
        for name in ("EDA1", "EDB1"):
            self.assertAnswered(name, SPA1=WHOLE)
        self.assertAnswered("EDB2")


both_ways(globals())
