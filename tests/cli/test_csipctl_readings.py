"""`csipctl readings`: the newest, series, sums."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.client import Answer
from csipd.cli.ctl.errors import Code
from csipd.web.admin.devices import DevicePage
from csipd.web.admin.groups import GroupPage
from csipd.web.admin.readings import DeviceReadings, DeviceReadingsPage, Reading
from tests.cli import fake
from tests.cli.fake import NOW, FakeAPI

VOLTS = Reading(
    series=4,
    quantity="voltage",
    phase="AN",
    meter="der",
    value=Decimal("239.5"),
    unit="V",
    at=NOW - 90,
    age=90,
)


class ReadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("GET", "/devices", DevicePage(items=(fake.device(3),)))
        self.api.answers("GET", "/groups", GroupPage(items=(fake.group(7),)))
        for path in ("devices/3/readings", "groups/7/readings", "groups/7/sums"):
            self.api.answers("GET", f"/exports/{path}", Answer(200, "text/csv", b"value\r\n1\r\n"))

    def lines(self, *arguments: str) -> list[str]:
        done = self.api.run("readings", *arguments)
        self.assertEqual(done.exit_code, 0, done.stderr)
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    def test_newest(self) -> None:
        """Each quantity has its value with unit and age; a device without readings is named."""
        found = DeviceReadings(device=3, device_name="dev1", now=NOW, items=(VOLTS,))
        self.api.answers("GET", "/devices/3/readings", found)
        self.assertEqual(
            self.lines("newest", "--device", "dev1")[1:],
            ["dev1 (3) voltage AN der 239.5 V 2026-07-01 06:58:30-07:00 1m30s"],
        )
        silent = DeviceReadings(device=4, device_name="dev2", now=NOW)
        self.api.answers("GET", "/groups/7/readings", DeviceReadingsPage(items=(found, silent)))
        self.assertEqual(self.lines("newest", "--group", "feeder-1")[2], "dev2 (4) no readings")

    def test_now(self) -> None:
        """Power is added up once for each device, voltage has a range; late and silent ones are named."""

        def one(quantity: str, value: str, age: int, **more: Any) -> Reading:
            known = {"meter": "der", "unit": "W" if quantity == "active_power" else "V", **more}
            return Reading(
                series=1,
                quantity=quantity,
                value=Decimal(value),
                at=NOW - age,
                age=age,
                duration=300,
                **known,
            )

        whole = [one("active_power", "2500.5", 310), one("active_power", "900", 310, phase="AN")]
        phases = [one("active_power", "100", 400, phase=phase) for phase in ("AN", "BN")]
        peak = one("active_power", "9999", 310, qualifier="maximum")
        premises = one("active_power", "-700", 310, meter="premises")
        devices = (
            (*whole, peak, premises, one("voltage", "240", 310)),
            (*phases, one("voltage", "247.5", 400)),
            (one("active_power", "5000", 300 + 901),),
            (),
        )
        items = tuple(
            DeviceReadings(device=number, device_name=f"dev{number}", now=NOW, items=of)
            for number, of in enumerate(devices, 1)
        )
        self.api.answers("GET", "/groups/7/readings", DeviceReadingsPage(items=items))
        self.assertEqual(
            self.lines("now", "feeder-1"),
            [
                "Quantity Meter Value Devices Age",
                "active_power der 2700.5 W 2 10s to 1m40s",
                "voltage der 240 to 247.5 V 2 10s to 1m40s",
                "None for 15m 1: dev3",
                "No readings 1: dev4",
            ],
        )
        self.assertIn("active_power der 7700.5 W 3", self.lines("now", "feeder-1", "--within", "1h")[1])
        found = json.loads(self.api.run("--json", "readings", "now", "feeder-1").stdout)
        self.assertEqual((found["items"][0]["greatest"], found["no_readings"]), (2700.5, ["dev4"]))

    def test_series(self) -> None:
        """A series is asked for by device or group, quantity, step and period."""
        self.lines("series", "--device", "dev1", "--quantity", "voltage", "--since", "-1h")
        asked = {"quantity": "voltage", "step": "raw", "since": str(NOW - 3600), "format": "csv"}
        self.assertEqual(self.api.requests[-1].query, asked)
        self.assertEqual(self.lines("series", "--group", "feeder-1", "--step", "hour"), ["value", "1"])
        self.assertEqual(self.api.requests[-1].path, "/exports/groups/7/readings")

    def test_sums(self) -> None:
        """Sums are of a group."""
        self.lines("sums", "feeder-1", "--step", "day", "--meter", "premises")
        asked = {"quantity": "active_power", "step": "day", "meter": "premises", "format": "csv"}
        self.assertEqual(self.api.requests[-1].query, asked)

    def test_usage(self) -> None:
        """A device or a group has to be named, and not both."""
        for command in ("newest", "series"):
            for arguments in ((), ("--device", "3", "--group", "7")):
                done = self.api.run("readings", command, *arguments)
                self.assertEqual((done.exit_code, self.api.requests), (Code.USAGE, []))

    def test_capability(self) -> None:
        """What a group can deliver is shown with of how many and how old; as JSON, and as CSV."""
        rows = (
            b'[\n{"type": "all", "devices": 2, "ders": 3, "capability_ders": 2, "capability_youngest": 60,'
            b' "capability_oldest": 3600, "rtgMaxW": 7500, "settings_ders": 0, "availability_ders": 1,'
            b' "availability_youngest": 5, "availability_oldest": 5, "statVarAvail": 9, "status_ders": 1,'
            b' "status_youngest": 1, "status_oldest": 1, "charged_ders": 1, "storedWh": 1600,'
            b' "stateOfCharge": 40}\n]\n'
        )
        self.api.answers("GET", "/exports/groups/7/capability", Answer(200, "application/json", rows))
        done = self.api.run("groups", "capability", "feeder-1")
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        for line in (
            "Rated rtgMaxW 7500 W, of 2, 1m to 1h old",
            "Set nobody has said",
            "Available statVarAvail 9 var, of 1, 5s old",
            "Status charged 40 %, 1600 Wh, of 1, 1s old",
        ):
            self.assertIn(line, lines)
        self.assertEqual(
            json.loads(self.api.run("--json", "groups", "capability", "7").stdout), json.loads(rows)
        )
        self.api.answers("GET", "/exports/groups/7/capability", Answer(200, "text/csv", b"type\r\n"))
        self.assertEqual(self.api.run("export", "capability", "7").stdout_bytes, b"type\r\n")
        self.api.answers("GET", "/exports/groups/7/capability", Answer(200, "application/json", b"{}"))
        self.assertEqual(self.api.run("groups", "capability", "7").exit_code, Code.SERVER)
