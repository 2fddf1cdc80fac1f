"""Operators' certificates that end, and those put in their place (case B8)."""

from __future__ import annotations

import io
import signal
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from csipd import config
from csipd.daemon.certificates import operators
from csipd.daemon.operators import OperatorDirectory, operators_ending
from csipd.daemon.tap import Options
from csipd.pki import Repository
from tests.support import pki
from tests.support.daemon import LAB, SCRIPTS, Daemon, Place, run, small_place

DAY = 86_400


def place_with(case: SynchronousTestCase, days: float) -> Place:
    """A place whose operator's certificate has so many days left."""
    place = small_place(Path(case.mktemp()), "generate_admin_cert: true")
    end = datetime.now(UTC) + timedelta(days=days)
    pki.write(
        place.tls,
        admin=LAB.issue(f"admin of {days} days", (), subject="admin", end=end.replace(microsecond=0)),
    )
    return place


class EndingTests(SynchronousTestCase):
    """What is said before it ends."""

    def test_check(self) -> None:
        """--check and the start say when it ends and what to do; one with a year left is not mentioned."""
        for days, word in ((1, "ends on"), (-1, "has ended on"), (365, None)):
            place = place_with(self, days)
            said = io.StringIO()
            self.patch(sys, "stderr", said)
            end = self.assertRaises(
                SystemExit,
                Options().parseOptions,
                ["--config", str(place.config), "--no-validate", "--check"],
            )
            self.assertEqual(end.code, 0)
            lines = [line for line in said.getvalue().splitlines() if "admin.crt" in line]
            if word is None:
                self.assertEqual(lines, [])
            else:
                (line,) = lines
                self.assertIn(f"admin.crt {word}", line)
                self.assertIn("csipctl certs renew operator", line)

    def test_renewed(self) -> None:
        """A renewed certificate is taken in the place of the old one; a broken file changes nothing."""
        place = place_with(self, 1)
        settings = config.load(place.config)
        repository = Repository(place.tls, None)
        now = datetime.now(UTC).timestamp()
        directory = OperatorDirectory(settings, repository, operators(settings, repository), lambda: now)
        before = dict(directory.names)
        self.assertEqual(len(operators_ending(settings, repository, now)), 1)
        self.assertEqual(operators_ending(settings, repository, now - 100 * DAY), [])
        repository.certificate("admin").write_bytes(b"garbage\n")
        directory.reload()
        self.assertEqual(directory.names, before)
        pki.write(place.tls, admin=LAB.admin())
        directory.reload()
        self.assertEqual(list(directory.names.values()), ["admin"])
        self.assertNotEqual(directory.names, before)
        self.assertEqual(operators_ending(settings, repository, now), [])


class RenewalTests(SynchronousTestCase):
    """On a daemon that runs."""

    def test_without_a_restart(self) -> None:
        """After `certs renew operator` and SIGHUP the operator is known by the new certificate."""
        place = place_with(self, 1)
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        server = LAB.issue("a server that ends", ((names, False),), subject="127.0.0.1", end=end)
        pki.write(place.tls, **{"127.0.0.1": server})
        daemon = Daemon(self, place)
        process = daemon.start()
        for file in ("admin.crt", "127.0.0.1.crt"):
            self.assertEqual(sum(f"{file} ends on" in line for line in process.log()), 1, "once each")

        def csipctl(*words: str) -> tuple[int, str]:
            done = run(place.folder, str(SCRIPTS / "csipctl"), "--config", str(place.config), *words)
            return done.returncode, done.stdout

        self.assertEqual(csipctl("status")[0], 0)
        self.assertIn("(soon", csipctl("status")[1])
        self.assertEqual(csipctl("certs", "renew", "operator")[0], 0)
        process.send(signal.SIGHUP)
        process.log.wait_for("operators: a new certificate")
        code, said = csipctl("status")
        self.assertEqual(code, 0)
        self.assertNotIn("(soon", said)
