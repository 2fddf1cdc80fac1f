"""Connections that csipd opens, over the loopback interface, and what is relied upon of Twisted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from csipd.net import outgoing
from csipd.net.client_tls import ClientTLS
from csipd.net.port import SendsAtOnce
from csipd.net.tls import CIPHERS, ServerTLS
from csipd.net.tls_protocol import TLSProtocol
from tests.support.pki import Authority
from tests.support.receivers import tls_settings

reactor: Any = installed
LAB = Authority.make()
SERVER = LAB.server("127.0.0.1")


@implementer(IHandshakeListener)
class Talk(Protocol):
    """Keeps what happens to it."""

    transport: Any

    def __init__(self) -> None:
        self.shaken: Deferred[None] = Deferred()
        self.failed: Deferred[str] = Deferred()
        self.heard: Deferred[bytes] = Deferred()
        self.gone: Deferred[bool] = Deferred()

    def handshakeCompleted(self) -> None:
        self.shaken.callback(None)

    def certificate_refused(self, reason: str) -> None:
        """Nobody is refused here."""

    def connection_failed(self, reason: str) -> None:
        self.failed.callback(reason)

    def read_begins(self) -> None:
        """A read of the socket."""

    def dataReceived(self, data: bytes) -> None:
        self.heard.callback(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(True)


class Echo(Talk):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data[::-1])


class OutgoingTests(TestCase):
    """A TLS connection to a server in this process."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        self.client = ClientTLS(
            tls_settings(folder / "own", SERVER, LAB), now=lambda: 0.0, ciphers=CIPHERS[1:], peer="server"
        )
        server = ServerTLS(tls_settings(folder / "server", SERVER, LAB), now=lambda: 0.0, announce_end=False)
        factory = outgoing.TLSMemoryBIOFactory(server, False, Factory.forProtocol(Echo), reactor)
        factory.protocol = TLSProtocol
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    def connect(self, port: int) -> Talk:
        talk = Talk()
        outgoing.connect(reactor, "127.0.0.1", port, self.client.to("127.0.0.1"), talk, 10)
        return talk

    async def test_talks(self) -> None:
        """The handshake begins by itself, what is written is sent, and the end is heard of."""
        talk = self.connect(self.port.getHost().port)
        await talk.shaken
        self.assertEqual(talk.transport.getHandle().get_cipher_name(), CIPHERS[1])
        talk.transport.write(b"abc")
        self.assertEqual(await talk.heard, b"cba")
        talk.transport.loseConnection()
        await talk.gone

    async def test_at_once(self) -> None:
        """Nothing waits for the reactor's next turn: the socket has it when `write` returns, and no delay."""
        talk = self.connect(self.port.getHost().port)
        await talk.shaken
        tcp_connection = talk.transport.transport
        self.assertIsInstance(tcp_connection, SendsAtOnce)
        self.assertIsInstance(tcp_connection, tcp.Client)
        self.assertTrue(tcp_connection.getTcpNoDelay())
        self.assertTrue(tcp_connection.getTcpKeepAlive())
        talk.transport.write(b"abc")
        self.assertEqual((tcp_connection.dataBuffer, tcp_connection._tempDataBuffer), (b"", []))
        await talk.heard
        talk.transport.abortConnection()
        await talk.gone

    async def test_refused(self) -> None:
        """Where nobody listens that is said."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.assertIn("refused", await self.connect(port).failed)


class TwistedTests(SynchronousTestCase):
    """What is relied upon of Twisted."""

    def test_connector(self) -> None:
        """A ``Connector`` connects by what its `_makeTransport` makes, as a rule a ``Client``."""
        made: list[Any] = []

        class Noted(tcp.Connector):
            def _makeTransport(self) -> Any:
                made.append(super()._makeTransport())
                return made[0]

        with socket.create_server(("127.0.0.1", 0)) as server:
            clock = MemoryReactorClock()
            clock.addReader = clock.addWriter = clock.removeReader = clock.removeWriter = lambda one: None
            Noted("127.0.0.1", server.getsockname()[1], outgoing._Once(Talk()), 0, None, clock).connect()
            self.assertIs(type(made[0]), tcp.Client)
            made[0].failIfNotConnected(ConnectError())
