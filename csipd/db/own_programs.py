"""A device's own program: where what the operator commands by name goes (decisions 19, 39).

It is the program of the device's own SERVICE_POINT group where the device is alone in one; else one that is
no row (programs.py). That one is shown from its first use on, until the operator hides it: a client that
takes the program of the lowest primacy must not land on an empty one. For such a client its DefaultDERControl
says what is in force: it is a view of the defaults of the device's other programs, and never of an event.
Ahead of these come the settings that the device has alone, where it was given any.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db import controls, devices, documents, facts, fleet_counts, groups, programs
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import groups as group_rows
from csipd.db.tables import memberships, own_defaults, own_programs
from csipd.db.tables import programs as program_rows
from csipd.db.upsert import insert
from csipd.der.programs import ProgramDefault, merged
from csipd.refusals import Conflict, NotFound
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.site import ROWS, Place

_DEFAULT = ROWS["DefaultDERControl"]
#: The primacy of a device's own settings among the defaults: before all programs.
_AHEAD = -1
_SETTINGS = Prepared(sa.select(own_defaults.c.body).where(own_defaults.c.device == sa.bindparam("device")))
_WITH_SETTINGS = Prepared(
    sa.select(own_defaults.c.device).where(own_defaults.c.device.in_(sa.bindparam("devices", expanding=True)))
)

_others = memberships.alias()
_children = group_rows.alias()
_siblings = program_rows.alias()
#: The program of each device's own SERVICE_POINT group: the one program of a group that it is alone in.
_SERVICE_POINTS = Prepared(
    sa.select(memberships.c.device, program_rows.c.id)
    .join(group_rows, group_rows.c.id == memberships.c.group)
    .join(program_rows, program_rows.c.group == group_rows.c.id)
    .where(
        memberships.c.device.in_(sa.bindparam("devices", expanding=True)),
        memberships.c.until.is_(None),
        group_rows.c.level == groups.SERVICE_POINT,
        program_rows.c.retired.is_(None),
        ~sa.exists().where(
            _others.c.group == group_rows.c.id,
            _others.c.until.is_(None),
            _others.c.device != memberships.c.device,
        ),
        ~sa.exists().where(_children.c.parent == group_rows.c.id),
        ~sa.exists().where(
            _siblings.c.group == group_rows.c.id,
            _siblings.c.retired.is_(None),
            _siblings.c.id != program_rows.c.id,
        ),
    )
    .order_by(program_rows.c.primacy.desc(), program_rows.c.mrid)
)


def of_devices(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, int]:
    """The program that a control for each of these devices by name goes to."""
    # Of several the best comes last, and stays.
    points = {row.device: row.id for row in _SERVICE_POINTS.all(connection, {"devices": numbers})}
    return {device: points.get(device, programs.own_program(device)) for device in numbers}


def show(transaction: Transaction, program: int, now: int) -> None:
    """Show a device's own program from now on, if this is one and nobody has seen it yet."""
    device = programs.owner_of(program)
    if device is None or programs.shown(transaction.connection, [device]):
        return
    statement = insert(transaction.connection.dialect.name, own_programs).values(device=device, shown=now)
    transaction.connection.execute(statement.on_conflict_do_nothing())
    fleet_counts.place_own_program(transaction, device)
    _invalidate(transaction, device)


def hide(transaction: Transaction, program: int, now: int) -> None:
    """Hide a device's own program until it is used again.

    :raises NotFound: it is no device's own, or not shown
    :raises Conflict: it has controls that are not over
    """
    device = programs.owner_of(program)
    if device is None or not programs.shown(transaction.connection, [device]):
        raise NotFound(f"program {program} is no device's own program that is shown")
    if live := controls.live_numbers(transaction.connection, [program], now):
        raise Conflict(f"program {program} has controls that are not over: {controls.named(live)}")
    fleet_counts.take_own_program(transaction, device)
    transaction.connection.execute(sa.delete(own_programs).where(own_programs.c.device == device))
    _invalidate(transaction, device)


