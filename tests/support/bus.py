"""Buses for tests: one in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail

from csipd.gridappsd.bus import LARGEST, BusState, Handler, Message, NoAnswer


@frozen
class Sent:
    """One message that went out of a bus in memory."""

    destination: str
    body: bytes
    reply_to: str | None = None


class MemoryBus:
    """A bus without a broker: what is sent is kept, what comes in is put in by the test.

    It is up from the start. `send` hands a message to those who subscribed to its destination, as a broker
    does. Requests are answered by `answers`, or wait in `asked` until the test does it.
    """

    def __init__(self, *, up: bool = True) -> None:
        self.state = BusState(up_since=0.0 if up else None, connections=int(up))
        self.sent: list[Sent] = []
        self.full = False
        self.refusals: list[tuple[str, str]] = []
        self.answers: dict[str, Callable[[bytes], bytes | None]] = {}
        self.asked: list[tuple[Sent, Deferred[bytes]]] = []
        self._handlers: dict[str, list[Handler]] = defaultdict(list)
        self._when_up: list[Callable[[], None]] = []

    @property
    def destinations(self) -> list[str]:
        """What is subscribed to."""
        return list(self._handlers)

    def subscribe(self, destination: str, handler: Handler) -> None:
        self._handlers[destination].append(handler)

    def send(self, destination: str, body: bytes, *, reply_to: str | None = None) -> bool:
        if self.state.up_since is None or self.full:
            self.state.refused["not sent"] += 1
            return False
        self.state.sent += 1
        self.sent.append(Sent(destination, body, reply_to))
        self.deliver(destination, body)
        return True

    def request(self, destination: str, body: bytes, seconds: float) -> Deferred[bytes]:
        if self.state.up_since is None:
            return fail(NoAnswer("the bus is down"))
        sent = Sent(destination, body)
        self.sent.append(sent)
        self.state.sent += 1
        waiting: Deferred[bytes] = Deferred()
        answer = self.answers.get(destination)
        found = answer(body) if answer is not None else None
        if found is None:
            self.asked.append((sent, waiting))
        else:
            waiting.callback(found)
        return waiting

    def when_up(self, call: Callable[[], None]) -> None:
        self._when_up.append(call)
        if self.state.up_since is not None:
            call()

    def refuse(self, kind: str, line: str, /, **values: Any) -> None:
        self.state.refused[kind] += 1
        self.refusals.append((kind, line.format(**values)))

    def deliver(self, destination: str, body: bytes, **headers: str) -> None:
        """Have a message come in; one that is too large does not, as with a broker."""
        if len(body) > LARGEST:
            self.refuse("message too large", "{octets} octets", octets=len(body))
            return
        for handler in list(self._handlers.get(destination, ())):
            self.state.received += 1
            handler(Message(destination, body, headers))

    def come_up(self, at: float = 0.0) -> None:
        """The broker is there."""
        self.state.up_since = at
        self.state.connections += 1
        for call in self._when_up:
            call()

    def go_down(self, why: str = "the connection was lost") -> None:
        """The broker is gone; what waits for an answer gets none."""
        self.state.up_since, self.state.last_error = None, why
        asked, self.asked = self.asked, []
        for _, waiting in asked:
            waiting.errback(NoAnswer(why))
