"""Moments and durations as operators write them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, tzinfo
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.times import parse_duration, parse_moment, show_duration
from csipd.der.wording import moment_text

CALIFORNIA = ZoneInfo("America/Los_Angeles")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
ZONES = (UTC, CALIFORNIA, LORD_HOWE)
NOW = 1_782_914_400.0  # 2026-07-01 14:00:00 in UTC, 07:00:00 in California

zones = st.sampled_from(ZONES)
nows = st.floats(0, 4_000_000_000)


def utc(text: str) -> int:
    """Seconds of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class DurationTests(SynchronousTestCase):
    def test_ways(self) -> None:
        """Days, hours, minutes and seconds stand in this order, each once; a plain number is seconds."""
        for text, seconds in {
            "2h": 7200,
            "90m": 5400,
            "1h30m": 5400,
            "1H 30M": 5400,
            " 45s ": 45,
            "3600": 3600,
            "0": 0,
            "1d2h3m4s": 93_784,
            "4294967295": 2**32 - 1,
        }.items():
            self.assertEqual(parse_duration(text), seconds, text)

    def test_refused(self) -> None:
        """What is no duration, or does not fit the standard's type, is refused with ways to write one."""
        for text in (
            "",
            " ",
            "h",
            "-5",
            "1.5h",
            "30m1h",
            "2h2h",
            "5x",
            "1e3",
            "\u0661h",
            "9" * 50,
            "4294967296",
            "50000d",
        ):
            self.assertRaises(ValueError, parse_duration, text)
        self.assertIn("1h30m", str(self.assertRaises(ValueError, parse_duration, "soon")))

    @given(st.integers(0, 2**32 - 1))
    def test_both_ways(self, seconds: int) -> None:
        """What is shown for a duration is read as the same one."""
        self.assertEqual(parse_duration(show_duration(seconds)), seconds)

    def test_shown(self) -> None:
        """A duration is shown with its largest units first, and without those that are 0."""
        shown = [show_duration(seconds) for seconds in (0, 59, 3600, 5400, 86_400, 90_061)]
        self.assertEqual(shown, ["0s", "59s", "1h", "1h30m", "1d", "1d1h1m1s"])


