"""A simulated device against the real server, in memory: what it finds, obeys, answers and tells."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import alarms, documents
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import Alarm
from csipd.sim import strangers
from csipd.sim.behaviour import LATE_BY, SILENT_AFTER, Behaviour
from tests.sim.lab import T0, Lab, step

MINUTE = 60


class StationCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.lab = Lab(Path(self.mktemp()))
        self.addCleanup(self.lab.close)
        self.lab.ladder("SY", "SP")


class WalkTests(StationCase):
    """From /dcap on."""

    def test_it_finds_itself_and_its_programs(self) -> None:
        """Within moments a device knows its EndDevice, that its PIN is right, and its programs by primacy."""
        station = self.lab.device("dev1", "SP")
        (unit,) = station.units
        station.start()
        self.lab.pass_time(1)
        assert unit.device is not None
        self.assertEqual(unit.device.lFDI, unit.lfdi)
        self.assertTrue(unit.is_trusted)
        self.assertEqual(sorted(program.primacy for program in unit.programs), [4, 10])
        self.assertEqual(self.lab.counts.errors, {})
        self.assertEqual(self.lab.counts.connections, 1)

    def test_it_is_sent_elsewhere(self) -> None:
        """A DeviceCapability that has moved is followed to, at each poll."""
        lab = Lab(Path(self.mktemp()), dcap="/sep2/dcap")
        self.addCleanup(lab.close)
        lab.ladder("SY")
        station = lab.device("dev1", "SY")
        station.start()
        lab.pass_time(1000)
        self.assertEqual([program.primacy for program in station.units[0].programs], [10])
        self.assertEqual((lab.counts.errors, lab.counts.connections), ({}, 1))

    def test_lists_are_polled_by_their_rates(self) -> None:
        """Between two moments each list is read as often as its pollRate says, on the one connection."""
        station = self.lab.device("dev1", "SP")
        station.start()
        self.lab.pass_time(1)
        before = self.lab.counts.polls
        self.lab.pass_time(900)
        # By RATES of the bench: dcap, tm, edev, fsa, der, derp; there are neither controls nor defaults.
        polls = sum(900 // rate for rate in (900, 600, 300, 120, 450, 37))
        self.assertApproximates(self.lab.counts.polls - before, polls, 3)
        self.assertEqual(self.lab.counts.connections, 1)

    def test_another_pin(self) -> None:
        """A device whose PIN is not that of the installer follows nobody, and says so."""
        station = self.lab.device("dev1", "SP", pin=222220)
        (unit,) = station.units
        station.start()
        self.lab.pass_time(600)
        self.assertEqual((unit.device, unit.programs), (None, ()))
        self.assertEqual(list(self.lab.counts.errors), ["another PIN than the installer was given"])

    def test_a_certificate_that_nobody_trusts(self) -> None:
        """It never gets in, tries ever more seldom, and the reason is that of the alert."""
        station = self.lab.device("dev1", "SP")
        station.client = self.lab.client(strangers.credential("dev1"))
        station.start()
        self.lab.pass_time(600)
        (reason,) = self.lab.counts.errors
        self.assertIn("no connection: TLS", reason)
        self.assertLess(self.lab.counts.errors[reason], 20)
        self.assertGreater(self.lab.counts.errors[reason], 5)
        self.assertEqual(self.lab.counts.polls, 0)


class ReportTests(StationCase):
    """What a device tells."""

    def test_it_says_what_it_is_and_how_it_does(self) -> None:
        """Capability and settings once, status and availability at each poll of its DERs."""
        station = self.lab.device("dev1", "SP")
        (unit,) = station.units
        step(unit, T0, 1.0)
        station.start()
        self.lab.pass_time(1)
        self.assertEqual(self.lab.counts.puts, 4)
        self.lab.pass_time(450)
        self.assertEqual(self.lab.counts.puts, 6)
        kept = self.lab.read(lambda connection: documents.get(connection, Place(ROWS["DERStatus"], (1, 1))))
        assert isinstance(kept, r.DERStatus)
        self.assertEqual(kept.readingTime, T0 + 450)

    def test_alarms_are_raised_and_cleared(self) -> None:
        """A voltage that is too high is one log event, and its end another."""
        station = self.lab.device("dev1", "SP")
        (unit,) = station.units
        step(unit, T0, 1.0)
        station.start()
        self.lab.pass_time(10)
        step(unit, T0 + 10, 10.0, volts_pu=1.08)
        self.lab.pass_time(1)
        self.assertEqual(self.lab.counts.log_events, 1)
        (alarm,) = self.open_alarms()
        self.assertEqual(alarm, Alarm.OVER_VOLTAGE.raised)
        step(unit, T0 + 20, 10.0, volts_pu=1.0)
        self.lab.pass_time(1)
        self.assertEqual(self.lab.counts.log_events, 2)
        self.assertEqual(self.open_alarms(), [])

    def open_alarms(self) -> list[int]:
        found, _ = self.lab.read(lambda connection: alarms.listed(connection, open=True))
        return [alarm.code for alarm in found]


class EventTests(StationCase):
    """What a device does with events."""

    def test_it_obeys_and_answers(self) -> None:
        """A limit holds from its start to its end, and is answered 1, 2 and 3."""
        station = self.lab.device("dev1", "SP")
        (unit,) = station.units
        station.start()
        self.lab.pass_time(MINUTE)
        command = self.lab.command("SP", start=5, lasts=5, opModMaxLimW=2000)
        self.lab.pass_time(5 * MINUTE)
        self.assertEqual(unit.orders(self.lab.now).value("opModMaxLimW"), 2000)
        self.lab.pass_time(5 * MINUTE)
        self.assertIsNone(unit.orders(self.lab.now).value("opModMaxLimW"))
        self.assertEqual([status for _, status in unit.answered], [1, 2, 3])
        self.assertEqual({mrid for mrid, _ in unit.answered}, {command.mrid})

    def test_an_event_is_looked_at_before_it_starts(self) -> None:
        """One that was cancelled between the last poll and its start never starts."""
        station = self.lab.device("dev1", "SP")
        (unit,) = station.units
        station.start()
        self.lab.pass_time(1)
        command = self.lab.command("SP", start=80 / 60, lasts=5, opModMaxLimW=2000)
        self.lab.pass_time(75)  # polled at 38 s and at 75 s
        self.lab.cancel(command)
        self.lab.pass_time(10)
        self.assertEqual([status for _, status in unit.answered], [1, 6])

    def test_curves_are_read(self) -> None:
        """A curve that a default links to is read, and the plant follows it."""
        link = self.lab.curve("SY", "opModVoltVar", [(9000, 4400), (11000, -4400)], yRefType=2)
        self.lab.default("SY", opModVoltVar=link)
        station = self.lab.device("dev1", "SP")
        (unit,) = station.units
        station.start()
        self.lab.pass_time(1)
        for number in range(60):
            step(unit, T0 + number, 1.0, volts_pu=1.05)
        assert unit.output is not None
        self.assertLess(unit.output.var, -100.0)


class BehaviourTests(StationCase):
    """Devices that misbehave."""

    def test_late(self) -> None:
        """A device whose clock is slow starts so much later."""
        station = self.lab.device("dev1", "SP", behaviour=Behaviour.LATE)
        (unit,) = station.units
        station.start()
        self.lab.command("SP", start=5, lasts=5, opModMaxLimW=2000)
        self.lab.pass_time(5 * MINUTE + LATE_BY - 5)
        self.assertEqual([status for _, status in unit.answered], [1])
        self.lab.pass_time(10)
        self.assertEqual([status for _, status in unit.answered], [1, 2])

    def test_silent(self) -> None:
        """A silent one says nothing after a while."""
        station = self.lab.device("dev1", "SP", behaviour=Behaviour.SILENT)
        station.start()
        self.lab.pass_time(SILENT_AFTER + MINUTE)
        before = self.lab.counts.polls
        self.assertGreater(before, 0)
        self.lab.pass_time(3600)
        self.assertEqual(self.lab.counts.polls, before)
        self.assertTrue(all(wire.closed for wire in self.lab.wires))

    def test_non_compliant(self) -> None:
        """It answers like the rest, and its plant is told nothing."""
        station = self.lab.device("dev1", "SP", behaviour=Behaviour.NON_COMPLIANT)
        (unit,) = station.units
        station.start()
        self.lab.command("SP", start=0, lasts=60, opModMaxLimW=2000)
        self.lab.pass_time(MINUTE)
        self.assertEqual([status for _, status in unit.answered], [1, 2])
        self.assertEqual(unit.orders(self.lab.now).value("opModMaxLimW"), 2000)
        self.assertIsNone(unit.obeyed(self.lab.now).value("opModMaxLimW"))
