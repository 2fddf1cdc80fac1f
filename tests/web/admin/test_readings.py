"""What operators read of readings: the newest, series by device and group, sums, as JSON and CSV."""

from __future__ import annotations

import csv
import json
from io import StringIO
from itertools import count
from typing import Any

import sqlalchemy as sa

from csipd.db import group_history, group_sums, segments, series
from csipd.db.database import Transaction
from csipd.db.rollups import roll
from csipd.db.series import Sample
from csipd.db.tables import rollups
from csipd.der.metering import Metering
from csipd.sep2 import resources as r
from csipd.sep2.measurements import DerForward
from csipd.web.admin import readings
from tests.support.metering import meter, usage_point
from tests.support.world import NOW, OWNER, REGISTERED
from tests.web.admin.case import Case

WATTS = r.ReadingType(uom=38, powerOfTenMultiplier=1, flowDirection=19, accumulationBehaviour=12)
TAKEN = r.ReadingType(uom=38, flowDirection=1, accumulationBehaviour=12)
VOLTS = r.ReadingType(uom=29, powerOfTenMultiplier=-1, phase=129, dataQualifier=2)
ENERGY = r.ReadingType(uom=72, flowDirection=19, accumulationBehaviour=3)


class ReadingCase(Case):
    """Devices with meters."""

    def setUp(self) -> None:
        super().setUp()
        self.meters = count(1)

    def meter(self, device: int, kind: r.ReadingType, is_der: bool = True) -> int:
        """A series, by its number; those of a device in the order in which they are made."""

        def opened(transaction: Transaction) -> int:
            meter = next(self.meters)
            return segments.open_segment(transaction, meter, device, kind, is_der, REGISTERED).number

        number: int = self.world.write(opened)
        return number

    def read(self, number: int, *values: int | None, since: int = NOW - 600, every: int = 60) -> None:
        """Values one after the other."""
        samples = [Sample(since + place * every, every, value) for place, value in enumerate(values)]

        def keep(transaction: Transaction) -> None:
            segment = segments.of_number(transaction.connection, number)
            series.store(transaction, segment, samples, self.world.now)

        self.world.write(keep)

    def rolled(self, number: int, start: int, step: int = 300, **values: Any) -> None:
        """What readings came to."""
        row = {"series": number, "step": step, "start": start, "block": 0, "tier": 0, "readings": 5}

        def keep(transaction: Transaction) -> None:
            transaction.connection.execute(sa.insert(rollups), [{**row, **values}])

        self.world.write(keep)

    def rows(self, path: str) -> list[dict[str, Any]]:
        answer = self.office.send("GET", f"/exports/{path}")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"), answer)
        found = json.loads(answer.body)
        assert isinstance(found, list)
        return found

    def values(self, path: str) -> list[Any]:
        return [one.get("value") for one in self.rows(path)]


class NewestTests(ReadingCase):
    """The newest of each quantity."""

    def test_device(self) -> None:
        """Each quantity has its newest value in its unit, generation positive, and how old it is."""
        n = self.numbers
        self.read(self.meter(n.owner, WATTS), 1, 2, 3)
        self.read(self.meter(n.owner, VOLTS), 2301, 2302)
        self.read(self.meter(n.owner, TAKEN, is_der=False), 700)
        self.meter(n.owner, ENERGY)
        found = self.office.get(f"/devices/{n.owner}/readings")
        self.assertEqual((found["device"], found["now"]), (n.owner, NOW))
        self.assertEqual(
            [
                (one["quantity"], one["value"], one["unit"], one["meter"], one["age"])
                for one in found["items"]
            ],
            [
                ("active_power", 30, "W", "der", 480),
                ("voltage", 230.2, "V", "der", 540),
                ("active_power", -700, "W", "premises", 600),
            ],
        )
        self.assertEqual((found["items"][1]["phase"], found["items"][1]["qualifier"]), ("AN", "average"))
        self.assertEqual(self.office.get(f"/devices/{n.other}/readings")["items"], [])
        self.office.refused("GET", "/devices/999/readings", expect=404)

    def test_group(self) -> None:
        """The devices of a group have theirs page by page, also those without any."""
        n = self.numbers
        self.read(self.meter(n.owner, WATTS), 5)
        pages = list(self.office.pages(f"/groups/{n.feeder_a}/readings", 1))
        found = {one["device"]: [item["value"] for item in one["items"]] for page in pages for one in page}
        self.assertEqual(found[n.owner], [50])
        self.assertEqual(found[n.managed], [])
        self.office.refused("GET", "/groups/999/readings", expect=404)

    def test_replaced(self) -> None:
        """What the meter read before its ReadingType changed is no newest reading any more."""
        n = self.numbers
        self.read(self.meter(n.owner, WATTS), 5)

        def change(transaction: Transaction) -> None:
            segments.open_segment(transaction, 1, n.owner, TAKEN, True, NOW)

        self.world.write(change)
        self.assertEqual(self.office.get(f"/devices/{n.owner}/readings")["items"], [])
        self.assertEqual(self.values(f"devices/{n.owner}/readings"), [50], "it is still in the series")


