"""`csipctl controls delivery`: totals, devices, pages."""

from __future__ import annotations

import json
from decimal import Decimal

from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.client import Answer
from csipd.web.admin.delivery import ControlDelivery, DeliveryRow, DeliveryTotal
from tests.cli.fake import NOW, FakeAPI

ROW = DeliveryRow(
    device=3,
    device_name="dev1",
    mode="opModMaxLimW",
    quantity="active_power",
    verdict="not obeyed",
    commanded=Decimal(3000),
    delivered=Decimal("4000.5"),
    unit="W",
    limits=True,
    seconds=1800,
    meter="der",
)
SILENT = DeliveryRow(
    device=4,
    mode="opModMaxLimW",
    quantity="active_power",
    verdict="no readings",
    unit="W",
    limits=True,
    seconds=1800,
)
TOTAL = DeliveryTotal(
    mode="opModMaxLimW",
    at=NOW,
    final=False,
    devices=2,
    obeyed=0,
    not_obeyed=1,
    no_readings=1,
    not_yet=0,
    no_settings=0,
    declined=0,
    overridden=0,
    uncertain=0,
    commanded=Decimal(3000),
    delivered=Decimal("4000.5"),
    unit="W",
)
PAGE = ControlDelivery(
    control=12, now=NOW, begin=NOW - 1800, end=NOW + 1800, totals=(TOTAL,), items=(ROW,), next=3
)
REST = ControlDelivery(control=12, now=NOW, begin=NOW - 1800, end=NOW + 1800, items=(SILENT,))


class DeliveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_page(self) -> None:
        """Totals come first, then the devices of a page, then how to go on."""
        self.api.answers("GET", "/controls/12/delivery", PAGE)
        done = self.api.run("controls", "delivery", "12", "--limit", "1")
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        self.assertEqual(lines[:2], ["opModMaxLimW", "As of 2026-07-01 07:00:00-07:00"])
        for line in ("Commanded 3000 W", "Delivered 4000.5 W", "Devices 2", "No readings 1"):
            self.assertIn(line, lines)
        self.assertIn("dev1 (3) opModMaxLimW at most 3000 W 4000.5 W not obeyed 30m der", lines)
        self.assertIn("--after 3 goes on", done.stderr)

    def test_all(self) -> None:
        """All pages are one list; JSON has their items."""
        self.api.answers("GET", "/controls/12/delivery", PAGE, REST)
        done = self.api.run("controls", "delivery", "12", "--all")
        self.assertIn("no readings", done.stdout)
        self.assertEqual(done.stdout.count("Verdict"), 1)
        self.api.answers("GET", "/controls/12/delivery", PAGE, REST)
        done = self.api.run("--json", "controls", "delivery", "12", "--all")
        self.assertEqual([one["device"] for one in json.loads(done.stdout)["items"]], [3, 4])
        self.api.answers("GET", "/controls/12/delivery", PAGE)
        done = self.api.run("--json", "controls", "delivery", "12")
        self.assertEqual(json.loads(done.stdout)["next"], 3)

    def test_verdict(self) -> None:
        """Of all pages only those are shown of which something is so."""
        for verdict, found in (("no-readings", [4]), ("not-obeyed", [3]), ("obeyed", [])):
            self.api.answers("GET", "/controls/12/delivery", PAGE, REST)
            done = self.api.run("--json", "controls", "delivery", "12", "--verdict", verdict)
            self.assertEqual([one["device"] for one in json.loads(done.stdout)["items"]], found)
        self.api.answers("GET", "/controls/12/delivery", PAGE, REST)
        done = self.api.run("controls", "delivery", "12", "--verdict", "not-obeyed")
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["Device", "dev1"])

    def test_nothing(self) -> None:
        """A control without any says so."""
        self.api.answers("GET", "/controls/12/delivery", REST.replace(items=()))
        self.assertIn("commands no amount of power", self.api.run("controls", "delivery", "12").stderr)

    def test_export(self) -> None:
        """The export is of a control, and has no period."""
        self.api.answers("GET", "/exports/controls/12/delivery", Answer(200, "text/csv", b"device\r\n3\r\n"))
        self.assertEqual(self.api.run("export", "delivery", "12").stdout_bytes, b"device\r\n3\r\n")
        self.assertEqual(self.api.requests[-1].query, {"format": "csv"})
