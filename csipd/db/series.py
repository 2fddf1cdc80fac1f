"""Readings as time series: stored, replaced, removed, and the latest of each at the cost of one row.

Which series they are of is for `csipd.db.segments`. Readings are rows of numbers in the order of series and
time, never documents. What they come to in five minutes, an hour and a day is made later
(`csipd.db.rollups`): here it is only noted which hours have to be made again.

The mirror's chapter calls this; whose readings they may be is decided there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import define, frozen

from csipd.db import facts
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.segments import Segment, of_number
from csipd.db.tables import late_hours, readings, series
from csipd.db.upsert import insert
from csipd.der.rollups import HOUR
from csipd.refusals import Full
from csipd.sep2.types import ShortBits, octets_of, short_bits

#: Raw readings of a series: more than one a second in the 30 days for which they are kept.
MOST_READINGS = 3_000_000
#: What stands in a row for a timePeriod or a localID that a reading does not have.
NONE = -1


# One for each reading, and a frozen class takes twice as long to make. Nothing changes one.
@define
class Sample:
    """A Reading (IEEE 2030.5-2018 10.4) without what its series says.

    :param start: of its timePeriod (TimeType); None, as ``duration`` (s): it has none
    :param value: in units of the ReadingType
    :param quality: qualityFlags, ``local_id`` localID, both as wide as they were given
    :param block: consumptionBlock, ``tier`` touTier; 0: not applicable
    """

    start: int | None
    duration: int | None
    value: int | None
    quality: int | None = None
    local_id: int | None = None
    block: int = 0
    tier: int = 0


def store(
    transaction: Transaction, segment: Segment, samples: Sequence[Sample], received: int, in_set: int = 0
) -> None:
    """Keep readings of a series; one that is there already is replaced (decision 58).

    The same is what agrees in series, start, duration, localID, block and tier.

    :param received: when they came (TimeType): one without timePeriod counts then
    :param in_set: number of their ReadingSet, where each gets its number by its place among ``samples``
    :raises Full: the series holds as many as it may
    """
    if not samples:
        return
    if segment.stored + len(samples) > MOST_READINGS:
        raise Full(f"series {segment.number} holds {segment.stored} readings")
    connection = transaction.connection
    number = segment.number
    rows = []
    latest_at: int | None = None
    latest = newest = 0
    for place, sample in enumerate(samples):
        start, duration, local_id, quality = sample.start, sample.duration, sample.local_id, sample.quality
        if start is None:
            start, duration = received, NONE
        at = start if start < received else received
        if latest_at is None:
            latest_at, newest = at, start
        elif at >= latest_at:
            latest_at, latest = at, place
        if start > newest:
            newest = start
        widths = _widths(quality, local_id)
        if local_id is None:
            local_id = NONE
        in_place = place + 1 if in_set else 0
        rows.append(
            (
                number,
                start,
                duration,
                local_id,
                sample.block,
                sample.tier,
                sample.value,
                quality,
                widths,
                in_set,
                in_place,
            )
        )
    _STORE.execute_many(connection, rows)
    assert latest_at is not None
    values: dict[str, int | None] = {"number": number, "more": len(rows), "furthest": newest}
    if segment.latest_at is None or latest_at >= segment.latest_at:
        row = rows[latest]
        values |= zip(_LATEST_NAMES, (latest_at, *row[1:10]), strict=True)
        is_latest = bool(_LATEST.execute(connection, values))
    else:
        is_latest = False
    if not is_latest:
        _EARLIER.execute(connection, values)
    if segment.rolled is not None:
        _note_late(connection, segment, (row[1] for row in rows))
    transaction.invalidate(facts.readings(segment.meter_reading))


def _widths(quality: int | None, local_id: int | None) -> int:
    """In how many octets both were given (decision 40), in a number that is 0 where it is all of them."""
    if not (isinstance(quality, ShortBits) or isinstance(local_id, ShortBits)):
        return 0  # as of nearly all
    of_quality, of_local_id = octets_of(quality), octets_of(local_id)
    return 4 * (0 if of_quality is None else of_quality + 1) + (0 if of_local_id is None else of_local_id + 1)


def _widen(value: int | None, width: int) -> int | None:
    return value if value is None or not width else short_bits(value, width - 1)


_COLUMNS = tuple(column.name for column in readings.columns)
# A word of the statement and no parameter of it: each row is given its own values alone.
_NO_SET = sa.literal_column("0", sa.BigInteger)


def _store(dialect: str) -> sa.Insert:
    statement = insert(dialect, readings).values(
        {name: sa.bindparam(name, type_=column.type) for name, column in readings.columns.items()}
    )
    new, key = statement.excluded, [column.name for column in readings.primary_key]
    values: dict[str, Any] = {name: new[name] for name in _COLUMNS if name not in key}
    # What comes alone and is in a set already stays in it.
    for name in ("in_set", "number"):
        values[name] = sa.case((new.in_set > _NO_SET, new[name]), else_=readings.c[name])
    return statement.on_conflict_do_update(index_elements=key, set_=values)


_STORE = Prepared(_store, *_COLUMNS)
_LATEST_COLUMNS = (
    series.c.latest_at,
    series.c.latest_start,
    series.c.latest_duration,
    series.c.latest_local_id,
    series.c.latest_block,
    series.c.latest_tier,
    series.c.latest_value,
    series.c.latest_quality,
    series.c.latest_widths,
    series.c.latest_set,
)
# A parameter of an UPDATE must not be called as a column is.
_LATEST_NAMES = tuple(f"new_{column.name}" for column in _LATEST_COLUMNS)
_NEWEST = sa.case(
    (series.c.newest >= sa.bindparam("furthest", type_=sa.BigInteger()), series.c.newest),
    else_=sa.bindparam("furthest", type_=sa.BigInteger()),
)
_MORE = (
    sa.update(series)
    .where(series.c.id == sa.bindparam("number"))
    .values(stored=series.c.stored + sa.bindparam("more"), newest=_NEWEST)
)
_EARLIER = Prepared(_MORE)
# Twice in one transaction the second has to be compared with the first.
_LATEST = Prepared(
    _MORE.where(
        sa.or_(series.c.latest_at.is_(None), series.c.latest_at <= sa.bindparam("new_latest_at"))
    ).values(
        {
            column: sa.bindparam(name, type_=column.type)
            for column, name in zip(_LATEST_COLUMNS, _LATEST_NAMES, strict=True)
        }
    )
)


def _note_late(connection: sa.Connection, segment: Segment, starts: Iterable[int]) -> None:
    """Note the hours that were rolled up without what changed in them, as far as their readings are there."""
    first, behind = max(segment.kept or 0, 0), segment.rolled or 0
    hours = {start - start % HOUR for start in starts if first <= start < behind}
    if hours:
        _NOTE.execute_many(connection, [(segment.number, hour) for hour in sorted(hours)])


def _note(dialect: str) -> sa.Insert:
    names = ("series", "start")
    return (
        insert(dialect, late_hours)
        .values({name: sa.bindparam(name, type_=sa.BigInteger()) for name in names})
        .on_conflict_do_nothing()
    )


_NOTE = Prepared(_note, "series", "start")


def drop_set(transaction: Transaction, meter_reading: int, in_set: int) -> None:
    """Remove the readings of a ReadingSet, which another takes the place of."""
    connection = transaction.connection
    found = _STARTS_OF_SET.all(connection, {"in_set": in_set})
    if not found:
        return
    _DROP_SET.execute(connection, {"in_set": in_set})
    for number, dropped in Counter(row.series for row in found).items():
        segment = of_number(connection, number)
        _EARLIER.execute(connection, {"number": number, "more": -dropped, "furthest": found[0].start})
        if segment.rolled is not None:
            _note_late(connection, segment, (row.start for row in found if row.series == number))
        _renew_latest(connection, segment, in_set)
    transaction.invalidate(facts.readings(meter_reading))


_STARTS_OF_SET = Prepared(
    sa.select(readings.c.series, readings.c.start).where(
        readings.c.in_set == sa.bindparam("in_set"), readings.c.in_set > 0
    )
)
_DROP_SET = Prepared(
    sa.delete(readings).where(readings.c.in_set == sa.bindparam("in_set"), readings.c.in_set > 0)
)


def _renew_latest(connection: sa.Connection, segment: Segment, in_set: int) -> None:
    """Where the latest reading of a series was one of a set that is gone, take the one before it.

    Those that are dated later than the lost one counted at their receipt, which nothing tells of any more.
    """
    row = sa.select(series.c.latest_set).where(series.c.id == segment.number)
    if segment.latest_at is None or connection.scalar(row) != in_set:
        return
    before = connection.execute(
        sa.select(readings)
        .where(readings.c.series == segment.number, readings.c.start <= segment.latest_at)
        .order_by(readings.c.start.desc())
        .limit(1)
    ).one_or_none()
    values = [None] * len(_LATEST_COLUMNS) if before is None else [before.start, *before[1:10]]
    connection.execute(
        sa.update(series)
        .where(series.c.id == segment.number)
        .values(dict(zip(_LATEST_COLUMNS, values, strict=True)))
    )


def of_set(connection: sa.Connection, in_set: int) -> list[tuple[int, Sample]]:
    """The readings of a ReadingSet with their numbers, by localID, block and tier."""
    rows = _OF_SET.all(connection, {"in_set": in_set})
    return [(row[-1], _sample(*row[:-1])) for row in rows]


def set_counts(connection: sa.Connection, sets: Sequence[int]) -> dict[int, int]:
    """How many readings each of the ReadingSets has; those without any are left out."""
    return dict(_SET_COUNTS.all(connection, {"sets": sets}))


def in_set(connection: sa.Connection, in_set: int, number: int) -> Sample | None:
    """One reading of a ReadingSet."""
    row = _IN_SET.first(connection, {"in_set": in_set, "place": number})
    return None if row is None else _sample(*row)


_SAMPLE = (
    readings.c.start,
    readings.c.duration,
    readings.c.local_id,
    readings.c.block,
    readings.c.tier,
    readings.c.value,
    readings.c.quality,
    readings.c.widths,
)
# The condition of the index has to be spelled out: it is by no parameter that a plan is chosen.
_OF_THIS_SET = sa.and_(readings.c.in_set == sa.bindparam("in_set"), readings.c.in_set > 0)
_OF_SET = Prepared(
    sa.select(*_SAMPLE, readings.c.number)
    .where(_OF_THIS_SET)
    .order_by(readings.c.local_id, readings.c.block, readings.c.tier, readings.c.number)
)
_SET_COUNTS = Prepared(
    sa.select(readings.c.in_set, sa.func.count())
    .where(readings.c.in_set.in_(sa.bindparam("sets", expanding=True)), readings.c.in_set > 0)
    .group_by(readings.c.in_set)
)
_IN_SET = Prepared(sa.select(*_SAMPLE).where(_OF_THIS_SET, readings.c.number == sa.bindparam("place")))


def _sample(
    start: int,
    duration: int,
    local_id: int,
    block: int,
    tier: int,
    value: int | None,
    quality: int | None,
    widths: int,
) -> Sample:
    has_period = duration != NONE
    return Sample(
        start=start if has_period else None,
        duration=duration if has_period else None,
        value=value,
        quality=_widen(quality, widths >> 2),
        local_id=None if local_id == NONE else _widen(local_id, widths & 3),
        block=block,
        tier=tier,
    )


def latest(connection: sa.Connection, meter_reading: int) -> Sample | None:
    """The latest reading of a MeterReading, of the ReadingType that it has now."""
    row = _LATEST_OF.first(connection, {"meter_reading": meter_reading})
    return None if row is None or row.latest_start is None else _sample(*row)


_LATEST_OF = Prepared(
    sa.select(*_LATEST_COLUMNS[1:-1])
    .where(series.c.meter_reading == sa.bindparam("meter_reading"))
    .order_by(series.c.id.desc())
    .limit(1)
)


# What operators read.

#: Readings that are fetched at a time.
_AT_ONCE = 1_000


@frozen
class Reading:
    """A reading of a series.

    :param at: when it was, or when its period began (TimeType); the moment of receipt where it has none
    """

    at: int
    sample: Sample


def page(
    connection: sa.Connection,
    number: int,
    since: int,
    until: int,
    *,
    after: tuple[int, ...] | None = None,
    limit: int = _AT_ONCE,
) -> tuple[list[Reading], tuple[int, ...] | None]:
    """Raw readings of a series in the order of time, some at a time.

    :param since: of a start not before this, ``until``: before this (TimeType)
    :param after: what the page before gave
    :return: the readings, and what the next page is asked for with; None: nothing follows
    """
    key = after or (since, NONE - 1, NONE, 0, 0)
    asked = dict(zip(_KEY_NAMES, key, strict=True))
    rows = _PAGE.all(connection, {**asked, "number": number, "until": until, "most": limit})
    found = [Reading(row.start, _sample(*row)) for row in rows]
    return found, tuple(rows[-1][:5]) if len(rows) == limit else None


_KEY_NAMES = ("after_start", "after_duration", "after_local_id", "after_block", "after_tier")
_PAGE = Prepared(
    sa.select(*_SAMPLE)
    .where(
        readings.c.series == sa.bindparam("number"),
        # Both databases seek by this, and the second keeps SQLite from going on to the end.
        sa.tuple_(*_SAMPLE[:5])
        > sa.tuple_(*(sa.bindparam(name, type_=sa.BigInteger()) for name in _KEY_NAMES)),
        readings.c.start < sa.bindparam("until"),
    )
    .order_by(*_SAMPLE[:5])
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
