"""The GridAPPS-D bus in the daemon: what a start asks of its files."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from csipd.config import HostPort
from csipd.daemon import start
from csipd.daemon.failures import StartError
from csipd.daemon.start import StartOptions
from tests.support.daemon import Place, small_place, snapshot

ASKED_FOR = StartOptions(resolve=False)


class StartTests(SynchronousTestCase):
    """A start with a bus."""

    def place(self, *more: str) -> Place:
        """A folder with a configuration that has a bus."""
        lines = ("gridappsd:", "  address: localhost", *(f"  {line}" for line in more))
        return small_place(Path(self.mktemp()), *lines)

    def prepare(self, place: Place) -> start.PreparedDaemon:
        ready = start.prepare(config.load(place.config), ASKED_FOR)
        os.close(ready.lock)
        return ready

    def test_access(self) -> None:
        """What files say is read before rights are given up, and is not in what is written of it."""
        place = self.place("password_file: secret", "simulation_id_file: simulation")
        (place.folder / "secret").write_text("hush-hush\n")
        (place.folder / "secret").chmod(0o600)
        (place.folder / "simulation").write_text("1234\n")
        ready = self.prepare(place)
        self.assertEqual(ready.bus.broker, HostPort("localhost", 61613))
        self.assertEqual((ready.bus.password, ready.bus.simulation_id), ("hush-hush", "1234"))
        self.assertNotIn("hush-hush", repr(ready))
        self.assertEqual([line for line in ready.warnings if "gridappsd" in line], [])

    def test_open_to_others(self) -> None:
        """A password that others may read is warned of."""
        place = self.place("password_file: secret")
        path = place.folder / "secret"
        path.write_text("hush-hush\n")
        path.chmod(0o644)
        (line,) = (line for line in self.prepare(place).warnings if "gridappsd" in line)
        self.assertTrue(line.startswith(f"{place.config}:10: gridappsd.password_file: "), line)
        self.assertIn("others than its owner may read", line)

    def test_wrong_files(self) -> None:
        """A file that does not give what it has to is one line, and nothing is changed on disk."""
        place = self.place("feeder_id_file: feeder")
        before = snapshot(place.folder)
        for attempt in (start.prepare, start.check):
            error = self.assertRaises(StartError, attempt, config.load(place.config), ASKED_FOR)
            self.assertTrue(str(error).startswith(f"{place.config}:10: gridappsd.feeder_id_file: "), error)
            self.assertIn("No such file or directory; expected a file that csipd can read", str(error))
            self.assertIn(f" (looked in {place.folder} and in ", str(error))
        self.assertEqual(snapshot(place.folder), before)
