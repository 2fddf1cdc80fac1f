"""Metering: usage points and their readings (IEEE 2030.5-2018 10.4)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, Link, ListLink, Resource, SubscribableList
from csipd.sep2.schema import Attribute
from csipd.sep2.types import (
    AccumulationBehaviourType,
    Boolean,
    CommodityType,
    ConsumptionBlockType,
    DataQualifierType,
    FlowDirectionType,
    HexBinary16,
    HexBinary160,
    Int48,
    KindType,
    PhaseCode,
    PowerOfTenMultiplierType,
    RoleFlagsType,
    ServiceKind,
    SubscribableType,
    TOUType,
    UInt8,
    UInt32,
    UInt48,
    UomType,
)


class UsagePointBase(IdentifiedObject):
    """What is metered, and in what role (bits of Role)."""

    roleFlags: RoleFlagsType
    serviceCategoryKind: ServiceKind
    status: UInt8


class UsagePoint(UsagePointBase):
    """A point of use with its meter readings."""

    deviceLFDI: HexBinary160 | None = None
    MeterReadingListLink: r.MeterReadingListLink | None = None


class UsagePointLink(Link):
    """To UsagePoint."""


class UsagePointList(SubscribableList):
    """A page of a list of UsagePoint."""

    pollRate: Attribute[UInt32] = 900
    UsagePoint: tuple[r.UsagePoint, ...] = ()


class UsagePointListLink(ListLink):
    """To a list of UsagePoint."""


class MeterReadingBase(IdentifiedObject):
    """What meter readings and their mirrors share."""


class MeterReading(MeterReadingBase):
    """The readings of one kind at a usage point."""

    RateComponentListLink: r.RateComponentListLink | None = None
    ReadingLink: r.ReadingLink | None = None
    ReadingSetListLink: r.ReadingSetListLink | None = None
    ReadingTypeLink: r.ReadingTypeLink


class MeterReadingLink(Link):
    """To MeterReading."""


class MeterReadingList(SubscribableList):
    """A page of a list of MeterReading."""

    MeterReading: tuple[r.MeterReading, ...] = ()


class MeterReadingListLink(ListLink):
    """To a list of MeterReading."""


class ReadingType(Resource):
    """What a reading's number means."""

    accumulationBehaviour: AccumulationBehaviourType | None = None
    calorificValue: r.UnitValueType | None = None
    commodity: CommodityType | None = None
    conversionFactor: r.UnitValueType | None = None
    dataQualifier: DataQualifierType | None = None
    flowDirection: FlowDirectionType | None = None
    intervalLength: UInt32 | None = None
    kind: KindType | None = None
    maxNumberOfIntervals: UInt8 | None = None
    numberOfConsumptionBlocks: UInt8 | None = None
    numberOfTouTiers: UInt8 | None = None
    phase: PhaseCode | None = None
    powerOfTenMultiplier: PowerOfTenMultiplierType | None = None
    subIntervalLength: UInt32 | None = None
    supplyLimit: UInt48 | None = None
    tieredConsumptionBlocks: Boolean | None = None
    uom: UomType | None = None


class ReadingTypeLink(Link):
    """To ReadingType."""


class ReadingSetBase(IdentifiedObject):
    """Readings of one period."""

    timePeriod: r.DateTimeInterval


class ReadingSet(ReadingSetBase):
    """The interval readings of one period."""

    ReadingListLink: r.ReadingListLink | None = None


class ReadingSetList(SubscribableList):
    """A page of a list of ReadingSet."""

    ReadingSet: tuple[r.ReadingSet, ...] = ()


class ReadingSetListLink(ListLink):
    """To a list of ReadingSet."""


class ReadingBase(Resource):
    """A number read, in units of its ReadingType."""

    consumptionBlock: ConsumptionBlockType | None = None
    qualityFlags: HexBinary16 | None = None
    timePeriod: r.DateTimeInterval | None = None
    touTier: TOUType | None = None
    value: Int48 | None = None


class Reading(ReadingBase):
    """One reading."""

    subscribable: Attribute[SubscribableType] = 0
    localID: HexBinary16 | None = None


class ReadingLink(Link):
    """To Reading."""


class ReadingList(SubscribableList):
    """A page of a list of Reading."""

    Reading: tuple[r.Reading, ...] = ()


class ReadingListLink(ListLink):
    """To a list of Reading."""
