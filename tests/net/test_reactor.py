"""The reactor of csipd, and what of Twisted's (26.10) it stands on."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from csipd.net import reactor as reactor_module
from csipd.net.reactor import Reactor


class Descriptor(FileDescriptor):
    """One end of a pair of sockets, and what is done with it."""

    def __init__(self, reactor: Reactor, read: Callable[[], Any]) -> None:
        super().__init__(reactor)  # type: ignore[arg-type] # the interface is declared by its base class
        self.socket, self.peer = socket.socketpair()
        self.fileno = self.socket.fileno  # type: ignore[method-assign]
        self.doRead = read  # type: ignore[method-assign]
        self.lost: list[Failure] = []
        self.prefixes = 0
        self.connected = 1
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.lost.append(reason)
        self.close()

    def close(self) -> None:
        self.socket.close()
        self.peer.close()

    def logPrefix(self) -> str:
        self.prefixes += 1
        return "x"


class ReactorTests(SynchronousTestCase):
    """Events and delays."""

    def setUp(self) -> None:
        self.reactor = self.make(Reactor)

    def make(self, kind: type[EPollReactor]) -> Any:
        """A reactor of its own; what it opens is closed at the end, after what it watched."""
        reactor: Any = kind()
        waker = vars(reactor)["waker"]

        def close() -> None:
            reactor._poller.close()
            for each in (waker.i, waker.o):
                os.close(each)

        self.addCleanup(close)
        return reactor

    def descriptor(self, read: Callable[[], Any], reactor: Any = None) -> Descriptor:
        made = Descriptor(reactor or self.reactor, read)
        self.addCleanup(made.close)
        return made

    def test_event(self) -> None:
        """A handler is called for its event, without a context that names its connection."""
        calls: list[str] = []
        made = self.descriptor(lambda: calls.append("read"))
        self.reactor.iterate(0)
        self.assertEqual(calls, [])
        made.peer.send(b"x")
        self.reactor.iterate(0)
        self.assertEqual((calls, made.prefixes, made.lost), (["read"], 0, []))

    def test_twisteds_context(self) -> None:
        """Twisted's own asks for the name at each event: what is saved."""
        reactor = self.make(EPollReactor)
        made = self.descriptor(lambda: None, reactor)
        made.peer.send(b"x")
        reactor.iterate(0)
        self.assertEqual(made.prefixes, 1)

    def test_handler_raises(self) -> None:
        """What a handler raises is logged, and its connection is dropped; the others go on."""
        calls: list[str] = []

        def fail() -> None:
            raise ValueError("in a handler")

        broken, sound = self.descriptor(fail), self.descriptor(lambda: calls.append("read"))
        for each in (broken, sound):
            each.peer.send(b"x")
        self.reactor.iterate(0)
        self.assertEqual((len(broken.lost), calls), (1, ["read"]))
        self.assertIs(broken.lost[0].type, ValueError)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.reactor.iterate(0)
        self.assertEqual(len(broken.lost), 1)

    def test_closing_raises(self) -> None:
        """So is what its end raises, and the loop goes on."""
        calls: list[str] = []

        def lost(reason: Failure) -> None:
            raise KeyError("at the end")

        broken = self.descriptor(lambda: ConnectionDone())
        broken.readConnectionLost = lost  # type: ignore[method-assign]
        sound = self.descriptor(lambda: calls.append("read"))
        for each in (broken, sound):
            each.peer.send(b"x")
        self.reactor.iterate(0)
        self.assertEqual(calls, ["read"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.assertNotIn(broken, self.reactor.getReaders())

    def test_closed_in_the_same_round(self) -> None:
        """A connection that another event of the round has closed is not called."""
        made: list[Descriptor] = []
        calls: list[Descriptor] = []

        def read_of(number: int) -> Callable[[], None]:
            def read() -> None:
                calls.append(made[number])
                made[1 - number].connectionLost(Failure(ConnectionDone()))

            return read

        made += [self.descriptor(read_of(number)) for number in (0, 1)]
        for each in made:
            each.peer.send(b"x")
        self.reactor.iterate(0)
        self.assertEqual(len(calls), 1)

    def test_peer_hangs_up(self) -> None:
        """A peer that hangs up ends the connection."""
        made = self.descriptor(lambda: ConnectionDone())
        made.peer.close()
        self.reactor.iterate(0)
        self.assertEqual(len(made.lost), 1)

    def test_many(self) -> None:
        """More events than a round takes are handled in the next ones."""
        calls: list[int] = []
        self.patch(reactor_module, "_EVENTS", 3)

        def read_of(number: int) -> Callable[[], None]:
            def read() -> None:
                made[number].socket.recv(1)
                calls.append(number)

            return read

        made = [self.descriptor(read_of(number)) for number in range(8)]
        for each in made:
            each.peer.send(b"x")
        for _ in range(3):
            self.reactor.iterate(0)
        self.assertEqual(sorted(calls), list(range(8)))

    def test_delays(self) -> None:
        """Delays are measured by the monotonic clock (decision 22)."""
        self.assertIs(self.reactor.seconds, time.monotonic)
        self.assertIs(self.reactor.callLater(5, print).seconds, time.monotonic)
        calls: list[str] = []
        self.reactor.callLater(0, calls.append, "called")
        self.reactor.iterate(0)
        self.assertEqual(calls, ["called"])

    def test_loop(self) -> None:
        """What is replaced is what Twisted's loop calls."""
        self.assertIs(EPollReactor.doIteration, EPollReactor.doPoll)
        self.assertIs(Reactor.doIteration, Reactor.doPoll)
        self.reactor.callLater(0, self.reactor.stop)
        ran: list[float | None] = []
        self.reactor.doIteration = ran.append
        self.reactor.startRunning(installSignalHandlers=False)
        self.reactor.mainLoop()
        self.assertTrue(ran)
