"""Operations on groups and the topology."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import audit, groups
from csipd.db.database import Transaction
from csipd.overlay import TOPOLOGY
from csipd.refusals import Conflict, Impossible, NotFound
from csipd.web.admin import forms as f
from csipd.web.admin.operations import Call, Made
from csipd.web.admin.paging import cut

#: Service Point: the level nearest to a DER (CSIP IG 4.3).
_LOWEST = 6


def page(connection: sa.Connection, call: Call) -> f.GroupPage:
    """Groups by number."""
    limit = call.query["limit"]
    found = groups.listed(connection, after=call.query["after"] or 0, limit=limit + 1)
    items, following = cut(found, limit, lambda group: group.id)
    return f.GroupPage(items=tuple(_shown(connection, group) for group in items), next=following)


def show(connection: sa.Connection, call: Call) -> f.Group:
    """One group."""
    return _shown(connection, _find(connection, call.numbers["group"]))


def add(transaction: Transaction, call: Call) -> Made:
    """Make a group."""
    body: f.NewGroup = call.body
    if groups.find(transaction.connection, body.name) is not None:
        raise Conflict(f"there is a group {body.name}")
    _check_place(transaction.connection, body.parent, body.level)
    fsa = body.fsa or (TOPOLOGY if body.level is not None else body.name[:32])
    number = groups.put_group(
        transaction,
        body.name,
        parent=body.parent,
        level=body.level,
        assignment=groups.assignment(transaction, fsa),
    )
    audit.record(transaction, call.now, call.who, "add", f"group {number}", body.name)
    return Made(
        _shown(transaction.connection, _find(transaction.connection, number)), f"/admin/groups/{number}"
    )


def change(transaction: Transaction, call: Call) -> f.Group:
    """Hang a group elsewhere: what is not named stays."""
    body: f.ChangedGroup = call.body
    present = _find(transaction.connection, call.numbers["group"])
    parent = present.parent if body.parent is None else body.parent
    level = present.level if body.level is None else body.level
    _check_place(transaction.connection, parent, level)
    groups.hang(transaction, present.id, parent=parent, level=level)
    audit.record(transaction, call.now, call.who, "change", f"group {present.id}", f"under {parent}")
    return show(transaction.connection, call)


def remove(transaction: Transaction, call: Call) -> None:
    """Remove a group that nothing was ever in."""
    present = _find(transaction.connection, call.numbers["group"])
    groups.remove(transaction, present.id)
    audit.record(transaction, call.now, call.who, "remove", f"group {present.id}", present.name)


def _check_place(connection: sa.Connection, parent: int | None, level: int | None) -> None:
    if level is not None and level > _LOWEST:
        raise Impossible([("/level", f"is 0 (System) to {_LOWEST} (Service Point)")])
    if parent is None:
        return
    above = groups.listed(connection, number=parent)
    if not above:
        raise NotFound(f"no group {parent}")
    if level is not None and (above[0].level is None or above[0].level >= level):
        raise Impossible([("/parent", "is not of a level above")])


def _find(connection: sa.Connection, number: int) -> groups.Group:
    found = groups.listed(connection, number=number)
    if not found:
        raise NotFound(f"no group {number}")
    return found[0]


def _shown(connection: sa.Connection, group: groups.Group) -> f.Group:
    return f.Group(
        number=group.id,
        name=group.name,
        parent=group.parent,
        level=group.level,
        fsa=group.fsa,
        programs=tuple(groups.own_programs(connection, group.id)),
        devices=groups.number_under(connection, group.id),
    )
