"""The list of authorised LFDIs: who is on it, what becomes an EndDevice, who is shut out.

A row is an authorisation; ``registered`` makes it an EndDevice (CSIP IG 6.1.2). ``retired`` and
``withdrawn`` shut a device out without forgetting it: the first comes and goes with the configuration
file, the second is the operator's and stays until the operator lifts it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import controls, documents, facts, fleet_counts, former, group_counts, groups, tally
from csipd.db.audit import record
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import devices, mirrors, own_programs, standing_number
from csipd.der.access import Barred, Caller, Owner, Policy, Standing
from csipd.refusals import Conflict, Full
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import octets_of, short_bits

#: How a device stands, in the order of ``tables.standing_number``.
STANDINGS = ("registered", "listed", "withdrawn", "retired")
#: LFDIs that an aggregator may add itself, ever. An operator lists more.
MOST_ADDED = 20_000

#: Neither retired nor withdrawn: its certificate means something.
is_admitted = devices.c.retired.is_(None) & devices.c.withdrawn.is_(None)
#: Shown as an EndDevice.
is_shown = is_admitted & devices.c.registered.is_not(None)

#: Columns that no resource shows and no right hangs on.
_UNSHOWN = frozenset(("added", "modes", "name", "withdrawn_reason"))

#: Columns that a device's own resources show, and no list of devices.
_UNLISTED = frozenset((*_UNSHOWN, "former_works", "pin", "poll_rate"))


_EDEV = ROWS["EndDevice"]
_DER_LIST = ROWS["DERList"]


_DEVICE = sa.select(
    devices.c.id,
    devices.c.lfdi,
    devices.c.manager,
    devices.c.aggregator,
    devices.c.registered,
    is_admitted,
    devices.c.name,
)
_CALLER = sa.select(
    devices.c.id,
    devices.c.registered,
    devices.c.aggregator,
    devices.c.retired,
    devices.c.withdrawn,
    devices.c.fleet,
    devices.c.former_works,
    devices.c.device_category,
    devices.c.manager,
    groups.set_of_row(devices.c.id).label("groups"),
    sa.exists().where(own_programs.c.device == devices.c.id).label("own_program"),
)
_CALLER_BY_LFDI = Prepared(_CALLER.where(devices.c.lfdi == sa.bindparam("lfdi")))
_CALLER_BY_NUMBER = Prepared(_CALLER.where(devices.c.id == sa.bindparam("device")))
_THIS = (devices.c.id == sa.bindparam("device")) & is_shown
_OWNER = Prepared(sa.select(devices.c.id, devices.c.manager).where(_THIS))
_OWNER_BY_LFDI = Prepared(
    sa.select(devices.c.id, devices.c.manager).where(devices.c.lfdi == sa.bindparam("lfdi"), is_shown)
)
_REGISTRATION = Prepared(sa.select(devices.c.registered, devices.c.pin, devices.c.poll_rate).where(_THIS))
#: A device's own is a wish: the operator's wins (decision 42).
_POST_RATE = sa.func.coalesce(devices.c.post_rate, devices.c.wished_post_rate)
#: What an EndDevice is made of (``end_device_of_row``).
END_DEVICES = sa.select(
    devices.c.id,
    devices.c.lfdi,
    devices.c.sfdi,
    devices.c.changed_time,
    devices.c.device_category,
    devices.c.category_octets,
    _POST_RATE.label("post_rate"),
)
_END_DEVICE = Prepared(END_DEVICES.where(_THIS))

_WITH_POST_RATE = Prepared(
    sa.select(devices.c.id).where(
        devices.c.id.in_(sa.bindparam("devices", expanding=True)), devices.c.post_rate.is_not(None)
    )
)

_BY_LFDI = Prepared(_DEVICE.where(devices.c.lfdi == sa.bindparam("lfdi")))
_BY_NUMBER = Prepared(_DEVICE.where(devices.c.id == sa.bindparam("device")))
_PRESENT = Prepared(
    sa.select(devices.c.id).where(
        devices.c.id.in_(sa.bindparam("devices", expanding=True)), is_shown, sa.not_(devices.c.aggregator)
    )
)
_CALLED = Prepared(
    sa.select(devices.c.id, devices.c.name).where(devices.c.id.in_(sa.bindparam("devices", expanding=True)))
)
_BY_NAME = Prepared(_DEVICE.where(devices.c.name == sa.bindparam("name")))
_NAMED = Prepared(sa.select(devices.c.name).where(devices.c.name.in_(sa.bindparam("names", expanding=True))))
_STATE = Prepared(
    sa.select(
        devices.c.manager,
        devices.c.modes,
        devices.c.device_category,
        standing_number.label("standing"),
        is_shown.label("shown"),
    ).where(devices.c.id == sa.bindparam("device"))
)


_MOVE_MIRRORS = Prepared(sa.update(mirrors).where(mirrors.c.device == sa.bindparam("of")), "fleet")


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
    if lfdi in policy.reserved:
        return Caller(lfdi, sfdi)
    row = _CALLER_BY_LFDI.first(connection, {"lfdi": lfdi})
    first_use = row is not None and row.former_works
    if row is None:
        before = former.find(connection, lfdi)
        if before is None:
            return Caller(lfdi, sfdi, Standing.LISTED if policy.anyone else Standing.UNKNOWN)
        if not before.works:
            # It was replaced: nobody's, whatever the policy.
            return Caller(lfdi, sfdi, barred=Barred.REPLACED)
        row = _CALLER_BY_NUMBER.first(connection, {"device": before.device})
    if row.withdrawn is not None:
        return Caller(lfdi, sfdi, barred=Barred.WITHDRAWN)
    if row.retired is not None:
        return Caller(lfdi, sfdi, barred=Barred.REMOVED)
    # Its own EndDevice is in the list of its fleet, too.
    managed = max(row.fleet - 1, 0)
    if row.registered is None:
        return Caller(
            lfdi,
            sfdi,
            Standing.LISTED,
            aggregator=row.aggregator,
            managed=managed,
            replaces=row.id if first_use else None,
        )
    return Caller(
        lfdi,
        sfdi,
        Standing.REGISTERED,
        row.id,
        row.aggregator,
        managed,
        replaces=row.id if first_use else None,
        groups=groups.read_set(row.groups),
        own_program=row.own_program,
        category=row.device_category or 0,
        manager=row.manager,
    )


def owner(connection: sa.Connection, device: int) -> Owner | None:
    """The owner that a URI below /edev names, if there is such an EndDevice."""
    row = _OWNER.first(connection, {"device": device})
    return None if row is None else Owner(*row)


def owner_by_lfdi(connection: sa.Connection, lfdi: str) -> Owner | None:
    """The EndDevice of an LFDI, one that it had before included, if there is one."""
    row = _OWNER_BY_LFDI.first(connection, {"lfdi": lfdi})
    if row is not None:
        return Owner(*row)
    before = former.find(connection, lfdi)
    return None if before is None else owner(connection, before.device)


def meant_by(connection: sa.Connection, asker: Caller, lfdi: str) -> Owner | None:
    """The EndDevice of an LFDI that a caller names in a body, if there is one. Its own is known."""
    if lfdi == asker.lfdi and asker.device is not None:
        return Owner(asker.device, asker.manager)
    return owner_by_lfdi(connection, lfdi)


def is_lfdi_of(connection: sa.Connection, device: int, lfdi: str) -> bool:
    """Whether a device has this LFDI, or had it before its certificate was replaced."""
    found = find(connection, lfdi)
    return found is not None and found.id == device


def end_device(connection: sa.Connection, device: int) -> r.EndDevice | None:
    """The EndDevice of that number, without its links."""
    row = _END_DEVICE.first(connection, {"device": device})
    return None if row is None else end_device_of_row(row)


def with_post_rate(connection: sa.Connection, numbers: Sequence[int]) -> set[int]:
    """Those of the EndDevices that an operator has set a postRate for."""
    return set(_WITH_POST_RATE.scalars(connection, {"devices": numbers}))


def visible_to(aggregator: bool) -> sa.Select[tuple[int]]:
    """The numbers of the EndDevices that a registered caller sees, as a query; its own is ``asker``."""
    own = devices.c.manager if aggregator else devices.c.id
    return sa.select(devices.c.id).where(is_shown, own == sa.bindparam("asker"))


def registration(connection: sa.Connection, device: int) -> r.Registration | None:
    """The Registration of an EndDevice: its PIN and when it was registered."""
    row = _REGISTRATION.first(connection, {"device": device})
    if row is None:
        return None
    bare = r.Registration(dateTimeRegistered=row.registered, pIN=row.pin)
    return bare if row.poll_rate is None else bare.replace(pollRate=row.poll_rate)


def find(connection: sa.Connection, lfdi: str) -> Device | None:
    """The device on the list with this LFDI, or that had it before: its own then differs."""
    row = _BY_LFDI.first(connection, {"lfdi": lfdi})
    if row is None:
        before = former.find(connection, lfdi)
        if before is None:
            return None
        row = _BY_NUMBER.first(connection, {"device": before.device})
    return Device(*row)


def find_by_name(connection: sa.Connection, name: str) -> Device | None:
    """The device on the list with this name."""
    row = _BY_NAME.first(connection, {"name": name})
    return None if row is None else Device(*row)


def named(connection: sa.Connection, names: Sequence[str]) -> set[str]:
    """Those of the names that a device has, be it one that was removed."""
    return set(_NAMED.scalars(connection, {"names": names}))


def add(
    transaction: Transaction,
    lfdi: str,
    *,
    now: int,
    name: str | None = None,
    aggregator: bool = False,
    manager: int | None = None,
    pin: int | None = None,
    wished_post_rate: int | None = None,
) -> Device:
    """Put an LFDI on the list of those that may register.

    :param pin: six digits; None draws one at random, which is kept and shown to the operator
    :param wished_post_rate: the postRate that counts until the operator or the device says another (s)
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
            wished_post_rate=wished_post_rate,
        )
        .returning(devices.c.id)
    )
    assert number is not None
    tally.change(transaction, tally.devices("listed"), 1)
    transaction.invalidate(facts.certificate(lfdi))
    if aggregator:
        manager = number
        update(transaction, number, manager=number)
    return Device(number, lfdi, manager, aggregator, name=name)


