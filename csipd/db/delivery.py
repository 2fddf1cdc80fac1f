"""Delivered against commanded: what devices' readings say of a control (decision 59).

A control is gone over device by device, a portion at a time: for a page that an operator asks for, and by
the daemon's rounds (`csipd.db.delivery_rounds`). The rules are those of ``csipd.der.delivery``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

import sqlalchemy as sa
from attrs import evolve, frozen

from csipd.db import controls, der_reports, group_history, groups, in_force, programs, rates, telemetry
from csipd.db.prepared import Prepared
from csipd.db.rollups import read as made_and_fresh
from csipd.db.schedules import StoredControl
from csipd.db.series import page
from csipd.db.tables import devices as device_table
from csipd.db.tables import meter_readings, mirrors, responses
from csipd.db.telemetry import Series
from csipd.db.tree.context import Server
from csipd.der.delivery import (
    QUANTITIES,
    Command,
    Delivery,
    Interval,
    Point,
    Ratings,
    Verdict,
    commands,
    inside,
    judge,
    judged,
    mean,
)
from csipd.der.events import ALL_CATEGORIES
from csipd.der.metering import Metering
from csipd.der.responses import ResponseKind, kind_of
from csipd.der.rollups import HOLD, HOUR, MINUTES
from csipd.sep2 import resources as r
from csipd.sep2.measurements import Behaviour, is_whole
from csipd.sep2.types import EventState

#: Intervals up to so long are judged by the readings themselves; longer ones by what they come to in steps.
_BY_READINGS = 6 * HOUR
_BY_MINUTES = 7 * 24 * HOUR
#: Readings of one series that are looked at for one interval.
_MOST_READINGS = 5_000
_DECLINED = frozenset((ResponseKind.OPTED_OUT, ResponseKind.SUPERSEDED, ResponseKind.REJECTED))
_POST_RATE = "MirrorUsagePoint"


@frozen
class DeviceDelivery:
    """What a device made of a control: of each mode that commands power.

    :param meter: whose meter says so: ``der`` or ``premises``; None: it has none of the quantity
    :param metered: whether it ever had one
    """

    device: int
    delivery: Delivery
    meter: str | None
    metered: bool


@frozen
class Control:
    """A control and what of it is judged.

    :param begin: when it began, ``end`` when it was over or will be (TimeType)
    """

    kept: StoredControl
    document: r.DERControl
    begin: int
    end: int

    @property
    def modes(self) -> list[str]:
        """Those that command power."""
        base = vars(self.document.DERControlBase)
        return [mode for mode in QUANTITIES if base.get(mode) not in (None, True)]


def find(connection: sa.Connection, number: int, now: int) -> Control | None:
    """The control of a number; None: there is none."""
    kept = controls.commanded(connection, number, now)
    return None if kept is None else _control(connection, kept)


def _control(connection: sa.Connection, kept: StoredControl) -> Control:
    (document,) = controls.shown(connection, [kept])
    event, status = kept.event, kept.status
    end = event.end
    if status.state in (EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED, EventState.SUPERSEDED):
        end = min(end, status.since)
    return Control(kept, document, event.begins, end)


# Devices.


def addressed(
    connection: sa.Connection, control: Control, after: int, limit: int
) -> tuple[list[int], int | None]:
    """The devices that a control was for when it began, some at a time and by number.

    :return: the devices, and the one after which the rest begins; None: nothing follows
    """
    kept, at = control.kept, control.begin
    owner = programs.owner_of(kept.program)
    following: int | None = None
    if owner is not None:
        candidates = [owner] if owner > after else []
    else:
        group = programs.group_of(connection, kept.program)
        found, following = group_history.members(connection, group, at, at + 1, after, limit)
        candidates = list(found)
    rows = connection.execute(
        sa.select(device_table.c.id, device_table.c.device_category)
        .where(
            device_table.c.id.in_(candidates),
            sa.not_(device_table.c.aggregator),
            device_table.c.registered <= at,
            *(
                sa.or_(gone.is_(None), gone > at)
                for gone in (device_table.c.withdrawn, device_table.c.retired)
            ),
        )
        .order_by(device_table.c.id)
    )
    categories = kept.event.categories
    return [
        row.id
        for row in rows
        if categories == ALL_CATEGORIES or not row.device_category or row.device_category & categories
    ], following


def of_devices(
    connection: sa.Connection, server: Server, control: Control, devices: Sequence[int], now: int
) -> list[DeviceDelivery]:
    """What devices made of a control so far."""
    metering = server.metering
    if not devices or not control.modes:
        return []
    known = der_reports.ratings_at(connection, devices, control.begin)
    said = _declined(connection, control.kept.number, devices)
    series = telemetry.of_devices(connection, devices, metering.der_forward)
    waits = _post_rates(connection, metering, series)
    base, event = control.document.DERControlBase, control.kept.event
    found = []
    for device in devices:
        ratings, ders = known.get(device, (Ratings(), 1))
        interval = judged(
            control.begin,
            control.end,
            randomize_start=event.randomize_start,
            randomize_duration=event.randomize_duration,
            ramp_hundredths=base.rampTms,
            gradient=ratings.gradient,
        )
        for command in commands(base, ratings, ders):
            own = series.get(device, [])
            meter, of = _meter(own, command, interval)
            passed = Interval(interval.begin, min(interval.end, now))
            points, newest = _points(connection, of, passed, over=now >= interval.end)
            outcome = judge(
                command,
                interval,
                ratings,
                points,
                newest=newest,
                post_rate=waits.get(device, metering.post_rate),
                now=now,
                declined=device in said,
            )
            if outcome.verdict is Verdict.NOT_OBEYED and _is_overridden(
                connection, server, control.kept.number, device, outcome
            ):
                outcome = evolve(outcome, verdict=Verdict.OVERRIDDEN)
            metered = any(one.quantity.name == command.quantity for one in own)
            found.append(DeviceDelivery(device, outcome, meter, metered))
    return found


def _is_overridden(
    connection: sa.Connection, server: Server, control: int, device: int, found: Delivery
) -> bool:
    """Whether something else held the mode on a device when its time began or ended."""
    mode = found.command.mode
    for moment in (found.interval.begin, found.interval.end - 1):
        seen = in_force.of_device(connection, server.own, device, moment)
        if not any(one.mode == mode and one.control == control for one in seen.acting):
            return True
    return False


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
    connection: sa.Connection, metering: Metering, series: Mapping[int, Sequence[Series]]
) -> dict[int, int]:
    """How often each device posts its readings (s); of several mirrors the slowest counts."""
    commanded = _commanded(connection, list(series))
    of = {one.meter_reading: device for device, some in series.items() for one in some if one.ended is None}
    wished: dict[int, int] = {}
    for row in _WISHED.all(connection, {"numbers": list(of)}):
        if row.wished_post_rate is not None:
            device = of[row.id]
            wished[device] = max(wished.get(device, 0), row.wished_post_rate)
    return {device: metering.rate(commanded[device], wished.get(device)) for device in series}


def _commanded(connection: sa.Connection, devices: Sequence[int]) -> dict[int, int | None]:
    """The postRate that operators have set for devices: for each alone, for its deepest group, for all."""
    known = rates.commanded(connection, _POST_RATE)
    own = rates.own_of_each(connection, _POST_RATE, devices) if known.devices else {}
    found: dict[int, int | None] = {}
    of_sets: dict[tuple[int, ...], int | None] = {}
    for device in devices:
        if device in own or not known.groups:
            found[device] = own.get(device, known.general)
            continue
        of = groups.set_of(connection, device)
        if of not in of_sets:
            by_group = rates.of_set(connection, known.groups, of)
            of_sets[of] = known.general if by_group is None else by_group[1]
        found[device] = of_sets[of]
    return found


_WISHED = Prepared(
    sa.select(meter_readings.c.id, mirrors.c.wished_post_rate)
    .join(mirrors, mirrors.c.id == meter_readings.c.mirror)
    .where(meter_readings.c.id.in_(sa.bindparam("numbers", expanding=True)))
)


def _meter(own: Sequence[Series], command: Command, interval: Interval) -> tuple[str | None, list[Series]]:
    """The series that say what came of a command: a DER's own meter's, else the premises'."""
    fitting = [
        one
        for one in own
        if one.quantity.name == command.quantity
        and one.quantity.behaviour is Behaviour.INSTANTANEOUS
        and one.quantity.qualifier in ("", "average", "normal")
        and one.since < interval.end
        and (one.ended is None or one.ended > interval.begin)
    ]
    for is_der, name in ((True, "der"), (False, "premises")):
        some = [one for one in fitting if one.is_der is is_der]
        if some:
            whole = [one for one in some if is_whole(one.phase)]
            return name, whole or some
    return None, []


