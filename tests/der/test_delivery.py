"""Delivered against commanded: decision 59 as functions of values."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.delivery import (
    Command,
    Interval,
    Point,
    Ratings,
    Verdict,
    commands,
    judge,
    judged,
    mean,
)
from csipd.sep2 import resources as r

RATINGS = Ratings(
    max_w=Decimal(5000),
    max_charge_w=Decimal(3000),
    max_var=Decimal(2000),
    max_var_negative=Decimal(-1000),
    available_var=Decimal(800),
)
HOUR = Interval(0, 3600)
LIMIT = Command("opModMaxLimW", "active_power", Decimal(3000), limits=True)
TARGET = Command("opModTargetW", "active_power", Decimal(3000), limits=False)


def steady(value: int, until: int = 3600) -> list[Point]:
    """The same reading every five minutes."""
    return [Point(start, 300, Decimal(value)) for start in range(0, until, 300)]


class CommandTests(SynchronousTestCase):
    """DERControlBase -> what is to be delivered."""

    def amounts(self, base: r.DERControlBase, ratings: Ratings = RATINGS, ders: int = 1) -> dict[str, object]:
        return {one.mode: one.amount for one in commands(base, ratings, ders)}

    def test_shares(self) -> None:
        """A share is of what the device has set; what is taken in is a share of its charge rate."""
        for base, expected in (
            (r.DERControlBase(opModMaxLimW=6000), 3000),
            (r.DERControlBase(opModFixedW=5000), 2500),
            (r.DERControlBase(opModFixedW=-5000), -1500),
            (r.DERControlBase(opModFixedVar=r.FixedVar(refType=1, value=1000)), 500),
            (r.DERControlBase(opModFixedVar=r.FixedVar(refType=2, value=5000)), 1000),
            (r.DERControlBase(opModFixedVar=r.FixedVar(refType=2, value=-5000)), -500),
            (r.DERControlBase(opModFixedVar=r.FixedVar(refType=3, value=5000)), 400),
        ):
            self.assertEqual(list(self.amounts(base).values()), [expected], base)

    def test_absolute(self) -> None:
        """An amount is for each DER."""
        base = r.DERControlBase(
            opModTargetW=r.ActivePower(multiplier=1, value=100),
            opModTargetVar=r.ReactivePower(multiplier=0, value=-7),
        )
        self.assertEqual(self.amounts(base), {"opModTargetVar": -7, "opModTargetW": 1000})
        self.assertEqual(self.amounts(base, ders=3), {"opModTargetVar": -21, "opModTargetW": 3000})

    def test_disconnected(self) -> None:
        """Who is to be disconnected delivers nothing; who is to be connected is told no amount."""
        self.assertEqual(self.amounts(r.DERControlBase(opModConnect=False)), {"opModConnect": 0})
        self.assertEqual(self.amounts(r.DERControlBase(opModConnect=True, opModEnergize=True)), {})

    def test_unsaid(self) -> None:
        """A share of what a device has not said is no amount."""
        base = r.DERControlBase(opModMaxLimW=6000)
        self.assertEqual(self.amounts(base, Ratings()), {"opModMaxLimW": None})

    def test_others(self) -> None:
        """Curves and power factors command no amount of power."""
        self.assertEqual(self.amounts(r.DERControlBase(opModVoltVar=r.DERCurveLink(href="/derp/1/dc/1"))), {})


class IntervalTests(SynchronousTestCase):
    """What is judged."""

    def test_ramp(self) -> None:
        """The ramp is that of the control, else follows from the device's gradient, within bounds."""
        for ramp, gradient, begin in (
            (None, None, 0),
            (3050, 1, 31),
            (None, 27, 371),
            (None, 1, 600),
            (0, 27, 0),
        ):
            found = judged(0, 3600, ramp_hundredths=ramp, gradient=gradient)
            self.assertEqual((found.begin, found.end), (begin, 3600))

    def test_randomized(self) -> None:
        """What a device may draw is outside of it, whichever way."""
        for start, duration, expected in ((60, 0, (60, 3600)), (-60, 0, (0, 3540)), (0, -90, (0, 3510))):
            found = judged(0, 3600, randomize_start=start, randomize_duration=duration)
            self.assertEqual((found.begin, found.end), expected)
        self.assertEqual(judged(0, 60, gradient=27).seconds, 0)


