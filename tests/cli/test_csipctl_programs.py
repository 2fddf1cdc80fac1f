"""`csipctl groups`, `programs`, their defaults and curves: what is asked, and what is shown."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.views.groups import group_tree
from csipd.sep2 import resources as r
from csipd.web.admin.curves import CurvePage, NewCurve
from csipd.web.admin.defaults import NewDefaultControl
from csipd.web.admin.devices import DevicePage
from csipd.web.admin.groups import ChangedGroup, GroupPage, NewGroup
from csipd.web.admin.programs import ChangedProgram, NewProgram, ProgramPage
from csipd.web.admin.summary import Consequences
from csipd.web.json_form import from_json
from tests.cli import fake
from tests.cli.fake import FakeAPI, curve, group, program


class GroupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()

    def test_tree(self) -> None:
        """All groups of all pages are one tree, in which each says its level, devices and programs."""
        pages = fake.pages(
            GroupPage,
            [group(1, "system", level=0, devices=3), group(2, "pilot", devices=1)],
            [
                group(3, "feeder-1", parent=1, level=3, programs=(4, 5)),
                group(4, "transformer", parent=3, level=5),
            ],
        )
        self.api.answers("GET", "/groups", *pages)
        done = self.api.run("groups", "list")
        self.assertEqual(
            done.stdout.splitlines(),
            [
                "1 system - system - 3 devices",
                "└── 3 feeder-1 - feeder - 2 devices - programs 4, 5",
                "    └── 4 transformer - service transformer - 2 devices",
                "2 pilot - 1 device",
            ],
        )

    def test_broken_tree(self) -> None:
        """Groups without their parent, or in a ring, are shown all the same, each once."""
        items = [
            {"number": 1, "name": "a", "parent": 9},
            {"number": 2, "name": "b", "parent": 3},
            {"number": 3, "name": "c", "parent": 2},
            {"number": 4, "name": "d", "parent": 4},
        ]
        labels: list[str] = []
        waiting = group_tree(items)
        while waiting:
            branch = waiting.pop()
            labels.append(branch.label.split(" -")[0])
            waiting += branch.below
        self.assertEqual(sorted(labels), ["1 a", "2 b", "3 c", "4 d"])

    def test_tree_as_json(self) -> None:
        """In JSON the groups of all pages are one list."""
        self.api.answers("GET", "/groups", *fake.pages(GroupPage, [group(1)], [group(2)]))
        done = self.api.run("--json", "groups", "list")
        self.assertEqual([one["number"] for one in json.loads(done.stdout)["items"]], [1, 2])

    def test_no_groups(self) -> None:
        """That there are no groups is said beside the answer."""
        self.api.answers("GET", "/groups", GroupPage())
        self.assertEqual(self.api.run("groups", "list").stderr, "None.\n")

    def test_show(self) -> None:
        """One group is shown with its level by name."""
        self.api.answers("GET", "/groups/3", group(3, level=3, parent=1))
        self.assertIn("feeder", self.api.run("groups", "show", "3").stdout)

    def test_add(self) -> None:
        """A group is made as the options say, in a form that the API takes."""
        self.api.answers("GET", "/groups", GroupPage(items=(group(2, "substation-3"),)))
        self.api.answers("POST", "/groups", group(8, "feeder-9", level=3, parent=2))
        done = self.api.run(
            "groups", "add", "feeder-9", "--parent", "substation-3", "--level", "feeder", "--fsa", "x"
        )
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(
            from_json(NewGroup, self.api.requests[-1].content),
            NewGroup(name="feeder-9", parent=2, level=3, fsa="x"),
        )
        self.api.run("groups", "add", "pilot")
        self.assertEqual(self.api.requests[-1].content, {"name": "pilot"})

    def test_change_and_remove(self) -> None:
        """A group is hung elsewhere by number or name, and removed."""
        self.api.answers("GET", "/groups", GroupPage(items=(group(2, "a"), group(3, "b"))))
        self.api.answers("PATCH", "/groups/2", group(2, "a", parent=3))
        change = ("groups", "change", "a")
        self.assertEqual(self.api.run(*change, "--parent", "b", "--level", "4", "--yes").exit_code, 0)
        self.assertEqual(
            from_json(ChangedGroup, self.api.requests[-1].content), ChangedGroup(parent=3, level=4)
        )
        self.assertEqual(self.api.run(*change, "--top", "--yes").exit_code, 0)
        self.assertEqual(from_json(ChangedGroup, self.api.requests[-1].content), ChangedGroup(parent=0))
        self.assertEqual(self.api.run(*change).exit_code, 2)
        self.assertEqual(self.api.run(*change, "--top", "--parent", "b").exit_code, 2)
        self.api.refuses("DELETE", "/groups/2", 409, "Devices are in it.")
        done = self.api.run("groups", "remove", "a", "--yes")
        self.assertEqual((done.exit_code, done.stderr), (1, "csipctl: Devices are in it (409)\n"))

    def test_change_is_asked(self) -> None:
        """What the devices of a group that hangs elsewhere lose is said in words, and asked (case B10)."""
        self.api.answers("POST", "/groups/2/change/preview", Consequences(summary=("They lose control 5.",)))
        self.api.answers("PATCH", "/groups/2", group(2, "a"))
        done = self.api.run("groups", "change", "2", "--top", input="n\n")
        self.assertEqual(done.exit_code, 5)
        self.assertIn("They lose control 5.", done.output)
        self.assertEqual(from_json(ChangedGroup, self.api.requests[-1].content), ChangedGroup(parent=0))
        self.assertEqual(self.api.asked(), ["POST /groups/2/change/preview"])
        self.assertEqual(self.api.run("groups", "change", "2", "--top", input="y\n").exit_code, 0)
        self.assertEqual(self.api.asked()[-1], "PATCH /groups/2")

    def test_devices(self) -> None:
        """The devices under a group come in pages as all devices do."""
        self.api.answers("GET", "/groups/2/devices", DevicePage(items=(fake.device(),), next=1))
        done = self.api.run("groups", "devices", "2")
        self.assertIn("dev1", done.stdout)
        self.assertIn("--after 1", done.stderr)

    def test_wrong_level(self) -> None:
        """A level that there is not is wrong usage, with a guess at what was meant."""
        done = self.api.run("groups", "add", "x", "--level", "feder")
        self.assertEqual(done.exit_code, 2)
        self.assertIn("FEEDER", done.stderr)


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("GET", "/programs", ProgramPage(items=(program(1), program(2, "Pilot"))))

    def test_list(self) -> None:
        """A program is shown with whom it is for: a group, or one device."""
        own = program(3, "dev1 alone", device=7)
        self.api.answers("GET", "/programs", ProgramPage(items=(program(1), own)))
        lines = [" ".join(line.split()) for line in self.api.run("programs", "list").stdout.splitlines()]
        self.assertEqual(lines[1:], ["1 Feeder 1 7 group 1 0", "3 dev1 alone 7 device 7 0"])

    def test_show(self) -> None:
        """A program is called by its description or number."""
        self.api.answers("GET", "/programs/2", program(2, "Pilot"))
        for called in ("Pilot", "2"):
            self.assertIn("/derp/2", self.api.run("programs", "show", called).stdout)

    def test_add_change_remove(self) -> None:
        """Programs are made, changed and retired in forms that the API takes."""
        self.api.answers("GET", "/groups", GroupPage(items=(group(5, "feeder-1"),)))
        self.api.answers("POST", "/programs", program(3, "New"))
        self.api.answers("PATCH", "/programs/2", program(2, "Pilot"))
        self.api.answers("DELETE", "/programs/2", None)
        self.api.run("programs", "add", "New", "--primacy", "5", "--group", "feeder-1")
        self.assertEqual(
            from_json(NewProgram, self.api.requests[-1].content),
            NewProgram(description="New", primacy=5, group=5),
        )
        self.assertIn("Idempotency-Key", self.api.requests[-1].headers)
        self.api.run("programs", "change", "Pilot", "--primacy", "4", "--group", "feeder-1", "--yes")
        self.assertEqual(
            from_json(ChangedProgram, self.api.requests[-1].content), ChangedProgram(primacy=4, group=5)
        )
        self.assertEqual(self.api.run("programs", "remove", "Pilot", "--yes").stdout, "Done.\n")
        self.api.answers("POST", "/programs/1000000000001/hide", None)
        self.assertEqual(self.api.run("programs", "hide", "1000000000001").stdout, "Done.\n")
        self.assertEqual(self.api.run("programs", "change", "Pilot").exit_code, 2)
        self.assertEqual(self.api.run("programs", "add", "New", "--primacy", "5").exit_code, 2)

    def test_change_is_asked(self) -> None:
        """What a program stands before by another primacy is said in words, and asked (case B10)."""
        self.api.answers("POST", "/programs/2/change/preview", Consequences(summary=("It stands behind.",)))
        self.api.answers("PATCH", "/programs/2", program(2, "Pilot"))
        done = self.api.run("programs", "change", "2", "--primacy", "4", input="n\n")
        self.assertEqual(done.exit_code, 5)
        self.assertIn("It stands behind.", done.output)
        self.assertEqual(from_json(ChangedProgram, self.api.requests[-1].content), ChangedProgram(primacy=4))
        self.assertEqual(self.api.asked(), ["POST /programs/2/change/preview"])
        self.assertEqual(self.api.run("programs", "change", "2", "--primacy", "4", input="y\n").exit_code, 0)
        self.assertEqual(self.api.asked()[-1], "PATCH /programs/2")


class DefaultTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.default = r.DefaultDERControl(
            mRID=fake.MRID, DERControlBase=r.DERControlBase(opModMaxLimW=10000), setGradW=27
        )

    def test_show(self) -> None:
        """A default is shown mode by mode, and with what it alone sets."""
        self.api.answers("GET", "/programs/1/default", self.default)
        lines = [
            " ".join(line.split())
            for line in self.api.run("programs", "default", "show", "1").stdout.splitlines()
        ]
        self.assertIn("opModMaxLimW 100 %", lines)
        self.assertIn("setGradW 0.27 %/s", lines)

    def test_set(self) -> None:
        """Modes go into the base and set... beside it; curves are found by description."""
        self.api.answers("GET", "/programs/1/curves", CurvePage(items=(curve(2),)))
        self.api.answers("PUT", "/programs/1/default", self.default)
        done = self.api.run(
            *(
                "programs",
                "default",
                "set",
                "1",
                "--set",
                "opModMaxLimW=100%",
                "--set",
                "setGradW=0.27%/s",
                "--yes",
            ),
            *("--set", "opModVoltVar=Volt-VAR 1", "--description", "normal"),
        )
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(
            from_json(NewDefaultControl, self.api.requests[-1].content),
            NewDefaultControl(
                description="normal",
                DERControlBase=r.DERControlBase(
                    opModMaxLimW=10000, opModVoltVar=r.DERCurveLink(href="/derp/1/dc/2")
                ),
                setGradW=27,
            ),
        )

    def test_clear(self) -> None:
        """A default is taken away."""
        self.api.answers("DELETE", "/programs/1/default", None)
        self.assertEqual(self.api.run("programs", "default", "clear", "1", "--yes").stdout, "Done.\n")


class CurveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.api = FakeAPI()
        self.api.answers("POST", "/programs/1/curves", curve(2))

    def test_list(self) -> None:
        """Curves are shown with href, type and points."""
        self.api.answers("GET", "/programs/1/curves", CurvePage(items=(curve(2),)))
        done = self.api.run("programs", "curves", "list", "1")
        for shown in ("/derp/1/dc/2", "opModVoltVar", "SET_MAX_VAR", "(92, 44)  (108, -44)"):
            self.assertIn(shown, done.stdout)

    def test_none(self) -> None:
        """A program without curves has none."""
        self.api.answers("GET", "/programs/1/curves", CurvePage())
        self.assertEqual(self.api.run("programs", "curves", "list", "1").stderr, "None.\n")

    def test_points(self) -> None:
        """A curve is made of points on the command line, in a form that the API takes."""
        done = self.api.run(
            *("programs", "curves", "add", "1", "--type", "opModVoltVar", "--description", "Volt-VAR 1"),
            *("--y-ref", "SET_MAX_VAR", "--y-multiplier", "-1", "--point", "92,44", "--point", "108,-44"),
        )
        self.assertEqual(done.exit_code, 0, done.stderr)
        self.assertEqual(
            from_json(NewCurve, self.api.requests[-1].content),
            NewCurve(
                description="Volt-VAR 1",
                CurveData=(r.CurveData(xvalue=92, yvalue=44), r.CurveData(xvalue=108, yvalue=-44)),
                curveType=11,
                xMultiplier=0,
                yMultiplier=-1,
                yRefType=2,
            ),
        )

    def test_file(self) -> None:
        """A curve is read from a file, over which the options are laid."""
        file = Path(self.mktemp())
        file.write_text("curveType: opModVoltWatt\nCurveData:\n- {xvalue: 1, yvalue: 2}\ndescription: old\n")
        self.api.run("programs", "curves", "add", "1", "--file", str(file), "--description", "new")
        sent = from_json(NewCurve, self.api.requests[-1].content)
        self.assertEqual((sent.curveType, sent.description, sent.yRefType), (12, "new", 1))

    def test_usage(self) -> None:
        """A curve without type or points, or with a file that is none, is wrong usage."""
        for options in (
            ("--type", "opModVoltVar"),
            ("--point", "1,2"),
            ("--type", "opModTargetW", "--point", "1,2"),
            ("--type", "opModVoltVar", "--point", "1;2"),
            ("--file", "nowhere.yml"),
        ):
            self.assertEqual(self.api.run("programs", "curves", "add", "1", *options).exit_code, 2, options)
        self.assertEqual(self.api.requests, [])

    def test_remove(self) -> None:
        """A curve is removed by its number."""
        self.api.answers("DELETE", "/programs/1/curves/2", None)
        self.assertEqual(self.api.run("programs", "curves", "remove", "1", "2").stdout, "Done.\n")

    def test_remove_by_name(self) -> None:
        """A curve is removed by its description or href, where that says which one."""
        several = CurvePage(items=(curve(2), curve(3, "twice"), curve(4, "twice")))
        self.api.answers("GET", "/programs/1/curves", several)
        self.api.answers("DELETE", "/programs/1/curves/2", None)
        for called in ("Volt-VAR 1", "/derp/1/dc/2"):
            done = self.api.run("programs", "curves", "remove", "1", called)
            self.assertEqual(done.stdout, "Done.\n", done.stderr)
        for called, said in (("twice", "/derp/1/dc/3, /derp/1/dc/4"), ("none", "no curve called 'none'")):
            done = self.api.run("programs", "curves", "remove", "1", called)
            self.assertEqual(done.exit_code, 1)
            self.assertIn(said, done.stderr)
