"""The metering mirror on the wire (IEEE 2030.5-2018 10.11, 10.4; decisions 56 to 58)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices, rates, replacement, retention, segments
from csipd.db.fair_queue import Kind
from csipd.der.metering import Metering
from csipd.der.retention import Retention
from csipd.net.identity import Identity
from csipd.net.limits import ConnectionLimits
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support.bodies import AT
from tests.support.client import Answer
from tests.support.metering import (
    QUANTITIES,
    VARS,
    WATTS,
    meter,
    meters,
    reading,
    reading_set,
    usage_point,
)
from tests.support.schema import validate
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    BARE,
    FOREIGN,
    LISTED,
    MANAGED,
    NOW,
    OTHER,
    OWNER,
    RIVAL,
    UNREGISTERED,
    World,
    caller,
    end_device,
)

HOUR = 3600
HEAD = b"Host: x\r\nContent-Type: application/sep+xml\r\n"


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = self.make()

    def make(self, path: str | None = None, **more: Any) -> World:
        world = World(Path(path or self.mktemp()), **more)
        self.addCleanup(world.close)
        return world

    def mirrored(self, who: Identity = OWNER, mrid: str = "F0", *given: r.MirrorMeterReading) -> str:
        """The href of a new mirror."""
        answer = self.world.post(who, "/mup", usage_point(who, mrid, *given))
        self.assertEqual(answer.status, 201, answer)
        return answer.headers["location"]

    def document(self, path: str, who: Identity = OWNER) -> etree._Element:
        """What is at a path, valid by the schema."""
        answer = self.world.fresh(who, path)
        self.assertEqual(answer.status, 200, f"{path}: {answer}")
        validate(answer.body)
        return etree.fromstring(answer.body)

    def values(self, path: str, who: Identity = OWNER) -> list[str | None]:
        """The values of the readings of a list."""
        return [each.findtext("{*}value") for each in self.document(f"{path}?l=255", who)]

    def latest(self, meter_reading: str = "/upt/1/mr/1", who: Identity = OWNER) -> str | None:
        return self.document(f"{meter_reading}/r", who).findtext("{*}value")

    def assertAnswer(self, answer: Answer, status: int, location: str | None = None) -> None:
        self.assertEqual((answer.status, answer.headers.get("location")), (status, location), answer)
        if status >= 400:
            validate(answer.body)

    def assertRefused(self, answer: Answer, status: int, reason: int) -> None:
        self.assertAnswer(answer, status)
        self.assertIn(b"<reasonCode>%d</reasonCode>" % reason, answer.body)


class MirrorTests(_Case):
    """MirrorUsagePoints and the UsagePoints that are made of them."""

    def test_new_and_known(self) -> None:
        """An mRID that is new makes a mirror, 201; one that is known is overwritten, 204; both say where."""
        self.assertAnswer(self.world.post(OWNER, "/mup", usage_point(OWNER, "F0")), 201, "/mup/1")
        self.assertAnswer(self.world.post(OWNER, "/mup", usage_point(OWNER, "F1")), 201, "/mup/2")
        again = usage_point(OWNER, "F0", description="the roof", status=0)
        self.assertAnswer(self.world.post(OWNER, "/mup", again), 204, "/mup/1")
        found = self.document("/mup/1")
        self.assertEqual((found.findtext("{*}description"), found.findtext("{*}status")), ("the roof", "0"))
        self.assertEqual(self.document("/mup").get("all"), "2")

    def test_first_level(self) -> None:
        """A mirror shows what it says and its postRate, and no readings (semantics 11.6)."""
        self.mirrored(OWNER, "F0", meter("A1", WATTS, reading(5)))
        found = self.document("/mup/1")
        self.assertEqual(
            [etree.QName(each).localname for each in found],
            ["mRID", "roleFlags", "serviceCategoryKind", "status", "deviceLFDI", "postRate"],
        )
        self.assertEqual(found.findtext("{*}postRate"), "300")
        listed = self.document("/mup?l=5")[0]
        self.assertEqual(etree.tostring(listed).partition(b">")[2], etree.tostring(found).partition(b">")[2])

    def test_usage_point(self) -> None:
        """The UsagePoint has the mirror's mRID and values, its isMirror bit, and the device's LFDI."""
        body = usage_point(OWNER, "F0", roleFlags=0x48, description="the roof", version=3)
        self.world.post(OWNER, "/mup", body)
        found = self.document("/upt/1")
        self.assertEqual(found.findtext("{*}mRID"), f"{0xF0:032X}")
        self.assertEqual(found.findtext("{*}roleFlags"), "0049")
        self.assertEqual(found.findtext("{*}description"), "the roof")
        self.assertEqual(found.findtext("{*}version"), "3")
        self.assertEqual(found.findtext("{*}deviceLFDI"), OWNER.lfdi)
        self.assertEqual(found.find("{*}MeterReadingListLink").get("href"), "/upt/1/mr")

    def test_usage_point_of_a_der(self) -> None:
        """A DER leads to the last usage point of its device that has the DER's role; without any, nowhere."""
        der = f"/edev/{self.world.numbers.owner}/der/1"
        link = b"AssociatedUsagePointLink"
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", roleFlags=0x03))
        self.assertNotIn(link, self.world.get(OWNER, der).body)
        self.assertEqual(self.world.get(OWNER, f"{der}/upt").status, 404)
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F1", meter("A1")))
        self.assertIn(link, self.world.get(OWNER, der).body)
        found = self.document(f"{der}/upt")
        self.assertEqual((found.get("href"), found.findtext("{*}mRID")), (f"{der}/upt", f"{0xF1:032X}"))
        self.assertEqual(found.find("{*}MeterReadingListLink").get("href"), "/upt/2/mr")
        # A role that is given up, or taken up, counts at once.
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F1", roleFlags=0x03))
        self.assertNotIn(link, self.world.get(OWNER, der).body)
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F0"))
        self.assertEqual(self.document(f"{der}/upt").findtext("{*}mRID"), f"{0xF0:032X}")
        # Which of two DERs it is of, nobody has said.
        owner = self.world.numbers.owner
        self.world.write(lambda t: devices.add_ders(t, owner, 2, NOW))
        self.assertNotIn(link, self.world.get(OWNER, der).body)

    def test_post_rate(self) -> None:
        """The operator's rate wins, the device's own first; else its wish, in bounds; else the general."""

        def rate(**more: Any) -> str | None:
            self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", **more))
            return self.document("/mup/1").findtext("{*}postRate")

        self.assertEqual(rate(), "300")
        self.assertEqual([rate(postRate=wish) for wish in (1, 120, 10**6)], ["60", "120", "86400"])
        owner = self.world.numbers.owner
        self.world.write(lambda t: rates.set_general(t, "MirrorUsagePoint", 30))
        self.assertEqual(rate(postRate=120), "30")
        self.world.write(lambda t: rates.set_of_device(t, "MirrorUsagePoint", owner, 10, NOW))
        self.assertEqual(rate(postRate=120), "10")

    def test_namespaces(self) -> None:
        """Everybody has mRIDs of its own: makers ship one in every device (decision 56)."""
        for number, who in enumerate((OWNER, OTHER, AGGREGATOR), 1):
            self.assertAnswer(self.world.post(who, "/mup", usage_point(who, "F0")), 201, f"/mup/{number}")
        self.assertEqual(self.document("/mup/3", AGGREGATOR).get("href"), "/mup/3")

    def test_whose(self) -> None:
        """deviceLFDI is the caller's or of its fleet; any other is 403, and so is one of nobody."""
        for who, of, status in (
            (OWNER, OWNER, 201),
            (OWNER, OTHER, 403),
            (OWNER, caller("of nobody"), 403),
            (AGGREGATOR, AGGREGATOR, 201),
            (AGGREGATOR, BARE, 201),
            (AGGREGATOR, FOREIGN, 403),
            (AGGREGATOR, UNREGISTERED, 403),
            (MANAGED, AGGREGATOR, 403),
            (MANAGED, BARE, 403),
            (LISTED, LISTED, 404),
        ):
            answer = self.world.post(who, "/mup", usage_point(of, of.lfdi[:30]))
            self.assertEqual(answer.status, status, answer)
        self.assertEqual(self.world.put(OWNER, "/mup/1", usage_point(OTHER, OWNER.lfdi[:30])).status, 403)

    def test_put(self) -> None:
        """PUT replaces what a mirror says, 204, and takes readings; it does not make it another one."""
        self.mirrored(OWNER, "F0", meter("A1", WATTS, reading(5)))
        body = usage_point(OWNER, "F0", meter("A1", None, reading(6, AT + 1)), description="x", postRate=90)
        self.assertAnswer(self.world.put(OWNER, "/mup/1", body), 204)
        found = self.document("/mup/1")
        self.assertEqual((found.findtext("{*}description"), found.findtext("{*}postRate")), ("x", "90"))
        self.assertEqual(self.latest(), "6")
        self.assertRefused(self.world.put(OWNER, "/mup/1", usage_point(OWNER, "F1")), 400, 1)
        self.mirrored(AGGREGATOR)
        self.assertRefused(self.world.put(AGGREGATOR, "/mup/2", usage_point(BARE, "F0")), 400, 1)

    def test_of_another_device(self) -> None:
        """A known mRID for another device is another mirror: what one read is not shown to the other."""
        body = usage_point(MANAGED, "F0", meter("A1", WATTS, reading(5)))
        self.assertAnswer(self.world.post(AGGREGATOR, "/mup", body), 201, "/mup/1")
        self.assertAnswer(self.world.post(AGGREGATOR, "/mup", usage_point(BARE, "F0")), 201, "/mup/2")
        self.assertEqual(self.world.fresh(MANAGED, "/upt/1/mr/1/r").status, 404)
        self.assertEqual(self.document("/mup", AGGREGATOR).get("all"), "1")
        self.assertEqual(self.document("/upt/2/mr", AGGREGATOR).get("all"), "0")

    def test_delete(self) -> None:
        """DELETE takes a mirror and its usage point off the wire; the same mRID makes another one."""
        self.mirrored(OWNER, "F0", meter("A1", WATTS, reading(5), reading_set("B1", [1])))
        self.assertAnswer(self.world.delete(OWNER, "/mup/1"), 204)
        for path in ("/mup/1", "/upt/1", "/upt/1/mr", "/upt/1/mr/1", "/upt/1/mr/1/r", "/upt/1/mr/1/rs/1"):
            self.assertEqual(self.world.fresh(OWNER, path).status, 404, path)
        self.assertEqual(self.world.delete(OWNER, "/mup/1").status, 404)
        self.assertEqual([self.document(path).get("all") for path in ("/mup", "/upt")], ["0", "0"])
        self.assertEqual(self.mirrored(OWNER, "F0"), "/mup/2")

    def test_bound(self) -> None:
        """At its bound a caller keeps the link and gets 413 for a new one; a known one is still taken."""
        self.world = self.make(metering=Metering(mirrors_per_device=2))
        for mrid in ("F0", "F1"):
            self.mirrored(OWNER, mrid)
        self.assertRefused(self.world.post(OWNER, "/mup", usage_point(OWNER, "F2")), 413, 2)
        self.assertEqual(self.world.post(OWNER, "/mup", usage_point(OWNER, "F1")).status, 204)
        self.assertIn(b"MirrorUsagePointListLink", self.world.fresh(OWNER, "/dcap").body)
        self.world.delete(OWNER, "/mup/1")
        self.mirrored(OWNER, "F2")
        # An aggregator has as many for each of its devices, here two, and for itself.
        for number in range(6):
            self.mirrored(AGGREGATOR, f"E{number}")
        self.assertRefused(self.world.post(AGGREGATOR, "/mup", usage_point(BARE, "E6")), 413, 2)

    def test_no_room(self) -> None:
        """Without room for one more, who has none sees no link, and POSTs get 413 (decision 57)."""
        self.world = self.make(metering=Metering(mirrors=2))
        link = b"MirrorUsagePointListLink"
        self.mirrored(OWNER, "F0")
        self.assertIn(link, self.world.get(OTHER, "/dcap").body)
        self.mirrored(OWNER, "F1")
        self.assertNotIn(link, self.world.get(OTHER, "/dcap").body)
        self.assertEqual(self.world.get(OTHER, "/mup").status, 404)
        self.assertRefused(self.world.post(OTHER, "/mup", usage_point(OTHER)), 413, 2)
        self.assertIn(link, self.world.get(OWNER, "/dcap").body)
        self.assertRefused(self.world.post(OWNER, "/mup", usage_point(OWNER, "F2")), 413, 2)
        self.world.delete(OWNER, "/mup/1")
        self.assertIn(link, self.world.get(OTHER, "/dcap").body)
        self.mirrored(OTHER)

    def test_links(self) -> None:
        """Registered callers are led to both lists with their numbers; nobody else is (decision 1)."""
        self.mirrored(MANAGED)
        self.world.post(AGGREGATOR, "/mup", usage_point(BARE))
        for who, made, metered in ((MANAGED, "1", "1"), (AGGREGATOR, "1", "2"), (OTHER, "0", "0")):
            found = self.document("/dcap", who)
            self.assertEqual(found.find("{*}MirrorUsagePointListLink").get("all"), made)
            self.assertEqual(found.find("{*}UsagePointListLink").get("all"), metered)
        self.assertNotIn(b"UsagePointListLink", self.world.fresh(LISTED, "/dcap").body)


