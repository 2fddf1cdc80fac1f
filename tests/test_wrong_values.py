"""Values that the standard does not allow, given at each door: every door refuses them, and says where.

One table of wrong values (`CURVES`, `BASES`, `TIMINGS`), and one class a door: the commands themselves, the
operator's API, csipctl through the API, and the configuration file (cases B1, F17).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve
from click.testing import Result

from csipd.config import ConfigError, loads
from csipd.db import commands, program_contents
from csipd.db.commands import Command, Target
from csipd.db.database import Transaction
from csipd.db.responses import REPLY_TO
from csipd.refusals import Impossible
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element, fields
from tests.cli.test_csipctl_real import Case as CtlCase
from tests.config.support import MINIMAL
from tests.support.operator import Office
from tests.support.world import NOW
from tests.web.admin.case import Case as OfficeCase

JSON = Mapping[str, Any]


def points(*pairs: tuple[int, int], excitation: bool | None = None) -> list[dict[str, Any]]:
    """CurveData as JSON."""
    side = {} if excitation is None else {"excitation": excitation}
    return [{**side, "xvalue": x, "yvalue": y} for x, y in pairs]


def factor(displacement: int, multiplier: int) -> dict[str, Any]:
    """A power factor with excitation as JSON."""
    return {"displacement": displacement, "excitation": True, "multiplier": multiplier}


CURVE: JSON = {
    "description": "curve",
    "curveType": 11,
    "CurveData": points((92, 44), (108, -44)),
    "xMultiplier": 0,
    "yMultiplier": 0,
    "yRefType": 3,
}
_WATT_PF = {"curveType": 13, "yRefType": 0, "yMultiplier": -2}
_WATT_VAR = {"curveType": 14, "CurveData": points((0, 0), (100, 44))}
_VOLT_WATT = {"curveType": 12, "yRefType": 1, "CurveData": points((100, 100), (110, 0))}
_TRIP = {"curveType": 5, "yRefType": 4}

#: What is changed about a good curve, and where it is then wrong.
CURVES: Mapping[str, tuple[JSON, str]] = {
    "reserved type": ({"curveType": 15}, "/curveType"),
    "power factor without excitation": (
        {**_WATT_PF, "CurveData": points((0, 95))},
        "/CurveData/0/excitation",
    ),
    "negative power factor": (
        {**_WATT_PF, "CurveData": points((0, 95), (50, -95), excitation=True)},
        "/CurveData/1/yvalue",
    ),
    "power factor of 95": (
        {**_WATT_PF, "yMultiplier": 0, "CurveData": points((0, 95), excitation=True)},
        "/CurveData/0/yvalue",
    ),
    "power factor of 0": ({**_WATT_PF, "CurveData": points((0, 0), excitation=True)}, "/CurveData/0/yvalue"),
    "watts of 101 %": ({**_WATT_PF, "CurveData": points((101, 95), excitation=True)}, "/CurveData/0/xvalue"),
    "excitation of vars": ({"CurveData": points((92, 44), excitation=False)}, "/CurveData/0/excitation"),
    "vRef of volt-watt": ({**_VOLT_WATT, "vRef": 9900}, "/vRef"),
    "autonomous vRef of watt-var": ({**_WATT_VAR, "autonomousVRefEnable": False}, "/autonomousVRefEnable"),
    "time constant of watt-var": (
        {**_WATT_VAR, "autonomousVRefTimeConstant": 500},
        "/autonomousVRefTimeConstant",
    ),
    "autonomous vRef without time constant": ({"autonomousVRefEnable": True}, "/autonomousVRefEnable"),
    "vRef above 100 %": ({"vRef": 10_001}, "/vRef"),
    "volts as reference of vars": ({"yRefType": 4}, "/yRefType"),
    "volts as reference of watts": ({**_VOLT_WATT, "yRefType": 4}, "/yRefType"),
    "reserved reference": ({**_TRIP, "CurveData": points((0, 120)), "yRefType": 8}, "/yRefType"),
    "vars of 101 %": ({"CurveData": points((92, 101))}, "/CurveData/0/yvalue"),
    "vars of -101 %": ({"CurveData": points((92, -101))}, "/CurveData/0/yvalue"),
    "volt-watt of -1 %": ({**_VOLT_WATT, "CurveData": points((100, -1))}, "/CurveData/0/yvalue"),
    "negative volts": ({"CurveData": points((-92, 44))}, "/CurveData/0/xvalue"),
    "negative duration": ({**_TRIP, "CurveData": points((-1, 120))}, "/CurveData/0/xvalue"),
    "duration that falls": ({**_TRIP, "CurveData": points((2, 110), (1, 120))}, "/CurveData/1/xvalue"),
    "eleven points": ({"CurveData": points(*[(n, 0) for n in range(11)])}, "/CurveData"),
    "multiplier of 10": ({"xMultiplier": 10}, "/xMultiplier"),
}

#: A DERControlBase, and where it is wrong.
BASES: Mapping[str, tuple[JSON, str]] = {
    "power factor of 95": ({"opModFixedPFInjectW": factor(95, 0)}, "/opModFixedPFInjectW/displacement"),
    "power factor of 1.5": ({"opModFixedPFInjectW": factor(1500, -3)}, "/opModFixedPFInjectW/displacement"),
    "power factor absorbing": ({"opModFixedPFAbsorbW": factor(2, 0)}, "/opModFixedPFAbsorbW/displacement"),
    "vars of nothing": ({"opModFixedVar": {"refType": 0, "value": 1}}, "/opModFixedVar/refType"),
    "vars of volts": ({"opModFixedVar": {"refType": 4, "value": 1}}, "/opModFixedVar/refType"),
    "vars above 100 %": ({"opModFixedVar": {"refType": 2, "value": 10_001}}, "/opModFixedVar/value"),
    "limit above 100 %": ({"opModMaxLimW": 10_001}, "/opModMaxLimW"),
    "limit below 0": ({"opModMaxLimW": -1}, "/opModMaxLimW"),
    "watts below -100 %": ({"opModFixedW": -10_001}, "/opModFixedW"),
    "power beyond its multiplier": (
        {"opModTargetW": {"multiplier": 10, "value": 1}},
        "/opModTargetW/multiplier",
    ),
    "curve that is none": ({"opModVoltVar": {"href": "/derp/1/dc/777"}}, "/opModVoltVar"),
}

#: What is said about an event beside its modes, and where it is wrong.
TIMINGS: Mapping[str, tuple[JSON, str]] = {
    "no duration": ({"duration": 0}, "/duration"),
    "duration of 136 years": ({"duration": 2**32 - 1}, "/duration"),
    "start before 1970": ({"duration": 600, "start": -5}, "/start"),
    "start after 9999": ({"duration": 600, "start": 2**40}, "/start"),
    "nothing is left": ({"duration": 60, "randomizeDuration": -3600}, "/randomizeDuration"),
    "just nothing is left": ({"duration": 60, "randomizeDuration": -60}, "/randomizeDuration"),
    "more than an hour": ({"duration": 600, "randomizeStart": 3601}, "/randomizeStart"),
    "reserved bits of responses": ({"duration": 600, "responseRequired": "FF"}, "/responseRequired"),
    "one reserved bit of responses": ({"duration": 600, "responseRequired": "08"}, "/responseRequired"),
    "reserved categories": ({"duration": 600, "deviceCategory": "EFFFFFFF"}, "/deviceCategory"),
    "no category": ({"duration": 600, "deviceCategory": "00000000"}, "/deviceCategory"),
}


def element(cls: type[Element], data: JSON) -> Any:
    """A value of a class from JSON, right or wrong."""
    values = {}
    for field in fields(cls):
        given = data.get(field.name)
        if given is None:
            continue
        if field.form is None:
            given = (
                tuple(element(field.type, one) for one in given)
                if field.occurs
                else element(field.type, given)
            )
        values[field.name] = given
    return cls(**values)


class CommandTests(OfficeCase):
    """The commands, which judge what comes by whatever way."""

    def refused(self, what: str, pointer: str, command: Any) -> None:
        def attempt(transaction: Transaction) -> None:
            refusal: Impossible = self.assertRaises(Impossible, command, transaction)
            self.assertEqual([at for at, _ in refusal.flaws], [pointer], what)
            self.assertIn("expected ", refusal.flaws[0][1], what)

        self.world.write(attempt)

    def command(self, what: str, pointer: str, base: JSON, timing: JSON) -> None:
        wanted = Command(
            base=element(r.DERControlBase, base),
            duration=timing["duration"],
            start=timing.get("start"),
            randomize_start=timing.get("randomizeStart"),
            randomize_duration=timing.get("randomizeDuration"),
            category=int(timing["deviceCategory"], 16) if "deviceCategory" in timing else None,
            response_required=int(timing.get("responseRequired", "03"), 16),
        )
        target = Target(program=self.numbers.system)

        def create(transaction: Transaction) -> None:
            commands.create(transaction, self.world.server.own, REPLY_TO, target, wanted, NOW, "ann")

        self.refused(what, pointer, create)

    def test_curves(self) -> None:
        """A wrong curve is refused by the command that adds it (case B1)."""
        for what, (change, pointer) in CURVES.items():
            curve = element(r.DERCurve, {"mRID": "0", "creationTime": NOW, **CURVE, **change})
            self.refused(what, pointer, partial(self.add_curve, curve))

    def add_curve(self, curve: r.DERCurve, transaction: Transaction) -> None:
        program_contents.add_curve(transaction, self.world.server.issuer, self.numbers.system, curve, NOW)

    def test_controls(self) -> None:
        """A control with wrong modes or timing is refused by the command that makes it (cases B1, F17)."""
        for what, (base, pointer) in BASES.items():
            self.command(what, f"/base{pointer}", base, {"duration": 600})
        for what, (timing, pointer) in TIMINGS.items():
            self.command(what, pointer, {"opModMaxLimW": 1}, timing)

    def test_defaults(self) -> None:
        """A default with wrong modes is refused by the command that sets it (case B1)."""
        for what, (base, pointer) in BASES.items():
            default = element(r.DefaultDERControl, {"mRID": "0", "DERControlBase": base})
            self.refused(what, f"/DERControlBase{pointer}", partial(self.set_default, default))

    def set_default(self, default: r.DefaultDERControl, transaction: Transaction) -> None:
        program_contents.set_default(transaction, self.world.server.issuer, self.numbers.system, default, NOW)


class APITests(OfficeCase):
    """The operator's API."""

    def refused(self, what: str, method: str, path: str, body: JSON, pointer: str) -> None:
        found = self.office.refused(method, path, body)
        self.assertEqual([at for at, _ in found], [pointer], what)
        self.assertIn("expected ", found[0][1], what)

    def test_curves(self) -> None:
        """A wrong curve is 400, with a pointer (case B1)."""
        for what, (change, pointer) in CURVES.items():
            self.refused(what, "POST", "/programs/1/curves", {**CURVE, **change}, pointer)

    def test_controls(self) -> None:
        """A control with wrong modes or timing is 400 with a pointer, looked at or made (cases B1, F17)."""
        for path in ("/controls/preview", "/controls"):
            for what, (base, pointer) in BASES.items():
                body = {"program": 1, "duration": 600, "base": base}
                self.refused(what, "POST", path, body, f"/base{pointer}")
            for what, (timing, pointer) in TIMINGS.items():
                self.refused(
                    what, "POST", path, {"program": 1, "base": {"opModMaxLimW": 1}, **timing}, pointer
                )
        self.assertEqual(self.office.log(), [])

    def test_defaults(self) -> None:
        """A default with wrong modes is 400 with a pointer (case B1)."""
        for what, (base, pointer) in BASES.items():
            body = {"DERControlBase": base}
            self.refused(what, "PUT", "/programs/1/default", body, f"/DERControlBase{pointer}")

    def test_doubts(self) -> None:
        """What the standard lets be and may be a slip is made, and told of (case B1)."""
        made = self.office.post("/programs/1/curves", {**CURVE, "CurveData": points((108, -44), (92, 44))})
        (reported,) = made["warnings"]
        self.assertTrue(reported.startswith("/CurveData/1/xvalue: is 92 after 108, expected "), reported)
        self.assertNotIn("warnings", self.office.post("/programs/1/curves", CURVE))
        default = {"DERControlBase": {}, "setESLowFreq": 6100, "setESHighFreq": 5900}
        (reported,) = self.office.put("/programs/1/default", default)["warnings"]
        self.assertTrue(reported.startswith("/setESLowFreq: is 6100, above setESHighFreq (5900)"), reported)
        self.assertNotIn("warnings", self.office.get("/programs/1/default"))

    def test_a_number_too_small(self) -> None:
        """A power that cannot be held is refused, not made 0 (case F17)."""
        body = b'{"program": 1, "duration": 600, "base": {"opModTargetW": 1e-400}}'
        ((pointer, reported),) = self.office.refused("POST", "/controls", body)
        self.assertEqual(pointer, "/base/opModTargetW")
        self.assertIn("expected a number", reported)

    def test_pins(self) -> None:
        """A PIN whose check digit is wrong is warned of, or refused where PINs are strict (case B12)."""
        path = f"/devices/{self.numbers.owner}"
        digit = "/pIN: has a wrong check digit, expected five digits and a check digit"
        (warning,) = self.office.patch(path, {"pIN": 111111})["warnings"]
        self.assertTrue(warning.startswith(digit), warning)
        self.assertEqual(self.office.get(path)["warnings"], [warning])
        self.assertNotIn("warnings", self.office.patch(path, {"pIN": 111115}))
        self.world.server = evolve(self.world.server, strict_pins=True)
        self.office = Office(self.world)
        self.addCleanup(self.office.close)
        new = {"name": "new", "lFDI": "AB" * 20, "pIN": 111111}
        for method, where, body in (("PATCH", path, {"pIN": 111111}), ("POST", "/devices", new)):
            ((pointer, reported),) = self.office.refused(method, where, body)
            self.assertEqual((pointer, f"{pointer}: {reported}"), ("/pIN", warning))

    def test_categories_of_devices(self) -> None:
        """A device has no category that the standard has not (case A21)."""
        path = f"/devices/{self.numbers.owner}"
        new = {"name": "new", "lFDI": "AB" * 20, "deviceCategory": "04000000"}
        for method, where, body in (
            ("PATCH", path, {"deviceCategory": "EFFFFFFF"}),
            ("POST", "/devices", new),
        ):
            ((pointer, _),) = self.office.refused(method, where, body)
            self.assertEqual(pointer, "/deviceCategory")


