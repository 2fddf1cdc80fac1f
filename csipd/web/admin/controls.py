"""Operations on controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from csipd.db import commands, controls
from csipd.db.commands import Command, Overlap, Target
from csipd.db.database import Transaction
from csipd.db.responses import REPLY_TO
from csipd.refusals import BadRequest, Impossible, NotFound
from csipd.sep2.site import Place
from csipd.sep2.types import EventState, ResponseRequired
from csipd.web.admin import forms as f
from csipd.web.admin.operations import Call, Made

#: What devices are asked for where the operator says nothing: received, and what became of it.
_RESPONSES = int(ResponseRequired.RECEIVED | ResponseRequired.SPECIFIC)
#: A control in a word; the standard has none for one that is over. With what a query can tell of it.
_LIKELY: Mapping[str, Mapping[str, Any]] = {
    "scheduled": {"over": False, "cancelled": False},
    "active": {"over": False, "cancelled": False},
    "cancelled": {"cancelled": True},
    "superseded": {},
    "completed": {"over": True, "cancelled": False},
}
STATUSES = tuple(_LIKELY)
_WORDS = {
    EventState.SCHEDULED: "scheduled",
    EventState.ACTIVE: "active",
    EventState.CANCELLED: "cancelled",
    EventState.CANCELLED_RANDOMIZED: "cancelled",
    EventState.SUPERSEDED: "superseded",
}
#: Controls that are looked at for one page when only some are wanted; the next page goes on there.
_LOOKED_AT = 1000


def page(connection: sa.Connection, call: Call) -> f.ControlPage:
    """Controls, the latest start first."""
    limit = call.query["limit"]
    found, before = _wanted(connection, call, _start(connection, call))
    items = found[:limit]
    if len(found) > limit:
        following: int | None = items[-1].number
    else:
        following = None if before is None else before[1]
    return f.ControlPage(items=tuple(_shown(connection, items, call.now)), next=following)


def _start(connection: sa.Connection, call: Call) -> tuple[int, int] | None:
    """Where a page begins."""
    after = call.query["after"]
    if after is None:
        return None
    last = controls.find(connection, after, call.now)
    if last is None:
        raise BadRequest(f"there is no control {after} to go on from")
    return last.event.start, last.number


def _wanted(
    connection: sa.Connection, call: Call, before: tuple[int, int] | None
) -> tuple[list[controls.Kept], tuple[int, int] | None]:
    """The controls of a page and one more, if there are as many, and where to go on; None: nowhere."""
    query, limit = call.query, call.query["limit"]
    found: list[controls.Kept] = []
    looked = 0
    while True:
        some, before = controls.listed(
            connection,
            call.now,
            before=before,
            limit=limit + 1,
            program=query["program"],
            since=query["since"],
            until=query["until"],
            **_LIKELY.get(query["status"], {}),
        )
        looked += limit + 1
        found += [kept for kept in some if query["status"] in (None, _word(kept, call.now))]
        if before is None or len(found) > limit or looked >= _LOOKED_AT:
            return found, before


def show(connection: sa.Connection, call: Call) -> f.Control:
    """One control."""
    kept = controls.find(connection, call.numbers["control"], call.now)
    if kept is None:
        raise NotFound(f"there is no control {call.numbers['control']}")
    return _shown(connection, [kept], call.now)[0]


def preview(connection: sa.Connection, call: Call) -> f.Preview:
    """What a control would do."""
    target, command = _read(call.body)
    effect = commands.preview(connection, call.server.own, target, command, call.now)
    return f.Preview(
        devices=effect.devices,
        sample=effect.sample,
        programs=effect.programs,
        supersedes=_overlaps(effect.supersedes),
        superseded_by=_overlaps(effect.superseded_by),
        warnings=effect.warnings,
    )


def create(transaction: Transaction, call: Call) -> Made:
    """Make a control."""
    target, command = _read(call.body)
    places, effect = commands.create(
        transaction, call.server.own, REPLY_TO, target, command, call.now, call.who
    )
    made = _found(transaction.connection, places, call.now)
    form = f.MadeControls(
        items=tuple(_shown(transaction.connection, made, call.now)), warnings=effect.warnings
    )
    return Made(form, f"/admin/controls/{made[0].number}")


def cancel(transaction: Transaction, call: Call) -> f.Control:
    """Cancel a control."""
    body: f.Cancellation = call.body
    commands.cancel(
        transaction, call.numbers["control"], bool(body.randomized), body.reason, call.now, call.who
    )
    return show(transaction.connection, call)


def _read(body: f.NewControl) -> tuple[Target, Command]:
    given = [name for name in ("program", "group", "devices") if getattr(body, name)]
    if len(given) != 1:
        raise Impossible([("", "one of program, group and devices is needed")])
    target = Target(program=body.program, group=body.group, devices=body.devices)
    required = _RESPONSES if body.responseRequired is None else body.responseRequired
    return target, Command(
        base=body.base,
        duration=body.duration,
        start=body.start,
        randomize_start=body.randomizeStart,
        randomize_duration=body.randomizeDuration,
        category=body.deviceCategory,
        response_required=required,
        description=body.description,
    )


def _overlaps(found: Sequence[Overlap]) -> tuple[f.Superseded, ...]:
    return tuple(
        f.Superseded(control=one.other, program=one.program, modes=one.modes, wholly=one.wholly)
        for one in found
    )


def _found(connection: sa.Connection, places: Sequence[Place], now: int) -> list[controls.Kept]:
    kept = (controls.find(connection, place.ids[1], now) for place in places)
    return [one for one in kept if one is not None]


def _word(kept: controls.Kept, now: int) -> str:
    word = _WORDS[kept.status.state]
    if word in ("scheduled", "active") and kept.event.cancelled is not None:
        # In the second in which it was made and cancelled devices do not see that yet.
        return "cancelled"
    return "completed" if word == "active" and now >= kept.event.latest else word


def _shown(connection: sa.Connection, found: Sequence[controls.Kept], now: int) -> list[f.Control]:
    who = controls.whose(connection, [kept.number for kept in found])
    numbers = controls.numbers_of(connection, [m for kept in found for m in kept.status.superseded_by])
    return [
        f.Control(
            number=kept.number,
            program=kept.program,
            href=f"/derp/{kept.program}/derc/{kept.number}",
            status=_word(kept, now),
            control=control,
            superseded_by=tuple(numbers[mrid] for mrid in kept.status.superseded_by),
            who=who.get(kept.number),
        )
        for kept, control in zip(found, controls.shown(connection, found), strict=True)
    ]
