"""Voltages on a radial feeder."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sim.feeder import Bus, Feeder

#: source - a - b - c, and d beside them at a
TREE = (Bus("a", None, 0.1, 0.2), Bus("b", "a", 0.1, 0.1), Bus("c", "b", 0.3, 0.1), Bus("d", "a", 0.5, 0.5))
POWER = st.builds(complex, st.floats(-5000, 5000), st.floats(-5000, 5000))
INJECTIONS = st.dictionaries(st.sampled_from("abcd"), POWER)


class FeederTests(SynchronousTestCase):
    """R times P and X times Q along each line."""

    def setUp(self) -> None:
        self.feeder = Feeder(TREE, volts=200.0, source_pu=1.01)

    def test_by_hand(self) -> None:
        """What is fed in at c lifts each line on its way, and d by what it lifts a."""
        found = self.feeder.voltages({"c": 4000 + 2000j, "d": -400j})
        rise_a = (0.1 * 4000 + 0.2 * 1600) / 40000
        rise_b = (0.1 * 4000 + 0.1 * 2000) / 40000
        rise_c = (0.3 * 4000 + 0.1 * 2000) / 40000
        self.assertAlmostEqual(found["a"], 1.01 + rise_a)
        self.assertAlmostEqual(found["b"], 1.01 + rise_a + rise_b)
        self.assertAlmostEqual(found["c"], 1.01 + rise_a + rise_b + rise_c)
        self.assertAlmostEqual(found["d"], 1.01 + rise_a - 0.5 * 400 / 40000)

    def test_nothing_flows(self) -> None:
        """Without a flow every bus has the source's voltage."""
        self.assertEqual(set(self.feeder.voltages({}).values()), {1.01})

    @given(INJECTIONS, st.sampled_from("abcd"), st.floats(1.0, 5000.0), st.booleans())
    def test_rises_with_injection(self, before: dict[str, complex], bus: str, more: float, var: bool) -> None:
        """More watts or vars fed in anywhere lift every bus, their own the most; taken in they lower it."""
        old = self.feeder.voltages(before)
        power = complex(0, more) if var else complex(more, 0)
        rise = self._change(old, before, bus, power)
        fall = self._change(old, before, bus, -power)
        self.assertGreater(min(rise.values()), 0.0)
        self.assertAlmostEqual(max(rise.values()), rise[bus])
        for name, value in rise.items():
            self.assertAlmostEqual(value, -fall[name])

    def _change(
        self, old: dict[str, float], before: dict[str, complex], bus: str, power: complex
    ) -> dict[str, float]:
        now = self.feeder.voltages({**before, bus: before.get(bus, 0j) + power})
        return {name: now[name] - old[name] for name in now}

    def test_what_is_no_tree(self) -> None:
        """A bus that nothing feeds, or that is there twice, is named."""
        for buses, name in [
            ((Bus("a", "b", 1, 1), Bus("b", None, 1, 1)), "a"),
            ((Bus("a", None, 1, 1), Bus("a", None, 1, 1)), "a"),
        ]:
            with self.assertRaisesRegex(ValueError, f"bus {name}"):
                Feeder(buses)
