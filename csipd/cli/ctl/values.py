"""What an operator writes of controls and curves -> the JSON of the API, and the same for people to read.

A value is written as on the wire: `opModMaxLimW=6000` are hundredths of a percent. `60%` says the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from csipd.config.codes import CATEGORIES, CURVE_TYPES, UNIT_REFS, Level, Words
from csipd.config.document import Mapping as MappingNode
from csipd.config.document import Node, Scalar, Sequence, parse
from csipd.config.fields import Wrong, code_of
from csipd.config.problems import ConfigError, Problems
from csipd.sep2.rules import Y_REFERENCES
from csipd.sep2.types import MODE, CurveType, DeviceCategory, UnitRef

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,15}\.\d{1,9}", re.ASCII)
_PERCENT = re.compile(r"([+-]?\d{1,5}(?:\.\d{1,2})?) *%", re.ASCII)
_CATEGORY_BITS = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_WORDS = {"true": True, "false": False}

#: Modes whose value is a share in hundredths of a percent.
_PERCENTS = frozenset(("opModMaxLimW", "opModFixedW"))
_UNITS = {"opModTargetW": "W", "opModTargetVar": "var"}
_SHARES_OF = {1: "setMaxW", 2: "setMaxVar", 3: "statVarAvail"}


def parse_value(text: str) -> Any:
    """A JSON value from one word: true, false, a number, a percentage in hundredths, or else text."""
    word = text.strip()
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if found := _PERCENT.fullmatch(word):
        return int(Decimal(found[1]) * 100)
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
            raise ValueError(f"{setting[:80]!r} is not of the form NAME=VALUE, such as opModMaxLimW=6000")
        inside = found
        for name in names[:-1]:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                raise ValueError(f"{setting!r}: {name} has a value of its own already")
        if names[-1] in inside:
            raise ValueError(f"{setting!r}: {path} is given twice")
        inside[names[-1]] = parse_value(value)
    return found


def overlay(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, objects name by name."""
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
        raise ValueError(f"{name}: expected names with values, such as opModMaxLimW: 6000")
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


def code(text: str, words: Words, what: str) -> int:
    """A code of the standard, by name or number. ValueError that may guess at what was meant."""
    scalar = Scalar(0, text, quoted=False)
    try:
        return code_of(words, what)(scalar)
    except Wrong as wrong:
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


def show_mode(name: str, value: Any) -> str:
    """The value of a control mode, with its unit."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name in _PERCENTS:
            return f"{_hundredths(value)} %"
        case int() if name == "rampTms":
            return f"{_hundredths(value)} s"
        case {"href": href}:
            return str(href)
        case {"value": int(share), "refType": int(ref)}:
            return f"{_hundredths(share)} % of {_SHARES_OF.get(ref, ref)}"
        case {"value": int(amount), **rest}:
            return f"{_scaled(amount, rest.get('multiplier', 0))} {_UNITS.get(name, '')}".rstrip()
        case {"displacement": int(factor), **rest}:
            side = "absorbing" if rest.get("excitation") else "injecting"
            return f"PF {_scaled(factor, rest.get('multiplier', 0))}, {side} vars"
        case int() | float() if name in _UNITS:
            return f"{value} {_UNITS[name]}"
        case str():
            return value
    return json.dumps(value, ensure_ascii=False)


def show_base(base: Any) -> str:
    """The modes of a DERControlBase in one line."""
    if not isinstance(base, Mapping):
        return ""
    return "; ".join(f"{name} {show_mode(name, value)}" for name, value in base.items())


def _hundredths(value: int) -> str:
    return _scaled(value, -2)


def _scaled(value: int, multiplier: object) -> str:
    power = multiplier if isinstance(multiplier, int) and -30 <= multiplier <= 30 else 0
    number = Decimal(value).scaleb(power)
    return f"{number.normalize():f}" if number else "0"


def _whole(value: object) -> int:
    return value if isinstance(value, int) else -1
