"""What columns see of the values that are read from them."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db.columns import Unreadable
from csipd.db.tables import metadata


class ColumnTests(SynchronousTestCase):
    def setUp(self) -> None:
        engine = sa.create_engine("sqlite://")
        self.addCleanup(engine.dispose)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)
        metadata.create_all(self.connection)

    def insert(self, table: sa.Table, values: dict[str, object]) -> None:
        """Write a row as it is, by SQLite's own driver."""
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        self.connection.exec_driver_sql(
            f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', tuple(values.values())
        )

    def test_another_type(self) -> None:
        """A value of another type than its column's is refused, whichever column it is (case F9)."""
        tried = 0
        for table in metadata.tables.values():
            # A number that is the row's own cannot be anything else.
            own = table.primary_key.columns if len(table.primary_key.columns) == 1 else ()
            columns = [column for column in table.columns if column not in set(own)]
            wrong: dict[str, object] = {
                column.name: "\xa5" if isinstance(column.type, sa.LargeBinary) else b"\xa5"
                for column in columns
            }
            self.insert(table, wrong | {column.name: 1 for column in own})
            for column in columns:
                with self.assertRaises(Unreadable) as caught:
                    self.connection.execute(sa.select(column)).all()
                self.assertIn(f"{table.name}.{column.name}: holds ", str(caught.exception))
                with self.assertRaises(Unreadable):
                    self.connection.scalar(sa.select(sa.func.max(column)))
                tried += 1
        self.assertGreater(tried, 100)

    def test_same_type(self) -> None:
        """What was written is read, absent values too."""
        table = metadata.tables["former_lfdis"]
        row = {"lfdi": "AB" * 20, "device": 2**40, "replaced": 0, "works": True}
        self.connection.execute(sa.insert(table), row)
        self.assertEqual(self.connection.execute(sa.select(table)).one()._asdict(), row)
        self.assertIsNone(self.connection.scalar(sa.select(sa.func.max(table.c.device)).where(sa.false())))
