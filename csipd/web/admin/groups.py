"""Groups and the topology: ``/admin/groups``."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import audit, group_counts, groups
from csipd.db.database import Transaction
from csipd.reconcile.statements import TOPOLOGY
from csipd.refusals import Conflict, Impossible, NotFound
from csipd.sep2.schema import Element
from csipd.sep2.types import String32
from csipd.web.admin import changes
from csipd.web.admin.checks import Flaws, name_flaws
from csipd.web.admin.forms import Count, Level, Line, Name, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Created, Operation
from csipd.web.admin.paging import PAGE, counted, cut
from csipd.web.admin.summary import Consequences, line

_LONGEST_FSA = 32  # the description of a FunctionSetAssignments is a String32


class NewGroup(Element):
    """A group of devices: a node of the topology (level), or one beside it."""

    name: Name
    parent: Number | None = None
    level: Level | None = None
    fsa: String32 | None = None


class ChangedGroup(Element):
    """What is to be different about a group: where it hangs. A parent of 0 is none."""

    parent: Count | None = None
    level: Level | None = None


class Group(Element):
    """A group, and how many EndDevices are in it and below it; one that is in two of these counts twice."""

    number: Number
    name: Line
    parent: Number | None = None
    parent_name: Line | None = None
    level: Level | None = None
    fsa: Line
    programs: tuple[Number, ...] = ()
    program_names: tuple[Line, ...] = ()
    devices: Count


class GroupPage(Page):
    """Groups in the order of their numbers."""

    items: tuple[Group, ...] = ()


def page(connection: sa.Connection, call: Call) -> GroupPage:
    """Groups by number."""
    limit = call.query["limit"]
    found = groups.listed(connection, after=call.query["after"] or 0, limit=limit + 1)
    items, following = cut(found, limit, lambda group: group.id)
    return GroupPage(
        items=tuple(_shown(connection, items)), next=following, **counted(groups.total(connection))
    )


def show(connection: sa.Connection, call: Call) -> Group:
    """One group."""
    return _shown(connection, [_find(connection, call.numbers["group"])])[0]


def add(transaction: Transaction, call: Call) -> Created:
    """Make a group."""
    body: NewGroup = call.body
    flaws = name_flaws("/name", body.name)
    if body.fsa is not None:
        flaws += name_flaws("/fsa", body.fsa)
    flaws += _place_flaws(transaction.connection, body.parent, body.level)
    if flaws:
        raise Impossible(flaws)
    if groups.find(transaction.connection, body.name) is not None:
        raise Conflict(f"there is a group {body.name} already")
    own = TOPOLOGY if body.level is not None else body.name[:_LONGEST_FSA].strip()
    number = groups.put_group(
        transaction,
        body.name,
        parent=body.parent,
        level=body.level,
        assignment=groups.assignment(transaction, body.fsa or own),
    )
    _record(transaction, call, "add", number, body.name)
    made = _shown(transaction.connection, [_find(transaction.connection, number)])[0]
    return Created(made, f"/admin/groups/{number}")


def change(transaction: Transaction, call: Call) -> Group:
    """Hang a group elsewhere: what is not named stays."""
    connection = transaction.connection
    present, parent, level = _wanted(connection, call)
    if (parent, level) == (present.parent, present.level):
        return _shown(connection, [present])[0]
    groups.move(transaction, present.id, parent=parent, level=level)
    was, now = (f"below {at[0]}, level {at[1]}" for at in ((present.parent, present.level), (parent, level)))
    _record(transaction, call, "change", present.id, f"{was} -> {now}")
    return show(connection, call)


def preview_change(connection: sa.Connection, call: Call) -> Consequences:
    """Which devices gain and lose which programs where a group hangs elsewhere."""
    present, parent, level = _wanted(connection, call)
    groups.check_parent(connection, present.id, parent)
    return Consequences(
        summary=changes.of_group(connection, present, parent=parent, level=level, now=call.now)
    )


def _wanted(connection: sa.Connection, call: Call) -> tuple[groups.Group, int | None, int | None]:
    """A group that is to be changed, and the parent and level that it is to have."""
    body: ChangedGroup = call.body
    present = _find(connection, call.numbers["group"])
    parent = present.parent if body.parent is None else body.parent or None
    level = present.level if body.level is None else body.level
    if (parent, level) == (present.parent, present.level):
        return present, parent, level
    flaws = _place_flaws(connection, parent, level)
    below = groups.level_below(connection, present.id)
    if level is not None and below is not None and below <= level:
        flaws.append(("/level", f"a group right below has level {below}"))
    if flaws:
        raise Impossible(flaws)
    return present, parent, level


def remove(transaction: Transaction, call: Call) -> None:
    """Remove a group that nothing was ever in."""
    present = _find(transaction.connection, call.numbers["group"])
    groups.remove(transaction, present.id)
    _record(transaction, call, "remove", present.id, present.name)


def preview_remove(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a group is removed."""
    present = _find(connection, call.numbers["group"])
    groups.check_unused(connection, present.id)
    return Consequences(
        summary=(line(f"Group {present.name!r} ({present.id}), which is empty, will be gone."),)
    )


