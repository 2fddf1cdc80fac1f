"""UTIL and AGG: aggregators and their four DERs (CSIP Conformance Test Procedures v1.3).

The topology: SY over ST over SS over two feeders, A and B; each has a segment, a transformer and two service
points, with a DER at each: EDA1, EDA2, EDB1, EDB2.

Each timeline is lived by two aggregators. Ours has subscribed to all that CSIP has it subscribe to, runs a
notification receiver over TLS, and polls none of it: what it knows it was told. That of others' making polls.

The aggregator of others' making answers for its DERs and, besides, in its own name ("other" in transcripts).
No event is for an aggregator: the server keeps those answers, flagged, and counts them nowhere
(``test_agg_003``).
"""

from __future__ import annotations

from typing import Any

from csipd.db import response_history
from csipd.der.responses import ResponseKind
from csipd.sep2 import resources as r
from tests.conformance.bench import LAB, LADDER
from tests.conformance.case import WHOLE, ConformanceCase
from tests.conformance.devices import DER
from tests.conformance.test_basic import power_factor
from tests.conformance.test_core import shown_programs
from tests.support.ways import both_ways

FLEET = {"EDA1": "SPA1", "EDA2": "SPA2", "EDB1": "SPB1", "EDB2": "SPB2"}
SIDE_A, SIDE_B = ("EDA1", "EDA2"), ("EDB1", "EDB2")
#: The fleet of an aggregator of others' making (py20305), at the same places.
OTHERS = {"ODA1": "SPA1", "ODA2": "SPA2", "ODB1": "SPB1", "ODB2": "SPB2"}


class FleetCase(ConformanceCase):
    """An aggregator, its DERs and their topology.

    `fsa` is the FSA that all programs are in; empty: one each.
    """

    fsa = "Topology"

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY", "ST", "SS", fsa=self.fsa)
        for side in "AB":
            above = "SS"
            for name in (f"FD{side}", f"SG{side}", f"TF{side}"):
                level, primacy = LADDER[name[:2]]
                self.bench.program(name, primacy, parent=above, level=level, fsa=self.fsa)
                above = name
            for point in "12":
                level, primacy = LADDER["SP"]
                self.bench.program(f"SP{side}{point}", primacy, parent=above, level=level, fsa=self.fsa)
        self.aggregator = self.bench.aggregator("aggregator", FLEET)

    def begin_fleets(self) -> None:
        """Both aggregators walk, ours and that of others' making; what any device is shown is observed."""
        self.bench.observe("SPA1", "SPB1")
        self.aggregator.walk()
        self.listener = self.bench.listen(self.aggregator, "aggregator")
        self.aggregator.subscribe(self.listener)
        self.others = self.bench.independent_aggregator("other", OTHERS)

    def der(self, name: str) -> DER:
        """A DER by name, as its aggregator knows it."""
        return self.aggregator.by_lfdi(LAB.device(name).lfdi)

    def assertForcedOn(self, *, side_a: list[str], side_b: list[str]) -> None:
        """Whose values the aggregator of others' making put into force on its DERs, by side."""
        for name, point in OTHERS.items():
            forced = self.others.forced_on(LAB.device(name).lfdi)
            self.assertEqual(forced, side_a if point[2] == "A" else side_b, name)

    def assertTold(self, *expected: tuple[float, str]) -> None:
        """The Notifications that came to our aggregator, all of them: (minutes, of what)."""
        controls = {f"/derp/{number}/derc": name for name, number in self.bench.programs.items()}
        told = [(at, f"controls of {controls[resource]}") for at, resource, _ in self.listener.names()]
        self.assertEqual(sorted(told), list(expected))
        self.assertEqual({status for _, _, status in self.listener.names()} | {0}, {0})

    def assertEach(self, names: tuple[str, ...], mode: str, *story: tuple[float, Any, str | None]) -> None:
        """What a mode of each of these DERs did."""
        for name in names:
            with self.subTest(name):
                self.assertStory(self.der(name), mode, *story)


