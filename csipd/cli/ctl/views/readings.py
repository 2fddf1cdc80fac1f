"""The newest readings of devices as tables."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Grid
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