class SeriesTests(ReadingCase):
    """Series of a period."""

    def test_device(self) -> None:
        """A device's readings come by series and time, of one quantity or of all, in a period."""
        n = self.numbers
        self.read(self.meter(n.owner, WATTS), 1, 2, None, 4)
        self.read(self.meter(n.owner, VOLTS), 2301)
        self.read(self.meter(n.other, WATTS), 9)
        path = f"devices/{n.owner}/readings"
        self.assertEqual(self.values(path), [10, 20, None, 40, 230.1])
        self.assertEqual(self.values(f"{path}?quantity=voltage"), [230.1])
        self.assertEqual(self.values(f"{path}?since={NOW - 540}&until={NOW - 420}"), [20, None])
        first = self.rows(path)[0]
        self.assertEqual((first["at"], first["duration"], first["device_name"]), (NOW - 600, 60, "owner"))
        self.office.refused("GET", "/exports/devices/999/readings", expect=404)
        self.office.refused("GET", "/exports/groups/999/readings", expect=404)
        (flaw,) = self.office.refused("GET", f"/exports/{path}?quantity=love")
        self.assertEqual(flaw[0], "quantity")

    def test_csv(self) -> None:
        """CSV has the same, a column each."""
        n = self.numbers
        self.read(self.meter(n.owner, WATTS), 1, None)
        body = self.office.send("GET", f"/exports/devices/{n.owner}/readings?format=csv").body
        lines = list(csv.DictReader(StringIO(body.decode(), newline="")))
        self.assertEqual([line["value"] for line in lines], ["10", ""])
        self.assertEqual(lines[0]["at"], "2025-12-31T23:50:00Z")
        self.read(self.meter(n.other, TAKEN), 3)
        body = self.office.send("GET", f"/exports/devices/{n.other}/readings?format=csv").body
        (line,) = csv.DictReader(StringIO(body.decode(), newline=""))
        self.assertEqual(line["value"], "-3", "a number is no formula")

    def test_portions(self) -> None:
        """However small the portions, nothing is lost or comes twice: also where one ends with a series."""
        n = self.numbers
        for device in (n.owner, n.managed):
            for kind in (WATTS, VOLTS):
                self.read(self.meter(device, kind), *range(6))
        whole = self.rows(f"groups/{n.feeder_a}/readings")
        self.assertEqual(len(whole), 24)
        for rows, devices in ((1, 1), (3, 2), (5, 1), (6, 7), (7, 1)):
            self.patch(readings, "ROWS", rows)
            self.patch(group_history, "DEVICES", devices)
            self.assertEqual(self.rows(f"groups/{n.feeder_a}/readings"), whole, (rows, devices))

    def test_steps(self) -> None:
        """Of a step there is the mean, what came, the least and the greatest, by the sign of the meter."""
        n = self.numbers
        power, energy = self.meter(n.owner, TAKEN), self.meter(n.owner, ENERGY)
        self.rolled(power, NOW - 600, mean=10.5, least=5, greatest=20, seconds=300)
        self.rolled(power, NOW - 300, mean=11.0, least=6, greatest=21, seconds=300)
        self.rolled(energy, NOW - 600, total=40, first=100, last=140, resets=0)
        self.rolled(power, NOW - 3600, step=3600, mean=1.0)
        path = f"devices/{n.owner}/readings?step=5min"
        found = self.rows(path)
        self.assertEqual([one["value"] for one in found], [-10.5, -11, 40])
        self.assertEqual((found[0]["least"], found[0]["greatest"], found[0]["readings"]), (-20, -5, 5))
        self.assertEqual((found[0]["duration"], found[2]["resets"]), (300, 0))
        self.assertEqual(self.values(f"devices/{n.owner}/readings?step=hour"), [-1])
        for rows in (1, 2, 3):
            self.patch(readings, "ROWS", rows)
            self.assertEqual(self.rows(path), found)

    def test_made_and_fresh(self) -> None:
        """What is rolled up comes from there, and what is not yet from the readings themselves.

        The device has been in its group for an hour.
        """
        n = self.numbers
        number = self.meter(n.owner, WATTS)
        self.read(number, *[1] * 240, since=NOW - 7200, every=30)
        path = f"devices/{n.owner}/readings"
        fresh = {step: self.rows(f"{path}?step={step}") for step in ("5min", "hour", "day")}
        sums = self.rows(f"groups/{n.feeder_a}/sums?since={NOW - 7200}")
        self.assertEqual([len(some) for some in (*fresh.values(), sums)], [24, 2, 1, 12])
        self.world.write(lambda transaction: roll(transaction, NOW - 3000))
        for rows in (1, 7, 100):
            self.patch(readings, "ROWS", rows)
            self.assertEqual({step: self.rows(f"{path}?step={step}") for step in fresh}, fresh)
        self.assertEqual(self.rows(f"groups/{n.feeder_a}/sums?since={NOW - 7200}"), sums)
        self.assertEqual({one["value"] for one in sums}, {10})


