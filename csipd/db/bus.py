"""What the GridAPPS-D bus commands, carried out: through the same door as what an operator commands.

What the bus wants of a device is a map of modes to values. A change of it makes one control of all modes that
the bus has in force there, which supersedes the bus's former one; where a mode was taken back the former one
is cancelled, so that it ends. What somebody else's control took from the bus's is not in force any more, and
no later change brings it back. A value that is in force already makes nothing (decision 72).

A message is known by its key for a day, as long as there are not too many; that is written in the transaction
in which the last of it is carried out, so that one that is sent again after a crash does what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import sqlalchemy as sa
from attrs import define, evolve, field, frozen

from csipd.db import (
    audit,
    commands,
    controls,
    devices,
    documents,
    own_programs,
    program_contents,
    programs,
    relief,
    schedules,
)
from csipd.db.audit import PLATFORM
from csipd.db.commands import Command, Target
from csipd.db.database import Transaction
from csipd.db.prepared import Prepared
from csipd.db.responses import REPLY_TO
from csipd.db.schedules import StoredControl
from csipd.db.stored import decode
from csipd.db.tables import bus_messages, bus_wishes
from csipd.db.tables import controls as control_rows
from csipd.db.tables import devices as device_rows
from csipd.db.upsert import insert
from csipd.der.programs import SETTINGS
from csipd.refusals import Conflict, Impossible
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.differences import differences
from csipd.sep2.quantities import same
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import MODE, EventState

#: Seconds for which a message is known, and how many are: the oldest are forgotten first.
KNOWN_SECONDS = 86_400
MOST_KNOWN = 200_000
#: Controls of a program that are not over, at which the bus gets no more until some are.
MOST_LIVE = 64

_DEFAULT = ROWS["DefaultDERControl"]
_NAMED = Prepared(
    sa.select(device_rows.c.id, device_rows.c.name).where(
        device_rows.c.name.in_(sa.bindparam("names", expanding=True))
    )
)
_WISHES = Prepared(
    sa.select(bus_wishes.c.device, bus_wishes.c.control, bus_wishes.c.body).where(
        bus_wishes.c.device.in_(sa.bindparam("devices", expanding=True))
    )
)


def _put(table: sa.Table, key: str) -> Prepared:
    """Makes a row, or changes the one that there is."""
    names = [column.name for column in table.columns]

    def said(dialect: str) -> sa.Executable:
        statement = insert(dialect, table)
        changes = {name: statement.excluded[name] for name in names if name != key}
        return statement.on_conflict_do_update(index_elements=[key], set_=changes)

    return Prepared(said, *names)


_PUT_WISH = _put(bus_wishes, "device")
_PUT_MESSAGE = _put(bus_messages, "key")
_KNOWN = Prepared(
    sa.select(bus_messages.c.key).where(bus_messages.c.key.in_(sa.bindparam("keys", expanding=True)))
)
_later = control_rows.alias()
_FORMER = Prepared(
    sa.select(
        control_rows.c.id,
        control_rows.c.program,
        control_rows.c.creation_time,
        control_rows.c.latest,
        control_rows.c.cancelled,
        control_rows.c.modes,
        # Whether any of its program was made since that may have taken something.
        sa.exists()
        .where(
            _later.c.program == control_rows.c.program,
            _later.c.latest > control_rows.c.start,
            _later.c.creation_time >= control_rows.c.creation_time,
            _later.c.id != control_rows.c.id,
        )
        .label("contested"),
    ).where(control_rows.c.id.in_(sa.bindparam("numbers", expanding=True)))
)
_OLDEST = Prepared(
    sa.select(bus_messages.c.key)
    .where(bus_messages.c.seen < sa.bindparam("before"))
    .order_by(bus_messages.c.seen)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_MOST_RECENT = Prepared(
    sa.select(bus_messages.c.seen)
    .order_by(bus_messages.c.seen.desc())
    .limit(1)
    .offset(sa.bindparam("most", type_=sa.Integer))
)


class Reason(Enum):
    """Why something was refused."""

    DEVICE = "device"
    RULES = "rules"
    FULL = "full"


@frozen
class Wanted:
    """What the bus wants to be different about a device.

    :param name: of the device, without a leading underscore
    :param modes: fields of DERControlBase; None: what the bus commanded of it ends
    :param settings: what only a DefaultDERControl has, likewise
    """

    name: str
    modes: Mapping[str, Any] = field(factory=dict)
    settings: Mapping[str, Any] = field(factory=dict)


@define
class Outcome:
    """What came of it.

    :param refused: why, and what was wrong
    """

    made: int = 0
    cancelled: int = 0
    set: int = 0
    unchanged: int = 0
    refused: list[tuple[Reason, str]] = field(factory=list)

    @property
    def is_full(self) -> bool:
        """Whether there was no room for a control: it may be asked for again later."""
        return any(reason is Reason.FULL for reason, _ in self.refused)


def known(connection: sa.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Those of the messages that were carried out before."""
    return set(_KNOWN.scalars(connection, {"keys": keys}))


