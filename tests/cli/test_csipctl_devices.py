"""`csipctl devices`: what is asked of the API, and what is shown of its answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.errors import Unreachable
from csipd.sep2 import resources as r
from csipd.web.admin.alarms import Alarm, LogEventPage, LogEventShown
from csipd.web.admin.devices import ChangedDevice, Contact, DevicePage, MadeDevice, NewDevice
from csipd.web.admin.groups import GroupPage
from csipd.web.admin.membership import Membership
from csipd.web.admin.responses import Response
from csipd.web.admin.state import DERReport, DeviceState, ModeInForce, OverriddenMode
from csipd.web.admin.summary import Consequences
from csipd.web.json_form import from_json
from tests.cli import fake
from tests.cli.fake import LFDI, NOW, FakeAPI, device, group

PRETTY = "3E4F-45AB-31ED-FE5B-67E3-43E5-E456-2E31-984E-23E5"
SECRET = "-----BEGIN PRIVATE KEY-----\nnobody else's\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nfor all to see\n-----END CERTIFICATE-----\n"


class NamingTests(SynchronousTestCase):
    """How devices are called."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("GET", "/devices/7", device(7))

    def test_number(self) -> None:
        """A number is asked for directly."""
        self.assertEqual(self.api.run("devices", "show", "7").exit_code, 0)
        self.assertEqual(self.api.asked(), ["GET /devices/7"])

    def test_name(self) -> None:
        """A name is looked up, and only the device of exactly that name is meant."""
        self.api.answers("GET", "/devices", DevicePage(items=(device(3, "dev10"), device(7, "dev1"))))
        self.assertEqual(self.api.run("devices", "show", "dev1").exit_code, 0)
        self.assertEqual(self.api.asked(), ["GET /devices", "GET /devices/7"])
        self.assertEqual(self.api.requests[0].query["name"], "dev1")

    def test_lfdi(self) -> None:
        """An LFDI is looked up in its one form, however it was written."""
        self.api.answers("GET", "/devices", DevicePage(items=(device(7),)))
        for written in (LFDI, LFDI.lower(), PRETTY):
            self.assertEqual(self.api.run("devices", "show", written).exit_code, 0)
            self.assertEqual(self.api.requests[-2].query["lfdi"], LFDI)

    def test_unknown(self) -> None:
        """A name that no device has is refused, with that name."""
        self.api.answers("GET", "/devices", DevicePage())
        done = self.api.run("devices", "show", "nobody")
        self.assertEqual((done.exit_code, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "csipctl: there is no device called 'nobody'\n")

    def test_name_among_many(self) -> None:
        """A list that does not end is not looked through for ever."""
        pages = fake.pages(DevicePage, *([device(n, f"d{n}")] for n in range(1, 40)))
        self.api.answers("GET", "/devices", *pages)
        done = self.api.run("devices", "show", "dev1")
        self.assertEqual((done.exit_code, len(self.api.requests)), (1, 20))
        self.assertIn("by its number", done.stderr)

    def test_name_on_a_later_page(self) -> None:
        """All pages are looked through."""
        pages = fake.pages(DevicePage, [device(n, f"d{n}") for n in range(1, 4)], [device(7)])
        self.api.answers("GET", "/devices", *pages)
        self.assertEqual(self.api.run("devices", "show", "dev1").exit_code, 0)
        self.assertEqual(self.api.requests[1].query["after"], "3")


class ListTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_columns(self) -> None:
        """In a pipe there is a line for each device, of columns that nothing cuts."""
        long = "x" * 64
        items = (device(1, deviceCategory=0x200000, groups=(1, 2)), device(2, long, standing="withdrawn"))
        self.api.answers("GET", "/devices", DevicePage(items=items))
        done = self.api.run("devices", "list")
        self.assertEqual(done.exit_code, 0)
        head, first, second = done.stdout.splitlines()
        self.assertEqual(
            head.split(),
            ["Device", "Name", "LFDI", "Standing", "Category", "Manager", "Groups", "Last", "contact"],
        )
        self.assertEqual(
            first.split(), ["1", "dev1", PRETTY, "registered", "PHOTOVOLTAIC", "1,", "2", "never"]
        )
        self.assertIn(long, second)
        self.assertIn("withdrawn", second)

    def test_filters(self) -> None:
        """Each filter is sent under the API's name, groups and managers by their numbers."""
        self.api.answers("GET", "/groups", GroupPage(items=(fake.group(5, "feeder-1"),)))
        self.api.answers("GET", "/devices", DevicePage(items=(device(9, "agg1", aggregator=True),)))
        self.api.run(
            *("devices", "list", "--group", "feeder-1", "--manager", "agg1", "--standing", "registered"),
            *("--lfdi", PRETTY, "--name", "dev1", "--limit", "7", "--after", "30"),
        )
        self.assertEqual(
            self.api.requests[-1].query,
            {
                "group": "5",
                "manager": "9",
                "standing": "registered",
                "lfdi": LFDI,
                "name": "dev1",
                "limit": "7",
                "after": "30",
            },
        )

    def test_more(self) -> None:
        """That a page has more behind it is said beside the answer, with the way to it."""
        self.api.answers("GET", "/devices", DevicePage(items=(device(1),), next=1))
        done = self.api.run("devices", "list")
        self.assertNotIn("--after", done.stdout)
        self.assertIn("--after 1", done.stderr)

    def test_all(self) -> None:
        """--all follows the pages to the last, and shows what is in each."""
        self.api.answers("GET", "/devices", *fake.pages(DevicePage, [device(1)], [device(2)], [device(3)]))
        done = self.api.run("devices", "list", "--all")
        self.assertEqual([one.query.get("after") for one in self.api.requests], [None, "1", "2"])
        self.assertEqual({one.query["limit"] for one in self.api.requests}, {"500"})
        for name in ("1  dev1", "2  dev1", "3  dev1"):
            self.assertIn(name, " ".join(done.stdout.split(" " * 6)))

    def test_all_in_one(self) -> None:
        """What --all shows has its heads once, and of pages without items nothing is said."""
        pages = fake.pages(DevicePage, [device(1)], [], [device(3)], [])
        self.api.answers("GET", "/devices", *pages)
        done = self.api.run("devices", "list", "--all")
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ["Device", "1", "3"])
        self.assertEqual(done.stderr, "")

    def test_all_of_nothing(self) -> None:
        """Where no page has an item, that is said once."""
        self.api.answers("GET", "/devices", *fake.pages(DevicePage, [], [], []))
        done = self.api.run("devices", "list", "--all")
        self.assertEqual((done.stdout, done.stderr), ("", "None.\n"))

    def test_none_so_far(self) -> None:
        """A page without items is not the end of the list, unless the list is known to have none."""
        self.api.answers("GET", "/devices", DevicePage(next=500, total=1))
        done = self.api.run("devices", "list")
        self.assertEqual(
            (done.stdout, done.stderr),
            ("", "None so far, and more to look at (1 in all): --after 500 goes on, --all shows all.\n"),
        )
        self.api.answers("GET", "/devices", DevicePage(next=500, total=0))
        self.assertEqual(self.api.run("devices", "list").stderr, "None.\n")

    def test_all_as_json(self) -> None:
        """All pages are one JSON document."""
        self.api.answers("GET", "/devices", *fake.pages(DevicePage, [device(1)], [device(2), device(3)]))
        done = self.api.run("--json", "devices", "list", "--all")
        self.assertEqual([one["number"] for one in json.loads(done.stdout)["items"]], [1, 2, 3])
        self.assertEqual(done.stderr, "")

    def test_nothing_as_json(self) -> None:
        """An empty list is a document too."""
        self.api.answers("GET", "/devices", DevicePage())
        self.assertEqual(json.loads(self.api.run("--json", "devices", "list", "--all").stdout), {"items": []})

    def test_nothing(self) -> None:
        """Of an empty list nothing stands on standard output."""
        self.api.answers("GET", "/devices", DevicePage())
        done = self.api.run("devices", "list")
        self.assertEqual((done.exit_code, done.stdout, done.stderr), (0, "", "None.\n"))

    def test_page_that_goes_round(self) -> None:
        """A list whose pages lead back to themselves is the server's failure, not an endless run."""
        self.api.answers("GET", "/devices", DevicePage(items=(device(1),), next=1))
        self.assertEqual(self.api.run("devices", "list", "--all").exit_code, 4)
        self.assertEqual(len(self.api.requests), 2)

    def test_limits(self) -> None:
        """A page longer than the API gives is wrong usage."""
        for limit in ("0", "501", "many"):
            self.assertEqual(self.api.run("devices", "list", "--limit", limit).exit_code, 2)
        self.assertEqual(self.api.requests, [])


class AddTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.out = Path(self.mktemp())
        self.made = MadeDevice(device=device(9, "dev9"), certificate=CERTIFICATE, key=SECRET)

    def test_lfdi(self) -> None:
        """A device with an LFDI of its own is listed as the options say, in a form that the API takes."""
        self.api.answers(
            "GET", "/groups", GroupPage(items=(fake.group(5, "feeder-1"), fake.group(6, "pilot")))
        )
        self.api.answers("GET", "/devices", DevicePage(items=(device(2, "agg1"),)))
        self.api.answers("POST", "/devices", MadeDevice(device=device(9, "dev9")))
        done = self.api.run(
            *("devices", "add", "dev9", "--lfdi", PRETTY, "--manager", "agg1", "--pin", "111115"),
            *("--group", "feeder-1", "--group", "6", "--category", "photovoltaic", "--poll-rate", "60"),
            *("--post-rate", "300", "--ders", "2"),
        )
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertIn(PRETTY, done.stdout)
        self.assertEqual(
            from_json(NewDevice, self.api.requests[-1].content),
            NewDevice(
                name="dev9",
                lFDI=LFDI,
                manager=2,
                pIN=111115,
                deviceCategory=0x200000,
                pollRate=60,
                postRate=300,
                groups=(5, 6),
                ders=2,
            ),
        )

    def test_only_what_is_given(self) -> None:
        """What is not given is not sent."""
        self.api.answers("POST", "/devices", MadeDevice(device=device(9, "dev9")))
        self.api.run("devices", "add", "dev9", "--lfdi", LFDI)
        self.assertEqual(self.api.requests[-1].content, {"name": "dev9", "lFDI": LFDI})
        self.api.run("devices", "add", "dev9", "--lfdi", LFDI, "--listed", "--aggregator")
        self.assertEqual(
            self.api.requests[-1].content,
            {"name": "dev9", "lFDI": LFDI, "registered": False, "aggregator": True},
        )

    def test_key(self) -> None:
        """A key goes into a file for its owner alone and is shown nowhere; beside it lies the certificate."""
        self.api.answers("POST", "/devices", self.made)
        done = self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(self.api.requests[-1].content, {"name": "dev9", "make_key": True})
        key = self.out / "dev9.pem"
        self.assertEqual(key.read_text(), SECRET)
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.out / "dev9.crt").read_text(), CERTIFICATE)
        self.assertNotIn("nobody", done.output)
        self.assertIn(str(key), done.stderr)

    def test_key_for_its_owner_from_the_start(self) -> None:
        """The file of the key is for its owner alone before there is anything in it, whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        modes: list[int] = []
        send = self.api.send

        def look(*arguments: object) -> object:
            modes.append((self.out / "dev9.pem").stat().st_mode & 0o777)
            return send(*arguments)  # type: ignore[arg-type]  # handed on as it came

        self.patch(self.api, "send", look)
        self.api.answers("POST", "/devices", self.made)
        self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(modes, [0o600])

    def test_key_in_json(self) -> None:
        """The key stands in no JSON either."""
        self.api.answers("POST", "/devices", self.made)
        done = self.api.run("--json", "devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(set(json.loads(done.stdout)), {"device", "certificate"})
        self.assertNotIn("nobody", done.output)
        self.assertEqual((self.out / "dev9.pem").read_text(), SECRET)

    def test_nothing_is_overwritten(self) -> None:
        """Where a file exists nothing is asked of the server, and nothing is changed."""
        self.out.mkdir()
        for name in ("dev9.pem", "dev9.crt"):
            (self.out / name).write_text("older")
            done = self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
            self.assertEqual(done.exit_code, 2)
            self.assertIn("not overwritten", done.stderr)
            self.assertEqual([path.name for path in self.out.iterdir()], [name])
            self.assertEqual((self.out / name).read_text(), "older")
            (self.out / name).unlink()
        self.assertEqual(self.api.requests, [])

    def test_link_is_not_followed(self) -> None:
        """A symbolic link in the place of the key is not followed."""
        self.out.mkdir()
        (self.out / "dev9.pem").symlink_to(self.out / "elsewhere")
        done = self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(done.exit_code, 2)
        self.assertFalse((self.out / "elsewhere").exists())

    def test_refused(self) -> None:
        """Where the server refuses, no file is left behind."""
        self.api.refuses("POST", "/devices", 409, "There is a device of that name.")
        done = self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(done.exit_code, 1)
        self.assertEqual(done.stderr, "csipctl: There is a device of that name (409)\n")
        self.assertEqual(list(self.out.iterdir()), [])

    def test_lost(self) -> None:
        """Where no answer comes no file is left behind."""
        self.api.answers("POST", "/devices", Unreachable("gone"))
        done = self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(done.exit_code, 3)
        self.assertEqual(list(self.out.iterdir()), [])

    def test_answer_without_key(self) -> None:
        """An answer without the key, as to a repeated request, is said and leaves no empty file."""
        self.api.answers("POST", "/devices", MadeDevice(device=device(9, "dev9"), certificate=CERTIFICATE))
        done = self.api.run("devices", "add", "dev9", "--make-key", "--out", str(self.out))
        self.assertEqual(done.exit_code, 1)
        self.assertIn("dev9.pem", done.stderr)
        self.assertFalse((self.out / "dev9.pem").exists())

    def test_csr(self) -> None:
        """A signing request is sent as it is; the certificate is written, or without a folder shown."""
        request = Path(self.mktemp())
        request.write_text("-----BEGIN CERTIFICATE REQUEST-----\n")
        self.api.answers("POST", "/devices", MadeDevice(device=device(9, "dev9"), certificate=CERTIFICATE))
        done = self.api.run("devices", "add", "dev9", "--csr", str(request))
        self.assertEqual(self.api.requests[-1].content["csr"], request.read_text())
        self.assertTrue(done.stdout.endswith(CERTIFICATE))
        done = self.api.run("devices", "add", "dev9", "--csr", str(request), "--out", str(self.out))
        self.assertNotIn("BEGIN", done.output)
        self.assertEqual([path.name for path in self.out.iterdir()], ["dev9.crt"])

    def test_csr_that_is_not_there(self) -> None:
        """A file that cannot be read is wrong usage, with its name and why."""
        done = self.api.run("devices", "add", "dev9", "--csr", "nowhere.csr")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("nowhere.csr: No such file", done.stderr)

    def test_usage(self) -> None:
        """One source of the LFDI, a folder for a key, and a name that a file can have are asked for."""
        for options in (
            (),
            ("--lfdi", LFDI, "--make-key"),
            ("--make-key",),
            ("--lfdi", LFDI, "--out", str(self.out)),
            ("--lfdi", "3E4F"),
            ("--lfdi", LFDI, "--category", "BOAT"),
            ("--lfdi", LFDI, "--pin", "1000000"),
        ):
            self.assertEqual(self.api.run("devices", "add", "dev9", *options).exit_code, 2, options)
        for name in ("../dev9", "a/b", ".dev9", ""):
            done = self.api.run("devices", "add", name, "--make-key", "--out", str(self.out))
            self.assertEqual(done.exit_code, 2, name)
        self.assertEqual(self.api.requests, [])

    def test_idempotency(self) -> None:
        """Each run has a key of its own, unless one is given."""
        self.api.answers("POST", "/devices", MadeDevice(device=device(9, "dev9")))
        for more in ((), (), ("--idempotency-key", "mine")):
            self.api.run("devices", "add", "dev9", "--lfdi", LFDI, *more)
        first, second, third = (one.headers["Idempotency-Key"] for one in self.api.requests)
        self.assertNotEqual(first, second)
        self.assertTrue(1 <= len(first) <= 64)
        self.assertEqual(third, "mine")

    def test_wrong_idempotency_key(self) -> None:
        """A key that is no header is wrong usage."""
        for key in ("", "x" * 65, "a b", "a\r\nX: y", "\u00e9"):
            done = self.api.run("devices", "add", "dev9", "--lfdi", LFDI, "--idempotency-key", key)
            self.assertEqual(done.exit_code, 2, key)


class ChangeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_change(self) -> None:
        """Only what is named is sent, in a form that the API takes."""
        self.api.answers("PATCH", "/devices/1", device(1))
        self.api.answers("GET", "/devices", DevicePage(items=(device(4, "agg1"),)))
        done = self.api.run("devices", "change", "1", "--pin", "111115", "--manager", "agg1")
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(self.api.requests[-1].content, {"pIN": 111115, "manager": 4})
        self.api.run("devices", "change", "1", "--no-manager")
        self.assertEqual(from_json(ChangedDevice, self.api.requests[-1].content), ChangedDevice(manager=0))
        self.assertEqual(
            self.api.run("devices", "change", "1", "--no-manager", "--manager", "4").exit_code, 2
        )
        done = self.api.run(
            "devices", "change", "1", "--category", "EVSE", "--poll-rate", "60", "--post-rate", "30"
        )
        self.assertEqual(
            from_json(ChangedDevice, self.api.requests[-1].content),
            ChangedDevice(deviceCategory=1 << 17, pollRate=60, postRate=30),
        )

    def test_nothing(self) -> None:
        """To change nothing is wrong usage."""
        self.assertEqual(self.api.run("devices", "change", "1").exit_code, 2)

    def test_simple_commands(self) -> None:
        """Register, withdraw, readmit and remove say what was done, with a device in the answer or not."""
        for answer, shown in ((device(1, standing="withdrawn"), "withdrawn"), (None, "Done.")):
            for command in ("register", "withdraw", "readmit"):
                self.api.answers("POST", f"/devices/1/{command}", answer)
                more = ("--yes",) if command == "withdraw" else ()
                done = self.api.run("devices", command, "1", *more)
                self.assertEqual(done.exit_code, 0, done.stderr)
                self.assertIn(shown, done.stdout)
            self.api.answers("DELETE", "/devices/1", answer)
            self.assertIn(shown, self.api.run("devices", "remove", "1", "--yes").stdout)

    def test_empty_answer_as_json(self) -> None:
        """An answer without content is an empty document."""
        self.api.answers("DELETE", "/devices/1", None)
        self.assertEqual(json.loads(self.api.run("--json", "devices", "remove", "1", "--yes").stdout), {})

    def test_move(self) -> None:
        """A device is put into the groups that are named, by numbers, and no others."""
        self.api.answers("GET", "/groups", GroupPage(items=(fake.group(5, "feeder-1"),)))
        self.api.answers("PUT", "/devices/1/groups", device(1, groups=(5, 6)))
        self.assertEqual(self.api.run("devices", "move", "1", "feeder-1", "6", "--yes").exit_code, 0)
        self.assertEqual(from_json(Membership, self.api.requests[-1].content), Membership(groups=(5, 6)))
        self.assertEqual(self.api.run("devices", "move", "1", "--nowhere", "--yes").exit_code, 0)
        self.assertEqual(self.api.requests[-1].content, {"groups": []})

    def test_remove_from(self) -> None:
        """What a device loses with a group is said in words, and asked (case B10)."""
        self.api.answers("GET", "/groups", GroupPage(items=(fake.group(5, "feeder-1"),)))
        self.api.answers("GET", "/devices/1", device(1, groups=(5, 6)))
        self.api.answers("POST", "/devices/1/groups/preview", Consequences(summary=("It leaves feeder-1.",)))
        self.api.answers("DELETE", "/devices/1/groups/5", device(1, groups=(6,)))
        done = self.api.run("devices", "remove-from", "1", "feeder-1", input="n\n")
        self.assertEqual(done.exit_code, 5)
        self.assertIn("It leaves feeder-1.", done.output)
        self.assertEqual(self.api.requests[-1].content, {"groups": [6]})
        self.assertEqual(self.api.run("devices", "remove-from", "1", "feeder-1", input="y\n").exit_code, 0)
        self.assertEqual(self.api.requests[-1].method, "DELETE")
        before = len(self.api.requests)
        self.assertEqual(self.api.run("devices", "remove-from", "1", "5", "--yes").exit_code, 0)
        self.assertEqual(len(self.api.requests), before + 1)

    def test_move_needs_a_place(self) -> None:
        """Groups and --nowhere exclude each other, and one of them is needed."""
        self.assertEqual(self.api.run("devices", "move", "1").exit_code, 2)
        self.assertEqual(self.api.run("devices", "move", "1", "5", "--nowhere").exit_code, 2)


class StateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_state(self) -> None:
        """What acts is shown with its cause and times, what does not with the reason, then the reports."""
        state = DeviceState(
            device=1,
            now=NOW,
            acting=(
                ModeInForce(
                    mode="opModMaxLimW",
                    value=r.DERControlBase(opModMaxLimW=6000),
                    source="control",
                    program=3,
                    control=12,
                    since=NOW,
                    until=NOW + 60,
                ),
                ModeInForce(
                    mode="opModVoltVar",
                    value=r.DERControlBase(opModVoltVar=r.DERCurveLink(href="/derp/1/dc/2")),
                    source="default",
                    program=1,
                    program_name="Feeder 1",
                ),
            ),
            passed=(OverriddenMode(mode="opModMaxLimW", control=11, program=1, reason="superseded", by=12),),
            statuses=(
                DERReport(
                    der=1,
                    capability=r.DERCapability(
                        modesSupported=0x100000, rtgMaxW=r.ActivePower(multiplier=3, value=5), type=4
                    ),
                    status=r.DERStatus(
                        inverterStatus=r.InverterStatusType(dateTime=NOW, value=4), readingTime=NOW
                    ),
                ),
            ),
            alarms=(
                Alarm(
                    number=5,
                    device=1,
                    name="DER_FAULT_OVER_VOLTAGE",
                    functionSet=11,
                    logEventCode=2,
                    raised=NOW,
                ),
            ),
            responses=(
                Response(
                    number=8,
                    device=1,
                    lFDI=LFDI,
                    control=12,
                    subject=fake.MRID,
                    status=2,
                    meaning="started",
                    received=NOW,
                ),
            ),
            power_status=r.PowerStatus(batteryStatus=4, changedTime=NOW, currentPowerSource=1),
        )
        self.api.answers("GET", "/devices/1/state", state)
        done = self.api.run("devices", "state", "1")
        self.assertEqual(done.exit_code, 0, done.stderr)
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        for line in (
            "Device 1 at 2026-07-01 07:00:00-07:00",
            "opModMaxLimW 60 % control 12 of program 3 2026-07-01 07:00:00-07:00 2026-07-01 07:01:00-07:00",
            "opModVoltVar /derp/1/dc/2 default of program Feeder 1 (1)",
            "opModMaxLimW control 11 of program 1 superseded 12",
            "DER 1: capability",
            "PowerStatus",
            "batteryStatus 4",
            "changedTime 2026-07-01 07:00:00-07:00",
            "rtgMaxW 5000",
            "inverterStatus 4 since 2026-07-01 07:00:00-07:00",
            "5 1 DER_FAULT_OVER_VOLTAGE 2026-07-01 07:00:00-07:00 open",
            "8 1 12 2 started 2026-07-01 07:00:00-07:00",
        ):
            self.assertIn(line, lines)

    def test_nothing_holds(self) -> None:
        """That nothing holds a mode is said."""
        self.api.answers("GET", "/devices/1/state", DeviceState(device=1, now=NOW))
        self.assertIn("No control and no default holds.", self.api.run("devices", "state", "1").stdout)

    def test_log(self) -> None:
        """Log events are shown with time, code and details; those that their device has hidden are marked."""
        event = r.LogEvent(
            href="/edev/1/lel/1",
            createdDateTime=NOW,
            details="over\x1b[31mvoltage",
            functionSet=11,
            logEventCode=2,
            logEventID=1,
            logEventPEN=37244,
            profileID=2,
        )
        page = LogEventPage(items=(LogEventShown(number=4, device=1, event=event, hidden=True),))
        self.api.answers("GET", "/devices/1/logevents", page)
        done = self.api.run("devices", "log", "1", "--limit", "10")
        self.assertEqual(self.api.requests[-1].query, {"limit": "10"})
        self.assertIn("hidden", done.stdout)
        self.assertNotIn("\x1b", done.output)
        self.assertIn("over\N{REPLACEMENT CHARACTER}[31mvoltage", done.stdout)


class ReplaceTests(SynchronousTestCase):
    """`devices replace-certificate` (case B5)."""

    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_by_its_former_lfdi(self) -> None:
        """A device is found by the LFDI that it had before."""
        former = "F" * 40
        self.api.answers("GET", "/devices", DevicePage(items=(device(7),)))
        self.api.answers("GET", "/devices/7", device(7))
        self.assertEqual(self.api.run("devices", "show", former).exit_code, 0)
        self.assertEqual(self.api.requests[0].query["lfdi"], former)

    def test_lfdi(self) -> None:
        """The request names the new LFDI, and whether the old one ends at once."""
        self.api.answers("POST", "/devices/3/certificate", MadeDevice(device=device(3)))
        done = self.api.run("devices", "replace-certificate", "3", "--lfdi", LFDI, "--now")
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(self.api.requests[-1].content, {"lFDI": LFDI, "now": True})
        self.assertIn("The certificate before it works no longer", done.stderr)
        done = self.api.run("devices", "replace-certificate", "3", "--lfdi", LFDI)
        self.assertIn("works until the first request by the new one", done.stderr)

    def test_usage(self) -> None:
        """One source of the new LFDI is needed, and a folder for a key."""
        for options in ((), ("--make-key",), ("--lfdi", LFDI, "--make-key")):
            done = self.api.run("devices", "replace-certificate", "3", *options)
            self.assertEqual(done.exit_code, 2, options)
        self.assertEqual(self.api.requests, [])


class SilentTests(SynchronousTestCase):
    """Who was heard of, and who was not (case B7)."""

    def test_silent(self) -> None:
        """The filter is a moment; the list and a device show the last contact."""
        api = FakeAPI()
        heard = Contact(at=NOW, host="192.0.2.7", refusals=3, refused=NOW, reason="PUT /edev/1/di: wrong")
        api.answers("GET", "/devices", DevicePage(items=(device(1, contact=heard), device(2))))
        done = api.run("devices", "list", "--silent-since", "-24h")
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(int(api.requests[-1].query["silent_since"]), NOW - 86_400)
        self.assertIn("2026-07-01 07:00:00-07:00", done.stdout.splitlines()[1])
        api.answers("GET", "/devices/1", device(1, contact=heard))
        lines = [" ".join(line.split()) for line in api.run("devices", "show", "1").stdout.splitlines()]
        for line in ("From 192.0.2.7", "Requests refused 3", "Why PUT /edev/1/di: wrong"):
            self.assertIn(line, lines)
        api.answers("GET", "/devices/2", device(2))
        self.assertRegex(api.run("devices", "show", "2").stdout, "Last contact +never")


class ImportTests(SynchronousTestCase):
    """Many devices from one file."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("GET", "/groups", GroupPage(items=(group(5, "feeder-1"), group(6, "pilot"))))
        self.api.answers("POST", "/devices", MadeDevice(device=device(1)))

    def file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def test_many(self) -> None:
        """Fifty devices are added in one run, over one connection, and a group is looked up once."""
        lines = [f"dev{n},{n:040X},feeder-1;pilot" for n in range(1, 51)]
        file = self.file("\n".join(("name,lfdi,groups", *lines)))
        done = self.api.run("devices", "import", file, "--idempotency-key", "feeder-1")
        self.assertEqual((done.exit_code, done.stdout), (0, "Added 50 devices.\n"), done.stderr)
        self.assertEqual(len(self.api.connections), 1)
        self.assertEqual(self.api.asked(), ["GET /groups"] * 2 + ["POST /devices"] * 50)
        sent = from_json(NewDevice, self.api.requests[2].content)
        self.assertEqual(sent, NewDevice(name="dev1", lFDI=f"{1:040X}", groups=(5, 6)))
        self.assertEqual(self.api.requests[2].headers["Idempotency-Key"], "feeder-1-2")

    def test_all_columns(self) -> None:
        """A line says all that devices add can say; a certificate is written for its signing request."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "dev9.csr").write_text("REQUEST")
        file = folder / "fleet.csv"
        file.write_text(
            "name,csr,aggregator,pin,category,poll_rate,post_rate,ders,listed\n"
            "dev9,dev9.csr,no,111115,PHOTOVOLTAIC,60,300,2,yes\n"
        )
        self.api.answers("POST", "/devices", MadeDevice(device=device(1), certificate="CERTIFICATE"))
        done = self.api.run("devices", "import", str(file), "--out", str(folder / "out"))
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual((folder / "out" / "dev9.crt").read_text(), "CERTIFICATE")
        self.assertEqual(
            from_json(NewDevice, self.api.requests[-1].content),
            NewDevice(
                name="dev9",
                csr="REQUEST",
                aggregator=False,
                pIN=111115,
                deviceCategory=0x200000,
                pollRate=60,
                postRate=300,
                ders=2,
                registered=False,
            ),
        )

    def test_wrong(self) -> None:
        """What is wrong is told with file and line before anything is added."""
        lfdi = f"{1:040X}"
        for text, what in (
            ("lfdi\n" + lfdi, ":1: no column is called name"),
            ("name,colour\na,b", ":1: no such column: colour"),
            (f"name,lfdi\n,{lfdi}", ":2: has no name"),
            ("name,lfdi\na,", ":2: has one of lfdi and csr"),
            ("name,lfdi\na,12", ":2: "),
            (f"name,lfdi\na,{lfdi}\nb,{lfdi}", f":3: {lfdi} stands in line 2 already"),
            (f"name,lfdi\na,{lfdi}\na,{2:040X}", ":3: a stands in line 2 already"),
            (f"name,lfdi,groups\na,{lfdi},nowhere", ":2: there is no group called 'nowhere'"),
            (f"name,lfdi,pin\na,{lfdi},x", ":2: pin: 'x' is no number"),
            (f"name,lfdi,listed\na,{lfdi},maybe", ":2: listed: 'maybe' is neither yes nor no"),
            (f"name,lfdi\na,{lfdi},more", ":2: has not as many values"),
        ):
            done = self.api.run("devices", "import", self.file(text))
            self.assertEqual(done.exit_code, 2, text)
            self.assertIn(what, done.stderr)
        self.assertNotIn("POST /devices", self.api.asked())

    def test_refused(self) -> None:
        """Where the server refuses one it is told which, and how many were added."""
        self.api.refuses("POST", "/devices", 409, "there is a device a already: 7")
        done = self.api.run("devices", "import", self.file(f"name,lfdi\na,{1:040X}\n"))
        self.assertEqual(done.exit_code, 1)
        self.assertIn(":2: there is a device a already: 7 (409); 0 of 1 devices were added", done.stderr)


class SilentCommandTests(SynchronousTestCase):
    """Devices that are not heard of."""

    def test_silent(self) -> None:
        """Those that are registered and were not heard of since a moment, a day by default (case B7)."""
        api = FakeAPI()
        api.answers("GET", "/devices", DevicePage(items=(device(1),)))
        for options, since in (((), NOW - 86_400), (("--since", "-2h"), NOW - 7200)):
            done = api.run("devices", "silent", *options)
            self.assertEqual(done.exit_code, 0, done.stderr)
            query = api.requests[-1].query
            self.assertEqual((query["silent_since"], query["standing"]), (str(since), "registered"))
