"""EndDevices: the list of authorised LFDIs, registration in band and out of band, withdrawal.

A row is an authorisation; ``registered`` makes it an EndDevice (CSIP IG 6.1.2). ``retired`` and
``withdrawn`` shut a device out without forgetting it: the first comes and goes with the configuration
file, the second is the operator's and stays until the operator lifts it.
"""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import documents, groups
from csipd.db.database import Transaction
from csipd.db.tables import audit, devices
from csipd.der.access import Caller, Owner, Policy, Standing
from csipd.refusals import BadRequest, Duplicate, Forbidden, NotFound
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

#: Neither retired nor withdrawn: its certificate means something.
_admitted = devices.c.retired.is_(None) & devices.c.withdrawn.is_(None)
#: Shown as an EndDevice.
_shown = _admitted & devices.c.registered.is_not(None)

_EDEV = ROWS["EndDevice"]
_DER_LIST = ROWS["DERList"]


# Statements that every poll asks are built once: to build one costs ten times what it takes to execute it.
_DEVICE = sa.select(
    devices.c.id,
    devices.c.lfdi,
    devices.c.manager,
    devices.c.aggregator,
    devices.c.registered,
    _admitted,
    devices.c.name,
)
_CALLER = sa.select(
    devices.c.id, devices.c.registered, devices.c.aggregator, devices.c.retired, devices.c.withdrawn
).where(devices.c.lfdi == sa.bindparam("lfdi"))
_THIS = (devices.c.id == sa.bindparam("device")) & _shown
_OWNER = sa.select(devices.c.manager).where(_THIS)
_REGISTRATION = sa.select(devices.c.registered, devices.c.pin, devices.c.poll_rate).where(_THIS)
_COLUMNS = sa.select(
    devices.c.id,
    devices.c.lfdi,
    devices.c.sfdi,
    devices.c.changed_time,
    devices.c.device_category,
    devices.c.post_rate,
)
_END_DEVICE = _COLUMNS.where(_THIS)


