"""The sun over a day."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sim.loads import Load
from csipd.sim.sun import DAY, Sun

NOON = 1_764_417_600 + DAY // 2
MOMENTS = st.floats(NOON - 10 * DAY, NOON + 10 * DAY)


class SunTests(SynchronousTestCase):
    """Irradiance in W/m2 by the moment."""

    def test_a_clear_day(self) -> None:
        """It is dark at night, the sun rises and sets with the daylight, and noon is the peak."""
        sun = Sun(NOON, daylight=10 * 3600.0, peak=900.0)
        self.assertEqual(sun.irradiance(NOON), 900.0)
        for dark in (NOON - DAY / 2, NOON - 5 * 3600, NOON + 5 * 3600, NOON + 5.1 * 3600):
            self.assertEqual(sun.irradiance(dark), 0.0, dark)
        self.assertGreater(sun.irradiance(NOON - 4.9 * 3600), 0.0)
        self.assertAlmostEqual(sun.irradiance(NOON - 3 * 3600), sun.irradiance(NOON + 3 * 3600))
        self.assertAlmostEqual(sun.irradiance(NOON + 3 * DAY), 900.0)

    @given(MOMENTS, st.floats(0, 1), st.integers(0, 99))
    def test_clouds_only_take(self, moment: float, cloudiness: float, seed: int) -> None:
        """Under clouds there is light, and never more than without."""
        sun = Sun(NOON, cloudiness=cloudiness, seed=seed)
        self.assertLessEqual(sun.irradiance(moment), sun.clear(moment))
        self.assertGreaterEqual(sun.irradiance(moment), 0.1 * sun.clear(moment))

    def test_clouds_are_those_of_the_seed(self) -> None:
        """The same seed gives the same clouds, another one others; they come and go within the hour."""
        first, again, other = (Sun(NOON, cloudiness=0.6, seed=seed) for seed in (1, 1, 2))
        hours = range(NOON - 3 * 3600, NOON + 3 * 3600, 60)
        seen = [first.irradiance(moment) for moment in hours]
        self.assertEqual(seen, [again.irradiance(moment) for moment in hours])
        self.assertNotEqual(seen, [other.irradiance(moment) for moment in hours])
        shares = [left / first.clear(moment) for left, moment in zip(seen, hours, strict=True)]
        self.assertEqual(max(shares), 1.0)
        self.assertLess(min(shares), 0.5)

    @given(MOMENTS, st.integers(0, 9))
    def test_no_jumps(self, moment: float, seed: int) -> None:
        """The light changes by at most 40 W/m2 within a second."""
        sun = Sun(NOON, cloudiness=1.0, seed=seed)
        self.assertLess(abs(sun.irradiance(moment + 1) - sun.irradiance(moment)), 40.0)


class LoadTests(SynchronousTestCase):
    """What houses take."""

    def test_over_the_day(self) -> None:
        """Evening is the most, then morning; at night what always runs; vars are taken in with it."""
        load = Load(300.0, 1500.0, midnight=NOON - DAY / 2)
        night, morning, noon, evening = (load.power(NOON + h * 3600.0) for h in (-9, -4.5, 0, 7.5))
        self.assertLess(abs(night.real - 300.0), 1.0)
        self.assertLess(abs(morning.real - 1050.0), 1.0)
        self.assertLess(abs(evening.real - 1800.0), 1.0)
        self.assertLess(noon.real, 310.0)
        self.assertAlmostEqual(evening.real / abs(evening), 0.97)
        self.assertGreater(evening.imag, 0.0)
