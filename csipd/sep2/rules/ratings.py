"""What is doubtful about a DER's ratings and settings (IEEE 2030.5-2018 10.10.4, CTP CORE-014).

A device says these of itself, and nobody else knows better: they are kept as they come, and whoever watches
is told. Settings are at most what the ratings allow.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from csipd.sep2 import resources as r
from csipd.sep2.quantities import at_most_one
from csipd.sep2.rules.flaws import Flaw
from csipd.sep2.schema import Element
from csipd.sep2.types import DERKind

#: Settings that are at most the rating of the same name, and those that are at least that. Vars absorbed are
#: negative, a power factor is nearer to 1 the higher it is.
_AT_MOST: Final = (
    "MaxA",
    "MaxAh",
    "MaxChargeRateVA",
    "MaxChargeRateW",
    "MaxDischargeRateVA",
    "MaxDischargeRateW",
    "MaxVA",
    "MaxVar",
    "MaxW",
    "MaxWh",
)
_AT_LEAST: Final = ("MaxVarNeg", "MinPFOverExcited", "MinPFUnderExcited")


def rating_doubts(capability: r.DERCapability | None, settings: r.DERSettings | None) -> list[Flaw]:
    """What is doubtful about a DER's ratings and settings, by themselves and together.

    :return: flaws that are all doubtful; those of settings lead to elements whose names begin with "set" or
        are modesEnabled
    """
    found = [] if capability is None else [*_ratings(capability)]
    if settings is not None:
        found += [*_factors(settings), *_negative("setMaxVarNeg", settings.setMaxVarNeg)]
        if capability is not None:
            found += _beyond(settings, capability)
    return found


def _ratings(capability: r.DERCapability) -> Iterator[Flaw]:
    yield from _factors(capability)
    yield from _negative("rtgMaxVarNeg", capability.rtgMaxVarNeg)
    for side in ("Over", "Under"):
        factor, power = f"rtg{side}ExcitedPF", f"rtg{side}ExcitedW"
        if getattr(capability, power) is not None and getattr(capability, factor) is None:
            yield Flaw((power,), f"is given without {factor}", "both, or neither", doubtful=True)
    if capability.type == DERKind.COMBINED_PV_AND_STORAGE and capability.rtgMaxDischargeRateW is None:
        yield Flaw(
            ("rtgMaxDischargeRateW",),
            "is missing",
            f"one where type is {int(capability.type)}",
            doubtful=True,
        )


def _factors(value: Element) -> Iterator[Flaw]:
    for name, factor in vars(value).items():
        if isinstance(factor, r.PowerFactor) and not at_most_one(factor.displacement, factor.multiplier):
            yield Flaw((name,), f"is {_plain(_amount(factor))}", "a power factor of at most 1", doubtful=True)


def _negative(name: str, vars_absorbed: r.ReactivePower | None) -> Iterator[Flaw]:
    if vars_absorbed is not None and vars_absorbed.value > 0:
        yield Flaw(
            (name,),
            f"is {_plain(_amount(vars_absorbed))} var",
            "0 or less, as vars are absorbed",
            doubtful=True,
        )


def _beyond(settings: r.DERSettings, capability: r.DERCapability) -> Iterator[Flaw]:
    """Settings that go beyond their ratings."""
    enabled, supported = settings.modesEnabled, capability.modesSupported
    if enabled is not None and enabled & ~supported:
        yield Flaw(
            ("modesEnabled",),
            f"is {enabled:08X}",
            f"modes of modesSupported ({supported:08X})",
            doubtful=True,
        )
    for names, word, sign in ((_AT_MOST, "at most", 1), (_AT_LEAST, "at least", -1)):
        for name in names:
            setting, rating = getattr(settings, f"set{name}"), getattr(capability, f"rtg{name}")
            if setting is None or rating is None:
                continue
            is_, may = _amount(setting), _amount(rating)
            if sign * is_ > sign * may:
                yield Flaw(
                    (f"set{name}",),
                    f"is {_plain(is_)}",
                    f"{word} rtg{name}, {_plain(may)}",
                    doubtful=True,
                )


def _amount(quantity: Any) -> Decimal:
    number = quantity.displacement if isinstance(quantity, r.PowerFactor) else quantity.value
    return Decimal(number).scaleb(quantity.multiplier)


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