class TopologyTests(FleetCase):
    """Which DER is where, and what it reports."""

    def test_util_001(self) -> None:
        """The list holds the aggregator and its four DERs, and no more; the FSA of each leads to the programs
        above it, and no others."""
        self.aggregator.walk()
        everyone = self.aggregator.get("/edev?l=255", r.EndDeviceList)
        own = [LAB.device(name).lfdi for name in FLEET]
        self.assertEqual((everyone.all, everyone.results), (5, 5))
        self.assertEqual(
            sorted(device.lFDI for device in everyone.EndDevice),
            sorted([self.aggregator.credential.lfdi, *own]),
        )
        self.assertEqual(len(self.aggregator.ders), 4)
        (itself,) = (d for d in everyone.EndDevice if d.lFDI == self.aggregator.credential.lfdi)
        for link in ("SubscriptionListLink", "LogEventListLink", "RegistrationLink"):
            href = getattr(itself, link).href
            self.assertEqual(self.aggregator.request("GET", href).status, 200, link)
        for name, point in FLEET.items():
            side = point[2]
            above = ["SY", "ST", "SS", f"FD{side}", f"SG{side}", f"TF{side}", point]
            # Each once, from the service point up; in one FSA, as documents of the wire have it.
            der = self.der(name)
            self.assertEqual([program.description for program in der.programs], above[::-1])
            (fsa,) = der.fsas
            assert fsa.DERProgramListLink is not None
            shown = shown_programs(self.aggregator, fsa.DERProgramListLink.href)
            self.assertEqual([name for name, _ in shown], above[::-1])
            self.assertEqual(fsa.DERProgramListLink.all, len(above))

    def test_util_002(self) -> None:
        """An aggregator PUTs capability, settings, status and availability for each of its DERs."""
        self.aggregator.walk()
        for der in self.aggregator.ders:
            self.aggregator.report(der)

    def test_util_004(self) -> None:
        """A control at every level, on either side: exactly the DERs under it answer."""
        self.begin_fleets()
        nodes = ("SPA1", "SPA2", "TFA", "SGA", "FDA", "SPB1", "SPB2", "TFB", "SGB", "FDB", "SS", "ST", "SY")
        for number, program in enumerate(nodes, 1):
            self.bench.command(program, start=2 * number, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=2 * len(nodes) + 2)
        for name, point in {**FLEET, **OTHERS}.items():
            side = point[2]
            above = (point, f"TF{side}", f"SG{side}", f"FD{side}", "SS", "ST", "SY")
            self.assertAnswered(name, **dict.fromkeys(above, WHOLE))


