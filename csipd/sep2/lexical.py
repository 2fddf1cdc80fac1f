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
from csipd.sep2.types import (
    Bool,
    Constraint,
    Hexadecimal,
    Integer,
    Range,
    ReasonCode,
    Reference,
    ShortBits,
    Text,
    short_bits,
)

Parser = Callable[[str | None], Any]

BLANKS = " \t\r\n"  # what XML takes for white space
_HEX = "0123456789ABCDEFabcdef"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DIGITS = 20  # of the greatest UInt64, and more than any value needs
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


class DocumentError(ValueError):
    """A document or a value that is not taken.

    `str()` is one line for a log: the path, what was wrong there, what was expected. Text that came from a
    peer is cut, and what a line cannot hold is escaped.

    :ivar path: of the element or attribute, such as /DERList/DER[2]/DERStatusLink/@href, counted from 1
        among elements of one name; empty where the document has no elements yet
    :ivar wrong: what was wrong, to follow the path as a sentence: "is '%'", "has no mRID"
    :ivar expected: what was expected, to follow the word "expected"; empty where `wrong` says it
    """

    reason: ClassVar[ReasonCode]

    def __init__(self, wrong: str, path: str = "", expected: str = "") -> None:
        super().__init__(wrong, path, expected)
        self.wrong = wrong
        self.path = path
        self.expected = expected

    @property
    def message(self) -> str:
        """What was wrong and what was expected, without the path."""
        return f"{self.wrong}, expected {self.expected}" if self.expected else self.wrong

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" if self.path else self.message
        return text if text.isprintable() else text.encode("unicode_escape").decode()


class Malformed(DocumentError):
    """Not XML, or not valid by the schema."""

    reason = ReasonCode.INVALID_FORMAT


class BadValue(DocumentError):
    """Valid by the schema, but a range or rule that the schema does not state is broken."""

    reason = ReasonCode.INVALID_VALUES


def quoted(text: str) -> str:
    """A peer's text, cut to what an error message may hold."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def expected(field: Field) -> str:
    """What the text of a simple field may be, to follow the word "expected"."""
    match field.form:
        case Integer():
            least, most = bounds(field)
            meanings = "".join(
                f": {rule.meaning}" for rule in field.constraints if isinstance(rule, Constraint)
            )
            return f"an integer from {least} to {most}{meanings}"
        case Hexadecimal(octets):
            return f"at most {2 * octets} hexadecimal digits"
        case Text(None):
            return "text"
        case Text(longest):
            return f"at most {longest} characters"
        case Reference():
            return "a URI reference (RFC 3986)"
        case Bool():
            return "true or false"
    raise TypeError(f"{field.name} is no simple value")


def bounds(field: Field) -> tuple[int, int]:
    """The least and the greatest value of an integer field, by its form and its rules."""
    ranges = [form for form in (field.form, *field.constraints) if isinstance(form, Integer | Range)]
    return max(each.least for each in ranges), min(each.most for each in ranges)


def parser(field: Field) -> Parser:
    """The function that reads a simple field's text; None is the text of an empty element."""
    match field.form:
        case Integer() as form:
            return _integer(form, field)
        case Hexadecimal() as form:
            return _hexadecimal(form, field)
        case Text() as form:
            return _text(form, field)
        case Reference():
            return _reference
        case Bool():
            return _truth
    raise TypeError(f"{field.name} is no simple value")


def _integer(form: Integer, field: Field) -> Parser:
    least, most = bounds(field)
    wanted = expected(field)

    def parse(text: str | None) -> int:
        if text is None or not (text.isdigit() and text.isascii()):
            text = (text or "").strip(BLANKS)
            if not _INTEGER.fullmatch(text):
                raise Malformed(f"is {quoted(text)}", expected=wanted)
        # Python's time for a number is not linear in its digits, and leading zeros are legal.
        value = int(text) if len(text) <= _DIGITS else _long_integer(text, form.most + 1)
        if least <= value <= most:
            return value
        if form.least <= value <= form.most:
            raise BadValue(f"is {value}", expected=wanted)
        raise Malformed(f"is {quoted(text)}", expected=wanted)

    rule = next((rule for rule in field.constraints if isinstance(rule, Constraint)), None)
    return parse if rule is None else _ruled(parse, rule, wanted)


def _long_integer(text: str, too_large: int) -> int:
    """The value of an integer of many digits; `too_large` if they are not only leading zeros."""
    digits = text.lstrip("+-").lstrip("0")
    if len(digits) > _DIGITS:
        return too_large
    return -int(digits or "0") if text[0] == "-" else int(digits or "0")


