"""What makes a DERCurve wrong (IEEE 2030.5-2018 10.10.4, and the schema's notes on curves and modes).

Actual x is xvalue times ten to the power of xMultiplier, likewise y. Which units they have follows from
curveType: Hz, seconds, percent of the effective voltage, percent of a rating, or a power factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Final

from attrs import frozen

from csipd.sep2 import resources as r
from csipd.sep2.rules.flaws import Flaw
from csipd.sep2.types import CurveType, UnitRef


@frozen
class _Axis:
    """What an axis measures.

    :param least: of the actual value, in `unit`; None for no bound
    :param most: likewise
    """

    unit: str
    least: int | None = None
    most: int | None = None

    def fits(self, value: Decimal) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        match self.least, self.most:
            case None, None:
                return self.unit
            case least, None:
                return f"{least} or more {self.unit}"
            case least, most:
                return f"{least} to {most} {self.unit}"
        raise AssertionError


_SECONDS = _Axis("s", 0)
_HERTZ = _Axis("Hz", 0)
_VOLTS = _Axis("% of the effective voltage", 0)
_WATTS = _Axis("% of setMaxW", 0, 100)
_ANY_WATTS = _Axis("% of setMaxW")
_OUTPUT = _Axis("% of active power", 0, 100)
_VARS = _Axis("% of reactive power", -100, 100)
_FACTOR = _Axis("as a power factor", 0, 1)

#: x and y of each type of curve.
_AXES: Mapping[CurveType, tuple[_Axis, _Axis]] = {
    CurveType.FREQ_WATT: (_HERTZ, _ANY_WATTS),
    CurveType.HFRT_MAY_TRIP: (_SECONDS, _HERTZ),
    CurveType.HFRT_MUST_TRIP: (_SECONDS, _HERTZ),
    CurveType.HVRT_MAY_TRIP: (_SECONDS, _VOLTS),
    CurveType.HVRT_MOMENTARY_CESSATION: (_SECONDS, _VOLTS),
    CurveType.HVRT_MUST_TRIP: (_SECONDS, _VOLTS),
    CurveType.LFRT_MAY_TRIP: (_SECONDS, _HERTZ),
    CurveType.LFRT_MUST_TRIP: (_SECONDS, _HERTZ),
    CurveType.LVRT_MAY_TRIP: (_SECONDS, _VOLTS),
    CurveType.LVRT_MOMENTARY_CESSATION: (_SECONDS, _VOLTS),
    CurveType.LVRT_MUST_TRIP: (_SECONDS, _VOLTS),
    CurveType.VOLT_VAR: (_VOLTS, _VARS),
    CurveType.VOLT_WATT: (_VOLTS, _OUTPUT),
    CurveType.WATT_PF: (_WATTS, _FACTOR),
    CurveType.WATT_VAR: (_WATTS, _VARS),
}

_OF_VARS = (UnitRef.SET_MAX_VAR, UnitRef.SET_MAX_W, UnitRef.STAT_VAR_AVAIL)
_OF_VOLTS = (UnitRef.SET_EFFECTIVE_V,)
_OF_NOTHING = (UnitRef.NOT_APPLICABLE,)

#: What yRefType may be for each type of curve; the first is the usual one.
Y_REFERENCES: Final[Mapping[CurveType, tuple[UnitRef, ...]]] = {
    CurveType.FREQ_WATT: (UnitRef.SET_MAX_W,),
    CurveType.HFRT_MAY_TRIP: _OF_NOTHING,
    CurveType.HFRT_MUST_TRIP: _OF_NOTHING,
    CurveType.HVRT_MAY_TRIP: _OF_VOLTS,
    CurveType.HVRT_MOMENTARY_CESSATION: _OF_VOLTS,
    CurveType.HVRT_MUST_TRIP: _OF_VOLTS,
    CurveType.LFRT_MAY_TRIP: _OF_NOTHING,
    CurveType.LFRT_MUST_TRIP: _OF_NOTHING,
    CurveType.LVRT_MAY_TRIP: _OF_VOLTS,
    CurveType.LVRT_MOMENTARY_CESSATION: _OF_VOLTS,
    CurveType.LVRT_MUST_TRIP: _OF_VOLTS,
    CurveType.VOLT_VAR: _OF_VARS,
    CurveType.VOLT_WATT: (UnitRef.SET_MAX_W, UnitRef.STAT_W_AVAIL),
    CurveType.WATT_PF: _OF_NOTHING,
    CurveType.WATT_VAR: _OF_VARS,
}
# Those for which the standard itself lists them; of others another one is only doubtful.
_Y_REFERENCES_LISTED = frozenset((CurveType.VOLT_VAR, CurveType.VOLT_WATT, CurveType.WATT_VAR))
# Pairs of these are a function with hysteresis, which may lead back; those of the others are not.
_WITH_HYSTERESIS = frozenset(
    (
        CurveType.FREQ_WATT,
        CurveType.VOLT_VAR,
        CurveType.VOLT_WATT,
        CurveType.WATT_PF,
        CurveType.WATT_VAR,
    )
)
_OF_VOLT_VAR_ONLY = ("autonomousVRefEnable", "autonomousVRefTimeConstant", "vRef")


def curve_flaws(curve: r.DERCurve) -> list[Flaw]:
    """What is wrong with a curve."""
    try:
        kind = CurveType(curve.curveType)
    except ValueError:
        return [Flaw(("curveType",), f"is {curve.curveType}, which is reserved", f"0 to {max(CurveType)}")]
    return [*_voltage_reference(curve, kind), *_y_reference(curve, kind), *_points(curve, kind)]


def _voltage_reference(curve: r.DERCurve, kind: CurveType) -> Iterator[Flaw]:
    """vRef and its autonomous adjustment are of volt-var curves only; the latter needs its time constant."""
    if kind is not CurveType.VOLT_VAR:
        for name in _OF_VOLT_VAR_ONLY:
            if getattr(curve, name) is not None:
                yield Flaw(
                    (name,),
                    "is given",
                    f"none where curveType is not {int(CurveType.VOLT_VAR)} (opModVoltVar)",
                )
    elif curve.autonomousVRefEnable and curve.autonomousVRefTimeConstant is None:
        yield Flaw(
            ("autonomousVRefEnable",),
            "is true without a time constant",
            "autonomousVRefTimeConstant beside it, in 0.01 s",
        )


def _y_reference(curve: r.DERCurve, kind: CurveType) -> Iterator[Flaw]:
    given, allowed = curve.yRefType, Y_REFERENCES[kind]
    if given in allowed:
        return
    reserved = given not in list(UnitRef)
    name = "which is reserved" if reserved else UnitRef(given).name
    yield Flaw(
        ("yRefType",),
        f"is {given} ({name})",
        f"{' or '.join(f'{int(one)} ({one.name})' for one in sorted(allowed))} for curveType {int(kind)}",
        doubtful=not reserved and kind not in _Y_REFERENCES_LISTED,
    )


def _points(curve: r.DERCurve, kind: CurveType) -> Iterator[Flaw]:
    x_axis, y_axis = _AXES[kind]
    is_factor = kind is CurveType.WATT_PF
    for place, point in enumerate(curve.CurveData):
        at = ("CurveData", place)
        if is_factor and point.excitation is None:
            yield Flaw((*at, "excitation"), "is missing", "true or false, as y is a power factor")
        elif not is_factor and point.excitation is not None:
            yield Flaw((*at, "excitation"), "is given", "none, as y is not a power factor")
        x = Decimal(point.xvalue).scaleb(curve.xMultiplier)
        y = Decimal(point.yvalue).scaleb(curve.yMultiplier)
        if not x_axis.fits(x):
            yield Flaw((*at, "xvalue"), f"is {point.xvalue}, {_plain(x)} {x_axis.unit}", str(x_axis))
        if not y_axis.fits(y):
            yield Flaw((*at, "yvalue"), f"is {point.yvalue}, {_plain(y)} {y_axis.unit}", str(y_axis))
        elif is_factor and not y:
            yield Flaw((*at, "yvalue"), "is 0", "a power factor above 0")
    for place, (before, after) in enumerate(pairwise(curve.CurveData), 1):
        if after.xvalue < before.xvalue:
            yield Flaw(
                ("CurveData", place, "xvalue"),
                f"is {after.xvalue} after {before.xvalue}",
                "x that does not fall, unless the points lead back with hysteresis"
                if kind in _WITH_HYSTERESIS
                else "x that does not fall from point to point",
                doubtful=kind in _WITH_HYSTERESIS,
            )


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}" if value else "0"
