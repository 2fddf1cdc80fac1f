"""Roll-ups in the store: what they come to whenever and in whatever portions they are made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import sqlalchemy as sa
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import rollups, segments, series
from csipd.db.segments import Segment
from csipd.db.series import Sample
from csipd.db.tables import late_hours
from csipd.db.tables import rollups as rollups_table
from csipd.der.rollups import DAY, HOUR, MINUTES, STEPS, Bucket, Point, merge, of_points
from csipd.sep2 import resources as r
from csipd.sep2.measurements import Behaviour
from tests.support.store import add_device, statements, store

#: Midnight of UTC, and the middle of the next day.
MIDNIGHT = 1_767_225_600
LATER = MIDNIGHT + 3 * DAY
TYPES = {
    Behaviour.INSTANTANEOUS: r.ReadingType(uom=38, accumulationBehaviour=12),
    Behaviour.CUMULATIVE: r.ReadingType(uom=72, accumulationBehaviour=9),
    Behaviour.DELTA: r.ReadingType(uom=72, accumulationBehaviour=4),
}


class _Case(SynchronousTestCase):
    meters = count(1)

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.device = add_device(self.transaction, 1)

    def opened(self, behaviour: Behaviour = Behaviour.INSTANTANEOUS) -> Segment:
        return segments.open_segment(
            self.transaction, next(self.meters), self.device, TYPES[behaviour], True, MIDNIGHT
        )

    def put(self, segment: Segment, *samples: Sample, in_set: int = 0, received: int = LATER) -> None:
        now = segments.current(self.connection, segment.meter_reading)
        assert now is not None
        series.store(self.transaction, now, samples, received, in_set)

    def roll(self, now: int = LATER) -> int:
        """Make what is due and what came late, portion by portion; how many hours were made."""
        hours = portions = 0
        for work in (rollups.roll, rollups.roll_late):
            rounds = rollups.Rounds()
            after: int | None = 0
            while after is not None:
                found = work(self.transaction, now, after)
                hours += found.hours
                after = rounds(found)
                portions += 1
                assert portions < 1000
        return hours

    def made(self, segment: Segment, step: int) -> list[Bucket]:
        query = sa.select(rollups_table).where(
            rollups_table.c.series == segment.number, rollups_table.c.step == step
        )
        rows = self.connection.execute(
            query.order_by(rollups_table.c.start, rollups_table.c.block, rollups_table.c.tier)
        )
        return [Bucket(*row[1:]) for row in rows]

    def rolled(self, segment: Segment) -> int | None:
        found = segments.current(self.connection, segment.meter_reading)
        assert found is not None
        return found.rolled


def expected(behaviour: Behaviour, samples: Sequence[Sample]) -> dict[int, list[Bucket]]:
    """What readings come to, made at once of all of them."""
    kept = {
        (s.start, s.duration, -1 if s.local_id is None else s.local_id, s.block, s.tier): s for s in samples
    }
    points = [
        Point(s.start, s.duration or 0, s.value, s.block, s.tier)
        for _, s in sorted(kept.items())  # type: ignore[type-var]  # all have times
        if s.value is not None and s.start is not None
    ]
    minutes = of_points(behaviour, points, {})
    hours = merge(HOUR, minutes)
    return {MINUTES: minutes, HOUR: hours, DAY: merge(DAY, hours)}


def rounded(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Without the last digits of means, which depend on the order of sums."""
    return [b if b.mean is None else evolve(b, mean=float(f"{b.mean:.9g}")) for b in buckets]


samples = st.builds(
    Sample,
    # Full minutes, so that some are the same; one register may be rare.
    st.integers(0, 20 * 60).map(lambda minute: MIDNIGHT + 60 * minute),
    st.sampled_from((0, 60, 900)),
    st.none() | st.integers(-1000, 1000),
    st.none(),
    st.none() | st.integers(1, 2),
    st.sampled_from((0, 0, 0, 1)),
)


