"""Power status: what a device runs on (IEEE 2030.5-2018 9.4)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link, Resource
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import PerCent, PowerSourceType, TimeType, UInt8, UInt32


class PEVInfo(Element):
    """What a plugged-in electric vehicle needs, by when, and what it can take."""

    chargingPowerNow: r.ActivePower
    energyRequestNow: r.RealEnergy
    maxForwardPower: r.ActivePower
    minimumChargingDuration: UInt32
    targetStateOfCharge: PerCent
    timeChargeIsNeeded: TimeType
    timeChargingStatusPEV: TimeType


class PowerStatus(Resource):
    """The power source of a device and the state of its battery."""

    pollRate: Attribute[UInt32] = 900
    batteryStatus: UInt8
    changedTime: TimeType
    currentPowerSource: PowerSourceType
    estimatedChargeRemaining: PerCent | None = None
    estimatedTimeRemaining: UInt32 | None = None
    PEVInfo: r.PEVInfo | None = None
    sessionTimeOnBattery: UInt32 | None = None
    totalTimeOnBattery: UInt32 | None = None


class PowerStatusLink(Link):
    """To PowerStatus."""
