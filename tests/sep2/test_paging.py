"""The list query: s, l, a as CORE-004 of the test procedures has them, and whatever else may be sent."""

from __future__ import annotations

from random import Random
from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2.paging import DEFAULT, BadQuery, Page, parse

LARGEST = 2**63 - 1
NOW = 1_767_225_600


class QueryTests(SynchronousTestCase):
    """Reading a query string."""

    def assertParsed(self, query: str, page: Page, maximum: int = 500) -> None:
        self.assertEqual(parse(query, maximum), page, query)

    def test_nothing(self) -> None:
        """Without parameters a list gives its first member alone."""
        self.assertParsed("", Page(start=0, limit=1, after=None))
        self.assertEqual(DEFAULT, Page(start=0, limit=1, after=None))

    def test_core_004(self) -> None:
        """The queries of the conformance test mean what it says."""
        self.assertParsed("s=0", Page(0, 1))
        self.assertParsed(f"a={NOW}", Page(0, 1, NOW))
        self.assertParsed("l=0", Page(0, 0))
        self.assertParsed("l=1000", Page(0, 500))
        self.assertParsed(f"s=3&a={NOW}", Page(3, 1, NOW))
        self.assertParsed("s=1&l=1&s=2", Page(1, 1))
        self.assertParsed("l=0&l=2", Page(0, 0))
        self.assertParsed(f"s=1&a={NOW}&a={NOW + 86400}", Page(1, 1, NOW))
        self.assertParsed("l=1&b=2", Page(0, 1))

    def test_order_of_parameters(self) -> None:
        """It does not matter which parameter comes first."""
        self.assertParsed(f"a={NOW}&l=5&s=2", Page(2, 5, NOW))
        self.assertParsed(f"l=5&s=2&a={NOW}", Page(2, 5, NOW))

    def test_names(self) -> None:
        """Names are case-sensitive, and what is unknown is ignored, whatever its value."""
        for ignored in ("S=4", "L=x", "A=", "ss=1", "=2", "&&", "x=-1", "l1=7"):
            self.assertParsed(ignored, DEFAULT)

    def test_escapes(self) -> None:
        """A value may be escaped as in any URI."""
        self.assertParsed("%73=%32&l=1%30", Page(2, 10))

    def test_refused(self) -> None:
        """What is not a number in range is refused, also where no list could be so long."""
        for value in (
            "",
            "-1",
            "+1",
            "1.0",
            "1e3",
            "0x1",
            "x",
            "1 ",
            " 1",
            "1_0",
            "٣",
            "%D9%A3",
            str(2**63),
            "9" * 400,
        ):
            for name in ("s", "l"):
                self.assertRaises(BadQuery, parse, f"{name}={value}", 500)
        for value in ("", "+1", "1.0", "x", "--1", str(2**63), str(-(2**63) - 1)):
            self.assertRaises(BadQuery, parse, f"a={value}", 500)
        self.assertRaises(BadQuery, parse, "s", 500)

    def test_refused_once(self) -> None:
        """Of a repeated parameter only the first counts, for better and worse."""
        self.assertParsed("s=2&s=x", Page(2, 1))
        self.assertRaises(BadQuery, parse, "s=x&s=2", 500)

    def test_bounds(self) -> None:
        """The largest number that the store holds is taken; times may lie before 1970."""
        self.assertParsed(f"s={LARGEST}&l={LARGEST}&a=-{LARGEST}", Page(LARGEST, 500, -LARGEST))

    @given(
        st.integers(0, LARGEST),
        st.integers(0, LARGEST),
        st.none() | st.integers(-LARGEST, LARGEST),
        st.integers(1, 10_000),
        st.randoms(),
    )
    def test_round_trip(self, s: int, limit: int, a: int | None, maximum: int, random: Random) -> None:
        """What a client writes in any order is what is read, the limit no more than the server's own."""
        given = [("s", s), ("l", limit)] + ([("a", a)] if a is not None else [])
        random.shuffle(given)
        self.assertParsed(urlencode(given), Page(s, min(limit, maximum), a), maximum)

    @given(st.text(), st.integers(1, 10_000))
    def test_noise(self, query: str, maximum: int) -> None:
        """Any text is a page within bounds or refused as a bad query."""
        for text in (query, quote(query), f"s={query}", f"l={query}&s={query}"):
            try:
                page = parse(text, maximum)
            except BadQuery:
                continue
            self.assertTrue(0 <= page.start <= LARGEST and 0 <= page.limit <= maximum, page)
