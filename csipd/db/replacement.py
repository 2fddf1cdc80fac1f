"""A device's certificate is replaced, and the device stays itself (decision 44).

Its number, PIN, groups, mRIDs and all that is kept of it stay; its LFDI and SFDI are those of the new
certificate. The old certificate works until the new one's first request, so that a device is never without
one, or not from now on at all.
"""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import devices, facts
from csipd.db.audit import record
from csipd.db.database import Transaction
from csipd.db.tables import devices as devices_table
from csipd.db.tables import former_lfdis
from csipd.refusals import Conflict, NotFound
from csipd.sep2 import identity


def check(connection: sa.Connection, device: int, lfdi: str) -> None:
    """See that an LFDI may become that of a device.

    :raises Conflict: it is that of a device, this one's own included, or was before
    """
    holder = devices.find(connection, lfdi)
    if holder is None:
        return
    whose = "this device" if holder.id == device else f"device {holder.id}"
    if holder.lfdi == lfdi:
        raise Conflict(f"{lfdi} is the LFDI of {whose} already")
    raise Conflict(
        f"{lfdi} was the LFDI of {whose} before its certificate was replaced: it is never used again"
    )


def replace(
    transaction: Transaction, device: int, lfdi: str, who: str, now: int, *, at_once: bool = False
) -> None:
    """Give a device the LFDI of another certificate.

    :param at_once: the old certificate is nobody's from now on
    :raises Conflict: as ``check`` does
    """
    connection = transaction.connection
    check(connection, device, lfdi)
    old = connection.scalar(sa.select(devices_table.c.lfdi).where(devices_table.c.id == device))
    if old is None:
        raise NotFound(f"there is no device {device}")
    connection.execute(sa.insert(former_lfdis).values(lfdi=old, device=device, replaced=now, works=True))
    devices.update(
        transaction, device, lfdi=lfdi, sfdi=identity.sfdi(lfdi), changed_time=now, former_works=True
    )
    transaction.invalidate(facts.certificate(old), facts.certificate(lfdi))
    if at_once:
        end_former(transaction, device)
    until = "works no longer" if at_once else "works until the new one's first request"
    record(
        transaction, now, who, "replace certificate", f"/edev/{device}", f"{old} -> {lfdi}; the old {until}"
    )


def end_former(transaction: Transaction, device: int) -> None:
    """Let nobody in any more by a former certificate of a device."""
    transaction.connection.execute(
        sa.update(former_lfdis).where(former_lfdis.c.device == device).values(works=False)
    )
    devices.update(transaction, device, former_works=False)
