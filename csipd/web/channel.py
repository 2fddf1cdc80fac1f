"""What is asked on a connection: the straight path of ordinary requests, and where the others go.

    octets -> `ordinary.parse` -> `Layout.locate` -> `Endpoint.answer` -> `octets` -> one write

A GET that was answered before is found by its octets, and not even parsed (`cache`). Whatever is not ordinary
goes the long way, through Twisted's parser and Klein, to the same endpoint and the same answer; without an
endpoint everything does.

The bounds belong to the connection, whichever way its requests are answered: how much waits to be read by the
peer, how many answers leave for one read of the socket, how many requests its caller may make.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from csipd.net.phases import ANSWER, CLOSING, HANDSHAKE, IDLE, REQUEST
from csipd.refusals import Refusal
from csipd.web.answers import Answer, octets
from csipd.web.endpoint import Ask
from csipd.web.ordinary import LONGEST_HEAD, Ordinary, parse
from csipd.web.peer import Peer
from csipd.web.sitecontext import SiteContext
from csipd.web.twisted_channel import TwistedChannel

# More than can be missing of a body: nothing is looked at until it is known who sends it.
_UNTIL_KNOWN = 1 << 62


class Channel(TwistedChannel):
    """One connection, and what becomes of the octets that come on it."""

    _log = Logger()
    _reads_are_announced = False
    # The beginning of an ordinary request whose body is still to come, and how much of it is missing. In one
    # piece: a body may come in a piece for each octet, and each would take forty times its size.
    _held: bytearray | None = None
    _missing = 0
    # Whether a request is being answered by the straight path, and the Date that its answer will have.
    _straight = False
    _date = b""

    def __init__(self, site: Any, context: SiteContext) -> None:
        super().__init__(site, context)
        # What every connection has is set here, although it is as the class has it: Python keeps the names in
        # one table for all, and a table for each that gets another one later, half a kilobyte.
        self.peer = None  # type: ignore[assignment] # nobody asks before the handshake is over
        self._reads_are_announced = self._straight = False
        self._answered_in_a_row = 0
        self._method = self._target = self._date = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._held = None

    def read_begins(self) -> None:
        """What is received from now on came with one read of the socket: called by the transport, if it can.

        TLS delivers such a read in as many pieces as the peer made records of it.
        """
        self._reads_are_announced = True
        if self._phase is IDLE:
            self._answered_in_a_row = 0
        elif self._phase is HANDSHAKE:
            self.context.connections.heard(self)

    def dataReceived(self, data: bytes) -> None:
        phase = self._phase
        if phase is IDLE:
            # Nothing is in progress and nothing waits in a buffer.
            if not self._reads_are_announced:
                self._answered_in_a_row = 0
            self._begin(data)
        elif phase is CLOSING:
            self._drain(data)
        elif phase is HANDSHAKE:
            return
        elif self._held is not None:
            self._held += data
            self._missing -= len(data)
            if self._missing <= 0:
                self._release()
        elif self._straight:
            # It waits until the one before it is answered, as on the long way.
            self.rawDataReceived(data)
        else:
            self._go_long_way(data)

    def _begin(self, data: bytes) -> None:
        """A request begins, and may be all there."""
        if self._waitingForTransport:
            # The peer does not read: there is no answer to it, by whichever way, until it does.
            self._buffer += data
            self.paused = True
        elif self.context.endpoint is None or not (
            self._answer_from_cache(data) or self._take_straight(data)
        ):
            self._go_long_way(data)

    def _go_long_way(self, data: bytes) -> None:
        """Leave a request to Twisted's parser."""
        if self._phase is IDLE:
            self._enter(REQUEST)
        super().dataReceived(data)
        if self._phase is IDLE and self._buffer:
            self._enter(REQUEST)

    def _answer_from_cache(self, data: bytes) -> bool:
        """Answer a GET whose octets were answered before, if that is still true.

        Only ordinary requests leave something in the cache, so what is found there was one.
        """
        context = self.context
        if (
            context.find_answer is None
            or len(data) > LONGEST_HEAD
            or not data.startswith(b"GET ")
            # The last of a row says that the connection ends with it.
            or self._answered_in_a_row + 1 >= context.limits.pipelined_requests
        ):
            return False
        try:
            answer = context.find_answer(self.peer.identity.lfdi, data)
        except Exception:
            self._cache_failed(self.peer)
            return False
        if answer is None:
            return False
        now = context.clock.seconds()
        self._answered_in_a_row += 1
        self.deadline = now + context.limits.idle_seconds
        if not self.peer.account.requests.spend(now):
            self.peer.too_many_requests()
            answer = octets(context.fault(http.SERVICE_UNAVAILABLE), context.date())
        if context.log_requests:
            self._log_octets(self.peer, data, answer)
        self.transport.write(answer)
        return True

    def _cache_failed(self, peer: Peer) -> None:
        """Log that the exception at hand came of a look into the cache."""
        said = "the cache failed"
        self.context.peer_log.failure(self._log, peer.identity.lfdi, said, said)

    def _log_octets(self, peer: Peer, data: bytes, answer: bytes) -> None:
        """Log the answer to a GET of which there is nothing but octets."""
        target, status = data.split(b" ", 2)[1], answer.split(b" ", 2)[1]
        sent = len(answer.partition(b"\r\n\r\n")[2])
        self.context.log_answer(peer, b"GET", target, int(status), sent)

    def _take_straight(self, data: bytes) -> bool:
        """Answer an ordinary request; whether `data` is one, or the beginning of one."""
        request = parse(data, self.context.limits)
        if request is None:
            return False
        if request.fields.client_cert and self._phase is IDLE:
            self.peer.pretends()
        if request.fields.length:
            if self._is_stranger():
                self._look_up_sender(request, data)
                return True
            why_not = self._why_no_room(request.fields.length, request.fields.length)
            if why_not is not None:
                self._answer_without_body(request, why_not, data)
                return True
            if request.missing:
                self._hold(data, request.missing)
                return True
        kept = request.method == "GET" and not request.fields.client_cert
        self._answer(request, request.body, data if kept else None)
        return True

    def _hold(self, data: bytes, missing: int) -> None:
        """Wait for what is missing of a request."""
        if self._phase is IDLE:
            self._enter(REQUEST)
        self._held = bytearray(data)
        self._missing = missing

    def _release(self) -> None:
        """Go on with a request that was held."""
        assert self._held is not None
        data, self._held = bytes(self._held), None
        if not self._take_straight(data):
            self._go_long_way(data)

    def _look_up_sender(self, request: Ordinary, data: bytes) -> None:
        """Ask the store who sends a body before any more of it is taken in.

        Who is known to be on no list is looked up each time: it may have been listed since.
        """

        def go_on(why_not: Refusal | None) -> None:
            self._looking_up = False
            if self._phase is CLOSING:
                return
            if why_not is not None:
                assert self._held is not None
                self._answer_without_body(request, why_not, bytes(self._held))
                return
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()
            self._release()

        self._hold(data, _UNTIL_KNOWN)
        self._looking_up = True
        self._look_up().addCallback(go_on)
        if self._looking_up:
            self._networkProducer.pauseProducing()

    def _answer_without_body(self, request: Ordinary, why: Refusal, data: bytes) -> None:
        """Answer a request whose body is not read; neither is what stands behind it.

        :param data: what has come of it
        """
        self._held = None
        self.persistent = False
        self._answer(request, why)

    def _answer(self, request: Ordinary, body: bytes | Refusal, key: bytes | None = None) -> None:
        """Have an ordinary request answered by the endpoint; `body` and `key` as an `Ask` has them."""
        context, peer = self.context, self.peer
        self._enter(ANSWER)
        self._answered_in_a_row += 1
        if self._close_when_done or self._answered_in_a_row >= context.limits.pipelined_requests:
            self.persistent = False
        self._method = request.method.encode()
        self._target = request.target
        self._date = context.date()
        self._straight = self._handlingRequest = True
        if not peer.account.requests.spend(context.clock.seconds()):
            peer.too_many_requests()
            self._answered(context.fault(http.SERVICE_UNAVAILABLE))
            return
        assert context.endpoint is not None
        try:
            answer = context.endpoint(
                Ask(
                    peer,
                    request.method,
                    context.locate(request.path),
                    request.query,
                    request.fields.accept,
                    request.fields.content_type,
                    body,
                    key,
                )
            )
        except Exception:
            self._failed(Failure())
            return
        if isinstance(answer, Answer):
            self._answered(answer)
        else:
            answer.addCallbacks(self._answered, self._failed)

    def _failed(self, failure: Failure) -> None:
        """The endpoint failed; the log has the traceback."""
        self.peer.failed(self._log, failure, self._method, self._target)
        self._answered(self.context.fault(http.INTERNAL_SERVER_ERROR))

    def _answered(self, answer: Answer) -> None:
        """Write an answer, if the peer is still there and has not waited too long."""
        self._give_room_back()
        if self._phase is not ANSWER:
            return
        self._straight = self._handlingRequest = False
        bodiless = self._method == b"HEAD"
        last = not self.persistent
        if self.context.log_requests:
            sent = 0 if bodiless else len(answer.body)
            self.context.log_answer(self.peer, self._method, self._target, answer.status, sent)
        self._method = b""
        if not (last or answer.close):
            self._enter(IDLE)
        self.transport.write(octets(answer, self._date, bodiless=bodiless, last=last))
        if last or answer.close:
            self.loseConnection()
            return
        if self._waitingForTransport:
            self._stop_reading()
        if self._dataBuffer:
            behind, self._dataBuffer = b"".join(self._dataBuffer), []
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()
            self._begin(behind)