def _points(
    connection: sa.Connection, of: Sequence[Series], interval: Interval, *, over: bool
) -> tuple[list[Point], int | None]:
    """The readings of an interval; of several meters (of phases, or of DERs) what they come to together.

    Where one of these gives none there are none: a part is not the whole.

    :param over: whether nothing more of the interval is to come

    :return: in the order of time; and when the newest is, of the meter that is the furthest behind
    """
    if not interval.seconds or not of:
        return [], None
    by_meter: dict[int, list[Point]] = defaultdict(list)
    for one in of:
        # Another ReadingType began another series of the same meter.
        by_meter[one.meter_reading] += _read(connection, one, interval)
    each = [sorted(points, key=lambda point: point.start) for points in by_meter.values()]
    if not all(each):
        return [], None
    # A reading of a period is as new as its end: of one of a postRate the start is a postRate older.
    newest = min(points[-1].start + (points[-1].duration or 0) for points in each)
    if len(each) == 1:
        return each[0], newest
    alone = [inside(points, interval) for points in each]
    parts = [mean(some, interval) for some in (alone if all(alone) else each)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or (not all(alone) and not over):
        return [], newest
    return [Point(interval.begin, interval.seconds, sum(known, Decimal(0)))], newest


def _read(connection: sa.Connection, one: Series, interval: Interval) -> list[Point]:
    since = interval.begin - HOLD
    amount = one.quantity.amount
    if interval.seconds <= _BY_READINGS:
        rows, _ = page(connection, one.number, since, interval.end, limit=_MOST_READINGS)
        found = [
            Point(row.at, row.sample.duration, amount(row.sample.value))
            for row in rows
            if row.sample.value is not None
        ]
        if found:
            return found
    # Raw readings are kept for a time; what they came to, for longer.
    step = MINUTES if interval.seconds <= _BY_MINUTES else HOUR
    buckets = made_and_fresh(connection, one.number, step, interval.begin, interval.end)
    return [Point(b.start, step, amount(b.mean)) for b in buckets if b.mean is not None]


# Totals.


# What the daemon's round goes over.
