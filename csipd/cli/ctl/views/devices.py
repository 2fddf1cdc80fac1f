"""Devices as tables and facts."""

from __future__ import annotations

from collections.abc import Iterable

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Facts, Grid
from csipd.cli.ctl.views.cells import When, all_named, category, lfdi, named, seconds, text


def devices(items: Iterable[Value], when: When) -> Grid:
    rows = (
        (
            text(one.get("number")),
            text(one.get("name")),
            lfdi(one.get("lFDI")),
            text(one.get("standing")),
            "aggregator" if one.get("aggregator") else category(one),
            named(one, "manager"),
            all_named(one, "groups", "group_names"),
            _heard(one.get("contact", {}), when),
        )
        for one in items
    )
    heads = ("Device", "Name", "LFDI", "Standing", "Category", "Manager", "Groups", "Last contact")
    return Grid(heads, tuple(rows))


def device(one: Value, when: When) -> Facts:
    contact = one.get("contact", {})
    return Facts(
        (
            ("Device", text(one.get("number"))),
            ("Name", text(one.get("name"))),
            ("URI", text(one.get("href"))),
            ("LFDI", lfdi(one.get("lFDI"))),
            ("SFDI", text(one.get("sFDI"))),
            ("PIN", _pin(one.get("pIN"))),
            ("Standing", text(one.get("standing"))),
            ("Aggregator", "yes" if one.get("aggregator") else ""),
            ("Managed by", named(one, "manager")),
            ("Category", category(one)),
            ("Groups", all_named(one, "groups", "group_names")),
            ("Poll rate", seconds(one.get("pollRate"))),
            ("Post rate", seconds(one.get("postRate"))),
            ("Post rate it wishes", seconds(one.get("wishedPostRate"))),
            ("Registered", when(one.get("registered"))),
            ("Withdrawn", when(one.get("withdrawn"))),
            ("Because", text(one.get("withdrawn_reason"))),
            ("Retired", when(one.get("retired"))),
            ("Changed", when(one.get("changedTime"))),
            ("Last contact", _heard(contact, when)),
            ("From", text(contact.get("host"))),
            ("Requests refused", text(contact.get("refusals"))),
            ("The last one", when(contact.get("refused"))),
            ("Why", text(contact.get("reason"))),
            ("Warning", "; ".join(map(text, one.get("warnings", ())))),
        )
    )


def _heard(contact: Value, when: When) -> str:
    return when(contact["at"]) if "at" in contact else "never"


def _pin(pin: object) -> str:
    return f"{pin:06d}" if isinstance(pin, int) else text(pin)
