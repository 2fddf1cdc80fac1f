"""Metering mirror: readings that a client keeps up to date here (IEEE 2030.5-2018 10.11)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import List, ListLink
from csipd.sep2.resources.metering import MeterReadingBase, ReadingSetBase, UsagePointBase
from csipd.sep2.schema import Attribute
from csipd.sep2.types import HexBinary160, TimeType, UInt32


class MirrorReadingSet(ReadingSetBase):
    """Interval readings of one period, as posted."""

    Reading: tuple[r.Reading, ...] = ()


class MirrorMeterReading(MeterReadingBase):
    """Readings of one kind, as posted; the type is needed the first time only."""

    lastUpdateTime: TimeType | None = None
    MirrorReadingSet: tuple[r.MirrorReadingSet, ...] = ()
    nextUpdateTime: TimeType | None = None
    Reading: r.Reading | None = None
    ReadingType: r.ReadingType | None = None


class MirrorMeterReadingList(List):
    """A page of a list of MirrorMeterReading."""

    MirrorMeterReading: tuple[r.MirrorMeterReading, ...] = ()


class MirrorUsagePoint(UsagePointBase):
    """A usage point whose meter posts its readings here, every `postRate` seconds."""

    deviceLFDI: HexBinary160
    MirrorMeterReading: tuple[r.MirrorMeterReading, ...] = ()
    postRate: UInt32 | None = None


class MirrorUsagePointList(List):
    """A page of a list of MirrorUsagePoint."""

    pollRate: Attribute[UInt32] = 900
    MirrorUsagePoint: tuple[r.MirrorUsagePoint, ...] = ()


class MirrorUsagePointListLink(ListLink):
    """To a list of MirrorUsagePoint."""
