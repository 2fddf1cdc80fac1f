"""The DERs of a device and what they say of themselves (IEEE 2030.5-2018 10.10)."""

from __future__ import annotations

from csipd.db import devices, documents
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Chapter, Ids, Source, put
from csipd.db.tree.context import Context
from csipd.sep2 import resources as r
from csipd.sep2 import rules
from csipd.sep2.site import ROWS, Place

_CAPABILITY = ROWS["DERCapability"]
_SETTINGS = ROWS["DERSettings"]


class DERList(Source):
    """The DERs of a device; an aggregator's own EndDevice has none (CSIP IG 6.1.7)."""

    def exists(self, context: Context, ids: Ids) -> bool:
        return not context.is_own_aggregator(ids[0])


def put_capability(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """What a device supports is kept by group too: the operator's controls are checked against it."""
    put_rating(transaction, context, place, body)
    devices.update_modes(transaction, place.ids[0])


def put_rating(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """Keep ratings or settings as they come. What is newly doubtful about them is told to the log."""
    before = _doubts(transaction, place)
    put(transaction, context, place, body)
    if reported := [doubt for doubt in _doubts(transaction, place) if doubt not in before]:
        transaction.remark(
            f"doubtful {place.row.name}",
            "{peer} put {href}, which is doubtful: {doubts}",
            peer=context.caller.lfdi,
            href=place.href,
            doubts="; ".join(reported),
        )


def _doubts(transaction: Transaction, place: Place) -> list[str]:
    """What is doubtful about the ratings and settings of a DER as they are kept."""
    capability, settings = (
        documents.get(transaction.connection, Place(row, place.ids)) for row in (_CAPABILITY, _SETTINGS)
    )
    return rules.warnings(
        rules.rating_doubts(
            capability if isinstance(capability, r.DERCapability) else None,
            settings if isinstance(settings, r.DERSettings) else None,
        )
    )


CHAPTER = Chapter(
    sources={"DERList": DERList},
    writes={("DERCapability", "PUT"): put_capability, ("DERSettings", "PUT"): put_rating},
)