class MomentTests(SynchronousTestCase):
    def test_iso(self) -> None:
        """ISO 8601 with an offset means itself, and without one the time of the zone."""
        for text, zone, moment in (
            ("2026-07-01T16:00:00Z", CALIFORNIA, "2026-07-01 16:00"),
            ("2026-07-01T16:00:00-07:00", UTC, "2026-07-01 23:00"),
            ("2026-07-01T16:00", CALIFORNIA, "2026-07-01 23:00"),
            ("2026-07-01 16:00:30", CALIFORNIA, "2026-07-01 23:00:30"),
            ("20260701T1600", UTC, "2026-07-01 16:00"),
            ("2026-07-01", CALIFORNIA, "2026-07-01 07:00"),
            ("today", CALIFORNIA, "2026-07-01 07:00"),
            ("Yesterday", CALIFORNIA, "2026-06-30 07:00"),
            ("yesterday", UTC, "2026-06-30 00:00"),
        ):
            self.assertEqual(parse_moment(text, NOW, zone), utc(moment), text)

    def test_steps(self) -> None:
        """`+`, `in` and `-` step from now, which is rounded down."""
        for text, step in {
            "now": 0,
            "NOW": 0,
            "+20s": 20,
            "+20": 20,
            "+ 1h30m": 5400,
            "in 5m": 300,
            "In 2h": 7200,
            "-2h": -7200,
        }.items():
            self.assertEqual(parse_moment(text, NOW + 0.9, UTC), NOW + step, text)

    def test_epoch(self) -> None:
        """`@` stands before seconds since 1970."""
        self.assertEqual(parse_moment("@1782914400", 0, CALIFORNIA), NOW)

    def test_time_of_day(self) -> None:
        """A time of day is the next one to come: today, or tomorrow where it has passed or is now."""
        for text, moment in {
            "16:00": "2026-07-01 23:00",
            "07:00": "2026-07-02 14:00",
            "07:00:01": "2026-07-01 14:00:01",
            "6:59": "2026-07-02 13:59",
        }.items():
            self.assertEqual(parse_moment(text, NOW, CALIFORNIA), utc(moment), text)

    def test_time_of_today(self) -> None:
        """Where what was is asked for, a time of day is today's, passed or not."""
        self.assertEqual(parse_moment("6:59", NOW, CALIFORNIA, ahead=False), utc("2026-07-01 13:59"))
        self.assertEqual(parse_moment("16:00", NOW, CALIFORNIA, ahead=False), utc("2026-07-01 23:00"))

    def test_clocks_go_back(self) -> None:
        """A time that comes twice is refused; with its offset each of the two can be meant."""
        twice = "2026-11-01T01:30"
        said = str(self.assertRaises(ValueError, parse_moment, twice, NOW, CALIFORNIA))
        self.assertIn("offset", said)
        self.assertEqual(parse_moment(twice + "-07:00", NOW, CALIFORNIA), utc("2026-11-01 08:30"))
        self.assertEqual(parse_moment(twice + "-08:00", NOW, CALIFORNIA), utc("2026-11-01 09:30"))

    def test_clocks_go_forward(self) -> None:
        """A time that does not come that day is refused, also where the day is not said."""
        self.assertRaises(ValueError, parse_moment, "2027-03-14T02:30", NOW, CALIFORNIA)
        midnight = utc("2027-03-14 08:00")
        self.assertRaises(ValueError, parse_moment, "02:30", midnight, CALIFORNIA)

    def test_next_day_after_a_change(self) -> None:
        """A time of day that was skipped this morning means tomorrow's."""
        noon = utc("2027-03-14 19:00")
        self.assertEqual(parse_moment("02:30", noon, CALIFORNIA), utc("2027-03-15 09:30"))

    def test_refused(self) -> None:
        """What is no time is refused, and so is what lies before 1970 or after 9999."""
        for text in (
            "",
            "soon",
            "25:00",
            "16:60",
            "16",
            "tomorrow",
            "2026-13-01",
            "in a while",
            "++5",
            "1969-12-31T23:59:59Z",
            "@999999999999",
            "0001-01-01",
            "1600-01-01T00:00:00+14:00",
            "\u0661\u0666:00",
        ):
            self.assertRaises(ValueError, parse_moment, text, NOW, UTC)

    @given(st.integers(0, 253_402_300_799 - 86_400), zones)
    def test_both_ways(self, moment: int, zone: tzinfo) -> None:
        """What is shown for a moment is read as the same one, in every zone."""
        self.assertEqual(parse_moment(moment_text(moment, zone), 0, UTC), moment)

    @given(nows, st.times(), zones)
    def test_time_of_day_is_near(self, now: float, at: time_of_day, zone: tzinfo) -> None:
        """A time of day is after now, not after tomorrow, and is what a clock of the zone then shows."""
        text = f"{at:%H:%M:%S}"
        try:
            moment = parse_moment(text, now, zone)
        except ValueError as error:
            self.assertIn("clocks change", str(error))
            return
        self.assertTrue(now < moment <= now + 49 * 3600, moment)
        self.assertEqual(f"{datetime.fromtimestamp(moment, zone):%H:%M:%S}", text)

    def test_out_of_all_calendars(self) -> None:
        """A moment that no calendar reaches is shown as a number."""
        self.assertEqual(moment_text(2**62, UTC), f"@{2**62}")

    def test_zone_of_the_machine(self) -> None:
        """Without a zone that of the machine is taken, for reading and showing."""
        before = os.environ.get("TZ")

        def restore() -> None:
            os.environ.pop("TZ", None)
            if before is not None:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)
        os.environ["TZ"] = "America/Los_Angeles"
        time.tzset()
        self.assertEqual(parse_moment("2026-07-01T16:00", NOW, None), utc("2026-07-01 23:00"))
        self.assertEqual(parse_moment("16:00", NOW, None), utc("2026-07-01 23:00"))
        self.assertRaises(ValueError, parse_moment, "2026-11-01T01:30", NOW, None)
        self.assertEqual(moment_text(int(NOW), None), "2026-07-01 07:00:00-07:00")
