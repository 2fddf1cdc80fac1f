"""What a difference commands: a mode of a control, or a setting of a default, with a value of its own type.

`DERControlBase.<mode>` is a mode; `DERControl.<setting>` is what only a DefaultDERControl has. A scalar is a
number, or a multiplier with a value as the seed's server had it for all modes alike; what is compound, and a
curve's link, is the JSON of the operator's API (decision 72).

W and var are rounded to what their type can hold, which is four digits at least: a simulation's numbers are
measured, not meant to the last bit. A percentage counts hundredths and is never rounded: what has a fraction
there was meant in another unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from attrs import frozen

from csipd.der.programs import SETTINGS
from csipd.gridappsd.differences import Fault
from csipd.sep2 import resources as r
from csipd.sep2.quantities import Magnitude, magnitude, scale
from csipd.sep2.schema import Element, Field, fields
from csipd.sep2.types import Bool, Integer
from csipd.web.json_form import JSONProblem, from_json

#: Fields of a DERControlBase, and settings that only a DefaultDERControl has.
_MODES: Final = {field.name: field for field in fields(r.DERControlBase)}
_SETTINGS: Final = {field.name: field for field in fields(r.DefaultDERControl) if field.name in SETTINGS}

#: No number of the standard has an exponent beyond this; an int of another could fill the memory.
_MOST_DIGITS: Final = 40
_ROUNDING: Final = (Context(prec=5, rounding=ROUND_HALF_EVEN), Context(prec=4, rounding=ROUND_HALF_EVEN))


class Meaningless(ValueError):
    """A difference that commands nothing that there is."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(why)
        self.fault = fault


@frozen
class Attribute:
    """What a difference is about.

    :param name: of a field of DERControlBase, or of a setting of DefaultDERControl
    :param is_setting: whether it is the default's
    """

    name: str
    is_setting: bool = False


_ATTRIBUTES: Final = {
    **{f"DERControlBase.{name}": Attribute(name) for name in _MODES},
    **{f"DERControl.{name}": Attribute(name, is_setting=True) for name in _SETTINGS},
}


def attribute_of(text: str) -> Attribute:
    """What an attribute's name means.

    :raises Meaningless: there is no such attribute
    """
    found = _ATTRIBUTES.get(text)
    if found is None:
        raise Meaningless(Fault.ATTRIBUTE, f"there is no attribute {text[:60]}")
    return found


def value_of(attribute: Attribute, value: Any) -> Any:
    """The value that is commanded, of the field's type; None: what the bus commanded of it ends.

    :param value: as JSON has it, numbers with a point or exponent as Decimal
    :raises Meaningless: the attribute cannot have that value
    """
    if value is None:
        return None
    if attribute.is_setting:
        return _setting(_SETTINGS[attribute.name], value)
    return _mode(_MODES[attribute.name], value)


def _mode(field: Field, value: Any) -> Any:
    plain = _plain(field, value)
    if isinstance(plain, Element):
        return plain
    base = _read(r.DERControlBase, field, plain, {})
    return getattr(base, field.name)


def _setting(field: Field, value: Any) -> Any:
    default = _read(
        r.DefaultDERControl, field, _plain(field, value), {"mRID": "0", "DERControlBase": r.DERControlBase()}
    )
    return getattr(default, field.name)


def _read(cls: type[Element], field: Field, value: Any, own: Mapping[str, Any]) -> Element:
    try:
        return from_json(cls, {field.name: value}, own=own)
    except JSONProblem as problem:
        pointer, message = problem.problems[0]
        where = pointer.removeprefix(f"/{field.name}")
        raise Meaningless(Fault.VALUE, f"{field.name}{where} {message}") from None


def _plain(field: Field, value: Any) -> Any:
    """A value as the operator's API would be given it."""
    match field.form:
        case Bool():
            amount = _number(value)
            if amount is None:
                return value
            if amount not in (0, 1):
                raise Meaningless(Fault.VALUE, f"{field.name} is {amount:f}, expected true or false, 1 or 0")
            return bool(amount)
        case Integer():
            amount = _number(value)
            if amount is None:
                return value
            if amount != amount.to_integral_value():
                raise Meaningless(Fault.VALUE, f"{field.name} is {amount:f}, expected a whole number")
            return int(amount)
        case None if (size := _size(field.type)) is not None:
            return _quantity(field, size, value)
    return value


def _size(kind: type[Element]) -> Magnitude | None:
    return magnitude(kind)


def _quantity(field: Field, size: Magnitude, value: Any) -> Any:
    """An amount: with the multiplier and value that were given where its type can hold these."""
    amount = _number(value)
    if amount is None:
        return value
    if isinstance(value, dict) and type(value["value"]) is int and size.low <= value["value"] <= size.high:
        return field.type(**{"multiplier": int(value["multiplier"]), size.name: value["value"]})
    # As many digits as there is room for: 16 bits hold five of some numbers.
    for rounded in (amount, *(context.create_decimal(amount) for context in _ROUNDING)):
        if (scaled := scale(rounded, size.low, size.high)) is not None:
            return field.type(**{"multiplier": scaled[0], size.name: scaled[1]})
    if amount and abs(amount) < 1:
        return field.type(**{"multiplier": 0, size.name: 0})  # less than a thousand millionth
    raise Meaningless(Fault.VALUE, f"{field.name} is {amount:f}, which is beyond what its type can hold")


def _number(value: Any) -> Decimal | None:
    """The amount that a number, or a multiplier with a value, comes to; None for anything else.

    :raises Meaningless: it has more digits than any number of the standard
    """
    multiplier: Any = 0
    if isinstance(value, dict):
        if set(value) != {"multiplier", "value"}:
            return None
        multiplier, value = value["multiplier"], value["value"]
        if not _is_number(multiplier) or multiplier != int(multiplier) or not -9 <= multiplier <= 9:
            raise Meaningless(Fault.VALUE, "its multiplier is no whole number from -9 to 9")
    if not _is_number(value):
        return None
    return Decimal(value).scaleb(int(multiplier))


def _is_number(value: Any) -> bool:
    """Whether this is a number, of no more digits than can be of use."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    if isinstance(value, int) and value.bit_length() > 128:
        raise Meaningless(Fault.VALUE, "has a number of very many digits")
    if isinstance(value, Decimal) and value and abs(value.adjusted()) > _MOST_DIGITS:
        raise Meaningless(Fault.VALUE, "has a number of very many digits")
    return True
