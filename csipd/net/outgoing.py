"""A TLS connection that csipd opens and keeps: what is written is sent at once, as on those it accepts.

Relied upon of Twisted 26.10, and pinned by tests/net/test_outgoing.py: that ``Connector._makeTransport``
makes the connection of ``reactor.connectTCP``, and that this is a ``Client``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IConnector, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import ClientFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from csipd.net.port import SendsAtOnce
from csipd.net.tls_protocol import TLSProtocol


class _Client(SendsAtOnce, tcp.Client):
    """A connection that is opened."""


class _Connector(tcp.Connector):
    def _makeTransport(self) -> Any:
        return _Client(self.host, self.port, self.bindAddress, self, self.reactor)


class _ClientTLSProtocol(TLSProtocol):
    def makeConnection(self, transport: Any) -> None:
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        super().makeConnection(transport)
        self.begin_handshake()


class _TLSClientFactory(TLSMemoryBIOFactory):
    protocol = _ClientTLSProtocol
    noisy = False


class _Once(ClientFactory):
    """Gives the one protocol that it was made for."""

    noisy = False

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._protocol.connection_failed(reason.getErrorMessage())


def connect(
    reactor: Any,
    address: str,
    port: int,
    tls: IOpenSSLClientConnectionCreator,
    protocol: Any,
    seconds: float,
) -> None:
    """Connect a protocol with TLS.

    It hears ``handshakeCompleted``, or ``connectionLost``; and ``connection_failed`` with a reason where no
    connection comes about.

    :param address: an IP address
    :param seconds: for the kernel to connect
    """
    factory = _TLSClientFactory(tls, True, _Once(protocol), reactor)
    _Connector(address, port, factory, seconds, None, reactor).connect()
