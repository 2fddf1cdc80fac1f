"""What several operations ask of what they were given: names that people can read, groups that there are."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import groups

Flaws = list[tuple[str, str]]


def name_flaws(pointer: str, name: str) -> Flaws:
    """A name has to be there, and to be one line that people can tell from others."""
    if not name or name != name.strip() or not name.isprintable():
        return [(pointer, "is a line of text that neither begins nor ends with a blank")]
    return []


def group_flaws(connection: sa.Connection, numbers: Sequence[int]) -> Flaws:
    """Those of the groups of a form that there are not."""
    return [
        (f"/groups/{place}", f"there is no group {number}")
        for place, number in enumerate(numbers)
        if not groups.exists(connection, number)
    ]
