"""Responses of devices to events: keeping them, giving them back, counting them for the operator.

All of them go to one list, whatever the event: a device is told where by the event itself (replyTo), never
looks for it, and sees its own there and nobody else's (IEEE 2030.5-2018 8.8). Who was asked is what
memberships say of the moment at which the event began (decision 9), so that counting an event's answers
is a question over rows that are there anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import asdict, frozen

from csipd.db import controls, devices, facts, fleet_counts, group_devices, listing, programs, rates
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.schedules import StoredControl
from csipd.db.stored import decode
from csipd.db.tables import controls as controls_table
from csipd.db.tables import devices as devices_table
from csipd.db.tables import programs as programs_table
from csipd.db.tables import responses
from csipd.db.tally import Total
from csipd.der import responses as rules
from csipd.der.access import Caller, acts_for
from csipd.der.events import ALL_CATEGORIES
from csipd.der.responses import ResponseKind, Stage, Subject
from csipd.refusals import BadRequest, Forbidden, Full
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place

_LIST = ROWS["ResponseList"]
_ITEM = ROWS["Response"]

#: The one ResponseSet there is.
SET = 1
#: Where devices answer to: the replyTo of every event.
REPLY_TO = _LIST.href((SET,))
#: What devices read events from: of each the answer is due after so many of its polls.
POLLED = "DERProgramList"
#: Responses that are kept of a device to one event (decision 38).
MOST_TO_EVENT = 64
#: Responses that are kept of a device to events that are not known or did not address it (decision 7).
MOST_UNADDRESSED = 100
#: Seconds after which such a one makes room for another.
UNADDRESSED_KEPT = 30 * 86_400
#: Silent devices of an event that are named; the others are counted.
SAMPLE = 50

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


# As everywhere, an optional time that is absent counts as 0, spelled as the index has it.
_created_time = sa.func.coalesce(responses.c.created_time, sa.literal_column("0"))
_LATER = _created_time > sa.bindparam("after", type_=sa.BigInteger)
_ORDER = (_created_time.desc(), responses.c.lfdi, responses.c.id.desc())


def _seen_by(aggregator: bool) -> sa.ColumnElement[bool]:
    """Of the caller or its fleet."""
    if aggregator:
        return responses.c.fleet == sa.bindparam("asker")
    return responses.c.device.in_(devices.visible_to(aggregator=False))


def _page(aggregator: bool) -> sa.Select[Any]:
    """In the order of a ResponseList: by createdDateTime, then endDeviceLFDI (8.8)."""
    return (
        sa.select(responses.c.id, responses.c.body, _created_time.label("created"), responses.c.lfdi)
        .where(_seen_by(aggregator))
        .order_by(*_ORDER)
        .limit(sa.bindparam("limit", type_=sa.Integer))
        .offset(sa.bindparam("start", type_=sa.Integer))
    )


#: Before every TimeType.
_EVER = -1
# By whether an aggregator asks.
_BODY = {
    aggregator: Prepared(
        sa.select(responses.c.body).where(responses.c.id == sa.bindparam("number"), _seen_by(aggregator))
    )
    for aggregator in (False, True)
}
_COUNT = {
    aggregator: Prepared(
        sa.select(sa.func.count()).select_from(responses).where(_seen_by(aggregator), _LATER)
    )
    for aggregator in (False, True)
}
_PAGE = {aggregator: Prepared(_page(aggregator).where(_LATER)) for aggregator in (False, True)}
# The same of a fleet from the other end.
_BACKWARDS = Prepared(
    _page(aggregator=True)
    .where(_LATER)
    .order_by(None)
    .order_by(_created_time, responses.c.lfdi.desc(), responses.c.id)
)
_THEN = _created_time == sa.bindparam("created")
# What comes behind a Response of a fleet, in three statements: each begins at its place in the index. What
# all rows of one have in common is left out of its order: SQLite would sort them.
_BEHIND = tuple(
    Prepared(_page(aggregator=True).where(*where).order_by(None).order_by(*order))
    for where, order in (
        (
            (_THEN, responses.c.lfdi == sa.bindparam("lfdi"), responses.c.id < sa.bindparam("number")),
            (responses.c.id.desc(),),
        ),
        ((_THEN, responses.c.lfdi > sa.bindparam("lfdi")), (responses.c.lfdi, responses.c.id.desc())),
        ((_created_time < sa.bindparam("created"), _LATER), _ORDER),
    )
)


@frozen
class Position:
    """A Response by what the list is ordered by: the ones behind it are sought on the index."""

    created: int
    lfdi: str
    number: int


_NEWEST = listing.Order((responses.c.id,))
_OLDEST = listing.Order((responses.c.id,), newest_first=False)
_BY_RECEIPT = listing.Order((responses.c.received, responses.c.id), newest_first=False)
_STORED = sa.select(
    responses.c.id,
    responses.c.control,
    responses.c.subject,
    responses.c.lfdi,
    responses.c.device,
    responses.c.status,
    responses.c.created_time,
    responses.c.received,
    responses.c.flagged,
)


@frozen
class StoredResponse:
    """A Response in the operator's history.

    :param control: the number of the event, if it is known
    :param subject: mRID of the event
    :param created: createdDateTime, if the device gave one
    :param received: TimeType
    :param flagged: why somebody should look at it; None: no reason
    """

    number: int
    control: int | None
    subject: str
    lfdi: str
    device: int
    status: int | None
    created: int | None
    received: int
    flagged: str | None

    @property
    def meaning(self) -> str:
        """What the status says, for people."""
        return rules.meaning(self.status)


@frozen
class ResponseCounts:
    """How many devices have said what to an event.

    :param control: the number of the event
    :param asked: devices that the event was for when it began
    :param said: of those, how many count as what: a device counts as having received and started an event
        once it has said so, and as what its last Response says of how it ended for it
    :param silent: of those, how many owe an answer whose time has passed
    :param sample: some of the silent ones
    """

    control: int
    asked: int
    said: Mapping[ResponseKind, int]
    silent: int
    sample: tuple[int, ...]


# What devices do.


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


def get(connection: sa.Connection, asker: Caller, number: int) -> r.Response | None:
    """A Response of the caller or its fleet."""
    body = _BODY[asker.aggregator].scalar(connection, {"number": number, "asker": asker.device})
    return None if body is None else decode(body, r.Response, "responses")


def count(connection: sa.Connection, asker: Caller, after: int | None = None) -> int:
    """How many Responses this caller sees, or of these were created after a moment."""
    if after is None and asker.aggregator and asker.device is not None:
        return fleet_counts.number(connection, fleet_counts.responses_of(asker.device))
    asked = {"asker": asker.device, "after": _EVER if after is None else after}
    found: int = _COUNT[asker.aggregator].scalar(connection, asked)
    return found


def page(
    connection: sa.Connection,
    asker: Caller,
    part: Page,
    behind: Position | None = None,
    total: int | None = None,
) -> tuple[int, list[tuple[Place, r.Response]], Position | None]:
    """A part of the ResponseList as this caller sees it: its own Responses, and those of its fleet.

    Ordered by createdDateTime, the newest first and those without one last, then endDeviceLFDI (8.8).

    :param behind: the Response right before the part of a fleet's, where that is known: what comes before the
        part is then not passed over
    :param total: how many there are (after the filter ``a``), where that is known
    :return: how many there are, those wanted with their places, and the position of the last of these
    """
    if total is None:
        total = count(connection, asker, part.after)
    if part.start >= total or not part.limit:
        return total, [], None
    asked = {"asker": asker.device, "after": _EVER if part.after is None else part.after}
    rows: list[Any] = []
    limit = min(part.limit, total - part.start)
    beyond = total - part.start - limit
    if behind is None and asker.aggregator and beyond < part.start:
        # Skipped to from the nearer end of the list.
        rows = _BACKWARDS.all(connection, asked | {"limit": limit, "start": beyond})[::-1]
    elif behind is None:
        rows = _PAGE[asker.aggregator].all(connection, asked | {"limit": limit, "start": part.start})
    else:
        wanted = {**asked, **asdict(behind), "start": 0}
        for query in _BEHIND:
            if len(rows) < part.limit:
                rows += query.all(connection, wanted | {"limit": part.limit - len(rows)})
    last = Position(rows[-1].created, rows[-1].lfdi, rows[-1].id) if rows else None
    shown = [
        (Place(_ITEM, (SET, row.id)), decode(row.body, r.Response, f"responses {row.id}")) for row in rows
    ]
    return total, shown, last


# What the operator sees.


def listed(
    connection: sa.Connection,
    *,
    control: int | None = None,
    device: int | None = None,
    flagged: bool | None = None,
    before: int | None = None,
    limit: int = 100,
) -> tuple[list[StoredResponse], int | None]:
    """A page of Responses, the last to come first.

    :param control: to one event; None: to all
    :param device: of one device; None: of all
    :param flagged: True: those that somebody should look at; False: the others; None: all
    :param before: only those of lower numbers
    :return: the Responses, and before which the next page begins; None: nothing follows. There may be fewer
        than ``limit`` though more follow
    """
    after = None if before is None else (before,)
    rows, following = listing.page(
        connection, _STORED, _NEWEST, _of(control, device, flagged), after=after, limit=limit
    )
    return [StoredResponse(*row) for row in rows], None if following is None else following[0]


def received(
    connection: sa.Connection,
    *,
    since: int | None = None,
    until: int | None = None,
    control: int | None = None,
    device: int | None = None,
    after: Sequence[int] | None = None,
    limit: int = 500,
) -> tuple[list[StoredResponse], Sequence[int] | None]:
    """Responses that came in a period, in the order in which they came.

    :param since: from this time on
    :param until: before this time
    :param after: the place that they begin after
    :return: the Responses, and the place after which the rest begins; None: nothing follows. There may be
        fewer than ``limit`` though more follow
    """
    period = listing.period(responses.c.received, since, until)
    if device is None and control is None:
        order, asked = _BY_RECEIPT, listing.conditions(period)
    else:
        order = _OLDEST
        asked = listing.conditions(
            None if device is None else responses.c.device == device,
            None if control is None else responses.c.control == control,
            others=[period],
        )
    rows, following = listing.page(connection, _STORED, order, asked, after=after, limit=limit)
    return [StoredResponse(*row) for row in rows], following


def total(
    connection: sa.Connection,
    control: int | None = None,
    device: int | None = None,
    flagged: bool | None = None,
) -> Total:
    """How many Responses ``listed`` has in all, where that can be counted."""
    return listing.total(connection, responses.c.id, _of(control, device, flagged))


def _of(control: int | None, device: int | None, flagged: bool | None) -> listing.Conditions:
    return listing.conditions(
        None if device is None else responses.c.device == device,
        None if control is None else responses.c.control == control,
        responses.c.flagged.is_not(None) if flagged else None,
        others=[responses.c.flagged.is_(None) if flagged is False else None],
    )


def answers(
    connection: sa.Connection, events: Sequence[StoredControl], poll_rate: int, now: int
) -> list[ResponseCounts]:
    """How many of those that each event was for have said what, and how many owe an answer.

    A few statements for an event, however many devices it is for.

    :param events: with the status that they have now
    :param poll_rate: of the lists that devices read events from, for those for which no other was set (s)
    """
    documents = controls.shown(connection, events)
    others = rates.of_devices(connection, POLLED)
    return [
        _answers(connection, kept, document.responseRequired or 0, poll_rate, others, now)
        for kept, document in zip(events, documents, strict=True)
    ]


def _answers(
    connection: sa.Connection,
    kept: StoredControl,
    required: int,
    poll_rate: int,
    others: Sequence[sa.Subquery],
    now: int,
) -> ResponseCounts:
    asked = _addressed(connection, kept).subquery()
    said = _answers_by_device(kept.number).subquery()
    rate: sa.ColumnElement[int] = sa.literal(poll_rate)
    if others:
        rate = sa.func.coalesce(*(one.c.seconds for one in others), poll_rate)
    both: sa.FromClause = asked.outerjoin(said, said.c.device == asked.c.device)
    for one in others:
        both = both.outerjoin(one, one.c.device == asked.c.device)
    owing = sa.func.coalesce(said.c.stage, int(Stage.NOTHING)) < _required(kept, required, rate, now)
    counted = connection.execute(
        sa.select(
            sa.func.count().label("asked"),
            _number(owing).label("silent"),
            *(sa.func.coalesce(sa.func.sum(said.c[one.name]), 0).label(one.name) for one in ResponseKind),
        ).select_from(both)
    ).one()
    sample: tuple[int, ...] = ()
    if counted.silent:
        query = sa.select(asked.c.device).select_from(both).where(owing)
        sample = tuple(connection.scalars(query.order_by(asked.c.device).limit(SAMPLE)))
    return ResponseCounts(
        control=kept.number,
        asked=counted.asked,
        said={one: int(getattr(counted, one.name)) for one in ResponseKind},
        silent=int(counted.silent),
        sample=sample,
    )


def _required(
    kept: StoredControl, required: int, poll_rate: sa.ColumnElement[int], now: int
) -> sa.ColumnElement[int]:
    """As ``rules.required`` says of one device."""
    due = rules.due(kept.event, kept.status, required)
    reached = [(moment + rules.POLLS * poll_rate < now, int(stage)) for stage, moment in due]
    return sa.case(*reached, else_=int(Stage.NOTHING)) if reached else sa.literal(int(Stage.NOTHING))


def _number(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((which, 1), else_=0)), 0)


def _addressed(connection: sa.Connection, kept: StoredControl) -> sa.Select[Any]:
    """The devices that an event was for when it began."""
    event, at = kept.event, kept.event.begins
    owner = programs.owner_of(kept.program)
    table = devices_table.c
    query = sa.select(table.id.label("device")).where(
        sa.not_(table.aggregator),
        table.registered <= at,
        *(sa.or_(gone.is_(None), gone > at) for gone in (table.withdrawn, table.retired)),
    )
    if event.categories != ALL_CATEGORIES:
        # Whether an event is for a device of unknown category, only its answer can tell.
        category = sa.func.coalesce(table.device_category, 0)
        answered = sa.select(responses.c.id).where(
            responses.c.control == kept.number, responses.c.device == table.id
        )
        query = query.where(
            sa.or_(category.bitwise_and(event.categories) != 0, (category == 0) & answered.exists())
        )
    if owner is not None:
        return query.where(table.id == owner)
    return query.where(table.id.in_(group_devices.under(programs.group_of(connection, kept.program), at)))


def _answers_by_device(control: int) -> sa.Select[Any]:
    """What each device has said to an event: how far it is, and for each kind whether it counts there.

    As ``rules.reached`` and ``rules.stands`` say of one device: how an event ended, the latest tells.
    """
    status, latest = responses.c.status, responses.c.latest
    by_stage: dict[Stage, list[int]] = {}
    by_kind: dict[tuple[ResponseKind, bool], list[int]] = {}
    for code, known in rules.MEANINGS.items():
        by_stage.setdefault(known.stage, []).append(code)
        by_kind.setdefault((known.kind, known.stage is Stage.ENDED), []).append(code)
    counts = {
        one: sa.or_(
            *(
                status.in_(codes) & latest if ended else status.in_(codes)
                for (kind, ended), codes in by_kind.items()
                if kind is one
            )
        )
        for one in ResponseKind
    }
    ended = by_stage.pop(Stage.ENDED)
    reached = sa.case(
        (status.in_(ended), sa.case((latest, int(Stage.ENDED)), else_=int(Stage.NOTHING))),
        *((status.in_(codes), int(stage)) for stage, codes in by_stage.items()),
        else_=int(rules.stage(None)),
    )
    return (
        sa.select(
            responses.c.device,
            sa.func.max(reached).label("stage"),
            *(sa.func.max(sa.case((which, 1), else_=0)).label(one.name) for one, which in counts.items()),
        )
        .where(responses.c.control == control)
        .group_by(responses.c.device)
    )
