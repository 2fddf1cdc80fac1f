"""The audit log as a table."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.views.cells import When, named, text


def audit(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            when(one.get("at")),
            text(one.get("who")),
            text(one.get("action")),
            named(one, "subject"),
            text(one.get("detail")),
        )
        for one in items
    )
    return Grid(("Line", "Time", "Who", "Action", "Subject", "Detail"), tuple(rows))
