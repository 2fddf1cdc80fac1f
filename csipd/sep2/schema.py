"""How a schema type is written in Python: a class with one annotated field an element or attribute.

    class EventStatus(Element):
        currentStatus: UInt8
        dateTime: TimeType
        reason: String192 | None = None

Fields stand in schema order, those of the base class first. `X | None = None` may be left out,
`tuple[X, ...]` repeats, `Attribute[X]` is an XML attribute, and a default is the schema's own. Annotations
stay text until a class is first used, so chapters may name each other's types: complex types always by
`r.Name` (`r` is the package of all chapters), because a field often has its type's name and would hide it.
"""

from __future__ import annotations

import functools
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    NoReturn,
    Self,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from attrs import field, frozen

from csipd.sep2.types import Bool, Constraint, Hexadecimal, Integer, Range, Real, Reference, Text

Form = Integer | Hexadecimal | Text | Reference | Bool | Real
T = TypeVar("T")


@frozen
class _Mark:
    """A word about a field that is not about its value."""

    name: str


_ATTRIBUTE = _Mark("attribute")
_POLYMORPHIC = _Mark("polymorphic")

# `Attribute[X]`: an XML attribute. `Polymorphic[X]`: an element whose actual type is given by xsi:type.
Attribute = Annotated[T, _ATTRIBUTE]
Polymorphic = Annotated[T, _POLYMORPHIC]


@frozen
class Occurs:
    """How often a repeated element may stand; `most` None is without bound."""

    least: int = 0
    most: int | None = None


@frozen
class Field:
    """One element or attribute of a class, as its annotation says.

    `type` is the class of a complex element, or the Python type that holds a simple value; a simple value has
    a `form`, and perhaps `constraints`.
    """

    name: str
    type: type[Any]
    form: Form | None
    constraints: tuple[Range | Constraint, ...]
    attribute: bool
    polymorphic: bool
    required: bool
    occurs: Occurs | None = field(metadata={"doc": "None for a field that does not repeat"})


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
class _Declarative(type):
    """The type of schema classes: to type checkers, their fields are the arguments of the constructor."""


class Element(metaclass=_Declarative):
    """A value of a complex type: immutable, compared by its content.

    Only what was given is kept: `None` is the same as absent, and a default not given is not encoded.
    Constructors see that nothing is missing or unknown (TypeError); ranges and lengths are for the codec's
    `check`.
    """

    lists: ClassVar[tuple[str, ...]] = ()  # fields that JSON has also where they are empty
    extensions: tuple[str, ...] = ()  # elements unknown to the 2018 schema, each a document of its own

    def __init__(self, **given: Any) -> None:
        # Classes have many fields and values few: only those that are given are looked at.
        values = self.__dict__
        shape = _shape(type(self))
        known = given if given.keys() <= shape.places.keys() else given.keys() & shape.places.keys()
        for name in sorted(known, key=shape.places.__getitem__):
            value = given[name]
            if value is None:
                continue
            if name in shape.repeated and not value:
                continue
            if name in shape.digits:
                value = str(value).upper().zfill(shape.digits[name])
            values[name] = value
        if not shape.required <= values.keys():
            missing = [item.name for item in fields(type(self)) if item.required and item.name not in values]
            raise TypeError(f"{type(self).__name__} needs {', '.join(missing)}")
        if known is not given:
            unknown = [name for name in given if name not in shape.places]
            raise TypeError(f"{type(self).__name__} has no {', '.join(unknown)}")

    def replace(self, **changes: Any) -> Self:
        """A copy with these fields changed; None takes one away."""
        return type(self)(**{**self.__dict__, **changes})

    def flaw(self) -> str | None:
        """What is wrong between fields that are each right, if anything."""
        return None

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), tuple(self.__dict__.items())))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={_short(value)}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({given})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: use replace()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable: use replace()")


def _short(value: object) -> str:
    if isinstance(value, tuple) and len(value) > 3:
        return f"<{len(value)} {type(value[0]).__name__}>"
    return repr(value)


@frozen
class _Shape:
    """What the constructor of a class has to know.

    :param places: of all fields, in the order of the schema; extensions come last
    :param digits: of those that are hexadecimal text
    """

    places: dict[str, int]
    required: frozenset[str]
    repeated: frozenset[str]
    digits: dict[str, int]


@functools.cache
def _shape(cls: type[Element]) -> _Shape:
    every = fields(cls)
    return _Shape(
        {name: place for place, name in enumerate([*(item.name for item in every), "extensions"])},
        frozenset(item.name for item in every if item.required),
        frozenset(["extensions", *(item.name for item in every if item.occurs is not None)]),
        {
            item.name: 2 * item.form.octets
            for item in every
            if item.type is str and isinstance(item.form, Hexadecimal)
        },
    )


@functools.cache
def fields(cls: type[Element]) -> tuple[Field, ...]:
    """The fields of a class: its attributes, then its elements, each in schema order."""
    hints = get_type_hints(cls, localns={}, include_extras=True)
    del hints["extensions"], hints["lists"]
    found = [_field(cls, name, hint) for name, hint in hints.items()]
    return tuple(sorted(found, key=lambda item: not item.attribute))


def _field(cls: type[Element], name: str, hint: Any) -> Field:
    marks: list[Any] = []

    def unwrap(hint: Any) -> Any:
        if get_origin(hint) is Annotated:
            inner, *found = get_args(hint)
            marks.extend(found)
            return unwrap(inner)
        if get_origin(hint) in (Union, UnionType):
            (inner,) = (part for part in get_args(hint) if part is not NoneType)
            return unwrap(inner)
        return hint

    kind = unwrap(hint)
    occurs = None
    if get_origin(kind) is tuple:
        occurs = next((mark for mark in marks if isinstance(mark, Occurs)), Occurs())
        kind = unwrap(get_args(kind)[0])
    return Field(
        name=name,
        type=kind,
        form=next((mark for mark in marks if isinstance(mark, Form)), None),
        constraints=tuple(mark for mark in marks if isinstance(mark, Range | Constraint)),
        attribute=_ATTRIBUTE in marks,
        polymorphic=_POLYMORPHIC in marks,
        required=not hasattr(cls, name),
        occurs=occurs,
    )
