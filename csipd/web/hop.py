"""A proxy's connection: each request on it is a device's, whose certificate stands in its head (RFC 9440).

Whose a request is belongs to the request. The connection has the proxy's identity alone, which may ask for
nothing; it is the device's for as long as one request of it is answered, where the connection answers one at
a time, and never where it answers several.

csipd's own proxy sends the device's certificate first behind the request line. So this block of octets is cut
out, the device is found by it in a dictionary, and what is left is the request that the device sent: it is
found in the cache, or taken by the straight path, as on a connection of its own. GETs that come one behind
the other are asked for together and answered in their order, with as few writes as can be. Anything else
waits until they are answered, and is then answered alone as on any connection, by the straight path or the
long way. Any other place and spelling of the headers is the long way's.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from attrs import define, evolve
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from csipd.net.hop import CLIENT_CERT, CLIENT_CERT_CHAIN, LONGEST, PROBE, HopRefused, cut_out
from csipd.net.http_grammar import END_OF_HEAD
from csipd.net.origin import host_of
from csipd.net.phases import ANSWER, CLOSING, IDLE, REQUEST, Phase
from csipd.net.quotas import CallerInfo
from csipd.refusals import Refusal
from csipd.web.answers import Answer, octets
from csipd.web.channel import Channel
from csipd.web.endpoint import Ask
from csipd.web.hop_callers import Caller, HopCallers
from csipd.web.ordinary import LONGEST_HEAD, Ordinary, parse
from csipd.web.peer import Peer

#: What a proxy may add to a device's head beside these headers: lines, and octets of them.
_ADDED_LINES = 10
_ADDED_BYTES = 1024
#: GETs of one proxy's connection that are asked for together.
AT_ONCE = 64
#: Octets that wait behind them before the connection is read no more.
_BEHIND_BYTES = 64 * 1024

_NOT_BELIEVED = "the certificate of a proxy that is not known any more, or has ended"


class Hops(HopCallers):
    """The proxies that the site believes: whom they have spoken for, and how their connections are taken."""

    def adopt(self, connection: Any) -> None:
        """Take a connection for that of a proxy.

        All that knows of it - TLS, deadlines, quotas - goes on knowing the same object, which is of another
        class from now on. So who is no proxy pays nothing.
        """
        connection.__class__ = HopChannel
        connection.begin(self)


@define(eq=False)
class _Turn:
    """A request that is asked for together with others, and its answer's octets when it is there.

    :param date: the Date of the answer
    """

    peer: Peer
    method: str
    target: bytes
    date: bytes
    answer: bytes | None = None


class HopChannel(Channel):
    """The connection of a proxy."""

    _log = Logger()
    _hops: Hops
    _proxy: Peer
    _host: str
    # The requests that are asked for together, in the order in which they are answered.
    _turns: deque[_Turn]
    # What has come and no request has taken yet.
    _behind = b""
    # The header lines that were cut out of the request that is answered alone.
    _block = b""
    _is_beginning = _is_full = False
    _later: IDelayedCall | None = None

    def begin(self, hops: Hops) -> None:
        """Become the connection of a proxy, whose handshake is finished."""
        self._hops = hops
        # It is no device that is heard of, or that has a device's number of connections.
        self._proxy = self.peer = evolve(self.peer, contacts=None)
        self._proxy.account.learn(CallerInfo(listed=True, aggregator=True))
        self._host = host_of(self._proxy.address)
        self._turns = deque()
        # The device's head has its bounds, and what the proxy puts into it comes on top.
        self.MAX_LENGTH += LONGEST
        self.totalHeadersSize += LONGEST + _ADDED_BYTES
        self.maxHeaders += _ADDED_LINES

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._turns.clear()
        self._behind = b""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def expire(self, now: float) -> None:
        if self._turns:
            first = self._turns[0]
            self._method, self._target = first.method.encode(), first.target
        super().expire(now)

    # --- what comes

    def read_begins(self) -> None:
        super().read_begins()
        # What one read gives is bounded, and so is what of it is answered in a row.
        self._answered_in_a_row = 0

    def dataReceived(self, data: bytes) -> None:
        if self._phase is IDLE and not self._waitingForTransport:
            # Nothing is in progress and nothing waits, as nearly always.
            if not self._reads_are_announced:
                self._answered_in_a_row = 0
            self._begin_one(data)
        elif not (self._turns or self._behind):
            super().dataReceived(data)
        elif self._phase is CLOSING:
            self._drain(data)
        else:
            self._behind += data
            self._go_on()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._behind:
            self._go_on()

    def lineReceived(self, line: bytes) -> None:
        if not self._in_head:
            self._head_size = -_ADDED_BYTES
        elif line[: len(CLIENT_CERT)].lower() == CLIENT_CERT.lower():
            self._head_size -= len(line) + 2
        super().lineReceived(line)

    def _begin(self, data: bytes) -> None:
        if self._buffer:
            # Twisted's parser has its beginning.
            super()._go_long_way(data)
        else:
            self._behind = data
            self._go_on()

    def _go_long_way(self, data: bytes) -> None:
        if self._block:
            # The long way finds out by itself whose it is.
            line = data.find(b"\r\n") + 2
            data = data[:line] + self._block + data[line:]
            self.peer, self._block = self._proxy, b""
        super()._go_long_way(data)

    def _enter(self, phase: Phase) -> None:
        super()._enter(phase)
        if phase is IDLE:
            # Whatever comes next is somebody else's.
            self.peer, self._block = self._proxy, b""

    def _take_client_cert(self, request: Any) -> None:
        """Find out whose request it is that goes the long way."""
        headers = request.requestHeaders
        block = b"".join(
            b"%b: %b\r\n" % (name, value)
            for name in (CLIENT_CERT, CLIENT_CERT_CHAIN)
            for value in headers.getRawHeaders(name, ())
        )
        headers.removeHeader(CLIENT_CERT)
        headers.removeHeader(CLIENT_CERT_CHAIN)
        try:
            if not self._is_believed():
                raise HopRefused(_NOT_BELIEVED)
            caller = self._hops.find(block, self._proxy, self.context)
        except HopRefused as refused:
            self._hops.log_refused(refused, self._proxy)
            request.barred = True
        else:
            caller.last_used = self.context.clock.seconds()
            request.peer = self.peer = caller.peer

    # --- one at once

    def _begin_one(self, data: bytes) -> None:
        """Begin with what may be one request and no more: what is kept is answered with nothing around it."""
        cut = cut_out(data, 0)
        if cut is None or cut[2] != len(data) or not self._is_believed():
            super().dataReceived(data)
            return
        block, head, _ = cut
        # What is answered while it is asked for is not written from there.
        self._is_beginning = True
        answer = self._answer_at_once(block, head)
        self._is_beginning = False
        if self._turns:
            self._go_on()
        elif answer is None:
            self._answer_alone(self._proxy, b"", data)
        elif isinstance(answer, Caller):
            self._answer_alone(answer.peer, block, head)
        else:
            self.deadline = self.context.clock.seconds() + self._timeouts[IDLE]
            self.transport.write(answer)

    # --- several at once

    def _go_on(self) -> None:
        """Begin what can be begun of what has come, and write what is answered."""
        if self._is_beginning or self._phase is CLOSING:
            return
        if not self._is_believed():
            self._give_up()
            return
        self._is_beginning = True
        turns, data, at = self._turns, self._behind, 0
        written: list[bytes] = []
        alone: tuple[Peer, bytes, bytes] | None = None
        while at < len(data) and not (self._waitingForTransport or (turns and self._close_when_done)):
            if turns:
                written += self._finished()
                if len(turns) >= AT_ONCE:
                    break
            cut = cut_out(data, at)
            if cut is None:
                if not turns and data.startswith(PROBE, at):
                    written.append(self._forbid(bodiless=True))
                    at += len(PROBE)
                    continue
                if not turns and _is_whole(data, at):
                    alone = self._proxy, b"", data[at:]
                break
            block, head, end = cut
            answer = self._answer_at_once(block, head)
            if isinstance(answer, Caller):
                if not turns:
                    alone = answer.peer, block, head + data[end:]
                break
            if answer is None:
                if not turns:
                    alone = self._proxy, b"", data[at:]
                break
            if answer and not turns:
                written.append(answer)
            elif answer:
                turns.append(_Turn(self._proxy, "", b"", b"", answer))
            at = end
        self._behind = b"" if alone is not None else data[at:]
        written += self._finished()
        self._is_beginning = False
        if written:
            self.transport.write(b"".join(written))
        self._settle(bool(written))
        if alone is not None and self._phase is not CLOSING:
            self._answer_alone(*alone)

    def _answer_at_once(self, block: bytes, head: bytes) -> bytes | Caller | None:
        """What a request is answered with: nothing yet, where the endpoint was asked.

        Whose it is, where it is an ordinary one that is answered alone; None: the long way has to say.

        :param block: the header lines that say whose it is
        :param head: its head without them
        """
        context = self.context
        if context.endpoint is None:
            return None
        seconds = context.clock.seconds()
        caller = self._hops.callers.get((self._host, block))
        if caller is None or context.now() >= caller.until:
            try:
                caller = self._hops.find(block, self._proxy, context)
            except HopRefused as refused:
                return self._refuse(refused, head)
        peer = caller.peer
        caller.last_used = seconds
        if context.find_answer is not None and len(head) <= LONGEST_HEAD and head.startswith(b"GET "):
            try:
                answer = context.find_answer(peer.identity.lfdi, head)
            except Exception:
                self._cache_failed(peer)
                answer = None
            if answer is not None:
                if not peer.account.requests.spend(seconds):
                    peer.too_many_requests()
                    answer = octets(context.fault(http.SERVICE_UNAVAILABLE), context.date())
                if context.log_requests:
                    self._log_octets(peer, head, answer)
                return answer
        request = parse(head, context.limits)
        if request is None or request.fields.client_cert:
            return None
        if request.method not in ("GET", "HEAD"):
            return caller
        self._ask(peer, request, head, seconds)
        return b""

    def _refuse(self, refused: HopRefused, head: bytes) -> bytes | None:
        """Refuse a request that does not say whose it is; None: not here, it may have a body."""
        request = parse(head, self.context.limits)
        if request is None or request.method not in ("GET", "HEAD"):
            return None
        self._hops.log_refused(refused, self._proxy)
        answer = self._forbid(bodiless=request.method == "HEAD")
        if self.context.log_requests:
            method, sent = request.method.encode(), len(answer.partition(b"\r\n\r\n")[2])
            self.context.log_answer(self._proxy, method, request.target, http.FORBIDDEN, sent)
        return answer

    def _forbid(self, *, bodiless: bool) -> bytes:
        context = self.context
        return octets(context.fault(http.FORBIDDEN), context.date(), bodiless=bodiless)

    def _ask(self, peer: Peer, request: Ordinary, head: bytes, seconds: float) -> None:
        """Ask the endpoint for the answer to a GET or a HEAD."""
        context = self.context
        turn = _Turn(peer, request.method, request.target, context.date())
        self._turns.append(turn)
        if not peer.account.requests.spend(seconds):
            peer.too_many_requests()
            self._turn_answered(context.fault(http.SERVICE_UNAVAILABLE), turn)
            return
        assert context.endpoint is not None
        fields = request.fields
        key = head if request.method == "GET" else None
        place = context.locate(request.path)
        try:
            answer = context.endpoint(
                Ask(
                    peer,
                    request.method,
                    place,
                    request.query,
                    fields.accept,
                    fields.content_type,
                    request.body,
                    key,
                )
            )
        except Exception:
            self._turn_failed(Failure(), turn)
            return
        if isinstance(answer, Answer):
            self._turn_answered(answer, turn)
        else:
            answer.addCallbacks(
                self._turn_answered, self._turn_failed, callbackArgs=(turn,), errbackArgs=(turn,)
            )

    def _turn_failed(self, failure: Failure, turn: _Turn) -> None:
        turn.peer.failed(self._log, failure, turn.method.encode(), turn.target)
        self._turn_answered(self.context.fault(http.INTERNAL_SERVER_ERROR), turn)

    def _turn_answered(self, answer: Answer, turn: _Turn) -> None:
        """Take an answer, and write it when it is its turn."""
        turns = self._turns
        if self._phase is CLOSING or not turns:
            return
        bodiless = turn.method == "HEAD"
        if self.context.log_requests:
            sent = 0 if bodiless else len(answer.body)
            self.context.log_answer(turn.peer, turn.method.encode(), turn.target, answer.status, sent)
        if answer.close:
            # The connection is that of all, and what concerns one device does not end it.
            answer = evolve(answer, close=False)
        last = self._close_when_done and turn is turns[-1]
        turn.answer = octets(answer, turn.date, bodiless=bodiless, last=last)
        if self._is_beginning or turn is not turns[0]:
            return
        if len(turns) == 1:
            self._go_on()
        elif self._later is None:
            # Those that were asked for together are answered one after the other, now.
            self._later = self.context.clock.callLater(0, self._go_on_now)

    def _go_on_now(self) -> None:
        self._later = None
        self._go_on()

    def _finished(self) -> list[bytes]:
        """The answers that may leave, in their order."""
        found, turns = [], self._turns
        while turns and (answer := turns[0].answer) is not None:
            found.append(answer)
            turns.popleft()
        return found

    def _settle(self, went_on: bool) -> None:
        """Wait for what comes next.

        :param went_on: whether something was answered
        """
        if self._phase is CLOSING:
            return
        self._handlingRequest = bool(self._turns)
        if self._turns:
            if went_on or self._phase is not ANSWER:
                self._enter(ANSWER)
        elif self._close_when_done and went_on:
            self.loseConnection()
            return
        elif not self._behind:
            self._enter(IDLE)
        elif went_on or self._phase is not REQUEST:
            self._enter(REQUEST)
        full = len(self._behind) > _BEHIND_BYTES
        if full:
            self._networkProducer.pauseProducing()
        elif self._is_full and not self._waitingForTransport:
            self._networkProducer.resumeProducing()
        self._is_full = full

    def _is_believed(self) -> bool:
        """Whether the proxy is still believed."""
        identity = self._proxy.identity
        ends = identity.not_after
        return identity.fingerprint in self._hops.fingerprints and (
            ends is None or self.context.now() <= ends
        )

    def _give_up(self) -> None:
        """Close the connection of a proxy that is not believed any more."""
        self._proxy.warn(
            self._log, _NOT_BELIEVED, "{peer}: {reason}, connection closed", reason=_NOT_BELIEVED
        )
        self._turns.clear()
        self._behind = b""
        self.loseConnection()

    # --- one alone

    def _answer_without_body(self, request: Ordinary, why: Refusal, data: bytes) -> None:
        """Have the long way read the body and drop it: the connection is that of all."""
        self._held = None
        if not self._waitingForTransport:
            self._networkProducer.resumeProducing()
        self._go_long_way(data)

    def withhold_body(self, request: Any, why: Refusal) -> None:
        """Go on without a body, which is read and dropped if it is no larger than any that may be sent.

        A device that sends what it may not would end the connection of all otherwise, as often as it likes.
        """
        length = self.length
        if length is None or length > self.context.limits.reading_body_bytes or self._expects_continue:
            super().withhold_body(request, why)
        else:
            request.withheld = why

    def _answer_alone(self, peer: Peer, block: bytes, data: bytes) -> None:
        """Answer a request that others have to wait for."""
        self.peer, self._block = peer, block
        if not block or not self._take_straight(data):
            self._go_long_way(data)


def _is_whole(data: bytes, at: int) -> bool:
    """Whether a request's head is there, or more of it than there may be."""
    return data.find(END_OF_HEAD, at) >= 0 or len(data) - at > LONGEST + LONGEST_HEAD
