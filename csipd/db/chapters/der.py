"""The DERs of a device and what they say of themselves (IEEE 2030.5-2018 10.10)."""

from __future__ import annotations

from csipd.db import devices
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Chapter, Ids, Source, put
from csipd.db.tree.context import Context
from csipd.sep2 import resources as r
from csipd.sep2.site import Place


class DERList(Source):
    """The DERs of a device; an aggregator's own EndDevice has none (CSIP IG 6.1.7)."""

    def exists(self, context: Context, ids: Ids) -> bool:
        return not context.is_own_aggregator(ids[0])


def put_capability(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """What a device supports is kept by group too: the operator's controls are checked against it."""
    put(transaction, context, place, body)
    devices.update_modes(transaction, place.ids[0])


CHAPTER = Chapter(sources={"DERList": DERList}, writes={("DERCapability", "PUT"): put_capability})
