"""How a device stands: registered, shut out, readmitted, removed: ``/admin/devices/{device}``."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import device_list, devices, in_force
from csipd.db.database import Transaction
from csipd.der.wording import listed
from csipd.refusals import Conflict
from csipd.sep2.schema import Element
from csipd.sep2.types import String192
from csipd.web.admin.devices import Device, present, record, show, title
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.summary import NAMED, Consequences, line


def register(transaction: Transaction, call: Call) -> Device:
    """Make a listed device an EndDevice."""
    row = present(transaction.connection, call)
    device = devices.find(transaction.connection, row.lfdi)
    if device is None or device.registered is not None:
        raise Conflict(f"{devices.title(row.id, row.name)} is registered already")
    devices.make_end_device(transaction, device, call.now)
    record(transaction, call, "register", row.id, row.lfdi)
    return show(transaction.connection, call)


class Withdrawal(Element):
    """Why a device is shut out."""

    reason: String192 | None = None


def withdraw(transaction: Transaction, call: Call) -> Device:
    """Shut a device out at once."""
    row = present(transaction.connection, call)
    if not devices.withdraw(transaction, row.lfdi, call.who, call.now, call.body.reason):
        raise Conflict(f"{devices.title(row.id, row.name)} is withdrawn already")
    return show(transaction.connection, call)


def preview_withdraw(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a device is shut out."""
    row = present(connection, call)
    if row.withdrawn is not None:
        raise Conflict(f"{devices.title(row.id, row.name)} is withdrawn already")
    sentences = [
        f"{title(row)} will be shut out at once, until it is readmitted: no restart and no configuration lets"
        " it in.",
        *_followed(connection, call, row),
        *_fleet(connection, row),
    ]
    return Consequences(summary=tuple(map(line, sentences)))


def readmit(transaction: Transaction, call: Call) -> Device:
    """Lift a withdrawal."""
    row = present(transaction.connection, call)
    if not devices.readmit(transaction, row.lfdi, call.who, call.now):
        raise Conflict(f"{devices.title(row.id, row.name)} is not withdrawn")
    return show(transaction.connection, call)


def remove(transaction: Transaction, call: Call) -> None:
    """Take a device off every list; its history is kept."""
    row = present(transaction.connection, call)
    devices.retire(transaction, row.id, call.now)
    record(transaction, call, "remove", row.id, row.lfdi)


def preview_remove(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a device is removed."""
    row = present(connection, call)
    sentences = [
        f"{title(row)} will be shut out at once and be gone from all lists and groups; its history is kept.",
        *_followed(connection, call, row),
        *_fleet(connection, row),
        "Adding its LFDI again brings it back.",
    ]
    return Consequences(summary=tuple(map(line, sentences)))


def _followed(connection: sa.Connection, call: Call, row: device_list.DeviceRow) -> list[str]:
    """What a device that is shut out follows until then, and does not hear the end of."""
    if row.registered is None or row.aggregator:
        return []
    acting = in_force.of_device(connection, call.server.own, row.id, call.now).acting
    live = sorted({one.control for one in acting if one.control is not None})
    if not live:
        return []
    named = listed([str(number) for number in live])
    return [f"It should be following control {named} now, and will not hear of any change to that."]


def _fleet(connection: sa.Connection, row: device_list.DeviceRow) -> list[str]:
    if not row.aggregator:
        return []
    members, _ = device_list.page(connection, device_list.Wanted(manager=row.id), limit=NAMED + 2)
    named = [one.name or str(one.id) for one in members if one.id != row.id]
    if not named:
        return []
    shown = listed(named[:NAMED]) + (" and others" if len(named) > NAMED else "")
    return [f"As an aggregator it speaks for {shown}, who are heard no more unless they have certificates."]


OPERATIONS = (
    Operation(
        "DELETE",
        "/admin/devices/{device}",
        "removeDevice",
        "Remove a device; its history is kept",
        remove,
        status=204,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/devices/{device}/register",
        "registerDevice",
        "Make a listed device an EndDevice",
        register,
        gives=Device,
        writes=True,
    ),
    Operation(
        "POST",
        "/admin/devices/{device}/withdraw",
        "withdrawDevice",
        "Shut a device out until it is readmitted",
        withdraw,
        takes=Withdrawal,
        body_optional=True,
        gives=Device,
        writes=True,
    ),
    Operation(
        "POST",
        "/admin/devices/{device}/readmit",
        "readmitDevice",
        "Lift a withdrawal",
        readmit,
        gives=Device,
        writes=True,
    ),
    Operation(
        "POST",
        "/admin/devices/{device}/remove/preview",
        "previewRemoveDevice",
        "What it would mean to remove a device",
        preview_remove,
        gives=Consequences,
        refuses=(409,),
    ),
    Operation(
        "POST",
        "/admin/devices/{device}/withdraw/preview",
        "previewWithdrawDevice",
        "What it would mean to shut a device out",
        preview_withdraw,
        gives=Consequences,
        refuses=(409,),
    ),
)
