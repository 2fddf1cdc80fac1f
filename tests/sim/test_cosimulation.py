"""A fleet in a simulation of the platform: csipd, the devices, the bus and the simulator, all in memory."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.output import Output
from csipd.cli.ctl.views import cosimulation as views
from csipd.gridappsd import topics
from csipd.gridappsd.terminals import terminals
from csipd.sim.assembly import Making, Place, Plan
from csipd.sim.cosimulation import SILENCE, CoSimulation, Joining, join
from tests.conformance.bench import LAB, PIN
from tests.sim.lab import Lab, credential_of
from tests.support.bus import MemoryBus
from tests.support.feeder import RATED, SimulatedFeeder, mrid

SIMULATION = "1234"
#: The limit of voltage, per unit.
LIMIT = 1.05
HOUSES = 6
#: The simulated time from one output to the next (s).
EVERY = 3


class CoSimulationCase(SynchronousTestCase):
    """Six houses with a group and a program of their own, at a clear noon."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        self.lab = Lab(folder)
        self.addCleanup(self.lab.close)
        self.lab.ladder("SP")
        self.feeder = SimulatedFeeder(SIMULATION, HOUSES)
        self.bus = MemoryBus()
        self.bus.subscribe(
            topics.simulation_input(SIMULATION), lambda sent: self.feeder.take(json.loads(sent.body))
        )
        self.said: list[str] = []
        self.ends = 0
        place = Place("localhost", 7443, folder / "certs" / "ca.crt", self.lab.plain)
        making = Making(self.lab.clock, self.lab.sim_clock, Plan(HOUSES, hour=12.0, cloudiness=0.0), place)
        model = self.feeder.dictionary()["data"]["feeders"][0]
        credentials = [credential_of(LAB.device(name)) for name in self.feeder.names]
        for credential, name in zip(credentials, self.feeder.names, strict=True):
            self.lab.make_end_device(credential.lfdi, mrid(name), "SP")
        standing = terminals(model, map(mrid, self.feeder.names))
        self.fleet = join(
            making,
            [Joining(*pair, pair[1].lfdi) for pair in zip(standing, credentials, strict=True)],
            PIN,
            self.bus,
            SIMULATION,
            load_sign=True,
            say=self.said.append,
            ended=self.end,
        )
        self.fleet.start()
        self.addCleanup(self.fleet.stop)

    def end(self) -> None:
        self.ends += 1

    def tell(self, content: Any) -> None:
        self.bus.deliver(topics.simulation_output(SIMULATION), json.dumps(content).encode())

    def log(self, status: str) -> None:
        self.bus.deliver(topics.simulation_log(SIMULATION), json.dumps(self.feeder.log(status)).encode())

    def simulate(self, seconds: int) -> None:
        """Let the simulation go on, in real time."""
        for _ in range(seconds // EVERY):
            self.tell(self.feeder.step(EVERY))
            self.lab.pass_time(EVERY)

    @property
    def written(self) -> list[Any]:
        """Difference messages that went to the simulation."""
        topic = topics.simulation_input(SIMULATION)
        return [json.loads(sent.body) for sent in self.bus.sent if sent.destination == topic]


class LoopTests(CoSimulationCase):
    """What is commanded at csipd moves the voltage of the simulation."""

    def test_the_loop_closes(self) -> None:
        """What devices feed in lifts the voltage; what they are told brings it down, until that is over."""
        self.simulate(60)
        self.assertEqual(self.fleet.met(), HOUSES)
        self.assertGreater(self.feeder.power(), 0.99 * HOUSES * RATED / 1.1)
        before = max(self.feeder.voltages().values())
        self.assertGreater(before, LIMIT)
        # They see what the simulation has, as far as it has said it.
        self.assertAlmostEqual(max(self.fleet.volts.values()), before, 3)
        self.lab.command("SP", start=2, lasts=5, opModMaxLimW=3000)
        self.simulate(4 * 60)
        self.assertLess(max(self.feeder.voltages().values()), LIMIT)
        self.assertAlmostEqual(self.feeder.power(), HOUSES * 0.3 * RATED / 1.1, delta=50.0)
        self.simulate(5 * 60)
        self.assertGreater(max(self.feeder.voltages().values()), LIMIT)
        self.assertEqual(self.feeder.strange, [])
        self.assertEqual(self.lab.counts.errors, {})

    def test_voltage_is_answered(self) -> None:
        """A curve by which a plant answers to voltage goes by that of the simulation."""
        self.simulate(60)
        curve = self.lab.curve("SP", "opModVoltVar", ((9200, 10000), (9800, 0), (10200, 0), (10500, -10000)))
        self.lab.command("SP", start=2, lasts=30, opModVoltVar=curve)
        self.simulate(6 * 60)
        self.assertLess(max(self.feeder.voltages().values()), LIMIT)
        self.assertLess(sum(feed.imag for feed in self.feeder.feeds.values()), -1000.0)

    def test_only_what_has_changed_is_written(self) -> None:
        """A fleet at rest writes nothing; after a connection that was lost it writes all of it again."""
        self.simulate(60)
        before = len(self.written)
        self.assertLess(before, 60 // EVERY)
        # At noon the sun hardly moves.
        self.simulate(30)
        self.assertEqual(len(self.written), before)
        self.bus.go_down()
        self.simulate(6)
        self.bus.come_up()
        self.simulate(6)
        (again,) = self.written[before:]
        self.assertEqual(len(again["input"]["message"]["forward_differences"]), 2 * HOUSES)

    def test_what_was_not_taken_is_written_later(self) -> None:
        """While the bus is down nothing waits; then what is right by then is written."""
        self.simulate(30)
        self.bus.full = True
        self.lab.command("SP", start=1, lasts=30, opModMaxLimW=3000)
        self.simulate(3 * 60)
        self.assertGreater(self.fleet.exchanged.unsent, 0)
        self.assertGreater(max(self.feeder.voltages().values()), LIMIT)
        self.bus.full = False
        self.simulate(2 * EVERY)
        self.assertLess(max(self.feeder.voltages().values()), LIMIT)


class SimulationTests(CoSimulationCase):
    """What becomes of the simulation."""

    def test_the_end(self) -> None:
        """Its end is said once and ends the run, whatever its log says then."""
        self.log("STARTED")
        self.assertEqual((self.ends, self.said), (0, []))
        self.log("COMPLETE")
        self.log("COMPLETE")
        self.assertEqual((self.ends, self.said), (1, ["Simulation 1234 is complete."]))
        self.log("ERROR")
        self.log("STARTED")
        self.assertEqual((self.ends, len(self.said)), (1, 1))

    def test_a_failure(self) -> None:
        """A simulation that failed ends the run, too."""
        self.log("ERROR")
        self.log("CLOSED")
        self.assertEqual((self.ends, self.said), (1, ["Simulation 1234 has failed."]))

    def test_silence(self) -> None:
        """A simulation that falls silent is said once, and that it goes on; one that rests may be silent."""
        self.simulate(9)
        self.lab.pass_time(3 * SILENCE)
        self.assertTrue(self.fleet.is_silent)
        self.assertEqual(len(self.said), 1)
        self.assertIn("Nothing was heard of simulation 1234", self.said[0])
        power = self.feeder.power()
        self.simulate(3)
        self.assertEqual(self.said[1:], ["Simulation 1234 goes on."])
        self.assertAlmostEqual(self.feeder.power(), power, delta=20.0)
        self.log("PAUSED")
        self.lab.pass_time(3 * SILENCE)
        self.assertFalse(self.fleet.is_silent)

    def test_time(self) -> None:
        """An output that comes twice is one; one of a simulation that was begun again begins anew."""
        first = self.feeder.step(EVERY)
        self.tell(first)
        self.tell(first)
        self.assertEqual((self.fleet.exchanged.ticks, self.fleet.exchanged.early), (1, 1))
        self.feeder.timestamp -= 1000
        self.tell(self.feeder.step(EVERY))
        self.assertEqual((self.fleet.exchanged.ticks, self.fleet.exchanged.early), (2, 2))
        self.assertEqual(self.fleet.timestamp, self.feeder.timestamp)
        # A leap of a year is a step of two minutes for batteries and ramps.
        self.feeder.timestamp += 31_536_000
        self.tell(self.feeder.step(EVERY))
        self.assertEqual(self.fleet.exchanged.ticks, 3)

    def test_nonsense(self) -> None:
        """What is no message of a simulation is counted, and nothing comes of it."""
        for body in (b"", b"{", b"[]", b'{"message": {}}'):
            self.bus.deliver(topics.simulation_output(SIMULATION), body)
            self.bus.deliver(topics.simulation_log(SIMULATION), body)
        self.assertEqual(self.fleet.exchanged.refused, 7)
        self.assertEqual((self.fleet.exchanged.ticks, self.written), (0, []))

    def test_shown(self) -> None:
        """What is shown says where the simulation is, which voltages there are and what was exchanged."""
        console = Console(width=100)

        def shown() -> str:
            parts = (*views.fleet(self.fleet, UTC), *views.summary(self.fleet))
            with console.capture() as taken:
                console.print(Output(as_json=False).drawn(*parts))
            return taken.get() + views.line(self.fleet, UTC)

        before = shown()
        for part in ("1234, of which nothing was heard yet", "no voltages", "0 came, 0 written"):
            self.assertIn(part, before)
        self.simulate(9)
        self.log("PAUSED")
        self.bus.full = True
        self.tell(self.feeder.step(300))
        self.tell([])
        after = shown()
        for part in (
            "1234, paused at 2013-07-22",
            "1.021 to 1.074 p.u.",
            "4 came, 1 written",
            "1, the bus was down",
            "1, which were none of a simulation's",
            "of 6 have found themselves",
            "Simulation 1234: 4 messages came, 1 went.",
        ):
            self.assertIn(part, after)
        figures = views.figures(self.fleet)
        self.assertEqual((figures["simulation"], figures["devices"]), (SIMULATION, HOUSES))
        self.assertEqual(figures["simulation_messages"]["ticks"], 4)

    def test_houses_without_inverters(self) -> None:
        """Who has nothing in the model to feed in by is a device all the same; nothing is written for it."""
        fleet: CoSimulation = self.fleet
        name = mrid("house_01")
        fleet.standing = dict(fleet.standing) | {name: terminals({}, [name])[0]}
        self.simulate(9)
        told = {
            one["object"] for each in self.written for one in each["input"]["message"]["forward_differences"]
        }
        self.assertEqual(told, {mrid(each, "inverter") for each in self.feeder.names[1:]})
