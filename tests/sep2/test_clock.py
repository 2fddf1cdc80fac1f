"""The Time resource: zones, daylight saving on both halves of the globe, and none at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.clock import DaylightSaving, daylight_saving, time_resource, utc_offset
from tests.support.schema import validate

HOUR = 3600
ZONES = (
    "UTC",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Brisbane",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Auckland",
    "Pacific/Chatham",
)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """A moment given in UTC (epoch s)."""
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


class ZoneTests(SynchronousTestCase):
    """A zone's rules at a moment, against the dates in the calendar."""

    def assertRules(self, zone: str, now: int, expected: DaylightSaving) -> None:
        self.assertEqual(daylight_saving(ZoneInfo(zone), now), expected, (zone, now))

    def test_utc(self) -> None:
        """UTC has offset zero and no daylight saving."""
        self.assertRules("UTC", at(2026, 7, 1), DaylightSaving(standard=0))
        self.assertEqual(daylight_saving(UTC, at(2026, 7, 1)), DaylightSaving(standard=0))

    def test_none(self) -> None:
        """A zone without daylight saving has zeros for it (decision 15)."""
        for zone, offset in (
            ("Asia/Tokyo", 9 * HOUR),
            ("America/Phoenix", -7 * HOUR),
            ("Asia/Kolkata", 19800),
        ):
            for month in (1, 7):
                self.assertRules(zone, at(2026, month, 1), DaylightSaving(standard=offset))
        fixed = timezone(timedelta(hours=-8))
        self.assertEqual(daylight_saving(fixed, at(2026, 7, 1)), DaylightSaving(standard=-8 * HOUR))

    def test_pacific(self) -> None:
        """Pacific time: tzOffset is that of winter all year, the period that of this summer or the next."""
        summer_26 = DaylightSaving(-8 * HOUR, HOUR, at(2026, 3, 8, 10), at(2026, 11, 1, 9))
        summer_27 = DaylightSaving(-8 * HOUR, HOUR, at(2027, 3, 14, 10), at(2027, 11, 7, 9))
        self.assertRules("America/Los_Angeles", at(2026, 1, 1), summer_26)
        self.assertRules("America/Los_Angeles", at(2026, 7, 1), summer_26)
        self.assertRules("America/Los_Angeles", at(2026, 12, 1), summer_27)

    def test_edges(self) -> None:
        """A period holds from its first second; at its end the next one is shown."""
        start, end = at(2026, 3, 8, 10), at(2026, 11, 1, 9)
        for now in (start - 1, start, start + 1, end - 1):
            self.assertEqual(daylight_saving(ZoneInfo("America/Los_Angeles"), now).start, start, now)
        self.assertEqual(daylight_saving(ZoneInfo("America/Los_Angeles"), end).start, at(2027, 3, 14, 10))

    def test_southern(self) -> None:
        """South of the equator the period spans the new year."""
        summer = DaylightSaving(10 * HOUR, HOUR, at(2025, 10, 4, 16), at(2026, 4, 4, 16))
        self.assertRules("Australia/Sydney", at(2026, 1, 1), summer)
        self.assertRules("Australia/Sydney", at(2025, 7, 1), summer)
        following = DaylightSaving(10 * HOUR, HOUR, at(2026, 10, 3, 16), at(2027, 4, 3, 16))
        self.assertRules("Australia/Sydney", at(2026, 4, 4, 16), following)

    def test_half_an_hour(self) -> None:
        """Daylight saving need not be an hour."""
        rules = daylight_saving(ZoneInfo("Australia/Lord_Howe"), at(2026, 1, 1))
        self.assertEqual((rules.standard, rules.offset), (37800, 1800))

    def test_negative(self) -> None:
        """Where the law calls winter the exception, what is told is still the summer's period."""
        summer = DaylightSaving(0, HOUR, at(2026, 3, 29, 1), at(2026, 10, 25, 1))
        self.assertRules("Europe/Dublin", at(2026, 1, 1), summer)
        self.assertRules("Europe/Dublin", at(2026, 7, 1), summer)

    def test_negative_for_a_month(self) -> None:
        """Where clocks are set back for a month, as for Ramadan, the rest of the year is what is told."""
        start, end = at(2026, 3, 22, 2), at(2027, 2, 7, 2)
        zone = _Stepped(
            [(at(2026, 2, 15, 2), 0), (start, HOUR), (end, 0), (at(2027, 3, 14, 2), HOUR)], before=HOUR
        )
        self.assertEqual(daylight_saving(zone, at(2026, 7, 1)), DaylightSaving(0, HOUR, start, end))

    def test_inuvik(self) -> None:
        """Mountain time in Inuvik's winter, though ``dst`` says two hours of its summer (case A11)."""

        start, end = at(2027, 3, 14, 9), at(2027, 11, 7, 8)
        steps = [(at(2026, 3, 8, 9), -6 * HOUR), (at(2026, 11, 1, 8), -7 * HOUR), (start, -6 * HOUR)]
        zone = _Stepped([*steps, (end, -7 * HOUR)], before=-7 * HOUR, saving=2 * HOUR)
        expected = DaylightSaving(-7 * HOUR, HOUR, start, end)
        self.assertEqual(daylight_saving(zone, at(2026, 11, 29)), expected)
        self.assertEqual(daylight_saving(zone, at(2027, 7, 1)), expected)

    def test_another_standard(self) -> None:
        """Where clocks do not go back to what they were no period is told; localTime is right (case A11)."""
        moved = _Stepped([(at(2026, 3, 1), 2 * HOUR), (at(2026, 10, 1), 0)], before=HOUR)
        for now, standard in ((at(2026, 2, 1), HOUR), (at(2026, 6, 1), 2 * HOUR), (at(2026, 11, 1), 0)):
            self.assertEqual(daylight_saving(moved, now), DaylightSaving(standard))

    def test_every_zone(self) -> None:
        """localTime - currentTime is the offset from UTC in every zone of the machine and of the package,
        through three years and on both sides of each change (case A11)."""
        for zone in every_zone():
            moments = {at(2025, 12, 1) + month * 28 * 86400 for month in range(40)}
            for now in moments | set(changes(zone, at(2026, 1, 1), at(2029, 1, 1))):
                rules = daylight_saving(zone, now)
                self.assertEqual(rules.local(now) - now, utc_offset(zone, now), (zone, now))
                if not rules.offset:
                    self.assertEqual((rules.start, rules.end), (0, 0), (zone, now))
                    continue
                self.assertTrue(now < rules.end and rules.start < rules.end and rules.offset > 0)
                self.assertLess(rules.end - now, 2 * 366 * 86400)
                # Who reads the resource now goes by it until the next poll, over the edges.
                for edge in (rules.start - 1, rules.start, rules.end - 1, rules.end):
                    self.assertEqual(rules.local(edge) - edge, utc_offset(zone, edge), (zone, now, edge))
                    there = daylight_saving(zone, edge)
                    self.assertEqual(there.local(edge) - edge, utc_offset(zone, edge), (zone, edge))

    @given(st.sampled_from(ZONES), st.integers(at(2000, 1, 1), at(2037, 1, 1)))
    def test_local_time(self, name: str, now: int) -> None:
        """localTime is what a clock on the wall shows, whatever the zone and season."""
        zone = ZoneInfo(name)
        rules = daylight_saving(zone, now)
        wall = datetime.fromtimestamp(now, zone).replace(tzinfo=UTC)
        self.assertEqual(rules.local(now), int(wall.timestamp()))


