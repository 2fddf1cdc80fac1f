"""UTIL and AGG: an aggregator and its four DERs, by polling (CSIP Conformance Test Procedures v1.3).

The topology: SY over ST over SS over two feeders, A and B; each has a segment, a transformer and two service
points, with a DER at each: EDA1, EDA2, EDB1, EDB2.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.bench import LAB, LADDER
from tests.conformance.case import OTHER_PROGRAM, RECEIVED, STARTED, SUPERSEDED, WHOLE, ConformanceCase
from tests.conformance.devices import DER
from tests.conformance.test_basic import power_factor

FLEET = {"EDA1": "SPA1", "EDA2": "SPA2", "EDB1": "SPB1", "EDB2": "SPB2"}
SIDE_A, SIDE_B = ("EDA1", "EDA2"), ("EDB1", "EDB2")


class FleetCase(ConformanceCase):
    """The aggregator has walked; TFA and SY have defaults for the modes that are used."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY", "ST", "SS")
        for side in "AB":
            above = "SS"
            for name in (f"FD{side}", f"SG{side}", f"TF{side}"):
                level, primacy = LADDER[name[:2]]
                self.bench.program(name, primacy, parent=above, level=level, fsa="Topology")
                above = name
            for point in "12":
                level, primacy = LADDER["SP"]
                self.bench.program(f"SP{side}{point}", primacy, parent=above, level=level, fsa="Topology")
        self.aggregator = self.bench.aggregator("aggregator", FLEET)

    def defaults(self) -> None:
        self.bench.default("SY", opModMaxLimW=4000, opModFixedW=4000, opModFixedPFInjectW=power_factor(990))
        self.bench.default("TFA", opModMaxLimW=5000, opModFixedW=5000, opModFixedPFInjectW=power_factor(950))

    def der(self, name: str) -> DER:
        """A DER by name, as its aggregator knows it."""
        return self.aggregator.by_lfdi(LAB.device(name).lfdi)

    def assertEach(self, names: tuple[str, ...], mode: str, *story: tuple[float, Any, str | None]) -> None:
        """What a mode of each of these DERs did."""
        for name in names:
            with self.subTest(name):
                self.assertStory(self.der(name), mode, *story)

    def assertAnswers(self, names: tuple[str, ...], **expected: list[int]) -> None:
        """What was answered for each of these DERs."""
        for name in names:
            with self.subTest(name):
                self.assertAnswered(self.der(name), **expected)


class TopologyTests(FleetCase):
    """Which DER is where, and what it reports."""

    def test_util_001(self) -> None:
        """The list holds the aggregator and its four DERs; the FSA of each leads to the programs above it."""
        self.aggregator.walk()
        self.assertEqual(len(self.aggregator.ders), 4)
        for name, point in FLEET.items():
            side = point[2]
            above = {"SY", "ST", "SS", f"FD{side}", f"SG{side}", f"TF{side}", point, "Service point"}
            self.assertEqual({program.description for program in self.der(name).programs}, above)

    def test_util_002(self) -> None:
        """An aggregator PUTs capability, settings, status and availability for each of its DERs."""
        self.aggregator.walk()
        for der in self.aggregator.ders:
            self.aggregator.report(der)

    def test_util_004(self) -> None:
        """A control of a service point, of a feeder, of the system: exactly the DERs under it answer."""
        self.aggregator.walk()
        for start, program in ((2, "SPA1"), (4, "FDB"), (6, "SY")):
            self.bench.command(program, start=start, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=8)
        self.assertAnswers(("EDA1",), SPA1=WHOLE, SY=WHOLE)
        self.assertAnswers(("EDA2",), SY=WHOLE)
        self.assertAnswers(SIDE_B, FDB=WHOLE, SY=WHOLE)


