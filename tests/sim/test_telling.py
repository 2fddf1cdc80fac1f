"""What simulated devices tell of, apart from the wire: meters, alarms, counts; which events they look at."""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.alarms import AlarmChange, classify
from csipd.der.client import Device, ProgramSeen
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.measurements import quantity_of
from csipd.sep2.types import Alarm
from csipd.sim import clock as clocks
from csipd.sim import log, metering, neighbourhood, seen
from csipd.sim.behaviour import Behaviour
from csipd.sim.counts import Counts
from csipd.sim.inverter import Orders
from csipd.sim.metering import Measured
from csipd.sim.street import example
from csipd.sim.unit import Unit
from tests.support import schema

LFDI = "AB" * 20
NOW = 1_767_225_600


class MeterTests(SynchronousTestCase):
    """What a meter mirrors."""

    def test_documents_are_valid(self) -> None:
        """The mirror and the readings are of the schema."""
        measured = Measured(NOW, 300, (4812.4, -120.6, 247.36, 59.98))
        for document in (metering.usage_point(LFDI, measured), metering.meter_readings(LFDI, measured)):
            schema.validate(codec.encode(document))

    def test_numbers_mean_what_was_measured(self) -> None:
        """By their ReadingTypes the server takes the numbers for the amounts that were metered."""
        amounts = (4812.0, -120.0, 247.4, 59.98)
        point = metering.usage_point(LFDI, Measured(NOW, 300, amounts))
        found = []
        for reading in point.MirrorMeterReading:
            assert reading.ReadingType is not None and reading.Reading is not None
            assert reading.Reading.value is not None
            quantity = quantity_of(reading.ReadingType, is_der=True)
            found.append((quantity.unit, float(quantity.amount(reading.Reading.value))))
        self.assertEqual(found, list(zip(("W", "var", "V", "Hz"), amounts, strict=True)))

    def test_mrids(self) -> None:
        """They are the same each time, and other ones for another device."""
        self.assertEqual(metering.mrid(LFDI, "W"), metering.mrid(LFDI, "W"))
        self.assertNotEqual(metering.mrid(LFDI, "W"), metering.mrid("CD" * 20, "W"))
        self.assertEqual(len(metering.mrid(LFDI, "W")), 32)

    def test_means_are_weighted_by_time(self) -> None:
        """A meter shows the mean since it was read last, and begins anew."""
        unit = make_unit()
        for moment, seconds, volts_pu in ((NOW, 10.0, 1.0), (NOW + 30, 30.0, 1.04)):
            unit.take(moment, seconds, unit.plant.step(moment, seconds, volts_pu, 60.0, Orders()))
        measured = unit.measure()
        assert measured is not None
        self.assertAlmostEqual(measured.values[2], 240 * 1.03)
        self.assertEqual((measured.start, measured.duration), (NOW - 10, 40))
        self.assertIsNone(unit.measure())

    def test_a_cheating_meter(self) -> None:
        """It shows what an obedient plant would do, while its own does as it likes."""
        unit = make_unit(Behaviour.CHEATING_METER)
        limit = r.DERControlBase(opModMaxLimW=2000)
        control = control_of(limit)
        unit.brain.read(NOW, [seen_program(control)])
        for second in range(10):
            unit.take(NOW + second, 1.0, unit.plant.step(NOW, 1.0, 1.0, 60.0, unit.obeyed(NOW)))
        assert unit.output is not None and unit.metered is not None
        self.assertGreater(unit.output.w, 3000.0)
        self.assertAlmostEqual(unit.metered.w, 0.2 * unit.plant.nameplate.max_w, delta=1.0)


class LogTests(SynchronousTestCase):
    """Alarms as log events."""

    def test_they_mean_what_happened(self) -> None:
        """The server takes the events of all alarms for what they are."""
        for alarm in Alarm:
            for raised, change in ((True, AlarmChange.RAISED), (False, AlarmChange.CLEARED)):
                event = log.log_event(alarm, raised, 7, NOW)
                schema.validate(codec.encode(event))
                found = classify(event)
                assert found is not None
                self.assertEqual((found.turn, found.code), (change, alarm.raised))

    def test_changes(self) -> None:
        """What is new begins, what is gone ends, what stays says nothing."""
        before, after = {Alarm.OVER_VOLTAGE, Alarm.OVER_CURRENT}, {Alarm.OVER_VOLTAGE, Alarm.UNDER_FREQUENCY}
        self.assertEqual(
            log.changes(before, after), [(Alarm.OVER_CURRENT, False), (Alarm.UNDER_FREQUENCY, True)]
        )


