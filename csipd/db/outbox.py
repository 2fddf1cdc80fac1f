"""The outbox: from changes that were written down to the subscriptions that something may have to be told.

A change waits in its row until every subscription that watches its fact is marked with its number. That goes
in portions, in the order of the numbers, so that neither a fact that ten thousand watch nor ten thousand
facts hold up a write. Which of them are told what is decided when it is sent (`csipd.db.notifications`): a
mark says only that somebody has to look.
"""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import subscriptions
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import changes, watched
from csipd.db.tables import subscriptions as table

#: Subscriptions that one transaction marks, and changes that it looks at.
PORTION = 500

_FIRST = Prepared(sa.select(sa.func.min(changes.c.number)))
_MARKS = Prepared(
    sa.select(changes.c.number, watched.c.subscription, watched.c.certain)
    .join_from(changes, watched, watched.c.fact == changes.c.fact)
    .where(changes.c.number < sa.bindparam("end"), watched.c.subscription > changes.c.reached)
    .order_by(changes.c.number, watched.c.subscription)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_MARK = (
    sa.update(table)
    .where(table.c.id == sa.bindparam("subscription"), table.c.changed < sa.bindparam("number"))
    .values(changed=sa.bindparam("number"))
)
_MARK_CERTAIN = (
    sa.update(table)
    .where(table.c.id == sa.bindparam("subscription"), table.c.certain < sa.bindparam("number"))
    .values(certain=sa.bindparam("number"))
)
_DONE = Prepared(sa.delete(changes).where(changes.c.number < sa.bindparam("end")))
_REACHED = Prepared(sa.update(changes).where(changes.c.number == sa.bindparam("this")), "reached")


def waits(connection: sa.Connection) -> bool:
    """Whether there are changes that are not handed on yet."""
    return _FIRST.scalar(connection) is not None


def fan_out(transaction: Transaction, now: int) -> bool:
    """Mark some of the subscriptions that hang on what has changed, and end some of those that expired.

    :param now: TimeType
    :return: whether there is more to do
    """
    expired = subscriptions.expire(transaction, now, PORTION)
    connection = transaction.connection
    first: int | None = _FIRST.scalar(connection)
    if first is None:
        return expired == PORTION
    end = first + PORTION
    marks = _MARKS.all(connection, {"end": end, "most": PORTION})
    if marks:
        every = [{"number": number, "subscription": who} for number, who, _ in marks]
        connection.execute(_MARK, every)
        certain = [mark for mark, row in zip(every, marks, strict=True) if row.certain]
        if certain:
            connection.execute(_MARK_CERTAIN, certain)
    if len(marks) == PORTION:
        last = marks[-1]
        end = last.number
        _REACHED.execute(connection, {"this": last.number, "reached": last.subscription})
    _DONE.execute(connection, {"end": end})
    return expired == PORTION or waits(connection)
