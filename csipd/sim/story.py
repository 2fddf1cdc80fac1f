"""The story of `make demo`: a feeder on a sunny day, whose voltage its operator saves twice.

The voltage at the feeder's end rises past its limit; a curtailment is dispatched, and the voltage comes back
at the price of power. When that is over it rises again; a volt-var curve is dispatched, and it comes back at
the price of hardly any. What the operator does goes through the operator's API, what devices do over the
wire, and whose clock it is told by makes no difference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred

from csipd.sim.behaviour import Behaviour
from csipd.sim.fleet import Fleet

#: The limit of voltage, per unit (ANSI C84.1 range A).
LIMIT: Final = 1.05
#: What the curtailment leaves (hundredths of a percent of setMaxW), and how long it lasts (s).
CURTAILED: Final = 6000
CURTAILMENT: Final = 40 * 60
#: How long the volt-var curve is to hold, and when within that it is noon (s).
VOLT_VAR: Final = 180 * 60
ENDING: Final = 110 * 60
#: Voltage and vars, both in percent, the vars of setMaxVar.
CURVE: Final = ((92, 100), (98, 0), (102, 0), (105, -100))
#: Seconds between a command and its start: long enough for devices that poll to have heard of it.
AHEAD: Final = 4 * 60
#: Seconds after which something that should have happened is not waited for any longer.
PATIENCE: Final = 60 * 60
#: Seconds between two looks.
LOOK: Final = 30
#: Voltages and powers that are remembered for the screen.
HISTORY: Final = 600

_VOLT_VAR_TYPE, _SET_MAX_VAR = 11, 2

#: Carries out a call of the operator's API, and gives what that gives.
Ask = Callable[[Callable[[Any], Any]], Awaitable[Any]]


@define
class Dispatched:
    """A control that the operator made, and what became of it so far."""

    title: str
    number: int
    start: int
    end: int
    #: As GET /admin/controls/N/answers has it.
    answers: dict[str, Any] = Factory(dict)
    #: What the readings of each device say, by name, as GET /admin/controls/N/delivery has it.
    verdicts: dict[str, str] = Factory(dict)


@frozen
class Sample:
    """How the feeder was at a moment: per unit at its end, and W."""

    at: float
    volts: float
    watts: float


@frozen
class Outcome:
    """How it went: the voltage at the feeder's end (per unit) and the power (W) at each turn of the story."""

    before: Sample
    curtailed: Sample
    after: Sample
    volt_var: Sample

    @property
    def saved(self) -> bool:
        """Whether both measures brought the voltage back below its limit."""
        return (
            max(self.curtailed.volts, self.volt_var.volts) < LIMIT < min(self.before.volts, self.after.volts)
        )


