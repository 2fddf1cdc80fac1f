"""What a device's meter mirrors: its usage point, and means of W, var, V and Hz (IEEE 2030.5-2018 10.11)."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from attrs import frozen

from csipd.sep2 import resources as r
from csipd.sep2.types import (
    Accumulation,
    Commodity,
    DataQualifier,
    FlowDirection,
    Kind,
    Phase,
    Role,
    Service,
    Uom,
)

#: The Private Enterprise Number of the mRIDs that devices make here: reserved for examples (RFC 5612).
PEN: Final = 32473


@frozen
class Quantity:
    """What is metered; one of its numbers is ten to the power of `multiplier` of the unit."""

    name: str
    uom: Uom
    kind: Kind
    multiplier: int
    flow: FlowDirection


#: In the order in which they are posted. What is fed in is positive, which is reverse flow.
QUANTITIES: Final = (
    Quantity("W", Uom.WATT, Kind.POWER, 0, FlowDirection.REVERSE),
    Quantity("var", Uom.VAR, Kind.POWER, 0, FlowDirection.REVERSE),
    Quantity("V", Uom.VOLT, Kind.NOT_APPLICABLE, -1, FlowDirection.NOT_APPLICABLE),
    Quantity("Hz", Uom.HERTZ, Kind.NOT_APPLICABLE, -2, FlowDirection.NOT_APPLICABLE),
)


@frozen
class Measured:
    """Means over a period, in the order and units of QUANTITIES.

    :param start: epoch s
    :param duration: s
    """

    start: int
    duration: int
    values: tuple[float, ...]


def usage_point(lfdi: str, measured: Measured) -> r.MirrorUsagePoint:
    """The mirror of a device's meter, as it is posted first: with the types of its readings."""
    readings = zip(_readings(lfdi, measured), QUANTITIES, strict=True)
    return r.MirrorUsagePoint(
        mRID=mrid(lfdi, "meter"),
        description="DER meter",
        roleFlags=Role.MIRROR | Role.DER | Role.SUBMETER,
        serviceCategoryKind=Service.ELECTRICITY,
        status=1,
        deviceLFDI=lfdi,
        MirrorMeterReading=tuple(
            one.replace(description=each.name, ReadingType=_type(each)) for one, each in readings
        ),
    )


def meter_readings(lfdi: str, measured: Measured) -> r.MirrorMeterReadingList:
    """One reading of each quantity."""
    readings = _readings(lfdi, measured)
    return r.MirrorMeterReadingList(all=len(readings), results=len(readings), MirrorMeterReading=readings)


def mrid(lfdi: str, what: str) -> str:
    """An mRID that a device makes: always the same for the same thing."""
    return f"{sha256(f'{lfdi} {what}'.encode()).hexdigest()[:24].upper()}{PEN:08X}"


def _readings(lfdi: str, measured: Measured) -> tuple[r.MirrorMeterReading, ...]:
    period = r.DateTimeInterval(duration=measured.duration, start=measured.start)
    return tuple(
        r.MirrorMeterReading(
            mRID=mrid(lfdi, each.name),
            Reading=r.Reading(timePeriod=period, value=round(value * 10.0**-each.multiplier)),
        )
        for each, value in zip(QUANTITIES, measured.values, strict=True)
    )


def _type(each: Quantity) -> r.ReadingType:
    return r.ReadingType(
        accumulationBehaviour=Accumulation.INSTANTANEOUS,
        commodity=Commodity.ELECTRICITY_SECONDARY,
        dataQualifier=DataQualifier.AVERAGE,
        flowDirection=each.flow,
        kind=each.kind,
        phase=Phase.NOT_APPLICABLE,
        powerOfTenMultiplier=each.multiplier,
        uom=each.uom,
    )
