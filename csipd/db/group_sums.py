"""What a quantity comes to in a group, step by step: a portion of steps and devices at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from attrs import field, frozen

from csipd.db import group_history
from csipd.db.delivery_meters import QUALIFIERS, mirrors_of
from csipd.db.group_history import Span
from csipd.db.prepared import Prepared
from csipd.db.rollups import read as made_and_fresh
from csipd.db.tables import rollups
from csipd.db.telemetry import Series, amount_of, of_devices
from csipd.der.rollups import floor
from csipd.sep2.measurements import MEASURANDS, Behaviour, DerForward, is_whole

#: Steps that a portion of sums is of: what it keeps until all devices have been added up.
STEPS = 24


def symbol(unit: int) -> str | None:
    """The symbol of a UomType; None where there is none."""
    known = MEASURANDS.get(unit)
    return known.unit or None if known is not None else None


@frozen
class Sum:
    """What the devices of a group come to in a step.

    :param at: when it begins (TimeType)
    :param devices: how many of them have readings there
    """

    at: int
    value: Decimal
    devices: int


@frozen
class SumPlace:
    """How far sums have been made: those of which steps, and up to which device.

    :param start: of the steps that are being added up (TimeType)
    :param so_far: what came so far by start: the sum, and of how many devices
    """

    start: int
    device: int = 0
    so_far: Mapping[int, tuple[Decimal, int]] = field(factory=dict)


_OF_SERIES = Prepared(
    sa.select(rollups.c.series, rollups.c.start, rollups.c.mean, rollups.c.total).where(
        rollups.c.series.in_(sa.bindparam("numbers", expanding=True)),
        rollups.c.step == sa.bindparam("step"),
        rollups.c.start >= sa.bindparam("since"),
        rollups.c.start < sa.bindparam("until"),
    )
)


def sums(
    connection: sa.Connection,
    group: int,
    unit: int,
    since: int,
    until: int,
    step: int,
    place: SumPlace | None,
    *,
    is_der: bool,
    der_forward: DerForward,
) -> tuple[list[Sum], SumPlace | None]:
    """What a quantity comes to in a group, step by step: of the mean of power, of the amount of energy.

    Of each device its own meter's (or its premises') readings of all phases together; where it has none of
    these, the sum of its single phases. What a mirror says in several ways, as means and as moments, counts
    once. A step that a device has entered or left the group in counts where it begins.

    :return: sums, and where the rest begins; None: nothing follows. No sum is there before its last device is
    """
    place = place or SumPlace(since - since % step)
    end = min(place.start + STEPS * step, until)
    spans, following = group_history.members(
        connection, group, place.start, end, place.device, group_history.DEVICES
    )
    counted = _counted(connection, list(spans), unit, is_der, der_forward)
    inside = mirrors_of(connection, list(counted.values()))
    so_far = dict(place.so_far)
    # By step and device, and in these by meter, what each way to say it comes to.
    said: dict[tuple[int, int], dict[object, dict[str, Decimal]]] = {}
    for one, row in _steps(connection, counted, step, max(place.start, since), end):
        value = row.mean if one.quantity.behaviour is Behaviour.INSTANTANEOUS else row.total
        if value is not None and _within(row.start, spans[one.device]):
            mirror = inside.get(one.meter_reading)
            meter = one.meter_reading if mirror is None else mirror
            ways = said.setdefault((row.start, one.device), {}).setdefault(meter, {})
            qualifier = one.quantity.qualifier
            ways[qualifier] = ways.get(qualifier, Decimal(0)) + amount_of(one.quantity, value)
    for (start, _), meters in said.items():
        total, number = so_far.get(start, (Decimal(0), 0))
        so_far[start] = total + sum(_once(ways) for ways in meters.values()), number + 1
    if following is not None:
        return [], SumPlace(place.start, following, so_far)
    found = [Sum(start, *so_far[start]) for start in sorted(so_far)]
    return found, SumPlace(end) if end < until else None


def _steps(
    connection: sa.Connection, counted: Mapping[int, Series], step: int, since: int, until: int
) -> Iterator[tuple[Series, Any]]:
    """What the readings of some series come to in the steps of a period."""
    made = [one.number for one in counted.values() if floor(one.rolled or 0, step) >= until]
    for some in _batches(made, 500):
        asked = {"numbers": some, "step": step, "since": since, "until": until}
        for row in _OF_SERIES.all(connection, asked):
            yield counted[row.series], row
    for number in counted.keys() - set(made):
        for bucket in made_and_fresh(connection, number, step, since, until):
            yield counted[number], bucket


def _counted(
    connection: sa.Connection, devices: Sequence[int], unit: int, is_der: bool, der_forward: DerForward
) -> dict[int, Series]:
    """The series of devices that a sum is made of, by number."""
    found: dict[int, Series] = {}
    for some in of_devices(connection, devices, der_forward, unit).values():
        fitting = [one for one in some if one.is_der == is_der and one.quantity.qualifier in QUALIFIERS]
        whole = [one for one in fitting if is_whole(one.phase)]
        found |= {one.number: one for one in whole or fitting}
    return found


def _once(ways: Mapping[str, Decimal]) -> Decimal:
    return next(ways[qualifier] for qualifier in QUALIFIERS if qualifier in ways)


def _within(at: int, spans: Sequence[Span]) -> bool:
    return any(start <= at < end for start, end in spans)


def _batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))