class PropertyTests(_Case):
    """However readings come, the roll-ups are those of what is there."""

    def same(self, segment: Segment, behaviour: Behaviour, kept: Sequence[Sample]) -> None:
        wanted = expected(behaviour, kept)
        for step in STEPS:
            self.assertEqual(rounded(self.made(segment, step)), rounded(wanted[step]))

    @settings(max_examples=40)
    @given(
        st.sampled_from(Behaviour),
        st.lists(st.tuples(st.lists(samples, max_size=8), st.integers(0, 25), st.booleans()), max_size=5),
    )
    def test_whatever_comes(self, behaviour: Behaviour, posts: list[tuple[list[Sample], int, bool]]) -> None:
        """Late or not, replaced, in sets that are replaced, rolled up in between or not."""
        segment = self.opened(behaviour)
        self.patch(rollups, "LATE_AT_ONCE", 2)
        self.patch(rollups, "READINGS_AT_ONCE", 60)
        sets: dict[int, int] = {}
        kept: dict[object, tuple[Sample, int]] = {}
        for number, (found, hour, replaces) in enumerate(posts, 1):
            # A set of its own number for each store: no series shares one with another.
            in_set = segment.number * 10 + number
            if replaces and sets:
                gone = sets.pop(max(sets))
                series.drop_set(self.transaction, segment.meter_reading, gone)
                kept = {key: one for key, one in kept.items() if one[1] != gone}
            sets[number] = in_set
            self.put(segment, *found, in_set=in_set)
            for s in found:
                kept[s.start, s.duration, s.local_id, s.block, s.tier] = s, in_set
            self.roll(MIDNIGHT + hour * HOUR)
        remaining = [s for s, _ in kept.values()]
        self.read_same(segment, behaviour, remaining)
        self.roll()
        self.same(segment, behaviour, remaining)
        self.read_same(segment, behaviour, remaining)
        self.assertEqual(list(self.connection.execute(sa.select(late_hours))), [])

    def read_same(self, segment: Segment, behaviour: Behaviour, kept: Sequence[Sample]) -> None:
        """What is read is the same whether it was made already or not, of any period."""
        if self.connection.scalar(sa.select(sa.func.count()).select_from(late_hours)):
            return
        wanted = expected(behaviour, kept)
        for step in STEPS:
            for since, until in ((0, LATER), (MIDNIGHT + HOUR + 1, MIDNIGHT + 9 * HOUR + 7)):
                found = rollups.read(self.connection, segment.number, step, since, until)
                part = [bucket for bucket in wanted[step] if since <= bucket.start < until]
                self.assertEqual(rounded(found), rounded(part))

    @settings(max_examples=20)
    @given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 99)), max_size=12))
    def test_gaps(self, found: list[tuple[int, int]]) -> None:
        """Over days without readings nothing that a register came forward is lost."""
        segment = self.opened(Behaviour.CUMULATIVE)
        kept = {}
        for number, (minute, value) in enumerate(found):
            sample = Sample(MIDNIGHT - 60 * minute, 0, value)
            kept[sample.start] = sample
            self.put(segment, sample)
            if number % 3 == 0:
                self.roll()
        self.roll()
        self.same(segment, Behaviour.CUMULATIVE, list(kept.values()))