class SeenTests(SynchronousTestCase):
    """What a client makes of programs."""

    def test_curves(self) -> None:
        """Each curve that an event or the default links to, once."""
        link = r.DERCurveLink(href="/derp/1/dc/1")
        base = r.DERControlBase(opModVoltVar=link, opModMaxLimW=100)
        default = r.DefaultDERControl(mRID="1", DERControlBase=r.DERControlBase(opModVoltWatt=link))
        self.assertEqual(seen.curves_named([control_of(base)], default), {"/derp/1/dc/1"})
        self.assertEqual(seen.curves_named([], None), frozenset())

    def test_when_to_look_again(self) -> None:
        """From the earliest start to the end, unless it runs already."""
        control = control_of(r.DERControlBase(opModMaxLimW=100), randomizeStart=-60)
        for moment, expected in ((-61, False), (-60, True), (0, True), (599, True), (600, False)):
            self.assertEqual(seen.is_to_be_looked_at(control, (), NOW + moment), expected, moment)
        self.assertFalse(seen.is_to_be_looked_at(control, {control.mRID}, NOW))


class CountsTests(SynchronousTestCase):
    """What was done, in words."""

    def test_words(self) -> None:
        """Numbers with their nouns, errors by reason, the most frequent first."""
        counts = Counts(polls=1, readings=2000)
        self.assertEqual(counts.in_words()[-1], "No errors.")
        self.assertIn("1 poll, 0 reports, 2,000 readings", counts.in_words()[0])
        for reason in ("late", "early", "late"):
            counts.error(reason)
        self.assertEqual(counts.in_words()[1:], ["3 errors:", "  2 x late", "  1 x early"])

    def test_reasons_are_bounded(self) -> None:
        """However many reasons there are, they take bounded room, and none is uncounted."""
        counts = Counts()
        for number in range(1000):
            counts.error(str(number))
        self.assertEqual(sum(counts.errors.values()), 1000)
        self.assertLessEqual(len(counts.errors), 101)


class ClockTests(SynchronousTestCase):
    """The clock that may run fast."""

    def test_speed(self) -> None:
        """It runs so many times as fast, and what it calls comes at its own moments."""
        real = Clock()
        clock = clocks.SimulatedClock(real, NOW, 60.0)
        called: list[float] = []
        clock.call_at(NOW + 120, lambda: called.append(real.seconds()))
        real.advance(1)
        self.assertEqual((clock.now(), called), (NOW + 60, []))
        real.advance(1)
        self.assertEqual(called, [2.0])

    def test_alarm(self) -> None:
        """A wait ends at its moment, or when it is rung, also before it began."""
        real = Clock()
        alarm = clocks.Alarm(clocks.SimulatedClock(real, NOW))
        waiting = alarm.wait(NOW + 10)
        real.advance(9)
        self.assertNoResult(waiting)
        real.advance(1)
        self.successResultOf(waiting)
        waiting = alarm.wait(NOW + 100)
        alarm.ring()
        self.successResultOf(waiting)
        alarm.ring()
        self.successResultOf(alarm.wait(NOW + 100))
        self.assertNoResult(alarm.wait(NOW + 100))
        self.assertEqual(len(real.getDelayedCalls()), 1)


class NeighbourhoodTests(SynchronousTestCase):
    """Where devices stand."""

    def test_every_device_has_a_house(self) -> None:
        """Streets of forty, the last with what is left; batteries where the category says so."""
        streets = neighbourhood.streets(90, NOW, 1, 0.0)
        self.assertEqual([len(street.houses) for street in streets], [40, 40, 10])
        for place in range(90):
            street, house = neighbourhood.house_of(place)
            plant = streets[street].houses[house].plant
            assert plant is not None
            self.assertEqual(plant.category, neighbourhood.category(place), place)


def make_unit(behaviour: Behaviour = Behaviour.GOOD) -> Unit:
    plant = example(1, noon=NOW).houses["house-01"].plant
    assert plant is not None
    chance = Random(1)
    brain = Device(LFDI, int(plant.category), lambda bound: chance.randint(min(0, bound), max(0, bound)))
    shown = neighbourhood.copy_of(plant) if behaviour is Behaviour.CHEATING_METER else None
    return Unit("one", LFDI, plant, brain, behaviour=behaviour, shown=shown)


def control_of(base: r.DERControlBase, **more: int) -> r.DERControl:
    return r.DERControl(
        mRID="AA",
        creationTime=NOW - 100,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=NOW - 100, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=600, start=NOW),
        DERControlBase=base,
        **more,
    )


def seen_program(control: r.DERControl) -> ProgramSeen:
    return ProgramSeen("/derp/1", 10, (control,), None)
