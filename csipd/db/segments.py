"""Series of readings: which there are of a MeterReading, and which one goes on.

A MeterReading has a series for each ReadingType that it has had: numbers of one are never read as if they
were the other's (decision 58). What is in them is for `csipd.db.series`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import series
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.measurements import has_forward_alone

#: Series of a device that have ended and are kept: what came before goes, whatever its age.
MOST_ENDED = 1_000


@frozen
class Segment:
    """A series as its row is in a transaction; to be asked for anew in the next.

    :param number: of the series
    :param meter_reading: number of the MeterReading, ``device`` of whose it is
    :param is_der: whether a DER's own meter has it
    :param body: the ReadingType's document
    :param stored: how many raw readings it has, at most
    :param rolled: up to where its roll-ups are made (TimeType); None: there are none yet
    :param kept: before this raw readings may have been removed; None: none were
    :param latest_at: when the latest reading counts; None: there is none
    """

    number: int
    meter_reading: int
    device: int
    is_der: bool
    body: bytes
    stored: int
    rolled: int | None
    kept: int | None
    latest_at: int | None

    @property
    def reading_type(self) -> r.ReadingType:
        """What its numbers mean."""
        return reading_type_of(self.body)


@lru_cache(maxsize=1024)
def reading_type_of(body: bytes) -> r.ReadingType:
    """The ReadingType of a document; a fleet has few different ones."""
    return decode(body, r.ReadingType, "series")


def open_segment(
    transaction: Transaction,
    meter_reading: int,
    device: int,
    reading_type: r.ReadingType,
    is_der: bool,
    since: int,
) -> Segment:
    """Begin a series of a MeterReading: its first, or that of another ReadingType than before.

    :param since: when (TimeType); what there was before ends then
    """
    connection = transaction.connection
    end(transaction, meter_reading, since)
    body = codec.encode(reading_type, extensions=True)
    values = {
        "meter_reading": meter_reading,
        "device": device,
        "der": is_der,
        "unit": reading_type.uom or 0,
        "body": body,
        "since": since,
    }
    added = sa.insert(series).values(**values).returning(series.c.id)
    number: int = connection.execute(added).scalar_one()
    transaction.invalidate(facts.readings(meter_reading))
    return Segment(number, meter_reading, device, is_der, body, 0, None, None, None)


def end(transaction: Transaction, meter_reading: int, now: int) -> None:
    """No more readings come of a MeterReading, as it was: those that there are stay until their time.

    Of each device so many ended series are kept; the first are marked to be removed beyond that.
    """
    connection = transaction.connection
    of_this = sa.and_(series.c.meter_reading == meter_reading, series.c.ended.is_(None))
    devices = set(connection.scalars(sa.select(series.c.device).where(of_this)))
    if not devices:
        return
    connection.execute(sa.update(series).where(of_this).values(ended=now))
    for device in devices:
        ended = sa.and_(series.c.device == device, series.c.ended.is_not(None), series.c.doomed == sa.false())
        kept = sa.select(series.c.id).where(ended).order_by(series.c.id.desc())
        beyond = connection.scalar(kept.limit(1).offset(MOST_ENDED))
        if beyond is not None:
            connection.execute(sa.update(series).where(ended, series.c.id <= beyond).values(doomed=True))


def note_directions(transaction: Transaction, usage_point: Sequence[int]) -> None:
    """Note of the series that a usage point has now what forward is there.

    :param usage_point: numbers of its MeterReadings
    """
    connection = transaction.connection
    rows = _DIRECTED.all(connection, {"meter_readings": list(usage_point)})
    alone = has_forward_alone(reading_type_of(row.body) for row in rows)
    if any(row.forward_alone is not alone for row in rows):
        _NOTE_DIRECTION.execute(connection, {"numbers": [row.id for row in rows], "alone": alone})


_DIRECTED = Prepared(
    sa.select(series.c.id, series.c.body, series.c.forward_alone).where(
        series.c.meter_reading.in_(sa.bindparam("meter_readings", expanding=True)),
        series.c.ended.is_(None),
    )
)
_NOTE_DIRECTION = Prepared(
    sa.update(series)
    .where(series.c.id.in_(sa.bindparam("numbers", expanding=True)))
    .values(forward_alone=sa.bindparam("alone"))
)

_SEGMENT = (
    series.c.id,
    series.c.meter_reading,
    series.c.device,
    series.c.der,
    series.c.body,
    series.c.stored,
    series.c.rolled,
    series.c.kept,
    series.c.latest_at,
)
_CURRENT = Prepared(
    sa.select(*_SEGMENT)
    .where(series.c.meter_reading == sa.bindparam("meter_reading"))
    .order_by(series.c.id.desc())
    .limit(1)
)


def current(connection: sa.Connection, meter_reading: int) -> Segment | None:
    """The series that readings of a MeterReading go into; None: it has no ReadingType yet."""
    row = _CURRENT.first(connection, {"meter_reading": meter_reading})
    return None if row is None else Segment(*row)


_OF_NUMBER = Prepared(sa.select(*_SEGMENT).where(series.c.id == sa.bindparam("number")))


def of_number(connection: sa.Connection, number: int) -> Segment:
    """A series that there is."""
    return Segment(*_OF_NUMBER.first(connection, {"number": number}))


def mark_rolled(connection: sa.Connection, number: int, until: int) -> None:
    """Note up to where the roll-ups of a series are made: no resource says so."""
    _ROLLED.execute(connection, {"number": number, "until": until})


_ROLLED = Prepared(
    sa.update(series).where(series.c.id == sa.bindparam("number")).values(rolled=sa.bindparam("until"))
)


def of_device(connection: sa.Connection, device: int) -> Iterator[Any]:
    """The series of a device, as rows of the table; those that are about to be removed are left out."""
    wanted = sa.select(series).where(series.c.device == device, series.c.doomed == sa.false())
    return iter(connection.execute(wanted.order_by(series.c.id)).all())
