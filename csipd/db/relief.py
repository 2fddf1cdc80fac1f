"""Controls of the GridAPPS-D bus that its next one superseded leave their lists, all but the last few.

A superseded control stays in the DERControlList until its period is over (IEEE 2030.5-2018 8.4.4). An
application that commands each second would fill a list with half an hour of them, which no client reads and
of which each status hangs on all the others'. So what an operator's control never does is done to these: with
the moment at which it was superseded a control is *relieved*. It answers by its own href for a day more, with
that status, and has no part in anything else.

That is allowed where nothing else hangs on it. A control takes from earlier ones of its program alone, and of
the modes that both have. So whatever may have taken something from an earlier control that stays has to stay
with it, and the others may go.
"""

from __future__ import annotations

import sqlalchemy as sa

from csipd.db import facts, schedules
from csipd.db.audit import PLATFORM
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import controls
from csipd.der.events import Event, Status
from csipd.sep2.types import EventState

#: Superseded controls of the bus that stay in a list: a device that polls sees whose place the last one took.
KEPT = 4
#: So many more may there be before some go.
_MORE = 4

_LINE = Prepared(
    sa.select(controls.c.id, controls.c.start, controls.c.creation_time, controls.c.who, controls.c.cancelled)
    .where(
        controls.c.program == sa.bindparam("program"),
        controls.c.relieved.is_(None),
        controls.c.latest > sa.bindparam("now"),
    )
    .order_by(controls.c.creation_time, controls.c.id)
)
#: What is over, and may have been overlapped by what is not.
_OVER = Prepared(
    sa.select(controls.c.modes, sa.func.max(controls.c.latest).label("latest"))
    .where(
        controls.c.program == sa.bindparam("program"),
        controls.c.relieved.is_(None),
        controls.c.latest <= sa.bindparam("now"),
        controls.c.latest > sa.bindparam("since"),
    )
    .group_by(controls.c.modes)
)
_RELIEVE = Prepared(
    sa.update(controls)
    .where(controls.c.id == sa.bindparam("number"))
    .values(
        relieved=sa.bindparam("since"),
        latest=sa.bindparam("since"),
        relieved_version=sa.bindparam("version"),
        relieved_partly=sa.bindparam("partly"),
    )
)


def relieve(transaction: Transaction, program: int, now: int) -> None:
    """Relieve the controls of a program that its line can do without."""
    connection = transaction.connection
    line = _LINE.all(connection, {"program": program, "now": now})
    # The last one is in force, and some before it stay.
    if len(line) <= KEPT + 1 + _MORE:
        return
    rows = _OVER.all(connection, {"program": program, "now": now, "since": min(row.start for row in line)})
    over = [(frozenset(row.modes.split()), row.latest) for row in rows]
    known = schedules.of(connection, [program], now)[program].all
    ended: dict[int, Status] = {}
    staying: list[Event] = []
    for row in line[: -KEPT - 1]:
        if row.id not in known:
            break
        event, status = known[row.id].event, known[row.id].status
        goes = (
            row.who == PLATFORM
            and status.state is EventState.SUPERSEDED
            and not any(event.start < latest and event.modes & modes for modes, latest in over)
            and not any(other.overlaps(event) and other.shares(event) for other in staying)
        )
        if goes:
            ended[row.id] = status
        else:
            staying.append(event)
    for number, status in ended.items():
        said = {"since": status.since, "version": status.version, "partly": status.partly_since}
        _RELIEVE.execute(connection, {"number": number, **said})
    if ended:
        transaction.invalidate(facts.controls(program), facts.schedule(program))