def count_added(transaction: Transaction, asker: Caller) -> None:
    """Count one more LFDI that an aggregator adds. Those that it unregistered count too: their rows stay.

    :raises Full: there are too many
    """
    room = sa.and_(devices.c.id == asker.device, devices.c.added < MOST_ADDED)
    counted = sa.update(devices).where(room).values(added=devices.c.added + 1)
    if not transaction.connection.execute(counted).rowcount:
        raise Full(f"{asker.lfdi} has added {MOST_ADDED} devices that nobody listed")


def setting(connection: sa.Connection, device: int, column: str) -> int | None:
    """What an operator has set in a row of the list."""
    found: int | None = connection.scalar(sa.select(devices.c[column]).where(devices.c.id == device))
    return found


def retire(transaction: Transaction, number: int, now: int) -> None:
    """Take a device off every list and out of its groups; what is kept of it stays."""
    for group in groups.set_of(transaction.connection, number):
        leave(transaction, number, group, now)
    update(transaction, number, retired=now, changed_time=now)


def make_end_device(transaction: Transaction, device: Device, now: int, ders: int = 1) -> None:
    """Make a listed device an EndDevice, with its DERs unless it has some or is an aggregator."""
    update(transaction, device.id, registered=now, changed_time=now)
    if not device.aggregator:
        add_ders(transaction, device.id, ders, now)


