"""What an inverter makes of its orders: the DER control modes as arithmetic (IEEE 2030.5-2018 10.10.4).

In the order in which they bind:

1. *Open*: opModConnect or opModEnergize false: nothing flows, at once. After setESDelay it starts again from
   0 and rises by setSoftGradW.
2. *Where to*: opModFixedW or opModTargetW, of both the one nearer to 0; else what the source gives by itself;
   no more than opModMaxLimW lets.
3. *How fast*: a new order with rampTms is reached in that time, all other changes by setGradW. What the
   source cannot give is lost at once: no ramp holds up the sun.
4. *Protection*, by its own open loop response and through no ramp: opModVoltWatt and opModFreqWatt are
   ceilings, opModFreqDroop takes away above its deadband and adds below it.
5. *Vars*: of opModFixedPFInjectW (opModFixedPFAbsorbW where power is taken in), opModFixedVar,
   opModTargetVar, opModVoltVar, opModWattPF and opModWattVar the one of the least magnitude.
6. *Capability*: vars first. They are kept up to max_var, and watts give way to what of max_va is left.

Feeding in is positive for watts; vars that are fed in are positive too, raise the voltage, and are what
excitation false (over-excited) means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from attrs import field, frozen
from attrs.validators import ge, gt

from csipd.der.client import ModeInForce
from csipd.sep2 import resources as r
from csipd.sep2.types import CHARGE_FLAG, DISCHARGE_FLAG, MODE, UnitRef
from csipd.sim.curves import Curve
from csipd.sim.response import Lag

#: The modes that are followed: DERControlType flags. The ride-through curves are not.
FOLLOWED: Final = sum(
    MODE[name].flag
    for name in (
        "opModConnect",
        "opModEnergize",
        "opModFixedPFAbsorbW",
        "opModFixedPFInjectW",
        "opModFixedVar",
        "opModFixedW",
        "opModFreqDroop",
        "opModFreqWatt",
        "opModMaxLimW",
        "opModTargetVar",
        "opModTargetW",
        "opModVoltVar",
        "opModVoltWatt",
        "opModWattPF",
        "opModWattVar",
    )
)
OPEN_LOOP: Final = 5.0  # s: the response of a curve that names none
_WATTS: Final = ("opModFixedW", "opModTargetW", "opModMaxLimW")
_NEGLIGIBLE: Final = 1e-6  # W


@frozen
class Nameplate:
    """Ratings of an inverter; they are its settings too.

    :param max_w: the most that it feeds in (W)
    :param max_va: of watts and vars together (VA)
    :param max_var: the most that it feeds in and the most that it takes (var)
    :param max_charge_w: the most that it takes for its battery (W)
    :param volts: nominal (V)
    :param hertz: nominal (Hz)
    """

    max_w: float = field(validator=gt(0.0))
    max_va: float = field(validator=gt(0.0))
    max_var: float = field(validator=ge(0.0))
    max_charge_w: float = field(default=0.0, validator=ge(0.0))
    volts: float = field(default=240.0, validator=gt(0.0))
    hertz: float = field(default=60.0, validator=gt(0.0))

    @property
    def modes(self) -> int:
        """The DERControlType flags of what it follows."""
        return FOLLOWED | DISCHARGE_FLAG | (CHARGE_FLAG if self.max_charge_w else 0)

    def vars_beside(self, w: float) -> float:
        """The vars that may flow beside `w`, either way (statVarAvail)."""
        return min(self.max_var, math.sqrt(max(0.0, self.max_va**2 - w**2)))


@frozen
class Orders:
    """What an inverter is told.

    :param modes: what holds each mode, as `der.client.Device.modes` gives it
    :param curves: by href, as the modes' links name them; a mode whose curve is not here is not followed
    :param settings: as `der.client.Device.settings` gives them: setGradW, setSoftGradW (0.01 % of max_w per
        second, 0: no limit), setESDelay (0.01 s)
    """

    modes: Mapping[str, ModeInForce] = field(factory=dict)
    curves: Mapping[str, Curve] = field(factory=dict)
    settings: Mapping[str, int] = field(factory=dict)

    def value(self, mode: str) -> Any:
        """The value of a mode as in DERControlBase, None where nothing holds it."""
        held = self.modes.get(mode)
        return None if held is None else held.value

    def curve(self, mode: str) -> Curve | None:
        """The curve that a mode follows."""
        link = self.value(mode)
        return None if link is None else self.curves.get(link.href)

    def gradient(self, setting: str, max_w: float) -> float:
        """A ramp rate in W/s; without one, or with 0, there is no limit."""
        value = self.settings.get(setting)
        return max_w * value / 10000 if value else math.inf


class Stage(Enum):
    """Where an inverter stands."""

    OPEN = "open"  # disconnected, or not energized
    WAITING = "waiting"  # closed again, and it waits for setESDelay
    STARTING = "starting"  # it rises by setSoftGradW
    RUNNING = "running"


@frozen
class Room:
    """What the source of an inverter allows now (W, feeding in positive).

    :param least: the least, negative where a battery can be charged
    :param own: what comes if nobody orders anything
    :param most: the most
    """

    least: float
    own: float
    most: float


@frozen
class Flow:
    """What an inverter does.

    :param w: fed in (W)
    :param var: fed in (var)
    :param held_back: an order or protection keeps it below what the source gives by itself
    """

    w: float
    var: float
    stage: Stage
    held_back: bool


class Inverter:
    """One inverter: its ratings, and what it remembers from one step to the next."""

    def __init__(self, nameplate: Nameplate) -> None:
        self.nameplate = nameplate
        self._stage = Stage.RUNNING
        self._closes = -math.inf  # when what was open starts again
        self._ramped: float | None = None  # W; None before the first step: nothing to ramp from
        self._ordered: object = None
        self._rate: float | None = None  # W/s until a new order is reached; None: by the settings
        self._lags: dict[str, Lag] = {}

    def step(
        self, now: float, seconds: float, room: Room, volts_pu: float, hertz: float, orders: Orders
    ) -> Flow:
        """Let time pass until `now` (TimeType), `seconds` after the last step.

        :param volts_pu: of the nominal voltage, at its terminals
        """
        self._lags = {mode: lag for mode, lag in self._lags.items() if mode in orders.modes}
        self._switch(now, orders)
        if self._stage in (Stage.OPEN, Stage.WAITING):
            self._ramped, self._ordered, self._rate = 0.0, None, None
            self._lags.clear()
            return Flow(0.0, 0.0, self._stage, held_back=room.own > _NEGLIGIBLE)
        aim = self._aim(room, orders)
        w = self._ramp(seconds, aim, room, orders)
        w = self._protect(seconds, w, room, volts_pu, hertz, orders)
        w, var = self._share(seconds, w, room, volts_pu, orders)
        return Flow(w, var, self._stage, held_back=w < room.own - max(1.0, 0.001 * room.own))

    def _switch(self, now: float, orders: Orders) -> None:
        if orders.value("opModConnect") is False or orders.value("opModEnergize") is False:
            self._stage = Stage.OPEN
        elif self._stage is Stage.OPEN:
            self._stage = Stage.WAITING
            self._closes = now + orders.settings.get("setESDelay", 0) / 100
        if self._stage is Stage.WAITING and now >= self._closes:
            self._stage = Stage.STARTING

    def _aim(self, room: Room, orders: Orders) -> float:
        """Where the active power should go (W), without ramps."""
        rated, aims = self.nameplate, []
        if (share := orders.value("opModFixedW")) is not None:
            aims.append(share / 10000 * (rated.max_w if share >= 0 else rated.max_charge_w))
        if (target := orders.value("opModTargetW")) is not None:
            aims.append(amount(target))
        aim = min(aims, key=abs, default=room.own)
        if (limit := orders.value("opModMaxLimW")) is not None:
            aim = min(aim, limit / 10000 * rated.max_w)
        return max(room.least, min(room.most, aim))

    def _ramp(self, seconds: float, aim: float, room: Room, orders: Orders) -> float:
        """How far it gets there within a lapse (W)."""
        held = [orders.modes[mode] for mode in _WATTS if mode in orders.modes]
        ordered = [(mode.source, mode.value) for mode in held]
        before = aim if self._ramped is None else max(room.least, min(room.most, self._ramped))
        if ordered != self._ordered:
            times = [mode.rampTms for mode in held if mode.rampTms is not None]
            self._ordered = ordered
            self._rate = _per_second(abs(aim - before), max(times) / 100) if times else None
        if self._stage is Stage.STARTING:
            soft = "setSoftGradW" if "setSoftGradW" in orders.settings else "setGradW"
            rate = orders.gradient(soft, self.nameplate.max_w)
        elif self._rate is not None:
            rate = self._rate
        else:
            rate = orders.gradient("setGradW", self.nameplate.max_w)
        step = rate * seconds if seconds else 0.0
        self._ramped = max(before - step, min(before + step, aim))
        if self._ramped == aim:
            self._rate = None
            if self._stage is Stage.STARTING:
                self._stage = Stage.RUNNING
        return self._ramped

    def _protect(
        self, seconds: float, w: float, room: Room, volts_pu: float, hertz: float, orders: Orders
    ) -> float:
        """What is left of `w` under the curves and slopes that answer to voltage and frequency (W)."""
        rated, ceiling = self.nameplate, math.inf
        if (limit := orders.value("opModMaxLimW")) is not None:
            ceiling = max(w, limit / 10000 * rated.max_w)
        if (droop := orders.value("opModFreqDroop")) is not None:
            shift = self._follow(
                "opModFreqDroop", 0.0, _droop(droop, hertz, rated), seconds, droop.openLoopTms / 100
            )
            w = min(w + shift, ceiling)
        for mode, measured in (("opModVoltWatt", 100.0 * volts_pu), ("opModFreqWatt", hertz)):
            if (curve := orders.curve(mode)) is not None:
                share = self._follow(mode, 100.0, curve.at(measured), seconds, curve.open_loop) / 100
                w = min(w, share * (room.most if curve.reference == UnitRef.STAT_W_AVAIL else rated.max_w))
        return max(room.least, min(room.most, w))

    def _share(
        self, seconds: float, w: float, room: Room, volts_pu: float, orders: Orders
    ) -> tuple[float, float]:
        """Watts and vars within the capability, vars first."""
        rated = self.nameplate
        if room.least == room.most == 0.0:
            self._lags.clear()
            return 0.0, 0.0  # asleep: nothing runs the electronics
        wished = list(self._vars(seconds, w, volts_pu, orders))
        if not wished:
            return max(-rated.max_va, min(rated.max_va, w)), 0.0
        var, factor = min(wished, key=lambda wish: abs(wish[0]))
        if factor is not None:  # the vars go down with the watts
            w = max(-rated.max_va * factor, min(rated.max_va * factor, w))
            var = math.copysign(vars_at(w, factor), var)
        var = max(-rated.max_var, min(rated.max_var, var))
        left = math.sqrt(max(0.0, rated.max_va**2 - var**2))
        return max(-left, min(left, w)), var

    def _vars(
        self, seconds: float, w: float, volts_pu: float, orders: Orders
    ) -> Iterator[tuple[float, float | None]]:
        """What each mode asks for (var), and the power factor where it is one."""
        percent = 100.0 * w / self.nameplate.max_w
        fixed = orders.value("opModFixedPFInjectW" if w >= 0.0 else "opModFixedPFAbsorbW")
        if fixed is not None:
            factor = min(1.0, fixed.displacement * 10.0**fixed.multiplier)
            yield (-1 if fixed.excitation else 1) * vars_at(w, factor), factor
        if (curve := orders.curve("opModWattPF")) is not None:
            lack = self._follow("opModWattPF", 0.0, curve.at(percent), seconds, curve.open_loop)
            yield math.copysign(vars_at(w, 1.0 - abs(lack)), lack), 1.0 - abs(lack)
        if (target := orders.value("opModTargetVar")) is not None:
            yield amount(target), None
        if (wanted := orders.value("opModFixedVar")) is not None:
            yield wanted.value / 10000 * self._base(wanted.refType, w), None
        for mode, measured in (("opModVoltVar", 100.0 * volts_pu), ("opModWattVar", percent)):
            if (curve := orders.curve(mode)) is not None:
                share = self._follow(mode, 0.0, curve.at(measured), seconds, curve.open_loop) / 100
                yield share * self._base(curve.reference, w), None

    def _base(self, reference: int, w: float) -> float:
        """What a percentage of vars is taken of (var)."""
        if reference == UnitRef.SET_MAX_W:
            return self.nameplate.max_w
        if reference == UnitRef.STAT_VAR_AVAIL:
            return self.nameplate.vars_beside(w)
        return self.nameplate.max_var

    def _follow(
        self, mode: str, start: float, target: float, seconds: float, open_loop: float | None
    ) -> float:
        lag = self._lags.setdefault(mode, Lag(start))
        return lag.follow(target, seconds, OPEN_LOOP if open_loop is None else open_loop)


def amount(quantity: r.ActivePower | r.ReactivePower) -> float:
    """A quantity in its unit: W or var."""
    return float(quantity.value * 10.0**quantity.multiplier)


def vars_at(w: float, factor: float) -> float:
    """The magnitude of the vars that go with `w` (W) at a power factor."""
    return abs(w) * math.sqrt(1.0 - factor**2) / factor if factor > 0.0 else 0.0


def _per_second(distance: float, seconds: float) -> float:
    return distance / seconds if seconds else math.inf


def _droop(droop: r.FreqDroopType, hertz: float, rated: Nameplate) -> float:
    """What a frequency takes from the power (negative) or adds to it (W).

    dBOF and dBUF are deadbands in mHz. kOF and kUF are thousandths: the change of frequency, as a share of
    the nominal one, that takes or adds the whole of max_w.
    """
    above = hertz - rated.hertz - droop.dBOF / 1000
    below = rated.hertz - hertz - droop.dBUF / 1000
    if above > 0.0:
        return -above / (rated.hertz * max(1, droop.kOF) / 1000) * rated.max_w
    if below > 0.0:
        return below / (rated.hertz * max(1, droop.kUF) / 1000) * rated.max_w
    return 0.0
