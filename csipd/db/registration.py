"""Registration in band: what devices and aggregators do with EndDevices by POST, PUT and DELETE."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import devices, former
from csipd.db.audit import record
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import devices as device_table
from csipd.der.access import Caller, Policy, Standing
from csipd.refusals import BadRequest, Duplicate, Forbidden, NotFound
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import octets_of

_EDEV = ROWS["EndDevice"]


_CHANGEABLE = Prepared(
    sa.select(
        device_table.c.lfdi,
        device_table.c.device_category,
        device_table.c.category_octets,
        device_table.c.wished_post_rate,
    ).where(device_table.c.id == sa.bindparam("device"))
)


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
    known = devices.find(transaction.connection, claimed)
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
            devices.count_added(transaction, asker)
        known = devices.add(transaction, claimed, now=now, manager=None if own else asker.device)
    devices.make_end_device(transaction, known, now)
    given = {"device_category": body.deviceCategory, "wished_post_rate": body.postRate}
    if said := {name: value for name, value in given.items() if value is not None}:
        devices.update(transaction, known.id, **said)
    by = known.id if asker.device is None else asker.device
    record(transaction, now, asker.lfdi, "register", _EDEV.href((known.id,)), claimed, device=by)
    return Place(_EDEV, (known.id,))


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
    found = devices.find(connection, lfdi)
    return lfdi if found is None else found.lfdi


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
        devices.update(transaction, device, **said, changed_time=now)
    return bool(said)


def _is_meant(lfdi: str, body: r.EndDevice) -> bool:
    """Whether an EndDevice speaks of the device of an LFDI."""
    return body.lFDI in (None, lfdi) and body.sFDI == identity.sfdi(lfdi)


def unregister(transaction: Transaction, device: int, who: str, now: int) -> None:
    """DELETE of an EndDevice by its aggregator: it stays listed, and may be registered again."""
    query = sa.select(device_table.c.lfdi, device_table.c.manager).where(
        device_table.c.id == device, devices.is_shown
    )
    row = transaction.connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no EndDevice {device}")
    devices.update(transaction, device, registered=None, changed_time=now)
    record(transaction, now, who, "unregister", _EDEV.href((device,)), row.lfdi, device=row.manager)
