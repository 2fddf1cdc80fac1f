"""Where the devices of a fleet stand: streets of forty houses, every fourth with a battery."""

from __future__ import annotations

from typing import Final

from csipd.sep2.types import DeviceCategory
from csipd.sim.inverter import Nameplate
from csipd.sim.plant import PV, Battery, Plant
from csipd.sim.street import House, Street, example

#: Houses of one street, which is one feeder.
HOUSES: Final = 40
#: Every how many houses there is a battery.
BATTERIES: Final = 4

_CAPACITY: Final = 10_000.0  # Wh
_CHARGE_W: Final = 3_000.0


def has_battery(place: int) -> bool:
    """Whether the house at a place in the fleet, counted from 0, has a battery."""
    return place % BATTERIES == BATTERIES - 1


def category(place: int) -> DeviceCategory:
    """The deviceCategory of the device at a place in the fleet."""
    return DeviceCategory.COMBINED_PV_AND_STORAGE if has_battery(place) else DeviceCategory.PHOTOVOLTAIC


def streets(count: int, noon: float, seed: int, cloudiness: float) -> list[Street]:
    """The streets of so many devices; houses are `house-01` and so on in each.

    :param noon: any moment at which the sun stands highest
    """
    found = []
    for number, first in enumerate(range(0, count, HOUSES)):
        street = example(min(HOUSES, count - first), noon, seed + number, cloudiness)
        for place, name in enumerate(street.houses):
            if has_battery(first + place):
                street.houses[name] = _with_battery(street.houses[name])
        found.append(street)
    return found


def house_of(place: int) -> tuple[int, str]:
    """Which street and which house the device at a place in the fleet has."""
    street, house = divmod(place, HOUSES)
    return street, f"house-{house + 1:02}"


def copy_of(plant: Plant) -> Plant:
    """Another plant of the same kind, in the state in which it is."""
    battery = plant.battery
    return Plant(
        plant.nameplate,
        plant.pv,
        battery and Battery(battery.capacity_wh, battery.charge_wh, battery.efficiency),
        plant.limits,
    )


def _with_battery(house: House) -> House:
    plant = house.plant
    assert plant is not None and isinstance(plant.pv, PV)
    rated = plant.nameplate
    nameplate = Nameplate(
        rated.max_w, rated.max_va, rated.max_var, _CHARGE_W, volts=rated.volts, hertz=rated.hertz
    )
    return House(house.bus, house.load, Plant(nameplate, plant.pv, Battery(_CAPACITY, _CAPACITY / 2)))
