"""A connection to a broker: a STOMP session on a Twisted transport.

A broker may send as fast as it likes: what has been read is worked through in slices, between which the
reactor looks at everything else, and no more is read than is worked through. Above a pace that no honest bus
needs reading pauses, so that the octets wait in the broker. In the other direction the session keeps what the
transport does not take, up to the bound that whoever sends keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.stomp.session import Confirmed, Connected, Received, Session, SessionError

#: Events that are handled before the reactor looks at everything else, and for how long (s).
_SLICE: Final = 16
_SLICE_SECONDS: Final = 0.001
#: What is taken in a second, on average: messages, octets; and the seconds of it that may come at once.
_EVENTS_PER_SECOND: Final = 2_000.0
_OCTETS_PER_SECOND: Final = 8_000_000.0
_BURST_SECONDS: Final = 1.0
#: Pauses are no shorter than that (s).
_SHORTEST_PAUSE: Final = 0.05
#: How long a broker may take nothing of what it is sent (s), and how long it has to end the connection.
_STALLED_SECONDS: Final = 30.0
_END_SECONDS: Final = 2.0


class User(Protocol):
    """Who uses a connection, and hears what comes of it."""

    def connected(self) -> None:
        """The broker has taken us in."""

    def received(self, message: Received) -> None:
        """A message has come."""

    def confirmed(self, receipt: str) -> None:
        """The broker has confirmed something."""

    def lost(self, kind: str, reason: str) -> None:
        """The connection is of no more use, which is said once: why, in few words and in more."""


@implementer(IPushProducer)
class Connection(TwistedProtocol):
    """One connection.

    :param make_session: from the moment of the connection
    :param clock: for timers
    :param user: who hears what comes of it
    """

    def __init__(self, make_session: Callable[[float], Session], clock: IReactorTime, user: User) -> None:
        self._make_session = make_session
        self._clock = clock
        self._user = user
        self._session: Session | None = None
        self._over = False
        self._ending: str | None = None
        self._reading = True
        self._writing = True
        self._timer: IDelayedCall | None = None
        self._work: IDelayedCall | None = None
        self._stall: IDelayedCall | None = None
        self._pace = _Pace(self._clock.seconds())

    @property
    def session(self) -> Session:
        """The session of a connection that is made; `flush` sends what it is told to."""
        assert self._session is not None
        return self._session

    def flush(self) -> None:
        """Send what the session has to send, and see to its timers."""
        if self._over:
            return
        if self._writing:
            output = self.session.take_output(self._clock.seconds())
            if output:
                self._transport.write(output)
        self._arm()

    def end(self) -> None:
        """Close the connection as soon as the broker has taken what was sent, or else soon."""
        if self._over or self._ending is not None:
            return
        if self._session is None or not self._session.is_connected:
            self._fail("ended", "the connection was not needed any more")
            return
        self._ending = self._session.disconnect(self._clock.seconds())
        self.flush()
        self._set_stall(_END_SECONDS, "ended", "the broker did not end the connection")

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._transport = transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpKeepAlive(True)
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self._session = self._make_session(self._clock.seconds())
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        now = self._clock.seconds()
        self.session.feed(data, now)
        self._pace.spend(now, octets=len(data))
        if self._work is None:
            self._work_through()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's
        self._fail("lost", _why(reason))

    def pauseProducing(self) -> None:
        self._writing = False
        if self._stall is None:
            self._set_stall(_STALLED_SECONDS, "stalled", "the broker takes nothing of what it is sent")

    def resumeProducing(self) -> None:
        self._writing = True
        if self._stall is not None and self._ending is None:
            self._stall.cancel()
            self._stall = None
        self.flush()

    def stopProducing(self) -> None:
        self._writing = False

    def _work_through(self) -> None:
        """Handle the next of what was read, then read on, or come back to it."""
        self._work = None
        begun = self._clock.seconds()
        try:
            events = self._handle_slice(begun)
        except SessionError as error:
            self._fail(error.kind, str(error))
            return
        if self._over:
            return
        now = self._clock.seconds()
        self._pace.spend(now, events=events or 0)
        pause = self._pace.pause(now)
        if events is None and not pause:
            self._read(True)
        else:
            self._read(False)
            self._work = self._clock.callLater(pause, self._work_through)
        self.flush()

    def _handle_slice(self, begun: float) -> int | None:
        """How many events were handled; None: all there were."""
        for number in range(_SLICE):
            now = self._clock.seconds()
            if number and now - begun > _SLICE_SECONDS:
                return number
            event = self.session.next_event(now)
            if event is None:
                self._pace.spend(now, events=number)
                return None
            self._handle(event)
            if self._over:
                return number
        return _SLICE

    def _handle(self, event: Connected | Received | Confirmed) -> None:
        if self._ending is not None:
            if isinstance(event, Confirmed) and event.receipt == self._ending:
                self._fail("ended", "the connection was not needed any more", in_order=True)
        elif isinstance(event, Received):
            self._user.received(event)
        elif isinstance(event, Confirmed):
            self._user.confirmed(event.receipt)
        else:
            self._user.connected()

    def _read(self, on: bool) -> None:
        if on != self._reading:
            self._reading = on
            (self._transport.resumeProducing if on else self._transport.pauseProducing)()

    def _arm(self) -> None:
        """Have the timer go off no later than the session wants."""
        due = self.session.next_timer()
        if self._timer is not None and self._timer.active():
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        if due != float("inf"):
            self._timer = self._clock.callLater(max(due - self._clock.seconds(), 0), self._tick)

    def _tick(self) -> None:
        try:
            self.session.tick(self._clock.seconds())
        except SessionError as error:
            self._fail(error.kind, str(error))
        else:
            self.flush()

    def _set_stall(self, seconds: float, kind: str, reason: str) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = self._clock.callLater(seconds, self._fail, kind, reason)

    def _fail(self, kind: str, reason: str, *, in_order: bool = False) -> None:
        """Have done with the connection.

        :param in_order: whether both sides know that nothing more comes
        """
        if self._over:
            return
        self._over = True
        for call in (self._timer, self._work, self._stall):
            if call is not None and call.active():
                call.cancel()
        if self._session is not None:
            self._transport.unregisterProducer()
            if in_order:
                self._transport.loseConnection()
            else:
                self._transport.abortConnection()
        self._user.lost(kind, reason)


class _Pace:
    """How much is taken on average; what is taken is paid for in seconds."""

    def __init__(self, now: float) -> None:
        self._paid_at = now

    def spend(self, now: float, *, events: int = 0, octets: int = 0) -> None:
        cost = events / _EVENTS_PER_SECOND + octets / _OCTETS_PER_SECOND
        self._paid_at = max(self._paid_at, now) + cost

    def pause(self, now: float) -> float:
        """For how long no more is to be taken (s)."""
        over = self._paid_at - now - _BURST_SECONDS
        return max(over, _SHORTEST_PAUSE) if over > 0 else 0.0


def _why(reason: Failure) -> str:
    if reason.check(ConnectionDone):
        return "the broker has closed the connection"
    if reason.check(ConnectionLost):
        return "the connection was lost"
    if reason.check("csipd.gridappsd.broker_tls.AnotherName"):
        return "the broker's certificate is refused: it is of another name than gridappsd.address"
    if reason.check("OpenSSL.SSL.Error"):
        # A list of (library, function, reason).
        error: Any = reason.value
        said = ", ".join(str(one[-1]) for one in error.args[0]) if error.args else ""
        return f"TLS failed: {said[:200] or 'the broker ended it'}"
    return f"the connection was lost: {reason.getErrorMessage()[:200]}"
