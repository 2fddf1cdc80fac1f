"""Readings as time series: kept, replaced, removed; the latest at the cost of one row."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import facts, segments, series
from csipd.db.segments import Segment
from csipd.db.series import Sample
from csipd.db.tables import late_hours, readings
from csipd.db.tables import series as series_table
from csipd.der.rollups import HOUR
from csipd.refusals import Full
from csipd.sep2 import resources as r
from csipd.sep2.types import octets_of, short_bits
from tests.support.steps import steps
from tests.support.store import NOW, add_device, statements, store

WATTS = r.ReadingType(uom=38, powerOfTenMultiplier=0)
VOLTS = r.ReadingType(uom=29, powerOfTenMultiplier=-1)
#: Number of a MeterReading.
METER = 7


def at(start: int | None, value: int, **more: int | None) -> Sample:
    """A reading of a minute."""
    return Sample(start, None if start is None else 60, value, **more)  # type: ignore[arg-type]  # by name


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.device = add_device(self.transaction, 1)
        self.opened(WATTS)

    def opened(self, reading_type: r.ReadingType, meter_reading: int = METER, now: int = NOW) -> Segment:
        return segments.open_segment(self.transaction, meter_reading, self.device, reading_type, True, now)

    def now(self, meter_reading: int = METER) -> Segment:
        found = segments.current(self.connection, meter_reading)
        assert found is not None
        return found

    def put(self, *samples: Sample, received: int = NOW, in_set: int = 0) -> None:
        series.store(self.transaction, self.now(), samples, received, in_set)

    def latest(self) -> Sample | None:
        return series.latest(self.connection, METER)

    def kept(self, number: int | None = None) -> list[series.Reading]:
        of = self.now().number if number is None else number
        return series.page(self.connection, of, -(2**60), 2**60)[0]

    def rolled(self, until: int, kept: int | None = None) -> None:
        """As if roll-ups had been made up to a moment."""
        values = {"rolled": until, "kept": kept}
        self.connection.execute(sa.update(series_table).values(**values))

    def noted(self) -> list[int]:
        return list(self.connection.scalars(sa.select(late_hours.c.start).order_by(late_hours.c.start)))


class CostTests(_Case):
    """Readings come by the thousand."""

    def test_steps(self) -> None:
        """A reading more among many is few steps more: of what is nearly always so nothing is worked out."""

        def cost(number: int, since: int) -> int:
            samples = [at(since + each, each, quality=1, local_id=each) for each in range(number)]
            return steps(lambda: self.put(*samples))

        cost(10, NOW - 5000)
        self.assertLess((cost(200, NOW - 4000) - cost(100, NOW - 3000)) / 100, 100)


class SegmentTests(_Case):
    """A MeterReading has a series for each ReadingType that it has had."""

    def test_none(self) -> None:
        """Of what has no ReadingType there is no series, and no latest reading."""
        self.assertIsNone(segments.current(self.connection, 99))
        self.assertIsNone(series.latest(self.connection, 99))

    def test_current(self) -> None:
        """The series says what it is of."""
        found = self.now()
        self.assertEqual((found.meter_reading, found.device, found.is_der), (METER, self.device, True))
        self.assertEqual(found.reading_type, WATTS)

    def test_another_type(self) -> None:
        """After a change of type numbers of the old one are not read as if they were of the new one."""
        self.put(at(NOW, 1))
        first = self.now()
        second = self.opened(VOLTS, now=NOW + 60)
        self.assertNotEqual(first.number, second.number)
        self.assertEqual(self.now(), second)
        self.assertIsNone(self.latest())
        self.put(at(NOW + 60, 2))
        self.assertEqual([reading.sample.value for reading in self.kept(first.number)], [1])
        self.assertEqual([reading.sample.value for reading in self.kept()], [2])
        ends = [(row.id, row.ended) for row in segments.of_device(self.connection, self.device)]
        self.assertEqual(ends, [(first.number, NOW + 60), (second.number, None)])

    def test_ended(self) -> None:
        """A mirror that is deleted leaves its readings; of what a device has ended the first goes at last."""
        self.patch(segments, "MOST_ENDED", 2)
        numbers = []
        for meter_reading in range(100, 104):
            numbers.append(self.opened(WATTS, meter_reading).number)
            segments.end(self.transaction, meter_reading, NOW)
        segments.end(self.transaction, 100, NOW + 1)
        rows = segments.of_device(self.connection, self.device)
        self.assertEqual(
            [(row.id, row.ended) for row in rows if row.ended], [(number, NOW) for number in numbers[2:]]
        )
        doomed = self.connection.scalars(sa.select(series_table.c.id).where(series_table.c.doomed))
        self.assertEqual(list(doomed), numbers[:2])


class StoreTests(_Case):
    """What is kept of readings."""

    def test_whole(self) -> None:
        """All that a reading says is given back as it was, short hexBinary in its width."""
        wide = Sample(NOW, 900, -(2**47), 0x11, 0x22, 3, 4)
        narrow = Sample(NOW + 900, 900, 2**47 - 1, short_bits(1, 1), short_bits(5, 1))
        bare = Sample(None, None, None)
        self.put(wide, narrow, bare, received=NOW + 5000, in_set=9)
        found = series.of_set(self.connection, 9)
        self.assertEqual(found, [(3, bare), (2, narrow), (1, wide)])
        self.assertEqual([octets_of(sample.local_id) for _, sample in found], [None, 1, None])
        self.assertEqual([octets_of(sample.quality) for _, sample in found], [None, 1, None])
        self.assertEqual(series.in_set(self.connection, 9, 2), narrow)
        self.assertIsNone(series.in_set(self.connection, 9, 4))
        self.assertEqual([reading.at for reading in self.kept()], [NOW, NOW + 900, NOW + 5000])

    def test_replaced(self) -> None:
        """The same start, duration, localID, block and tier are the same reading; else it is another."""
        first = Sample(NOW, 60, 1, None, 1, 1, 1)
        self.put(first)
        self.put(Sample(NOW, 60, 2, 3, short_bits(1, 1), 1, 1))
        self.assertEqual([reading.sample.value for reading in self.kept()], [2])
        others = [
            Sample(NOW + 1, 60, 1, None, 1, 1, 1),
            Sample(NOW, 61, 1, None, 1, 1, 1),
            Sample(NOW, 60, 1, None, 2, 1, 1),
            Sample(NOW, 60, 1, None, None, 1, 1),
            Sample(NOW, 60, 1, None, 1, 2, 1),
            Sample(NOW, 60, 1, None, 1, 1, 2),
        ]
        self.put(*others)
        self.assertEqual(len(self.kept()), 7)

    def test_replaced_in_sets(self) -> None:
        """What comes again in another set goes there; what comes again alone stays where it is."""
        self.put(at(NOW, 1), at(NOW + 60, 2), in_set=5)
        self.put(at(NOW + 60, 3))
        self.assertEqual([s.value for _, s in series.of_set(self.connection, 5)], [1, 3])
        self.put(at(NOW + 60, 4), in_set=6)
        found = [series.of_set(self.connection, number) for number in (5, 6)]
        self.assertEqual(found, [[(1, at(NOW, 1))], [(1, at(NOW + 60, 4))]])

    def test_by_pages(self) -> None:
        """A period is read page by page in the order of time, each reading once."""
        samples = [at(NOW + 10 * number, number, local_id=number % 2) for number in range(25)]
        self.put(*reversed(samples))
        number, found = self.now().number, []
        after: tuple[int, ...] | None = None
        pages = 0
        while pages == 0 or after is not None:
            part, after = series.page(self.connection, number, NOW + 20, NOW + 200, after=after, limit=6)
            found += [reading.sample for reading in part]
            pages += 1
        self.assertEqual(found, samples[2:20])
        self.assertEqual(pages, 4)

    def test_bounded(self) -> None:
        """A series holds so many readings, and no more are taken until some have gone."""
        self.patch(series, "MOST_READINGS", 3)
        self.put(at(NOW, 1), at(NOW + 1, 1), in_set=5)
        with self.assertRaises(Full):
            self.put(at(NOW + 2, 1), at(NOW + 3, 1))
        series.drop_set(self.transaction, METER, 5)
        self.put(at(NOW + 2, 1), at(NOW + 3, 1))

    def test_costs(self) -> None:
        """One reading costs one look, one row and one change of its series' row, late or not."""
        for sample in (at(NOW, 1), at(NOW - 10, 1)):
            with statements(self.transaction) as said:
                self.put(sample)
            self.assertEqual([line.split()[0] for line in said[:2]], ["SELECT", "INSERT"])
            self.assertEqual(len(said), 3)
        rows = [at(NOW + number, 1) for number in range(100)]
        with statements(self.transaction) as said:
            self.put(*rows)
        self.assertEqual(len(set(said)), 3)

    def test_facts(self) -> None:
        """What is stored, opened or removed drops the MeterReading's fact, and no other."""

        def dropped(step: object) -> list[str]:
            self.transaction.changed.clear()
            assert callable(step)
            step()
            return list(self.transaction.changed)

        mine = [facts.readings(METER)]
        self.assertEqual(dropped(lambda: self.put(at(NOW, 1), in_set=4)), mine)
        self.assertEqual(dropped(lambda: series.drop_set(self.transaction, METER, 4)), mine)
        self.assertEqual(dropped(lambda: self.opened(VOLTS)), mine)
        self.assertEqual(dropped(lambda: self.put()), [])


