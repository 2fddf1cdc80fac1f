"""Simple values and their text: what a form and its rules accept, and how a value is written.

`parser` gives a function from text to value, made once for each field. It raises `Malformed` for what the
schema refuses and `BadValue` for what only the standard's text does; `flaw` says the same of a value that has
no text yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from csipd.sep2.schema import Field, Form
from csipd.sep2.types import Hexadecimal, Integer, ReasonCode, Reference, Rule, Text, Truth, Within

Parser = Callable[[str | None], Any]

BLANKS = " \t\r\n"  # what XML takes for white space
_HEX = "0123456789ABCDEFabcdef"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
# A URI reference (RFC 3986); what is not ASCII and what XML Schema escapes (blanks, quotes) may stand in it.
# Python and JSON Schema (ECMA-262) read this the same, for text without line breaks.
REFERENCE = (
    r"(?![\s\S]*%(?![0-9A-Fa-f]{2}))"  # two digits after every percent sign
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:|(?![^/?#]*:))"  # a scheme, or no colon before the first slash
    r"(?://(?:[^/?#\[\]@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^/?#\[\]@:]*)(?::[0-9]+)?(?=[/?#]|$)|(?!//))"
    r"[^?#\[\]]*(?:\?[^#\[\]]*)?(?:#[^#\[\]]*)?"  # path, query, fragment
)
_REFERENCE = re.compile(REFERENCE)
_PLAIN_PATH = re.compile("/[A-Za-z0-9/._~-]*")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Refused(ValueError):
    """A document or a value that is not taken: `message` about the element or attribute at `path`."""

    reason: ClassVar[ReasonCode]

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Malformed(Refused):
    """Not XML, or not valid by the schema."""

    reason = ReasonCode.INVALID_FORMAT


class BadValue(Refused):
    """Valid by the schema, but a range or rule that the schema does not state is broken."""

    reason = ReasonCode.INVALID_VALUES


def shown(text: str) -> str:
    """A peer's text, cut to what an error message may hold."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def parser(field: Field) -> Parser:
    """The function that reads a simple field's text; None is the text of an empty element."""
    match field.form:
        case Integer() as form:
            return _integer(form, field.rules)
        case Hexadecimal() as form:
            return _hexadecimal(form, field.type)
        case Text() as form:
            return _text(form)
        case Reference():
            return _reference
        case Truth():
            return _truth
    raise TypeError(f"{field.name} is no simple value")


def _integer(form: Integer, rules: tuple[Within | Rule, ...]) -> Parser:
    bounds = next((rule for rule in rules if isinstance(rule, Within)), form)
    least, most = bounds.least, bounds.most

    def parse(text: str | None) -> int:
        if text is None or not (text.isdigit() and text.isascii()):
            text = (text or "").strip(BLANKS)
            if not _INTEGER.fullmatch(text):
                raise Malformed(f"{shown(text)} is not an integer")
        try:
            value = int(text)
        except ValueError:  # more digits than Python converts
            value = form.most + 1
        if least <= value <= most:
            return value
        if form.least <= value <= form.most:
            raise BadValue(f"{value} is not from {least} to {most}")
        raise Malformed(f"{shown(text)} is not from {form.least} to {form.most}")

    rule = next((rule for rule in rules if isinstance(rule, Rule)), None)
    return parse if rule is None else _ruled(parse, rule)


def _ruled(parse: Callable[[str | None], int], rule: Rule) -> Parser:
    def parse_ruled(text: str | None) -> int:
        value = parse(text)
        if not rule.holds(value):
            raise BadValue(f"{value} must {rule.demand}")
        return value

    return parse_ruled


