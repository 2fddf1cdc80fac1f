"""What a PUT, POST or DELETE does: rights first, then the rule of the chapter, or that of documents.

What a refused request asked for leaves no trace: its transaction is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from csipd.db.chapters import write_rule
from csipd.db.database import Transaction
from csipd.db.tree import subscribing
from csipd.db.tree.access import authorize
from csipd.db.tree.chapter import Outcome, WriteRule
from csipd.db.tree.context import Context
from csipd.refusals import Impossible
from csipd.sep2 import resources as r
from csipd.sep2 import rules
from csipd.sep2.site import Place

#: Rules of writes that are about other places of the tree than their own.
_RULES: Mapping[tuple[str, str], WriteRule] = {
    ("SubscriptionList", "POST"): subscribing.subscribe,
    ("Subscription", "PUT"): subscribing.change,
}


def write(
    transaction: Transaction,
    context: Context,
    place: Place,
    method: str,
    body: Callable[[], r.Resource | None],
) -> Outcome:
    """Carry out a write.

    :param context: of the caller, from this transaction: rights are asked where they are used (decision 35)
    :param body: decodes the body of a PUT or POST; called once the caller is known to be allowed to send it
    :return: where what a POST made or overwrote is
    :raises Refusal: as `authorize` and ``body`` do, and what the chapter refuses
    """
    authorize(context, place, method)
    document = body()
    if document is not None and (flaws := rules.errors(rules.reported_flaws(document))):
        raise Impossible(flaws)
    rule = _RULES.get((place.row.name, method)) or write_rule(place.row, method)
    return rule(transaction, context, place, document)
