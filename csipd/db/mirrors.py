"""Mirrors of usage points: which there are, who made them, whose readings they take.

A MirrorUsagePoint and the UsagePoint that is made of it are one row and have one number (IEEE 2030.5-2018
10.11.3). mRIDs are unique by who made the mirror: makers ship one in every device (decision 56). What is in a
mirror has modules of its own: csipd/db/meter_readings.py what there is, csipd/db/mirrored.py what comes in.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import devices, facts, meter_readings, skipping, tally
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import counts as counts_table
from csipd.db.tables import devices as devices_table
from csipd.db.tables import mirrors
from csipd.der.access import Caller, Owner, acts_for
from csipd.der.metering import NOTED_EVERY, Metering
from csipd.refusals import BadRequest, Forbidden, Full
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.types import Role

#: The name of the number of mirrors, which is kept (`tally`).
NUMBER = "mirrors"
#: Rows of what a mirror holds that go with it at once; the sweep removes the others.
AT_ONCE = 1000
#: Mirrors that the sweep looks up at a time.
_SOME = 20

_MIRRORS = sa.select(
    mirrors.c.id,
    mirrors.c.owner,
    mirrors.c.device,
    mirrors.c.roles,
    mirrors.c.wished_post_rate,
    mirrors.c.posted,
    mirrors.c.mrid,
    mirrors.c.body,
    devices_table.c.manager,
    devices_table.c.lfdi,
    devices_table.c.post_rate,
    devices.is_shown.label("shown"),
).select_from(mirrors.join(devices_table, devices_table.c.id == mirrors.c.device))
_LIVE = mirrors.c.deleted.is_(None)
_MIRROR = Prepared(_MIRRORS.where(mirrors.c.id == sa.bindparam("mirror"), _LIVE))
_OWNED = (mirrors.c.owner == sa.bindparam("asker")) & _LIVE
_BY_MRID = Prepared(_MIRRORS.where(_OWNED, mirrors.c.mrid == sa.bindparam("mrid")))
_OF_DER = Prepared(
    sa.select(sa.func.max(mirrors.c.id)).where(
        mirrors.c.device == sa.bindparam("device"), mirrors.c.roles.bitwise_and(int(Role.DER)) != 0, _LIVE
    )
)
_OWNED_COUNT = Prepared(sa.select(sa.func.count()).select_from(mirrors).where(_OWNED))


def _metered(aggregator: bool) -> sa.ColumnElement[bool]:
    """Those of a caller and its fleet, whoever made them."""
    own = mirrors.c.fleet if aggregator else mirrors.c.device
    return (own == sa.bindparam("asker")) & _LIVE


def _made_by(aggregator: bool) -> sa.ColumnElement[bool]:
    """Those of them that the caller has made."""
    return _OWNED & _metered(aggregator)


def _number(which: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(mirrors).where(which).scalar_subquery()


# What comes behind a mirror in the order of both lists: those of its mRID, then those of lower ones. In one
# statement SQLite would pass over what comes before.
_BEHIND = (
    (mirrors.c.mrid == sa.bindparam("behind_mrid")) & (mirrors.c.id > sa.bindparam("behind_number")),
    mirrors.c.mrid < sa.bindparam("behind_mrid"),
)


@frozen
class _Pages:
    """A list of mirrors.

    :param whole: by where a part starts
    :param behind: by which mirror is right before it
    """

    whole: Prepared
    behind: tuple[Prepared, ...]


def _pages(which: sa.ColumnElement[bool]) -> _Pages:
    ordered = (
        _MIRRORS.where(which)
        .order_by(mirrors.c.mrid.desc(), mirrors.c.id)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )
    return _Pages(
        Prepared(ordered.offset(sa.bindparam("start", type_=sa.Integer))),
        tuple(Prepared(ordered.where(condition)) for condition in _BEHIND),
    )


_KEPT = sa.select(counts_table.c.number).where(counts_table.c.name == NUMBER).scalar_subquery()
# By whether an aggregator asks.
_COUNTS = {
    aggregator: Prepared(
        sa.select(
            _number(_made_by(aggregator)).label("made"),
            _number(_metered(aggregator)).label("metered"),
            sa.func.coalesce(_KEPT, 0).label("kept"),
        )
    )
    for aggregator in (False, True)
}
_MADE = {aggregator: _pages(_made_by(aggregator)) for aggregator in (False, True)}
_METERED = {aggregator: _pages(_metered(aggregator)) for aggregator in (False, True)}

_INSERT = Prepared(
    sa.insert(mirrors).returning(mirrors.c.id),
    "owner",
    "device",
    "fleet",
    "mrid",
    "roles",
    "wished_post_rate",
    "posted",
    "body",
)
_OVERWRITE = Prepared(
    sa.update(mirrors).where(mirrors.c.id == sa.bindparam("mirror")), "roles", "wished_post_rate", "body"
)
_NOTE = Prepared(sa.update(mirrors).where(mirrors.c.id == sa.bindparam("mirror")), "posted")


_DELETE = Prepared(
    sa.update(mirrors).where(mirrors.c.id == sa.bindparam("mirror")).values(deleted=sa.bindparam("at"))
)
_REMOVE = Prepared(sa.delete(mirrors).where(mirrors.c.id == sa.bindparam("mirror")))
_SILENT = Prepared(
    sa.select(mirrors.c.id)
    .where(mirrors.c.posted < sa.bindparam("before"), _LIVE)
    .order_by(mirrors.c.posted)
    .limit(_SOME)
)
_DELETED = Prepared(
    sa.select(mirrors.c.id, mirrors.c.owner, mirrors.c.device)
    .where(mirrors.c.deleted.is_not(None))
    .order_by(mirrors.c.id)
    .limit(_SOME)
)


@frozen
class Position:
    """A mirror by what lists of them are ordered by."""

    mrid: str
    number: int


@frozen
class Mirror:
    """A MirrorUsagePoint, and with it a UsagePoint.

    :param owner: number of the EndDevice that made it
    :param device: whose readings they are
    :param subject: that device with its aggregator now; None: it is no EndDevice any more
    :param lfdi: its LFDI now
    :param roles: roleFlags
    :param rate: the postRate that the operator has set for the device
    :param wished: the one that the mirror asks for
    :param posted: when something was posted last, at most an hour before it was (TimeType)
    """

    number: int
    owner: int
    device: int
    subject: Owner | None
    lfdi: str
    roles: int
    rate: int | None
    wished: int | None
    posted: int
    mrid: str
    body: bytes

    @property
    def position(self) -> Position:
        """Where it stands in lists."""
        return Position(self.mrid, self.number)

    def document(self) -> r.MirrorUsagePoint:
        """What was posted, without readings; deviceLFDI is the one that the device has now."""
        stored = decode(self.body, r.MirrorUsagePoint, f"mirrors {self.number}")
        return stored.replace(deviceLFDI=self.lfdi)


@frozen
class Counts:
    """How many there are for a caller.

    :param made: mirrors that it has made
    :param metered: usage points of its own and its fleet
    :param kept: mirrors of everybody
    """

    made: int
    metered: int
    kept: int


# Reading.


def find(connection: sa.Connection, number: int) -> Mirror | None:
    """The mirror of a number."""
    row = _MIRROR.first(connection, {"mirror": number})
    return None if row is None else _mirror(row)


def _mirror(row: Any) -> Mirror:
    return Mirror(
        number=row.id,
        owner=row.owner,
        device=row.device,
        subject=Owner(row.device, row.manager) if row.shown else None,
        lfdi=row.lfdi,
        roles=row.roles,
        rate=row.post_rate,
        wished=row.wished_post_rate,
        posted=row.posted,
        mrid=row.mrid,
        body=row.body,
    )


def counts(connection: sa.Connection, asker: Caller) -> Counts:
    """How many there are for a registered caller."""
    return Counts(*_COUNTS[asker.aggregator].first(connection, {"asker": asker.device}))


def made(
    connection: sa.Connection, asker: Caller, part: Page, behind: Position | None = None
) -> list[Mirror]:
    """A part of the mirrors that a caller has made, by mRID descending.

    :param behind: the mirror right before the part, where that is known: what comes before is not passed over
    """
    return _part(connection, _MADE[asker.aggregator], asker, part, behind)


def metered(
    connection: sa.Connection, asker: Caller, part: Page, behind: Position | None = None
) -> list[Mirror]:
    """A part of the usage points of a caller and its fleet, in the same order; ``behind`` as there."""
    return _part(connection, _METERED[asker.aggregator], asker, part, behind)


def _part(
    connection: sa.Connection, pages: _Pages, asker: Caller, part: Page, behind: Position | None
) -> list[Mirror]:
    wanted: dict[str, Any] = {"asker": asker.device, "limit": part.limit, "start": part.start}
    if behind is None:
        return [_mirror(row) for row in pages.whole.all(connection, wanted)]
    wanted |= {"behind_mrid": behind.mrid, "behind_number": behind.number}
    return [_mirror(row) for row in skipping.in_turn(connection, pages.behind, wanted, part.limit)]


def of_der(connection: sa.Connection, device: int) -> int | None:
    """The usage point of a device's DER: the last one that was made with that role; None: there is none."""
    number: int | None = _OF_DER.scalar(connection, {"device": device})
    return number


