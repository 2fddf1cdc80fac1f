"""Typed reading of one mapping of the file, every error with its line and key.

A *reader* is a function from a node to a value that raises :exc:`InvalidValue` for a node it does not like.
:class:`Fields` applies readers to the keys of one mapping and reports what goes wrong; a key that no
reader asked for is unknown. So the code that reads a section is also the only list of its keys.

Scalars are read strictly and as written: an integer is decimal digits (no ``0x``, ``_``, leading zero
or base sixty), a boolean one of YAML's own words without quotes, text anything but a list or mapping.
An empty value (``key:``) counts as a key that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from ipaddress import ip_address
from itertools import islice
from typing import TypeVar

from csipd.config.codes import NamedCodes
from csipd.config.document import TYPE_NAMES, Mapping, Node, Scalar, Sequence
from csipd.config.problems import Problems, shown
from csipd.sep2.rules import Flaw

T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E", bound=Enum)

Reader = Callable[[Node], T]

#: Names that a wrong one is compared with; a fleet's are too many.
_COMPARED = 500

MISSING = "expected this key, found none"

_DIGITS = re.compile(r"[+-]?[0-9]+")
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+(%[0-9A-Za-z_.-]+)?")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_TRUE = frozenset(("true", "yes", "on"))
_FALSE = frozenset(("false", "no", "off"))


class InvalidValue(Exception):
    """A node that a reader does not take.

    :param expected: what it takes, to follow the word "expected"
    :param hint: a sentence of advice
    """

    def __init__(self, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint

    def message(self, node: Node) -> str:
        got = shown(node.text) if isinstance(node, Scalar) else TYPE_NAMES[type(node)]
        return f"expected {self.expected}, got {got}" + (f"; {self.hint}" if self.hint else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known word, or nothing."""
    folded = {name.casefold(): name for name in islice(known, _COMPARED)}
    near = get_close_matches(word.casefold()[:60], folded, n=1)
    return f"did you mean {shown(folded[near[0]])}?" if near else ""


def scalar(node: Node, expected: str) -> Scalar:
    if not isinstance(node, Scalar):
        raise InvalidValue(expected)
    return node


def text(longest: int, what: str = "text") -> Reader[str]:
    """Text of 1 to ``longest`` characters, without line breaks."""

    def read(node: Node) -> str:
        expected = f"{what} of at most {longest} characters, in one line"
        written = scalar(node, expected).text
        if not 0 < len(written) <= longest or not written.isprintable():
            raise InvalidValue(expected)
        return written

    return read


def matching(pattern: str, expected: str) -> Reader[str]:
    """Text that a regular expression matches in whole."""
    compiled = re.compile(pattern)

    def read(node: Node) -> str:
        written = scalar(node, expected).text
        if compiled.fullmatch(written) is None:
            raise InvalidValue(expected)
        return written

    return read


def integer(low: int, high: int) -> Reader[int]:
    """A decimal integer within bounds, unquoted."""

    def read(node: Node) -> int:
        expected = f"an integer {low}..{high}"
        written = scalar(node, expected)
        if written.quoted or _INTEGER.fullmatch(written.text) is None:
            raise InvalidValue(expected)
        if not low <= (value := int(written.text)) <= high:
            raise InvalidValue(expected)
        return value

    return read


def is_number(node: Node) -> bool:
    """Whether a node can only be meant as an integer."""
    return isinstance(node, Scalar) and not node.quoted and _DIGITS.fullmatch(node.text) is not None


def number(node: Node) -> Decimal:
    """A decimal number, exactly, unquoted."""
    written = scalar(node, "a number")
    if written.quoted or _NUMBER.fullmatch(written.text) is None:
        raise InvalidValue("a number")
    return Decimal(written.text)


def boolean(node: Node) -> bool:
    """One of YAML's words for true and false, unquoted."""
    written = scalar(node, "true or false")
    word = written.text.casefold()
    if written.quoted or word not in _TRUE | _FALSE:
        raise InvalidValue("true or false")
    return word in _TRUE


def hexadecimal(octets: int, expected: str = "") -> Reader[int]:
    """1 to ``2 * octets`` hexadecimal digits, quoted or not; no ``0x``."""
    expected = expected or f"1 to {2 * octets} hexadecimal digits"

    def read(node: Node) -> int:
        written = scalar(node, expected).text
        if _HEX.fullmatch(written) is None or len(written) > 2 * octets:
            raise InvalidValue(expected)
        return int(written, 16)

    return read


