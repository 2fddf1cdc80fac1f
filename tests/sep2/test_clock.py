"""The Time resource: zones, daylight saving on both halves of the globe, and none at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.clock import DaylightSaving, daylight_saving, time_resource
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

    @given(st.sampled_from(ZONES), st.integers(at(2000, 1, 1), at(2037, 1, 1)))
    def test_local_time(self, name: str, now: int) -> None:
        """localTime is what a clock on the wall shows, whatever the zone and season."""
        zone = ZoneInfo(name)
        rules = daylight_saving(zone, now)
        wall = datetime.fromtimestamp(now, zone).replace(tzinfo=UTC)
        self.assertEqual(rules.local(now), int(wall.timestamp()))

    @given(st.sampled_from(ZONES), st.integers(at(2000, 1, 1), at(2037, 1, 1)))
    def test_period(self, name: str, now: int) -> None:
        """The period shown is the current one or the next, and clocks change at both its ends."""
        zone = ZoneInfo(name)
        rules = daylight_saving(zone, now)
        if not rules.offset:
            self.assertEqual((rules.start, rules.end), (0, 0))
            return
        self.assertTrue(now < rules.end and rules.start < rules.end)
        self.assertLess(rules.end - now, 2 * 366 * 86400)
        for edge, change in ((rules.start, rules.offset), (rules.end, -rules.offset)):
            self.assertEqual(_offset(zone, edge) - _offset(zone, edge - 1), change)


def _offset(zone: tzinfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


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