class LatestTests(_Case):
    """The latest goes by the earlier of start and receipt, then by arrival (decision 58)."""

    def test_order(self) -> None:
        """What is older does not take its place; what is as old does."""
        self.put(at(NOW - 60, 1))
        self.put(at(NOW - 120, 2))
        self.assertEqual(self.latest(), at(NOW - 60, 1))
        self.put(at(NOW - 60, 3, local_id=1))
        self.assertEqual(self.latest(), at(NOW - 60, 3, local_id=1))
        self.put(at(NOW - 60, 4), at(NOW - 30, 5), at(NOW - 40, 6))
        self.assertEqual(self.latest(), at(NOW - 30, 5))
        self.put(at(NOW - 20, 7, local_id=1), at(NOW - 20, 8, local_id=2))
        self.assertEqual(self.latest(), at(NOW - 20, 8, local_id=2))

    def test_of_one_transaction(self) -> None:
        """Two lots with what was known of the series before both are compared with each other."""
        segment = self.now()
        series.store(self.transaction, segment, [at(NOW - 10, 1)], NOW)
        series.store(self.transaction, segment, [at(NOW - 20, 2)], NOW)
        self.assertEqual(self.latest(), at(NOW - 10, 1))

    def test_ahead(self) -> None:
        """What is dated in the future counts when it came, so that it does not stay the latest for ever."""
        self.put(at(NOW + 10**6, 1))
        self.assertEqual(self.latest(), at(NOW + 10**6, 1))
        self.put(at(NOW + 5, 2), received=NOW + 10)
        self.assertEqual(self.latest(), at(NOW + 5, 2))

    def test_without_time(self) -> None:
        """One without timePeriod counts at its receipt."""
        self.put(at(NOW - 5, 1))
        self.put(at(None, 2))
        self.put(at(NOW - 1, 3))
        self.assertEqual(self.latest(), at(None, 2))

    def test_dropped(self) -> None:
        """With the set of the latest reading goes the latest, and the one before it is it again."""
        self.put(at(NOW - 60, 1))
        self.put(at(NOW - 30, 2), in_set=3)
        self.put(at(NOW - 40, 3), in_set=4)
        series.drop_set(self.transaction, METER, 4)
        self.assertEqual(self.latest(), at(NOW - 30, 2))
        series.drop_set(self.transaction, METER, 3)
        self.assertEqual(self.latest(), at(NOW - 60, 1))
        self.assertEqual(series.of_set(self.connection, 3), [])
        self.put(at(NOW - 50, 4))
        self.assertEqual(self.latest(), at(NOW - 50, 4))

    def test_only_set(self) -> None:
        """Where nothing is left there is no latest reading."""
        self.put(at(NOW, 1), in_set=3)
        series.drop_set(self.transaction, METER, 3)
        self.assertIsNone(self.latest())

    def test_cost(self) -> None:
        """It is one row, which no index of the readings is looked at for."""
        with statements(self.transaction) as said:
            self.latest()
        self.assertEqual(len(said), 1)
        self.assertNotIn("readings", said[0].replace("meter_reading", ""))

    @given(
        st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 3), st.booleans()), min_size=1, max_size=12)
    )
    def test_oracle(self, posts: list[tuple[int, int, bool]]) -> None:
        """Whatever comes in whatever order, the latest is what going through all of it finds."""
        with_store = Fresh(self)
        best: tuple[int, Sample] | None = None
        for count, (offset, later, timed) in enumerate(posts):
            received = NOW + 10 * count + later
            sample = at(NOW + 10 * count + offset if timed else None, count, local_id=count)
            counts = received if sample.start is None else min(sample.start, received)
            if best is None or counts >= best[0]:
                best = counts, sample
            with_store.put(sample, received)
        assert best is not None
        self.assertEqual(series.latest(self.connection, with_store.meter), best[1])


