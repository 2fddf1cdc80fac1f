"""Readings of devices: the newest of each quantity, series of a period, and sums by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import sqlalchemy as sa

from csipd.db import group_sums, groups, telemetry
from csipd.db.telemetry import Measured, Newest, Series, Whose
from csipd.der.rollups import DAY, HOUR, MINUTES
from csipd.refusals import BadRequest, NotFound
from csipd.sep2.measurements import UNIT_CODES, DerForward
from csipd.sep2.schema import Element
from csipd.sep2.types import Choice, HexBinary16, TimeType, UInt32
from csipd.web.admin.devices import number_of
from csipd.web.admin.forms import Amount, Count, Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Parameter, Portion
from csipd.web.admin.paging import PAGE
from csipd.web.admin.portions import PERIOD, ROWS, Row

#: Lengths of steps (s) by the words for them; the readings themselves have none.
_STEPS: Mapping[str, int | None] = {"raw": None, "5min": MINUTES, "hour": HOUR, "day": DAY}
_SUMMED = ("5min", "hour", "day")
_METERS = ("der", "premises")
Meter = Annotated[str, Choice(64, _METERS)]
#: Steps that sums are asked for at most.
_MOST_STEPS = 10_000


class Reading(Element):
    """The newest reading of a quantity: ``age`` is how old it is (s). Generation is positive."""

    series: Number
    quantity: Line
    phase: Line | None = None
    qualifier: Line | None = None
    meter: Meter
    value: Amount | None = None
    unit: Line | None = None
    at: TimeType
    age: Count
    duration: UInt32 | None = None
    quality: HexBinary16 | None = None


class DeviceReadings(Element):
    """The newest reading of each quantity of a device."""

    lists = ("items",)

    device: Number
    device_name: Line | None = None
    now: TimeType
    items: tuple[Reading, ...] = ()


class DeviceReadingsPage(Page):
    """The newest readings of devices, in the order of their numbers."""

    items: tuple[DeviceReadings, ...] = ()


class ReadingRow(Row):
    """A reading, or what readings come to in a step: the mean of what has one, how much came of what adds up.

    Generation is positive. ``readings`` is how many a step has, ``resets`` how often a register was set back.
    """

    moments = ("at",)

    device: Number
    device_name: Line | None = None
    series: Number
    meter: Meter
    quantity: Line
    phase: Line | None = None
    qualifier: Line | None = None
    at: TimeType
    duration: UInt32 | None = None
    value: Amount | None = None
    unit: Line | None = None
    quality: HexBinary16 | None = None
    least: Amount | None = None
    greatest: Amount | None = None
    readings: Count | None = None
    resets: Count | None = None


class SumRow(Row):
    """What the devices of a group come to in a step, and how many of them have readings there."""

    moments = ("at",)

    at: TimeType
    duration: UInt32
    value: Amount
    unit: Line | None = None
    devices: Count


def device_readings(connection: sa.Connection, call: Call) -> DeviceReadings:
    """The newest reading of each quantity of a device."""
    number = number_of(connection, call)
    return _newest(connection, call, telemetry.newest(connection, [number], _der_forward(call)))[0]


def group_readings(connection: sa.Connection, call: Call) -> DeviceReadingsPage:
    """The newest readings of the devices of a group, a page of devices."""
    found, following = telemetry.newest_of_group(
        connection,
        _group(connection, call),
        call.query["after"] or 0,
        call.query["limit"],
        _der_forward(call),
    )
    return DeviceReadingsPage(items=tuple(_newest(connection, call, found)), next=following)


def export_of_device(connection: sa.Connection, call: Call) -> Portion:
    """Readings of a device."""
    return _export(connection, call, Whose(device=number_of(connection, call), unit=_unit(call)))


def export_of_group(connection: sa.Connection, call: Call) -> Portion:
    """Readings of the devices of a group."""
    return _export(connection, call, Whose(group=_group(connection, call), unit=_unit(call)))


def _export(connection: sa.Connection, call: Call, whose: Whose) -> Portion:
    query = call.query
    until = call.now + 1 if query["until"] is None else query["until"]
    found, following = telemetry.portion(
        connection,
        whose,
        query["since"] or 0,
        until,
        _STEPS[query["step"]],
        call.place,
        ROWS,
        der_forward=_der_forward(call),
    )
    names = Names(connection).devices([one.series.device for one in found])
    return Portion([_row(one, name) for one, name in zip(found, names, strict=True)], following)


def export_sums(connection: sa.Connection, call: Call) -> Portion:
    """Sums of a group by step."""
    group = _group(connection, call)
    query = call.query
    step = _STEPS[query["step"]] or MINUTES
    until = call.now if query["until"] is None else query["until"]
    since = max(until - DAY, 0) if query["since"] is None else query["since"]
    if until - since > _MOST_STEPS * step:
        raise BadRequest(f"a period of more than {_MOST_STEPS} steps: ask for a shorter one, or longer steps")
    if since >= until:
        return Portion([])
    unit = _unit(call) or 0
    is_der = query["meter"] == "der"
    found, following = group_sums.sums(
        connection,
        group,
        unit,
        since,
        until,
        step,
        call.place,
        is_der=is_der,
        der_forward=_der_forward(call),
    )
    symbol = group_sums.symbol(unit)
    rows = [
        SumRow(at=one.at, duration=step, value=one.value, unit=symbol, devices=one.devices) for one in found
    ]
    return Portion(rows, following)


def _der_forward(call: Call) -> DerForward:
    return call.server.metering.der_forward


def _unit(call: Call) -> int | None:
    quantity = call.query["quantity"]
    return None if quantity is None else UNIT_CODES[quantity]


def _group(connection: sa.Connection, call: Call) -> int:
    group = call.numbers["group"]
    if not groups.exists(connection, group):
        raise NotFound(f"there is no group {group}")
    return group


def _newest(
    connection: sa.Connection, call: Call, found: Mapping[int, Sequence[Newest]]
) -> list[DeviceReadings]:
    names = Names(connection).devices(found)
    return [
        DeviceReadings(
            device=device,
            device_name=name,
            now=call.now,
            items=tuple(
                Reading(
                    **_series(one.series),
                    value=one.value,
                    at=one.at,
                    age=max(call.now - one.at, 0),
                    duration=one.duration,
                    quality=one.quality,
                )
                for one in some
            ),
        )
        for (device, some), name in zip(found.items(), names, strict=True)
    ]


def _series(one: Series) -> dict[str, Any]:
    quantity = one.quantity
    return {
        "series": one.number,
        "quantity": quantity.name,
        "phase": quantity.phase or None,
        "qualifier": quantity.qualifier or None,
        "meter": one.meter,
        "unit": quantity.unit or None,
    }


def _row(one: Measured, name: str) -> ReadingRow:
    return ReadingRow(
        **_series(one.series),
        device=one.series.device,
        device_name=name,
        at=one.at,
        duration=one.duration,
        value=one.value,
        quality=one.quality,
        least=one.least,
        greatest=one.greatest,
        readings=one.readings,
        resets=one.resets,
    )


_WANTED = (
    *PERIOD,
    Parameter("quantity", str, "only this one", words=tuple(UNIT_CODES)),
    Parameter("step", str, "each reading, or steps of so long", words=tuple(_STEPS), default="raw"),
)
OPERATIONS = (
    Operation(
        "GET",
        "/admin/devices/{device}/readings",
        "deviceReadings",
        "The newest reading of each quantity of a device",
        device_readings,
        gives=DeviceReadings,
    ),
    Operation(
        "GET",
        "/admin/groups/{group}/readings",
        "groupReadings",
        "The newest readings of the devices of a group and of those under it",
        group_readings,
        gives=DeviceReadingsPage,
        query=PAGE,
    ),
    Operation(
        "GET",
        "/admin/exports/devices/{device}/readings",
        "exportDeviceReadings",
        "Readings of a device in a period, or what they come to in steps",
        export_of_device,
        gives=ReadingRow,
        streams=True,
        query=_WANTED,
    ),
    Operation(
        "GET",
        "/admin/exports/groups/{group}/readings",
        "exportGroupReadings",
        "Readings of devices while they were in a group or below it, by device",
        export_of_group,
        gives=ReadingRow,
        streams=True,
        query=_WANTED,
    ),
    Operation(
        "GET",
        "/admin/exports/groups/{group}/sums",
        "exportGroupSums",
        "What a quantity comes to in a group, step by step: of devices while they were in it or below it",
        export_sums,
        gives=SumRow,
        streams=True,
        query=(
            Parameter("since", int, "from this time on; a day before the end by default", least=0),
            *PERIOD[1:],
            Parameter("quantity", str, "what is added up", words=tuple(UNIT_CODES), default="active_power"),
            Parameter("step", str, "steps of so long", words=_SUMMED, default="5min"),
            Parameter("meter", str, "of which meters", words=_METERS, default="der"),
        ),
    ),
)
