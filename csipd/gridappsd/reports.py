"""What is told of devices on the bus: values as they are written in messages. Pure.

There are three forms. The older server told the state of charge as a CIM AnalogValue by its device's mRID;
its successor tells attributes of DERStatus as differences; and each mirrored reading is an AnalogValue as
well. Amounts of readings are those of the operator's API: in the plain unit, generation positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any

from csipd.sep2 import resources as r
from csipd.sep2.measurements import Quantity

#: Attributes of an AnalogValue, in the order in which they are written.
ANALOG_VALUE = (
    "identifier",
    "mRID",
    "aliasName",
    "description",
    "name",
    "timeStamp",
    "sensorAccuracy",
    "MeasurementValueQuality",
    "MeasurementValueSource",
    "value",
    "Analog",
    "AnalogControl",
)
#: Attributes of DERStatus that have a value and a time of their own; the others are plain.
_WITH_TIME = (
    "genConnectStatus",
    "operationalModeStatus",
    "inverterStatus",
    "stateOfChargeStatus",
    "storageModeStatus",
)
#: What is told of a DERStatus.
STATUS = (
    "genConnectStatus",
    "operationalModeStatus",
    "alarmStatus",
    "readingTime",
    "inverterStatus",
    "stateOfChargeStatus",
    "storageModeStatus",
)
_SPACE = b"csipd AnalogValue"

AnalogValue = dict[str, Any]
Value = int | float


def analog_value(**attributes: Any) -> AnalogValue:
    """An AnalogValue; attributes that are not given are null."""
    return {name: attributes.get(name) for name in ANALOG_VALUE}


def state_of_charge(subject: str, name: str, status: r.DERStatus) -> AnalogValue | None:
    """The state of charge, in hundredths of a percent, as the older server told it; None: it is not known.

    :param subject: mRID of the device, ``name`` its name in the platform's model
    """
    charge = status.stateOfChargeStatus
    if charge is None:
        return None
    return analog_value(mRID=subject, name=name, timeStamp=status.readingTime, value=charge.value)


def status_values(status: r.DERStatus) -> dict[str, Value]:
    """What a DERStatus says, by attribute. What it does not say is left out; the charge is in percent."""
    found: dict[str, Value] = {}
    for name in STATUS:
        said = getattr(status, name)
        if said is None:
            continue
        value = int(said.value if name in _WITH_TIME else said)
        found[f"DERStatus.{name}"] = value / 100 if name == "stateOfChargeStatus" else value
    return found


def differences(
    subject: str, values: Mapping[str, Value], told: Mapping[str, Value] | None
) -> list[dict[str, Any]]:
    """The attributes of a device that differ from what was told last; all of them where nothing was.

    :param subject: mRID of the device
    """
    before = told or {}
    return [
        {"object": subject, "attribute": attribute, "value": value}
        for attribute, value in values.items()
        if before.get(attribute) != value
    ]


def difference_message(
    found: Sequence[Mapping[str, Any]], *, simulation_id: str | None, now: int, mrid: str
) -> dict[str, Any]:
    """The envelope of differences. As the successor has it what was is the same as what is.

    :param now: epoch s
    :param mrid: of the message, a UUID
    """
    listed = list(found)
    return {
        "command": "update",
        "input": {
            "simulation_id": simulation_id,
            "message": {
                "timestamp": now,
                "difference_mrid": mrid,
                "reverse_differences": listed,
                "forward_differences": listed,
            },
        },
    }


def reading(
    subject: str,
    name: str,
    quantity: Quantity,
    *,
    meter: str,
    mrid: str,
    href: str,
    description: str | None,
    at: int,
    value: Decimal,
    quality: int | None,
) -> AnalogValue:
    """A mirrored reading.

    Makers give every device the same mRIDs, so the AnalogValue has one of its own, which stays the same.

    :param subject: mRID of the device, ``name`` its name in the platform's model
    :param meter: what it is the meter of, ``der`` or ``premises``
    :param mrid: of the MeterReading, in its device's namespace, ``href`` its URI
    :param at: TimeType
    :param value: in the quantity's unit
    :param quality: qualityFlags
    """
    return analog_value(
        identifier=href,
        mRID=value_mrid(subject, mrid),
        aliasName=mrid,
        description=description or quantity.label,
        name=f"{name} {quantity.label}",
        timeStamp=at,
        MeasurementValueQuality=None if quality is None else int(quality),
        MeasurementValueSource=meter,
        value=number(value),
        Analog={
            "PowerSystemResource": subject,
            "measurementType": quantity.name,
            "phases": quantity.phase or None,
            "unitSymbol": quantity.unit or None,
        },
    )


def value_mrid(subject: str, mrid: str) -> str:
    """The mRID of the AnalogValue of a device's MeterReading: a UUID made of both (RFC 9562 5.8)."""
    digest = bytearray(sha256(b"\0".join((_SPACE, subject.encode(), mrid.encode()))).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    made = digest.hex()
    return "-".join((made[:8], made[8:12], made[12:16], made[16:20], made[20:]))


def number(amount: Decimal) -> Value:
    """A number as JSON has it: whole ones without a fraction, however large."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
