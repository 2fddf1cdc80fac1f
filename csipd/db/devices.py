"""EndDevices: the list of authorised LFDIs, registration in band and out of band, withdrawal.

A row is an authorisation; ``registered`` makes it an EndDevice (CSIP IG 6.1.2). ``retired`` and
``withdrawn`` shut a device out without forgetting it: the first comes and goes with the configuration
file, the second is the operator's and stays until the operator lifts it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from attrs import asdict, frozen

from csipd.db import controls, documents, facts, fleet_counts, former, group_counts, groups, tally
from csipd.db.audit import record
from csipd.db.columns import Unreadable
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import devices, mirrors, own_programs, standing_number
from csipd.der.access import Barred, Caller, Owner, Policy, Standing
from csipd.refusals import BadRequest, Conflict, Duplicate, Forbidden, Full, NotFound
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
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

#: Before every TimeType.
_EVER = -1

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
_COLUMNS = sa.select(
    devices.c.id,
    devices.c.lfdi,
    devices.c.sfdi,
    devices.c.changed_time,
    devices.c.device_category,
    devices.c.category_octets,
    _POST_RATE.label("post_rate"),
)
_END_DEVICE = Prepared(_COLUMNS.where(_THIS))

_WITH_POST_RATE = Prepared(
    sa.select(devices.c.id).where(
        devices.c.id.in_(sa.bindparam("devices", expanding=True)), devices.c.post_rate.is_not(None)
    )
)

_MANAGED = (devices.c.manager == sa.bindparam("asker")) & is_shown
_FLEET_SIZE = Prepared(sa.select(devices.c.fleet).where(devices.c.id == sa.bindparam("asker")))
_LATER = devices.c.changed_time > sa.bindparam("after")
_FLEET = (
    _COLUMNS.where(_MANAGED)
    .order_by(devices.c.changed_time.desc(), devices.c.sfdi, devices.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
    .offset(sa.bindparam("start", type_=sa.Integer))
)
_LATER_COUNT = Prepared(sa.select(sa.func.count()).select_from(devices).where(_MANAGED, _LATER))
_FLEET_PAGE = Prepared(_FLEET.where(_LATER))
# The same from the other end.
_FLEET_BACKWARDS = Prepared(
    _FLEET.where(_LATER)
    .order_by(None)
    .order_by(devices.c.changed_time, devices.c.sfdi.desc(), devices.c.id.desc())
)
# What comes behind an EndDevice: those of its changedTime, then those of an earlier one. In one statement
# SQLite would pass over all of that time first.
_BEHIND = (
    Prepared(
        _FLEET.where(
            devices.c.changed_time == sa.bindparam("changed_time"),
            sa.tuple_(devices.c.sfdi, devices.c.id) > sa.tuple_(sa.bindparam("sfdi"), sa.bindparam("id")),
        )
    ),
    Prepared(_FLEET.where(_LATER, devices.c.changed_time < sa.bindparam("changed_time"))),
)
_BY_LFDI = Prepared(_DEVICE.where(devices.c.lfdi == sa.bindparam("lfdi")))
_BY_NUMBER = Prepared(_DEVICE.where(devices.c.id == sa.bindparam("device")))
_BY_NAME = Prepared(_DEVICE.where(devices.c.name == sa.bindparam("name")))
_CHANGEABLE = Prepared(
    sa.select(
        devices.c.lfdi, devices.c.device_category, devices.c.category_octets, devices.c.wished_post_rate
    ).where(devices.c.id == sa.bindparam("device"))
)
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
    return None if row is None else _end_device(row)


@frozen
class FleetPosition:
    """An EndDevice of a fleet by what the list is ordered by: the ones behind it are sought on the index."""

    changed_time: int
    sfdi: int
    id: int


def end_devices(
    connection: sa.Connection,
    asker: Caller,
    part: Page,
    behind: FleetPosition | None = None,
    total: int | None = None,
) -> tuple[int, list[tuple[Place, r.Resource]], FleetPosition | None]:
    """The EndDeviceList as this caller sees it: itself, and the fleet of an aggregator.

    Ordered by changedTime, newest first, then sFDI (IEEE 2030.5-2018 8.5, Table 16 of the list orders).

    :param behind: the EndDevice right before the part of a fleet, where that is known: what comes before the
        part is then not passed over
    :param total: how many there are in the fleet that ``a`` leaves, where that is known
    :return: how many there are, those wanted, and the position of the last of these where it is a fleet
    """
    if asker.device is None:
        return 0, [], None
    if not asker.aggregator:
        own = end_device(connection, asker.device)
        if own is None or (part.after is not None and own.changedTime <= part.after):
            return 0, [], None
        alone: list[tuple[Place, r.Resource]] = [(Place(_EDEV, (asker.device,)), own)]
        return 1, alone[part.start : part.start + part.limit], None
    wanted: dict[str, Any] = {"asker": asker.device, "after": _EVER if part.after is None else part.after}
    if total is None:
        total = later_count(connection, asker, part.after)
    if part.start >= total or not part.limit:
        return total, [], None
    if behind is not None:
        rows = _fleet_behind(connection, wanted, behind, part.limit)
    else:
        rows = _skipped_to(connection, wanted, part, total)
    last = FleetPosition(rows[-1].changed_time, rows[-1].sfdi, rows[-1].id) if rows else None
    return total, [(Place(_EDEV, (row.id,)), _end_device(row)) for row in rows], last


def _skipped_to(connection: sa.Connection, asked: Mapping[str, Any], part: Page, total: int) -> list[Any]:
    """The rows of a part of a fleet, skipped to from the nearer end of the list."""
    limit = min(part.limit, total - part.start)
    beyond = total - part.start - limit
    if part.start <= beyond:
        return _FLEET_PAGE.all(connection, {**asked, "limit": limit, "start": part.start})
    return _FLEET_BACKWARDS.all(connection, {**asked, "limit": limit, "start": beyond})[::-1]


def later_count(connection: sa.Connection, asker: Caller, after: int | None) -> int:
    """How many EndDevices of an aggregator's fleet changed after a moment; None: how many there are."""
    if after is None:
        return end_device_count(connection, asker)
    found: int = _LATER_COUNT.scalar(connection, {"asker": asker.device, "after": after})
    return found


