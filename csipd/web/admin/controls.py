"""Controls: ``/admin/controls``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import sqlalchemy as sa

from csipd.db import commands, controls, displacement, schedules, tally
from csipd.db.commands import Command, Overlap, Target
from csipd.db.database import Transaction
from csipd.db.responses import REPLY_TO
from csipd.refusals import BadRequest, Impossible, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element, Occurs
from csipd.sep2.site import Place
from csipd.sep2.types import (
    Boolean,
    DeviceCategoryType,
    EventState,
    HexBinary8,
    OneHourRangeType,
    ResponseRequired,
    String32,
    String192,
    TimeType,
    UInt32,
)
from csipd.web.admin import summary
from csipd.web.admin.forms import STATUSES, Count, Line, ModeName, Number, Page, Status
from csipd.web.admin.names import Names
from csipd.web.admin.operations import ZONE, Call, Created, Operation, Parameter
from csipd.web.admin.paging import PAGE, counted
from csipd.web.admin.summary import Consequences

#: The most devices that a control may name; more are reached by a group.
MOST_DEVICES = 1000
#: What devices are asked for where the operator says nothing: received, and what became of it.
_RESPONSES = int(ResponseRequired.RECEIVED | ResponseRequired.SPECIFIC)
#: A control in a word; the standard has none for one that is over. With what a query can know of it.
_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "scheduled": {"over": False, "cancelled": False},
    "active": {"over": False, "cancelled": False},
    "cancelled": {"cancelled": True},
    "superseded": {},
    "completed": {"over": True, "cancelled": False},
}
_WORDS = {
    EventState.SCHEDULED: "scheduled",
    EventState.ACTIVE: "active",
    EventState.CANCELLED: "cancelled",
    EventState.CANCELLED_RANDOMIZED: "cancelled",
    EventState.SUPERSEDED: "superseded",
}
#: Controls that are read for one page at least when only some are wanted; the next page goes on there.
_READ = 200


class NewControl(Element):
    """A DERControl to be made: for a program, a group, or named devices - one of the three.

    It starts at once where no start is given. Modes that are curves name them by href.
    """

    program: Number | None = None
    group: Number | None = None
    devices: Annotated[tuple[Number, ...], Occurs(0, MOST_DEVICES)] = ()
    description: String32 | None = None
    start: TimeType | None = None
    duration: UInt32
    randomizeStart: OneHourRangeType | None = None
    randomizeDuration: OneHourRangeType | None = None
    deviceCategory: DeviceCategoryType | None = None
    responseRequired: HexBinary8 | None = None
    base: r.DERControlBase


class Superseded(Element):
    """An event that a new one takes modes from, or loses modes to.

    ``wholly``: the loser loses all modes that it has, for all categories that it addresses. ``ends``: when
    the loser, which has begun, ends in these modes; absent where it does not run in them at all.
    ``uncovered``: seconds of the loser's period in which neither of the two holds them.
    """

    control: Number
    program: Number
    program_name: Line | None = None
    start: TimeType
    end: TimeType
    modes: tuple[ModeName, ...] = ()
    wholly: Boolean
    ends: TimeType | None = None
    uncovered: Count | None = None


class Preview(Element):
    """What a control would do, before it is made; ``summary`` says it in sentences.

    ``start`` and ``end`` are without randomisation. ``sample`` has some of the devices, and ``names`` theirs,
    as ``program_names`` those of the programs.
    """

    summary: tuple[Line, ...]
    start: TimeType
    end: TimeType
    devices: Count
    sample: tuple[Number, ...] = ()
    names: tuple[Line, ...] = ()
    programs: tuple[Number, ...] = ()
    program_names: tuple[Line, ...] = ()
    supersedes: tuple[Superseded, ...] = ()
    superseded_by: tuple[Superseded, ...] = ()
    warnings: tuple[Line, ...] = ()


class Displaced(Element):
    """What ended an active control on devices, or kept it from running there: it does not resume on them.

    ``devices``: of those that the control is for, how many have the program of the other, too.
    """

    control: Number
    program: Number
    program_name: Line | None = None
    modes: tuple[ModeName, ...] = ()
    devices: Count


class Control(Element):
    """A DERControl as the operator sees it: the document as devices see it, and its place.

    ``displaced``: a list shows a control as active also where one of a better program took its modes, or a
    later one of its own program some of them.
    """

    number: Number
    program: Number
    program_name: Line | None = None
    href: Line
    status: Status
    control: r.DERControl
    superseded_by: tuple[Number, ...] = ()
    displaced: tuple[Displaced, ...] = ()
    who: Line | None = None


class MadeControls(Element):
    """The controls that were made: one, or one for each device's own program."""

    lists: ClassVar[tuple[str, ...]] = ("items",)

    items: tuple[Control, ...] = ()
    warnings: tuple[Line, ...] = ()


