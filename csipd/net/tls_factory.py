"""TLS around the site, and how many connections come in.

Connections are counted outside of TLS, where one too many costs a system call and not a handshake. The
counting sits in the TLS factory itself, which hears of every connection anyway, so that no further layer
stands between socket and protocol.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from csipd.net.connections import Connections
from csipd.net.origin import host_of, origin_of
from csipd.net.peer_log import PeerLog
from csipd.net.tls_protocol import TLSProtocol


class Site(Protocol):
    """What is asked of the site that is served: an `IProtocolFactory` with its connections and log."""

    @property
    def connections(self) -> Connections: ...

    @property
    def peer_log(self) -> PeerLog: ...


class TLSFactory(TLSMemoryBIOFactory):
    """Makes the TLS connections of a site: what is given to `port.listen`.

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
