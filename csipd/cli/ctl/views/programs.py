"""Programs as tables and facts."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid
from csipd.cli.ctl.views.cells import When, named, text


def programs(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            text(one.get("description")),
            text(one.get("primacy")),
            _audience(one),
            text(one.get("version")),
            when(one.get("retired")),
        )
        for one in items
    )
    return Grid(("Program", "Description", "Primacy", "For", "Version", "Retired"), tuple(rows))


def program(one: Value, when: When) -> Facts:
    return Facts(
        (
            ("Program", text(one.get("number"))),
            ("Description", text(one.get("description"))),
            ("URI", text(one.get("href"))),
            ("mRID", text(one.get("mRID"))),
            ("Primacy", text(one.get("primacy"))),
            ("For", _audience(one)),
            ("Version", text(one.get("version"))),
            ("Retired", when(one.get("retired"))),
        )
    )


def _audience(one: Value) -> str:
    what = "device" if "device" in one else "group"
    return f"{what} {named(one, what)}"
