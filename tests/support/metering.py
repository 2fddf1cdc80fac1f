"""What devices mirror: usage points, meter readings, readings and sets of them."""

from __future__ import annotations

from collections.abc import Sequence

from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from tests.support.bodies import AT

#: Active power, in W, as CSIP has it (CSIP IG 6.2.5): instantaneous, of all phases.
WATTS = r.ReadingType(
    accumulationBehaviour=12,
    commodity=1,
    dataQualifier=0,
    flowDirection=1,
    kind=37,
    phase=0,
    powerOfTenMultiplier=0,
    uom=38,
)
VARS = WATTS.replace(uom=63)
VOLTS = WATTS.replace(uom=29, kind=0)
HERTZ = WATTS.replace(uom=33, kind=0)
#: A number for each quantity that CSIP asks for, as BASIC-029 has them.
QUANTITIES = {"A1": WATTS, "A2": VARS, "A3": HERTZ, "A4": VOLTS}

#: roleFlags of a DER at a site: isMirror, isDER, isSubmeter.
OF_DER = 0x49


def usage_point(
    who: Identity, mrid: str = "F0", *meters: r.MirrorMeterReading, **more: object
) -> r.MirrorUsagePoint:
    """What `who` meters, or what is metered of it."""
    return r.MirrorUsagePoint(
        **{
            "mRID": mrid,
            "roleFlags": OF_DER,
            "serviceCategoryKind": 0,
            "status": 1,
            "deviceLFDI": who.lfdi,
            "MirrorMeterReading": meters,
            **more,
        }
    )


def meter(
    mrid: str = "A1",
    reading_type: r.ReadingType | None = WATTS,
    reading: r.Reading | None = None,
    *sets: r.MirrorReadingSet,
    **more: object,
) -> r.MirrorMeterReading:
    """Readings of one kind; None: without a ReadingType."""
    return r.MirrorMeterReading(
        mRID=mrid, ReadingType=reading_type, Reading=reading, MirrorReadingSet=sets, **more
    )


def meters(*members: r.MirrorMeterReading) -> r.MirrorMeterReadingList:
    return r.MirrorMeterReadingList(all=len(members), results=len(members), MirrorMeterReading=members)


def reading(value: int, start: int | None = AT, duration: int = 60, **more: object) -> r.Reading:
    """A value that was read; ``start`` None: without a timePeriod."""
    period = None if start is None else r.DateTimeInterval(duration=duration, start=start)
    return r.Reading(value=value, timePeriod=period, **more)


def reading_set(
    mrid: str, values: Sequence[int], start: int = AT, step: int = 60, **more: object
) -> r.MirrorReadingSet:
    """Values that were read at intervals, each with its localID."""
    return r.MirrorReadingSet(
        mRID=mrid,
        timePeriod=r.DateTimeInterval(duration=step * len(values), start=start),
        Reading=tuple(reading(value, start + step * n, step, localID=n) for n, value in enumerate(values)),
        **more,
    )
