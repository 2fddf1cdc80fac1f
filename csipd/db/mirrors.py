"""Mirrors of usage points: what devices say that they meter, and where their readings go.

A MirrorUsagePoint and the UsagePoint that is made of it are one row and have one number; so have each
MirrorMeterReading and its MeterReading, each MirrorReadingSet and its ReadingSet (IEEE 2030.5-2018 10.11.3).
What is read is in series (csipd/db/series.py). mRIDs are unique by who made the mirror: makers ship one in
every device (decision 56).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import devices, facts, series, tally
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.series import Sample, Segment
from csipd.db.stored import decode
from csipd.db.tables import counts as counts_table
from csipd.db.tables import devices as devices_table
from csipd.db.tables import meter_readings, mirrors, reading_sets
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

_OF_MIRROR = meter_readings.c.mirror == sa.bindparam("mirror")
_METERS = sa.select(
    meter_readings.c.id, meter_readings.c.mrid, meter_readings.c.description, meter_readings.c.version
)
_METER = Prepared(
    sa.select(meter_readings.c.id, meter_readings.c.description, meter_readings.c.version).where(
        _OF_MIRROR, meter_readings.c.mrid == sa.bindparam("mrid")
    )
)
_METER_COUNTS = Prepared(
    sa.select(meter_readings.c.mirror, sa.func.count().label("number"))
    .where(meter_readings.c.mirror.in_(sa.bindparam("mirrors", expanding=True)))
    .group_by(meter_readings.c.mirror)
)
_METER_NUMBERS = Prepared(sa.select(meter_readings.c.id).where(_OF_MIRROR))
_METER_PAGE = Prepared(
    _METERS.where(_OF_MIRROR)
    .order_by(meter_readings.c.mrid.desc())
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_METER_OF = Prepared(_METERS.where(_OF_MIRROR, meter_readings.c.id == sa.bindparam("meter")))
_ADD_METER = Prepared(
    sa.insert(meter_readings).values(sets=0).returning(meter_readings.c.id),
    "mirror",
    "mrid",
    "description",
    "version",
    "sets",
)
_THIS_METER = meter_readings.c.id == sa.bindparam("meter")
_CHANGE_METER = Prepared(sa.update(meter_readings).where(_THIS_METER), "description", "version")
_COUNT_SET = Prepared(
    sa.update(meter_readings)
    .where(_THIS_METER)
    .values(sets=meter_readings.c.sets + 1)
    .returning(meter_readings.c.sets)
)
_SET_COUNT = Prepared(sa.select(meter_readings.c.sets).where(_THIS_METER))
_SHORTEN = Prepared(sa.update(meter_readings).where(_THIS_METER).values(sets=meter_readings.c.sets - 1))

_SETS = sa.select(
    reading_sets.c.id,
    reading_sets.c.mrid,
    reading_sets.c.description,
    reading_sets.c.version,
    reading_sets.c.start,
    reading_sets.c.duration,
)
_OF_METER = reading_sets.c.meter_reading == sa.bindparam("meter")
_LATER = reading_sets.c.start > sa.bindparam("after")
_NEWEST = (reading_sets.c.start.desc(), reading_sets.c.mrid.desc())
_SET = Prepared(_SETS.where(_OF_METER, reading_sets.c.id == sa.bindparam("number")))
_SET_BY_MRID = Prepared(_SETS.where(_OF_METER, reading_sets.c.mrid == sa.bindparam("mrid")))
_SET_LATER_COUNT = Prepared(sa.select(sa.func.count()).select_from(reading_sets).where(_OF_METER, _LATER))
_SET_PAGE, _SET_LATER_PAGE = (
    Prepared(
        _SETS.where(*conditions)
        .order_by(*_NEWEST)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .offset(sa.bindparam("start", type_=sa.Integer))
    )
    for conditions in ([_OF_METER], [_OF_METER, _LATER])
)
_ADD_SET = Prepared(
    sa.insert(reading_sets).returning(reading_sets.c.id),
    "meter_reading",
    "mrid",
    "description",
    "version",
    "start",
    "duration",
)
_REPLACE_SET = Prepared(
    sa.update(reading_sets).where(reading_sets.c.id == sa.bindparam("number")),
    "description",
    "version",
    "start",
    "duration",
)
_OLDEST_SET = Prepared(
    sa.select(reading_sets.c.id).where(_OF_METER).order_by(reading_sets.c.start, reading_sets.c.mrid).limit(1)
)
_REMOVE_SET = Prepared(sa.delete(reading_sets).where(reading_sets.c.id == sa.bindparam("number")))
_SETS_OF = Prepared(
    sa.select(reading_sets.c.id).where(_OF_METER).limit(sa.bindparam("limit", type_=sa.Integer))
)
_REMOVE_SETS = Prepared(
    sa.delete(reading_sets).where(reading_sets.c.id.in_(sa.bindparam("numbers", expanding=True)))
)
_REMOVE_METER = Prepared(sa.delete(meter_readings).where(_THIS_METER))

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
class Meter:
    """A MeterReading: readings of one kind."""

    number: int
    description: str | None
    version: int | None


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
    found: list[Any] = []
    wanted |= {"behind_mrid": behind.mrid, "behind_number": behind.number}
    for query in pages.behind:
        if len(found) < part.limit:
            found += query.all(connection, wanted | {"limit": part.limit - len(found)})
    return [_mirror(row) for row in found]


def of_der(connection: sa.Connection, device: int) -> int | None:
    """The usage point of a device's DER: the last one that was made with that role; None: there is none."""
    number: int | None = _OF_DER.scalar(connection, {"device": device})
    return number


