"""The newest readings of devices as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import asdict

from csipd.cli.ctl import totals
from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid, Part
from csipd.cli.ctl.views.cells import When, duration, named, text


def newest(devices: Iterable[Value], when: When) -> Grid:
    """A row for each quantity of each device; one for a device without any."""
    rows = []
    for device in devices:
        items = device.get("items", ())
        for one in items:
            quantity = " ".join(text(one[name]) for name in ("quantity", "phase", "qualifier") if name in one)
            value = f"{text(one.get('value'))} {text(one.get('unit'))}".strip()
            row = (named(device, "device"), quantity, one.get("meter"), value, when(one.get("at")))
            rows.append((*map(text, row), duration(one.get("age"))))
        if not items:
            rows.append((named(device, "device"), "no readings", "", "", "", ""))
    return Grid(("Device", "Quantity", "Meter", "Value", "At", "Age"), tuple(rows))


#: Names that are shown; more are counted.
_NAMED = 20


def now(found: totals.Now, within: int) -> list[Part]:
    """What a group gives: a row for each quantity, and who is not in it."""
    rows = [
        (one.quantity, one.meter, _value(one), str(one.devices), _from_to(*one.ages)) for one in found.totals
    ]
    return [
        Grid(("Quantity", "Meter", "Value", "Devices", "Age"), tuple(rows)),
        Facts(
            (
                (f"None for {duration(within)}", _names(found.late)),
                ("No readings", _names(found.without)),
            )
        ),
    ]


def now_figures(found: totals.Now) -> dict[str, Any]:
    """The same for machines."""
    return {
        "items": [
            {**asdict(one), "least": float(one.least), "greatest": float(one.greatest)}
            for one in found.totals
        ],
        "late": list(found.late),
        "no_readings": list(found.without),
    }


def _value(one: totals.Total) -> str:
    if one.added or one.least == one.greatest:
        return f"{one.least:f} {one.unit}".strip()
    return f"{one.least:f} to {one.greatest:f} {one.unit}".strip()


def _from_to(least: int, greatest: int) -> str:
    return duration(least) if least == greatest else f"{duration(least)} to {duration(greatest)}"


def _names(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)}: {', '.join(names[:_NAMED])}{more}"
