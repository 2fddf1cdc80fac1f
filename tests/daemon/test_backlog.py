"""How many connections wait to be accepted."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.backlog import Backlog, make_backlog


class BacklogTests(SynchronousTestCase):
    """What is wanted and what the system allows."""

    def setUp(self) -> None:
        self.limit = Path(self.mktemp())

    def test_allowed(self) -> None:
        """What the system allows is taken as it is."""
        self.limit.write_text("4096\n")
        for wanted in (1, 4096):
            self.assertEqual(make_backlog(wanted, self.limit), Backlog(wanted))

    def test_cut(self) -> None:
        """What it would cut without a word is cut with one, which names both figures and the setting."""
        self.limit.write_text("128\n")
        found = make_backlog(4096, self.limit)
        self.assertEqual(found.connections, 128)
        for part in ("limits.listen_backlog", "4096", "128", "net.core.somaxconn"):
            self.assertIn(part, found.warning or "")

    def test_unknown(self) -> None:
        """Where the system's limit is not to be read it is the kernel's to cut."""
        self.assertEqual(make_backlog(4096, self.limit), Backlog(4096))
        self.limit.write_text("many")
        self.assertEqual(make_backlog(4096, self.limit), Backlog(4096))
