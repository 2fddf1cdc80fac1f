"""Which readings of a device say what came of a command, and what they say of a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db.prepared import Prepared
from csipd.db.rollups import read as made_and_fresh
from csipd.db.series import page
from csipd.db.tables import meter_readings, mirrors
from csipd.db.telemetry import Series
from csipd.der.delivery import Command, Interval, Point, Said, said
from csipd.der.rollups import HOLD, HOUR, MINUTES
from csipd.sep2.measurements import Behaviour, is_whole

#: Intervals up to so long are judged by the readings themselves; longer ones by what they come to in steps.
_BY_READINGS = 6 * HOUR
_BY_MINUTES = 7 * 24 * HOUR
#: Readings of one series that are looked at for one interval; of more the steps are.
_MOST_READINGS = 5_000
#: What of one quantity is read where a meter gives it in several ways: means say the most of a time.
QUALIFIERS = ("average", "", "normal")


@frozen
class Mirror:
    """What a MeterReading is in.

    :param wished: the postRate that the device wished for (s)
    """

    number: int
    wished: int | None


def mirrors_of(connection: sa.Connection, some: Sequence[Series]) -> dict[int, Mirror]:
    """The mirrors of series by their MeterReadings; those that are removed are left out."""
    rows = _MIRRORS.all(connection, {"numbers": sorted({one.meter_reading for one in some})})
    return {row.id: Mirror(row.mirror, row.wished_post_rate) for row in rows}


_MIRRORS = Prepared(
    sa.select(meter_readings.c.id, meter_readings.c.mirror, mirrors.c.wished_post_rate)
    .join(mirrors, mirrors.c.id == meter_readings.c.mirror)
    .where(meter_readings.c.id.in_(sa.bindparam("numbers", expanding=True)))
)


def choose(
    own: Sequence[Series], inside: Mapping[int, Mirror], command: Command, interval: Interval
) -> tuple[str | None, list[list[Series]]]:
    """The meters that say what came of a command: a DER's own, else the premises'; several are added up.

    :param own: all series of the device
    :param inside: the mirrors of their MeterReadings
    :return: whose meters they are, and the series of each meter, one after the other
    """
    fitting = [
        one
        for one in own
        if one.quantity.name == command.quantity
        and one.quantity.behaviour is Behaviour.INSTANTANEOUS
        and one.quantity.qualifier in QUALIFIERS
        and one.since < interval.end
        and (one.ended is None or one.ended > interval.begin)
    ]
    for is_der, name in ((True, "der"), (False, "premises")):
        by_mirror: dict[int | None, list[Series]] = defaultdict(list)
        for one in fitting:
            if one.is_der is is_der:
                mirror = inside.get(one.meter_reading)
                by_mirror[None if mirror is None else mirror.number].append(one)
        if by_mirror:
            return name, _in_turn([one for some in by_mirror.values() for one in _once(some)])
    return None, []


def _once(some: Sequence[Series]) -> list[Series]:
    """The series of a mirror in which its power is once: in one way, and of all phases or else of each."""
    for lasts in (True, False):
        for qualifier in QUALIFIERS:
            alike = [one for one in some if one.quantity.qualifier == qualifier]
            if any(one.ended is None for one in alike) is lasts and alike:
                whole = [one for one in alike if is_whole(one.phase)]
                return whole or alike
    return []


def _in_turn(some: Sequence[Series]) -> list[list[Series]]:
    """Series by meter: one that began when another had ended took its place.

    So it is where a MeterReading has another ReadingType, and where a device has made its mirror anew.
    """
    meters: list[list[Series]] = []
    for one in sorted(some, key=lambda one: (one.since, one.number)):
        for before in meters:
            last = before[-1]
            if last.phase == one.phase and last.ended is not None and last.ended <= one.since:
                before.append(one)
                break
        else:
            meters.append([one])
    return meters


def read(
    connection: sa.Connection,
    meters: Sequence[Sequence[Series]],
    interval: Interval,
    *,
    post_rate: int,
    now: int,
) -> Said:
    """What meters say of an interval so far.

    :param post_rate: how often the device posts (s): a reading may have begun so much before
    """
    passed = Interval(interval.begin, min(interval.end, now))
    if not passed.seconds or not meters:
        return Said()
    since = interval.begin - max(HOLD, 3 * post_rate)
    points = [
        sorted(
            (point for one in some for point in _points(connection, one, interval, since, passed.end)),
            key=lambda point: point.start,
        )
        for some in meters
    ]
    return said(points, interval)


def _points(
    connection: sa.Connection, one: Series, interval: Interval, since: int, until: int
) -> list[Point]:
    amount = one.quantity.amount
    if until - interval.begin <= _BY_READINGS:
        rows, following = page(connection, one.number, since, until, limit=_MOST_READINGS)
        found = [
            Point(
                row.at,
                row.sample.duration,
                amount(row.sample.value),
                # Without a timePeriod the ReadingType says how long it is, and nothing says when it began.
                one.period if not row.sample.duration else 0,
            )
            for row in rows
            if row.sample.value is not None
        ]
        if found and following is None:
            return found
    # Raw readings are kept for a time; what they came to, for longer.
    step = MINUTES if interval.seconds <= _BY_MINUTES else HOUR
    buckets = made_and_fresh(connection, one.number, step, since - since % step, until)
    # What held at the begin of a step may be from before it, and at its end go on.
    return [Point(b.start, step, amount(b.mean), HOLD) for b in buckets if b.mean is not None]
