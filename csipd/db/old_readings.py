"""Removes readings that are older than they are kept, and what is left of ended series (decision 47).

Raw readings go a day at a time, in the order in which they lie, and never before they are rolled up. Roll-ups
of five minutes and of hours have ages of their own; days are kept for ever. What was dated so far ahead that
it would be kept longer than anything else goes, too. With its readings goes a ReadingSet.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from attrs import define, field, frozen

from csipd.db import facts
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.series import MOST_READINGS
from csipd.db.tables import late_hours, meter_readings, reading_sets, readings, rollups, series
from csipd.der.retention import Retention
from csipd.der.rollups import DAY, HOUR, MINUTES, floor

#: Rows that one transaction removes at most, and series that it looks at.
AT_ONCE, SERIES_AT_ONCE = 1_000, 500
_EARLIEST, _LATEST = -(2**63), 2**63 - 1


@frozen
class RemovedReadings:
    """What a portion removed.

    :param rows: raw readings, roll-ups, sets and series together
    :param following: the series after which the rest comes; None: it came to all
    """

    rows: int
    following: int | None = None


def remove(transaction: Transaction, retention: Retention, now: int, after: int = 0) -> RemovedReadings:
    """Remove some of what is too old.

    :param after: only of series of greater numbers
    """
    portion = _Ages(transaction, retention, now)
    found = _SOME.all(transaction.connection, {"after": after, "most": SERIES_AT_ONCE})
    for row in found:
        if not portion.remove_from(row):
            return RemovedReadings(portion.removed, row.id - 1)
    following = found[-1].id if len(found) == SERIES_AT_ONCE else None
    return RemovedReadings(portion.removed, following)


def remove_doomed(transaction: Transaction) -> RemovedReadings:
    """Remove some of the series that are to be removed with all that they hold, however young."""
    portion = _Portion(transaction)
    through = portion.remove_doomed()
    return RemovedReadings(portion.removed, None if through else 0)


_SERIES = (
    series.c.id,
    series.c.meter_reading,
    series.c.ended,
    series.c.stored,
    series.c.rolled,
    series.c.kept,
)
_SOME = Prepared(
    sa.select(*_SERIES)
    .where(series.c.id > sa.bindparam("after"), series.c.doomed == sa.false())
    .order_by(series.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_DOOMED = sa.select(*_SERIES).where(series.c.doomed).order_by(series.c.id).limit(1)


@define
class _Portion:
    """What one transaction removes. Its methods say whether they came to the end of what they were to do."""

    transaction: Transaction
    removed: int = field(default=0, init=False)

    @property
    def _left(self) -> int:
        return AT_ONCE - self.removed

    def remove_doomed(self) -> bool:
        """Series that are to be removed with all that they hold, roll-ups of days as well."""
        while self._left > 0:
            row = self.transaction.connection.execute(_DOOMED).one_or_none()
            if row is None:
                return True
            self._raw(row, _EARLIEST, _LATEST)
            for step in (MINUTES, HOUR, DAY):
                self._rolled(row, step, _LATEST)
            if self._left > 0:
                self._series(row)
        return False

    def _raw(self, row: Any, since: int, last: int) -> tuple[int, int | None]:
        """Remove readings of a time, the first first.

        :param last: the last start of one that goes
        :return: how many, and the start of the first one that is left
        """
        connection, left = self.transaction.connection, self._left
        span = {"number": row.id, "since": since, "last": last}
        if left <= 0 or _FIRST_RAW.scalar(connection, span) is None:
            return 0, None
        key = _RAW_AFTER.first(connection, {**span, "skip": left})
        if key is None:
            removed = _REMOVE_RAW.execute(connection, span)
        else:
            names = dict(zip(_KEY_NAMES, key, strict=True))
            removed = _REMOVE_SOME.execute(connection, {**span, **names})
        self.removed += removed
        self._update(row, stored=sa.case((series.c.stored > removed, series.c.stored - removed), else_=0))
        self.transaction.invalidate(facts.readings(row.meter_reading))
        return removed, None if key is None else key[0]

    def _rolled(self, row: Any, step: int, before: int) -> None:
        """Remove roll-ups of a length from before a moment."""
        connection, left = self.transaction.connection, self._left
        span = {"number": row.id, "of_step": step, "until": before}
        first = None if left <= 0 else _FIRST_ROLLED.scalar(connection, span)
        if first is None:
            return
        # Of one moment there are few, one for each register: a step more or less is no matter.
        end = _ROLLED_AFTER.scalar(connection, {**span, "skip": left})
        if end is not None and end > first:
            span["until"] = end
        self.removed += _REMOVE_ROLLED.execute(connection, span)

    def _sets(self, row: Any, before: int) -> None:
        """Remove sets that began before a moment and have no readings any more."""
        connection, left = self.transaction.connection, self._left
        if left <= 0:
            return
        asked = {"meter_reading": row.meter_reading, "before": before, "most": left}
        empty = _EMPTY_SETS.scalars(connection, asked)
        if not empty:
            return
        connection.execute(sa.delete(reading_sets).where(reading_sets.c.id.in_(empty)))
        connection.execute(
            sa.update(meter_readings)
            .where(meter_readings.c.id == row.meter_reading)
            .values(sets=meter_readings.c.sets - len(empty))
        )
        self.removed += len(empty)
        self.transaction.invalidate(facts.readings(row.meter_reading))

    def _count(self, row: Any) -> None:
        """Count the readings of a series that seems nearly full: those that were replaced counted twice."""
        number = sa.select(sa.func.count()).select_from(readings).where(readings.c.series == row.id)
        self._update(row, stored=self.transaction.connection.scalar(number) or 0)

    def _is_empty(self, row: Any) -> bool:
        connection = self.transaction.connection
        raw = {"number": row.id, "since": _EARLIEST, "last": _LATEST}
        made = {"number": row.id, "until": _LATEST}
        return _FIRST_RAW.scalar(connection, raw) is None and all(
            _FIRST_ROLLED.scalar(connection, {**made, "of_step": step}) is None
            for step in (DAY, HOUR, MINUTES)
        )

    def _series(self, row: Any) -> None:
        connection = self.transaction.connection
        connection.execute(sa.delete(late_hours).where(late_hours.c.series == row.id))
        connection.execute(sa.delete(series).where(series.c.id == row.id))
        self.removed += 1
        self.transaction.invalidate(facts.readings(row.meter_reading))

    def _update(self, row: Any, **values: Any) -> None:
        self.transaction.connection.execute(sa.update(series).where(series.c.id == row.id).values(**values))


@define
class _Ages(_Portion):
    """What one transaction removes of what is too old."""

    retention: Retention
    now: int

    def remove_from(self, row: Any) -> bool:
        """What is too old of a series."""
        before = self._raw_limit(row)
        removed, reached = self._raw(row, _EARLIEST, before - 1)
        if removed:
            # An hour of which a part is gone cannot be rolled up anew.
            kept = before if reached is None else floor(reached, HOUR) + HOUR
            self._update(row, kept=max(kept, row.kept or 0))
        self._raw(row, self.now + self.retention.readings_days * DAY, _LATEST)
        self._rolled(row, MINUTES, self.retention.five_minutes(self.now))
        self._rolled(row, HOUR, self.retention.hours(self.now))
        self._sets(row, self.retention.readings(self.now))
        if self._left > 0 and row.stored > MOST_READINGS * 9 // 10:
            self._count(row)
        if self._left > 0 and row.ended is not None and self._is_empty(row):
            self._series(row)
        return self._left > 0

    def _raw_limit(self, row: Any) -> int:
        """Before when raw readings go: what is not rolled up yet stays."""
        late: int | None = _FIRST_LATE.scalar(self.transaction.connection, {"number": row.id})
        limit = min(self.retention.readings(self.now), row.rolled or 0)
        return limit if late is None else min(limit, late)


_KEY = (readings.c.start, readings.c.duration, readings.c.local_id, readings.c.block, readings.c.tier)
_KEY_NAMES = ("to_start", "to_duration", "to_local_id", "to_block", "to_tier")
_RAW = sa.and_(
    readings.c.series == sa.bindparam("number"),
    readings.c.start >= sa.bindparam("since"),
    readings.c.start <= sa.bindparam("last"),
)
_FIRST_RAW = Prepared(sa.select(readings.c.start).where(_RAW).order_by(readings.c.start).limit(1))
_RAW_AFTER = Prepared(
    sa.select(*_KEY).where(_RAW).order_by(*_KEY).limit(1).offset(sa.bindparam("skip", type_=sa.Integer()))
)
_REMOVE_RAW = Prepared(sa.delete(readings).where(_RAW))
_REMOVE_SOME = Prepared(
    sa.delete(readings).where(
        _RAW,
        sa.tuple_(*_KEY) < sa.tuple_(*(sa.bindparam(name, type_=sa.BigInteger()) for name in _KEY_NAMES)),
    )
)
_ROLLED = sa.and_(
    rollups.c.series == sa.bindparam("number"),
    rollups.c.step == sa.bindparam("of_step"),
    rollups.c.start < sa.bindparam("until"),
)
_FIRST_ROLLED = Prepared(sa.select(rollups.c.start).where(_ROLLED).order_by(rollups.c.start).limit(1))
_ROLLED_AFTER = Prepared(
    sa.select(rollups.c.start)
    .where(_ROLLED)
    .order_by(rollups.c.start)
    .limit(1)
    .offset(sa.bindparam("skip", type_=sa.Integer()))
)
_REMOVE_ROLLED = Prepared(sa.delete(rollups).where(_ROLLED))
_FIRST_LATE = Prepared(
    sa.select(late_hours.c.start)
    .where(late_hours.c.series == sa.bindparam("number"))
    .order_by(late_hours.c.start)
    .limit(1)
)
_EMPTY_SETS = Prepared(
    sa.select(reading_sets.c.id)
    .where(
        reading_sets.c.meter_reading == sa.bindparam("meter_reading"),
        reading_sets.c.start < sa.bindparam("before"),
        ~sa.exists().where(readings.c.in_set == reading_sets.c.id, readings.c.in_set > 0),
    )
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
