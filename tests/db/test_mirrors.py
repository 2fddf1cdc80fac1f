"""Mirrors in the store: what is removed of them and when, how many there are, and what stays of readings."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import meter_readings, mirrored, mirrors, segments, tally
from csipd.db.database import Transaction
from csipd.db.mirrors import Counts, Mirror
from csipd.db.tables import meter_readings as meters_table
from csipd.db.tables import mirrors as mirrors_table
from csipd.db.tables import reading_sets, readings
from csipd.der.access import Caller, Standing
from csipd.der.metering import NOTED_EVERY, Metering
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from tests.support.bodies import AT
from tests.support.metering import WATTS, meter, reading, reading_set, usage_point
from tests.support.world import AGGREGATOR, BARE, MANAGED, NOW, OWNER, World

DAY = 86_400
WHOLE = Page(limit=500)


class _Case(SynchronousTestCase):
    BOUNDS = Metering(mirrors_per_device=50)

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers
        self.callers = {
            OWNER: Caller(OWNER.lfdi, OWNER.sfdi, Standing.REGISTERED, self.numbers.owner),
            MANAGED: Caller(
                MANAGED.lfdi,
                MANAGED.sfdi,
                Standing.REGISTERED,
                self.numbers.managed,
                manager=self.numbers.aggregator,
            ),
            AGGREGATOR: Caller(
                AGGREGATOR.lfdi, AGGREGATOR.sfdi, Standing.REGISTERED, self.numbers.aggregator, True, 2
            ),
        }

    def put(
        self,
        who: Identity = OWNER,
        mrid: str = "F0",
        *given: r.MirrorMeterReading,
        of: Identity | None = None,
        now: int = NOW,
        **more: object,
    ) -> Mirror:
        """Make or overwrite a mirror, with what was read."""

        def write(transaction: Transaction) -> Mirror:
            body = usage_point(of or who, mrid, **more)  # type: ignore[arg-type]  # meters come in `given`
            mirror, _ = mirrors.put(transaction, self.callers[who], body, self.BOUNDS, now)
            for each in given:
                known = meter_readings.find(transaction.connection, mirror.number, each.mRID)
                mirrored.take(transaction, mirror, known, each, self.BOUNDS, now)
            mirrors.note_post(transaction, mirror, now)
            return mirror

        return self.world.write(write)

    def remove(self, mirror: Mirror) -> None:
        self.world.write(lambda transaction: mirrors.remove(transaction, mirror, self.BOUNDS, NOW))

    def sweep(self, now: int, most: int = 1000) -> int:
        return self.world.write(lambda transaction: mirrors.sweep(transaction, self.BOUNDS, now, most))

    def rows(self, table: sa.Table) -> int:
        return self.world.read(
            lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        )

    def find(self, number: int) -> Mirror | None:
        return self.world.read(lambda connection: mirrors.find(connection, number))

    def counts(self, who: Identity) -> Counts:
        return self.world.read(lambda connection: mirrors.counts(connection, self.callers[who]))


class RemovalTests(_Case):
    """What goes with a mirror, and what stays."""

    def test_readings_stay(self) -> None:
        """What was read stays with its device when the mirror goes, as a series that has ended."""
        self.remove(self.put(OWNER, "F0", meter("A1", reading=reading(5))))
        self.assertEqual([self.rows(t) for t in (mirrors_table, meters_table, readings)], [0, 0, 1])
        (found,) = self.world.read(lambda c: list(segments.of_device(c, self.numbers.owner)))
        self.assertEqual((found.device, found.ended, found.der), (self.numbers.owner, NOW, True))

    def test_large(self) -> None:
        """A mirror of many sets is gone at once; its rows go in portions, its number is not used again."""
        self.patch(mirrors, "AT_ONCE", 10)
        sets = [reading_set(f"B{n:03}", [n], AT - n) for n in range(24)]
        first = self.put(OWNER, "F0", meter("A1", WATTS, None, *sets), meter("A2"))
        self.remove(first)
        self.assertIsNone(self.find(first.number))
        self.assertEqual((self.rows(reading_sets), self.rows(mirrors_table)), (14, 1))
        # Meanwhile the mRID is free.
        second = self.put(OWNER, "F0", meter("A1"))
        self.assertEqual(second.number, first.number + 1)
        self.assertEqual([self.sweep(NOW, 10) for _ in range(3)], [10, 7, 0])
        self.assertEqual([self.rows(t) for t in (reading_sets, meters_table, mirrors_table)], [0, 1, 1])
        self.assertEqual(self.find(second.number), second)

    def test_silent(self) -> None:
        """A mirror goes when nothing was posted for the time, and no sooner; of many some at a time."""
        for n in range(50):
            self.put(AGGREGATOR if n % 2 else OWNER, f"E{n:02}", of=BARE if n % 2 else None)
        kept = self.put(MANAGED, "F0", now=NOW + 2 * DAY)
        gone = NOW + 3 * DAY + NOTED_EVERY + 1
        # The last post may have been so much later than it was noted.
        self.assertEqual([self.sweep(NOW + 3 * DAY), self.sweep(gone - 1)], [0, 0])
        found = [self.sweep(gone, 20) for _ in range(4)]
        self.assertEqual(found, [20, 20, 10, 0])
        self.assertEqual(self.rows(mirrors_table), 1)
        self.assertEqual(self.find(kept.number), kept)

    def test_noted(self) -> None:
        """A post is noted when the last note is an hour old; what is posted to all the time stays."""
        number = self.put().number
        for minutes in range(0, 5 * 24 * 60, 30):
            now = NOW + 60 * minutes
            self.put(now=now)
            self.assertEqual(self.sweep(now), 0)
            found = self.find(number)
            assert found is not None
            self.assertLess(now - found.posted, NOTED_EVERY)


class RoleTests(_Case):
    """Whose meter a mirror is."""

    def test_changed(self) -> None:
        """A DER's meter that becomes the premises' begins another series: their signs differ."""
        self.put(OWNER, "F0", meter(reading=reading(5)))
        self.put(OWNER, "F0", meter(reading=reading(6)), roleFlags=0x01, now=NOW + 60)
        self.put(OWNER, "F0", meter("A1", None, reading(7)), roleFlags=0x01, now=NOW + 120)
        found = self.world.read(lambda c: list(segments.of_device(c, self.numbers.owner)))
        self.assertEqual([(one.der, one.ended) for one in found], [(True, NOW + 60), (False, None)])


class CountTests(_Case):
    """How many there are, for whom."""

    def test_counts(self) -> None:
        """Made are a caller's own, metered those of its own devices whoever made them, kept everybody's."""
        self.put(OWNER)
        self.put(MANAGED)
        self.put(AGGREGATOR, "F0", of=BARE)
        removed = self.put(AGGREGATOR, "F1", of=MANAGED)
        self.assertEqual(self.counts(OWNER), Counts(1, 1, 4))
        self.assertEqual(self.counts(MANAGED), Counts(1, 2, 4))
        self.assertEqual(self.counts(AGGREGATOR), Counts(2, 3, 4))
        self.remove(removed)
        self.assertEqual(self.counts(AGGREGATOR), Counts(1, 2, 3))
        self.assertEqual(self.world.read(lambda c: tally.numbers(c, [mirrors.NUMBER])), {mirrors.NUMBER: 3})

    def test_pages(self) -> None:
        """Parts of both lists put together are the list, by mRID descending."""
        for n in (3, 1, 2, 5, 4):
            self.put(AGGREGATOR, f"F{n}", of=(BARE, MANAGED)[n % 2])
        self.put(MANAGED, "F3")
        asker = self.callers[AGGREGATOR]
        for read, total in ((mirrors.made, 5), (mirrors.metered, 6)):
            whole = self.world.read(lambda c, read=read: read(c, asker, WHOLE))  # type: ignore[misc]
            found = [each.document().mRID for each in whole]
            self.assertEqual(found, sorted(found, reverse=True))
            self.assertEqual(len(whole), total)
            parts = [
                self.world.read(lambda c, n=n, read=read: read(c, asker, Page(n, 2)))  # type: ignore[misc]
                for n in range(0, total, 2)
            ]
            self.assertEqual([each for part in parts for each in part], whole)
            for n, each in enumerate(whole):
                rest = self.world.read(
                    lambda c, read=read, at=each.position: read(c, asker, WHOLE, at)  # type: ignore[misc]
                )
                self.assertEqual(rest, whole[n + 1 :])

    def test_plans(self) -> None:
        """No statement of a device looks at all mirrors."""

        def plans(connection: sa.Connection) -> list[str]:
            said = []
            for prepared in (
                mirrors._BY_MRID,
                mirrors._OWNED_COUNT,
                mirrors._COUNTS[False],
                *(
                    prepared
                    for pages in (*mirrors._MADE.values(), *mirrors._METERED.values())
                    for prepared in (pages.whole, *pages.behind)
                ),
                mirrors._SILENT,
                mirrors._DELETED,
                meter_readings._METER,
                meter_readings._SET_PAGE,
                meter_readings._OLDEST_SET,
            ):
                sql = str(prepared.of("sqlite").compile(dialect=connection.dialect, compile_kwargs={}))
                raw = connection.connection.driver_connection
                assert raw is not None
                values = (1,) * sql.count("?")
                said += [f"{row[3]}: {sql}" for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            return said

        for line in self.world.read(plans):
            self.assertFalse(line.startswith(("SCAN mirrors:", "SCAN meter", "SCAN reading")), line)
            self.assertNotIn("TEMP B-TREE", line)
