"""Configuration of a device (IEEE 2030.5-2018 9.7)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link, List, ListLink, Resource, SubscribableResource
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import DstRuleType, Int32, LocaleType, String32, TimeOffsetType, TimeType, UInt32


class PowerConfiguration(Element):
    """When the battery was put in, and at what charge it is low."""

    batteryInstallTime: TimeType | None = None
    lowChargeThreshold: UInt32 | None = None


class TimeConfiguration(Element):
    """Time zone and daylight saving rules."""

    dstEndRule: DstRuleType
    dstOffset: TimeOffsetType
    dstStartRule: DstRuleType
    tzOffset: TimeOffsetType


class Configuration(SubscribableResource):
    """What may be set on a device: name, language, time, power, response to prices."""

    pollRate: Attribute[UInt32] = 900
    currentLocale: LocaleType
    PowerConfiguration: r.PowerConfiguration | None = None
    PriceResponseCfgListLink: r.PriceResponseCfgListLink | None = None
    TimeConfiguration: r.TimeConfiguration | None = None
    userDeviceName: String32


class ConfigurationLink(Link):
    """To Configuration."""


class PriceResponseCfg(Resource):
    """The prices at which a device may use energy freely, and at which it saves all it can."""

    consumeThreshold: Int32
    maxReductionThreshold: Int32
    RateComponentLink: r.RateComponentLink


class PriceResponseCfgList(List):
    """A page of a list of PriceResponseCfg."""

    PriceResponseCfg: tuple[r.PriceResponseCfg, ...] = ()


class PriceResponseCfgListLink(ListLink):
    """To a list of PriceResponseCfg."""
