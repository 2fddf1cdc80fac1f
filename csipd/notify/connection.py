"""One connection to a receiver: one Notification at a time, each with a deadline.

Whatever a receiver does, it is over when the deadline is: what it has answered by then counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.net.identity import Identify, Identity
from csipd.notify.answers import AnswerParser, BadAnswer, Rest
from csipd.notify.failures import ClosedInSilence, Unanswered, Unreachable

#: Characters of what OpenSSL says that are shown.
_LONGEST_REASON: Final = 200
_CLOSING_SECONDS: Final = 5


@implementer(IHandshakeListener)
class ReceiverConnection(Protocol):
    """A connection, from the moment at which it is made.

    :ivar identity: who is at the other end, once TLS is up; None without TLS
    :ivar posts: how many Notifications were sent on it
    :ivar usable: whether another one may be
    :ivar ready: fires when the first one may be sent; fails with `Unreachable`
    """

    transport: Any

    def __init__(
        self, clock: Any, identify: Identify | None, lost: Callable[[ReceiverConnection], None]
    ) -> None:
        """Make one.

        :param clock: for deadlines
        :param identify: finds out who is at the other end; None: there is no TLS
        :param lost: called when the connection is gone
        """
        self._clock = clock
        self._identify = identify
        self._lost = lost
        self._parser: AnswerParser | None = None
        self._answer: Deferred[int] | None = None
        self._deadline: IDelayedCall | None = None
        self._refusal = ""
        self._begun = False
        self.identity: Identity | None = None
        self.posts = 0
        self.usable = False
        self.ready: Deferred[None] = Deferred(self._give_up_begin)

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        if self._identify is None:
            self._begin()

    def handshakeCompleted(self) -> None:
        """TLS is up, and the peer's chain is good."""
        assert self._identify is not None
        self.identity = self._identify(self.transport)
        self._begin()

    def certificate_refused(self, reason: str) -> None:
        """Hear why TLS will not come up."""
        self._refusal = reason

    def post(self, request: bytes, seconds: float) -> Deferred[int]:
        """Send a request; fires with the status of its answer.

        Fails with `Unanswered`, or `ClosedInSilence`.

        :param seconds: from the first octet sent to the last one received
        """
        assert self.usable
        assert self._answer is None
        self.posts += 1
        self._parser = AnswerParser()
        answer: Deferred[int] = Deferred(self._give_up_answer)
        self._answer = answer
        self._deadline = self._clock.callLater(seconds, self._late, seconds)
        self.transport.write(request)
        return answer

    def dataReceived(self, data: bytes) -> None:
        if self._parser is None:
            # Nothing was asked.
            self.abort()
            return
        try:
            self._parser.feed(data)
        except BadAnswer as error:
            self._end(Unanswered(f"answered what is no HTTP response: {error}"))
            return
        if self._parser.rest is not Rest.LEFT:
            self._end(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.usable = False
        if not self._begun:
            self._begun = True
            self.ready.errback(Unreachable(self._refusal or f"TLS failed: {_why(reason)}"))
        if self._answer is not None:
            if self._parser is not None and self._parser.came:
                self._end(Unanswered("closed the connection in the midst of its answer"))
            else:
                self._end(ClosedInSilence(f"closed the connection without an answer ({_why(reason)})"))
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._lost(self)

    def close(self) -> None:
        """Close one that is not in use; a receiver that does not close its side is not waited for long."""
        if self.usable:
            self.usable = False
            self._deadline = self._clock.callLater(_CLOSING_SECONDS, self._give_up)
            self.transport.loseConnection()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.usable = False
        if self.transport is not None:
            self.transport.abortConnection()

    def _begin(self) -> None:
        self._begun = self.usable = True
        self.ready.callback(None)

    def _give_up(self) -> None:
        self._deadline = None
        self.abort()

    def _give_up_begin(self, ready: Deferred[None]) -> None:
        self._begun = True
        self.abort()

    def _give_up_answer(self, answer: Deferred[int]) -> None:
        self._answer = None
        self._end(None)

    def _late(self, seconds: float) -> None:
        self._deadline = None
        self._end(Unanswered(f"no answer within {seconds:g} s"))

    def _end(self, error: Unanswered | None) -> None:
        """What was sent is answered or given up. A status that is known counts, whatever came after it."""
        answer, self._answer = self._answer, None
        parser, self._parser = self._parser, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if parser is None or parser.rest is not Rest.NONE:
            self.abort()
        if answer is None:
            return
        if parser is not None and parser.status is not None:
            answer.callback(parser.status)
        else:
            answer.errback(error or Unanswered("closed the connection"))


def _why(reason: Failure) -> str:
    if reason.check(ConnectionDone, ConnectionAborted):
        return "closed"
    if reason.check(SSL.Error):
        arguments = () if reason.value is None else reason.value.args
        what = arguments[0] if arguments else ()
        # OpenSSL gives a list of library, function, reason.
        said = [entry[-1] for entry in what] if isinstance(what, list) else [str(what)]
        return ", ".join(filter(None, said))[:_LONGEST_REASON] or "an error of TLS"
    return reason.getErrorMessage().splitlines()[0][:_LONGEST_REASON]