class AccessTests(_Case):
    """Who made it, and whose it is now."""

    def test_leaving_the_fleet(self) -> None:
        """A device that leaves its fleet takes its usage points along; its aggregator loses its mirror."""
        metered = meter("A1", WATTS, reading(5))
        self.world.post(AGGREGATOR, "/mup", usage_point(MANAGED, "F0", metered))
        self.assertEqual(self.latest(who=AGGREGATOR), "5")
        managed, rival = self.world.numbers.managed, self.world.numbers.rival
        self.world.write(lambda t: devices.update(t, managed, manager=rival, changed_time=NOW))
        for method, path in (("GET", "/mup/1"), ("POST", "/mup/1"), ("DELETE", "/mup/1"), ("GET", "/upt/1")):
            body = codec.encode(meter("A1", None, reading(6))) if method == "POST" else None
            self.assertEqual(self.world.send(AGGREGATOR, method, path, body).status, 404, (method, path))
        self.assertRefused(self.world.post(AGGREGATOR, "/mup", usage_point(MANAGED, "F0")), 403, 1)
        self.assertEqual([self.document(path, AGGREGATOR).get("all") for path in ("/mup", "/upt")], ["0"] * 2)
        # The new aggregator reads, and does not write: it did not make it.
        self.assertEqual(self.latest(who=RIVAL), "5")
        self.assertEqual(self.world.fresh(RIVAL, "/mup/1").status, 404)
        self.assertEqual(self.latest(who=MANAGED), "5")

    def test_withdrawn(self) -> None:
        """What a device reads that was shut out is not shown to its aggregator."""
        self.world.post(AGGREGATOR, "/mup", usage_point(MANAGED, "F0", meter("A1", WATTS, reading(5))))
        self.assertEqual(self.world.get(AGGREGATOR, "/upt/1").status, 200)
        self.world.withdraw(MANAGED)
        for path in ("/upt/1", "/mup/1", "/upt/1/mr/1/r"):
            self.assertEqual(self.world.get(AGGREGATOR, path).status, 404, path)

    def test_replaced_certificate(self) -> None:
        """The LFDI that a device had before means it in a body; documents show the one that it has now."""
        self.mirrored()
        new = caller("the owner's next certificate")
        owner = self.world.numbers.owner
        self.world.write(lambda t: replacement.replace(t, owner, new.lfdi, "operator", NOW))
        self.assertAnswer(self.world.post(new, "/mup", usage_point(OWNER, "F0")), 204, "/mup/1")
        for path in ("/mup/1", "/upt/1"):
            self.assertEqual(self.document(path, new).findtext("{*}deviceLFDI"), new.lfdi, path)