class DispatchTests(FleetCase):
    """Defaults and controls of TFA, which is above EDA1 and EDA2, and of SY, which is above all."""

    def setUp(self) -> None:
        super().setUp()
        self.defaults()
        self.aggregator.walk()

    def test_agg_002(self) -> None:
        """Of two defaults the nearer group's holds where it reaches."""
        self.bench.run(until=2)
        self.assertEach(SIDE_A, "opModMaxLimW", (0, 5000, "TFA default"))
        self.assertEach(SIDE_B, "opModMaxLimW", (0, 4000, "SY default"))

    def test_agg_003(self) -> None:
        """A control of TFA is answered for those under TFA only."""
        self.bench.command("TFA", start=2, lasts=1, opModEnergize=True)
        self.bench.run(until=4)
        self.assertEach(SIDE_A, "opModEnergize", (2, True, "TFA"), (3, None, None))
        self.assertEach(SIDE_B, "opModEnergize")
        self.assertAnswers(SIDE_A, TFA=WHOLE)
        self.assertAnswers(SIDE_B)

    def test_agg_004(self) -> None:
        """Default, control, default, for those under TFA."""
        self.bench.command("TFA", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=4)
        default = "TFA default"
        self.assertEach(SIDE_A, "opModMaxLimW", (0, 5000, default), (2, 6000, "TFA"), (3, 5000, default))
        self.assertEach(SIDE_B, "opModMaxLimW", (0, 4000, "SY default"))
        self.assertAnswers(SIDE_A, TFA=WHOLE)
        self.assertAnswers(SIDE_B)

    def test_agg_005(self) -> None:
        """Two controls of TFA, and the default between them."""
        self.bench.command("TFA", start=2, lasts=1, label="first", opModMaxLimW=6000)
        self.bench.command("TFA", start=4, lasts=1, label="second", opModMaxLimW=7000)
        self.bench.run(until=6)
        self.assertEach(
            SIDE_A,
            "opModMaxLimW",
            (0, 5000, "TFA default"),
            (2, 6000, "first"),
            (3, 5000, "TFA default"),
            (4, 7000, "second"),
            (5, 5000, "TFA default"),
        )
        self.assertAnswers(SIDE_A, first=WHOLE, second=WHOLE)
        self.assertAnswers(SIDE_B)

    def test_agg_006(self) -> None:
        """A control of TFA, then one of SY: those under TFA run both, the others the second."""
        self.bench.command("TFA", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.command("SY", start=4, lasts=1, opModMaxLimW=7000)
        self.bench.run(until=6)
        self.assertEach(
            SIDE_A,
            "opModMaxLimW",
            (0, 5000, "TFA default"),
            (2, 6000, "TFA"),
            (3, 5000, "TFA default"),
            (4, 7000, "SY"),
            (5, 5000, "TFA default"),
        )
        self.assertEach(
            SIDE_B, "opModMaxLimW", (0, 4000, "SY default"), (4, 7000, "SY"), (5, 4000, "SY default")
        )
        self.assertAnswers(SIDE_A, TFA=WHOLE, SY=WHOLE)
        self.assertAnswers(SIDE_B, SY=WHOLE)


class OverlapTests(FleetCase):
    """Controls of TFA and SY that overlap."""

    def setUp(self) -> None:
        super().setUp()
        self.defaults()
        self.aggregator.walk()

    def alike(self, program: str, start: float, lasts: float) -> None:
        """A control of a mode that both programs use."""
        value = {"SY": 6000, "TFA": 7000}[program]
        self.bench.command(program, start=start, lasts=lasts, opModMaxLimW=value)

    def unlike(self, program: str, start: float, lasts: float) -> None:
        """A control of a mode of its own."""
        base: dict[str, Any] = (
            {"opModFixedPFInjectW": power_factor(900)} if program == "SY" else {"opModFixedW": 7000}
        )
        self.bench.command(program, start=start, lasts=lasts, **base)

    def assertAlike(self, system: tuple[float, float], *side_a: tuple[float, Any, str]) -> None:
        """Those beside TFA ran SY's control; those under it did this between the defaults."""
        start, end = system
        self.assertEach(
            SIDE_B, "opModMaxLimW", (0, 4000, "SY default"), (start, 6000, "SY"), (end, 4000, "SY default")
        )
        self.assertAnswers(SIDE_B, SY=WHOLE)
        self.assertEach(SIDE_A, "opModMaxLimW", (0, 5000, "TFA default"), *side_a)

    def assertUnlike(self, system: tuple[float, float], transformer: tuple[float, float]) -> None:
        """All ran SY's control, those under TFA its control besides."""
        for side, default, label in ((SIDE_A, power_factor(950), "TFA"), (SIDE_B, power_factor(990), "SY")):
            self.assertEach(
                side,
                "opModFixedPFInjectW",
                (0, default, f"{label} default"),
                (system[0], power_factor(900), "SY"),
                (system[1], default, f"{label} default"),
            )
        self.assertEach(
            SIDE_A,
            "opModFixedW",
            (0, 5000, "TFA default"),
            (transformer[0], 7000, "TFA"),
            (transformer[1], 5000, "TFA default"),
        )
        self.assertEach(SIDE_B, "opModFixedW", (0, 4000, "SY default"))
        self.assertAnswers(SIDE_A, SY=WHOLE, TFA=WHOLE)
        self.assertAnswers(SIDE_B, SY=WHOLE)

    def assertAbandoned(self) -> None:
        """Under TFA SY's control is answered 14 before anything starts."""
        self.assertAnswers(SIDE_A, SY=[RECEIVED, OTHER_PROGRAM], TFA=WHOLE)
        for name in SIDE_A:
            (at,) = (at for at, _, status in self.der(name).answered if status == OTHER_PROGRAM)
            self.assertLess(at, 2)

    def test_agg_007(self) -> None:
        """TFA's control within SY's, both known: under TFA that of SY never starts, elsewhere it runs."""
        self.alike("SY", 2, 2)
        self.alike("TFA", 3, 1)
        self.bench.run(until=5)
        self.assertAlike((2, 4), (3, 7000, "TFA"), (4, 5000, "TFA default"))
        self.assertAbandoned()

    def test_agg_008(self) -> None:
        """TFA's control first: after it those under TFA go to the default, not to SY's that lasts on."""
        self.alike("TFA", 2, 2)
        self.alike("SY", 3, 2)
        self.bench.run(until=6)
        self.assertAlike((3, 5), (2, 7000, "TFA"), (4, 5000, "TFA default"))
        self.assertAbandoned()

    def test_agg_009(self) -> None:
        """TFA's control made while SY's runs: under TFA that of SY ends when it starts, for good."""
        self.alike("SY", 1, 4)
        self.bench.run(until=1.2)
        self.alike("TFA", 2, 2)
        self.bench.run(until=6)
        self.assertAlike((1, 5), (1, 6000, "SY"), (2, 7000, "TFA"), (4, 5000, "TFA default"))
        self.assertAnswers(SIDE_A, SY=[RECEIVED, STARTED, SUPERSEDED], TFA=WHOLE)

    def test_agg_010(self) -> None:
        """Unlike modes, TFA's control within SY's: both run."""
        self.unlike("SY", 2, 2)
        self.unlike("TFA", 3, 1)
        self.bench.run(until=5)
        self.assertUnlike((2, 4), (3, 4))

    def test_agg_011(self) -> None:
        """Unlike modes, TFA's first: both run."""
        self.unlike("TFA", 2, 2)
        self.unlike("SY", 3, 2)
        self.bench.run(until=6)
        self.assertUnlike((3, 5), (2, 4))

    def test_agg_012(self) -> None:
        """Unlike modes, TFA's made while SY's runs: both run."""
        self.unlike("SY", 1, 4)
        self.bench.run(until=1.2)
        self.unlike("TFA", 2, 2)
        self.bench.run(until=6)
        self.assertUnlike((1, 5), (2, 4))