def carry_out(
    transaction: Transaction,
    own: programs.OwnPrograms,
    wanted: Sequence[Wanted],
    keys: Sequence[bytes],
    seconds: int,
    now: int,
) -> list[Outcome]:
    """Command what the bus wants, device by device: what is wrong with one does not touch the others.

    :param keys: of messages of which nothing is left to be done after that
    :param seconds: that a control lasts
    :return: what came of each, in their order
    """
    connection = transaction.connection
    numbers = _named(connection, [one.name for one in wanted])
    absent = set(devices.missing(connection, list(numbers.values()))) if numbers else set()
    present = [number for number in numbers.values() if number not in absent]
    wishes = {row.device: row for row in _WISHES.all(connection, {"devices": present})} if present else {}
    asked = [row.control for row in wishes.values() if row.control is not None]
    kept = _formers(connection, asked, now) if asked else {}
    goes_to = own_programs.of_devices(connection, present) if present else {}
    outcomes = []
    for one in wanted:
        number = numbers.get(one.name)
        if number is None or number in absent:
            what = "is no device" if number is None else "is not registered, or an aggregator"
            outcomes.append(Outcome(refused=[(Reason.DEVICE, f"{one.name} {what}")]))
            continue
        row = wishes.get(number)
        wish = _Wish(transaction, own, number, goes_to[number], row, kept, seconds, now)
        outcomes.append(wish.change(one))
    if keys:
        _remember(transaction, keys, now)
    return outcomes


