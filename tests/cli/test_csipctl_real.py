"""`csipctl` against the API itself, over a small utility in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.csipctl import csipctl
from csipd.cli.ctl.client import Answer
from csipd.cli.ctl.session import Machine
from csipd.sep2 import resources as r
from csipd.sep2.identity import pretty_lfdi
from csipd.version import VERSION
from tests.cli.fake import ZONE
from tests.support.operator import CERTIFICATE, KEY, Office
from tests.support.world import LISTED, MANAGED, NOW, OWNER, World, caller

NEWCOMER = caller("a device that is added")


class OfficeTransport:
    """The way to an API in memory."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        wire = self._office.wire()
        answer = wire.result(wire.client.request(method, target, body, dict(headers)))
        return Answer(answer.status, answer.headers.get("content-type", "").partition(";")[0], answer.body)

    def stream(self, target: str, headers: Mapping[str, str], take: Callable[[bytes], None]) -> Answer:
        answer = self.send("GET", target, headers, None)
        if answer.status >= 300:
            return answer
        take(answer.body)
        return Answer(answer.status, answer.media_type, b"")

    def close(self) -> None:
        pass


class Case(SynchronousTestCase):
    """A utility, its API, and csipctl for it."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.office = Office(self.world)
        self.addCleanup(self.office.close)
        self.numbers = self.world.numbers

    def sleep(self, seconds: float) -> None:
        self.world.now += seconds

    def ctl(self, *arguments: str, code: int = 0, input: str = "") -> Result:
        """One run, which has to end with this exit code."""
        machine = Machine(
            connect=lambda *_: OfficeTransport(self.office),
            now=lambda: self.world.now,
            sleep=self.sleep,
            zone=ZONE,
        )
        done = CliRunner().invoke(
            csipctl, arguments, input=input, obj=machine, catch_exceptions=False, prog_name="csipctl"
        )
        self.assertEqual(done.exit_code, code, f"{arguments}: {done.output}")
        return done

    def lines(self, *arguments: str, **how: Any) -> list[str]:
        """Standard output, blanks made one."""
        return [" ".join(line.split()) for line in self.ctl(*arguments, **how).stdout.splitlines()]

    def json(self, *arguments: str) -> Any:
        """The document on standard output."""
        return json.loads(self.ctl("--json", *arguments).stdout)


class DeviceTests(Case):
    def test_list_and_show(self) -> None:
        """Devices are listed, filtered and found by number, name and LFDI."""
        everybody = self.json("devices", "list", "--all")["items"]
        self.assertGreater(len(everybody), 8)
        names = [one["name"] for one in self.json("devices", "list", "--standing", "withdrawn")["items"]]
        self.assertEqual(names, ["withdrawn"])
        fleet = self.json("devices", "list", "--manager", "aggregator")["items"]
        self.assertEqual({one["name"] for one in fleet}, {"aggregator", "managed", "bare", "unregistered"})
        for called in (str(self.numbers.owner), "owner", pretty_lfdi(OWNER.lfdi)):
            self.assertIn(f"Device {self.numbers.owner}", self.lines("devices", "show", called))
        under = self.json("devices", "list", "--group", "Feeder A")["items"]
        self.assertEqual(under, self.json("groups", "devices", "Feeder A", "--all")["items"])

    def test_pages(self) -> None:
        """Each `next` that is named leads on, to the same devices as --all."""
        everybody = [one["number"] for one in self.json("devices", "list", "--all")["items"]]
        found, more = [], ()
        while True:
            done = self.ctl("devices", "list", "--limit", "3", *more)
            found += [int(line.split()[0]) for line in done.stdout.splitlines()[1:]]
            following = re.search(r"--after (\d+)", done.stderr)
            if following is None:
                break
            more = ("--after", following[1])
        self.assertEqual(found, everybody)

    def test_life(self) -> None:
        """A device is added, changed, moved, shut out, readmitted and removed; all is in the audit log."""
        self.ctl(
            *(
                "devices",
                "add",
                "new1",
                "--lfdi",
                pretty_lfdi(NEWCOMER.lfdi),
                "--listed",
                "--group",
                "Campaign",
            ),
            *("--category", "PHOTOVOLTAIC", "--pin", "111115"),
        )
        made = self.json("devices", "show", "new1")
        self.assertEqual(
            (made["standing"], made["pIN"], made["deviceCategory"]), ("listed", 111115, "00200000")
        )
        self.assertEqual(made["groups"], [self.numbers.campaign])
        self.assertIn("Standing registered", self.lines("devices", "register", "new1"))
        changed = self.lines("devices", "change", "new1", "--post-rate", "77", "--manager", "aggregator")
        self.assertIn("Post rate 77 s", changed)
        self.assertIn(f"Managed by aggregator ({self.numbers.aggregator})", changed)
        self.assertNotIn("manager", self.json("devices", "change", "new1", "--no-manager"))
        moved = self.json("devices", "move", "new1", "Feeder B", str(self.numbers.campaign), "--yes")
        self.assertEqual(set(moved["groups"]), {self.numbers.feeder_b, self.numbers.campaign})
        self.assertNotIn("groups", self.json("devices", "move", "new1", "--nowhere", "--yes"))
        self.assertIn("Standing withdrawn", self.lines("devices", "withdraw", "new1", "--yes"))
        self.assertEqual(self.world.get(NEWCOMER, "/edev").status, 404)
        self.ctl("devices", "withdraw", "new1", "--yes", code=1)
        self.assertIn("Standing registered", self.lines("devices", "readmit", "new1"))
        self.assertEqual(self.world.get(NEWCOMER, "/edev").status, 200)
        self.assertEqual(self.ctl("devices", "remove", "new1", "--yes").stdout, "Done.\n")
        said = self.json("audit", "list", "--who", "alice", "--subject", made["href"])["items"]
        actions = [one["action"] for one in said]
        self.assertEqual(actions[-1], "add")
        self.assertEqual(actions[0], "remove")
        self.assertEqual(
            len(self.lines("audit", "list", "--who", "alice", "--subject", made["href"])), len(said) + 1
        )

    def test_key_and_its_repetition(self) -> None:
        """A key is written once; the same request again makes nothing, and there is no key to write."""
        self.office.issue(NEWCOMER, KEY)
        folder = Path(self.mktemp())
        add = ("devices", "add", "new1", "--make-key", "--idempotency-key", "once")
        self.ctl(*add, "--out", str(folder))
        self.assertEqual((folder / "new1.pem").read_text(), KEY)
        self.assertEqual((folder / "new1.crt").read_text(), CERTIFICATE)
        again = folder / "again"
        done = self.ctl(*add, "--out", str(again), code=1)
        self.assertIn("new1.pem", done.stderr)
        self.assertEqual(list(again.iterdir()), [])
        self.assertIn(
            "(422)", self.ctl("devices", "add", "new2", *add[3:], "--out", str(again), code=1).stderr
        )

    def test_refusals(self) -> None:
        """What the API refuses is one line with pointers or parameters."""
        done = self.ctl("devices", "add", "x", "--lfdi", NEWCOMER.lfdi, "--group", "999", code=1)
        self.assertEqual(done.stderr, "csipctl: Refused values; /groups/0: there is no group 999 (400)\n")
        done = self.ctl("devices", "list", "--name", "n" * 200, code=1)
        self.assertIn("name: has 1 to 128 characters (400)", done.stderr)
        self.assertIn("there is no device 999 (404)", self.ctl("devices", "show", "999", code=1).stderr)
        self.assertIn("(409)", self.ctl("devices", "register", "owner", code=1).stderr)

    def test_state(self) -> None:
        """What a device should be doing is told mode by mode with units and causes, and what it reported."""
        report = r.DERStatus(inverterStatus=r.InverterStatusType(dateTime=NOW, value=4), readingTime=NOW)
        self.world.put(OWNER, f"/edev/{self.numbers.owner}/der/1/ders", report)
        lines = self.lines("devices", "state", "owner")
        acting = [line for line in lines if line.startswith("opModFixedW 50 % control")]
        self.assertEqual(len(acting), 1)
        self.assertIn(f"control {self.numbers.active} of program", acting[0])
        self.assertTrue(
            any(re.fullmatch(r"opModConnect yes default of program SP1 \(\d+\).*", line) for line in lines),
            lines,
        )
        self.assertTrue(any(line.startswith("inverterStatus 4 since") for line in lines), lines)

    def test_exports(self) -> None:
        """What devices logged, answered and raised comes out as CSV and as JSON."""
        for what in ("responses", "alarms", "log"):
            lines = self.ctl("export", what).stdout.splitlines()
            rows = json.loads(self.ctl("--json", "export", what).stdout)
            self.assertEqual(len(lines), 1 + len(rows), what)
            self.assertIn("device_name", lines[0])
        self.assertIn(",other,", self.ctl("export", "alarms").stdout)

    def test_log_and_alarms(self) -> None:
        """A log event is an alarm until that of its end comes."""
        path = f"/edev/{self.numbers.owner}/lel"
        raised = r.LogEvent(
            createdDateTime=NOW,
            functionSet=11,
            logEventCode=2,
            logEventID=1,
            logEventPEN=37244,
            profileID=2,
            details="phase A",
        )
        self.assertEqual(self.world.post(OWNER, path, raised).status, 201)
        self.assertIn("phase A", self.ctl("devices", "log", "owner").stdout)
        self.assertIn(" open ", self.ctl("alarms", "list", "--open", "--device", "owner").stdout)
        self.world.post(OWNER, path, raised.replace(logEventCode=3, logEventID=2, createdDateTime=NOW + 60))
        self.assertEqual(self.ctl("alarms", "list", "--open", "--device", "owner").stdout, "")
        self.assertEqual(
            self.ctl("alarms", "list", "--device", "owner").stdout.count("2025-12-31 16:00:00-08:00"), 2
        )


class ProgramTests(Case):
    def test_groups(self) -> None:
        """The topology is a tree; groups are made, hung elsewhere and removed."""
        tree = self.ctl("groups", "list").stdout
        self.assertIn(f"─ {self.numbers.feeder_a} Feeder A - feeder - ", tree)
        self.ctl("groups", "add", "Segment 7", "--parent", "Feeder A", "--level", "segment")
        self.assertIn(f"Below Feeder A ({self.numbers.feeder_a})", self.lines("groups", "show", "Segment 7"))
        self.assertIn(
            f"Below Feeder B ({self.numbers.feeder_b})",
            self.lines("groups", "change", "Segment 7", "--parent", "Feeder B", "--yes"),
        )
        self.assertNotIn("parent", self.json("groups", "change", "Segment 7", "--top", "--yes"))
        self.assertEqual(self.ctl("groups", "remove", "Segment 7", "--yes").stdout, "Done.\n")
        self.assertIn("(409)", self.ctl("groups", "remove", "Feeder A", "--yes", code=1).stderr)
        self.assertIn(
            "/parent: is not of a level above",
            self.ctl("groups", "add", "x", "--parent", "Feeder A", "--level", "0", code=1).stderr,
        )

    def test_programs(self) -> None:
        """Programs are made, changed and retired."""
        self.ctl("programs", "add", "New", "--primacy", "5", "--group", "Feeder B")
        self.assertIn("Primacy 5", self.lines("programs", "show", "New"))
        changed = self.lines("programs", "change", "New", "--primacy", "6", "--group", "Campaign", "--yes")
        self.assertIn("Primacy 6", changed)
        self.assertIn(f"For group Campaign ({self.numbers.campaign})", changed)
        self.ctl("programs", "remove", "New", "--yes")
        (line,) = [line for line in self.lines("programs", "list", "--all") if " New " in line]
        self.assertIn("2025-12-31 16:00:00-08:00", line)

    def test_defaults_and_curves(self) -> None:
        """A curve is added from a file and used in a default by its description; in use it is not removed."""
        file = Path(self.mktemp())
        file.write_text(
            "curveType: opModVoltVar\nCurveData:\n- {xvalue: 92, yvalue: 44}\n- {xvalue: 108, yvalue: -44}\n"
        )
        self.assertIn(
            "opModVoltVar",
            self.ctl("programs", "curves", "add", "SY", "--file", str(file), "--description", "VV").stdout,
        )
        (curve,) = self.json("programs", "curves", "list", "SY")["items"]
        shown = self.lines(
            *("programs", "default", "set", "SY", "--set", "opModVoltVar=VV", "--set", "opModMaxLimW=80%"),
            *("--set", "setGradW=0.27%/s", "--yes"),
        )
        for line in (f"opModVoltVar {curve['href']}", "opModMaxLimW 80 %", "setGradW 0.27 %/s"):
            self.assertIn(line, shown)
        self.assertEqual(self.lines("programs", "default", "show", "SY"), shown)
        number = curve["href"].rpartition("/")[2]
        self.ctl("programs", "curves", "remove", "SY", number, code=1)
        self.ctl("programs", "default", "clear", "SY", "--yes")
        self.ctl("programs", "default", "show", "SY", code=1)
        self.assertEqual(self.ctl("programs", "curves", "remove", "SY", number).stdout, "Done.\n")

    def test_points(self) -> None:
        """A power factor's curve has sides, on the command line too."""
        self.ctl(
            *("programs", "curves", "add", "SY", "--type", "opModWattPF", "--y-multiplier", "-2"),
            *("--point", "0,100,false", "--point", "100,90,true"),
        )
        self.assertIn("(100, 90 absorbing)", self.ctl("programs", "curves", "list", "SY").stdout)