class MeanTests(SynchronousTestCase):
    """Readings over an interval."""

    def test_weighted(self) -> None:
        """Each reading weighs as much as the time for which it holds within the interval."""
        points = [Point(-300, 600, Decimal(4)), Point(300, 300, Decimal(10)), Point(600, None, Decimal(1))]
        self.assertEqual(mean(points, Interval(0, 600)), 7)
        self.assertEqual(mean(points, Interval(0, 1200)), 4)
        self.assertEqual(mean(points, Interval(5000, 6000)), None, "none holds that long")
        self.assertIsNone(mean([], HOUR))

    @given(st.lists(st.tuples(st.integers(0, 3600), st.integers(1, 900), st.integers(-9, 9)), max_size=20))
    def test_between(self, readings: list[tuple[int, int, int]]) -> None:
        """A mean lies between the least and the greatest, however readings overlap."""
        points = [Point(start, duration, Decimal(value)) for start, duration, value in sorted(readings)]
        found = mean(points, HOUR)
        if found is not None:
            values = [point.value for point in points]
            self.assertTrue(min(values) - Decimal("1e-9") <= found <= max(values) + Decimal("1e-9"))


class VerdictTests(SynchronousTestCase):
    """Obeyed, or not."""

    def verdict(self, command: Command, points: list[Point], now: int = 3600, **how: object) -> Verdict:
        newest = points[-1].start if points else None
        given: dict[str, object] = {"newest": newest, "post_rate": 300, "now": now, **how}
        ratings = given.pop("ratings", RATINGS)
        return judge(command, HOUR, ratings, points, **given).verdict  # type: ignore[arg-type]  # by name

    def test_tolerance(self) -> None:
        """Two hundredths of setMaxW are let pass: upwards of a limit, both ways of a target."""
        for value, limit, target in (
            (3000, True, True),
            (3100, True, True),
            (3101, False, False),
            (2900, True, True),
            (2899, True, False),
            (-500, True, False),
        ):
            verdicts = {True: Verdict.OBEYED, False: Verdict.NOT_OBEYED}
            self.assertIs(self.verdict(LIMIT, steady(value)), verdicts[limit], value)
            self.assertIs(self.verdict(TARGET, steady(value)), verdicts[target], value)

    def test_no_readings(self) -> None:
        """Who gives no readings, or none any more, does not obey and does not disobey."""
        self.assertIs(self.verdict(LIMIT, []), Verdict.NO_READINGS)
        self.assertIs(self.verdict(LIMIT, steady(0, 2700)), Verdict.NO_READINGS)
        self.assertIs(self.verdict(LIMIT, steady(0, 3300)), Verdict.OBEYED)

    def test_running(self) -> None:
        """While it runs what has passed is judged; before it there is nothing to judge."""
        self.assertIs(self.verdict(LIMIT, steady(9000, 900), now=900), Verdict.NOT_OBEYED)
        self.assertIs(self.verdict(LIMIT, steady(9000, 300), now=0), Verdict.NOT_YET)

    def test_straddling(self) -> None:
        """A reading of which a part was before the control or after it accuses nobody.

        Of obedient devices ``make demo`` named several, by the five minutes in whose midst it began.
        """
        readings = [
            Point(at, 300, Decimal(5000 if at < 0 or at > 3300 else 3050)) for at in range(-150, 3601, 300)
        ]
        for now, verdict in (
            (200, Verdict.NOT_YET),
            (300, Verdict.NOT_YET),
            (500, Verdict.OBEYED),
            (900, Verdict.OBEYED),
            (3600, Verdict.OBEYED),
        ):
            known = [point for point in readings if point.start + 300 <= now]
            self.assertIs(self.verdict(LIMIT, known, now), verdict, now)
        moments = [Point(-1, None, Decimal(5000)), Point(299, None, Decimal(3000))]
        self.assertIs(self.verdict(LIMIT, moments, 400), Verdict.OBEYED, "the moment before it")
        # Where no reading is of the control's time alone they are all that there is, once it is over.
        long = [Point(-1800, 7200, Decimal(5000))]
        self.assertIs(self.verdict(LIMIT, long, 3600, newest=5400), Verdict.NOT_OBEYED)
        self.assertIs(self.verdict(LIMIT, long, 3500, newest=5400), Verdict.NOT_YET)

    def test_unknown(self) -> None:
        """A share of nothing that is known is not judged, nor held against it what a device declined."""
        nothing = Command("opModMaxLimW", "active_power", None, limits=True)
        self.assertIs(self.verdict(nothing, steady(1), ratings=Ratings()), Verdict.NO_SETTINGS)
        self.assertIs(self.verdict(LIMIT, steady(9000), declined=True), Verdict.DECLINED)
