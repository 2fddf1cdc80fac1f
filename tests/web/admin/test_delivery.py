"""Delivered against commanded, from readings to what the operator sees: pages, totals, exports, alarms."""

from __future__ import annotations

from itertools import count
from typing import Any

import sqlalchemy as sa
from attrs import evolve
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from csipd.daemon import rounds
from csipd.daemon.rounds import DeliveryRounds
from csipd.db import (
    alarms,
    delivery_meters,
    delivery_rounds,
    delivery_time,
    devices,
    programs,
    rates,
    retention,
    segments,
    series,
)
from csipd.db.database import Transaction
from csipd.db.delivery import DeviceDelivery
from csipd.db.delivery_rounds import AlarmDue
from csipd.db.series import Sample
from csipd.der import alarms as rules
from csipd.der.alarms import AlarmPeriod
from csipd.der.delivery import Command, Delivery, Verdict
from csipd.der.retention import Retention
from csipd.net.identity import Identity
from csipd.refusals import Unavailable
from csipd.sep2 import resources as r
from csipd.sep2.types import FunctionSet
from tests.support.metering import WATTS as FORWARD
from tests.support.metering import meter, reading_set, usage_point
from tests.support.world import MANAGED, NOW, OTHER, OWNER, REGISTERED
from tests.web.admin.case import Case

ALL = {"opModMaxLimW": 6000}
WATTS = r.ReadingType(uom=38, flowDirection=19, accumulationBehaviour=12)
SETTINGS = r.DERSettings(setGradW=10_000, setMaxW=r.ActivePower(multiplier=3, value=5), updatedTime=NOW)


class DeliveryCase(Case):
    """Point 1 with the owner and the managed device, which are told to give at most 60 %: 3 kW of 5."""

    def setUp(self) -> None:
        super().setUp()
        n = self.numbers
        self.meters = count(1)
        self.put(OWNER, n.owner, SETTINGS)
        self.put(MANAGED, n.managed, SETTINGS)
        for status in ("active", "scheduled"):
            for one in self.office.get(f"/controls?status={status}")["items"]:
                self.office.post(f"/controls/{one['number']}/cancel", {}, expect=200)
        made = self.office.post(
            "/controls", {"program": n.point_1, "duration": 3600, "base": {"opModMaxLimW": 6000}}
        )
        self.control = made["items"][0]["number"]
        self.mrid = self.office.get(f"/controls/{self.control}")["control"]["mRID"]
        # Both know of it at once.
        for who in (OWNER, MANAGED):
            self.answer(who, 1)
        self.rounds = DeliveryRounds(
            self.world.database, Clock(), lambda: float(self.world.now), self.world.server
        )
        self.rounds.startService()
        self.addCleanup(self.rounds.stopService)

    def put(self, who: Identity, device: int, settings: r.DERSettings) -> None:
        self.assertLess(self.world.put(who, f"/edev/{device}/der/1/derg", settings).status, 300)

    def answer(self, who: Identity, status: int) -> None:
        said = r.DERControlResponse(
            createdDateTime=self.world.now, endDeviceLFDI=who.lfdi, status=status, subject=self.mrid
        )
        self.assertEqual(self.world.post(who, "/rsps/1/rsp", said).status, 201)

    def meter(self, device: int, *, is_der: bool = True, kind: r.ReadingType = WATTS) -> int:
        def opened(transaction: Transaction) -> int:
            return segments.open_segment(
                transaction, next(self.meters), device, kind, is_der, REGISTERED
            ).number

        number: int = self.world.write(opened)
        return number

    def read(self, number: int, watts: int, since: int = NOW, until: int | None = None) -> None:
        """The same every five minutes until now."""
        end = self.world.now if until is None else until
        samples = [Sample(start, 300, watts) for start in range(since, end, 300)]
        self.world.write(
            lambda t: series.store(t, segments.of_number(t.connection, number), samples, self.world.now)
        )

    def delivery(self, query: str = "") -> dict[str, Any]:
        return self.office.get(f"/controls/{self.control}/delivery{query}")

    def verdicts(self) -> dict[str, str]:
        return {one["device_name"]: one["verdict"] for one in self.delivery()["items"]}

    def go_round(self) -> None:
        done: list[Any] = []
        self.rounds.go_round().addBoth(done.append)
        clock = self.rounds._clock
        for _ in range(100):
            if done:
                break
            clock.advance(rounds.PAUSE)
        self.assertEqual(done, [None])

    def alarms(self) -> list[tuple[int, str]]:
        """What the server itself has found, and is open."""
        found = self.office.get("/alarms?open=true")["items"]
        return sorted((one["device"], one["name"]) for one in found if one["functionSet"] == 255)


