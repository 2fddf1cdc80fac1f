"""The audit log as a table."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.views.cells import When, text


def audit(items: Iterable[Value], when: When) -> Grid:
    names = ("who", "action", "subject", "detail")
    rows = (
        (text(one.get("number")), when(one.get("at")), *(text(one.get(name)) for name in names))
        for one in items
    )
    return Grid(("Line", "Time", "Who", "Action", "Subject", "Detail"), tuple(rows))