class CsipctlTests(CtlCase):
    """csipctl, which leaves judging to the API and says what that found."""

    def refused(self, what: str, *arguments: str) -> Result:
        done = self.ctl(*arguments, code=1)
        self.assertEqual(done.stdout, "", what)
        return done

    def settings(self, base: JSON, path: str = "") -> list[str]:
        """--set for each value of a base."""
        found = []
        for name, value in base.items():
            if isinstance(value, dict):
                found += self.settings(value, f"{path}{name}.")
            elif f"{path}{name}" in ("opModMaxLimW", "opModFixedW", "opModFixedVar.value"):
                found += ["--set", f"{path}{name}={value / 100:.2f}%"]
            else:
                found += ["--set", f"{path}{name}={json.dumps(value)}"]
        return found

    def test_curves(self) -> None:
        """A wrong curve is refused with the place and what was expected (case B1)."""
        for what, (change, pointer) in CURVES.items():
            file = Path(self.mktemp())
            file.write_text(json.dumps({**CURVE, **change}))
            command = ("programs", "curves", "add", "1", "--file", str(file))
            if what.startswith("reserved"):
                self.ctl(*command, code=2)  # csipctl takes these by name, and knows them itself
                continue
            reported = self.refused(what, *command).stderr
            self.assertIn(pointer, reported, what)
            self.assertIn("expected ", reported, what)

    def test_doubts(self) -> None:
        """A curve that leads back is made, for it may have hysteresis, and not without a word (case B1)."""
        points = ("--point", "108,-44", "--point", "92,44")
        done = self.ctl("programs", "curves", "add", "1", "--type", "opModVoltVar", *points)
        self.assertIn(
            "warning: /CurveData/1/xvalue: is 92 after 108, expected x that does not fall", done.stderr
        )
        limits = ("--set", "setESLowFreq=6100", "--set", "setESHighFreq=5900")
        asked = self.ctl("programs", "default", "set", "1", *limits, input="n\n", code=5)
        self.assertIn("no DER would ever enter service", asked.output)
        limits = ("--set", "setESLowFreq=61Hz", "--set", "setESHighFreq=59Hz")
        unasked = self.ctl("programs", "default", "set", "1", *limits, "--yes")
        self.assertIn("warning: /setESLowFreq: is 6100, above setESHighFreq (5900)", unasked.stderr)

    def test_controls(self) -> None:
        """A control with wrong modes is refused with the place and what was expected (case B1)."""
        command = ("controls", "create", "--program", "1", "--duration", "10m", "--yes")
        for what, (base, pointer) in BASES.items():
            if "curve" in what:  # csipctl looks for curves itself
                self.refused(what, *command, "--set", "opModVoltVar=/derp/1/dc/777")
                continue
            reported = self.refused(what, *command, *self.settings(base)).stderr
            self.assertIn(f"/base{pointer}", reported, what)
            self.assertIn("expected ", reported, what)

    def test_timings(self) -> None:
        """So is wrong timing, as far as csipctl does not refuse it itself (case B1)."""
        options = {
            "responseRequired": "--response-required",
            "deviceCategory": "--category",
            "randomizeDuration": "--randomize-duration",
        }
        for what, (timing, pointer) in TIMINGS.items():
            given = {name: value for name, value in timing.items() if name in options}
            if not given:
                continue
            command = ["controls", "create", "--program", "1", "--yes", "--set", "opModMaxLimW=1%"]
            command += ["--duration", f"{timing['duration']}s"]
            for name, value in given.items():
                command += [options[name], str(value)]
            self.assertIn(pointer, self.refused(what, *command).stderr, what)

    def test_a_number_too_small(self) -> None:
        """A power that cannot be held is refused (case F17)."""
        command = ("controls", "create", "--program", "1", "--duration", "10m", "--yes")
        self.refused("1e-400", *command, "--set", "opModTargetW=1e-400")

    def test_pins(self) -> None:
        """A PIN with a wrong check digit is warned of, whichever command it comes by (case B12)."""
        file = Path(self.mktemp())
        file.write_text(f"name,lfdi,pin\nnew1,{'AB' * 20},111111\nnew2,{'AC' * 20},111115\n")
        done = self.ctl("devices", "import", str(file))
        self.assertEqual(done.stdout, "Added 2 devices.\n")
        (line,) = done.stderr.splitlines()
        self.assertTrue(line.startswith(f"warning: {file}:2: /pIN: has a wrong check digit"), line)
        for command in (
            ("devices", "add", "new3", "--lfdi", "AD" * 20, "--pin", "111111"),
            ("devices", "change", "new2", "--pin", "111111"),
        ):
            done = self.ctl(*command)
            self.assertIn("has a wrong check digit", done.stdout + done.stderr)


