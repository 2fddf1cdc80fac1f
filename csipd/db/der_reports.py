"""What devices last said of their DERs, of many at a time; and the settings that they had before.

Shares that are commanded are shares of a device's DERSettings as they were then: where what these are of is
changed by a PUT, what was before it is kept until no control that is kept can ask for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from attrs import field, frozen

from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.stored import decode
from csipd.db.tables import documents, former_settings
from csipd.der.delivery import Ratings
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS

#: Former settings that are kept of each DER.
MOST_FORMER = 100
#: What shares are of, and how fast a device goes there.
_RATED = ("setGradW", "setMaxChargeRateW", "setMaxVar", "setMaxVarNeg", "setMaxW")
_LIST = ROWS["DERList"]
_SAID: Mapping[str, tuple[str, type[r.Resource]]] = {
    "dercap": ("capability", r.DERCapability),
    "derg": ("settings", r.DERSettings),
    "ders": ("status", r.DERStatus),
    "dera": ("availability", r.DERAvailability),
}
_DERS = Prepared(
    sa.select(documents.c.device, documents.c.href).where(
        documents.c.list.in_(sa.bindparam("lists", expanding=True))
    )
)
_BODIES = Prepared(
    sa.select(documents.c.href, documents.c.body, documents.c.changed).where(
        documents.c.href.in_(sa.bindparam("hrefs", expanding=True))
    )
)
_FORMER = Prepared(
    sa.select(
        former_settings.c.device, former_settings.c.der, former_settings.c.until, former_settings.c.body
    )
    .where(
        former_settings.c.device.in_(sa.bindparam("devices", expanding=True)),
        former_settings.c.until > sa.bindparam("at"),
    )
    .order_by(former_settings.c.device, former_settings.c.der, former_settings.c.until.desc())
)
_KEEP = Prepared(sa.insert(former_settings), "device", "der", "until", "body")


@frozen
class Reported:
    """What a device last said of one of its DERs; None: nothing.

    :param received: when each was put last (TimeType), by the name of the field
    """

    der: int
    capability: r.DERCapability | None = None
    settings: r.DERSettings | None = None
    status: r.DERStatus | None = None
    availability: r.DERAvailability | None = None
    received: Mapping[str, int] = field(factory=dict)


def of_devices(
    connection: sa.Connection, devices: Sequence[int], names: Sequence[str] = tuple(_SAID)
) -> dict[int, list[Reported]]:
    """What devices last said of their DERs, by device: few statements, however many these are.

    :param names: last parts of the URIs of what is wanted
    """
    ders: dict[int, list[int]] = defaultdict(list)
    for row in _DERS.all(connection, {"lists": [_LIST.href((device,)) for device in devices]}):
        ders[row.device].append(int(row.href.rpartition("/")[2]))
    hrefs = {
        f"{_LIST.href((device,))}/{der}/{name}": (device, der, name)
        for device, some in ders.items()
        for der in some
        for name in names
    }
    said: dict[tuple[int, int], dict[str, Any]] = defaultdict(dict)
    received: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
    for row in _BODIES.all(connection, {"hrefs": list(hrefs)}):
        device, der, name = hrefs[row.href]
        what, kind = _SAID[name]
        said[device, der][what] = decode(row.body, kind, row.href)
        received[device, der][what] = row.changed
    return {
        device: [Reported(der, received=received[device, der], **said[device, der]) for der in sorted(some)]
        for device, some in ders.items()
    }


def ratings_at(connection: sa.Connection, devices: Sequence[int], at: int) -> dict[int, tuple[Ratings, int]]:
    """What shares were of for devices at a moment (TimeType), and how many DERs each has, by device.

    Where a DER has no settings its capability counts.
    """
    former: dict[tuple[int, int], r.DERSettings] = {}
    for row in _FORMER.all(connection, {"devices": list(devices), "at": at}):
        # The last of a DER is the one that held then.
        former[row.device, row.der] = decode(row.body, r.DERSettings, "former_settings")
    return {
        device: (
            _ratings([(former.get((device, one.der), one.settings), one) for one in reports]),
            len(reports),
        )
        for device, reports in of_devices(connection, devices, ("dercap", "derg", "dera")).items()
    }


def _ratings(ders: Sequence[tuple[r.DERSettings | None, Reported]]) -> Ratings:
    def total(setting: str, rating: str) -> Decimal | None:
        found = []
        for settings, one in ders:
            value = getattr(settings, setting, None) or getattr(one.capability, rating, None)
            if value is None:
                return None
            found.append(amount(value))
        return sum(found, Decimal(0)) if found else None

    available = [one.availability.statVarAvail for _, one in ders if one.availability is not None]
    gradients = [settings.setGradW for settings, _ in ders if settings is not None and settings.setGradW]
    return Ratings(
        max_w=total("setMaxW", "rtgMaxW"),
        max_charge_w=total("setMaxChargeRateW", "rtgMaxChargeRateW"),
        max_var=total("setMaxVar", "rtgMaxVar"),
        max_var_negative=total("setMaxVarNeg", "rtgMaxVarNeg"),
        available_var=sum(map(amount, filter(None, available)), Decimal(0)) if any(available) else None,
        gradient=min(gradients, default=None),
    )


def amount(quantity: Any) -> Decimal:
    """A quantity of the standard in its plain unit."""
    return Decimal(quantity.value).scaleb(quantity.multiplier)


def keep_former(
    transaction: Transaction, device: int, der: int, before: r.Resource | None, after: r.Resource, now: int
) -> None:
    """Keep the settings that a DER had until now, where what shares are of has changed.

    Of one DER only so many are kept: the oldest make room.
    """
    if not isinstance(before, r.DERSettings):
        return
    if all(getattr(before, name) == getattr(after, name) for name in _RATED):
        return
    connection = transaction.connection
    of_this = sa.and_(former_settings.c.device == device, former_settings.c.der == der)
    # Of several in one second the first tells what held before it.
    if connection.scalar(sa.select(former_settings.c.until).where(of_this, former_settings.c.until == now)):
        return
    body = codec.encode(before)
    _KEEP.execute(connection, {"device": device, "der": der, "until": now, "body": body})
    kept = sa.select(former_settings.c.until).where(of_this).order_by(former_settings.c.until.desc())
    last = connection.scalar(kept.limit(1).offset(MOST_FORMER - 1))
    if last is not None:
        connection.execute(sa.delete(former_settings).where(of_this, former_settings.c.until < last))


def forget(connection: sa.Connection, before: int, most: int) -> int:
    """Remove former settings that no control that is kept can ask for; gives how many."""
    old = (
        sa.select(former_settings.c.device, former_settings.c.der, former_settings.c.until)
        .where(former_settings.c.until < before)
        .order_by(former_settings.c.until)
        .limit(most)
    )
    rows = connection.execute(old).all()
    for row in rows:
        connection.execute(
            sa.delete(former_settings).where(
                former_settings.c.device == row.device,
                former_settings.c.der == row.der,
                former_settings.c.until == row.until,
            )
        )
    return len(rows)