def _fleet_behind(
    connection: sa.Connection, asked: Mapping[str, Any], behind: FleetPosition, limit: int
) -> list[Any]:
    """The rows of a fleet behind an EndDevice."""
    rows: list[Any] = []
    wanted = {**asked, "start": 0, **asdict(behind)}
    for query in _BEHIND:
        if len(rows) < limit:
            rows += query.all(connection, wanted | {"limit": limit - len(rows)})
    return rows


def with_post_rate(connection: sa.Connection, numbers: Sequence[int]) -> set[int]:
    """Those of the EndDevices that an operator has set a postRate for."""
    return set(_WITH_POST_RATE.scalars(connection, {"devices": numbers}))


def visible_to(aggregator: bool) -> sa.Select[tuple[int]]:
    """The numbers of the EndDevices that a registered caller sees, as a query; its own is ``asker``."""
    own = devices.c.manager if aggregator else devices.c.id
    return sa.select(devices.c.id).where(is_shown, own == sa.bindparam("asker"))


def end_device_count(connection: sa.Connection, asker: Caller) -> int:
    """How many EndDevices this caller sees."""
    if asker.device is None:
        return 0
    if asker.aggregator:
        return _FLEET_SIZE.scalar(connection, {"asker": asker.device}) or 0
    return 1


def registration(connection: sa.Connection, device: int) -> r.Registration | None:
    """The Registration of an EndDevice: its PIN and when it was registered."""
    row = _REGISTRATION.first(connection, {"device": device})
    if row is None:
        return None
    bare = r.Registration(dateTimeRegistered=row.registered, pIN=row.pin)
    return bare if row.poll_rate is None else bare.replace(pollRate=row.poll_rate)


def register(transaction: Transaction, asker: Caller, body: r.EndDevice, policy: Policy, now: int) -> Place:
    """Register in band: POST to the EndDeviceList (CSIP IG 6.1.4, IEEE 2030.5-2018 8.5.3).

    A device registers itself. An aggregator registers itself or a device of its fleet, whose LFDI need not be
    that of a certificate (CSIP IG 5.2.2): one that was listed for it or, where the policy lets it, one that
    nobody has.

    :return: the place of the EndDevice that was made
    :raises Duplicate: it is registered already, whatever the mode
    :raises Forbidden: somebody else's LFDI or SFDI, or registration in band is not allowed
    :raises Full: the aggregator has added too many itself
    """
    claimed, own = _claimed(transaction.connection, asker, body)
    if not own and asker.standing is not Standing.REGISTERED:
        raise Forbidden("an aggregator registers itself first")
    if claimed in policy.reserved:
        raise Forbidden(f"{claimed} is the LFDI of the server or of an operator")
    known = find(transaction.connection, claimed)
    if known is None:
        if not policy.in_band or not (policy.anyone if own else policy.aggregators_may_add):
            raise Forbidden(f"{claimed} is on no list")
    else:
        if not own and known.manager != asker.device:
            raise Forbidden(f"{claimed} is not of this caller's fleet")
        if known.admitted and known.registered is not None:
            raise Duplicate(_EDEV.href((known.id,)))
        if not policy.in_band or not known.admitted:
            raise Forbidden(f"{claimed} may not register in band")
    if known is None:
        if not own:
            _count_added(transaction, asker)
        known = add(transaction, claimed, now=now, manager=None if own else asker.device)
    make_end_device(transaction, known, now)
    given = {"device_category": body.deviceCategory, "wished_post_rate": body.postRate}
    if said := {name: value for name, value in given.items() if value is not None}:
        update(transaction, known.id, **said)
    by = known.id if asker.device is None else asker.device
    record(transaction, now, asker.lfdi, "register", _EDEV.href((known.id,)), claimed, device=by)
    return Place(_EDEV, (known.id,))


