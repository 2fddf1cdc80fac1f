"""What commands will do, in sentences: names, values with units, times with zones (cases A1, B2, B3, B10)."""

from __future__ import annotations

from typing import Any

from csipd.db.programs import own_program
from tests.support.world import NOW
from tests.web.admin.case import Case
from tests.web.admin.examples import CONTROL

ZONE = "?zone=America/Los_Angeles"


class _Case(Case):
    def said(self, path: str, body: Any = None, zone: str = ZONE) -> list[str]:
        """The sentences of a preview, which changes nothing."""
        before = self.everything()
        found = self.office.post(f"{path}{zone}", body or {}, expect=200)["summary"]
        self.assertEqual(self.everything(), before)
        assert isinstance(found, list)
        return found


class ControlTests(_Case):
    """Before a control is made."""

    def preview(self, **body: Any) -> list[str]:
        return self.said("/controls/preview", {**CONTROL, **body})

    def test_words(self) -> None:
        """Who, what, when: devices and program by name, value and unit, start and end with zone (case B2)."""
        who, when, *_ = self.preview(program=self.numbers.feeder_a, start=NOW + 3600, duration=7200)
        self.assertEqual(
            who,
            f"2 devices in program 'FDA' ({self.numbers.feeder_a}, group Feeder A) (owner and managed)"
            " will limit active power to 60 % of its maximum (opModMaxLimW).",
        )
        self.assertEqual(
            when,
            "It begins at 2025-12-31 17:00:00-08:00 and ends at 2025-12-31 19:00:00-08:00, 2 hours later"
            " (time zone America/Los_Angeles).",
        )
        found = self.office.post(
            "/controls/preview",
            {**CONTROL, "program": self.numbers.feeder_a, "start": NOW + 3600},
            expect=200,
        )
        self.assertEqual((found["start"], found["end"]), (NOW + 3600, NOW + 4200))
        self.assertEqual(found["names"], ["owner", "managed"])

    def test_forgotten_percent(self) -> None:
        """60 hundredths of a percent do not read like 60 % (case B2)."""
        who, *_ = self.preview(program=1, base={"opModMaxLimW": 60})
        self.assertIn("limit active power to 0.6 % of its maximum", who)

    def test_zone(self) -> None:
        """Times are in the server's zone, or in the one that is asked for."""
        body = {**CONTROL, "program": 1, "start": NOW + 60}
        self.assertIn(
            "(time zone Europe/Berlin)", self.said("/controls/preview", body, "?zone=Europe/Berlin")[1]
        )
        self.assertIn("(time zone ", self.said("/controls/preview", body, "")[1])
        (refused,) = self.office.refused("POST", "/controls/preview?zone=Mars/Olympus", body)
        self.assertEqual(refused[0], "zone")

    def test_short_over_long(self) -> None:
        """A short, better control over a longer one: it is said what is left without (case B3)."""
        made = self.office.post(
            "/controls", {"program": self.numbers.system, "duration": 3600, "base": {"opModMaxLimW": 6000}}
        )
        (long,) = made["items"]
        self.world.now += 21 * 60
        body = {"program": self.numbers.point_1, "duration": 600, "base": {"opModMaxLimW": 5000}}
        found = self.office.post(f"/controls/preview{ZONE}", body, expect=200)
        (taken,) = found["supersedes"]
        self.assertEqual((taken["control"], taken["program_name"]), (long["number"], "SY"))
        self.assertEqual((taken["ends"], taken["uncovered"]), (NOW + 21 * 60, 29 * 60))
        (said,) = [line for line in found["summary"] if line.startswith("It takes ")]
        self.assertEqual(
            said,
            f"It takes opModMaxLimW from control {long['number']} of program 'SY' ({self.numbers.system},"
            " group System), 2025-12-31 16:00:00-08:00 to 2025-12-31 17:00:00-08:00: that one ends at"
            " 2025-12-31 16:21:00-08:00 and does not resume; 29 minutes are left without it.",
        )

    def test_loses(self) -> None:
        """What would not run at all because of a better one says so (case B3)."""
        lines = self.preview(program=self.numbers.system, base={"opModFixedW": 1}, start=NOW + 60)
        (said,) = [line for line in lines if line.startswith("It loses ")]
        self.assertIn(f"control {self.numbers.active} of program 'SP1'", said)
        self.assertIn("this one does not run at all, not even outside the time of that one", said)

    def test_by_name(self) -> None:
        """The first control by name says how long a device takes to find it; the second not (case A1)."""
        first = self.preview(devices=[self.numbers.owner])
        self.assertTrue(first[0].startswith("1 device by name (owner) will limit "), first)
        (said,) = [line for line in first if "first control by name" in line]
        self.assertIn("for owner", said)
        self.assertIn("up to 30 minutes from now", said)
        self.office.post("/controls", {**CONTROL, "devices": [self.numbers.owner], "duration": 60})
        self.assertFalse([x for x in self.preview(devices=[self.numbers.owner]) if "first control" in x])
        late = self.preview(devices=[self.numbers.other], start=NOW + 86_400)
        self.assertFalse([line for line in late if "first control" in line])

    def test_randomized(self) -> None:
        """How each device may shift it is said."""
        lines = self.preview(program=1, randomizeStart=-30, randomizeDuration=90)
        self.assertIn(
            "Each device begins up to 30 seconds sooner and lengthens its duration by up to 1 minute"
            " 30 seconds, by chance.",
            lines,
        )

    def test_cancel(self) -> None:
        """Before a control is cancelled it is said which one that is, and what it does."""
        lines = self.said(f"/controls/{self.numbers.active}/cancel/preview")
        self.assertIn(f"Control {self.numbers.active} ", lines[0])
        self.assertIn("of program 'SP1'", lines[0])
        self.assertIn("It is running and was to end at ", lines[1])
        self.assertTrue(lines[1].endswith(" early (time zone America/Los_Angeles)."), lines[1])
        self.assertIn("hold for 2 devices under group Point 1 (owner and managed).", lines[2])
        path = f"/controls/{self.numbers.ended}/cancel/preview"
        self.assertIn("is over", self.office.refused("POST", path, {}, expect=409))