def _hexadecimal(form: Hexadecimal, kind: type[Any]) -> Parser:
    digits = 2 * form.octets

    def clean(text: str | None) -> str:
        text = (text or "").strip(BLANKS)
        if text.strip(_HEX) or len(text) % 2:
            raise Malformed(f"{shown(text)} is not pairs of hexadecimal digits")
        if len(text) > digits:
            raise Malformed(f"{len(text) // 2} octets are more than {form.octets}")
        return text

    def parse_bits(text: str | None) -> int:
        if not text or len(text) != digits or text.strip(_HEX):
            text = clean(text) or "0"
        return int(text, 16)

    def parse_identifier(text: str | None) -> str:
        if text is None or len(text) != digits or text.strip(_HEX):
            text = clean(text).zfill(digits)
        return text.upper()

    return parse_bits if kind is int else parse_identifier


def _text(form: Text) -> Parser:
    longest = form.longest

    def parse(text: str | None) -> str:
        if text is None:
            return ""
        if longest is not None and len(text) > longest:
            raise Malformed(f"{len(text)} characters are more than {longest}")
        return text

    return parse


def _reference(text: str | None) -> str:
    if text is not None and _PLAIN_PATH.fullmatch(text):  # as nearly all are
        return text
    text = _collapsed(text or "")
    if not _REFERENCE.fullmatch(text):
        raise Malformed(f"{shown(text)} is not a URI reference")
    return text


def _collapsed(text: str) -> str:
    return re.sub(f"[{BLANKS}]+", " ", text).strip(" ")


def _truth(text: str | None) -> bool:
    value = _TRUTH.get(text or "")
    if value is None:
        value = _TRUTH.get((text or "").strip(BLANKS))
    if value is None:
        raise Malformed(f"{shown(text or '')} is neither true nor false")
    return value


def writer(field: Field, before: str, after: str) -> Callable[[Any], str]:
    """The function that writes a simple field's value between two strings."""

    def write_plain(value: object) -> str:
        return f"{before}{value}{after}"

    def write_bits(value: int) -> str:
        return f"{before}{value:0{digits}X}{after}"

    def write_text(value: str) -> str:
        return f"{before}{escaped(value)}{after}"

    match field.form:
        case Truth():
            return {True: f"{before}true{after}", False: f"{before}false{after}"}.__getitem__
        case Hexadecimal(octets) if field.type is int:
            digits = 2 * octets
            return write_bits
        case Text() | Reference():
            return write_text
    return write_plain


def escaped(text: str) -> str:
    """Text as it stands between tags, and between quotes where it has no line breaks."""
    if "&" in text or "<" in text or ">" in text or '"' in text or "\r" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace('"', "&quot;").replace("\r", "&#13;")
    return text


def flaw(field: Field, value: Any) -> str | None:
    """What is wrong with the value of a simple field, if anything."""
    if not isinstance(value, field.type) or (isinstance(value, bool) and field.type is not bool):
        return f"{value!r:.60} is not of type {field.type.__name__}"
    return _form_flaw(field.form, value) or _rule_flaw(field.rules, value)


def _form_flaw(form: Form | None, value: Any) -> str | None:
    match form:
        case Integer(least, most) if not least <= value <= most:
            return f"{value} is not from {least} to {most}"
        case Hexadecimal(octets) if isinstance(value, int):
            if not 0 <= value < 1 << 8 * octets:
                return f"{value:#x} does not fit {octets} octets"
        case Hexadecimal(octets) if len(value) != 2 * octets or value.strip(_HEX) or value != value.upper():
            return f"{shown(value)} is not {2 * octets} hexadecimal digits in upper case"
        case Text(longest) if longest is not None and len(value) > longest:
            return f"{len(value)} characters are more than {longest}"
        case Reference() if value != _collapsed(value) or not _REFERENCE.fullmatch(value):
            return f"{shown(value)} is not a URI reference"
    if isinstance(value, str) and (found := _NOT_XML.search(value)):
        return f"XML cannot carry the character {found.group()!r}"
    return None


def _rule_flaw(rules: tuple[Within | Rule, ...], value: int) -> str | None:
    for rule in rules:
        match rule:
            case Within(least, most) if not least <= value <= most:
                return f"{value} is not from {least} to {most}"
            case Rule(holds, demand) if not holds(value):
                return f"{value} must {demand}"
    return None
