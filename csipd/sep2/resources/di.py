"""Device information: who made a device, what it can do, what it speaks (IEEE 2030.5-2018 9.3)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link, List, ListLink, Resource
from csipd.sep2.schema import Attribute, Element
from csipd.sep2.types import (
    HexBinary32,
    HexBinary64,
    HexBinary160,
    LocaleType,
    PENType,
    PowerSourceType,
    String32,
    TimeType,
    UInt32,
)


class DRLCCapabilities(Element):
    """What a device can do for demand response."""

    averageEnergy: r.RealEnergy
    maxDemand: r.ActivePower
    optionsImplemented: HexBinary32


class GPSLocationType(Element):
    """Latitude and longitude in decimal degrees, as text."""

    lat: String32
    lon: String32


class DeviceInformation(Resource):
    """Maker, model, serial number, versions and power sources of a device."""

    pollRate: Attribute[UInt32] = 900
    DRLCCapabilities: r.DRLCCapabilities | None = None
    functionsImplemented: HexBinary64 | None = None
    gpsLocation: r.GPSLocationType | None = None
    lFDI: HexBinary160
    mfDate: TimeType
    mfHwVer: String32
    mfID: PENType
    mfInfo: String32 | None = None
    mfModel: String32
    mfSerNum: String32
    primaryPower: PowerSourceType
    secondaryPower: PowerSourceType
    SupportedLocaleListLink: r.SupportedLocaleListLink | None = None
    swActTime: TimeType
    swVer: String32


class DeviceInformationLink(Link):
    """To DeviceInformation."""


class SupportedLocale(Resource):
    """A language that a device can show (RFC 4646)."""

    locale: LocaleType


class SupportedLocaleList(List):
    """A page of a list of SupportedLocale."""

    SupportedLocale: tuple[r.SupportedLocale, ...] = ()


class SupportedLocaleListLink(ListLink):
    """To a list of SupportedLocale."""
