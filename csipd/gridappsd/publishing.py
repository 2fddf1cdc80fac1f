"""Tells on the bus what devices report: each interval what has changed, and all of it once the bus is up.

What changed is known by the facts that commits drop, so a device's write costs nothing here but a number in a
set, and an interval costs what changed in it, however many devices there are. It is read in portions, in the
operators' lane; only the newest of each is told, since nothing in between is kept. Sets are bounded: beyond
that all devices are gone over, as they are when the bus comes up, since nobody knows what was heard before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.config.doors import Report
from csipd.db import bus_reports, facts
from csipd.db.bus_reports import ToldReading, ToldStatus
from csipd.db.columns import Unreadable
from csipd.db.database import Database
from csipd.db.fair_queue import Kind, Share
from csipd.gridappsd import reports
from csipd.gridappsd.bus import Bus
from csipd.gridappsd.reports import Value
from csipd.refusals import Unavailable
from csipd.sep2.measurements import DerForward

T = TypeVar("T")

#: Devices, or MeterReadings, of a portion and so of a message at most; and seconds between two.
PORTION, PAUSE = 100, 0.05
#: Numbers of what has changed that wait to be told.
MOST_CHANGED = 50_000
#: Devices, or MeterReadings, of which it is known what was told: of others all of it is told again.
MOST_TOLD = 20_000
_SHARE = Share(Kind.OPERATORS, "bus")
_READINGS = f"{facts.readings.name} "
_DER_STATUS = re.compile(r"document /edev/([0-9]+)/der/[0-9]+/ders")


@define(eq=False)
class _Feed(Generic[T]):
    """What is told of one kind of things that have numbers.

    :param after: numbers that follow one, so many of them
    :param read: what there is to tell of some
    :param tell: tells it; False: the bus did not take it
    :ivar changed: numbers of what has changed since it was told
    :ivar place: the number up to which all was told since the bus came up; None: all was
    """

    after: Callable[[sa.Connection, int, int], list[int]]
    read: Callable[[sa.Connection, Sequence[int]], list[T]]
    tell: Callable[[Sequence[T]], bool]
    changed: set[int] = field(factory=set)
    place: int | None = None

    def note(self, number: int) -> None:
        """Something has changed."""
        if len(self.changed) >= MOST_CHANGED:
            self.begin()
        self.changed.add(number)

    def begin(self) -> None:
        """Tell all of it anew."""
        self.changed.clear()
        self.place = 0

    def legible(self, connection: sa.Connection, numbers: Sequence[int]) -> tuple[list[T], list[int]]:
        """What there is to tell of some, and the numbers of those whose documents are damaged.

        Nobody else is told less because of these.
        """
        try:
            return self.read(connection, numbers), []
        except Unreadable:
            if len(numbers) == 1:
                return [], list(numbers)
        middle = len(numbers) // 2
        halves = [self.legible(connection, part) for part in (numbers[:middle], numbers[middle:])]
        return [one for found, _ in halves for one in found], [one for _, lost in halves for one in lost]

    def take(self) -> list[int]:
        """A portion of what has changed."""
        return [self.changed.pop() for _ in range(min(PORTION, len(self.changed)))]


class _Told(Generic[T]):
    """What was told last of some things that have numbers: the newest, so many of them."""

    def __init__(self) -> None:
        self._said: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._said)

    def get(self, number: int) -> T | None:
        return self._said.get(number)

    def keep(self, said: Mapping[int, T]) -> None:
        for number, what in said.items():
            self._said.pop(number, None)
            self._said[number] = what
        while len(self._said) > MOST_TOLD:
            del self._said[next(iter(self._said))]

    def clear(self) -> None:
        self._said.clear()


class Publisher(Service):
    """Tells what devices report.

    :param clock: for timers; monotonic
    :param wall: seconds since 1970
    :param topic: where it is told
    :param forms: which reports are told
    :param interval: seconds
    :param der_forward: what forward means at a DER's meter
    :param simulation_id: of the simulation that csipd takes part in, if it does
    :param name_of: a device's name in the platform's model, by its mRID; None: it has none
    :param new_mrid: makes the mRID of a message, a UUID
    """

    name = "bus-publisher"
    _log = Logger()

    def __init__(
        self,
        database: Database,
        bus: Bus,
        clock: Any,
        wall: Callable[[], float],
        *,
        topic: str,
        forms: Collection[Report],
        interval: float,
        der_forward: DerForward,
        simulation_id: str | None,
        name_of: Callable[[str], str | None],
        new_mrid: Callable[[], str],
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._wall = wall
        self._topic = topic
        self._forms = frozenset(forms)
        self._interval = interval
        self._simulation_id = simulation_id
        self._name_of = name_of
        self._new_mrid = new_mrid
        self._told: _Told[Mapping[str, Value]] = _Told()
        self._told_charges: _Told[tuple[Value, int]] = _Told()
        self._told_readings: _Told[tuple[object, ...]] = _Told()
        self._statuses: _Feed[ToldStatus] | None = None
        self._readings: _Feed[ToldReading] | None = None
        if self._forms & {Report.STATE_OF_CHARGE, Report.STATUS}:
            self._statuses = _Feed(bus_reports.devices_after, bus_reports.statuses, self._tell_statuses)
        if Report.ANALOG_VALUES in self._forms:
            self._readings = _Feed(
                bus_reports.meters_after,
                lambda connection, numbers: bus_reports.readings(connection, numbers, der_forward),
                self._tell_readings,
            )
        self._feeds: list[_Feed[Any]] = [
            feed for feed in (self._statuses, self._readings) if feed is not None
        ]
        self._loop = LoopingCall(lambda: self.publish().addErrback(self._failed))
        self._loop.clock = clock
        self._pause: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._loop.start(self._interval, now=False)
        self._bus.when_up(self._begin)

    def stopService(self) -> None:
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        if self._pause is not None:
            self._pause.cancel()

    def changed(self, dropped: Sequence[str]) -> None:
        """Take down what a commit changed, by the facts that it dropped."""
        for fact in dropped:
            if fact.startswith(_READINGS):
                if self._readings is not None:
                    self._readings.note(int(fact[len(_READINGS) :]))
            elif fact.endswith("/ders"):
                found = _DER_STATUS.fullmatch(fact)
                if found is not None and self._statuses is not None:
                    self._statuses.note(int(found[1]))
            elif fact == facts.EVERYTHING:
                self._begin()

    @inlineCallbacks
    def publish(self) -> Generator[Deferred[Any], Any, None]:
        """Tell what has changed, and go on telling what was there when the bus came up."""
        began = self._clock.seconds()
        for feed in self._feeds:
            # What changes meanwhile has its turn in the next interval.
            left = len(feed.changed)
            while left > 0 and self._is_up:
                numbers = feed.take()
                left -= len(numbers)
                if not numbers or not (yield self._tell(feed, numbers)):
                    break
                yield self._rest()
        for feed in self._feeds:
            while feed.place is not None and self._is_up:
                if not (yield self._go_on(feed)):
                    break
                yield self._rest()
                if self._clock.seconds() - began > self._interval / 2:
                    return

    @property
    def _is_up(self) -> bool:
        return bool(self.running) and self._bus.state.up_since is not None

    def _begin(self) -> None:
        for told in (self._told, self._told_charges, self._told_readings):
            told.clear()
        for feed in self._feeds:
            feed.begin()

    @inlineCallbacks
    def _tell(self, feed: _Feed[T], numbers: list[int]) -> Generator[Deferred[Any], Any, bool]:
        """Tell of some; False: it could not be, and is to be tried again."""
        try:
            found, lost = yield self._database.read(
                lambda connection: feed.legible(connection, numbers), _SHARE
            )
        except Exception:
            feed.changed.update(numbers)
            raise
        self._note_lost(lost)
        if not found or feed.tell(found):
            return True
        feed.changed.update(numbers)
        return False

    @inlineCallbacks
    def _go_on(self, feed: _Feed[T]) -> Generator[Deferred[Any], Any, bool]:
        """Tell the next portion of all of it; False: the bus did not take it."""
        place = feed.place
        assert place is not None

        def read(connection: sa.Connection) -> tuple[int | None, list[T], list[int]]:
            numbers = feed.after(connection, place, PORTION)
            if not numbers:
                return None, [], []
            return numbers[-1], *feed.legible(connection, numbers)

        following, found, lost = yield self._database.read(read, _SHARE)
        self._note_lost(lost)
        if found and not feed.tell(found):
            return False
        if feed.place == place:  # it was not begun anew meanwhile
            feed.place = following
        return True

    def _rest(self) -> Deferred[None]:
        self._pause = deferLater(self._clock, PAUSE)
        self._pause.addErrback(lambda failure: None)  # the service stops
        return self._pause

    def _note_lost(self, numbers: Sequence[int]) -> None:
        line = "what the device or meter {number} reported is damaged, and is not told"
        for number in numbers:
            self._bus.refuse("damaged reports", line, number=number)

    def _tell_statuses(self, found: Sequence[ToldStatus]) -> bool:
        if Report.STATE_OF_CHARGE in self._forms and not self._tell_charges(found):
            return False
        if Report.STATUS not in self._forms:
            return True
        values = {one.device: reports.status_values(one.status) for one in found}
        differences = [
            difference
            for one in found
            for difference in reports.differences(one.subject, values[one.device], self._told.get(one.device))
        ]
        if differences:
            message = reports.difference_message(
                differences,
                simulation_id=self._simulation_id,
                now=int(self._wall()),
                mrid=self._new_mrid(),
            )
            if not self._send(message):
                return False
        self._told.keep(values)
        return True

    def _tell_charges(self, found: Sequence[ToldStatus]) -> bool:
        values, said = {}, {}
        for one in found:
            value = reports.state_of_charge(one.subject, self._name(one.subject), one.status)
            if value is None:
                continue
            told = said[one.device] = value["value"], value["timeStamp"]
            # Another DER may have reported, or what was reported may say nothing else of this.
            if self._told_charges.get(one.device) != told:
                values[one.subject] = value
        if values and not self._send(values):
            return False
        self._told_charges.keep(said)
        return True

    def _tell_readings(self, found: Sequence[ToldReading]) -> bool:
        values, said = {}, {}
        for one in found:
            newest = one.newest
            series = newest.series
            said[series.meter_reading] = told = (
                series.number,
                one.description,
                newest.at,
                newest.value,
                newest.quality,
            )
            # An older one may have come after it.
            if self._told_readings.get(series.meter_reading) == told:
                continue
            assert newest.value is not None  # `bus_reports` leaves out those without
            value = reports.reading(
                one.subject,
                self._name(one.subject),
                newest.series.quantity,
                meter=newest.series.meter,
                mrid=one.mrid,
                href=one.href,
                description=one.description,
                at=newest.at,
                value=newest.value,
                quality=newest.quality,
            )
            values[value["mRID"]] = value
        if values and not self._send(values):
            return False
        self._told_readings.keep(said)
        return True

    def _name(self, subject: str) -> str:
        return self._name_of(subject) or subject

    def _send(self, message: Mapping[str, Any]) -> bool:
        return self._bus.send(self._topic, json.dumps(message).encode())

    def _failed(self, failure: Failure) -> None:
        # A database that cannot be used says so itself.
        if not failure.check(Unavailable):
            self._log.failure("what devices report was not told on the bus; it is tried again", failure)
