"""The schedules of programs: every control with the status that it has at a moment.

What was read and computed is kept, since each device that polls asks for it: by program, until a control of
it is made or cancelled (`fact_store`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import define, field, frozen

from csipd.db import fact_store, facts
from csipd.db.prepared import Prepared
from csipd.db.tables import OWN_PROGRAMS, controls
from csipd.der.events import Event, Status, next_change, statuses
from csipd.sep2.types import EventState

#: Octets that an event takes with what was computed of it.
_PER_EVENT = 1500
#: Later than any time that a control can have.
_EVER = 2**62

# Statements that every poll asks are built once: to build one costs ten times what it takes to execute it.
EVENTS = sa.select(
    controls.c.id,
    controls.c.program,
    controls.c.mrid,
    controls.c.start,
    controls.c.duration,
    controls.c.randomize_start,
    controls.c.randomize_duration,
    controls.c.creation_time,
    controls.c.earliest,
    controls.c.latest,
    controls.c.categories,
    controls.c.modes,
    controls.c.cancelled,
    controls.c.randomized,
    controls.c.relieved,
    controls.c.relieved_version,
    controls.c.relieved_partly,
)
#: The controls of a time, and those made since a moment that overlap a wider one. No other's status hangs on
#: one that was relieved (relief.py).
_AROUND = Prepared(
    EVENTS.where(
        controls.c.relieved.is_(None),
        controls.c.program.in_(sa.bindparam("programs", expanding=True)),
        controls.c.latest > sa.bindparam("first"),
        controls.c.earliest < sa.bindparam("last"),
        sa.or_(
            sa.and_(controls.c.latest > sa.bindparam("since"), controls.c.earliest < sa.bindparam("until")),
            sa.and_(
                controls.c.start + controls.c.duration > sa.bindparam("first"),
                controls.c.start < sa.bindparam("last"),
                controls.c.creation_time >= sa.bindparam("made"),
            ),
        ),
    )
)


@frozen
class StoredControl:
    """A control as it is kept: its numbers, what the rules need of it, and what it stands at."""

    number: int
    program: int
    event: Event
    status: Status


@frozen
class Schedule:
    """The controls of one program at a moment.

    :param all: those that have a part in anything shown now, by number
    :param until: when what is shown changes next though nobody commands anything; None: never
    """

    all: Mapping[int, StoredControl]
    now: int
    until: int | None

    def listed(self, active: bool = False) -> list[StoredControl]:
        """The members of the DERControlList, or of the ActiveDERControlList, in their order.

        That is interval.start, then creationTime and mRID, the later and greater first.
        """
        shown = [
            kept
            for kept in self.all.values()
            if kept.status.listed_until > self.now and (not active or kept.status.state is EventState.ACTIVE)
        ]
        return sorted(
            sorted(shown, key=lambda kept: kept.event.rank, reverse=True), key=lambda kept: kept.event.start
        )


def of(connection: sa.Connection, programs: Sequence[int], now: int) -> dict[int, Schedule]:
    """The schedules of programs at a moment, in the order of their numbers.

    With the controls that are listed come those that are over but may have taken something from them.
    """
    return {p: entry.at(p, now) for p, entry in _entries(connection, programs, now).items()}


def together(connection: sa.Connection, programs: Sequence[int], now: int) -> dict[int, Schedule]:
    """The same for programs that a device follows together.

    With the controls of each come those of the others that are over but may have taken something from them,
    and so on.
    """
    since = now
    while True:
        entries = _entries(connection, programs, since)
        events = [e for entry in entries.values() for e in entry.events.values()]
        # Those that a device may still be running count to the end of their randomisation.
        begin = _begin(((e.start, e.latest if e.latest > now else e.end) for e in events), now)
        if begin >= since:
            return {p: entry.at(p, now) for p, entry in entries.items()}
        # Twice as far: where many overlap in a chain, few steps lead to its begin.
        since = begin - (now - begin)


def past(connection: sa.Connection, rows: Sequence[Any], now: int) -> dict[int, StoredControl]:
    """Controls that are over, by number, with the status that they have kept.

    :param rows: of ``EVENTS``
    """
    if not rows:
        return {}
    since, until = min(row.earliest for row in rows), max(row.latest for row in rows)
    found = _fetch(connection, sorted({row.program for row in rows}), since, until)
    wanted: dict[int, StoredControl] = {}
    for program, events in found.items():
        numbers = [row.id for row in rows if row.program == program]
        known = statuses(events.values(), now)
        wanted |= {
            number: StoredControl(number, program, events[number], known[events[number].mrid])
            for number in numbers
            if events[number].mrid in known
        }
    return wanted


def event_of_row(row: Any) -> Event:
    """What the rules need of a control that is kept: a row of ``EVENTS``."""
    return Event(
        mrid=row.mrid,
        created=row.creation_time,
        start=row.start,
        duration=row.duration,
        modes=frozenset(row.modes.split()),
        categories=row.categories,
        randomize_start=row.randomize_start,
        randomize_duration=row.randomize_duration,
        cancelled=row.cancelled,
        randomized=row.randomized,
    )


@define
class _Entry:
    """The controls of a program that matter from a moment on, and the schedule that was computed last."""

    since: int
    events: Mapping[int, Event]
    _schedule: Schedule | None = field(init=False, default=None)

    def at(self, program: int, now: int) -> Schedule:
        """The schedule at a moment, which is computed where the last one does not reach to it."""
        last = self._schedule
        if last is not None and last.now <= now and (last.until is None or now < last.until):
            return last
        found = statuses(self.events.values(), now)
        kept = {
            number: StoredControl(number, program, event, found[event.mrid])
            for number, event in self.events.items()
            if event.mrid in found
        }
        self._schedule = Schedule(kept, now, next_change(self.events.values(), now))
        return self._schedule


def _entries(connection: sa.Connection, programs: Sequence[int], since: int) -> dict[int, _Entry]:
    """The controls of programs that matter from a moment on, by program in the order of their numbers."""
    store = fact_store.of(connection)
    found: dict[int, _Entry] = {}
    missing = []
    for program in sorted(programs):
        own = program > OWN_PROGRAMS
        kept = None if store is None else store.find(_key(program), 0, own=own)
        entry: _Entry | None = None if kept is None else kept.value
        if entry is None or entry.since > since:
            missing.append(program)
        else:
            found[program] = entry
    if missing:
        fetched = _fetch(connection, missing, since, _EVER)
        for program in missing:
            entry = found[program] = _Entry(since, fetched.get(program, {}))
            if store is not None:
                weight = _PER_EVENT * len(entry.events)
                hangs_on = [facts.controls(program)]
                store.keep(_key(program), entry, weight, hangs_on, 0, own=program > OWN_PROGRAMS)
    return {program: found[program] for program in sorted(found)} if missing else found


def _key(program: int) -> tuple[str, int]:
    return "controls", program


def _fetch(
    connection: sa.Connection, programs: Sequence[int], since: int, until: int
) -> dict[int, dict[int, Event]]:
    """The controls of a time, and all that decide their status: later ones that overlap them, and so on."""
    first, last, made = since, until, _EVER
    while True:
        asked = {"since": since, "until": until, "first": first, "last": last, "made": made}
        rows = _AROUND.all(connection, {"programs": programs, **asked})
        wanted = [row for row in rows if row.latest > since and row.earliest < until]
        made = min((row.creation_time for row in wanted), default=_EVER)
        begin, end = _span(rows, since, until)
        if begin >= first and end <= last:
            break
        # Twice as far: where many overlap in a chain, few steps lead to its ends.
        first = min(first, begin - (since - begin))
        last = max(last, end + (end - until))
    found: dict[int, dict[int, Event]] = {}
    for row in rows:
        found.setdefault(row.program, {})[row.id] = event_of_row(row)
    return found


def _span(rows: Sequence[Any], since: int, until: int) -> tuple[int, int]:
    """From when to when the controls of a time reach, with those that overlap them, and so on."""
    begin, end = since, until
    while True:
        before = begin, end
        spans = [
            (row.start, row.start + row.duration, row.latest > since and row.earliest < until) for row in rows
        ]
        begin = _begin(((s, _EVER if wanted else e) for s, e, wanted in spans if s < end), begin)
        end = -_begin(((-e, _EVER if wanted else -s) for s, e, wanted in spans if e > begin), -end)
        if (begin, end) == before:
            return before


def _begin(spans: Iterable[tuple[int, int]], since: int) -> int:
    """When the first of those spans begins that reach to a moment, or to one that does, and so on.

    :param spans: starts and ends
    """
    for start, end in sorted(spans, key=lambda span: span[1], reverse=True):
        if end <= since:
            break
        since = min(since, start)
    return since
