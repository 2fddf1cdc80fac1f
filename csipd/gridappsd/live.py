"""What is done on a connection that csipd has been taken in on: subscriptions, messages, requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from secrets import token_hex
from typing import Final, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from csipd.gridappsd.bus import NoAnswer
from csipd.gridappsd.connection import Connection
from csipd.stomp.session import Received

#: Octets of an answer to a request: a model of more than ten thousand devices.
LARGEST_ANSWER: Final = 64 << 20


class Owner(Protocol):
    """Who hears what comes of a connection."""

    def came_up(self) -> None:
        """The broker has confirmed every subscription."""

    def received(self, destination: str, message: Received) -> None:
        """A message came for a destination that was subscribed to."""

    def refuse(self, kind: str, line: str, /, **values: object) -> None:
        """Something came that nothing is made of."""

    def went_down(self, kind: str, reason: str) -> None:
        """The connection is over."""


@frozen
class _Request:
    """A request that waits for its answer.

    :param answers_to: the queue of the answer
    """

    answers_to: str
    answer: Deferred[bytes]
    timer: IDelayedCall


class Live:
    """The user of a connection that messages go over.

    :ivar connection: to be set before the broker can have answered
    """

    connection: Connection

    def __init__(
        self, owner: Owner, clock: IReactorTime, destinations: Collection[str], subject: Mapping[str, str]
    ) -> None:
        """Begin.

        :param destinations: what is subscribed to once csipd has been taken in
        :param subject: headers that say who sends
        """
        self._owner = owner
        self._clock = clock
        self._subject = subject
        self._wanted = destinations
        self._destinations: dict[str, str] = {}
        self._unconfirmed: set[str] = set()
        self._requests: dict[str, _Request] = {}
        self._asked = 0
        self._up = False

    @property
    def waiting(self) -> int:
        """Octets that the broker has not taken yet, beyond what the transport keeps."""
        return self.connection.session.output_size

    @property
    def requests(self) -> int:
        """How many requests wait for their answers."""
        return len(self._requests)

    def subscribe(self, destination: str) -> None:
        """Have the messages of one more destination, where the others are subscribed to already."""
        if self.connection.session.is_connected:
            self._subscribe(destination)
            self.connection.flush()

    def send(self, destination: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a message."""
        self.connection.session.send(destination, body, {**headers, **self._subject})
        self.connection.flush()

    def request(self, destination: str, body: bytes, seconds: float) -> Deferred[bytes]:
        """Send a message and wait for the answer."""
        self._asked += 1
        name = f"q{self._asked}"
        answers_to = f"/temp-queue/response.{token_hex(8)}"
        answer: Deferred[bytes] = Deferred(lambda _: self._cancelled(name))
        timer = self._clock.callLater(
            seconds, self._unanswered, name, f"nobody answered within {seconds:g} s"
        )
        self._requests[name] = _Request(answers_to, answer, timer)
        self.connection.session.subscribe(name, answers_to, self._clock.seconds(), most_body=LARGEST_ANSWER)
        self.send(destination, body, {"reply-to": answers_to})
        return answer

    def connected(self) -> None:
        self._unconfirmed = {self._subscribe(destination) for destination in tuple(self._wanted)}
        self.connection.flush()
        self._see_whether_up()

    def confirmed(self, receipt: str) -> None:
        self._unconfirmed.discard(receipt)
        self._see_whether_up()

    def received(self, message: Received) -> None:
        destination = self._destinations.get(message.subscription)
        if destination is not None:
            self._owner.received(destination, message)
        elif message.subscription not in self._requests:
            self._owner.refuse("not asked for", "a message that nobody subscribed to")
        elif message.dropped:
            self._unanswered(message.subscription, f"the answer has {message.dropped} octets")
        else:
            self._forget(message.subscription).answer.callback(message.body)

    def lost(self, kind: str, reason: str) -> None:
        for name in list(self._requests):
            self._unanswered(name, reason)
        self._owner.went_down(kind, reason)

    def _subscribe(self, destination: str) -> str:
        """Ask for the messages of a destination; gives the receipt that will confirm it."""
        name = f"s{len(self._destinations)}"
        self._destinations[name] = destination
        return self.connection.session.subscribe(name, destination, self._clock.seconds())

    def _see_whether_up(self) -> None:
        if not self._up and not self._unconfirmed:
            self._up = True
            self._owner.came_up()

    def _unanswered(self, name: str, why: str) -> None:
        self._forget(name).answer.errback(NoAnswer(why))

    def _cancelled(self, name: str) -> None:
        self._forget(name)

    def _forget(self, name: str) -> _Request:
        """Wait for an answer no longer."""
        request = self._requests.pop(name)
        if request.timer.active():
            request.timer.cancel()
        self.connection.session.unsubscribe(name, request.answers_to)
        self.connection.flush()
        return request
