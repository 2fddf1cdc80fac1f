"""Groups of the file."""

from __future__ import annotations

from typing import Any

from csipd.db import groups
from csipd.reconcile.context import Context, Rule, added_or_changed, kept
from csipd.reconcile.statements import TOPOLOGY


def put_group(context: Context, name: str, before: Any, after: Any) -> str:
    """Make a group, or give it another parent, level or FSA."""
    parent = None if after["parent"] is None else group_number(context, after["parent"])
    assignment = groups.assignment(context.transaction, after["assignment"])
    groups.put_group(context.transaction, name, parent=parent, level=after["level"], assignment=assignment)
    return added_or_changed(before)


def group_number(context: Context, name: str) -> int:
    """The number of a group. One that the file names further down is made here, and placed there."""
    number = groups.find(context.connection, name)
    if number is None:
        assignment = groups.assignment(context.transaction, TOPOLOGY)
        number = groups.put_group(context.transaction, name, parent=None, level=None, assignment=assignment)
    return number


#: A group stays: its members and programs have statements of their own, and go by those.
RULES = {"group": Rule(put_group, kept)}