def has_room(connection: sa.Connection, metering: Metering) -> bool:
    """Whether one more mirror can be kept, whoever makes it."""
    return tally.numbers(connection, [NUMBER])[NUMBER] < metering.mirrors


def find_meter(connection: sa.Connection, mirror: int, mrid: str) -> Meter | None:
    """The MeterReading of a mirror that a MirrorMeterReading of that mRID is about."""
    row = _METER.first(connection, {"mirror": mirror, "mrid": mrid})
    return None if row is None else Meter(*row)


def meter(connection: sa.Connection, mirror: int, number: int) -> Any:
    """The row of a MeterReading: id, mrid, description, version; None: there is none."""
    return _METER_OF.first(connection, {"mirror": mirror, "meter": number})


def meters(connection: sa.Connection, mirror: int, part: Page) -> list[Any]:
    """A part of the MeterReadings of a usage point, by mRID descending: rows as `meter` has them."""
    return _METER_PAGE.all(connection, {"mirror": mirror, "limit": part.limit, "start": part.start})


def meter_counts(connection: sa.Connection, numbers: list[int]) -> dict[int, int]:
    """How many MeterReadings each of the usage points has; those without any are left out."""
    return dict(_METER_COUNTS.all(connection, {"mirrors": numbers}))


def reading_set(connection: sa.Connection, meter: int, number: int) -> Any:
    """The row of a ReadingSet: id, mrid, description, version, start, duration; None: there is none."""
    return _SET.first(connection, {"meter": meter, "number": number})


def sets(connection: sa.Connection, meter: int, part: Page) -> tuple[int, list[Any]]:
    """A part of the ReadingSets of a MeterReading, the newest first.

    :return: how many there are (after the filter ``a``), and rows as `reading_set` has them
    """
    wanted = {"meter": meter, "limit": part.limit, "start": part.start, "after": part.after}
    if part.after is None:
        return set_count(connection, meter), _SET_PAGE.all(connection, wanted)
    total: int = _SET_LATER_COUNT.scalar(connection, wanted)
    return total, _SET_LATER_PAGE.all(connection, wanted)


def set_count(connection: sa.Connection, meter: int) -> int:
    """How many ReadingSets a MeterReading has."""
    return _SET_COUNT.scalar(connection, {"meter": meter}) or 0


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


def take(
    transaction: Transaction,
    mirror: Mirror,
    known: Meter | None,
    given: r.MirrorMeterReading,
    metering: Metering,
    now: int,
) -> int:
    """Take a MirrorMeterReading: what it says, its Reading and its sets.

    :param known: the MeterReading of its mRID, if there is one
    :return: the number of the MeterReading
    :raises BadRequest: it is the first and has no ReadingType, or a reading of it begins in the future
    :raises Full: there are too many MeterReadings, or readings of it
    """
    connection = transaction.connection
    reading_type = None if given.ReadingType is None else given.ReadingType.replace(href=None)
    if known is None:
        if reading_type is None:
            raise BadRequest(f"MirrorMeterReading {given.mRID} is new and has no ReadingType")
        number = _add_meter(transaction, mirror, given, metering)
        segment = _open_segment(transaction, mirror, number, reading_type, now)
    else:
        number = known.number
        _change_meter(transaction, mirror, known, given)
        segment = _segment(transaction, mirror, number, reading_type, now)
    for each in given.MirrorReadingSet:
        samples = _samples(each, metering, now)
        in_set = _put_set(transaction, number, each, metering)
        series.store(transaction, _present(connection, number), samples, now, in_set)
    if given.Reading is not None:
        if given.MirrorReadingSet:
            segment = _present(connection, number)
        series.store(transaction, segment, [_sample(given.Reading, metering, now)], now)
    return number


def _segment(
    transaction: Transaction, mirror: Mirror, meter: int, given: r.ReadingType | None, now: int
) -> Segment:
    """The series that readings go into; a new one where they have another ReadingType now (decision 58)."""
    segment = _present(transaction.connection, meter)
    same = given is None or given == segment.reading_type
    if same and segment.is_der is _is_der(mirror):
        return segment
    transaction.invalidate(facts.mirror(mirror.number))
    return _open_segment(transaction, mirror, meter, given or segment.reading_type, now)


