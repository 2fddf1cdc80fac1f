"""A connection of the HTTPS server: who is there, what may be asked, and what is cut off.

Twisted's `HTTPChannel` parses; the channel here decides. It knows its caller from the handshake on, refuses
malformed requests with an ``Error`` document before anything is routed, holds every wait to a deadline and
every buffer to a size, and lets a cached answer out by a fast path that does without the parser.

Deadlines cost nothing on the way: a channel notes the moment of its next deadline, and one timer of the site
looks at all of them once a second. (A timer of its own for each channel would have to be moved twice a
request, and Twisted's reactor moves timers in time proportional to their number.)

Requests of one connection are answered one after the other: while one is in progress what follows it
waits in a bounded buffer, which is how pipelined requests keep their order. The bounds belong to the
connection, whichever way its requests are answered: how much waits to be read by the peer, how many answers
leave for one read of the socket, how many requests its caller may make.

A body is read for callers on a list only. Before the first one the store is asked who that is, and reading
stops until it has answered. The request of anybody else goes on without its body, to be refused with what
the resource says; what the peer still sends is dropped, and the connection closes.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers
from zope.interface import implementer

from csipd.net.limits import ConnectionLimits
from csipd.net.origin import host_of, origin_of
from csipd.net.quotas import CallerInfo
from csipd.refusals import Refusal
from csipd.web.answers import octets
from csipd.web.peer import Peer
from csipd.web.sitecontext import FastPath, SiteContext


class Phase(IntEnum):
    """What a channel waits for; the index of its deadline in `timeouts`."""

    HANDSHAKE = 0
    IDLE = 1
    REQUEST = 2
    ANSWER = 3
    CLOSING = 4


# Compared at every step of every request, which an attribute of the enumeration would slow down.
_HANDSHAKE, _IDLE, _REQUEST, _ANSWER, _CLOSING = Phase


def timeouts(limits: ConnectionLimits) -> tuple[float, ...]:
    """For how many seconds a channel stays in each phase."""
    return (
        limits.handshake_seconds,
        limits.idle_seconds,
        limits.request_seconds,
        limits.answer_seconds,
        limits.drain_seconds,
    )


_END_OF_HEAD = b"\r\n\r\n"
# A head longer than this is worth the ordinary way; it also bounds what the fast path keeps as keys.
_FAST_HEAD_BYTES = 1024
# Headers that say more than "give me this and stay": such a request goes the ordinary way.
_NOT_PLAIN = re.compile(
    rb"\n(?:content-length|transfer-encoding|expect|connection:[^\r\n]*close)", re.IGNORECASE
)
_ABSOLUTE_FORM = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_HTTP_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
_HOST = re.compile(rb"[\w.~%!$&'()*+,;=:\[\]-]*", re.ASCII)
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
# How long a peer that has all that it asked for is waited for to close, where others wait for its place.
_CLOSE_SECONDS = 1.0
# What is taken in of a body that is not wanted, so that its sender gets to read the answer.
_DRAIN_BYTES = 64 * 1024
# Beyond this many digits a Content-Length is no number that anybody could mean.
_LENGTH_DIGITS = 18


@implementer(IHandshakeListener)
class Channel(http.HTTPChannel):
    """One connection. `peer` is known when the handshake is over, and nothing is read before that.

    `plain_head` is, while a request is being taken in, its whole head if that is all there was and it is fit
    for the fast path: what the application may put its answer under.
    """

    # The interfaces that Twisted declares are narrower than what is connected here.
    site: Any
    factory: Any
    transport: Any
    requestFactory: Any
    timeOut = None
    peer: Peer
    plain_head: bytes | None = None
    #: Deadlines, by the site's clock: of what is waited for, and of a peer that does not read.
    deadline: float
    write_deadline = float("inf")
    # When it was last used, once it is closing; until then that follows from the deadline.
    _last_used: float | None = None

    _log = Logger()
    _phase = _HANDSHAKE
    _in_head = False
    _head_size = 0
    _method = b""
    _target = b""
    _is_1_0 = False
    _answered_in_a_row = 0
    _reads_are_announced = False
    _close_when_done = False
    _unsent_head = b""
    _drained = 0
    # A client that waits for 100 Continue before it sends its body, and a request that waits for `look_up`.
    _expects_continue = False
    _looking_up = False

    def __init__(self, site: Any, context: SiteContext) -> None:
        super().__init__()
        limits = context.limits
        self.site = self.factory = site
        self.context = context
        self.requestFactory = site.requestFactory
        self._timeouts = timeouts(limits)
        self.MAX_LENGTH = limits.head_bytes
        # Twisted's own bounds on a head only have to be out of the way of the one kept here.
        self.totalHeadersSize = limits.head_bytes
        self.maxHeaders = limits.header_lines
        self._optimisticEagerReadSize = limits.pipelined_bytes
        self.body_room = limits.body_bytes

    # --- the connection

    def connectionMade(self) -> None:
        self._enter(_HANDSHAKE)
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
        if not account.handshakes.spend(context.clock.seconds()):
            self.peer.over_handshake_rate()
            self._abort()
            return
        self._enter(_IDLE)
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
        if self._phase is _HANDSHAKE:
            self.context.handshake_failed(self.transport.getPeer(), reason)
        elif self.context.contacts is not None and self.last_used is not None:
            self.context.contacts.closed(self.peer.identity.lfdi, self)
        self._phase = _CLOSING
        self.context.connections.remove(self)
        super().connectionLost(reason)
        # Nobody reads it any more, and it is not left to the garbage collector to notice.
        self.clearLineBuffer()
        self._dataBuffer = []
        self._unsent_head = b""
        self._transferDecoder = None

    @property
    def idle_since(self) -> float | None:
        """A number that is the smaller the longer the connection has been idle; None: it is at work."""
        return self.deadline if self._phase is _IDLE else None

    @property
    def host(self) -> str:
        """The address of the peer."""
        return host_of(self.transport.getPeer())

    @property
    def last_used(self) -> float | None:
        """When a request last began or ended, or the handshake; None before that is finished.

        Each phase has a deadline that is set when it begins, and so does each answer of the fast path.
        """
        if self._phase is _HANDSHAKE or self._phase is _CLOSING:
            return self._last_used
        return self.deadline - self._timeouts[self._phase]

    def make_room(self) -> None:
        """Close, and do not wait long for the peer: others wait for the place."""
        if self._phase is _HANDSHAKE or self._phase is _CLOSING:
            self._abort()
        else:
            self.loseConnection()
            self.deadline = self.context.clock.seconds() + _CLOSE_SECONDS

    def loseConnection(self) -> None:
        """Close when what was written is out, or when the peer has had its time to take it."""
        if self._phase is not _CLOSING:
            self._enter(_CLOSING)
            self.clearLineBuffer()
            # The peer's close_notify has to be read, whatever reading waited for.
            self._networkProducer.resumeProducing()
            super().loseConnection()

    def close_when_done(self) -> None:
        """Close as soon as no request is in progress: now, or behind the answer.

        An idle peer is not waited for as long as elsewhere: one that looks at its socket only when it has
        something to ask never closes, and would hold up the end of the server.
        """
        if self._phase is _ANSWER or self._phase is _REQUEST:
            self._close_when_done = True
            self.persistent = False
            return
        has_everything = self._phase is not _CLOSING and self.write_deadline == float("inf")
        self.loseConnection()
        if has_everything:
            self.deadline = self.context.clock.seconds() + _CLOSE_SECONDS

    def expire(self, now: float) -> None:
        """Give up on the peer if one of the two deadlines has passed."""
        if now < self.deadline and now < self.write_deadline:
            return
        phase = self._phase
        if phase is _ANSWER and now >= self.deadline:
            self.peer.warn(
                self._log,
                "no answer in time",
                "{peer}: no answer to {method} {uri} in {seconds} s, connection cut",
                method=self._method.decode("ascii", "replace"),
                uri=self._target.decode("ascii", "replace"),
                seconds=self.context.limits.answer_seconds,
            )
        if phase is _IDLE and now < self.write_deadline:
            self.loseConnection()
        else:
            self._abort()

    def _abort(self) -> None:
        self._enter(_CLOSING)
        self.clearLineBuffer()
        self.transport.abortConnection()

    def _enter(self, phase: Phase) -> None:
        if phase is _CLOSING:
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

    # --- requests

    def read_begins(self) -> None:
        """What is received from now on came with one read of the socket: called by the transport, if it can.

        TLS delivers such a read in as many pieces as the peer made records of it.
        """
        self._reads_are_announced = True
        if self._phase is _IDLE:
            self._answered_in_a_row = 0

    def dataReceived(self, data: bytes) -> None:
        if self._phase is _IDLE:
            if self._waitingForTransport:
                # The peer does not read: there is no answer to it, by whichever way, until it does.
                self._buffer += data
                self.paused = True
                return
            # Nothing is in progress and nothing waits in a buffer.
            if not self._reads_are_announced:
                self._answered_in_a_row = 0
            context = self.context
            if context.fast_path is not None and _is_plain_get(data):
                # The last of a row goes the ordinary way, which closes behind it.
                if self._answered_in_a_row + 1 < context.limits.pipelined_requests:
                    answer = self._from_fast_path(context.fast_path, data)
                    if answer is not None:
                        now = context.clock.seconds()
                        self._answered_in_a_row += 1
                        self.deadline = now + context.limits.idle_seconds
                        self.transport.write(
                            answer if self.peer.account.requests.spend(now) else self._too_many_requests()
                        )
                        return
                self.plain_head = data
            self._enter(_REQUEST)
        elif self._phase is _CLOSING:
            self._drain(data)
            return
        elif self._phase is _HANDSHAKE:
            return
        super().dataReceived(data)
        self.plain_head = None
        if self._phase is _IDLE and self._buffer:
            self._enter(_REQUEST)

    def _too_many_requests(self) -> bytes:
        """The answer to a GET beyond the caller's quota."""
        self.peer.too_many_requests()
        return octets(self.context.fault(http.SERVICE_UNAVAILABLE), self.context.date())

    def _drain(self, data: bytes) -> None:
        """Drop what a peer sends behind the last request, and no more of it than _DRAIN_BYTES."""
        self._drained += len(data)
        if self._drained > _DRAIN_BYTES:
            self._networkProducer.pauseProducing()
            if self._phase is _CLOSING:
                # The answer still leaves; the peer's close_notify is not waited for.
                self.deadline = min(self.deadline, self.context.clock.seconds() + _CLOSE_SECONDS)

    def _from_fast_path(self, fast_path: FastPath, head: bytes) -> bytes | None:
        try:
            return fast_path(self.peer.identity, head)
        except Exception:
            self.context.peer_log.failure(
                self._log,
                self.peer.identity.lfdi,
                "the fast path failed",
                "the fast path failed; the request goes the ordinary way",
            )
            return None

    def lineReceived(self, line: bytes) -> None:
        if self._phase is _CLOSING:
            return
        if self._phase is _IDLE:
            self._enter(_REQUEST)
        self._head_size += len(line) + 2
        if self._head_size > self.context.limits.head_bytes:
            self._head_too_large()
        elif self._in_head:
            self._header_line(line)
        elif line:
            self._request_line(line)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._head_too_large()

    def _head_too_large(self) -> None:
        # 400, not 431: the standard's clients know no 431, and would take it for a 400 anyway.
        self.refuse(http.BAD_REQUEST if self._in_head else http.REQUEST_URI_TOO_LONG)

    def _request_line(self, line: bytes) -> None:
        self._method, *rest = line.split(b" ")
        if len(rest) != 2:
            self.refuse(http.BAD_REQUEST)
            return
        target, version = rest
        if version not in _VERSIONS:
            known = _HTTP_VERSION.fullmatch(version)
            self.refuse(http.HTTP_VERSION_NOT_SUPPORTED if known else http.BAD_REQUEST)
            return
        absolute = _ABSOLUTE_FORM.match(target)
        if absolute:
            target = target[absolute.end() :]
            if not target.startswith(b"/"):
                target = b"/" + target
        if len(target) > self.context.limits.uri_bytes:
            self.refuse(http.REQUEST_URI_TOO_LONG)
        elif not _TARGET.fullmatch(target):
            self.refuse(http.BAD_REQUEST)
        else:
            self._target = target
            self._is_1_0 = version == b"HTTP/1.0"
            self._in_head = True
            super().lineReceived(b" ".join((self._method, target, version)))

    def _header_line(self, line: bytes) -> None:
        if not line:
            self._in_head = False
            self._head_size = 0
        elif line[0] in b" \t":
            # A folded header: deprecated, and read differently by different parsers.
            self.refuse(http.BAD_REQUEST)
            return
        super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and len(value.strip()) > _LENGTH_DIGITS:
            self.refuse(http.BAD_REQUEST)
        # A line that was refused must not be followed by another one that is not.
        accepted: bool = self._phase is not _CLOSING and super().headerReceived(line)
        return accepted

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        status = self._fault_of_head(request.requestHeaders)
        if status is not None:
            self.refuse(status)
            return
        super().allHeadersReceived()
        if not self.persistent:
            # The fast path's answers leave a connection open.
            request.head = None
        if self.length == 0:
            return
        if self.length is not None and self.length > self.body_room:
            self.withhold_body(request)
        elif self._is_stranger() and self.context.look_up is not None:
            self._looking_up = True
            look_up = self.context.look_up(self.peer.identity)
            look_up.addCallbacks(self._looked_up, self._not_looked_up, (request,), errbackArgs=(request,))
            if self._looking_up:
                self._stop_reading()
        else:
            self._ask_for_body()

    def _is_stranger(self) -> bool:
        """Whether the caller is on no list, as far as is known."""
        return self.peer.account.info is None or not self.peer.account.info.listed

    def _looked_up(self, info: CallerInfo, request: Any) -> None:
        self.peer.account.learn(info)
        self._decide_on_body(request, wanted=info.listed)

    def _not_looked_up(self, failure: Failure, request: Any) -> None:
        failure.trap(Refusal)
        # Why it cannot be known is what the application will find, too, and answer with.
        self._decide_on_body(request, wanted=False)

    def _decide_on_body(self, request: Any, *, wanted: bool) -> None:
        at_once = not self.paused
        self._looking_up = False
        if self._phase is _CLOSING:
            return
        if wanted:
            self._ask_for_body()
        else:
            self.withhold_body(request)
        if at_once:
            return
        if wanted:
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()
                self._go_on_reading()
        else:
            self.paused = False
            self.allContentReceived()
            if self._buffer:
                self.dataReceived(b"")

    def withhold_body(self, request: Any) -> None:
        """Let a request go on without its body: its sender may not send one, or not one so large.

        The application is asked all the same, because what it says of the resource comes first (decision 35).
        """
        request.body_withheld = True
        self.persistent = False
        self._transferDecoder = None
        # To Twisted's parser this is a request without a body, which has ended.
        self.length = 0

    def body_too_large(self, request: Any) -> None:
        """More of a body came than there is room for, and its length was not known before."""
        self.withhold_body(request)
        self.allContentReceived()

    def _send100Continue(self) -> None:
        self._expects_continue = True

    def _ask_for_body(self) -> None:
        """Send 100 Continue to a client that waits for it."""
        if self._expects_continue:
            self._expects_continue = False
            super()._send100Continue()

    def _fault_of_head(self, headers: Headers) -> int | None:
        """The status that a head is refused with as a whole; else `body_room` is how much may follow it."""
        hosts = headers.getRawHeaders(b"Host", ())
        if len(hosts) > 1 or (not hosts and not self._is_1_0):
            return http.BAD_REQUEST
        if hosts and not _HOST.fullmatch(hosts[0]):
            return http.BAD_REQUEST
        codings = headers.getRawHeaders(b"Transfer-Encoding")
        if codings is not None:
            # Two answers to "where does the body end?" are how requests are smuggled (RFC 9112 6.1), and
            # "identity" is no answer: it is gone from HTTP (RFC 9112 7.2).
            chunked = len(codings) == 1 and codings[0].lower() == b"chunked"
            if not chunked or headers.hasHeader(b"Content-Length") or self._is_1_0:
                return http.BAD_REQUEST
        self.body_room = self.context.room_for_body(self._method, self._target)
        return None

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether another request may follow; if not, the answer will say so."""
        self._answered_in_a_row += 1
        tokens = b",".join(request.requestHeaders.getRawHeaders(b"Connection", ())).lower()
        return (
            version == b"HTTP/1.1"
            and b"close" not in re.split(rb"[ \t,]+", tokens)
            and self._answered_in_a_row < self.context.limits.pipelined_requests
            and not self._close_when_done
        )

    def rawDataReceived(self, data: bytes) -> None:
        if self._phase is _CLOSING or (self._phase is _ANSWER and not self.persistent):
            # Nothing that stands behind the last request is looked at.
            self._drain(data)
        else:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        # A decoder that was given up in the middle of a body still comes to its end.
        if self._phase is _REQUEST:
            self._enter(_ANSWER)
            super().allContentReceived()

    # --- answers

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Hold the head of an answer until its body comes, so that the two leave in one piece."""
        lines = [b" ".join((version, code, reason))]
        lines += [name + b": " + value for name, values in headers.getAllRawHeaders() for value in values]
        self._unsent_head = b"\r\n".join(lines) + _END_OF_HEAD

    def write(self, data: bytes) -> None:
        if self._unsent_head:
            data, self._unsent_head = self._unsent_head + data, b""
        self.transport.write(data)

    def requestDone(self, request: Any) -> None:
        if self._unsent_head:
            self.write(b"")
        self._method = b""
        if self._phase is _ANSWER and self.persistent:
            self._enter(_IDLE)
        if self._waitingForTransport and self.persistent:
            # Twisted stops reading from a peer that does not read only when that shows between two requests;
            # here it shows within one as a rule, and the next ones would pile up answer upon answer.
            self._stop_reading()
        super().requestDone(request)

    def refuse(self, status: int) -> None:
        """Answer a request that is not fit to be routed, and close: where the next begins is unknown."""
        if self._phase is _CLOSING:
            return
        reason = http.RESPONSES[status].decode()
        self.peer.note_refusal(f"malformed request: {reason}")
        answer = self.context.fault(status)
        bodiless = self._method == b"HEAD"
        self.transport.write(octets(answer, self.context.date(), bodiless=bodiless, last=True))
        self.loseConnection()

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Where Twisted's parser gives up: its own answer would have neither length nor document.
        self.refuse(http.BAD_REQUEST)


def _is_plain_get(data: bytes) -> bool:
    """Whether `data` is exactly one head of a GET of HTTP/1.1, without a body or special wishes."""
    return (
        data.startswith(b"GET /")
        and len(data) <= _FAST_HEAD_BYTES
        and data.find(_END_OF_HEAD) == len(data) - len(_END_OF_HEAD)
        # In the request line, and not in a header that ends like one.
        and data.startswith(b" HTTP/1.1", data.find(b"\r\n") - 9)
        and not _NOT_PLAIN.search(data)
    )
