"""A device gets another certificate and stays itself: ``/admin/devices/{device}/certificate``."""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import replacement
from csipd.db.database import Transaction
from csipd.refusals import Impossible
from csipd.sep2.schema import Element
from csipd.sep2.types import Boolean, HexBinary160
from csipd.web.admin.devices import MadeDevice, NewDevice, present, show, source_flaws
from csipd.web.admin.forms import PEM
from csipd.web.admin.operations import Call, Operation


class Replacement(Element):
    """The certificate that takes the place of a device's: by its LFDI, a signing request, or with a key.

    The old one works until the new one's first request; with ``now`` it works no longer.
    """

    lFDI: HexBinary160 | None = None
    csr: PEM | None = None
    make_key: Boolean | None = None
    now: Boolean | None = None


def check(connection: sa.Connection, call: Call) -> NewDevice:
    """Refuse a replacement for what is wrong with it.

    :return: what the certificate is to be made by
    """
    body: Replacement = call.body
    row = present(connection, call)
    flaws = source_flaws(body, call)
    if flaws:
        raise Impossible(flaws)
    if body.lFDI is not None:
        replacement.check(connection, row.id, body.lFDI)
    return NewDevice(
        name=row.name or f"device-{row.id}",
        csr=body.csr,
        make_key=body.make_key,
        aggregator=row.aggregator,
    )


def replace(transaction: Transaction, call: Call) -> MadeDevice:
    """Give a device another certificate."""
    body: Replacement = call.body
    issued = call.prepared
    check(transaction.connection, call)
    lfdi = body.lFDI if issued is None else issued.lfdi
    assert lfdi is not None
    number = call.numbers["device"]
    replacement.replace(transaction, number, lfdi, call.who, call.now, at_once=bool(body.now))
    return MadeDevice(
        device=show(transaction.connection, call),
        certificate=None if issued is None else issued.certificate,
        key=None if issued is None else issued.key,
    )


OPERATIONS = (
    Operation(
        "POST",
        "/admin/devices/{device}/certificate",
        "replaceCertificate",
        "Give a device another certificate; it stays what it is",
        replace,
        takes=Replacement,
        gives=MadeDevice,
        writes=True,
        prepare="certificate",
        check=check,
    ),
)
