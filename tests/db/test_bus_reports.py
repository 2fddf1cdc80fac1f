"""What is told of devices on the bus is read by key."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import bus_reports, devices, telemetry
from csipd.sep2.measurements import DerForward
from tests.support.store import NOW, add_device, lfdi, statements, store


class BusReportTests(SynchronousTestCase):
    """Statements of what is told."""

    def test_plans(self) -> None:
        """No statement looks at more rows than those that were asked for."""
        with store() as transaction:
            driver = transaction.connection.connection.driver_connection
            assert driver is not None
            for prepared in (
                bus_reports._SUBJECTS,
                bus_reports._DEVICES_AFTER,
                bus_reports._METERS_AFTER,
                bus_reports._METERS,
                telemetry._LATEST_OF_METERS,
                devices._NAMED,
            ):
                sql = str(prepared.of("sqlite").compile(dialect=transaction.connection.dialect))
                sql = re.sub(r"\(__\[POSTCOMPILE_\w+\]\)", "(?)", sql)
                for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", ("1",) * sql.count("?")):
                    self.assertFalse(row[3].startswith("SCAN"), f"{row[3]}: {sql}")

    def test_few_statements(self) -> None:
        """A portion costs so many statements, however many devices are in it."""
        with store() as transaction:
            numbers = [add_device(transaction, number) for number in range(30)]
            counts = []
            for some in (numbers[:1], numbers):
                with statements(transaction) as said:
                    bus_reports.statuses(transaction.connection, some)
                    bus_reports.readings(transaction.connection, some, DerForward.GENERATION)
                counts.append(len(said))
            self.assertEqual(counts, [4, 4])

    def test_subjects(self) -> None:
        """A device is known by its name, or its LFDI; one that is none now is not known."""
        with store() as transaction:
            named, nameless, listed, out = (
                add_device(transaction, number, registered=number != 2) for number in range(4)
            )
            devices.update(transaction, nameless, name=None)
            devices.withdraw(transaction, lfdi(3), "op", NOW)
            self.assertEqual(
                bus_reports.subjects(transaction.connection, [named, nameless, listed, out, 99]),
                {named: "dev0", nameless: lfdi(1)},
            )

    def test_after(self) -> None:
        """Numbers follow one another, a portion at a time."""
        with store() as transaction:
            numbers = [add_device(transaction, number) for number in range(5)]
            found = bus_reports.devices_after(transaction.connection, numbers[1], 2)
            self.assertEqual(found, numbers[2:4])
            self.assertEqual(bus_reports.devices_after(transaction.connection, numbers[4], 2), [])
