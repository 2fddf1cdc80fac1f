"""Groups as a tree and as facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from csipd.cli.ctl.client import Value
from csipd.cli.ctl.output import Branch, Facts
from csipd.cli.ctl.values import show_level
from csipd.cli.ctl.views.cells import all_named, named, text


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