class OtherTests(_Case):
    """Before defaults, programs, groups and devices are changed."""

    def test_default(self) -> None:
        """A default is said with its values, whose it is, and what it takes the place of."""
        body = {"DERControlBase": {"opModMaxLimW": 60}, "setGradW": 27}
        lines = self.said(f"/programs/{self.numbers.system}/default/preview", body, "")
        self.assertIn("limit active power to 0.6 % of its maximum (opModMaxLimW)", lines[0])
        self.assertIn("under group System (owner, ", lines[0])
        self.assertEqual(lines[1], "Besides, setGradW 0.27 %/s.")
        self.assertTrue(lines[2].startswith("It takes the place of "), lines)
        (clear,) = self.said(f"/programs/{self.numbers.system}/default/clear/preview", None, "")
        self.assertIn("under group System", clear)
        self.office.put(f"/programs/{self.numbers.system}/default", body)
        (clear,) = self.said(f"/programs/{self.numbers.system}/default/clear/preview", None, "")
        self.assertTrue(clear.endswith("says: opModMaxLimW 0.6 %; setGradW 0.27 %/s."), clear)
        lines = self.said(f"/programs/{self.numbers.system}/default/preview", {"DERControlBase": {}}, "")
        self.assertIn("It takes the place of opModMaxLimW 0.6 %; setGradW 0.27 %/s.", lines)

    def test_program(self) -> None:
        """A program that would be retired is named, with those who lose it; what is refused is refused."""
        lines = self.said(f"/programs/{self.numbers.spare}/remove/preview", None, "")
        self.assertIn(f"Program 'Spare' ({self.numbers.spare}) will be gone for", lines[0])
        path = f"/programs/{self.numbers.point_1}/remove/preview"
        self.assertIn("not over", self.office.refused("POST", path, {}, expect=409))

    def test_group(self) -> None:
        """A group is removed only where it is empty, which the preview knows too."""
        (said,) = self.said(f"/groups/{self.office.empty}/remove/preview", None, "")
        self.assertIn(f"({self.office.empty}), which is empty", said)
        self.office.refused("POST", "/groups/2/remove/preview", {}, expect=409)

    def test_device(self) -> None:
        """Who is shut out or removed is named, and what it goes on doing."""
        path = f"/devices/{self.numbers.owner}"
        for what, words in (("withdraw", "until it is readmitted"), ("remove", "gone from all lists")):
            lines = self.said(f"{path}/{what}/preview", None, "")
            self.assertIn("Device owner (", lines[0])
            self.assertIn(words, lines[0])
            self.assertIn(f"It should be following control {self.numbers.active} now", lines[1])
        lines = self.said(f"/devices/{self.numbers.aggregator}/withdraw/preview", None, "")
        self.assertIn("managed", lines[1])
        gone = f"/devices/{self.numbers.withdrawn}/withdraw/preview"
        self.assertIn("already", self.office.refused("POST", gone, {}, expect=409))

    def test_move(self) -> None:
        """What a device loses and gains by being in other groups is said (case B10)."""
        path = f"/devices/{self.numbers.owner}/groups"
        lines = self.said(f"{path}/preview", {"groups": [3]}, "")
        self.assertIn("will be in group Feeder B (3).", lines[0])
        self.assertIn("It leaves groups Point 1 (4) and Campaign (5)", lines[1])
        self.assertIn("It joins group Feeder B (3).", lines)
        (lost,) = [line for line in lines if "no longer sees" in line]
        self.assertIn(f"SP1 ({self.numbers.point_1})", lost)
        (won,) = [line for line in lines if "will see" in line]
        self.assertIn(f"FDB ({self.numbers.feeder_b})", won)

    def test_change_group(self) -> None:
        """What devices lose and gain where their group hangs elsewhere is said (case B10)."""
        path = "/groups/4/change/preview"
        a, b = self.numbers.feeder_a, self.numbers.feeder_b
        self.assertEqual(
            self.said(path, {"parent": 3}, ""),
            [
                "Group Point 1 (4) will hang below group Feeder B (3) instead of group Feeder A (2).",
                "It has 2 devices under group Point 1 (owner and managed).",
                f"2 devices (owner and managed) will no longer see program FDA ({a}): they lose its default.",
                f"2 devices (owner and managed) will see program FDB ({b}): they gain control 5.",
                f"2 devices (owner and managed) will see program Spare ({self.numbers.spare}), which has"
                " neither a default nor a control that is not over.",
            ],
        )
        lines = self.said(path, {"parent": 0}, "")
        self.assertIn("will hang below no group instead of", lines[0])
        (system,) = [line for line in lines if "program SY (" in line]
        self.assertIn("they lose its default and control 6.", system)
        # By another of its groups a device sees the programs of the feeder as before.
        self.office.put(f"/devices/{self.numbers.owner}/groups", {"groups": [2, 4]})
        lines = self.said(path, {"parent": 3}, "")
        self.assertIn(
            f"1 device (managed) will no longer see program FDA ({a}): it loses its default.", lines
        )
        self.assertFalse([line for line in lines if "program SY (" in line])

    def test_change_group_alone(self) -> None:
        """A group that stays where it is, or has nobody in it, takes nothing from anybody."""
        (said,) = self.said("/groups/4/change/preview", {"parent": 2}, "")
        self.assertIn("nothing changes", said)
        level = self.said("/groups/4/change/preview", {"level": 5}, "")
        self.assertEqual(
            level,
            [
                "The level of group Point 1 (4) will be 5 instead of 6.",
                "No device gains or loses a program.",
            ],
        )
        lines = self.said(f"/groups/{self.office.empty}/change/preview", {"parent": 0}, "")
        self.assertEqual(lines[-1], "No device gains or loses a program.")
        self.office.refused("POST", "/groups/1/change/preview", {"parent": 77})
        self.office.refused("POST", "/groups/5/change/preview", {"parent": 5}, expect=409)

    def test_change_primacy(self) -> None:
        """Which primacy becomes which is said, and which programs it then stands before (case B10)."""
        system, a, b = self.numbers.system, self.numbers.feeder_a, self.numbers.feeder_b
        path = f"/programs/{system}/change/preview"
        lines = self.said(path, {"primacy": 7}, "")
        self.assertIn(f"Program 'SY' ({system}) will have primacy 7 instead of 10, for 5 devices", lines[0])
        self.assertEqual(lines[1], "Its controls that are not over: control 6.")
        self.assertEqual(
            lines[2:],
            [
                f"It will stand before Spare ({self.numbers.spare}) of primacy 9 for 3 devices, which it does"
                " not now: what it says wins over what they say.",
                f"It will be level with FDA ({a}) of primacy 7 for 2 devices and FDB ({b}) of primacy 7 for 3"
                " devices, which it is not now: of two controls the one made later wins; their controls that"
                " are not over: control 5.",
            ],
        )
        behind = self.said(f"/programs/{self.numbers.point_1}/change/preview", {"primacy": 20}, "")
        self.assertIn("It will stand behind FDA (", behind[2])
        self.assertIn(f"SY ({system}) of primacy 10 for 2 devices", behind[2])
        self.assertEqual(
            self.said(path, {"primacy": 11}, "")[-1],
            "Among the programs of its devices its place stays the same.",
        )

    def test_change_own(self) -> None:
        """A program that passes devices' own ones says so, once they are shown."""
        path = f"/programs/{self.numbers.point_1}/change/preview"
        self.assertIn("stays the same", self.said(path, {"primacy": 2}, "")[-1])
        self.office.post("/controls", {**CONTROL, "program": own_program(self.numbers.owner)})
        self.assertIn("before the own programs of 1 device,", self.said(path, {"primacy": 2}, "")[-1])

    def test_change_group_of_program(self) -> None:
        """Who loses and gains a program that is for another group is said, and that one comes back."""
        path = f"/programs/{self.numbers.feeder_a}/change/preview"
        name = f"program FDA ({self.numbers.feeder_a})"
        self.assertEqual(
            self.said(path, {"group": 3}, "")[1:],
            [
                f"2 devices (owner and managed) will no longer see {name}: they lose its default.",
                f"3 devices (other, bare and foreign) will see {name}: they gain its default.",
            ],
        )
        self.assertEqual(
            self.said(path, {"group": 1}, "")[1:],
            [f"3 devices (other, bare and foreign) will see {name}: they gain its default."],
        )
        (said,) = self.said(path, {"group": 2, "primacy": 7}, "")
        self.assertIn("nothing changes", said)
        self.office.send("DELETE", f"/programs/{self.numbers.spare}")
        back = self.said(f"/programs/{self.numbers.spare}/change/preview", {"group": 4}, "")
        self.assertIn("was retired and comes back, for group Point 1 (4).", back[0])
        self.assertIn("2 devices (owner and managed) will see program Spare", back[1])
        self.office.refused("POST", path, {"group": 77})

    def test_one_group(self) -> None:
        """A device joins and leaves one group, and stays in the others (case B10)."""
        path = f"/devices/{self.numbers.owner}/groups"
        joined = self.office.send("PUT", f"{path}/3")
        self.assertEqual(joined.status, 200)
        self.assertEqual(self.office.get(f"/devices/{self.numbers.owner}")["groups"], [3, 4, 5])
        self.assertIn("already", self.office.refused("PUT", f"{path}/3", None, expect=409))
        self.assertEqual(self.office.send("DELETE", f"{path}/4").status, 200)
        self.assertEqual(self.office.get(f"/devices/{self.numbers.owner}")["groups"], [3, 5])
        self.assertIn("not in", self.office.refused("DELETE", f"{path}/4", None, expect=409))
        self.office.refused("PUT", f"{path}/77", None, expect=404)

    def test_reason(self) -> None:
        """Why a device was shut out is kept with it until it is readmitted, and in the audit log."""
        path = f"/devices/{self.numbers.owner}"
        shown = self.office.post(f"{path}/withdraw", {"reason": "reported stolen"}, expect=200)
        self.assertEqual(shown["withdrawn_reason"], "reported stolen")
        self.assertIn("reported stolen", self.office.log()[0].detail)
        self.assertNotIn("withdrawn_reason", self.office.post(f"{path}/readmit", {}, expect=200))
