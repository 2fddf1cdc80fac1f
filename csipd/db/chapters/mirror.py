"""The metering mirror: what devices post of what they read (IEEE 2030.5-2018 10.11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from csipd.db import facts, mirrored, mirrors
from csipd.db.database import Transaction
from csipd.db.mirrors import Mirror
from csipd.db.tree import metering, rates
from csipd.db.tree.chapter import Chapter, Ids, Members, Overwritten, Source, record
from csipd.db.tree.context import Context
from csipd.refusals import BadRequest, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.differences import described, differences
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

_MIRROR = ROWS["MirrorUsagePoint"]
_METERS = ROWS["MeterReadingList"]
_METER = ROWS["MeterReading"]


class MirrorUsagePoint(Source):
    """The mirrors that a caller has made."""

    reads = (facts.mirror, facts.mirrors, facts.fleet)
    linked = (facts.mirrors, facts.usage_points, facts.fleet, facts.mirror_room)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        found = metering.mirror(context, ids[0])
        return None if found is None else _documents(context, [found])[0]

    def exists(self, context: Context, ids: Ids) -> bool:
        # Who has none and could make none is not led there (10.11.3).
        found = metering.seen(context)
        return found.room or found.mirrors > 0

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        return [metering.seen(context).mirrors] * len(many)

    def page(self, context: Context, place: Place, part: Page) -> Members:
        total = metering.seen(context).mirrors
        found = metering.part(context, place.href, mirrors.made, part)
        places = [Place(_MIRROR, (each.number,)) for each in found]
        return total, list(zip(places, _documents(context, found), strict=True))


def _documents(context: Context, found: Sequence[Mirror]) -> list[r.Resource]:
    """The first level of mirrors: what they say, without readings."""
    if not found:
        return []
    bounds = context.server.metering
    set_by_operators = rates.commanded_of_each(context, _MIRROR.name, [each.device for each in found])
    return [
        each.document().replace(postRate=bounds.rate(each.rate if rate is None else rate, each.wished))
        for each, rate in zip(found, set_by_operators, strict=True)
    ]


def post(
    transaction: Transaction, context: Context, place: Place, body: r.Resource | None
) -> Place | Overwritten:
    """A device makes a mirror, or says again what it says of one; readings may come with it."""
    assert isinstance(body, r.MirrorUsagePoint)
    bounds, now = context.server.metering, context.now
    mirror, before = mirrors.put(transaction, context.caller, body, bounds, now)
    made = Place(_MIRROR, (mirror.number,))
    _take(transaction, context, mirror, body.MirrorMeterReading)
    if before is None:
        record(transaction, context, "post", made, described(mirror.document()))
        return made
    _record_change(transaction, context, before, mirror)
    return Overwritten(made)


def put(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """A device says something else of a mirror; readings may come with it."""
    assert isinstance(body, r.MirrorUsagePoint)
    before = _found(context, place)
    mirrors.overwrite(transaction, context.caller, before, body)
    after = _found(context, place)
    _record_change(transaction, context, before, after)
    _take(transaction, context, after, body.MirrorMeterReading)


def post_readings(
    transaction: Transaction, context: Context, place: Place, body: r.Resource | None
) -> Place | Overwritten:
    """A device posts readings to its mirror; they are found below the usage point."""
    mirror = _found(context, place)
    if isinstance(body, r.MirrorMeterReadingList):
        _, is_new = _take(transaction, context, mirror, body.MirrorMeterReading)
        home = Place(_METERS, (mirror.number,))
    else:
        assert isinstance(body, r.MirrorMeterReading)
        (number,), is_new = _take(transaction, context, mirror, [body])
        home = Place(_METER, (mirror.number, number))
    return home if is_new else Overwritten(home)


def delete(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """A device takes a mirror away, and its usage point with it; operators keep what was read."""
    mirror = _found(context, place)
    mirrors.remove(transaction, mirror, context.server.metering, context.now)
    record(transaction, context, "delete", place, described(mirror.document()))


def _found(context: Context, place: Place) -> Mirror:
    found = metering.mirror(context, place.ids[0])
    if found is None:
        raise NotFound(place.href)
    return found


def _take(
    transaction: Transaction, context: Context, mirror: Mirror, given: Iterable[r.MirrorMeterReading]
) -> tuple[list[int], bool]:
    """Take what was read.

    :return: the numbers of the MeterReadings, and whether one of them is new
    """
    bounds, now = context.server.metering, context.now
    types: dict[str, r.ReadingType] = {}
    numbers, is_new = [], False
    for each in given:
        kind = each.ReadingType
        if kind is not None and types.setdefault(each.mRID, kind) != kind:
            raise BadRequest(f"MirrorMeterReading {each.mRID} has two ReadingTypes in one document")
        known = metering.meter(context, mirror.number, each.mRID)
        numbers.append(mirrored.take(transaction, mirror, known, each, bounds, now))
        is_new = is_new or known is None
    mirrors.note_post(transaction, mirror, now)
    return numbers, is_new


def _record_change(transaction: Transaction, context: Context, before: Mirror, after: Mirror) -> None:
    if before.body != after.body or before.wished != after.wished:
        changed = differences(_said(before), _said(after))
        record(transaction, context, "put", Place(_MIRROR, (after.number,)), changed)


def _said(mirror: Mirror) -> r.MirrorUsagePoint:
    return mirror.document().replace(postRate=mirror.wished)


CHAPTER = Chapter(
    sources={"MirrorUsagePointList": MirrorUsagePoint, "MirrorUsagePoint": MirrorUsagePoint},
    writes={
        ("MirrorUsagePointList", "POST"): post,
        ("MirrorUsagePoint", "PUT"): put,
        ("MirrorUsagePoint", "POST"): post_readings,
        ("MirrorUsagePoint", "DELETE"): delete,
    },
    drops={
        ("MirrorUsagePointList", "POST"): (
            facts.mirrors,
            facts.mirror,
            facts.usage_points,
            facts.readings,
            facts.mirror_room,
        ),
        ("MirrorUsagePoint", "PUT"): (facts.mirror, facts.usage_points, facts.readings),
        ("MirrorUsagePoint", "POST"): (facts.mirror, facts.readings),
        ("MirrorUsagePoint", "DELETE"): (
            facts.mirrors,
            facts.mirror,
            facts.usage_points,
            facts.readings,
            facts.mirror_room,
        ),
    },
)
