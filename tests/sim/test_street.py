"""Houses that share a feeder: what they do shows in the voltage that they see."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2.types import Alarm, UnitRef
from csipd.sim.curves import Curve
from csipd.sim.feeder import Bus, Feeder
from csipd.sim.inverter import Nameplate, Orders
from csipd.sim.loads import Load
from csipd.sim.plant import PV, Plant
from csipd.sim.street import House, Street, example
from csipd.sim.sun import DAY, Sun
from tests.sim.orders import orders

NOON = 1_764_417_600 + DAY // 2
LIMIT = 1.05
VOLT_VAR = Curve((92, 98, 102, 105), (100, 0, 0, -100), UnitRef.SET_MAX_VAR)
NOBODY: dict[str, Orders] = {}


class ExampleTests(SynchronousTestCase):
    """The street of the demonstration: 40 houses along a line."""

    def setUp(self) -> None:
        self.street = example(40, noon=NOON)
        self.now = NOON

    def run_for(self, seconds: int, told: Orders | None = None) -> float:
        """Let time pass with these orders for all; the voltage at the end of the line (per unit)."""
        self.now += seconds
        everybody = NOBODY if told is None else dict.fromkeys(self.street.houses, told)
        self.outputs = self.street.step(self.now, seconds, everybody)
        return self.street.voltages()["house-40"]

    def over(self) -> int:
        """How many have the alarm of over-voltage."""
        return sum(Alarm.OVER_VOLTAGE in output.alarms for output in self.outputs.values())

    def test_noon(self) -> None:
        """On a clear noon the line's end is above 1.05, higher than any house, and the rear complains."""
        end = self.run_for(10)
        volts = list(self.street.voltages().values())
        self.assertGreater(end, LIMIT)
        self.assertLess(end, 1.1)
        self.assertEqual(volts, sorted(volts))
        self.assertLess(volts[0], 1.01)
        self.assertGreater(self.over(), 10)

    def test_saved_by_a_curtailment(self) -> None:
        """A ceiling of 40 % for all brings it back within seconds, and the alarms are cleared."""
        self.run_for(10)
        self.assertLess(self.run_for(10, orders({"opModMaxLimW": 4000})), LIMIT)
        self.assertEqual(self.over(), 0)
        self.assertGreater(self.run_for(10), LIMIT)

    def test_saved_by_a_curtailment_with_a_ramp(self) -> None:
        """With 2 % of the rating a second it takes half a minute."""
        self.run_for(10)
        told = orders({"opModMaxLimW": 4000}, setGradW=200)
        self.assertGreater(self.run_for(3, told), LIMIT)
        self.assertLess(self.run_for(30, told), LIMIT)

    def test_saved_by_volt_var(self) -> None:
        """A volt-var curve saves it at the price of vars, and of hardly any energy."""
        self.run_for(10)
        before = sum(output.w for output in self.outputs.values())
        self.assertLess(self.run_for(60, orders({"opModVoltVar": VOLT_VAR})), LIMIT)
        self.assertGreater(sum(output.w for output in self.outputs.values()), 0.98 * before)
        self.assertLess(sum(output.var for output in self.outputs.values()), -20000.0)
        settled = [self.run_for(5, orders({"opModVoltVar": VOLT_VAR})) for _ in range(5)]
        self.assertLess(max(settled) - min(settled), 0.001)

    def test_evening(self) -> None:
        """In the evening the loads lower it, within the limits."""
        self.now += 7 * 3600
        end = self.run_for(10)
        self.assertLess(end, 0.98)
        self.assertGreater(end, 0.95)
        self.assertEqual({output.alarms for output in self.outputs.values()}, {frozenset()})

    def test_frequency(self) -> None:
        """A disturbance of the grid is seen by everybody."""
        self.street.hertz = 60.7
        self.run_for(1)
        self.assertTrue(all(Alarm.OVER_FREQUENCY in output.alarms for output in self.outputs.values()))

    def test_the_same_each_time(self) -> None:
        """The same seed makes the same street, another one another."""
        first, again, other = (example(5, noon=NOON, seed=seed, cloudiness=0.7) for seed in (1, 1, 2))
        seen = [street.step(NOON, 10, NOBODY)["house-05"].w for street in (first, again, other)]
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])


class StreetTests(SynchronousTestCase):
    """Streets of all kinds."""

    def test_houses_stand_at_buses(self) -> None:
        """A house at a bus that is not there is named."""
        with self.assertRaisesRegex(ValueError, "house x"):
            Street(Feeder([Bus("a", None, 1, 1)]), {"x": House("b", Load())})

    @given(
        st.integers(1, 8),
        st.floats(0.05, 0.5),
        st.floats(0.05, 0.5),
        st.floats(2000.0, 5000.0),
    )
    @settings(max_examples=30)
    def test_volt_var_lowers_over_voltage(self, houses: int, r: float, x: float, peak: float) -> None:
        """Whatever the line and the sun: with a volt-var curve each house's over-voltage is lower."""
        found = []
        for told in (Orders(), orders({"opModVoltVar": VOLT_VAR})):
            names = [f"h{number}" for number in range(houses)]
            line = zip(names, [None, *names], strict=False)
            feeder = Feeder([Bus(name, upstream, r / houses, x / houses) for name, upstream in line])
            rated = Nameplate(max_w=5000.0, max_va=5500.0, max_var=2400.0)
            street = Street(
                feeder,
                {name: House(name, Load(), Plant(rated, PV(peak, Sun(NOON)))) for name in names},
            )
            street.step(NOON + 60, 60, dict.fromkeys(names, told))
            found.append(street.voltages())
        without, controlled = found
        for name, volts in without.items():
            if volts > 1.02:
                self.assertLess(controlled[name], volts)


class DocumentTests(SynchronousTestCase):
    """docs/simulator.md."""

    def test_example(self) -> None:
        """What its example prints is what it says there."""
        text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
        (code,) = (block for block in re.findall(r"```text\n(.*?)```", text, re.DOTALL) if "import" in block)
        with redirect_stdout(StringIO()) as printed:
            exec(code, {})
        said = re.findall(r"# ([\d.]+)$", code, re.MULTILINE)
        self.assertEqual([f"{float(line):.3f}" for line in printed.getvalue().split()], said)
        self.assertEqual(len(said), 2)
