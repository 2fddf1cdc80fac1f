"""`csipctl simulate` as it is run: real processes, sockets and TLS, against a lab with a fast clock."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.daemon import SCRIPTS, Daemon, run, small_place
from tests.support.ports import free_port

LAB = (
    "generate_admin_cert: true",
    "lab: true",
    "lab_speed: 100",
    "der_program_list_poll_rate: 60",
    "mirror_usage_point_post_rate: 60",
)


class SimulateTests(SynchronousTestCase):
    """A newcomer's first fleet."""

    def ctl(self, *arguments: str) -> Any:
        return run(
            self.place.folder, str(SCRIPTS / "csipctl"), "--config", str(self.place.config), *arguments
        )

    def test_a_fleet(self) -> None:
        """One command has devices come, obey, answer, report and be notified; another takes them away."""
        self.place = small_place(Path(self.mktemp()), *LAB, certificates=False)
        daemon = Daemon(self, self.place)
        daemon.start()
        made = self.ctl("simulate", "--devices", "4", "--aggregated", "2", "--for", "1s")
        self.assertEqual((made.returncode, made.stderr.splitlines()[1:]), (0, []), made)
        ordered = self.ctl(
            "controls", "create", "--group", "sim", "--duration", "1h", "--set", "opModMaxLimW=40%", "--yes"
        )
        self.assertEqual(ordered.returncode, 0, ordered)
        done = self.ctl(
            "--json",
            "simulate",
            "--devices",
            "4",
            "--aggregated",
            "2",
            "--wrong-certificate",
            "1",
            "--for",
            "20s",
        )
        self.assertEqual(done.returncode, 0, done)
        told = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((told["devices"], told["found"]), (6, 5), told)
        # Each that came has received and started it.
        self.assertEqual(told["responses"], 10, told)
        self.assertGreater(told["readings"], 5 * 4)
        self.assertGreater(told["polls"], 50)
        self.assertTrue(all("unknown ca" in reason for reason in told["errors"]), told)
        self.assertEqual(list(told["misbehaving"]), ["wrong certificate"])
        # Groups and programs of this fleet are not taken for those of another one that is called so.
        other = self.ctl("simulate", "--folder", "elsewhere", "--devices", "1")
        self.assertEqual(other.returncode, 1)
        self.assertIn("there is a device sim-0001 at the server already", other.stderr)
        cleaned = self.ctl("simulate", "--clean")
        self.assertEqual(cleaned.returncode, 0, cleaned)
        self.assertIn("Took away 7 devices", cleaned.stderr)
        self.assertFalse((self.place.folder / "simulated").exists())
        left = json.loads(self.ctl("--json", "devices", "list", "--standing", "registered").stdout)
        self.assertEqual([device["name"] for device in left["items"]], ["dev1"])

    def test_elsewhere(self) -> None:
        """Of a server that may be elsewhere it is said that nobody is notified, and how somebody would be."""
        self.place = small_place(Path(self.mktemp()), *LAB, certificates=False)
        daemon = Daemon(self, self.place)
        daemon.start()
        fleet = ("simulate", "--devices", "0", "--aggregated", "1", "--for")
        alone = self.ctl(*fleet, "1s", "--at", "csipd.invalid:7443")
        self.assertEqual(alone.returncode, 0, alone)
        self.assertIn("The aggregator polls and is not notified", alone.stderr)
        self.assertIn("--receiver ADDRESS:PORT", alone.stderr)
        port = free_port()
        told = self.ctl("--json", *fleet, "15s", "--receiver", f"127.0.0.1:{port}")
        self.assertEqual(told.returncode, 0, told)
        self.assertNotIn("is not notified", told.stderr)
        kept = json.loads(self.ctl("--json", "subscriptions", "list").stdout)["items"]
        self.assertTrue(kept)
        self.assertEqual(
            {one["notificationURI"] for one in kept}, {f"https://127.0.0.1:{port}/notifications"}
        )
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            failed = self.ctl(*fleet, "1s", "--receiver", f"127.0.0.1:{port}")
        self.assertEqual(failed.returncode, 1, failed)
        self.assertIn(f"127.0.0.1:{port}", failed.stderr)
        self.assertEqual(self.ctl(*fleet, "1s", "--receiver", "localhost:9").returncode, 2)

    def test_another_database(self) -> None:
        """A fleet of another server is told from one's own before anything is done."""
        self.place = small_place(Path(self.mktemp()), *LAB, certificates=False)
        Daemon(self, self.place).start()
        folder = self.place.folder / "simulated"
        folder.mkdir()
        member = {"name": "x", "number": 99, "lfdi": "AB" * 20, "pin": 1, "feeder": 1}
        (folder / "fleet.jsonl").write_text(json.dumps(["member", member]) + "\n")
        done = self.ctl("simulate")
        self.assertEqual(done.returncode, 1)
        self.assertIn("was made for another server, or another database", done.stderr)
        # As that says, its files are removed: and nobody's device.
        member |= {"number": 1}
        (folder / "fleet.jsonl").write_text(json.dumps(["member", member]) + "\n")
        cleaned = self.ctl("simulate", "--clean")
        self.assertEqual(cleaned.returncode, 0, cleaned)
        self.assertIn("Not taken away: device 1 is dev1, and not x of this fleet", cleaned.stderr)
        self.assertIn("Took away 0 devices", cleaned.stderr)
        self.assertFalse(folder.exists())
        left = json.loads(self.ctl("--json", "devices", "list", "--standing", "registered").stdout)
        self.assertEqual([device["name"] for device in left["items"]], ["dev1"])

    def test_no_lab(self) -> None:
        """A server that is no lab is given a fleet only after a question; no input is a no."""
        self.place = small_place(Path(self.mktemp()), "generate_admin_cert: true", certificates=False)
        Daemon(self, self.place).start()
        done = self.ctl("simulate", "--devices", "1", "--for", "1s")
        self.assertEqual(done.returncode, 5, done)
        self.assertIn("is no lab", done.stdout)
        self.assertEqual(len(json.loads(self.ctl("--json", "devices", "list").stdout)["items"]), 1)
        made = self.ctl("simulate", "--devices", "1", "--for", "1s", "--yes")
        self.assertEqual(made.returncode, 0, made)

    def test_usage(self) -> None:
        """Nothing to simulate, and an address that is none, are wrong usage; nobody there is code 3."""
        self.place = small_place(Path(self.mktemp()), certificates=False)
        self.assertEqual(self.ctl("simulate", "--devices", "0").returncode, 2)
        self.assertEqual(self.ctl("simulate", "--at", "nowhere").returncode, 2)
        self.assertIn("is not 1 to 20 letters", self.ctl("simulate", "--name", "a b").stderr)
        many = self.ctl("simulate", "--devices", "2", "--late", "3")
        self.assertIn("3 are to misbehave, of 2 --devices", many.stderr)
        platform = self.ctl("simulate", "--gridappsd", "--devices", "3")
        self.assertEqual(platform.returncode, 2)
        self.assertIn("--devices does not go with --gridappsd", platform.stderr)
        self.assertEqual(self.ctl("simulate").returncode, 3)

    def test_no_simulation(self) -> None:
        """Without a bus, a simulation or a password that can be read, it is said what the file lacks."""
        self.place = small_place(Path(self.mktemp()), certificates=False)
        for line, said in (
            ("", "there is no bus in csipd's configuration: gridappsd: names its address"),
            ("gridappsd: {address: localhost}", "names no simulation: simulation_id does"),
            ('simulation_id: "1"', ""),
        ):
            self.place.config.write_text(f"{line}\n{self.place.config.read_text()}")
            done = self.ctl("simulate", "--gridappsd")
            if said:
                self.assertEqual(done.returncode, 1, done)
                self.assertIn(said, done.stderr)
            else:
                # All is there but csipd, whose time devices live by.
                self.assertEqual(done.returncode, 3, done)
        missing = "gridappsd: {address: localhost, password_file: nowhere}"
        self.place.config.write_text(
            self.place.config.read_text().replace("gridappsd: {address: localhost}", missing)
        )
        self.assertIn("nowhere", self.ctl("simulate", "--gridappsd").stderr)