def add_ders(transaction: Transaction, device: int, wanted: int, now: int) -> None:
    """See that a device has so many DERs at least; none is ever taken away."""
    place = Place(_DER_LIST, (device,))
    present = documents.counts(transaction.connection, [place.href]).get(place.href, 0)
    for _ in range(wanted - present):
        documents.post(transaction, place, r.DER(), now, device)


def update(transaction: Transaction, device: int, **values: Any) -> None:
    """Change a row of the list, and what is kept by group with it."""
    connection = transaction.connection
    if "device_category" in values:
        # Shown in the width in which it was given (decision 40).
        category = values["device_category"]
        values["category_octets"] = octets_of(category)
        values["device_category"] = None if category is None else int(category)
    before = _STATE.first(connection, {"device": device})
    _set(*sorted(values)).execute(connection, {"row": device, **values})
    after = _STATE.first(connection, {"device": device})
    if before.standing != after.standing:
        for standing, change in ((before.standing, -1), (after.standing, 1)):
            tally.change(transaction, tally.devices(STANDINGS[standing]), change)
    moved = _fleet_of(before) != _fleet_of(after)
    if moved:
        _MOVE_MIRRORS.execute(connection, {"of": device, "fleet": _fleet_of(after)})
        fleet_counts.moved(transaction, device, _fleet_of(before), _fleet_of(after))
    if before != after:
        of = groups.set_of(connection, device)
        for seen, change in ((before, -1), (after, 1)):
            _tally(transaction, seen, of, change, moved)
            if moved and _fleet_of(seen) is not None:
                count = sa.update(devices).where(devices.c.id == seen.manager)
                connection.execute(count.values(fleet=devices.c.fleet + change))
    if values.keys() <= _UNSHOWN:
        return
    transaction.invalidate(facts.device(device))
    if not moved and values.keys() <= _UNLISTED:
        return
    for manager in {_fleet_of(before), _fleet_of(after)} - {None}:
        # Its list is in the order of changes.
        transaction.invalidate(facts.fleet(manager))
        if moved:
            transaction.invalidate(facts.fleet_groups(manager))


