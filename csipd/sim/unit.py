"""A simulated device apart from the wire: its brain, its plant, what it knows and what it has to tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from csipd.der.client import Device, ProgramSeen
from csipd.sep2 import resources as r
from csipd.sep2.types import Alarm, ResponseStatus, TimeType
from csipd.sim import log
from csipd.sim.behaviour import Behaviour
from csipd.sim.curves import Curve
from csipd.sim.inverter import Orders
from csipd.sim.metering import QUANTITIES, Measured
from csipd.sim.plant import Output, Plant

#: Log events that wait to be posted; of more the oldest are lost.
MOST_LOG_EVENTS: Final = 100
#: Responses that are remembered.
MOST_ANSWERS: Final = 100
_NO_ORDERS: Final = Orders()


class Unit:
    """One device.

    :param name: for people
    :param lfdi: 40 hexadecimal digits, upper case
    :param pin: that the installer was given; None: it is not checked
    :param plant: what feeds in
    :param shown: a second plant that obeys, whose output a cheating meter shows; None: the meter is honest
    """

    def __init__(
        self,
        name: str,
        lfdi: str,
        plant: Plant,
        brain: Device,
        *,
        pin: int | None = None,
        behaviour: Behaviour = Behaviour.GOOD,
        shown: Plant | None = None,
    ) -> None:
        self.name = name
        self.lfdi = lfdi
        self.pin = pin
        self.plant = plant
        self.brain = brain
        self.behaviour = behaviour
        self._shown = shown
        #: Its EndDevice, once it was found, and whether its PIN was the right one.
        self.device: r.EndDevice | None = None
        self.is_trusted = False
        self.assignments: tuple[r.FunctionSetAssignments, ...] = ()
        self.programs: tuple[ProgramSeen, ...] = ()
        #: Where the lists of controls and the defaults of its programs are.
        self.program_links: tuple[str, ...] = ()
        #: The curves that were read, by href.
        self.curves: Mapping[str, Curve] = {}
        #: Up to when its events were looked at.
        self.watched: TimeType = -(2**63)
        #: What it said last of how it is set, and how it does.
        self.settings: r.DERSettings | None = None
        self.status: r.DERStatus | None = None
        #: Where its meter is mirrored, and every how many seconds it is posted to.
        self.mirror: str | None = None
        self.post_rate: int | None = None
        #: When it was read how often (its clock).
        self.post_rate_read = 0
        #: Log events that are to be posted, and who is told of a new one.
        self.log: deque[r.LogEvent] = deque(maxlen=MOST_LOG_EVENTS)
        self.on_alarm: Callable[[], None] = lambda: None
        #: What was answered: the mRIDs of events, and statuses.
        self.answered: deque[tuple[str, ResponseStatus]] = deque(maxlen=MOST_ANSWERS)
        #: What it does, and what its meter shows.
        self.output: Output | None = None
        self.metered: Output | None = None
        self._logged = 0
        self._alarms: frozenset[Alarm] = frozenset()
        self._sums = [0.0] * len(QUANTITIES)
        self._since: float | None = None
        self._until = 0.0
        self._seconds = 0.0

    def orders(self, now: TimeType) -> Orders:
        """What it is told to do now."""
        return Orders(self.brain.modes(now), self.curves, self.brain.settings())

    def obeyed(self, now: TimeType) -> Orders:
        """What of that its plant gets to hear."""
        return self.orders(now) if self.behaviour.obeys else _NO_ORDERS

    def take(self, now: float, seconds: float, output: Output) -> None:
        """Take in what its plant did for a lapse that ends now."""
        self.output = self.metered = output
        if self._shown is not None:
            volts_pu = output.volts / self._shown.nameplate.volts
            self.metered = self._shown.step(now, seconds, volts_pu, output.hertz, self.orders(int(now)))
        self._meter(now, seconds, self.metered)
        self._note_alarms(int(now), output)

    def measure(self, skew: float = 0.0) -> Measured | None:
        """The means since the last time, which begin anew; None: nothing was metered.

        :param skew: how far its own clock is ahead (s), by which it says when that was
        """
        if self._since is None or not self._seconds:
            return None
        start, end = int(self._since + skew), int(self._until + skew)
        values = tuple(total / self._seconds for total in self._sums)
        self._since, self._seconds = None, 0.0
        self._sums = [0.0] * len(self._sums)
        return Measured(start, end - start, values)

    def _meter(self, now: float, seconds: float, output: Output) -> None:
        if self._since is None:
            self._since = now - seconds
        self._until = now
        shown = (output.w, output.var, output.volts, output.hertz)
        self._sums = [total + seconds * value for total, value in zip(self._sums, shown, strict=True)]
        self._seconds += seconds

    def _note_alarms(self, now: int, output: Output) -> None:
        for alarm, raised in log.changes(self._alarms, output.alarms):
            self._logged += 1
            self.log.append(log.log_event(alarm, raised, self._logged, now))
        if output.alarms != self._alarms:
            self._alarms = frozenset(output.alarms)
            self.on_alarm()