def _place_flaws(connection: sa.Connection, parent: int | None, level: int | None) -> Flaws:
    """What is wrong with where a group is to hang: a level is above those of the groups below it."""
    if parent is None:
        return []
    above = groups.listed(connection, number=parent)
    if not above:
        return [("/parent", f"there is no group {parent}")]
    if level is not None and (above[0].level is None or above[0].level >= level):
        return [("/parent", "is not of a level above")]
    return []


def _record(transaction: Transaction, call: Call, action: str, number: int, detail: str) -> None:
    audit.record(transaction, call.now, call.who, action, f"group {number}", detail)


def _find(connection: sa.Connection, number: int) -> groups.Group:
    found = groups.listed(connection, number=number)
    if not found:
        raise NotFound(f"there is no group {number}")
    return found[0]


def _shown(connection: sa.Connection, found: Sequence[groups.Group]) -> list[Group]:
    names = Names(connection)
    names.groups([group.parent for group in found if group.parent is not None])
    numbers = [group.id for group in found]
    programs = groups.own_programs_of(connection, numbers)
    names.programs([program for some in programs.values() for program in some])
    members = group_counts.numbers_under(connection, numbers)
    return [
        Group(
            number=group.id,
            name=group.name,
            parent=group.parent,
            parent_name=None if group.parent is None else names.group(group.parent),
            level=group.level,
            fsa=group.fsa,
            programs=tuple(programs[group.id]),
            program_names=tuple(names.programs(programs[group.id])),
            devices=members[group.id],
        )
        for group in found
    ]


OPERATIONS = (
    Operation("GET", "/admin/groups", "listGroups", "List groups", page, gives=GroupPage, query=PAGE),
    Operation(
        "POST",
        "/admin/groups",
        "addGroup",
        "Make a group",
        add,
        takes=NewGroup,
        gives=Group,
        status=201,
        writes=True,
    ),
    Operation(
        "GET",
        "/admin/groups/{group}",
        "showGroup",
        "Show a group",
        show,
        gives=Group,
    ),
    Operation(
        "PATCH",
        "/admin/groups/{group}",
        "changeGroup",
        "Hang a group elsewhere",
        change,
        takes=ChangedGroup,
        gives=Group,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/groups/{group}/change/preview",
        "previewChangeGroup",
        "What devices would gain and lose where a group hung elsewhere",
        preview_change,
        takes=ChangedGroup,
        gives=Consequences,
        refuses=(409,),
    ),
    Operation(
        "DELETE",
        "/admin/groups/{group}",
        "removeGroup",
        "Remove an empty group",
        remove,
        status=204,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/groups/{group}/remove/preview",
        "previewRemoveGroup",
        "What it would mean to remove a group",
        preview_remove,
        gives=Consequences,
        refuses=(409,),
    ),
)
