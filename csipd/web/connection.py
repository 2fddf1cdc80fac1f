"""A connection of the HTTPS server as such: who is there, what is waited for, and what is cut off.

It knows its caller from the handshake on, holds every wait to a deadline and every buffer to a size. What is
asked on it and how that is answered is for the classes made of it: `twisted_channel.TwistedChannel` by
Twisted's parser, `channel.Channel` in front of it.

Deadlines cost nothing on the way: a connection notes the moment of its next deadline, and one timer of the
site looks at all of them once a second. (A timer of its own for each would have to be moved twice a request,
and Twisted's reactor moves timers in time proportional to their number.)
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
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
    timeouts,
)
from csipd.refusals import Refusal
from csipd.web.peer import Peer
from csipd.web.sitecontext import SiteContext


@implementer(IHandshakeListener)
class Connection(InPhases, http.HTTPChannel):
    """One connection. `peer` is known when the handshake is over, and nothing is read before that."""

    # The interfaces that Twisted declares are narrower than what is connected here.
    site: Any
    factory: Any
    transport: Any
    requestFactory: Any
    timeOut = None
    peer: Peer
    #: Deadlines, by the site's clock: of what is waited for, and of a peer that does not read.
    deadline: float
    write_deadline = float("inf")
    # When it was last used, once it is closing; until then that follows from the deadline.
    _last_used: float | None = None

    _log = Logger()
    _phase = HANDSHAKE
    # The request in progress: its method and target, for the log, and since when it counts as one of a row.
    _method = b""
    _target = b""
    _answered_in_a_row = 0
    _close_when_done = False
    _drained = 0
    # A request waits until the store has said who sends it.
    _looking_up = False

    def __init__(self, site: Any, context: SiteContext) -> None:
        super().__init__()
        self.site = self.factory = site
        self.context = context
        self.requestFactory = site.requestFactory
        self._timeouts = timeouts(context.limits)

    def connectionMade(self) -> None:
        self._enter(HANDSHAKE)
        self.context.connections.add(self, origin_of(self.transport.getPeer()))
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """Learn who is there; called once, before any byte of HTTP is delivered."""
        peer = self.transport.getPeer()
        try:
            identity = self.context.identify(self.transport)
        except Exception:
            self.context.peer_log.failure(
                self._log,
                host_of(peer),
                "not identified",
                "{host}: the caller behind a finished handshake could not be identified",
                origin=origin_of(peer),
                host=host_of(peer),
            )
            self._abort()
            return
        context = self.context
        account = context.connections.handshake_finished(self, identity.lfdi)
        self.peer = Peer(identity, account, peer, context.peer_log, context.contacts)
        if context.proxies is not None and identity.fingerprint in context.proxies.fingerprints:
            context.proxies.adopt(self)
        if not account.handshakes.spend(context.clock.seconds()):
            self.peer.over_handshake_rate()
            self._abort()
            return
        self._enter(IDLE)
        if len(account.connections) > account.most_connections:
            self._keep_to_quota()

    def _keep_to_quota(self) -> None:
        """Have the caller's longest idle connections closed, once it is known how many it may have."""

        account = self.peer.account

        def close(_: object) -> None:
            if self.context.connections.keep_to_quota(account):
                self.peer.made_room()

        look_up = self.context.look_up
        if account.info is None and look_up is not None:
            found = look_up(self.peer.identity).addCallback(account.learn)
            found.addErrback(lambda failure: failure.trap(Refusal)).addCallback(close)
        else:
            close(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._phase is HANDSHAKE:
            self.context.handshake_failed(self.transport.getPeer(), reason)
        elif self.context.contacts is not None and self.last_used is not None:
            self.context.contacts.closed(self.peer.identity.lfdi, self)
        self._phase = CLOSING
        self.context.connections.remove(self)
        super().connectionLost(reason)
        # Nobody reads it any more, and it is not left to the garbage collector to notice.
        self.clearLineBuffer()
        self._dataBuffer = []

    @property
    def last_used(self) -> float | None:
        """When a request last began or ended, or the handshake; None before that is finished.

        Each phase has a deadline that is set when it begins, and so does each answer of the fast path.
        """
        if self._phase is HANDSHAKE or self._phase is CLOSING:
            return self._last_used
        return self.deadline - self._timeouts[self._phase]

    def make_room(self) -> None:
        """Close, and do not wait long for the peer: others wait for the place."""
        if self._phase is HANDSHAKE or self._phase is CLOSING:
            self._abort()
        else:
            self.loseConnection()
            self.deadline = self.context.clock.seconds() + CLOSE_SECONDS

    def loseConnection(self) -> None:
        """Close when what was written is out, or when the peer has had its time to take it."""
        if self._phase is not CLOSING:
            self._enter(CLOSING)
            self.clearLineBuffer()
            # The peer's close_notify has to be read, whatever reading waited for.
            self._networkProducer.resumeProducing()
            super().loseConnection()

    def close_when_done(self) -> None:
        """Close as soon as no request is in progress: now, or behind the answer.

        An idle peer is not waited for as long as elsewhere: one that looks at its socket only when it has
        something to ask never closes, and would hold up the end of the server.
        """
        if self._phase is ANSWER or self._phase is REQUEST:
            self._close_when_done = True
            # Twisted's parser takes in no request at all once this is so; until one begins there it is kept
            # to itself that this will be the last.
            if self._phase is ANSWER or self.requests:
                self.persistent = False
            return
        has_everything = self._phase is not CLOSING and self.write_deadline == float("inf")
        self.loseConnection()
        if has_everything:
            self.deadline = self.context.clock.seconds() + CLOSE_SECONDS

    def expire(self, now: float) -> None:
        """Give up on the peer if one of the two deadlines has passed."""
        if now < self.deadline and now < self.write_deadline:
            return
        phase = self._phase
        if phase is ANSWER and now >= self.deadline:
            self.peer.warn(
                self._log,
                "no answer in time",
                "{peer}: no answer to {method} {uri} in {seconds} s, connection cut",
                method=self._method.decode("ascii", "replace"),
                uri=self._target.decode("ascii", "replace"),
                seconds=self.context.limits.answer_seconds,
            )
        if phase is IDLE and now < self.write_deadline:
            self.loseConnection()
        else:
            self._abort()

    def _abort(self) -> None:
        self._enter(CLOSING)
        self.clearLineBuffer()
        self.transport.abortConnection()

    def _enter(self, phase: Phase) -> None:
        if phase is CLOSING:
            self._last_used = self.last_used
        self._phase = phase
        self.deadline = self.context.clock.seconds() + self._timeouts[phase]

    def pauseProducing(self) -> None:
        self.write_deadline = self.context.clock.seconds() + self.context.limits.drain_seconds
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.write_deadline = float("inf")
        super().resumeProducing()
        if self._looking_up:
            self._networkProducer.pauseProducing()
        elif self.paused:
            self._go_on_reading()

    def _stop_reading(self) -> None:
        """Take nothing more in: neither from the socket nor from what came of it already."""
        self.paused = True
        self._networkProducer.pauseProducing()

    def _go_on_reading(self) -> None:
        self.paused = False
        if self._buffer:
            self.dataReceived(b"")

    def _drain(self, data: bytes) -> None:
        """Drop what a peer sends behind the last request, and no more of it than DRAIN_BYTES."""
        self._drained += len(data)
        if self._drained > DRAIN_BYTES:
            self._networkProducer.pauseProducing()
            if self._phase is CLOSING:
                # The answer still leaves; the peer's close_notify is not waited for.
                self.deadline = min(self.deadline, self.context.clock.seconds() + CLOSE_SECONDS)
