"""What a plant says of itself: DERCapability, DERSettings, DERStatus and DERAvailability (10.10).

Values are rounded to whole watts, vars and so on, or to what fits their type.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

from csipd.sep2 import resources as r
from csipd.sep2.quantities import magnitude
from csipd.sep2.schema import Element
from csipd.sep2.types import (
    ConnectStatus,
    InverterState,
    LocalControlMode,
    OperationalMode,
    StorageMode,
)
from csipd.sim.alarms import bits
from csipd.sim.inverter import Nameplate, Orders, Stage
from csipd.sim.plant import HOUR, Output, Plant

E = TypeVar("E", bound=Element)

_RESTS = 1.0  # W: what flows less counts as nothing


def rounded(kind: type[E], amount: float, decimals: int = 0) -> E:
    """The quantity of a class such as ActivePower that is next to an amount in its unit.

    :param decimals: how many to keep, where they fit
    """
    size = magnitude(kind)
    if size is None:
        raise TypeError(f"{kind.__name__} is no quantity")
    for multiplier in range(-decimals, 10):
        value = int(Decimal(amount).scaleb(-multiplier).to_integral_value())
        if size.low <= value <= size.high:
            return kind(**{"multiplier": multiplier, size.name: value})
    raise ValueError(f"{amount} does not fit {kind.__name__}")


def capability(plant: Plant) -> r.DERCapability:
    """Its nameplate."""
    rated, values = plant.nameplate, _ratings(plant, "rtg")
    return r.DERCapability(modesSupported=rated.modes, type=plant.kind, **values)


def settings(plant: Plant, orders: Orders, updated: int) -> r.DERSettings:
    """How it is set: to its ratings, its ramps as they were ordered.

    :param updated: since when (TimeType)
    """
    rated = plant.nameplate
    soft = orders.settings.get("setSoftGradW")
    return r.DERSettings(
        modesEnabled=rated.modes,
        setESDelay=orders.settings.get("setESDelay"),
        setGradW=orders.settings.get("setGradW", 0),
        setSoftGradW=soft,
        setVRef=rounded(r.VoltageRMS, rated.volts, 1),
        updatedTime=updated,
        **_ratings(plant, "set"),
    )


def status(
    plant: Plant, output: Output, orders: Orders, now: int, before: r.DERStatus | None = None
) -> r.DERStatus:
    """What it does; each part says since when it does so.

    :param before: what it said last
    """

    def part(name: str, kind: type[Any], value: int | None) -> Any:
        if value is None:
            return None
        said = getattr(before, name, None)
        return said if said is not None and said.value == value else kind(dateTime=now, value=value)

    generates, stores = plant.pv is not None, plant.battery is not None
    connect = _connect_status(output)
    charge = output.state_of_charge
    remote = LocalControlMode.REMOTE if orders.modes else LocalControlMode.LOCAL
    off = output.stage is Stage.OPEN
    return r.DERStatus(
        alarmStatus=bits(output.alarms),
        genConnectStatus=part("genConnectStatus", r.ConnectStatusType, connect if generates else None),
        inverterStatus=part("inverterStatus", r.InverterStatusType, _inverter_state(plant, output)),
        localControlModeStatus=part("localControlModeStatus", r.LocalControlModeStatusType, remote),
        operationalModeStatus=part(
            "operationalModeStatus",
            r.OperationalModeStatusType,
            OperationalMode.OFF if off else OperationalMode.OPERATIONAL,
        ),
        readingTime=now,
        stateOfChargeStatus=part(
            "stateOfChargeStatus",
            r.StateOfChargeStatusType,
            None if charge is None else round(charge * 10000),
        ),
        storageModeStatus=part(
            "storageModeStatus", r.StorageModeStatusType, _storage_mode(output) if stores else None
        ),
        storConnectStatus=part("storConnectStatus", r.ConnectStatusType, connect if stores else None),
    )


def availability(plant: Plant, output: Output, now: int) -> r.DERAvailability:
    """What it holds in reserve: beyond what it does now, and how long its battery lasts at full power."""
    rated, battery = plant.nameplate, plant.battery
    reserve = max(0.0, output.available_w - output.w)
    stored: dict[str, Any] = {}
    if battery is not None:
        into = (battery.capacity_wh - battery.charge_wh) / battery.efficiency
        charging = min(1.0, battery.intake(HOUR) / rated.max_charge_w)
        stored = {
            "availabilityDuration": round(battery.charge_wh * battery.efficiency * HOUR / rated.max_w),
            "maxChargeDuration": round(into * HOUR / rated.max_charge_w),
            "reserveChargePercent": round(charging * 10000),
        }
    return r.DERAvailability(
        readingTime=now,
        reservePercent=min(10000, round(reserve / rated.max_w * 10000)),
        statVarAvail=rounded(r.ReactivePower, rated.vars_beside(output.w) - abs(output.var)),
        statWAvail=rounded(r.ActivePower, reserve),
        **stored,
    )


def _ratings(plant: Plant, prefix: str) -> dict[str, Any]:
    """Fields of DERCapability (rtg) or DERSettings (set), by name."""
    rated: Nameplate = plant.nameplate
    found: dict[str, Element] = {
        "MaxW": rounded(r.ActivePower, rated.max_w),
        "MaxVA": rounded(r.ApparentPower, rated.max_va),
        "MaxVar": rounded(r.ReactivePower, rated.max_var),
        "MaxVarNeg": rounded(r.ReactivePower, -rated.max_var),
        "VNom": rounded(r.VoltageRMS, rated.volts, 1),
    }
    if plant.battery is not None:
        found["MaxChargeRateW"] = rounded(r.ActivePower, rated.max_charge_w)
        found["MaxDischargeRateW"] = rounded(r.ActivePower, rated.max_w)
        found["MaxWh"] = rounded(r.WattHour, plant.battery.capacity_wh)
    return {f"{prefix}{name}": value for name, value in found.items()}


def _connect_status(output: Output) -> int:
    if output.stage is Stage.OPEN:
        return 0
    running = output.stage is not Stage.WAITING and abs(output.w) >= _RESTS
    return ConnectStatus.CONNECTED | ConnectStatus.AVAILABLE | (ConnectStatus.OPERATING if running else 0)


def _inverter_state(plant: Plant, output: Output) -> InverterState:
    if output.stage is Stage.OPEN:
        return InverterState.OFF
    if output.stage is not Stage.RUNNING:
        return InverterState.STARTING
    if output.held_back:
        return InverterState.FORCED_POWER_REDUCTION
    if abs(output.w) >= _RESTS:
        return InverterState.TRACKING_POWER_POINT
    return InverterState.SLEEPING if plant.battery is None else InverterState.STANDBY


def _storage_mode(output: Output) -> StorageMode:
    if abs(output.battery_w) < _RESTS:
        return StorageMode.HOLDING
    return StorageMode.DISCHARGING if output.battery_w > 0 else StorageMode.CHARGING
