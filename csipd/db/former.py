"""LFDIs that a device had before its certificate was replaced (decision 44): which device they mean.

They are never another device's again. Whether one still lets its holder in is ``works``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db.prepared import Prepared
from csipd.db.tables import former_lfdis

_FIND = Prepared(
    sa.select(former_lfdis.c.device, former_lfdis.c.works).where(former_lfdis.c.lfdi == sa.bindparam("lfdi"))
)
_WORKING = Prepared(
    sa.select(former_lfdis.c.lfdi).where(
        former_lfdis.c.device == sa.bindparam("device"), former_lfdis.c.works
    )
)
_OF = Prepared(sa.select(former_lfdis.c.lfdi).where(former_lfdis.c.device == sa.bindparam("device")))


@frozen
class FormerCertificate:
    """A former LFDI.

    :param device: whose it was
    :param works: whether its certificate is still let in: until the new one's first request
    """

    device: int
    works: bool


def find(connection: sa.Connection, lfdi: str) -> FormerCertificate | None:
    """What an LFDI was, if it is a former one."""
    row = _FIND.first(connection, {"lfdi": lfdi})
    return None if row is None else FormerCertificate(row.device, row.works)


def of(connection: sa.Connection, device: int) -> list[str]:
    """The LFDIs that a device had before."""
    return _OF.scalars(connection, {"device": device})


def working(connection: sa.Connection, device: int) -> list[str]:
    """The LFDIs that a device had before and whose certificates are still let in."""
    return _WORKING.scalars(connection, {"device": device})


def among(connection: sa.Connection, lfdis: Sequence[str]) -> Mapping[str, int]:
    """Those of the LFDIs that are former ones, with their devices."""
    query = sa.select(former_lfdis.c.lfdi, former_lfdis.c.device).where(former_lfdis.c.lfdi.in_(lfdis))
    return {row.lfdi: row.device for row in connection.execute(query)}
