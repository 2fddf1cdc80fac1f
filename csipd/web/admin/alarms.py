"""Alarms, and the log events of devices that they come from: ``/admin/alarms``."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import alarms, logevents
from csipd.db.database import Transaction
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.sep2.types import Boolean, String32, TimeType, UInt8
from csipd.web.admin.devices import number_of
from csipd.web.admin.forms import Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Parameter
from csipd.web.admin.paging import PAGE, counted


class Alarm(Element):
    """An alarm of a device: raised by a LogEvent, open until that of its return to normal, or until an
    operator closes it.
    """

    number: Number
    device: Number
    device_name: Line | None = None
    name: Line
    functionSet: UInt8
    logEventCode: UInt8
    raised: TimeType
    cleared: TimeType | None = None
    details: String32 | None = None
    closed_by: Line | None = None


class AlarmPage(Page):
    """Alarms, the newest first."""

    items: tuple[Alarm, ...] = ()


class LogEventShown(Element):
    """A log event of a device."""

    number: Number
    device: Number
    event: r.LogEvent
    hidden: Boolean


class LogEventPage(Page):
    """Log events, the newest first."""

    items: tuple[LogEventShown, ...] = ()


def list_alarms(connection: sa.Connection, call: Call) -> AlarmPage:
    """Alarms, the last to come first."""
    query = call.query
    items, following = alarms.listed(
        connection,
        device=query["device"],
        open=query["open"],
        before=query["after"],
        limit=query["limit"],
    )
    return AlarmPage(
        items=tuple(alarm_forms(connection, items)),
        next=following,
        **counted(alarms.total(connection, query["device"], query["open"])),
    )


def close(transaction: Transaction, call: Call) -> Alarm:
    """Close an alarm whose device does not clear it."""
    closed = alarms.close(transaction, call.numbers["alarm"], call.who, call.now)
    return alarm_forms(transaction.connection, [closed])[0]


def log_events(connection: sa.Connection, call: Call) -> LogEventPage:
    """The log events of a device, the last to come first; those that it deleted are marked hidden."""
    number = number_of(connection, call)
    period = {name: call.query[name] for name in ("since", "until")}
    items, following = logevents.listed(
        connection, device=number, **period, before=call.query["after"], limit=call.query["limit"]
    )
    return LogEventPage(
        items=tuple(
            LogEventShown(number=one.number, device=number, event=one.event, hidden=one.hidden)
            for one in items
        ),
        next=following,
        **counted(logevents.total(connection, number, **period)),
    )


def alarm_forms(connection: sa.Connection, found: Sequence[alarms.Alarm]) -> list[Alarm]:
    """Alarms as the API shows them."""
    names = Names(connection).devices([one.device for one in found])
    return [
        Alarm(
            number=one.number,
            device=one.device,
            device_name=name,
            name=one.name,
            functionSet=one.function_set,
            logEventCode=one.code,
            raised=one.raised,
            cleared=one.cleared,
            details=one.details,
            closed_by=one.closed_by,
        )
        for one, name in zip(found, names, strict=True)
    ]


OPERATIONS = (
    Operation(
        "GET",
        "/admin/alarms",
        "listAlarms",
        "Alarms, the newest first",
        list_alarms,
        gives=AlarmPage,
        query=(
            *PAGE,
            Parameter("device", int, "number of a device"),
            Parameter("open", bool, "only those that are open"),
        ),
    ),
    Operation(
        "POST",
        "/admin/alarms/{alarm}/close",
        "closeAlarm",
        "Close an alarm that its device does not clear",
        close,
        gives=Alarm,
        writes=True,
    ),
    Operation(
        "GET",
        "/admin/devices/{device}/logevents",
        "deviceLog",
        "The log events of a device",
        log_events,
        gives=LogEventPage,
        query=(
            *PAGE,
            Parameter("since", int, "only those that came from this time on", least=0),
            Parameter("until", int, "only those that came before this time", least=0),
        ),
    ),
)
