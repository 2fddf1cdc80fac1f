"""Panels and batteries behind an inverter."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.types import Alarm, DERKind, DeviceCategory
from csipd.sim.inverter import Nameplate, Orders, Stage
from csipd.sim.plant import HOUR, PV, Battery, Output, Plant
from csipd.sim.sun import DAY, Sun
from tests.sim.orders import orders

NOON = DAY / 2
STORAGE = Nameplate(max_w=5000.0, max_va=5000.0, max_var=2400.0, max_charge_w=4000.0)
CEASE = {"opModEnergize": False}


def storage(charge: float = 5000.0, panels: float | None = None, efficiency: float = 0.9) -> Plant:
    """A battery of 10 kWh, with panels of so many watts or without."""
    pv = None if panels is None else PV(panels, Sun(NOON))
    return Plant(STORAGE, pv, Battery(10000.0, charge, efficiency))


class PlantTests(SynchronousTestCase):
    """What plants do by the hour."""

    def at_noon(self, plant: Plant, modes: dict[str, Any], seconds: float = 60.0) -> Output:
        """A step at noon, at nominal voltage and frequency."""
        return plant.step(NOON, seconds, 1.0, 60.0, orders(modes))

    def test_panels(self) -> None:
        """Panels feed in what the sun gives and the inverter can; the register counts it."""
        plant = Plant(Nameplate(5000.0, 5500.0, 2400.0), PV(6000.0, Sun(NOON)))
        output = plant.step(NOON, 1800.0, 1.02, 60.0, Orders())
        self.assertEqual((output.w, output.available_w, output.state_of_charge), (5000.0, 5000.0, None))
        self.assertAlmostEqual(output.volts, 244.8)
        self.assertAlmostEqual(plant.fed_in_wh, 2500.0)
        evening = plant.step(NOON + 4 * 3600, 60.0, 1.0, 60.0, Orders())
        self.assertAlmostEqual(evening.w, 3000.0)
        self.assertEqual(plant.step(NOON + 7 * 3600, 60.0, 1.0, 60.0, Orders()).w, 0.0)

    def test_battery(self) -> None:
        """An hour of 2 kW in stores what the efficiency leaves of it, an hour of 2 kW out takes more."""
        plant = storage()
        self.at_noon(plant, {"opModFixedW": -5000}, HOUR)
        self.assertAlmostEqual(plant.taken_wh, 2000.0)
        battery = plant.battery
        assert battery is not None
        self.assertAlmostEqual(battery.charge_wh, 6800.0)
        self.at_noon(plant, {"opModFixedW": 3600}, HOUR)
        self.assertAlmostEqual(battery.charge_wh, 4800.0)
        self.assertAlmostEqual(plant.fed_in_wh, 1800.0)

    def test_empty_and_full(self) -> None:
        """An empty battery gives nothing, a full one takes nothing."""
        self.assertEqual(self.at_noon(storage(0.0), {"opModFixedW": 10000}).w, 0.0)
        self.assertEqual(self.at_noon(storage(10000.0), {"opModFixedW": -10000}).w, 0.0)
        output = self.at_noon(storage(100.0), {"opModFixedW": 10000}, HOUR)
        self.assertAlmostEqual(output.w, 90.0)
        self.assertEqual(output.state_of_charge, 0.0)

    def test_both(self) -> None:
        """The battery rests while nothing is ordered, takes what is curtailed and gives what lacks."""
        plant = storage(panels=3000.0)
        free = self.at_noon(plant, {})
        self.assertEqual((free.w, free.battery_w), (3000.0, 0.0))
        limited = self.at_noon(plant, {"opModMaxLimW": 2000})
        self.assertAlmostEqual(limited.w, 1000.0)
        self.assertAlmostEqual(limited.battery_w, -2000.0)
        more = self.at_noon(plant, {"opModFixedW": 9000})
        self.assertAlmostEqual(more.w, 4500.0)
        self.assertAlmostEqual(more.battery_w, 1500.0)
        full = self.at_noon(storage(10000.0, panels=3000.0), {"opModMaxLimW": 2000})
        self.assertEqual((full.w, full.battery_w), (1000.0, 0.0))

    def test_open(self) -> None:
        """Disconnected nothing goes in or out, and the battery keeps what it has."""
        plant = storage(panels=3000.0)
        output = self.at_noon(plant, CEASE)
        self.assertEqual((output.w, output.battery_w, output.stage), (0.0, 0.0, Stage.OPEN))
        assert plant.battery is not None
        self.assertEqual(plant.battery.charge_wh, 5000.0)

    def test_alarms(self) -> None:
        """It reports the voltage and frequency that it sees."""
        plant = storage()
        self.assertEqual(plant.step(NOON, 1.0, 1.06, 60.0, Orders()).alarms, {Alarm.OVER_VOLTAGE})
        self.assertEqual(plant.step(NOON, 1.0, 1.0, 59.0, Orders()).alarms, {Alarm.UNDER_FREQUENCY})
        self.assertEqual(plant.step(NOON, 1.0, 1.0, 60.0, Orders()).alarms, frozenset())

    def test_kinds(self) -> None:
        """What it is follows from what stands there."""
        for plant, kind, category in [
            (Plant(Nameplate(1.0, 1.0, 1.0), PV(1.0)), DERKind.PHOTOVOLTAIC, DeviceCategory.PHOTOVOLTAIC),
            (storage(), DERKind.OTHER_STORAGE, DeviceCategory.OTHER_STORAGE),
            (
                storage(panels=1.0),
                DERKind.COMBINED_PV_AND_STORAGE,
                DeviceCategory.COMBINED_PV_AND_STORAGE,
            ),
        ]:
            self.assertEqual((plant.kind, plant.category), (kind, category))

    def test_what_cannot_be(self) -> None:
        """Plants of nothing, batteries fuller than full, and time that stands still are refused."""
        with self.assertRaises(ValueError):
            Plant(STORAGE)
        with self.assertRaises(ValueError):
            Plant(STORAGE, PV(1000.0))
        with self.assertRaises(ValueError):
            Battery(1000.0, 1001.0)
        with self.assertRaises(ValueError):
            storage().step(NOON, 0.0, 1.0, 60.0, Orders())

    @given(
        st.floats(0.5, 1.0),
        st.floats(0.0, 10000.0),
        st.lists(st.tuples(st.integers(-10000, 10000), st.floats(1.0, 2 * HOUR)), min_size=1, max_size=15),
    )
    def test_energy_balance(self, efficiency: float, charge: float, steps: list[tuple[int, float]]) -> None:
        """What is in the battery is what was, what came in less the losses, less what went out and theirs."""
        plant = storage(charge, efficiency=efficiency)
        battery = plant.battery
        assert battery is not None
        for share, seconds in steps:
            output = self.at_noon(plant, {"opModFixedW": share}, seconds)
            self.assertTrue(0.0 <= battery.charge_wh <= battery.capacity_wh)
            self.assertAlmostEqual(output.w, output.battery_w)
        expected = charge + plant.taken_wh * efficiency - plant.fed_in_wh / efficiency
        self.assertLess(abs(battery.charge_wh - expected), 1e-3)

    @given(
        st.floats(0.0, 6000.0),
        st.integers(0, 10000),
        st.floats(0.0, 10000.0),
    )
    def test_panels_give_the_rest(self, panels: float, limit: int, charge: float) -> None:
        """What flows out beside the battery's share comes from the panels, no more than they can give."""
        output = self.at_noon(storage(charge, max(panels, 1.0)), {"opModMaxLimW": limit})
        given_by_panels = output.w - output.battery_w
        self.assertTrue(-1e-6 <= given_by_panels <= max(panels, 1.0) + 1e-6, output)


class TargetTests(SynchronousTestCase):
    """A set point in watts through a whole plant."""

    def test_follows_until_empty(self) -> None:
        """The battery holds the target hour by hour until it is empty."""
        plant = storage(3000.0, efficiency=1.0)
        told = orders({"opModTargetW": r.ActivePower(multiplier=0, value=2000)})
        seen = [plant.step(NOON + k * HOUR, HOUR, 1.0, 60.0, told).w for k in range(3)]
        self.assertEqual(seen, [2000.0, 1000.0, 0.0])