class MemberTests(ReadingCase):
    """Who was in a group when."""

    def test_moved(self) -> None:
        """A group has a device's readings from while it was there, also when it has left (decision 58)."""
        n = self.numbers
        number = self.meter(n.owner, WATTS)
        self.office.put(f"/devices/{n.owner}/groups", {"groups": [n.feeder_b]})
        self.world.now += 600
        self.office.put(f"/devices/{n.owner}/groups", {"groups": [n.feeder_a]})
        self.world.now += 600
        self.read(number, *range(30), since=NOW - 600)
        there = self.rows(f"groups/{n.feeder_b}/readings")
        self.assertEqual([one["at"] - NOW for one in there], list(range(0, 600, 60)))
        here = self.rows(f"groups/{n.feeder_a}/readings")
        self.assertEqual([one["at"] - NOW for one in here], [*range(-600, 0, 60), *range(600, 1200, 60)])
        for rows in (1, 4, 10):
            self.patch(readings, "ROWS", rows)
            self.assertEqual(self.rows(f"groups/{n.feeder_a}/readings"), here)

    def test_twice(self) -> None:
        """A device that is in two groups below one counts once."""
        n = self.numbers
        number = self.meter(n.owner, WATTS)
        self.office.put(f"/devices/{n.owner}/groups", {"groups": [n.feeder_b, 4]})
        self.read(number, 1)
        self.world.now += 1200
        self.assertEqual(self.values(f"groups/{n.system}/readings"), [10])
        (total,) = self.rows(f"groups/{n.system}/sums")
        self.assertEqual((total["value"], total["devices"]), (10, 1))