class DispatchTests(FleetCase):
    """Defaults and controls of TFA, which is above EDA1 and EDA2, and of SY, which is above all."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.default("SY", opModMaxLimW=4000)
        self.bench.default("TFA", opModMaxLimW=5000)
        self.begin_fleets()

    def test_agg_002(self) -> None:
        """Of two defaults the nearer group's holds where it reaches."""
        self.bench.run(until=2)
        self.assertTranscript("""
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY default: opModMaxLimW 4000
        """)
        self.assertEach(SIDE_A, "opModMaxLimW", (0, 5000, "TFA default"))
        self.assertEach(SIDE_B, "opModMaxLimW", (0, 4000, "SY default"))
        self.assertForcedOn(side_a=["TFA default"], side_b=["SY default"])
        self.assertTold()

    def test_agg_003(self) -> None:
        """A control of TFA is answered for those under TFA only."""
        command = self.bench.command("TFA", start=2, lasts=1, opModEnergize=True)
        self.bench.run(until=4)
        self.assertTranscript("""
            0:00  TFA is scheduled: 2:00 to 3:00, opModEnergize true
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            3:00  TFA is gone
            3:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
        """)
        self.assertEach(SIDE_A, "opModEnergize", (2, True, "TFA"), (3, None, None))
        self.assertEach(SIDE_B, "opModEnergize")
        # The operator is told of the DERs under TFA, of one observer, and of nobody else.
        counts = self.bench.counts(command)
        self.assertEqual((counts.asked, counts.said[ResponseKind.COMPLETED]), (5, 4))
        flagged = self.bench.read(lambda connection: response_history.listed(connection, flagged=True)[0])
        self.assertEqual({one.lfdi for one in flagged}, {LAB.aggregator("other").lfdi})
        self.assertEqual([one.status for one in flagged], [3, 2, 1])
        self.assertForcedOn(side_a=["TFA default", "TFA", "TFA default"], side_b=["SY default"])
        self.assertTold((0, "controls of TFA"), (2, "controls of TFA"), (3, "controls of TFA"))

    def test_agg_004(self) -> None:
        """Default, control, default, for those under TFA."""
        self.bench.command("TFA", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.run(until=4)
        default = "TFA default"
        self.assertTranscript("""
            0:00  TFA is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            3:00  TFA is gone
            3:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
        """)
        self.assertEach(SIDE_A, "opModMaxLimW", (0, 5000, default), (2, 6000, "TFA"), (3, 5000, default))
        self.assertEach(SIDE_B, "opModMaxLimW", (0, 4000, "SY default"))
        self.assertForcedOn(side_a=["TFA default", "TFA", "TFA default"], side_b=["SY default"])
        self.assertTold((0, "controls of TFA"), (2, "controls of TFA"), (3, "controls of TFA"))

    def test_agg_005(self) -> None:
        """Two controls of TFA, and the default between them."""
        self.bench.command("TFA", start=2, lasts=1, label="first", opModMaxLimW=6000)
        self.bench.command("TFA", start=4, lasts=1, label="second", opModMaxLimW=7000)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  first in TFA is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  second in TFA is scheduled: 4:00 to 5:00, opModMaxLimW 7000
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, ODA1, ODA2, other answer first: 1 (received)
            0:00  EDA1, EDA2, ODA1, ODA2, other answer second: 1 (received)
            2:00  first in TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer first: 2 (started)
            3:00  first is gone
            3:00  EDA1, EDA2, ODA1, ODA2, other answer first: 3 (completed)
            4:00  second in TFA is active since 4:00
            4:00  EDA1, EDA2, ODA1, ODA2, other answer second: 2 (started)
            5:00  second is gone
            5:00  EDA1, EDA2, ODA1, ODA2, other answer second: 3 (completed)
        """)
        self.assertEach(
            SIDE_A,
            "opModMaxLimW",
            (0, 5000, "TFA default"),
            (2, 6000, "first"),
            (3, 5000, "TFA default"),
            (4, 7000, "second"),
            (5, 5000, "TFA default"),
        )
        self.assertForcedOn(
            side_a=["TFA default", "first", "TFA default", "second", "TFA default"], side_b=["SY default"]
        )
        self.assertTold(
            (0, "controls of TFA"),
            (0.5, "controls of TFA"),
            (2, "controls of TFA"),
            (3, "controls of TFA"),
            (4, "controls of TFA"),
            (5, "controls of TFA"),
        )

    def test_agg_006(self) -> None:
        """A control of TFA, then one of SY: those under TFA run both, the others the second."""
        self.bench.command("TFA", start=2, lasts=1, opModMaxLimW=6000)
        self.bench.command("SY", start=4, lasts=1, opModMaxLimW=7000)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  TFA is scheduled: 2:00 to 3:00, opModMaxLimW 6000
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY is scheduled: 4:00 to 5:00, opModMaxLimW 7000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            3:00  TFA is gone
            3:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
            4:00  SY is active since 4:00
            4:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 2 (started)
            5:00  SY is gone
            5:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 3 (completed)
        """)
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
        self.assertForcedOn(
            side_a=["TFA default", "TFA", "TFA default", "SY", "TFA default"],
            side_b=["SY default", "SY", "SY default"],
        )
        self.assertTold(
            (0, "controls of SY"),
            (0, "controls of TFA"),
            (2, "controls of TFA"),
            (3, "controls of TFA"),
            (4, "controls of SY"),
            (5, "controls of SY"),
        )


