"""BASIC: one direct DER and its events (CSIP Conformance Test Procedures v1.3).

Each timeline is lived by two clients side by side, one of ours and one of others' making (py20305), and
asserted as the transcript of what they were shown and of what they answered. What ours put into force stands
beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.conformance.bench import LAB, LADDER, PIN, RATES, T0, Points
from tests.conformance.case import CANCELLED, RECEIVED, WHOLE, ConformanceCase
from tests.conformance.devices import REPORTS, Station, requests
from tests.support.bodies import FULL, MINIMAL
from tests.support.metering import HERTZ, VARS, VOLTS, WATTS, meter, meters, reading, usage_point
from tests.support.ways import both_ways

#: BASIC-004.
VOLTAGE_TRIPS: Mapping[str, Points] = {
    "opModHVRTMustTrip": ((16, 12000), (16, 11000), (1200, 11000), (1200, 10000), (10000, 10000)),
    "opModHVRTMomentaryCessation": ((0, 10000), (1200, 10000)),
    "opModLVRTMustTrip": (
        (150, 0),
        (150, 5000),
        (1200, 5000),
        (1200, 7000),
        (2200, 7000),
        (2200, 8800),
        (10000, 8800),
    ),
    "opModLVRTMomentaryCessation": ((0, 6000), (150, 6000)),
}
#: BASIC-005.
FREQUENCY_TRIPS: Mapping[str, Points] = {
    "opModHFRTMustTrip": ((16, 6500), (16, 6100), (28000, 6100), (28000, 6050), (40000, 6050)),
    "opModLFRTMustTrip": ((16, 5300), (16, 5690), (27000, 5690), (27000, 5850), (40000, 5850)),
}
#: BASIC-006: the control's curve and the default's.
VOLT_VAR: Points = ((9100, 4000), (9570, 0), (10400, 0), (10600, -4000))
DEFAULT_VOLT_VAR: Points = ((9200, 3000), (9670, 0), (10300, 0), (10700, -3000))
#: BASIC-011, and BASIC-012.
VOLT_WATT: Points = ((10000, 10000), (10500, 10000), (10900, 0))
FREQ_WATT: Points = ((5900, 100), (5950, 80), (6050, 80), (6200, 0))


def power_factor(displacement: int) -> r.PowerFactorWithExcitation:
    """A power factor in thousandths, injecting var."""
    return r.PowerFactorWithExcitation(displacement=displacement, excitation=False, multiplier=-3)


class WalkTests(ConformanceCase):
    """Who a client is, and what groups it is in."""

    def test_basic_001(self) -> None:
        """Of several EndDevices a client finds its own by LFDI and SFDI, and the PIN is 111115; an aggregator
        finds that of each DER that it manages."""
        self.bench.ladder("SY")
        first, second = (self.bench.direct(name, "SY") for name in ("dev1", "dev2"))
        fleet = {"eda1": "SY", "eda2": "SY"}
        aggregator = self.bench.aggregator("agg", fleet)
        for station in (first, second, aggregator):
            station.walk()
        for station in (first, second):
            own = station.der
            self.assertEqual(own.device.lFDI, station.credential.lfdi)
            self.assertEqual(own.device.sFDI, station.credential.sfdi)
            self.assertEqual(own.pin, PIN)
        self.assertNotEqual(first.der.device.href, second.der.device.href)
        self.assertEqual(
            {der.device.lFDI: der.pin for der in aggregator.ders},
            {LAB.device(name).lfdi: PIN for name in fleet},
        )

    def test_basic_002(self) -> None:
        """A client reads seven FSAs at once with l=255; the default holds before and after the control."""
        self.bench.ladder(fsa="")
        for name in LADDER:
            self.bench.default(name, opModMaxLimW=5000 + LADDER[name][1])
        self.begin("SP")
        self.bench.command("SP", start=5, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=7)
        self.assertEqual({fsa.description for fsa in self.device.der.fsas}, set(LADDER))
        link = self.device.der.device.FunctionSetAssignmentsListLink
        assert link is not None
        self.assertTrue(all(e.path.endswith("l=255") for e in requests(self.device, "GET", f"{link.href}?")))
        self.assertTranscript("""
            0:00  SP is scheduled: 5:00 to 6:00, opModMaxLimW 6000
            0:00  SP default: opModMaxLimW 5004
            0:00  TF default: opModMaxLimW 5005
            0:00  SG default: opModMaxLimW 5006
            0:00  FD default: opModMaxLimW 5007
            0:00  SS default: opModMaxLimW 5008
            0:00  ST default: opModMaxLimW 5009
            0:00  SY default: opModMaxLimW 5010
            0:00  dev2 answers SP: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            5:00  SP is active since 5:00
            5:00  dev1, dev2 answer SP: 2 (started)
            6:00  SP is gone
            6:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertStory(
            self.device.der,
            "opModMaxLimW",
            (0, 5004, "SP default"),
            (5, 6000, "SP"),
            (6, 5004, "SP default"),
        )
        self.assertForced("SP default", "SP", "SP default")

    def test_basic_003(self) -> None:
        """A client that is moved to another branch drops the old branch's control and runs the new one's."""
        self.bench.ladder("SY", "ST", "SS", fsa="")
        for side in "AB":
            above = "SS"
            for name in ("FD", "SG", "TF", "SP"):
                level, primacy = LADDER[name]
                self.bench.program(name + side, primacy, parent=above, level=level)
                above = name + side
        self.bench.default("SY", opModMaxLimW=5000)
        self.begin("SPA")
        self.bench.command("TFA", start=15, lasts=5, opModMaxLimW=6000)
        self.bench.run(until=1)
        self.assertAnswered(TFA=[RECEIVED])
        for name in ("dev1", "dev2", "observer0"):
            self.bench.move(name, "SPA", "SPB")
        self.bench.command("TFB", start=4, lasts=2, opModMaxLimW=7000)
        self.bench.run(until=21)
        branch = {fsa.description for fsa in self.device.der.fsas}
        self.assertEqual(branch, {"SY", "ST", "SS", "FDB", "SGB", "TFB", "SPB"})
        self.assertTranscript("""
            0:00  TFA is scheduled: 15:00 to 20:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 5000
            0:00  dev2 answers TFA: 1 (received)
            0:37  dev1 answers TFA: 1 (received)
            1:00  TFB is scheduled: 4:00 to 6:00, opModMaxLimW 7000
            1:00  TFA is gone
            1:14  dev1 answers TFB: 1 (received)
            1:14  dev1 answers TFA: 14 (given up for another program)
            2:28  dev2 answers TFB: 1 (received)
            4:00  TFB is active since 4:00
            4:00  dev1, dev2 answer TFB: 2 (started)
            6:00  TFB is gone
            6:00  dev1, dev2 answer TFB: 3 (completed)
        """)
        self.assertStory(
            self.device.der,
            "opModMaxLimW",
            (0, 5000, "SY default"),
            (4, 7000, "TFB"),
            (6, 5000, "SY default"),
        )
        self.assertForced("SY default", "TFB", "SY default")


