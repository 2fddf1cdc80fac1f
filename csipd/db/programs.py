"""DERPrograms, their default controls and their curves.

Every device has a program of its own besides those of its groups, for what the operator commands by name
(decision 19; own_programs.py). It is no row: its number follows from the device's, and everything about it
from that. Nobody sees it before it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa
from attrs import fields, frozen

from csipd.db import devices, documents, facts, fleet_counts, group_devices, groups, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import OWN_PROGRAMS, default_versions, own_programs, programs
from csipd.db.upsert import insert
from csipd.refusals import Conflict
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.site import ROWS, Place

#: What devices' own programs are called.
OWN_DESCRIPTION = "Service point"

_DERP = ROWS["DERProgram"]
_DEFAULT = ROWS["DefaultDERControl"]
_CURVES = ROWS["DERCurveList"]

_BEFORE = Prepared(
    sa.select(sa.func.count())
    .select_from(programs)
    .where(
        programs.c.id.in_(sa.bindparam("numbers", expanding=True)),
        programs.c.primacy < sa.bindparam("primacy"),
    )
)
_SHOWN = Prepared(
    sa.select(own_programs.c.device).where(own_programs.c.device.in_(sa.bindparam("devices", expanding=True)))
)
_PAGE_OF_FLEET = Prepared(
    sa.select(own_programs.c.device)
    .where(own_programs.c.fleet == sa.bindparam("manager"), own_programs.c.device < sa.bindparam("behind"))
    .order_by(own_programs.c.device.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_VERSION = Prepared(
    sa.select(default_versions.c.version, default_versions.c.body).where(
        default_versions.c.program == sa.bindparam("program")
    )
)
_GROUP = Prepared(sa.select(programs.c.group).where(programs.c.id == sa.bindparam("number")))
_PROGRAMS = Prepared(
    sa.select(
        programs.c.id, programs.c.mrid, programs.c.description, programs.c.version, programs.c.primacy
    ).where(programs.c.id.in_(sa.bindparam("numbers", expanding=True)), programs.c.retired.is_(None))
)


def href(number: int) -> str:
    """The place of a program."""
    return _DERP.href((number,))


def own_program(device: int) -> int:
    """The number of a device's own program."""
    return OWN_PROGRAMS + device


def owner_of(program: int) -> int | None:
    """The device whose own program this is; None for a program of a group."""
    return program - OWN_PROGRAMS if program > OWN_PROGRAMS else None


@frozen
class OwnPrograms:
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


def get(connection: sa.Connection, numbers: Sequence[int], own: OwnPrograms) -> dict[int, r.DERProgram]:
    """The programs of these numbers, without their links; retired ones are left out."""
    owned = {n: own.program(device) for n in numbers if (device := owner_of(n)) is not None}
    asked = [number for number in numbers if number not in owned]
    if not asked:
        return owned
    return owned | {
        row.id: r.DERProgram(
            mRID=row.mrid, description=row.description[:32], version=row.version, primacy=row.primacy
        )
        for row in _PROGRAMS.all(connection, {"numbers": asked})
    }


def of_device(connection: sa.Connection, own: OwnPrograms, device: int) -> list[tuple[int, int]]:
    """The programs of a device in the order of a DERProgramList, each with the FSA that it is in."""
    shows = device if shown(connection, [device]) else None
    return of_set(connection, own, groups.set_of(connection, device), shows)


def of_set(
    connection: sa.Connection, own: OwnPrograms, of: Sequence[int], shows: int | None
) -> list[tuple[int, int]]:
    """The programs of a device that is in these groups, likewise.

    Its own program is in the first of its FSAs once it is shown; a device without any FSA has none to show
    it in.

    :param shows: number of the device, if its own program is shown
    """
    found = groups.programs_of_set(connection, of)
    if shows is not None:
        assignments = [number for number, _ in groups.assignments_of_set(connection, of)]
        if assignments:
            before = _before(connection, own, [number for number, _ in found])
            found.insert(before, (own_program(shows), min(assignments)))
    return found


class Bookmarks(Protocol):
    """Where parts of a list of devices begin: behind which device, by how many come before."""

    def find(self, start: int) -> int | None: ...

    def note(self, start: int, device: int) -> None: ...


