"""Delivered against commanded: decision 59 as functions of values."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from attrs import frozen
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
    known_by,
    mean,
    said,
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
        given: dict[str, object] = {"post_rate": 300, "now": now, **how}
        ratings, interval = given.pop("ratings", RATINGS), given.pop("interval", HOUR)
        heard = said([points], interval)  # type: ignore[arg-type]  # by name
        return judge(command, interval, ratings, heard, **given).verdict  # type: ignore[arg-type]  # by name

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
        self.assertIs(self.verdict(LIMIT, steady(0, 2700)), Verdict.NO_READINGS, "they end at 2700")
        self.assertIs(self.verdict(LIMIT, steady(0, 3000)), Verdict.OBEYED)

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

    def test_unknown(self) -> None:
        """A share of nothing that is known is not judged, nor held against it what a device declined."""
        nothing = Command("opModMaxLimW", "active_power", None, limits=True)
        self.assertIs(self.verdict(nothing, steady(1), ratings=Ratings()), Verdict.NO_SETTINGS)
        self.assertIs(self.verdict(LIMIT, steady(9000), declined=True), Verdict.DECLINED)

    def test_parts(self) -> None:
        """What a device did before, or while it went down, is not held against it, not even in part."""
        points = [
            Point(start, 300, Decimal(value)) for start, value in ((-200, 5000), (100, 2900), (400, 2900))
        ]
        self.assertIs(self.verdict(LIMIT, points, now=700), Verdict.OBEYED)
        short = Interval(0, 400)
        points = [
            Point(-200, 300, Decimal(5000)),
            Point(100, 300, Decimal(2000)),
            Point(400, 300, Decimal(5000)),
        ]
        self.assertIs(self.verdict(LIMIT, points, interval=short), Verdict.OBEYED, "one is inside")

    def test_uncertain(self) -> None:
        """Where none lies within it is not yet to be said, and once all must have come, uncertain."""
        short = Interval(0, 250)
        points = [Point(-200, 300, Decimal(5000)), Point(100, 300, Decimal(5000))]
        for now, expected in ((200, Verdict.NOT_YET), (849, Verdict.NOT_YET), (850, Verdict.UNCERTAIN)):
            self.assertIs(self.verdict(LIMIT, points, now=now, interval=short), expected, now)
        found = judge(LIMIT, short, RATINGS, said([points], short), post_rate=300, now=900)
        self.assertEqual(found.delivered, 5000, "it is shown what they say")

    def test_moments(self) -> None:
        """A reading of a moment within counts, one of before does not; an unknown begin may be any."""
        points = [Point(-10, None, Decimal(5000)), Point(290, None, Decimal(2900))]
        self.assertIs(self.verdict(LIMIT, points, now=590), Verdict.OBEYED)
        points = [Point(200, None, Decimal(5000), slack=300), Point(500, None, Decimal(2900), slack=300)]
        self.assertIs(self.verdict(LIMIT, points, now=900), Verdict.OBEYED)

    def test_several(self) -> None:
        """Several meters are added up; if only one has readings within, none counts as certain."""
        within = Interval(100, 700)
        one, other = steady(1000, 900), [Point(start + 150, 300, Decimal(900)) for start in (0, 300)]
        self.assertEqual((said([one, other], within).mean, said([one, other], within).certain), (1900, True))
        late = [Point(600, 300, Decimal(900))]
        self.assertEqual((said([one, late], within).mean, said([one, late], within).certain), (1900, False))
        self.assertIsNone(said([one, []], within).mean)

    def test_known(self) -> None:
        """A device knows of a control when it answers to it, and when it has polled at the latest."""
        for found, heard, expected in (
            (None, None, 700),
            (None, 130, 130),
            (None, 50, 100),
            (None, 9000, 700),
            (-1000, None, 700),
            (0, None, 1500),
            (90, None, 1590),
            (200, 150, 200),
            (200, 300, 300),
            (200, None, 1700),
        ):
            known = known_by(100, found, heard, reads=600, finds=900)
            self.assertEqual(known, expected, (found, heard))


FULL, ALLOWED = 5000, 3000


@frozen
class Story:
    """A limit, how a plant comes to it, and how its meter posts.

    :param period: of its readings (s), ``offset`` of the first one from a multiple of that
    :param every: so many readings are posted together
    :param draw: of the start, and of the duration, as shares of what the control lets it draw
    """

    lasts: int
    ramp: int
    randomize_start: int
    randomize_duration: int
    draw: tuple[float, float]
    period: int
    offset: int
    every: int

    @property
    def time(self) -> Interval:
        """When the plant has the control."""
        shift = int(self.randomize_start * self.draw[0])
        return Interval(shift, shift + self.lasts + int(self.randomize_duration * self.draw[1]))

    @property
    def judged(self) -> Interval:
        return judged(
            0,
            self.lasts,
            randomize_start=self.randomize_start,
            randomize_duration=self.randomize_duration,
            ramp_hundredths=self.ramp * 100,
        )

    def watts(self, moment: int) -> int:
        """What a plant gives that obeys."""
        time = self.time
        if not time.begin <= moment < time.end:
            return FULL
        if moment >= time.begin + self.ramp:
            return ALLOWED
        return FULL - (FULL - ALLOWED) * (moment - time.begin) // self.ramp

    def posted(self, watts: Callable[[int], int], now: int) -> list[Point]:
        """The readings that have come by now: each a mean, none of them before it is over."""
        first = -3 * self.period * self.every + self.offset % self.period
        known = max((now - first) // self.period, 0)
        known -= known % self.every
        points = []
        for place in range(known):
            start = first + place * self.period
            steps = range(start, start + self.period, 5)
            points.append(Point(start, self.period, Decimal(sum(map(watts, steps))) / len(steps)))
        return points

    def verdict(self, watts: Callable[[int], int], now: int) -> Verdict:
        points = [point for point in self.posted(watts, now) if point.start < self.lasts]
        heard = said([points], self.judged)
        post_rate = self.period * self.every
        return judge(LIMIT, self.judged, RATINGS, heard, post_rate=post_rate, now=now).verdict


STORIES = st.builds(
    Story,
    lasts=st.integers(60, 3600),
    ramp=st.sampled_from((0, 5, 60, 300)),
    randomize_start=st.integers(-600, 600),
    randomize_duration=st.integers(-600, 600),
    draw=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    period=st.sampled_from((5, 60, 300, 900)),
    offset=st.integers(0, 899),
    every=st.integers(1, 3),
)


class PlantTests(SynchronousTestCase):
    """A plant that obeys and one that does not, whenever they are looked at."""

    @given(STORIES, st.integers(-600, 9000))
    def test_obeys(self, story: Story, now: int) -> None:
        """Who obeys is never said not to, whatever it draws and however its readings fall."""
        self.assertIsNot(story.verdict(story.watts, now), Verdict.NOT_OBEYED)

    @given(STORIES, st.integers(-600, 9000))
    def test_ignores(self, story: Story, now: int) -> None:
        """Who goes on is said not to obey once a reading lies within, and is never said to."""
        verdict = story.verdict(lambda moment: FULL, now)
        points = story.posted(lambda moment: FULL, now)
        passed = Interval(story.judged.begin, min(story.judged.end, now))
        if passed.seconds and any(point.is_within(passed) for point in points):
            self.assertIs(verdict, Verdict.NOT_OBEYED)
        self.assertNotIn(verdict, (Verdict.OBEYED, Verdict.NO_READINGS))

    @given(STORIES)
    def test_in_the_end(self, story: Story) -> None:
        """When all has come there is a verdict, and without a reading within it is uncertain."""
        end = story.lasts + 4 * story.period * story.every
        points = story.posted(story.watts, end)
        within = any(point.is_within(story.judged) for point in points)
        expected = (
            Verdict.OBEYED if within else Verdict.UNCERTAIN if story.judged.seconds else Verdict.NOT_YET
        )
        self.assertIs(story.verdict(story.watts, end), expected)
