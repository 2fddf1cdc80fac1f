"""Exports of what came in a period, the oldest first: ``/admin/exports``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from csipd.db import alarms, logevents, response_history
from csipd.sep2.types import (
    Boolean,
    HexBinary160,
    String32,
    TimeType,
    UInt8,
    UInt16,
    UInt32,
)
from csipd.web.admin.forms import Line, Number
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Parameter, Portion
from csipd.web.admin.portions import PERIOD, ROWS, Row

_DEVICE = Parameter("device", int, "number of a device")


class ResponseRow(Row):
    """What a device answered to an event. ``subject`` is the event's mRID."""

    moments = ("createdDateTime", "received")

    number: Number
    received: TimeType
    createdDateTime: TimeType | None = None
    device: Number
    device_name: Line | None = None
    lFDI: HexBinary160
    control: Number | None = None
    subject: Line
    status: UInt8 | None = None
    meaning: Line
    flagged: Line | None = None


class AlarmRow(Row):
    """An alarm of a device; one without ``cleared`` is open."""

    moments = ("raised", "cleared")

    number: Number
    raised: TimeType
    cleared: TimeType | None = None
    device: Number
    device_name: Line | None = None
    name: Line
    functionSet: UInt8
    logEventCode: UInt8
    details: String32 | None = None
    closed_by: Line | None = None


class LogEventRow(Row):
    """A log event of a device; a hidden one was deleted by it."""

    moments = ("createdDateTime", "received")

    number: Number
    received: TimeType
    createdDateTime: TimeType
    device: Number
    device_name: Line | None = None
    functionSet: UInt8
    logEventCode: UInt8
    details: String32 | None = None
    extendedData: UInt32 | None = None
    logEventID: UInt16
    logEventPEN: UInt32
    profileID: UInt8
    hidden: Boolean


def _responses(connection: sa.Connection, call: Call) -> Portion:
    found, following = response_history.received(connection, **_asked(call, "control"))
    names = _names(connection, found)
    rows = [
        ResponseRow(
            number=one.number,
            received=one.received,
            createdDateTime=one.created,
            device=one.device,
            device_name=name,
            lFDI=one.lfdi,
            control=one.control,
            subject=one.subject,
            status=one.status,
            meaning=one.meaning,
            flagged=one.flagged,
        )
        for one, name in zip(found, names, strict=True)
    ]
    return Portion(rows, following)


def _alarms(connection: sa.Connection, call: Call) -> Portion:
    found, following = alarms.raised(connection, **_asked(call))
    names = _names(connection, found)
    rows = [
        AlarmRow(
            number=one.number,
            raised=one.raised,
            cleared=one.cleared,
            device=one.device,
            device_name=name,
            name=one.name,
            functionSet=one.function_set,
            logEventCode=one.code,
            details=one.details,
            closed_by=one.closed_by,
        )
        for one, name in zip(found, names, strict=True)
    ]
    return Portion(rows, following)


def _log_events(connection: sa.Connection, call: Call) -> Portion:
    found, following = logevents.received(connection, **_asked(call))
    names = _names(connection, found)
    rows = [
        LogEventRow(
            number=one.number,
            received=one.received,
            createdDateTime=one.event.createdDateTime,
            device=one.device,
            device_name=name,
            functionSet=one.event.functionSet,
            logEventCode=one.event.logEventCode,
            details=one.event.details,
            extendedData=one.event.extendedData,
            logEventID=one.event.logEventID,
            logEventPEN=one.event.logEventPEN,
            profileID=one.event.profileID,
            hidden=one.hidden,
        )
        for one, name in zip(found, names, strict=True)
    ]
    return Portion(rows, following)


def _asked(call: Call, *more: str) -> dict[str, Any]:
    """What the store is asked for: the period, the device, and where the portion begins.

    Without an end an export ends with what was there when it was asked for, however fast more comes.
    """
    query = call.query
    until = query["until"] if query["until"] is not None else call.now + 1
    asked = {"since": query["since"], "until": until, "after": call.place, "limit": ROWS}
    return asked | {name: query[name] for name in ("device", *more)}


def _names(connection: sa.Connection, found: Sequence[Any]) -> list[str]:
    return Names(connection).devices([one.device for one in found])


OPERATIONS = (
    Operation(
        "GET",
        "/admin/exports/responses",
        "exportResponses",
        "Responses that came in a period, the oldest first",
        _responses,
        gives=ResponseRow,
        streams=True,
        query=(*PERIOD, _DEVICE, Parameter("control", int, "number of a control")),
    ),
    Operation(
        "GET",
        "/admin/exports/alarms",
        "exportAlarms",
        "Alarms that were raised in a period, the oldest first",
        _alarms,
        gives=AlarmRow,
        streams=True,
        query=(*PERIOD, _DEVICE),
    ),
    Operation(
        "GET",
        "/admin/exports/logevents",
        "exportLogEvents",
        "Log events that came in a period, the oldest first",
        _log_events,
        gives=LogEventRow,
        streams=True,
        query=(*PERIOD, _DEVICE),
    ),
)