def of_fleet(
    connection: sa.Connection,
    own: OwnPrograms,
    manager: int,
    part: tuple[int, int] | None,
    bookmarks: Bookmarks | None = None,
) -> tuple[int, list[int]]:
    """The programs of an aggregator's fleet in the order of a DERProgramList: of all FSAs of its devices.

    :param part: the first that is wanted, from 0, and how many at most; None: none, to count them
    :param bookmarks: of devices' own programs; what is read is noted there
    :return: how many there are, and those wanted
    """
    common = [number for number, _ in groups.programs_of_fleet(connection, manager)]
    owned = fleet_counts.number(connection, fleet_counts.own_programs_of(manager))
    total = len(common) + owned
    if part is None:
        return total, []
    start, limit = part
    if not owned:
        return total, common[start : start + limit]
    # Those of devices all have one primacy: they stand together.
    before = _before(connection, own, common)
    first, last = max(start - before, 0), min(start + limit - before, owned)
    wanted = common[start : min(start + limit, before)]
    if first < last:
        wanted += map(own_program, _owners(connection, manager, first, last - first, bookmarks))
    after = before + max(start - before - owned, 0)
    return total, wanted + common[after : after + limit - len(wanted)]


def _owners(
    connection: sa.Connection, manager: int, start: int, limit: int, bookmarks: Bookmarks | None
) -> list[int]:
    """Devices of a fleet whose own programs are shown, the highest number first."""
    behind = bookmarks.find(start) if bookmarks is not None and start else None
    asked = {
        "manager": manager,
        "behind": OWN_PROGRAMS if behind is None else behind,
        "start": start if behind is None else 0,
        "limit": limit,
    }
    found: list[int] = _PAGE_OF_FLEET.scalars(connection, asked)
    if found and bookmarks is not None:
        bookmarks.note(start + len(found), found[-1])
    return found


def _before(connection: sa.Connection, own: OwnPrograms, numbers: Sequence[int]) -> int:
    """How many programs of a list come before devices' own.

    Between equals the greater mRID comes first, and those of own programs are greater.
    """
    found: int = _BEFORE.scalar(connection, {"numbers": numbers, "primacy": own.primacy})
    return found


def shown(connection: sa.Connection, devices: Sequence[int]) -> set[int]:
    """Those of the devices whose own program is shown."""
    return set(_SHOWN.scalars(connection, {"devices": devices}))


def reaches(connection: sa.Connection, device: int, aggregator: bool, program: int) -> bool:
    """Whether a program is in an FSA of the device, or of its fleet.

    A device's own program is the device's and its aggregator's, once it is shown.
    """
    owner = owner_of(program)
    if owner is None:
        return groups.reaches(connection, device, aggregator, program)
    if not shown(connection, [owner]):
        return False
    if owner == device:
        return not aggregator
    managed = devices.owner(connection, owner) if aggregator else None
    return managed is not None and managed.manager == device


