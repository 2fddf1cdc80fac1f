"""Rates as tables."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
from csipd.cli.ctl.views.cells import duration, text

_SOURCES = {
    "device": "operator, for this device",
    "group": "operator, for group",
    "general": "operator, in general",
    "wish": "the device's wish",
    "configuration": "configuration",
    "standard": "IEEE 2030.5",
}


def rates(one: Value, resource: str | None = None) -> Grid:
    """The rates in force, or that of one resource."""
    rows = tuple(
        (
            text(each.get("resource")),
            text(each.get("attribute")),
            duration(each.get("seconds")),
            _source(each),
            _besides(each),
        )
        for each in one.get("items", ())
        if resource in (None, each.get("resource"))
    )
    return Grid(("Resource", "Rate", "Is", "Whose word", "Besides"), rows)


def _source(one: Value) -> str:
    words = _SOURCES.get(str(one.get("source")), text(one.get("source")))
    if one.get("seconds") is None:
        return ""
    return f"{words} {text(one.get('group_name'))} ({one['group']})" if "group" in one else words


def _besides(one: Value) -> str:
    count = one.get("groups")
    parts = [f"{count} group{'' if count == 1 else 's'}"] if count else []
    if one.get("devices"):
        parts.append("devices")
    return " and ".join(parts)


def of_each(what: str, items: Iterable[Value]) -> Grid:
    """What was set for groups, or for devices."""
    rows = tuple(
        (
            f"{text(one.get('name'))} ({text(one.get('number'))})",
            ", ".join(
                f"{each.get('resource')} {duration(each.get('seconds'))}" for each in one.get("rates", ())
            ),
        )
        for one in items
    )
    return Grid((what, "Rates"), rows)
