"""Parts of the file that become resources: read by the information model's own table of fields.

A mapping of the file has the standard's names for its keys, so the classes of
:mod:`csipd.sep2.resources` say what may stand in it, of what type and within what bounds. Added to that:
words for codes, the sixteen binary digits of GridAPPS-D's ``modesSupported``, and quantities as plain
numbers, which become a value and a power of ten without rounding.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from csipd.config.codes import CURVE_TYPES, DER_KINDS, UNIT_REFS, VAR_REFS
from csipd.config.document import Node, Scalar
from csipd.config.fields import (
    MISSING,
    Fields,
    InvalidValue,
    Reader,
    boolean,
    code_of,
    hexadecimal,
    integer,
    number,
    scalar,
)
from csipd.sep2 import quantities
from csipd.sep2 import resources as r
from csipd.sep2.quantities import at_most_one
from csipd.sep2.schema import Element, Field, fields
from csipd.sep2.types import Bool, DERKind, Hexadecimal, Integer, Range

_BINARY = re.compile(r"[01]{16}")
_MODES = "16 binary digits, the first for bit 0, or 1 to 8 hexadecimal digits"

#: Fields of every IdentifiedObject: csipd's to give, not the file's.
IDENTITY = frozenset(field.name for field in fields(r.IdentifiedObject))


def modes(node: Node) -> int:
    """DERControlType: sixteen binary digits, the first of them bit 0, or up to eight hexadecimal digits."""
    written = scalar(node, _MODES).text
    if _BINARY.fullmatch(written):
        return int(written[::-1], 2)
    return hexadecimal(4, _MODES)(node)


_BY_NAME: Mapping[str, Reader[int]] = {
    "modesSupported": modes,
    "rtgAbnormalCategory": integer(0, 3),
    "rtgNormalCategory": integer(0, 2),
    "type": code_of(DER_KINDS, "a type of DER"),
    "curveType": code_of(CURVE_TYPES, "a type of curve"),
    "yRefType": code_of(UNIT_REFS, "a DERUnitRefType"),
    "refType": code_of(VAR_REFS, "SET_MAX_W, SET_MAX_VAR or STAT_VAR_AVAIL"),
}


def given(source: Fields, kind: type[Element], leave: Collection[str] = ()) -> dict[str, Any]:
    """What a mapping gives of the elements of ``kind``, by their names; wrong ones are reported.

    :param leave: elements that the caller reads itself, or that are not the file's to give
    """
    values = {}
    for item in fields(kind):
        if not item.attribute and item.name not in leave:
            value = _value(source, item)
            if value is not None:
                values[item.name] = value
    return values


def missing(kind: type[Element], values: Collection[str], leave: Collection[str] = ()) -> list[str]:
    """The required elements of ``kind`` that are not among those given."""
    return [
        item.name
        for item in fields(kind)
        if item.required and item.name not in values and item.name not in leave
    ]


def _value(source: Fields, item: Field) -> Any:
    if item.form is not None:
        return source.get(item.name, _BY_NAME.get(item.name) or simple(item), None)
    kind: type[Element] = item.type
    if quantities.magnitude(kind) is not None and isinstance(source.node(item.name), Scalar):
        return source.get(item.name, _quantity(kind), None)
    section = source.section(item.name)
    return None if section is None else element(section, kind)


def element(section: Fields, kind: type[Element]) -> Element | None:
    """A whole element from a mapping that must give every required part of it; ``None`` after an error."""
    values = given(section, kind)
    absent = missing(kind, values)
    for name in absent:
        if not section.has(name):
            section.error(name, MISSING)
    section.close()
    if absent:
        return None
    return kind(**values)


def simple(item: Field) -> Reader[Any]:
    """The reader of a simple type, with the bounds of its form and its rules."""
    match item.form:
        case Integer(least=low, most=high):
            for rule in item.constraints:
                if isinstance(rule, Range):
                    low, high = max(low, rule.least), min(high, rule.most)
            return integer(low, high)
        case Hexadecimal(octets=octets):
            return hexadecimal(octets)
        case Bool():
            return boolean
    raise TypeError(f"a file cannot give {item.name}")


def _quantity(kind: type[Element]) -> Reader[Element]:
    def read(node: Node) -> Element:
        amount = number(node)
        try:
            return quantities.quantity(kind, amount)
        except ValueError as error:
            raise InvalidValue(str(error)) from None

    return read


def capability(source: Fields) -> r.DERCapability | None:
    """A DERCapability from the ratings of a file; ``None``, with a warning, where they are not complete.

    A file without any rating gives ``None`` and no warning: the device itself will say.
    """
    values = given(source, r.DERCapability)
    if not values:
        return None
    for name, value in values.items():
        if isinstance(value, Element) and getattr(value, "value", 0) < 0 and name != "rtgMaxVarNeg":
            source.error(name, "expected a rating of 0 or more")
        if isinstance(value, r.PowerFactor) and not at_most_one(value.displacement, value.multiplier):
            where = source.find((name, "displacement"))
            source.problems.error(*where, "expected a power factor of at most 1")
    negative = values.get("rtgMaxVarNeg")
    if negative is not None and negative.value > 0:
        source.warn("rtgMaxVarNeg", "absorbed vars are negative in IEEE 2030.5: taken as such")
        values["rtgMaxVarNeg"] = negative.replace(value=-negative.value)
    if absent := missing(r.DERCapability, values):
        source.problems.warn(
            source.line,
            source.path,
            f"without {' and '.join(absent)} the DERCapability is not complete:"
            " none is served until the device has sent its own",
        )
        return None
    if values["type"] == DERKind.COMBINED_PV_AND_STORAGE and "rtgMaxDischargeRateW" not in values:
        source.problems.warn(
            source.line, source.path, "a DER of type 83 should have rtgMaxDischargeRateW: served without"
        )
    return r.DERCapability(**values)