class ModeTests(ConformanceCase):
    """Each control mode: the default before, the control, the default after."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder()
        self.bench.program("Campaign", 11)

    def cycle(self, default: Mapping[str, Any], control: Mapping[str, Any], shown: tuple[str, str]) -> None:
        """SP's default, a control of it at +2 min for a minute; `shown` is how the wire has the two."""
        self.bench.default("SP", **default)
        self.begin("SP", "Campaign")
        self.bench.command("SP", start=2, lasts=1, **control)
        self.bench.run(until=4)
        before, during = shown
        self.assertTranscript(f"""
            0:00  SP is scheduled: 2:00 to 3:00, {during}
            0:00  SP default: {before}
            0:00  dev2 answers SP: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            3:00  SP is gone
            3:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertForced("SP default", "SP", "SP default")

    def assertCycle(self, mode: str, default: Any, control: Any) -> None:
        self.assertStory(
            self.device.der, mode, (0, default, "SP default"), (2, control, "SP"), (3, default, "SP default")
        )

    def curves(self, curves: Mapping[str, Points], **more: Any) -> dict[str, r.DERCurveLink]:
        return {mode: self.bench.curve("SP", mode, points, **more) for mode, points in curves.items()}

    def ride_through(self, trips: Mapping[str, Points]) -> None:
        """The cycle with a curve for each mode; the default's have all times a second longer."""
        longer = {mode: tuple((x + 100, y) for x, y in points) for mode, points in trips.items()}
        self.cycle(self.curves(longer), self.curves(trips), (drawn(longer), drawn(trips)))
        self.assertEqual({fsa.description for fsa in self.device.der.fsas}, {"Topology", "Campaign"})
        for mode, points in trips.items():
            self.assertCycle(mode, longer[mode], points)

    def test_basic_004(self) -> None:
        """Voltage ride-through by four curves."""
        self.ride_through(VOLTAGE_TRIPS)

    def test_basic_005(self) -> None:
        """Frequency ride-through by two curves."""
        self.ride_through(FREQUENCY_TRIPS)

    def test_basic_006(self) -> None:
        """Volt-VAr; the curve says how fast it is to be followed."""
        default = self.curves({"opModVoltVar": DEFAULT_VOLT_VAR}, openLoopTms=10)
        control = self.curves({"opModVoltVar": VOLT_VAR}, openLoopTms=5)
        shown = drawn({"opModVoltVar": DEFAULT_VOLT_VAR}), drawn({"opModVoltVar": VOLT_VAR})
        self.cycle(default, control, shown)
        self.assertCycle("opModVoltVar", DEFAULT_VOLT_VAR, VOLT_VAR)
        curve = self.device.get(control["opModVoltVar"].href, r.DERCurve)
        self.assertEqual((curve.curveType, curve.openLoopTms), (11, 5))

    def test_basic_007(self) -> None:
        """Ramp rates come with the default alone, and change with it."""
        self.bench.default("SP", settings={"setGradW": 10000, "setSoftGradW": 200})
        self.begin("SP", "Campaign")
        self.assertEqual(self.device.der.brain.settings(), {"setGradW": 10000, "setSoftGradW": 200})
        self.bench.run(until=2)
        self.bench.default("SP", settings={"setGradW": 9000, "setSoftGradW": 400})
        self.bench.run(until=3)
        self.assertEqual(self.device.der.brain.settings(), {"setGradW": 9000, "setSoftGradW": 400})
        self.assertTranscript("""
            0:00  SP default: setGradW 10000, setSoftGradW 200
            2:00  SP default: setGradW 9000, setSoftGradW 400
        """)

    def test_basic_008(self) -> None:
        """Fixed power factor while injecting W."""
        self.cycle(
            {"opModFixedPFInjectW": power_factor(950)},
            {"opModFixedPFInjectW": power_factor(900)},
            (
                "opModFixedPFInjectW 950 false -3",
                "opModFixedPFInjectW 900 false -3",
            ),
        )
        self.assertCycle("opModFixedPFInjectW", power_factor(950), power_factor(900))

    def test_basic_009(self) -> None:
        """Energize, with connect beside it."""
        modes = ("opModConnect", "opModEnergize")
        self.cycle(
            dict.fromkeys(modes, False),
            dict.fromkeys(modes, True),
            ("opModConnect false, opModEnergize false", "opModConnect true, opModEnergize true"),
        )
        for mode in modes:
            self.assertCycle(mode, False, True)

    def test_basic_010(self) -> None:
        """A limit of active power."""
        self.cycle({"opModMaxLimW": 5000}, {"opModMaxLimW": 6000}, ("opModMaxLimW 5000", "opModMaxLimW 6000"))
        self.assertCycle("opModMaxLimW", 5000, 6000)

    def test_basic_011(self) -> None:
        """Volt-Watt, in percent of the maximum power."""
        default: Points = ((10000, 10000), (10600, 10000), (11000, 0))
        curves = {"opModVoltWatt": default}, {"opModVoltWatt": VOLT_WATT}
        self.cycle(self.curves(curves[0]), self.curves(curves[1]), (drawn(curves[0]), drawn(curves[1])))
        self.assertCycle("opModVoltWatt", default, VOLT_WATT)

    def test_basic_012(self) -> None:
        """Frequency-Watt, by parameters and by a curve at once."""
        droops = [
            r.FreqDroopType(dBOF=36, dBUF=36, kOF=50, kUF=50, openLoopTms=500),
            r.FreqDroopType(dBOF=60030, dBUF=59970, kOF=40, kUF=40, openLoopTms=600),
        ]
        default: Points = ((5900, 100), (5950, 90), (6050, 90), (6200, 0))
        links = [
            self.curves({"opModFreqWatt": points}, yMultiplier=0)["opModFreqWatt"]
            for points in (default, FREQ_WATT)
        ]
        before, control = (
            {"opModFreqDroop": droop, "opModFreqWatt": link}
            for droop, link in zip(droops, links, strict=True)
        )
        shown = (
            "opModFreqDroop 36 36 50 50 500, " + drawn({"opModFreqWatt": default}),
            "opModFreqDroop 60030 59970 40 40 600, " + drawn({"opModFreqWatt": FREQ_WATT}),
        )
        self.cycle(before, control, shown)
        self.assertCycle("opModFreqDroop", *droops)
        self.assertCycle("opModFreqWatt", default, FREQ_WATT)

    def test_basic_013(self) -> None:
        """Active power in percent."""
        self.cycle({"opModFixedW": 5000}, {"opModFixedW": 6000}, ("opModFixedW 5000", "opModFixedW 6000"))
        self.assertCycle("opModFixedW", 5000, 6000)

    def test_basic_014(self) -> None:
        """Active power in watts."""
        before, control = (r.ActivePower(multiplier=0, value=watts) for watts in (2000, 3000))
        self.cycle(
            {"opModTargetW": before},
            {"opModTargetW": control},
            ("opModTargetW 0 2000", "opModTargetW 0 3000"),
        )
        self.assertCycle("opModTargetW", before, control)


def drawn(curves: Mapping[str, Points]) -> str:
    """Modes that are curves, as a transcript shows them."""
    return ", ".join(
        f"{mode} {' '.join(f'({x},{y})' for x, y in points)}" for mode, points in sorted(curves.items())
    )


class ScheduleTests(ConformanceCase):
    """One program, or several that do not meet."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY", "TF", "SP")

    def test_basic_015(self) -> None:
        """A client holds 24 controls of a program; those that are cancelled half way it does not run."""
        self.bench = self.make(rates={**RATES, "DERProgramList": 59})
        self.bench.ladder("SY", "TF", "SP")
        self.begin("SP")
        commands = [
            self.bench.command("SP", start=2 * n, lasts=1, label=f"SP{n}", opModMaxLimW=5000 + n)
            for n in range(1, 25)
        ]
        self.bench.command("TF", start=3, lasts=1, opModMaxLimW=4000)
        self.bench.run(until=1)
        self.assertEqual(
            sorted(control.description or "" for control in self.device.der.known()),
            sorted(["TF", *(f"SP{n}" for n in range(1, 25))]),
        )
        self.bench.run(until=25.5)
        for command in commands[12:]:
            self.bench.cancel(command)
        self.bench.run(until=52)
        run = {f"SP{n}": WHOLE for n in range(1, 13)}
        dropped = {f"SP{n}": [RECEIVED, CANCELLED] for n in range(13, 25)}
        self.assertAnswered(TF=WHOLE, **run, **dropped)
        for n in range(1, 13):
            self.assertSaid(
                f"{2 * n}:00  SP{n} in SP is active since {2 * n}:00", f"{2 * n + 1}:00  SP{n} is gone"
            )
        for n in range(13, 25):
            self.assertSaid(f"25:30  SP{n} in SP is cancelled since 25:30")
        lines = [line for line in self.device.der.story("opModMaxLimW") if line[2] is not None]
        expected = [(2 * n, 5000 + n, f"SP{n}") for n in range(1, 13)]
        self.assertEqual(lines, [expected[0], (3, 4000, "TF"), *expected[1:]])
        self.assertForced("SP1", "TF", *(f"SP{n}" for n in range(2, 13)))

    def test_basic_016(self) -> None:
        """Of two defaults the one of the nearer group holds."""
        self.bench.default("SP", opModMaxLimW=5000)
        self.bench.default("SY", opModMaxLimW=4000)
        self.begin("SP")
        self.bench.run(until=2)
        self.assertTranscript("""
            0:00  SP default: opModMaxLimW 5000
            0:00  SY default: opModMaxLimW 4000
        """)
        self.assertStory(self.device.der, "opModMaxLimW", (0, 5000, "SP default"))
        self.assertForced("SP default")

    def test_basic_017(self) -> None:
        """One control, and nothing before or after."""
        self.begin("SP")
        self.bench.command("SP", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=4)
        self.assertTranscript("""
            0:00  SP is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  dev2 answers SP: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            3:00  SP is gone
            3:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertStory(self.device.der, "opModMaxLimW", (2, 6000, "SP"), (3, None, None))
        self.assertForced("SP")

    def test_basic_018(self) -> None:
        """Default, control, default."""
        self.bench.default("SP", opModMaxLimW=5000)
        self.begin("SP")
        self.bench.command("SP", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=4)
        self.assertTranscript("""
            0:00  SP is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  SP default: opModMaxLimW 5000
            0:00  dev2 answers SP: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            3:00  SP is gone
            3:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertStory(
            self.device.der,
            "opModMaxLimW",
            (0, 5000, "SP default"),
            (2, 6000, "SP"),
            (3, 5000, "SP default"),
        )
        self.assertForced("SP default", "SP", "SP default")

    def test_basic_019(self) -> None:
        """Two controls of one program, with the default between them."""
        self.bench.default("SP", opModMaxLimW=5000)
        self.begin("SP")
        self.bench.command("SP", start=2, lasts=1, label="first", opModMaxLimW=6000)
        self.bench.command("SP", start=4, lasts=1, label="second", opModMaxLimW=7000)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  first in SP is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  second in SP is scheduled: 4:00 to 5:00, opModMaxLimW 7000
            0:00  SP default: opModMaxLimW 5000
            0:00  dev2 answers first: 1 (received)
            0:00  dev2 answers second: 1 (received)
            0:37  dev1 answers first: 1 (received)
            0:37  dev1 answers second: 1 (received)
            2:00  first in SP is active since 2:00
            2:00  dev1, dev2 answer first: 2 (started)
            3:00  first is gone
            3:00  dev1, dev2 answer first: 3 (completed)
            4:00  second in SP is active since 4:00
            4:00  dev1, dev2 answer second: 2 (started)
            5:00  second is gone
            5:00  dev1, dev2 answer second: 3 (completed)
        """)
        self.assertStory(
            self.device.der,
            "opModMaxLimW",
            (0, 5000, "SP default"),
            (2, 6000, "first"),
            (3, 5000, "SP default"),
            (4, 7000, "second"),
            (5, 5000, "SP default"),
        )
        self.assertForced("SP default", "first", "SP default", "second", "SP default")

    def test_basic_020(self) -> None:
        """Controls of two programs one after the other; the nearer group's default whenever none runs."""
        self.bench.default("SY", opModMaxLimW=4000)
        self.bench.default("SP", opModMaxLimW=5000)
        self.begin("SP")
        self.bench.command("SY", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.command("SP", start=4, lasts=1, opModMaxLimW=7000)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  SP is scheduled: 4:00 to 5:00, opModMaxLimW 7000
            0:00  SP default: opModMaxLimW 5000
            0:00  SY is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            2:00  SY is active since 2:00
            2:00  dev1, dev2 answer SY: 2 (started)
            3:00  SY is gone
            3:00  dev1, dev2 answer SY: 3 (completed)
            4:00  SP is active since 4:00
            4:00  dev1, dev2 answer SP: 2 (started)
            5:00  SP is gone
            5:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertStory(
            self.device.der,
            "opModMaxLimW",
            (0, 5000, "SP default"),
            (2, 6000, "SY"),
            (3, 5000, "SP default"),
            (4, 7000, "SP"),
            (5, 5000, "SP default"),
        )
        self.assertForced("SP default", "SY", "SP default", "SP", "SP default")


class AlikeTests(ConformanceCase):
    """Two programs whose controls, of one mode, overlap: SY at the top, SP at the service point."""

    SY_W, SP_W = 6000, 7000

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY", "SP")
        self.bench.default("SY", opModMaxLimW=4000)
        self.bench.default("SP", opModMaxLimW=5000)
        self.begin("SP")

    def order(self, program: str, start: float, lasts: float) -> None:
        value = {"SY": self.SY_W, "SP": self.SP_W}[program]
        self.bench.command(program, start=start, lasts=lasts, opModMaxLimW=value)

    def assertLimits(self, *between: tuple[float, Any, str]) -> None:
        """What held the limit, SP's default first; the other client forced the same."""
        self.assertEqual(self.other.forced, ["SP default", *(whose for _, _, whose in between)])
        self.assertStory(self.device.der, "opModMaxLimW", (0, 5000, "SP default"), *between)

    def test_basic_021(self) -> None:
        """The lower program's control surrounds that of the higher, both known: it never starts here, though
        the server's own list calls it active (EventStatus is a fact of its program alone)."""
        self.order("SY", 2, 2)
        self.order("SP", 3, 1)
        self.bench.run(until=5)
        self.assertTranscript("""
            0:00  SP is scheduled: 3:00 to 4:00, opModMaxLimW 7000
            0:00  SP default: opModMaxLimW 5000
            0:00  SY is scheduled: 2:00 to 4:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:00  dev2 answers SY: 7 (superseded)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            0:37  dev1 answers SY: 7 (superseded)
            2:00  SY is active since 2:00
            3:00  SP is active since 3:00
            3:00  dev1, dev2 answer SP: 2 (started)
            4:00  SP is gone
            4:00  SY is gone
            4:00  dev1, dev2 answer SP: 3 (completed)
        """)
        self.assertLimits((3, self.SP_W, "SP"), (4, 5000, "SP default"))
        self.assertForced("SP default", "SP", "SP default")

    def test_basic_022(self) -> None:
        """The higher program's control comes first: the lower's never starts, though it would last longer."""
        self.order("SP", 2, 2)
        self.order("SY", 3, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  SP is scheduled: 2:00 to 4:00, opModMaxLimW 7000
            0:00  SP default: opModMaxLimW 5000
            0:00  SY is scheduled: 3:00 to 5:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:00  dev2 answers SY: 7 (superseded)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            0:37  dev1 answers SY: 7 (superseded)
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            3:00  SY is active since 3:00
            4:00  SP is gone
            4:00  dev1, dev2 answer SP: 3 (completed)
            5:00  SY is gone
        """)
        self.assertLimits((2, self.SP_W, "SP"), (4, 5000, "SP default"))
        self.assertForced("SP default", "SP", "SP default")

    def test_basic_023(self) -> None:
        """The higher program's control is made while the lower's runs: that ends when it starts, for good."""
        self.order("SY", 1, 4)
        self.bench.run(until=1.2)
        self.order("SP", 2, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  SP default: opModMaxLimW 5000
            0:00  SY is scheduled: 1:00 to 5:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  dev2 answers SY: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            1:00  SY is active since 1:00
            1:00  dev1, dev2 answer SY: 2 (started)
            1:14  dev1, dev2 answer SP: 1 (received)
            1:15  SP is scheduled: 2:00 to 4:00, opModMaxLimW 7000
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            2:00  dev1, dev2 answer SY: 7 (superseded)
            4:00  SP is gone
            4:00  dev1, dev2 answer SP: 3 (completed)
            5:00  SY is gone
        """)
        self.assertLimits((1, self.SY_W, "SY"), (2, self.SP_W, "SP"), (4, 5000, "SP default"))
        self.assertForced("SP default", "SY", "SP", "SP default")


class UnlikeTests(ConformanceCase):
    """SY sets a power factor, SP active power; the default of each is seen after its event."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY", "SP")
        self.bench.default("SY", opModFixedPFInjectW=power_factor(990))
        self.bench.default("SP", opModFixedW=5000)
        self.begin("SP")

    def order(self, program: str, start: float, lasts: float) -> None:
        base: dict[str, dict[str, Any]] = {
            "SY": {"opModFixedPFInjectW": power_factor(900)},
            "SP": {"opModFixedW": 7000},
        }
        self.bench.command(program, start=start, lasts=lasts, **base[program])

    def assertBoth(self, system: tuple[float, float], point: tuple[float, float]) -> None:
        """Both controls ran from start to end (minutes), each with its own program's default around it."""
        self.assertStory(
            self.device.der,
            "opModFixedPFInjectW",
            (0, power_factor(990), "SY default"),
            (system[0], power_factor(900), "SY"),
            (system[1], power_factor(990), "SY default"),
        )
        self.assertStory(
            self.device.der,
            "opModFixedW",
            (0, 5000, "SP default"),
            (point[0], 7000, "SP"),
            (point[1], 5000, "SP default"),
        )

    def test_basic_024(self) -> None:
        """The higher program's control within the lower's: both run."""
        self.order("SY", 2, 2)
        self.order("SP", 3, 1)
        self.bench.run(until=5)
        self.assertTranscript("""
            0:00  SP is scheduled: 3:00 to 4:00, opModFixedW 7000
            0:00  SP default: opModFixedW 5000
            0:00  SY is scheduled: 2:00 to 4:00, opModFixedPFInjectW 900 false -3
            0:00  SY default: opModFixedPFInjectW 990 false -3
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            2:00  SY is active since 2:00
            2:00  dev1, dev2 answer SY: 2 (started)
            3:00  SP is active since 3:00
            3:00  dev1, dev2 answer SP: 2 (started)
            4:00  SP is gone
            4:00  SY is gone
            4:00  dev1, dev2 answer SP: 3 (completed)
            4:00  dev1, dev2 answer SY: 3 (completed)
        """)
        self.assertBoth((2, 4), (3, 4))
        self.assertForced("SP default", "SY", "SP", "SP default")

    def test_basic_025(self) -> None:
        """The higher program's control first: both run."""
        self.order("SP", 2, 2)
        self.order("SY", 3, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  SP is scheduled: 2:00 to 4:00, opModFixedW 7000
            0:00  SP default: opModFixedW 5000
            0:00  SY is scheduled: 3:00 to 5:00, opModFixedPFInjectW 900 false -3
            0:00  SY default: opModFixedPFInjectW 990 false -3
            0:00  dev2 answers SP: 1 (received)
            0:00  dev2 answers SY: 1 (received)
            0:37  dev1 answers SP: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            3:00  SY is active since 3:00
            3:00  dev1, dev2 answer SY: 2 (started)
            4:00  SP is gone
            4:00  dev1, dev2 answer SP: 3 (completed)
            5:00  SY is gone
            5:00  dev1, dev2 answer SY: 3 (completed)
        """)
        self.assertBoth((3, 5), (2, 4))
        self.assertForced("SP default", "SP", "SY", "SP default")

    def test_basic_026(self) -> None:
        """The higher program's control made while the lower's runs: both run."""
        self.order("SY", 1, 4)
        self.bench.run(until=1.2)
        self.order("SP", 2, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  SP default: opModFixedW 5000
            0:00  SY is scheduled: 1:00 to 5:00, opModFixedPFInjectW 900 false -3
            0:00  SY default: opModFixedPFInjectW 990 false -3
            0:00  dev2 answers SY: 1 (received)
            0:37  dev1 answers SY: 1 (received)
            1:00  SY is active since 1:00
            1:00  dev1, dev2 answer SY: 2 (started)
            1:14  dev1, dev2 answer SP: 1 (received)
            1:15  SP is scheduled: 2:00 to 4:00, opModFixedW 7000
            2:00  SP is active since 2:00
            2:00  dev1, dev2 answer SP: 2 (started)
            4:00  SP is gone
            4:00  dev1, dev2 answer SP: 3 (completed)
            5:00  SY is gone
            5:00  dev1, dev2 answer SY: 3 (completed)
        """)
        self.assertBoth((1, 5), (2, 4))
        self.assertForced("SP default", "SY", "SP", "SP default")


class ReportTests(ConformanceCase):
    """What a DER says of itself."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY")
        self.device: Station = self.bench.direct("dev1", "SY")
        self.device.walk()

    def test_basic_027(self) -> None:
        """Five log events (a software fault) are each 201 with a Location, and listed newest first."""
        link = self.device.der.device.LogEventListLink
        assert link is not None
        made = [
            self.device.post(
                link.href,
                MINIMAL["LogEvent"].replace(
                    logEventID=n, createdDateTime=T0 + n, functionSet=0, logEventCode=2
                ),
            )
            for n in range(5)
        ]
        self.assertEqual(len(set(made)), 5)
        found = self.device.get(f"{link.href}?l=255", r.LogEventList)
        self.assertEqual((found.all, found.results), (5, 5))
        self.assertEqual([event.href for event in found.LogEvent], made[::-1])
        self.assertEqual(
            [event.createdDateTime for event in found.LogEvent], [T0 + n for n in (4, 3, 2, 1, 0)]
        )

    def test_basic_027_other(self) -> None:
        """The burst of five log events that a client of others' making has for this test."""
        other = self.bench.independent("dev2", "SY")
        self.bench.tell(other.meter({}, self.bench.wall))
        self.assertEqual(self.bench.tell(other.burst()), 5)
        posts = list(requests(other.station, "POST", "/edev/"))
        self.assertEqual([exchange.answer.status for exchange in posts], [201] * 5)
        places = [exchange.answer.headers["location"] for exchange in posts]
        listed = posts[0].path
        found = etree.fromstring(other.station.request("GET", f"{listed}?l=255").body)
        self.assertEqual((found.get("all"), found.get("results")), ("5", "5"))
        events = found.findall("{*}LogEvent")
        self.assertEqual([event.get("href") for event in events], places[::-1])
        self.assertEqual([event.findtext("{*}logEventID") for event in events], ["4", "3", "2", "1", "0"])
        times = [int(event.findtext("{*}createdDateTime") or "") for event in events]
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertEqual(len(set(times)), 5)

    def test_basic_028(self) -> None:
        """All four documents of a DER are PUT, and each is given back, element by element."""
        (unit,) = self.device.der.ders
        for link, document in REPORTS:
            href = getattr(unit, link).href
            sent = codec.encode(FULL[document])
            self.assertEqual(self.device.request("PUT", href, sent).status, 204)
            given = self.device.request("GET", href)
            self.assertEqual(elements(given.body), elements(sent), document)


class MeteringTests(ConformanceCase):
    """What a DER meters, mirrored: the client's own documents, and what /upt makes of them."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY")

    def mirrored(self, station: Station) -> dict[tuple[str, str], etree._Element]:
        """The newest Readings of the one UsagePoint that a caller sees, by uom and multiplier; by links."""

        def document(href: str | None) -> etree._Element:
            answer = station.request("GET", href or "")
            self.assertEqual(answer.status, 200, href)
            return etree.fromstring(answer.body)

        dcap = document("/dcap")
        link = dcap.find("{*}UsagePointListLink")
        assert link is not None
        self.assertEqual(link.get("all"), "1")
        (point,) = document(f"{link.get('href')}?l=255").findall("{*}UsagePoint")
        self.assertEqual(int(point.findtext("{*}roleFlags") or "", 16) & 1, 1)
        self.assertEqual(point.findtext("{*}deviceLFDI"), station.credential.lfdi)
        link = point.find("{*}MeterReadingListLink")
        assert link is not None
        found = {}
        for metered in document(f"{link.get('href')}?l=255").findall("{*}MeterReading"):
            kind, newest = metered.find("{*}ReadingTypeLink"), metered.find("{*}ReadingLink")
            assert kind is not None
            of_type = document(kind.get("href"))
            measure = of_type.findtext("{*}uom", ""), of_type.findtext("{*}powerOfTenMultiplier", "")
            # Until the first value has come there is none to be linked to.
            found[measure] = metered if newest is None else document(newest.get("href"))
        return found

    def values(self, station: Station) -> dict[tuple[str, str], tuple[int, int]]:
        """Value and start of each of them."""
        return {
            measure: (
                int(reading.findtext("{*}value") or ""),
                int(reading.findtext("{*}timePeriod/{*}start") or ""),
            )
            for measure, reading in self.mirrored(station).items()
            if reading.find("{*}value") is not None
        }

    def test_basic_029(self) -> None:
        """A MirrorUsagePoint with W, var, Hz and V is 201, and says how often to post; its readings then are
        204 with a Location, however they come, and stand in /upt as they were sent."""
        device = self.bench.direct("dev1", "SY")
        device.walk()
        assert device.capability is not None and device.capability.MirrorUsagePointListLink is not None
        mirrors = device.capability.MirrorUsagePointListLink.href
        kinds = {
            "A1": WATTS,
            "A2": VARS,
            "A3": HERTZ.replace(powerOfTenMultiplier=-2),
            "A4": VOLTS.replace(powerOfTenMultiplier=-1, phase=129),
        }
        who = device.credential
        made = device.post(
            mirrors, usage_point(who, "F0", *(meter(mrid, kind) for mrid, kind in kinds.items()))
        )
        kept = device.get(made, r.MirrorUsagePoint)
        self.assertEqual((kept.postRate, kept.deviceLFDI, kept.MirrorMeterReading), (300, who.lfdi, ()))
        self.assertEqual(self.values(device), {})

        measures = [("38", "0"), ("63", "0"), ("33", "-2"), ("29", "-1")]
        self.assertEqual(set(self.mirrored(device)), set(measures))

        def readings(values: tuple[int, ...], start: int) -> list[r.MirrorMeterReading]:
            return [
                meter(mrid, None, reading(value, start, 0)) for mrid, value in zip(kinds, values, strict=True)
            ]

        # With the MirrorUsagePoint once more; as a list; one by one.
        first, second, third = (4000, -300, 6001, 2412), (4100, -310, 5999, 2420), (-50, 0, 6000, 2399)
        self.bench.run(until=5)
        answer = device.request("POST", mirrors, usage_point(who, "F0", *readings(first, T0 + 300)))
        self.assertEqual((answer.status, answer.headers["location"]), (204, made))
        self.assertEqual(
            self.values(device), {m: (v, T0 + 300) for m, v in zip(measures, first, strict=True)}
        )
        self.bench.run(until=10)
        answer = device.request("POST", made, meters(*readings(second, T0 + 600)))
        self.assertEqual(
            (answer.status, answer.headers["location"]), (204, f"{made.replace('mup', 'upt')}/mr")
        )
        self.assertEqual(
            self.values(device), {m: (v, T0 + 600) for m, v in zip(measures, second, strict=True)}
        )
        self.bench.run(until=15)
        places = set()
        for one in readings(third, T0 + 900):
            answer = device.request("POST", made, one)
            self.assertEqual(answer.status, 204)
            places.add(answer.headers["location"])
        self.assertEqual(
            self.values(device), {m: (v, T0 + 900) for m, v in zip(measures, third, strict=True)}
        )
        page = device.get(f"{made.replace('mup', 'upt')}/mr?l=255", r.MeterReadingList)
        self.assertEqual(places, {one.href for one in page.MeterReading})

    def test_basic_029_other(self) -> None:
        """A client of others' making mirrors W, var, Hz and V by its own telemetry: 201, then it asks for its
        postRate and posts by it; what it measured stands in /upt."""
        other = self.bench.independent("dev2", "SY")
        measured = {"W": 4000.0, "Var": -300.0, "Hz": 60.01, "V": 241.2}
        self.bench.tell(other.meter(measured, self.bench.wall))
        self.bench.run(until=5.5)
        expected = {("38", "0"): 4000, ("63", "0"): 300, ("33", "-3"): 60010, ("29", "-1"): 2412}
        self.assertEqual({m: v for m, (v, _) in self.values(other.station).items()}, expected)
        measured["W"] = 3500.0
        self.bench.run(until=10.5)
        posts = list(requests(other.station, "POST", "/mup"))
        self.assertEqual([exchange.answer.status for exchange in posts], [201, 204, 204])
        self.assertEqual([exchange.at for exchange in posts], [0, 300, 600])
        made = posts[0].answer.headers["location"]
        self.assertEqual([exchange.path for exchange in posts], ["/mup", made, made])
        self.assertTrue(list(requests(other.station, "GET", made)))
        self.assertEqual(self.values(other.station)["38", "0"], (3500, T0 + 600))


def elements(document: bytes) -> list[tuple[str, str | None]]:
    """The elements of a document in their order, each with its text."""
    return [(str(element.tag), element.text) for element in etree.fromstring(document).iter()]


both_ways(globals())
