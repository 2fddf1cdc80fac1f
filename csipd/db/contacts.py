"""When each device was last heard of, from where, and what it was refused.

That is no part of any resource: writing it changes no changedTime and invalidates no answer (decision 43).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import contacts, devices, former_lfdis
from csipd.db.upsert import insert


@frozen
class LastContact:
    """What is known of a device's requests.

    :param at: when it was last heard of (TimeType)
    :param host: the address that it came from
    :param refusals: how many of its requests were refused; forgotten when the last was long ago (retention)
    :param refused: when the last of these was (TimeType)
    :param reason: why
    """

    at: int
    host: str
    refusals: int
    refused: int | None
    reason: str | None


def write(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what is new about callers; those that are no devices are left out.

    :param rows: with the fields of ``net.contacts.Contact``
    """
    for row in rows:
        _WRITE.execute(transaction.connection, row)


def _write(dialect: str) -> sa.Insert:
    of_former = (
        sa.select(former_lfdis.c.device)
        .where(former_lfdis.c.lfdi == sa.bindparam("lfdi"), former_lfdis.c.works)
        .scalar_subquery()
    )
    integer, text = sa.BigInteger(), sa.Text()
    values = sa.select(
        devices.c.id,
        sa.bindparam("at", type_=integer),
        sa.bindparam("host", type_=text),
        sa.bindparam("refusals", type_=integer),
        sa.bindparam("refused", type_=integer),
        sa.bindparam("reason", type_=text),
    ).where(sa.or_(devices.c.lfdi == sa.bindparam("lfdi"), devices.c.id == of_former))
    statement = insert(dialect, contacts).from_select(
        ["device", "at", "host", "refusals", "refused", "reason"], values
    )
    new, old = statement.excluded, contacts.c
    later = new.at >= old.at
    return statement.on_conflict_do_update(
        index_elements=[contacts.c.device],
        set_={
            "at": sa.case((later, new.at), else_=old.at),
            "host": sa.case((later, new.host), else_=old.host),
            "refusals": old.refusals + new.refusals,
            "refused": sa.func.coalesce(new.refused, old.refused),
            "reason": sa.func.coalesce(new.reason, old.reason),
        },
    )


_WRITE = Prepared(_write)


def of(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, LastContact]:
    """The last contact of each of the devices that was ever heard of."""
    return {row[0]: LastContact(*row[1:]) for row in _OF.all(connection, {"numbers": numbers})}


_OF = Prepared(
    sa.select(
        contacts.c.device,
        contacts.c.at,
        contacts.c.host,
        contacts.c.refusals,
        contacts.c.refused,
        contacts.c.reason,
    ).where(contacts.c.device.in_(sa.bindparam("numbers", expanding=True)))
)


def silent_since(moment: int) -> sa.ColumnElement[bool]:
    """The rows of ``devices`` that were not heard of since a moment (TimeType), or never."""
    heard = sa.select(contacts.c.device).where(contacts.c.device == devices.c.id, contacts.c.at >= moment)
    return sa.not_(heard.exists())
