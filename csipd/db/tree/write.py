"""What a PUT, POST or DELETE does: rights first, then the rule of the chapter, or that of documents.

What a refused request asked for leaves no trace: its transaction is rolled back.
"""

from __future__ import annotations

from csipd.db.chapters import write_rule
from csipd.db.database import Transaction
from csipd.db.tree.access import authorize
from csipd.db.tree.context import Identity, Server, identify
from csipd.refusals import Impossible
from csipd.sep2 import resources as r
from csipd.sep2 import rules
from csipd.sep2.site import Place


def write(
    transaction: Transaction,
    server: Server,
    identity: Identity,
    place: Place,
    method: str,
    body: r.Resource | None,
    now: int,
) -> Place | None:
    """Carry out a write.

    :param body: the decoded body of a PUT or POST
    :return: the place of what a POST made
    :raises Refusal: as `authorize` does, and what the chapter refuses
    """
    context = identify(transaction.connection, server, identity, place, now)
    authorize(context, place, method)
    if body is not None and (flaws := rules.errors(rules.reported_flaws(body))):
        raise Impossible(flaws)
    return write_rule(place.row, method)(transaction, context, place, body)