class ControlTests(Case):
    def answer(self, mrid: str, *statuses: int) -> None:
        """OWNER answers an event."""
        for status in statuses:
            response = r.DERControlResponse(
                createdDateTime=int(self.world.now), endDeviceLFDI=OWNER.lfdi, status=status, subject=mrid
            )
            self.assertEqual(self.world.post(OWNER, "/rsps/1/rsp", response).status, 201)

    def test_from_preview_to_the_end(self) -> None:
        """A control is previewed, asked about, made, seen by its device, watched to its end, and listed."""
        what = ("--program", "SP1", "--duration", "10m", "--set", "opModFixedW=20%", "--start", "+20s")
        self.assertTrue(
            any(
                line.startswith(f"{self.numbers.active} ")
                for line in self.lines("controls", "preview", *what)
            )
        )
        before = self.json("status")["controls_scheduled"]
        self.ctl("controls", "create", *what, code=5)
        self.assertEqual(self.json("status")["controls_scheduled"], before)
        self.ctl("controls", "create", *what, "--description", "peak", input="y\n")
        (made,) = [
            one for one in self.json("controls", "list", "--program", "SP1")["items"] if "peak" in str(one)
        ]
        number, event = str(made["number"]), made["control"]
        self.assertEqual(event["interval"], {"duration": 600, "start": NOW + 20})
        self.assertEqual(event["DERControlBase"], {"opModFixedW": 2000})
        self.assertEqual(self.world.get(OWNER, made["href"]).status, 200)
        self.answer(event["mRID"], 1)
        saw: list[float] = []

        def live(seconds: float) -> None:
            self.world.now += seconds
            saw.append(self.world.now)
            if len(saw) == 1:
                self.answer(event["mRID"], 2)
            if self.world.now - seconds < NOW + 620 <= self.world.now:
                self.answer(event["mRID"], 3)

        self.patch(self, "sleep", live)
        watched = self.lines("controls", "watch", number, "--every", "5m")
        statuses = [line.split()[1] for line in watched if line.startswith(f"{number} ")]
        self.assertEqual(statuses[0], "scheduled")
        self.assertIn("active", statuses)
        self.assertEqual(statuses[-1], "completed")
        self.assertIn("Made by alice", self.lines("controls", "show", number))
        said = self.lines("responses", "answers", number)
        for line in ("Received 1", "Started 1", "Completed 1"):
            self.assertIn(line, said)
        meanings = [one["meaning"] for one in self.json("responses", "list", "--control", number)["items"]]
        self.assertEqual(meanings, ["completed", "started", "received"])
        self.assertEqual(self.ctl("responses", "list", "--control", number, "--flagged").stdout, "")

    def test_named_devices(self) -> None:
        """A control for named devices is one for the own program of each."""
        done = self.json(
            *("controls", "create", "--device", "owner", "--device", "managed", "--duration", "1h", "--yes"),
            *("--set", "opModTargetW=2500", "--randomize-start", "-30", "--response-required", "07"),
        )
        self.assertEqual(len(done["items"]), 2)
        for one, who in zip(done["items"], (OWNER, MANAGED), strict=True):
            self.assertEqual(
                one["control"]["DERControlBase"]["opModTargetW"], {"multiplier": 0, "value": 2500}
            )
            self.assertEqual(self.world.get(who, one["href"]).status, 200)
        own = self.json("programs", "show", str(done["items"][0]["program"]))
        self.assertEqual(own["device"], self.numbers.owner)
        self.assertIn(
            f"For device owner ({self.numbers.owner})", self.lines("programs", "show", str(own["number"]))
        )

    def test_group_and_curve(self) -> None:
        """For a group a curve of its program is found by description."""
        made = self.json(
            *("controls", "create", "--group", "Feeder A", "--duration", "1h", "--start", "in 5m", "--yes"),
            *("--set", "opModVoltVar=volt-var"),
        )
        (one,) = made["items"]
        self.assertEqual(
            one["control"]["DERControlBase"], {"opModVoltVar": {"href": f"/derp/{one['program']}/dc/1"}}
        )

    def test_cancel(self) -> None:
        """A control is cancelled with its reason, once; and found by how it stands."""
        number = str(self.numbers.scheduled)
        self.assertIn(
            number, [line.split()[0] for line in self.lines("controls", "list", "--status", "scheduled")]
        )
        lines = self.lines("controls", "cancel", number, "--reason", "no need", "--randomized", "--yes")
        self.assertIn("Status cancelled", lines)
        self.sleep(1)
        self.assertIn("Reason no need", self.lines("controls", "show", number))
        listed = self.lines("controls", "list", "--status", "cancelled", "--since", "-1h", "--until", "in 2h")
        self.assertEqual([line.split()[0] for line in listed[1:]], [number])
        self.assertIn("(409)", self.ctl("controls", "cancel", number, code=1).stderr)

    def test_refused(self) -> None:
        """A control that makes no sense is refused with pointers."""
        line = ("controls", "create", "--program", "SP1", "--yes", "--duration")
        self.assertIn(
            "/base/opModMaxLimW", self.ctl(*line, "1h", "--set", "opModMaxLimW=101%", code=1).stderr
        )
        self.assertIn("/base/opModMaxLim:", self.ctl(*line, "1h", "--set", "opModMaxLim=1", code=1).stderr)
        done = self.ctl(*line, "1m", "--start", "-1h", "--set", "opModMaxLimW=1%", code=1)
        self.assertIn("(400)", done.stderr)

    def test_same_key_again(self) -> None:
        """Asked again under the same key, a control is made once."""
        line = (
            "controls",
            "create",
            "--program",
            "SP1",
            "--duration",
            "1h",
            "--yes",
            "--start",
            "@1767229200",
        )
        line += ("--set", "opModMaxLimW=1%", "--idempotency-key", "k1")
        first, second = self.json(*line), self.json(*line)
        self.assertEqual(first, second)
        number = first["items"][0]["number"]
        self.assertEqual(
            max(one["number"] for one in self.json("controls", "list", "--all")["items"]), number
        )


class StatusTests(Case):
    def test_status(self) -> None:
        """The server says how it is."""
        lines = self.lines("status")
        self.assertIn(f"csipd {VERSION}", lines)
        self.assertIn("Time 2025-12-31 16:00:00-08:00", lines)
        self.assertTrue(any(re.fullmatch(r"Devices \d+", line) for line in lines))

    def test_listed_devices(self) -> None:
        """A device that is only listed is shown as such."""
        self.assertIn("Standing listed", self.lines("devices", "show", LISTED.lfdi))
