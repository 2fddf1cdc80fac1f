"""Quantities from plain numbers: 239.5 V is 2395 times ten to the power of -1, without rounding.

People write plain numbers, into the configuration and to the operator's API; the standard's types hold an
integer and a power of ten (IEEE 2030.5-2018 10.10, `resources.quantity`).
"""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any, TypeVar

from attrs import frozen

from csipd.sep2.schema import Element, fields
from csipd.sep2.types import Integer

E = TypeVar("E", bound=Element)

_POWERS = sorted(range(-9, 10), key=abs)  # of ten: PowerOfTenMultiplierType


@frozen
class Magnitude:
    """The field of a quantity that its multiplier scales, and its bounds."""

    name: str
    low: int
    high: int

    @property
    def is_factor(self) -> bool:
        """Whether it is that of a power factor, which is at most 1."""
        return self.name == "displacement"


@functools.cache
def magnitude(kind: type[Element]) -> Magnitude | None:
    """That of a class such as ActivePower; None for what is no quantity."""
    parts = {item.name: item.form for item in fields(kind)}
    if parts.pop("multiplier", None) is None or len(parts) != 1:
        return None
    name, form = parts.popitem()
    return Magnitude(name, form.least, form.most) if isinstance(form, Integer) else None


def quantity(kind: type[E], amount: Decimal) -> E:
    """The quantity of a class such as ActivePower; ValueError names what was expected of the number."""
    size = magnitude(kind)
    if size is None:
        raise TypeError(f"{kind.__name__} is no quantity")
    scaled = scale(amount, size.low, size.high)
    if scaled is None:
        raise ValueError(f"a number that is {size.low}..{size.high} times a power of ten, exactly")
    multiplier, value = scaled
    if size.is_factor and not at_most_one(value, multiplier):
        raise ValueError("a power factor 0..1")
    return kind(**{"multiplier": multiplier, size.name: value})


def scale(amount: Decimal, low: int, high: int) -> tuple[int, int] | None:
    """`amount` as (multiplier, value) without rounding, the multiplier next to 0; None if it cannot be.

    `value * 10**multiplier == amount`, `low <= value <= high`, `-9 <= multiplier <= 9`.
    """
    if not amount.is_finite() or not low * 10**9 <= amount <= high * 10**9:
        return None
    for multiplier in _POWERS:
        # Decimal's own arithmetic may round here; what it says is held against the amount itself.
        value = int(amount.scaleb(-multiplier))
        if low <= value <= high and Decimal(value).scaleb(multiplier) == amount:
            return multiplier, value
    return None


def at_most_one(value: int, multiplier: int) -> bool:
    """Whether `value * 10**multiplier` is at most 1."""
    return Decimal(value).scaleb(multiplier) <= 1


def same(one: Any, other: Any) -> bool:
    """Whether two values of a field are the same amount: 1 with multiplier 3 is 1000."""
    kind = type(one)
    if kind is not type(other):
        return False
    size = magnitude(kind) if issubclass(kind, Element) else None
    if size is None:
        return bool(one == other)
    return _amount(one, size) == _amount(other, size)


def _amount(amount: Element, size: Magnitude) -> Decimal:
    given = vars(amount)
    return Decimal(given[size.name]).scaleb(given["multiplier"])