def fixed_hex(octets: int, what: str) -> Reader[str]:
    """Exactly ``octets`` octets, which may be parted by colons, dashes or blanks -> upper-case digits."""

    def read(node: Node) -> str:
        expected = f"{what}, {2 * octets} hexadecimal digits"
        digits = re.sub("[-: ]", "", scalar(node, expected).text)
        if _HEX.fullmatch(digits) is None or len(digits) != 2 * octets:
            raise InvalidValue(expected)
        return digits.upper()

    return read


def host(node: Node) -> str:
    """An IP address or a host name."""
    expected = "an IP address or a host name"
    written = scalar(node, expected).text
    if not is_host(written):
        raise InvalidValue(expected)
    return written


def is_host(written: str) -> bool:
    """Whether text can be an IP address or a host name; what ends in a number is no name (RFC 1123 2.1)."""
    if is_address(written):
        return True
    labels = written.split(".")
    return len(written) <= 253 and not labels[-1].isdecimal() and all(map(_LABEL.fullmatch, labels))


def address(node: Node) -> str:
    """An IP address."""
    written = scalar(node, "an IP address").text
    if not is_address(written):
        raise InvalidValue("an IP address")
    return written


def is_address(written: str) -> bool:
    """Whether text is an IP address; the scope of one (``fe80::1%eth0``) is held to a name's characters."""
    if _ADDRESS.fullmatch(written) is None:
        return False
    try:
        ip_address(written)
    except ValueError:
        return False
    return True


def word_of(kind: type[E]) -> Reader[E]:
    """A member of an enumeration whose values are words of the file."""
    words = {member.value: member for member in kind}

    def read(node: Node) -> E:
        expected = "one of " + ", ".join(words)
        written = scalar(node, expected).text
        if written not in words:
            raise InvalidValue(expected, did_you_mean(written, words))
        return words[written]

    return read


def code_of(words: NamedCodes, what: str) -> Reader[int]:
    """A code of the standard, by one of its words or as a number; case and underscores do not matter."""
    plain = {_plain(word): code for word, code in words.items()}
    numbers = {str(int(code)): int(code) for code in words.values()}

    def read(node: Node) -> int:
        written = scalar(node, f"{what}, by name or number").text
        found = numbers.get(written, plain.get(_plain(written)))
        if found is None:
            raise InvalidValue(f"{what}, by name or number", did_you_mean(written, words))
        return int(found)

    return read


def _plain(word: str) -> str:
    return word.replace("_", "").casefold()


def name_of(what: str, known: Collection[str]) -> Reader[str]:
    """The name of something that the file declares elsewhere."""

    known = dict.fromkeys(known)

    def read(node: Node) -> str:
        expected = f"the {what} in this file"
        written = scalar(node, expected).text
        if written not in known:
            raise InvalidValue(expected, did_you_mean(written, known))
        return written

    return read


