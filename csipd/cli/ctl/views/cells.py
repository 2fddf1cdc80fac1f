"""Single values as an operator reads them, for all views. ``When`` says how times are shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.times import show_duration
from csipd.cli.ctl.values import show_category
from csipd.sep2.identity import pretty_lfdi

When = Callable[[object], str]

RESULTS = ("completed", "opted_out", "cancelled", "superseded", "rejected")
"""What a device says last of an event."""


def text(value: object) -> str:
    """A simple value in a cell."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case list() | tuple():
            return ", ".join(map(text, value))
        case Mapping():
            return json.dumps(value, ensure_ascii=False)
    return str(value)


def lfdi(value: object) -> str:
    """An LFDI in groups of four."""
    try:
        return pretty_lfdi(str(value))
    except ValueError:
        return text(value)


def category(one: Value) -> str:
    return show_category(one["deviceCategory"]) if "deviceCategory" in one else ""


def duration(seconds: object) -> str:
    return show_duration(seconds) if isinstance(seconds, int) and seconds >= 0 else text(seconds)


def seconds(count: object) -> str:
    return f"{count} s" if isinstance(count, int) else text(count)


def signed(count: object) -> str:
    return f"{count:+d} s" if isinstance(count, int) else text(count)


def titled(grid: Grid, title: str) -> Grid:
    return Grid(grid.heads, grid.rows, title)


def named(one: Value, what: str) -> str:
    """A thing that another points to: its name with its number beside it."""
    number, name = one.get(what), one.get(f"{what}_name")
    if number is None:
        return ""
    return f"{text(name)} ({text(number)})" if name else text(number)


def of_program(one: Value) -> str:
    """The program that something is of, within a sentence; a device's own is called so by its name."""
    label = named(one, "program")
    return f"the {label}" if label.startswith("own program of ") else f"program {label}"


def all_named(one: Value, what: str, names: str) -> str:
    """Several things that another points to: their names with their numbers beside them."""
    numbers, known = list(one.get(what, ())), list(one.get(names, ()))
    if len(known) != len(numbers):
        return text(numbers)
    return ", ".join(f"{text(name)} ({text(number)})" for number, name in zip(numbers, known, strict=True))
