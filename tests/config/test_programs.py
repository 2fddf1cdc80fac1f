"""programs, controls, curves, events and default_program."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from csipd.config import (
    ConfigError,
)
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.config.support import MRID, PROGRAMS, ConfigCase, href, read


class ProgramTests(ConfigCase):
    """programs:, controls: and default_program:"""

    def base(self, text: str) -> r.DERControlBase:
        control = read(f"controls: [{{description: C, base: {{{text}}}}}]\n").controls[0]
        base = control.base(href)
        codec.check(base)
        return base

    def base_error(self, text: str) -> str:
        (line,) = self.wrong(f"controls: [{{description: C, base: {{{text}}}}}]\n")
        return line.removeprefix("c.yml:3: controls[0].base.")

    def test_modes(self) -> None:
        """Every mode that is no curve is read in the standard's own units and words."""
        self.assertEqual(
            self.base(
                "opModConnect: true, opModEnergize: no, opModFixedW: -10000, opModMaxLimW: 10000,"
                "rampTms: 100, opModFixedVar: {refType: setMaxVar, value: -50},"
                "opModTargetW: 70000, opModTargetVar: -1.5,"
                "opModFixedPFInjectW: {displacement: 950, excitation: true, multiplier: -3},"
                "opModFreqDroop: {dBOF: 60030, dBUF: 59970, kOF: 40, kUF: 40, openLoopTms: 600}"
            ),
            r.DERControlBase(
                opModConnect=True,
                opModEnergize=False,
                opModFixedW=-10000,
                opModMaxLimW=10000,
                rampTms=100,
                opModFixedVar=r.FixedVar(refType=2, value=-50),
                opModTargetW=r.ActivePower(multiplier=1, value=7000),
                opModTargetVar=r.ReactivePower(multiplier=-1, value=-15),
                opModFixedPFInjectW=r.PowerFactorWithExcitation(
                    displacement=950, excitation=True, multiplier=-3
                ),
                opModFreqDroop=r.FreqDroopType(dBOF=60030, dBUF=59970, kOF=40, kUF=40, openLoopTms=600),
            ),
        )

    def test_wrong_modes(self) -> None:
        """Percentages are held to 100 %, and what is nested must be whole."""
        self.assertEqual(
            self.base_error("opModMaxLimW: 10001"), "opModMaxLimW: expected an integer 0..10000, got '10001'"
        )
        self.assertEqual(
            self.base_error("opModFixedW: 95.5"), "opModFixedW: expected an integer -10000..10000, got '95.5'"
        )
        self.assertIn(
            "refType: expected SET_MAX_W, SET_MAX_VAR or STAT_VAR_AVAIL",
            self.base_error("opModFixedVar: {refType: 4, value: 1}"),
        )
        self.assertEqual(
            self.base_error("opModFreqDroop: {dBOF: 1, dBUF: 1, kOF: 1, kUF: 1}"),
            "opModFreqDroop.openLoopTms: expected this key, found none",
        )
        self.assertEqual(
            self.base_error("opModMaxLim: 1"), "opModMaxLim: unknown key; did you mean 'opModMaxLimW'?"
        )
        self.assertEqual(
            self.base_error("opModVoltVar: X"),
            "opModVoltVar: expected the description of a curve in this file, got 'X'",
        )

    def test_curve_links(self) -> None:
        """A mode that is a curve names one of its type, and the program's curve is linked."""
        control = read(PROGRAMS).controls[2]
        self.assertEqual(control.curves, {"opModVoltVar": "VV"})
        self.assertEqual(
            control.base(lambda curve: f"/derp/1/dc/{curve}"),
            r.DERControlBase(opModVoltVar=r.DERCurveLink(href="/derp/1/dc/VV")),
        )
        self.assert_wrong(
            PROGRAMS.replace("opModVoltVar: VV", "opModVoltWatt: VV"),
            "c.yml:8: controls[2].base.opModVoltWatt: points to VV, of curveType 11,"
            " expected a curve of curveType 12 (opModVoltWatt)",
        )

    def test_curves_of_a_program(self) -> None:
        """A program has the curves that its controls use."""
        self.assert_wrong(
            PROGRAMS.replace("curves: [VV]", "curves: []"),
            "c.yml:10: programs[0].curves: expected 'VV' among them: control 'C3' uses it",
        )

    def test_default_settings(self) -> None:
        """Ramp rates and enter-service settings stand in the default control only."""
        control = read("controls: [{description: C, setGradW: 100, setESLowVolt: -5}]\n").controls[0]
        self.assertFalse(control.schedulable)
        self.assertEqual(
            control.default(MRID, href),
            r.DefaultDERControl(
                mRID=MRID, description="C", DERControlBase=r.DERControlBase(), setGradW=100, setESLowVolt=-5
            ),
        )
        self.assert_wrong(
            "controls: [{description: C, setGradW: 65536}]\n",
            "c.yml:3: controls[0].setGradW: expected an integer 0..65535, got '65536'",
        )

    def test_schedulable(self) -> None:
        """A ramp time controls nothing by itself."""
        texts = ("", "{}", "{rampTms: 5}", "{opModConnect: false}")
        found = read(
            "controls:\n" + "".join(f"  - {{description: c{n}, base: {t}}}\n" for n, t in enumerate(texts))
        )
        self.assertEqual([control.schedulable for control in found.controls], [False, False, False, True])

    def test_references(self) -> None:
        """What a program names is there; descriptions are unique and short enough for the standard."""
        self.assert_wrong(
            f"""\
            controls: [{{description: C 1}}, {{description: C 1}}, {{}}]
            programs:
              - description: {"x" * 33}
                primacy: 256
                default_control: C 2
                controls: C 1
                curves: [V]
              - {{description: P}}
              - {{description: P, primacy: 0}}
            """,
            "c.yml:3: controls[1].description: 'C 1' is given twice, first in line 3",
            "c.yml:3: controls[2].description: expected this key, found none",
            f"c.yml:5: programs[0].description: expected a description of at most 32 characters, in one line,"
            f" got '{'x' * 33}'",
            "c.yml:6: programs[0].primacy: expected an integer 0..255, got '256'",
            "c.yml:7: programs[0].default_control: expected the description of a control in this"
            " file, got 'C 2'; did you mean 'C 1'?",
            "c.yml:8: programs[0].controls: expected a list, got 'C 1'",
            "c.yml:9: programs[0].curves[0]: expected the description of a curve in this file, got 'V'",
            "c.yml:10: programs[1].primacy: expected this key, found none",
            "c.yml:11: programs[2].description: 'P' is given twice, first in line 10",
        )

    def test_default_program(self) -> None:
        """``default_program`` is a program of every device with DERs, with a default control of its own."""
        text = PROGRAMS + dedent(
            """\
            default_program:
              description: Default
              primacy: 0
              DefaultDERControl: {setGradW: 1000, DERControlBase: {opModConnect: true}}
            devices: [{id: a}, {id: b, ders: []}, {id: c, programs: [Default]}]
            """
        )
        found = read(text)
        self.assertEqual([d.programs for d in found.devices], [("Default",), (), ("Default",)])
        self.assertEqual(found.programs[-1].default_control, "Default")
        default = found.controls[-1].default(MRID, href)
        self.assertEqual((default.setGradW, default.DERControlBase.opModConnect), (1000, True))
        without = read(text + "include_default_der_program_on_ders: false\n")
        self.assertEqual([d.programs for d in without.devices], [(), (), ("Default",)])
        self.assert_wrong(
            PROGRAMS + "default_program: {description: C1}\n",
            "c.yml:12: default_program.description: expected a description that no control or program has",
            "c.yml:12: default_program.primacy: expected this key, found none",
        )


