"""What ``csipctl`` prints: neutral parts -> tables on a terminal, plain columns in a pipe; or JSON.

Standard output has the answer and nothing else, standard error what is said about it. Text that devices or
other operators wrote is shown and never obeyed: neither the terminal nor rich takes commands from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

import click
from attrs import evolve, frozen
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from csipd.cli.ctl.client import Document
from csipd.cli.ctl.errors import printable

_WIDE = 100_000
"""Columns of what is no terminal: nothing is cut or wrapped there."""

_STYLES = {
    "active": "green",
    "registered": "green",
    "open": "bold red",
    "withdrawn": "red",
    "retired": "red",
    "cancelled": "yellow",
    "superseded": "yellow",
    "scheduled": "cyan",
}


@frozen
class Grid:
    """Rows under heads.

    :param headed: whether the heads are shown
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    headed: bool = True


@frozen
class Facts:
    """Names and values; what has no value is not shown."""

    pairs: tuple[tuple[str, str], ...]
    title: str = ""


@frozen
class Branch:
    """A line, and the branches below it."""

    label: str
    below: tuple[Branch, ...] = ()


Part = Grid | Facts | Branch | str


class Output:
    """Standard output and standard error of one run."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False)
        self.error_console = Console(highlight=False, stderr=True)

    def show(self, *parts: Part, goes_on: bool = False) -> None:
        """Parts one below the other, on standard output.

        :param goes_on: they go on with what was shown before: in a pipe there are no heads again
        """
        if self.console.is_terminal:
            self.console.print(self.drawn(*parts))
            return
        if goes_on:
            parts = tuple(evolve(part, headed=False) if isinstance(part, Grid) else part for part in parts)
        click.echo(self._plain(*parts), nl=False)

    def drawn(self, *parts: Part) -> RenderableType:
        """The same for whoever draws it: a live display."""
        return Group(*(_drawn(part, self.console.is_terminal) for part in parts))

    def json(self, document: object) -> None:
        """One JSON document of our own."""
        click.echo(json.dumps(document, ensure_ascii=False).encode())

    def document(self, document: Document, *parts: Part) -> None:
        """A document of the API: as it came where JSON is wanted, as these parts where not."""
        if self.as_json:
            click.echo(document.raw)
        else:
            self.show(*parts)

    def pages(self, pages: Iterable[Document]) -> None:
        """All items of all pages as one JSON document, written as they come."""
        before = '{"items": ['
        for page in pages:
            for item in page.value.get("items", ()):
                click.echo(f"{before}\n{json.dumps(item, ensure_ascii=False)}".encode(), nl=False)
                before = ","
        click.echo(("\n]}" if before == "," else f"{before}]}}").encode())

    def note(self, line: str) -> None:
        """A line on standard error."""
        click.echo(printable(line), err=True)

    def notes(self, *parts: Part) -> None:
        """Parts on standard error."""
        click.echo(self._plain(*parts), nl=False, err=True)

    def ask(self, question: str) -> bool:
        """Whether the operator says yes, asked on standard error; the end of input is a no."""
        click.echo(f"{printable(question)} [y/N] ", nl=False, err=True)
        sys.stderr.flush()
        answer = sys.stdin.readline() if sys.stdin else ""
        if not answer.endswith("\n"):
            click.echo(err=True)
        return answer.strip().lower() in ("y", "yes")

    @staticmethod
    def _plain(*parts: Part) -> str:
        console = Console(width=_WIDE, color_system=None, highlight=False, force_terminal=False)
        with console.capture() as captured:
            console.print(Group(*(_drawn(part, False) for part in parts)))
        return "".join(f"{line.rstrip()}\n" for line in captured.get().split("\n")[:-1])


def _drawn(part: Part, terminal: bool) -> RenderableType:
    match part:
        case Grid():
            table = Table(
                title=_title(part.title),
                title_justify="left",
                show_header=part.headed,
                box=box.SIMPLE_HEAD if terminal else None,
                pad_edge=False,
                padding=(0, 1 if terminal else 2, 0, 0),
            )
            for head in part.heads:
                table.add_column(_text(head), overflow="fold")
            for row in part.rows:
                table.add_row(*map(_text, row))
            return table
        case Facts():
            table = Table.grid(padding=(0, 2, 0, 0))
            table.title = _title(part.title)
            table.title_justify = "left"
            table.add_column(no_wrap=True, style="bold" if terminal else None)
            table.add_column(overflow="fold")
            for name, value in part.pairs:
                if value:
                    table.add_row(_text(name), _text(value))
            return table
        case Branch():
            return _tree(part, Tree(_text(part.label)))
        case str():
            return _text(part)


def _tree(branch: Branch, tree: Tree) -> Tree:
    for below in branch.below:
        _tree(below, tree.add(_text(below.label)))
    return tree


def _title(words: str) -> Text | None:
    return Text(printable(words), style="bold not italic") if words else None


def _text(words: str) -> Text:
    return Text(printable(words), style=_STYLES.get(words, ""))
