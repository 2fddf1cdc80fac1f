"""Connections with the server, and that it is the server, not just anybody with a certificate of its roots.

Any device's chain ends in the same roots as the server's. So the names by which clients reach the server are
looked for in what the other end shows; a device's certificate has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.python.failure import Failure

from csipd.net import openssl, outgoing
from csipd.net.client_tls import ClientTLS, is_address
from csipd.proxy.lane import UpstreamConnection
from csipd.sep2.certificates import CertificateError, describe

_NOT_BELIEVED = (
    "it does not know the certificate of this proxy: have both read their files anew (SIGHUP), the server "
    "first, or list the certificate's fingerprint under `proxies`"
)

#: Makes a TLS connection to an address: address, port, TLS, protocol, seconds.
Connect = Callable[[str, int, IOpenSSLClientConnectionCreator, Any, float], None]


def connect_with(reactor: Any) -> Connect:
    """Connections by a reactor."""
    return lambda address, port, tls, protocol, seconds: outgoing.connect(
        reactor, address, port, tls, protocol, seconds
    )


@frozen
class ServerAddress:
    """Where the server is, and the names that its certificate has one of at least.

    :param port: asked for at each connection
    """

    host: str
    port: Callable[[], int]
    names: frozenset[str]


@define(eq=False)
class ServerConnector:
    """Makes the connections of lanes.

    :param tls: the side of TLS that connects, in force at this moment
    :param resolve: the addresses of a name; fails with an exception whose text says why
    :param seconds: for the kernel to connect
    :param probe: what is asked first, and answered 403 to a proxy that is believed; empty: nothing is
    """

    server: ServerAddress
    tls: Callable[[], ClientTLS]
    resolve: Callable[[str], Deferred[list[str]]]
    connect_to: Connect
    seconds: float
    probe: bytes = b""

    def connect(self, connection: UpstreamConnection) -> None:
        """Connect; see `csipd.proxy.lane.Connecting`."""
        host = self.server.host
        if is_address(host):
            self._connect(host, connection)
            return

        def found(addresses: list[str]) -> None:
            self._connect(addresses[0], connection)

        def failed(failure: Failure) -> None:
            connection.connection_failed(failure.getErrorMessage())

        self.resolve(host).addCallbacks(found, failed)

    def _connect(self, address: str, connection: UpstreamConnection) -> None:
        if connection.is_gone:
            return  # it was given up meanwhile
        self.connect_to(
            address, self.server.port(), self.tls().to(self.server.host), connection, self.seconds
        )

    def why_not_server(self, transport: Any) -> str | None:
        """Why the other end of a finished handshake is not the server; None: it is."""
        return why_not(openssl.peer_certificate(transport.getHandle()), self.server.names)

    def why_not_believed(self, status: int) -> str | None:
        """Why nobody can be spoken for where the probe is answered so; None: they can."""
        return None if status == 403 else _NOT_BELIEVED


def why_not(der: bytes, names: frozenset[str]) -> str | None:
    """Why a certificate (DER) is not the server's; None: it is.

    :param names: DNS names and IP addresses of the server, one of which it has
    """
    try:
        facts = describe(der)
    except CertificateError as error:
        return str(error)
    if facts.hardware_module is not None:
        return f"what answers there is the device {facts.lfdi}, and not the server"
    if not names.intersection(name.lower() for name in facts.names):
        wanted = ", ".join(sorted(names))
        return f"what answers there has a certificate without any of the server's names ({wanted})"
    return None
