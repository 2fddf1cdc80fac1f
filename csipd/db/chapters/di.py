"""DeviceInformation (IEEE 2030.5-2018 9.4)."""

from __future__ import annotations

from csipd.db import devices, facts
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Chapter
from csipd.db.tree.chapter import put as put_document
from csipd.db.tree.context import Context
from csipd.refusals import BadRequest
from csipd.sep2 import resources as r
from csipd.sep2.site import Place


def put(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """A DeviceInformation names its device, which has to be the one that it is put to."""
    assert isinstance(body, r.DeviceInformation)
    if not devices.is_lfdi_of(transaction.connection, place.ids[0], body.lFDI):
        raise BadRequest("lFDI is not that of the EndDevice")
    put_document(transaction, context, place, body)


CHAPTER = Chapter(
    writes={("DeviceInformation", "PUT"): put},
    drops={("DeviceInformation", "PUT"): (facts.document,)},
)
