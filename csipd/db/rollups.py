"""Roll-ups of readings: made behind them hour by hour, and read together with what is not made yet.

Each series has a mark up to which they are made, always a full hour: so they survive a restart, and are
caught up with after a stop. What comes late for an hour before the mark has that hour made again, and the
next one with readings, since a reading holds until the next (`csipd.der.rollups`). The mark and what was made
move in one transaction, in portions that delay nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import define, field, frozen

from csipd.db import tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.segments import mark_rolled, reading_type_of
from csipd.db.tables import late_hours, readings, rollups, series
from csipd.der.rollups import (
    DAY,
    HOUR,
    MINUTES,
    STEPS,
    Bucket,
    Point,
    Register,
    floor,
    merge,
    of_points,
)
from csipd.sep2.measurements import Behaviour, behaviour_of

#: Seconds after an hour's end in which readings of it are waited for: two of the usual postRate.
LAG = 600
#: Readings that one transaction rolls up, as a rule; and series that it looks at for what is due.
READINGS_AT_ONCE, SERIES_AT_ONCE = 2_000, 2_000
#: Readings, as `_Portion` counts, that one series has rolled up before others have their turn.
TURN = 500
#: Hours that came late which one transaction makes again at most, and of one series at a turn.
LATE_AT_ONCE, LATE_TURN = 20, 5
#: Readings of one hour of a series that count: two a second, and then no more. They are rolled up at once.
MOST_IN_HOUR = 7_200
#: Hours, and readings of them, that are rolled up for a reader where that has not been done yet.
MOST_HOURS_AHEAD, MOST_READINGS_AHEAD = 48, 100_000
#: For how long (s) one register is looked for among the readings of others.
_LOOK_BACK = DAY
#: A series after all others.
_LAST = 2**62


@frozen
class Rolled:
    """What a portion came to.

    :param hours: how many were made
    :param following: the series after which the rest comes; None: it came to all
    :param left: whether a series had its turn, and has more than that
    :param until: the end of the last hour that was over (TimeType)
    :param stored: how many raw readings the series have that it came to
    """

    hours: int
    following: int | None = None
    left: bool = False
    until: int = field(default=0, kw_only=True)
    stored: int = field(default=0, kw_only=True)


class Rounds:
    """Goes round until every series has had turns enough: one that had more than a turn has another one."""

    def __init__(self) -> None:
        self._left = False

    def __call__(self, done: Rolled) -> int | None:
        """Where the rest begins, by what a portion said."""
        self._left = self._left or done.left
        if done.following is not None or not self._left:
            return done.following
        self._left = False
        return 0


def roll(transaction: Transaction, now: int, after: int = 0) -> Rolled:
    """Make roll-ups of some of what is due.

    A series has a turn and no more, so that nobody's many hours are before everybody's: what is left of it
    comes when the others had theirs.

    :param after: only of series of greater numbers
    """
    connection = transaction.connection
    due = _Portion(connection, READINGS_AT_ONCE)
    until = floor(now - LAG, HOUR)
    following: int | None = _LAST_LOOKED_AT.scalar(connection, {"after": after, "skip": SERIES_AT_ONCE - 1})
    left = False
    for row in _DUE.all(connection, {"after": after, "last": following or _LAST}):
        before = due.left
        if due.go_on(row, until):
            continue
        if before - due.left < TURN:
            # It is at the portion's end that it had to stop: it goes on in the next one.
            following = row.id - 1
            break
        left = True
    due.make_days()
    stored = _STORED.scalar(connection, {"after": after, "last": _LAST if following is None else following})
    return Rolled(due.hours, following, left, until=until, stored=int(stored or 0))


def keep_figures(transaction: Transaction, until: int, stored: int) -> None:
    """Keep what a pass over all series found, for operators: nothing is written where that is as before.

    :param until: up to when all roll-ups are made (TimeType)
    :param stored: how many raw readings there are
    """
    connection = transaction.connection
    found = {tally.ROLLED_UP: until, tally.READINGS: stored}
    for name, number in tally.numbers(connection, found).items():
        if number != found[name]:
            tally.put(connection, name, found[name])


def roll_late(transaction: Transaction, now: int, after: int = 0) -> Rolled:
    """Make roll-ups again of some of what came late; as `roll`, and by turns as there."""
    connection = transaction.connection
    late = _Portion(connection, READINGS_AT_ONCE // 2)
    number: int | None = _NEXT_LATE.scalar(connection, {"after": after})
    left = False
    while number is not None and late.left > 0 and late.noted < LATE_AT_ONCE:
        hours = _LATE_OF.scalars(connection, {"number": number, "most": LATE_TURN + 1})
        left = late.make_again(number, hours[:LATE_TURN]) < len(hours) or left
        after = number
        number = _NEXT_LATE.scalar(connection, {"after": after})
    late.make_days()
    return Rolled(late.hours, None if number is None else after, left)


_NEXT_LATE = Prepared(
    sa.select(late_hours.c.series)
    .where(late_hours.c.series > sa.bindparam("after"))
    .order_by(late_hours.c.series)
    .limit(1)
)
_LATE_OF = Prepared(
    sa.select(late_hours.c.start)
    .where(late_hours.c.series == sa.bindparam("number"))
    .order_by(late_hours.c.start)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_MADE = Prepared(
    sa.delete(late_hours).where(
        late_hours.c.series == sa.bindparam("number"), late_hours.c.start == sa.bindparam("begin")
    )
)
_LAST_LOOKED_AT = Prepared(
    sa.select(series.c.id)
    .where(series.c.id > sa.bindparam("after"))
    .order_by(series.c.id)
    .limit(1)
    .offset(sa.bindparam("skip", type_=sa.Integer()))
)
_DUE = Prepared(
    sa.select(series.c.id, series.c.body, series.c.rolled)
    .where(
        series.c.id > sa.bindparam("after"),
        series.c.id <= sa.bindparam("last"),
        series.c.newest >= sa.func.coalesce(series.c.rolled, 0),
        series.c.doomed == sa.false(),
    )
    .order_by(series.c.id)
)
_STORED = Prepared(
    sa.select(sa.func.sum(series.c.stored)).where(
        series.c.id > sa.bindparam("after"), series.c.id <= sa.bindparam("last")
    )
)
_OF = Prepared(
    sa.select(series.c.id, series.c.body, series.c.rolled).where(series.c.id == sa.bindparam("number"))
)
_FROM = Prepared(
    sa.select(readings.c.start)
    .where(readings.c.series == sa.bindparam("number"), readings.c.start >= sa.bindparam("since"))
    .order_by(readings.c.start)
    .limit(1)
)


@define
class _Portion:
    """What one transaction does.

    :param left: how many readings it may still look at
    :param hours: that it has made, ``noted`` those that were noted as late, ``days`` that it has touched
    """

    connection: sa.Connection
    left: int
    hours: int = 0
    noted: int = 0
    days: set[tuple[int, int]] = field(factory=set)

    def go_on(self, row: Any, until: int) -> bool:
        """Make the hours of a series that are over, as many as its turn has; whether that was all.

        :param until: the end of the last hour that is
        """
        end = max(0, self.left - TURN)
        all_made = False
        behaviour = behaviour_of(reading_type_of(row.body))
        mark = row.rolled or 0
        while self.left > end:
            following = _FROM.scalar(self.connection, {"number": row.id, "since": mark})
            if following is None or following >= until:
                all_made = True
                break
            hour = floor(following, HOUR)
            self._make(row.id, behaviour, hour)
            mark = hour + HOUR
        if mark != (row.rolled or 0):
            mark_rolled(self.connection, row.id, mark)
        return all_made

    def make_again(self, number: int, hours: Sequence[int]) -> int:
        """Make hours of a series again, as many as may be; gives how many."""
        made = 0
        for hour in hours:
            if self.left <= 0:
                break
            self.again(number, hour)
            _MADE.execute(self.connection, {"number": number, "begin": hour})
            made += 1
        self.noted += made
        return made

    def again(self, number: int, hour: int) -> None:
        """Make an hour again, and the next ones of its registers where these are made already."""
        row = _OF.first(self.connection, {"number": number})
        if row is None or row.rolled is None:
            return
        behaviour = behaviour_of(reading_type_of(row.body))
        registers = {part.register for part in _made(self.connection, number, MINUTES, hour, hour + HOUR)}
        registers |= self._make(number, behaviour, hour)
        beside = _beside(self.connection, number, hour + HOUR, registers, forward=True)
        for following in sorted({floor(point.start, HOUR) for point in beside.values()}):
            if following < row.rolled:
                self._make(number, behaviour, following)

    def _make(self, number: int, behaviour: Behaviour, hour: int) -> set[Register]:
        """Make an hour of its readings, whatever there was of it; the registers that were read in it."""
        found = _points(self.connection, number, hour, hour + HOUR, MOST_IN_HOUR)
        registers = {point.register for point in found}
        minutes = _minutes(self.connection, number, behaviour, hour, found)
        _write(self.connection, number, MINUTES, hour, hour + HOUR, minutes)
        _write(self.connection, number, HOUR, hour, hour + HOUR, merge(HOUR, minutes))
        self.days.add((number, floor(hour, DAY)))
        self.hours += 1
        # An hour costs as much as so many readings though it may have one only.
        self.left -= len(found) + 20
        return registers

    def make_days(self) -> None:
        """Make the days again that hours of were made."""
        for number, day in sorted(self.days):
            parts = _made(self.connection, number, HOUR, day, day + DAY)
            _write(self.connection, number, DAY, day, day + DAY, merge(DAY, parts))


# Readings.

_POINT = (
    readings.c.start,
    readings.c.duration,
    readings.c.value,
    readings.c.block,
    readings.c.tier,
)
_IN_ORDER = (readings.c.start, readings.c.duration, readings.c.local_id, readings.c.block, readings.c.tier)
_OF_SERIES = sa.and_(readings.c.series == sa.bindparam("number"), readings.c.value.is_not(None))
_POINTS = Prepared(
    sa.select(*_POINT)
    .where(_OF_SERIES, readings.c.start >= sa.bindparam("since"), readings.c.start < sa.bindparam("until"))
    .order_by(*_IN_ORDER)
    .limit(sa.bindparam("most", type_=sa.Integer()))
)
_BEFORE = sa.select(*_POINT).where(_OF_SERIES, readings.c.start < sa.bindparam("moment"))
_AFTER = sa.select(*_POINT).where(_OF_SERIES, readings.c.start >= sa.bindparam("moment"))
_OF_REGISTER = sa.and_(
    readings.c.block == sa.bindparam("of_block"), readings.c.tier == sa.bindparam("of_tier")
)
_DOWN = tuple(column.desc() for column in _IN_ORDER)
_NEXT = {
    False: Prepared(_BEFORE.order_by(*_DOWN).limit(1)),
    True: Prepared(_AFTER.order_by(*_IN_ORDER).limit(1)),
}
_NEXT_OF = {
    False: Prepared(
        _BEFORE.where(_OF_REGISTER, readings.c.start >= sa.bindparam("reach")).order_by(*_DOWN).limit(1)
    ),
    True: Prepared(
        _AFTER.where(_OF_REGISTER, readings.c.start < sa.bindparam("reach")).order_by(*_IN_ORDER).limit(1)
    ),
}


def _points(connection: sa.Connection, number: int, since: int, until: int, most: int) -> list[Point]:
    asked = {"number": number, "since": since, "until": until, "most": most}
    return [Point(*row) for row in _POINTS.all(connection, asked)]


def _minutes(
    connection: sa.Connection, number: int, behaviour: Behaviour, hour: int, found: Sequence[Point]
) -> list[Bucket]:
    """The five-minute steps of an hour.

    :param found: its readings
    """
    registers = {point.register for point in found}
    before = _beside(connection, number, hour, registers, forward=False)
    if not before and behaviour is Behaviour.CUMULATIVE:
        before = _shown_before(connection, number, hour)
    return of_points(behaviour, found, before)


def _beside(
    connection: sa.Connection, number: int, moment: int, registers: Iterable[Register], *, forward: bool
) -> dict[Register, Point]:
    """The last readings before a moment, or the first from it on, of some registers.

    Wherever the nearest of all is, it is found; one of another register is if it is as near, or of a day.
    """
    asked = {"number": number, "moment": moment}
    row = _NEXT[forward].first(connection, asked)
    if row is None:
        return {}
    nearest = Point(*row)
    found = {nearest.register: nearest}
    if forward:
        reach = max(moment + _LOOK_BACK + HOUR, nearest.start + 1)
    else:
        reach = min(moment - _LOOK_BACK, nearest.start)
    for register in set(registers) - found.keys():
        block, tier = register
        of_this = {**asked, "reach": reach, "of_block": block, "of_tier": tier}
        other = _NEXT_OF[forward].first(connection, of_this)
        if other is not None:
            found[register] = Point(*other)
    return found


# Roll-ups.

_COLUMNS = tuple(column.name for column in rollups.columns)
_WRITE = Prepared(
    sa.insert(rollups).values(
        {name: sa.bindparam(name, type_=column.type) for name, column in rollups.columns.items()}
    ),
    *_COLUMNS,
)
_OF_STEP = sa.and_(
    rollups.c.series == sa.bindparam("number"),
    rollups.c.step == sa.bindparam("of_step"),
    rollups.c.start >= sa.bindparam("since"),
    rollups.c.start < sa.bindparam("until"),
)
_CLEAR = Prepared(sa.delete(rollups).where(_OF_STEP))
_BUCKET = (
    rollups.c.step,
    rollups.c.start,
    rollups.c.block,
    rollups.c.tier,
    rollups.c.readings,
    rollups.c.mean,
    rollups.c.seconds,
    rollups.c.least,
    rollups.c.greatest,
    rollups.c.first,
    rollups.c.last,
    rollups.c.resets,
    rollups.c.total,
)
_MADE_OF = Prepared(
    sa.select(*_BUCKET).where(_OF_STEP).order_by(rollups.c.start, rollups.c.block, rollups.c.tier)
)
_SHOWN = Prepared(
    sa.select(*_BUCKET)
    .where(_OF_STEP, rollups.c.last.is_not(None))
    .order_by(rollups.c.start.desc(), rollups.c.block.desc(), rollups.c.tier.desc())
    .limit(1)
)


def _write(
    connection: sa.Connection, number: int, step: int, since: int, until: int, buckets: Iterable[Bucket]
) -> None:
    """Put roll-ups in the place of what there was of a time."""
    _CLEAR.execute(connection, {"number": number, "of_step": step, "since": since, "until": until})
    rows = [
        (
            number,
            step,
            bucket.start,
            bucket.block,
            bucket.tier,
            bucket.readings,
            bucket.mean,
            bucket.seconds,
            bucket.least,
            bucket.greatest,
            bucket.first,
            bucket.last,
            bucket.resets,
            bucket.total,
        )
        for bucket in buckets
    ]
    if rows:
        _WRITE.execute_many(connection, rows)


def _made(connection: sa.Connection, number: int, step: int, since: int, until: int) -> list[Bucket]:
    asked = {"number": number, "of_step": step, "since": since, "until": until}
    return [Bucket(*row) for row in _MADE_OF.all(connection, asked)]


def _shown_before(connection: sa.Connection, number: int, moment: int) -> dict[Register, Point]:
    """What a register showed last before a moment, where no raw reading tells of it any more."""
    for step in STEPS:
        asked = {"number": number, "of_step": step, "since": 0, "until": floor(moment, step)}
        row = _SHOWN.first(connection, asked)
        if row is not None:
            shown = Bucket(*row)
            assert shown.last is not None
            return {shown.register: Point(shown.start, 1, shown.last, *shown.register)}
    return {}


def read(connection: sa.Connection, number: int, step: int, since: int, until: int) -> list[Bucket]:
    """Roll-ups of a series in the order of time; those of the last hours are made of readings as they stand.

    :param step: a key of ``STEPS`` (s)
    :param since: of steps that begin not before this, ``until``: before this (TimeType)
    """
    row = _OF.first(connection, {"number": number})
    if row is None:
        return []
    since, mark = max(since, 0), row.rolled or 0
    made = _made(connection, number, step, since, until)
    first = _FROM.scalar(connection, {"number": number, "since": mark})
    if first is None or floor(first, step) >= until:
        return made
    # What the first reading that is not rolled up is in may be made so far only: it is made here.
    begin = max(floor(first, step), _ceiling(since, step))
    behaviour = behaviour_of(reading_type_of(row.body))
    fresh = _fresh(connection, number, behaviour, max(begin, mark), _ceiling(until, step))
    if step != MINUTES:
        fresh = merge(HOUR, fresh)
    if step == DAY:
        fresh = merge(DAY, [*_made(connection, number, HOUR, begin, mark), *fresh])
    return [bucket for bucket in made if bucket.start < begin] + [
        bucket for bucket in fresh if begin <= bucket.start < until
    ]


def _ceiling(moment: int, step: int) -> int:
    return -(-moment // step) * step


def _fresh(
    connection: sa.Connection, number: int, behaviour: Behaviour, since: int, until: int
) -> list[Bucket]:
    """Five-minute steps of hours that are not rolled up yet, as many as may be."""
    made: list[Bucket] = []
    readings_left, mark = MOST_READINGS_AHEAD, since
    for _ in range(MOST_HOURS_AHEAD):
        following = _FROM.scalar(connection, {"number": number, "since": mark})
        if following is None or following >= until or readings_left <= 0:
            break
        hour = floor(following, HOUR)
        found = _points(connection, number, hour, hour + HOUR, MOST_IN_HOUR)
        made += _minutes(connection, number, behaviour, hour, found)
        readings_left -= len(found)
        mark = hour + HOUR
    return made