class CurveTests(ConfigCase):
    """curves:"""

    def curve(self, **keys: str) -> Any:
        keys = {"description": "C", "curveType": "11", "CurveData": "[{xvalue: 1, yvalue: -1}]", **keys}
        self.settings = read(
            "curves:\n  - " + "".join(f"{key}: {value}\n    " for key, value in keys.items()) + "\n"
        )
        found = self.settings.curves[0].curve(MRID, 77)
        codec.check(found)
        return found

    def curve_error(self, **keys: str) -> str:
        error = self.assertRaises(ConfigError, self.curve, **keys)
        (problem,) = error.errors
        return f"{problem.key}: {problem.message}"

    def test_whole(self) -> None:
        """A curve that leaves nothing out gives no warning."""
        curve = self.curve(
            curveType="opModVoltVar",
            autonomousVRefEnable="true",
            autonomousVRefTimeConstant="500",
            vRef="9900",
            openLoopTms="10",
            rampDecTms="600",
            rampIncTms="600",
            rampPT1Tms="10",
            xMultiplier="-2",
            yMultiplier="-2",
            yRefType="STAT_VAR_AVAIL",
            creationTime="2024-01-01T00:00:00Z",
        )
        self.assertEqual(self.settings.warnings, ())
        self.assertEqual((curve.creationTime, curve.yRefType, curve.vRef), (1_704_067_200, 3, 9900))
        self.assertEqual((curve.xMultiplier, curve.autonomousVRefTimeConstant), (-2, 500))

    def test_defaults(self) -> None:
        """Each type of curve has a default of what y is a share of; one warning names all that is taken."""
        for kind, ref in enumerate((1, 0, 0, 4, 4, 4, 0, 0, 4, 4, 4, 2, 1, 0, 2)):
            points = (
                "[{xvalue: 1, yvalue: 1, excitation: true}]" if kind == 13 else "[{xvalue: 1, yvalue: 1}]"
            )
            curve = self.curve(curveType=str(kind), CurveData=points)
            self.assertEqual((curve.yRefType, curve.xMultiplier, curve.yMultiplier), (ref, 0, 0))
            self.assertEqual(curve.creationTime, 77)
            self.assertEqual(len(self.settings.warnings), 1)

    def test_y_ref(self) -> None:
        """Another reference is an error where the standard lists them, and a warning elsewhere."""
        self.assertEqual(
            self.curve_error(yRefType="4"),
            "curves[0].yRefType: is 4 (SET_EFFECTIVE_V), expected 1 (SET_MAX_W) or 2 (SET_MAX_VAR)"
            " or 3 (STAT_VAR_AVAIL) for curveType 11",
        )
        self.assertEqual(self.curve(curveType="0", yRefType="7").yRefType, 7)
        self.assertIn(
            "curves[0].yRefType: is 7 (STAT_W_AVAIL), expected 1 (SET_MAX_W)",
            "\n".join(self.settings.warnings),
        )

    def test_volt_var_only(self) -> None:
        """A reference voltage belongs to Volt-Var; its adjustment needs a time constant."""
        for key, value in (
            ("vRef", "1"),
            ("autonomousVRefEnable", "false"),
            ("autonomousVRefTimeConstant", "1"),
        ):
            self.assertEqual(
                self.curve_error(curveType="12", CurveData="[{xvalue: 1, yvalue: 1}]", **{key: value}),
                f"curves[0].{key}: is given, expected none where curveType is not 11 (opModVoltVar)",
            )
        self.assertEqual(
            self.curve_error(autonomousVRefEnable="true"),
            "curves[0].autonomousVRefEnable: is true without a time constant,"
            " expected autonomousVRefTimeConstant beside it, in 0.01 s",
        )

    def test_points(self) -> None:
        """A curve has one to ten points, each with both axes."""
        point = "{xvalue: 1, yvalue: 1}"
        self.assertEqual(len(self.curve(CurveData=f"[{', '.join([point] * 10)}]").CurveData), 10)
        for count in (0, 11):
            self.assertEqual(
                self.curve_error(CurveData=f"[{', '.join([point] * count)}]"),
                f"curves[0].CurveData: expected 1..10 points, got {count}",
            )
        self.assertEqual(self.curve_error(CurveData=""), "curves[0].CurveData: expected this key, found none")
        self.assertEqual(
            self.curve_error(CurveData="{a: b}"), "curves[0].CurveData: expected a list, got a mapping"
        )
        self.assertEqual(
            self.curve_error(CurveData="[{xvalue: 1}]"),
            "curves[0].CurveData[0].yvalue: expected this key, found none",
        )
        self.assertIn(
            "-2147483648..2147483647", self.curve_error(CurveData="[{xvalue: 1, yvalue: 2147483648}]")
        )

    def test_excitation(self) -> None:
        """A power factor has a side, under either spelling; anything else has none."""
        for spelling in ("excitation", "exitation"):
            curve = self.curve(curveType="13", CurveData=f"[{{xvalue: 1, yvalue: 1, {spelling}: true}}]")
            self.assertIs(curve.CurveData[0].excitation, True)
        self.assertEqual(
            self.curve_error(curveType="13", CurveData="[{xvalue: 1, yvalue: 1}]"),
            "curves[0].CurveData[0].excitation: is missing, expected true or false, as y is a power factor",
        )
        self.assertEqual(
            self.curve_error(curveType="13", CurveData="[{xvalue: 1, yvalue: -1, excitation: true}]"),
            "curves[0].CurveData[0].yvalue: is -1, -1 as a power factor, expected 0 to 1 as a power factor",
        )
        self.assertEqual(
            self.curve_error(
                curveType="13", CurveData="[{xvalue: 1, yvalue: 1, excitation: no, exitation: no}]"
            ),
            "curves[0].CurveData[0].exitation: given twice, also as excitation",
        )

    def test_type(self) -> None:
        """A curve says what it is for."""
        self.assertEqual(self.curve_error(curveType=""), "curves[0].curveType: expected this key, found none")
        self.assertIn(
            "expected a type of curve, by name or number, got '15'", self.curve_error(curveType="15")
        )
        self.assertIn("did you mean 'opModVoltVar'?", self.curve_error(curveType="opModVoltVa"))

    def test_creation_time(self) -> None:
        """The time of creation is a time, or seconds since 1970."""
        self.assertEqual(self.curve(creationTime="1700000000").creationTime, 1_700_000_000)
        self.assertIn("expected a time such as", self.curve_error(creationTime="yesterday"))


