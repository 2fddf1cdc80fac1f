"""What makes a DERControlBase, a DERControl or a DefaultDERControl wrong (IEEE 2030.5-2018 10.10.4)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from csipd.sep2 import resources as r
from csipd.sep2.quantities import at_most_one
from csipd.sep2.rules.bits import category_flaws, response_flaws
from csipd.sep2.rules.events import timing_flaws
from csipd.sep2.rules.flaws import Flaw
from csipd.sep2.types import MODE, MODES, UnitRef

#: What the vars of opModFixedVar may be a share of: FixedVar.refType.
VAR_REFERENCES: Final = (UnitRef.SET_MAX_W, UnitRef.SET_MAX_VAR, UnitRef.STAT_VAR_AVAIL)
_POWER_FACTORS = ("opModFixedPFAbsorbW", "opModFixedPFInjectW")
# Enter service: what the lower of two bounds is, and the higher.
_BETWEEN = (("setESLowFreq", "setESHighFreq"), ("setESLowVolt", "setESHighVolt"))


def base_flaws(base: r.DERControlBase) -> list[Flaw]:
    """What is wrong with the values of control modes, with paths into the base."""
    found = []
    for name in _POWER_FACTORS:
        factor: r.PowerFactorWithExcitation | None = getattr(base, name)
        if factor is not None and not at_most_one(factor.displacement, factor.multiplier):
            value = Decimal(factor.displacement).scaleb(factor.multiplier)
            found.append(
                Flaw(
                    (name, "displacement"),
                    f"is {factor.displacement} with multiplier {factor.multiplier}, {value:f}",
                    "a power factor of at most 1, such as 950 with multiplier -3",
                )
            )
    if base.opModFixedVar is not None and base.opModFixedVar.refType not in VAR_REFERENCES:
        names = ", ".join(f"{int(one)} ({one.name})" for one in VAR_REFERENCES)
        found.append(
            Flaw(("opModFixedVar", "refType"), f"is {base.opModFixedVar.refType}", f"one of {names}")
        )
    return found


def link_flaws(base: r.DERControlBase, curve_type: Callable[[str], int | None], whose: str) -> list[Flaw]:
    """What is wrong with the links of curve modes, each of which points to a curve of its own type.

    :param curve_type: the curveType of the curve at an href; None if there is none
    :param whose: the curves that may be pointed to, such as "of program 3"
    """
    found = []
    for name, link in vars(base).items():
        if not isinstance(link, r.DERCurveLink):
            continue
        kind, wanted = curve_type(link.href), MODE[name].curve
        assert wanted is not None
        if kind is None:
            found.append(Flaw((name,), f"points to {link.href}", f"a curve {whose}"))
        elif kind != wanted:
            found.append(
                Flaw(
                    (name,),
                    f"points to {link.href}, of curveType {kind}",
                    f"a curve of curveType {int(wanted)} ({name})",
                )
            )
    return found


def control_flaws(control: r.DERControl, *, now: int | None = None) -> list[Flaw]:
    """What is wrong with a control by itself: all but where the links of its curves lead.

    :param now: TimeType; None where it is not known
    """
    base, interval = control.DERControlBase, control.interval
    found = [flaw.under("DERControlBase") for flaw in base_flaws(base)]
    if not any(mode.name in vars(base) for mode in MODES):
        found.append(Flaw(("DERControlBase",), "controls nothing", "at least one mode"))
    found += timing_flaws(interval.start, interval.duration, control.randomizeDuration, now=now)
    found += category_flaws(control.deviceCategory, addresses=True)
    found += response_flaws(control.responseRequired)
    return found


def default_flaws(default: r.DefaultDERControl) -> list[Flaw]:
    """What is wrong with a default control by itself. Its base may be empty: it may set ramp rates alone."""
    found = [flaw.under("DERControlBase") for flaw in base_flaws(default.DERControlBase)]
    for low, high in _BETWEEN:
        least, most = getattr(default, low), getattr(default, high)
        if least is not None and most is not None and least > most:
            found.append(
                Flaw(
                    (low,),
                    f"is {least}, above {high} ({most}): no DER would ever enter service",
                    f"at most {most}",
                    doubtful=True,
                )
            )
    return found
