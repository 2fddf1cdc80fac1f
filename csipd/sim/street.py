"""Houses on a feeder: each plant sees the voltage that all of them make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from attrs import frozen

from csipd.sim.feeder import Bus, Feeder
from csipd.sim.inverter import Nameplate, Orders
from csipd.sim.loads import Load
from csipd.sim.plant import PV, Output, Plant
from csipd.sim.sun import DAY, Sun

LONGEST_STEP: Final = 1.0  # s: plants answer each other's voltage, in steps well within their response
_NO_ORDERS: Final = Orders()

# The line of `example`, end to end (ohm): half a kilometre of 95 mm2 of aluminium on poles, at 240 V.
_LINE_R: Final = 0.046
_LINE_X: Final = 0.05
_INVERTER: Final = Nameplate(max_w=5000.0, max_va=5500.0, max_var=2400.0)


@frozen
class House:
    """A customer: where it is connected, what it takes and what it may feed in."""

    bus: str
    load: Load
    plant: Plant | None = None


class Street:
    """Houses on a feeder, by name.

    `hertz` is the frequency of the grid (Hz), to be turned by whoever simulates a disturbance.
    """

    def __init__(self, feeder: Feeder, houses: Mapping[str, House], hertz: float = 60.0) -> None:
        known = {bus.name for bus in feeder.buses}
        for name, house in houses.items():
            if house.bus not in known:
                raise ValueError(f"house {name}: there is no bus {house.bus}")
        self.feeder = feeder
        self.houses = dict(houses)
        self.hertz = hertz
        self._outputs: dict[str, Output] = {}
        self._injections: dict[str, complex] = {}

    def step(self, now: float, seconds: float, orders: Mapping[str, Orders]) -> dict[str, Output]:
        """Let time pass until `now` (TimeType), `seconds` after the last step; what each plant does then.

        :param orders: by house; who is not in it has none
        """
        steps = max(1, math.ceil(seconds / LONGEST_STEP))
        each = seconds / steps
        for number in range(steps - 1, -1, -1):
            self._step(now - number * each, each, orders)
        return dict(self._outputs)

    def voltages(self) -> dict[str, float]:
        """The voltage at each house's bus after the last step, per unit."""
        found = self.feeder.voltages(self._injections)
        return {name: found[house.bus] for name, house in self.houses.items()}

    def _step(self, moment: float, seconds: float, orders: Mapping[str, Orders]) -> None:
        volts = self.feeder.voltages(self._injections)
        self._injections = {}
        for name, house in self.houses.items():
            power = -house.load.power(moment)
            if house.plant is not None:
                told = orders.get(name, _NO_ORDERS)
                output = house.plant.step(moment, seconds, volts[house.bus], self.hertz, told)
                self._outputs[name] = output
                power += complex(output.w, output.var)
            self._injections[house.bus] = self._injections.get(house.bus, 0j) + power


def example(houses: int = 40, noon: float = DAY / 2, seed: int = 1, cloudiness: float = 0.0) -> Street:
    """A street of houses along one line, each with panels of 4.2 to 5.8 kW behind an inverter of 5 kVA.

    On a clear noon without control the voltage at its end is above 1.05. A ceiling of 40 % for all brings it
    back, and so does a volt-var curve. Houses are `house-01` and so on, from the source to the end.

    :param noon: any moment at which the sun stands highest (TimeType)
    """
    names = [f"house-{number:02}" for number in range(1, houses + 1)]
    buses = [
        Bus(name, upstream, _LINE_R / houses, _LINE_X / houses)
        for name, upstream in zip(names, [None, *names], strict=False)
    ]
    sun = Sun(noon, cloudiness=cloudiness, seed=seed)

    def house(name: str) -> House:
        base, evening, panels = (_share(seed, name, what) for what in ("base", "evening", "panels"))
        load = Load(250.0 + 100.0 * base, 1000.0 + 1000.0 * evening, midnight=noon - DAY / 2)
        return House(name, load, Plant(_INVERTER, PV(4200.0 + 1600.0 * panels, sun)))

    return Street(Feeder(buses), {name: house(name) for name in names})


def _share(seed: int, *what: str) -> float:
    """A number 0..1 that is the same for the same seed and words."""
    digest = blake2b("/".join((str(seed), *what)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32
