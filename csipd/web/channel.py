"""A connection of the HTTPS server: who is there, what may be asked, and what is cut off.

Twisted's `HTTPChannel` parses; the channel here decides. It knows its caller from the handshake on, refuses
malformed requests with an ``Error`` document before anything is routed, holds every wait to a deadline and
every buffer to a size, and lets a cached answer out by a fast lane that does without the parser.

Deadlines cost nothing on the way: a channel notes the moment at which its patience ends, and one timer of
the site looks at all of them once a second. (A timer of its own for each channel would have to be moved
twice a request, and Twisted's reactor moves timers in time proportional to their number.)

Requests of one connection are answered one after the other: while one is in the works what follows it
waits in a bounded buffer, which is how pipelined requests keep their order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers
from zope.interface import implementer

from csipd.net.identity import Identity
from csipd.net.limits import Limits

if TYPE_CHECKING:
    from csipd.web.server import Request, Site

#: Gives the whole answer to a plain GET, from status line to body, or None to send it the ordinary way.
FastLane = Callable[[Identity, bytes], bytes | None]

#: The most bytes that the body of a request with this method and URI may have, or None for the general limit.
BodyLimit = Callable[[bytes, bytes], int | None]


class Phase(IntEnum):
    """What a channel waits for; the place of its patience in `patience`."""

    HANDSHAKE = 0
    IDLE = 1
    REQUEST = 2
    ANSWER = 3
    CLOSING = 4


# Compared at every step of every request, which an attribute of the enumeration would slow down.
_HANDSHAKE, _IDLE, _REQUEST, _ANSWER, _CLOSING = Phase


def patience(limits: Limits) -> tuple[float, ...]:
    """For how many seconds a channel stays in each phase."""
    return (
        limits.handshake_seconds,
        limits.idle_seconds,
        limits.request_seconds,
        limits.answer_seconds,
        limits.drain_seconds,
    )


_END_OF_HEAD = b"\r\n\r\n"
# A head longer than this is worth the ordinary way; it also bounds what the fast lane keeps as keys.
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
# How long a server that goes down waits for the goodbye of a peer that has all that it asked for.
_GOODBYE_SECONDS = 1.0
# Beyond this many digits a Content-Length is no number that anybody could mean.
_LENGTH_DIGITS = 18


@implementer(IHandshakeListener)
class Channel(http.HTTPChannel):
    """One connection. `identity` is known when the handshake is over, and nothing is read before that.

    `plain_head` is, while a request is being taken in, its whole head if that is all there was and it is fit
    for the fast lane: what the application may put its answer under.
    """

    site: Site
    # The interfaces that Twisted declares are narrower than what is connected here.
    factory: Any
    transport: Any
    requestFactory: Any
    timeOut = None
    identity: Identity
    plain_head: bytes | None = None
    #: When patience ends, by the site's clock: with what is waited for, and with a peer that does not read.
    due: float
    drain_due = float("inf")

    _log = Logger()
    _phase = _HANDSHAKE
    _in_head = False
    _head_size = 0
    _method = b""
    _target = b""
    _is_1_0 = False
    _answered_in_a_row = 0
    _retired = False
    _held_head = b""

    def __init__(self, site: Site) -> None:
        super().__init__()
        limits = site.limits
        self.site = self.factory = site
        self.requestFactory = site.requestFactory
        self.MAX_LENGTH = limits.head_bytes
        # Twisted's own bounds on a head only have to be out of the way of the one kept here.
        self.totalHeadersSize = limits.head_bytes
        self.maxHeaders = limits.header_lines
        self._optimisticEagerReadSize = limits.pipelined_bytes
        self.body_room = limits.body_bytes

    # --- the connection

    def connectionMade(self) -> None:
        self._enter(_HANDSHAKE)
        self.site.connections.add(self)
        super().connectionMade()

    def handshakeCompleted(self) -> None:
        """Learn who is there; called once, before any byte of HTTP is delivered."""
        try:
            self.identity = self.site.identify(self.transport)
        except Exception:
            self._log.failure("the caller behind a finished handshake could not be identified")
            self._abort()
            return
        self.site.connections.name(self, self.identity.lfdi)
        self._enter(_IDLE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._phase is _HANDSHAKE:
            self.site.handshake_failed(self.transport.getPeer(), reason)
        self._phase = _CLOSING
        self.site.connections.remove(self)
        super().connectionLost(reason)

    def loseConnection(self) -> None:
        """Close when what was written is out, or when the peer has had its time to take it."""
        if self._phase is not _CLOSING:
            self._enter(_CLOSING)
            self.clearLineBuffer()
            # The peer's own goodbye has to be read, whatever reading waited for.
            self._networkProducer.resumeProducing()
            super().loseConnection()

    def retire(self) -> None:
        """Close as soon as no request is in the works: now, or behind the answer.

        An idle peer is not waited for as long as elsewhere: one that looks at its socket only when it has
        something to ask never says goodbye, and would hold up the end of the server.
        """
        if self._phase is _ANSWER or self._phase is _REQUEST:
            self._retired = True
            self.persistent = False
            return
        has_everything = self._phase is not _CLOSING and self.drain_due == float("inf")
        self.loseConnection()
        if has_everything:
            self.due = self.site.clock.seconds() + _GOODBYE_SECONDS

    def expire(self, now: float) -> None:
        """Give up on the peer if one of the two deadlines has passed."""
        if now < self.due and now < self.drain_due:
            return
        phase = self._phase
        if phase is _ANSWER and now >= self.due:
            self._log.warn(
                "no answer to {method} {uri} in {seconds} s: connection cut",
                method=self._method,
                uri=self._target,
                seconds=self.site.limits.answer_seconds,
            )
        if phase is _IDLE and now < self.drain_due:
            self.loseConnection()
        else:
            self._abort()

    def _abort(self) -> None:
        self._enter(_CLOSING)
        self.clearLineBuffer()
        self.transport.abortConnection()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self.due = self.site.clock.seconds() + self.site.patience[phase]

    def pauseProducing(self) -> None:
        self.drain_due = self.site.clock.seconds() + self.site.limits.drain_seconds
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self.drain_due = float("inf")
        super().resumeProducing()
        if self.paused:
            self.paused = False
            if self._buffer:
                self.dataReceived(b"")

    # --- requests

    def dataReceived(self, data: bytes) -> None:
        if self._phase is _IDLE:
            # Nothing is in the works and nothing waits in a buffer.
            self._answered_in_a_row = 0
            fast_lane = self.site.fast_lane
            if fast_lane is not None and _is_plain_get(data):
                answer = self._by(fast_lane, data)
                if answer is not None:
                    self.due = self.site.clock.seconds() + self.site.limits.idle_seconds
                    self.transport.write(answer)
                    return
                self.plain_head = data
            self._enter(_REQUEST)
        elif self._phase is _CLOSING or self._phase is _HANDSHAKE:
            return
        super().dataReceived(data)
        self.plain_head = None
        if self._phase is _IDLE and self._buffer:
            self._enter(_REQUEST)

    def _by(self, fast_lane: FastLane, head: bytes) -> bytes | None:
        try:
            return fast_lane(self.identity, head)
        except Exception:
            self._log.failure("the fast lane failed; the request goes the ordinary way")
            return None

    def lineReceived(self, line: bytes) -> None:
        if self._phase is _CLOSING:
            return
        if self._phase is _IDLE:
            self._enter(_REQUEST)
        self._head_size += len(line) + 2
        if self._head_size > self.site.limits.head_bytes:
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
        if len(target) > self.site.limits.uri_bytes:
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
        status = self._fault_of_head(self.requests[-1].requestHeaders)
        if status is None:
            super().allHeadersReceived()
        else:
            self.refuse(status)

    def _fault_of_head(self, headers: Headers) -> int | None:
        """The status that a head is refused with as a whole, and how much of a body it may bring."""
        hosts = headers.getRawHeaders(b"Host", ())
        if len(hosts) > 1 or (not hosts and not self._is_1_0):
            return http.BAD_REQUEST
        if hosts and not _HOST.fullmatch(hosts[0]):
            return http.BAD_REQUEST
        if headers.hasHeader(b"Transfer-Encoding") and (headers.hasHeader(b"Content-Length") or self._is_1_0):
            # Two answers to "where does the body end?" are how requests are smuggled (RFC 9112 6.1).
            return http.BAD_REQUEST
        self.body_room = self.site.room_for_body(self._method, self._target)
        if self.length is not None and self.length > self.body_room:
            return http.REQUEST_ENTITY_TOO_LARGE
        return None

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Whether another request may follow; if not, the answer will say so."""
        self._answered_in_a_row += 1
        tokens = b",".join(request.requestHeaders.getRawHeaders(b"Connection", ())).lower()
        return (
            version == b"HTTP/1.1"
            and b"close" not in re.split(rb"[ \t,]+", tokens)
            and self._answered_in_a_row < self.site.limits.pipelined_requests
            and not self._retired
        )

    def rawDataReceived(self, data: bytes) -> None:
        if self._phase is not _CLOSING:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        if self._phase is not _CLOSING:
            self._enter(_ANSWER)
            super().allContentReceived()

    # --- answers

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Hold the head of an answer until its body comes, so that the two leave in one piece."""
        lines = [b" ".join((version, code, reason))]
        lines += [name + b": " + value for name, values in headers.getAllRawHeaders() for value in values]
        self._held_head = b"\r\n".join(lines) + _END_OF_HEAD

    def write(self, data: bytes) -> None:
        if self._held_head:
            data, self._held_head = self._held_head + data, b""
        self.transport.write(data)

    def requestDone(self, request: Request) -> None:
        if self._held_head:
            self.write(b"")
        self._method = b""
        if self._phase is _ANSWER and self.persistent:
            self._enter(_IDLE)
        if self._waitingForTransport and self.persistent:
            # Twisted stops reading from a peer that does not read only when that shows between two requests;
            # here it shows within one as a rule, and the next ones would pile up answer upon answer.
            self.paused = True
            self._networkProducer.pauseProducing()
        super().requestDone(request)

    def refuse(self, status: int) -> None:
        """Answer a request that is not fit to be routed, and close: what follows it cannot be told apart."""
        if self._phase is _CLOSING:
            return
        kind, body = self.site.fault(status)
        head = Headers()
        head.setRawHeaders(b"Date", [self.site.date()])
        head.setRawHeaders(b"Content-Type", [kind])
        head.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        head.setRawHeaders(b"Connection", [b"close"])
        self.writeHeaders(b"HTTP/1.1", b"%d" % status, http.RESPONSES[status], head)
        self.write(b"" if self._method == b"HEAD" else body)
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
        and b" HTTP/1.1\r\n" in data
        and not _NOT_PLAIN.search(data)
    )