class ControlPage(Page):
    """Controls, the latest start first."""

    items: tuple[Control, ...] = ()


class Cancellation(Element):
    """How a control is to be cancelled: at once, or by each device at a random moment."""

    randomized: Boolean | None = None
    reason: String192 | None = None


def page(connection: sa.Connection, call: Call) -> ControlPage:
    """Controls, the latest start first."""
    items, before = _wanted(connection, call, _start(connection, call))
    following = None if before is None else before[-1]
    total = tally.UNKNOWN
    if call.query["status"] is None:
        wanted = {name: call.query[name] for name in ("program", "since", "until")}
        total = controls.total(connection, call.now, **wanted)
    return ControlPage(items=tuple(_shown(connection, call, items)), next=following, **counted(total))


def _start(connection: sa.Connection, call: Call) -> Sequence[int] | None:
    """Where a page begins."""
    after = call.query["after"]
    if after is None:
        return None
    last = controls.commanded(connection, after, call.now)
    if last is None:
        raise BadRequest(f"there is no control {after} to go on from")
    return last.event.start, last.number


def _wanted(
    connection: sa.Connection, call: Call, before: Sequence[int] | None
) -> tuple[list[schedules.StoredControl], Sequence[int] | None]:
    """The controls of a page, and where to go on; None: nowhere."""
    query, limit, status = call.query, call.query["limit"], call.query["status"]
    found, before = controls.listed(
        connection,
        call.now,
        before=before,
        limit=limit if status is None else max(limit, _READ),
        program=query["program"],
        since=query["since"],
        until=query["until"],
        **_FILTERS.get(status, {}),
    )
    if status is None:
        return found, before
    # How a control stands no query can tell.
    fitting = [kept for kept in found if _word(kept, call.now) == status]
    if len(fitting) > limit:
        return fitting[:limit], (fitting[limit - 1].event.start, fitting[limit - 1].number)
    return fitting, before


def show(connection: sa.Connection, call: Call) -> Control:
    """One control."""
    kept = controls.commanded(connection, call.numbers["control"], call.now)
    if kept is None:
        raise NotFound(f"there is no control {call.numbers['control']}")
    return _shown(connection, call, [kept])[0]


def preview(connection: sa.Connection, call: Call) -> Preview:
    """What a control would do."""
    target, command = _read(call.body)
    effect = commands.preview(connection, call.server.own, target, command, call.now)
    names = Names(connection)
    return Preview(
        summary=summary.of_control(
            connection,
            target,
            command,
            effect,
            zone=call.zone,
            poll_rates=call.server.poll_rates,
            now=call.now,
        ),
        start=effect.event.start,
        end=effect.event.end,
        devices=effect.devices,
        sample=effect.sample,
        names=tuple(names.devices(effect.sample)),
        programs=effect.programs,
        program_names=tuple(names.programs(effect.programs)),
        supersedes=_overlaps(names, effect.supersedes),
        superseded_by=_overlaps(names, effect.superseded_by),
        warnings=effect.warnings,
    )


def create(transaction: Transaction, call: Call) -> Created:
    """Make a control."""
    target, command = _read(call.body)
    places, effect = commands.create(
        transaction, call.server.own, REPLY_TO, target, command, call.now, call.who
    )
    made = _found(transaction.connection, places, call.now)
    form = MadeControls(items=tuple(_shown(transaction.connection, call, made)), warnings=effect.warnings)
    return Created(form, f"/admin/controls/{made[0].number}")


def cancel(transaction: Transaction, call: Call) -> Control:
    """Cancel a control."""
    body: Cancellation = call.body
    commands.cancel(
        transaction, call.numbers["control"], bool(body.randomized), body.reason, call.now, call.who
    )
    return show(transaction.connection, call)


