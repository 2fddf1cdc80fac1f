"""Log events: what a device has to report, alarms among it (IEEE 2030.5-2018 9.6)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import ListLink, Resource, SubscribableList
from csipd.sep2.schema import Attribute
from csipd.sep2.types import PENType, String32, TimeType, UInt8, UInt16, UInt32


class LogEvent(Resource):
    """Something that happened: a code of a FunctionSet, as a LogProfile defines it."""

    createdDateTime: TimeType
    details: String32 | None = None
    extendedData: UInt32 | None = None
    functionSet: UInt8
    logEventCode: UInt8
    logEventID: UInt16
    logEventPEN: PENType
    profileID: UInt8


class LogEventList(SubscribableList):
    """A page of a list of LogEvent."""

    pollRate: Attribute[UInt32] = 900
    LogEvent: tuple[r.LogEvent, ...] = ()


class LogEventListLink(ListLink):
    """To a list of LogEvent."""
