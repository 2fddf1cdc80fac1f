"""Roll-ups are made and old readings removed while the daemon runs: in portions, and after a stop."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.readings import PAUSE, REMOVE_SECONDS, ROLL_SECONDS, ReadingSweeps
from csipd.db import old_readings, rollups, segments, series
from csipd.db.database import Database, Transaction, Write
from csipd.db.fair_queue import BULK, SERVER, Share
from csipd.db.series import Sample
from csipd.db.tables import readings
from csipd.db.tables import rollups as rollups_table
from csipd.db.tables import series as series_table
from csipd.der.retention import Retention
from csipd.der.rollups import DAY, HOUR
from csipd.refusals import Unavailable
from csipd.sep2 import resources as r
from tests.support.store import add_device, new_database

MIDNIGHT = 1_767_225_600
HOURS = 5


class Watched:
    """A database whose writes are counted, and that can fail."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.shares: list[Share] = []
        self.failure: Exception | None = None

    def write(self, operation: Write[Any], share: Share = SERVER) -> Deferred[Any]:
        self.shares.append(share)
        return self._database.write(operation, share) if self.failure is None else fail(self.failure)


class SweepTests(SynchronousTestCase):
    """With a series of some hours."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.begin = MIDNIGHT + HOURS * HOUR + rollups.LAG
        self.database = Database(new_database(self.mktemp()), None)
        self.addCleanup(self.database.stopService)
        self.watched = Watched(self.database)
        self.trusted = True
        self.write(self.fill)

    def write(self, operation: Write[Any]) -> Any:
        return self.successResultOf(self.database.write(operation))

    def fill(self, transaction: Transaction) -> None:
        device = add_device(transaction, 1)
        segment = segments.open_segment(transaction, 1, device, r.ReadingType(uom=38), True, MIDNIGHT)
        samples = [Sample(MIDNIGHT + 600 * number, 0, number) for number in range(6 * HOURS)]
        series.store(transaction, segment, samples, MIDNIGHT)

    def service(self) -> ReadingSweeps:
        made = ReadingSweeps(
            self.watched,  # type: ignore[arg-type]  # it needs no more of a database
            self.clock,
            lambda: self.begin + self.clock.seconds(),
            retention=Retention(readings_days=30, hours_days=60),
            ages_count=lambda: self.trusted,
        )
        made.startService()
        self.addCleanup(lambda: made.running and made.stopService())
        return made

    def number(self, table: sa.Table, **values: int) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        for name, value in values.items():
            query = query.where(table.c[name] == value)
        found: int = self.successResultOf(self.database.read(lambda connection: connection.scalar(query)))
        return found

    def test_portions(self) -> None:
        """Each portion is a transaction of what may wait, with a pause after it; then it is through."""
        self.patch(rollups, "READINGS_AT_ONCE", 10)
        self.service()
        self.assertEqual(self.number(rollups_table, step=HOUR), 1)
        for made in range(2, HOURS + 1):
            self.clock.advance(PAUSE)
            self.assertEqual(self.number(rollups_table, step=HOUR), made)
        self.clock.advance(PAUSE)
        self.assertEqual(set(self.watched.shares), {BULK})
        before = len(self.watched.shares)
        self.clock.advance(ROLL_SECONDS / 2)
        self.assertEqual(len(self.watched.shares), before)
        self.clock.advance(ROLL_SECONDS / 2)
        self.assertEqual(len(self.watched.shares), before + 3)

    def test_after_a_stop(self) -> None:
        """What a stop interrupted is caught up with by the next start."""
        self.patch(rollups, "READINGS_AT_ONCE", 10)
        self.service().stopService()
        self.clock.advance(100 * PAUSE)
        self.assertEqual(self.number(rollups_table, step=HOUR), 1)
        self.service()
        self.clock.pump([PAUSE] * (HOURS + 1))
        self.assertEqual(self.number(rollups_table, step=HOUR), HOURS)

    def test_removed(self) -> None:
        """What is too old goes, in portions as well, unless the wall clock cannot be believed."""
        self.patch(old_readings, "AT_ONCE", 10)
        self.trusted = False
        self.service()
        self.begin = MIDNIGHT + 31 * DAY
        self.clock.advance(REMOVE_SECONDS)
        self.assertEqual(self.number(readings), 6 * HOURS)
        self.trusted = True
        self.clock.advance(REMOVE_SECONDS)
        self.assertEqual(self.number(readings), 6 * HOURS - 10)
        self.clock.pump([PAUSE] * 4)
        self.assertEqual(self.number(readings), 0)

    def test_set_ahead_meanwhile(self) -> None:
        """A wall clock that is set ahead in the midst of a removal has no more removed."""
        self.patch(old_readings, "AT_ONCE", 10)
        self.service()
        self.begin = MIDNIGHT + 31 * DAY
        self.clock.advance(REMOVE_SECONDS)
        self.trusted = False
        self.clock.pump([PAUSE] * 4)
        self.assertEqual(self.number(readings), 6 * HOURS - 10)

    def test_doomed(self) -> None:
        """What a device has ended too much of goes within minutes, whatever the wall clock says."""
        self.trusted = False
        self.patch(old_readings, "AT_ONCE", 10)
        self.service()
        self.write(lambda t: t.connection.execute(sa.update(series_table).values(doomed=True)) and None)
        self.clock.advance(ROLL_SECONDS)
        self.clock.pump([PAUSE] * 10)
        self.assertEqual([self.number(table) for table in (readings, rollups_table, series_table)], [0] * 3)

    def test_failure(self) -> None:
        """A store that cannot be used, or a defect, costs one pass."""
        self.watched.failure = Unavailable("no disk")
        self.service()
        self.watched.failure = ZeroDivisionError()
        self.clock.advance(ROLL_SECONDS)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.watched.failure = None
        self.clock.advance(ROLL_SECONDS)
        self.assertEqual(self.number(rollups_table, step=HOUR), HOURS)
