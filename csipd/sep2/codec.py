"""XML documents to values of the information model and back (IEEE 2030.5-2018 5.6, 4.7).

`decode` is as strict as the schema: names, order, number, types, lengths. It takes more than the schema in
three places only, so that devices of other editions and makers are understood: elements of foreign namespaces
and those that the 2023 edition added are kept aside, as `extensions` of the value they stand in; foreign
attributes and schemaVer are ignored; an odd number of hexadecimal digits is taken. `encode` writes what every
client can read: no XML declaration, one default namespace, schema order, nothing that the 2018 schema does
not know unless asked to.

Each class is compiled once, from its table of fields, into functions that read and write its elements. What
is plain, as nearly all small documents are, needs no tree (`plain`); a tree says what is wrong with others.

The work for a document is linear in its octets, whatever they are. What parsing and canonical forms take more
time for than it has octets is bounded: attributes of an element, namespaces, elements, depth. The octets are
counted before a tree is made of them (`_check_bounds`), extensions as they are reached (`_Extensions`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from attrs import define
from lxml import etree

from csipd.sep2 import lexical, plain, resources
from csipd.sep2.lexical import BLANKS, BadValue, DocumentError, Malformed, quoted
from csipd.sep2.resources import edition2023
from csipd.sep2.schema import Element, Field, fields

__all__ = ["NAMESPACE", "BadValue", "DocumentError", "Malformed", "check", "decode", "encode"]

NAMESPACE: Final = "urn:ieee:std:2030.5:ns"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_XSI_TYPE: Final = f"{{{_XSI}}}type"
_XSI_NIL: Final = f"{{{_XSI}}}nil"

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 16
MAX_TAGS: Final = 1 << 17  # a POST of readings has one for each nine octets
MAX_ATTRIBUTES: Final = 32  # of one element, declarations of namespaces among them
MAX_NAMESPACES: Final = 64  # declared differently, by prefix and name
MAX_NAMESPACE_OCTETS: Final = 4096  # of all such declarations
# For each value that has extensions.
MAX_EXTENSIONS: Final = 32
MAX_EXTENSION_ELEMENTS: Final = 256
MAX_EXTENSION_CHARACTERS: Final = 8192
# For all of a document, so that what is kept is never much more than what came.
MAX_ALL_EXTENSION_ELEMENTS: Final = 4096
MAX_ALL_EXTENSION_CHARACTERS: Final = 1 << 16

_DECLARED_ENCODING = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
# None of these octets begins or ends a tag or an attribute.
_NO_MARKS = bytes(octet for octet in range(256) if octet not in b"<=")
_MANY_ATTRIBUTES = b"=" * (MAX_ATTRIBUTES + 1)
_DECLARED_NAMESPACE = re.compile(rb"xmlns(?::[^\s=]++)?\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+')")
_ATTRIBUTE_VALUE = re.compile(rb"=\s*+[\"']")

#: How a document begins that may be plain.
_PLAIN_ROOT = re.compile(rb"(?:<\?xml [^?>]*+\?>)?[ \t\r\n]*+<([A-Za-z]++) xmlns=")

E = TypeVar("E", bound=Element)
_Read = Callable[[etree._Element, "_Extensions"], Element]
_Write = Callable[[Any], str]

_CLASSES: dict[str, type[Element]] = {
    name: found
    for name, found in vars(resources).items()
    if isinstance(found, type) and issubclass(found, Element) and found is not Element
}


def decode(data: bytes, expected: type[E], *others: type[E], max_bytes: int = MAX_BYTES) -> E:
    """The value that a document holds.

    Its root names the class, which must be one of those expected or derived from one; `Element` admits any.
    `Malformed` (reason code 0) or `BadValue` (reason code 1), and nothing else, is raised for whatever bytes.
    """
    _check_size(data, max_bytes)
    classes = (expected, *others)
    value = _decode_plain(data, classes)
    return _decode_tree(data, classes) if value is None else value


def _decode_plain(data: bytes, classes: tuple[type[E], ...]) -> E | None:
    """The value of a plain document (plain.py); None: it is another one, or wrong."""
    named = _PLAIN_ROOT.match(data)
    cls = None if named is None or _too_many_tags(data) else _CLASSES.get(named[1].decode())
    if cls is None or not issubclass(cls, classes):
        return None
    value = _plain_reader(cls)(data)
    assert value is None or isinstance(value, classes)
    return value


@functools.cache
def _plain_reader(cls: type[Element]) -> Callable[[bytes], Element | None]:
    return plain.reader(cls, NAMESPACE)


def _decode_tree(data: bytes, classes: tuple[type[E], ...]) -> E:
    root = _parse(data)
    cls = _CLASSES.get(root.tag.removeprefix(f"{{{NAMESPACE}}}"))
    if cls is None or root.tag != f"{{{NAMESPACE}}}{cls.__name__}":
        raise Malformed("is no resource of 2030.5", _path(root), f"an element of the namespace {NAMESPACE}")
    if (stated := root.get(_XSI_TYPE)) is not None:
        cls = _stated_class(root, stated, cls)
    if not issubclass(cls, classes):
        names = " or ".join(each.__name__ for each in classes)
        raise Malformed(f"is {cls.__name__}", _path(root), names)
    value = _reader(cls)(root, _Extensions())
    assert isinstance(value, classes)
    return value


def encode(value: Element, *, extensions: bool = False) -> bytes:
    """The document of a value, in UTF-8; with its extensions, at the end of their elements, if asked for."""
    return _writer(type(value), type(value).__name__, True, False, extensions)(value).encode()


def check(value: Element) -> None:
    """See that a value that was not decoded is one that could have been.

    Types, ranges, lengths, characters, rules, all the way down: BadValue names the first that is wrong.
    """
    _check(value, f"/{type(value).__name__}")


# Decoding.
def _check_size(data: bytes, max_bytes: int) -> None:
    if len(data) > max_bytes:
        raise Malformed(f"the document has {len(data)} octets", expected=f"at most {max_bytes}")


def _parse(data: bytes) -> etree._Element:
    if b"<!DOCTYPE" in data:  # even in a comment: no document needs to speak of it
        raise Malformed("the document has a document type declaration", expected="none")
    declared = _DECLARED_ENCODING.match(data)
    if declared is not None and declared[1].upper() not in (b"UTF-8", b"UTF8"):
        raise Malformed("the document is declared to be in another encoding", expected="UTF-8")
    _check_bounds(data)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        fault = (error.msg or "it has no element")[:200]
        raise Malformed(f"the document is not well-formed: {fault}", expected="XML") from None


def _too_many_tags(data: bytes) -> int:
    """How many tags there are, where that is more than may be; else 0."""
    tags = data.count(b"<") if len(data) > MAX_TAGS else 0
    return tags if tags > MAX_TAGS else 0


def _check_bounds(data: bytes) -> None:
    """Refuse octets of which a tree would cost too much.

    Nothing is parsed: comments and text may count for elements and attributes, but none of these is missed.
    """
    if tags := _too_many_tags(data):
        raise Malformed(f"the document has {tags} tags", expected=f"at most {MAX_TAGS}")
    if data.count(b"=") > MAX_ATTRIBUTES and _MANY_ATTRIBUTES in data.translate(None, _NO_MARKS):
        for tag in data.split(b"<"):
            if len(_ATTRIBUTE_VALUE.findall(tag)) > MAX_ATTRIBUTES:
                name = quoted(tag[:41].split(None, 1)[0].decode(errors="replace"))
                raise Malformed(
                    f"the element {name} has more than {MAX_ATTRIBUTES} attributes", expected="fewer"
                )
    namespaces = set(_DECLARED_NAMESPACE.findall(data))
    if len(namespaces) > MAX_NAMESPACES:
        raise Malformed(
            f"the document declares {len(namespaces)} namespaces", expected=f"at most {MAX_NAMESPACES}"
        )
    if sum(map(len, namespaces)) > MAX_NAMESPACE_OCTETS:
        raise Malformed(
            "the document's declarations of namespaces are too long",
            expected=f"at most {MAX_NAMESPACE_OCTETS} octets in all",
        )


def _path(element: etree._Element) -> str:
    """Where an element stands: /DERControlList/DERControl[2]/interval."""
    steps = []
    at: etree._Element | None = element
    while at is not None:
        step = etree.QName(at).localname[:64]
        before = sum(1 for _ in at.itersiblings(at.tag, preceding=True))
        if before or next(at.itersiblings(at.tag), None) is not None:
            step += f"[{before + 1}]"
        steps.append(step)
        at = at.getparent()
    return "/" + "/".join(reversed(steps))


def _stated_class(element: etree._Element, stated: str, declared: type[Element]) -> type[Element]:
    """The class that xsi:type gives to an element, which must be the declared one or derived from it."""
    prefix, _, name = stated.strip(BLANKS).rpartition(":")
    cls = _CLASSES.get(name)
    if cls is None or element.nsmap.get(prefix or None) != NAMESPACE or not issubclass(cls, declared):
        wanted = f"a type of 2030.5 that is or derives from {declared.__name__}"
        raise Malformed(f"has the xsi:type {quoted(stated)}", _path(element), wanted)
    return cls


_LEAF, _NODE, _NODES = range(3)
_Place = tuple[int, str, int, int, Callable[..., Any]]


@functools.cache
def _reader(cls: type[Element]) -> _Read:
    """The function that reads an element of a class."""
    elements = [field for field in fields(cls) if not field.attribute]
    places = {f"{{{NAMESPACE}}}{field.name}": _place(index, field) for index, field in enumerate(elements)}
    read_attributes = _attributes_reader(cls)
    needed_attributes = any(field.attribute and field.required for field in fields(cls))
    needed = sum(field.required for field in elements)
    repeated = [(field.name, field.occurs) for field in elements if field.occurs is not None]
    later = _later_names(cls)
    ruled = cls.flaw is not Element.flaw
    new = cls.__new__

    def read(element: etree._Element, extensions: _Extensions) -> Element:
        value = new(cls)
        values = value.__dict__
        if element.attrib or needed_attributes:
            read_attributes(element, values)
        if (text := element.text) is not None and text.strip(BLANKS):
            raise Malformed(f"has the text {quoted(text.strip(BLANKS))}", _path(element), "elements only")
        last = -1
        found = 0
        kept: list[str] | None = None
        try:
            for child in element:
                place = places.get(child.tag)
                if place is None:
                    if kept is None:
                        kept = []
                    extensions.keep(child, cls, later, kept)
                else:
                    index, name, need, kind, read_value = place
                    if index > last:
                        last = index
                        found += need
                        if kind == _LEAF:
                            if child.attrib or len(child):
                                _require_bare(child)
                            values[name] = read_value(child.text)
                        elif kind == _NODE:
                            values[name] = read_value(child, extensions)
                        else:
                            values[name] = [read_value(child, extensions)]
                    elif index == last and kind == _NODES:
                        values[name].append(read_value(child, extensions))
                    elif name in values:
                        raise Malformed("stands twice", expected=f"one {name}")
                    else:
                        raise Malformed("is out of order", expected=f"it before {elements[last].name}")
                if (tail := child.tail) is not None and tail.strip(BLANKS):
                    raise Malformed(f"is followed by the text {quoted(tail.strip(BLANKS))}", expected="none")
        except DocumentError as refused:
            if not refused.path:
                refused.path = _path(child)
            raise
        if found != needed:
            missing = next(field.name for field in elements if field.required and field.name not in values)
            raise Malformed(f"has no {missing}", _path(element), f"one, as every {cls.__name__} has")
        for name, occurs in repeated:
            if name in values:
                values[name] = tuple(values[name])
                if occurs.most is not None and len(values[name]) > occurs.most:
                    given = f"has {len(values[name])} {name}"
                    raise Malformed(given, _path(element), f"at most {occurs.most}")
        if kept is not None:
            values["extensions"] = tuple(kept)
        if ruled and (flaw := value.flaw()) is not None:
            raise BadValue(flaw, _path(element))
        return value

    return read


def _place(index: int, field: Field) -> _Place:
    need = int(field.required)
    if field.form is not None:
        return index, field.name, need, _LEAF, lexical.parser(field)
    kind = _NODE if field.occurs is None else _NODES
    cls: type[Element] = field.type
    if field.polymorphic:
        return index, field.name, need, kind, functools.partial(_read_polymorphic, declared=cls)
    return index, field.name, need, kind, _reader(cls)


def _read_polymorphic(element: etree._Element, extensions: _Extensions, declared: type[Element]) -> Element:
    # Only here can documents nest without end.
    if sum(1 for _ in element.iterancestors()) >= MAX_DEPTH:
        raise Malformed("is nested too deep", expected=f"at most {MAX_DEPTH} elements around it")
    stated = element.get(_XSI_TYPE)
    cls = declared if stated is None else _stated_class(element, stated, declared)
    return _reader(cls)(element, extensions)


def _attributes_reader(cls: type[Element]) -> Callable[[etree._Element, dict[str, Any]], None]:
    """The function that reads an element's attributes into the values of its object."""
    own = [field for field in fields(cls) if field.attribute]
    parsers: dict[str, lexical.Parser] = {field.name: lexical.parser(field) for field in own}
    needed = [field.name for field in own if field.required]
    passed_over = frozenset({"schemaVer"}).union(
        *(edition2023.ATTRIBUTES.get(base.__name__, ()) for base in cls.__mro__)
    )

    def read(element: etree._Element, values: dict[str, Any]) -> None:
        given = {str(name): str(text) for name, text in element.items()}
        for name in given:
            parse = parsers.get(name)
            if parse is None:
                if name == _XSI_TYPE:
                    if _stated_class(element, given[name], Element) is not cls:
                        raise Malformed(
                            f"has the xsi:type {quoted(given[name])}", _path(element), cls.__name__
                        )
                elif name not in passed_over:
                    _require_foreign(element, name)
        for name, parse in parsers.items():
            if (text := given.get(name)) is not None:
                try:
                    values[name] = parse(text)
                except DocumentError as refused:
                    refused.path = f"{_path(element)}/@{name}"
                    raise
        for name in needed:
            if name not in values:
                wanted = f"one, as every {cls.__name__} has"
                raise Malformed(f"has no attribute {name}", _path(element), wanted)

    return read


