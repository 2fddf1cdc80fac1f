"""Curves as tables."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.values import show_curve_type, show_unit_ref
from csipd.cli.ctl.views.cells import text


def curves(items: Iterable[Value]) -> Grid:
    rows = (
        (
            text(one.get("href")),
            text(one.get("description")),
            show_curve_type(one.get("curveType")),
            show_unit_ref(one.get("yRefType")),
            f"10^{one.get('xMultiplier', 0)}, 10^{one.get('yMultiplier', 0)}",
            "  ".join(map(_point, one.get("CurveData", ()))),
        )
        for one in items
    )
    return Grid(("Curve", "Description", "Type", "Share of", "Multipliers", "Points"), tuple(rows))


def _point(point: Value) -> str:
    side = {True: " absorbing", False: " injecting"}.get(point.get("excitation", ""), "")
    return f"({text(point.get('xvalue'))}, {text(point.get('yvalue'))}{side})"
