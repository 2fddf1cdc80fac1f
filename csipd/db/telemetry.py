"""What operators read of readings: by device, group, quantity and time, the newest of each.

All of it is read by key, device by device and series by series, a portion at a time: a place says how far a
portion came. Whose readings those of a group are ``csipd.db.group_history`` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import device_list, group_history
from csipd.db.device_list import Wanted
from csipd.db.group_history import Span
from csipd.db.prepared import Prepared
from csipd.db.rollups import read as made_and_fresh
from csipd.db.segments import reading_type_of
from csipd.db.series import NONE, Sample, page
from csipd.db.tables import rollups, series
from csipd.der.rollups import floor
from csipd.sep2.measurements import Behaviour, DerForward, Quantity, quantity_of

Key = tuple[int, ...]


@frozen
class Series:
    """A series as operators see it.

    :param is_der: whether a DER's own meter has it; else it is that of the premises
    :param since: when it began (TimeType); ``ended`` when another ReadingType took its place, or None
    :param phase: PhaseCode
    :param rolled: up to when its roll-ups are made; None: there are none yet
    :param period: the intervalLength of its ReadingType (s); 0: it says none
    """

    number: int
    device: int
    meter_reading: int
    is_der: bool
    quantity: Quantity
    phase: int
    since: int
    ended: int | None
    rolled: int | None
    period: int = 0

    @property
    def meter(self) -> str:
        """What it is the meter of."""
        return "der" if self.is_der else "premises"


@frozen
class Measured:
    """One reading, or what readings come to in a step of time. Amounts are in the unit, generation positive.

    :param at: when it was, or begins (TimeType)
    :param duration: of its period or step (s); None: it has none
    :param value: read; in a step the mean, and of what adds up how much came
    :param quality: qualityFlags
    :param readings: of a step, how many there were; ``resets`` how often a register was set back
    """

    series: Series
    at: int
    duration: int | None
    value: Decimal | None
    quality: int | None = None
    least: Decimal | None = None
    greatest: Decimal | None = None
    readings: int | None = None
    resets: int | None = None


@frozen
class Place:
    """How far readings have been read: up to a device, a series of it, and a reading of that."""

    device: int = 0
    series: int = 0
    key: Key | None = None


# Whose.


@frozen
class Whose:
    """Whose readings are asked for: a device's, or those of a group and of all below it.

    :param unit: UomType; None: all that is measured
    """

    device: int | None = None
    group: int | None = None
    unit: int | None = None


_SERIES = (
    series.c.id,
    series.c.device,
    series.c.meter_reading,
    series.c.der,
    series.c.forward_alone,
    series.c.body,
    series.c.since,
    series.c.ended,
    series.c.rolled,
)
_OF_DEVICES = Prepared(
    sa.select(*_SERIES)
    .where(
        series.c.device.in_(sa.bindparam("devices", expanding=True)),
        series.c.doomed == sa.false(),
    )
    .order_by(series.c.device, series.c.id)
)
_LATEST = (
    sa.select(
        *_SERIES,
        series.c.latest_at,
        series.c.latest_start,
        series.c.latest_duration,
        series.c.latest_value,
        series.c.latest_quality,
    )
    .where(series.c.ended.is_(None), series.c.doomed == sa.false())
    .order_by(series.c.device, series.c.id)
)
_LATEST_OF_DEVICES = Prepared(_LATEST.where(series.c.device.in_(sa.bindparam("devices", expanding=True))))
_LATEST_OF_METERS = Prepared(
    _LATEST.where(series.c.meter_reading.in_(sa.bindparam("meter_readings", expanding=True)))
)


@lru_cache(maxsize=1024)
def _meaning(
    body: bytes, is_der: bool, forward_alone: bool, der_forward: DerForward
) -> tuple[Quantity, int, int]:
    """The quantity, the PhaseCode and the intervalLength (s) of a ReadingType."""
    found = reading_type_of(body)
    quantity = quantity_of(found, is_der=is_der, forward_alone=forward_alone, der_forward=der_forward)
    return quantity, found.phase or 0, found.intervalLength or 0


def _series(row: Any, der_forward: DerForward) -> Series:
    quantity, phase, period = _meaning(row.body, row.der, row.forward_alone, der_forward)
    return Series(
        row.id,
        row.device,
        row.meter_reading,
        row.der,
        quantity,
        phase,
        row.since,
        row.ended,
        row.rolled,
        period,
    )


def _is_of(row: Any, unit: int | None) -> bool:
    return unit is None or (reading_type_of(row.body).uom or 0) == unit


def of_devices(
    connection: sa.Connection, devices: Sequence[int], der_forward: DerForward, unit: int | None = None
) -> dict[int, list[Series]]:
    """The series of devices, also those that have ended, by device."""
    found: dict[int, list[Series]] = defaultdict(list)
    for row in _OF_DEVICES.all(connection, {"devices": list(devices)}):
        if _is_of(row, unit):
            found[row.device].append(_series(row, der_forward))
    return found


# Series.


def portion(
    connection: sa.Connection,
    whose: Whose,
    since: int,
    until: int,
    step: int | None,
    place: Place | None,
    limit: int,
    *,
    der_forward: DerForward,
) -> tuple[list[Measured], Place | None]:
    """Readings of a period, by device, series and time.

    :param step: length of the roll-ups that are wanted (s); None: the readings themselves
    :param place: where they begin; None: at the start
    :return: the readings, and where the rest begins; None: nothing follows. There may be fewer than ``limit``
        though more follow
    """
    place = place or Place()
    spans, following = _whose(connection, whose, since, until, max(place.device - 1, 0))
    known = of_devices(connection, list(spans), der_forward, whose.unit)
    found: list[Measured] = []
    for device, some in spans.items():
        for one in known.get(device, ()):
            if device == place.device and one.number < place.series:
                continue
            key = place.key if (device, one.number) == (place.device, place.series) else None
            for span in some:
                if key is not None and key[0] >= span[1]:
                    continue
                rows, key = _read(connection, one, span, step, key, limit - len(found))
                found += rows
                if len(found) >= limit:
                    # Where the series ends with its span the next portion finds nothing more of it.
                    return found, Place(device, one.number, key or (span[1], NONE - 1, NONE, 0, 0))
    return found, None if following is None else Place(following + 1)


def _whose(
    connection: sa.Connection, whose: Whose, since: int, until: int, after: int
) -> tuple[Mapping[int, list[Span]], int | None]:
    if whose.group is not None:
        return group_history.members(connection, whose.group, since, until, after, group_history.DEVICES)
    assert whose.device is not None
    return ({} if after >= whose.device else {whose.device: [(since, until)]}), None


def _read(
    connection: sa.Connection, one: Series, span: Span, step: int | None, key: Key | None, limit: int
) -> tuple[list[Measured], Key | None]:
    since, until = span
    if key is not None and key[0] < since:
        key = None
    if step is not None:
        return _rolled(connection, one, since, until, step, key, limit)
    rows, following = page(connection, one.number, since, until, after=key, limit=limit)
    return [_measured(one, row.at, row.sample) for row in rows], following


def _measured(one: Series, at: int, sample: Sample) -> Measured:
    value = None if sample.value is None else one.quantity.amount(sample.value)
    return Measured(one, at, sample.duration, value, sample.quality)


_ROLLUP = (
    rollups.c.start,
    rollups.c.block,
    rollups.c.tier,
    rollups.c.readings,
    rollups.c.mean,
    rollups.c.least,
    rollups.c.greatest,
    rollups.c.resets,
    rollups.c.total,
)
_ROLLED = Prepared(
    sa.select(*_ROLLUP)
    .where(
        rollups.c.series == sa.bindparam("number"),
        rollups.c.step == sa.bindparam("step"),
        sa.tuple_(rollups.c.start, rollups.c.block, rollups.c.tier)
        > sa.tuple_(
            *(sa.bindparam(f"after_{name}", type_=sa.BigInteger()) for name in ("start", "block", "tier"))
        ),
        rollups.c.start < sa.bindparam("until"),
    )
    .order_by(rollups.c.start, rollups.c.block, rollups.c.tier)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)


def _rolled(
    connection: sa.Connection, one: Series, since: int, until: int, step: int, key: Key | None, limit: int
) -> tuple[list[Measured], Key | None]:
    start, block, tier = (since, -1, 0) if key is None else (key[0], key[-2], key[-1])
    # The step that the mark is in may be made in part: it is made anew, with what has come since.
    edge = floor(one.rolled or 0, step)
    asked = {
        "number": one.number,
        "step": step,
        "after_start": start,
        "after_block": block,
        "after_tier": tier,
        "until": min(until, edge),
        "most": limit,
    }
    rows: list[Any] = _ROLLED.all(connection, asked)
    if len(rows) == limit:
        last = rows[-1]
        return [_of_rollup(one, row, step) for row in rows], (last.start, last.block, last.tier)
    for bucket in made_and_fresh(connection, one.number, step, max(since, edge), until):
        if (bucket.start, bucket.block, bucket.tier) > (start, block, tier):
            rows.append(bucket)
    return [_of_rollup(one, row, step) for row in rows], None


def _of_rollup(one: Series, row: Any, step: int) -> Measured:
    quantity = one.quantity
    value = row.mean if quantity.behaviour is Behaviour.INSTANTANEOUS else row.total
    bounds = [None if bound is None else quantity.amount(bound) for bound in (row.least, row.greatest)]
    least, greatest = bounds if quantity.sign > 0 else reversed(bounds)
    return Measured(
        one,
        row.start,
        step,
        None if value is None else amount_of(quantity, value),
        None,
        least,
        greatest,
        row.readings,
        row.resets,
    )


def amount_of(quantity: Quantity, value: int | float) -> Decimal:
    """What a number of a roll-up is in the unit of its quantity, generation positive."""
    # As many digits as a mean of readings has, not as many as a float.
    return quantity.amount(value) if isinstance(value, int) else round(quantity.amount(value), 6)


# The newest.


@frozen
class Newest:
    """The newest reading of a series.

    :param at: when it counts (TimeType)
    """

    series: Series
    at: int
    duration: int | None
    value: Decimal | None
    quality: int | None


def newest(
    connection: sa.Connection, devices: Sequence[int], der_forward: DerForward
) -> dict[int, list[Newest]]:
    """The newest reading of each series that devices have now: one row each, however long the series are."""
    found: dict[int, list[Newest]] = {device: [] for device in devices}
    for one in _newest(_LATEST_OF_DEVICES.all(connection, {"devices": list(devices)}), der_forward):
        found[one.series.device].append(one)
    return found


def newest_of_meters(
    connection: sa.Connection, meter_readings: Sequence[int], der_forward: DerForward
) -> list[Newest]:
    """The newest reading of each of the MeterReadings that has one, by device."""
    return list(
        _newest(_LATEST_OF_METERS.all(connection, {"meter_readings": list(meter_readings)}), der_forward)
    )


def _newest(rows: Iterable[Any], der_forward: DerForward) -> Iterator[Newest]:
    for row in rows:
        if row.latest_at is None:
            continue
        one = _series(row, der_forward)
        value = None if row.latest_value is None else one.quantity.amount(row.latest_value)
        duration = None if row.latest_duration == NONE else row.latest_duration
        yield Newest(one, row.latest_at, duration, value, row.latest_quality)


def newest_of_group(
    connection: sa.Connection, group: int, after: int, limit: int, der_forward: DerForward
) -> tuple[dict[int, list[Newest]], int | None]:
    """The newest readings of the devices that are in a group and below it now, a page of devices.

    :return: by device, and the device after which the next page begins; None: nothing follows
    """
    rows, following = device_list.page(connection, Wanted(group=group), after=after, limit=limit)
    return newest(connection, [row.id for row in rows], der_forward), following
