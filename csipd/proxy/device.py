"""The device's side of the proxy: a connection, the requests on it one after the other, and what is cut off.

One request of a connection is on its way at a time; what comes behind it waits in a bounded buffer, and then
in the kernel's. An answer is handed on whole. A device that does not take its answer is not read from, and it
holds up nobody else: how much waits for such devices is bounded over all of them.

    octets -> `framing.ordinary` -> the proxy's header lines in between -> `Lane.ask` -> `answered`

Deadlines cost nothing on the way: see `csipd.web.connection`.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.net.origin import host_of, origin_of
from csipd.net.phases import (
    ANSWER,
    CLOSE_SECONDS,
    CLOSING,
    DRAIN_BYTES,
    HANDSHAKE,
    IDLE,
    REQUEST,
    InPhases,
    Phase,
)
from csipd.net.quotas import Account
from csipd.net.tls_failures import log_failed_handshake
from csipd.proxy.context import ProxyContext
from csipd.proxy.framing import BadRequest, Request, RequestReader, ordinary
from csipd.proxy.lane import Asked, Lane
from csipd.proxy.turns import Turns
from csipd.web.answers import octets
from csipd.web.errors import fault

#: Octets of a body that each connection may hold; larger ones take room that all share.
_SMALL_BODY: Final = 4096
#: Seconds for which a request may wait here beyond the time that the server has for it.
_GRACE: Final = 10.0
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHandshakeListener, IPushProducer)
class DeviceConnection(InPhases, Protocol):
    """One connection of a device. It is known when the handshake is over, and nothing is read before that.

    :ivar deadline: by the proxy's clock, of what is waited for
    :ivar write_deadline: the same, of a peer that does not read
    """

    transport: Any
    _turns: Turns
    deadline: float
    write_deadline = float("inf")

    _log = Logger()
    _phase = HANDSHAKE
    _lfdi = ""
    # The header lines that say whose the requests are; none where the device's own key speaks for it.
    _own_lines = b""
    _reading: Lane | None = None
    _writing: Lane | None = None
    _reader: RequestReader | None = None
    _asked: Asked | None = None
    _request: Request | None = None
    _last = False
    _close_when_done = False
    _stopped_reading = False
    _does_not_read = False
    _held_up = 0
    _room = 0
    _sent = 0
    _said_continue = False
    _drained = 0
    _last_used: float | None = None

    def __init__(self, context: ProxyContext) -> None:
        self.context = context
        self.account: Account | None = None
        self._timeouts = context.timeouts

    # --- coming

    def connectionMade(self) -> None:
        self._enter(HANDSHAKE)
        self.context.connections.add(self, origin_of(self.transport.getPeer()))
        self.transport.registerProducer(self, True)

    def read_begins(self) -> None:
        """What is received from now on came with one read of the socket."""
        if self._phase is HANDSHAKE:
            self.context.connections.heard(self)

    def handshakeCompleted(self) -> None:
        """Learn who is there; called once, before any octet of HTTP is delivered."""
        context = self.context
        try:
            identity = context.identify(self.transport)
            spokesman = context.speaking.speak_for(self.transport, identity)
        except Exception:
            peer = self.transport.getPeer()
            context.peer_log.failure(
                self._log,
                host_of(peer),
                "not identified",
                "proxy: {host}: the caller behind a finished handshake could not be identified",
                origin=origin_of(peer),
                host=host_of(peer),
            )
            self._abort()
            return
        self._lfdi = identity.lfdi
        self._own_lines = spokesman.header_lines
        self._reading, self._writing = spokesman.reading, spokesman.writing
        self._turns = context.join(identity.lfdi)
        account = self.account = context.connections.handshake_finished(self, identity.lfdi)
        if not account.handshakes.spend(context.clock.seconds()):
            self._warn("more handshakes than its quota", "proxy: {peer}: {reason}, connection cut")
            self._abort()
            return
        self._enter(IDLE)
        if len(account.connections) > account.most_connections and context.connections.keep_to_quota(account):
            self._warn(
                "more connections than its quota", "proxy: {peer}: {reason}, the longest idle is closed"
            )

    # --- requests

    def dataReceived(self, data: bytes) -> None:
        if self._phase is IDLE and self._reader is None and not self._does_not_read:
            request = ordinary(data, self.context.bounds.uri)
            if request is not None:
                self._ask(request)
                return
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Take in what is not one ordinary request and no more."""
        if self._phase is CLOSING or (self._phase is ANSWER and self._last):
            self._drain(data)
            return
        if self._phase is HANDSHAKE:
            return
        reader = self._reader
        if reader is None:
            reader = self._reader = RequestReader(self.context.bounds, self.context.host)
        reader.feed(data)
        if self._phase is ANSWER or self._does_not_read:
            if reader.waiting > self.context.limits.pipelined_bytes:
                self._stop_reading()
        else:
            self._next()

    def _next(self) -> None:
        """Go on with what was received."""
        reader = self._reader
        if reader is None:
            return
        try:
            request = reader.next()
        except BadRequest as error:
            self._warn(
                f"not handed on: {error}",
                f"proxy: {{peer}}: a request is {{reason}}, answered {error.status}",
            )
            self._refuse(error.status, bodiless=reader.bodiless)
            return
        if request is not None:
            self._ask(request)
        elif not reader.has_begun:
            self._reader = None
            if self._phase is not IDLE:
                self._enter(IDLE)
        else:
            if self._phase is not REQUEST:
                self._enter(REQUEST)
            if not self._take_room(reader.expected_body):
                self._refuse(503, bodiless=reader.bodiless)
            elif reader.awaits_continue and not self._said_continue:
                self._said_continue = True
                self.transport.write(_CONTINUE)

    def _take_room(self, octets: int) -> bool:
        """Whether there is room for a body; a large one takes it from what all share."""
        if octets <= _SMALL_BODY or self._room:
            return True
        assert self.account is not None
        if not self.context.bodies.take(self.account, octets):
            self._warn("no room for its body", "proxy: {peer}: {reason}, answered 503")
            return False
        self._room = octets
        return True

    def _ask(self, request: Request) -> None:
        """Have a request answered."""
        context = self.context
        now = context.clock.seconds()
        self._phase = ANSWER
        seconds = context.limits.answer_seconds
        self.deadline = now + seconds + _GRACE
        self._said_continue = False
        self._last = request.last or self._close_when_done
        self._request = request
        lane = self._reading if request.repeatable else self._writing
        if lane is None:
            # Nobody can speak for it.
            self._refuse(403, bodiless=request.bodiless)
            return
        asked = self._asked = Asked(
            b"".join((request.line, self._own_lines, request.rest)),
            request.bodiless,
            request.repeatable,
            self,
            now + seconds,
        )
        self._turns.ask(lane, asked)

    # --- answers

    def answered(self, asked: Asked, status: int, octets: bytes) -> None:
        """Hand a whole answer on."""
        if asked is not self._asked:
            return
        context = self.context
        if context.log_requests:
            self._log_answer(status, len(octets))
        self._asked = None
        self._turns.done()
        if self._room:
            self._give_room_back()
        self._sent = len(octets)
        if self._last or self._close_when_done:
            line, end, rest = octets.partition(b"\r\n")
            self.transport.write(b"".join((line, end, b"Connection: close\r\n", rest)))
            self.loseConnection()
            return
        self._phase = IDLE
        self.deadline = context.clock.seconds() + context.limits.idle_seconds
        self.transport.write(octets)
        if self._reader is not None:
            self._go_on()

    def failed(self, asked: Asked, status: int) -> None:
        """Say that there is no answer."""
        if asked is self._asked:
            self.answered(asked, status, self._fault(status, bodiless=asked.bodiless))

    def _go_on(self) -> None:
        """Go on with what waits behind an answer, once the device takes it."""
        if self._does_not_read or self._phase is not IDLE:
            return
        if self._stopped_reading:
            self._stopped_reading = False
            self.transport.resumeProducing()
        self._next()

    def _refuse(self, status: int, *, bodiless: bool) -> None:
        """Answer what is not handed on, and close: where the next request begins is not known."""
        if self._phase is CLOSING:
            return
        self.transport.write(self._fault(status, bodiless=bodiless, last=True))
        self.loseConnection()

    def _fault(self, status: int, *, bodiless: bool = False, last: bool = False) -> bytes:
        return octets(fault(status), self.context.date(), bodiless=bodiless, last=last)

    def _log_answer(self, status: int, size: int) -> None:
        assert self._request is not None
        self._log.debug(
            "proxy: {lfdi} {method} {uri} {code} {size}",
            lfdi=self._lfdi,
            method=self._request.method.decode("ascii", "replace"),
            uri=self._request.target.decode("ascii", "replace"),
            code=status,
            size=size,
        )

    # --- what the transport says of the device's reading

    def pauseProducing(self) -> None:
        """The device does not take what was written: nothing more is asked for it until it does."""
        context = self.context
        self._does_not_read = True
        self.write_deadline = context.clock.seconds() + context.limits.drain_seconds
        self._held_up = self._sent
        if not context.hold_up(self._held_up):
            self._held_up = 0
            self._warn(
                "too much waits for it and others", "proxy: {peer}: {reason} to be read, connection cut"
            )
            self._abort()

    def resumeProducing(self) -> None:
        """The device has taken what was written."""
        self._does_not_read = False
        self.write_deadline = float("inf")
        self._let_go()
        if self._reader is not None:
            self._go_on()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self.loseConnection()

    def _let_go(self) -> None:
        held, self._held_up = self._held_up, 0
        if held:
            self.context.let_go(held)

    def _stop_reading(self) -> None:
        if not self._stopped_reading:
            self._stopped_reading = True
            self.transport.pauseProducing()

    # --- going

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        context = self.context
        if self._phase is HANDSHAKE:
            log_failed_handshake(context.peer_log, self._log, self.transport.getPeer(), reason)
        self._phase = CLOSING
        self._drop_asked()
        self._let_go()
        self._give_room_back()
        self._reader = self._request = None
        context.connections.remove(self)
        if self._lfdi:
            context.leave(self._lfdi)
        if self._writing is not None:
            context.speaking.done_with(self._writing)
        self._reading = self._writing = None

    def loseConnection(self) -> None:
        """Close when what was written is out, or when the peer has had its time to take it."""
        if self._phase is not CLOSING:
            self._enter(CLOSING)
            self._drop_asked()
            self._reader = None
            # TLS says no close_notify as long as there is somebody who might still write.
            self.transport.unregisterProducer()
            # The peer's close_notify has to be read, whatever reading waited for.
            self.transport.resumeProducing()
            self.transport.loseConnection()

    def make_room(self) -> None:
        """Close, and do not wait long for the peer: others wait for the place."""
        if self._phase is HANDSHAKE or self._phase is CLOSING:
            self._abort()
        else:
            self.loseConnection()
            self.deadline = self.context.clock.seconds() + CLOSE_SECONDS

    def close_when_done(self) -> None:
        """Close as soon as no request is in progress: now, or behind the answer."""
        if self._phase is ANSWER or self._phase is REQUEST:
            self._close_when_done = True
            return
        has_everything = self._phase is not CLOSING and self.write_deadline == float("inf")
        self.loseConnection()
        if has_everything:
            self.deadline = self.context.clock.seconds() + CLOSE_SECONDS

    def expire(self, now: float) -> None:
        """Give up on the peer if one of the two deadlines has passed."""
        if now < self.deadline and now < self.write_deadline:
            return
        if self._phase is IDLE and now < self.write_deadline:
            self.loseConnection()
        else:
            self._abort()

    def _abort(self) -> None:
        self._enter(CLOSING)
        self._drop_asked()
        self._reader = None
        self.transport.abortConnection()

    def _drop_asked(self) -> None:
        """Nobody waits for the answer any more: it is dropped when it comes."""
        asked, self._asked = self._asked, None
        if asked is not None:
            asked.asker = None
            self._turns.drop(asked)

    def _drain(self, data: bytes) -> None:
        """Drop what a peer sends behind the last request, and no more of it than DRAIN_BYTES."""
        self._drained += len(data)
        if self._drained > DRAIN_BYTES:
            self.transport.pauseProducing()
            if self._phase is CLOSING:
                # The answer still leaves; the peer's close_notify is not waited for.
                self.deadline = min(self.deadline, self.context.clock.seconds() + CLOSE_SECONDS)

    def _enter(self, phase: Phase) -> None:
        if phase is CLOSING:
            self._last_used = self.last_used
        self._phase = phase
        self.deadline = self.context.clock.seconds() + self._timeouts[phase]

    def _give_room_back(self) -> None:
        room, self._room = self._room, 0
        if room and self.account is not None:
            self.context.bodies.give_back(self.account, room)

    def _warn(self, reason: str, line: str) -> None:
        address = self.transport.getPeer()
        self.context.peer_log.warn(
            self._log,
            self._lfdi,
            reason,
            line,
            origin=origin_of(address),
            peer=f"{self._lfdi} at {host_of(address)}",
            reason=reason,
        )

    # --- what `Connections` asks

    @property
    def last_used(self) -> float | None:
        """When something last began or ended on it; None before its handshake is finished."""
        if self._phase is HANDSHAKE or self._phase is CLOSING:
            return self._last_used
        if self._phase is ANSWER:
            return self.deadline - self.context.limits.answer_seconds - _GRACE
        return self.deadline - self._timeouts[self._phase]
