"""Pricing: tariffs and their intervals (IEEE 2030.5-2018 10.5)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import IdentifiedObject, Link, List, ListLink, Resource, SubscribableList
from csipd.sep2.resources.event import RandomizableEvent
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    ConsumptionBlockType,
    CostKindType,
    CurrencyCode,
    Int32,
    PowerOfTenMultiplierType,
    PrimacyType,
    RoleFlagsType,
    ServiceKind,
    String20,
    TOUType,
    UInt8,
    UInt32,
    UInt48,
)


class TariffProfile(IdentifiedObject):
    """A tariff: its currency and its components."""

    currency: CurrencyCode | None = None
    pricePowerOfTenMultiplier: PowerOfTenMultiplierType | None = None
    primacy: PrimacyType
    rateCode: String20 | None = None
    RateComponentListLink: r.RateComponentListLink | None = None
    serviceCategoryKind: ServiceKind


class TariffProfileLink(Link):
    """To TariffProfile."""


class TariffProfileList(SubscribableList):
    """A page of a list of TariffProfile."""

    pollRate: Attribute[UInt32] = 900
    TariffProfile: tuple[r.TariffProfile, ...] = ()


class TariffProfileListLink(ListLink):
    """To a list of TariffProfile."""


class RateComponent(IdentifiedObject):
    """A part of a tariff, for one kind of reading."""

    ActiveTimeTariffIntervalListLink: r.ActiveTimeTariffIntervalListLink | None = None
    flowRateEndLimit: r.UnitValueType | None = None
    flowRateStartLimit: r.UnitValueType | None = None
    ReadingTypeLink: r.ReadingTypeLink
    roleFlags: RoleFlagsType
    TimeTariffIntervalListLink: r.TimeTariffIntervalListLink


class RateComponentLink(Link):
    """To RateComponent."""


class RateComponentList(List):
    """A page of a list of RateComponent."""

    RateComponent: tuple[r.RateComponent, ...] = ()


class RateComponentListLink(ListLink):
    """To a list of RateComponent."""


class TimeTariffInterval(RandomizableEvent):
    """When a tier of a tariff holds."""

    ConsumptionTariffIntervalListLink: r.ConsumptionTariffIntervalListLink | None = None
    touTier: TOUType


class TimeTariffIntervalList(SubscribableList):
    """A page of a list of TimeTariffInterval."""

    TimeTariffInterval: tuple[r.TimeTariffInterval, ...] = ()


class TimeTariffIntervalListLink(ListLink):
    """To a list of TimeTariffInterval."""


class ActiveTimeTariffIntervalListLink(ListLink):
    """To the list of TimeTariffIntervals that are active now."""


class EnvironmentalCost(Element):
    """What consumption costs the environment."""

    amount: UInt32
    costKind: CostKindType
    costLevel: UInt8
    numCostLevels: UInt8


class ConsumptionTariffInterval(Resource):
    """The price from one consumption threshold to the next."""

    consumptionBlock: ConsumptionBlockType
    EnvironmentalCost: tuple[r.EnvironmentalCost, ...] = ()
    price: Int32 | None = None
    startValue: UInt48


class ConsumptionTariffIntervalList(List):
    """A page of a list of ConsumptionTariffInterval."""

    ConsumptionTariffInterval: tuple[r.ConsumptionTariffInterval, ...] = ()


class ConsumptionTariffIntervalListLink(ListLink):
    """To a list of ConsumptionTariffInterval."""
