"""Controls: create, preview, show, list, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from csipd.db import controls, devices, documents, listing, programs
from csipd.db.database import Transaction
from csipd.sep2 import resources as r
from csipd.sep2 import rules
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import MODE, MODES
from csipd.web.admin import controls as api
from csipd.web.admin.controls import MOST_DEVICES
from tests.support.world import BARE, MANAGED, NOW, OTHER, OWNER, REGISTERED
from tests.web.admin.case import Case
from tests.web.admin.examples import CONTROL, CURVE

#: A value of each mode that is no curve.
VALUES: Mapping[str, Any] = {
    "opModConnect": False,
    "opModEnergize": True,
    "opModFixedPFAbsorbW": {"displacement": 95, "excitation": True, "multiplier": -2},
    "opModFixedPFInjectW": {"displacement": 95, "excitation": False, "multiplier": -2},
    "opModFixedVar": {"refType": 2, "value": -4000},
    "opModFixedW": -10000,
    "opModFreqDroop": {"dBOF": 30, "dBUF": 30, "kOF": 40, "kUF": 40, "openLoopTms": 600},
    "opModMaxLimW": 10000,
    "opModTargetVar": {"multiplier": 2, "value": -30},
    "opModTargetW": {"multiplier": 3, "value": 5},
}


class _Controls(Case):
    def create(self, **body: Any) -> dict[str, Any]:
        """The one control that is made."""
        (made,) = self.office.post("/controls", {**CONTROL, **body})["items"]
        found: dict[str, Any] = made
        return found

    def refused(self, expected: Any, **body: Any) -> None:
        """What is refused when it is made is refused alike when it is looked at beforehand."""
        log = self.office.log()
        wanted = {name: value for name, value in {**CONTROL, **body}.items() if value is not None}
        for path in ("/controls/preview", "/controls"):
            self.assertEqual(self.office.refused("POST", path, wanted), expected, path)
        self.assertEqual(self.office.log(), log)

    def supports(self, device: int, *modes: str) -> None:
        """Let a device have said what modes it supports."""
        flags = sum(MODE[mode].flag for mode in modes)

        def say(transaction: Transaction) -> None:
            place = Place(ROWS["DERCapability"], (device, 1))
            capability = documents.get(transaction.connection, place)
            assert isinstance(capability, r.DERCapability)
            said = capability.replace(modesSupported=flags)
            documents.put(transaction, place, said, NOW, device)
            devices.update_modes(transaction, device)

        self.world.write(say)


class CreateTests(_Controls):
    """Making controls."""

    def test_now(self) -> None:
        """A control without a start begins at once, and is active for devices and operator alike."""
        answer = self.office.send("POST", "/controls", {"program": self.numbers.system, **CONTROL})
        made = self.office.get(answer.headers["location"].removeprefix("/admin"))
        self.assertEqual(
            (made["status"], made["who"], made["program"]), ("active", "alice", self.numbers.system)
        )
        control = made["control"]
        self.assertEqual(control["interval"], {"duration": 600, "start": NOW})
        self.assertEqual((control["responseRequired"], control["replyTo"]), ("03", "/rsps/1/rsp"))
        self.assertEqual(control["DERControlBase"], {"opModMaxLimW": 6000})
        shown = self.world.document(OWNER, made["href"])
        self.assertEqual(shown.findtext("{*}mRID"), control["mRID"])
        self.assertEqual(shown.findtext("{*}EventStatus/{*}currentStatus"), "1")

    def test_later(self) -> None:
        """A control says all that it is told to say."""
        said = {
            "description": "curtailment",
            "start": NOW + 60,
            "randomizeStart": -30,
            "randomizeDuration": 3600,
            "deviceCategory": "00200000",
            "responseRequired": "07",
        }
        made = self.create(program=self.numbers.system, **said)
        control = made["control"]
        self.assertEqual(made["status"], "scheduled")
        self.assertEqual(control["interval"], {"duration": 600, "start": NOW + 60})
        for name in said.keys() - {"start"}:
            self.assertEqual(control[name], said[name])

    def test_no_responses(self) -> None:
        """Where no responses are wanted devices are not told where to send them."""
        control = self.create(program=self.numbers.system, responseRequired="00")["control"]
        self.assertNotIn("replyTo", control)

    def test_modes(self) -> None:
        """Every mode of the standard can be commanded, and comes to the device as it was said."""
        program = self.numbers.system
        self.assertEqual({mode.name for mode in MODES if mode.curve is None}, VALUES.keys())
        for mode in MODES:
            value = VALUES.get(mode.name)
            if mode.curve is not None:
                point = {"xvalue": 1, "yvalue": 1}
                if mode.name == "opModWattPF":
                    point["excitation"] = False
                reference = int(rules.Y_REFERENCES[mode.curve][0])
                points = {"CurveData": [point], "curveType": int(mode.curve), "yRefType": reference}
                curve = {**CURVE, **points}
                value = {"href": self.office.post(f"/programs/{program}/curves", curve)["href"]}
            made = self.create(program=program, base={mode.name: value}, start=NOW + 60)
            self.assertEqual(made["control"]["DERControlBase"], {mode.name: value})
            shown = self.world.document(OWNER, made["href"])
            self.assertIsNotNone(shown.find(f"{{*}}DERControlBase/{{*}}{mode.name}"), mode.name)

    def test_plain_power(self) -> None:
        """A power may be a plain number of watts."""
        base = self.create(program=1, base={"opModTargetW": 3000})["control"]["DERControlBase"]
        self.assertEqual(base["opModTargetW"]["value"] * 10 ** base["opModTargetW"]["multiplier"], 3000)

    def test_group(self) -> None:
        """A control for a group goes into the one program that the group has."""
        self.assertEqual(self.create(group=2)["program"], self.numbers.feeder_a)
        self.refused([("/group", "there is no group 77")], group=77)
        several = f"a group with one program is needed, it has {self.numbers.feeder_b}, {self.numbers.spare}"
        self.refused([("/group", several)], group=3)
        none = "a group with one program is needed, it has none"
        self.refused([("/group", none)], group=self.office.empty)

    def test_devices(self) -> None:
        """A control for named devices goes into a program of each of them, and no other device sees it."""
        named = [self.numbers.owner, self.numbers.bare]
        made = self.office.post("/controls", {"devices": named, **CONTROL})
        self.assertEqual([one["program"] for one in made["items"]], [programs.own_program(n) for n in named])
        owner, bare = made["items"]
        self.assertEqual(self.world.get(OWNER, owner["href"]).status, 200)
        self.assertEqual(self.world.get(BARE, bare["href"]).status, 200)
        for who in (OTHER, MANAGED, BARE):
            self.assertEqual(self.world.get(who, owner["href"]).status, 404)
        log = self.office.log()
        self.assertEqual(
            [(line.action, line.subject) for line in log], [("create", one["href"]) for one in made["items"]]
        )
        self.assertEqual(
            log[0].detail, "opModMaxLimW 6000; from 2026-01-01 00:00:00+00:00 to 2026-01-01 00:10:00+00:00"
        )

    def test_devices_in_no_group(self) -> None:
        """A device that is in no group has no FSA to find a control by: it is refused (decision 39)."""
        for number, who in ((self.numbers.owner, OWNER), (self.numbers.other, OTHER)):
            self.office.put(f"/devices/{number}/groups", {"groups": []})
            named = who is OWNER
            target = {"devices": [number]} if named else {"program": programs.own_program(number)}
            called = f"device {'owner' if named else 'other'} ({number})"
            flaw = f"{called} is in no group, so it has no FSA to find a control by"
            self.refused([("/devices/0" if named else "/program", flaw)], **target)
            self.assertEqual(self.world.document(who, f"/edev/{number}/fsa").get("all"), "0")

    def test_nobody(self) -> None:
        """A control is for one program, one group or some devices, that there are."""
        one = [("", "one of program, group and devices is needed")]
        self.refused(one)
        self.refused(one, program=1, group=1)
        self.refused(one, devices=[])
        for program in (77, programs.own_program(77), programs.own_program(self.numbers.listed), 2**63 - 1):
            self.refused([("/program", f"there is no program {program}")], program=program)
        numbers = (
            self.numbers.listed,
            self.numbers.aggregator,
            self.numbers.withdrawn,
            self.numbers.retired,
            77,
        )
        self.refused(
            [
                (f"/devices/{place}", f"{number} is no registered device")
                for place, number in enumerate(numbers, 1)
            ],
            devices=[self.numbers.owner, *numbers],
        )
        twice = [self.numbers.owner] * 2
        self.refused([("/devices", "names a device twice")], devices=twice)
        many = list(range(1, MOST_DEVICES + 2))
        self.refused([("/devices", f"expected 0 to {MOST_DEVICES} members")], devices=many)

    def test_many_flaws(self) -> None:
        """Of flaws without number a hundred are reported."""
        found = self.office.refused("POST", "/controls", {"devices": list(range(100, 300)), **CONTROL})
        self.assertEqual(len(found), 100)

    def test_past(self) -> None:
        """What would be over is refused; what would have begun is not."""
        over = f"is {NOW - 600}: the event would be over already, expected an end after {NOW}"
        self.refused([("/start", over)], program=1, start=NOW - 600)
        made = self.create(program=1, start=NOW - 599)
        self.assertEqual(made["status"], "active")
        self.refused(
            [("/duration", "is 0, expected an event that lasts at least a second")], program=1, duration=0
        )

    def test_far(self) -> None:
        """Nothing ends after the year 9999 or begins before 1970, however large a number may be (F17)."""
        late = f"expected an event that ends by {rules.LATEST}, the end of 9999"
        for start in (rules.LATEST - 599, 2**63 - 1):
            self.refused([("/start", f"is {start}, {late}")], program=1, start=start)
        made = self.create(program=1, start=rules.LATEST - rules.LONGEST, duration=rules.LONGEST)
        self.assertEqual(self.office.get(f"/controls/{made['number']}"), made)
        for start in (-5, -(2**63)):
            early = f"is {start}, expected a time after 1970, in seconds"
            self.refused([("/start", early)], program=1, start=start)

    def test_values(self) -> None:
        """Modes, values and addressees are of the standard; all that is wrong is said at once."""
        self.refused([("/base", "controls nothing, expected at least one mode")], program=1, base={})
        self.refused(
            [("/base", "controls nothing, expected at least one mode")], program=1, base={"rampTms": 5}
        )
        self.refused(
            [
                (
                    "/base/opModMaxLimW",
                    "is 10001, expected an integer from 0 to 10000 (hundredths of a percent)",
                ),
                ("/base/opModNothing", "is not known here"),
                ("/randomizeStart", "is 3601, expected an integer from -3600 to 3600"),
            ],
            program=1,
            base={"opModMaxLimW": 10001, "opModNothing": 1},
            randomizeStart=3601,
        )
        self.refused(
            [
                ("/start", f"is 1: the event would be over already, expected an end after {NOW}"),
                (
                    "/deviceCategory",
                    "is 00000000 and addresses no device, expected at least one bit, or none at all",
                ),
            ],
            program=1,
            start=1,
            deviceCategory="00000000",
        )

    def test_full(self) -> None:
        """A program has so many controls that are not over, and no more."""
        self.patch(controls, "MOST_LIVE", 3)
        self.create(program=self.numbers.feeder_a)
        self.create(program=self.numbers.feeder_a)
        self.create(program=self.numbers.feeder_a)
        log = self.office.log()
        for body in ({"program": self.numbers.feeder_a, **CONTROL}, {"group": 2, **CONTROL}):
            found = self.office.refused("POST", "/controls", body, expect=409)
            self.assertEqual(found, f"program {self.numbers.feeder_a} has 3 controls that are not over")
        self.assertEqual(self.office.log(), log)
        self.world.now += 600
        self.create(program=self.numbers.feeder_a)

    def test_none_of_several(self) -> None:
        """Where one of several devices cannot have the control none gets it."""
        self.patch(controls, "MOST_LIVE", 1)
        owner, other = self.numbers.owner, self.numbers.other
        self.create(devices=[other])
        before = self.everything()
        self.office.refused("POST", "/controls", {"devices": [owner, other], **CONTROL}, expect=409)
        self.assertEqual(self.everything(), before)


class CurveTests(_Controls):
    """Modes that are curves."""

    def test_of_the_type(self) -> None:
        """A curve fits the mode by its type, and is one that there is."""
        href = f"/derp/{self.numbers.feeder_a}/dc/{self.numbers.curve}"
        elsewhere, program = "https://elsewhere/derp/1/dc/1", f"/derp/{self.numbers.feeder_a}"
        wrong = {
            "opModFreqWatt": (program, ", expected a curve of a program"),
            "opModVoltWatt": (href, ", of curveType 11, expected a curve of curveType 12 (opModVoltWatt)"),
            "opModWattPF": (elsewhere, ", expected a curve of a program"),
            "opModWattVar": ("/derp/1/dc/77", ", expected a curve of a program"),
        }
        self.refused(
            [(f"/base/{mode}", f"points to {link}{flaw}") for mode, (link, flaw) in wrong.items()],
            program=1,
            base={mode: {"href": link} for mode, (link, _) in wrong.items()},
        )

    def test_of_another_program(self) -> None:
        """A curve of another program is copied to the one that commands it, once."""
        href = f"/derp/{self.numbers.feeder_a}/dc/{self.numbers.curve}"
        made = [
            self.create(program=self.numbers.system, base={"opModVoltVar": {"href": href}}) for _ in range(2)
        ]
        copies = {one["control"]["DERControlBase"]["opModVoltVar"]["href"] for one in made}
        self.assertEqual(copies, {f"/derp/{self.numbers.system}/dc/1"})
        original, copy = self.world.document(OWNER, href), self.world.document(OWNER, *copies)
        self.assertEqual(original.findtext("{*}description"), copy.findtext("{*}description"))
        self.assertNotEqual(original.findtext("{*}mRID"), copy.findtext("{*}mRID"))

    def test_for_devices(self) -> None:
        """Named devices get the curve in their own programs."""
        href = f"/derp/{self.numbers.feeder_a}/dc/{self.numbers.curve}"
        made = self.create(devices=[self.numbers.other], base={"opModVoltVar": {"href": href}})
        copy = made["control"]["DERControlBase"]["opModVoltVar"]["href"]
        self.assertEqual(copy, f"/derp/{programs.own_program(self.numbers.other)}/dc/1")
        self.assertEqual(self.world.get(OTHER, copy).status, 200)


class AbilityTests(_Controls):
    """What devices support (decision 19)."""

    def setUp(self) -> None:
        super().setUp()
        self.supports(self.numbers.owner, "opModConnect", "opModMaxLimW")
        self.supports(self.numbers.managed, "opModConnect")

    def test_named(self) -> None:
        """A mode that a named device does not support is refused, for each of them."""
        owner, managed, other = self.numbers.owner, self.numbers.managed, self.numbers.other
        self.refused(
            [
                ("/devices", f"device owner ({owner}) does not support opModTargetW"),
                ("/devices", f"device managed ({managed}) does not support opModMaxLimW, opModTargetW"),
            ],
            devices=[owner, managed, other],
            base={"opModMaxLimW": 1, "opModTargetW": 2, "opModConnect": True},
        )
        own = programs.own_program(managed)
        self.refused([("/devices", f"device managed ({managed}) does not support opModMaxLimW")], program=own)
        made = self.office.post("/controls", {"devices": [owner, other], **CONTROL})
        self.assertEqual(made["warnings"], ["1 device has not said what it supports"])
        self.assertNotIn("warnings", self.office.post("/controls", {"devices": [owner], **CONTROL}))

    def test_group(self) -> None:
        """For a group or program they are a warning, with how many they are."""
        for target in ({"group": 2}, {"program": self.numbers.feeder_a}):
            made = self.office.post("/controls", {**target, **CONTROL})
            self.assertEqual(made["warnings"], ["1 device does not support opModMaxLimW"])
            preview = self.office.post("/controls/preview", {**target, **CONTROL}, expect=200)
            self.assertEqual(preview["warnings"], made["warnings"])
        made = self.office.post("/controls", {"program": self.numbers.system, **CONTROL})
        self.assertIn("3 devices have not said what they support", made["warnings"])


class PreviewTests(_Controls):
    """What a control would do, before it is made."""

    def preview(self, **body: Any) -> dict[str, Any]:
        before = self.everything()
        found = self.office.post("/controls/preview", {**CONTROL, **body}, expect=200)
        self.assertEqual(self.everything(), before)
        return found

    def test_whom(self) -> None:
        """It tells the programs that would get a control, and the devices that it would be for."""
        found = self.preview(program=self.numbers.point_1)
        devices = [self.numbers.owner, self.numbers.managed]
        self.assertEqual((found["devices"], found["programs"]), (2, [self.numbers.point_1]))
        self.assertEqual(found["sample"], devices)
        named = self.preview(devices=devices)
        self.assertEqual((named["devices"], named["sample"]), (2, devices))
        self.assertEqual(named["programs"], [programs.own_program(device) for device in devices])

    def test_supersedes(self) -> None:
        """It tells which events would lose modes, here and in programs of lower rank, and how much."""
        found = self.preview(program=self.numbers.point_1, base={"opModFixedW": 1, "opModConnect": True})
        lost = [(one["control"], one["modes"], one["wholly"]) for one in found["supersedes"]]
        self.assertEqual(lost, [(self.numbers.active, ["opModFixedW"], True)])
        self.create(program=self.numbers.point_1, base={"opModFixedW": 1, "opModConnect": True})
        self.assertEqual(self.office.get(f"/controls/{self.numbers.active}")["status"], "superseded")
        other = self.preview(program=self.numbers.point_1, base={"opModMaxLimW": 1})
        self.assertFalse(other.keys() & {"supersedes", "superseded_by"})
        later = self.preview(program=self.numbers.point_1, base={"opModFixedW": 1}, start=NOW + 4000)
        self.assertEqual([one["control"] for one in later["supersedes"]], [self.numbers.scheduled])

    def test_superseded_by(self) -> None:
        """It tells which events would take modes from it, by primacy."""
        found = self.preview(program=self.numbers.system, base={"opModFixedW": 1})
        self.assertEqual([one["control"] for one in found["superseded_by"]], [self.numbers.active])
        self.assertNotIn("supersedes", found)
        own = self.preview(devices=[self.numbers.owner], base={"opModFixedW": 1})
        self.assertEqual([one["control"] for one in own["supersedes"]], [self.numbers.active])


class CancelTests(_Controls):
    """Cancelling."""

    def test_at_once(self) -> None:
        """A control is cancelled for devices at once, with the reason."""
        path = f"/controls/{self.numbers.active}/cancel"
        self.world.document(OWNER, f"/derp/{self.numbers.point_1}/derc")
        found = self.office.post(path, {"reason": "forecast"}, expect=200)
        status = found["control"]["EventStatus"]
        self.assertEqual(
            (found["status"], status["currentStatus"], status["reason"]), ("cancelled", 2, "forecast")
        )
        shown = self.world.document(OWNER, found["href"])
        self.assertEqual(shown.findtext("{*}EventStatus/{*}currentStatus"), "2")
        again = self.office.refused("POST", path, {}, expect=409)
        self.assertEqual(again, f"control {self.numbers.active} is cancelled already")
        (line,) = self.office.log()
        self.assertEqual((line.action, line.subject, line.detail), ("cancel", found["href"], "forecast"))

    def test_clock_set_back(self) -> None:
        """A control made before the clock was set back is listed, shown and cancelled all the same (F13)."""
        made = self.create(program=self.numbers.feeder_a)
        self.world.now -= 10
        number = made["number"]
        self.assertIn(number, [each["number"] for each in self.office.get("/controls")["items"]])
        self.assertEqual(self.office.get(f"/controls/{number}")["status"], made["status"])
        found = self.office.post(f"/controls/{number}/cancel", {"reason": "clock"}, expect=200)
        self.assertEqual(found["status"], "cancelled")
        self.assertEqual(self.office.get(f"/controls/{number}")["status"], "cancelled")
        self.office.refused("POST", f"/controls/{number}/cancel", {}, expect=409)

    def test_bare(self) -> None:
        """Without a body, or with an empty one, it is cancelled at once and without a reason."""
        for body in (None, {}, {"randomized": False}):
            made = self.create(program=self.numbers.feeder_a)
            self.world.now += 1
            found = self.office.post(f"/controls/{made['number']}/cancel", body, expect=200)
            self.assertEqual(found["control"]["EventStatus"]["currentStatus"], 2)

    def test_randomized(self) -> None:
        """With randomisation devices end it each in its own time, if it has any to end it by."""
        path = f"/controls/{self.numbers.scheduled}/cancel"
        found = self.office.post(path, {"randomized": True}, expect=200)
        self.assertEqual(
            (found["status"], found["control"]["EventStatus"]["currentStatus"]), ("cancelled", 3)
        )
        path = f"/controls/{self.numbers.active}/cancel"
        refused = self.office.refused("POST", path, {"randomized": True}, expect=409)
        self.assertEqual(refused, f"control {self.numbers.active} has no randomisation to be cancelled with")
        self.assertEqual(self.office.get(f"/controls/{self.numbers.active}")["status"], "active")

    def test_in_its_first_second(self) -> None:
        """One that is cancelled as soon as it is made is so for devices a second later."""
        made = self.create(program=self.numbers.feeder_a)
        path = f"/controls/{made['number']}"
        found = self.office.post(f"{path}/cancel", expect=200)
        self.assertEqual(found["status"], "cancelled")
        self.assertIn("already", self.office.refused("POST", f"{path}/cancel", expect=409))
        self.world.now += 1
        found = self.office.get(path)
        self.assertEqual(
            (found["status"], found["control"]["EventStatus"]["currentStatus"]), ("cancelled", 2)
        )

    def test_too_late(self) -> None:
        """What is over, superseded or not there is not cancelled."""
        over = self.office.refused("POST", f"/controls/{self.numbers.ended}/cancel", {}, expect=409)
        self.assertEqual(over, f"control {self.numbers.ended} is over")
        self.create(program=self.numbers.point_1, base={"opModFixedW": 1})
        found = self.office.refused("POST", f"/controls/{self.numbers.active}/cancel", {}, expect=409)
        self.assertEqual(found, f"control {self.numbers.active} is superseded already")
        for method, rest in (("POST", "/cancel"), ("GET", ""), ("GET", "/answers")):
            body = {} if method == "POST" else None
            gone = self.office.refused(method, f"/controls/77{rest}", body, expect=404)
            self.assertIn("control 77", gone)


class ListTests(_Controls):
    """The list, by time and status."""

    def found(self, query: str = "") -> list[int]:
        """The numbers of the controls that a query finds, over pages of one and of many alike."""
        separator = "&" if query else "?"
        pages = [one["number"] for page in self.office.pages(f"/controls{query}", 1) for one in page]
        whole = self.office.get(f"/controls{query}{separator}limit=500").get("items", [])
        self.assertEqual(pages, [one["number"] for one in whole])
        return pages

    def test_order(self) -> None:
        """The latest start comes first, and of one second the greater number."""
        items = self.office.get("/controls")["items"]
        keys = [(one["control"]["interval"]["start"], one["number"]) for one in items]
        self.assertEqual(keys, sorted(keys, reverse=True))
        self.assertEqual(len(self.found()), 6)
        twins = [self.create(program=1, start=NOW + 9000)["number"] for _ in range(3)]
        self.assertEqual(self.found()[:3], twins[::-1])

    def test_of_a_retired_program(self) -> None:
        """A program that went from the file while a control of it was active hides no list (case B3)."""
        n = self.numbers
        made = self.create(program=n.point_1, base={"opModFixedW": 1})["number"]
        self.world.write(lambda transaction: programs.retire(transaction, n.point_1, NOW))
        self.assertIn(made, self.found())
        self.assertIn(made, self.found("?status=active"))
        self.assertEqual(self.office.get(f"/controls/{made}")["status"], "active")
        for path in (f"/controls/{made}/answers", f"/programs/{n.point_1}", "/controls?limit=500"):
            self.office.get(path)
        self.office.post(f"/controls/{made}/cancel/preview", {}, expect=200)
        self.office.post(f"/controls/{made}/cancel", {}, expect=200)
        self.assertNotIn(made, self.found("?status=active"))

    def test_statuses(self) -> None:
        """Each control stands in one way, and is found by it."""
        n = self.numbers
        self.office.post(f"/controls/{n.scheduled}/cancel", expect=200)
        winner = self.create(program=n.point_1, base={"opModFixedW": 1})["number"]
        found = {
            word: self.found(f"?status={word}") for word in ("active", "cancelled", "superseded", "completed")
        }
        self.assertEqual(
            found,
            {
                "active": [winner],
                "cancelled": [n.scheduled],
                "superseded": [n.active],
                "completed": [n.ended, n.forgotten],
            },
        )
        scheduled = self.found("?status=scheduled")
        self.assertEqual(len(scheduled), 2)
        self.assertEqual(
            sorted(self.found()), sorted([*scheduled, *(one for each in found.values() for one in each)])
        )
        for number in self.found():
            self.assertIn(number, self.found(f"?status={self.office.get(f'/controls/{number}')['status']}"))

    def test_by_the_clock(self) -> None:
        """A control is scheduled, then active, then completed as time passes, though nobody does anything."""
        number = self.create(program=self.numbers.feeder_a, start=NOW + 60)["number"]
        for seconds, word in ((59, "scheduled"), (1, "active"), (599, "active"), (1, "completed")):
            self.world.now += seconds
            self.assertEqual(self.office.get(f"/controls/{number}")["status"], word)
            self.assertIn(number, self.found(f"?status={word}"))

    def test_times(self) -> None:
        """``since`` takes what ends after it, ``until`` what starts before it."""
        n = self.numbers
        self.assertEqual(self.found(f"?program={n.point_1}"), [n.scheduled, n.active, n.ended, n.forgotten])
        self.assertEqual(self.found(f"?program={n.point_1}&since={NOW}"), [n.scheduled, n.active])
        ended = NOW - 600
        self.assertNotIn(n.ended, self.found(f"?since={ended}"))
        self.assertIn(n.ended, self.found(f"?since={ended - 1}"))
        self.assertEqual(self.found(f"?until={NOW - 1200}"), [n.forgotten])
        self.assertEqual(self.found(f"?until={NOW - 1199}"), [n.ended, n.forgotten])
        self.assertEqual(self.found(f"?since={NOW}&until={NOW}&program={n.point_1}"), [n.active])
        self.assertEqual(self.found(f"?program={n.point_1}&status=active&since={NOW}"), [n.active])
        self.assertEqual(self.found("?program=77"), [])

    def test_many(self) -> None:
        """Where few of very many are wanted a page goes on where looking stopped, and none is lost."""
        self.patch(api, "_READ", 4)
        self.patch(listing, "MOST_LOOKED_AT", 3)
        wanted = [self.numbers.active]
        pages = list(self.office.pages("/controls?status=active", 1))
        self.assertEqual([one["number"] for page in pages for one in page], wanted)
        superseded = list(self.office.pages("/controls?status=superseded", 1))
        self.assertEqual([page for page in superseded if page], [])
        self.assertGreater(len(superseded), 1)

    def test_after_nothing(self) -> None:
        """A page after a control that there is not is refused."""
        found = self.office.refused("GET", "/controls?after=77")
        self.assertEqual(found, "there is no control 77 to go on from")

    def test_whose(self) -> None:
        """What the configuration commanded is nobody's."""
        self.assertNotIn("who", self.office.get(f"/controls/{self.numbers.active}"))

    def test_superseded_by(self) -> None:
        """A control that was superseded names what superseded it."""
        made = self.create(program=self.numbers.point_1, base={"opModFixedW": 1})
        found = self.office.get(f"/controls/{self.numbers.active}")
        self.assertEqual(found["superseded_by"], [made["number"]])
        self.assertEqual(found["control"]["creationTime"], REGISTERED)
