"""YAML text -> nodes that know their lines and keep every scalar as it was written.

PyYAML's own constructor would read ``pin: 011111`` as octal, ``10:30`` as a number of base sixty and
``no`` as a boolean, and would forget where each of them stood. So only PyYAML's parser is used; what a
scalar means is decided by the key it is given for (:mod:`csipd.config.fields`).

Accepted: one document of block or flow mappings, lists and scalars, anchors, aliases and merge keys
(``<<``). Refused: tags other than those of plain text, lists and mappings, keys that are not scalars,
a key given twice, and texts that grow out of bounds in size, depth or by their aliases.
"""

from __future__ import annotations

from typing import Final

import yaml
from attrs import Factory, define, field, frozen

from csipd.config.problems import ConfigError, Problems, shown

#: Levels of lists and mappings in one another; the configuration itself needs seven.
MAX_DEPTH: Final = 32
#: Values in a document with every alias written out.
MAX_NODES: Final = 4_000_000

_TAGS = frozenset((None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"))
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))

# libyaml is ten times faster and is in every wheel of PyYAML; some distributions leave it out.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@frozen(eq=False)
class Scalar:
    """One scalar as written, without its quotes; ``quoted`` also covers block text (``|``, ``>``)."""

    line: int
    text: str
    quoted: bool

    @property
    def is_null(self) -> bool:
        return not self.quoted and self.text in _NULLS


@frozen(eq=False)
class Sequence:
    line: int
    items: tuple[Node, ...]
    is_null: bool = field(default=False, init=False)


@frozen(eq=False)
class Mapping:
    """Keys as written, each with the line it stands in and its value."""

    line: int
    items: dict[str, tuple[int, Node]]
    is_null: bool = field(default=False, init=False)


TYPE_NAMES: Final = {Scalar: "a single value", Sequence: "a list", Mapping: "a mapping"}

Node = Scalar | Sequence | Mapping


def parse(text: str, problems: Problems) -> Node | None:
    """Read one YAML document; ``None`` when it is empty.

    A key that is given twice is reported and the first one kept, so that reading can go on.

    :raises ConfigError: for text that is no YAML, or none that is accepted here
    """
    if (control := yaml.reader.Reader.NON_PRINTABLE.search(text)) is not None:
        line = text.count("\n", 0, control.start()) + 1
        raise _failure(problems, line, f"expected text, got the character U+{ord(control.group()):04X}")
    composer = _Composer(problems)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 0
        if mark is not None:
            composer.bound_flow(text[composer.taken : mark.index], line)
        raise _failure(problems, line, f"not YAML: {_sentence(error)}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets the plain errors of chr() and int() through for escapes and versions out of range.
        raise _failure(problems, 0, f"not YAML: {type(error).__name__}") from None
    return composer.root


def _sentence(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return " ".join(", ".join(parts).split()) or "cannot be read"


def _failure(problems: Problems, line: int, message: str, key: str = "") -> ConfigError:
    return ConfigError((problems.problem(line, key, message),))


@define(eq=False)
class _Frame:
    """A list or mapping that is still open."""

    line: int
    anchor: str | None
    mapping: bool
    weight: int = 1
    values: list[Node] = Factory(list)
    items: dict[str, tuple[int, Node]] = Factory(dict)
    merged: dict[str, tuple[int, Node]] = Factory(dict)
    key: tuple[int, str] | None = None

    @property
    def where(self) -> str:
        if not self.mapping:
            return f"[{len(self.values)}]"
        return f".{self.key[1]}" if self.key else ""


class _Composer:
    """Parser events -> nodes, without recursion: the depth of a file is the user's, the stack is ours."""

    def __init__(self, problems: Problems) -> None:
        self.root: Node | None = None
        #: Characters of the text up to the end of the last event.
        self.taken = 0
        self._problems = problems
        self._open: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        self.taken = event.end_mark.index if event.end_mark is not None else self.taken
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._fail(line, "expected one YAML document, found a second one")
        elif isinstance(event, yaml.ScalarEvent):
            self._plain_tag(event.tag, line)
            scalar = Scalar(line, event.value, quoted=not event.implicit[0])
            self._remember(event.anchor, scalar, 1)
            self._add(scalar, 1)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._plain_tag(event.tag, line)
            self._bound_depth(len(self._open) + 1, line)
            self._open.append(_Frame(line, event.anchor, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(self._open.pop())
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._fail(line, f"alias *{event.anchor} names nothing that is complete before it")
            self._add(*self._anchors[event.anchor])

    def bound_flow(self, ahead: str, line: int) -> None:
        """Refuse text that the parser has read ahead and refused, where it is too deep.

        A ``[`` or ``{`` may begin a key, so that a parser reads up to 1,024 characters before it gives the
        first event. A parser with a bound of its own on nesting (newer releases of libyaml) refuses there,
        in its own words, before ``take`` can count.
        """
        depth = len(self._open)
        for character in ahead:
            depth += (character in "[{") - (character in "]}")
            self._bound_depth(depth, line)

    def _bound_depth(self, depth: int, line: int) -> None:
        if depth > MAX_DEPTH:
            raise self._fail(line, f"expected at most {MAX_DEPTH} levels in one another")

    def _close(self, frame: _Frame) -> None:
        node: Node
        if frame.mapping:
            node = Mapping(frame.line, {**frame.merged, **frame.items})
        else:
            node = Sequence(frame.line, tuple(frame.values))
        self._remember(frame.anchor, node, frame.weight)
        self._add(node, frame.weight)

    def _add(self, node: Node, weight: int) -> None:
        if not self._open:
            self.root = node
            return
        frame = self._open[-1]
        frame.weight += weight
        if frame.weight > MAX_NODES:
            raise self._fail(node.line, f"expected at most {MAX_NODES} values, aliases written out")
        if not frame.mapping:
            frame.values.append(node)
        elif frame.key is None:
            if not isinstance(node, Scalar):
                raise self._fail(node.line, f"expected the name of a key, got {TYPE_NAMES[type(node)]}")
            frame.key = (node.line, node.text)
        else:
            self._pair(frame, frame.key, node)
            frame.key = None

    def _pair(self, frame: _Frame, key: tuple[int, str], node: Node) -> None:
        line, name = key
        if name == "<<":
            for source in node.items if isinstance(node, Sequence) else (node,):
                if not isinstance(source, Mapping):
                    raise self._fail(line, "expected a mapping, or a list of mappings, to merge")
                for inherited, value in source.items.items():
                    frame.merged.setdefault(inherited, value)
        elif name in frame.items:
            first = frame.items[name][0]
            self._problems.error(line, self._path(), f"given twice, first in line {first}")
        else:
            frame.items[name] = (line, node)

    def _remember(self, anchor: str | None, node: Node, weight: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, weight)

    def _plain_tag(self, tag: str | None, line: int) -> None:
        if tag not in _TAGS:
            raise self._fail(line, f"expected a value without a tag, got {shown(tag or '')}")

    def _fail(self, line: int, message: str) -> ConfigError:
        return _failure(self._problems, line, message, self._path())

    def _path(self) -> str:
        return "".join(frame.where for frame in self._open).removeprefix(".")
