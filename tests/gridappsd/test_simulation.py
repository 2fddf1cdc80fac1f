"""What a simulation of the platform says and is told, and where devices stand in its model."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd import simulation, terminals
from csipd.gridappsd.simulation import Feed, Phase, SimulationMessageError, Tick, differences, phase, tick
from csipd.gridappsd.terminals import Terminal
from tests.support.feeder import BEGINS, HALF, SimulatedFeeder, mrid

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def body(content: Any) -> bytes:
    return json.dumps(content).encode()


class TickTests(SynchronousTestCase):
    """What it measures."""

    def test_read(self) -> None:
        """Time and magnitudes are read, by mRIDs without underscore; what has no magnitude is left out."""
        feeder = SimulatedFeeder("77", houses=2)
        found = tick(body(feeder.step(3)))
        self.assertEqual((found.simulation_id, found.timestamp), ("77", BEGINS + 3))
        volts = found.magnitudes[mrid("house_01", "PNV", "s1").removeprefix("_")]
        self.assertAlmostEqual(volts, feeder.voltages()["house_01"] * HALF)
        self.assertNotIn(mrid("breaker", "Pos").removeprefix("_"), found.magnitudes)

    def test_numbers(self) -> None:
        """A number may be written as text; what is no finite number is none."""
        measured = {
            one: {"magnitude": value}
            for one, value in (
                ("_a", "7.5"),
                ("b", 3),
                ("c", "nan"),
                ("d", float("inf")),
                ("e", True),
                ("f", "much"),
                ("g", 10**400),
                ("h", [1]),
                ("x" * 100, 1.0),
            )
        }
        found = tick(body({"message": {"timestamp": "5", "measurements": {**measured, "i": 4}}}))
        self.assertEqual(found, Tick("", 5.0, {"A": 7.5, "B": 3.0}))

    def test_refused(self) -> None:
        """What is no such message is refused in a line, and so is what never ends."""
        self.patch(simulation, "MOST_MEASUREMENTS", 2)
        for wrong in (
            b"",
            b"\xff\xfe",
            b"[1]",
            b"{}",
            b'{"message": 1}',
            b'{"message": {"timestamp": null, "measurements": {}}}',
            b'{"message": {"timestamp": 1, "measurements": []}}',
            b'{"message": {"timestamp": NaN, "measurements": {}}}',
            b'{"message": {"timestamp": 1, "measurements": {"a": 1, "b": 1, "c": 1}}}',
            b"[" * 200_000,
            b'{"message": {"timestamp": ' + b"9" * 10_000 + b"}}",
        ):
            error = self.assertRaises(SimulationMessageError, tick, wrong)
            self.assertEqual(len(str(error).splitlines()), 1, wrong[:40])

    @given(ANY_JSON)
    def test_anything(self, content: Any) -> None:
        """Whatever JSON comes is read or refused, as an output and as a log."""
        forms = (content, {"message": content}, {"message": {"timestamp": 1, "measurements": content}})
        for read in (tick, phase):
            for form in forms:
                try:
                    read(body(form))
                except SimulationMessageError:
                    continue


class PhaseTests(SynchronousTestCase):
    """How it goes."""

    def test_phases(self) -> None:
        """A simulation runs, rests, ends or fails; a message without a status says nothing of it."""
        feeder = SimulatedFeeder("77", houses=1)
        for status, found in (
            ("STARTED", Phase.RUNNING),
            ("PAUSED", Phase.PAUSED),
            ("COMPLETE", Phase.ENDED),
            ("CLOSED", Phase.ENDED),
            ("ERROR", Phase.FAILED),
        ):
            self.assertIs(phase(body(feeder.log(status))), found)
        self.assertIsNone(phase(b'{"logMessage": "incrementing to 5"}'))
        self.assertRaises(SimulationMessageError, phase, b"incrementing to 5")


class DifferenceTests(SynchronousTestCase):
    """What it is told."""

    def test_written(self) -> None:
        """p and q of each connection, before and now, counted as loads are or as generators are."""
        change = ("_AB", Feed(1000.04, 0.0), Feed(2000.0, -300.0))
        for load_sign, sign in ((True, -1), (False, 1)):
            said = json.loads(differences("77", 1_700_000_000.9, "m1", [change], load_sign=load_sign))
            self.assertEqual((said["command"], said["input"]["simulation_id"]), ("update", "77"))
            message = said["input"]["message"]
            self.assertEqual((message["timestamp"], message["difference_mrid"]), (1_700_000_000, "m1"))
            for name, watts, var in (("reverse", 1000.0, 0.0), ("forward", 2000.0, -300.0)):
                expected = [
                    {"object": "_AB", "attribute": f"PowerElectronicsConnection.{key}", "value": sign * value}
                    for key, value in (("p", watts), ("q", var))
                ]
                self.assertEqual(message[f"{name}_differences"], expected)
        self.assertNotIn(b"-0.0", differences("77", 1.0, "m", [change], load_sign=True))

    def test_understood(self) -> None:
        """The simulator of the tests takes it over."""
        feeder = SimulatedFeeder("77", houses=1)
        inverter = mrid("house_01", "inverter")
        changes = [(inverter, Feed(0.0, 0.0), Feed(3000.0, 100.0))]
        feeder.take(json.loads(differences("77", 1.0, "m", changes, load_sign=True)))
        self.assertEqual((feeder.feeds[inverter], feeder.taken, feeder.strange), (3000 + 100j, 2, []))


class TerminalTests(SynchronousTestCase):
    """Where devices stand."""

    def setUp(self) -> None:
        self.model = SimulatedFeeder("77", houses=2).dictionary()["data"]["feeders"][0]

    def test_house(self) -> None:
        """A house feeds in by the inverter at its node, and sees the voltage there."""
        (found,) = terminals.terminals(self.model, [mrid("house_02")])
        self.assertEqual(found.connection, mrid("house_02", "inverter"))
        self.assertEqual((found.rated_va, found.rated_volts, found.rated_wh), (6600.0, 240.0, None))
        expected = [mrid("house_02", "PNV", half).removeprefix("_") for half in ("s1", "s2")]
        self.assertEqual(list(found.voltages), expected)

    def test_inverter(self) -> None:
        """An inverter is its own connection, written with an underscore or without, in either case."""
        inverter = mrid("house_01", "inverter")
        for written in (inverter, inverter.removeprefix("_"), inverter.lower()):
            (found,) = terminals.terminals(self.model, [written])
            self.assertEqual((found.device, found.connection), (written, inverter))

    def test_one_connection_for_each(self) -> None:
        """Of two consumers at a node one feeds in."""
        second = self.model["energyconsumers"][0] | {"mRID": "_SECOND"}
        self.model["energyconsumers"].append(second)
        found = terminals.terminals(self.model, [mrid("house_01"), "_SECOND"])
        self.assertEqual([one.connection is None for one in found], [False, True])
        self.assertEqual(found[0].voltages, found[1].voltages)

    def test_battery(self) -> None:
        """A battery has what it holds."""
        battery = {"mRID": "_B", "CN1": "n", "ratedS": 250000, "ratedU": 480, "ratedE": 5e5, "storedE": 1e5}
        self.model["batteries"].append(battery)
        (found,) = terminals.terminals(self.model, ["B"])
        self.assertEqual((found.connection, found.rated_wh, found.stored_wh), ("_B", 500_000.0, 100_000.0))

    def test_unknown(self) -> None:
        """A device that the model does not have stands nowhere; nonsense in the model is left out."""
        self.assertEqual(terminals.terminals(self.model, ["_X"]), [Terminal("_X")])
        odd = {
            "energyconsumers": "many",
            "solarpanels": [1, {}, {"mRID": 5}, {"mRID": "_P", "CN1": 7, "ratedS": "x", "ratedU": -1}],
            "measurements": [{"measurementType": "PNV"}, {"measurementType": "PNV", "mRID": [], "x": 1}],
        }
        self.assertEqual(terminals.terminals(odd, ["_P"]), [Terminal("_P", "_P")])

    def test_volts(self) -> None:
        """Per unit of what the rated voltage comes to between line and neutral, by its phases."""
        for rated, phases, volts, expected in (
            (240.0, "s1s2", 131.0, 1.0917),
            (240.0, "s2:s1", 108.0, 0.9),
            (480.0, "ABC", 277.128, 1.0),
            (480.0, "A:B:C", 249.415, 0.9),
            (2401.8, "B", 2521.89, 1.05),
            # Counted otherwise than by its phases.
            (120.0, "s1s2", 126.0, 1.05),
            (240.0, "s1s2", 252.0, 1.05),
            (480.0, "A", 277.128, 1.0),
            (240.0, "", 126.0, 1.05),
            (None, "s1s2", 114.0, 0.95),
            # Of another level.
            (240.0, "s1s2", 7200.0, None),
            (240.0, "", 0.0, None),
        ):
            terminal = Terminal("d", rated_volts=rated, phases=phases, voltages=("A",))
            found = terminal.volts_pu({"A": volts})
            if expected is None:
                self.assertIsNone(found, (rated, volts))
            else:
                assert found is not None
                self.assertAlmostEqual(found, expected, 3)
        halves = Terminal("d", rated_volts=240.0, phases="s1s2", voltages=("A", "B", "C"))
        self.assertAlmostEqual(halves.volts_pu({"A": 120.0, "B": 126.0}) or 0.0, 1.025)
        self.assertIsNone(halves.volts_pu({}))
