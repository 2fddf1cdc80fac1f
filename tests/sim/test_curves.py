"""DERCurves as functions."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.types import CurveType, UnitRef
from csipd.sim.curves import Curve


def document(kind: CurveType, points: list[Any], **values: Any) -> r.DERCurve:
    """A DERCurve; a point is (xvalue, yvalue) or (xvalue, yvalue, excitation)."""
    data = tuple(
        r.CurveData(xvalue=x, yvalue=y, excitation=side[0] if side else None) for x, y, *side in points
    )
    given = {"xMultiplier": 0, "yMultiplier": 0, "yRefType": UnitRef.SET_MAX_VAR, **values}
    return r.DERCurve(mRID="A1" * 16, creationTime=0, CurveData=data, curveType=kind, **given)


class CurveTests(SynchronousTestCase):
    """Straight lines through points."""

    def test_between_and_beyond(self) -> None:
        """Between points y is on the line; before the first and beyond the last it is theirs."""
        curve = Curve.of(document(CurveType.VOLT_VAR, [(92, 50), (98, 0), (102, 0), (108, -50)]))
        for x, y in [(80, 50), (92, 50), (95, 25), (98, 0), (100, 0), (105, -25), (108, -50), (130, -50)]:
            self.assertAlmostEqual(curve.at(x), y, msg=str(x))
        self.assertEqual(curve.reference, UnitRef.SET_MAX_VAR)

    def test_multipliers(self) -> None:
        """Values count times ten to the power of their axis's multiplier."""
        curve = Curve.of(
            document(CurveType.FREQ_WATT, [(6020, 1000), (6100, 0)], xMultiplier=-2, yMultiplier=-1)
        )
        self.assertAlmostEqual(curve.at(60.2), 100.0)
        self.assertAlmostEqual(curve.at(60.6), 50.0)

    def test_reference_voltage(self) -> None:
        """vRef scales the voltages of a volt-var curve."""
        curve = Curve.of(document(CurveType.VOLT_VAR, [(100, 0), (110, -50)], vRef=9500))
        self.assertAlmostEqual(curve.at(95.0), 0.0)
        self.assertAlmostEqual(curve.at(104.5), -50.0)

    def test_order_of_points(self) -> None:
        """Points may come in any order; of two at one x the later holds from there on."""
        curve = Curve.of(document(CurveType.VOLT_WATT, [(110, 0), (106, 100), (106, 60), (100, 100)]))
        self.assertAlmostEqual(curve.at(105.999), 100.0, places=1)
        self.assertAlmostEqual(curve.at(106.0), 60.0)
        self.assertAlmostEqual(curve.at(108.0), 30.0)

    def test_power_factors_meet_at_one(self) -> None:
        """A curve from injecting at 0.9 to absorbing at 0.9 goes through 1 in its middle."""
        points = [(0, 900, False), (100, 900, True)]
        curve = Curve.of(document(CurveType.WATT_PF, points, yMultiplier=-3, yRefType=0))
        self.assertAlmostEqual(curve.at(0.0), 0.1)
        self.assertAlmostEqual(curve.at(50.0), 0.0)
        self.assertAlmostEqual(curve.at(100.0), -0.1)

    def test_response(self) -> None:
        """openLoopTms is in hundredths of a second; without one the device has its own."""
        curves = (
            Curve.of(document(CurveType.VOLT_VAR, [(100, 0)], **given))
            for given in ({"openLoopTms": 250}, {})
        )
        self.assertEqual([curve.open_loop for curve in curves], [2.5, None])

    @given(
        st.lists(st.tuples(st.integers(0, 200), st.integers(-100, 100)), min_size=1, max_size=10),
        st.floats(-50, 250),
    )
    def test_never_beyond_its_points(self, points: list[tuple[int, int]], x: float) -> None:
        """y is never more than the most of the points nor less than the least."""
        y = Curve.of(document(CurveType.VOLT_VAR, points)).at(x)
        ys = [point[1] for point in points]
        self.assertTrue(min(ys) - 1e-9 <= y <= max(ys) + 1e-9, y)
