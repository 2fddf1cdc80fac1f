"""Values of the information model as JSON, and the JSON Schemas that say what it may be.

Names are the standard's. Bit maps and identifiers are hexadecimal strings of full width, elements are
objects, what repeats is an array, what was not given is absent and never null. In the few places where the
standard lets any derived type stand (a Notification's Resource) the object names its class by `xsi:type`, as
in XML: plain `type` is an element of some of them. A quantity may be given as a plain number. Extensions
have no form in JSON and are left out.

Reading is as strict as the schemas, and stricter where they cannot say it: check digits, plain numbers that
their type cannot hold exactly, 1.0 for an integer, nesting without end.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

from csipd.config.fields import did_you_mean
from csipd.der.wording import HUNDREDTHS
from csipd.sep2 import codec, lexical, resources
from csipd.sep2 import resources as r
from csipd.sep2.quantities import magnitude, quantity
from csipd.sep2.schema import Element, Field, Occurs, fields
from csipd.sep2.types import Bool, Choice, Constraint, Hexadecimal, Integer, Real, Reference, Text

E = TypeVar("E", bound=Element)
Schema = dict[str, Any]

#: The member by which an object names its class where the place does not.
TYPE: Final = "xsi:type"
#: The most problems that are listed: an answer is not to be as long as the request.
MAX_PROBLEMS: Final = 100
_MAX_KEY: Final = 64  # characters of an unknown name that are repeated
_MAX_EXPECTED: Final = 120  # characters of the names of an object's members
_MAX_BITS: Final = 128  # of an integer that is repeated
_MAX_SHOWN: Final = 40  # characters of another number

_HEX = re.compile(r"[0-9A-Fa-f]*")
_REFS: Final = "#/components/schemas/"
_XML_TEXT: Final = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]*$"  # what XML can carry
_URI: Final[Schema] = {
    "description": "A URI reference (RFC 3986).",
    "type": "string",
    # Nothing that XML cannot carry, and blanks as XML Schema collapses them.
    "pattern": r"^(?![\s\S]*[\u0000-\u001f\ufffe\uffff])(?! )(?![\s\S]*(?:  | $))" + lexical.REFERENCE + "$",
}


class JSONProblem(ValueError):
    """JSON that is not a value of its class.

    :ivar problems: what is wrong, as (JSON pointer, message), in the order of the data; the first hundred
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems[:MAX_PROBLEMS])

    def __str__(self) -> str:
        return "; ".join(f"{pointer or 'the whole'}: {message}" for pointer, message in self.problems)


def loads(text: str) -> Any:
    """What a JSON text says (RFC 8259), numbers with a point or an exponent as Decimal, exactly as written.

    ValueError or RecursionError for what is not JSON, for a name that stands twice in an object, and for
    numbers that cannot be held. A float would make 0 of 1e-400.
    """
    return json.loads(
        text, parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_object_of_pairs
    )


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError(f"{text[:40]} cannot be held") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Which of two values counts is not the same to all who read them.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


# Values to JSON.
def to_json(value: Element) -> dict[str, Any]:
    """A value that `codec.check` would pass, as JSON: what it was given, in schema order."""
    cls = type(value)
    writers, given = _writers(cls), value.__dict__
    found = {name: writers[name](item) for name, item in given.items() if name in writers}
    return found | {name: [] for name in cls.lists if name not in found} if cls.lists else found


@functools.cache
def _writers(cls: type[Element]) -> dict[str, Callable[[Any], Any]]:
    return {field.name: _writer(field) for field in fields(cls)}


def _writer(field: Field) -> Callable[[Any], Any]:
    write: Callable[[Any], Any]
    match field.form:
        case None:
            write = _typed if field.polymorphic else to_json
        case Hexadecimal(octets) if field.type is int:
            write = f"%0{2 * octets}X".__mod__
        case Real():
            write = _number
        case _:
            write = field.type  # members of enumerations become plain numbers
    if field.occurs is None:
        return write
    return lambda values: [write(value) for value in values]