def preview_cancel(connection: sa.Connection, call: Call) -> Consequences:
    """What it will mean that a control is cancelled."""
    randomized = bool(call.body.randomized)
    kept = commands.cancellable(connection, call.numbers["control"], randomized, call.now)
    return Consequences(
        summary=summary.of_cancellation(connection, kept, randomized=randomized, zone=call.zone, now=call.now)
    )


def _read(body: NewControl) -> tuple[Target, Command]:
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


def _overlaps(names: Names, found: Sequence[Overlap]) -> tuple[Superseded, ...]:
    return tuple(
        Superseded(
            control=one.other,
            program=one.program,
            program_name=names.program(one.program),
            start=one.event.start,
            end=one.event.end,
            modes=one.modes,
            wholly=one.wholly,
            ends=None if one.loss is None else one.loss.ends,
            uncovered=None if one.loss is None else one.loss.uncovered,
        )
        for one in found
    )


def _found(connection: sa.Connection, places: Sequence[Place], now: int) -> list[schedules.StoredControl]:
    return controls.commanded_of(connection, [place.ids[1] for place in places], now)


def _word(kept: schedules.StoredControl, now: int) -> str:
    word = _WORDS[kept.status.state]
    if word in ("scheduled", "active") and kept.event.cancelled is not None:
        # In the second in which it was made and cancelled devices do not see that yet.
        return "cancelled"
    return "completed" if word == "active" and now >= kept.event.latest else word


def _shown(connection: sa.Connection, call: Call, found: Sequence[schedules.StoredControl]) -> list[Control]:
    who = controls.whose(connection, [kept.number for kept in found])
    numbers = controls.numbers_of(connection, [m for kept in found for m in kept.status.superseded_by])
    displaced = displacement.of_controls(connection, call.server.own, found, call.now)
    names = Names(connection)
    names.programs([kept.program for kept in found])
    return [
        Control(
            number=kept.number,
            program=kept.program,
            program_name=names.program(kept.program),
            href=f"/derp/{kept.program}/derc/{kept.number}",
            status=_word(kept, call.now),
            control=control,
            superseded_by=tuple(numbers[mrid] for mrid in kept.status.superseded_by),
            displaced=tuple(
                Displaced(
                    control=one.by,
                    program=one.program,
                    program_name=names.program(one.program),
                    modes=one.modes,
                    devices=one.devices,
                )
                for one in displaced.get(kept.number, ())
            ),
            who=who.get(kept.number),
        )
        for kept, control in zip(found, controls.shown(connection, found), strict=True)
    ]


OPERATIONS = (
    Operation(
        "GET",
        "/admin/controls",
        "listControls",
        "List controls, the latest start first",
        page,
        gives=ControlPage,
        query=(
            *PAGE,
            Parameter("program", int, "number of a program"),
            Parameter("status", str, "how it stands", words=STATUSES),
            Parameter("since", int, "only those that end after this time", least=0),
            Parameter("until", int, "only those that start before this time", least=0),
        ),
    ),
    Operation(
        "POST",
        "/admin/controls",
        "createControl",
        "Make a control for a program, a group or named devices",
        create,
        takes=NewControl,
        gives=MadeControls,
        status=201,
        writes=True,
    ),
    Operation(
        "POST",
        "/admin/controls/preview",
        "previewControl",
        "What a control would do, without making it",
        preview,
        takes=NewControl,
        gives=Preview,
        query=(ZONE,),
    ),
    Operation(
        "GET",
        "/admin/controls/{control}",
        "showControl",
        "Show a control",
        show,
        gives=Control,
    ),
    Operation(
        "POST",
        "/admin/controls/{control}/cancel",
        "cancelControl",
        "Cancel a control",
        cancel,
        takes=Cancellation,
        body_optional=True,
        gives=Control,
        writes=True,
    ),
    Operation(
        "POST",
        "/admin/controls/{control}/cancel/preview",
        "previewCancelControl",
        "What it would mean to cancel a control",
        preview_cancel,
        takes=Cancellation,
        body_optional=True,
        gives=Consequences,
        query=(ZONE,),
        refuses=(409,),
    ),
)
