"""Alarms and log events as tables."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.views.cells import When, named, text


def alarms(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            named(one, "device"),
            text(one.get("name")),
            when(one.get("raised")),
            when(one.get("cleared")) or "open",
            text(one.get("closed_by")),
            text(one.get("details")),
        )
        for one in items
    )
    return Grid(("Alarm", "Device", "Name", "Raised", "Cleared", "Closed by", "Details"), tuple(rows))


def log_events(items: Iterable[Value], when: When) -> Grid:
    rows = []
    for one in items:
        event = one.get("event", {})
        rows.append(
            (
                text(one.get("number")),
                when(event.get("createdDateTime")),
                text(event.get("functionSet")),
                text(event.get("logEventCode")),
                text(event.get("details")),
                text(event.get("logEventID")),
                text(event.get("profileID")),
                "hidden" if one.get("hidden") else "",
            )
        )
    heads = ("Log event", "Time", "Function set", "Code", "Details", "ID", "Profile", "")
    return Grid(heads, tuple(rows))
