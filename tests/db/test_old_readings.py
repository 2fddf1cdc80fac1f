"""Readings that are older than they are kept go, roll-ups in their time, and nothing before its time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import facts, old_readings, rollups, segments, series
from csipd.db.old_readings import RemovedReadings
from csipd.db.segments import Segment
from csipd.db.series import Sample
from csipd.db.tables import late_hours, meter_readings, mirrors, reading_sets, readings
from csipd.db.tables import rollups as rollups_table
from csipd.db.tables import series as series_table
from csipd.der.retention import Retention
from csipd.der.rollups import DAY, HOUR, MINUTES
from csipd.sep2 import resources as r
from tests.support.store import add_device, statements, store

MIDNIGHT = 1_767_225_600
KEPT = Retention(readings_days=30, five_minutes_days=60, hours_days=90)
ENERGY = r.ReadingType(uom=72, accumulationBehaviour=9)


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.device = add_device(self.transaction, 1)
        mirror = self.add(
            mirrors,
            owner=self.device,
            device=self.device,
            mrid="0" * 32,
            roles=0,
            posted=MIDNIGHT,
            body=b"",
        )
        self.meter = self.add(meter_readings, mirror=mirror, mrid="1" * 32, sets=0)
        self.segment = segments.open_segment(
            self.transaction, self.meter, self.device, ENERGY, True, MIDNIGHT
        )

    def add(self, table: sa.Table, **values: Any) -> int:
        made: int = self.connection.execute(
            sa.insert(table).values(**values).returning(table.c.id)
        ).scalar_one()
        return made

    def now(self, meter_reading: int | None = None) -> Segment:
        found = segments.current(self.connection, meter_reading or self.meter)
        assert found is not None
        return found

    def put(self, *starts: int, in_set: int = 0, received: int = MIDNIGHT) -> None:
        samples = [Sample(start, 0, (start - MIDNIGHT) % 100_000) for start in starts]
        series.store(self.transaction, self.now(), samples, received, in_set)

    def number(self, table: sa.Table, **values: Any) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        for name, value in values.items():
            query = query.where(table.c[name] == value)
        return self.connection.scalar(query) or 0

    def roll(self, now: int) -> None:
        for work in (rollups.roll, rollups.roll_late):
            rounds = rollups.Rounds()
            after: int | None = 0
            while after is not None:
                after = rounds(work(self.transaction, now, after))

    def remove(self, now: int, after: int = 0) -> RemovedReadings:
        return old_readings.remove(self.transaction, KEPT, now, after)

    def remove_all(self, now: int) -> int:
        """Portion by portion; how many rows."""
        rows, after = 0, 0
        for _ in range(1000):
            found = self.remove(now, after)
            rows += found.rows
            if found.following is None:
                return rows
            after = found.following
        raise AssertionError("it does not end")

    def left(self) -> Mapping[int, int]:
        return {step: self.number(rollups_table, step=step) for step in (MINUTES, HOUR, DAY)}


class AgeTests(_Case):
    """What goes, and when."""

    def test_ages(self) -> None:
        """Raw readings, five minutes, hours, each in its time; days stay."""
        self.put(MIDNIGHT + 60, MIDNIGHT + 30 * 60)
        self.roll(MIDNIGHT + DAY)
        self.assertEqual(self.remove(MIDNIGHT + 31 * DAY - 1).rows, 0)
        self.assertEqual(self.remove(MIDNIGHT + 31 * DAY).rows, 2)
        self.assertEqual((self.number(readings), self.left()), (0, {MINUTES: 2, HOUR: 1, DAY: 1}))
        self.assertEqual(self.remove(MIDNIGHT + 61 * DAY - 1).rows, 0)
        self.assertEqual(self.remove(MIDNIGHT + 61 * DAY).rows, 2)
        self.assertEqual(self.remove(MIDNIGHT + 91 * DAY).rows, 1)
        self.assertEqual(self.remove(MIDNIGHT + 9000 * DAY), RemovedReadings(0))
        self.assertEqual(self.left(), {MINUTES: 0, HOUR: 0, DAY: 1})
        self.assertEqual(series.latest(self.connection, self.meter), Sample(MIDNIGHT + 1800, 0, 1800))

    def test_not_before_it_is_rolled_up(self) -> None:
        """However old, what is not rolled up yet stays, and so does what came late for it."""
        self.put(MIDNIGHT, MIDNIGHT + HOUR)
        later = MIDNIGHT + 100 * DAY
        self.assertEqual(self.remove(later).rows, 0)
        self.roll(MIDNIGHT + HOUR + rollups.LAG)
        self.connection.execute(sa.insert(late_hours).values(series=self.segment.number, start=MIDNIGHT))
        self.assertEqual(self.remove(MIDNIGHT + 31 * DAY).rows, 0)
        self.connection.execute(sa.delete(late_hours))
        self.assertEqual(self.remove(MIDNIGHT + 31 * DAY).rows, 1)
        self.assertEqual(self.number(readings), 1)

    def test_late_for_what_is_gone(self) -> None:
        """What comes for an hour whose readings are gone does not undo what was made of them."""
        self.put(*(MIDNIGHT + 600 * number for number in range(12)))
        self.roll(MIDNIGHT + DAY)
        before = rollups.read(self.connection, self.segment.number, HOUR, 0, 2**40)
        later = MIDNIGHT + 31 * DAY
        self.remove(later)
        self.put(MIDNIGHT + 5, received=later)
        self.roll(later + DAY)
        self.assertEqual(rollups.read(self.connection, self.segment.number, HOUR, 0, 2**40), before)
        self.assertEqual(self.remove(later + DAY).rows, 1)

    def test_part_of_an_hour(self) -> None:
        """Where a portion ended within an hour, that hour counts as gone."""
        self.patch(old_readings, "AT_ONCE", 7)
        self.put(*(MIDNIGHT + 600 * number for number in range(12)))
        self.roll(MIDNIGHT + DAY)
        found = self.remove(MIDNIGHT + 31 * DAY)
        self.assertEqual(found, RemovedReadings(7, self.segment.number - 1))
        self.assertEqual(self.now().kept, MIDNIGHT + 2 * HOUR)
        self.assertEqual(self.remove(MIDNIGHT + 31 * DAY, self.segment.number - 1), RemovedReadings(5))
        self.assertEqual(self.now().kept, MIDNIGHT + 2 * HOUR)
        self.assertEqual(self.now().stored, 0)

    def test_ahead(self) -> None:
        """What is dated further ahead than anything is kept for does not stay until then."""
        self.put(MIDNIGHT, MIDNIGHT + 30 * DAY, MIDNIGHT + 31 * DAY, 2**63 - 1)
        self.assertEqual(self.remove(MIDNIGHT).rows, 3)
        self.assertEqual(self.number(readings), 1)

    def test_at_most_so_many(self) -> None:
        """A transaction removes a bounded number of rows of whatever kind, and each removes some."""
        self.patch(old_readings, "AT_ONCE", 10)
        self.put(*(MIDNIGHT + 60 * number for number in range(95)))
        self.put(*(-(2**62) for _ in range(3)))
        self.roll(MIDNIGHT + DAY)
        after: int | None = 0
        sizes = []
        while after is not None:
            found = self.remove(MIDNIGHT + 1000 * DAY, after)
            sizes.append(found.rows)
            after = found.following
        # Roll-ups of five minutes, of hours, and raw ones with that of before 1970.
        self.assertEqual(sum(sizes), 96 + 19 + 2)
        self.assertLessEqual(max(sizes), 10)

    def test_facts(self) -> None:
        """Whoever sees readings is told that some are gone."""
        self.put(MIDNIGHT)
        self.roll(MIDNIGHT + DAY)
        self.transaction.changed.clear()
        self.remove(MIDNIGHT + 31 * DAY)
        self.assertEqual(set(self.transaction.changed), {facts.readings(self.meter)})

    def test_costs(self) -> None:
        """Where nothing is too old each series costs few looks, however long it is."""
        self.put(*(MIDNIGHT + 60 * number for number in range(200)))
        self.roll(MIDNIGHT + DAY)
        with statements(self.transaction) as said:
            self.remove(MIDNIGHT + DAY)
        self.assertEqual({line.split()[0] for line in said}, {"SELECT"})
        self.assertLessEqual(len(said), 2 + 6)


class SetTests(_Case):
    """Sets of readings go with their readings."""

    def test_sets(self) -> None:
        """One that has readings stays; so does an empty one that is young."""
        sets = [
            self.add(reading_sets, meter_reading=self.meter, mrid=f"{number:032}", start=start, duration=900)
            for number, start in enumerate((MIDNIGHT, MIDNIGHT + 10, MIDNIGHT + 2 * DAY))
        ]
        self.connection.execute(sa.update(meter_readings).values(sets=3))
        self.put(MIDNIGHT, MIDNIGHT + 60, in_set=sets[0])
        self.put(MIDNIGHT + 2 * DAY, in_set=sets[1])
        self.roll(MIDNIGHT + 3 * DAY)
        self.assertEqual(self.remove(MIDNIGHT + 31 * DAY).rows, 2 + 1)
        self.assertEqual(set(self.connection.scalars(sa.select(reading_sets.c.id))), set(sets[1:]))
        self.assertEqual(self.connection.scalar(sa.select(meter_readings.c.sets)), 2)
        self.assertEqual(self.remove(MIDNIGHT + 33 * DAY).rows, 1 + 2)


class SeriesTests(_Case):
    """What is left of a series that has ended."""

    def test_ended(self) -> None:
        """It goes when nothing of it is left; one that goes on stays, though it is empty."""
        segments.end(self.transaction, self.meter, MIDNIGHT)
        other = segments.open_segment(self.transaction, 10**6, self.device, ENERGY, False, MIDNIGHT)
        self.assertEqual(self.remove(MIDNIGHT).rows, 1)
        self.assertEqual(list(self.connection.scalars(sa.select(series_table.c.id))), [other.number])

    def test_days_are_for_ever(self) -> None:
        """What its days came to stays for the operator, whoever deleted the mirror."""
        self.put(MIDNIGHT)
        self.roll(MIDNIGHT + DAY)
        segments.end(self.transaction, self.meter, MIDNIGHT)
        self.remove_all(MIDNIGHT + 10_000 * DAY)
        self.assertEqual(self.left(), {MINUTES: 0, HOUR: 0, DAY: 1})
        self.assertEqual(self.number(series_table), 1)

    def test_doomed(self) -> None:
        """One beyond the number that a device may end goes with all that it holds, at so many a time."""
        self.patch(old_readings, "AT_ONCE", 10)
        self.put(*(MIDNIGHT + 600 * number for number in range(30)))
        self.put(-(2**63), 2**63 - 1)
        self.roll(MIDNIGHT + DAY)
        self.put(MIDNIGHT)
        self.connection.execute(sa.update(series_table).values(doomed=True))
        self.assertEqual(old_readings.remove_doomed(self.transaction), RemovedReadings(10, 0))
        for _ in range(1000):
            if old_readings.remove_doomed(self.transaction).following is None:
                break
        for table in (readings, rollups_table, late_hours, series_table):
            self.assertEqual(self.number(table), 0, table.name)

    def test_counted(self) -> None:
        """A series that seems full is counted: readings that were replaced are not kept twice."""
        self.patch(series, "MOST_READINGS", 20)
        self.patch(old_readings, "MOST_READINGS", 20)
        for _ in range(19):
            self.put(MIDNIGHT)
        self.assertEqual(self.now().stored, 19)
        self.remove(MIDNIGHT)
        self.assertEqual(self.now().stored, 1)

    def test_walk(self) -> None:
        """Many series are gone over in portions."""
        self.patch(old_readings, "SERIES_AT_ONCE", 3)
        numbers = [self.segment.number] + [
            segments.open_segment(
                self.transaction, 10**6 + number, self.device, ENERGY, False, MIDNIGHT
            ).number
            for number in range(6)
        ]
        stops, after = [], 0
        while (found := self.remove(MIDNIGHT, after)).following is not None:
            after = found.following
            stops.append(after)
        self.assertEqual(stops, [numbers[2], numbers[5]])
