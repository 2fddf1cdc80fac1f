"""The client's side of TLS: csipd as who connects, which it does to send Notifications, and as a proxy.

It presents the server's own certificate, offers what the server's side takes, and holds the peer's chain to
the same trust roots and rules: a receiver of Notifications is a device of the same PKI (IEEE 2030.5-2018
8.7.3.2). The name that was connected to is not looked for in the certificate, since devices' certificates
have none; who it is the LFDI says, which whoever sends asks (decision 65).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from csipd.net.tls import CIPHERS, OPTIONS, TLSContexts, TLSSettings
from csipd.sep2.identity import lfdi


class Refusable(Protocol):
    """What uses a TLS connection, and hears why its peer is refused."""

    def certificate_refused(self, reason: str) -> None: ...


class ClientTLS(TLSContexts):
    """Makes the client's side of TLS connections from the server's own files."""

    def __init__(
        self,
        settings: TLSSettings,
        *,
        now: Callable[[], float],
        what: str = "notifications",
        peer: str = "receiver",
        ciphers: tuple[str, ...] = CIPHERS,
    ) -> None:
        """Read the files of `settings`; see `TLSContexts`.

        :param peer: what is connected to, for the log
        :param ciphers: of the profile's two suites those that are offered
        """
        super().__init__(settings, now=now, what=what, ciphers=ciphers)
        self._peer = peer

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """What makes a TLS connection to a host, from the context in force now.

        The protocol above TLS is one of `Refusable`.

        :param host: a name, which the peer is told (SNI), or an IP address
        """
        return _Connector(self._loaded.context, host)

    def _new_context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_options(OPTIONS)
        return context

    def _refused(self, connection: SSL.Connection, chain: list[bytes], depth: int, reason: str) -> None:
        who = f"certificate {depth} above it" if depth else f"LFDI {lfdi(chain[0])}"
        _user_of(connection).certificate_refused(
            f"the {self._peer}'s certificate is refused: {who}: {reason}"
        )

    def _not_judged(self, connection: SSL.Connection) -> None:
        self._log.failure("the certificate of a {peer} could not be judged", peer=self._peer)
        _user_of(connection).certificate_refused(f"the {self._peer}'s certificate could not be judged")


@implementer(IOpenSSLClientConnectionCreator)
class _Connector:
    """Makes one TLS connection."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._context = context
        self._host = host

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        return connection


def _user_of(connection: SSL.Connection) -> Refusable:
    # Twisted makes the protocol of a connection its app data.
    protocol: Any = connection.get_app_data()
    user: Refusable = protocol.wrappedProtocol
    return user


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
