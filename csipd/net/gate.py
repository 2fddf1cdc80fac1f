"""The door: TLS around the site, and how many may come in.

Connections are counted outside of TLS, where one too many costs a system call and not a handshake. The
counting sits in the TLS factory itself, which hears of every connection anyway, so that no further layer
stands between socket and protocol.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.internet.interfaces import IAddress, IOpenSSLServerConnectionCreator, IReactorTime
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from csipd.net.limits import Limits
from csipd.net.throttle import Throttle
from csipd.web.server import Site

_SITE_PREFIX = 64


class Gate(TLSMemoryBIOFactory):
    """Listens for a `Site`: what is given to ``endpoint.listen``.

    A connection beyond `Limits.connections`, or beyond `Limits.connections_per_address` from where it
    comes, is closed before a byte is read. Answers leave the site in one piece, so the TLS protocol that
    gathers small writes for the next turn of the reactor is not used: it would only add a timer to each.
    """

    protocol = TLSMemoryBIOProtocol
    _log = Logger()

    def __init__(
        self, tls: IOpenSSLServerConnectionCreator, site: Site, *, clock: IReactorTime, limits: Limits
    ) -> None:
        super().__init__(tls, False, site, clock)
        self._limits = limits
        self._throttle = Throttle(clock.seconds)
        self._origins: Counter[str] = Counter()

    # A port closes the socket for None (IProtocolFactory); the type of the wrapping factory leaves that out.
    def buildProtocol(self, addr: IAddress | None) -> TLSMemoryBIOProtocol | None:  # type: ignore[override]
        """The protocol of a new connection, or None to have it closed."""
        origin = _origin(addr)
        if len(self.protocols) >= self._limits.connections:
            self._surplus(origin, "all of them")
            return None
        if self._origins[origin] >= self._limits.connections_per_address:
            self._surplus(origin, "that address")
            return None
        return super().buildProtocol(addr)

    def registerProtocol(self, p: TLSMemoryBIOProtocol) -> None:
        if p not in self.protocols:  # Twisted registers each connection twice
            self._origins[_origin(p.getPeer())] += 1
        super().registerProtocol(p)

    def unregisterProtocol(self, p: TLSMemoryBIOProtocol) -> None:
        super().unregisterProtocol(p)
        origin = _origin(p.getPeer())
        self._origins[origin] -= 1
        if not self._origins[origin]:
            del self._origins[origin]

    def _surplus(self, origin: str, whose: str) -> None:
        held = self._throttle.admit()
        if held is not None:
            self._log.warn(
                "connection from {origin} closed: the limit for {whose} is reached "
                "({held} more since the last such line)",
                origin=origin,
                whose=whose,
                held=held,
            )


def _origin(address: Any) -> str:
    """Whom a connection is counted for: an IPv4 address, or the /64 of an IPv6 one."""
    host = getattr(address, "host", None)
    if not isinstance(host, str):
        return ""
    try:
        ip = ip_address(host)
    except ValueError:
        return host
    if not isinstance(ip, IPv6Address):
        return host
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> _SITE_PREFIX << _SITE_PREFIX)}/{_SITE_PREFIX}"
