"""Delivered against commanded: what devices' readings say of a control (decision 59).

A control is gone over device by device, a portion at a time: for a page that an operator asks for, and by
the daemon's rounds (`csipd.db.delivery_rounds`). The rules are those of ``csipd.der.delivery``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from attrs import evolve, field, frozen

from csipd.db import delivery_meters, delivery_time, der_reports, telemetry
from csipd.db.delivery_meters import Mirror
from csipd.db.delivery_time import Addressed, Control
from csipd.db.prepared import Prepared
from csipd.db.tables import responses
from csipd.db.telemetry import Series
from csipd.db.tree.context import Server
from csipd.der.delivery import (
    Delivery,
    Interval,
    Ratings,
    Verdict,
    commands,
    judge,
    judged,
    time_to_come,
)
from csipd.der.metering import Metering
from csipd.der.responses import ResponseKind, kind_of

_DECLINED = frozenset((ResponseKind.OPTED_OUT, ResponseKind.SUPERSEDED, ResponseKind.REJECTED))
_POST_RATE = "MirrorUsagePoint"


@frozen
class DeviceDelivery:
    """What a device made of a control: of each mode that commands power.

    :param meter: whose meter says so: ``der`` or ``premises``; None: it has none of the quantity
    :param metered: whether it ever had one
    :param is_over: whether all readings of its time in the control have had their time to come
    """

    device: int
    delivery: Delivery
    meter: str | None
    metered: bool
    is_over: bool = field(kw_only=True)


def of_devices(
    connection: sa.Connection, server: Server, control: Control, devices: Sequence[Addressed], now: int
) -> list[DeviceDelivery]:
    """What devices made of a control so far."""
    metering = server.metering
    if not devices or not control.modes:
        return []
    numbers = [one.device for one in devices]
    rated = der_reports.ratings_at(connection, numbers, control.begin)
    declined = _declined(connection, control.kept.number, numbers)
    series = telemetry.of_devices(connection, numbers, metering.der_forward)
    mirrors = delivery_meters.mirrors_of(connection, [one for some in series.values() for one in some])
    waits = _post_rates(connection, metering, series, mirrors)
    known = delivery_time.known(connection, server, control, devices)
    held = delivery_time.held(connection, server, control, devices, control.modes, now)
    base = control.document.DERControlBase
    found = []
    for one in devices:
        device = one.device
        ratings, ders = rated.get(device, (Ratings(), 1))
        own = series.get(device, [])
        post_rate = waits.get(device, metering.post_rate)
        for command in commands(base, ratings, ders):
            time = held[device, command.mode]
            whole = _judged(control, one.time, known[device], ratings)
            interval = _judged(control, time, known[device], ratings)
            meter, meters = delivery_meters.choose(own, mirrors, command, interval)
            outcome = judge(
                command,
                interval,
                ratings,
                delivery_meters.read(connection, meters, interval, post_rate=post_rate, now=now),
                post_rate=post_rate,
                now=now,
                declined=device in declined,
            )
            # Where it was taken from it soon, there may be nothing to hold against it.
            is_taken = interval.end < min(whole.end, now) or not time.seconds
            if is_taken and outcome.verdict not in _SURE:
                outcome = evolve(outcome, verdict=Verdict.OVERRIDDEN)
            metered = any(one.quantity.name == command.quantity for one in own)
            is_over = now >= interval.end + time_to_come(post_rate)
            found.append(DeviceDelivery(device, outcome, meter, metered, is_over=is_over))
    return found


_SURE = frozenset((Verdict.OBEYED, Verdict.NOT_OBEYED, Verdict.DECLINED))


def _judged(control: Control, time: Interval, known: int, ratings: Ratings) -> Interval:
    """The time of a device that is judged.

    :param time: in which the control held the mode on it
    :param known: when it is sure to know of it
    """
    event = control.kept.event
    return judged(
        max(event.start, event.created, time.begin, known),
        min(control.end, time.end),
        randomize_start=event.randomize_start,
        randomize_duration=event.randomize_duration,
        ramp_hundredths=control.document.DERControlBase.rampTms,
        gradient=ratings.gradient,
    )


def _declined(connection: sa.Connection, control: int, devices: Sequence[int]) -> set[int]:
    rows = _SAID.all(connection, {"control": control, "devices": list(devices)})
    return {row.device for row in rows if kind_of(row.status) in _DECLINED}


_SAID = Prepared(
    sa.select(responses.c.device, responses.c.status).where(
        responses.c.control == sa.bindparam("control"),
        responses.c.device.in_(sa.bindparam("devices", expanding=True)),
        responses.c.latest,
    )
)


def _post_rates(
    connection: sa.Connection,
    metering: Metering,
    series: Mapping[int, Sequence[Series]],
    mirrors: Mapping[int, Mirror],
) -> dict[int, int]:
    """How often each device posts its readings (s); of several mirrors the slowest counts."""
    commanded = delivery_time.commanded_rates(connection, _POST_RATE, list(series))
    wished: dict[int, int | None] = {}
    for device, some in series.items():
        of = [
            mirrors[one.meter_reading] for one in some if one.ended is None and one.meter_reading in mirrors
        ]
        wished[device] = max((one.wished for one in of if one.wished is not None), default=None)
    return {device: metering.rate(commanded[device], wished[device]) for device in series}