def _named(connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
    """The numbers of devices by what the bus calls them; their own names may have an underscore."""
    asked = [*names, *(f"_{name}" for name in names)]
    found: dict[str, int] = {row.name: row.id for row in _NAMED.all(connection, {"names": asked})}
    return {
        name: found[called] for name in names if (called := name if name in found else f"_{name}") in found
    }


def _remember(transaction: Transaction, keys: Sequence[bytes], now: int) -> None:
    """Note that messages were carried out, and forget twice as many at most of the oldest."""
    connection = transaction.connection
    rows = [(key, now) for key in dict.fromkeys(keys)]
    _PUT_MESSAGE.execute_many(connection, rows)
    most = 2 * len(rows)
    gone = _OLDEST.scalars(connection, {"before": now - KNOWN_SECONDS, "most": most})
    if gone:
        connection.execute(sa.delete(bus_messages).where(bus_messages.c.key.in_(gone)))


def forget(transaction: Transaction, most: int = MOST_KNOWN) -> int:
    """Forget the oldest of too many messages, some of them at a time; how many."""
    connection = transaction.connection
    last = _MOST_RECENT.scalar(connection, {"most": most})
    if last is None:
        return 0
    gone = _OLDEST.scalars(connection, {"before": last + 1, "most": 1000})
    connection.execute(sa.delete(bus_messages).where(bus_messages.c.key.in_(gone)))
    return len(gone)


@frozen
class _Former:
    """A control of the bus that is in force.

    :param created: its creationTime
    :param modes: those of its modes that are; of one in another program none may be left
    """

    number: int
    program: int
    created: int
    modes: frozenset[str]


class _Wish:
    """What the bus wants of one device, and what of it is in force.

    :param program: that a control for the device by name goes to
    :param row: of ``_WISHES``, or None
    :param kept: the bus's controls by number
    """

    def __init__(
        self,
        transaction: Transaction,
        own: programs.OwnPrograms,
        device: int,
        program: int,
        row: Any,
        kept: Mapping[int, _Former],
        seconds: int,
        now: int,
    ) -> None:
        self._transaction = transaction
        self._own = own
        self._device = device
        self._program = program
        self._seconds = seconds
        self._now = now
        self._former: _Former | None = None
        self._held: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        self._outcome = Outcome()
        if row is not None:
            document = decode(row.body, r.DefaultDERControl, f"bus_wishes {device}")
            self._settings = {n: v for n, v in vars(document).items() if n in SETTINGS}
            former = kept.get(row.control)
            if former is not None:
                if former.program != program:
                    former = _without_taken(transaction.connection, former, program, now)
                self._former = former
                given = vars(document.DERControlBase)
                # What is no mode, a ramp, goes with the modes.
                self._held = {n: v for n, v in given.items() if n in former.modes or n not in MODE}

    def change(self, wanted: Wanted) -> Outcome:
        """Command what is to be different."""
        before = dict(self._held), dict(self._settings)
        number = None if self._former is None else self._former.number
        modes = {n: v for n, v in wanted.modes.items() if not same(self._held.get(n), v)}
        if modes:
            number = self._command(modes)
        elif wanted.modes:
            self._outcome.unchanged += 1
        if wanted.settings:
            self._set(wanted.settings)
        if (self._held, self._settings) != before:
            self._keep(number)
        return self._outcome

    # Modes.
    def _command(self, changes: Mapping[str, Any]) -> int | None:
        """Have a control of all modes in place of the former one; its number, if there is one."""
        former = self._former
        number = None if former is None else former.number
        base = _changed(self._held, changes)
        if (made := self._replaced(former, base)) is None:
            held, possible = self._possible(changes)
            base = _changed(held, possible)
            if base == held or (made := self._replaced(former, base)) is None:
                return number
        self._held = base if made else {}
        return made or None

    def _replaced(self, former: _Former | None, base: Mapping[str, Any]) -> int | None:
        """Put a control of these modes in the place of the former one.

        :return: its number, 0 where there is none any more; None: it cannot be
        """
        if not _has_modes(base):
            if former is None:
                return None
            self._cancel(former)
            return 0
        ends = former is not None and self._has_to_end(former, base)
        try:
            if ends:
                self._check(base)
            if not self._has_room():
                return None
            if former is not None and ends:
                self._cancel(former)
            # It begins in the second in which the former one ends, or in which its modes are taken.
            (place,), _ = commands.create(
                self._transaction,
                self._own,
                REPLY_TO,
                *self._commanded(base),
                self._now,
                PLATFORM,
                overlaps=False,
            )
        except Impossible:
            return None
        self._outcome.made += 1
        relief.relieve(self._transaction, self._program, self._now)
        return place.ids[1]

    def _possible(self, changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What can go on of what is in force, and those of the changes that the rules let through."""
        good = {name: value for name, value in changes.items() if value is None}
        if self._outcome.is_full:
            gone = good and not _has_modes(_changed(self._held, good))
            return self._held, good if gone else {}
        held = self._tenable()
        # A ramp goes with the modes that are left.
        for name in sorted((n for n in changes if n not in good), key=lambda n: n not in MODE):
            try:
                self._check(_changed(held, {**good, name: changes[name]}))
            except Impossible as error:
                self._outcome.refused.append((Reason.RULES, str(error)))
            else:
                good[name] = changes[name]
        return held, good

    def _tenable(self) -> dict[str, Any]:
        """What is in force and can go on by the rules of now: nothing else is to wait for what cannot."""
        held: dict[str, Any] = {}
        # A ramp goes with modes.
        for name, value in sorted(self._held.items(), key=lambda item: item[0] not in MODE):
            going_on = self._still_there(name, value)
            try:
                self._check({**held, name: going_on})
            except Impossible as error:
                self._outcome.refused.append((Reason.RULES, f"{name} cannot go on: {error}"))
            else:
                held[name] = going_on
        return held

    def _still_there(self, name: str, value: Any) -> Any:
        """A mode's value: of a curve that is gone from where it was found the copy of the former control."""
        connection, former = self._transaction.connection, self._former
        if not isinstance(value, r.DERCurveLink) or former is None:
            return value
        if program_contents.curve_at(connection, value.href) is not None:
            return value
        found = controls.get(connection, former.program, former.number, self._now)
        return value if found is None else getattr(found[0].DERControlBase, name)

    def _check(self, base: Mapping[str, Any]) -> None:
        """See that there can be a control of these modes.

        :raises Impossible: there cannot
        """
        if not _has_modes(base):
            raise Impossible([("/base/rampTms", "has no mode to go with")])
        connection = self._transaction.connection
        commands.preview(connection, self._own, *self._commanded(base), self._now, overlaps=False)

    def _commanded(self, base: Mapping[str, Any]) -> tuple[Target, Command]:
        command = Command(r.DERControlBase(**base), self._seconds, description=PLATFORM)
        return Target(devices=(self._device,)), command

    def _has_room(self) -> bool:
        live = controls.live(self._transaction.connection, self._program, self._now)
        if live < MOST_LIVE:
            return True
        why = f"program {self._program} has {live} controls that are not over"
        self._outcome.refused.append((Reason.FULL, why))
        return False

    def _has_to_end(self, former: _Former, base: Mapping[str, Any]) -> bool:
        """Whether the former control is not wholly superseded by one of these modes."""
        left = former.modes.difference(base)
        # One of before the clock was set back would win.
        return bool(left) or former.program != self._program or former.created > self._now

    def _cancel(self, former: _Former) -> None:
        commands.cancel(self._transaction, former.number, False, "taken back on the bus", self._now, PLATFORM)
        self._outcome.cancelled += 1

    # Settings.
    def _set(self, changes: Mapping[str, Any]) -> None:
        """Set the device's default: that of a program for it alone, or what its own program says ahead."""
        connection = self._transaction.connection
        alone = programs.owner_of(self._program) is not None
        if alone:
            before = own_programs.settings(connection, self._device)
        else:
            found = documents.get(connection, Place(_DEFAULT, (self._program,)))
            before = found if isinstance(found, r.DefaultDERControl) else None
        present = {} if before is None else vars(before)
        # What the bus did not set, or somebody else has set since then, it does not take away.
        self._settings = {name: value for name, value in self._settings.items() if present.get(name) == value}
        given = {
            name: value
            for name, value in changes.items()
            if (value is not None or name in self._settings) and present.get(name) != value
        }
        if not given:
            self._outcome.unchanged += 1
            return
        default = before or r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase())
        default = default.replace(**given)
        try:
            program_contents.check_default(connection, self._program, default)
            if alone:
                left = any(name in SETTINGS for name in vars(default))
                own_programs.set_settings(
                    self._transaction, self._device, default if left else None, self._now
                )
            else:
                program_contents.set_default(
                    self._transaction, self._own.issuer, self._program, default, self._now
                )
        except (Impossible, Conflict) as error:
            self._outcome.refused.append((Reason.RULES, str(error)))
            return
        href = programs.href(self._program)
        audit.record(
            self._transaction, self._now, PLATFORM, "set default", href, differences(before, default)
        )
        self._settings = _changed(self._settings, given)
        self._outcome.set += 1

    def _keep(self, number: int | None) -> None:
        """Keep what the bus wants; nothing, where it wants nothing any more."""
        connection = self._transaction.connection
        if not self._held and not self._settings:
            connection.execute(sa.delete(bus_wishes).where(bus_wishes.c.device == self._device))
            return
        wish = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(**self._held), **self._settings)
        values = {"device": self._device, "control": number, "body": codec.encode(wish)}
        _PUT_WISH.execute(connection, values)