class AlikeTests(FleetCase):
    """Controls of TFA and SY of one mode that overlap."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.default("SY", opModMaxLimW=4000)
        self.bench.default("TFA", opModMaxLimW=5000)
        self.begin_fleets()

    def order(self, program: str, start: float, lasts: float) -> None:
        value = {"SY": 6000, "TFA": 7000}[program]
        self.bench.command(program, start=start, lasts=lasts, opModMaxLimW=value)

    def assertLimits(self, system: tuple[float, float], *side_a: tuple[float, Any, str]) -> None:
        """Those beside TFA ran SY's control; those under it did this between the defaults."""
        start, end = system
        self.assertEach(
            SIDE_B, "opModMaxLimW", (0, 4000, "SY default"), (start, 6000, "SY"), (end, 4000, "SY default")
        )
        self.assertEach(SIDE_A, "opModMaxLimW", (0, 5000, "TFA default"), *side_a)

    def test_agg_007(self) -> None:
        """TFA's control within SY's, both known: under TFA that of SY never starts, elsewhere it runs. Our
        aggregator says so by 14 before anything starts (erratum), the other by 7. Both are taken."""
        self.order("SY", 2, 2)
        self.order("TFA", 3, 1)
        self.bench.run(until=5)
        self.assertTranscript("""
            0:00  TFA is scheduled: 3:00 to 4:00, opModMaxLimW 7000
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY is scheduled: 2:00 to 4:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            0:00  ODA1, ODA2, other answer SY: 7 (superseded)
            0:00  EDA1, EDA2 answer SY: 14 (given up for another program)
            2:00  SY is active since 2:00
            2:00  EDB1, EDB2, ODB1, ODB2 answer SY: 2 (started)
            3:00  TFA is active since 3:00
            3:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            4:00  TFA is gone
            4:00  SY is gone
            4:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
            4:00  EDB1, EDB2, ODB1, ODB2 answer SY: 3 (completed)
        """)
        self.assertLimits((2, 4), (3, 7000, "TFA"), (4, 5000, "TFA default"))
        self.assertForcedOn(
            side_a=["TFA default", "TFA", "TFA default"], side_b=["SY default", "SY", "SY default"]
        )
        self.assertTold(
            (0, "controls of SY"),
            (0, "controls of TFA"),
            (2, "controls of SY"),
            (3, "controls of TFA"),
            (4, "controls of SY"),
            (4, "controls of TFA"),
        )

    def test_agg_008(self) -> None:
        """TFA's control first: after it those under TFA go to the default, not to SY's that lasts on."""
        self.order("TFA", 2, 2)
        self.order("SY", 3, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  TFA is scheduled: 2:00 to 4:00, opModMaxLimW 7000
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY is scheduled: 3:00 to 5:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            0:00  ODA1, ODA2, other answer SY: 7 (superseded)
            0:00  EDA1, EDA2 answer SY: 14 (given up for another program)
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            3:00  SY is active since 3:00
            3:00  EDB1, EDB2, ODB1, ODB2 answer SY: 2 (started)
            4:00  TFA is gone
            4:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
            5:00  SY is gone
            5:00  EDB1, EDB2, ODB1, ODB2 answer SY: 3 (completed)
        """)
        self.assertLimits((3, 5), (2, 7000, "TFA"), (4, 5000, "TFA default"))
        self.assertForcedOn(
            side_a=["TFA default", "TFA", "TFA default"], side_b=["SY default", "SY", "SY default"]
        )
        self.assertTold(
            (0, "controls of SY"),
            (0, "controls of TFA"),
            (2, "controls of TFA"),
            (3, "controls of SY"),
            (4, "controls of TFA"),
            (5, "controls of SY"),
        )

    def test_agg_009(self) -> None:
        """TFA's control made while SY's runs: under TFA that of SY ends when it starts, for good."""
        self.order("SY", 1, 4)
        self.bench.run(until=1.2)
        self.order("TFA", 2, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  TFA default: opModMaxLimW 5000
            0:00  SY is scheduled: 1:00 to 5:00, opModMaxLimW 6000
            0:00  SY default: opModMaxLimW 4000
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            1:00  SY is active since 1:00
            1:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 2 (started)
            1:12  EDA1, EDA2 answer TFA: 1 (received)
            1:14  ODA1, ODA2, other answer TFA: 1 (received)
            1:15  TFA is scheduled: 2:00 to 4:00, opModMaxLimW 7000
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            2:00  EDA1, EDA2, ODA1, ODA2, other answer SY: 7 (superseded)
            4:00  TFA is gone
            4:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
            5:00  SY is gone
            5:00  EDB1, EDB2, ODB1, ODB2 answer SY: 3 (completed)
        """)
        self.assertLimits((1, 5), (1, 6000, "SY"), (2, 7000, "TFA"), (4, 5000, "TFA default"))
        self.assertForcedOn(
            side_a=["TFA default", "SY", "TFA", "TFA default"], side_b=["SY default", "SY", "SY default"]
        )
        self.assertTold(
            (0, "controls of SY"),
            (1, "controls of SY"),
            (1.2, "controls of TFA"),
            (2, "controls of TFA"),
            (4, "controls of TFA"),
            (5, "controls of SY"),
        )


