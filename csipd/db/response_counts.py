"""How many devices have said what to an event, and who owes an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import controls, group_devices, programs, rates
from csipd.db.schedules import StoredControl
from csipd.db.tables import devices as devices_table
from csipd.db.tables import responses
from csipd.der import responses as rules
from csipd.der.events import ALL_CATEGORIES
from csipd.der.responses import ResponseKind, Stage

#: What devices read events from: of each the answer is due after so many of its polls.
POLLED = "DERProgramList"
#: Silent devices of an event that are named; the others are counted.
SAMPLE = 50


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