class EventTests(ConfigCase):
    """events:"""

    def event(self, text: str, zone: str = "UTC") -> Any:
        self.settings = read(f"time_zone: {zone}\nevents: [{{{text}}}]\n{PROGRAMS}")
        return self.settings.events[0] if self.settings.events else None

    def event_error(self, text: str, zone: str = "UTC") -> str:
        (line,) = self.wrong(f"time_zone: {zone}\nevents: [{{{text}}}]\n{PROGRAMS}")
        return line.removeprefix("c.yml:4: events[0]").removeprefix(".")

    def warned(self) -> list[str]:
        return [line for line in self.settings.warnings if ": events[" in line]

    def test_control(self) -> None:
        """A control is named by description or by its place in the list."""
        for text in ("control: C1", "control: 0"):
            event = self.event(text)
            self.assertEqual((event.control, event.program, event.programs), ("C1", None, ("P1", "P2")))
        self.assertEqual(
            self.event_error("control: C9"),
            "control: expected the description of one of 3 controls, or its index from 0, got 'C9'",
        )
        for text in ("control: 3", "control: -1", "control: '0'", "control: [0]"):
            self.assertIn("control: expected ", self.event_error(text))
        self.assertEqual(self.event_error("duration: 5"), "control: expected this key, found none")

    def test_program(self) -> None:
        """A program that is named must name the control itself."""
        self.assertEqual(self.event("control: C1, program: P2").programs, ("P2",))
        self.assertEqual(
            self.event_error("control: C3, program: P2"),
            "program: expected a program that names control 'C3'",
        )

    def test_cannot_be_scheduled(self) -> None:
        """A control without a base, or in no program, is left out with a clear line."""
        self.assertIs(self.event("control: C2"), None)
        self.assertEqual(
            self.warned(), ["c.yml:4: events[0].control: 'C2' has no base and cannot be scheduled: left out"]
        )
        found = read("controls: [{description: C, base: {opModConnect: no}}]\nevents: [{control: C}]\n")
        self.assertEqual(found.events, ())
        self.assertIn("c.yml:4: events[0].control: no program names 'C': left out", found.warnings)

    def test_start(self) -> None:
        """A start is a time, or seconds from when the entry is first seen; by default at once."""
        for text, start, delay in (
            ("", None, 0),
            (", start: +20", None, 20),
            (", start: 20", None, 20),
            (", start: 2026-07-01T12:00:00Z", 1_782_907_200, 0),
            (", start: '2026-07-01 12:00:00+02:00'", 1_782_900_000, 0),
            (", start: 20260701T120000Z", 1_782_907_200, 0),
        ):
            event = self.event("control: C1" + text)
            self.assertEqual((event.start, event.delay), (start, delay))

    def test_start_in_the_zone(self) -> None:
        """A time without an offset is in the file's zone, unless clocks change just then."""
        zone = "America/Los_Angeles"
        event = self.event("control: C1, start: 2026-07-01T05:00:00", zone)
        self.assertEqual(event.start, 1_782_907_200)
        for time in ("2026-11-01T01:30:00", "2026-03-08T02:30:00"):
            self.assertEqual(
                self.event_error(f"control: C1, start: '{time}'", zone),
                f"start: expected a time with its offset: clocks change then in {zone}, got '{time}'",
            )

    def test_wrong_starts(self) -> None:
        """What is no time, or no sensible delay, is an error."""
        for text in (
            "tomorrow",
            "2026-07-01",
            "2026-13-01T00:00:00Z",
            "1782907200",
            "-5",
            "20.5",
            "1969-01-01T00:00:00Z",
            "2026-07-01T12:00:00.5Z",
            "0001-01-01T00:00:00+14:00",
            "[1]",
        ):
            self.assertRegex(self.event_error(f"control: C1, start: {text}"), r"^start: expected ")

    def test_numbers(self) -> None:
        """Duration and randomisation are seconds, the response bits hexadecimal."""
        event = self.event(
            "control: C1, duration: 60, randomizeStart: -3600, randomizeDuration: 3600, responseRequired: 07"
        )
        self.assertEqual((event.duration, event.randomizeStart, event.randomizeDuration), (60, -3600, 3600))
        self.assertEqual(event.responseRequired, 7)
        self.assertEqual(self.event("control: C1").responseRequired, 3)
        for text in (
            "duration: 0",
            "randomizeStart: 3601",
            "randomizeDuration: -3601",
            "responseRequired: 08",
            "responseRequired: yes",
        ):
            self.assertRegex(self.event_error(f"control: C1, {text}"), "^[a-zA-Z]+: .*expected ")

    def test_doubled(self) -> None:
        """Two entries that say the same are one, also when they say it in other words."""
        found = read(
            PROGRAMS
            + "events: [{control: C1, start: 2026-07-01T12:00:00Z},"
            + " {control: 0, duration: 3600, start: 2026-07-01T14:00:00+02:00}]\n"
        )
        self.assertEqual(len(found.events), 1)
        self.assertIn("c.yml:12: events[1]: the same as in line 12: scheduled once", found.warnings)
