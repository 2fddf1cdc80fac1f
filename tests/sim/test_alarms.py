"""Alarms of voltage and frequency."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2.types import Alarm
from csipd.sim.alarms import Limits, bits

LIMITS = Limits(low_pu=0.94, high_pu=1.06, back_pu=0.01)


class AlarmTests(SynchronousTestCase):
    """What is raised, and what is cleared."""

    def walk(self, seen: list[tuple[float, float]]) -> list[set[Alarm]]:
        """The alarms after each of these voltages (per unit) and frequencies (Hz)."""
        held: frozenset[Alarm] = frozenset()
        found = []
        for volts, hertz in seen:
            held = LIMITS.alarms(held, volts, hertz)
            found.append(set(held))
        return found

    def test_voltage(self) -> None:
        """Raised beyond a limit, and cleared as far within it as the hysteresis says."""
        over, under = {Alarm.OVER_VOLTAGE}, {Alarm.UNDER_VOLTAGE}
        for volts, expected in [
            ([1.0, 1.06, 1.061, 1.055, 1.051, 1.05, 1.055], [set(), set(), over, over, over, set(), set()]),
            ([1.0, 0.94, 0.939, 0.945, 0.95, 0.945], [set(), set(), under, under, set(), set()]),
            ([1.07, 0.9, 1.0], [over, under, set()]),
        ]:
            self.assertEqual(self.walk([(pu, 60.0) for pu in volts]), expected)

    def test_frequency(self) -> None:
        """The same of frequency."""
        over, under = {Alarm.OVER_FREQUENCY}, {Alarm.UNDER_FREQUENCY}
        hertz = [60.5, 60.6, 60.45, 60.3, 59.4, 59.55, 59.7]
        expected = [set(), over, over, set(), under, under, set()]
        self.assertEqual(self.walk([(1.0, value) for value in hertz]), expected)

    def test_bits(self) -> None:
        """alarmStatus has the bit of each."""
        self.assertEqual(bits([]), 0)
        self.assertEqual(bits([Alarm.OVER_VOLTAGE, Alarm.UNDER_FREQUENCY]), 0b10010)

    @given(st.floats(1.0501, 1.0599), st.lists(st.floats(1.0501, 1.0599), max_size=20), st.booleans())
    def test_no_chatter(self, first: float, volts: list[float], raised: bool) -> None:
        """Between the two thresholds nothing changes, whether the alarm was raised before or not."""
        start = 1.1 if raised else 1.0
        seen = self.walk([(pu, 60.0) for pu in (start, first, *volts)])
        self.assertEqual(seen, seen[:1] * len(seen))