def _count_added(transaction: Transaction, asker: Caller) -> None:
    """Count one more LFDI that an aggregator adds. Those that it unregistered count too: their rows stay.

    :raises Full: there are too many
    """
    room = sa.and_(devices.c.id == asker.device, devices.c.added < MOST_ADDED)
    counted = sa.update(devices).where(room).values(added=devices.c.added + 1)
    if not transaction.connection.execute(counted).rowcount:
        raise Full(f"{asker.lfdi} has added {MOST_ADDED} devices that nobody listed")


def _claimed(connection: sa.Connection, asker: Caller, body: r.EndDevice) -> tuple[str, bool]:
    """The LFDI that a posted EndDevice speaks for, and whether it is the caller's own device's.

    Its SFDI has to be that LFDI's own. One that a device had before its certificate was replaced means that
    device.
    """
    # Only the caller's own LFDI can be known from the certificate (interop: sFDI alone is enough).
    written = asker.lfdi if body.lFDI is None else body.lFDI
    claimed, mine = (_current(connection, lfdi) for lfdi in (written, asker.lfdi))
    if claimed != mine and not asker.aggregator:
        raise Forbidden(f"{written} is not the LFDI of the certificate")
    if body.sFDI != identity.sfdi(written):
        raise Forbidden(f"{body.sFDI} is not the SFDI of {written}")
    return claimed, claimed == mine


def _current(connection: sa.Connection, lfdi: str) -> str:
    """The LFDI that the device of an LFDI has now; the same where it is no device's."""
    found = find(connection, lfdi)
    return lfdi if found is None else found.lfdi


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


def change(transaction: Transaction, device: int, body: r.EndDevice, now: int) -> bool:
    """PUT of an EndDevice: of all that it says, only deviceCategory and postRate may change (decision 3).

    What it leaves out stays. Its postRate is a wish: once an operator has set one, that is what counts.

    :return: whether anything did
    :raises BadRequest: it speaks of another device
    """
    connection = transaction.connection
    row = _CHANGEABLE.first(connection, {"device": device})
    if not _is_meant(row.lfdi, body) and not any(
        _is_meant(before, body) for before in former.of(connection, device)
    ):
        raise BadRequest("lFDI and sFDI of an EndDevice do not change")
    given = {"device_category": body.deviceCategory, "wished_post_rate": body.postRate}
    said = {name: value for name, value in given.items() if value not in (None, getattr(row, name))}
    if body.deviceCategory is not None and octets_of(body.deviceCategory) != row.category_octets:
        said["device_category"] = body.deviceCategory  # the same in another width
    if said:
        update(transaction, device, **said, changed_time=now)
    return bool(said)


def _is_meant(lfdi: str, body: r.EndDevice) -> bool:
    """Whether an EndDevice speaks of the device of an LFDI."""
    return body.lFDI in (None, lfdi) and body.sFDI == identity.sfdi(lfdi)


def unregister(transaction: Transaction, device: int, who: str, now: int) -> None:
    """DELETE of an EndDevice by its aggregator: it stays listed, and may be registered again."""
    query = sa.select(devices.c.lfdi, devices.c.manager).where(devices.c.id == device, is_shown)
    row = transaction.connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no EndDevice {device}")
    update(transaction, device, registered=None, changed_time=now)
    record(transaction, now, who, "unregister", _EDEV.href((device,)), row.lfdi, device=row.manager)


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
    query = sa.select(devices.c.id).where(devices.c.id.in_(numbers), is_shown, sa.not_(devices.c.aggregator))
    present = set(connection.scalars(query))
    return [number for number in numbers if number not in present]


def called(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """What people call devices, by their numbers; those that there are not are left out."""
    query = sa.select(devices.c.id, devices.c.name).where(devices.c.id.in_(numbers))
    return {row.id: title(row.id, row.name) for row in connection.execute(query)}


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


def _end_device(row: Any) -> r.EndDevice:
    return r.EndDevice(
        lFDI=row.lfdi,
        sFDI=row.sfdi,
        changedTime=row.changed_time,
        deviceCategory=_category(row.device_category, row.category_octets),
        postRate=row.post_rate,
        enabled=True,
    )
