"""Distributed energy resources: what a device is, how it is set, how it does (IEEE 2030.5-2018 10.10)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link, List, ListLink, Resource, SubscribableResource
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    DERControlType,
    DERType,
    HexBinary8,
    HexBinary32,
    Int16,
    PerCent,
    String6,
    TimeType,
    UInt8,
    UInt16,
    UInt32,
)


class DER(SubscribableResource):
    """One energy resource of a device: links to its reports."""

    AssociatedDERProgramListLink: r.AssociatedDERProgramListLink | None = None
    AssociatedUsagePointLink: r.AssociatedUsagePointLink | None = None
    CurrentDERProgramLink: r.CurrentDERProgramLink | None = None
    DERAvailabilityLink: r.DERAvailabilityLink | None = None
    DERCapabilityLink: r.DERCapabilityLink | None = None
    DERSettingsLink: r.DERSettingsLink | None = None
    DERStatusLink: r.DERStatusLink | None = None


class DERLink(Link):
    """To DER."""


class DERList(List):
    """A page of a list of DER."""

    pollRate: Attribute[UInt32] = 900
    DER: tuple[r.DER, ...] = ()


class DERListLink(ListLink):
    """To a list of DER."""


class AssociatedUsagePointLink(Link):
    """To the UsagePoint that meters this DER."""


class AssociatedDERProgramListLink(ListLink):
    """To the list of DERPrograms this DER is under."""


class CurrentDERProgramLink(Link):
    """To the DERProgram that this DER is following."""


class DERCapability(Resource):
    """Nameplate ratings; `modesSupported` holds flags of MODES, `type` is a DERKind."""

    modesSupported: DERControlType
    rtgAbnormalCategory: UInt8 | None = None
    rtgMaxA: r.CurrentRMS | None = None
    rtgMaxAh: r.AmpereHour | None = None
    rtgMaxChargeRateVA: r.ApparentPower | None = None
    rtgMaxChargeRateW: r.ActivePower | None = None
    rtgMaxDischargeRateVA: r.ApparentPower | None = None
    rtgMaxDischargeRateW: r.ActivePower | None = None
    rtgMaxV: r.VoltageRMS | None = None
    rtgMaxVA: r.ApparentPower | None = None
    rtgMaxVar: r.ReactivePower | None = None
    rtgMaxVarNeg: r.ReactivePower | None = None
    rtgMaxW: r.ActivePower
    rtgMaxWh: r.WattHour | None = None
    rtgMinPFOverExcited: r.PowerFactor | None = None
    rtgMinPFUnderExcited: r.PowerFactor | None = None
    rtgMinV: r.VoltageRMS | None = None
    rtgNormalCategory: UInt8 | None = None
    rtgOverExcitedPF: r.PowerFactor | None = None
    rtgOverExcitedW: r.ActivePower | None = None
    rtgReactiveSusceptance: r.ReactiveSusceptance | None = None
    rtgUnderExcitedPF: r.PowerFactor | None = None
    rtgUnderExcitedW: r.ActivePower | None = None
    rtgVNom: r.VoltageRMS | None = None
    type: DERType


class DERCapabilityLink(Link):
    """To DERCapability."""


class DERSettings(SubscribableResource):
    """Present settings, each at most its rating; enter service times in hundredths of a second."""

    modesEnabled: DERControlType | None = None
    setESDelay: UInt32 | None = None
    setESHighFreq: UInt16 | None = None
    setESHighVolt: Int16 | None = None
    setESLowFreq: UInt16 | None = None
    setESLowVolt: Int16 | None = None
    setESRampTms: UInt32 | None = None
    setESRandomDelay: UInt32 | None = None
    setGradW: UInt16
    setMaxA: r.CurrentRMS | None = None
    setMaxAh: r.AmpereHour | None = None
    setMaxChargeRateVA: r.ApparentPower | None = None
    setMaxChargeRateW: r.ActivePower | None = None
    setMaxDischargeRateVA: r.ApparentPower | None = None
    setMaxDischargeRateW: r.ActivePower | None = None
    setMaxV: r.VoltageRMS | None = None
    setMaxVA: r.ApparentPower | None = None
    setMaxVar: r.ReactivePower | None = None
    setMaxVarNeg: r.ReactivePower | None = None
    setMaxW: r.ActivePower
    setMaxWh: r.WattHour | None = None
    setMinPFOverExcited: r.PowerFactor | None = None
    setMinPFUnderExcited: r.PowerFactor | None = None
    setMinV: r.VoltageRMS | None = None
    setSoftGradW: UInt16 | None = None
    setVNom: r.VoltageRMS | None = None
    setVRef: r.VoltageRMS | None = None
    setVRefOfs: r.VoltageRMS | None = None
    updatedTime: TimeType


class DERSettingsLink(Link):
    """To DERSettings."""


class ConnectStatusType(Element):
    """Bits of ConnectStatus, and since when."""

    dateTime: TimeType
    value: HexBinary8


class InverterStatusType(Element):
    """An InverterState, and since when."""

    dateTime: TimeType
    value: UInt8


class LocalControlModeStatusType(Element):
    """A LocalControlMode, and since when."""

    dateTime: TimeType
    value: UInt8


class ManufacturerStatusType(Element):
    """A word of the manufacturer's, and since when."""

    dateTime: TimeType
    value: String6


class OperationalModeStatusType(Element):
    """An OperationalMode, and since when."""

    dateTime: TimeType
    value: UInt8


class StateOfChargeStatusType(Element):
    """The state of charge, and since when."""

    dateTime: TimeType
    value: PerCent


class StorageModeStatusType(Element):
    """A StorageMode, and since when."""

    dateTime: TimeType
    value: UInt8


class DERStatus(SubscribableResource):
    """Present status; `alarmStatus` has a bit for each Alarm."""

    alarmStatus: HexBinary32 | None = None
    genConnectStatus: r.ConnectStatusType | None = None
    inverterStatus: r.InverterStatusType | None = None
    localControlModeStatus: r.LocalControlModeStatusType | None = None
    manufacturerStatus: r.ManufacturerStatusType | None = None
    operationalModeStatus: r.OperationalModeStatusType | None = None
    readingTime: TimeType
    stateOfChargeStatus: r.StateOfChargeStatusType | None = None
    storageModeStatus: r.StorageModeStatusType | None = None
    storConnectStatus: r.ConnectStatusType | None = None


class DERStatusLink(Link):
    """To DERStatus."""


class DERAvailability(SubscribableResource):
    """How much power is in reserve, and for how many seconds."""

    availabilityDuration: UInt32 | None = None
    maxChargeDuration: UInt32 | None = None
    readingTime: TimeType
    reserveChargePercent: PerCent | None = None
    reservePercent: PerCent | None = None
    statVarAvail: r.ReactivePower | None = None
    statWAvail: r.ActivePower | None = None


class DERAvailabilityLink(Link):
    """To DERAvailability."""