def has_room(connection: sa.Connection, metering: Metering) -> bool:
    """Whether one more mirror can be kept, whoever makes it."""
    return tally.numbers(connection, [NUMBER])[NUMBER] < metering.mirrors


# Writing.


def put(
    transaction: Transaction, asker: Caller, body: r.MirrorUsagePoint, metering: Metering, now: int
) -> tuple[Mirror, Mirror | None]:
    """Make a mirror, or overwrite the one of that mRID that the caller has. Its readings are not looked at.

    One whose readings were another device's makes room for a new one: what that device read stays its own.

    :return: the mirror, and what it was before; None: there was none
    :raises Forbidden: deviceLFDI is neither the caller's nor of its fleet
    :raises Full: there is no room for one more
    """
    connection = transaction.connection
    device = devices.meant_by(connection, asker, body.deviceLFDI)
    if device is None or not acts_for(asker, device):
        raise Forbidden(f"{asker.lfdi} does not meter {body.deviceLFDI}")
    row = _BY_MRID.first(connection, {"asker": asker.device, "mrid": body.mRID})
    known = None if row is None else _mirror(row)
    if known is not None and known.device != device.device:
        remove(transaction, known, metering, now)
        known = None
    if known is None:
        number = _make(transaction, asker, body, device, metering, now)
    else:
        number = known.number
        _overwrite(transaction, known, body)
    found = find(connection, number)
    assert found is not None
    return found, known


