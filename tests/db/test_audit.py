"""The audit log, and what the daemon's log has of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import audit
from tests.support.store import NOW, add_device, store


class LogTests(SynchronousTestCase):
    """What of the audit log is a line of the daemon's log as well."""

    def test_operators(self) -> None:
        """What an operator did is said: who, what, to what, and how (case C2)."""
        with store() as transaction:
            audit.record(transaction, NOW, "admin", "withdraw", "/edev/1", "stolen")
            audit.record(transaction, NOW, "admin", "cancel", "/derp/1/derc/2")
            self.assertEqual(
                [remark.line.format(**remark.values) for remark in transaction.remarks],
                ["admin: withdraw /edev/1: stolen", "admin: cancel /derp/1/derc/2"],
            )

    def test_devices(self) -> None:
        """What devices write, which may be much, is in the audit log alone."""
        with store() as transaction:
            device = add_device(transaction, 1)
            before = len(transaction.remarks)
            audit.record(transaction, NOW, "A" * 40, "put", "/edev/1/di", device=device)
            self.assertEqual(len(transaction.remarks), before)
            self.assertEqual(len(audit.lines(transaction.connection)[0]), 1)