def _require_foreign(element: etree._Element, attribute: str) -> None:
    """Refuse an attribute of no namespace or of 2030.5's own, and xsi:nil: nothing may be nil."""
    if attribute[0] != "{" or attribute.startswith(f"{{{NAMESPACE}}}") or attribute == _XSI_NIL:
        wanted = "attributes of the schema, or of other namespaces"
        raise Malformed(f"has the unknown attribute {quoted(attribute)}", _path(element), wanted)


def _require_bare(element: etree._Element) -> None:
    """Refuse what a simple element cannot have: elements in it, and attributes not to be passed over."""
    if len(element):
        raise Malformed(f"has {len(element)} elements in it", expected="text only")
    for name in map(str, element.keys()):
        if name != "schemaVer":
            _require_foreign(element, name)


# Extensions.
@functools.cache
def _later_names(cls: type[Element]) -> frozenset[str]:
    """The tags that the 2023 edition added to a class."""
    names = {f"{base.__name__}{edition2023.RESERVED}" for base in cls.__mro__}
    for base in cls.__mro__:
        names |= edition2023.ELEMENTS.get(base.__name__, frozenset())
    return frozenset(f"{{{NAMESPACE}}}{name}" for name in names)


@define
class _Extensions:
    """What was kept of one document so far of elements that the 2018 schema does not know."""

    elements: int = 0
    characters: int = 0

    def keep(
        self, element: etree._Element, cls: type[Element], later: frozenset[str], kept: list[str]
    ) -> None:
        """Add the canonical form of an element to those that were `kept` of the same value of `cls`.

        `later` are the tags that the 2023 edition added to the class. BadValue at the first that is over a
        bound, before the work of it is done.
        """
        namespace = etree.QName(element).namespace
        if namespace is None:
            raise Malformed("is in no namespace", expected=f"the namespace {NAMESPACE} or another")
        if namespace == NAMESPACE and element.tag not in later:
            raise Malformed(f"is not an element of {cls.__name__}", expected=_some_elements(cls))
        if len(kept) >= MAX_EXTENSIONS:
            raise BadValue(
                "is one extension too many", expected=f"at most {MAX_EXTENSIONS} in one {cls.__name__}"
            )
        self.elements += _size(element)
        if self.elements > MAX_ALL_EXTENSION_ELEMENTS:
            raise BadValue(
                "is one extension too many",
                expected=f"at most {MAX_ALL_EXTENSION_ELEMENTS} elements of extensions in a document",
            )
        form = _canonical(element)
        characters = len(form) + sum(map(len, kept))
        self.characters += len(form)
        if characters > MAX_EXTENSION_CHARACTERS or self.characters > MAX_ALL_EXTENSION_CHARACTERS:
            raise BadValue(
                "is an extension too large",
                expected=f"at most {MAX_EXTENSION_CHARACTERS} characters of extensions in one"
                f" {cls.__name__}, {MAX_ALL_EXTENSION_CHARACTERS} in a document",
            )
        kept.append(form)


