"""What an operator writes of controls and curves -> the JSON of the API.

Amounts are best written with their unit: `opModMaxLimW=60%`. What the standard keeps in hundredths may also
be given plainly, as on the wire (`opModMaxLimW=6000`); since `60` is easily meant to be 60 %, such numbers
are reported for the operator to confirm.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from attrs import frozen

from csipd.config.codes import CATEGORIES, CURVE_TYPES, UNIT_REFS, Level, NamedCodes
from csipd.config.document import Mapping as MappingNode
from csipd.config.document import Node, Scalar, Sequence, parse
from csipd.config.fields import InvalidValue, code_of
from csipd.config.problems import ConfigError, Problems
from csipd.der.wording import HUNDREDTHS, UNITS, value_text
from csipd.sep2.rules import Y_REFERENCES
from csipd.sep2.types import MODE, CurveType, DeviceCategory, UnitRef

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,15}\.\d{1,9}", re.ASCII)
_AMOUNT = re.compile(r"([+-]?\d{1,15}(?:\.\d{1,9})?) *(%/s|%|s|Hz|[kM]?W|[kM]?var)", re.ASCII)
_CATEGORY_BITS = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_WORDS = {"true": True, "false": False}

#: Powers of ten of what stands before a unit.
_PREFIXES = {"k": 3, "M": 6}


@frozen
class Amount:
    """A number that was written with its unit.

    :param text: as it was written
    """

    text: str
    number: Decimal
    unit: str


@frozen
class Unitless:
    """A number that was written without a unit where the standard counts hundredths of one.

    :param path: of its element, such as ``opModMaxLimW``
    :param value: as on the wire
    """

    path: str
    value: int

    @property
    def warning(self) -> str:
        """What the operator should know before saying yes."""
        unit = HUNDREDTHS[self.path]
        return (
            f"{self.path}={self.value} has no unit and means {value_text(self.path, self.value)}:"
            f" for {self.value} {unit} write {self.path}={self.value}{unit}"
        )


def parse_value(text: str) -> Any:
    """A value from one word: true, false, a number, an `Amount`, or else text."""
    word = text.strip()
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if found := _AMOUNT.fullmatch(word):
        return Amount(word, Decimal(found[1]), found[2])
    if _INTEGER.fullmatch(word):
        return int(word)
    if _DECIMAL.fullmatch(word):
        return float(word)
    return word


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """`NAME=VALUE` and `NAME.PART=VALUE` -> nested objects. ValueError for what is neither or given twice."""
    found: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        names = [name.strip() for name in path.split(".")]
        if not equals or not value.strip() or not all(map(_NAME.fullmatch, names)):
            raise ValueError(f"{setting[:80]!r} is not of the form NAME=VALUE, such as opModMaxLimW=60%")
        inside = found
        for name in names[:-1]:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                raise ValueError(f"{setting!r}: {name} has a value of its own already")
        if names[-1] in inside:
            raise ValueError(f"{setting!r}: {path} is given twice")
        inside[names[-1]] = parse_value(value)
    return found


def resolve(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Unitless]]:
    """The JSON of values as `parse_settings` and `parse_mapping` give them, and the numbers to be confirmed.

    ValueError for an amount whose unit does not fit its element, and for a name that is none.
    """
    unitless: list[Unitless] = []
    return {name: _resolved(name, value, unitless) for name, value in values.items()}, unitless


def _resolved(path: str, value: Any, unitless: list[Unitless]) -> Any:
    match value:
        case Mapping():
            return {name: _resolved(f"{path}.{name}", inner, unitless) for name, inner in value.items()}
        case list():
            return [_resolved(f"{path}.", inner, unitless) for inner in value]
        case Amount():
            return _without_unit(path, value)
        case bool():
            return value
        case str() if path == "opModFixedVar.refType":
            return code(value, UNIT_REFS, "a DERUnitRefType")
        case int() if path in HUNDREDTHS:
            unitless.append(Unitless(path, value))
        case float() if path in HUNDREDTHS:
            raise ValueError(f"{path}={value} needs its unit: {path}={value}{HUNDREDTHS[path]}")
    return value


def _without_unit(path: str, amount: Amount) -> Any:
    """An amount as on the wire; as text where its element has no unit."""
    if path.rpartition(".")[2] == "description":
        return amount.text
    unit = HUNDREDTHS.get(path)
    if unit is not None and amount.unit not in (unit, unit.partition("/")[0]):
        raise ValueError(f"{path}={amount.text}: expected a number of {unit}, such as {path}=60{unit}")
    if unit is not None or amount.unit == "%":
        hundredths = amount.number * 100
        if hundredths != int(hundredths):
            raise ValueError(f"{path}={amount.text}: expected hundredths of {unit or '%'} at the finest")
        return int(hundredths)
    if (unit := UNITS.get(path)) is None:
        return amount.text
    if amount.unit.lstrip("kM") != unit:
        raise ValueError(f"{path}={amount.text}: expected a number of {unit}, such as {path}=3000{unit}")
    number = amount.number.scaleb(_PREFIXES.get(amount.unit[0], 0))
    return int(number) if number == int(number) else float(number)


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` applied, objects name by name."""
    result = dict(base)
    for name, value in changes.items():
        old = result.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[name] = overlay(old, value) if both and old is not None else value
    return result


