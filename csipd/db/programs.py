"""DERPrograms, their default controls and their curves.

Every device has a program of its own besides those of its groups, for what the operator commands by name
(decision 19). It is no row: its number follows from the device's, and everything about it from that.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import fields, frozen

from csipd.db import devices, documents, groups
from csipd.db.database import Transaction
from csipd.db.tables import programs
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.site import ROWS, Place

#: Numbers of devices' own programs begin here; those of programs that are rows stay below.
_OWN = 10**12
#: What devices' own programs are called.
OWN_DESCRIPTION = "Service point"

_DERP = ROWS["DERProgram"]
_DEFAULT = ROWS["DefaultDERControl"]
_CURVES = ROWS["DERCurveList"]

_BEFORE = (
    sa.select(sa.func.count())
    .select_from(programs)
    .where(
        programs.c.id.in_(sa.bindparam("numbers", expanding=True)),
        programs.c.primacy < sa.bindparam("primacy"),
    )
)
_GROUP = sa.select(programs.c.group).where(programs.c.id == sa.bindparam("number"))
_PROGRAMS = sa.select(
    programs.c.id, programs.c.mrid, programs.c.description, programs.c.version, programs.c.primacy
).where(programs.c.id.in_(sa.bindparam("numbers", expanding=True)), programs.c.retired.is_(None))


def own_program(device: int) -> int:
    """The number of a device's own program."""
    return _OWN + device


def owner_of(program: int) -> int | None:
    """The device whose own program this is; None for a program of a group."""
    return program - _OWN if program > _OWN else None


@frozen
class Own:
    """What devices' own programs have in common.

    :param issuer: who makes their mRIDs
    :param primacy: of all of them
    """

    issuer: Issuer
    primacy: int

    def program(self, device: int) -> r.DERProgram:
        """The own program of a device, without its links."""
        return r.DERProgram(
            mRID=self.issuer.mrid(Kind.OWN_PROGRAM, device),
            description=OWN_DESCRIPTION,
            version=0,
            primacy=self.primacy,
        )


def get(connection: sa.Connection, numbers: Sequence[int], own: Own) -> dict[int, r.DERProgram]:
    """The programs of these numbers, without their links; retired ones are left out."""
    owned = {n: own.program(device) for n in numbers if (device := owner_of(n)) is not None}
    asked = [number for number in numbers if number not in owned]
    return owned | {
        row.id: r.DERProgram(
            mRID=row.mrid, description=row.description[:32], version=row.version, primacy=row.primacy
        )
        for row in connection.execute(_PROGRAMS, {"numbers": asked})
    }


def of_device(connection: sa.Connection, own: Own, device: int) -> list[tuple[int, int]]:
    """The programs of a device in the order of a DERProgramList, each with the FSA that it is in.

    Its own program is in the first of its FSAs; a device without any FSA has none to show it in.
    """
    found = groups.programs_of(connection, device)
    assignments = [number for number, _ in groups.assignments_of(connection, device)]
    if assignments:
        numbers = [number for number, _ in found]
        before = connection.scalar(_BEFORE, {"numbers": numbers, "primacy": own.primacy})
        # Between equals the greater mRID comes first, and those of own programs are greater.
        found.insert(before or 0, (own_program(device), min(assignments)))
    return found


def reaches(connection: sa.Connection, device: int, aggregator: bool, program: int) -> bool:
    """Whether a program is in an FSA of the device, or of its fleet.

    A device's own program is the device's and its aggregator's.
    """
    owner = owner_of(program)
    if owner is None:
        return groups.reaches(connection, device, aggregator, program)
    if owner == device:
        return not aggregator
    shown = devices.owner(connection, owner) if aggregator else None
    return shown is not None and shown.manager == device


def add(transaction: Transaction, issuer: Issuer, group: int, description: str, primacy: int) -> int:
    """Make a program of a group; every device under the group sees it from now on.

    One row is written, however many devices there are. Lists of programs that devices have seen are
    views over membership: what is told of the change is the group's program list as a whole.
    """
    connection = transaction.connection
    number: int | None = connection.scalar(
        sa.insert(programs)
        .values(group=group, description=description, primacy=primacy, version=0)
        .returning(programs.c.id)
    )
    assert number is not None
    connection.execute(
        sa.update(programs).where(programs.c.id == number).values(mrid=issuer.mrid(Kind.PROGRAM, number))
    )
    transaction.touch("/derp", _DERP.href((number,)))
    return number


