"""The outbox: from changes that were written down to the subscriptions that something may have to be told.

A change waits in its row until every subscription that watches its fact is marked with its number. That goes
in portions, in the order of the numbers, so that neither a fact that ten thousand watch nor ten thousand
facts hold up a write. Which of them are told what is decided when it is sent (`csipd.db.notifications`): a
mark says only that somebody has to look.
"""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import changes, subscriptions
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import changes as rows
from csipd.db.tables import subscriptions as table
from csipd.db.tables import watched

#: Subscriptions that one transaction marks, and changes that it looks at.
PORTION = 500

_FIRST = Prepared(sa.select(sa.func.min(rows.c.number)))
_MARKS = Prepared(
    sa.select(rows.c.number, watched.c.subscription, watched.c.certain)
    .join_from(rows, watched, watched.c.fact == rows.c.fact)
    .where(rows.c.number < sa.bindparam("end"), watched.c.subscription > rows.c.reached)
    .order_by(rows.c.number, watched.c.subscription)
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
_DONE = Prepared(sa.delete(rows).where(rows.c.number < sa.bindparam("end")))
_OVER = Prepared(
    sa.select(table.c.id)
    .where(table.c.look_at <= sa.bindparam("now"))
    .order_by(table.c.look_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_NEXT_LOOK = Prepared(sa.select(sa.func.min(table.c.look_at)))
_LOOK_NOW = Prepared(
    sa.update(table)
    .where(table.c.id.in_(sa.bindparam("these", expanding=True)))
    .values(changed=sa.bindparam("number", type_=sa.BigInteger), look_at=None)
)
_REACHED = Prepared(sa.update(rows).where(rows.c.number == sa.bindparam("this")), "reached")


def waits(connection: sa.Connection) -> bool:
    """Whether there are changes that are not handed on yet."""
    return _FIRST.scalar(connection) is not None


def next_look(connection: sa.Connection) -> int | None:
    """When the clock may change what the next subscription is about (TimeType)."""
    found: int | None = _NEXT_LOOK.scalar(connection)
    return found


def fan_out(transaction: Transaction, now: int) -> bool:
    """Mark some of the subscriptions that hang on what has changed, and end some of those that expired.

    :param now: TimeType
    :return: whether there is more to do
    """
    connection = transaction.connection
    by_clock = max(subscriptions.expire(transaction, now, PORTION), _mark_by_clock(connection, now))
    first: int | None = _FIRST.scalar(connection)
    if first is None:
        return by_clock == PORTION
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
    return by_clock == PORTION or waits(connection)


def _mark_by_clock(connection: sa.Connection, now: int) -> int:
    """Mark some of the subscriptions whose resource the clock may have changed; gives how many.

    The scheduler drops facts when events begin and end. What stops being true at other moments, as a control
    that is no longer shown, is found by this alone.
    """
    over = _OVER.scalars(connection, {"now": now, "most": PORTION})
    if over:
        _LOOK_NOW.execute(connection, {"these": over, "number": changes.draw(connection)})
    return len(over)
