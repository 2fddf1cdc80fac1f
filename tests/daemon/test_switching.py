"""How soon threads take turns."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.switching import INTERVAL, ThreadSwitching


class ThreadSwitchingTests(SynchronousTestCase):
    """When it is set."""

    def test_while_it_runs(self) -> None:
        """It is shorter than Python's own while the daemon runs, and then as it was."""
        said = [0.005]
        service = ThreadSwitching(lambda: said[-1], said.append)
        self.assertEqual(said, [0.005])
        service.startService()
        service.stopService()
        service.stopService()
        self.assertEqual(said, [0.005, INTERVAL, 0.005])
        self.assertLess(INTERVAL, 0.005)
