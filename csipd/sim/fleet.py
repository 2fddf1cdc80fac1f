"""Many simulated devices in one process, and the streets that join them: what they do they also see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from twisted.internet.task import LoopingCall

from csipd.sim.clock import SimulatedClock
from csipd.sim.counts import Counts
from csipd.sim.inverter import Orders
from csipd.sim.station import Station
from csipd.sim.street import Street
from csipd.sim.unit import Unit

#: Real seconds between two steps of the physics. What devices see changes as often.
STEP: Final = 0.5
#: Simulated seconds that one step covers at most: a process that was held up leaves out the rest.
LONGEST_LAPSE: Final = 120.0


class Population:
    """Stations and the units that they speak for, wherever these stand."""

    def __init__(self, clock: SimulatedClock, stations: Sequence[Station], counts: Counts) -> None:
        self.clock = clock
        self.stations = tuple(stations)
        self.counts = counts
        self.units: Mapping[str, Unit] = {
            unit.name: unit for station in self.stations for unit in station.units
        }

    def start(self) -> None:
        """Have the devices come."""
        for station in self.stations:
            station.start()

    def stop(self) -> None:
        """Let all of them fall silent at once."""
        for station in self.stations:
            station.stop()

    def outputs(self) -> Iterator[tuple[Unit, float]]:
        """What each unit feeds in (W), as far as it has begun."""
        return ((unit, unit.output.w) for unit in self.units.values() if unit.output is not None)

    def power(self) -> float:
        """What all of them feed in (W)."""
        return sum(watts for _, watts in self.outputs())

    def met(self) -> int:
        """How many units have found themselves at the server."""
        return sum(unit.device is not None for unit in self.units.values())


class Fleet(Population):
    """A population on streets, whose voltages follow from what it feeds in.

    :param places: the street and the house of each unit, by its name
    :param reactor: real time
    :param every: real seconds between two steps of the physics
    :param after_step: called after each step of the physics
    """

    def __init__(
        self,
        clock: SimulatedClock,
        streets: Sequence[Street],
        places: Mapping[str, tuple[int, str]],
        stations: Sequence[Station],
        counts: Counts,
        reactor: Any,
        every: float = STEP,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(clock, stations, counts)
        self.streets = tuple(streets)
        self.places = places
        self.after_step = after_step
        self._every = every
        self._last = clock.now()
        self._loop = LoopingCall(self.step)
        self._loop.clock = reactor

    def start(self) -> None:
        """Let time pass, and the devices come."""
        self._loop.start(self._every, now=True)
        super().start()

    def stop(self) -> None:
        """Let all of them fall silent at once."""
        if self._loop.running:
            self._loop.stop()
        super().stop()

    def step(self) -> None:
        """Let the physics catch up with the clock."""
        now = self.clock.now()
        lapse = min(LONGEST_LAPSE, now - self._last)
        if lapse > 0.0:
            orders: list[dict[str, Orders]] = [{} for _ in self.streets]
            for name, unit in self.units.items():
                street, house = self.places[name]
                orders[street][house] = unit.obeyed(int(now))
            outputs = [
                street.step(now, lapse, told) for street, told in zip(self.streets, orders, strict=True)
            ]
            for name, unit in self.units.items():
                street, house = self.places[name]
                unit.take(now, lapse, outputs[street][house])
            self._last = now
        self.after_step()

    def voltages(self, street: int) -> list[float]:
        """The voltage along a street, per unit, from its source to its end."""
        return list(self.streets[street].voltages().values())