class Story:
    """One telling.

    :param fleet: on one feeder, begun by whoever tells
    :param program: the number of the feeder's program
    :param say: told each sentence, with the moment that it is about
    :param ending: when the story ends, in seconds from when the curve begins to hold
    """

    def __init__(
        self, fleet: Fleet, ask: Ask, program: int, say: Callable[[float, str], None], ending: int = ENDING
    ) -> None:
        self.fleet = fleet
        self._ask = ask
        self._program = program
        self._say = say
        self._ending = ending
        self.dispatched: list[Dispatched] = []
        self.history: deque[Sample] = deque(maxlen=HISTORY)

    async def tell(self) -> Outcome:
        """Tell it. AssertionError if it goes otherwise; what the API refuses is raised as it comes."""
        count = len(self.fleet.units)
        self._tell(f"{count} inverters along one feeder begin to speak to csipd.")
        await self._until(lambda: self.volts > LIMIT and self._are_there(), "the sun rises")
        before = self.sample()
        self._tell(
            f"The sun lifts the voltage at the feeder's end past its limit: {before.volts:.3f} per unit."
        )
        await self._pause(2 * LOOK)
        curtailment = await self._dispatch(
            f"limit to {CURTAILED // 100} %", {"opModMaxLimW": CURTAILED}, CURTAILMENT
        )
        await self._until(lambda: self._began(curtailment) and self.volts < LIMIT, "the limit holds")
        self._tell(f"It holds: {self.volts:.3f} per unit, {self._kilowatts()}.")
        await self._pause_until(curtailment.end - LOOK)
        curtailed = self.sample()
        await self._tell_who_does_not(curtailment)
        await self._until(lambda: self._ended(curtailment) and self.volts > LIMIT, "the limit ends")
        after = self.sample()
        completed = curtailment.answers.get("completed", 0)
        self._tell(f"The limit is over, and {completed} have completed it.")
        self._tell(f"Without it the voltage is back at {after.volts:.3f} per unit.")
        href = await self._make_curve()
        volt_var = await self._dispatch("volt-var curve", {"opModVoltVar": {"href": href}}, VOLT_VAR)
        await self._until(lambda: self._began(volt_var) and self.volts < LIMIT, "the curve holds")
        self._tell(f"Vars hold it down instead of watts: {self.volts:.3f} per unit, {self._kilowatts()}.")
        await self._pause_until(volt_var.start + self._ending)
        await self._tell_who_does_not(volt_var)
        outcome = Outcome(before, curtailed, after, self.sample())
        saved = f"{outcome.volt_var.volts:.3f} per unit at {_kilowatts(outcome.volt_var)}"
        self._tell(
            f"Noon, and the voltage is saved: {saved}."
            if outcome.saved
            else f"Noon, and the voltage is not saved: {saved}."
        )
        return outcome

    # --- what is seen

    @property
    def volts(self) -> float:
        """The voltage at the feeder's end, per unit."""
        return self.fleet.voltages(0)[-1]

    def sample(self) -> Sample:
        """How the feeder is now."""
        return Sample(self.fleet.clock.now(), self.volts, self.fleet.power())

    def _are_there(self) -> bool:
        """Whether nearly all devices have come, and every aggregator."""
        stations = self.fleet.stations
        settled = [station for station in stations if station.is_settled]
        return len(settled) > 0.9 * len(stations) and all(
            station.is_settled for station in stations if station.is_aggregator
        )

    def _began(self, control: Dispatched) -> bool:
        return self.fleet.clock.now() > control.start + LOOK

    def _ended(self, control: Dispatched) -> bool:
        return self.fleet.clock.now() > control.end + 2 * LOOK

    # --- what is done

    async def _dispatch(self, title: str, base: dict[str, Any], lasts: int) -> Dispatched:
        start = int(self.fleet.clock.now()) + AHEAD
        content = {
            "program": self._program,
            "description": title,
            "start": start,
            "duration": lasts,
            "base": base,
        }
        made = await self._ask(lambda api: api.post("/controls", content).value)
        (control,) = made["items"]
        dispatched = Dispatched(title, control["number"], start, start + lasts)
        self.dispatched.append(dispatched)
        self._tell(
            f"The operator dispatches control {dispatched.number}: {title}, for {lasts // 60} minutes."
        )
        return dispatched

    async def _make_curve(self) -> str:
        curve = {
            "description": "demo",
            "curveType": _VOLT_VAR_TYPE,
            "CurveData": [{"xvalue": x, "yvalue": y} for x, y in CURVE],
            "xMultiplier": 0,
            "yMultiplier": 0,
            "yRefType": _SET_MAX_VAR,
        }
        made = await self._ask(lambda api: api.post(f"/programs/{self._program}/curves", curve).value)
        href: str = made["href"]
        return href

    async def _look(self) -> None:
        """See how the feeder is, and what devices have answered."""
        self.history.append(self.sample())
        if self.dispatched:
            control = self.dispatched[-1]
            path = f"/controls/{control.number}/answers"
            control.answers = await self._ask(lambda api: api.get(path).value)

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        ends = self.fleet.clock.now() + PATIENCE
        while not holds():
            assert self.fleet.clock.now() < ends, f"{what}: that does not happen"
            await self._pause(LOOK)

    async def _pause_until(self, moment: float) -> None:
        while self.fleet.clock.now() < moment:
            await self._pause(min(LOOK, moment - self.fleet.clock.now()))

    async def _pause(self, seconds: float) -> None:
        waited: Deferred[None] = Deferred()
        self.fleet.clock.call_at(self.fleet.clock.now() + seconds, lambda: waited.callback(None))
        await waited
        await self._look()

    # --- what is said

    def _tell(self, sentence: str) -> None:
        self._say(self.fleet.clock.now(), sentence)

    async def _tell_who_does_not(self, control: Dispatched) -> None:
        """Say who has answered, and what the readings say of who obeys, as the operator's API has both."""
        said = control.answers
        self._tell(
            f"Of {said.get('asked', 0)} asked {said.get('received', 0)} have received it and"
            f" {said.get('started', 0)} have started."
        )
        if silent := said.get("silent_names"):
            self._tell(f"Silent: {', '.join(silent)}.")
        path = f"/controls/{control.number}/delivery"
        delivered = await self._ask(lambda api: api.get(path, limit=len(self.fleet.units)).value)
        control.verdicts = {one["device_name"]: one["verdict"] for one in delivered.get("items", ())}
        for verdict in ("obeyed", "not obeyed", "no readings"):
            names = [name for name, given in control.verdicts.items() if given == verdict]
            if names:
                shown = str(len(names)) if verdict == "obeyed" else ", ".join(names)
                self._tell(f"By their readings {verdict}: {shown}.")

    def _kilowatts(self) -> str:
        return _kilowatts(self.sample())


def _kilowatts(sample: Sample) -> str:
    return f"{sample.watts / 1000:.0f} kW"


def clock_text(moment: float, offset: float) -> str:
    """The time of the simulated day.

    :param offset: what is added to a moment (s) so that the sun stands highest at 12
    """
    return f"{datetime.fromtimestamp(moment + offset, UTC):%H:%M}"


#: Who misbehaves in the story.
MISBEHAVING: Final = {Behaviour.SILENT: 1, Behaviour.NON_COMPLIANT: 1}
