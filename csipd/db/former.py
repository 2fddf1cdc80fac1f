"""LFDIs that a device had before its certificate was replaced (decision 44): which device they mean.

They are never another device's again. Whether one still lets its holder in is ``works``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from attrs import frozen

from csipd.db.tables import former_lfdis

# Built once: to build a statement costs ten times what it takes to execute it.
_FIND = sa.select(former_lfdis.c.device, former_lfdis.c.works).where(
    former_lfdis.c.lfdi == sa.bindparam("lfdi")
)
_OF = sa.select(former_lfdis.c.lfdi).where(former_lfdis.c.device == sa.bindparam("device"))


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
    row = connection.execute(_FIND, {"lfdi": lfdi}).one_or_none()
    return None if row is None else FormerCertificate(row.device, row.works)


def of(connection: sa.Connection, device: int) -> list[str]:
    """The LFDIs that a device had before."""
    return list(connection.scalars(_OF, {"device": device}))


def among(connection: sa.Connection, lfdis: Sequence[str]) -> Mapping[str, int]:
    """Those of the LFDIs that are former ones, with their devices."""
    query = sa.select(former_lfdis.c.lfdi, former_lfdis.c.device).where(former_lfdis.c.lfdi.in_(lfdis))
    return {row.lfdi: row.device for row in connection.execute(query)}