def add(transaction: Transaction, issuer: Issuer, group: int, description: str, primacy: int) -> int:
    """Make a program of a group; every device under the group sees it from now on.

    One row is written, however many devices there are. Lists of programs that devices have seen are
    views over membership: what is invalidated is the list of programs as a whole.
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
    tally.change(transaction, tally.PROGRAMS, 1)
    transaction.invalidate(facts.TOPOLOGY, facts.program(number))
    return number


def change(transaction: Transaction, number: int, *, group: int, primacy: int) -> None:
    """Give a program another group or primacy, and bring it back if it was retired."""
    retired = sa.select(programs.c.id).where(programs.c.id == number, programs.c.retired.is_not(None))
    if transaction.connection.scalar(retired) is not None:
        tally.change(transaction, tally.PROGRAMS, 1)
    transaction.connection.execute(
        sa.update(programs)
        .where(programs.c.id == number)
        .values(group=group, primacy=primacy, retired=None, version=programs.c.version + 1)
    )
    transaction.invalidate(facts.TOPOLOGY, facts.program(number))


def retire(transaction: Transaction, number: int, now: int) -> None:
    """Take a program out of every list; its controls and curves stay in the store."""
    here = sa.and_(programs.c.id == number, programs.c.retired.is_(None))
    if transaction.connection.execute(sa.update(programs).where(here).values(retired=now)).rowcount:
        tally.change(transaction, tally.PROGRAMS, -1)
    transaction.invalidate(facts.TOPOLOGY, facts.program(number))


def set_default(
    transaction: Transaction, issuer: Issuer, program: int, default: r.DefaultDERControl | None, now: int
) -> None:
    """Give a program its DefaultDERControl, or take it away. What is the same already is not touched.

    :param default: with any mRID and version; it gets the program's own and the next one
    :raises Conflict: it is a device's own program, whose default is a view (own_programs.py)
    """
    if (device := owner_of(program)) is not None:
        raise follows(device)
    place = Place(_DEFAULT, (program,))
    present = documents.get(transaction.connection, place)
    if default is None:
        if isinstance(present, r.DefaultDERControl):
            keep_default_version(transaction, program, present.version or 0)
        documents.delete(transaction, place)
        return
    mrid = issuer.mrid(Kind.DEFAULT, program)
    if isinstance(present, r.DefaultDERControl):
        if present == default.replace(mRID=mrid, version=present.version):
            return
        last: int | None = present.version or 0
    else:
        last = default_version(transaction.connection, program)[0]
    version = 0 if last is None else (last + 1) % 2**16
    documents.put(transaction, place, default.replace(mRID=mrid, version=version), now, None)


def follows(device: int) -> Conflict:
    """Why the default of a device's own program is not to be set, or taken away."""
    return Conflict(
        f"the default of device {device}'s own program follows from those of its other programs: set one"
        " of these, or put the device into a group of its own with a program"
    )


def default_version(connection: sa.Connection, program: int) -> tuple[int | None, bytes | None]:
    """The version that was kept last of a program's default, and what it said where that is kept, too."""
    row = _VERSION.first(connection, {"program": program})
    return (None, None) if row is None else (row.version, row.body)


def keep_default_version(
    transaction: Transaction, program: int, version: int, body: bytes | None = None
) -> None:
    """Keep the version of a program's default, so that the next one rises from it."""
    values = {"version": version, "body": body}
    statement = insert(transaction.connection.dialect.name, default_versions).values(
        program=program, **values
    )
    transaction.connection.execute(
        statement.on_conflict_do_update(index_elements=[default_versions.c.program], set_=values)
    )


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
    group: int | None = _GROUP.scalar(connection, {"number": number})
    assert group is not None
    return group


@frozen
class ProgramRow:
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
) -> list[ProgramRow]:
    """Programs of groups in the order of their numbers, or the one of a number."""
    query = (
        sa.select(*(programs.c[column.name] for column in fields(ProgramRow)))
        .where(programs.c.id > after)
        .order_by(programs.c.id)
        .limit(limit)
    )
    if number is not None:
        query = query.where(programs.c.id == number)
    return [ProgramRow(*row) for row in connection.execute(query)]


def between(connection: sa.Connection, least: int, most: int, limit: int) -> dict[int, int]:
    """Groups' programs from one primacy to another, with theirs, in the order of their numbers."""
    query = sa.select(programs.c.id, programs.c.primacy).where(
        programs.c.primacy.between(least, most), programs.c.retired.is_(None)
    )
    rows = connection.execute(query.order_by(programs.c.id).limit(limit))
    return {row.id: row.primacy for row in rows}


def number_shown_under(connection: sa.Connection, group: int) -> int:
    """How many devices in a group and below it have their own program shown."""
    query = sa.select(sa.func.count()).select_from(own_programs)
    return connection.scalar(query.where(own_programs.c.device.in_(group_devices.under(group)))) or 0


def names(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, tuple[str, int]]:
    """The descriptions of programs by their numbers, and the groups that they are for."""
    rows = _NAMES.all(connection, {"numbers": numbers})
    return {number: (description, group) for number, description, group in rows}


_NAMES = Prepared(
    sa.select(programs.c.id, programs.c.description, programs.c.group).where(
        programs.c.id.in_(sa.bindparam("numbers", expanding=True))
    )
)


def total(connection: sa.Connection) -> tally.Total:
    """How many programs ``listed`` has in all."""
    return tally.up_to(connection, sa.select(programs.c.id))


def number(connection: sa.Connection) -> int:
    """How many programs of groups there are that are not retired: kept, not counted."""
    return tally.numbers(connection, [tally.PROGRAMS])[tally.PROGRAMS]
