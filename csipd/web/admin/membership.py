"""The groups that a device is in: ``/admin/devices/{device}/groups``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import sqlalchemy as sa

from csipd.db import device_list, devices, groups
from csipd.db.database import Transaction
from csipd.der.wording import listed
from csipd.refusals import Conflict, Impossible, NotFound
from csipd.sep2.schema import Element, Occurs
from csipd.web.admin.checks import group_flaws
from csipd.web.admin.devices import MOST_GROUPS, Device, present, record, show, title
from csipd.web.admin.forms import Number
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.summary import Consequences, line


class Membership(Element):
    """The groups that a device is to be in, and no others; those above them follow."""

    groups: Annotated[tuple[Number, ...], Occurs(0, MOST_GROUPS)] = ()


def move(transaction: Transaction, call: Call) -> Device:
    """Put a device into these groups and no others."""
    connection = transaction.connection
    row = _checked(connection, call)
    _put(transaction, call, row, set(call.body.groups))
    return show(connection, call)


def preview_move(connection: sa.Connection, call: Call) -> Consequences:
    """What a device gains and loses by being in these groups and no others."""
    row = _checked(connection, call)
    wanted, before = set(call.body.groups), set(groups.set_of(connection, row.id))
    names = Names(connection)
    sentences = [f"{title(row)} will be in {_named(names, wanted)}."]
    if before - wanted:
        sentences.append(f"It leaves {_named(names, before - wanted)}, with what their programs say.")
    if wanted - before:
        sentences.append(f"It joins {_named(names, wanted - before)}.")
    if wanted == before:
        sentences.append("It is there already: nothing changes.")
    kept, now = _programs(connection, before), _programs(connection, wanted)
    for lost, words in ((kept - now, "no longer sees"), (now - kept, "will see")):
        if lost:
            shown = listed([f"{names.program(number)} ({number})" for number in sorted(lost)])
            sentences.append(f"It {words} {'program' if len(lost) == 1 else 'programs'} {shown}.")
    return Consequences(summary=tuple(map(line, sentences)))


def add(transaction: Transaction, call: Call) -> Device:
    """Put a device into one more group."""
    return _change(transaction, call, joins=True)


def remove(transaction: Transaction, call: Call) -> Device:
    """Take a device out of one group."""
    return _change(transaction, call, joins=False)


def _change(transaction: Transaction, call: Call, *, joins: bool) -> Device:
    connection, group = transaction.connection, call.numbers["group"]
    row = present(connection, call)
    if not groups.exists(connection, group):
        raise NotFound(f"there is no group {group}")
    if row.aggregator:
        raise Conflict("an aggregator is in no group; its devices are")
    before = set(groups.set_of(connection, row.id))
    if joins == (group in before):
        raise Conflict(
            f"{devices.title(row.id, row.name)} is {'' if joins else 'not '}in"
            f" {groups.called(connection, group)}{' already' if joins else ''}"
        )
    wanted = before | {group} if joins else before - {group}
    if len(wanted) > MOST_GROUPS:
        raise Conflict(f"a device is in {MOST_GROUPS} groups at the most")
    _put(transaction, call, row, wanted)
    return show(connection, call)


def _checked(connection: sa.Connection, call: Call) -> device_list.DeviceRow:
    row = present(connection, call)
    flaws = group_flaws(connection, call.body.groups)
    if row.aggregator and call.body.groups:
        flaws.append(("/groups", "an aggregator is in no group; its devices are"))
    if flaws:
        raise Impossible(flaws)
    return row


def _put(transaction: Transaction, call: Call, row: device_list.DeviceRow, wanted: set[int]) -> None:
    before = set(groups.set_of(transaction.connection, row.id))
    for group in sorted(before - wanted):
        devices.leave(transaction, row.id, group, call.now)
    for group in sorted(wanted - before):
        devices.join(transaction, row.id, group, call.now)
    if wanted != before:
        names = Names(transaction.connection)
        record(transaction, call, "move", row.id, f"{_every(names, before)} -> {_every(names, wanted)}")


def _programs(connection: sa.Connection, of: Iterable[int]) -> set[int]:
    """The programs that a device finds by being in some groups: theirs, and those of the groups above."""
    return {number for number, _ in groups.programs_of_set(connection, sorted(of))}


def _every(names: Names, numbers: set[int]) -> str:
    """Groups as the audit log has them: none is left out."""
    return ", ".join(f"{names.group(number)} ({number})" for number in sorted(numbers)) or "no group"


def _named(names: Names, numbers: set[int]) -> str:
    if not numbers:
        return "no group"
    shown = listed([f"{names.group(number)} ({number})" for number in sorted(numbers)])
    return f"group {shown}" if len(numbers) == 1 else f"groups {shown}"


OPERATIONS = (
    Operation(
        "PUT",
        "/admin/devices/{device}/groups",
        "moveDevice",
        "Put a device into these groups and no others",
        move,
        takes=Membership,
        gives=Device,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/devices/{device}/groups/preview",
        "previewMoveDevice",
        "What a device would gain and lose by being in these groups and no others",
        preview_move,
        takes=Membership,
        gives=Consequences,
        refuses=(409,),
    ),
    Operation(
        "PUT",
        "/admin/devices/{device}/groups/{group}",
        "addDeviceToGroup",
        "Put a device into one more group",
        add,
        gives=Device,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "DELETE",
        "/admin/devices/{device}/groups/{group}",
        "removeDeviceFromGroup",
        "Take a device out of one group",
        remove,
        gives=Device,
        writes=True,
        refuses=(409,),
    ),
)
