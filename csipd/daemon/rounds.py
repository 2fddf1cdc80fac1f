"""Goes over the controls that run: what their devices deliver, in totals that are kept and in alarms.

A portion of devices is one read in the operators' lane, and a write only where an alarm changes; between two
portions there is a pause. So a control for a hundred thousand is gone over in some minutes and delays nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.db import delivery, delivery_rounds, delivery_time
from csipd.db.database import Database
from csipd.db.delivery_rounds import AlarmDue, Sums
from csipd.db.delivery_time import Control
from csipd.db.fair_queue import BULK, Kind, Share
from csipd.db.tree.context import Server
from csipd.refusals import Unavailable

#: Seconds from the end of a round to the next; of a lab's clock, so many of its own.
EVERY = 60.0
#: The same, at least, of the machine's.
_LEAST = 5.0
#: Devices of one portion, and seconds between two.
DEVICES, PAUSE = 50, 0.1
#: Controls of one round.
_CONTROLS = 1_000
_SHARE = Share(Kind.OPERATORS, "rounds")


@frozen
class _Portion:
    """What a portion of a control's devices came to.

    :param control: None: it is gone
    :param following: the device after which the rest begins; None: it came to all
    """

    control: Control | None
    sums: Mapping[str, Sums]
    changes: list[AlarmDue]
    final: bool
    following: int | None


class DeliveryRounds(Service):
    """Goes over controls, one after the other.

    :param clock: for timers; monotonic
    :param wall: seconds since 1970: what events go by
    :param server: how often devices post, and what it has of programs
    :param speed: how many of the wall clock's seconds pass in one of the clock's
    """

    name = "rounds"
    _log = Logger()

    def __init__(
        self,
        database: Database,
        clock: Any,
        wall: Callable[[], float],
        server: Server,
        *,
        speed: float = 1,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._server = server
        self._every = max(_LEAST, EVERY / speed)
        self._loop = LoopingCall(lambda: self.go_round().addErrback(self._failed))
        self._loop.clock = clock
        self._pause: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._loop.start(self._every, now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        if self._pause is not None:
            self._pause.cancel()

    @inlineCallbacks
    def go_round(self) -> Generator[Deferred[Any], Any, None]:
        """Go over all controls that are due."""
        now = int(self._wall())
        found = yield self._database.read(
            lambda connection: delivery_rounds.due(connection, now, _CONTROLS), _SHARE
        )
        for number in found:
            yield self._go_over(number)
            if not self.running:
                return

    @inlineCallbacks
    def _go_over(self, number: int) -> Generator[Deferred[Any], Any, None]:
        """Go over the devices of one control."""
        # All of them are judged by one moment.
        now = int(self._wall())
        after = 0
        sums: Mapping[str, Sums] = {}
        while True:
            found = yield self._database.read(self._portion(number, after, now, sums), _SHARE)
            control, sums = found.control, found.sums
            if control is None or not self.running:
                return
            if found.changes:
                yield self._database.write(
                    partial(delivery_rounds.change_alarms, changes=found.changes, control=control, now=now),
                    BULK,
                )
            if found.following is None:
                break
            after = found.following
            self._pause = deferLater(self._clock, PAUSE)
            self._pause.addErrback(lambda failure: None)  # the service stops
            yield self._pause
            if not self.running:
                return
        keep = partial(delivery_rounds.keep_totals, control=number, sums=sums, at=now, final=found.final)
        yield self._database.write(keep, BULK)

    def _portion(
        self, number: int, after: int, now: int, sums: Mapping[str, Sums]
    ) -> Callable[[Any], _Portion]:
        def read(connection: Any) -> _Portion:
            control = delivery_time.find(connection, number, now)
            if control is None:
                return _Portion(None, sums, [], False, None)
            final = delivery_rounds.is_final(control, self._server.metering, now)
            devices, following = delivery_time.addressed(connection, control, now, after, DEVICES)
            found = delivery.of_devices(connection, self._server, control, devices, now)
            changes = delivery_rounds.alarm_changes(connection, found, control, final=final)
            known = delivery_rounds.summed(found, sums or delivery_rounds.no_sums(control))
            return _Portion(control, known, changes, final, following)

        return read

    def _failed(self, failure: Failure) -> None:
        # A database that cannot be used says so itself.
        if not failure.check(Unavailable):
            self._log.failure("a round failed, and the next one goes on", failure=failure)
