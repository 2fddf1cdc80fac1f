"""`csipctl controls`: made, previewed, asked about, watched, cancelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.errors import ServerFailed, Unreachable
from csipd.cli.ctl.views.controls import is_over
from csipd.sep2 import resources as r
from csipd.web.admin.controls import Cancellation, ControlPage, Displaced, MadeControls, NewControl
from csipd.web.admin.curves import CurvePage
from csipd.web.admin.devices import DevicePage
from csipd.web.admin.groups import GroupPage
from csipd.web.admin.summary import Consequences
from csipd.web.json_form import from_json
from tests.cli import fake
from tests.cli.fake import NOW, FakeAPI, answers, control, curve, preview, superseded

LIMIT = ("--duration", "2h", "--set", "opModMaxLimW=60%")


class RequestTests(SynchronousTestCase):
    """What is asked for when a control is to be made."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("POST", "/controls/preview", preview(devices=3, sample=(1, 2, 3), programs=(1,)))
        self.api.answers("POST", "/controls", MadeControls(items=(control(),)))

    def request(self, *options: str) -> NewControl:
        """What `create` sends, read as the API reads it."""
        done = self.api.run("controls", "create", *options, input="y\n")
        self.assertEqual(done.exit_code, 0, done.stderr)
        return from_json(NewControl, self.api.requests[-1].content)

    def test_all_of_it(self) -> None:
        """Every option has its place in the request."""
        made = self.request(
            *(
                "--program",
                "1",
                *LIMIT,
                "--start",
                "16:00",
                "--description",
                "peak",
                "--randomize-start",
                "-60",
            ),
            *("--randomize-duration", "300", "--category", "PHOTOVOLTAIC", "--response-required", "0f"),
        )
        self.assertEqual(
            made,
            NewControl(
                program=1,
                description="peak",
                start=NOW + 9 * 3600,
                duration=7200,
                randomizeStart=-60,
                randomizeDuration=300,
                deviceCategory=0x200000,
                responseRequired=15,
                base=r.DERControlBase(opModMaxLimW=6000),
            ),
        )

    def test_start(self) -> None:
        """A start is a step from now, a time of day or a date; without one none is sent."""
        self.assertEqual(self.request("--program", "1", *LIMIT, "--start", "+20s").start, NOW + 20)
        self.assertEqual(self.request("--program", "1", *LIMIT, "--start", "in 5m").start, NOW + 300)
        self.assertEqual(self.request("--program", "1", *LIMIT, "--start", "06:00").start, NOW + 23 * 3600)
        self.assertEqual(
            self.request("--program", "1", *LIMIT, "--start", "2026-07-01T08:00").start, NOW + 3600
        )
        self.assertEqual(self.request("--program", "1", *LIMIT).start, None)

    def test_zone(self) -> None:
        """--zone says where a time without offset is, and in which times are shown."""
        done = self.api.run(
            "--zone", "UTC", "controls", "create", "--program", "1", *LIMIT, "--start", "16:00"
        )
        self.assertEqual(self.api.requests[-1].content["start"], NOW + 2 * 3600)
        self.assertIn("2026-07-01 15:00:00+00:00", done.stdout)

    def test_targets(self) -> None:
        """A group and devices are found by name."""
        self.api.answers("GET", "/groups", GroupPage(items=(fake.group(5, "feeder-1"),)))
        self.api.answers("GET", "/groups/5", fake.group(5, "feeder-1", programs=(1,)))
        self.assertEqual(self.request("--group", "feeder-1", *LIMIT).group, 5)
        self.api.answers("GET", "/devices", DevicePage(items=(fake.device(8, "dev8"),)))
        self.assertEqual(self.request("--device", "dev8", "--device", "3", *LIMIT).devices, (8, 3))

    def test_group_without_program(self) -> None:
        """A group that has no program, or several, is reported with what to do."""
        self.api.answers("GET", "/groups/5", fake.group(5, "feeder-1"))
        done = self.api.run("controls", "create", "--group", "5", *LIMIT)
        self.assertEqual(done.exit_code, 1)
        self.assertIn("csipctl programs add 'For 5' --primacy 7 --group 5", done.stderr)
        several = fake.group(5, "feeder-1", programs=(1, 2), program_names=("A", "B"))
        self.api.answers("GET", "/groups/5", several)
        done = self.api.run("controls", "create", "--group", "5", *LIMIT)
        self.assertIn("say which by --program: A (1), B (2)", done.stderr)
        self.assertEqual(set(self.api.asked()), {"GET /groups/5"})

    def test_one_target(self) -> None:
        """Program, group and devices exclude each other, and one of them is needed."""
        for target in ((), ("--program", "1", "--group", "2"), ("--program", "1", "--device", "2")):
            self.assertEqual(self.api.run("controls", "create", *target, *LIMIT).exit_code, 2)
        self.assertEqual(self.api.requests, [])

    def test_base_file(self) -> None:
        """Modes come from a file, over which --set is laid."""
        file = Path(self.mktemp())
        file.write_text("opModMaxLimW: 50%\nopModFixedPFInjectW: {displacement: 95, multiplier: -2}\n")
        made = self.request(
            *("--program", "1", "--duration", "1h", "--base", str(file)),
            *("--set", "opModFixedPFInjectW.excitation=true", "--set", "opModMaxLimW=40%"),
        )
        factor = r.PowerFactorWithExcitation(displacement=95, excitation=True, multiplier=-2)
        self.assertEqual(made.base, r.DERControlBase(opModMaxLimW=4000, opModFixedPFInjectW=factor))

    def test_quantities(self) -> None:
        """A quantity may be a plain number, which the API scales."""
        made = self.request("--program", "1", "--duration", "1h", "--set", "opModTargetW=2500.5")
        self.assertEqual(made.base.opModTargetW, r.ActivePower(multiplier=-1, value=25005))

    def test_nothing_to_control(self) -> None:
        """A control without a mode, duration, or with a mode that is none is wrong usage."""
        for options in (
            ("--duration", "2h"),
            ("--set", "opModMaxLimW=1"),
            ("--duration", "2h", "--set", "opModMaxLimW"),
            ("--duration", "long", "--set", "opModMaxLimW=1"),
            ("--duration", "2h", "--set", "opModMaxLimW=1", "--start", "whenever"),
            ("--duration", "2h", "--base", "nowhere.yml"),
            ("--duration", "2h", "--set", "opModMaxLimW=1", "--randomize-start", "3601"),
            ("--duration", "2h", "--set", "opModMaxLimW=1", "--response-required", "3"),
        ):
            self.assertEqual(
                self.api.run("controls", "create", "--program", "1", *options).exit_code, 2, options
            )
        self.assertEqual(self.api.requests, [])

    def test_idempotency(self) -> None:
        """What is made has a key, what is only previewed has none."""
        self.request("--program", "1", *LIMIT)
        preview, create = self.api.requests
        self.assertEqual(preview.path, "/controls/preview")
        self.assertNotIn("Idempotency-Key", preview.headers)
        self.assertIn("Idempotency-Key", create.headers)
        self.assertEqual(preview.content, create.content)


