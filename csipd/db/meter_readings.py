"""MeterReadings of usage points and their ReadingSets: which there are, and what they say of themselves.

A MirrorMeterReading and its MeterReading are one row and have one number; so have each MirrorReadingSet and
its ReadingSet (IEEE 2030.5-2018 10.11.3). What was read is in series (csipd/db/series.py).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts, segments, series
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import meter_readings, reading_sets
from csipd.der.metering import Metering
from csipd.refusals import Full
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page

_OF_MIRROR = meter_readings.c.mirror == sa.bindparam("mirror")


_METERS = sa.select(
    meter_readings.c.id, meter_readings.c.mrid, meter_readings.c.description, meter_readings.c.version
)


_METER = Prepared(
    sa.select(meter_readings.c.id, meter_readings.c.description, meter_readings.c.version).where(
        _OF_MIRROR, meter_readings.c.mrid == sa.bindparam("mrid")
    )
)


_METER_COUNTS = Prepared(
    sa.select(meter_readings.c.mirror, sa.func.count().label("number"))
    .where(meter_readings.c.mirror.in_(sa.bindparam("mirrors", expanding=True)))
    .group_by(meter_readings.c.mirror)
)


_METER_NUMBERS = Prepared(sa.select(meter_readings.c.id).where(_OF_MIRROR))


_METER_PAGE = Prepared(
    _METERS.where(_OF_MIRROR)
    .order_by(meter_readings.c.mrid.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)


_METER_OF = Prepared(_METERS.where(_OF_MIRROR, meter_readings.c.id == sa.bindparam("meter")))


_ADD_METER = Prepared(
    sa.insert(meter_readings).values(sets=0).returning(meter_readings.c.id),
    "mirror",
    "mrid",
    "description",
    "version",
    "sets",
)


_THIS_METER = meter_readings.c.id == sa.bindparam("meter")


_CHANGE_METER = Prepared(sa.update(meter_readings).where(_THIS_METER), "description", "version")


_COUNT_SET = Prepared(
    sa.update(meter_readings)
    .where(_THIS_METER)
    .values(sets=meter_readings.c.sets + 1)
    .returning(meter_readings.c.sets)
)


_SET_COUNT = Prepared(sa.select(meter_readings.c.sets).where(_THIS_METER))


_SHORTEN = Prepared(sa.update(meter_readings).where(_THIS_METER).values(sets=meter_readings.c.sets - 1))


_SETS = sa.select(
    reading_sets.c.id,
    reading_sets.c.mrid,
    reading_sets.c.description,
    reading_sets.c.version,
    reading_sets.c.start,
    reading_sets.c.duration,
)


_OF_METER = reading_sets.c.meter_reading == sa.bindparam("meter")


_LATER = reading_sets.c.start > sa.bindparam("after")


_NEWEST = (reading_sets.c.start.desc(), reading_sets.c.mrid.desc())


_SET = Prepared(_SETS.where(_OF_METER, reading_sets.c.id == sa.bindparam("number")))


_SET_BY_MRID = Prepared(_SETS.where(_OF_METER, reading_sets.c.mrid == sa.bindparam("mrid")))


_SET_LATER_COUNT = Prepared(sa.select(sa.func.count()).select_from(reading_sets).where(_OF_METER, _LATER))


_SET_PAGE, _SET_LATER_PAGE = (
    Prepared(
        _SETS.where(*conditions)
        .order_by(*_NEWEST)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .offset(sa.bindparam("start", type_=sa.Integer))
    )
    for conditions in ([_OF_METER], [_OF_METER, _LATER])
)


_ADD_SET = Prepared(
    sa.insert(reading_sets).returning(reading_sets.c.id),
    "meter_reading",
    "mrid",
    "description",
    "version",
    "start",
    "duration",
)


_REPLACE_SET = Prepared(
    sa.update(reading_sets).where(reading_sets.c.id == sa.bindparam("number")),
    "description",
    "version",
    "start",
    "duration",
)


_OLDEST_SET = Prepared(
    sa.select(reading_sets.c.id).where(_OF_METER).order_by(reading_sets.c.start, reading_sets.c.mrid).limit(1)
)


_REMOVE_SET = Prepared(sa.delete(reading_sets).where(reading_sets.c.id == sa.bindparam("number")))


_SETS_OF = Prepared(
    sa.select(reading_sets.c.id).where(_OF_METER).limit(sa.bindparam("limit", type_=sa.Integer))
)


_REMOVE_SETS = Prepared(
    sa.delete(reading_sets).where(reading_sets.c.id.in_(sa.bindparam("numbers", expanding=True)))
)


_REMOVE_METER = Prepared(sa.delete(meter_readings).where(_THIS_METER))


@frozen
class Meter:
    """A MeterReading: readings of one kind."""

    number: int
    description: str | None
    version: int | None


def find(connection: sa.Connection, mirror: int, mrid: str) -> Meter | None:
    """The MeterReading of a mirror that a MirrorMeterReading of that mRID is about."""
    row = _METER.first(connection, {"mirror": mirror, "mrid": mrid})
    return None if row is None else Meter(*row)


def get(connection: sa.Connection, mirror: int, number: int) -> Any:
    """The row of a MeterReading: id, mrid, description, version; None: there is none."""
    return _METER_OF.first(connection, {"mirror": mirror, "meter": number})


def page(connection: sa.Connection, mirror: int, part: Page) -> list[Any]:
    """A part of the MeterReadings of a usage point, by mRID descending: rows as `get` has them."""
    return _METER_PAGE.all(connection, {"mirror": mirror, "limit": part.limit, "start": part.start})


def numbers(connection: sa.Connection, mirror: int) -> list[int]:
    """The numbers of all MeterReadings of a usage point."""
    return _METER_NUMBERS.scalars(connection, {"mirror": mirror})


def counts(connection: sa.Connection, mirrors: list[int]) -> dict[int, int]:
    """How many MeterReadings each of the usage points has; those without any are left out."""
    return dict(_METER_COUNTS.all(connection, {"mirrors": mirrors}))


def reading_set(connection: sa.Connection, meter: int, number: int) -> Any:
    """The row of a ReadingSet: id, mrid, description, version, start, duration; None: there is none."""
    return _SET.first(connection, {"meter": meter, "number": number})


def sets(connection: sa.Connection, meter: int, part: Page) -> tuple[int, list[Any]]:
    """A part of the ReadingSets of a MeterReading, the newest first.

    :return: how many there are (after the filter ``a``), and rows as `reading_set` has them
    """
    wanted = {"meter": meter, "limit": part.limit, "start": part.start, "after": part.after}
    if part.after is None:
        return set_count(connection, meter), _SET_PAGE.all(connection, wanted)
    total: int = _SET_LATER_COUNT.scalar(connection, wanted)
    return total, _SET_LATER_PAGE.all(connection, wanted)


def set_count(connection: sa.Connection, meter: int) -> int:
    """How many ReadingSets a MeterReading has."""
    return _SET_COUNT.scalar(connection, {"meter": meter}) or 0


def add(transaction: Transaction, mirror: int, given: r.MirrorMeterReading, metering: Metering) -> int:
    """Add the MeterReading of a MirrorMeterReading; its number.

    :raises Full: the mirror has too many
    """
    connection = transaction.connection
    most = metering.meter_readings_per_mirror
    if counts(connection, [mirror]).get(mirror, 0) >= most:
        raise Full(f"mirror {mirror} has {most} MirrorMeterReadings")
    said = {"mrid": given.mRID, "description": given.description, "version": given.version}
    number: int = _ADD_METER.scalar(connection, {"mirror": mirror, **said})
    transaction.invalidate(facts.mirror(mirror))
    return number


def change(transaction: Transaction, mirror: int, known: Meter, given: r.MirrorMeterReading) -> None:
    """Overwrite what a MeterReading says of itself; what is left out stays."""
    before = {"description": known.description, "version": known.version}
    said = {"description": given.description, "version": given.version}
    after = before | {name: value for name, value in said.items() if value is not None}
    if after != before:
        _CHANGE_METER.execute(transaction.connection, {"meter": known.number, **after})
        transaction.invalidate(facts.mirror(mirror))


def put_set(transaction: Transaction, meter: int, given: r.MirrorReadingSet, metering: Metering) -> int:
    """Add a set of readings, or make room in the one of its mRID; its number."""
    connection, period = transaction.connection, given.timePeriod
    said = {
        "description": given.description,
        "version": given.version,
        "start": period.start,
        "duration": period.duration,
    }
    known = _SET_BY_MRID.first(connection, {"meter": meter, "mrid": given.mRID})
    number: int
    if known is not None:
        number = known.id
        series.drop_set(transaction, meter, number)
        _REPLACE_SET.execute(connection, {"number": number, **said})
    else:
        number = _ADD_SET.scalar(connection, {"meter_reading": meter, "mrid": given.mRID, **said})
        if _COUNT_SET.scalar(connection, {"meter": meter}) > metering.reading_sets:
            _REMOVE_SET.execute(connection, {"number": _OLDEST_SET.scalar(connection, {"meter": meter})})
            _SHORTEN.execute(connection, {"meter": meter})
    transaction.invalidate(facts.readings(meter))
    return number


def end(transaction: Transaction, mirror: int, now: int) -> None:
    """End the series of all MeterReadings of a mirror: what was read stays with its device."""
    for number in numbers(transaction.connection, mirror):
        segments.end(transaction, number, now)


def clear(transaction: Transaction, mirror: int, most: int) -> int:
    """Remove the MeterReadings and ReadingSets of a mirror that was deleted, so many rows at most.

    :return: how many rows were removed
    """
    connection = transaction.connection
    left = most
    for meter in numbers(connection, mirror):
        gone = _SETS_OF.scalars(connection, {"meter": meter, "limit": left})
        if gone:
            _REMOVE_SETS.execute(connection, {"numbers": gone})
            transaction.invalidate(facts.readings(meter))
            left -= len(gone)
        if left <= 0:
            return most
        _REMOVE_METER.execute(connection, {"meter": meter})
        left -= 1
    return most - left
