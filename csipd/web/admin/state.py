"""What a device should be doing and why, and what it last said of itself."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa

from csipd.db import alarms, documents, in_force, response_history
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import Choice, TimeType
from csipd.web.admin.alarms import Alarm, alarm_forms
from csipd.web.admin.devices import number_of
from csipd.web.admin.forms import Line, ModeName, Number, Reason
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.responses import Response, response_forms

#: What holds a mode: a control, or the default of a program.
Source = Annotated[str, Choice(64, ("control", "default"))]
#: Alarms and responses that are shown with a device's state.
_SHOWN_WITH_STATE = 20


class ModeInForce(Element):
    """What holds one control mode of a device, and why; ``value`` has this one mode."""

    mode: ModeName
    value: r.DERControlBase
    source: Source
    program: Number
    program_name: Line | None = None
    control: Number | None = None
    since: TimeType | None = None
    until: TimeType | None = None


class OverriddenMode(Element):
    """An event that does not hold a mode although its time has come, and why."""

    mode: ModeName
    control: Number
    program: Number
    program_name: Line | None = None
    reason: Reason
    by: Number | None = None


class DERReport(Element):
    """What a device last reported of one of its DERs."""

    der: Number
    capability: r.DERCapability | None = None
    settings: r.DERSettings | None = None
    status: r.DERStatus | None = None
    availability: r.DERAvailability | None = None


class DeviceState(Element):
    """What a device should be doing now, and what it last said of itself."""

    device: Number
    device_name: Line | None = None
    now: TimeType
    acting: tuple[ModeInForce, ...] = ()
    passed: tuple[OverriddenMode, ...] = ()
    statuses: tuple[DERReport, ...] = ()
    information: r.DeviceInformation | None = None
    device_status: r.DeviceStatus | None = None
    power_status: r.PowerStatus | None = None
    alarms: tuple[Alarm, ...] = ()
    responses: tuple[Response, ...] = ()


def state(connection: sa.Connection, call: Call) -> DeviceState:
    """What a device should be doing now and why, and what it last said."""
    number = number_of(connection, call)
    seen = in_force.of_device(connection, call.server.own, number, call.now)
    names = Names(connection)
    names.programs([*(one.program for one in seen.acting), *(one.program for one in seen.passed)])
    open_now, _ = alarms.listed(connection, device=number, open=True, limit=_SHOWN_WITH_STATE)
    said, _ = response_history.listed(connection, device=number, limit=_SHOWN_WITH_STATE)
    return DeviceState(
        device=number,
        device_name=names.device(number),
        now=call.now,
        acting=tuple(_acting(names, one) for one in seen.acting),
        passed=tuple(_passed(names, one) for one in seen.passed),
        statuses=tuple(_reported(connection, number)),
        information=_put(connection, "DeviceInformation", number),
        device_status=_put(connection, "DeviceStatus", number),
        power_status=_put(connection, "PowerStatus", number),
        alarms=tuple(alarm_forms(connection, open_now)),
        responses=tuple(response_forms(connection, said)),
    )


def _acting(names: Names, one: in_force.ModeInForce) -> ModeInForce:
    return ModeInForce(
        mode=one.mode,
        value=r.DERControlBase(**{one.mode: one.value}),
        source="default" if one.control is None else "control",
        program=one.program,
        program_name=names.program(one.program),
        control=one.control,
        since=one.since,
        until=one.until,
    )


def _put(connection: sa.Connection, name: str, device: int) -> Any:
    """What a device put of itself under the name of a row; None where it put nothing."""
    return documents.get(connection, Place(ROWS[name], (device,)))


def _passed(names: Names, one: in_force.OverriddenMode) -> OverriddenMode:
    return OverriddenMode(
        mode=one.mode,
        control=one.control,
        program=one.program,
        program_name=names.program(one.program),
        reason=one.reason.value,
        by=one.by,
    )


def _reported(connection: sa.Connection, device: int) -> list[DERReport]:
    found = []
    _, ders = documents.page(connection, Place(ROWS["DERList"], (device,)), documents.ALL)
    for der, _ in ders:

        def report(name: str, ids: tuple[int, ...] = der.ids) -> Any:
            return documents.get(connection, Place(ROWS[name], ids))

        found.append(
            DERReport(
                der=der.ids[1],
                capability=report("DERCapability"),
                settings=report("DERSettings"),
                status=report("DERStatus"),
                availability=report("DERAvailability"),
            )
        )
    return found


OPERATIONS = (
    Operation(
        "GET",
        "/admin/devices/{device}/state",
        "deviceState",
        "What a device should be doing now and why, and what it last said",
        state,
        gives=DeviceState,
    ),
)
