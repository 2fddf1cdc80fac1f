"""Whatever the broker, the network, time and csipd itself do, in any order."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd.bus import Message, NoAnswer
from csipd.stomp.frames import encode
from tests.gridappsd.brokers import Lab

TOPICS = ("/topic/a", "/topic/b", "/queue/c")
GARBAGE = (
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"\0",
    b"MESSAGE\nx\n\n\0",
    b"RECEIPT\n\n\0",
    b"MESSAGE\n\n",
    b"CONNECTED\n\n\0",
)


class Whatever(RuleBasedStateMachine):
    """A bus on a broker in memory, and all that may happen to both.

    Each message is a number that goes up: what comes is what the broker sent to a connection that still was
    one, in order, and never twice. Each request ends once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lab = Lab()
        self.bus, self.broker, self.clock = self.lab.bus, self.lab.broker, self.lab.clock
        self.got: list[int] = []
        self.given = 0
        self.ups = 0
        self.asked = 0
        self.ended: list[object] = []
        self.subscribed: set[str] = set()
        self.bus.when_up(self._count_up)
        self.bus.startService()

    def _count_up(self) -> None:
        self.ups += 1

    def _take(self, message: Message) -> None:
        self.got.append(int(message.body))

    @property
    def wire(self):
        """The connection that there is, if there is one."""
        open_ones = [wire for wire in self.broker.wires if not wire.gone]
        return open_ones[-1] if open_ones else None

    def _is_open(self) -> bool:
        return self.wire is not None

    @rule(seconds=st.sampled_from([0.0, 0.01, 1.0, 5.0, 9.0, 12.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(_is_open)
    @rule()
    def it_is_taken_in(self) -> None:
        self.wire.accept()

    @precondition(_is_open)
    @rule()
    def all_is_confirmed(self) -> None:
        # Whatever was confirmed before is a receipt that nobody waits for.
        wire = self.wire
        for frame in list(wire.frames):
            if "receipt" in frame.headers and not wire.gone:
                wire.give("RECEIPT", receipt_id=frame.headers["receipt"])

    @precondition(_is_open)
    @rule(good=st.booleans())
    def a_token_comes(self, good: bool) -> None:
        for request in self.wire.of("SEND")[:1]:
            name = request.headers.get("reply-to", "")
            if not self.wire.gone:
                self.wire.message(f"/queue/{name}", b"token" if good else b"no token")

    @rule()
    def all_goes_well(self) -> None:
        """The broker does what it should, until the bus is up if it is to be."""
        self.broker.refuses = self.broker.hangs = False
        for _ in range(4):
            if self.wire is not None and not self.wire.of("DISCONNECT"):
                if not self.wire.protocol.session.is_connected:
                    self.wire.accept()
                if self.wire is not None:
                    self.all_is_confirmed()
                if self.wire is not None:
                    self.a_token_comes(True)
            if self.wire is not None:
                self.all_is_confirmed()

    @precondition(_is_open)
    @rule(topic=st.sampled_from(TOPICS), number=st.integers(1, 80))
    def messages_come(self, topic: str, number: int) -> None:
        wire = self.wire
        octets = b""
        for frame in wire.of("SUBSCRIBE"):
            if frame.headers["destination"] == topic and topic in self.subscribed:
                for _ in range(number):
                    self.given += 1
                    headers = {"subscription": frame.headers["id"], "destination": topic}
                    octets += encode("MESSAGE", headers.items(), b"%d" % self.given)
        if wire.producerState == "producing":
            wire.octets(octets)

    @precondition(_is_open)
    @rule()
    def requests_are_answered(self) -> None:
        wire = self.wire
        for request in wire.of("SEND"):
            name = request.headers.get("reply-to", "")
            if name.startswith("/temp-queue/") and not wire.gone:
                wire.message(name, b"answer")

    @precondition(_is_open)
    @rule(octets=st.sampled_from(GARBAGE) | st.binary(max_size=20))
    def garbage_comes(self, octets: bytes) -> None:
        self.wire.octets(octets)

    @precondition(_is_open)
    @rule()
    def the_broker_says_error(self) -> None:
        self.wire.give("ERROR", message="no")

    @precondition(_is_open)
    @rule()
    def the_connection_is_lost(self) -> None:
        self.wire.drop()

    @precondition(_is_open)
    @rule(reads=st.booleans())
    def the_broker_reads(self, reads: bool) -> None:
        producer = self.wire.producer
        if producer is not None:
            (producer.resumeProducing if reads else producer.pauseProducing)()

    @rule(refuses=st.booleans(), hangs=st.booleans())
    def the_broker_listens(self, refuses: bool, hangs: bool) -> None:
        self.broker.refuses, self.broker.hangs = refuses, hangs

    @rule(topic=st.sampled_from(TOPICS))
    def csipd_subscribes(self, topic: str) -> None:
        if topic not in self.subscribed:
            self.subscribed.add(topic)
            self.bus.subscribe(topic, self._take)

    @rule(size=st.sampled_from([0, 1, 1000, 3 << 20]))
    def csipd_sends(self, size: int) -> None:
        if self.bus.send("/topic/out", b"x" * size):
            assert self.bus.state.up_since is not None

    @rule(cancel=st.booleans())
    def csipd_asks(self, cancel: bool) -> None:
        self.asked += 1
        answer = self.bus.request("/queue/q", b"{}", 5.0)
        answer.addBoth(self.ended.append)
        if cancel:
            answer.cancel()

    @rule()
    def csipd_stops_and_starts(self) -> None:
        stopped = self.bus.stopService()
        self.clock.advance(2)  # the longest that it waits for the broker
        assert stopped is None or stopped.called
        assert self.wire is None
        self.bus.startService()

    @invariant()
    def what_came_was_sent(self) -> None:
        """Messages come in order, once each, and only such as were sent."""
        assert self.got == sorted(set(self.got))
        assert not self.got or self.got[-1] <= self.given
        assert self.bus.state.received == len(self.got)

    @invariant()
    def there_is_one_connection(self) -> None:
        """There is one connection at most, or an attempt to come; what goes on besides is bounded."""
        assert len([wire for wire in self.broker.wires if not wire.gone]) <= 1
        assert len(self.clock.getDelayedCalls()) < 40

    @invariant()
    def it_is_known_to_be_up(self) -> None:
        """Who asked is told each time that it comes up; it is up on an open connection alone."""
        assert self.ups == self.bus.state.connections
        assert self.bus.state.up_since is None or self.wire is not None

    def teardown(self) -> None:
        stopped = self.bus.stopService()
        self.clock.advance(2)
        assert stopped is None or stopped.called
        assert self.wire is None
        self.lab.peer_log.flush()
        assert self.clock.getDelayedCalls() == []
        # Nobody waits for an answer that cannot come.
        assert len(self.ended) == self.asked
        for end in self.ended:
            assert end == b"answer" or end.check(NoAnswer, CancelledError), end


class WhateverHappens(SynchronousTestCase):
    """The machine above."""

    def test_whatever_happens(self) -> None:
        """No order of events leaves anything open, lost twice, or waiting for ever."""
        machine = Whatever.TestCase
        machine.settings = settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        machine("runTest").runTest()