_MANAGED = (devices.c.manager == sa.bindparam("asker")) & _shown
_FLEET_SIZE = sa.select(devices.c.fleet).where(devices.c.id == sa.bindparam("asker"))
_FLEET = (
    _COLUMNS.where(_MANAGED)
    .order_by(devices.c.changed_time.desc(), devices.c.sfdi, devices.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_LATER = devices.c.changed_time > sa.bindparam("after")
_LATER_COUNT = sa.select(sa.func.count()).select_from(devices).where(_MANAGED, _LATER)
_LATER_FLEET = _FLEET.where(_LATER)


@frozen
class Device:
    """A row of the list.

    :param registered: when it became an EndDevice; None while it is only listed
    :param admitted: neither retired nor withdrawn
    :param name: the operator's or the configuration file's name for it
    """

    id: int
    lfdi: str
    manager: int | None
    aggregator: bool
    registered: int | None = None
    admitted: bool = True
    name: str | None = None


def caller(connection: sa.Connection, lfdi: str, sfdi: int, policy: Policy) -> Caller:
    """What the store knows of a certificate, at this moment."""
    row = connection.execute(_CALLER, {"lfdi": lfdi}).one_or_none()
    if row is None:
        return Caller(lfdi, sfdi, Standing.LISTED if policy.anyone else Standing.UNKNOWN)
    if row.withdrawn is not None or row.retired is not None:
        return Caller(lfdi, sfdi)
    if row.registered is None:
        return Caller(lfdi, sfdi, Standing.LISTED, aggregator=row.aggregator)
    return Caller(lfdi, sfdi, Standing.REGISTERED, row.id, row.aggregator)


def owner(connection: sa.Connection, device: int) -> Owner | None:
    """The owner that a URI below /edev names, if there is such an EndDevice."""
    manager = connection.execute(_OWNER, {"device": device}).one_or_none()
    return None if manager is None else Owner(device, manager[0])


def end_device(connection: sa.Connection, device: int) -> r.EndDevice | None:
    """The EndDevice of that number, without its links."""
    row = connection.execute(_END_DEVICE, {"device": device}).one_or_none()
    return None if row is None else _end_device(row)


def end_devices(
    connection: sa.Connection, asker: Caller, part: Page
) -> tuple[int, list[tuple[Place, r.Resource]]]:
    """The EndDeviceList as this caller sees it: itself, and the fleet of an aggregator.

    Ordered by changedTime, newest first, then sFDI (IEEE 2030.5-2018 8.5, Table 16 of the list orders).
    """
    if asker.device is None:
        return 0, []
    if not asker.aggregator:
        own = end_device(connection, asker.device)
        if own is None or (part.after is not None and own.changedTime <= part.after):
            return 0, []
        alone: list[tuple[Place, r.Resource]] = [(Place(_EDEV, (asker.device,)), own)]
        return 1, alone[part.start : part.start + part.limit]
    wanted = {"asker": asker.device}
    query = _FLEET
    if part.after is None:
        total = end_device_count(connection, asker)
    else:
        wanted["after"] = part.after
        query = _LATER_FLEET
        total = connection.scalar(_LATER_COUNT, wanted) or 0
    if part.start >= total or not part.limit:
        return total, []
    wanted |= {"limit": part.limit, "start": part.start}
    return total, [(Place(_EDEV, (row.id,)), _end_device(row)) for row in connection.execute(query, wanted)]


def end_device_count(connection: sa.Connection, asker: Caller) -> int:
    """How many EndDevices this caller sees."""
    if asker.device is None:
        return 0
    if asker.aggregator:
        return connection.scalar(_FLEET_SIZE, {"asker": asker.device}) or 0
    return 1


def registration(connection: sa.Connection, device: int) -> r.Registration | None:
    """The Registration of an EndDevice: its PIN and when it was registered."""
    row = connection.execute(_REGISTRATION, {"device": device}).one_or_none()
    if row is None:
        return None
    bare = r.Registration(dateTimeRegistered=row.registered, pIN=row.pin)
    return bare if row.poll_rate is None else bare.replace(pollRate=row.poll_rate)


def register(transaction: Transaction, asker: Caller, body: r.EndDevice, policy: Policy, now: int) -> Place:
    """Register in band: POST to the EndDeviceList (CSIP IG 6.1.4, IEEE 2030.5-2018 8.5.3).

    A device registers itself. An aggregator registers itself or a device of its fleet: one that was
    listed for it, or one that nobody else has, whose LFDI need not be that of a certificate (CSIP IG
    5.2.2).

    :return: the place of the EndDevice that was made
    :raises Duplicate: it is registered already, whatever the mode
    :raises Forbidden: somebody else's LFDI or SFDI, or registration in band is not allowed
    """
    claimed = _claimed(asker, body)
    own = claimed == asker.lfdi
    if not own and asker.standing is not Standing.REGISTERED:
        raise Forbidden("an aggregator registers itself first")
    known = find(transaction.connection, claimed)
    if known is None:
        if not policy.in_band or (own and not policy.anyone):
            raise Forbidden(f"{claimed} is on no list")
    else:
        if not own and known.manager != asker.device:
            raise Forbidden(f"{claimed} is not of this caller's fleet")
        if known.admitted and known.registered is not None:
            raise Duplicate(_EDEV.href((known.id,)))
        if not policy.in_band or not known.admitted:
            raise Forbidden(f"{claimed} may not register in band")
    if known is None:
        known = add(transaction, claimed, now=now, manager=None if own else asker.device)
    enrol(transaction, known, now)
    given = {"device_category": body.deviceCategory, "post_rate": body.postRate}
    if said := {name: value for name, value in given.items() if value is not None}:
        alter(transaction, known.id, **said)
    record(transaction, now, asker.lfdi, "register", claimed)
    return Place(_EDEV, (known.id,))


def _claimed(asker: Caller, body: r.EndDevice) -> str:
    """The LFDI that a posted EndDevice speaks for. Its SFDI has to be that LFDI's own."""
    claimed = body.lFDI
    if claimed is None:
        # Only the caller's own LFDI can be known from the certificate (interop: sFDI alone is enough).
        claimed = asker.lfdi
    if claimed != asker.lfdi and not asker.aggregator:
        raise Forbidden(f"{claimed} is not the LFDI of the certificate")
    if body.sFDI != identity.sfdi(claimed):
        raise Forbidden(f"{body.sFDI} is not the SFDI of {claimed}")
    return claimed


def find(connection: sa.Connection, lfdi: str) -> Device | None:
    """The device on the list with this LFDI."""
    row = connection.execute(_DEVICE.where(devices.c.lfdi == lfdi)).one_or_none()
    return None if row is None else Device(*row)


def find_by_name(connection: sa.Connection, name: str) -> Device | None:
    """The device on the list with this name."""
    row = connection.execute(_DEVICE.where(devices.c.name == name)).one_or_none()
    return None if row is None else Device(*row)


def add(
    transaction: Transaction,
    lfdi: str,
    *,
    now: int,
    name: str | None = None,
    aggregator: bool = False,
    manager: int | None = None,
    pin: int | None = None,
) -> Device:
    """Put an LFDI on the list of those that may register.

    :param pin: six digits; None draws one at random, which is kept and shown to the operator
    """
    number = transaction.connection.scalar(
        sa.insert(devices)
        .values(
            lfdi=lfdi,
            sfdi=identity.sfdi(lfdi),
            name=name,
            aggregator=aggregator,
            manager=manager,
            pin=identity.new_pin(secrets.randbelow) if pin is None else pin,
            changed_time=now,
        )
        .returning(devices.c.id)
    )
    assert number is not None
    if aggregator:
        manager = number
        alter(transaction, number, manager=number)
    return Device(number, lfdi, manager, aggregator, name=name)


def enrol(transaction: Transaction, device: Device, now: int, ders: int = 1) -> None:
    """Make a listed device an EndDevice, with its DERs unless it has some or is an aggregator."""
    alter(transaction, device.id, registered=now, changed_time=now)
    if not device.aggregator:
        add_ders(transaction, device.id, ders, now)


def add_ders(transaction: Transaction, device: int, wanted: int, now: int) -> None:
    """See that a device has so many DERs at least; none is ever taken away."""
    place = Place(_DER_LIST, (device,))
    present = documents.counts(transaction.connection, [place.href]).get(place.href, 0)
    for _ in range(wanted - present):
        documents.post(transaction, place, r.DER(), now, device)


def alter(transaction: Transaction, device: int, **values: Any) -> None:
    """Change a row of the list, and what is kept by fleet with it."""
    connection = transaction.connection
    state = sa.select(devices.c.manager, _shown.label("shown")).where(devices.c.id == device)
    before = connection.execute(state).one()
    connection.execute(sa.update(devices).where(devices.c.id == device).values(**values))
    after = connection.execute(state).one()
    if tuple(before) != tuple(after):
        for seen, change in ((before, -1), (after, 1)):
            if seen.shown and seen.manager is not None:
                count = sa.update(devices).where(devices.c.id == seen.manager)
                connection.execute(count.values(fleet=devices.c.fleet + change))
                groups.count(transaction, seen.manager, groups.memberships_of(connection, device), change)
    transaction.touch("/edev", f"/edev/{device}")
    for manager in {before.manager, after.manager} - {None}:
        transaction.touch(f"/edev/{manager}")


def join(transaction: Transaction, device: int, group: int, now: int) -> None:
    """Put a device into a group, where it is not in it already."""
    if groups.join(transaction, device, group, now):
        _moved(transaction, device, group, 1)


def leave(transaction: Transaction, device: int, group: int, now: int) -> None:
    """Take a device out of a group; that it was in it stays known."""
    if groups.leave(transaction, device, group, now):
        _moved(transaction, device, group, -1)


def _moved(transaction: Transaction, device: int, group: int, change: int) -> None:
    row = transaction.connection.execute(
        sa.select(devices.c.manager, _shown.label("shown")).where(devices.c.id == device)
    ).one()
    transaction.touch(f"/edev/{device}", f"/edev/{device}/fsa")
    if row.manager is not None:
        if row.shown:
            groups.count(transaction, row.manager, [group], change)
        transaction.touch(f"/edev/{row.manager}")


def change(transaction: Transaction, device: int, body: r.EndDevice, now: int) -> None:
    """PUT of an EndDevice: of all that it says, only deviceCategory and postRate may change (decision 3).

    :raises BadRequest: it speaks of another device
    """
    row = transaction.connection.execute(
        sa.select(devices.c.lfdi, devices.c.sfdi).where(devices.c.id == device)
    ).one()
    if body.sFDI != row.sfdi or body.lFDI not in (None, row.lfdi):
        raise BadRequest("lFDI and sFDI of an EndDevice do not change")
    alter(
        transaction,
        device,
        device_category=body.deviceCategory,
        post_rate=body.postRate,
        changed_time=now,
    )


def unregister(transaction: Transaction, device: int, who: str, now: int) -> None:
    """DELETE of an EndDevice by its aggregator: it stays listed, and may be registered again."""
    lfdi = transaction.connection.scalar(sa.select(devices.c.lfdi).where(devices.c.id == device, _shown))
    if lfdi is None:
        raise NotFound(f"no EndDevice {device}")
    alter(transaction, device, registered=None, changed_time=now)
    record(transaction, now, who, "unregister", lfdi)


def withdraw(transaction: Transaction, lfdi: str, who: str, now: int) -> bool:
    """Shut a device out, until the operator lifts it. True if it was not shut out already."""
    return _set_withdrawn(transaction, lfdi, who, now, "withdraw", now)


def readmit(transaction: Transaction, lfdi: str, who: str, now: int) -> bool:
    """Lift a withdrawal. True if there was one."""
    return _set_withdrawn(transaction, lfdi, who, now, "readmit", None)


def _set_withdrawn(
    transaction: Transaction, lfdi: str, who: str, now: int, action: str, value: int | None
) -> bool:
    before = devices.c.withdrawn.is_(None) if value is not None else devices.c.withdrawn.is_not(None)
    device = transaction.connection.scalar(sa.select(devices.c.id).where(devices.c.lfdi == lfdi, before))
    if device is None:
        return False
    alter(transaction, device, withdrawn=value, changed_time=now)
    record(transaction, now, who, action, lfdi)
    return True


def record(transaction: Transaction, now: int, who: str, action: str, subject: str, detail: str = "") -> None:
    """Write a line of the audit log."""
    transaction.connection.execute(
        sa.insert(audit).values(at=now, who=who, action=action, subject=subject, detail=detail)
    )


def _end_device(row: sa.Row[*tuple[Any, ...]]) -> r.EndDevice:
    return r.EndDevice(
        lFDI=row.lfdi,
        sFDI=row.sfdi,
        changedTime=row.changed_time,
        deviceCategory=row.device_category,
        postRate=row.post_rate,
        enabled=True,
    )