def _present(connection: sa.Connection, meter: int) -> Segment:
    segment = series.current(connection, meter)
    if segment is None:
        raise Unreadable(f"meter_readings {meter}: it has no series")
    return segment


def _open_segment(
    transaction: Transaction, mirror: Mirror, meter: int, reading_type: r.ReadingType, now: int
) -> Segment:
    segment = series.open_segment(transaction, meter, mirror.device, reading_type, _is_der(mirror), now)
    meters = _METER_NUMBERS.scalars(transaction.connection, {"mirror": mirror.number})
    series.note_directions(transaction, meters)
    return segment


def _is_der(mirror: Mirror) -> bool:
    return bool(mirror.roles & Role.DER)


def _add_meter(
    transaction: Transaction, mirror: Mirror, given: r.MirrorMeterReading, metering: Metering
) -> int:
    connection = transaction.connection
    most = metering.meter_readings_per_mirror
    if meter_counts(connection, [mirror.number]).get(mirror.number, 0) >= most:
        raise Full(f"mirror {mirror.number} has {most} MirrorMeterReadings")
    said = {"mrid": given.mRID, "description": given.description, "version": given.version}
    number: int = _ADD_METER.scalar(connection, {"mirror": mirror.number, **said})
    transaction.invalidate(facts.mirror(mirror.number))
    return number


def _change_meter(
    transaction: Transaction, mirror: Mirror, known: Meter, given: r.MirrorMeterReading
) -> None:
    """Overwrite what a MeterReading says of itself; what is left out stays."""
    before = {"description": known.description, "version": known.version}
    said = {"description": given.description, "version": given.version}
    after = before | {name: value for name, value in said.items() if value is not None}
    if after != before:
        _CHANGE_METER.execute(transaction.connection, {"meter": known.number, **after})
        transaction.invalidate(facts.mirror(mirror.number))


def _put_set(transaction: Transaction, meter: int, given: r.MirrorReadingSet, metering: Metering) -> int:
    """Add a set of readings, or make room in the one of its mRID; its number."""
    connection, period = transaction.connection, given.timePeriod
    said = {
        "description": given.description,
        "version": given.version,
        "start": period.start,
        "duration": period.duration,
    }
    known = _SET_BY_MRID.first(connection, {"meter": meter, "mrid": given.mRID})
    number: int
    if known is not None:
        number = known.id
        series.drop_set(transaction, meter, number)
        _REPLACE_SET.execute(connection, {"number": number, **said})
    else:
        number = _ADD_SET.scalar(connection, {"meter_reading": meter, "mrid": given.mRID, **said})
        if _COUNT_SET.scalar(connection, {"meter": meter}) > metering.reading_sets:
            _REMOVE_SET.execute(connection, {"number": _OLDEST_SET.scalar(connection, {"meter": meter})})
            _SHORTEN.execute(connection, {"meter": meter})
    transaction.invalidate(facts.readings(meter))
    return number


def _samples(given: r.MirrorReadingSet, metering: Metering, now: int) -> list[Sample]:
    """The readings of a set as they are kept.

    :raises BadRequest: they begin in the future
    """
    if metering.is_too_far_ahead(given.timePeriod.start, now):
        raise BadRequest(f"MirrorReadingSet {given.mRID} begins at {given.timePeriod.start}, now is {now}")
    return [_sample(each, metering, now) for each in given.Reading]


def _sample(given: r.Reading, metering: Metering, now: int) -> Sample:
    """A Reading as it is kept.

    :raises BadRequest: it begins in the future
    """
    period = given.timePeriod
    if period is not None and metering.is_too_far_ahead(period.start, now):
        raise BadRequest(f"a Reading begins at {period.start}, now is {now}")
    return Sample(
        start=None if period is None else period.start,
        duration=None if period is None else period.duration,
        value=given.value,
        quality=given.qualityFlags,
        local_id=given.localID,
        block=given.consumptionBlock or 0,
        tier=given.touTier or 0,
    )


# Removing.


def remove(transaction: Transaction, mirror: Mirror, metering: Metering, now: int) -> int:
    """Remove a mirror and its usage point. What was read stays with the device, for operators.

    Of a large one some rows are left for the sweep.

    :return: how many rows were removed
    """
    connection = transaction.connection
    for number in _METER_NUMBERS.scalars(connection, {"mirror": mirror.number}):
        series.end(transaction, number, now)
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
    connection = transaction.connection
    left = most
    for meter in _METER_NUMBERS.scalars(connection, {"mirror": number}):
        gone = _SETS_OF.scalars(connection, {"meter": meter, "limit": left})
        if gone:
            _REMOVE_SETS.execute(connection, {"numbers": gone})
            transaction.invalidate(facts.readings(meter))
            left -= len(gone)
        if left <= 0:
            return most
        _REMOVE_METER.execute(connection, {"meter": meter})
        left -= 1
    _REMOVE.execute(connection, {"mirror": number})
    transaction.invalidate(facts.mirror(number))
    return most - left + 1
