"""Moments and durations as an operator writes and reads them.

Inside they are what the API has: seconds since 1970 in UTC, and seconds. What the time is now, and in which
zone the operator lives, is handed in; the zone None is that of the machine.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo

MOMENTS = "now, today, yesterday, 16:00, 2026-07-01T16:00, +20s, 'in 5m', -2h, @1782921600"
"""Ways to write a moment, for help and errors."""

DURATIONS = "2h, 90m, 1h30m, 45s, 3600"
"""Ways to write a duration, for help and errors."""

_LONGEST = 2**32 - 1  # UInt32, as in DateTimeInterval.duration
_LAST = 253_402_300_799  # the end of the year 9999
#: Days that begin at midnight, by how many of them ago.
_DAYS = {"today": 0, "yesterday": 1}
_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_SECONDS = re.compile(r"\d{1,10}", re.ASCII)
_STEP = re.compile(r"(in |[+-]) *(.+)", re.IGNORECASE)
_EPOCH = re.compile(r"@(\d{1,12})", re.ASCII)
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d)?", re.ASCII)


def parse_duration(text: str) -> int:
    """Seconds, 0 to 2**32 - 1, from `1h30m`, `2d`, `90m` or `3600`. ValueError for anything else."""
    text = text.strip()
    if _SECONDS.fullmatch(text):
        seconds = int(text)
    elif len(text) <= 40 and (found := _DURATION.fullmatch(text.lower().replace(" ", ""))):
        parts = zip(found.groups(), _UNITS.values(), strict=True)
        seconds = sum(int(count or 0) * unit for count, unit in parts)
    else:
        raise ValueError(f"{text[:40]!r} is no duration: {DURATIONS}")
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than {_LONGEST} seconds")
    return seconds


def show_duration(seconds: int) -> str:
    """`1h30m` for 5400; what `parse_duration` reads as the same number."""
    parts = []
    for name, unit in _UNITS.items():
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def parse_moment(text: str, now: float, zone: tzinfo | None, *, ahead: bool = True) -> int:
    """Seconds since 1970 from ISO 8601, a time of day, a step from now, or `@` and the seconds themselves.

    Without an offset a time is in `zone`. A time of day is the next one to come, or with `ahead` false
    today's. ValueError for anything else, and for a time that the zone has twice or not at all (clocks go
    back or forward), where only an offset says which is meant.
    """
    text = text.strip()
    try:
        moment = _moment(text, now, zone, ahead)
    except (OverflowError, OSError):  # years that datetime or the machine does not reach
        moment = -1
    if not 0 <= moment <= _LAST:
        raise ValueError(f"{text[:40]!r} is not between 1970 and 9999")
    return moment


def _moment(text: str, now: float, zone: tzinfo | None, ahead: bool) -> int:
    if text.lower() == "now":
        return int(now)
    if text.lower() in _DAYS:
        day = datetime.fromtimestamp(now, zone).date() - timedelta(days=_DAYS[text.lower()])
        return _seconds(datetime.combine(day, time()), zone, text)
    if found := _EPOCH.fullmatch(text):
        return int(found[1])
    if found := _STEP.fullmatch(text):
        step = parse_duration(found[2])
        return int(now) + (-step if found[1] == "-" else step)
    if _TIME_OF_DAY.fullmatch(text):
        return _time_of_day(text, now, zone, ahead)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no time: {MOMENTS}") from None
    return _seconds(moment, zone, text)


def _time_of_day(text: str, now: float, zone: tzinfo | None, ahead: bool) -> int:
    try:
        at = time.fromisoformat(text.zfill(8) if text.count(":") == 2 else text.zfill(5))
    except ValueError:
        raise ValueError(f"{text!r} is no time of day: 00:00 to 23:59") from None
    today = datetime.fromtimestamp(now, zone).date()
    moment = datetime.combine(today, at)
    if ahead and max(_readings(moment, zone)) <= now:
        moment = datetime.combine(today + timedelta(days=1), at)
    return _seconds(moment, zone, text)


def _seconds(moment: datetime, zone: tzinfo | None, text: str) -> int:
    if moment.tzinfo is not None:
        return int(moment.timestamp())
    early, late = _readings(moment, zone)
    if early != late:
        raise ValueError(f"{text!r}: clocks change then; say which by an offset, 2026-11-01T01:30-07:00")
    return int(early)


def _readings(moment: datetime, zone: tzinfo | None) -> tuple[float, float]:
    """What a time without offset may mean; both the same but where clocks change.

    Where `zone` is None datetime goes by the machine's rules.
    """
    early, late = (moment.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    return early, late