def change(transaction: Transaction, number: int, *, group: int, primacy: int) -> None:
    """Give a program another group or primacy, and bring it back if it was retired."""
    transaction.connection.execute(
        sa.update(programs)
        .where(programs.c.id == number)
        .values(group=group, primacy=primacy, retired=None, version=programs.c.version + 1)
    )
    transaction.touch("/derp", _DERP.href((number,)))


def retire(transaction: Transaction, number: int, now: int) -> None:
    """Take a program out of every list; its controls and curves stay in the store."""
    transaction.connection.execute(sa.update(programs).where(programs.c.id == number).values(retired=now))
    transaction.touch("/derp", _DERP.href((number,)))


def set_default(
    transaction: Transaction, issuer: Issuer, program: int, default: r.DefaultDERControl | None, now: int
) -> None:
    """Give a program its DefaultDERControl, or take it away. What is the same already is not touched.

    :param default: with any mRID and version; it gets the program's own and the next one
    """
    place = Place(_DEFAULT, (program,))
    present = documents.get(transaction.connection, place)
    if default is None:
        documents.delete(transaction, place)
        return
    mrid = issuer.mrid(Kind.DEFAULT, program)
    version = 0
    if isinstance(present, r.DefaultDERControl):
        if present == default.replace(mRID=mrid, version=present.version):
            return
        version = ((present.version or 0) + 1) % 2**16
    documents.put(transaction, place, default.replace(mRID=mrid, version=version), now, None)


def add_curve(transaction: Transaction, issuer: Issuer, program: int, curve: r.DERCurve, now: int) -> Place:
    """Add a curve to a program's DERCurveList.

    :param curve: with any mRID; it gets one of the program's
    """
    place = Place(_CURVES, (program,))
    number = documents.next_number(transaction.connection, place)
    mrid = issuer.mrid(Kind.CURVE, program, number)
    return documents.post(transaction, place, curve.replace(mRID=mrid), now, None)


def change_curve(transaction: Transaction, place: Place, curve: r.DERCurve, now: int) -> None:
    """Give a curve other points; it keeps its mRID, and its version rises."""
    present = documents.get(transaction.connection, place)
    if isinstance(present, r.DERCurve):
        version = ((present.version or 0) + 1) % 2**16
        changed = curve.replace(mRID=present.mRID, version=version)
        documents.replace(transaction, _CURVES, place, changed, now)


def find_curve(connection: sa.Connection, program: int, description: str) -> Place | None:
    """Where a program's curve of that description is."""
    _, members = documents.page(connection, Place(_CURVES, (program,)), documents.ALL)
    for place, curve in members:
        if isinstance(curve, r.DERCurve) and curve.description == description:
            return place
    return None


def find(connection: sa.Connection, description: str) -> int | None:
    """The number of the program of this description, retired or not."""
    return connection.scalar(sa.select(programs.c.id).where(programs.c.description == description))


def group_of(connection: sa.Connection, number: int) -> int:
    """The group of a program that is a row."""
    group: int | None = connection.scalar(_GROUP, {"number": number})
    assert group is not None
    return group


@frozen
class Listed:
    """A program of a group as the operator sees it."""

    id: int
    mrid: str
    description: str
    primacy: int
    group: int
    version: int
    retired: int | None


def listed(
    connection: sa.Connection, *, after: int = 0, limit: int = 50, number: int | None = None
) -> list[Listed]:
    """Programs of groups in the order of their numbers, or the one of a number."""
    query = (
        sa.select(*(programs.c[column.name] for column in fields(Listed)))
        .where(programs.c.id > after)
        .order_by(programs.c.id)
        .limit(limit)
    )
    if number is not None:
        query = query.where(programs.c.id == number)
    return [Listed(*row) for row in connection.execute(query)]
