"""Responses, and who answered, as tables and facts."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid
from csipd.cli.ctl.views.cells import RESULTS, When, all_named, lfdi, named, text


def responses(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            named(one, "device") if "device" in one else lfdi(one.get("lFDI")),
            text(one["control"]) if "control" in one else text(one.get("subject")),
            text(one.get("status")),
            text(one.get("meaning")),
            when(one.get("createdDateTime")),
            when(one.get("received")),
            text(one.get("flagged")),
        )
        for one in items
    )
    heads = ("Response", "Device", "Control", "Status", "Meaning", "Created", "Received", "Flagged")
    return Grid(heads, tuple(rows))


def answers(one: Value) -> Facts:
    names = ("control", "asked", "received", "started", *RESULTS, "silent")
    pairs = [(name.capitalize().replace("_", " "), text(one.get(name))) for name in names]
    return Facts((*pairs, ("Silent are", all_named(one, "silent_sample", "silent_names"))))
