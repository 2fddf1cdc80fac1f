"""DERCurves as functions: straight lines through their points (IEEE 2030.5-2018 10.10.4.3).

Without hysteresis: one y for each x. Before the first point and beyond the last one the end's own y holds.
"""

from __future__ import annotations

from bisect import bisect_right

from attrs import frozen

from csipd.sep2 import resources as r
from csipd.sep2.types import CurveType, UnitRef


@frozen
class Curve:
    """A curve with its multipliers worked in.

    x is in Hz for opModFreqWatt, percent of the effective voltage for opModVoltVar and opModVoltWatt, percent
    of setMaxW for opModWattPF and opModWattVar. y is in percent of `reference`; for opModWattPF it is what
    the power factor lacks of 1, positive where vars are injected and negative where they are absorbed, since
    the two sides meet at 1.

    :param open_loop: seconds from a step of x until 90 % of the step of y; None: the device's own
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    reference: UnitRef = UnitRef.NOT_APPLICABLE
    open_loop: float | None = None

    @classmethod
    def of(cls, document: r.DERCurve) -> Curve:
        """That of a DERCurve, its points in order of x. vRef scales x (percent of the effective voltage)."""
        scale = 10.0**document.xMultiplier
        if document.curveType == CurveType.VOLT_VAR and document.vRef is not None:
            scale *= document.vRef / 10000
        points = sorted(document.CurveData, key=lambda point: point.xvalue)
        factor = document.curveType == CurveType.WATT_PF
        ys = [point.yvalue * 10.0**document.yMultiplier for point in points]
        return cls(
            tuple(point.xvalue * scale for point in points),
            tuple(_lack(y, bool(p.excitation)) for y, p in zip(ys, points, strict=True))
            if factor
            else tuple(ys),
            UnitRef(document.yRefType),
            None if document.openLoopTms is None else document.openLoopTms / 100,
        )

    def at(self, x: float) -> float:
        """y at x; of two points with one x the later holds from there on."""
        xs, ys = self.xs, self.ys
        right = bisect_right(xs, x)
        if right == 0:
            return ys[0]
        if right == len(xs):
            return ys[-1]
        left = right - 1
        share = (x - xs[left]) / (xs[right] - xs[left])
        return ys[left] * (1.0 - share) + ys[right] * share


def _lack(factor: float, absorbs: bool) -> float:
    return factor - 1.0 if absorbs else 1.0 - factor
