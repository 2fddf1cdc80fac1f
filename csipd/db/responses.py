"""Responses of devices to events: which are kept, and for how long.

All of them go to one list, whatever the event: a device is told where by the event itself (replyTo), never
looks for it, and sees its own there and nobody else's (IEEE 2030.5-2018 8.8; `response_list`). Who was asked
is what memberships say of the moment at which the event began (decision 9), so that counting an event's
answers is a question over rows that are there anyway (`response_counts`).
"""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from csipd.db import devices, facts, fleet_counts, group_devices, programs
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.tables import controls as controls_table
from csipd.db.tables import devices as devices_table
from csipd.db.tables import programs as programs_table
from csipd.db.tables import responses
from csipd.der import responses as rules
from csipd.der.access import Caller, acts_for
from csipd.der.responses import Subject
from csipd.refusals import BadRequest, Forbidden, Full
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place

_LIST = ROWS["ResponseList"]
_ITEM = ROWS["Response"]

#: The one ResponseSet there is.
SET = 1
#: Where devices answer to: the replyTo of every event.
REPLY_TO = _LIST.href((SET,))
#: Responses that are kept of a device to one event (decision 38).
MOST_TO_EVENT = 64
#: Responses that are kept of a device to events that are not known or did not address it (decision 7).
MOST_UNADDRESSED = 100
#: Seconds after which such a one makes room for another.
UNADDRESSED_KEPT = 30 * 86_400

_TO_EVENT = Prepared(
    sa.select(responses.c.id, responses.c.status, responses.c.created_time, responses.c.received).where(
        responses.c.device == sa.bindparam("device"), responses.c.subject == sa.bindparam("subject")
    )
)
_NO_LONGER_LATEST = Prepared(
    sa.update(responses).where(responses.c.id == sa.bindparam("number")).values(latest=False)
)
_ADD = Prepared(
    sa.insert(responses).returning(responses.c.id),
    *(column.name for column in responses.columns if column is not responses.c.id),
)
_EVENT = Prepared(
    sa.select(
        controls_table.c.id, controls_table.c.program, controls_table.c.creation_time, programs_table.c.group
    )
    .select_from(controls_table.outerjoin(programs_table, programs_table.c.id == controls_table.c.program))
    .where(controls_table.c.mrid == sa.bindparam("mrid"))
)
_OTHERS = sa.and_(responses.c.device == sa.bindparam("device"), sa.not_(responses.c.addressed))
_NUMBER_OF_OTHERS = Prepared(sa.select(sa.func.count()).select_from(responses).where(_OTHERS))
_REMOVE_OTHERS = Prepared(sa.delete(responses).where(_OTHERS, responses.c.received < sa.bindparam("before")))


def post(transaction: Transaction, asker: Caller, body: r.Response, now: int) -> Place:
    """Keep a Response. One that repeats what is kept already is not doubled.

    :return: its place, or that of the one that it repeats
    :raises Forbidden: it speaks for a device that is neither the caller nor of its fleet
    :raises BadRequest: its status means nothing
    :raises Full: too many are kept of that device to this event, or to events that did not address it
    """
    connection = transaction.connection
    owner = devices.meant_by(connection, asker, body.endDeviceLFDI)
    if owner is None or not acts_for(asker, owner):
        raise Forbidden(f"{asker.lfdi} does not answer for {body.endDeviceLFDI}")
    if not rules.may_give(body.status):
        raise BadRequest(f"Response.status is {body.status}, not one of 1 to 14 or 251 to 254")
    event = {"device": owner.device, "subject": body.subject}
    given = [rules.ReceivedResponse(*row) for row in _TO_EVENT.all(connection, event)]
    again = rules.repeated(given, body.status, body.createdDateTime)
    if again is not None:
        return Place(_ITEM, (SET, again.number))
    control, subject = _subject(connection, owner.device, body.subject)
    if subject is Subject.ADDRESSED:
        if len(given) >= MOST_TO_EVENT:
            raise Full(f"device {owner.device} has given {len(given)} responses to {body.subject}")
    else:
        removed = _make_room(connection, owner.device, now)
        fleet_counts.count_responses(transaction, owner.manager, -removed)
    before = rules.latest(given)
    # Its number will be the highest.
    this = rules.ReceivedResponse(
        0 if before is None else before.number + 1, body.status, body.createdDateTime, now
    )
    is_latest = before is None or before.order < this.order
    if before is not None and is_latest:
        _NO_LONGER_LATEST.execute(connection, {"number": before.number})
    number: int = _ADD.scalar(
        connection,
        {
            **event,
            "control": control,
            "lfdi": body.endDeviceLFDI,
            "status": body.status,
            "created_time": body.createdDateTime,
            "received": now,
            "addressed": subject is Subject.ADDRESSED,
            "latest": is_latest,
            "flagged": rules.flag(subject, body.status),
            "body": codec.encode(body, extensions=True),
            "fleet": owner.manager,
        },
    )
    fleet_counts.count_responses(transaction, owner.manager, 1)
    _invalidate(transaction, owner.device, owner.manager)
    return Place(_ITEM, (SET, number))


def _invalidate(transaction: Transaction, device: int, manager: int | None) -> None:
    transaction.invalidate(*(facts.responses(asker) for asker in (device, manager) if asker is not None))


def remove(transaction: Transaction, control: int, most: int) -> int:
    """Remove Responses to an event, so many at most.

    :return: how many were removed
    """
    connection = transaction.connection
    query = sa.select(responses.c.id, responses.c.device, responses.c.fleet, devices_table.c.manager)
    query = query.join(devices_table, devices_table.c.id == responses.c.device)
    gone = connection.execute(query.where(responses.c.control == control).limit(most)).all()
    if gone:
        connection.execute(sa.delete(responses).where(responses.c.id.in_([row.id for row in gone])))
        for fleet, number in Counter(row.fleet for row in gone).items():
            fleet_counts.count_responses(transaction, fleet, -number)
        for device, manager in {(row.device, row.manager) for row in gone}:
            _invalidate(transaction, device, manager)
    return len(gone)


def _subject(connection: sa.Connection, device: int, mrid: str) -> tuple[int | None, Subject]:
    """The number of the event of an mRID, and what it is to a device."""
    event = _EVENT.first(connection, {"mrid": mrid})
    if event is None:
        return None, Subject.UNKNOWN
    owner = programs.owner_of(event.program)
    if owner is not None:
        return event.id, Subject.ADDRESSED if owner == device else Subject.OTHERS
    # It may be a device that was moved out of the group since, and says so.
    member = group_devices.belonged(connection, device, event.group, event.creation_time)
    return event.id, Subject.ADDRESSED if member else Subject.OTHERS


def _make_room(connection: sa.Connection, device: int, now: int) -> int:
    """See that one more Response of a device can be kept that no event for it asks for.

    :return: how many were removed for that
    """
    if _NUMBER_OF_OTHERS.scalar(connection, {"device": device}) < MOST_UNADDRESSED:
        return 0
    removed = _REMOVE_OTHERS.execute(connection, {"device": device, "before": now - UNADDRESSED_KEPT})
    if not removed:
        raise Full(
            f"{MOST_UNADDRESSED} responses of device {device} to events that are not known are kept already"
        )
    return removed
