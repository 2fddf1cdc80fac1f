"""Bits of bit maps that the standard reserves.

Not among them is DERControlType (modesSupported, modesEnabled): the 2023 edition gave its last five bits to
modes of its own, and devices of that edition are served.
"""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.rules.flaws import Flaw, Step
from csipd.sep2.schema import Element
from csipd.sep2.types import Alarm, ConnectStatus, DeviceCategory, ResponseRequired

_ALARMS = sum(1 << alarm for alarm in Alarm)
_CATEGORIES = sum(DeviceCategory)
_CONNECT = sum(ConnectStatus)
_RESPONSES = sum(ResponseRequired)


def reserved(path: tuple[Step, ...], value: int, known: int, digits: int) -> list[Flaw]:
    """A flaw if `value` has bits that are not among those `known`."""
    if not value & ~known:
        return []
    bits = [str(bit) for bit in range(4 * digits) if value & ~known & 1 << bit]
    some = ", ".join(bits[:8]) + (", ..." if len(bits) > 8 else "")
    return [Flaw(path, f"is {value:0{digits}X}, with reserved bits ({some})", f"bits of {known:0{digits}X}")]


def category_flaws(value: int | None, *, addresses: bool = False) -> list[Flaw]:
    """What is wrong with a deviceCategory (DeviceCategoryType, bits 0 to 25).

    :param addresses: whether it says whom an event is for, so that at least one bit is needed
    """
    if value is None:
        return []
    if addresses and not value:
        return [
            Flaw(
                ("deviceCategory",), "is 00000000 and addresses no device", "at least one bit, or none at all"
            )
        ]
    return reserved(("deviceCategory",), value, _CATEGORIES, 8)


def response_flaws(value: int) -> list[Flaw]:
    """What is wrong with a responseRequired (IEEE 2030.5-2018 8.8.3.1, bits 0 to 2).

    That it needs a replyTo is part of `codec.check`.
    """
    return reserved(("responseRequired",), value, _RESPONSES, 2)


def reported_flaws(value: Element) -> list[Flaw]:
    """What is wrong with the bit maps of a document in which a device reports of itself."""
    match value:
        case r.EndDevice():
            return category_flaws(value.deviceCategory)
        case r.DERStatus():
            found = []
            if value.alarmStatus is not None:
                found += reserved(("alarmStatus",), value.alarmStatus, _ALARMS, 8)
            for name in ("genConnectStatus", "storConnectStatus"):
                status: r.ConnectStatusType | None = getattr(value, name)
                if status is not None:
                    found += reserved((name, "value"), status.value, _CONNECT, 2)
            return found
    return []
