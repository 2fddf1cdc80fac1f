"""Time (IEEE 2030.5-2018 9.2)."""

from __future__ import annotations

from csipd.sep2.resources.base import Link, Resource
from csipd.sep2.schema import Attribute
from csipd.sep2.types import TimeOffsetType, TimeType, UInt8, UInt32


class Time(Resource):
    """The server's clock, its zone and its daylight saving; `quality` says how far to trust it."""

    pollRate: Attribute[UInt32] = 900
    currentTime: TimeType
    dstEndTime: TimeType
    dstOffset: TimeOffsetType
    dstStartTime: TimeType
    localTime: TimeType | None = None
    quality: UInt8
    tzOffset: TimeOffsetType


class TimeLink(Link):
    """To Time."""
