"""The long way of a request: through Twisted's parser, a `Request`, and the site's resource tree.

Twisted's `HTTPChannel` parses; the class here decides. It refuses malformed requests with an ``Error``
document before anything is routed, and holds what is taken in to sizes. Everything can go this way, and
whatever is not ordinary does (`ordinary`).

Requests of one connection are answered one after the other: while one is in progress what follows it
waits in a bounded buffer, which is how pipelined requests keep their order.

A body is read for callers on a list only. Before the first one the store is asked who that is, and reading
stops until it has answered. The request of anybody else goes on without its body, to be refused with what
the resource says; what the peer still sends is dropped, and the connection closes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers

from csipd.net.hop import CLIENT_CERT, CLIENT_CERT_CHAIN
from csipd.net.http_grammar import END_OF_HEAD, HOST, BadRequestLine, RequestLine, is_head
from csipd.net.phases import ANSWER, CLOSING, IDLE, REQUEST
from csipd.net.quotas import CallerInfo
from csipd.refusals import Refusal, TooLarge, Unavailable
from csipd.web.answers import octets
from csipd.web.connection import Connection
from csipd.web.ordinary import canonical, most_octets
from csipd.web.sitecontext import SiteContext

# So many pieces of what waits behind a request are kept before they are joined. A client may send it in a
# piece for each octet: each would take forty times its size, and Twisted adds all of them up for each.
_PIECES = 64
# Beyond this many digits a Content-Length is no number that anybody could mean.
_LENGTH_DIGITS = 18


class TwistedChannel(Connection):
    """A connection whose requests Twisted parses."""

    _log = Logger()
    _in_head = False
    _head_size = 0
    _is_1_0 = False
    _unsent_head = b""
    # How large the body of the request in progress may be, and what a large one has taken of their room.
    _most_octets = 0
    _room = 0
    # A client that waits for 100 Continue before it sends its body.
    _expects_continue = False

    def __init__(self, site: Any, context: SiteContext) -> None:
        super().__init__(site, context)
        limits = context.limits
        self.MAX_LENGTH = limits.head_bytes
        # Twisted's own bounds on a head only have to be out of the way of the one kept here.
        self.totalHeadersSize = limits.head_bytes
        self.maxHeaders = limits.header_lines
        self._optimisticEagerReadSize = limits.pipelined_bytes

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._give_room_back()
        self._unsent_head = b""
        self._transferDecoder = None

    # --- requests

    def lineReceived(self, line: bytes) -> None:
        if self._phase is CLOSING:
            return
        if self._phase is IDLE:
            self._enter(REQUEST)
        self._head_size += len(line) + 2
        if self._head_size > self.context.limits.head_bytes:
            self._head_too_large(line)
        elif self._in_head:
            self._header_line(line)
        elif line:
            self._request_line(line)
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._head_too_large(line)

    def _head_too_large(self, line: bytes) -> None:
        """:param line: at which that was found, as far as it came"""
        if not self._in_head and is_head(line):
            self._method = b"HEAD"
        # 400, not 431: the standard's clients know no 431, and would take it for a 400 anyway.
        self.refuse(http.BAD_REQUEST if self._in_head else http.REQUEST_URI_TOO_LONG)

    def _request_line(self, line: bytes) -> None:
        self._method = line.partition(b" ")[0]
        try:
            found = RequestLine.read(line, self.context.limits.uri_bytes)
        except BadRequestLine as error:
            self.refuse(error.status)
            return
        self._target = found.target
        self._is_1_0 = found.is_1_0
        self._in_head = True
        version = b"HTTP/1.0" if found.is_1_0 else b"HTTP/1.1"
        super().lineReceived(b" ".join((found.method, found.target, version)))

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
        accepted: bool = self._phase is not CLOSING and super().headerReceived(line)
        return accepted

    def allHeadersReceived(self) -> None:
        request = self.requests[-1]
        self._take_client_cert(request)
        status = self._fault_of_head(request.requestHeaders)
        if status is not None:
            self.refuse(status)
            return
        super().allHeadersReceived()
        if self.length == 0:
            return
        self._most_octets = most_octets(self.context.limits, canonical(self._target.partition(b"?")[0]))
        if self.length is not None and self.length > self._most_octets:
            self.withhold_body(request, _too_large())
        elif self._is_stranger():
            self._looking_up = True
            self._look_up().addCallback(self._decide_on_body, request)
            if self._looking_up:
                self._stop_reading()
        else:
            why_not = self._why_no_room(self.length or 0, self.length)
            if why_not is None:
                self._ask_for_body()
            else:
                self.withhold_body(request, why_not)

    def _take_client_cert(self, request: Any) -> None:
        """Take away what only a proxy may say: whose a request is."""
        headers: Headers = request.requestHeaders
        if headers.hasHeader(CLIENT_CERT) or headers.hasHeader(CLIENT_CERT_CHAIN):
            self.peer.pretends()
            headers.removeHeader(CLIENT_CERT)
            headers.removeHeader(CLIENT_CERT_CHAIN)

    def why_not_more(self, octets: int) -> Refusal | None:
        """Why no more of a body is taken in, of which there are so many octets; None: it is."""
        return _too_large() if octets > self._most_octets else self._why_no_room(octets, self.length)

    def _why_no_room(self, octets: int, length: int | None) -> Refusal | None:
        """Why there is no room for a body of so many octets, or None: what it needs is taken then.

        :param length: of all of it; None: it is not known, and as much is taken as it may need
        """
        if octets <= self.context.limits.body_bytes or self._room:
            return None
        wanted = length or self._most_octets
        if not self.context.large_bodies.take(self.peer.account, wanted):
            return Unavailable("too many large bodies are being taken in")
        self._room = wanted
        return None

    def _give_room_back(self) -> None:
        """A large body is no longer kept."""
        if self._room:
            self.context.large_bodies.give_back(self.peer.account, self._room)
            self._room = 0

    def _is_stranger(self) -> bool:
        """Whether the caller is on no list, as far as is known; nobody is where there is nobody to ask."""
        info = self.peer.account.info
        return (info is None or not info.listed) and self.context.look_up is not None

    def _look_up(self) -> Deferred[Refusal | None]:
        """Ask the store who is there: why no body is taken in of it, or None."""

        def found(info: CallerInfo) -> Refusal | None:
            self.peer.account.learn(info)
            return None if info.listed else _too_large()

        def failed(failure: Failure) -> Refusal:
            # No fault of the sender's, and perhaps gone when the store is asked again.
            failure.trap(Refusal)
            assert isinstance(failure.value, Refusal)
            return failure.value

        assert self.context.look_up is not None
        return self.context.look_up(self.peer.identity).addCallbacks(found, failed)

    def _decide_on_body(self, why_not: Refusal | None, request: Any) -> None:
        """Go on with a request whose sender was looked up; `why_not`: its body is not taken in."""
        at_once = not self.paused
        self._looking_up = False
        if self._phase is CLOSING:
            return
        why_not = why_not or self._why_no_room(self.length or 0, self.length)
        if why_not is None:
            self._ask_for_body()
        else:
            self.withhold_body(request, why_not)
        if at_once:
            return
        if self._transferDecoder is not None:
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()
                self._go_on_reading()
        else:
            self.paused = False
            self.allContentReceived()
            if self._buffer:
                self.dataReceived(b"")

    def withhold_body(self, request: Any, why: Refusal) -> None:
        """Let a request go on without its body.

        The application is asked all the same, because what it says of the resource comes first (decision 35).
        """
        request.withheld = why
        self.persistent = False
        self._transferDecoder = None
        # To Twisted's parser this is a request without a body, which has ended.
        self.length = 0

    def stop_body(self, request: Any, why: Refusal) -> None:
        """More of a body came than there is room for, and its length was not known before."""
        self.withhold_body(request, why)
        self.allContentReceived()

    def _send100Continue(self) -> None:
        self._expects_continue = True

    def _ask_for_body(self) -> None:
        """Send 100 Continue to a client that waits for it."""
        if self._expects_continue:
            self._expects_continue = False
            super()._send100Continue()

    def _fault_of_head(self, headers: Headers) -> int | None:
        """The status that a head is refused with as a whole."""
        hosts = headers.getRawHeaders(b"Host", ())
        if len(hosts) > 1 or (not hosts and not self._is_1_0):
            return http.BAD_REQUEST
        if hosts and not HOST.fullmatch(hosts[0]):
            return http.BAD_REQUEST
        codings = headers.getRawHeaders(b"Transfer-Encoding")
        if codings is not None:
            # Two answers to "where does the body end?" are how requests are smuggled (RFC 9112 6.1), and
            # "identity" is no answer: it is gone from HTTP (RFC 9112 7.2).
            chunked = len(codings) == 1 and codings[0].lower() == b"chunked"
            if not chunked or headers.hasHeader(b"Content-Length") or self._is_1_0:
                return http.BAD_REQUEST
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
        if self._phase is CLOSING or (self._phase is ANSWER and not self.persistent):
            # Nothing that stands behind the last request is looked at.
            self._drain(data)
        else:
            super().rawDataReceived(data)
            if len(self._dataBuffer) > _PIECES:
                self._dataBuffer = [b"".join(self._dataBuffer)]

    def allContentReceived(self) -> None:
        # A decoder that was given up in the middle of a body still comes to its end.
        if self._phase is REQUEST:
            self._enter(ANSWER)
            super().allContentReceived()

    # --- answers

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Hold the head of an answer until its body comes, so that the two leave in one piece."""
        lines = [b" ".join((version, code, reason))]
        lines += [name + b": " + value for name, values in headers.getAllRawHeaders() for value in values]
        self._unsent_head = b"\r\n".join(lines) + END_OF_HEAD

    def write(self, data: bytes) -> None:
        if self._unsent_head:
            data, self._unsent_head = self._unsent_head + data, b""
        self.transport.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def answer_goes_on(self) -> None:
        """A portion of an answer leaves: the time for an answer counts anew for the next one."""
        if self._phase is ANSWER:
            self._enter(ANSWER)

    @property
    def peer_is_behind(self) -> bool:
        """Whether the peer has yet to take what was written, so that nothing more is to be."""
        return bool(self._waitingForTransport)

    def requestDone(self, request: Any) -> None:
        if self._unsent_head:
            self.write(b"")
        self._give_room_back()
        self._method = b""
        if self._phase is ANSWER and self.persistent:
            self._enter(IDLE)
        if self._waitingForTransport and self.persistent:
            # Twisted stops reading from a peer that does not read only when that shows between two requests;
            # here it shows within one as a rule, and the next ones would pile up answer upon answer.
            self._stop_reading()
        super().requestDone(request)

    def refuse(self, status: int) -> None:
        """Answer a request that is not fit to be routed, and close: where the next begins is unknown."""
        if self._phase is CLOSING:
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


def _too_large() -> TooLarge:
    """Why a body is not taken in that its sender may not send, or not so large."""
    return TooLarge("more bytes than it may send")
