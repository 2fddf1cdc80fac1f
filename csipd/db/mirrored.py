"""What is posted to mirrors: a MirrorMeterReading, taken into its series.

The first of an mRID makes a MeterReading. Another ReadingType than before begins another series (decision
58), so that numbers of one type are never read as if they were of the other.
"""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import facts, meter_readings, segments, series
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.meter_readings import Meter
from csipd.db.mirrors import Mirror
from csipd.db.segments import Segment
from csipd.db.series import Sample
from csipd.der.metering import Metering
from csipd.refusals import BadRequest
from csipd.sep2 import resources as r
from csipd.sep2.types import Role


def take(
    transaction: Transaction,
    mirror: Mirror,
    known: Meter | None,
    given: r.MirrorMeterReading,
    metering: Metering,
    now: int,
) -> int:
    """Take a MirrorMeterReading: what it says, its Reading and its sets.

    :param known: the MeterReading of its mRID, if there is one
    :return: the number of the MeterReading
    :raises BadRequest: it is the first and has no ReadingType, or a reading of it begins in the future
    :raises Full: there are too many MeterReadings, or readings of it
    """
    connection = transaction.connection
    reading_type = None if given.ReadingType is None else given.ReadingType.replace(href=None)
    if known is None:
        if reading_type is None:
            raise BadRequest(f"MirrorMeterReading {given.mRID} is new and has no ReadingType")
        number = meter_readings.add(transaction, mirror.number, given, metering)
        segment = _open_segment(transaction, mirror, number, reading_type, now)
    else:
        number = known.number
        meter_readings.change(transaction, mirror.number, known, given)
        segment = _segment(transaction, mirror, number, reading_type, now)
    for each in given.MirrorReadingSet:
        samples = _samples(each, metering, now)
        in_set = meter_readings.put_set(transaction, number, each, metering)
        series.store(transaction, _present(connection, number), samples, now, in_set)
    if given.Reading is not None:
        if given.MirrorReadingSet:
            segment = _present(connection, number)
        series.store(transaction, segment, [_sample(given.Reading, metering, now)], now)
    return number


def _segment(
    transaction: Transaction, mirror: Mirror, meter: int, given: r.ReadingType | None, now: int
) -> Segment:
    """The series that readings go into; a new one where they have another ReadingType now (decision 58)."""
    segment = _present(transaction.connection, meter)
    same = given is None or given == segment.reading_type
    if same and segment.is_der is _is_der(mirror):
        return segment
    transaction.invalidate(facts.mirror(mirror.number))
    return _open_segment(transaction, mirror, meter, given or segment.reading_type, now)


def _present(connection: sa.Connection, meter: int) -> Segment:
    segment = segments.current(connection, meter)
    if segment is None:
        raise Unreadable(f"meter_readings {meter}: it has no series")
    return segment


def _open_segment(
    transaction: Transaction, mirror: Mirror, meter: int, reading_type: r.ReadingType, now: int
) -> Segment:
    segment = segments.open_segment(transaction, meter, mirror.device, reading_type, _is_der(mirror), now)
    segments.note_directions(transaction, meter_readings.numbers(transaction.connection, mirror.number))
    return segment


def _is_der(mirror: Mirror) -> bool:
    return bool(mirror.roles & Role.DER)


def _samples(given: r.MirrorReadingSet, metering: Metering, now: int) -> list[Sample]:
    """The readings of a set as they are kept.

    :raises BadRequest: they begin in the future
    """
    if metering.is_too_far_ahead(given.timePeriod.start, now):
        raise BadRequest(f"MirrorReadingSet {given.mRID} begins at {given.timePeriod.start}, now is {now}")
    return [_sample(each, metering, now) for each in given.Reading]


def _sample(given: r.Reading, metering: Metering, now: int) -> Sample:
    """A Reading as it is kept.

    :raises BadRequest: it begins in the future
    """
    period = given.timePeriod
    if period is not None and metering.is_too_far_ahead(period.start, now):
        raise BadRequest(f"a Reading begins at {period.start}, now is {now}")
    return Sample(
        start=None if period is None else period.start,
        duration=None if period is None else period.duration,
        value=given.value,
        quality=given.qualityFlags,
        local_id=given.localID,
        block=given.consumptionBlock or 0,
        tier=given.touTier or 0,
    )