class DueTests(_Case):
    """When what is made."""

    def test_waits(self) -> None:
        """An hour is made when it has been over for a while: what comes until then is not late."""
        segment = self.opened()
        self.put(segment, Sample(MIDNIGHT, 60, 1))
        self.assertEqual(self.roll(MIDNIGHT + HOUR + rollups.LAG - 1), 0)
        self.assertEqual(self.roll(MIDNIGHT + HOUR + rollups.LAG), 1)
        self.assertEqual(self.rolled(segment), MIDNIGHT + HOUR)
        self.assertEqual(self.roll(MIDNIGHT + HOUR + rollups.LAG), 0)

    def test_portions(self) -> None:
        """A portion looks at a bounded number of readings and series, and the next goes on after it."""
        self.patch(rollups, "READINGS_AT_ONCE", 50)
        self.patch(rollups, "SERIES_AT_ONCE", 3)
        many = [self.opened() for _ in range(7)]
        for segment in many:
            self.put(segment, *(Sample(MIDNIGHT + 600 * number, 60, number) for number in range(12)))
        sizes = []
        after: int | None = 0
        rounds = rollups.Rounds()
        while after is not None:
            found = rollups.roll(self.transaction, LATER, after)
            sizes.append(found.hours)
            after = rounds(found)
        self.assertEqual(sum(sizes), 14)
        self.assertLessEqual(max(sizes), 2)
        self.assertEqual({self.rolled(segment) for segment in many}, {MIDNIGHT + 2 * HOUR})

    def test_survives(self) -> None:
        """Where it stopped it goes on, whatever time has passed: the mark is in the store."""
        segment = self.opened()
        self.patch(rollups, "READINGS_AT_ONCE", 1)
        self.put(segment, *(Sample(MIDNIGHT + HOUR * number, 60, number) for number in range(5)))
        rollups.roll(self.transaction, LATER)
        self.assertEqual(self.rolled(segment), MIDNIGHT + HOUR)
        self.assertEqual(self.roll(LATER + 400 * DAY), 4)
        self.assertEqual([b.readings for b in self.made(segment, DAY)], [5])

    def test_ahead(self) -> None:
        """What is dated in the future is rolled up when that has come, and keeps nothing else up."""
        segment = self.opened()
        self.put(segment, Sample(LATER + DAY, 60, 9), received=MIDNIGHT)
        self.put(segment, Sample(MIDNIGHT, 60, 1))
        self.assertEqual(self.roll(LATER), 1)
        self.assertEqual(self.rolled(segment), MIDNIGHT + HOUR)
        self.assertEqual(self.roll(LATER + 2 * DAY), 1)
        self.assertEqual([b.mean for b in self.made(segment, HOUR)], [1.0, 9.0])

    def test_late(self) -> None:
        """What comes late has its hour made again and the next one with readings, and no other."""
        segment = self.opened(Behaviour.CUMULATIVE)
        self.put(segment, *(Sample(MIDNIGHT + 2 * HOUR * number, 0, 100 * number) for number in range(5)))
        self.assertEqual(self.roll(), 5)
        self.put(segment, Sample(MIDNIGHT + 3 * HOUR, 0, 160))
        self.assertEqual(self.roll(), 2)
        self.assertEqual([b.total for b in self.made(segment, HOUR)], [0, 100, 60, 40, 100, 100])
        self.assertEqual([b.total for b in self.made(segment, DAY)], [400])

    def test_many_at_once(self) -> None:
        """Of an hour that somebody filled without end so many readings count."""
        self.patch(rollups, "MOST_IN_HOUR", 10)
        segment = self.opened()
        self.put(segment, *(Sample(MIDNIGHT + number, 1, number) for number in range(50)))
        self.roll()
        self.assertEqual([b.readings for b in self.made(segment, HOUR)], [10])

    def test_costs(self) -> None:
        """With nothing to do portions are three looks and one, however many series there are."""
        for _ in range(50):
            self.put(self.opened(), Sample(MIDNIGHT, 60, 1))
        self.roll()
        for work, looks in ((rollups.roll, 3), (rollups.roll_late, 1)):
            with statements(self.transaction) as said:
                work(self.transaction, LATER)
            self.assertEqual(len(said), looks)

    def test_much_that_is_due(self) -> None:
        """Hours without end of one series hold up no other: each has its turn, and then another one."""
        many, few = self.opened(), self.opened()
        self.put(many, *(Sample(MIDNIGHT - HOUR * number, 60, 1) for number in range(300)))
        self.put(few, Sample(MIDNIGHT, 60, 1))
        found = rollups.roll(self.transaction, LATER)
        self.assertLess(found.hours, 300 / 4)
        self.assertEqual(self.rolled(few), MIDNIGHT + HOUR)
        self.assertEqual(found.hours + self.roll(), 301)

    def test_a_flood_of_what_is_late(self) -> None:
        """Late hours without end of one series hold up no late one of another, and nothing that is due."""
        many, few, due = self.opened(), self.opened(), self.opened()
        for segment in (many, few):
            self.put(segment, Sample(MIDNIGHT, 60, 1))
        self.roll()
        self.put(few, Sample(MIDNIGHT + 60, 60, 3))
        rounds, after = rollups.Rounds(), 0
        for portion in range(3):
            # It posts more than is made meanwhile.
            hours = range(100 * portion, 100 * (portion + 1))
            self.put(many, *(Sample(MIDNIGHT - HOUR * (number + 1), 60, 1) for number in hours))
            after = rounds(rollups.roll_late(self.transaction, LATER, after)) or 0
        self.assertEqual([b.readings for b in self.made(few, HOUR)], [2])
        self.assertGreater(
            self.connection.scalar(sa.select(sa.func.count()).select_from(late_hours)) or 0, 200
        )
        self.put(due, Sample(MIDNIGHT, 60, 1))
        self.assertIsNone(rollups.Rounds()(rollups.roll(self.transaction, LATER)))
        self.assertEqual(self.rolled(due), MIDNIGHT + HOUR)


class ReadTests(_Case):
    """What is read of a period."""

    def test_whole_steps(self) -> None:
        """A step that begins in the period is whole, though the period ends before its first reading."""
        segment = self.opened()
        self.put(segment, Sample(MIDNIGHT + 60, 60, 1), Sample(MIDNIGHT + 120, 60, 3))
        for _ in range(2):
            found = rollups.read(self.connection, segment.number, MINUTES, MIDNIGHT, MIDNIGHT + 7)
            self.assertEqual([(b.start, b.mean) for b in found], [(MIDNIGHT, 2.0)])
            self.assertEqual(rollups.read(self.connection, segment.number, HOUR, MIDNIGHT + 1, LATER), [])
            self.roll()


class RemovedTests(_Case):
    """Where raw readings are gone, what was made of them goes on."""

    def test_register(self) -> None:
        """How far a register came is counted from what it showed last, though no reading tells of that."""
        segment = self.opened(Behaviour.CUMULATIVE)
        self.put(segment, Sample(MIDNIGHT, 0, 100), in_set=1)
        self.roll()
        before = self.made(segment, HOUR)
        # As retention removes it: without a word of late hours.
        series.drop_set(self.transaction, segment.meter_reading, 1)
        self.connection.execute(sa.delete(late_hours))
        self.put(segment, Sample(MIDNIGHT + DAY, 0, 130))
        self.roll()
        self.assertEqual(self.made(segment, HOUR)[:1], before)
        self.assertEqual([b.total for b in self.made(segment, HOUR)], [0, 30])

    def test_nothing(self) -> None:
        """Of a series that there is none of nothing is read."""
        self.assertEqual(rollups.read(self.connection, 10**6, HOUR, 0, LATER), [])
