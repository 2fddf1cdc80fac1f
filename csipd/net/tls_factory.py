"""TLS around the site, and how many connections come in.

Connections are counted outside of TLS, where one too many costs a system call and not a handshake. The
counting sits in the TLS factory itself, which hears of every connection anyway, so that no further layer
stands between socket and protocol.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from csipd.net.connections import Connections
from csipd.net.origin import host_of, origin_of
from csipd.net.peer_log import PeerLog

#: A connection without traffic is tried by TCP: after so many seconds, in such steps, so many times.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 120, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}


class Site(Protocol):
    """What is asked of the site that is served: an `IProtocolFactory` with its connections and log."""

    @property
    def connections(self) -> Connections: ...

    @property
    def peer_log(self) -> PeerLog: ...


class TLSProtocol(TLSMemoryBIOProtocol):
    """One TLS connection, whose channel hears of each read of the socket."""

    transport: Any
    wrappedProtocol: Any

    def makeConnection(self, transport: Any) -> None:
        if isinstance(transport, tcp.Connection):
            # A peer that lost power or its route closes nothing, and would keep its place for long.
            transport.setTcpKeepAlive(True)
            for option, value in _KEEP_ALIVE.items():
                if hasattr(socket, option):
                    transport.getHandle().setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        self.wrappedProtocol.read_begins()
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        # What was not sent goes now, and not when the garbage collector finds this circle.
        self._appSendBuffer = []
        self._producer = None


class TLSFactory(TLSMemoryBIOFactory):
    """Makes the TLS connections of a site: what is given to ``listenTCP``.

    Whether a connection comes in, and which one makes room for it, is the site's `Connections` to say.
    Answers leave the site in one piece, so the TLS protocol that gathers small writes for the next turn of
    the reactor is not used: it would only add a timer to each.
    """

    protocol = TLSProtocol
    noisy = False
    _log = Logger()

    def __init__(self, tls: IOpenSSLServerConnectionCreator, site: Site, *, clock: IReactorTime) -> None:
        factory: Any = site
        super().__init__(tls, False, factory, clock)
        self._site = site

    # A port closes the socket for None (IProtocolFactory); the type of the wrapping factory leaves that out.
    def buildProtocol(self, addr: IAddress | None) -> TLSProtocol | None:  # type: ignore[override]
        """The protocol of a new connection, or None to have it closed."""
        origin = origin_of(addr)
        why = self._site.connections.make_way(origin)
        if why is not None:
            self._site.peer_log.warn(
                self._log,
                origin,
                why,
                "connection from {host} closed: {why}",
                host=host_of(addr),
                why=why,
            )
            return None
        made = super().buildProtocol(addr)
        assert isinstance(made, TLSProtocol)
        return made