def _size(element: etree._Element) -> int:
    """How many elements an extension has, itself among them."""
    depth = sum(1 for _ in element.iterancestors())
    size = 0
    for event, _ in etree.iterwalk(element, events=("start", "end")):
        if event == "end":
            depth -= 1
            continue
        depth += 1
        size += 1
        if depth > MAX_DEPTH or size > MAX_EXTENSION_ELEMENTS:
            raise BadValue(
                "is an extension too deep or too large",
                expected=f"at most {MAX_EXTENSION_ELEMENTS} elements, {MAX_DEPTH} deep",
            )
    return size


def _canonical(element: etree._Element) -> str:
    """The canonical form of an element: a document of its own."""
    try:
        return etree.tostring(element, method="c14n", exclusive=True).decode()
    except etree.C14NError:
        raise BadValue(
            "is an extension without canonical form", expected="a namespace whose name is an absolute URI"
        ) from None


def _some_elements(cls: type[Element]) -> str:
    names = [field.name for field in fields(cls) if not field.attribute]
    return f"one of {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "none"


# Encoding.
@functools.cache
def _writer(cls: type[Element], name: str, root: bool, stated: bool, extensions: bool) -> _Write:
    """The function that writes a value of a class as an element `name`.

    `root` declares the namespaces, `stated` gives the class by xsi:type, `extensions` writes those too.
    """
    opening = f"<{name}"
    if root:
        opening += f' xmlns="{NAMESPACE}"'
        if _has_polymorphic(cls):
            opening += f' xmlns:xsi="{_XSI}"'
    if stated:
        opening += f' xsi:type="{cls.__name__}"'
    closing = f"</{name}>"
    writers = {field.name: _field_writer(field, extensions) for field in fields(cls)}
    writers["extensions"] = "".join if extensions else _nothing

    # Values are kept in schema order, attributes first, so that they are written as they come. The first "<"
    # is where the attributes end: in their values it is escaped.
    def write(value: Element) -> str:
        text = "".join([writers[name](item) for name, item in value.__dict__.items()])
        end = text.find("<")
        if end < 0:
            return f"{opening}{text}/>"
        if end:
            return f"{opening}{text[:end]}>{text[end:]}{closing}"
        return f"{opening}>{text}{closing}"

    return write


