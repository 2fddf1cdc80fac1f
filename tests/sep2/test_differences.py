"""What differs between two states of a resource, in words."""

from __future__ import annotations

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.differences import described, differences
from tests.support.instances import instances


def settings(watts: int, **more: object) -> r.DERSettings:
    return r.DERSettings(
        updatedTime=1, setGradW=100, setMaxW=r.ActivePower(multiplier=0, value=watts), **more
    )


class DifferenceTests(SynchronousTestCase):
    def test_from_what_to_what(self) -> None:
        """Each value that changed is named by the path of its element, with both values."""
        self.assertEqual(differences(settings(5000), settings(6000)), "setMaxW/value 5000 -> 6000")

    def test_what_came_and_went(self) -> None:
        """What was not there, or is not any longer, is a dash."""
        more = settings(5000, setESDelay=7)
        self.assertEqual(differences(settings(5000), more), "setESDelay - -> 7")
        self.assertEqual(differences(more, settings(5000)), "setESDelay 7 -> -")
        self.assertIn("setGradW - -> 100", differences(None, more))

    def test_described(self) -> None:
        """All values of a new thing, members of lists by their number."""
        curve = r.DERCurve(
            mRID="0" * 32,
            creationTime=1,
            CurveData=(r.CurveData(xvalue=1, yvalue=2), r.CurveData(xvalue=3, yvalue=4)),
            curveType=11,
            xMultiplier=0,
            yMultiplier=0,
            yRefType=3,
        )
        said = described(curve)
        self.assertIn("CurveData[1]/xvalue 1; CurveData[1]/yvalue 2; CurveData[2]/xvalue 3", said)

    def test_long_values(self) -> None:
        """One value is shown in part if it is long."""
        said = described(r.SupportedLocale(locale="x" * 1000))
        self.assertLess(len(said), 100)

    @given(instances(r.DERSettings), instances(r.DERSettings))
    def test_any(self, one: r.DERSettings, other: r.DERSettings) -> None:
        """Nothing differs from itself, and what is not equal differs."""
        self.assertEqual(differences(one, one), "")
        if all(len(str(value)) < 80 for both in (one, other) for value in vars(both).values()):
            self.assertEqual(differences(one, other) == "", one == other)
