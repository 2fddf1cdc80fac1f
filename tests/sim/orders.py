"""Orders for plants, written shortly."""

from __future__ import annotations

from typing import Any

from csipd.der.client import ModeInForce
from csipd.sep2 import resources as r
from csipd.sim.curves import Curve
from csipd.sim.inverter import Orders


def orders(
    modes: dict[str, Any] | None = None, *, ramp: int | None = None, source: str = "A1", **settings: int
) -> Orders:
    """Orders of one control.

    :param modes: values as in DERControlBase; a Curve stands for the link to it
    :param ramp: rampTms (0.01 s)
    """
    held, curves = {}, {}
    for name, value in (modes or {}).items():
        if isinstance(value, Curve):
            href = f"/derp/1/dc/{len(curves) + 1}"
            curves[href] = value
            value = r.DERCurveLink(href=href)
        held[name] = ModeInForce(value, source, "/derp/1", ramp)
    return Orders(held, curves, settings)


def factor(thousandths: int, absorbs: bool) -> r.PowerFactorWithExcitation:
    """A power factor and its side."""
    return r.PowerFactorWithExcitation(displacement=thousandths, excitation=absorbs, multiplier=-3)
