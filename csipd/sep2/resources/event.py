"""Events: what is to happen in an interval, and how far it has come (IEEE 2030.5-2018 10.2.3)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import RespondableSubscribableIdentifiedObject
from csipd.sep2.schema import Element
from csipd.sep2.types import Boolean, OneHourRangeType, String192, TimeType, UInt8, UInt32


class DateTimeInterval(Element):
    """`duration` seconds from `start`."""

    duration: UInt32
    start: TimeType


class EventStatus(Element):
    """Where an event stands (`currentStatus` is an EventState) and since when."""

    currentStatus: UInt8
    dateTime: TimeType
    potentiallySuperseded: Boolean
    potentiallySupersededTime: TimeType | None = None
    reason: String192 | None = None


class Event(RespondableSubscribableIdentifiedObject):
    """Something that is to happen in an interval, made at `creationTime`."""

    creationTime: TimeType
    EventStatus: r.EventStatus
    interval: r.DateTimeInterval


class RandomizableEvent(Event):
    """An event whose start and duration each device may shift by up to so many seconds."""

    randomizeDuration: OneHourRangeType | None = None
    randomizeStart: OneHourRangeType | None = None