def _ruled(parse: Callable[[str | None], int], rule: Constraint, wanted: str) -> Parser:
    def parse_ruled(text: str | None) -> int:
        value = parse(text)
        if not rule.holds(value):
            raise BadValue(f"is {value}", expected=wanted)
        return value

    return parse_ruled


def _hexadecimal(form: Hexadecimal, field: Field) -> Parser:
    digits = 2 * form.octets
    wanted = expected(field)

    def clean(text: str | None) -> str:
        text = (text or "").strip(BLANKS)
        if text.strip(_HEX):
            raise Malformed(f"is {quoted(text)}", expected=wanted)
        if len(text) > digits:
            raise Malformed(f"has {len(text)} digits", expected=wanted)
        return text

    def parse_bits(text: str | None) -> int:
        if text and len(text) == digits and not text.strip(_HEX):
            return int(text, 16)
        text = clean(text)
        octets = (len(text) + 1) // 2
        value = int(text or "0", 16)
        return value if octets == form.octets else short_bits(value, octets)

    def parse_identifier(text: str | None) -> str:
        if text is None or len(text) != digits or text.strip(_HEX):
            text = clean(text).zfill(digits)
        return text.upper()

    return parse_bits if field.type is int else parse_identifier


def _text(form: Text, field: Field) -> Parser:
    longest = form.longest
    wanted = expected(field)

    def parse(text: str | None) -> str:
        if text is None:
            return ""
        if longest is not None and len(text) > longest:
            raise Malformed(f"has {len(text)} characters", expected=wanted)
        return text

    return parse


def _reference(text: str | None) -> str:
    if text is not None and _PLAIN_PATH.fullmatch(text):  # as nearly all are
        return text
    text = _collapsed(text or "")
    if not _REFERENCE.fullmatch(text):
        raise Malformed(f"is {quoted(text)}", expected="a URI reference (RFC 3986)")
    return text


def _collapsed(text: str) -> str:
    return re.sub(f"[{BLANKS}]+", " ", text).strip(" ")


def _truth(text: str | None) -> bool:
    value = _TRUTH.get(text or "")
    if value is None:
        value = _TRUTH.get((text or "").strip(BLANKS))
    if value is None:
        raise Malformed(f"is {quoted(text or '')}", expected="true or false")
    return value


def writer(field: Field, before: str, after: str) -> Callable[[Any], str]:
    """The function that writes a simple field's value between two strings."""

    def write_plain(value: object) -> str:
        return f"{before}{value}{after}"

    def write_bits(value: int) -> str:
        if isinstance(value, ShortBits):
            text = f"{value:0{2 * value.octets}X}" if value.octets else ""
            return f"{before}{text}{after}"
        return f"{before}{value:0{digits}X}{after}"

    def write_text(value: str) -> str:
        return f"{before}{escaped(value)}{after}"

    match field.form:
        case Bool():
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
    """What is wrong with the value of a simple field, if anything; `expected` says what it may be."""
    if not isinstance(value, field.type) or (isinstance(value, bool) and field.type is not bool):
        return f"is {value!r:.60}, not of type {field.type.__name__}"
    return _form_flaw(field.form, value) or _rule_flaw(field.constraints, value)


def _form_flaw(form: Form | None, value: Any) -> str | None:
    match form:
        case Integer(least, most) if not least <= value <= most:
            return f"is {value}"
        case Hexadecimal(octets) if isinstance(value, int):
            if not 0 <= value < 1 << 8 * octets:
                return f"is {value:#x}"
        case Hexadecimal(octets) if len(value) != 2 * octets or value.strip(_HEX) or value != value.upper():
            return f"is {quoted(value)}, not of full width in upper case"
        case Text(longest) if longest is not None and len(value) > longest:
            return f"has {len(value)} characters"
        case Reference() if value != _collapsed(value) or not _REFERENCE.fullmatch(value):
            return f"is {quoted(value)}"
    if isinstance(value, str) and (found := _NOT_XML.search(value)):
        return f"has the character {found.group()!r}, which XML cannot carry"
    return None


def _rule_flaw(constraints: tuple[Range | Constraint, ...], value: int) -> str | None:
    for rule in constraints:
        match rule:
            case Range(least, most) if not least <= value <= most:
                return f"is {value}"
            case Constraint(holds) if not holds(value):
                return f"is {value}"
    return None
