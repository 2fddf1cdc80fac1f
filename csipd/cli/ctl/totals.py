"""What the devices of a group give now, by the newest reading of each: sums of power, ranges of the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from attrs import define, field, frozen

from csipd.cli.ctl.client import Value

#: What adds up over devices. Of voltages and the like it is least and greatest that say something.
_ADDED = ("active_power", "reactive_power", "apparent_power", "current")
_RANGED = ("voltage", "frequency", "power_factor")
#: A maximum or minimum is of another moment.
_QUALIFIERS = (None, "average", "normal")
#: Of all phases together.
_WHOLE = (None, "", "ABC")
#: Whose meter counts: a DER's own, else the premises'.
_METERS = ("der", "premises")


@frozen
class Total:
    """What a quantity comes to.

    :param least: and ``greatest``: the sum, twice, of what adds up
    :param devices: how many have a reading of it
    :param ages: from how old to how old these are (s), since the end of what they are a mean of
    """

    quantity: str
    meter: str
    unit: str
    least: Decimal
    greatest: Decimal
    devices: int
    ages: tuple[int, int]

    @property
    def added(self) -> bool:
        return self.quantity in _ADDED


@frozen
class Now:
    """What a group gives.

    :param late: names of devices whose newest reading is too old to count
    :param without: of those that have none
    """

    totals: Sequence[Total]
    late: Sequence[str]
    without: Sequence[str]


@define
class _Sum:
    unit: str
    values: list[Decimal] = field(factory=list)
    ages: list[int] = field(factory=list)


def add_up(devices: Iterable[Value], within: int) -> Now:
    """What devices give.

    :param devices: with the newest reading of each quantity (GET /admin/groups/{group}/readings)
    :param within: readings that are older do not count (s)
    """
    sums: dict[tuple[str, str], _Sum] = {}
    late, without = [], []
    for device in devices:
        name = str(device.get("device_name") or device["device"])
        items = [one for one in device.get("items", ()) if "value" in one]
        if not items:
            without.append(name)
        fresh = [one for one in items if _age(one) <= within]
        if items and not fresh:
            late.append(name)
        for quantity in (*_ADDED, *_RANGED):
            _take(sums, quantity, [one for one in fresh if one["quantity"] == quantity])
    totals = [
        _total(quantity, meter, sums[quantity, meter])
        for quantity in (*_ADDED, *_RANGED)
        for meter in _METERS
        if (quantity, meter) in sums
    ]
    return Now(totals, late, without)


def _age(one: Value) -> int:
    """Since the end of what it is a mean of (s)."""
    return max(int(one["age"]) - int(one.get("duration") or 0), 0)


def _take(sums: dict[tuple[str, str], _Sum], quantity: str, readings: Sequence[Value]) -> None:
    """Add a device's readings of a quantity: of all phases together, else its single phases."""
    usable = [one for one in readings if one.get("qualifier") in _QUALIFIERS]
    for meter in _METERS:
        own = [one for one in usable if one["meter"] == meter]
        some = [one for one in own if one.get("phase") in _WHOLE] or own
        if not some:
            continue
        values = [Decimal(str(one["value"])) for one in some]
        into = sums.setdefault((quantity, meter), _Sum(str(some[0].get("unit") or "")))
        into.values += [sum(values, Decimal(0))] if quantity in _ADDED else values
        into.ages.append(max(map(_age, some)))
        return


def _total(quantity: str, meter: str, found: _Sum) -> Total:
    added = sum(found.values, Decimal(0))
    least, greatest = (added, added) if quantity in _ADDED else (min(found.values), max(found.values))
    ages = min(found.ages), max(found.ages)
    return Total(quantity, meter, found.unit, least, greatest, len(found.ages), ages)
