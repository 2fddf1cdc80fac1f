"""The loop that closes over the platform's bus, with real processes: nothing in it is ours but csipd's side.

A broker, the platform and an application on gridappsd-python (`tests.support.platform`), csipd, and
the simulated fleet. The voltage at the feeder's end rises; the application commands on the bus; csipd makes
controls of it; devices obey; what they feed in is written to the simulator; the voltage falls. The broker is
killed in the middle of it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.brokers import ActiveMQ, activemq
from tests.support.daemon import OPENSSL_CNF, SCRIPTS, Daemon, Place, Process, run, small_place
from tests.support.feeder import FEEDER, mrid
from tests.support.platform import TOKEN
from tests.support.ports import free_port

HOUSES = 3
LIMIT = 1.05
SIMULATION = "1234"
#: Both ways in which an application writes the attribute.
SHAPES = ("DERControl.DERControlBase.opModMaxLimW", "DERControlBase.opModMaxLimW")
ROOT = OPENSSL_CNF.parent


def volts(line: str) -> float | None:
    """What a line of the platform's says of the voltage at the feeder's end."""
    found = re.search(r"([\d.]+) p\.u\. at the end", line)
    return None if found is None else float(found[1])


def in_order(*steps: Callable[[str], bool]) -> Callable[[list[str]], bool]:
    """Whether lines hold each of these, one after the other."""

    def are_there(lines: list[str]) -> bool:
        rest = iter(lines)
        return all(any(step(line) for line in rest) for step in steps)

    return are_there


def too_high(line: str) -> bool:
    return (volts(line) or 0.0) > LIMIT


def held(line: str) -> bool:
    """Devices feed in, and not too much."""
    return (volts(line) or 9.0) < LIMIT and " 0.0 kW" not in line


class LoopCase(SynchronousTestCase):
    """All of it on this machine, over CoilMQ."""

    def setUp(self) -> None:
        self.port = free_port()
        self.place: Place = small_place(
            Path(self.mktemp()),
            "generate_admin_cert: true",
            # As the older server has it; docs/gridappsd.md has the other way.
            "lfdi_mode: lfdi_mode_from_file",
            "der_program_list_poll_rate: 1",
            "fsas: [{description: all, programs: [all]}]",
            "programs: [{description: all, primacy: 20}]",
            f'simulation_id: "{SIMULATION}"',
            "gridappsd:",
            "  address: localhost",
            f"  port: {self.port}",
            f"  feeder_id: {FEEDER}",
            "  default_pin: 111115",
            "  house_named_inverters_regex: house_",
            "  publish_interval_seconds: 1",
            certificates=False,
        )

    def python(self, *arguments: str) -> Process:
        command = [sys.executable, "-m", "tests.support.platform", "--port", str(self.port), *arguments]
        return Process(self, command, ROOT)

    def broker(self) -> Process:
        broker = self.python("--only-broker")
        broker.log.wait_for("broker: listens")
        return broker

    def csipctl(self, *arguments: str) -> list[str]:
        return [str(SCRIPTS / "csipctl"), "--config", str(self.place.config), *arguments]

    def ask(self, *arguments: str) -> Any:
        asked = run(self.place.folder, *self.csipctl("--json", *arguments))
        self.assertEqual(asked.returncode, 0, asked)
        return json.loads(asked.stdout)

    def houses(self) -> list[Any]:
        """Devices of the model that csipd knows."""
        return [one for one in self.ask("devices", "list")["items"] if one["name"].startswith("_")]


class ClosedLoopTests(LoopCase):
    """From the simulator's voltage to the simulator's voltage."""

    def test_the_loop_closes(self) -> None:
        """The limit holds the voltage, in both shapes, and though the broker was killed between."""
        broker = self.broker()
        how = ("--houses", str(HOUSES), "--every", "0.5", "--release", "30")
        platform = self.python(*how)
        daemon = Daemon(self, self.place)
        daemon.start()
        daemon.process.log.wait_for(f"{HOUSES} devices of the platform's model were added")
        fleet = Process(
            self,
            self.csipctl("--json", "simulate", "--gridappsd", "--hour", "12", "--clouds", "0"),
            self.place.folder,
        )
        fleet.errors.wait_for(f"{HOUSES} of {HOUSES} devices of the model come")
        limited = f"application: {SHAPES[0]} is 4000".__eq__
        platform.log.wait_until(in_order(too_high, limited, held))
        broker.kill()
        self.broker()
        platform.log.wait_until(
            in_order(limited, held, lambda line: line.startswith("platform: Stomp"), held)
        )
        # It goes on where it was: the application lets go, and limits again in the other shape.
        released = f"application: {SHAPES[0]} is taken back".__eq__
        platform.log.wait_until(in_order(limited, released, too_high))
        limited_again = f"application: {SHAPES[1]} is 4000".__eq__
        platform.log.wait_until(in_order(released, too_high, limited_again, held))
        self.assertEqual({one["name"] for one in self.houses()}, {mrid(f"house_0{n}") for n in (1, 2, 3)})
        audited = self.ask("audit", "list")["items"]
        self.assertIn("GridAPPS-D", {one["who"] for one in audited})
        self.assertTrue(any(re.search("csipd told [1-9]", line) for line in platform.log()))
        self.assertEqual(
            [line for line in daemon.process.log() if "factory" in line or "Traceback" in line], []
        )
        platform.stop()
        self.python(*how, "--steps", "1")
        self.assertEqual(fleet.wait(), 0, fleet.errors())
        self.assertIn(f"Simulation {SIMULATION} is complete.", fleet.errors())
        told = json.loads(fleet.log()[-1])
        self.assertEqual((told["devices"], told["found"]), (HOUSES, HOUSES))
        self.assertGreater(told["simulation_messages"]["written"], 3)
        self.assertEqual(daemon.stop(), 0)


class NobodyComesTests(LoopCase):
    """A fleet that cannot begin says why."""

    def test_no_devices(self) -> None:
        """A model without devices, and devices without certificates, are told apart."""
        self.broker()
        self.python("--houses", "1", "--no-application").log.wait_for("platform: simulation")
        of_houses = self.place.config.read_text()
        self.place.config.write_text(of_houses.replace("regex: house_", "regex: nothing_"))
        Daemon(self, self.place).start()
        for text, said in (
            (self.place.config.read_text(), "it has no devices"),
            (of_houses, "none of its 1 devices has a certificate"),
        ):
            self.place.config.write_text(text)
            done = run(self.place.folder, *self.csipctl("simulate", "--gridappsd"))
            self.assertEqual(done.returncode, 1, done)
            self.assertIn(said, done.stderr)


class ActiveMQClosedLoopTests(ClosedLoopTests):
    """The same over ActiveMQ, the platform's own broker."""

    skip = ActiveMQ.missing

    def broker(self) -> Process:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        return Process(self, activemq(folder, self.port, TOKEN), folder)
