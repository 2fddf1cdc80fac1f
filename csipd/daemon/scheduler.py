"""Notifies of what the clock changes: events that begin and end, and what expires.

No status is kept here or anywhere: a GET computes it. What the scheduler adds is that others are notified of
a change when it happens. One timer is set to the next moment at which any event begins or ends; a LoopingCall
is its safety net, and the interval of ageing (decision 21). The moment up to which changes were notified is
kept in the database, so that after an hour's stop they are notified then, and by one of two processes only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.daemon.clockwatch import ClockWatch
from csipd.daemon.passes import Passes
from csipd.db import controls, declarations, facts, logevents, notifications, rates, retention
from csipd.db.audit import PLATFORM
from csipd.db.database import Database, Transaction
from csipd.der.metering import Metering
from csipd.der.retention import Retention
from csipd.refusals import Unavailable

#: Seconds between two ticks when nothing is due. A wall clock that was set is noticed by then.
TICK_SECONDS = 30
#: Of a clock that runs fast it is sooner, but not less than this (s).
_LEAST_TICK = 1.0
#: The same of sweeps.
_LEAST_SWEEP = 10.0
#: A timer is never set further ahead than this (s): the safety net looks before.
_LONGEST = 3600.0
#: Seconds by which the wall clock may be set ahead while csipd runs, and ages still be believed.
_TOO_FAR_AHEAD = 86_400.0
#: Seconds between two transactions that remove what is too old.
_PAUSE = 1.0
_TICK = "tick"
#: By whose pollRate log events are swept, and the fact of it.
_SWEPT = "LogEventList"
_SWEPT_AT = facts.rates(_SWEPT)
#: Events that a tick names in the log; of more it gives the number.
_NAMED = 50


def tick_seconds(speed: float) -> float:
    """Seconds between two ticks when nothing is due, while the wall clock runs at a speed."""
    return max(_LEAST_TICK, TICK_SECONDS / speed)


@frozen
class TickResult:
    """What a tick found.

    :param programs: how many programs had an event begin or end since the last tick
    :param next: the next moment at which one will; None: none is known
    """

    programs: int
    next: int | None


def tick(transaction: Transaction, now: int) -> TickResult:
    """Notify of what began and ended since the last tick, and move the mark.

    After a clock was set back, what was notified in the time that is to come again is notified once more:
    it is not yet so.
    """
    last = int(declarations.fact(transaction, _TICK, str(now)))
    # Of two processes that come here for the same time only the one that moves the mark notifies.
    if last != now and declarations.move_fact(transaction, _TICK, str(last), str(now)):
        programs = controls.changing(transaction.connection, min(last, now), max(last, now))
        if programs and last < now:
            _log_events(transaction, last, now)
    else:
        programs = []
    for program in programs:
        transaction.invalidate(facts.schedule(program))
    if last > now:
        notifications.clock_set_back(transaction, now)
    return TickResult(len(programs), controls.next_moment(transaction.connection, now))


def _log_events(transaction: Transaction, last: int, now: int) -> None:
    """A line for each event that began or ended, by the clock: what displaces it is not looked at.

    What the bus commands may come each second, for many devices: of that there is a line a minute.
    """
    passed = controls.passing(transaction.connection, last, now, _NAMED + 1)
    for number, program, modes, begins, who in passed[:_NAMED]:
        transaction.remark(
            "event",
            "event {href} {what}: {modes}",
            peer=_at_any_rate(who),
            href=f"/derp/{program}/derc/{number}",
            what="began" if begins else "ended",
            modes=modes.replace(" ", ", "),
        )
    if len(passed) > _NAMED:
        line = "more events began or ended: csipctl controls list shows them"
        transaction.remark("events", line, peer=_at_any_rate(*(who for *_, who in passed)))


def _at_any_rate(*whose: str | None) -> str:
    """Whose lines are to be counted, of those who command as often as they like."""
    return PLATFORM if PLATFORM in whose else ""


def last_tick(connection: sa.Connection) -> int | None:
    """When the last tick was (TimeType)."""
    moment = declarations.known_fact(connection, _TICK)
    return None if moment is None else int(moment)


class Scheduler(Service):
    """Ticks when something is due, sweeps at its rate.

    :param clock: for timers; monotonic
    :param wall: seconds since 1970: what events go by
    :param speed: how many of its seconds pass in one of the clock's: 1 but in a lab
    :param sweep_seconds: how often log events are aged and counted, where no operator has set a rate
        (log_event_list_poll_rate)
    :param log_events: how many are kept for each device
    :param retention: how long everything else is kept
    :param metering: after how long mirrors expire
    """

    name = "scheduler"
    _log = Logger()

    def __init__(
        self,
        database: Database,
        clock: Any,
        wall: Callable[[], float],
        *,
        speed: float = 1,
        sweep_seconds: int,
        log_events: int,
        retention: Retention,
        metering: Metering = Metering(),  # noqa: B008 - frozen
    ) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._speed = speed
        self._log_events = log_events
        self._retention = retention
        self._metering = metering
        self._ticks = self._loop(self._tick)
        self._sweeps = self._loop(self._sweep)
        self._configured = sweep_seconds
        self._sweep_seconds = self._interval(sweep_seconds)
        self._timer: IDelayedCall | None = None
        self._events = Passes(
            database,
            clock,
            wall,
            self._sweep_events,
            lambda found: found.following,
            pause=_PAUSE,
            failed=self._failed,
            found=self._swept,
        )
        self._removal = Passes(
            database,
            clock,
            wall,
            self._remove,
            lambda found: 0 if found.more else None,
            pause=_PAUSE,
            failed=self._failed,
            found=self._removed,
            may=self.ages_count,
        )
        self._watch = ClockWatch(lambda: clock.seconds() * speed, wall)
        # Seconds by which the wall clock was set ahead since the start.
        self._ahead = 0.0

    def startService(self) -> None:
        super().startService()
        self._ticks.start(tick_seconds(self._speed))
        self._sweeps.start(self._sweep_seconds, now=True)
        self._pace()

    def stopService(self) -> None:
        super().stopService()
        for loop in (self._ticks, self._sweeps):
            if loop.running:
                loop.stop()
        self._disarm()
        for passes in (self._events, self._removal):
            passes.stop()

    def changed(self, dropped: Sequence[str]) -> None:
        """Hear of facts that were dropped: a new control may be due before the timer."""
        if self.running and any(facts.kind_of(fact) is facts.controls for fact in dropped):
            self._arm(0)
        if self.running and _SWEPT_AT in dropped:
            self._pace()

    def _pace(self) -> None:
        """Sweep at the rate that counts now: operators may set it while csipd runs."""
        without = {_SWEPT: self._configured}
        rate = self._database.read(lambda connection: rates.poll_rate(connection, _SWEPT, without))
        rate.addCallback(self._paced).addErrback(self._failed)

    def _paced(self, rate: int) -> None:
        seconds = self._interval(rate)
        if seconds != self._sweep_seconds and self._sweeps.running:
            self._sweep_seconds = seconds
            self._sweeps.stop()
            self._sweeps.start(seconds, now=False)

    def _interval(self, rate: float) -> float:
        """Seconds of the clock between two sweeps."""
        return max(_LEAST_SWEEP, rate / self._speed) if self._speed > 1 else rate

    def ages_count(self) -> bool:
        """Whether what seems too old is so: while the wall clock is far ahead of where it was, all would."""
        self._notice_step()
        return self._ahead <= _TOO_FAR_AHEAD

    def _loop(self, work: Callable[[], Deferred[Any] | None]) -> LoopingCall:
        # A loop that fails once would never run again; one that is still at work is not started anew.
        loop = LoopingCall(lambda: maybeDeferred(work).addErrback(self._failed))
        loop.clock = self._clock
        return loop

    def _tick(self) -> Deferred[None]:
        self._notice_step()
        now = int(self._wall())
        return self._database.write(lambda transaction: tick(transaction, now)).addCallback(self._ticked)

    def _ticked(self, found: TickResult) -> None:
        if found.programs:
            self._log.debug("events began or ended in {programs} programs", programs=found.programs)
        if self.running and found.next is not None:
            # Events go by whole seconds: a timer that fires a little early would find nothing.
            self._arm(max(0.0, found.next - self._wall()) / self._speed + 0.01)

    def _notice_step(self) -> None:
        """Say that the wall clock was set: times that were shown are no longer what they were."""
        step = self._watch.step()
        self._ahead = max(0.0, self._ahead + (step or 0.0))
        if step is not None and step > 0:
            self._log.warn("the wall clock was set forward by {seconds:.1f} s", seconds=step)
        elif step is not None:
            self._log.warn(
                "the wall clock was set back by {seconds:.1f} s: controls made in the time that comes again "
                "are hidden from devices until then; operators see them and can cancel them",
                seconds=-step,
            )

    def _arm(self, delay: float) -> None:
        """Look again after so many seconds, or sooner if that was wanted before.

        A tick that comes back does not know of a control that was made while it was away.
        """
        delay = min(delay, _LONGEST)
        if self._timer is not None and self._timer.getTime() <= self._clock.seconds() + delay:
            return
        self._disarm()
        self._timer = self._clock.callLater(delay, self._due)

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _due(self) -> None:
        self._timer = None
        self._tick().addErrback(self._failed)

    def _sweep(self) -> None:
        self._events.begin()
        self._removal.begin()

    def _sweep_events(self, transaction: Transaction, now: int, after: int) -> logevents.SweepResult:
        return logevents.sweep(transaction, self._log_events, after)

    def _remove(self, transaction: Transaction, now: int, after: int) -> retention.Removed:
        return retention.sweep(transaction, self._retention, now, self._metering)

    def _removed(self, found: retention.Removed) -> None:
        if found.rows:
            what = ", ".join(f"{number} of {name}" for name, number in found.rows.items())
            self._log.info("removed what is older than it is kept: {what}", what=what)

    def _swept(self, found: logevents.SweepResult) -> None:
        if found.aged or found.classified:
            self._log.info(
                "log events: {kept} kept, {aged} aged out, {classified} taken up late, {open} alarms open",
                kept=found.kept,
                aged=found.aged,
                classified=found.classified,
                open=found.open,
            )

    def _failed(self, failure: Failure) -> None:
        # A database that cannot be used says so itself.
        if not failure.check(Unavailable):
            self._log.failure("the scheduler failed, and goes on", failure=failure)
