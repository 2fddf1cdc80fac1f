"""What a group can deliver now: ``/admin/exports/groups/{group}/capability``.

A stream, since a group may have very many devices: its rows come once the last device has been added up, and
no read goes over more than some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from attrs import evolve, field, frozen

from csipd.db import der_reports, device_list, groups
from csipd.db.der_reports import Reported
from csipd.db.device_list import Wanted
from csipd.der import capability
from csipd.der.capability import SUMMED, Sum
from csipd.refusals import NotFound
from csipd.web.admin.forms import Amount, Count, Line
from csipd.web.admin.operations import Call, Operation, Portion
from csipd.web.admin.portions import FORMAT, Row

#: Devices of a portion.
DEVICES = 100
_ALL = "all"


class CapabilityRow(Row):
    """What the DERs of one kind in a group come to by what they last said; the row ``all`` has them all.

    Amounts are in W, VA, var and Wh. Of each thing that they say there is how many ``ders`` have said it and
    how old that is (s): the youngest and the oldest. ``stateOfCharge`` is in percent of what they can store.
    """

    type: Line
    devices: Count
    ders: Count
    capability_ders: Count
    capability_youngest: Count | None = None
    capability_oldest: Count | None = None
    rtgMaxW: Amount | None = None
    rtgMaxVA: Amount | None = None
    rtgMaxVar: Amount | None = None
    rtgMaxChargeRateW: Amount | None = None
    rtgMaxDischargeRateW: Amount | None = None
    rtgMaxWh: Amount | None = None
    settings_ders: Count
    settings_youngest: Count | None = None
    settings_oldest: Count | None = None
    setMaxW: Amount | None = None
    setMaxVA: Amount | None = None
    setMaxVar: Amount | None = None
    setMaxChargeRateW: Amount | None = None
    setMaxDischargeRateW: Amount | None = None
    setMaxWh: Amount | None = None
    availability_ders: Count
    availability_youngest: Count | None = None
    availability_oldest: Count | None = None
    statWAvail: Amount | None = None
    statVarAvail: Amount | None = None
    status_ders: Count
    status_youngest: Count | None = None
    status_oldest: Count | None = None
    charged_ders: Count
    storedWh: Amount | None = None
    stateOfCharge: Amount | None = None


@frozen
class _Place:
    """How far a group was added up: to a device, and what came so far by kind."""

    device: int = 0
    sums: Mapping[str, Sum] = field(factory=lambda: {_ALL: Sum()})


def export_capability(connection: sa.Connection, call: Call) -> Portion:
    """What a group can deliver now."""
    group = call.numbers["group"]
    if not groups.exists(connection, group):
        raise NotFound(f"there is no group {group}")
    place: _Place = call.place or _Place()
    page, following = device_list.page(connection, Wanted(group=group), after=place.device, limit=DEVICES)
    rows = [row for row in page if row.standing == "registered"]
    said = der_reports.of_devices(connection, [row.id for row in rows])
    sums = dict(place.sums)
    for row in rows:
        _add(sums, said.get(row.id, ()), call.now)
    if following is not None:
        return Portion([], _Place(following, sums))
    total = sums.pop(_ALL)
    return Portion([*(_row(kind, sums[kind]) for kind in sorted(sums)), _row(_ALL, total)])


def _add(sums: dict[str, Sum], ders: Any, now: int) -> None:
    """Add a device, under each kind that it has a DER of and under all."""
    kinds = {_ALL}
    for one in ders:
        kind = capability.kind_name(one.capability)
        kinds.add(kind)
        said = {what: getattr(one, what) for what in SUMMED}
        ages = {what: _age(one, what, now) for what, document in said.items() if document is not None}
        for name in (kind, _ALL):
            sums[name] = capability.with_der(sums.get(name, Sum()), said, ages)
    for name in kinds:
        sums[name] = evolve(sums[name], devices=sums[name].devices + 1)


def _age(one: Reported, what: str, now: int) -> int:
    """How old something is: by when it was read, where it says so, and by when it came at the latest."""
    received = one.received[what]
    read = getattr(getattr(one, what), "readingTime", received)
    return max(now - min(read, received), 0)


def _row(kind: str, total: Sum) -> CapabilityRow:
    figures: dict[str, Any] = dict(total.amounts)
    for what in SUMMED:
        said = total.said.get(what, capability.Said())
        figures |= {
            f"{what}_ders": said.ders,
            f"{what}_youngest": said.youngest,
            f"{what}_oldest": said.oldest,
        }
    charge = total.state_of_charge
    return CapabilityRow(
        type=kind,
        devices=total.devices,
        ders=total.ders,
        charged_ders=total.charged,
        storedWh=round(total.stored, 3) if total.charged else None,
        stateOfCharge=None if charge is None else round(charge, 2),
        **figures,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/admin/exports/groups/{group}/capability",
        "exportCapability",
        "What the devices of a group can deliver now, by what they last said, and how old that is",
        export_capability,
        gives=CapabilityRow,
        streams=True,
        query=(FORMAT,),
    ),
)
