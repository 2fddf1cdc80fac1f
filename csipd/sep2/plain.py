"""Plain documents, read by one regular expression a class.

What devices send and csipd stores is nearly always plain: ASCII in the order of the schema, one default
namespace, no attributes but the schema's own, no comments, no entities. A class has a pattern of its plain
documents, made once from its table of fields; a document that matches is well-formed and has the elements
that the schema demands, so that only its simple values are left to be read: a third of what a tree costs.
What does not match need not be wrong: the codec makes a tree of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from attrs import frozen

from csipd.sep2 import lexical
from csipd.sep2.lexical import BadValue, DocumentError
from csipd.sep2.schema import Element, Field, fields

E = TypeVar("E", bound=Element)
#: Makes a value of the groups of a match, those of its class beginning at an index.
_Make = Callable[[Sequence[Any], int], Any]

_DECLARATION: Final = (
    r"(?:<\?xml version=\"1\.0\"(?: encoding=\"(?:UTF|utf)-8\")?(?: standalone=\"(?:yes|no)\")?\?>)?"
)
# Of a namespace that no element is in; one at most, so that none is declared twice.
_UNUSED: Final = r"(?: xmlns:(?!xml)[A-Za-z]{1,32}+=\"(?:urn:|https?://)[A-Za-z0-9:/._-]{1,200}+\")?"
_BLANKS: Final = r"[ \t\r\n]*+"
# Without what ends it, stands for something else, is something else after parsing or may be in no document.
_TEXT: Final = r"([\t\n -%'-;=?-\x7f]++)"
_ATTRIBUTE: Final = r"([ !#-%'-;=?-\x7f]*+)"


def reader(cls: type[E], namespace: str) -> Callable[[bytes], E | None]:
    """The function that reads the plain documents of a class, and gives None for all others.

    It raises what the codec's other way raises: ``BadValue`` or ``Malformed``, with the path.
    """
    part = _part(cls, cls.__name__, f' xmlns="{namespace}"{_UNUSED}')
    if part is None:
        return _reads_none
    match = re.compile(f"{_DECLARATION}{_BLANKS}{part.pattern}").fullmatch
    make = part.make

    def read(data: bytes) -> E | None:
        found = match(str(data, "ascii")) if data.isascii() else None
        if found is None:
            return None
        try:
            value: E = make(found.groups(), 0)
        except DocumentError as refused:
            refused.path = f"/{cls.__name__}{refused.path}"
            raise
        return value

    return read


def _reads_none(data: bytes) -> None:
    return None


@frozen
class _Part:
    """How an element is read.

    :param groups: how many groups its pattern has
    """

    pattern: str
    groups: int
    make: _Make


@frozen
class _Step:
    """How a field is read.

    :param pattern: whose first group says whether it is there
    :param groups: how many it has
    :param parse: of a simple field, or one that repeats: reads the text in that group
    :param make: of another: reads the groups after that one
    """

    pattern: str
    groups: int
    parse: Callable[[Any], Any] | None
    make: _Make | None


def _part(cls: type[Element], name: str, declared: str = "") -> _Part | None:
    """How elements of a class are read; None where none of them is plain."""
    attributes = content = ""
    steps: list[tuple[str, int, str, _Step]] = []
    groups = 0
    for field in fields(cls):
        step = _step(field)
        if step is None:
            if field.required:
                return None
            continue  # an element that has it is not plain
        steps.append((field.name, groups, f"/{'@' * field.attribute}{field.name}", step))
        groups += step.groups
        pattern = step.pattern if field.required else f"(?:{step.pattern})?"
        if field.attribute:
            attributes += pattern
        else:
            content += pattern
    empty = not any(field.required and not field.attribute for field in fields(cls))
    closed = f"(?:/>|>{_BLANKS}{content}</{name}>)" if empty else f">{_BLANKS}{content}</{name}>"
    return _Part(f"<{name}{declared}{attributes}{closed}{_BLANKS}", groups, _maker(cls, steps))


def _step(field: Field) -> _Step | None:
    """How a field is read; None where it is never plain."""
    if field.form is None:
        part = None if field.polymorphic else _part(field.type, field.name)
        if part is None:
            return None
        if field.occurs is None:
            return _Step(f"(){part.pattern}", 1 + part.groups, None, part.make)
        # Members are found together, and then read one by one.
        member = re.sub(r"\((?!\?)", "(?:", part.pattern)
        most = "" if field.occurs.most is None else field.occurs.most
        return _Step(f"((?:{member}){{1,{most}}})", 1, _members(part), None)
    if field.occurs is not None:
        return None
    before, text, after = (
        (f' {field.name}="', _ATTRIBUTE, '"')
        if field.attribute
        else (f"<{field.name}>", _TEXT, f"</{field.name}>{_BLANKS}")
    )
    return _Step(f"{before}{text}{after}", 1, lexical.parser(field), None)


def _members(part: _Part) -> Callable[[str], tuple[Any, ...]]:
    """The function that reads elements of one name which follow each other."""
    match = re.compile(part.pattern).match

    def read(text: str) -> tuple[Any, ...]:
        found = []
        at = 0
        while (member := match(text, at)) is not None:
            try:
                found.append(part.make(member.groups(), 0))
            except DocumentError as refused:
                alone = at == 0 and member.end() == len(text)
                refused.path = f"{'' if alone else f'[{len(found) + 1}]'}{refused.path}"
                raise
            at = member.end()
        return tuple(found)

    return read


def _maker(cls: type[Element], steps: Sequence[tuple[str, int, str, _Step]]) -> _Make:
    """The function that makes a value.

    :param steps: for each field: its name, its first group, what it adds to the path, and how it is read
    """
    ruled = cls.flaw is not Element.flaw
    new = cls.__new__
    unpacked = [(name, group, path, step.parse, step.make) for name, group, path, step in steps]

    def make(groups: Sequence[Any], begin: int) -> Element:
        value = new(cls)
        values = value.__dict__
        path = ""
        try:
            for name, group, path, parse, inner in unpacked:  # noqa: B007 - the path is for who fails
                text = groups[begin + group]
                if text is not None:
                    if parse is not None:
                        values[name] = parse(text)
                    elif inner is not None:
                        values[name] = inner(groups, begin + group + 1)
        except DocumentError as refused:
            refused.path = path + refused.path
            raise
        if ruled and (flaw := value.flaw()) is not None:
            raise BadValue(flaw)
        return value

    return make
