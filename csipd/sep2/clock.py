"""The Time resource as a function of a moment and a time zone (IEEE 2030.5-2018 9.2).

``tzOffset`` is the zone's offset from UTC without daylight saving; ``dstOffset`` is added to it from
``dstStartTime`` until ``dstEndTime``, which are those of the current period of daylight saving or, outside
one, of the next. A zone without daylight saving shows zero in all three.

Only the offset from UTC is read from a zone. What its data call daylight saving differs between editions and
countries (Ireland's and Morocco's have a negative saving in winter), and ``tzinfo.dst`` is a guess where the
data do not say. Daylight saving is therefore a period in which clocks are ahead of what they show both
just before and just after it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from attrs import frozen

from csipd.sep2 import resources as r

_DAY = 86_400
#: Today's clocks change on the minute; a change between two is seen up to 59 s late.
_MINUTE = 60
#: The search for a change goes in steps of this many seconds: no zone changes twice within one.
_STEP = 7 * _DAY
#: How far away the beginning or the end of a period of daylight saving may be and still be shown.
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
    return _in_minute(zone, now // _MINUTE)


@lru_cache(maxsize=16)
def _in_minute(zone: tzinfo, minute: int) -> DaylightSaving:
    now = minute * _MINUTE
    offset = utc_offset(zone, now)
    start: int | None
    end: int | None
    none = DaylightSaving(standard=offset)
    change = _change(zone, now, _STEP)
    if change is None:
        return none
    if utc_offset(zone, change) < offset:
        # Clocks go back next: they are ahead now.
        start, end = _change(zone, now, -_STEP), change
    else:
        start, end = change, _change(zone, change, _STEP)
    if start is None or end is None:
        return none
    standard = utc_offset(zone, end)
    if utc_offset(zone, start - 1) != standard:
        # The zone moves to another standard time: one tzOffset would be wrong before or after the period.
        return none
    return DaylightSaving(standard, utc_offset(zone, start) - standard, start, end)


def utc_offset(zone: tzinfo, at: int) -> int:
    """A zone's offset from UTC at a moment (s)."""
    offset = datetime.fromtimestamp(at, UTC).astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds())


def _change(zone: tzinfo, at: int, step: int) -> int | None:
    """The nearest change of a zone's offset: the first after ``at``, or where ``step`` is negative the last
    that is not after it.

    :return: the first second of the new offset, or None if there is none within the horizon
    """
    offset = utc_offset(zone, at)
    near, far = at, at + step
    while utc_offset(zone, far) == offset:
        near, far = far, far + step
        if abs(far - at) > _HORIZON:
            return None
    low, high = min(near, far), max(near, far)
    # The offset of ``at`` reaches up to the change on one side of it, and begins at it on the other.
    while high - low > 1:
        middle = (low + high) // 2
        if (utc_offset(zone, middle) == offset) == (step > 0):
            low = middle
        else:
            high = middle
    return high