class SumTests(ReadingCase):
    """Sums by group."""

    def test_sums(self) -> None:
        """Each step has the sum of what its devices gave and how many they are, meter by meter."""
        n = self.numbers
        mine, theirs = self.meter(n.owner, WATTS), self.meter(n.managed, TAKEN)
        premises = self.meter(n.owner, TAKEN, is_der=False)
        for place, start in enumerate((NOW - 900, NOW - 600, NOW - 300)):
            self.rolled(mine, start, mean=10.0 + place)
            self.rolled(premises, start, mean=1000.0)
        self.rolled(theirs, NOW - 600, mean=30.0)
        path = f"groups/{n.feeder_a}/sums"
        found = self.rows(path)
        self.assertEqual(
            [(one["at"] - NOW, one["value"], one["devices"]) for one in found],
            [(-900, 100, 1), (-600, 80, 2), (-300, 120, 1)],
        )
        self.assertEqual((found[0]["duration"], found[0]["unit"]), (300, "W"))
        self.assertEqual(self.values(f"{path}?meter=premises"), [-1000, -1000, -1000])
        self.assertEqual(self.values(f"{path}?quantity=voltage"), [])
        self.assertEqual(self.values(f"{path}?since={NOW - 600}&until={NOW - 300}"), [80])
        for devices, steps in ((1, 1), (1, 2), (2, 1)):
            self.patch(group_history, "DEVICES", devices)
            self.patch(group_sums, "STEPS", steps)
            self.assertEqual(self.rows(path), found)

    def test_phases(self) -> None:
        """Where there is no reading of all phases together the single ones are added; extremes never are."""
        n = self.numbers
        for phase in (128, 64, 32):
            self.rolled(self.meter(n.owner, TAKEN.replace(phase=phase)), NOW - 300, mean=10.0)
        self.rolled(self.meter(n.owner, TAKEN.replace(dataQualifier=8)), NOW - 300, mean=99.0)
        self.rolled(self.meter(n.managed, TAKEN.replace(phase=224)), NOW - 300, mean=5.0)
        self.rolled(self.meter(n.managed, TAKEN.replace(phase=128)), NOW - 300, mean=2.0)
        (found,) = self.rows(f"groups/{n.feeder_a}/sums")
        self.assertEqual((found["value"], found["devices"]), (-35, 2))

    def test_several_ways(self) -> None:
        """What one mirror gives as means and as moments counts once, by its means; two mirrors add up."""
        n = self.numbers
        mean = WATTS.replace(dataQualifier=2)
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", meter("A1", WATTS), meter("A2", mean)))
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F1", meter("A1", WATTS)))
        for number, watts in ((1, 9.0), (2, 5.0), (3, 2.0)):
            self.rolled(number, NOW - 300, mean=watts)
        self.rolled(1, NOW - 600, mean=9.0)
        self.assertEqual(self.values(f"groups/{n.feeder_a}/sums"), [90, 70])

    def test_energy(self) -> None:
        """Energy is added up by what came in a step."""
        n = self.numbers
        self.rolled(self.meter(n.owner, ENERGY), NOW - 3600, step=3600, total=7, first=1, last=8, resets=0)
        found = self.rows(f"groups/{n.feeder_a}/sums?quantity=active_energy&step=hour")
        self.assertEqual([(one["value"], one["unit"]) for one in found], [(7, "Wh")])

    def test_too_long(self) -> None:
        """A period of more steps than are good is refused, with what to do."""
        path = f"/exports/groups/{self.numbers.system}/sums?since=0"
        self.assertIn("longer steps", self.office.refused("GET", path))
        answer = self.office.send("GET", f"/exports/groups/{self.numbers.system}/sums?since={NOW + 99}")
        self.assertEqual(answer.body, b"[]\n")


