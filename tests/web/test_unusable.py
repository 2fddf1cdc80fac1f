"""What devices and operators see while the store cannot be used: one answer, and what is known to be true."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from csipd.db.tables import documents
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support.client import Answer
from tests.support.world import OTHER, OWNER, World


class UnusableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.world = World(self.file)
        self.addCleanup(self.world.close)
        self.here = f"/edev/{self.world.numbers.owner}"
        self.status = f"{self.here}/der/1/ders"
        self.world.get(OWNER, self.here)

    def assertUnavailable(self, answer: Answer) -> None:
        """503, and when to come again."""
        self.assertEqual(answer.status, 503, answer)
        self.assertIsInstance(codec.decode(answer.body, r.Error).maxRetryDuration, int)

    def put(self, reading: int) -> Answer:
        return self.world.put(OWNER, self.status, r.DERStatus(readingTime=reading))

    def test_deleted_while_running(self) -> None:
        """Writes and reads are 503, what was answered before is answered; then all goes on (case F10)."""
        elsewhere = self.file.with_name("elsewhere")
        self.file.rename(elsewhere)
        with capturedLogs() as log:
            for reading in range(5):
                self.assertUnavailable(self.put(reading))
                self.assertUnavailable(self.world.fresh(OWNER, self.status))
                self.assertEqual(self.world.get(OWNER, self.here).status, 200)
        self.assertEqual(len([line for line in log if "line" in line]), 1)
        self.assertEqual([line for line in log if line.get("log_failure")], [])
        elsewhere.rename(self.file)
        self.assertEqual(self.put(77).status, 204)
        self.assertIn(b"77", self.world.fresh(OWNER, self.status).body)

    def test_rotten(self) -> None:
        """A file that is damaged all over is 503 and one line, for reads and writes alike (case F9)."""
        size = self.file.stat().st_size
        with self.file.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (size - 4096))
        with capturedLogs() as log:
            for reading in range(5):
                self.assertUnavailable(self.world.fresh(OWNER, f"/derp?l={reading}"))
                self.assertUnavailable(self.put(reading))
        self.assertEqual([line for line in log if line.get("log_failure")], [])
        self.assertEqual(len([line for line in log if "line" in line]), 1)

    def test_one_document(self) -> None:
        """A document that rotted within its row is 503 alone, and mended by a PUT (case F9)."""

        def rot(transaction: object) -> None:
            this = documents.c.href == self.status
            transaction.connection.execute(  # type: ignore[attr-defined]
                sa.update(documents).where(this).values(body=b"<DERStatus")
            )

        self.world.damage(rot)
        with capturedLogs() as log:
            self.assertUnavailable(self.world.fresh(OWNER, self.status))
        (line,) = [line["line"] for line in log if "line" in line]
        self.assertIn(f"{self.status}: the DERStatus in it is damaged", line)
        self.assertEqual(self.world.fresh(OWNER, self.here).status, 200)
        self.assertEqual(self.put(78).status, 204)
        self.assertIn(b"78", self.world.fresh(OWNER, self.status).body)

    def test_one_value(self) -> None:
        """A number that rotted into octets is 503 to whoever needs it, and one line (case F9)."""

        def rot(transaction: object) -> None:
            transaction.connection.exec_driver_sql(  # type: ignore[attr-defined]
                "UPDATE devices SET device_category = x'A5' WHERE id = ?", (self.world.numbers.owner,)
            )

        self.world.damage(rot)
        with capturedLogs() as log:
            self.assertUnavailable(self.world.fresh(OWNER, self.here))
        self.assertEqual([line for line in log if line.get("log_failure")], [])
        (line,) = [line["line"] for line in log if "line" in line]
        self.assertIn("devices.device_category: holds bytes in a row, expected int", line)
        self.assertEqual(self.world.fresh(OTHER, f"/edev/{self.world.numbers.other}").status, 200)

    def test_width(self) -> None:
        """So is a bit map that does not fit the width it was given in (case F9)."""
        for octets in (-7, 1, 2**62):

            def rot(transaction: object, octets: int = octets) -> None:
                transaction.connection.exec_driver_sql(  # type: ignore[attr-defined]
                    "UPDATE devices SET device_category = 4096, category_octets = ? WHERE id = ?",
                    (octets, self.world.numbers.owner),
                )

            self.world.damage(rot)
            with capturedLogs() as log:
                self.assertUnavailable(self.world.fresh(OWNER, self.here))
            self.assertEqual([line for line in log if line.get("log_failure")], [])