class Fields:
    """One mapping of the file, read key by key.

    :param path: of the mapping, such as ``devices[0]``; empty for the file's outermost one
    :ivar asked: the keys that were asked for so far, which are those that may be given
    """

    def __init__(self, problems: Problems, node: Mapping, path: str = "") -> None:
        self.problems = problems
        self.path = path
        self.line = node.line
        self._items = node.items
        self.asked: set[str] = set()

    def key(self, key: str) -> str:
        """The path of a key of this mapping."""
        return f"{self.path}.{key}" if self.path else key

    def node(self, key: str) -> Node | None:
        """What the key holds; ``None`` when it is absent or empty."""
        self.asked.add(key)
        found = self._items.get(key)
        return None if found is None or found[1].is_null else found[1]

    def has(self, key: str) -> bool:
        """Whether the key is there and not empty."""
        return self.node(key) is not None

    def error(self, key: str, message: str) -> None:
        self.problems.error(self.line_of(key), self.key(key), message)

    def warn(self, key: str, message: str) -> None:
        self.problems.warn(self.line_of(key), self.key(key), message)

    def get(self, key: str, read: Reader[T], default: D) -> T | D:
        """The key's value, or ``default`` where it is absent or wrong; what is wrong is reported."""
        node = self.node(key)
        if node is None:
            return default
        try:
            return read(node)
        except InvalidValue as wrong:
            self.problems.error(self.line_of(key), self.key(key), wrong.message(node))
            return default

    def need(self, key: str, read: Reader[T], stand_in: D) -> T | D:
        """Like :meth:`get` of a key that must be there; ``stand_in`` only lets the reading go on."""
        if not self.has(key):
            self.error(key, MISSING)
        return self.get(key, read, stand_in)

    def listed(self, key: str, read: Reader[T]) -> tuple[T, ...]:
        """The values of a list of scalars, each once; what is wrong or doubled is reported and left out."""
        values: dict[T, None] = {}
        for path, node in self._members(key):
            try:
                value = read(node)
            except InvalidValue as wrong:
                self.problems.error(node.line, path, wrong.message(node))
                continue
            if value in values:
                self.problems.error(node.line, path, "given twice")
            values[value] = None
        return tuple(values)

    def section(self, key: str) -> Fields | None:
        """The mapping that the key holds, or ``None``; anything else that it holds is reported."""
        node = self.node(key)
        if node is None:
            return None
        if not isinstance(node, Mapping):
            self.error(key, InvalidValue("a mapping").message(node))
            return None
        return Fields(self.problems, node, self.key(key))

    def size(self, key: str) -> int | None:
        """How many items a list has; ``None`` for what is no list."""
        node = self.node(key)
        return len(node.items) if isinstance(node, Sequence) else None

    def each(self, key: str) -> Iterator[Fields]:
        """The mappings of a list; an empty item (``-``) is an empty mapping."""
        for path, node in self._members(key):
            if isinstance(node, Mapping):
                yield Fields(self.problems, node, path)
            elif node.is_null:
                yield Fields(self.problems, Mapping(node.line, {}), path)
            else:
                self.problems.error(node.line, path, InvalidValue("a mapping").message(node))

    def scalars(self) -> Iterator[tuple[str, int, str]]:
        """Path, line and text of each single value of this mapping, and of lists in it; of others no text."""
        for key, (line, node) in self._items.items():
            yield self.key(key), line, node.text if isinstance(node, Scalar) else ""
            for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
                if isinstance(item, Scalar):
                    yield f"{self.key(key)}[{index}]", item.line, item.text

    def close(self) -> None:
        """Report every key that nothing asked for."""
        for key, (line, _) in self._items.items():
            if key not in self.asked:
                hint = did_you_mean(key, sorted(self.asked)) or self._expected()
                self.problems.error(line, self.key(key[:60]), f"unknown key; {hint}")

    def _expected(self) -> str:
        known = sorted(self.asked)
        return "expected one of " + ", ".join(known if len(known) <= 15 else [*known[:15], "..."])

    def _members(self, key: str) -> Iterator[tuple[str, Node]]:
        node = self.node(key)
        if node is None:
            return
        if not isinstance(node, Sequence):
            self.error(key, InvalidValue("a list").message(node))
            return
        for index, item in enumerate(node.items):
            yield f"{self.key(key)}[{index}]", item

    def find(self, path: Iterable[str | int]) -> tuple[int, str]:
        """The line and key of what stands at a path below this mapping, or of the nearest thing around it.

        Names of the path are keys, numbers places in a list counted from 0.
        """
        line, key = self.line, self.path
        at: Node = Mapping(self.line, self._items)
        for step in path:
            if isinstance(at, Mapping) and isinstance(step, str):
                key = f"{key}.{step}" if key else step
                if step not in at.items:
                    break
                line, at = at.items[step]
            elif isinstance(at, Sequence) and isinstance(step, int) and step < len(at.items):
                at = at.items[step]
                line, key = at.line, f"{key}[{step}]"
            else:
                break
        return line, key

    def flaws(self, flaws: Iterable[Flaw]) -> None:
        """Report what is wrong by the standard, in values that were read from this mapping."""
        for flaw in flaws:
            report = self.problems.warn if flaw.doubtful else self.problems.error
            report(*self.find(flaw.path), flaw.message)

    def line_of(self, key: str) -> int:
        """The line of a key; that of the mapping where the key is not there."""
        found = self._items.get(key)
        return found[0] if found is not None else self.line


def once(source: Fields, key: str, value: str, seen: dict[str, int]) -> None:
    """Note that an entry has this name; report it when an earlier one had it."""
    if value in seen:
        source.error(key, f"{shown(value)} is given twice, first in line {seen[value]}")
    elif value:
        seen[value] = source.line_of(key)