class _Stepped(tzinfo):
    """A zone made of changes: from each moment on (UTC) its offset, and what ``dst`` says of it (s)."""

    def __init__(self, steps: list[tuple[int, int]], before: int, saving: int = 0) -> None:
        self._steps = [(-(1 << 60), before), *steps]
        self._saving = saving

    def fromutc(self, when: datetime) -> datetime:
        moment = when.replace(tzinfo=UTC).timestamp()
        offset = [value for since, value in self._steps if since <= moment][-1]
        shown = _Fixed(offset, self._saving if offset > self._steps[0][1] else 0)
        return (when + timedelta(seconds=offset)).replace(tzinfo=shown)


class _Fixed(tzinfo):
    """What a moment in a zone says of it."""

    def __init__(self, offset: int, saving: int) -> None:
        self._offset = timedelta(seconds=offset)
        self._saving = timedelta(seconds=saving)

    def utcoffset(self, when: datetime | None) -> timedelta:
        return self._offset

    def dst(self, when: datetime | None) -> timedelta:
        return self._saving


def every_zone() -> Iterator[ZoneInfo]:
    """The zones of the machine and of the package, those with the same data once."""
    seen = set()
    for name in sorted(available_timezones()):
        places = [Path(folder, name) for folder in TZPATH]
        for place in (*places, files("tzdata").joinpath("zoneinfo", name)):
            if place.is_file():
                data = place.read_bytes()
                if data not in seen:
                    seen.add(data)
                    yield ZoneInfo.from_file(BytesIO(data), name)


def changes(zone: tzinfo, since: int, until: int) -> Iterator[int]:
    """The moments around each change of a zone's offset, found on a grid of a day and within it."""
    for day in range(since, until, 86400):
        if utc_offset(zone, day) != utc_offset(zone, day + 86400):
            for minute in range(day, day + 86400, 900):
                if utc_offset(zone, minute) != utc_offset(zone, minute + 900):
                    yield from (minute + 899, minute + 900)


class ResourceTests(SynchronousTestCase):
    """What devices get."""

    def test_fields(self) -> None:
        """Time tells the moment, the zone, the season's ends and where it has its time from."""
        now, start, end = at(2026, 7, 1), at(2026, 3, 8, 10), at(2026, 11, 1, 9)
        time = time_resource(now, daylight_saving(ZoneInfo("America/Los_Angeles"), now), 7)
        self.assertEqual(
            time,
            r.Time(
                currentTime=now,
                dstEndTime=end,
                dstOffset=HOUR,
                dstStartTime=start,
                localTime=now - 7 * HOUR,
                quality=7,
                tzOffset=-8 * HOUR,
            ),
        )
        validate(codec.encode(time))

    def test_quality(self) -> None:
        """The quality is what the configuration says."""
        for quality in range(3, 8):
            self.assertEqual(time_resource(0, DaylightSaving(0), quality).quality, quality)
