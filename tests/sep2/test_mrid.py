"""mRIDs: whose they are, and that none is given twice."""

from __future__ import annotations

import re

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2.mrid import Issuer, Kind

ISSUERS = st.builds(Issuer, store=st.integers(0, 2**24 - 1), pen=st.integers(0, 2**32 - 1))
THINGS = st.tuples(st.sampled_from(Kind), st.integers(0, 2**40 - 1), st.integers(0, 2**24 - 1))


class MRIDTests(SynchronousTestCase):
    """What an issuer makes."""

    @given(ISSUERS, THINGS)
    def test_form(self, issuer: Issuer, thing: tuple[Kind, int, int]) -> None:
        """An mRID has 128 bits, the low 32 of which are the maker's PEN; the 96 above are never all ones."""
        mrid = issuer.mrid(*thing)
        self.assertTrue(re.fullmatch("[0-9A-F]{32}", mrid), mrid)
        self.assertEqual(int(mrid, 16) & 0xFFFFFFFF, issuer.pen)
        self.assertNotEqual(int(mrid, 16) >> 32, 2**96 - 1)

    @given(ISSUERS, THINGS, THINGS)
    def test_unique(self, issuer: Issuer, one: tuple[Kind, int, int], other: tuple[Kind, int, int]) -> None:
        """Different things have different mRIDs, the same thing always the same."""
        self.assertEqual(issuer.mrid(*one) == issuer.mrid(*other), one == other)

    @given(ISSUERS, THINGS, st.integers(0, 2**24 - 1))
    def test_stores(self, issuer: Issuer, thing: tuple[Kind, int, int], store: int) -> None:
        """Two stores of one utility give different mRIDs."""
        other = evolve(issuer, store=store)
        self.assertEqual(issuer.mrid(*thing) == other.mrid(*thing), issuer == other)

    @given(ISSUERS, st.sampled_from(Kind), st.integers(0, 2**40 - 1), st.integers(0, 2**40 - 1))
    def test_rising(self, issuer: Issuer, kind: Kind, first: int, second: int) -> None:
        """mRIDs of one kind rise with the numbers of what they name, hence with time."""
        self.assertEqual(issuer.mrid(kind, first) < issuer.mrid(kind, second), first < second)

    def test_no_room(self) -> None:
        """A number that its field cannot hold is an error, never another thing's mRID."""
        issuer = Issuer(store=1, pen=2)
        for number, part in ((2**40, 0), (-1, 0), (0, 2**24), (0, -1)):
            self.assertRaises(OverflowError, issuer.mrid, Kind.PROGRAM, number, part)

    def test_kinds(self) -> None:
        """Kinds are octets below 255 and keep their numbers, which are in mRIDs that are out there."""
        expected = {"PROGRAM": 1, "CONTROL": 2, "DEFAULT": 3, "CURVE": 4, "ASSIGNMENTS": 5}
        self.assertEqual({kind.name: kind.value for kind in Kind if kind.name in expected}, expected)
        self.assertTrue(all(0 < kind < 255 for kind in Kind))
