"""What the bus is told of devices: what they last said of their first DER, and their newest readings.

All of it is read by number, a portion at a time: of what has changed, or of all devices in turn. A device is
known on the bus by its name, which is its mRID in the platform's model, or by its LFDI where it has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db import der_reports, telemetry
from csipd.db.devices import is_shown
from csipd.db.prepared import Prepared
from csipd.db.tables import devices, meter_readings
from csipd.db.telemetry import Newest
from csipd.sep2 import resources as r
from csipd.sep2.measurements import DerForward
from csipd.sep2.site import ROWS

_METER = ROWS["MeterReading"]
_SUBJECTS = Prepared(
    sa.select(devices.c.id, devices.c.name, devices.c.lfdi).where(
        devices.c.id.in_(sa.bindparam("devices", expanding=True)), is_shown
    )
)
_DEVICES_AFTER, _METERS_AFTER = (
    Prepared(
        sa.select(number)
        .where(number > sa.bindparam("after"))
        .order_by(number)
        .limit(sa.bindparam("limit", type_=sa.Integer()))
    )
    for number in (devices.c.id, meter_readings.c.id)
)
_METERS = Prepared(
    sa.select(
        meter_readings.c.id, meter_readings.c.mirror, meter_readings.c.mrid, meter_readings.c.description
    ).where(meter_readings.c.id.in_(sa.bindparam("meter_readings", expanding=True)))
)


@frozen
class ToldStatus:
    """What a device last said of its first DER.

    :param subject: the device, as the bus knows it
    """

    device: int
    subject: str
    status: r.DERStatus


@frozen
class ToldReading:
    """The newest reading of a MeterReading.

    :param subject: the device, as the bus knows it
    :param href: of the MeterReading, ``mrid`` and ``description`` as its device gave them
    """

    subject: str
    href: str
    mrid: str
    description: str | None
    newest: Newest


def subjects(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """What the bus calls devices, by number; those that are no EndDevice now are left out."""
    rows = _SUBJECTS.all(connection, {"devices": list(numbers)})
    return {row.id: row.name or row.lfdi for row in rows}


def devices_after(connection: sa.Connection, after: int, limit: int) -> list[int]:
    """Numbers of devices, in their order: so many of those after one."""
    return list(_DEVICES_AFTER.scalars(connection, {"after": after, "limit": limit}))


def meters_after(connection: sa.Connection, after: int, limit: int) -> list[int]:
    """Numbers of MeterReadings, likewise."""
    return list(_METERS_AFTER.scalars(connection, {"after": after, "limit": limit}))


def statuses(connection: sa.Connection, numbers: Sequence[int]) -> list[ToldStatus]:
    """What devices last said of their first DERs; of those that said nothing, nothing."""
    known = subjects(connection, numbers)
    said = der_reports.of_devices(connection, list(known), ("ders",))
    return [
        ToldStatus(device, known[device], reports[0].status)
        for device, reports in said.items()
        if reports and reports[0].status is not None
    ]


def readings(connection: sa.Connection, meters: Sequence[int], der_forward: DerForward) -> list[ToldReading]:
    """The newest readings of MeterReadings."""
    return _told(connection, telemetry.newest_of_meters(connection, meters, der_forward))


def _told(connection: sa.Connection, found: Sequence[Newest]) -> list[ToldReading]:
    if not found:
        return []
    known = subjects(connection, sorted({one.series.device for one in found}))
    numbers = [one.series.meter_reading for one in found]
    meters = {row.id: row for row in _METERS.all(connection, {"meter_readings": numbers})}
    told = []
    for one in found:
        row, subject = meters.get(one.series.meter_reading), known.get(one.series.device)
        if row is not None and subject is not None and one.value is not None:
            href = _METER.href((row.mirror, row.id))
            told.append(ToldReading(subject, href, row.mrid, row.description, one))
    return told
