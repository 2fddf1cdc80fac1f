"""Carries out the difference messages that come in from the bus.

What comes is read at once, told apart from what was carried out before, and gathered by device: of each mode
the newest value counts, and a second after the first of them the device gets one control of them all. Some
dozens of devices share a transaction, in a share of the database's time that is behind the devices' own. So
however many messages come, what waits is bounded by devices and modes (decision 72).

A message is acknowledged to nobody: a topic has no redelivery. What was committed is whole, though: a message
is known from the transaction on in which the last of it was carried out (`csipd.db.bus`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from typing import Any, Final

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import Logger

from csipd.db import bus as store
from csipd.db.bus import Outcome, Reason, Wanted
from csipd.db.columns import Unreadable
from csipd.db.database import Database
from csipd.db.fair_queue import BULK, BUS
from csipd.db.tree.context import Server
from csipd.gridappsd.bus import Bus, Message
from csipd.gridappsd.differences import BadMessage, DifferenceMessage, Fault, read
from csipd.gridappsd.meaning import Attribute, Meaningless, attribute_of, value_of
from csipd.gridappsd.topics import Topics
from csipd.refusals import Unavailable

#: Seconds in which differences of a device become one control.
WINDOW: Final = 1.0
#: Seconds in which messages are gathered to be told apart from known ones.
GATHERED: Final = 0.1
#: Devices of one transaction at most. Of fewer that are due a part is taken at a time, and the rest goes on
#: after a pause (s), so that no GET waits for many of them.
TOGETHER: Final = 50
_LEAST: Final = 4
_PARTS: Final = 10
PAUSE: Final = 0.02
#: Devices that may wait for one, and messages whose end is awaited: others are carried out, but not known.
MOST_DEVICES: Final = 20_000
MOST_OPEN: Final = 50_000
#: Differences that may wait to be told apart, and messages that are looked up together.
MOST_ARRIVED: Final = 50_000
_LOOKED_UP: Final = 500
#: Differences that are judged before the reactor looks at everything else.
_JUDGED: Final = 32
#: Messages that are known without a look into the store: those of the last moments.
MOST_RECENT: Final = 20_000
#: Seconds until what found no room, or no database, is tried again; between two looks for too many messages.
HELD_BACK: Final = 10.0
RETRY: Final = 1.0
FORGET: Final = 60.0

_FAULTS: Final = {Reason.DEVICE: Fault.DEVICE, Reason.RULES: Fault.RULES, Reason.FULL: Fault.FULL}


@define(eq=False)
class _Open:
    """A message that is not carried out yet.

    :param left: devices of it that wait
    """

    key: bytes
    left: int = 0


@define(eq=False)
class _Pending:
    """What is to be commanded of a device.

    :param due: when (monotonic, s)
    :param values: of each attribute the newest that it can have; None: what was commanded ends
    :param messages: that have a part in it
    """

    due: float
    values: dict[Attribute, Any] = field(factory=dict)
    messages: set[_Open] = field(factory=set)


class Commanding(Service):
    """Carries out difference messages.

    :param clock: for timers; monotonic
    :param wall: seconds since 1970: what events go by
    :param topics: where messages come in
    :param control_seconds: that a control lasts
    """

    name = "commanding"
    _log = Logger()

    def __init__(
        self,
        bus: Bus,
        database: Database,
        clock: Any,
        wall: Callable[[], float],
        server: Server,
        topics: Topics,
        control_seconds: int,
    ) -> None:
        self._bus = bus
        self._database = database
        self._clock = clock
        self._wall = wall
        self._server = server
        self._topics = topics
        self._seconds = control_seconds
        self._recent: dict[bytes, None] = {}
        self._arrived: list[tuple[float, DifferenceMessage]] = []
        self._waiting_differences = 0
        self._open = 0
        self._pending: dict[str, _Pending] = {}
        self._held: dict[str, _Pending] = {}
        self._judged = 0
        self._alone = 0
        self._looking = False
        self._working = False
        self._rest_until = 0.0
        self._timers: dict[str, Any] = {}
        self._idle: list[Deferred[None]] = []

    def startService(self) -> None:
        super().startService()
        for destination in self._topics.inputs:
            self._bus.subscribe(destination, self.received)
        self._later("forget", FORGET, self._forget)

    def stopService(self) -> Deferred[None]:
        """Carry out what waits, as far as the database takes it."""
        super().stopService()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        done: Deferred[None] = Deferred()
        self._idle.append(done)
        self._go_on()
        return done

    # What comes in.
    def received(self, message: Message) -> None:
        """Take a message."""
        if not self.running:
            return
        counts = self._bus.state.commanded
        try:
            found = read(message.body, self._topics.simulation)
        except BadMessage as bad:
            self._refuse(bad.fault, str(bad))
            return
        counts["messages"] += 1
        counts["echoes"] += found.echoes
        for fault, (number, why) in found.refused.items():
            self._refuse(fault, why, number)
        if found.key in self._recent:
            counts["repeated"] += 1
            return
        if not found.differences:
            return
        if self._waiting_differences + len(found.differences) > MOST_ARRIVED:
            self._refuse(Fault.FULL, f"{self._waiting_differences} differences wait", len(found.differences))
            return
        if len(self._recent) >= MOST_RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[found.key] = None
        self._waiting_differences += len(found.differences)
        self._arrived.append((self._clock.seconds(), found))
        self._go_on()

    def _refuse(self, fault: Fault, why: str, number: int = 1) -> None:
        """Count what is refused; the bus has a line of each kind logged once a minute."""
        self._bus.refuse(fault.value, "{why}", why=why)
        self._bus.state.refused[fault.value] += number - 1

    def _go_on(self) -> None:
        """See that whatever waits has its turn in time."""
        if self._arrived and not self._looking:
            if self.running:
                # What stood still is caught up with.
                backlog = len(self._arrived) >= _LOOKED_UP
                self._later("look up", 0.0 if backlog else GATHERED, self._look_up)
            else:
                self._look_up()
        if self._pending and not self._working:
            if self.running:
                first = next(iter(self._pending.values()))
                due = max(first.due, self._rest_until)
                self._later("carry out", due - self._clock.seconds(), self._carry_out)
            else:
                self._carry_out()
        if not (self.running or self._looking or self._working):
            idle, self._idle = self._idle, []
            for done in idle:
                done.callback(None)

    def _later(self, name: str, delay: float, call: Callable[[], Any]) -> None:
        """Call something later, unless it is to be called already."""
        if name not in self._timers and self.running:

            def due() -> None:
                del self._timers[name]
                call()

            self._timers[name] = self._clock.callLater(max(0.0, delay), due)

    # Messages that are known.
    @inlineCallbacks
    def _look_up(self) -> Generator[Deferred[Any], Any, None]:
        """Tell messages apart from those that were carried out before."""
        if self._looking or not self._arrived:
            return
        self._looking = True
        batch, self._arrived = self._arrived[:_LOOKED_UP], self._arrived[_LOOKED_UP:]
        keys = [message.key for _, message in batch]
        again = False
        try:
            known = yield self._database.read(partial(store.known, keys=keys), BUS)
            for at, message in batch:
                if message.key in known:
                    self._bus.state.commanded["repeated"] += 1
                else:
                    yield from self._gather(message, at)
        except Unavailable:
            self._arrived = batch + self._arrived
            again = True
        except Exception:
            self._log.failure("messages of the bus could not be looked up")
        if not again:
            self._waiting_differences -= sum(len(message.differences) for _, message in batch)
        self._looking = False
        self._settled(again, "look up", self._look_up)

    def _settled(self, again: bool, name: str, call: Callable[[], Any]) -> None:
        """Go on after the database answered; after a while, where it could not be used."""
        if not again:
            self._go_on()
        elif self.running:
            self._later(name, RETRY, call)
            self._go_on()
        else:
            # The server stops, and nothing can be written: what waits is lost, as if it had come now.
            self._arrived, self._pending = [], {}
            self._go_on()

    def _gather(self, message: DifferenceMessage, at: float) -> Generator[Deferred[Any], Any, None]:
        """Have what a message says of each device carried out.

        What has no meaning is refused here: it takes nothing from what was said of the attribute before.
        """
        meant: dict[str, dict[Attribute, Any]] = {}
        for difference in message.differences:
            try:
                attribute = attribute_of(difference.attribute)
                value = value_of(attribute, difference.value)
            except Meaningless as error:
                self._refuse(error.fault, f"{difference.object}: {error}")
            else:
                meant.setdefault(difference.object, {})[attribute] = value
            self._judged += 1
            if not self._judged % _JUDGED and self.running:
                yield deferLater(self._clock, 0.0)
        opened = _Open(message.key) if self._open < MOST_OPEN else None
        for name, values in meant.items():
            pending = self._pending.get(name)
            if pending is None:
                if len(self._pending) >= MOST_DEVICES:
                    self._refuse(Fault.FULL, f"{MOST_DEVICES} devices wait", len(values))
                    continue
                pending = self._pending[name] = _Pending(at + WINDOW)
            pending.values.update(values)
            self._drop_held(name, values)
            if opened is not None:
                pending.messages.add(opened)
                opened.left += 1
        if opened is not None and opened.left:
            self._open += 1

    # Commands.
    @inlineCallbacks
    def _carry_out(self) -> Generator[Deferred[Any], Any, None]:
        """Command some of the devices that are due."""
        batch = self._due()
        if self._working or not batch:
            self._go_on()
            return
        self._working = True
        wanted = [_wanted(name, one) for name, one in batch.items()]
        parts = Counter(opened for one in batch.values() for opened in one.messages)
        ended = [opened for opened, number in parts.items() if opened.left == number]
        work = partial(
            store.carry_out,
            own=self._server.own,
            wanted=wanted,
            keys=[opened.key for opened in ended],
            seconds=self._seconds,
            now=int(self._wall()),
        )
        again = False
        try:
            outcomes = yield self._database.write(work, BUS)
        except Exception as error:
            if isinstance(error, Unavailable) and not isinstance(error, Unreadable):
                self._put_back(batch)
                again = True
            elif len(batch) > 1:
                # Nobody else is to lose by what is wrong with one: each is tried by itself.
                self._put_back(batch)
                self._alone = len(batch)
            else:
                self._close(parts, ended)
                self._note_failed(next(iter(batch)), error)
        else:
            self._close(parts, ended)
            self._count(batch, outcomes)
        self._working = False
        self._rest_until = self._clock.seconds() + PAUSE
        self._settled(again, "carry out", self._carry_out)

    def _due(self) -> dict[str, _Pending]:
        """Take those out that are due; all, when the server stops."""
        now = self._clock.seconds()
        batch: dict[str, _Pending] = {}
        if self._working:
            return batch
        most = min(TOGETHER, max(_LEAST, len(self._pending) // _PARTS)) if self.running else TOGETHER
        if self._alone:
            self._alone -= 1
            most = 1
        for name, one in self._pending.items():
            if len(batch) >= most or (self.running and one.due > now):
                break
            batch[name] = one
        for name in batch:
            del self._pending[name]
        return batch

    def _put_back(self, batch: Mapping[str, _Pending]) -> None:
        """Have devices wait again, before the others; what came meanwhile counts."""
        for name, one in batch.items():
            newer = self._pending.pop(name, None)
            if newer is not None:
                self._merge(one, newer)
        self._pending = {**batch, **self._pending}

    def _merge(self, older: _Pending, newer: _Pending) -> None:
        older.values.update(newer.values)
        for opened in older.messages & newer.messages:
            opened.left -= 1
        older.messages |= newer.messages

    def _close(self, parts: Mapping[_Open, int], ended: Iterable[_Open]) -> None:
        for opened, number in parts.items():
            opened.left -= number
        self._open -= len(list(ended))

    def _count(self, batch: Mapping[str, _Pending], outcomes: Iterable[Outcome]) -> None:
        """Count what came of commands, and hold those back for which there was no room."""
        counts = self._bus.state.commanded
        for (name, one), outcome in zip(batch.items(), outcomes, strict=True):
            counts["controls"] += outcome.made
            counts["cancelled"] += outcome.cancelled
            counts["defaults"] += outcome.set
            counts["unchanged"] += outcome.unchanged
            for reason, why in outcome.refused:
                if reason is not Reason.FULL:
                    self._refuse(_FAULTS[reason], f"{name}: {why}" if reason is Reason.RULES else why)
            if outcome.is_full:
                self._hold_back(name, one)

    def _note_failed(self, name: str, error: Exception) -> None:
        """Count a device for which nothing could be done; a defect of csipd's own says where it is."""
        self._bus.refuse("commands that failed", "{name}: {error}", name=name, error=str(error)[:200])
        if not isinstance(error, Unreadable):
            self._log.failure("what the bus commands could not be carried out")

    def _hold_back(self, name: str, one: _Pending) -> None:
        """Try a device again in a while: what its message says is carried out late rather than never."""
        if not self.running:
            return
        self._bus.state.commanded["held back"] += 1
        older = self._held.get(name)
        self._held[name] = _Pending(0.0, one.values if older is None else {**older.values, **one.values})
        newer = self._pending.get(name)
        if newer is not None:
            self._drop_held(name, newer.values)
        self._later("held back", HELD_BACK, self._release)

    def _drop_held(self, name: str, newer: Mapping[Attribute, Any]) -> None:
        """Forget what was held back of attributes of which something newer was said."""
        held = self._held.get(name)
        if held is not None:
            held.values = {key: value for key, value in held.values.items() if key not in newer}
            if not held.values:
                del self._held[name]

    def _release(self) -> None:
        held, self._held = self._held, {}
        now = self._clock.seconds()
        for name, one in held.items():
            newer = self._pending.get(name)
            if newer is not None:
                newer.values.update(one.values)
            elif len(self._pending) < MOST_DEVICES:
                one.due = now + WINDOW
                self._pending[name] = one
            else:
                self._refuse(Fault.FULL, f"{MOST_DEVICES} devices wait")
        self._go_on()

    # Messages that were known for long enough.
    def _forget(self) -> None:
        """Keep the number of known messages within its bound."""

        def done(number: int) -> None:
            self._later("forget", RETRY if number else FORGET, self._forget)

        def failed(failure: Any) -> None:
            if not failure.check(Unavailable):
                self._log.failure("known messages could not be forgotten", failure=failure)
            self._later("forget", FORGET, self._forget)

        self._database.write(store.forget, BULK).addCallbacks(done, failed)


def _wanted(name: str, one: _Pending) -> Wanted:
    """What is to be different about a device."""
    modes = {attribute.name: value for attribute, value in one.values.items() if not attribute.is_setting}
    settings = {attribute.name: value for attribute, value in one.values.items() if attribute.is_setting}
    return Wanted(name, modes, settings)
