"""Demand response and load control (IEEE 2030.5-2018 10.3)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, Link, List, ListLink, Resource, SubscribableList
from csipd.sep2.resources.event import RandomizableEvent
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    ApplianceLoadReductionType,
    Boolean,
    DeviceCategoryType,
    Int16,
    PerCent,
    PrimacyType,
    UInt8,
    UInt16,
    UInt32,
    UnitType,
)


class ApplianceLoadReduction(Element):
    """How an appliance is to save."""

    type: ApplianceLoadReductionType


class DutyCycle(Element):
    """For how much of the time a load may run, in percent."""

    normalValue: UInt8


class Offset(Element):
    """By how much set points move, in tenths of a degree Celsius, or load in hundredths of a percent."""

    coolingOffset: UInt8 | None = None
    heatingOffset: UInt8 | None = None
    loadAdjustmentPercentageOffset: PerCent | None = None


class SetPoint(Element):
    """Set points, in hundredths of a degree Celsius."""

    coolingSetpoint: Int16 | None = None
    heatingSetpoint: Int16 | None = None


class TargetReduction(Element):
    """By how much to reduce, in the unit that `type` names."""

    type: UnitType
    value: UInt16


class DemandResponseProgram(IdentifiedObject):
    """A program of load controls."""

    ActiveEndDeviceControlListLink: r.ActiveEndDeviceControlListLink | None = None
    availabilityUpdatePercentChangeThreshold: PerCent | None = None
    availabilityUpdatePowerChangeThreshold: r.ActivePower | None = None
    EndDeviceControlListLink: r.EndDeviceControlListLink | None = None
    primacy: PrimacyType


class DemandResponseProgramLink(Link):
    """To DemandResponseProgram."""


class DemandResponseProgramList(SubscribableList):
    """A page of a list of DemandResponseProgram."""

    pollRate: Attribute[UInt32] = 900
    DemandResponseProgram: tuple[r.DemandResponseProgram, ...] = ()


class DemandResponseProgramListLink(ListLink):
    """To a list of DemandResponseProgram."""


class EndDeviceControl(RandomizableEvent):
    """An event that controls loads."""

    ApplianceLoadReduction: r.ApplianceLoadReduction | None = None
    deviceCategory: DeviceCategoryType
    drProgramMandatory: Boolean
    DutyCycle: r.DutyCycle | None = None
    loadShiftForward: Boolean
    Offset: r.Offset | None = None
    overrideDuration: UInt16 | None = None
    SetPoint: r.SetPoint | None = None
    TargetReduction: r.TargetReduction | None = None


class EndDeviceControlList(SubscribableList):
    """A page of a list of EndDeviceControl."""

    EndDeviceControl: tuple[r.EndDeviceControl, ...] = ()


class EndDeviceControlListLink(ListLink):
    """To a list of EndDeviceControl."""


class ActiveEndDeviceControlListLink(ListLink):
    """To the list of EndDeviceControls that are active now."""


class LoadShedAvailability(Resource):
    """What a device could shed, and for how many seconds."""

    availabilityDuration: UInt32 | None = None
    DemandResponseProgramLink: r.DemandResponseProgramLink | None = None
    sheddablePercent: PerCent | None = None
    sheddablePower: r.ActivePower | None = None


class LoadShedAvailabilityList(List):
    """A page of a list of LoadShedAvailability."""

    pollRate: Attribute[UInt32] = 900
    LoadShedAvailability: tuple[r.LoadShedAvailability, ...] = ()


class LoadShedAvailabilityListLink(ListLink):
    """To a list of LoadShedAvailability."""
