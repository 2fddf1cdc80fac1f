"""Groups as a tree and as facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Branch, Facts
from csipd.cli.ctl.values import show_level
from csipd.cli.ctl.views.cells import all_named, duration, named, text

_FIGURES = (
    ("capability", "Rated", ("rtgMaxW", "rtgMaxVA", "rtgMaxVar", "rtgMaxChargeRateW", "rtgMaxWh")),
    ("settings", "Set", ("setMaxW", "setMaxVA", "setMaxVar", "setMaxChargeRateW", "setMaxWh")),
    ("availability", "Available", ("statWAvail", "statVarAvail")),
    ("status", "Status", ()),
)
_UNITS = (("Wh", "Wh"), ("VA", "VA"), ("VarAvail", "var"), ("Var", "var"), ("W", "W"), ("WAvail", "W"))


def group_tree(items: Iterable[Value]) -> list[Branch]:
    """Groups as they hang; one whose parent is not there, or that is below itself, stands at the top."""
    known = {one.get("number"): one for one in items}
    below: dict[Any, list[Value]] = {}
    for one in known.values():
        parent = one.get("parent")
        below.setdefault(parent if parent in known else None, []).append(one)
    shown: set[Any] = set()

    def branch(one: Value) -> Branch:
        shown.add(one.get("number"))
        children = [each for each in below.get(one.get("number"), ()) if each.get("number") not in shown]
        return Branch(_group_line(one), tuple(map(branch, children)))

    tree = [branch(one) for one in below.get(None, ())]
    return tree + [branch(one) for one in known.values() if one.get("number") not in shown]


def _group_line(one: Value) -> str:
    parts = [f"{text(one.get('number'))} {text(one.get('name'))}"]
    if "level" in one:
        parts.append(show_level(one["level"]))
    count = one.get("devices", 0)
    parts.append(f"{count} device{'' if count == 1 else 's'}")
    if one.get("programs"):
        parts.append(f"programs {all_named(one, 'programs', 'program_names')}")
    return " - ".join(parts)


def group(one: Value) -> Facts:
    return Facts(
        (
            ("Group", text(one.get("number"))),
            ("Name", text(one.get("name"))),
            ("Below", named(one, "parent")),
            ("Level", show_level(one["level"]) if "level" in one else ""),
            ("FSA", text(one.get("fsa"))),
            ("Programs", all_named(one, "programs", "program_names")),
            ("Devices", text(one.get("devices"))),
        )
    )


def capability(one: Value) -> Facts:
    """What DERs of a kind can deliver, thing by thing, with how many have said it and how old it is."""
    pairs = [("Devices", text(one.get("devices"))), ("DERs", text(one.get("ders")))]
    for what, label, names in _FIGURES:
        amounts = [f"{name} {text(one[name])} {_unit(name)}" for name in names if name in one]
        if what == "status" and "stateOfCharge" in one:
            amounts.append(f"charged {text(one['stateOfCharge'])} %, {text(one.get('storedWh'))} Wh")
        pairs.append((label, ", ".join([*amounts, _said(one, what)])))
    return Facts(tuple(pairs), title=text(one.get("type")))


def _said(one: Value, what: str) -> str:
    """Of how many DERs, and how old."""
    number = one.get(f"{what}_ders", 0)
    if not number:
        return "nobody has said"
    young, old = (duration(one.get(f"{what}_{end}")) for end in ("youngest", "oldest"))
    return f"of {number}, {young} old" if young == old else f"of {number}, {young} to {old} old"


def _unit(name: str) -> str:
    return next((unit for end, unit in _UNITS if name.endswith(end)), "")
