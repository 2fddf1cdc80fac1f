"""What readings come to in a time, beside an oracle that goes second by second."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.rollups import DAY, HOLD, HOUR, MINUTES, Bucket, Point, floor, merge, of_points
from csipd.sep2.measurements import Behaviour

#: Midnight of UTC.
MIDNIGHT = 1_767_225_600

values = st.integers(-1000, 1000) | st.integers(-(2**47), 2**47 - 1)
points = st.lists(
    st.builds(
        Point,
        st.integers(MIDNIGHT - 2 * HOUR, MIDNIGHT + 2 * HOUR),
        st.sampled_from((-1, 0, 1, 60, 300, 900, 4000)),
        values,
        st.integers(0, 1),
        st.just(0),
    ),
    max_size=14,
).map(lambda found: sorted(found, key=lambda point: point.start))


def _last_of(found: Sequence[Point]) -> dict[tuple[int, int], Point]:
    """The last reading of each register: what comes before those that follow."""
    return {point.register: point for point in found}


def in_order(buckets: Sequence[Bucket]) -> list[tuple[int, int, int]]:
    return [(bucket.start, bucket.block, bucket.tier) for bucket in buckets]


class InstantaneousTests(SynchronousTestCase):
    """The mean is weighted by time."""

    def rolled(self, *found: Point, before: Sequence[Point] = ()) -> list[Bucket]:
        return of_points(Behaviour.INSTANTANEOUS, found, _last_of(before))

    def test_holds(self) -> None:
        """A reading holds until the next one, into later steps, too."""
        first, second = Point(MIDNIGHT + 240, 0, 100), Point(MIDNIGHT + 360, 0, 0)
        found = self.rolled(first, second)
        self.assertEqual(
            [(b.start, b.mean, b.seconds) for b in found],
            [
                (MIDNIGHT, 100.0, 60),
                (MIDNIGHT + MINUTES, 20.0, 300),
            ],
        )
        self.assertEqual([(b.least, b.greatest, b.readings) for b in found], [(100, 100, 1), (0, 100, 1)])

    def test_period(self) -> None:
        """It holds for its period at most."""
        (bucket,) = self.rolled(Point(MIDNIGHT, 60, 10), Point(MIDNIGHT + 120, 60, 40))
        self.assertEqual((bucket.mean, bucket.seconds), (25.0, 120))

    def test_longest_hold(self) -> None:
        """What was read longer ago than that says nothing of now."""
        now = Point(MIDNIGHT + 200, 0, 0)
        (bucket,) = self.rolled(now, before=[Point(MIDNIGHT - HOLD + 100, 0, 7)])
        self.assertEqual((bucket.mean, bucket.seconds, bucket.greatest), (3.5, 200, 7))
        (bucket,) = self.rolled(now, before=[Point(MIDNIGHT - HOLD, 0, 7)])
        self.assertEqual((bucket.mean, bucket.seconds, bucket.greatest), (0.0, 100, 0))

    def test_at_once(self) -> None:
        """Of two readings of one moment the last weighs; both are seen."""
        (bucket,) = self.rolled(Point(MIDNIGHT, 0, 9), Point(MIDNIGHT, 0, 1))
        self.assertEqual((bucket.mean, bucket.least, bucket.greatest, bucket.readings), (1.0, 1, 9, 2))

    @given(points)
    @settings(max_examples=50)
    def test_oracle(self, found: list[Point]) -> None:
        """Second by second, for each register and step."""
        buckets = of_points(Behaviour.INSTANTANEOUS, found, {})
        wanted = {(floor(point.start, MINUTES), *point.register) for point in found}
        self.assertEqual(in_order(buckets), sorted(wanted))
        for bucket in buckets:
            own = [point for point in found if point.register == bucket.register]
            held = []
            for second in range(bucket.start, bucket.start + MINUTES):
                last = next((point for point in reversed(own) if point.start <= second), None)
                if last and second < last.start + (last.duration if last.duration > 0 else HOLD):
                    held.append(last.value)
            inside = [p.value for p in own if floor(p.start, MINUTES) == bucket.start]
            self.assertEqual(bucket.readings, len(inside))
            self.assertEqual(bucket.seconds, len(held))
            self.assertEqual(bucket.mean, sum(held) / len(held))
            self.assertEqual((bucket.least, bucket.greatest), (min(held + inside), max(held + inside)))

    @given(points)
    def test_longer(self, found: list[Point]) -> None:
        """Hours and days are weighted by the seconds that their parts are of."""
        parts = of_points(Behaviour.INSTANTANEOUS, found, {})
        for step, made in ((HOUR, merge(HOUR, parts)), (DAY, merge(DAY, merge(HOUR, parts)))):
            for bucket in made:
                own = [
                    part
                    for part in parts
                    if part.register == bucket.register and floor(part.start, step) == bucket.start
                ]
                seconds = sum(part.seconds or 0 for part in own)
                mean = sum((part.mean or 0.0) * (part.seconds or 0) for part in own) / seconds
                assert bucket.mean is not None
                scale = max(abs(part.mean or 0.0) for part in own)
                self.assertLess(abs(bucket.mean - mean), 1e-9 * (1 + scale))
                self.assertEqual((bucket.step, bucket.seconds), (step, seconds))
                self.assertEqual(bucket.readings, sum(part.readings for part in own))


class CumulativeTests(SynchronousTestCase):
    """A register counts on."""

    def test_rises(self) -> None:
        """What came since the reading before the step; of the very first, since itself."""
        found = [Point(MIDNIGHT + 100 * number, 0, 1000 + 10 * number) for number in range(6)]
        first, second = of_points(Behaviour.CUMULATIVE, found, {})
        self.assertEqual((first.first, first.last, first.total, first.resets), (1000, 1020, 20, 0))
        self.assertEqual((second.first, second.last, second.total), (1030, 1050, 30))
        (hour,) = merge(HOUR, [first, second])
        self.assertEqual((hour.first, hour.last, hour.total, hour.resets), (1000, 1050, 50, 0))

    def test_reset(self) -> None:
        """A register that shows less than before was set back: that step of it is noted and not counted."""
        shown = (100, 120, 5, 15, 3)
        found = [Point(MIDNIGHT + number, 0, value) for number, value in enumerate(shown)]
        (bucket,) = of_points(Behaviour.CUMULATIVE, found, {})
        self.assertEqual((bucket.total, bucket.resets, bucket.first, bucket.last), (30, 2, 100, 3))

    @given(points)
    def test_oracle(self, found: list[Point]) -> None:
        """Nothing between the steps is lost: all of them come to what the whole comes to."""
        buckets = of_points(Behaviour.CUMULATIVE, found, {})
        days = merge(DAY, merge(HOUR, buckets))
        for block in (0, 1):
            shown = [point.value for point in found if point.block == block]
            steps = list(pairwise(shown))
            rises = sum(after - before for before, after in steps if after >= before)
            falls = sum(after < before for before, after in steps)
            for made in (buckets, days):
                own = [bucket for bucket in made if bucket.block == block]
                self.assertEqual(sum(bucket.total or 0 for bucket in own), rises)
                self.assertEqual(sum(bucket.resets or 0 for bucket in own), falls)
                if own:
                    self.assertEqual((own[0].first, own[-1].last), (shown[0], shown[-1]))


class DeltaTests(SynchronousTestCase):
    """What came in a period is added up."""

    @given(points)
    def test_oracle(self, found: list[Point]) -> None:
        """It counts where its period begins."""
        buckets = of_points(Behaviour.DELTA, found, {})
        for step, made in ((MINUTES, buckets), (HOUR, merge(HOUR, buckets))):
            for bucket in made:
                own = [
                    point.value
                    for point in found
                    if point.register == bucket.register and floor(point.start, step) == bucket.start
                ]
                self.assertEqual((bucket.total, bucket.readings, bucket.mean), (sum(own), len(own), None))

    def test_absurd(self) -> None:
        """A sum that no column holds ends at the greatest number that one does."""
        parts = [Bucket(HOUR, MIDNIGHT + HOUR * n, 0, 0, 1, total=2**62) for n in range(3)]
        self.assertEqual(merge(DAY, parts)[0].total, 2**63 - 1)


class PiecewiseTests(SynchronousTestCase):
    """Readings can be taken piece by piece."""

    @given(points, st.sampled_from(Behaviour))
    def test_cut(self, found: list[Point], behaviour: Behaviour) -> None:
        """Cut between two hours, with what was read last before, it is the same as at once."""
        early = [point for point in found if point.start < MIDNIGHT]
        late = [point for point in found if point.start >= MIDNIGHT]
        pieces = of_points(behaviour, early, {}) + of_points(behaviour, late, _last_of(early))
        self.assertEqual(pieces, of_points(behaviour, found, {}))