def _invalidate(transaction: Transaction, device: int) -> None:
    owner = devices.owner(transaction.connection, device)
    transaction.invalidate(facts.own_program(device))
    if owner is not None and owner.manager is not None:
        transaction.invalidate(facts.fleet_groups(owner.manager))


@frozen
class OwnDefault:
    """The DefaultDERControl of a device's own program.

    :param document: with its mRID and version
    :param body: what the version stands for
    :param is_kept: whether the version is kept; one that is not must be, before anybody is given it
    """

    document: r.DefaultDERControl
    body: bytes
    is_kept: bool


def default(connection: sa.Connection, own: programs.OwnPrograms, program: int) -> OwnDefault | None:
    """The DefaultDERControl of a device's own program; None where its other programs have none."""
    device = programs.owner_of(program)
    assert device is not None
    numbers = groups.programs_of_each(connection, [device])[device]
    primacies = {number: found.primacy for number, found in programs.get(connection, numbers, own).items()}
    defaults = [
        ProgramDefault(document.DERControlBase, primacies[number], number, document)
        for number in numbers
        if isinstance(document := documents.get(connection, Place(_DEFAULT, (number,))), r.DefaultDERControl)
    ]
    alone = settings(connection, device)
    if alone is not None:
        defaults.append(ProgramDefault(alone.DERControlBase, _AHEAD, program, alone))
    content = merged(defaults)
    if content is None:
        return None
    content = content.replace(
        mRID=own.issuer.mrid(Kind.DEFAULT, program), description=programs.OWN_DESCRIPTION
    )
    body = codec.encode(content)
    version, kept = programs.default_version(connection, program)
    is_kept = version is not None and kept == body
    if not is_kept:
        version = 0 if version is None else (version + 1) % 2**16
    return OwnDefault(content.replace(version=version), body, is_kept)


def keep_default(transaction: Transaction, own: programs.OwnPrograms, program: int) -> None:
    """Keep the version of a default that has changed since it was last read."""
    found = default(transaction.connection, own, program)
    if found is not None and not found.is_kept:
        programs.keep_default_version(transaction, program, found.document.version or 0, found.body)
        transaction.invalidate(facts.document(_DEFAULT.href((program,))))


def have_default(connection: sa.Connection, numbers: Sequence[int]) -> set[int]:
    """Those of devices' own programs that have a DefaultDERControl."""
    owners = [device for number in numbers if (device := programs.owner_of(number)) is not None]
    others = groups.programs_of_each(connection, owners)
    hrefs = {_DEFAULT.href((number,)) for found in others.values() for number in found}
    present = documents.present(connection, sorted(hrefs))
    alone = set(_WITH_SETTINGS.scalars(connection, {"devices": owners}))
    return {
        programs.own_program(device)
        for device, found in others.items()
        if device in alone or any(_DEFAULT.href((number,)) in present for number in found)
    }


def settings(connection: sa.Connection, device: int) -> r.DefaultDERControl | None:
    """The settings that a device has alone, in a default without modes; None where it has none."""
    body = _SETTINGS.scalar(connection, {"device": device})
    return None if body is None else decode(body, r.DefaultDERControl, f"own_defaults {device}")


def set_settings(
    transaction: Transaction, device: int, default: r.DefaultDERControl | None, now: int
) -> None:
    """Give a device settings that it has alone, in place of those before, or take them away.

    Its own program shows them, and is shown from now on.

    :param default: without modes
    """
    connection, program = transaction.connection, programs.own_program(device)
    if default is None:
        connection.execute(sa.delete(own_defaults).where(own_defaults.c.device == device))
    else:
        show(transaction, program, now)
        body = codec.encode(default)
        statement = insert(connection.dialect.name, own_defaults).values(device=device, body=body)
        changed = {"body": body}
        connection.execute(
            statement.on_conflict_do_update(index_elements=[own_defaults.c.device], set_=changed)
        )
    transaction.invalidate(facts.document(_DEFAULT.href((program,))))