def overwrite(transaction: Transaction, asker: Caller, mirror: Mirror, body: r.MirrorUsagePoint) -> None:
    """PUT of a mirror: what it says, as long as it is about the same.

    :raises Forbidden: deviceLFDI is neither the caller's nor of its fleet
    :raises BadRequest: it is about another usage point or another device
    """
    device = devices.meant_by(transaction.connection, asker, body.deviceLFDI)
    if device is None or not acts_for(asker, device):
        raise Forbidden(f"{asker.lfdi} does not meter {body.deviceLFDI}")
    if device.device != mirror.device or body.mRID != mirror.mrid:
        raise BadRequest("mRID and deviceLFDI of a MirrorUsagePoint do not change: POST makes another one")
    _overwrite(transaction, mirror, body)


def _make(
    transaction: Transaction,
    asker: Caller,
    body: r.MirrorUsagePoint,
    device: Owner,
    metering: Metering,
    now: int,
) -> int:
    connection = transaction.connection
    most = metering.most_mirrors(asker.managed)
    if _OWNED_COUNT.scalar(connection, {"asker": asker.device}) >= most:
        raise Full(f"{asker.lfdi} has made {most} mirrors")
    if not has_room(connection, metering):
        raise Full(f"there are {metering.mirrors} mirrors")
    number: int = _INSERT.scalar(
        connection,
        {
            "owner": asker.device,
            "device": device.device,
            "fleet": device.manager,
            "mrid": body.mRID,
            "posted": now,
            **_content(body),
        },
    )
    tally.change(transaction, NUMBER, 1)
    if not has_room(connection, metering):
        transaction.invalidate(facts.MIRROR_ROOM)
    _drop(transaction, number, asker.device, device)
    return number


