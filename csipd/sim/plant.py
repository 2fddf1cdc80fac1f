"""What stands at a customer's: panels, a battery or both behind one inverter, and what they do over time."""

from __future__ import annotations

from typing import Final

from attrs import define, field, frozen
from attrs.validators import ge, gt, le

from csipd.sep2.types import Alarm, DERKind, DeviceCategory
from csipd.sim.alarms import Limits
from csipd.sim.inverter import Inverter, Nameplate, Orders, Room, Stage
from csipd.sim.sun import STANDARD, Sun

HOUR: Final = 3600.0  # s


@frozen
class PV:
    """Panels.

    :param peak_w: what they give at 1,000 W/m2 (W)
    """

    peak_w: float = field(validator=gt(0.0))
    sun: Sun = field(factory=Sun)

    def watts(self, moment: float) -> float:
        """What they can give (W) at a moment (TimeType)."""
        return self.peak_w * self.sun.irradiance(moment) / STANDARD


@define
class Battery:
    """A battery behind the inverter; power is counted at the inverter's side.

    :param capacity_wh: what it holds when full (Wh)
    :param charge_wh: what is in it (Wh)
    :param efficiency: of one way, in or out: 0.95 each way give 0.9 of the round trip
    """

    capacity_wh: float = field(validator=gt(0.0))
    charge_wh: float = field(validator=ge(0.0))
    efficiency: float = field(default=0.95, validator=[gt(0.0), le(1.0)])

    def __attrs_post_init__(self) -> None:
        if self.charge_wh > self.capacity_wh:
            raise ValueError(f"a battery of {self.capacity_wh} Wh cannot hold {self.charge_wh} Wh")

    @property
    def state_of_charge(self) -> float:
        """0 empty, 1 full."""
        return self.charge_wh / self.capacity_wh

    def supply(self, seconds: float) -> float:
        """The power that it could give all through a lapse (W)."""
        return self.charge_wh * self.efficiency * HOUR / seconds

    def intake(self, seconds: float) -> float:
        """The power that it could take all through a lapse (W)."""
        return (self.capacity_wh - self.charge_wh) / self.efficiency * HOUR / seconds

    def run(self, watts: float, seconds: float) -> None:
        """Give `watts` for a lapse, or take them where they are negative, within `supply` and `intake`."""
        energy = watts * seconds / HOUR
        spent = energy / self.efficiency if energy > 0.0 else energy * self.efficiency
        self.charge_wh = min(self.capacity_wh, max(0.0, self.charge_wh - spent))


@frozen
class Output:
    """What a plant does, and what it sees.

    :param w: fed in (W); negative where it takes in
    :param var: fed in (var)
    :param volts: at its terminals (V)
    :param hertz: (Hz)
    :param available_w: what it could feed in now (W)
    :param battery_w: what its battery gives of that (W), negative while it charges
    :param state_of_charge: 0..1, None without a battery
    :param held_back: an order or protection keeps it below what the source gives by itself
    """

    w: float
    var: float
    volts: float
    hertz: float
    available_w: float
    battery_w: float
    state_of_charge: float | None
    stage: Stage
    held_back: bool
    alarms: frozenset[Alarm]


class Plant:
    """Panels, a battery or both behind one inverter.

    By itself it feeds in what the panels give, and the battery rests. Held below that it charges the battery
    with what is too much; ordered above that it takes the rest from the battery.

    `fed_in_wh` and `taken_wh` are its meter's registers (Wh).
    """

    def __init__(
        self,
        nameplate: Nameplate,
        pv: PV | None = None,
        battery: Battery | None = None,
        limits: Limits | None = None,
    ) -> None:
        if pv is None and battery is None:
            raise ValueError("a plant has panels, a battery or both")
        if (battery is None) != (nameplate.max_charge_w == 0.0):
            raise ValueError("max_charge_w goes with a battery")
        self.nameplate = nameplate
        self.pv = pv
        self.battery = battery
        self.limits = Limits() if limits is None else limits
        self.fed_in_wh = 0.0
        self.taken_wh = 0.0
        self._inverter = Inverter(nameplate)
        self._alarms: frozenset[Alarm] = frozenset()

    @property
    def kind(self) -> DERKind:
        """DERCapability.type."""
        if self.battery is None:
            return DERKind.PHOTOVOLTAIC
        return DERKind.OTHER_STORAGE if self.pv is None else DERKind.COMBINED_PV_AND_STORAGE

    @property
    def category(self) -> DeviceCategory:
        """EndDevice.deviceCategory."""
        if self.battery is None:
            return DeviceCategory.PHOTOVOLTAIC
        return DeviceCategory.OTHER_STORAGE if self.pv is None else DeviceCategory.COMBINED_PV_AND_STORAGE

    def step(self, now: float, seconds: float, volts_pu: float, hertz: float, orders: Orders) -> Output:
        """Let time pass until `now` (TimeType).

        :param seconds: since the last step, more than 0
        :param volts_pu: the voltage at its terminals through that lapse, of the nominal one
        """
        if seconds <= 0.0:
            raise ValueError(f"time passes forward, not by {seconds} s")
        panels = 0.0 if self.pv is None else self.pv.watts(now)
        room = self._room(panels, seconds)
        flow = self._inverter.step(now, seconds, room, volts_pu, hertz, orders)
        battery = self._run_battery(flow.w - panels, seconds, flow.stage)
        energy = flow.w * seconds / HOUR
        self.fed_in_wh += max(0.0, energy)
        self.taken_wh += max(0.0, -energy)
        self._alarms = self.limits.alarms(self._alarms, volts_pu, hertz)
        return Output(
            flow.w,
            flow.var,
            volts_pu * self.nameplate.volts,
            hertz,
            room.most,
            battery,
            None if self.battery is None else self.battery.state_of_charge,
            flow.stage,
            flow.held_back,
            self._alarms,
        )

    def _room(self, panels: float, seconds: float) -> Room:
        rated = self.nameplate
        own = min(panels, rated.max_w)
        if self.battery is None:
            return Room(0.0, own, own)
        least = -min(rated.max_charge_w, self.battery.intake(seconds))
        return Room(least, own, min(rated.max_w, panels + self.battery.supply(seconds)))

    def _run_battery(self, watts: float, seconds: float, stage: Stage) -> float:
        """The battery gives what the panels lack and takes what they have too much: how much that is (W)."""
        if self.battery is None or stage in (Stage.OPEN, Stage.WAITING):
            return 0.0
        most = min(self.nameplate.max_charge_w, self.battery.intake(seconds))
        watts = max(-most, min(self.battery.supply(seconds), watts))
        self.battery.run(watts, seconds)
        return watts
