"""What an operator calls a thing -> the number or href by which the API knows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice

from csipd.cli.ctl.client import Client, Value
from csipd.cli.ctl.errors import Failure
from csipd.cli.ctl.values import is_curve_mode
from csipd.sep2.identity import parse_lfdi
from csipd.sep2.types import MODE

_NUMBER = re.compile(r"\d{1,19}", re.ASCII)
_PAGES = 20
"""Pages of a list that are looked through for a name: of programs there may be one for each device."""


def device(client: Client, text: str) -> int:
    """The number of a device that is called by its number, LFDI or name. Failure if there is none."""
    if _NUMBER.fullmatch(text):
        return int(text)
    try:
        lfdi = parse_lfdi(text)
    except ValueError:
        return _number(client, "/devices", "device", text, lambda one: one.get("name") == text, name=text)
    # The one that is found has it, or had it before its certificate was replaced.
    return _number(client, "/devices", "device", text, lambda one: True, lfdi=lfdi)


def group(client: Client, text: str) -> int:
    """The number of a group that is called by its number or name."""
    if _NUMBER.fullmatch(text):
        return int(text)
    return _number(client, "/groups", "group", text, lambda one: one.get("name") == text)


def program(client: Client, text: str) -> int:
    """The number of a program that is called by its number or description."""
    if _NUMBER.fullmatch(text):
        return int(text)
    return _number(client, "/programs", "program", text, lambda one: one.get("description") == text)


def _number(
    client: Client, path: str, what: str, text: str, fits: Callable[[Value], bool], **query: str
) -> int:
    for page in islice(client.pages(path, query), _PAGES):
        for one in page.value.get("items", ()):
            if fits(one):
                return int(one["number"])
        rest = "next" in page.value
    if rest:
        raise Failure(f"of so many, no {what} called {text!r} was found: name it by its number")
    raise Failure(f"there is no {what} called {text!r}")


def base_with_curves(client: Client, base: Value, programs: Callable[[], Iterable[int] | None]) -> Value:
    """A DERControlBase whose curve modes name curves by href, where a description stood in their place.

    `programs` gives those whose curves are meant, None where that is not known; it is called when needed.
    """
    ready = dict(base)
    known: list[Value] | None = None
    for mode, value in base.items():
        if not is_curve_mode(mode) or isinstance(value, dict):
            continue
        text = str(value)
        if not text.startswith(("/", "https:")):
            if known is None:
                numbers = programs()
                if numbers is None:
                    raise Failure(f"{mode}: a curve for these devices is named by its href, not by {text!r}")
                known = [curve for number in numbers for curve in curves(client, number)]
            text = _curve(known, mode, text)
        ready[mode] = {"href": text}
    return ready


def curves(client: Client, program: int) -> list[Value]:
    """The curves of a program."""
    pages = client.pages(f"/programs/{program}/curves", {})
    return [one for page in pages for one in page.value.get("items", ())]


def curve(client: Client, program: int, text: str) -> int:
    """The number of a curve of a program that is called by its number, href or description."""
    if _NUMBER.fullmatch(text):
        return int(text)
    found = [one["href"] for one in curves(client, program) if text in (one["href"], one.get("description"))]
    if not found:
        raise Failure(f"program {program} has no curve called {text!r}")
    if len(found) > 1:
        ways = ", ".join(map(str, found[:10]))
        raise Failure(f"more than one curve is called {text!r}: say which by its href ({ways})")
    return int(str(found[0]).rpartition("/")[2])


def _curve(known: Iterable[Value], mode: str, text: str) -> str:
    kind = MODE[mode].curve
    found = [one["href"] for one in known if one.get("description") == text and one.get("curveType") == kind]
    if not found:
        raise Failure(f"there is no curve for {mode} called {text!r}")
    if len(found) > 1:
        ways = ", ".join(map(str, found[:10]))
        raise Failure(f"more than one curve for {mode} is called {text!r}: say which by its href ({ways})")
    return str(found[0])
