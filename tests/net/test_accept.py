"""Connections that cannot be accepted."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.accept import AcceptLog, watch
from csipd.net.peer_log import PeerLog
from csipd.net.port import Port


class Socket:
    """A listening socket that hands out what a script says: an error, or a connection."""

    def __init__(self, script: Iterator[int | None]) -> None:
        self._script = script
        self.closed = 0

    def accept(self) -> tuple[Any, tuple[str, int]]:
        error = next(self._script, errno.EAGAIN)
        if error is not None:
            raise OSError(error, os.strerror(error))
        return self, ("198.51.100.7", 1)

    def close(self) -> None:
        self.closed += 1


class NoReactor(Clock):
    """Where nothing is ever ready."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class AcceptLogTests(SynchronousTestCase):
    """What a port says of those it does not take."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def read(self, *script: int | None) -> Socket:
        """A port reads from such a socket once."""
        port: Any = Port(0, Factory(), interface="127.0.0.1", reactor=NoReactor())
        port.startListening()
        self.addCleanup(port.connectionLost, None)
        watch(port, self.log)
        real, port.socket = port.socket, Socket(iter(script))
        try:
            port.doRead()
            socket: Socket = port.socket
        finally:
            port.socket = real
        return socket

    def lines(self) -> list[str]:
        return [str(format_event(each)) for each in self.events if "accept" in str(each["log_format"])]

    def test_no_descriptors(self) -> None:
        """When descriptors run out there is one line a minute with a count (case F12)."""
        self.log = AcceptLog(PeerLog(self.clock))
        for _ in range(10):
            socket = self.read(errno.EMFILE, *[None] * 50)
            self.assertEqual(
                socket.closed, 50, "each that waits is closed, so that its peer is not left waiting"
            )
        (line,) = self.lines()
        self.assertIn("no file descriptor is left", line)
        self.clock.advance(60)
        self.assertIn("a connection could not be accepted: 499 more", str(format_event(self.events[-1])))
        self.read(errno.EMFILE, None)
        self.assertEqual(len(self.lines()), 2)
        self.assertEqual([each for each in self.events if "EMFILE" in str(format_event(each))], [])

    def test_other_errors(self) -> None:
        """Whatever else the system says is under the same rate."""
        self.log = AcceptLog(PeerLog(self.clock))
        for error in (errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED):
            self.read(error)
        (line,) = self.lines()
        self.assertIn("ENFILE", line)

    def test_anything_else(self) -> None:
        """What is not about connections goes where it went."""
        published: list[Any] = []
        AcceptLog(PeerLog(self.clock), published.append)({"log_format": "something else"})
        self.assertEqual(published, [{"log_format": "something else"}])