def _nothing(extensions: tuple[str, ...]) -> str:
    return ""


def _field_writer(field: Field, extensions: bool) -> _Write:
    if field.attribute:
        return lexical.writer(field, f' {field.name}="', '"')
    if field.form is not None:
        return lexical.writer(field, f"<{field.name}>", f"</{field.name}>")
    cls: type[Element] = field.type
    if field.polymorphic:
        write = _polymorphic_writer(field, extensions)
    else:
        write = _writer(cls, field.name, False, False, extensions)
    if field.occurs is None:
        return write

    def write_all(values: tuple[Element, ...]) -> str:
        return "".join([write(value) for value in values])

    return write_all


def _polymorphic_writer(field: Field, extensions: bool) -> _Write:
    def write(value: Element) -> str:
        return _writer(type(value), field.name, False, True, extensions)(value)

    return write


def _has_polymorphic(cls: type[Element]) -> bool:
    return any(
        field.polymorphic or (field.form is None and _has_polymorphic(field.type)) for field in fields(cls)
    )


# Checking.
def _check(value: Element, path: str) -> None:
    for field in fields(type(value)):
        given = value.__dict__.get(field.name)
        at = f"{path}/{'@' if field.attribute else ''}{field.name}"
        if given is None:
            if field.required:
                raise BadValue(f"has no {field.name}", path, f"one, as every {type(value).__name__} has")
        elif field.occurs is None:
            _check_one(field, given, at)
        else:
            if not isinstance(given, tuple):
                raise BadValue(f"is {type(given).__name__}", at, "tuple")
            least, most = field.occurs.least, field.occurs.most
            if not least <= len(given) <= (most or len(given)):
                raise BadValue(f"has {len(given)} members", at, f"{least} to {most or 'any number'}")
            for number, member in enumerate(given, 1):
                _check_one(field, member, f"{at}[{number}]")
    for extension in value.extensions:
        _check_extension(type(value), extension, path)
    if (flaw := value.flaw()) is not None:
        raise BadValue(flaw, path)


def _check_one(field: Field, value: Any, path: str) -> None:
    if field.form is not None:
        if (flaw := lexical.flaw(field, value)) is not None:
            raise BadValue(flaw, path, lexical.expected(field))
    elif not isinstance(value, field.type):
        raise BadValue(f"is {type(value).__name__}", path, field.type.__name__)
    else:
        _check(value, path)


def _check_extension(cls: type[Element], extension: str, path: str) -> None:
    kept: list[str] = []
    try:
        document = extension.encode()
        _check_size(document, MAX_EXTENSION_CHARACTERS)
        element = _parse(document)
        _Extensions().keep(element, cls, _later_names(cls), kept)
    except DocumentError as refused:
        raise BadValue(f"has an extension that {refused.wrong}", path, refused.expected) from None
    if kept != [extension]:
        raise BadValue("has an extension that is not in canonical form", path, "the canonical form")
