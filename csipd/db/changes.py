"""What is written down of changes for who subscribed: facts that were dropped while somebody watched them.

A group of writes records them before its COMMIT (`csipd.db.database`), whoever wrote and whatever: a change
that caches hear of is one that subscribers are told of, and a crash loses neither. Which facts a subscription
watches is found by reading its resource (`csipd.db.tree.own_level`).

Changes are numbered, and a number that is seen in a snapshot says that all changes up to it are seen, too.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import sqlalchemy as sa

from csipd.db import facts
from csipd.db.prepared import Prepared
from csipd.db.tables import changes, watched
from csipd.sep2.site import SERVED, Place, Row, enclosing

#: Kinds of facts that a subscription may watch. Documents are told apart by whose they are.
_KINDS = (
    facts.device,
    facts.everything,
    facts.fleet,
    facts.fleet_groups,
    facts.groups_of,
    facts.own_program,
    facts.own_rates,
    facts.program,
    facts.rates,
    facts.schedule,
    facts.topology,
)


def _documents() -> set[Row]:
    """The rows of documents that may be watched: what may be subscribed to, and what that lies in."""
    rows = {row for row in SERVED.values() if row.subscribable}
    around = [enclosing(Place(row, (1,) * row.depth)) for row in rows]
    return rows | {place.row for place in around if place is not None}


# Each write asks this of each fact that it drops, so it is one pattern of names.
_WATCHABLE = re.compile(
    "(?:{})(?: .*)?|{}(?:{})".format(
        "|".join(kind.name for kind in _KINDS),
        facts.document(""),
        "|".join(re.sub("{id[0-9]}", "[0-9]+", row.uri) for row in _documents()),
    )
)

_ANYBODY = Prepared(sa.select(watched.c.subscription).limit(1))
_SOMEBODY = Prepared(sa.select(watched.c.subscription).where(watched.c.fact == sa.bindparam("fact")).limit(1))
_ADD = Prepared(sa.insert(changes).returning(changes.c.number), "fact")
_REMOVE = Prepared(sa.delete(changes).where(changes.c.number == sa.bindparam("number")))


def is_watchable(fact: str) -> bool:
    """Whether a subscription may hang on a fact. What devices write all the time is none of these."""
    return _WATCHABLE.fullmatch(fact) is not None


def record(connection: sa.Connection, dropped: Collection[str]) -> None:
    """Write down those of the facts that somebody watches, in the transaction that drops them."""
    wanted = sorted({fact for fact in dropped if is_watchable(fact)})
    if not wanted or _ANYBODY.scalar(connection) is None:
        return
    for fact in wanted:
        if _SOMEBODY.scalar(connection, {"fact": fact}) is not None:
            _ADD.scalar(connection, {"fact": fact})


def draw(connection: sa.Connection) -> int:
    """A number behind those of all changes so far, in a transaction that writes."""
    number: int = _ADD.scalar(connection, {"fact": ""})
    _REMOVE.execute(connection, {"number": number})
    return number
