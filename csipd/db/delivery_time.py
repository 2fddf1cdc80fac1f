"""Whom a control was for, and when: the time in which each of its devices is held to it.

A device is held to a control while it is in the control's program, from when it must know of it, and while
nothing else holds the mode on it. All of that goes by what was so then: memberships are kept as intervals
(decision 9), and who has moved since is judged by where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from attrs import field, frozen

from csipd.db import controls, group_history, groups, in_force, programs, rates
from csipd.db.prepared import Prepared
from csipd.db.schedules import StoredControl
from csipd.db.tables import devices as device_table
from csipd.db.tables import memberships, own_programs, responses
from csipd.db.tree.context import Server
from csipd.der.delivery import QUANTITIES, Interval, known_by
from csipd.der.events import ALL_CATEGORIES
from csipd.der.programs import ModeOutcome
from csipd.sep2 import resources as r
from csipd.sep2.types import EventState

_NEVER = 2**62
_PROGRAMS, _ASSIGNMENTS = "DERProgramList", "FunctionSetAssignmentsList"


@frozen
class Control:
    """A control and what of it is judged.

    :param begin: when it began, ``end`` when it was over or will be (TimeType)
    """

    kept: StoredControl
    document: r.DERControl
    begin: int
    end: int

    @property
    def modes(self) -> list[str]:
        """Those that command power."""
        base = vars(self.document.DERControlBase)
        return [mode for mode in QUANTITIES if base.get(mode) not in (None, True)]


def find(connection: sa.Connection, number: int, now: int) -> Control | None:
    """The control of a number; None: there is none."""
    kept = controls.commanded(connection, number, now)
    if kept is None:
        return None
    (document,) = controls.shown(connection, [kept])
    event, status = kept.event, kept.status
    end = event.end
    if status.state in (EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED, EventState.SUPERSEDED):
        end = min(end, status.since)
    return Control(kept, document, event.begins, end)


@frozen
class Addressed:
    """A device that a control is or was for.

    :param time: in which it is in the control's program, within the control's (TimeType)
    :param joined: whether it came there when the control had begun
    :param category: deviceCategory; 0: it has not said
    """

    device: int
    time: Interval
    joined: bool = False
    category: int = field(default=0, kw_only=True)


def addressed(
    connection: sa.Connection, control: Control, now: int, after: int, limit: int
) -> tuple[list[Addressed], int | None]:
    """The devices that a control was for while it ran, some at a time and by number.

    :return: the devices, and the one after which the rest begins; None: nothing follows
    """
    kept, begin = control.kept, control.begin
    # Who is in the program now is taken to stay.
    until = max(min(control.end, now), begin + 1)
    owner = programs.owner_of(kept.program)
    following: int | None = None
    if owner is not None:
        spans = {owner: [(begin, until)]} if owner > after else {}
    else:
        group = programs.group_of(connection, kept.program)
        found, following = group_history.members(connection, group, begin, until, after, limit)
        spans = dict(found)
    rows = connection.execute(
        sa.select(
            device_table.c.id,
            device_table.c.device_category,
            device_table.c.registered,
            device_table.c.withdrawn,
            device_table.c.retired,
        )
        .where(device_table.c.id.in_(list(spans)), sa.not_(device_table.c.aggregator))
        .order_by(device_table.c.id)
    )
    wanted = []
    for row in rows:
        # Of one that left and came back the longest stay.
        since, end = max(spans[row.id], key=lambda span: span[1] - span[0])
        time = Interval(since, control.end if end >= until else end)
        gone = min((at for at in (row.withdrawn, row.retired) if at is not None), default=_NEVER)
        category = row.device_category or 0
        if row.registered >= until or gone <= since or not _is_for(kept.event.categories, category):
            continue
        time = time.within(Interval(row.registered, gone))
        wanted.append(Addressed(row.id, time, time.begin > begin, category=category))
    return wanted, following


def _is_for(categories: int, category: int) -> bool:
    return categories == ALL_CATEGORIES or not category or bool(category & categories)


# What a device knows.


def known(
    connection: sa.Connection, server: Server, control: Control, devices: Sequence[Addressed]
) -> dict[int, int]:
    """When each device is sure to know of a control (TimeType)."""
    numbers = [one.device for one in devices]
    asked = {"control": control.kept.number, "devices": numbers}
    heard = {row.device: row.heard for row in _HEARD.all(connection, asked)}
    found = {one.device: one.time.begin for one in devices if one.joined}
    owner = programs.owner_of(control.kept.program)
    if owner is not None:
        # Its own program is there from its first control on.
        found[owner] = max(found.get(owner, 0), _SHOWN.scalar(connection, {"device": owner}) or 0)
    reads = poll_rates(connection, server, _PROGRAMS, numbers)
    finds = poll_rates(connection, server, _ASSIGNMENTS, list(found)) if found else {}
    return {
        device: known_by(
            control.kept.event.created,
            found.get(device),
            heard.get(device),
            reads=reads[device],
            finds=finds.get(device, 0),
        )
        for device in numbers
    }


def poll_rates(
    connection: sa.Connection, server: Server, resource: str, devices: Sequence[int]
) -> dict[int, int]:
    """How often each device reads a kind of resource (s)."""
    otherwise = server.poll_rates.get(resource, rates.standard(resource) or 0)
    found = commanded_rates(connection, resource, devices)
    return {device: otherwise if rate is None else rate for device, rate in found.items()}


def commanded_rates(
    connection: sa.Connection, resource: str, devices: Sequence[int]
) -> dict[int, int | None]:
    """The rate that operators have set for devices: for each alone, for its deepest group, for all."""
    known = rates.commanded(connection, resource)
    own = rates.own_of_each(connection, resource, devices) if known.devices else {}
    found: dict[int, int | None] = {}
    of_sets: dict[tuple[int, ...], int | None] = {}
    for device in devices:
        if device in own or not known.groups:
            found[device] = own.get(device, known.general)
            continue
        of = groups.set_of(connection, device)
        if of not in of_sets:
            by_group = rates.of_set(connection, known.groups, of)
            of_sets[of] = known.general if by_group is None else by_group[1]
        found[device] = of_sets[of]
    return found


_SHOWN = Prepared(sa.select(own_programs.c.shown).where(own_programs.c.device == sa.bindparam("device")))
# Whatever it answered, it knew of the control then. A device's clock does not run ahead of what came of it.
_SAID_AT = sa.case(
    (responses.c.created_time < responses.c.received, responses.c.created_time), else_=responses.c.received
)
_HEARD = Prepared(
    sa.select(responses.c.device, sa.func.min(_SAID_AT).label("heard"))
    .where(
        responses.c.control == sa.bindparam("control"),
        responses.c.device.in_(sa.bindparam("devices", expanding=True)),
    )
    .group_by(responses.c.device)
)


# What else held its modes.


def held(
    connection: sa.Connection,
    server: Server,
    control: Control,
    devices: Sequence[Addressed],
    modes: Sequence[str],
    now: int,
) -> dict[tuple[int, str], Interval]:
    """When a control held each of its modes on each device, as far as that is known; an empty time: never.

    It is looked at when a device's time begins and when it ends: by the groups and programs that it is in
    then, and by what was commanded until then.
    """
    times = {one.device: one.time for one in devices}
    moments = {
        one.device: (one.time.begin, max(min(one.time.end, now) - 1, one.time.begin)) for one in devices
    }
    sets = _Sets.of(connection, list(times), moments)
    shown = programs.shown(connection, list(times))
    found = {(one.device, mode): one.time for one in devices for mode in modes}
    for moment in sorted({moment for some in moments.values() for moment in some}):
        there = [one for one in devices if moment in moments[one.device]]
        numbers = {
            one.device: _programs(connection, server, sets, one.device, moment, shown) for one in there
        }
        outcomes = _Outcomes.at(connection, server, control, numbers, moment)
        for one in there:
            for mode in modes:
                outcome = outcomes.of(numbers[one.device], one.category, mode)
                found[one.device, mode] = found[one.device, mode].within(_time_of(outcome))
    return found


def _time_of(outcome: ModeOutcome | None) -> Interval:
    if outcome is None or outcome.begin is None or outcome.until is None:
        return Interval(0, 0)
    return Interval(outcome.begin, outcome.until)


@frozen
class _Sets:
    """The groups that devices were in themselves, and what follows from a set of groups."""

    stays: Mapping[int, Sequence[tuple[int, int, int | None]]]
    of_set: dict[tuple[int, ...], tuple[tuple[int, ...], bool]] = field(factory=dict)

    @classmethod
    def of(
        cls, connection: sa.Connection, devices: Sequence[int], moments: Mapping[int, tuple[int, int]]
    ) -> _Sets:
        """Those of some devices from the first of their moments to the last."""
        stays: dict[int, list[tuple[int, int, int | None]]] = defaultdict(list)
        every = [moment for some in moments.values() for moment in some]
        asked = {"devices": list(devices), "first": min(every, default=0), "last": max(every, default=0)}
        for row in _STAYS.all(connection, asked):
            stays[row.device].append((row.group, row.since, row.until))
        return cls(stays)

    def at(self, device: int, moment: int) -> tuple[int, ...]:
        """The groups of a device at a moment, in order."""
        stays = self.stays.get(device, ())
        return tuple(
            sorted(
                {of for of, since, until in stays if since <= moment and (until is None or moment < until)}
            )
        )


_STAYS = Prepared(
    sa.select(memberships.c.device, memberships.c.group, memberships.c.since, memberships.c.until).where(
        memberships.c.device.in_(sa.bindparam("devices", expanding=True)),
        memberships.c.since <= sa.bindparam("last"),
        sa.or_(memberships.c.until.is_(None), memberships.c.until > sa.bindparam("first")),
    )
)


def _programs(
    connection: sa.Connection, server: Server, sets: _Sets, device: int, moment: int, shown: Collection[int]
) -> tuple[int, ...]:
    """The programs that a device found at a moment by the groups that it was in."""
    of = sets.at(device, moment)
    if of not in sets.of_set:
        found = tuple(number for number, _ in programs.of_set(connection, server.own, of, None))
        sets.of_set[of] = found, bool(groups.assignments_of_set(connection, of))
    numbers, is_assigned = sets.of_set[of]
    # Its own program is in one of its FSAs.
    return (*numbers, programs.own_program(device)) if device in shown and is_assigned else numbers


@frozen
class _Outcomes:
    """What became of a control beside the controls of other programs: made once for each set of these."""

    mrid: str
    seen: in_force.Seen
    made: dict[tuple[tuple[int, ...], int, str], ModeOutcome | None] = field(factory=dict)

    @classmethod
    def at(
        cls,
        connection: sa.Connection,
        server: Server,
        control: Control,
        numbers: Mapping[int, Sequence[int]],
        moment: int,
    ) -> _Outcomes:
        """As of a moment, for all the programs that some devices follow."""
        every = sorted({number for some in numbers.values() for number in some})
        return cls(control.kept.event.mrid, in_force.seen(connection, server.own, every, moment))

    def of(self, numbers: tuple[int, ...], category: int, mode: str) -> ModeOutcome | None:
        """What became of it in a mode for a device that follows these programs; None: not it."""
        key = (numbers, category, mode)
        if key not in self.made:
            outcomes = self.seen.outcomes(numbers, category, mode)
            mine = (one for one in outcomes if one.candidate.event.mrid == self.mrid)
            self.made[key] = next(mine, None)
        return self.made[key]