class WireTests(ReadingCase):
    """From the device's POST to the operator."""

    def test_mirrored(self) -> None:
        """What a DER's meter mirrors is shown with its sign and unit, and a premises' meter beside it."""
        n = self.numbers
        for number, (roles, kind) in enumerate(
            ((0x0049, WATTS.replace(flowDirection=None)), (0x0003, TAKEN))
        ):
            reading = r.Reading(timePeriod=r.DateTimeInterval(duration=60, start=NOW - 90), value=123)
            meter = r.MirrorMeterReading(mRID=f"{number + 1:032X}", Reading=reading, ReadingType=kind)
            point = r.MirrorUsagePoint(
                mRID=f"{number + 9:032X}",
                roleFlags=roles,
                serviceCategoryKind=0,
                status=1,
                deviceLFDI=OWNER.lfdi,
                MirrorMeterReading=(meter,),
            )
            self.assertEqual(self.world.post(OWNER, "/mup", point).status, 201)
        found = self.office.get(f"/devices/{n.owner}/readings")["items"]
        self.assertEqual(
            [(one["meter"], one["value"], one["unit"], one["age"]) for one in found],
            [("der", 1230, "W", 90), ("premises", -123, "W", 90)],
        )
        self.assertEqual(self.values(f"devices/{n.owner}/readings"), [1230, -123])

    def post(self, *given: tuple[int, int, int], roles: int = 0x0049) -> None:
        """A usage point, or more of the same: unit, flowDirection and what is read of each."""
        period = r.DateTimeInterval(duration=60, start=NOW - 90)
        self.world.post(
            OWNER,
            "/mup",
            r.MirrorUsagePoint(
                mRID=f"{roles:032X}",
                roleFlags=roles,
                serviceCategoryKind=0,
                status=1,
                deviceLFDI=OWNER.lfdi,
                MirrorMeterReading=tuple(
                    r.MirrorMeterReading(
                        mRID=f"{100 * unit + flow:032X}",
                        Reading=r.Reading(timePeriod=period, value=value),
                        ReadingType=r.ReadingType(uom=unit, flowDirection=flow),
                    )
                    for unit, flow, value in given
                ),
            ),
        )

    def shown(self) -> list[float]:
        """The newest value of each series, and the same of the export."""
        found = self.office.get(f"/devices/{self.numbers.owner}/readings")["items"]
        values = [one["value"] for one in found]
        self.assertEqual(self.values(f"devices/{self.numbers.owner}/readings"), values)
        return values

    def test_forward_of_a_der(self) -> None:
        """What a DER's meter calls forward was given, until it measures what flows in reverse, too."""
        self.post((38, 1, 500), (63, 19, 20))
        self.assertEqual(self.shown(), [500, -20])
        self.post((38, 1, 500), roles=0x0003)
        self.assertEqual(self.shown(), [500, -20, -500])
        self.post((38, 19, 0))
        self.assertEqual(self.shown(), [-500, 20, -500, 0])

    def test_forward_in_sums(self) -> None:
        """A group's sum has what its DERs call forward as what they give."""
        self.post((38, 1, 500))
        path = f"groups/{self.numbers.feeder_a}/sums?since={NOW - 300}&until={NOW}"
        self.assertEqual(self.values(path), [500])
        self.assertEqual(self.values(f"{path}&meter=premises"), [])

    def test_forward_as_it_was(self) -> None:
        """What a mirror that was removed had measured keeps its sign, also where its mRIDs come again."""
        self.post((38, 1, 500))
        (mirror,) = self.world.document(OWNER, "/mup")
        self.assertEqual(self.world.delete(OWNER, mirror.get("href")).status, 204)
        self.post((38, 19, 0), (38, 1, 400))
        values = self.values(f"devices/{self.numbers.owner}/readings")
        self.assertEqual(values, [500, 0, -400])

    def test_forward_by_configuration(self) -> None:
        """Where it is configured so, forward is what is consumed, at a DER's own meter, too."""
        self.world, self.office = self.fresh(metering=Metering(der_forward=DerForward.CONSUMPTION))
        self.post((38, 1, 500), (63, 19, 20))
        self.assertEqual(self.shown(), [-500, 20])
        found = self.office.get(f"/groups/{self.numbers.feeder_a}/readings")["items"]
        (values,) = [[item["value"] for item in one["items"]] for one in found if one["items"]]
        self.assertEqual(values, [-500, 20])
