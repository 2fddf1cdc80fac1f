"""Programs: ``/admin/programs``."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import audit, controls, device_list, devices, groups, own_programs, programs
from csipd.db.database import Transaction
from csipd.refusals import Conflict, Impossible, NotFound
from csipd.sep2.schema import Element
from csipd.sep2.types import Boolean, PrimacyType, String32, TimeType, UInt16
from csipd.web.admin import changes
from csipd.web.admin.checks import Flaws, name_flaws
from csipd.web.admin.forms import Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Created, Operation
from csipd.web.admin.paging import PAGE, counted, cut
from csipd.web.admin.summary import Consequences, line, program_members


class NewProgram(Element):
    """A DERProgram for all who are in a group."""

    description: String32
    primacy: PrimacyType
    group: Number


class ChangedProgram(Element):
    """What is to be different about a program."""

    primacy: PrimacyType | None = None
    group: Number | None = None


class Program(Element):
    """A DERProgram as the operator sees it. A device's own program has the device in place of a group, and
    says whether it is shown to devices: it is from its first use on."""

    number: Number
    href: Line
    mRID: Line
    description: Line
    primacy: PrimacyType
    group: Number | None = None
    group_name: Line | None = None
    device: Number | None = None
    device_name: Line | None = None
    version: UInt16
    retired: TimeType | None = None
    shown: Boolean | None = None


class ProgramPage(Page):
    """Programs in the order of their numbers."""

    items: tuple[Program, ...] = ()


def page(connection: sa.Connection, call: Call) -> ProgramPage:
    """Programs of groups by number."""
    limit = call.query["limit"]
    found = programs.listed(connection, after=call.query["after"] or 0, limit=limit + 1)
    items, following = cut(found, limit, lambda program: program.id)
    return ProgramPage(
        items=tuple(_shown(connection, items)), next=following, **counted(programs.total(connection))
    )


def show(connection: sa.Connection, call: Call) -> Program:
    """One program: a group's, or a device's own."""
    number = call.numbers["program"]
    owner = programs.owner_of(number)
    if owner is None:
        return _shown(connection, [_find(connection, number)])[0]
    if not device_list.get(connection, [owner]):
        raise NotFound(f"there is no program {number}")
    own = call.server.own.program(owner)
    return Program(
        number=number,
        href=f"/derp/{number}",
        mRID=own.mRID,
        description=programs.OWN_DESCRIPTION,
        primacy=own.primacy,
        device=owner,
        device_name=Names(connection).device(owner),
        version=0,
        shown=bool(programs.shown(connection, [owner])),
    )


def add(transaction: Transaction, call: Call) -> Created:
    """Make a program for all who are in a group."""
    body: NewProgram = call.body
    flaws = name_flaws("/description", body.description)
    flaws += _group_flaws(transaction.connection, body.group)
    if flaws:
        raise Impossible(flaws)
    if programs.find(transaction.connection, body.description) is not None:
        raise Conflict(f"there is, or was, a program {body.description}")
    number = programs.add(transaction, call.server.issuer, body.group, body.description, body.primacy)
    record(transaction, call, "add", number, body.description)
    return Created(
        _shown(transaction.connection, [_find(transaction.connection, number)])[0],
        f"/admin/programs/{number}",
    )


def change(transaction: Transaction, call: Call) -> Program:
    """Change primacy or group: what is not named stays. A program that was retired comes back by it."""
    connection = transaction.connection
    present, group, primacy = _wanted(connection, call)
    if (group, primacy) != (present.group, present.primacy) or present.retired is not None:
        programs.change(transaction, present.id, group=group, primacy=primacy)
        detail = f"primacy {present.primacy} -> {primacy}, group {present.group} -> {group}"
        record(transaction, call, "change", present.id, detail)
    return _shown(connection, [_find(connection, present.id)])[0]


def preview_change(connection: sa.Connection, call: Call) -> Consequences:
    """Who gains and loses a program by another group, and what it stands before by another primacy."""
    present, group, primacy = _wanted(connection, call)
    summary = changes.of_program(
        connection, call.server.own, present, group=group, primacy=primacy, now=call.now
    )
    return Consequences(summary=summary)


def _wanted(connection: sa.Connection, call: Call) -> tuple[programs.ProgramRow, int, int]:
    """A program that is to be changed, and the group and primacy that it is to have."""
    body: ChangedProgram = call.body
    present = _find(connection, call.numbers["program"])
    group = present.group if body.group is None else body.group
    if flaws := _group_flaws(connection, group):
        raise Impossible(flaws)
    return present, group, present.primacy if body.primacy is None else body.primacy


def remove(transaction: Transaction, call: Call) -> None:
    """Retire a program that has no control to come."""
    present = _retirable(transaction.connection, call)
    programs.retire(transaction, present.id, call.now)
    record(transaction, call, "retire", present.id, present.description)


def preview_remove(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a program is retired."""
    present = _retirable(connection, call)
    sentences = [
        f"Program {present.description!r} ({present.id}) will be gone for"
        f" {program_members(connection, present.id)}.",
        "Its default and its curves hold no longer; its controls, which are all over, stay in the history.",
        "A change of its primacy or group brings it back.",
    ]
    return Consequences(summary=tuple(map(line, sentences)))