class CurveTests(SynchronousTestCase):
    """Curves by description or href."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("POST", "/controls/preview", preview(devices=1))
        curves = (curve(1, "other"), curve(2), curve(3, kind=12), curve(4, "twice"), curve(5, "twice"))
        self.api.answers("GET", "/programs/1/curves", CurvePage(items=curves))

    def preview(self, *options: str) -> Any:
        return self.api.run("controls", "preview", "--duration", "1h", *options)

    def test_by_description(self) -> None:
        """A curve of the program is found by description and type of the mode."""
        self.preview(
            "--program", "1", "--set", "opModVoltVar=Volt-VAR 1", "--set", "opModVoltWatt=Volt-VAR 1"
        )
        self.assertEqual(
            from_json(NewControl, self.api.requests[-1].content).base,
            r.DERControlBase(
                opModVoltVar=r.DERCurveLink(href="/derp/1/dc/2"),
                opModVoltWatt=r.DERCurveLink(href="/derp/1/dc/3"),
            ),
        )
        self.assertEqual(self.api.asked().count("GET /programs/1/curves"), 1)

    def test_by_href(self) -> None:
        """An href is taken as it is, and nothing is looked up."""
        for setting in ("opModVoltVar=/derp/1/dc/2", "opModVoltVar.href=/derp/1/dc/2"):
            self.preview("--program", "1", "--set", setting)
            self.assertEqual(
                self.api.requests[-1].content["base"], {"opModVoltVar": {"href": "/derp/1/dc/2"}}
            )
        self.assertEqual(set(self.api.asked()), {"POST /controls/preview"})

    def test_of_a_group(self) -> None:
        """For a group the curves of its programs are meant."""
        self.api.answers("GET", "/groups/5", fake.group(5, programs=(2,)))
        self.api.answers("GET", "/programs/2/curves", CurvePage(items=(curve(9, "far", program=2),)))
        self.preview("--group", "5", "--set", "opModVoltVar=far")
        self.assertEqual(self.api.requests[-1].content["base"], {"opModVoltVar": {"href": "/derp/2/dc/9"}})

    def test_unknown(self) -> None:
        """A curve that is not there, is there twice, or cannot be told is refused here."""
        for target, setting in (
            (("--program", "1"), "opModVoltVar=nothing"),
            (("--program", "1"), "opModWattVar=Volt-VAR 1"),
            (("--program", "1"), "opModVoltVar=twice"),
            (("--device", "1"), "opModVoltVar=Volt-VAR 1"),
        ):
            done = self.preview(*target, "--set", setting)
            self.assertEqual(done.exit_code, 1, setting)
            self.assertIn("curve", done.stderr)
        self.assertNotIn("POST /controls/preview", self.api.asked())


class AskingTests(SynchronousTestCase):
    """When the operator is asked, and what then happens."""

    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("POST", "/controls", MadeControls(items=(control(),)))
        self.api.answers(
            "POST", "/controls/preview", preview(devices=3, warnings=("2 devices do not support it",))
        )

    def create(self, *options: str, input: str = "", before: tuple[str, ...] = ()) -> Any:
        return self.api.run(*before, "controls", "create", "--program", "1", *LIMIT, *options, input=input)

    def test_yes(self) -> None:
        """After a yes the control is made."""
        for word in ("y", "yes", "Y", " YES "):
            done = self.create(input=f"{word}\n")
            self.assertEqual(done.exit_code, 0, word)
            self.assertIn("warning: 2 devices do not support it", done.stdout)
            self.assertIn("Make this control? [y/N]", done.stderr)
            self.assertEqual(self.api.asked()[-1], "POST /controls")

    def test_no(self) -> None:
        """After anything else, and at the end of input, nothing is made and the exit code is 5."""
        for word in ("n\n", "\n", "no\n", "yeah\n", ""):
            done = self.create(input=word)
            self.assertEqual(done.exit_code, 5, word)
            self.assertIn("csipctl: nothing was done", done.stderr)
        self.assertNotIn("POST /controls", self.api.asked())

    def test_always(self) -> None:
        """It is asked also where nothing stands against it, after what it will do was said (case B2)."""
        said = "3 devices will limit active power to 60 % of its maximum (opModMaxLimW)."
        self.api.answers("POST", "/controls/preview", preview(summary=(said,)))
        done = self.create()
        self.assertEqual(done.exit_code, 5)
        self.assertEqual(done.stdout.splitlines()[0], said)

    def test_unit(self) -> None:
        """A percentage without its sign is asked about, and refused where nobody is asked (case B2)."""
        bare = ("--program", "1", "--duration", "2h", "--set", "opModMaxLimW=60")
        done = self.api.run("controls", "create", *bare, input="y\n")
        warning = "warning: opModMaxLimW=60 has no unit and means 0.6 %: for 60 % write opModMaxLimW=60%"
        self.assertIn(warning, done.stdout.splitlines())
        self.assertEqual(self.api.requests[-1].content["base"], {"opModMaxLimW": 60})
        asked = len(self.api.requests)
        done = self.api.run("controls", "create", *bare, "--yes")
        self.assertEqual((done.exit_code, len(self.api.requests)), (2, asked))
        self.assertIn("opModMaxLimW=60%", done.stderr)
        file = Path(self.mktemp())
        file.write_text("opModMaxLimW: 60\n")
        done = self.api.run(
            *("controls", "create", "--program", "1", "--duration", "2h", "--base", str(file), "--yes")
        )
        self.assertEqual(done.exit_code, 2)
        done = self.create("--yes")
        self.assertEqual(done.exit_code, 0)
        self.assertIn("0.6 %", self.api.run("controls", "preview", *bare).stderr)

    def test_yes_beforehand(self) -> None:
        """With --yes nothing is previewed or asked; warnings of what was made are shown."""
        self.api.answers("POST", "/controls", MadeControls(items=(control(),), warnings=("careful",)))
        done = self.create("--yes")
        self.assertEqual((done.exit_code, self.api.asked()), (0, ["POST /controls"]))
        self.assertIn("warning: careful", done.stdout)

    def test_json(self) -> None:
        """In JSON only the answer is on standard output; preview and question stand beside it."""
        done = self.create(input="y\n", before=("--json",))
        self.assertEqual(json.loads(done.stdout)["items"][0]["number"], 12)
        self.assertIn("2 devices do not support it", done.stderr)
        self.assertIn("[y/N]", done.stderr)

    def test_refused(self) -> None:
        """What the server refuses is said with pointers, and is exit code 1."""
        self.api.refuses(
            "POST",
            "/controls/preview",
            422,
            "The control cannot be made.",
            ("/base/opModMaxLimW", "expected an integer from 0 to 10000"),
            ("/duration", "it would end in the past"),
        )
        done = self.create()
        self.assertEqual(done.exit_code, 1)
        self.assertEqual(
            done.stderr,
            "csipctl: The control cannot be made; /base/opModMaxLimW: expected an integer from 0 to 10000;"
            " /duration: it would end in the past (422)\n",
        )

    def test_many(self) -> None:
        """Of many controls that were made, one for each device, the first are shown and the rest counted."""
        self.api.answers("POST", "/controls", MadeControls(items=tuple(control(n) for n in range(1, 31))))
        done = self.create("--yes")
        self.assertIn("control 20", done.stdout)
        self.assertNotIn("control 21", done.stdout)
        self.assertIn("and 10 more", done.stderr)


class PreviewTests(SynchronousTestCase):
    def test_preview(self) -> None:
        """A preview says how many devices and which programs, what supersedes what, and the warnings."""
        api = FakeAPI()
        shown = preview(
            devices=1200,
            sample=(1, 2, 3),
            names=("dev1", "dev2", "dev3"),
            programs=(1,),
            supersedes=(
                superseded(
                    11, program=1, modes=("opModMaxLimW", "opModConnect"), wholly=False, uncovered=1740
                ),
            ),
            superseded_by=(superseded(10, program=2, modes=("opModMaxLimW",), wholly=True),),
            warnings=("8 devices do not support opModMaxLimW",),
        )
        api.answers("POST", "/controls/preview", shown)
        lines = [
            " ".join(line.split())
            for line in api.run("controls", "preview", "--program", "1", *LIMIT).stdout.splitlines()
        ]
        period = "2026-07-01 07:00:00-07:00 2026-07-01 08:00:00-07:00"
        for line in (
            "3 devices will do it.",
            "Start 2026-07-01 07:00:00-07:00",
            "End 2026-07-01 08:00:00-07:00",
            "Devices 1200: dev1 (1), dev2 (2), dev3 (3) and 1197 more",
            "Programs 1",
            f"11 Feeder 1 (1) {period} opModMaxLimW, opModConnect in part 29m",
            f"10 Feeder 1 (2) {period} opModMaxLimW wholly",
            "warning: 8 devices do not support opModMaxLimW",
        ):
            self.assertIn(line, lines)
        done = api.run("--json", "controls", "preview", "--program", "1", *LIMIT)
        self.assertEqual(json.loads(done.stdout)["devices"], 1200)


class LookingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_displaced(self) -> None:
        """A control that is active by its list and does not run is told apart (case B3)."""
        lost = Displaced(control=13, program=2, modes=("opModMaxLimW",), devices=4)
        one = control(status="active").replace(displaced=(lost,))
        self.api.answers("GET", "/controls", ControlPage(items=(one, control(14, "active"))))
        found = self.api.run("controls", "list").stdout.splitlines()
        self.assertEqual([("active, displaced" in line) for line in found[1:]], [True, False])
        self.api.answers("GET", "/controls/12", one)
        said = self.api.run("controls", "show", "12").stdout
        expected = "control 13 of program 2 took opModMaxLimW on 4 devices, where it does not resume"
        self.assertIn(expected, " ".join(said.split()))

    def test_displaced_in_part(self) -> None:
        """One that has lost some of its modes says so, and by which control (case B3)."""
        lost = Displaced(control=13, program=1000000000001, program_name="own program of dev1", devices=1)
        one = control(status="active")
        both = one.control.DERControlBase.replace(opModConnect=True, opModMaxLimW=6000)
        one = one.replace(control=one.control.replace(DERControlBase=both))
        for modes, expected in (
            (("opModMaxLimW",), "active, in part displaced by 13"),
            (("opModConnect", "opModMaxLimW"), "active, displaced by 13"),
        ):
            shown = one.replace(displaced=(lost.replace(modes=modes), lost.replace(modes=modes)))
            self.api.answers("GET", "/controls", ControlPage(items=(shown,)))
            self.assertIn(expected, self.api.run("controls", "list").stdout)
        self.api.answers("GET", "/controls/12", shown)
        said = " ".join(self.api.run("controls", "show", "12").stdout.split())
        whose = "control 13 of the own program of dev1 (1000000000001)"
        self.assertIn(f"{whose} took opModConnect and opModMaxLimW on 1 device, where it", said)

    def test_list(self) -> None:
        """Controls are filtered by program, status and times that may have passed."""
        self.api.answers("GET", "/controls", ControlPage(items=(control(),)))
        done = self.api.run(
            *(
                "controls",
                "list",
                "--program",
                "1",
                "--status",
                "active",
                "--since",
                "-24h",
                "--until",
                "06:00",
            )
        )
        self.assertEqual(
            self.api.requests[-1].query,
            {
                "program": "1",
                "status": "active",
                "since": str(NOW - 86400),
                "until": str(NOW - 3600),
                "limit": "50",
            },
        )
        line = " ".join(done.stdout.splitlines()[1].split())
        self.assertEqual(line, "12 1 scheduled 2026-07-01 08:00:00-07:00 2h opModMaxLimW 60 % control 12")
        self.assertEqual(self.api.run("controls", "list", "--status", "gone").exit_code, 2)

    def test_show(self) -> None:
        """One control is shown with its interval, modes and who made it."""
        self.api.answers("GET", "/controls/12", control(randomizeStart=-60, deviceCategory=0x200000))
        lines = [
            " ".join(line.split()) for line in self.api.run("controls", "show", "12").stdout.splitlines()
        ]
        for line in (
            "Status scheduled",
            "Start 2026-07-01 08:00:00-07:00",
            "Duration 2h",
            "End 2026-07-01 10:00:00-07:00",
            "Start randomized by -60 s",
            "For PHOTOVOLTAIC",
            "opModMaxLimW 60 %",
            "Responses wanted 03",
            "Made by admin",
        ):
            self.assertIn(line, lines)

    def test_cancel(self) -> None:
        """A control is cancelled with a reason, at once or at random, after it was said what that means."""
        said = "Control 12 'peak' of program 'Feeder 1' (1) will be cancelled."
        self.api.answers("POST", "/controls/12/cancel/preview", Consequences(summary=(said,)))
        self.api.answers("POST", "/controls/12/cancel", control(status="cancelled"))
        done = self.api.run("controls", "cancel", "12")
        self.assertEqual((done.exit_code, done.stdout.splitlines()[0]), (5, said))
        self.assertNotIn("POST /controls/12/cancel", self.api.asked())
        self.assertIn("cancelled", self.api.run("controls", "cancel", "12", input="y\n").stdout)
        self.assertEqual(self.api.requests[-1].content, {})
        self.api.run("controls", "cancel", "12", "--randomized", "--reason", "forecast was wrong", "--yes")
        self.assertEqual(
            from_json(Cancellation, self.api.requests[-1].content),
            Cancellation(randomized=True, reason="forecast was wrong"),
        )

    def test_cancel_several(self) -> None:
        """Several controls are cancelled at once, after one question about all of them."""
        for number in (12, 13):
            said = f"Control {number} will be cancelled."
            self.api.answers("POST", f"/controls/{number}/cancel/preview", Consequences(summary=(said,)))
            self.api.answers("POST", f"/controls/{number}/cancel", control(number, status="cancelled"))
        done = self.api.run("controls", "cancel", "12", "13", "12", input="y\n")
        self.assertEqual(done.stdout.splitlines()[:2], [f"Control {n} will be cancelled." for n in (12, 13)])
        self.assertIn("Cancel these 2 controls? [y/N]", done.stderr)
        self.assertEqual(
            self.api.asked(),
            [f"POST /controls/{n}/cancel{what}" for what in ("/preview", "") for n in (12, 13)],
        )


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def goes(self, *looks: tuple[str, dict[str, int]], number: int = 12) -> None:
        """What a control looks like, look after look."""
        self.api.answers("GET", f"/controls/{number}", *(control(number, status) for status, _ in looks))
        counts = [answers(number, **counts) for _, counts in looks]
        self.api.answers("GET", f"/controls/{number}/answers", *counts)

    def test_until_all_is_over(self) -> None:
        """It looks, and sleeps between, until the control is over and each device has said its last word."""
        self.goes(
            ("active", {"asked": 2, "received": 2}),
            ("completed", {"asked": 2, "received": 2, "started": 2, "completed": 1}),
            ("completed", {"asked": 2, "received": 2, "started": 2, "completed": 1, "opted_out": 1}),
        )
        done = self.api.run("controls", "watch", "12", "--every", "30s")
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(self.api.slept, [30, 30])
        rows = [line.split() for line in done.stdout.splitlines() if line.startswith("12 ")]
        self.assertEqual([row[1] for row in rows], ["active", "completed", "completed"])
        self.assertEqual(rows[-1][-9:], ["2", "2", "2", "1", "1", "0", "0", "0", "0"])

    def test_only_changes(self) -> None:
        """In a pipe the same thing is not said twice."""
        look = ("active", {"asked": 1, "received": 1})
        self.goes(look, look, look, ("cancelled", {"asked": 1, "cancelled": 1}))
        done = self.api.run("controls", "watch", "12")
        self.assertEqual(
            [line.split()[1] for line in done.stdout.splitlines() if line.startswith("12 ")],
            ["active", "cancelled"],
        )
        self.assertEqual(self.api.slept, [5, 5, 5])

    def test_several(self) -> None:
        """Several controls are watched until the last of them is over."""
        self.goes(("completed", {}), number=12)
        self.goes(("active", {}), ("superseded", {}), number=13)
        done = self.api.run("controls", "watch", "12", "13")
        self.assertEqual((done.exit_code, len(self.api.slept)), (0, 1))

    def test_all_there_are(self) -> None:
        """Without numbers those that are active or scheduled are watched, by their starts, fifty at most."""
        many = ControlPage(items=tuple(control(n, "active", start=NOW + 1000 - n) for n in range(1, 60)))
        self.api.answers("GET", "/controls", many, ControlPage(items=(control(99, start=NOW),)))
        for number in (*range(1, 60), 99):
            self.goes(("completed", {}), number=number)
        done = self.api.run("controls", "watch")
        self.assertEqual([one.query["status"] for one in self.api.requests[:2]], ["active", "scheduled"])
        rows = [line.split()[0] for line in done.stdout.splitlines()[2:]]
        self.assertEqual(rows, ["99", *map(str, range(59, 10, -1))])
        self.assertIn("60 controls", done.stderr)

    def test_nothing_to_watch(self) -> None:
        """Where no control is active or scheduled there is nothing to wait for."""
        self.api.answers("GET", "/controls", ControlPage())
        done = self.api.run("controls", "watch")
        self.assertEqual((done.exit_code, done.stdout), (0, ""))
        self.assertIn("No control", done.stderr)

    def test_ctrl_c(self) -> None:
        """Ctrl-C ends it with exit code 130 and no traceback."""
        self.goes(("active", {"asked": 1}))

        def interrupt() -> None:
            raise KeyboardInterrupt

        self.api.on_sleep = interrupt
        done = self.api.run("controls", "watch", "12")
        self.assertEqual(done.exit_code, 130)
        self.assertNotIn("Traceback", done.output)

    def test_server_away(self) -> None:
        """A server that is away for a while is waited for; one that refuses is not."""
        self.goes(("active", {}), ("completed", {}))
        away = ("GET", "/controls/12", fake.control(status="active"))
        self.api.answers(
            away[0], away[1], away[2], Unreachable("away"), ServerFailed("down"), control(status="completed")
        )
        done = self.api.run("controls", "watch", "12")
        self.assertEqual((done.exit_code, len(self.api.slept)), (0, 3))
        self.assertIn("away; trying again", done.stderr)

    def test_not_there(self) -> None:
        """A control that is not there, or a server that is not, is told at once."""
        self.api.refuses("GET", "/controls/12", 404, "There is no such control.")
        self.assertEqual(self.api.run("controls", "watch", "12").exit_code, 1)
        self.api.answers("GET", "/controls/12", Unreachable("away"))
        self.assertEqual(self.api.run("controls", "watch", "12").exit_code, 3)
        self.assertEqual(self.api.slept, [])

    def test_json(self) -> None:
        """In JSON there is a line for each time."""
        self.goes(("active", {"asked": 1}), ("completed", {"asked": 1, "completed": 1}))
        done = self.api.run("--json", "controls", "watch", "12")
        first, second = map(json.loads, done.stdout.splitlines())
        self.assertEqual(first["items"][0]["control"]["status"], "active")
        self.assertEqual(second["items"][0]["answers"]["completed"], 1)

    def test_terminal(self) -> None:
        """On a terminal the table is drawn again in its place."""
        self.goes(("active", {"asked": 1}), ("completed", {"asked": 1, "completed": 1}))
        env = {"TTY_COMPATIBLE": "1", "FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200"}
        done = self.api.run("controls", "watch", "12", env=env)
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertIn("\x1b[", done.stdout)
        self.assertIn("completed", done.stdout)

    def test_usage(self) -> None:
        """Controls are named by number, and a second at least is between looks."""
        for arguments in (("twelve",), ("12", "--every", "0")):
            self.assertEqual(self.api.run("controls", "watch", *arguments).exit_code, 2)

    @given(
        st.sampled_from(["scheduled", "active", "cancelled", "superseded", "completed"]),
        st.integers(0, 7),
        st.lists(
            st.sampled_from(
                ["received", "completed", "opted_out", "cancelled", "superseded", "rejected", "silent"]
            )
        ),
        st.integers(0, 20),
    )
    def test_over(self, status: str, wanted: int, said: list[str], asked: int) -> None:
        """A control is over by its status, and when nobody owes the last answer that it asked for."""
        counts = {name: said.count(name) for name in said}
        one = {"status": status, "control": {"responseRequired": f"{wanted:02X}"}}
        last = sum(word not in ("received", "silent") for word in said)
        heard = {0: asked, 1: max(last, said.count("received"))}.get(wanted & 3, last)
        over = status in ("cancelled", "superseded", "completed") and heard + said.count("silent") >= asked
        self.assertEqual(is_over(one, {"asked": asked, **counts}), over)