def _has_modes(base: Mapping[str, Any]) -> bool:
    return any(name in MODE for name in base)


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def _formers(connection: sa.Connection, numbers: Sequence[int], now: int) -> dict[int, _Former]:
    """The controls that are in force, by their numbers; the others are left out."""
    rows = _FORMER.all(connection, {"numbers": numbers})
    contested = [row.id for row in rows if row.contested]
    known = (
        {one.number: one for one in controls.commanded_of(connection, contested, now)} if contested else {}
    )
    found: dict[int, _Former] = {}
    for row in rows:
        modes = frozenset(row.modes.split())
        if row.contested:
            modes = _in_force(connection, known[row.id], now)
        elif now >= row.latest or row.cancelled is not None:
            modes = frozenset()
        if modes:
            found[row.id] = _Former(row.id, row.program, row.creation_time, modes)
    return found


def _without_taken(connection: sa.Connection, former: _Former, program: int, now: int) -> _Former:
    """A control without what was commanded in another program since then, which goes on there."""
    taken: set[str] = set()
    for other in schedules.of(connection, [program], now)[program].all.values():
        if other.status.state is EventState.ACTIVE and other.event.created >= former.created:
            taken |= other.event.modes
    return evolve(former, modes=former.modes - taken)


def _in_force(connection: sa.Connection, kept: StoredControl, now: int) -> frozenset[str]:
    """The modes of a control that nobody ended or took, and nobody's later control took."""
    event = kept.event
    if kept.status.state is not EventState.ACTIVE or now >= event.latest or event.cancelled is not None:
        return frozenset()
    modes = event.modes
    for other in schedules.of(connection, [kept.program], now)[kept.program].all.values():
        one = other.event
        later = one.rank > event.rank and one.begins <= now
        if later and one.overlaps(event) and not one.closed <= one.due:
            modes -= one.modes
    return modes