class DeviceTests(DeliveryCase):
    """Device by device."""

    def test_verdicts(self) -> None:
        """One obeys, one does not, and one that has no readings is named as such, not as obeying."""
        n = self.numbers
        self.world.now += 1800
        self.assertEqual(set(self.verdicts().values()), {"no readings"})
        self.read(self.meter(n.owner), 2900)
        self.read(self.meter(n.managed), 4000)
        found = {one["device"]: one for one in self.delivery()["items"]}
        self.assertEqual((found[n.owner]["verdict"], found[n.managed]["verdict"]), ("obeyed", "not obeyed"))
        one = found[n.owner]
        self.assertEqual(
            (one["commanded"], one["delivered"], one["tolerance"], one["unit"], one["limits"], one["meter"]),
            (3000, 2900, 100, "W", True, "der"),
        )
        self.assertEqual((one["mode"], one["quantity"]), ("opModMaxLimW", "active_power"))

    def test_forward(self) -> None:
        """What a DER's meter posts as forward, as CSIP's sample has it, is what it delivers."""
        n = self.numbers
        self.world.now += 1800
        for who, watts in ((OWNER, 2900), (MANAGED, 4000)):
            sets = reading_set("E1", [watts] * 6, NOW, 300)
            point = usage_point(who, "F0", meter("A1", FORWARD, None, sets))
            self.assertEqual(self.world.post(who, "/mup", point).status, 201)
        found = {one["device"]: (one["verdict"], one["delivered"]) for one in self.delivery()["items"]}
        self.assertEqual((found[n.owner], found[n.managed]), (("obeyed", 2900), ("not obeyed", 4000)))

    def test_running_and_over(self) -> None:
        """It is asked while the control runs and afterwards; before the ramp is over there is nothing."""
        n = self.numbers
        number = self.meter(n.owner)
        self.assertEqual(self.verdicts()["owner"], "not yet")
        self.world.now += 1200
        self.read(number, 2000)
        self.assertEqual(self.verdicts()["owner"], "obeyed")
        self.world.now += 2700
        self.assertEqual(self.verdicts()["owner"], "no readings", "they have stopped")
        self.read(number, 5000, since=NOW + 1200)
        one = next(one for one in self.delivery()["items"] if one["device"] == n.owner)
        self.assertEqual((one["verdict"], one["seconds"]), ("not obeyed", 3599))
        self.assertAlmostEqual(one["delivered"], (900 * 2000 + 2400 * 5000) / 3300, 2)

    def test_cancelled(self) -> None:
        """What is delivered after it was cancelled is not held against anybody."""
        n = self.numbers
        number = self.meter(n.owner)
        self.world.now += 1500
        self.office.post(f"/controls/{self.control}/cancel", {}, expect=200)
        self.read(number, 2000)
        self.world.now += 1500
        self.read(number, 5000, since=NOW + 1500)
        one = next(one for one in self.delivery()["items"] if one["device"] == n.owner)
        self.assertEqual((one["verdict"], one["delivered"]), ("obeyed", 2000))

    def test_settings_as_they_were(self) -> None:
        """A share is of what was set when the control began, whatever was set since (decision 59)."""
        n = self.numbers
        self.world.now += 1800
        self.read(self.meter(n.owner), 2900)
        self.put(OWNER, n.owner, SETTINGS.replace(setMaxW=r.ActivePower(multiplier=3, value=1)))
        self.assertEqual(self.verdicts()["owner"], "obeyed")
        self.world.now += 60
        self.put(OWNER, n.owner, SETTINGS.replace(setMaxW=r.ActivePower(multiplier=3, value=2)))
        self.assertEqual(self.verdicts()["owner"], "obeyed")
        # When no control can ask for them any more they go.
        later = self.world.now + 500 * 86_400
        removed = self.world.write(lambda t: retention.sweep(t, Retention(), later))
        self.assertEqual(removed.rows.get("former settings"), 4, "two are from the beginning")

    def test_unchanged_settings(self) -> None:
        """Settings that are put again with another time leave nothing behind."""
        n = self.numbers
        for second in range(3):
            self.world.now += 1
            self.put(OWNER, n.owner, SETTINGS.replace(updatedTime=NOW + second + 1))
        later = self.world.now + 500 * 86_400
        removed = self.world.write(lambda t: retention.sweep(t, Retention(), later))
        self.assertEqual(removed.rows.get("former settings"), 2, "those of the beginning")

    def test_meters(self) -> None:
        """A DER's own meter counts before the premises', which is labelled; phases are added up."""
        n = self.numbers
        self.world.now += 1800
        self.read(self.meter(n.owner, is_der=False), 4000)
        found = {one["device"]: one for one in self.delivery()["items"]}
        self.assertEqual((found[n.owner]["meter"], found[n.owner]["verdict"]), ("premises", "not obeyed"))
        for phase in (128, 64, 32):
            self.read(self.meter(n.owner, kind=WATTS.replace(phase=phase)), 900)
        found = {one["device"]: one for one in self.delivery()["items"]}
        self.assertEqual((found[n.owner]["meter"], found[n.owner]["delivered"]), ("der", 2700))

    def test_post_rates(self) -> None:
        """How long readings may stay out goes by the postRate that counts: a group's, or the device's own."""
        n = self.numbers
        self.read(self.meter(n.owner), 2000, until=NOW + 301)
        self.world.now += 1500
        self.assertEqual(self.verdicts()["owner"], "no readings")
        self.world.write(lambda t: rates.set_of_group(t, "MirrorUsagePoint", n.feeder_a, 900))
        self.assertEqual(self.verdicts()["owner"], "obeyed")
        self.world.write(lambda t: rates.set_of_device(t, "MirrorUsagePoint", n.owner, 60, self.world.now))
        self.assertEqual(self.verdicts()["owner"], "no readings")

    def test_a_reading_is_as_new_as_its_period_s_end(self) -> None:
        """Who posts means of five minutes each has readings up to ten minutes after the last."""
        self.read(self.meter(self.numbers.owner), 2000, until=NOW + 301)  # up to NOW + 600
        self.world.now += 1190
        self.assertEqual(self.verdicts()["owner"], "obeyed")
        self.world.now += 20
        self.assertEqual(self.verdicts()["owner"], "no readings")

    def test_a_shorter_post_rate_is_not_known_at_once(self) -> None:
        """Who posts means of five minutes, and has not read yet that it is to post each minute, posts."""
        self.world.write(lambda t: rates.set_general(t, "MirrorUsagePoint", 60))
        self.world.now += 1790
        self.read(self.meter(self.numbers.owner), 2000, until=NOW + 901)  # the last is of 900 to 1200
        self.assertEqual(self.verdicts()["owner"], "obeyed")
        self.world.now += 20
        self.assertEqual(self.verdicts()["owner"], "no readings")

    def test_declined(self) -> None:
        """Who said that it opted out is not held to it."""
        n = self.numbers
        self.world.now += 1800
        self.read(self.meter(n.owner), 5000)
        self.answer(OWNER, 4)
        self.assertEqual(self.verdicts()["owner"], "declined")

    def test_overridden(self) -> None:
        """Whom a better control took the mode from does not disobey, also when both are over."""
        n = self.numbers
        self.world.now += 60
        self.office.post(
            "/controls", {"devices": [n.owner], "duration": 7200, "base": {"opModMaxLimW": 9000}}
        )
        self.world.now += 1740
        meters = [self.meter(device) for device in (n.owner, n.managed)]
        for number in meters:
            self.read(number, 4400)
        self.assertEqual(self.verdicts(), {"owner": "overridden", "managed": "not obeyed"})
        self.go_round()
        self.assertEqual(self.alarms(), [(n.managed, "control not obeyed")])
        self.assertEqual(self.delivery()["totals"][0]["overridden"], 1)
        self.world.now += 7200
        for number in meters:
            self.read(number, 4400)
        self.assertEqual(self.verdicts(), {"owner": "overridden", "managed": "not obeyed"})

    def test_superseded_midway(self) -> None:
        """What a device did while the control held its mode is judged, whatever held it afterwards."""
        n = self.numbers
        self.world.now += 1200
        self.office.post("/controls", {"devices": [n.owner, n.managed], "duration": 7200, "base": ALL})
        self.world.now += 1200
        for device, watts in ((n.owner, 2900), (n.managed, 4400)):
            number = self.meter(device)
            self.read(number, watts, until=NOW + 1200)
            self.read(number, 4400, since=NOW + 1200)
        self.assertEqual(self.verdicts(), {"owner": "obeyed", "managed": "not obeyed"})
        self.go_round()
        # Of the second they are not sure to know yet, and the first is over for them.
        self.assertEqual(self.alarms(), [])

    def group(self, program: int) -> int:
        number: int = self.world.read(lambda connection: programs.group_of(connection, program))
        return number

    def move(self, device: int, source: int, target: int) -> None:
        def moved(transaction: Transaction) -> None:
            devices.leave(transaction, device, self.group(source), self.world.now)
            devices.join(transaction, device, self.group(target), self.world.now)

        self.world.write(moved)

    def test_moved_since(self) -> None:
        """Who has left the program since is held to what was commanded when it was there."""
        n = self.numbers
        self.world.now += 3600
        for device, watts in ((n.owner, 5000), (n.managed, 2900)):
            self.read(self.meter(device), watts)
        for device in (n.owner, n.managed):
            self.move(device, n.point_1, n.feeder_b)
        self.world.now += 600
        self.assertEqual(self.verdicts(), {"owner": "not obeyed", "managed": "obeyed"})

    def test_left_midway(self) -> None:
        """Who leaves the program while the control runs is held to it until then."""
        n = self.numbers
        number = self.meter(n.owner)
        self.world.now += 1500
        self.read(number, 2900)
        self.move(n.owner, n.point_1, n.feeder_b)
        self.world.now += 1500
        self.read(number, 5000, since=NOW + 1500)
        one = next(one for one in self.delivery()["items"] if one["device"] == n.owner)
        self.assertEqual((one["verdict"], one["delivered"], one["seconds"]), ("obeyed", 2900, 1499))

    def test_joined_late(self) -> None:
        """Who comes to the program while the control runs is held to it once it must have found it."""
        n = self.numbers
        made = self.office.post("/controls", {"program": n.feeder_a, "duration": 3600, "base": ALL})
        self.control = made["items"][0]["number"]
        number = self.meter(n.other)
        self.put(OTHER, n.other, SETTINGS)
        self.world.now += 600
        self.move(n.other, n.feeder_b, n.feeder_a)
        for resource in ("FunctionSetAssignmentsList", "DERProgramList"):
            self.world.write(lambda t, of=resource: rates.set_general(t, of, 600))
        self.world.now += 1200
        self.read(number, 5000)
        self.assertEqual(self.verdicts()["other"], "not yet")
        self.world.now += 900
        self.read(number, 2900, since=NOW + 1800)
        self.assertEqual(self.verdicts()["other"], "obeyed")

    def test_not_known_yet(self) -> None:
        """Who may not have read yet of what is made at once is not held to it."""
        n = self.numbers
        self.world.write(lambda t: rates.set_general(t, "DERProgramList", 900))
        made = self.office.post(
            "/controls", {"program": n.point_1, "duration": 3600, "base": {"opModMaxLimW": 5000}}
        )
        self.control = made["items"][0]["number"]
        number = self.meter(n.owner)
        self.world.now += 900
        self.read(number, 5000)
        self.assertEqual(self.verdicts()["owner"], "not yet")
        self.world.now += 600
        self.read(number, 5000, since=NOW + 900)
        self.assertEqual(self.verdicts()["owner"], "not obeyed")

    def test_not_found_yet(self) -> None:
        """Of the first control by name a device has to find the program first, of a second one not."""
        n = self.numbers
        for resource, seconds in (("FunctionSetAssignmentsList", 1200), ("DERProgramList", 300)):
            self.world.write(lambda t, of=resource, rate=seconds: rates.set_general(t, of, rate))
        number = self.meter(n.other)
        self.put(OTHER, n.other, SETTINGS)
        for since, known in ((NOW, 1500), (NOW + 3600, 300)):
            asked = {"devices": [n.other], "duration": 3600, "base": ALL}
            self.control = self.office.post("/controls", asked)["items"][0]["number"]
            self.world.now = since + known
            self.read(number, 5000, since=since)
            self.assertEqual(self.verdicts()["other"], "not yet")
            self.world.now = since + 2400
            self.read(number, 5000, since=since + known)
            self.assertEqual(self.verdicts()["other"], "not obeyed")
            self.world.now = since + 3600

    def test_randomized(self) -> None:
        """Who begins as late as it may obeys, also where devices draw an earlier start."""
        n = self.numbers
        made = self.office.post(
            "/controls",
            {
                "program": n.point_1,
                "start": NOW + 1800,
                "duration": 1800,
                "randomizeStart": -600,
                "base": {"opModMaxLimW": 5000},
            },
        )
        self.control = made["items"][0]["number"]
        number = self.meter(n.owner)
        self.world.now += 2400
        self.read(number, 5000, until=NOW + 1800)
        self.assertEqual(self.verdicts()["owner"], "not yet")
        self.world.now += 300
        self.read(number, 2400, since=NOW + 1800)
        self.assertEqual(self.verdicts()["owner"], "obeyed")

    def test_short(self) -> None:
        """Of a control without a reading within it is not yet to be said, and then uncertain: no alarm."""
        n = self.numbers
        made = self.office.post(
            "/controls", {"program": n.point_1, "start": NOW + 1000, "duration": 400, "base": ALL}
        )
        self.control = made["items"][0]["number"]
        number = self.meter(n.owner)
        self.world.now += 1500
        self.read(number, 5000)
        self.assertEqual(self.verdicts()["owner"], "not yet")
        self.world.now += 600
        self.read(number, 5000, since=NOW + 1500)
        found = next(one for one in self.delivery()["items"] if one["device"] == n.owner)
        self.assertEqual((found["verdict"], found["delivered"]), ("uncertain", 5000))
        self.world.now += 900
        self.go_round()
        self.assertEqual(self.delivery()["totals"][0]["uncertain"], 1)
        self.assertEqual(self.alarms(), [])

    def test_one_power_in_several_ways(self) -> None:
        """Of one mirror power counts once, though it has means, moments, the greatest and energy besides."""
        n = self.numbers
        self.world.now += 1800
        kinds = {
            "A1": FORWARD,
            "A2": FORWARD.replace(dataQualifier=2),
            "A3": FORWARD.replace(dataQualifier=8),
            "A4": FORWARD.replace(uom=72, accumulationBehaviour=9),
        }
        for mrid in ("F0", "F1"):
            meters = [
                meter(name, kind, None, reading_set(f"E{mrid}{name}", [1400] * 6, NOW, 300))
                for name, kind in kinds.items()
            ]
            self.assertEqual(self.world.post(OWNER, "/mup", usage_point(OWNER, mrid, *meters)).status, 201)
        found = next(one for one in self.delivery()["items"] if one["device"] == n.owner)
        self.assertEqual((found["verdict"], found["delivered"]), ("obeyed", 2800), "of two DERs")

    def test_a_mirror_made_anew(self) -> None:
        """Who makes its mirror anew while the control runs is no second meter."""
        n = self.numbers
        for number in range(3):
            self.world.now += 600
            sets = reading_set(f"E{number}", [2900] * 2, self.world.now - 600, 300)
            point = usage_point(OWNER, f"F{number}", meter("A1", FORWARD, None, sets))
            made = self.world.post(OWNER, "/mup", point)
            self.assertEqual(made.status, 201)
            if number < 2:
                self.assertLess(self.world.delete(OWNER, made.headers["location"]).status, 300)
        found = next(one for one in self.delivery()["items"] if one["device"] == n.owner)
        self.assertEqual((found["verdict"], found["delivered"]), ("obeyed", 2900))

    def test_each_second(self) -> None:
        """Of a device that posts more readings than are looked at what they come to in steps is judged."""
        n = self.numbers
        self.patch(delivery_meters, "_MOST_READINGS", 3)
        self.world.now += 3600
        number = self.meter(n.owner)
        self.read(number, 2900)
        self.assertEqual(self.verdicts()["owner"], "obeyed")

    def test_long_periods(self) -> None:
        """A device of which each reading is half an hour long has readings."""
        n = self.numbers
        self.world.write(lambda t: rates.set_general(t, "MirrorUsagePoint", 1800))
        number = self.meter(n.owner)
        self.world.now += 1000
        samples = [Sample(NOW - 2400, 1800, 5000)]
        self.world.write(
            lambda t: series.store(t, segments.of_number(t.connection, number), samples, self.world.now)
        )
        self.assertEqual(self.verdicts()["owner"], "not yet")

    def test_no_power(self) -> None:
        """A control that commands no power has nothing to compare; an unknown one is not there."""
        base = {"opModFixedPFInjectW": {"displacement": 95, "multiplier": -2, "excitation": False}}
        made = self.office.post("/controls", {"program": self.numbers.point_1, "duration": 600, "base": base})
        self.assertEqual(self.office.get(f"/controls/{made['items'][0]['number']}/delivery")["items"], [])
        self.office.refused("GET", "/controls/999/delivery", expect=404)

    def test_pages(self) -> None:
        """Devices come page by page, and all at once as an export."""
        seen: list[int] = []
        after = ""
        while True:
            page = self.delivery(f"?limit=1{after}")
            seen += [one["device"] for one in page["items"]]
            if "next" not in page:
                break
            after = f"&after={page['next']}"
        n = self.numbers
        self.assertEqual(seen, sorted((n.owner, n.managed)))
        lines = self.office.send("GET", f"/exports/controls/{self.control}/delivery?format=csv").body
        self.assertEqual(len(lines.splitlines()), 3)


