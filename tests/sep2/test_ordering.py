"""Texts that sort as the standard orders its lists."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.ordering import order_key, time_key
from csipd.sep2.site import ROWS

INT64 = st.integers(-(2**63), 2**63 - 1)
NUMBER = st.integers(1, 2**63 - 1)
# Few letters, so that one text often begins another.
TEXT = st.text("ab\x00é\U0001f50c", max_size=4)


class OrderTests(SynchronousTestCase):
    """Comparing keys is comparing members by the list's order."""

    def assertOrdered(self, row: str, first: tuple[Any, int], second: tuple[Any, int], before: bool) -> None:
        one, other = (order_key(ROWS[row], *each) for each in (first, second))
        self.assertEqual(one < other, before, (first, second))

    @given(INT64, INT64, st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1), NUMBER, NUMBER)
    def test_log_events(self, at: int, later: int, id: int, other: int, n: int, m: int) -> None:
        """Log events: newest first, then the highest logEventID, then the number in the URI."""

        def event(at: int, id: int) -> r.LogEvent:
            return r.LogEvent(
                createdDateTime=at, functionSet=0, logEventCode=0, logEventID=id, logEventPEN=0, profileID=2
            )

        expected = (-at, -id, n) < (-later, -other, m)
        self.assertOrdered("LogEventList", (event(at, id), n), (event(later, other), m), expected)

    @given(INT64, INT64, INT64, INT64, st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
    def test_controls(self, start: int, later: int, made: int, after: int, mrid: int, other: int) -> None:
        """Controls: earliest start first, then the newest, then the highest mRID."""

        def control(start: int, made: int, mrid: int) -> r.DERControl:
            return r.DERControl(
                mRID=f"{mrid:032X}",
                creationTime=made,
                EventStatus=r.EventStatus(currentStatus=0, dateTime=0, potentiallySuperseded=False),
                interval=r.DateTimeInterval(duration=1, start=start),
                DERControlBase=r.DERControlBase(),
            )

        expected = (start, -made, -mrid, 1) < (later, -after, -other, 2)
        self.assertOrdered(
            "DERControlList", (control(start, made, mrid), 1), (control(later, after, other), 2), expected
        )

    @given(TEXT, TEXT, NUMBER, NUMBER)
    def test_texts(self, text: str, other: str, n: int, m: int) -> None:
        """Texts sort by their characters, the shorter of two that begin alike first."""
        one, two = r.SupportedLocale(locale=text), r.SupportedLocale(locale=other)
        expected = (text.encode(), n) < (other.encode(), m)
        self.assertOrdered("SupportedLocaleList", (one, n), (two, m), expected)

    @given(TEXT, TEXT, TEXT, TEXT)
    def test_texts_descending(self, model: str, other: str, version: str, later: str) -> None:
        """A text that descends sorts the other way round and leaves the keys before it alone."""

        def file(model: str, version: str) -> r.File:
            return r.File(fileURI="/", mfID=1, mfModel=model, mfVer=version, size=0, type=0)

        if model != other:
            expected = model.encode() < other.encode()
        else:
            # Ties go by number.
            expected = version.encode() >= later.encode()
        self.assertOrdered("FileList", (file(model, version), 1), (file(other, later), 2), expected)

    @given(NUMBER, NUMBER)
    def test_hrefs(self, n: int, m: int) -> None:
        """Members that are ordered by href are ordered by their numbers: 2 before 10."""
        self.assertOrdered("DERList", (r.DER(), n), (r.DER(), m), n < m)

    def test_absent(self) -> None:
        """A member that leaves a key out comes where zero would; one without any key has its place too."""
        reading = r.BillingReading()
        later = reading.replace(timePeriod=r.DateTimeInterval(duration=1, start=1))
        self.assertOrdered("BillingReadingList", (reading, 1), (later, 2), True)
        self.assertOrdered("BillingReadingList", (reading, 1), (reading, 2), True)

    @given(st.text(max_size=42), NUMBER)
    def test_fit_for_an_index(self, locale: str, number: int) -> None:
        """A key is ASCII of bounded length, so that every database compares it octet by octet."""
        key = order_key(ROWS["SupportedLocaleList"], r.SupportedLocale(locale=locale), number)
        self.assertTrue(key.isascii() and key.isprintable() and len(key) < 400, key)


class TimeTests(SynchronousTestCase):
    """What the query parameter a compares with."""

    def test_first_key(self) -> None:
        """It is the first ordering key where that is a time, and nothing elsewhere."""
        event = r.LogEvent(
            createdDateTime=77, functionSet=0, logEventCode=0, logEventID=1, logEventPEN=0, profileID=2
        )
        self.assertEqual(time_key(ROWS["LogEventList"], event), 77)
        reading_set = r.ReadingSet(mRID="1", timePeriod=r.DateTimeInterval(duration=1, start=-5))
        self.assertEqual(time_key(ROWS["ReadingSetList"], reading_set), -5)
        self.assertIsNone(time_key(ROWS["DERList"], r.DER()))
        self.assertIsNone(time_key(ROWS["SupportedLocaleList"], r.SupportedLocale(locale="en")))

    def test_absent(self) -> None:
        """A member that leaves the time out counts as one of 1970."""
        response = r.Response(endDeviceLFDI="1", subject="1")
        self.assertEqual(time_key(ROWS["ResponseList"], response), 0)
