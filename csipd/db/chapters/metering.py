"""Usage points and their readings: what devices mirrored here, given back (IEEE 2030.5-2018 10.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from csipd.db import documents, facts, meter_readings, mirrors, segments, series
from csipd.db.facts import Kind
from csipd.db.mirrors import Mirror
from csipd.db.series import Sample
from csipd.db.tree import metering
from csipd.db.tree.chapter import Chapter, Ids, Members, Source
from csipd.db.tree.context import SMALL, Context
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import Role

_TYPE = ROWS["ReadingType"]


class UsagePoint(Source):
    """The usage points of a caller and its fleet."""

    reads = (facts.mirror, facts.usage_points, facts.fleet)
    linked: tuple[Kind, ...] = (facts.mirrors, facts.usage_points, facts.fleet, facts.mirror_room)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        found = metering.mirror(context, ids[0])
        return None if found is None else _usage_point(found)

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [metering.mirror(context, ids[0]) is not None for ids in many]

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        return [metering.seen(context).usage_points] * len(many)

    def page(self, context: Context, place: Place, part: Page) -> Members:
        total = metering.seen(context).usage_points
        found = metering.part(context, place.href, mirrors.metered, part)
        return total, [(Place(ROWS["UsagePoint"], (each.number,)), _usage_point(each)) for each in found]


class AssociatedUsagePoint(UsagePoint):
    """The usage point of a DER, where it is plain whose it is: the device has one DER."""

    linked = (facts.usage_points, facts.list_of)

    def target(self, context: Context, ids: Ids) -> Place:
        number = self._of(context, ids[0])
        if number is None:
            raise NotFound(self.row.href(ids))
        return Place(ROWS["UsagePoint"], (number,))

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self._of(context, ids[0]) is not None for ids in many]

    def _of(self, context: Context, device: int) -> int | None:
        def make() -> int | None:
            context.depend(facts.usage_points(device))
            number = mirrors.of_der(context.connection, device)
            if number is None:
                return None
            ders = ROWS["DERList"].href((device,))
            context.depend(facts.list_of(ders))
            alone = documents.counts(context.connection, [ders]).get(ders) == 1
            return number if alone else None

        return context.kept(("usage point of the DER", device), make, lambda _: SMALL, own=True)


def _usage_point(mirror: Mirror) -> r.UsagePoint:
    """What a mirror says, as the UsagePoint that is made of it."""
    said = mirror.document()
    return r.UsagePoint(
        mRID=said.mRID,
        description=said.description,
        version=said.version,
        roleFlags=said.roleFlags | Role.MIRROR,
        serviceCategoryKind=said.serviceCategoryKind,
        status=said.status,
        deviceLFDI=said.deviceLFDI,
    )


class MeterReading(Source):
    """The MeterReadings of a usage point."""

    reads = (facts.mirror,)
    linked = (facts.mirror,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.mirror(ids[0]))
        row = context.cached(meter_readings.get, *ids)
        return None if row is None else _meter_reading(ids[0], row)

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self.get(context, ids) is not None for ids in many]

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        numbers = [ids[0] for ids in many]
        context.depend(*map(facts.mirror, numbers))
        found = meter_readings.counts(context.connection, numbers)
        return [found.get(number, 0) for number in numbers]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        (total,) = self.counts(context, [place.ids])
        mirror = place.ids[0]
        return total, [
            (Place(ROWS["MeterReading"], (mirror, row.id)), _meter_reading(mirror, row))
            for row in meter_readings.page(context.connection, mirror, part)
        ]


def _meter_reading(mirror: int, row: Any) -> r.MeterReading:
    return r.MeterReading(
        mRID=row.mrid,
        description=row.description,
        version=row.version,
        ReadingTypeLink=r.ReadingTypeLink(href=_TYPE.href((mirror, row.id))),
    )


class ReadingType(Source):
    """What the numbers of a MeterReading mean now."""

    reads = (facts.mirror,)
    linked = (facts.mirror,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.mirror(ids[0]))
        found = context.cached(segments.current, ids[1])
        return None if found is None else found.reading_type

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        # Every MeterReading has one, from its first post on.
        return [True] * len(many)


class LatestReading(Source):
    """The latest Reading of a MeterReading."""

    reads = (facts.readings,)
    linked = (facts.readings,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.readings(ids[1]))
        found = context.cached(series.latest, ids[1])
        return None if found is None else _reading(found)

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self.get(context, ids) is not None for ids in many]


class ReadingSet(Source):
    """The ReadingSets of a MeterReading."""

    reads = (facts.mirror, facts.readings)
    linked = (facts.readings,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        mirror, meter, number = ids
        context.depend(facts.mirror(mirror), facts.readings(meter))
        if context.cached(meter_readings.get, mirror, meter) is None:
            # A set lies in its MeterReading, and that in its UsagePoint.
            return None
        row = context.cached(meter_readings.reading_set, meter, number)
        return None if row is None else _reading_set(row)

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self.get(context, ids) is not None for ids in many]

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        context.depend(*(facts.readings(ids[1]) for ids in many))
        return [meter_readings.set_count(context.connection, ids[1]) for ids in many]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        context.depend(facts.readings(place.ids[1]))
        total, rows = meter_readings.sets(context.connection, place.ids[1], part)
        return total, [(Place(ROWS["ReadingSet"], (*place.ids, row.id)), _reading_set(row)) for row in rows]


def _reading_set(row: Any) -> r.ReadingSet:
    return r.ReadingSet(
        mRID=row.mrid,
        description=row.description,
        version=row.version,
        timePeriod=r.DateTimeInterval(duration=row.duration, start=row.start),
    )


class Reading(Source):
    """The Readings of a ReadingSet."""

    reads = (facts.readings,)
    linked = (facts.readings,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        _, meter, in_set, number = ids
        context.depend(facts.readings(meter))
        found = series.in_set(context.connection, in_set, number)
        return None if found is None else _reading(found)

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        context.depend(*(facts.readings(ids[1]) for ids in many))
        found = series.set_counts(context.connection, [ids[2] for ids in many])
        return [found.get(ids[2], 0) for ids in many]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        context.depend(facts.readings(place.ids[1]))
        found = series.of_set(context.connection, place.ids[2])
        return len(found), [
            (Place(ROWS["Reading"], (*place.ids, number)), _reading(sample))
            for number, sample in found[part.start : part.start + part.limit]
        ]


def _reading(sample: Sample) -> r.Reading:
    period = None
    if sample.start is not None:
        period = r.DateTimeInterval(duration=sample.duration or 0, start=sample.start)
    return r.Reading(
        consumptionBlock=sample.block or None,
        qualityFlags=sample.quality,
        timePeriod=period,
        touTier=sample.tier or None,
        value=sample.value,
        localID=sample.local_id,
    )


CHAPTER = Chapter(
    sources={
        "UsagePointList": UsagePoint,
        "UsagePoint": UsagePoint,
        "AssociatedUsagePoint": AssociatedUsagePoint,
        "MeterReadingList": MeterReading,
        "MeterReading": MeterReading,
        "ReadingType": ReadingType,
        "LatestReading": LatestReading,
        "ReadingSetList": ReadingSet,
        "ReadingSet": ReadingSet,
        "ReadingList": Reading,
        "Reading": Reading,
    }
)