@cache
def _set(*names: str) -> Prepared:
    """The UPDATE of some columns of a row of the list."""
    return Prepared(sa.update(devices).where(devices.c.id == sa.bindparam("row")), *names)


def _fleet_of(state: Any) -> int | None:
    """The aggregator in whose fleet a device is shown."""
    manager: int | None = state.manager
    return manager if state.shown else None


def _tally(transaction: Transaction, state: Any, of: Sequence[int], change: int, moved: bool = True) -> None:
    """Count a device in or out of groups, if it is shown at all.

    :param moved: whether it comes to a fleet or group, or leaves one, and not only what it supports changes
    """
    if state.shown:
        if moved and state.manager is not None:
            group_counts.count_fleet(transaction, state.manager, of, change)
        group_counts.count_abilities(transaction, state.modes, state.device_category, of, change)


def join(transaction: Transaction, device: int, group: int, now: int) -> None:
    """Put a device into a group, where it is not in it already.

    :raises Conflict: it would come under controls that are meant for another's service point
    """
    if groups.join(transaction, device, group, now):
        _check_service_point(transaction.connection, device, group, now)
        _moved(transaction, device, group, 1)


def _check_service_point(connection: sa.Connection, device: int, group: int, now: int) -> None:
    points = groups.service_points(connection, group)
    if points and (live := controls.live_numbers(connection, points, now)):
        who, where = called(connection, [device])[device], groups.called(connection, group)
        raise Conflict(
            f"{who} cannot join {where}: the program of this service point has controls that"
            f" are not over, which it would follow: {controls.named(live)}; cancel them first"
        )


def leave(transaction: Transaction, device: int, group: int, now: int) -> None:
    """Take a device out of a group; that it was in it stays known."""
    if groups.leave(transaction, device, group, now):
        _moved(transaction, device, group, -1)