def _content(body: r.MirrorUsagePoint) -> dict[str, Any]:
    """What a mirror's row has of what was posted."""
    kept = body.replace(href=None, MirrorMeterReading=(), postRate=None)
    return {
        "roles": body.roleFlags,
        "wished_post_rate": body.postRate,
        "body": codec.encode(kept, extensions=True),
    }


def _overwrite(transaction: Transaction, known: Mirror, body: r.MirrorUsagePoint) -> None:
    content = _content(body)
    before = {"roles": known.roles, "wished_post_rate": known.wished, "body": known.body}
    if content == before:
        return
    _OVERWRITE.execute(transaction.connection, {"mirror": known.number, **content})
    # Of which usage point a DER has, its role is a part.
    transaction.invalidate(facts.mirror(known.number), facts.usage_points(known.device))


def _drop(transaction: Transaction, number: int, owner: int | None, device: Owner) -> None:
    """Drop what hangs on whether there is a mirror."""
    seen_by = {device.device, device.manager} - {None}
    transaction.invalidate(
        facts.mirror(number), facts.mirrors(owner), *(facts.usage_points(one) for one in seen_by)
    )


def note_post(transaction: Transaction, mirror: Mirror, now: int) -> None:
    """Note that something was posted: what is not posted to is removed some day."""
    if now - mirror.posted >= NOTED_EVERY:
        _NOTE.execute(transaction.connection, {"mirror": mirror.number, "posted": now})
        transaction.invalidate(facts.mirror(mirror.number))


# Removing.


def remove(transaction: Transaction, mirror: Mirror, metering: Metering, now: int) -> int:
    """Remove a mirror and its usage point. What was read stays with the device, for operators.

    Of a large one some rows are left for the sweep.

    :return: how many rows were removed
    """
    connection = transaction.connection
    meter_readings.end(transaction, mirror.number, now)
    _DELETE.execute(connection, {"mirror": mirror.number, "at": now})
    was_full = not has_room(connection, metering)
    tally.change(transaction, NUMBER, -1)
    if was_full and has_room(connection, metering):
        transaction.invalidate(facts.MIRROR_ROOM)
    _drop(transaction, mirror.number, mirror.owner, mirror.subject or Owner(mirror.device))
    return _clear(transaction, mirror.number, AT_ONCE)


def sweep(transaction: Transaction, metering: Metering, now: int, most: int) -> int:
    """Remove mirrors to which nothing is posted any more, and what is left of others, so many rows at most.

    :return: how many rows were removed
    """
    connection = transaction.connection
    removed = 0
    before = {"before": metering.expired(now)}
    while removed < most and (silent := _SILENT.scalars(connection, before)):
        for number in silent:
            mirror = find(connection, number)
            if removed < most and mirror is not None:
                removed += remove(transaction, mirror, metering, now)
    while removed < most and (deleted := _DELETED.all(connection)):
        for number, owner, device in deleted:
            if removed < most:
                removed += _clear(transaction, number, most - removed)
                _drop(transaction, number, owner, Owner(device))
    return removed


def _clear(transaction: Transaction, number: int, most: int) -> int:
    """Remove what a mirror that was deleted has left, so many rows at most, and itself after them."""
    removed = meter_readings.clear(transaction, number, most)
    if removed >= most:
        return most
    _REMOVE.execute(transaction.connection, {"mirror": number})
    transaction.invalidate(facts.mirror(number))
    return removed + 1
