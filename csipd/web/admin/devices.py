"""Operations on devices and aggregators."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from csipd.db import audit, devices, groups
from csipd.db.database import Transaction
from csipd.refusals import Conflict, Impossible, NotFound
from csipd.sep2 import identity
from csipd.web.admin import forms as f
from csipd.web.admin.operations import Call, Made
from csipd.web.admin.paging import cut


def page(connection: sa.Connection, call: Call) -> f.DevicePage:
    """Devices by number, filtered."""
    query = call.query
    numbers = None
    after, limit = query["after"] or 0, query["limit"]
    if query["group"] is not None:
        if not groups.exists(connection, query["group"]):
            raise NotFound(f"no group {query['group']}")
        numbers = groups.devices_under(connection, query["group"], after=after, limit=limit + 1)
    lfdi = query["lfdi"]
    if lfdi is not None:
        try:
            lfdi = identity.parse_lfdi(lfdi)
        except ValueError as error:
            raise Impossible([("lfdi", str(error))]) from error
    found = devices.listed(
        connection,
        after=after,
        limit=limit + 1,
        numbers=numbers,
        name=query["name"],
        lfdi=lfdi,
        manager=query["manager"],
        standing=query["standing"],
    )
    return _page(connection, found, limit)


def under(connection: sa.Connection, call: Call) -> f.DevicePage:
    """The devices of a group and of those under it."""
    group, limit = call.numbers["group"], call.query["limit"]
    if not groups.exists(connection, group):
        raise NotFound(f"no group {group}")
    numbers = groups.devices_under(connection, group, after=call.query["after"] or 0, limit=limit + 1)
    return _page(connection, devices.listed(connection, limit=limit + 1, numbers=numbers), limit)


def show(connection: sa.Connection, call: Call) -> f.Device:
    """One device."""
    return _shown(connection, [_listed(connection, call.numbers["device"])])[0]


def add(transaction: Transaction, call: Call) -> Made:
    """Put a device on the list; ``call.prepared`` has its certificate where one was made."""
    body: f.NewDevice = call.body
    connection = transaction.connection
    lfdi = call.prepared.lfdi if call.prepared is not None else body.lFDI
    flaws = []
    if lfdi is None:
        flaws.append(("/lFDI", "is needed, or csr, or make_key"))
    elif devices.find(connection, lfdi) is not None:
        raise Conflict(f"{lfdi} is on the list already")
    if devices.find_by_name(connection, body.name) is not None:
        raise Conflict(f"there is a device {body.name}")
    if body.manager is not None and not devices.is_aggregator(connection, body.manager):
        flaws.append(("/manager", f"{body.manager} is no aggregator"))
    flaws += [
        (f"/groups/{place}", f"no group {group}")
        for place, group in enumerate(body.groups)
        if not groups.exists(connection, group)
    ]
    if flaws or lfdi is None:
        raise Impossible(flaws)
    made = devices.add(
        transaction,
        lfdi,
        now=call.now,
        name=body.name,
        aggregator=bool(body.aggregator),
        manager=body.manager,
        pin=body.pIN,
    )
    devices.alter(
        transaction,
        made.id,
        device_category=body.deviceCategory,
        poll_rate=body.pollRate,
        post_rate=body.postRate,
    )
    for group in body.groups:
        devices.join(transaction, made.id, group, call.now)
    if body.registered is None or body.registered:
        devices.enrol(transaction, made, call.now, 1 if body.ders is None else body.ders)
    _record(transaction, call, "add", made.id, body.name)
    form = f.MadeDevice(
        device=_shown(connection, [_listed(connection, made.id)])[0],
        certificate=None if call.prepared is None else call.prepared.certificate,
        key=None if call.prepared is None else call.prepared.key,
    )
    return Made(form, f"/admin/devices/{made.id}")


def change(transaction: Transaction, call: Call) -> f.Device:
    """Change what is named."""
    body: f.ChangedDevice = call.body
    number = _listed(transaction.connection, call.numbers["device"]).id
    if body.manager is not None and not devices.is_aggregator(transaction.connection, body.manager):
        raise Impossible([("/manager", f"{body.manager} is no aggregator")])
    columns = {
        "pin": body.pIN,
        "device_category": body.deviceCategory,
        "poll_rate": body.pollRate,
        "post_rate": body.postRate,
        "manager": body.manager,
    }
    given = {name: value for name, value in columns.items() if value is not None}
    devices.alter(transaction, number, **given, changed_time=call.now)
    _record(transaction, call, "change", number, ", ".join(sorted(given)))
    return show(transaction.connection, call)


def remove(transaction: Transaction, call: Call) -> None:
    """Take a device off every list; its history is kept."""
    listed = _listed(transaction.connection, call.numbers["device"])
    devices.alter(transaction, listed.id, retired=call.now, changed_time=call.now)
    _record(transaction, call, "remove", listed.id)


def register(transaction: Transaction, call: Call) -> f.Device:
    """Make a listed device an EndDevice."""
    listed = _listed(transaction.connection, call.numbers["device"])
    device = devices.find(transaction.connection, listed.lfdi)
    if device is None or device.registered is not None:
        raise Conflict(f"device {listed.id} is registered already")
    devices.enrol(transaction, device, call.now)
    _record(transaction, call, "register", listed.id)
    return show(transaction.connection, call)


def withdraw(transaction: Transaction, call: Call) -> f.Device:
    """Shut a device out at once."""
    listed = _listed(transaction.connection, call.numbers["device"])
    if not devices.withdraw(transaction, listed.lfdi, call.who, call.now):
        raise Conflict(f"device {listed.id} is withdrawn already")
    return show(transaction.connection, call)


def readmit(transaction: Transaction, call: Call) -> f.Device:
    """Lift a withdrawal."""
    listed = _listed(transaction.connection, call.numbers["device"])
    if not devices.readmit(transaction, listed.lfdi, call.who, call.now):
        raise Conflict(f"device {listed.id} is not withdrawn")
    return show(transaction.connection, call)


def move(transaction: Transaction, call: Call) -> f.Device:
    """Put a device into these groups and no others."""
    connection = transaction.connection
    listed = _listed(connection, call.numbers["device"])
    wanted = set(call.body.groups)
    flaws = [
        (f"/groups/{place}", f"no group {group}")
        for place, group in enumerate(call.body.groups)
        if not groups.exists(connection, group)
    ]
    if listed.aggregator and wanted:
        flaws.append(("/groups", "an aggregator is in no group; its devices are"))
    if flaws:
        raise Impossible(flaws)
    present = set(groups.memberships_of(connection, listed.id))
    for group in present - wanted:
        devices.leave(transaction, listed.id, group, call.now)
    for group in sorted(wanted - present):
        devices.join(transaction, listed.id, group, call.now)
    _record(transaction, call, "move", listed.id, f"groups {sorted(wanted)}")
    return show(connection, call)


def _listed(connection: sa.Connection, number: int) -> devices.Listed:
    found = devices.listed(connection, numbers=[number], limit=1)
    if not found or found[0].standing == "retired":
        raise NotFound(f"no device {number}")
    return found[0]


def _page(connection: sa.Connection, found: Sequence[devices.Listed], limit: int) -> f.DevicePage:
    items, following = cut(found, limit, lambda listed: listed.id)
    return f.DevicePage(items=tuple(_shown(connection, items)), next=following)


def _shown(connection: sa.Connection, found: Sequence[devices.Listed]) -> list[f.Device]:
    memberships = groups.memberships_of_many(connection, [listed.id for listed in found])
    return [
        f.Device(
            number=listed.id,
            href=f"/edev/{listed.id}",
            name=listed.name,
            lFDI=listed.lfdi,
            sFDI=listed.sfdi,
            pIN=listed.pin,
            aggregator=listed.aggregator,
            manager=listed.manager if listed.manager != listed.id else None,
            standing=listed.standing,
            registered=listed.registered,
            retired=listed.retired,
            withdrawn=listed.withdrawn,
            changedTime=listed.changed_time,
            deviceCategory=listed.device_category,
            pollRate=listed.poll_rate,
            postRate=listed.post_rate,
            groups=tuple(memberships.get(listed.id, ())),
        )
        for listed in found
    ]


def _record(transaction: Transaction, call: Call, action: str, number: int, detail: str = "") -> None:
    audit.record(transaction, call.now, call.who, action, f"/edev/{number}", detail)