class RoundTests(DeliveryCase):
    """What the daemon goes over."""

    def test_totals(self) -> None:
        """The totals say when they are of; after the end they are made once more, and are final then."""
        n = self.numbers
        self.assertNotIn("totals", self.delivery())
        mine, theirs = self.meter(n.owner), self.meter(n.managed)
        self.world.now += 1800
        self.read(mine, 2900)
        self.read(theirs, 4000)
        self.patch(rounds, "DEVICES", 1)
        self.go_round()
        (total,) = self.delivery()["totals"]
        self.assertEqual(
            (total["devices"], total["obeyed"], total["not_obeyed"], total["no_readings"]), (2, 1, 1, 0)
        )
        self.assertEqual((total["commanded"], total["delivered"]), (6000, 6900))
        self.assertEqual((total["at"], total["final"]), (NOW + 1800, False))
        self.world.now += 1800
        self.read(theirs, 0, since=NOW + 1800)
        self.go_round()
        self.assertFalse(self.delivery()["totals"][0]["final"], "readings are still on their way")
        self.world.now += 901
        self.go_round()
        self.assertTrue(self.delivery()["totals"][0]["final"])
        self.world.now += 60
        self.go_round()
        self.assertEqual(self.delivery()["totals"][0]["at"], NOW + 4501)

    def test_alarms(self) -> None:
        """Who does not obey, and who has stopped to post, is an alarm; what is over is cleared."""
        n = self.numbers
        mine, theirs = self.meter(n.owner), self.meter(n.managed)
        self.world.now += 1200
        self.read(mine, 5000)
        self.read(theirs, 100)
        before = self.office.get("/status")["alarms_open"]
        self.go_round()
        self.assertEqual(self.alarms(), [(n.owner, "control not obeyed")])
        self.assertEqual(self.office.get("/status")["alarms_open"], before + 1)
        self.go_round()
        self.assertEqual(len(self.alarms()), 1, "the same is not raised twice")
        self.world.now += 1500
        self.read(mine, 0, since=NOW + 1200)
        self.go_round()
        self.assertEqual(self.alarms(), [(n.managed, "readings are missing")])
        self.read(theirs, 100, since=NOW + 1200)
        self.go_round()
        self.assertEqual(self.alarms(), [])
        self.assertEqual(self.office.get("/status")["alarms_open"], before)
        (raised, _) = self.office.get(f"/alarms?device={n.owner}")["items"], None
        self.assertEqual(raised[0]["details"], f"control {self.control}")

    def test_bounded_alarms(self) -> None:
        """Of what the rounds found as of all else so many alarms of a device are kept that are over."""
        self.patch(alarms, "MOST_OVER", 2)

        def flicker(transaction: Transaction) -> None:
            due = AlarmDue(self.numbers.owner, rules.NOT_OBEYED, None)
            control = delivery_time.find(transaction.connection, self.control, NOW)
            assert control is not None
            for second in range(5):
                delivery_rounds.change_alarms(transaction, [due], control, NOW + second)
                (found,), _ = alarms.listed(transaction.connection, device=self.numbers.owner, limit=1)
                over = AlarmDue(self.numbers.owner, rules.NOT_OBEYED, found.number)
                delivery_rounds.change_alarms(transaction, [over], control, NOW + second + 1)
            # What a device reports has no place of these.
            for second in range(5):
                reported = AlarmPeriod(NOW + second, NOW + second)
                alarms.open(transaction, self.numbers.owner, FunctionSet.GENERAL, 2, reported, None)

        self.world.write(flicker)
        items = self.office.get(f"/alarms?device={self.numbers.owner}")["items"]
        kept = [(one["functionSet"], one["raised"] - NOW) for one in items if "cleared" in one]
        self.assertEqual(kept, [(0, 4), (0, 3), (255, 4), (255, 3)])

    def test_of_another_control(self) -> None:
        """What was raised for one control is cleared by that one, though the device obeys another."""
        n = self.numbers
        mine = self.meter(n.owner)
        self.world.now += 1200
        self.read(mine, 5000)
        self.go_round()

        def look(connection: sa.Connection) -> list[list[AlarmDue]]:
            mine = delivery_time.find(connection, self.control, int(self.world.now))
            assert mine is not None
            other = evolve(mine, kept=evolve(mine.kept, number=mine.kept.number + 1))
            command = Command("opModMaxLimW", "active_power", None, True)
            obeys = DeviceDelivery(n.owner, Delivery(command, Verdict.OBEYED), "der", True, is_over=False)
            return [
                delivery_rounds.alarm_changes(connection, [obeys], one, final=False) for one in (other, mine)
            ]

        of_other, of_mine = self.world.read(look)
        self.assertEqual((of_other, [one.code for one in of_mine]), ([], [rules.NOT_OBEYED]))

    def test_never_metered(self) -> None:
        """A device that has no meter at all is named, and no alarm."""
        self.world.now += 1800
        self.go_round()
        self.assertEqual(self.delivery()["totals"][0]["no_readings"], 2)
        self.assertEqual(self.alarms(), [])

    def test_over(self) -> None:
        """A control that is over is no longer disobeyed."""
        n = self.numbers
        number = self.meter(n.owner)
        self.world.now += 1200
        self.read(number, 5000)
        self.go_round()
        self.assertEqual(len(self.alarms()), 1)
        self.world.now += 3600
        self.read(number, 5000, since=NOW + 1200)
        self.go_round()
        self.assertEqual(self.alarms(), [])

    def test_not_begun(self) -> None:
        """What has not begun, was cancelled before, or commands no power is not gone over."""
        n = self.numbers
        self.office.post(f"/controls/{self.control}/cancel", {}, expect=200)
        self.world.now += 1
        self.go_round()
        self.assertNotIn("totals", self.office.get(f"/controls/{n.scheduled}/delivery"))

    def test_stop(self) -> None:
        """A round that is stopped ends, and the next start begins anew."""
        self.world.now += 1200
        self.patch(rounds, "DEVICES", 1)
        done: list[Any] = []
        self.rounds.go_round().addBoth(done.append)
        self.assertEqual(done, [])
        self.rounds.stopService()
        self.assertEqual(done, [None])
        self.assertNotIn("totals", self.delivery())
        self.rounds.startService()
        self.go_round()
        self.assertIn("totals", self.delivery())

    def test_loop(self) -> None:
        """It goes round every minute."""
        self.world.now += 1200
        clock = self.rounds._clock
        clock.pump([rounds.EVERY / 2] * 2)
        self.assertIn("totals", self.delivery())

    def test_failures(self) -> None:
        """A store that cannot be used, or a fault, ends the round and not the rounds."""
        self.world.now += 1200
        clock = self.rounds._clock
        read = self.world.database.read
        for error, logged in ((Unavailable("the disk is gone"), 0), (ZeroDivisionError(), 1)):
            self.world.database.read = lambda *asked, error=error: fail(error)  # type: ignore[method-assign]
            clock.pump([rounds.EVERY / 2] * 2)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), logged)
        self.world.database.read = read  # type: ignore[method-assign]
        clock.pump([rounds.EVERY / 2] * 2)
        self.assertIn("totals", self.delivery())
