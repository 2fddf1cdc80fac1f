"""What the lists of an aggregator's whole fleet are read by: Responses and devices' own programs.

Each row says whose fleet it is of, while that is so, and there is an index with the rows of a fleet in the
list's order; how many there are is kept, not counted. Whatever changes a fleet says so here, in its own
transaction. A fleet is the EndDevices of an aggregator that are shown, its own among them.
"""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import facts, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import devices, memberships, own_programs, responses

_SET_RESPONSES = Prepared(
    sa.update(responses)
    .where(responses.c.device == sa.bindparam("of"))
    .values(fleet=sa.bindparam("manager", type_=sa.BigInteger))
)
_OWN_PROGRAM = Prepared(
    sa.select(own_programs.c.fleet).where(own_programs.c.device == sa.bindparam("device"))
)
#: In whose fleet a device's own program is shown: without a group it has no FSA that it could be in.
_FLEET_OF_PROGRAM = Prepared(
    sa.select(devices.c.manager).where(
        devices.c.id == sa.bindparam("device"),
        devices.c.registered.is_not(None),
        devices.c.retired.is_(None),
        devices.c.withdrawn.is_(None),
        sa.exists().where(memberships.c.device == devices.c.id, memberships.c.until.is_(None)),
    )
)
_SET_OWN_PROGRAM = Prepared(
    sa.update(own_programs)
    .where(own_programs.c.device == sa.bindparam("of"))
    .values(fleet=sa.bindparam("manager", type_=sa.BigInteger))
)


def responses_of(manager: int) -> str:
    """The name of the number of Responses of a fleet."""
    return f"responses of fleet {manager}"


def own_programs_of(manager: int) -> str:
    """The name of the number of devices' own programs that are shown in a fleet."""
    return f"own programs of fleet {manager}"


def number(connection: sa.Connection, name: str) -> int:
    """One of these numbers."""
    return tally.numbers(connection, [name])[name]


def count_responses(transaction: Transaction, manager: int | None, change: int) -> None:
    """Note that there are so many Responses more (or, below 0, fewer) of a device of a fleet.

    :param manager: whose fleet that is; None: it is of none
    """
    if manager is not None and change:
        tally.change(transaction, responses_of(manager), change)


def moved(transaction: Transaction, device: int, before: int | None, after: int | None) -> None:
    """Note that a device has left a fleet, or come to one.

    :param before: the aggregator in whose fleet it was shown; None: in none. ``after`` likewise
    """
    connection = transaction.connection
    found = _SET_RESPONSES.execute(connection, {"of": device, "manager": after})
    count_responses(transaction, before, -found)
    count_responses(transaction, after, found)
    transaction.invalidate(*(facts.fleet(manager) for manager in (before, after) if manager is not None))
    place_own_program(transaction, device)


def place_own_program(transaction: Transaction, device: int) -> None:
    """Note in whose fleet a device's own program is shown, after something has changed that may say so."""
    asked = {"device": device}
    row = _OWN_PROGRAM.first(transaction.connection, asked)
    if row is not None:
        _move_own_program(
            transaction, device, row.fleet, _FLEET_OF_PROGRAM.scalar(transaction.connection, asked)
        )


def take_own_program(transaction: Transaction, device: int) -> None:
    """Note that a device's own program is about to be hidden."""
    row = _OWN_PROGRAM.first(transaction.connection, {"device": device})
    if row is not None:
        _move_own_program(transaction, device, row.fleet, None)


def _move_own_program(transaction: Transaction, device: int, before: int | None, after: int | None) -> None:
    if before == after:
        return
    _SET_OWN_PROGRAM.execute(transaction.connection, {"of": device, "manager": after})
    for manager, change in ((before, -1), (after, 1)):
        if manager is not None:
            tally.change(transaction, own_programs_of(manager), change)
            transaction.invalidate(facts.fleet_groups(manager))


def recount(connection: sa.Connection) -> None:
    """Make all of it anew from what devices and their groups are: for a migration, or after many rows."""
    fleet = (
        sa.select(devices.c.manager)
        .where(devices.c.registered.is_not(None), devices.c.retired.is_(None), devices.c.withdrawn.is_(None))
        .correlate(responses, own_programs)
    )
    grouped = sa.exists().where(memberships.c.device == devices.c.id, memberships.c.until.is_(None))
    connection.execute(
        sa.update(responses).values(fleet=fleet.where(devices.c.id == responses.c.device).scalar_subquery())
    )
    of_program = fleet.where(devices.c.id == own_programs.c.device, grouped).scalar_subquery()
    connection.execute(sa.update(own_programs).values(fleet=of_program))
    for table, name in ((responses, responses_of), (own_programs, own_programs_of)):
        query = sa.select(table.c.fleet, sa.func.count()).where(table.c.fleet.is_not(None))
        for manager, found in connection.execute(query.group_by(table.c.fleet)).all():
            tally.put(connection, name(manager), found)