def _number(value: Decimal) -> int | float:
    whole = int(value)
    return whole if whole == value else float(value)


def _typed(value: Element) -> dict[str, Any]:
    return {TYPE: type(value).__name__, **to_json(value)}


# JSON to values.
def from_json(
    cls: type[E], data: object, *, leave: Collection[str] = (), own: Mapping[str, Any] | None = None
) -> E:
    """The value that JSON gives; `JSONProblem` with all that is wrong, whatever `loads` can give.

    `leave` names fields of `cls` that the JSON may not give, and `own` gives values of such fields: those
    that are the server's to say. Names in `own` need not stand in `leave`. What is wrong with `own` is a
    defect of the caller: TypeError where a required field is left and not given, BadValue for what the codec
    refuses.
    """
    own = own or {}
    value = _element(cls, data, "", 1, {*leave, *own}, own)
    codec.check(value)
    return value


def _wrong(at: str, message: str) -> JSONProblem:
    return JSONProblem([(at, message)])


def _element(
    cls: type[E],
    data: object,
    at: str,
    depth: int,
    leave: Collection[str] = (),
    own: Mapping[str, Any] | None = None,
) -> E:
    known = _by_name(cls)
    size = magnitude(cls)
    if size is not None and isinstance(data, int | float | Decimal) and not isinstance(data, bool):
        try:
            return quantity(cls, Decimal(repr(data) if isinstance(data, float) else data))
        except ValueError as error:
            raise _wrong(at, f"expected {error}") from None
    if not isinstance(data, dict):
        parts = ", ".join(name for name in known if name not in leave)
        what = f"an object of {parts[:_MAX_EXPECTED]}" if parts else "an object"
        raise _wrong(at, f"{_is(data)}, expected {what if size is None else f'a number, or {what}'}")
    values = dict(own or {})
    problems: list[tuple[str, str]] = []
    for name, item in data.items():
        field = known.get(name)
        if field is None or name in leave:
            problems.append(
                (
                    f"{at}/{_token(name)}",
                    "is not known here" + ("" if problems else _meant(name, known, leave)),
                )
            )
            continue
        try:
            if field.occurs is None:
                values[name] = _one(field, item, f"{at}/{name}", depth)
            else:
                values[name] = _several(field, field.occurs, item, f"{at}/{name}", depth)
        except JSONProblem as problem:
            problems += problem.problems
    for name, field in known.items():
        if (field.required or name in cls.lists) and name not in data and name not in leave:
            problems.append((f"{at}/{name}", "is required"))
    if problems:
        raise JSONProblem(problems)
    made = cls(**values)
    if (flaw := made.flaw()) is not None:
        raise _wrong(at, flaw)
    return made


def _one(field: Field, data: object, at: str, depth: int) -> Any:
    if field.form is not None:
        return _simple(field, data, at)
    cls: type[Element] = field.type
    if field.polymorphic:
        return _polymorphic(cls, data, at, depth + 1)
    return _element(cls, data, at, depth + 1)


def _several(field: Field, occurs: Occurs, data: object, at: str, depth: int) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise _wrong(at, f"{_is(data)}, expected an array")
    members: list[Any] = []
    problems: list[tuple[str, str]] = []
    least = _least(field, occurs)
    if not least <= len(data) <= (occurs.most or len(data)):
        bounds = f"{least} or more" if occurs.most is None else f"{least} to {occurs.most}"
        problems.append((at, f"expected {bounds} members"))
    for number, member in enumerate(data[: occurs.most]):
        try:
            members.append(_one(field, member, f"{at}/{number}", depth))
        except JSONProblem as problem:
            problems += problem.problems
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        raise JSONProblem(problems)
    return tuple(members)


def _least(field: Field, occurs: Occurs) -> int:
    """How many members there are at least: an empty list is the same as none."""
    return max(occurs.least, 1) if field.required else occurs.least


