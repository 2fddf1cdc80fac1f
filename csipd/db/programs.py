"""DERPrograms, their default controls and their curves."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import documents
from csipd.db.database import Transaction
from csipd.db.tables import programs
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.site import ROWS, Place

_DERP = ROWS["DERProgram"]
_DEFAULT = ROWS["DefaultDERControl"]
_CURVES = ROWS["DERCurveList"]

_PROGRAMS = sa.select(
    programs.c.id, programs.c.mrid, programs.c.description, programs.c.version, programs.c.primacy
).where(programs.c.id.in_(sa.bindparam("numbers", expanding=True)), programs.c.retired.is_(None))


def get(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, r.DERProgram]:
    """The programs of these numbers, without their links; retired ones are left out."""
    return {
        row.id: r.DERProgram(
            mRID=row.mrid, description=row.description[:32], version=row.version, primacy=row.primacy
        )
        for row in connection.execute(_PROGRAMS, {"numbers": numbers})
    }


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
