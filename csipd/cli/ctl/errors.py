"""How ``csipctl`` fails: the exit codes, and the one line that goes to standard error."""

from __future__ import annotations

import unicodedata
from enum import IntEnum
from typing import IO, Any

import click


class Code(IntEnum):
    """The exit codes of ``csipctl`` (docs/csipctl.md)."""

    DONE = 0
    REFUSED = 1  #: by the server (4xx), or what was asked of files here cannot be done
    USAGE = 2  #: click's own
    UNREACHABLE = 3  #: the server cannot be reached or trusted
    SERVER = 4  #: the server failed (5xx), or its answer makes no sense
    DECLINED = 5  #: the operator said no
    INTERRUPTED = 130


class Failure(click.ClickException):
    """Something that ends the command with a line on standard error."""

    exit_code = Code.REFUSED

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"csipctl: {self.message}", file=file, err=True)


class Unreachable(Failure):
    """No connection, or none that can be trusted."""

    exit_code = Code.UNREACHABLE


class ServerFailed(Failure):
    """The server could not do it, or its answer cannot be used."""

    exit_code = Code.SERVER


class Declined(Failure):
    """The operator said no at the prompt."""

    exit_code = Code.DECLINED


def printable(text: str) -> str:
    """Text in one line that a terminal shows and does not obey: what devices wrote may be in it."""
    return "".join(map(_harmless, text))


def _harmless(sign: str) -> str:
    if sign in "\t\n\r":
        return " "
    # Controls, what turns the direction of text, halves of characters (C), and breaks of lines (Zl, Zp).
    kind = unicodedata.category(sign)
    return "\N{REPLACEMENT CHARACTER}" if kind.startswith("C") or kind in ("Zl", "Zp") else sign