def _polymorphic(declared: type[Element], data: object, at: str, depth: int) -> Element:
    if not isinstance(data, dict):
        raise _wrong(at, f"{_is(data)}, expected an object")
    if depth > codec.MAX_DEPTH:  # only here can values nest without end
        raise _wrong(at, f"is nested more than {codec.MAX_DEPTH} deep")
    if TYPE not in data:
        raise _wrong(f"{at}/{TYPE}", "is required")
    stated = data[TYPE]
    cls = _derived(declared).get(stated) if isinstance(stated, str) else None
    if cls is None:
        raise _wrong(f"{at}/{TYPE}", f"expected the name of a type of {declared.__name__}")
    rest = {name: item for name, item in data.items() if name != TYPE}
    return _element(cls, rest, at, depth)


def _simple(field: Field, data: object, at: str) -> Any:
    value: Any = data
    match field.form:
        case Integer():
            low, high = lexical.bounds(field)
            if type(data) is not int or not low <= data <= high:
                raise _wrong(at, f"{_is(data)}, expected an integer from {low} to {high}{_in_unit(at)}")
        case Bool():
            if not isinstance(data, bool):
                raise _wrong(at, f"{_is(data)}, expected true or false")
        case Real():
            if not isinstance(data, int | float | Decimal) or isinstance(data, bool):
                raise _wrong(at, f"{_is(data)}, expected a number")
            return Decimal(repr(data) if isinstance(data, float) else data)
        case Hexadecimal(octets):
            if not isinstance(data, str) or len(data) != 2 * octets or not _HEX.fullmatch(data):
                raise _wrong(at, f"{_is(data)}, expected {2 * octets} hexadecimal digits")
            value = int(data, 16) if field.type is int else data.upper()
        case Choice(words=words) if data not in words:
            raise _wrong(at, f"{_is(data)}, expected one of {', '.join(words)}")
        case _ if not isinstance(data, str):
            raise _wrong(at, f"{_is(data)}, expected a string")
    if (flaw := lexical.flaw(field, value)) is not None:
        raise _wrong(at, f"{flaw}, expected {lexical.expected(field)}")
    return value


def _is(data: object) -> str:
    """What came in the place of what was expected, cut to what a message may hold."""
    match data:
        case dict():
            return "is an object"
        case list():
            return "is an array"
        case str():
            return f"is {lexical.quoted(data)}"
        case None | bool():
            return f"is {json.dumps(data)}"
        case int() if data.bit_length() > _MAX_BITS:
            return "is a number of very many digits"
    text = str(data)
    return f"is {text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + '...'}"


def _meant(name: str, known: Collection[str], leave: Collection[str]) -> str:
    """A guess at what a name was meant to be; nothing where none is near."""
    hint = did_you_mean(name[:_MAX_KEY], (one for one in known if one not in leave))
    return f"; {hint}" if hint else ""


def _in_unit(at: str) -> str:
    """What a number is counted in, where that is hundredths of a unit and easily mistaken."""
    names = at.split("/")[-2:]
    unit = HUNDREDTHS.get(names[-1]) or HUNDREDTHS.get(".".join(names))
    return f" (hundredths of {'a percent' if unit == '%' else unit})" if unit else ""


def _token(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901), cut to what a message may hold."""
    return name[:_MAX_KEY].replace("~", "~0").replace("/", "~1")


@functools.cache
def _by_name(cls: type[Element]) -> dict[str, Field]:
    return {field.name: field for field in fields(cls)}


@functools.cache
def _derived(declared: type[Element]) -> dict[str, type[Element]]:
    """The standard's classes that may stand where one is declared, by name."""
    return {
        name: found
        for name, found in vars(resources).items()
        if isinstance(found, type) and issubclass(found, declared)
    }


