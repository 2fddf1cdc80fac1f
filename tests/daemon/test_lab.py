"""A lab: its clock may run fast, and nothing of it leaves this machine."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from csipd.daemon import lab, start
from csipd.daemon.failures import StartError
from csipd.daemon.start import StartOptions
from csipd.daemon.wallclock import WallClock, lab_clock
from tests.support.daemon import small_place

BEGAN = 1_700_000_000


class WallClockTests(SynchronousTestCase):
    """The clock that devices see."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.real = float(BEGAN)

    def fast(self, speed: int, at_least: float = 0) -> WallClock:
        return lab_clock(speed, at_least, lambda: self.real, self.clock.seconds)

    def test_of_the_machine(self) -> None:
        """In production it is the machine's own, without a step between, and so are its moments."""
        wall = WallClock()
        self.assertIs(wall.now, time.time)
        self.assertEqual((wall.speed, wall.of_real(12345.0)), (1, 12345.0))

    def test_fast(self) -> None:
        """In a lab it runs from the machine's time at so many times its speed, whoever sets that."""
        wall = self.fast(60)
        self.assertEqual(wall.now(), BEGAN)
        self.clock.advance(10)
        self.real += 10_000
        self.assertEqual(wall.now(), BEGAN + 600)

    def test_not_again(self) -> None:
        """It begins no earlier than it is told to."""
        self.assertEqual(self.fast(5, BEGAN + 86_400).now(), BEGAN + 86_400)
        self.assertEqual(self.fast(5, BEGAN - 86_400).now(), BEGAN)

    def test_moments_of_the_machine(self) -> None:
        """A certificate that ends in an hour ends when an hour has passed, whatever the clock shows then."""
        wall = self.fast(60, BEGAN + 1_000_000)
        ends = wall.of_real(self.real + 3600)
        for seconds in (0, 1800, 3599, 3600, 3601):
            self.clock.advance(BEGAN + seconds - self.real)
            self.real = BEGAN + seconds
            self.assertEqual(wall.now() >= ends, seconds >= 3600, seconds)
            self.assertAlmostEqual(wall.of_real(BEGAN + 3600), ends, 3)


class LabTests(SynchronousTestCase):
    """What is made of the configuration's keys at the start."""

    def settings(self, *lines: str, server: str = "127.0.0.1") -> config.Settings:
        return config.loads("\n".join((f"server: '{server}'", "https_port: 7443", *lines)), "c.yml")

    def refused(self, settings: config.Settings, user: tuple[int, int] | None = None) -> str:
        return str(self.assertRaises(StartError, lab.check_lab, settings, user))

    def resolve(self, *addresses: str) -> None:
        found = [(0, 0, 0, "", (one, 0)) for one in addresses]
        self.patch(socket, "getaddrinfo", lambda *_, **how: found)

    def test_names(self) -> None:
        """A name may stand for this machine alone: of all that it stands for."""
        lines = ("lab: true",)
        for addresses in (["127.0.0.1"], ["::1", "127.0.1.1"]):
            self.resolve(*addresses)
            lab.check_lab(self.settings(*lines, server="here"), None)
        self.resolve("127.0.0.1", "192.0.2.7")
        self.assertEqual(
            self.refused(self.settings(*lines, server="here")),
            "c.yml:1: server: here is 192.0.2.7; expected an address of this machine alone in a lab, such as "
            "127.0.0.1",
        )
        self.resolve("::1")
        lab.check_lab(self.settings(*lines, "admin_host: there"), None)
        self.resolve("fe80::1%eth0")
        self.assertIn(
            "c.yml:1: server: here is fe80::1%eth0", self.refused(self.settings(*lines, server="here"))
        )

    def test_production(self) -> None:
        """Without the key nothing is asked."""
        self.resolve("192.0.2.7")
        lab.check_lab(self.settings(server="there"), (1, 1))

    def test_user_of_the_command_line(self) -> None:
        """twistd --uid is refused as service_user is."""
        said = self.refused(self.settings("lab: true"), (1000, 1000))
        self.assertTrue(said.startswith("c.yml:3: lab: expected no service user (--uid"), said)

    def test_never_behind(self) -> None:
        """The clock begins no earlier than the last tick, and what may have passed since it was stored."""
        self.patch(lab, "lab_clock", lambda speed, at_least: (speed, at_least))
        fast = self.settings("lab: true", "lab_speed: 60")
        self.assertEqual(lab.wall_clock(fast, BEGAN, 1.0), (60, BEGAN + 59))
        self.assertEqual(lab.wall_clock(fast, None, 1.0), (60, 0))
        self.assertEqual(lab.wall_clock(self.settings("lab: true"), BEGAN, 30.0), (1, BEGAN))
        self.assertIs(lab.wall_clock(self.settings(), BEGAN, 30.0).now, time.time)

    def test_warnings(self) -> None:
        """A lab is told of at each start, and a lab's store where it is used without the key."""
        (line,) = lab.warnings(self.settings("lab: true", "lab_speed: 60"), None, BEGAN)
        self.assertEqual(
            line,
            "c.yml:3: lab: this is a lab, not for production: its clock runs 60 times as fast as this "
            "machine's",
        )
        (line,) = lab.warnings(self.settings("lab: true"), BEGAN + 999, BEGAN)
        self.assertIn("as this machine's does", line)
        (line,) = lab.warnings(self.settings(), BEGAN + 999, BEGAN)
        self.assertIn("999 s ahead of this machine's", line)
        for known in (None, BEGAN, BEGAN + 30):
            self.assertEqual(lab.warnings(self.settings(), known, BEGAN), [])


class StartTests(SynchronousTestCase):
    """A lab is made ready, and made ready again."""

    def prepare(self, settings: config.Settings) -> Any:
        ready = start.prepare(settings, StartOptions(resolve=False))
        os.close(ready.lock)
        return ready

    def test_again(self) -> None:
        """After a restart time goes on where a fast clock was; without the key that is warned of."""
        place = small_place(Path(self.mktemp()), "lab: true", "lab_speed: 120")
        ready = self.prepare(config.load(place.config))
        self.assertEqual((ready.server.lab_speed, ready.wall.speed), (120, 120))
        self.assertEqual(sum("this is a lab" in line for line in ready.warnings), 1)
        ahead = int(time.time()) + 500_000
        with closing(sqlite3.connect(place.database)) as store, store:
            store.execute("INSERT INTO facts (name, value) VALUES ('tick', ?)", (str(ahead),))
        again = self.prepare(config.load(place.config))
        self.assertGreaterEqual(again.wall.now(), ahead)
        plain = self.prepare(evolve(config.load(place.config), lab=False, lab_speed=1))
        self.assertIs(plain.server.lab_speed, None)
        self.assertIs(plain.wall.now, time.time)
        self.assertEqual(sum("ahead of this machine's" in line for line in plain.warnings), 1)
