"""The commands of a document: what stands in its fenced blocks, with the lines they stand in."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen

_FENCE = re.compile(r"^( *)```(\w*)$")


@frozen
class Block:
    """A fenced block.

    :param language: `sh` is run, `host` are commands that change the machine, all else is no command
    :param line: the number of its first line, from 1
    """

    language: str
    line: int
    lines: tuple[str, ...]

    @property
    def commands(self) -> int:
        """How many commands there are, as a reader counts: what goes on in a further line is one."""
        text = re.sub(r"\\\n\s*", " ", "\n".join(self.lines))
        text = re.sub(r"<<'?(\w+)'?\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
        return sum(bool(line.strip()) and line[0] not in " #" for line in text.splitlines())


def blocks(text: str) -> list[Block]:
    """All fenced blocks. ValueError for one that is not closed, or that does not say what it is."""
    found: list[Block] = []
    opened: tuple[str, int, str] | None = None
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        indent, language = fence.groups()
        if opened is None:
            if not language:
                raise ValueError(f"line {number}: a block does not say what it is, sh for example")
            opened = (indent, number, language)
        else:
            found.append(Block(opened[2], opened[1] + 1, tuple(lines[opened[1] : number - 1])))
            opened = None
    if opened is not None:
        raise ValueError(f"line {opened[1]}: the block is not closed")
    return found


def indented(text: str) -> list[int]:
    """The lines of code that is only indented, outside of fences and lists: it would escape the tests."""
    fenced = False
    found = []
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and line.startswith("    ") and not before.strip():
            found.append(number)
        before = line
    return found


def script(path: Path) -> str:
    """The `sh` blocks of a document as one script, each line at the number that it has in the document."""
    text = path.read_text()
    lines = [""] * len(text.splitlines())
    for block in blocks(text):
        if block.language == "sh":
            lines[block.line - 1 : block.line - 1 + len(block.lines)] = block.lines
    return "\n".join(lines) + "\n"
