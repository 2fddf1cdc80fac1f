"""Delivered against commanded: ``/admin/controls/{control}/delivery``, and all of it as an export."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa

from csipd.db import delivery, delivery_rounds, delivery_time
from csipd.db.delivery import DeviceDelivery
from csipd.db.delivery_time import Control
from csipd.der.delivery import Verdict
from csipd.refusals import NotFound
from csipd.sep2.schema import Element
from csipd.sep2.types import Boolean, Choice, TimeType, UInt32
from csipd.web.admin.forms import Amount, Count, Line, ModeName, Number
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation, Portion
from csipd.web.admin.paging import PAGE
from csipd.web.admin.portions import FORMAT, Row
from csipd.web.admin.readings import Meter

#: Devices of a portion of an export.
_DEVICES = 50
_UNITS = {"active_power": "W", "reactive_power": "var"}
VerdictName = Annotated[str, Choice(64, tuple(one.value for one in Verdict))]


class DeliveryRow(Row):
    """What a device was commanded in one mode, and what its readings say that it delivered on average over
    ``seconds``. It is judged where it has readings: it may be ``tolerance`` off. Generation is positive.
    """

    device: Number
    device_name: Line | None = None
    mode: ModeName
    quantity: Line
    verdict: VerdictName
    commanded: Amount | None = None
    delivered: Amount | None = None
    tolerance: Amount | None = None
    unit: Line
    limits: Boolean
    seconds: UInt32
    meter: Meter | None = None


class DeliveryTotal(Element):
    """What all devices of a control came to in one mode ``at`` a time; ``final`` is after its end.

    ``commanded`` and ``delivered`` are sums over those that have both.
    """

    mode: ModeName
    at: TimeType
    final: Boolean
    devices: Count
    obeyed: Count
    not_obeyed: Count
    no_readings: Count
    not_yet: Count
    no_settings: Count
    declined: Count
    overridden: Count
    uncertain: Count
    commanded: Amount
    delivered: Amount
    unit: Line


class ControlDelivery(Element):
    """What was delivered of a control: totals as they were last gone over, and devices as of now, in pages.

    One that commands no power has none of either.
    """

    lists = ("items",)

    control: Number
    now: TimeType
    begin: TimeType
    end: TimeType
    totals: tuple[DeliveryTotal, ...] = ()
    items: tuple[DeliveryRow, ...] = ()
    next: Number | None = None


def control_delivery(connection: sa.Connection, call: Call) -> ControlDelivery:
    """Totals of a control, and a page of its devices."""
    control = _control(connection, call)
    rows, following = _rows(connection, call, control, call.query["after"] or 0, call.query["limit"])
    return ControlDelivery(
        control=control.kept.number,
        now=call.now,
        begin=control.begin,
        end=control.end,
        totals=tuple(_total(one) for one in delivery_rounds.totals(connection, control.kept.number)),
        items=tuple(rows),
        next=following,
    )


def export_delivery(connection: sa.Connection, call: Call) -> Portion:
    """All devices of a control."""
    return Portion(*_rows(connection, call, _control(connection, call), call.place or 0, _DEVICES))


def _control(connection: sa.Connection, call: Call) -> Control:
    number = call.numbers["control"]
    control = delivery_time.find(connection, number, call.now)
    if control is None:
        raise NotFound(f"there is no control {number}")
    return control


def _rows(
    connection: sa.Connection, call: Call, control: Control, after: int, limit: int
) -> tuple[Sequence[DeliveryRow], int | None]:
    if not control.modes:
        return [], None
    devices, following = delivery_time.addressed(connection, control, call.now, after, limit)
    found = delivery.of_devices(connection, call.server, control, devices, call.now)
    names = Names(connection).devices([one.device for one in found])
    return [_row(one, name) for one, name in zip(found, names, strict=True)], following


def _row(one: DeviceDelivery, name: str) -> DeliveryRow:
    found = one.delivery
    return DeliveryRow(
        device=one.device,
        device_name=name,
        mode=found.command.mode,
        quantity=found.command.quantity,
        verdict=found.verdict.value,
        commanded=found.command.amount,
        delivered=None if found.delivered is None else round(found.delivered, 3),
        tolerance=found.tolerance,
        unit=_UNITS[found.command.quantity],
        limits=found.command.limits,
        seconds=found.interval.seconds,
        meter=one.meter,
    )


def _total(one: delivery_rounds.Total) -> DeliveryTotal:
    counts: dict[str, Any] = {verdict.name.lower(): number for verdict, number in one.verdicts.items()}
    return DeliveryTotal(
        mode=one.mode,
        at=one.at,
        final=one.final,
        devices=sum(one.verdicts.values()),
        commanded=round(Decimal(one.commanded), 3),
        delivered=round(Decimal(one.delivered), 3),
        unit=_UNITS[one.quantity],
        **counts,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/admin/controls/{control}/delivery",
        "controlDelivery",
        "What was commanded and what readings say was delivered: in all, and by device",
        control_delivery,
        gives=ControlDelivery,
        query=PAGE,
    ),
    Operation(
        "GET",
        "/admin/exports/controls/{control}/delivery",
        "exportDelivery",
        "What each device of a control was commanded and delivered",
        export_delivery,
        gives=DeliveryRow,
        streams=True,
        query=(FORMAT,),
    ),
)
