"""Devices and aggregators: ``/admin/devices``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from attrs import fields

from csipd.db import audit, contacts, device_list, devices, groups
from csipd.db.database import Transaction
from csipd.db.device_list import Wanted
from csipd.der.rates import LEAST
from csipd.refusals import Conflict, Impossible, NotFound
from csipd.sep2 import identity, rules
from csipd.sep2.schema import Element, Occurs
from csipd.sep2.types import (
    Boolean,
    DeviceCategoryType,
    HexBinary160,
    PINType,
    SFDIType,
    TimeType,
    UInt8,
    UInt32,
)
from csipd.web.admin.checks import Flaws, group_flaws
from csipd.web.admin.forms import PEM, STANDINGS, Count, Line, Name, Number, Page, Standing
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Created, Operation, Parameter
from csipd.web.admin.paging import PAGE, counted

#: The most groups that a device may be put into.
MOST_GROUPS = 15
#: What an LFDI comes from; one of them is given.
_SOURCES = ("lFDI", "csr", "make_key")
#: What only a device has that is no aggregator.
_OF_DEVICES = ("manager", "groups", "ders")
#: What may be changed, and where it is kept.
_SETTINGS: Mapping[str, str] = {
    "deviceCategory": "device_category",
    "pollRate": "poll_rate",
    "postRate": "post_rate",
}
_COLUMNS: Mapping[str, str] = {"pIN": "pin", **_SETTINGS, "manager": "manager"}


class NewDevice(Element):
    """A device or aggregator to be listed.

    Its LFDI is given, or follows from the certificate that is made for it: from a signing request (csr), or
    with a key that is made too, handed out once and kept nowhere. Its name has letters, digits, dots, dashes
    and underscores. ``registered`` says whether it becomes an EndDevice at once; by default it does where
    devices do not register themselves (server_mode).
    """

    name: Name
    lFDI: HexBinary160 | None = None
    csr: PEM | None = None
    make_key: Boolean | None = None
    aggregator: Boolean | None = None
    manager: Number | None = None
    pIN: PINType | None = None
    deviceCategory: DeviceCategoryType | None = None
    pollRate: UInt32 | None = None
    postRate: UInt32 | None = None
    groups: Annotated[tuple[Number, ...], Occurs(0, MOST_GROUPS)] = ()
    ders: UInt8 | None = None
    registered: Boolean | None = None


class ChangedDevice(Element):
    """What is to be different about a device; what is not named stays. A manager of 0 is none."""

    pIN: PINType | None = None
    deviceCategory: DeviceCategoryType | None = None
    pollRate: UInt32 | None = None
    postRate: UInt32 | None = None
    manager: Count | None = None


class Contact(Element):
    """When a device was last heard of and from where; how many of its requests were refused, the last when
    and why. Up to a minute old.
    """

    at: TimeType
    host: Line
    refusals: Count
    refused: TimeType | None = None
    reason: Line | None = None


class Device(Element):
    """A device as the operator sees it. Its own wishedPostRate counts where the operator set no postRate."""

    number: Number
    href: Line
    name: Line | None = None
    lFDI: HexBinary160
    sFDI: SFDIType
    pIN: PINType | None = None
    aggregator: Boolean
    manager: Number | None = None
    manager_name: Line | None = None
    standing: Standing
    registered: TimeType | None = None
    retired: TimeType | None = None
    withdrawn: TimeType | None = None
    withdrawn_reason: Line | None = None
    changedTime: TimeType
    deviceCategory: DeviceCategoryType | None = None
    pollRate: UInt32 | None = None
    postRate: UInt32 | None = None
    wishedPostRate: UInt32 | None = None
    groups: tuple[Number, ...] = ()
    group_names: tuple[Line, ...] = ()
    contact: Contact | None = None
    warnings: tuple[Line, ...] = ()


class MadeDevice(Element):
    """A device that was listed, with the certificate and key that were made for it."""

    device: Device
    certificate: PEM | None = None
    key: PEM | None = None


class DevicePage(Page):
    """Devices in the order of their numbers, or where a name is asked for of their names; ``next`` is what to
    give as ``after`` for those that follow."""

    items: tuple[Device, ...] = ()


def page(connection: sa.Connection, call: Call) -> DevicePage:
    """Devices by number, filtered."""
    wanted = Wanted(**{column.name: call.query[column.name] for column in fields(Wanted)})
    return _page(connection, call, wanted)


def under(connection: sa.Connection, call: Call) -> DevicePage:
    """The devices of a group and of those under it."""
    group = call.numbers["group"]
    if not groups.exists(connection, group):
        raise NotFound(f"there is no group {group}")
    return _page(connection, call, Wanted(group=group))


def show(connection: sa.Connection, call: Call) -> Device:
    """One device, also one that was removed."""
    return _shown(connection, [find_row(connection, call.numbers["device"])])[0]


def source_flaws(body: Any, call: Call) -> Flaws:
    """What is wrong with where an LFDI is to come from.

    :param body: a form with an lFDI, a csr and make_key
    """
    flaws: Flaws = []
    if sum(bool(getattr(body, name)) for name in _SOURCES) != 1:
        flaws.append(("", f"one of {', '.join(_SOURCES)} is needed, and no other of them"))
    if body.lFDI is not None and body.lFDI in call.server.policy.reserved:
        flaws.append(("/lFDI", "is that of the server or of an operator, not of a device"))
    return flaws


def check_new(connection: sa.Connection, call: Call) -> None:
    """Refuse a new device for what is wrong with it, whatever certificate it would get."""
    body: NewDevice = call.body
    flaws = source_flaws(body, call)
    if body.aggregator:
        flaws += [(f"/{name}", "an aggregator has none") for name in _OF_DEVICES if getattr(body, name)]
    elif body.manager is not None and not devices.is_aggregator(connection, body.manager):
        flaws.append(("/manager", f"{body.manager} is no aggregator"))
    flaws += group_flaws(connection, body.groups)
    flaws += _value_flaws(call, body)
    if flaws:
        raise Impossible(flaws)
    namesake = devices.find_by_name(connection, body.name)
    if namesake is not None and find_row(connection, namesake.id).retired is None:
        raise Conflict(f"there is a device {body.name} already: {namesake.id}")
    if body.lFDI is not None:
        _unlisted(connection, body.lFDI)


def add(transaction: Transaction, call: Call) -> Created:
    """Put a device on the list; ``call.prepared`` has its certificate where one was made."""
    body: NewDevice = call.body
    issued = call.prepared
    check_new(transaction.connection, call)
    lfdi = body.lFDI if issued is None else issued.lfdi
    assert lfdi is not None
    device = _put(transaction, call, lfdi)
    # A device that was removed keeps what is not said anew.
    given = {
        column: value for name, column in _SETTINGS.items() if (value := getattr(body, name)) is not None
    }
    if given:
        devices.update(transaction, device.id, **given)
    for group in body.groups:
        devices.join(transaction, device.id, group, call.now)
    devices.add_ders(transaction, device.id, body.ders or 0, call.now)
    registered = not call.server.policy.in_band if body.registered is None else body.registered
    if registered:
        devices.make_end_device(transaction, device, call.now, 1 if body.ders is None else body.ders)
    record(transaction, call, "add", device.id, _added(transaction.connection, body, lfdi))
    form = MadeDevice(
        device=_shown(transaction.connection, [find_row(transaction.connection, device.id)])[0],
        certificate=None if issued is None else issued.certificate,
        key=None if issued is None else issued.key,
    )
    return Created(form, f"/admin/devices/{device.id}")


def _put(transaction: Transaction, call: Call, lfdi: str) -> devices.Device:
    """The row of a device: a new one, or the one that it had before it was removed."""
    body: NewDevice = call.body
    connection = transaction.connection
    before = _unlisted(connection, lfdi)
    namesake = devices.find_by_name(connection, body.name)
    if namesake is not None and namesake.lfdi != lfdi:
        # One that was removed leaves its name to the one that takes its place.
        devices.update(transaction, namesake.id, name=None)
    aggregator = bool(body.aggregator)
    if before is None:
        return devices.add(
            transaction,
            lfdi,
            now=call.now,
            name=body.name,
            aggregator=aggregator,
            manager=body.manager,
            pin=body.pIN,
        )
    devices.update(
        transaction,
        before.id,
        name=body.name,
        aggregator=aggregator,
        manager=before.id if aggregator else body.manager,
        pin=before.pin if body.pIN is None else body.pIN,
        registered=None,
        retired=None,
        changed_time=call.now,
    )
    found = devices.find(connection, lfdi)
    assert found is not None
    return found


def change(transaction: Transaction, call: Call) -> Device:
    """Change what is named, and nothing where nothing is."""
    body: ChangedDevice = call.body
    connection = transaction.connection
    before = present(connection, call)
    flaws = _value_flaws(call, body)
    if body.manager and (before.aggregator or not devices.is_aggregator(connection, body.manager)):
        whose = "an aggregator has none" if before.aggregator else f"{body.manager} is no aggregator"
        flaws.append(("/manager", whose))
    if flaws:
        raise Impossible(flaws)
    given = {name: value for name in _COLUMNS if (value := getattr(body, name)) is not None}
    if before.aggregator:
        given.pop("manager", None)
    elif given.get("manager") == 0:
        given["manager"] = None
    if given:
        values = {_COLUMNS[name]: value for name, value in given.items()}
        devices.update(transaction, before.id, **values, changed_time=call.now)
        record(transaction, call, "change", before.id, _changes(before, given))
    return show(connection, call)


def _value_flaws(call: Call, body: NewDevice | ChangedDevice) -> Flaws:
    """What the standard finds wrong with values that are each of their type."""
    found = rules.pin_flaws(body.pIN, strict=call.server.strict_pins)
    flaws = rules.errors([*found, *rules.category_flaws(body.deviceCategory)])
    for name, rate in (("pollRate", body.pollRate), ("postRate", body.postRate)):
        if rate is not None and rate < LEAST:
            flaws.append((f"/{name}", f"is {LEAST} s at least"))
    return flaws


def _added(connection: sa.Connection, body: NewDevice, lfdi: str) -> str:
    """What was added, for the audit log; a PIN is not told."""
    names = Names(connection)
    told = [body.name, f"LFDI {lfdi}"]
    if body.aggregator:
        told.append("aggregator")
    if body.manager is not None:
        told.append(f"managed by {names.device(body.manager)} ({body.manager})")
    if body.deviceCategory is not None:
        told.append(f"deviceCategory {body.deviceCategory:08X}")
    told += [
        f"{name} {value}" for name in ("pollRate", "postRate") if (value := getattr(body, name)) is not None
    ]
    told += [f"group {names.group(group)} ({group})" for group in body.groups]
    return "; ".join(told)


def _changes(before: device_list.DeviceRow, given: Mapping[str, int | None]) -> str:
    """What was changed, for the audit log; a PIN is left out."""
    return ", ".join(
        name if name == "pIN" else f"{name} {getattr(before, _COLUMNS[name])} -> {value}"
        for name, value in given.items()
    )


def title(row: device_list.DeviceRow) -> str:
    """A device by name, number and LFDI."""
    what = "Aggregator" if row.aggregator else "Device"
    return f"{what} {row.name or row.id} ({row.id}, LFDI {identity.pretty_lfdi(row.lfdi)})"


def find_row(connection: sa.Connection, number: int) -> device_list.DeviceRow:
    found = device_list.get(connection, [number])
    if not found:
        raise NotFound(f"there is no device {number}")
    return found[0]


def present(connection: sa.Connection, call: Call) -> device_list.DeviceRow:
    """The device that a write is about."""
    row = find_row(connection, call.numbers["device"])
    if row.retired is not None:
        raise Conflict(f"{_called(row)} was removed: add it again")
    return row


def _called(row: device_list.DeviceRow) -> str:
    return devices.title(row.id, row.name)


def _unlisted(connection: sa.Connection, lfdi: str) -> device_list.DeviceRow | None:
    """The row of an LFDI that may be put on the list: None, or that of a device that was removed."""
    found = device_list.find(connection, lfdi)
    if found is not None and found.lfdi != lfdi:
        raise Conflict(f"{lfdi} was that of {_called(found)} before its certificate was replaced")
    if found is not None and found.retired is None:
        raise Conflict(f"{lfdi} is on the list already: {_called(found)}")
    return found


def _page(connection: sa.Connection, call: Call, wanted: Wanted) -> DevicePage:
    rows, following = device_list.page(
        connection, wanted, after=call.query["after"] or 0, limit=call.query["limit"]
    )
    return DevicePage(
        items=tuple(_shown(connection, rows)),
        next=following,
        **counted(device_list.total(connection, wanted)),
    )


def _shown(connection: sa.Connection, found: Sequence[device_list.DeviceRow]) -> list[Device]:
    numbers = [listed.id for listed in found]
    memberships = groups.memberships_of_many(connection, numbers)
    heard = contacts.of(connection, numbers)
    names = Names(connection)
    names.devices([listed.manager for listed in found if listed.manager is not None])
    names.groups({group for numbers in memberships.values() for group in numbers})
    return [
        Device(
            number=listed.id,
            href=f"/edev/{listed.id}",
            name=listed.name,
            lFDI=listed.lfdi,
            sFDI=listed.sfdi,
            pIN=listed.pin,
            aggregator=listed.aggregator,
            manager=listed.manager if listed.manager != listed.id else None,
            manager_name=names.device(listed.manager) if listed.manager not in (None, listed.id) else None,
            standing=listed.standing,
            registered=listed.registered,
            retired=listed.retired,
            withdrawn=listed.withdrawn,
            withdrawn_reason=listed.withdrawn_reason,
            changedTime=listed.changed_time,
            deviceCategory=listed.device_category,
            pollRate=listed.poll_rate,
            postRate=listed.post_rate,
            wishedPostRate=listed.wished_post_rate,
            groups=tuple(memberships.get(listed.id, ())),
            group_names=tuple(map(names.group, memberships.get(listed.id, ()))),
            contact=_contact(heard.get(listed.id)),
            warnings=tuple(rules.warnings(rules.pin_flaws(listed.pin))),
        )
        for listed in found
    ]


def _contact(last: contacts.LastContact | None) -> Contact | None:
    if last is None:
        return None
    return Contact(
        at=last.at, host=last.host, refusals=last.refusals, refused=last.refused, reason=last.reason
    )


def record(transaction: Transaction, call: Call, action: str, number: int, detail: str = "") -> None:
    audit.record(transaction, call.now, call.who, action, f"/edev/{number}", detail)


OPERATIONS = (
    Operation(
        "GET",
        "/admin/devices",
        "listDevices",
        "List devices and aggregators",
        page,
        gives=DevicePage,
        query=(
            *PAGE,
            Parameter("name", str, "what the name begins with"),
            Parameter("lfdi", str, "an LFDI, 40 hexadecimal digits", read=identity.parse_lfdi),
            Parameter("group", int, "number of a group that it is in or under"),
            Parameter("manager", int, "number of its aggregator"),
            Parameter(
                "standing",
                str,
                "how it stands",
                words=STANDINGS,
            ),
            Parameter(
                "silent_since", int, "only those not heard of since a moment (epoch s), or never", least=0
            ),
        ),
    ),
    Operation(
        "POST",
        "/admin/devices",
        "addDevice",
        "List a device or an aggregator",
        add,
        takes=NewDevice,
        gives=MadeDevice,
        status=201,
        writes=True,
        prepare="certificate",
        check=check_new,
    ),
    Operation(
        "GET",
        "/admin/devices/{device}",
        "showDevice",
        "Show a device",
        show,
        gives=Device,
    ),
    Operation(
        "PATCH",
        "/admin/devices/{device}",
        "changeDevice",
        "Change a device's PIN, category, rates or aggregator",
        change,
        takes=ChangedDevice,
        gives=Device,
        writes=True,
        refuses=(409,),
    ),
    Operation(
        "GET",
        "/admin/groups/{group}/devices",
        "listGroupDevices",
        "The devices in a group and under it",
        under,
        gives=DevicePage,
        query=PAGE,
    ),
)


def number_of(connection: sa.Connection, call: Call) -> int:
    """The number of the device in the path, which may be one that was removed."""
    return find_row(connection, call.numbers["device"]).id
