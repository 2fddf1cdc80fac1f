"""The DERs of a device and what they say of themselves (IEEE 2030.5-2018 10.10)."""

from __future__ import annotations

from csipd.db import der_reports, devices, documents
from csipd.db.database import Transaction
from csipd.db.tree.chapter import Change, Chapter, Ids, Source, replace
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
    assert isinstance(body, r.DERCapability)
    change = _put_rating(transaction, context, place, body)
    changed = change is not None and _modes(change.before) != body.modesSupported
    # It may have been served before it said so: from the configuration file (decision 26).
    if changed or not devices.has_modes(context.connection, place.ids[0], body.modesSupported):
        devices.update_modes(transaction, place.ids[0])


def put_settings(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """Settings are kept as they come, and those of before as far as commands were shares of them."""
    change = _put_rating(transaction, context, place, body)
    if change is not None:
        device, der = place.ids
        der_reports.keep_former(transaction, device, der, change.before, change.after, context.now)


def _put_rating(
    transaction: Transaction, context: Context, place: Place, body: r.Resource | None
) -> Change | None:
    """Keep ratings or settings as they come. What is newly doubtful about them is told to the log."""
    change = replace(transaction, context, place, body)
    if change is None:
        return None
    other = _CAPABILITY if place.row is _SETTINGS else _SETTINGS
    beside = documents.get(transaction.connection, Place(other, place.ids))
    doubts = _doubts(change.after, beside)
    known = _doubts(change.before, beside) if doubts else []
    if reported := [doubt for doubt in doubts if doubt not in known]:
        transaction.remark(
            f"doubtful {place.row.name}",
            "{peer} put {href}, which is doubtful: {doubts}",
            peer=context.caller.lfdi,
            href=place.href,
            doubts="; ".join(reported),
        )
    return change


def _doubts(*said: r.Resource | None) -> list[str]:
    """What is doubtful about the ratings and settings of a DER, in either order."""
    capability = next((one for one in said if isinstance(one, r.DERCapability)), None)
    settings = next((one for one in said if isinstance(one, r.DERSettings)), None)
    return rules.warnings(rules.rating_doubts(capability, settings))


def _modes(said: r.Resource | None) -> int | None:
    return said.modesSupported if isinstance(said, r.DERCapability) else None


CHAPTER = Chapter(
    sources={"DERList": DERList},
    writes={("DERCapability", "PUT"): put_capability, ("DERSettings", "PUT"): put_settings},
)
