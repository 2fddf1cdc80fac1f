"""How many there are of what operators ask for all the time: kept, not counted.

Whatever changes a number says so in its own transaction. Everything else that is counted for operators is
counted up to a bound (``up_to``): a list of a million is not read through for the sake of its length.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import counts
from csipd.db.upsert import insert

#: Names of the numbers that are kept.
PROGRAMS = "programs"
OPEN_ALARMS = "alarms open"
SUBSCRIPTIONS = "subscriptions"
#: As the last pass over all series found them: raw readings, and up to when roll-ups are made (TimeType).
READINGS, ROLLED_UP = "readings", "rolled up to"
#: Rows that are counted at most where a number is not kept.
MOST_COUNTED = 10_000

_NUMBERS = Prepared(
    sa.select(counts.c.name, counts.c.number).where(counts.c.name.in_(sa.bindparam("names", expanding=True)))
)


def devices(standing: str) -> str:
    """The name of the number of devices that stand so."""
    return f"devices {standing}"


def numbers(connection: sa.Connection, names: Iterable[str]) -> dict[str, int]:
    """The numbers of these names; one that never changed is 0."""
    names = list(names)
    found = dict(_NUMBERS.all(connection, {"names": names}))
    return {name: found.get(name, 0) for name in names}


def change(transaction: Transaction, name: str, by: int) -> None:
    """Note that there are so many more (or, below 0, fewer)."""
    _CHANGE.execute(transaction.connection, {"name": name, "number": by})


def put(connection: sa.Connection, name: str, found: int) -> None:
    """Keep a number that was counted, whatever it was before."""
    statement = insert(connection.dialect.name, counts).values(name=name, number=found)
    connection.execute(
        statement.on_conflict_do_update(index_elements=[counts.c.name], set_={"number": found})
    )


def _change(dialect: str) -> sa.Insert:
    statement = insert(dialect, counts)
    return statement.on_conflict_do_update(
        index_elements=[counts.c.name], set_={"number": counts.c.number + statement.excluded.number}
    )


_CHANGE = Prepared(_change, "name", "number")


@frozen
class Total:
    """How many rows a list has in all.

    :param exact: so many; None: they were not all counted
    :param more_than: more than so many, where they were not
    """

    exact: int | None = None
    more_than: int | None = None


#: Of a list that would have to be read to be counted.
UNKNOWN = Total()


def up_to(connection: sa.Connection, which: sa.Select[Any]) -> Total:
    """How many rows a query gives, counted up to a bound."""
    some = which.order_by(None).limit(MOST_COUNTED + 1).subquery()
    number: int = connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0
    return Total(more_than=MOST_COUNTED) if number > MOST_COUNTED else Total(number)
