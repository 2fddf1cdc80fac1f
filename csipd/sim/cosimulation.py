"""A fleet that takes part in a simulation of the GridAPPS-D platform.

The simulation says what voltages it has; each plant sees its own, and does what its device is told at csipd.
What it feeds in then is written to the simulation, which takes it over with its next step: so the loop
closes. The physics go by the simulation's time, what devices say to csipd by their own clock.

What is written is what has changed. After a connection that was lost all of it is written again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from attrs import define, frozen
from twisted.internet.task import LoopingCall

from csipd.gridappsd import topics
from csipd.gridappsd.bus import Bus, Message
from csipd.gridappsd.simulation import (
    NOTHING,
    Feed,
    Phase,
    SimulationMessageError,
    Tick,
    differences,
    phase,
    tick,
)
from csipd.gridappsd.terminals import Terminal
from csipd.sim.assembly import Making
from csipd.sim.clock import SimulatedClock
from csipd.sim.counts import Counts
from csipd.sim.fleet import LONGEST_LAPSE, Population
from csipd.sim.neighbourhood import HOUSES
from csipd.sim.placing import plant_at
from csipd.sim.station import Station
from csipd.sim.street import LONGEST_STEP
from csipd.sim.sun import Sun
from csipd.sim.tls import Credential
from csipd.sim.unit import Unit

#: Real seconds without a word of the simulation after which that is said.
SILENCE: Final = 30.0
#: Connections of one message, so that it stays well below what buses take.
MOST_CHANGES: Final = 500
#: What is no change (W, var).
NEGLIGIBLE: Final = 0.5
#: Frequency of the grid, which simulations of the platform do not say (Hz).
_HERTZ: Final = 60.0
_WATCH: Final = 1.0  # s
_OVER: Final = (Phase.ENDED, Phase.FAILED)


@define
class Exchanged:
    """What came of the simulation and what was written to it, in numbers."""

    ticks: int = 0
    written: int = 0  #: messages
    unsent: int = 0  #: messages that the bus did not take
    refused: int = 0  #: messages that were none of a simulation's
    early: int = 0  #: ticks that were no later than the one before


class CoSimulation(Population):
    """A population whose voltages come from a simulation, and whose power goes to it.

    :param standing: where each unit stands, by its name
    :param reactor: real time
    :param load_sign: whether p and q are positive where power is taken in
    :param say: is told in a line what became of the simulation
    :param ended: called when the simulation is over
    """

    def __init__(
        self,
        clock: SimulatedClock,
        stations: Sequence[Station],
        counts: Counts,
        standing: Mapping[str, Terminal],
        bus: Bus,
        simulation_id: str,
        reactor: Any,
        *,
        load_sign: bool,
        say: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(clock, stations, counts)
        self.standing = standing
        self.simulation_id = simulation_id
        self.exchanged = Exchanged()
        #: The simulation's time (epoch s), None before its first word.
        self.timestamp: float | None = None
        self.phase = Phase.RUNNING
        #: What each unit sees, per unit, as far as the simulation has said it.
        self.volts: dict[str, float] = {}
        self._bus = bus
        self._reactor = reactor
        self._load_sign = load_sign
        self._say = say
        self._ended = ended
        #: What each connection was told to feed in, and whether all of it is to be said again.
        self._written: dict[str, Feed] = {}
        self._anew = True
        self._moment = clock.now()
        self._last_step = clock.now()
        self._heard = 0.0
        self._is_silent = False
        self._watching = LoopingCall(self._watch)
        self._watching.clock = reactor

    def start(self) -> None:
        """Listen to the simulation, and have the devices come."""
        self._heard = self._reactor.seconds()
        for topic, handler in (
            (topics.simulation_output(self.simulation_id), self._measured),
            (topics.simulation_log(self.simulation_id), self._logged),
        ):
            self._bus.subscribe(topic, handler)
        self._bus.when_up(self._say_all)
        self._watching.start(_WATCH, now=False)
        super().start()

    def stop(self) -> None:
        """Let all of them fall silent at once. What was written last stays as it is in the simulation."""
        if self._watching.running:
            self._watching.stop()
        super().stop()

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been heard of the simulation for long."""
        return self._is_silent

    # --- what comes

    def _measured(self, message: Message) -> None:
        try:
            found = tick(message.body)
        except SimulationMessageError:
            self.exchanged.refused += 1
            return
        self._alive()
        self.take(found)

    def _logged(self, message: Message) -> None:
        try:
            said = phase(message.body)
        except SimulationMessageError:
            self.exchanged.refused += 1
            return
        self._alive()
        if said is None or self.phase in _OVER:
            return
        self.phase = said
        if said in _OVER:
            self._say(
                f"Simulation {self.simulation_id} {'has failed' if said is Phase.FAILED else 'is complete'}."
            )
            self._ended()

    def _say_all(self) -> None:
        self._anew = True

    def _alive(self) -> None:
        self._heard = self._reactor.seconds()
        if self._is_silent:
            self._is_silent = False
            self._say(f"Simulation {self.simulation_id} goes on.")

    def _watch(self) -> None:
        if self._is_silent or self.phase is Phase.PAUSED or self._reactor.seconds() < self._heard + SILENCE:
            return
        self._is_silent = True
        self._say(
            f"Nothing was heard of simulation {self.simulation_id} for {SILENCE:.0f} s: devices do as before."
        )

    # --- a step

    def take(self, found: Tick) -> None:
        """Let the plants catch up with the simulation, and write what they feed in."""
        lapse = LONGEST_STEP if self.timestamp is None else found.timestamp - self.timestamp
        if lapse <= 0.0:
            self.exchanged.early += 1
            if lapse == 0.0:
                return
            lapse = LONGEST_STEP  # it was begun again
        self.exchanged.ticks += 1
        self.timestamp = found.timestamp
        self._moment += lapse
        now = self.clock.now()
        # A meter has passed time by the devices' clock; a first step has no time behind it.
        metered = min(LONGEST_LAPSE, max(now - self._last_step, 0.001))
        self._last_step = now
        for name, unit in self.units.items():
            volts = self.standing[name].volts_pu(found.magnitudes)
            if volts is not None:
                self.volts[name] = volts
            self._step(unit, now, metered, min(LONGEST_LAPSE, lapse), self.volts.get(name, 1.0))
        self._write(found.timestamp)

    def _step(self, unit: Unit, now: float, metered: float, lapse: float, volts: float) -> None:
        orders = unit.obeyed(int(now))
        steps = max(1, math.ceil(lapse / LONGEST_STEP))
        each = lapse / steps
        for number in range(steps - 1, -1, -1):
            output = unit.plant.step(self._moment - number * each, each, volts, _HERTZ, orders)
        unit.take(now, metered, output)

    def _write(self, timestamp: float) -> None:
        """Write what has changed. What the bus does not take is a change again at the next step."""
        anew, self._anew = self._anew, False
        changes = list(self._changes(anew))
        for first in range(0, len(changes), MOST_CHANGES):
            part = changes[first : first + MOST_CHANGES]
            body = differences(self.simulation_id, timestamp, str(uuid4()), part, load_sign=self._load_sign)
            if not self._bus.send(topics.simulation_input(self.simulation_id), body):
                self.exchanged.unsent += 1
                self._anew = self._anew or anew
                return
            self.exchanged.written += 1
            self._written.update((connection, feed) for connection, _, feed in part)

    def _changes(self, anew: bool) -> Iterator[tuple[str, Feed, Feed]]:
        for name, unit in self.units.items():
            connection = self.standing[name].connection
            if connection is None or unit.output is None:
                continue
            feed = Feed(unit.output.w, unit.output.var)
            before = self._written.get(connection, NOTHING)
            if anew or abs(feed.w - before.w) > NEGLIGIBLE or abs(feed.var - before.var) > NEGLIGIBLE:
                yield connection, before, feed


@frozen
class Joining:
    """A device of the platform's that takes part.

    :param terminal: where it stands
    :param lfdi: by which csipd knows it
    """

    terminal: Terminal
    credential: Credential
    lfdi: str


def join(
    making: Making,
    devices: Iterable[Joining],
    pin: int | None,
    bus: Bus,
    simulation_id: str,
    **how: Any,
) -> CoSimulation:
    """A fleet of the platform's devices that has not begun, each with a plant as the model says.

    :param devices: they are named by their mRIDs
    :param pin: of all of them; None: it is not checked
    :param how: as `CoSimulation` has it
    """
    stations, standing = [], {}
    plan, noon = making.plan, making.noon
    for number, one in enumerate(devices):
        # As on a street: clouds are the same for so many.
        sun = Sun(noon, cloudiness=plan.cloudiness, seed=plan.seed + number // HOUSES)
        name, plant = one.terminal.device, plant_at(one.terminal, sun)
        stations.append(making.device(name, one.credential, one.lfdi, pin, plant))
        standing[name] = one.terminal
    return CoSimulation(
        making.clock, stations, making.counts, standing, bus, simulation_id, making.reactor, **how
    )
