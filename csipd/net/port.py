"""The listening socket and those that it accepts: Twisted's, with less to do for each and its answers.

Linux hands the options of a listening socket on to what it accepts, so they are set once. An answer is sent
at once where nothing waits before it, and not when epoll has said that there is room: there nearly always is.
Where the server has its fill of handshakes nothing is accepted, and who comes waits in the kernel's queue.

Relied upon of Twisted 26.10, and pinned by tests/net/test_port.py: that ``Port.transport`` makes connections,
that ``numberAccepts`` says how many at most it accepts in one turn, that a connection is as
`Connection.__init__` below leaves it, and that what ``write`` keeps is sent, or found to be
lost, by ``doWrite``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IProtocolFactory

#: A connection without traffic is tried by TCP: after so many seconds, in such steps, so many times. A peer
#: that lost power or its route closes nothing, and would keep its place for long.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 120, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}
#: Connections accepted in one turn of the reactor at most: those that are there have theirs in between.
_ACCEPTS = 64


class Gate(Protocol):
    """Who says how many connections come in."""

    def room(self, wanted: int) -> int:
        """How many may be accepted now, at most so many as are wanted."""

    def when_room(self, call: Callable[[], None]) -> None:
        """Have this called once, as soon as there may be one."""


class SendsAtOnce:
    """Of a connection: what is written is sent at once where nothing waits before it."""

    # As Twisted has them.
    socket: Any
    connected: Any
    producer: Any
    streamingProducer: Any
    TLS: Any
    dataBuffer: Any
    _tempDataBuffer: Any
    _aborting: Any
    _writeDisconnecting: Any

    def write(self, data: bytes) -> None:
        if self._tempDataBuffer or self.dataBuffer or not self._is_free():
            super().write(data)  # type: ignore[misc] # of the transport that this is mixed into
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            # There is no room, or nobody; doWrite finds out.
            sent = 0
        if sent < len(data):
            super().write(data[sent:])  # type: ignore[misc] # the same

    def has_unread(self) -> bool:
        """Whether something that the peer has sent, if only its end, waits to be read."""
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            # What is wrong with it is for doRead to find.
            return True
        return True

    def _is_free(self) -> bool:
        """Whether what is written may be sent past the buffer, if that is empty."""
        return bool(
            self.connected
            and not self._aborting
            and not self._writeDisconnecting
            and not self.TLS
            # One that is asked for more each time that all is sent: doWrite asks it.
            and (self.producer is None or self.streamingProducer)
        )


class Connection(SendsAtOnce, tcp.Server):
    """An accepted connection."""

    reactor: Any
    # Who asks for it asks again: the site counts by it, the log names it.
    _peer: IPv4Address | IPv6Address | None = None

    def __init__(
        self, accepted: socket.socket, protocol: Any, client: Any, server: Any, number: int, reactor: Any
    ) -> None:
        # What Server.__init__ does, but for two strings that are made when they are asked for.
        tcp.Connection.__init__(self, accepted, protocol, reactor)
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server = server
        self.client = client
        self.sessionno = number
        self.hostname = client[0]
        self.startReading()
        self.connected = 1

    @property
    def repstr(self) -> str:  # type: ignore[override] # Twisted has a string that it makes beforehand
        return f"<{type(self).__name__} #{self.sessionno} from {self.hostname}>"

    def logPrefix(self) -> str:
        return f"{type(self).__name__},{self.sessionno},{self.hostname}"

    def getPeer(self) -> IPv4Address | IPv6Address:
        if self._peer is None:
            self._peer = super().getPeer()
        return self._peer


class Port(tcp.Port):
    """A listening socket whose connections are `Connection`."""

    transport: Any = Connection
    numberAccepts: int
    #: None: all are accepted.
    gate: Gate | None = None

    def doRead(self) -> None:
        room = _ACCEPTS if self.gate is None else self.gate.room(_ACCEPTS)
        if room:
            # Twisted tries as many as came in the last turn, and some more if there were so many.
            self.numberAccepts = min(self.numberAccepts, room)
            super().doRead()
        elif self.gate is not None:
            self.stopReading()
            self.gate.when_room(self._go_on)

    def _go_on(self) -> None:
        if self.connected and not self.disconnecting:
            self.startReading()

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEP_ALIVE.items():
            if hasattr(socket, option):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return made


def listen(
    reactor: Any,
    port: int,
    factory: IProtocolFactory,
    *,
    backlog: int,
    interface: str,
    gate: Gate | None = None,
) -> Port:
    """Listen as ``reactor.listenTCP`` does. CannotListenError if the address cannot be had."""
    made = Port(port, factory, backlog, interface, reactor)
    made.gate = gate
    made.startListening()
    return made
