"""Delivered against commanded, as tables."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid
from csipd.cli.ctl.views.cells import When, duration, named, text

#: What may have become of a command on a device.
VERDICTS = (
    "obeyed",
    "not_obeyed",
    "no_readings",
    "not_yet",
    "no_settings",
    "declined",
    "overridden",
    "uncertain",
)


def totals(items: Iterable[Value], when: When) -> list[Facts]:
    """What all devices came to, mode by mode."""
    return [
        Facts(
            (
                ("As of", f"{when(one.get('at'))}{', after its end' if one.get('final') else ''}"),
                ("Commanded", _amount(one, "commanded")),
                ("Delivered", _amount(one, "delivered")),
                ("Devices", text(one.get("devices"))),
                *((name.replace("_", " ").capitalize(), text(one.get(name))) for name in VERDICTS),
            ),
            title=text(one.get("mode")),
        )
        for one in items
    ]


def devices(items: Iterable[Value]) -> Grid:
    """A row for each device and mode."""
    rows = (
        (
            named(one, "device"),
            text(one.get("mode")),
            f"{'at most ' if one.get('limits') else ''}{_amount(one, 'commanded')}",
            _amount(one, "delivered"),
            text(one.get("verdict")),
            duration(one.get("seconds")),
            text(one.get("meter")),
        )
        for one in items
    )
    return Grid(("Device", "Mode", "Commanded", "Delivered", "Verdict", "Over", "Meter"), tuple(rows))


def _amount(one: Value, name: str) -> str:
    value = one.get(name)
    return "" if value is None else f"{text(value)} {text(one.get('unit'))}"