class ReadingTests(_Case):
    """MirrorMeterReadings: new and known, with readings and sets."""

    def setUp(self) -> None:
        super().setUp()
        self.mirrored()

    def post(self, body: r.Resource) -> Answer:
        return self.world.post(OWNER, "/mup/1", body)

    def test_basic_029(self) -> None:
        """Real and reactive power, frequency and voltage are set up, posted to, and found again."""
        self.world.delete(OWNER, "/mup/1")
        every = [meter(mrid, kind) for mrid, kind in QUANTITIES.items()]
        href = self.mirrored(OWNER, "F0", *every)
        self.assertEqual(self.document(href).findtext("{*}postRate"), "300")
        posted = meters(*(meter(mrid, None, reading(n)) for n, mrid in enumerate(QUANTITIES)))
        self.assertAnswer(self.world.post(OWNER, href, posted), 204, "/upt/2/mr")
        # Step 7 of the procedure has them come with the MirrorUsagePoint.
        later = [meter(mrid, None, reading(n + 10, AT + 60)) for n, mrid in enumerate(QUANTITIES)]
        self.assertAnswer(self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", *later)), 204, href)
        found = {}
        for each in self.document("/upt/2/mr?l=10"):
            path = str(each.get("href"))
            kind = codec.decode(self.world.fresh(OWNER, f"{path}/rt").body, r.ReadingType)
            found[str(each.findtext("{*}mRID"))] = (kind.uom, self.latest(path))
        expected = {
            f"{int(mrid, 16):032X}": (kind.uom, str(n + 10))
            for n, (mrid, kind) in enumerate(QUANTITIES.items())
        }
        self.assertEqual(found, expected)

    def test_new_and_known(self) -> None:
        """The first of an mRID needs its ReadingType and is 201; each later one is 204; both say where."""
        self.assertRefused(self.post(meter("A1", None, reading(1))), 400, 1)
        self.assertEqual(self.document("/upt/1/mr").get("all"), "0")
        self.assertAnswer(self.post(meter("A1", WATTS, reading(1))), 201, "/upt/1/mr/1")
        self.assertAnswer(self.post(meter("A1", None, reading(2, AT + 1))), 204, "/upt/1/mr/1")
        self.assertAnswer(self.post(meter("A2", VARS)), 201, "/upt/1/mr/2")
        self.assertEqual(self.latest(), "2")
        # One that was never read has no Reading, and nothing that leads to one.
        self.assertEqual(self.world.fresh(OWNER, "/upt/1/mr/2/r").status, 404)
        self.assertNotIn(b"ReadingLink ", self.world.fresh(OWNER, "/upt/1/mr/2").body)

    def test_lists(self) -> None:
        """A list is 201 if any of it is new, else 204, and is found as the list of MeterReadings."""
        self.assertAnswer(self.post(meters(meter("A1"), meter("A2", VARS))), 201, "/upt/1/mr")
        self.assertAnswer(self.post(meters(meter("A1", None, reading(1)))), 204, "/upt/1/mr")
        self.assertAnswer(self.post(meters(meter("A1", None), meter("A3"))), 201, "/upt/1/mr")
        self.assertAnswer(self.post(meters()), 204, "/upt/1/mr")
        listed = [each.findtext("{*}mRID") for each in self.document("/upt/1/mr?l=9")]
        self.assertEqual(listed, [f"{mrid:032X}" for mrid in (0xA3, 0xA2, 0xA1)])

    def test_all_or_nothing(self) -> None:
        """Where one of a list is refused none of it is taken."""
        self.assertRefused(self.post(meters(meter("A1", WATTS, reading(1)), meter("A2", None))), 400, 1)
        self.assertEqual(self.document("/upt/1/mr").get("all"), "0")

    def test_what_it_says(self) -> None:
        """Description and version are overwritten; what is left out stays."""
        self.post(meter("A1", description="power", version=1))
        self.post(meter("A1", None, reading(1)))
        found = self.document("/upt/1/mr/1")
        self.assertEqual((found.findtext("{*}description"), found.findtext("{*}version")), ("power", "1"))
        self.post(meter("A1", None, description="W", version=2))
        found = self.document("/upt/1/mr/1")
        self.assertEqual((found.findtext("{*}description"), found.findtext("{*}version")), ("W", "2"))

    def test_changed_type(self) -> None:
        """Another ReadingType takes the place of the first; what was read before is not read as if of it."""
        self.post(meter("A1", WATTS, reading(1)))
        self.assertAnswer(self.post(meter("A1", WATTS, reading(2, AT + 1))), 204, "/upt/1/mr/1")
        self.assertAnswer(self.post(meter("A1", VARS)), 204, "/upt/1/mr/1")
        self.assertEqual(self.document("/upt/1/mr/1/rt").findtext("{*}uom"), "63")
        self.assertEqual(self.world.fresh(OWNER, "/upt/1/mr/1/r").status, 404)
        self.post(meter("A1", None, reading(3, AT + 2)))
        self.assertEqual(self.latest(), "3")

    def test_same_type(self) -> None:
        """A ReadingType that is sent each time is the same one, whatever it says besides."""
        note = '<note xmlns="urn:x" b="2" a="1"><in/></note>'
        kind = WATTS.replace(extensions=(note,), href="/anywhere")
        for n in range(3):
            self.assertIn(self.post(meter("A1", kind, reading(n, AT + n))).status, (201, 204))
        owner = self.world.numbers.owner
        self.assertEqual(len(self.world.read(lambda c: list(segments.of_device(c, owner)))), 1)
        # Who turns back to what it was begins anew, too: what lies between stays what it was.
        for kind in (VARS, WATTS):
            self.post(meter("A1", kind))
        self.assertEqual(len(self.world.read(lambda c: list(segments.of_device(c, owner)))), 3)

    def test_contradiction(self) -> None:
        """Two ReadingTypes of one mRID in one document are 400."""
        self.assertRefused(self.post(meters(meter("A1", WATTS), meter("A1", VARS))), 400, 1)
        self.assertEqual(self.post(meters(meter("A1", WATTS), meter("A1", WATTS, reading(1)))).status, 201)

    def test_sets(self) -> None:
        """A set of another mRID adds, one of the same replaces, in whatever order they come."""
        self.post(meter("A1", WATTS, None, reading_set("B1", [1, 2], AT - 600)))
        self.post(meter("A1", None, None, reading_set("B2", [3, 4, 5], AT - 300)))
        self.assertEqual(
            [self.values(f"/upt/1/mr/1/rs/{n}/r") for n in (1, 2)], [["1", "2"], ["3", "4", "5"]]
        )
        self.post(meter("A1", None, None, reading_set("B1", [7], AT - 900, description="again")))
        self.assertEqual([self.values(f"/upt/1/mr/1/rs/{n}/r") for n in (1, 2)], [["7"], ["3", "4", "5"]])
        found = self.document("/upt/1/mr/1/rs?l=9")
        self.assertEqual([each.get("href")[-1] for each in found], ["2", "1"])
        self.assertEqual(found[1].findtext("{*}description"), "again")
        self.assertEqual(found[1].find("{*}ReadingListLink").get("all"), "1")
        self.assertEqual(self.latest(), "5")

    def test_set_pages(self) -> None:
        """Sets are listed the newest first, and from a moment on by their start (4.7)."""
        for n in range(5):
            self.post(meter("A1", WATTS, None, reading_set(f"B{n}", [n], AT - 60 * n)))
        found = self.document("/upt/1/mr/1/rs?s=1&l=2")
        self.assertEqual((found.get("all"), [each.get("href")[-1] for each in found]), ("5", ["2", "3"]))
        found = self.document(f"/upt/1/mr/1/rs?a={AT - 120}&l=9")
        self.assertEqual((found.get("all"), [each.get("href")[-1] for each in found]), ("2", ["1", "2"]))

    def test_bounded_sets(self) -> None:
        """So many sets are shown; one more takes the place of the oldest."""
        self.world = self.make(metering=Metering(reading_sets=3))
        self.mirrored()
        for n in range(5):
            self.post(meter("A1", WATTS, None, reading_set(f"B{n}", [n], AT + 60 * n)))
        found = self.document("/upt/1/mr/1/rs?l=9")
        self.assertEqual([each.get("href")[-1] for each in found], ["5", "4", "3"])
        self.assertEqual(self.world.fresh(OWNER, "/upt/1/mr/1/rs/1/r").status, 404)

    def test_bounded_meters(self) -> None:
        """One MirrorMeterReading more than a mirror may have is 413."""
        self.world = self.make(metering=Metering(meter_readings_per_mirror=2))
        self.mirrored()
        self.post(meters(meter("A1"), meter("A2")))
        self.assertRefused(self.post(meter("A3")), 413, 2)
        self.assertEqual(self.post(meter("A2", None, reading(1))).status, 204)

    def test_order(self) -> None:
        """The latest begins last, whenever it comes; of two that begin together it is the later to come."""
        self.post(meter("A1", WATTS, reading(1, AT - 60)))
        self.post(meter("A1", None, reading(2, AT - 120)))
        self.assertEqual(self.latest(), "1")
        self.post(meter("A1", None, reading(3, AT - 60, 30)))
        self.assertEqual(self.latest(), "3")

    def test_without_period(self) -> None:
        """A reading without timePeriod counts at its receipt, and is shown as it came."""
        self.post(meter("A1", WATTS, reading(1, NOW - 10)))
        self.post(meter("A1", None, reading(2, None)))
        self.assertEqual(self.latest(), "2")
        self.assertIsNone(self.document("/upt/1/mr/1/r").find("{*}timePeriod"))

    def test_duplicates(self) -> None:
        """The same reading again takes the place of the first."""
        body = meter("A1", WATTS, reading(1))
        self.assertEqual([self.post(body).status for _ in range(3)], [201, 204, 204])
        self.post(meter("A1", None, reading(2)))
        self.assertEqual(self.latest(), "2")
        self.post(meter("A1", None, None, reading_set("B1", [5, 6]), reading_set("B1", [5, 6])))
        self.assertEqual(self.values("/upt/1/mr/1/rs/1/r"), ["5", "6"])
        self.assertEqual(self.document("/upt/1/mr/1/rs").get("all"), "1")

    def test_future(self) -> None:
        """What begins a little ahead of the server's clock is taken; a day and more ahead, 400."""
        self.assertEqual(self.post(meter("A1", WATTS, reading(1, NOW + HOUR))).status, 201)
        for body in (
            meter("A1", None, reading(2, NOW + 86_401)),
            meter("A1", None, None, reading_set("B1", [1], NOW + 86_401)),
            meter("A1", None, None, reading_set("B1", [1, 2], NOW + 86_390, 60)),
            meter("A1", None, reading(2, 2**62)),
        ):
            self.assertRefused(self.post(body), 400, 1)
        # It counts at its receipt: what is read later is later.
        self.world.now += 60
        self.post(meter("A1", None, reading(3, NOW + 60)))
        self.assertEqual(self.latest(), "3")

    def test_values(self) -> None:
        """A value is an Int48, whose bounds are those of the schema; one beyond them is no value."""
        for value in (2**47, -(2**47), 0):
            self.assertIn(self.post(meter("A1", WATTS, reading(value, NOW))).status, (201, 204))
            self.assertEqual(self.latest(), str(value))
        good = codec.encode(meter("A1", None, reading(111_222, NOW)))
        for wrong in (2**47 + 1, -(2**47) - 1, 2**63, "1.5", "", "x"):
            body = good.replace(b"111222", str(wrong).encode())
            self.assertEqual(self.post_octets(body).status, 400, wrong)

    def post_octets(self, body: bytes) -> Answer:
        return self.world.post(OWNER, "/mup/1", body)

    def test_as_it_was_given(self) -> None:
        """All that a reading says comes back, in the width that it came in (decision 40)."""
        given = (
            b"<Reading><consumptionBlock>2</consumptionBlock><qualityFlags>01</qualityFlags><timePeriod>"
            b"<duration>60</duration><start>%d</start></timePeriod><touTier>3</touTier><value>-5</value>"
            b"<localID>0A</localID></Reading>" % AT
        )
        body = codec.encode(meter("A1", WATTS)).replace(b"<ReadingType>", given + b"<ReadingType>")
        self.assertEqual(self.post_octets(body).status, 201)
        answer = self.world.fresh(OWNER, "/upt/1/mr/1/r").body
        self.assertEqual(answer.partition(b">")[2].replace(b"</Reading>", b""), given[9:-10])

    def test_of_another_mirror(self) -> None:
        """Who did not make a mirror does not post to it."""
        body = meter("A1", WATTS, reading(1))
        for who in (OTHER, AGGREGATOR, LISTED):
            self.assertRefused(self.world.post(who, "/mup/1", body), 404, 1)
        self.assertRefused(self.world.post(OWNER, "/mup/9", body), 404, 1)

    def test_wrong_documents(self) -> None:
        """What is no MirrorMeterReading, or list of them, is 400; nothing of it is kept."""
        for body in (b"", b"<", codec.encode(end_device(OWNER)), codec.encode(usage_point(OWNER))):
            self.assertEqual(self.post_octets(body).status, 400, body)
        self.assertEqual(self.document("/upt/1/mr").get("all"), "0")

    def test_restart(self) -> None:
        """All of it is there after a restart, and goes on."""
        path = self.mktemp()
        self.world = self.make(path)
        self.mirrored(OWNER, "F0", meter("A1", WATTS, reading(1), reading_set("B1", [5])))
        self.world.close()
        self.world = self.make(path)
        self.assertEqual((self.latest(), self.values("/upt/1/mr/1/rs/1/r")), ("1", ["5"]))
        self.assertAnswer(self.post(meter("A1", None, reading(2, AT + 1))), 204, "/upt/1/mr/1")
        self.assertEqual(self.latest(), "2")


class ExpiryTests(_Case):
    """Mirrors that nothing is posted to."""

    def sweep(self) -> dict[str, int]:
        return self.world.write(
            lambda t: retention.sweep(t, Retention(), int(self.world.now), self.world.server.metering)
        ).rows

    def test_silent(self) -> None:
        """After three days without a post a mirror goes; one that is posted to stays (10.11.3)."""
        self.mirrored(OWNER, "F0", meter("A1", WATTS, reading(1), reading_set("B1", [5])))
        self.mirrored(OTHER, "F0", meter("A1", WATTS))
        for _ in range(74):
            self.world.now += HOUR
            self.sweep()
            self.assertEqual(self.world.post(OTHER, "/mup/2", meter("A1", None)).status, 204)
            if self.world.now <= NOW + 72 * HOUR:
                self.assertEqual(self.world.fresh(OWNER, "/upt/1").status, 200)
        self.assertEqual(self.world.fresh(OWNER, "/upt/1").status, 404)
        self.assertEqual(self.world.fresh(OTHER, "/upt/2").status, 200)
        self.assertEqual(self.mirrored(OWNER, "F0"), "/mup/3")


class BodyTests(_Case):
    """Large bodies: where readings are sent, and nowhere else."""

    LIMITS = ConnectionLimits(body_bytes=4096, reading_body_bytes=65_536, reading_bodies_bytes=131_072)

    def setUp(self) -> None:
        self.world = self.make(limits=self.LIMITS)
        self.mirrored()

    def many(self, number: int) -> bytes:
        return codec.encode(meter("A1", WATTS, None, reading_set("B1", list(range(number)), AT - 600, 1)))

    def padded(self, body: bytes, octets: int) -> bytes:
        return body + b" " * (octets - len(body))

    def test_bounds(self) -> None:
        """A body of readings may be as large as its own bound; any other as large as all."""
        for octets, status in ((65_536, 204), (65_537, 413)):
            body = self.padded(codec.encode(usage_point(OWNER)), octets)
            self.assertEqual(self.world.post(OWNER, "/mup", body).status, status, octets)
            body = self.padded(codec.encode(meter("A1")), octets)
            self.assertIn(self.world.post(OWNER, "/mup/1", body).status, (201, status), octets)
        device = f"/edev/{self.world.numbers.owner}"
        for octets, status in ((4096, 201), (4097, 413)):
            body = self.padded(codec.encode(r.SupportedLocale(locale="de")), octets)
            self.assertEqual(self.world.post(OWNER, f"{device}/di/loc", body).status, status, octets)
        # 404 comes before 413, for who may not see it.
        self.assertEqual(self.world.post(OTHER, "/mup/1", b" " * 70_000).status, 404)

    def test_escaped(self) -> None:
        """A place is the same however its path is spelled."""
        body = self.padded(codec.encode(meter("A1")), 60_000)
        self.assertEqual(self.world.post(OWNER, "/%6Dup/1", body).status, 201)

    def test_chunked(self) -> None:
        """The bounds hold where a body does not say how long it is."""
        head = b"POST %b HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        for path, octets, status in (
            (b"/mup/1", 60_000, 201),
            (b"/mup/1", 66_000, 413),
            (b"/edev/%d/di/loc" % self.world.numbers.owner, 60_000, 413),
        ):
            body = self.padded(codec.encode(meter("A1")), octets)
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            self.assertEqual(self.world.raw(OWNER, head % path + chunks).status, status, (path, octets))

    def test_room(self) -> None:
        """Large bodies share a room, of which one caller has a part; without room it is 503, for a while."""
        head = b"POST /mup HTTP/1.1\r\n" + HEAD + b"Content-Length: 60000\r\n\r\n"
        self.mirrored(OTHER)
        self.mirrored(AGGREGATOR)
        holders = [self.world.open(who) for who in (OWNER, OTHER)]
        for wire in holders:
            wire.client.send(head + b" " * 50_000)
            wire.pump()
        body = self.padded(codec.encode(usage_point(AGGREGATOR)), 60_000)
        answer = self.world.post(AGGREGATOR, "/mup", body)
        self.assertRefused(answer, 503, 2)
        self.assertIn(b"maxRetryDuration", answer.body)
        small = codec.encode(usage_point(AGGREGATOR))
        self.assertEqual(self.world.post(AGGREGATOR, "/mup", small).status, 204)
        holders[0].hang_up()
        self.assertEqual(self.world.post(AGGREGATOR, "/mup", body).status, 204)
        # Its own part is a quarter, or one.
        again = self.padded(codec.encode(usage_point(OTHER)), 60_000)
        self.assertEqual(self.world.post(OTHER, "/mup", again).status, 503)
        holders[1].hang_up()
        for _ in range(5):
            self.assertEqual(self.world.post(OTHER, "/mup", again).status, 204)

    def test_bulk_share(self) -> None:
        """Many readings at once wait in a share of their own; one reading waits in its device's."""
        seen: list[Kind] = []
        write = self.world.back.write

        def noted(operation: Any, share: Any) -> Any:
            seen.append(share.kind)
            return write(operation, share)

        self.patch(self.world.back, "write", noted)
        self.world.post(OWNER, "/mup/1", codec.encode(meter("A1", WATTS, reading(1))))
        self.world.post(OWNER, "/mup/1", self.many(300))
        self.assertEqual(seen, [Kind.DEVICES, Kind.READINGS])

    def test_ten_thousand(self) -> None:
        """A body of ten thousand readings is taken as one, and found again."""
        self.world = self.make(limits=ConnectionLimits(reading_body_bytes=4 << 20))
        self.mirrored()
        body = codec.encode(meter("A1", WATTS, None, reading_set("B1", list(range(10_000)), AT - 10_000, 1)))
        self.assertAnswer(self.world.post(OWNER, "/mup/1", body), 201, "/upt/1/mr/1")
        found = self.document("/upt/1/mr/1/rs/1/r?s=9998&l=9")
        self.assertEqual(found.get("all"), "10000")
        self.assertEqual([each.findtext("{*}value") for each in found], ["9998", "9999"])
        self.assertEqual(self.latest(), "9999")
        # By default there is less room than that.
        self.world = self.make()
        self.mirrored()
        self.assertEqual(self.world.post(OWNER, "/mup/1", body).status, 413)


both_ways(globals())