def _retirable(connection: sa.Connection, call: Call) -> programs.ProgramRow:
    present = _find(connection, call.numbers["program"])
    if present.retired is not None:
        raise Conflict(f"program {present.id} is retired already")
    live = controls.any_live(connection, present.id, call.now)
    if live is not None:
        raise Conflict(f"program {present.id} has controls that are not over, such as {live}")
    return present


def hide(transaction: Transaction, call: Call) -> None:
    """Hide a device's own program until it is used again."""
    number = call.numbers["program"]
    own_programs.hide(transaction, number, call.now)
    record(transaction, call, "hide", number)


def _group_flaws(connection: sa.Connection, group: int) -> Flaws:
    return [] if groups.exists(connection, group) else [("/group", f"there is no group {group}")]


def writable(connection: sa.Connection, call: Call) -> int:
    """The number of a program that something is to be written to: one that devices see."""
    program = show(connection, call)
    if program.retired is not None:
        raise Conflict(f"program {program.number} is retired")
    if program.device is not None and devices.missing(connection, [program.device]):
        raise Conflict(f"device {program.device} is not registered, or an aggregator")
    return program.number


def _find(connection: sa.Connection, number: int) -> programs.ProgramRow:
    found = programs.listed(connection, number=number)
    if not found:
        raise NotFound(f"there is no program {number}")
    return found[0]


def _shown(connection: sa.Connection, found: Sequence[programs.ProgramRow]) -> list[Program]:
    names = Names(connection).groups([program.group for program in found])
    return [_form(program, name) for program, name in zip(found, names, strict=True)]


def _form(program: programs.ProgramRow, group_name: str) -> Program:
    return Program(
        number=program.id,
        href=f"/derp/{program.id}",
        mRID=program.mrid,
        description=program.description,
        primacy=program.primacy,
        group=program.group,
        group_name=group_name,
        version=program.version,
        retired=program.retired,
    )


def record(transaction: Transaction, call: Call, action: str, number: int, detail: str = "") -> None:
    audit.record(transaction, call.now, call.who, action, f"/derp/{number}", detail)


OPERATIONS = (
    Operation(
        "GET",
        "/admin/programs",
        "listPrograms",
        "List programs of groups",
        page,
        gives=ProgramPage,
        query=PAGE,
    ),
    Operation(
        "POST",
        "/admin/programs",
        "addProgram",
        "Make a program",
        add,
        takes=NewProgram,
        gives=Program,
        status=201,
        writes=True,
    ),
    Operation(
        "GET",
        "/admin/programs/{program}",
        "showProgram",
        "Show a program",
        show,
        gives=Program,
    ),
    Operation(
        "PATCH",
        "/admin/programs/{program}",
        "changeProgram",
        "Change a program's primacy or group",
        change,
        takes=ChangedProgram,
        gives=Program,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/programs/{program}/change/preview",
        "previewChangeProgram",
        "What it would mean to change a program's primacy or group",
        preview_change,
        takes=ChangedProgram,
        gives=Consequences,
    ),
    Operation(
        "DELETE",
        "/admin/programs/{program}",
        "removeProgram",
        "Retire a program",
        remove,
        status=204,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/programs/{program}/hide",
        "hideProgram",
        "Hide a device's own program until it is used again",
        hide,
        status=204,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/programs/{program}/remove/preview",
        "previewRemoveProgram",
        "What it would mean to retire a program",
        preview_remove,
        gives=Consequences,
        refuses=(409,),
    ),
)
