"""The Time resource as a function of a moment and a time zone (IEEE 2030.5-2018 9.2).

``tzOffset`` is the zone's standard offset, without daylight saving; ``dstOffset`` is added to it between
``dstStartTime`` and ``dstEndTime``, which are those of the current period of daylight saving or, outside
one, of the next. A zone without daylight saving shows zero in all three.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from attrs import frozen

from csipd.sep2 import resources as r

_DAY = 86_400
#: Clocks change on the quarter hour everywhere.
_QUARTER = 900
#: How far ahead the next period of daylight saving may be and still be shown.
_HORIZON = 400 * _DAY


@frozen
class DaylightSaving:
    """A zone's rules at a moment.

    :param standard: offset from UTC without daylight saving (s)
    :param offset: what daylight saving adds (s); 0 in a zone without it
    :param start: when the current or next period of it begins (TimeType)
    :param end: when that period ends (TimeType)
    """

    standard: int
    offset: int = 0
    start: int = 0
    end: int = 0

    def local(self, now: int) -> int:
        """localTime: the moment plus what the zone adds to it then."""
        return now + self.standard + (self.offset if self.start <= now < self.end else 0)


def time_resource(now: int, rules: DaylightSaving, quality: int) -> r.Time:
    """The Time resource.

    :param now: seconds since 1970 in UTC
    :param rules: those of the server's zone at that moment
    :param quality: where the clock has its time from; 7 is intentionally uncoordinated
    """
    return r.Time(
        currentTime=now,
        dstEndTime=rules.end,
        dstOffset=rules.offset,
        dstStartTime=rules.start,
        localTime=rules.local(now),
        quality=quality,
        tzOffset=rules.standard,
    )


def daylight_saving(zone: tzinfo, now: int) -> DaylightSaving:
    """The zone's rules at a moment."""
    return _in_quarter(zone, now // _QUARTER)


@lru_cache(maxsize=16)
def _in_quarter(zone: tzinfo, quarter: int) -> DaylightSaving:
    now = quarter * _QUARTER
    offset, saving = _offsets(zone, now)
    inside = bool(saving)
    end = _change(zone, now, _HORIZON)
    if end is None:
        return DaylightSaving(standard=offset - saving)
    if inside:
        start = _change(zone, now, -_HORIZON)
        # A period without a beginning in sight is a zone's permanent offset under another name.
        if start is None:
            return DaylightSaving(standard=offset)
        return _rules(zone, start, end)
    start, end = end, _change(zone, end, _HORIZON)
    return DaylightSaving(standard=offset) if end is None else _rules(zone, start, end)


def _rules(zone: tzinfo, start: int, end: int) -> DaylightSaving:
    """The rules of a period of daylight saving.

    Some zones' data (Ireland's, Morocco's) call winter the exception and give it a negative saving: what
    counts here is the period in which clocks are ahead.
    """
    offset, saving = _offsets(zone, start)
    return DaylightSaving(standard=offset - saving, offset=saving, start=start, end=end)


def _offsets(zone: tzinfo, at: int) -> tuple[int, int]:
    """The zone's offset from UTC at a moment, and how much of it is daylight saving (s)."""
    local = datetime.fromtimestamp(at, UTC).astimezone(zone)
    offset = int((local.utcoffset() or timedelta()).total_seconds())
    saving = int((local.dst() or timedelta()).total_seconds())
    if saving < 0:
        return offset, 0
    if not saving:
        # Standard time by its name; yet where the year knows a negative saving, this is the summer.
        winter = _negative(zone, at)
        return offset, winter
    return offset, saving


def _negative(zone: tzinfo, at: int) -> int:
    """How far the zone's clocks go back within a year under a negative saving (s)."""
    for day in range(0, 366, 14):
        local = datetime.fromtimestamp(at + day * _DAY, UTC).astimezone(zone)
        saving = int((local.dst() or timedelta()).total_seconds())
        if saving < 0:
            return -saving
    return 0


def _change(zone: tzinfo, at: int, reach: int) -> int | None:
    """The nearest moment after (or before) ``at`` at which daylight saving begins or ends.

    :return: the first second of the new rule, or None if there is none within reach
    """
    step = 7 * _DAY if reach > 0 else -7 * _DAY
    before = bool(_offsets(zone, at)[1])
    near, far = at, at
    while bool(_offsets(zone, far)[1]) == before:
        near, far = far, far + step
        if abs(far - at) > abs(reach):
            return None
    low, high = min(near, far), max(near, far)
    first = bool(_offsets(zone, low)[1])
    while high - low > 1:
        middle = (low + high) // 2
        if bool(_offsets(zone, middle)[1]) == first:
            low = middle
        else:
            high = middle
    return high