class Fresh:
    """A MeterReading of its own, for each example of a property."""

    count = 1000

    def __init__(self, case: _Case) -> None:
        Fresh.count += 1
        self.meter = Fresh.count
        self.case = case
        case.opened(WATTS, self.meter)

    def put(self, sample: Sample, received: int) -> None:
        series.store(self.case.transaction, self.case.now(self.meter), [sample], received)


class LateTests(_Case):
    """Hours that were rolled up already are noted when their readings change."""

    def test_noted(self) -> None:
        """Each hour once, whether readings came, were replaced or were removed."""
        hour = NOW - NOW % HOUR
        self.put(at(hour, 1), at(hour + HOUR, 1), in_set=2)
        self.assertEqual(self.noted(), [])
        self.rolled(hour + HOUR)
        self.put(at(hour + 60, 1), at(hour + 120, 1), at(hour + HOUR, 1), at(hour - 1, 1))
        self.assertEqual(self.noted(), [hour - HOUR, hour])
        self.connection.execute(sa.delete(late_hours))
        series.drop_set(self.transaction, METER, 2)
        self.assertEqual(self.noted(), [hour])

    def test_gone(self) -> None:
        """Not where raw readings were removed: what was made of them stands. Nor before 1970."""
        hour = NOW - NOW % HOUR
        self.rolled(hour, hour - HOUR)
        self.put(at(hour - HOUR - 1, 1), at(hour - 1, 1), at(-(2**63), 1))
        self.assertEqual(self.noted(), [hour - HOUR])
        self.rolled(hour)
        self.put(at(-1, 1), at(0, 1))
        self.assertEqual(self.noted(), [0, hour - HOUR])


class ExtremeTests(_Case):
    """Numbers at the ends of their types."""

    def test_times(self) -> None:
        """Whatever the schema lets through is kept."""
        ends = [Sample(-(2**63), 2**32 - 1, 0), Sample(2**63 - 1, 2**32 - 1, 0)]
        self.put(*ends)
        rows = self.connection.execute(sa.select(readings.c.start).order_by(readings.c.start)).scalars()
        self.assertEqual(list(rows), [-(2**63), 2**63 - 1])
        self.assertEqual(self.latest(), ends[1])
