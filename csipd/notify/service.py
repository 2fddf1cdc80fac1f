"""The service that sends Notifications: woken by commits and by time, until nothing is pending.

What is pending stands in the store (`csipd.db.outbox`); here is only what is under way. So a stop or a crash
loses nothing: what was under way is sent again. A pass looks what there is to do, hands on a portion of what
has changed, and begins to serve receivers to whom something may be sent. Each is served in a lane of its own
(`lanes`), so that one that is slow, dead or hostile holds up itself. A body is made when it is sent and
dropped when that is over; lanes bound how many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.db import changes, facts
from csipd.db.notifications import Delivered, Failed, Outcome, Outgoing, Receiver, Refused, Settled
from csipd.net.peer_log import PeerLog
from csipd.notify.failures import Unanswered, Undelivered, Unreachable
from csipd.notify.lanes import Lane, Lanes
from csipd.notify.pace import NOTIFICATIONS, Pace
from csipd.notify.settling import PAUSE, Settling
from csipd.notify.store import Look, Report
from csipd.refusals import Unavailable

#: Seconds after which a pass is made though nothing woke the service.
LONGEST_SLEEP: Final = 30.0
#: A pass that looks is not made again within so many times what the last one took.
_LOOK_SHARE: Final = 4.0
#: Subscriptions of a receiver that are asked for at once.
PORTION: Final = 64
#: Seconds for which a subscription that csipd itself cannot handle is left alone; a bug must not spin.
ASIDE: Final = 300.0
_MOST_ASIDE: Final = 10_000
#: Seconds that what is under way has to end when the daemon stops.
STOP_SECONDS: Final = 5.0


class Store(Protocol):
    """What is asked of the store; `csipd.notify.store.OutboxStore`."""

    def begin(self) -> Deferred[None]: ...

    def look(self, busy: Collection[int], after: int) -> Deferred[Look]: ...

    def hand_on(self) -> Deferred[bool]: ...

    def due(self, receiver: int, most: int, busy: Collection[int]) -> Deferred[list[int]]: ...

    def prepare(self, subscription: int) -> Deferred[Outgoing | Settled]: ...

    def settle(self, report: Report) -> Deferred[None]: ...


class Poster(Protocol):
    """What sends one Notification; `csipd.notify.client.Client`."""

    def post(self, uri: str, lfdis: tuple[str, ...], body: bytes) -> Deferred[int]: ...

    def close(self) -> Deferred[None]: ...


class _Rest:
    """A time in which nothing is done.

    :param wakes: whether a wake ends it before
    """

    def __init__(self, clock: Any, seconds: float, *, wakes: bool) -> None:
        self.wakes = wakes
        self.over: Deferred[None] = Deferred()
        self._timer: IDelayedCall = clock.callLater(seconds, self.over.callback, None)

    def end(self) -> None:
        """End it before its time."""
        if self._timer.active():
            self._timer.cancel()
            self.over.callback(None)


class Deliverer(Service):
    """Sends what is pending.

    :param clock: for timers; monotonic
    :param peer_log: keeps the rate of lines: who subscribes says how many receivers there are that fail
    :param speed: how many seconds of devices' clock pass in one of the clock's: 1 but in a lab
    :param at_once: Notifications that are under way at once
    :param per_receiver: those of them to one receiver
    """

    name = "deliverer"
    _log = Logger()

    def __init__(
        self,
        store: Store,
        client: Poster,
        clock: Any,
        peer_log: PeerLog,
        *,
        speed: float,
        at_once: int,
        per_receiver: int,
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._peer_log = peer_log
        self._speed = speed
        self._lanes = Lanes(at_once, per_receiver)
        self._settling = Settling(store.settle, clock, lambda: self._lanes.under_way > 0)
        self._pace = Pace(clock, NOTIFICATIONS)
        # Receivers that wait for a lane, by whether they are known to work.
        self._backlog: dict[bool, deque[Receiver]] = {True: deque(), False: deque()}
        self._after = 0
        self._passes = 0
        self._aside: dict[int, float] = {}
        self._woken = False
        self._rest: _Rest | None = None
        self._idle: list[Deferred[None]] = []

    def startService(self) -> None:
        super().startService()
        ensureDeferred(self._run()).addErrback(
            lambda failure: self._log.failure("notifications are sent no more", failure=failure)
        )

    def stopService(self) -> Deferred[None]:
        """Begin nothing more, and let what is under way end, for a while."""
        super().stopService()
        for backlog in self._backlog.values():
            backlog.clear()
        self.wake()
        ended: Deferred[None] = Deferred()
        if self._lanes.receivers:
            self._idle.append(ended)
            ended.addTimeout(STOP_SECONDS, self._clock, lambda result, seconds: None)
        else:
            ended.callback(None)
        return ended.addCallback(self._stopped)

    def changed(self, dropped: Sequence[str]) -> None:
        """Hear of facts that were dropped: somebody may have to be told."""
        if self.running and not self._woken and any(map(_concerns_subscribers, dropped)):
            self.wake()

    def wake(self) -> None:
        """Have a pass made soon."""
        self._woken = True
        if self._rest is not None and (self._rest.wakes or not self.running):
            self._rest.end()

    def _stopped(self, _: object) -> Deferred[None]:
        self._settling.stop()
        return self._client.close()

    async def _run(self) -> None:
        begun = False
        while self.running:
            self._woken = False
            began = self._clock.seconds()
            try:
                if not begun:
                    await self._store.begin()
                    begun = True
                pause = await self._pass()
            except Unavailable:
                pause = PAUSE
            except Exception:
                self._log.failure("a pass over what is pending failed, and is made again")
                pause = LONGEST_SLEEP
            if not self.running:
                return
            # Whatever wakes it, looking takes a share of the time and no more.
            took = self._clock.seconds() - began
            if took > 0:
                await self._sleep(min(took * _LOOK_SHARE, 1.0), wakes=False)
            if not self._woken:
                await self._sleep(min(pause, LONGEST_SLEEP), wakes=True)

    async def _pass(self) -> float:
        """Do what there is to do; gives the seconds until there is more."""
        self._passes += 1
        look = await self._store.look(self._lanes.receivers, self._after)
        if not self.running:
            return 0.0
        for sure, backlog in self._backlog.items():
            backlog.clear()
            backlog.extend(receiver for receiver in look.receivers if self._lanes.works(receiver) is sure)
        self._serve_more()
        if look.waits:
            await self._store.hand_on()
            return 0.0
        if look.seconds is None:
            return LONGEST_SLEEP
        # What is due now and not served waits for a lane, whose end serves it, or was set aside.
        # What is due is by whole seconds: a timer that fires a little early would find nothing.
        return look.seconds / self._speed + 0.01 if look.seconds else LONGEST_SLEEP

    async def _sleep(self, seconds: float, *, wakes: bool) -> None:
        """Rest until the time has passed, or something wakes this."""
        if self.running:
            self._rest = rest = _Rest(self._clock, seconds, wakes=wakes)
            await rest.over
            self._rest = None

    def _serve_more(self) -> None:
        """Begin to serve receivers, as many as there are lanes for; those first that are known to work."""
        for sure in (True, False):
            backlog, held = self._backlog[sure], []
            while backlog and self._lanes.has_lane(sure=sure):
                receiver = backlog.popleft()
                if not sure and not self._lanes.may_try(receiver):
                    held.append(receiver)
                    continue
                lane = self._lanes.begin(receiver)
                if lane is not None:
                    self._after = receiver.number
                    ensureDeferred(self._serve(lane)).addErrback(self._not_served)
            backlog.extendleft(reversed(held))

    def _not_served(self, failure: Failure) -> None:
        self._log.failure("a receiver could not be served", failure=failure)

    async def _serve(self, lane: Lane) -> None:
        """Send what is pending for a receiver, until nothing is, it cannot be talked to, or others wait."""
        again = left = False
        passes = self._passes
        while self.running and lane.failure is None:
            passes = self._passes
            try:
                busy = lane.busy | self._set_aside()
                numbers = await self._store.due(lane.receiver.number, PORTION, busy)
            except Unavailable:
                break  # the store says so itself
            if not numbers and not lane.busy:
                break
            for number in numbers:
                while lane.failure is None and not self._lanes.has_room(lane):
                    await lane.one_ended()
                if lane.failure is not None or not self.running:
                    break
                self._begin(lane, number)
                again = True
            if self._is_waited_for(lane):
                left = len(numbers) == PORTION
                break
            if not numbers:
                await lane.one_ended()
        while lane.busy:
            await lane.one_ended()
        # What a pass has left to this lane, it may not have seen. What it did changes what is next.
        missed = passes != self._passes
        self._end(lane, again=again or missed, left=left or missed)

    def _begin(self, lane: Lane, subscription: int) -> None:
        self._lanes.start(lane, subscription)
        ensureDeferred(self._deliver(lane, subscription)).addBoth(self._delivered, lane, subscription)

    def _delivered(self, result: Any, lane: Lane, subscription: int) -> None:
        if isinstance(result, Failure) and not result.check(Unavailable):
            self._log.failure(
                "subscription {number} could not be handled, and is left alone for {seconds:g} s",
                failure=result,
                number=subscription,
                seconds=ASIDE,
            )
            if len(self._aside) < _MOST_ASIDE:
                self._aside[subscription] = self._clock.seconds() + ASIDE
        elif isinstance(result, Failure):
            lane.failure = lane.failure or "the store cannot be used"
        self._lanes.stop(lane, subscription)

    async def _deliver(self, lane: Lane, subscription: int) -> None:
        """Tell one subscription what it is to be told, and have written down what came of it."""
        await self._pace.turn()
        try:
            found = await self._store.prepare(subscription)
            sending = (
                succeed(found) if isinstance(found, Settled) else ensureDeferred(self._send(lane, found))
            )
        finally:
            self._pace.begun()
        outcome: Outcome | None = await sending
        if outcome is not None:
            self._lanes.answered(lane, subscription)
            await self._settling.settle(outcome)

    async def _send(self, lane: Lane, outgoing: Outgoing) -> Outcome | None:
        """Send a Notification; what came of it, but for what is the receiver's alone."""
        try:
            status = await self._client.post(outgoing.uri, outgoing.lfdis, outgoing.body)
        except Unreachable as error:
            if self._lanes.failed(lane, str(error)):
                self._peer_log.info(
                    self._log,
                    lane.receiver.host,
                    "notifications fail",
                    "notifications to {host} port {port} fail: {why}",
                    origin="receivers of notifications",
                    host=lane.receiver.host,
                    port=lane.receiver.port,
                    why=str(error),
                )
                await self._settling.receiver_failed(lane.receiver.number, str(error))
            return Failed(outgoing, str(error)) if isinstance(error, Unanswered) else None
        except Undelivered as error:
            return Failed(outgoing, str(error))
        if self._lanes.worked(lane):
            self._settling.receiver_worked(lane.receiver.number)
        match status // 100:
            case 2:
                # What was sent is not kept until that is written down.
                return Delivered(evolve(outgoing, body=b""))
            case 4:
                return Refused(outgoing, status)
        return Failed(outgoing, f"answered with status {status}")

    def _is_waited_for(self, lane: Lane) -> bool:
        """Whether a receiver waits that could be served if this one were not."""
        if self._backlog[True]:
            return True
        return bool(self._backlog[False]) and (not lane.sure or self._lanes.full)

    def _end(self, lane: Lane, *, again: bool, left: bool) -> None:
        """Serve a receiver no more.

        :param again: whether there may be something to do that no pass has seen
        :param left: whether that may be for this receiver: it does not wait for those that nobody knows
        """
        self._lanes.end(lane)
        waited = any(self._backlog.values())
        self._serve_more()
        if not self._lanes.receivers:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)
        none_waits = not any(self._backlog.values())
        if ((again or waited) and none_waits) or (left and not self._backlog[True]):
            self.wake()

    def _set_aside(self) -> set[int]:
        now = self._clock.seconds()
        self._aside = {number: until for number, until in self._aside.items() if until > now}
        return set(self._aside)


def _concerns_subscribers(fact: str) -> bool:
    """Whether a subscription may hang on a fact, or it is one itself."""
    return changes.is_watchable(fact) or (fact.startswith(_DOCUMENTS) and "/sub/" in fact)


_DOCUMENTS = facts.document("/edev/")