# JSON Schemas.
def schema_of(cls: type[Element], *, leave: Collection[str] = ()) -> Schema:
    """The JSON Schema (2020-12) of what `from_json` takes and `to_json` gives, without the fields `leave`.

    Nested elements are references to components, which `schemas_for` gives.
    """
    shown = [field for field in fields(cls) if field.name not in leave]
    whole = _object(shown, cls.lists)
    if issubclass(cls, r.RespondableResource) and {"replyTo", "responseRequired"}.isdisjoint(leave):
        # What its flaw() says.
        whole["anyOf"] = [
            {"required": ["replyTo"]},
            {"properties": {"responseRequired": {"const": "00"}}},
        ]
    size = magnitude(cls)
    if size is not None:
        low, high = (0, 1) if size.is_factor else (size.low * 10**9, size.high * 10**9)
        plain = {"description": "Plainly, if exact.", "type": "number", "minimum": low, "maximum": high}
        whole = {"anyOf": [whole, plain]}
    return {"description": _description(cls), **whole}


def schemas_for(*classes: type[Element]) -> dict[str, Schema]:
    """The components that the schemas of these classes need, and they themselves, by name, in order of names.

    ValueError where two classes have one name.
    """
    named: dict[str, type[Element]] = {}
    found: dict[str, Schema] = {}
    waiting = [(cls, False) for cls in classes]
    while waiting:
        cls, polymorphic = waiting.pop()
        name = _component(cls, polymorphic)
        if name in named:
            if named[name] is not cls:
                raise ValueError(f"two classes are called {name}")
            continue
        named[name] = cls
        found[name] = _any_of(cls) if polymorphic else schema_of(cls)
        for member in _derived(cls).values() if polymorphic else (cls,):
            for field in fields(member):
                if field.form is None:
                    waiting.append((field.type, field.polymorphic))
                elif isinstance(field.form, Reference):
                    found["AnyURI"] = dict(_URI)
    return dict(sorted(found.items()))


def _component(cls: type[Element], polymorphic: bool) -> str:
    return f"Any{cls.__name__}" if polymorphic else cls.__name__


def _any_of(declared: type[Element]) -> Schema:
    """Any class that may stand where one is declared, each with its name."""
    alternatives = []
    for name, cls in _derived(declared).items():
        schema = schema_of(cls)
        schema["properties"] = {TYPE: {"const": name}, **schema["properties"]}
        schema["required"] = [TYPE, *schema.get("required", ())]
        alternatives.append(schema)
    return {
        "description": f"{declared.__name__} or what derives from it.",
        "type": "object",
        "anyOf": alternatives,
    }


def _object(shown: Sequence[Field], lists: Collection[str] = ()) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {field.name: _property(field) for field in shown},
        "additionalProperties": False,
    }
    if required := [field.name for field in shown if field.required or field.name in lists]:
        schema["required"] = required
    return schema


def _property(field: Field) -> Schema:
    one = _simple_schema(field)
    if field.occurs is None:
        return one
    several: Schema = {"type": "array", "items": one}
    if least := _least(field, field.occurs):
        several["minItems"] = least
    if field.occurs.most is not None:
        several["maxItems"] = field.occurs.most
    return several


def _simple_schema(field: Field) -> Schema:
    match field.form:
        case Integer():
            low, high = lexical.bounds(field)
            meanings = [f"{rule.meaning}." for rule in field.constraints if isinstance(rule, Constraint)]
            described = {"description": " ".join(meanings)} if meanings else {}
            return {"type": "integer", "minimum": low, "maximum": high, **described}
        case Bool():
            return {"type": "boolean"}
        case Real():
            return {"type": "number"}
        case Hexadecimal(octets):
            digits = 2 * octets
            # The length keeps out a line break that some take for the end.
            return {"type": "string", "pattern": f"^[0-9A-Fa-f]{{{digits}}}$", "maxLength": digits}
        case Choice(words=words):
            return {"type": "string", "enum": list(words)}
        case Text(longest):
            bound = {} if longest is None else {"maxLength": longest}
            return {"type": "string", "pattern": _XML_TEXT, **bound}
        case Reference():
            return {"$ref": f"{_REFS}AnyURI"}
    return {"$ref": _REFS + _component(field.type, field.polymorphic)}


def _description(cls: type[Element]) -> str:
    return (cls.__doc__ or cls.__name__).splitlines()[0]