class ConfigurationTests(OfficeCase):
    """The configuration file."""

    def keys(self, text: str) -> list[str]:
        """The keys that are wrong in a file of this text."""
        error: ConfigError = self.assertRaises(ConfigError, loads, MINIMAL + text, "c.yml")
        for problem in error.errors:
            self.assertIn("expected ", problem.message)
        return [problem.key for problem in error.errors]

    @staticmethod
    def key(pointer: str) -> str:
        """A pointer as the file writes it: /CurveData/0/yvalue is CurveData[0].yvalue."""
        return re.sub(r"/(\d+)", r"[\1]", pointer).replace("/", ".").removeprefix(".")

    def test_curves(self) -> None:
        """A wrong curve is an error with its key (case B1)."""
        for what, (change, pointer) in CURVES.items():
            text = f"curves: [{json.dumps({**CURVE, **change})}]\n"
            if what == "excitation of vars":
                reported = "\n".join(loads(MINIMAL + text, "c.yml").warnings)
                self.assertIn(f"{self.key(pointer)}: left out", reported)  # decision 26
                continue
            self.assertEqual(self.keys(text), [f"curves[0].{self.key(pointer)}"], what)

    def test_controls(self) -> None:
        """A control with wrong modes is an error with its key, named as a default or not (case B1)."""
        for what, (base, pointer) in BASES.items():
            if "curve" in what:
                base = {"opModVoltVar": "none"}
            control = json.dumps({"description": "C", "base": base})
            program = "{description: P, primacy: 1, default_control: C}"
            for text in (f"controls: [{control}]\n", f"controls: [{control}]\nprograms: [{program}]\n"):
                self.assertEqual(self.keys(text), [f"controls[0].base.{self.key(pointer)}"], what)

    def test_events(self) -> None:
        """An event with wrong timing is an error with its key (cases B1, F17)."""
        for what, (timing, pointer) in TIMINGS.items():
            if "deviceCategory" in timing:
                continue  # the file's events are for all
            event = json.dumps({"control": "C", **timing})
            text = f"controls: [{{description: C, base: {{opModMaxLimW: 1}}}}]\nevents: [{event}]\n"
            text += "programs: [{description: P, primacy: 1, controls: [C]}]\n"
            self.assertEqual(self.keys(text), [f"events[0].{self.key(pointer)}"], what)

    def test_a_number_too_small(self) -> None:
        """A power that cannot be held is an error (case F17)."""
        self.assertEqual(
            self.keys("controls: [{description: C, base: {opModTargetW: 1e-400}}]\n"),
            ["controls[0].base.opModTargetW"],
        )