def parse_mapping(text: str, name: str) -> dict[str, Any]:
    """The mapping in a YAML or JSON text; `name` is that of its file. ValueError with line for anything else.

    Words without quotes are read as by `parse_value`: a file and the command line say the same thing the
    same way.
    """
    problems = Problems(name)
    try:
        node = parse(text, problems)
        problems.check()
    except ConfigError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if not isinstance(node, MappingNode):
        raise ValueError(f"{name}: expected names with values, such as opModMaxLimW: 60%")
    plain: dict[str, Any] = _plain(node)
    return plain


def _plain(node: Node) -> Any:
    match node:
        case Scalar():
            return node.text if node.quoted else parse_value(node.text)
        case Sequence():
            return [_plain(item) for item in node.items]
        case MappingNode():
            return {name: _plain(value) for name, (_, value) in node.items.items() if not value.is_null}


def code(text: str, words: NamedCodes, what: str) -> int:
    """A code of the standard, by name or number. ValueError that may guess at what was meant."""
    scalar = Scalar(0, text, quoted=False)
    try:
        return code_of(words, what)(scalar)
    except InvalidValue as wrong:
        raise ValueError(wrong.message(scalar)) from None


def parse_category(text: str) -> str:
    """deviceCategory as eight hex digits, from such, or from names joined by commas: `PHOTOVOLTAIC,EVSE`."""
    if _CATEGORY_BITS.fullmatch(text):
        return text.upper()
    bits = {code(name.strip(), CATEGORIES, "a DeviceCategoryType") for name in text.split(",")}
    if max(bits) >= 32:
        raise ValueError(f"{text}: this category has no bit in deviceCategory")
    return f"{sum(1 << bit for bit in bits):08X}"


def show_category(digits: object) -> str:
    """The names of the bits of deviceCategory; the digits themselves where one has no name."""
    try:
        bits = int(str(digits), 16)
    except ValueError:
        return str(digits)
    names = [one.name for one in DeviceCategory if bits & one and one.name]
    return ", ".join(names) if bits and not bits & ~sum(DeviceCategory) else str(digits)


def parse_level(text: str) -> int:
    """A place in the topology, by name or number."""
    return code(text, Level.__members__, "a level")


def show_level(level: object) -> str:
    """Its name, in lower case."""
    return {int(one): one.name.lower().replace("_", " ") for one in Level}.get(_whole(level), str(level))


def parse_point(text: str) -> dict[str, Any]:
    """A CurveData from `X,Y`, or `X,Y,true` where y is a power factor and vars are absorbed. ValueError."""
    parts = [parse_value(part) for part in text.split(",")]
    kinds = [type(part) for part in parts]
    if kinds not in ([int, int], [int, int, bool]):
        raise ValueError(f"{text[:40]!r} is no point: X,Y in whole numbers, such as 9200,4400")
    point = {"xvalue": parts[0], "yvalue": parts[1]}
    return point if len(parts) == 2 else {"excitation": parts[2], **point}


def curve_document(given: Mapping[str, Any]) -> dict[str, Any]:
    """A DERCurve as the API takes it: codes as numbers, and what the schema wants filled in.

    The multipliers are 0 and yRefType the usual one of its type where they are not given. ValueError.
    """
    curve = dict(given)
    if "curveType" not in curve:
        raise ValueError("a curve needs a curveType, such as opModVoltVar")
    kind = CurveType(code(str(curve["curveType"]), CURVE_TYPES, "a type of curve"))
    curve["curveType"] = int(kind)
    if "yRefType" in curve:
        curve["yRefType"] = code(str(curve["yRefType"]), UNIT_REFS, "a DERUnitRefType")
    if not curve.get("CurveData"):
        raise ValueError("a curve needs points (CurveData)")
    return {"xMultiplier": 0, "yMultiplier": 0, "yRefType": int(Y_REFERENCES[kind][0]), **curve}


def show_curve_type(number: object) -> str:
    """The mode that points to such curves."""
    names = {int(kind): name for name, kind in CURVE_TYPES.items()}
    return names.get(_whole(number), str(number))


def show_unit_ref(number: object) -> str:
    """What a yRefType is a share of."""
    return next((ref.name for ref in UnitRef if ref == number), str(number))


def is_curve_mode(name: str) -> bool:
    """Whether a mode points to a curve."""
    return name in MODE and MODE[name].curve is not None


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