class UnlikeTests(FleetCase):
    """SY sets a power factor, TFA active power; the default of each is seen around its event."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.default("SY", opModFixedPFInjectW=power_factor(990))
        self.bench.default("TFA", opModFixedW=5000)
        self.begin_fleets()

    def order(self, program: str, start: float, lasts: float) -> None:
        base: dict[str, dict[str, Any]] = {
            "SY": {"opModFixedPFInjectW": power_factor(900)},
            "TFA": {"opModFixedW": 7000},
        }
        self.bench.command(program, start=start, lasts=lasts, **base[program])

    def assertBoth(self, system: tuple[float, float], transformer: tuple[float, float]) -> None:
        """All ran SY's control, those under TFA its control besides."""
        self.assertEach(
            (*SIDE_A, *SIDE_B),
            "opModFixedPFInjectW",
            (0, power_factor(990), "SY default"),
            (system[0], power_factor(900), "SY"),
            (system[1], power_factor(990), "SY default"),
        )
        self.assertEach(
            SIDE_A,
            "opModFixedW",
            (0, 5000, "TFA default"),
            (transformer[0], 7000, "TFA"),
            (transformer[1], 5000, "TFA default"),
        )
        self.assertEach(SIDE_B, "opModFixedW")

    def test_agg_010(self) -> None:
        """TFA's control within SY's: both run."""
        self.order("SY", 2, 2)
        self.order("TFA", 3, 1)
        self.bench.run(until=5)
        self.assertTranscript("""
            0:00  TFA is scheduled: 3:00 to 4:00, opModFixedW 7000
            0:00  TFA default: opModFixedW 5000
            0:00  SY is scheduled: 2:00 to 4:00, opModFixedPFInjectW 900 false -3
            0:00  SY default: opModFixedPFInjectW 990 false -3
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            2:00  SY is active since 2:00
            2:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 2 (started)
            3:00  TFA is active since 3:00
            3:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            4:00  TFA is gone
            4:00  SY is gone
            4:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 3 (completed)
            4:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
        """)
        self.assertBoth((2, 4), (3, 4))
        self.assertForcedOn(
            side_a=["TFA default", "SY", "TFA", "TFA default"], side_b=["SY default", "SY", "SY default"]
        )
        self.assertTold(
            (0, "controls of SY"),
            (0, "controls of TFA"),
            (2, "controls of SY"),
            (3, "controls of TFA"),
            (4, "controls of SY"),
            (4, "controls of TFA"),
        )

    def test_agg_011(self) -> None:
        """TFA's control first: both run."""
        self.order("TFA", 2, 2)
        self.order("SY", 3, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  TFA is scheduled: 2:00 to 4:00, opModFixedW 7000
            0:00  TFA default: opModFixedW 5000
            0:00  SY is scheduled: 3:00 to 5:00, opModFixedPFInjectW 900 false -3
            0:00  SY default: opModFixedPFInjectW 990 false -3
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            0:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 1 (received)
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            3:00  SY is active since 3:00
            3:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 2 (started)
            4:00  TFA is gone
            4:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
            5:00  SY is gone
            5:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 3 (completed)
        """)
        self.assertBoth((3, 5), (2, 4))
        self.assertForcedOn(
            side_a=["TFA default", "TFA", "SY", "TFA default"], side_b=["SY default", "SY", "SY default"]
        )
        self.assertTold(
            (0, "controls of SY"),
            (0, "controls of TFA"),
            (2, "controls of TFA"),
            (3, "controls of SY"),
            (4, "controls of TFA"),
            (5, "controls of SY"),
        )

    def test_agg_012(self) -> None:
        """TFA's control made while SY's runs: both run."""
        self.order("SY", 1, 4)
        self.bench.run(until=1.2)
        self.order("TFA", 2, 2)
        self.bench.run(until=6)
        self.assertTranscript("""
            0:00  TFA default: opModFixedW 5000
            0:00  SY is scheduled: 1:00 to 5:00, opModFixedPFInjectW 900 false -3
            0:00  SY default: opModFixedPFInjectW 990 false -3
            0:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 1 (received)
            1:00  SY is active since 1:00
            1:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 2 (started)
            1:12  EDA1, EDA2 answer TFA: 1 (received)
            1:14  ODA1, ODA2, other answer TFA: 1 (received)
            1:15  TFA is scheduled: 2:00 to 4:00, opModFixedW 7000
            2:00  TFA is active since 2:00
            2:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 2 (started)
            4:00  TFA is gone
            4:00  EDA1, EDA2, ODA1, ODA2, other answer TFA: 3 (completed)
            5:00  SY is gone
            5:00  EDA1, EDA2, EDB1, EDB2, ODA1, ODA2, ODB1, ODB2, other answer SY: 3 (completed)
        """)
        self.assertBoth((1, 5), (2, 4))
        self.assertForcedOn(
            side_a=["TFA default", "SY", "TFA", "TFA default"], side_b=["SY default", "SY", "SY default"]
        )
        self.assertTold(
            (0, "controls of SY"),
            (1, "controls of SY"),
            (1.2, "controls of TFA"),
            (2, "controls of TFA"),
            (4, "controls of TFA"),
            (5, "controls of SY"),
        )


both_ways(globals())