def _moved(transaction: Transaction, device: int, group: int, change: int) -> None:
    state = _STATE.first(transaction.connection, {"device": device})
    transaction.invalidate(facts.groups_of(device))
    fleet_counts.place_own_program(transaction, device)
    _tally(transaction, state, [group], change)
    if state.manager is not None:
        transaction.invalidate(facts.fleet_groups(state.manager))


def has_modes(connection: sa.Connection, device: int, modes: int) -> bool:
    """Whether a device has said that it supports these modes, or more.

    :param modes: DERControlType; 0: whether it has said anything
    """
    kept: int | None = _STATE.first(connection, {"device": device}).modes
    return kept is not None and not modes & ~kept


def update_modes(transaction: Transaction, device: int) -> None:
    """Keep what modes a device supports, after one of its DERs has said: those that any of them does."""
    place = Place(_DER_LIST, (device,))
    modes = None
    _, ders = documents.page(transaction.connection, place, documents.ALL)
    for der, _ in ders:
        capability = documents.get(transaction.connection, Place(ROWS["DERCapability"], der.ids))
        if isinstance(capability, r.DERCapability):
            modes = (modes or 0) | capability.modesSupported
    update(transaction, device, modes=modes)


def withdraw(transaction: Transaction, lfdi: str, who: str, now: int, reason: str | None = None) -> bool:
    """Shut a device out, until the operator lifts it. True if it was not shut out already.

    :param reason: why; it is kept with the device until it is readmitted, and in the audit log
    """
    return _set_withdrawn(transaction, lfdi, who, now, "withdraw", now, reason)


def readmit(transaction: Transaction, lfdi: str, who: str, now: int) -> bool:
    """Lift a withdrawal. True if there was one."""
    return _set_withdrawn(transaction, lfdi, who, now, "readmit", None)


def _set_withdrawn(
    transaction: Transaction,
    lfdi: str,
    who: str,
    now: int,
    action: str,
    value: int | None,
    reason: str | None = None,
) -> bool:
    before = devices.c.withdrawn.is_(None) if value is not None else devices.c.withdrawn.is_not(None)
    device = transaction.connection.scalar(sa.select(devices.c.id).where(devices.c.lfdi == lfdi, before))
    if device is None:
        return False
    update(transaction, device, withdrawn=value, withdrawn_reason=reason, changed_time=now)
    said = lfdi if reason is None else f"{lfdi}: {reason}"
    record(transaction, now, who, action, _EDEV.href((device,)), said)
    return True


def is_aggregator(connection: sa.Connection, number: int) -> bool:
    """Whether this is an aggregator that is admitted."""
    query = sa.select(devices.c.id).where(devices.c.id == number, devices.c.aggregator, is_admitted)
    return connection.scalar(query) is not None


def missing(connection: sa.Connection, numbers: Sequence[int]) -> list[int]:
    """Those of the numbers that are no EndDevice, or an aggregator."""
    present = set(_PRESENT.scalars(connection, {"devices": numbers}))
    return [number for number in numbers if number not in present]


def called(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """What people call devices, by their numbers; those that there are not are left out."""
    if not numbers:
        return {}
    return {row.id: title(row.id, row.name) for row in _CALLED.all(connection, {"devices": numbers})}


def title(number: int, name: str | None) -> str:
    """What people call a device, within a sentence: ``device inv01 (4)``."""
    return f"device {name} ({number})" if name else f"device {number}"


def _category(value: int | None, octets: int | None) -> int | None:
    if value is None or octets is None:
        return value
    try:
        return short_bits(value, octets)
    except ValueError as error:
        raise Unreadable(f"devices.device_category: {error}") from error


def end_device_of_row(row: Any) -> r.EndDevice:
    """The EndDevice of a row of ``END_DEVICES``, without its links."""
    return r.EndDevice(
        lFDI=row.lfdi,
        sFDI=row.sfdi,
        changedTime=row.changed_time,
        deviceCategory=_category(row.device_category, row.category_octets),
        postRate=row.post_rate,
        enabled=True,
    )
