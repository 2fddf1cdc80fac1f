"""TLS to the broker, over real sockets."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from csipd.config import HostPort
from csipd.gridappsd.broker import BrokerBus, endpoint_of
from csipd.gridappsd.bus import Message
from csipd.gridappsd.topics import TOKEN_REQUEST
from csipd.net.peer_log import PeerLog
from csipd.stomp.frames import Decoder, Frame, encode
from tests.gridappsd.brokers import CLIENT, TOKEN, access
from tests.support.pki import Authority, Credential

ROOT = Authority.make("the broker's root")
TOPIC = "/topic/a"


class SmallBroker(Protocol):
    """As much of a broker as one client needs: what it sends comes back to it."""

    def connectionMade(self) -> None:
        self.factory.made.append(self)
        self._decoder = Decoder(lambda command, headers: 1 << 24, CLIENT)
        self._subscriptions: dict[str, str] = {}

    def connectionLost(self, reason: object = None) -> None:
        self.connected = 0

    def dataReceived(self, data: bytes) -> None:
        self._decoder.feed(data)
        for frame in iter(self._decoder.take, None):
            self._take(frame)

    def give(self, command: str, body: bytes = b"", **headers: str) -> None:
        """Send a frame."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.transport.write(encode(command, named.items(), body))

    def _take(self, frame: Frame) -> None:
        headers = frame.headers
        self.factory.frames.append(frame)
        if frame.command == "CONNECT":
            self.give("CONNECTED", version="1.2")
        elif frame.command == "SUBSCRIBE":
            self._subscriptions[headers["destination"]] = headers["id"]
        elif frame.command == "SEND":
            destination, body = headers["destination"], frame.body
            if destination == TOKEN_REQUEST:
                destination, body = f"/queue/{headers['reply-to']}", TOKEN.encode()
            self.give("MESSAGE", body, subscription=self._subscriptions[destination], destination=destination)
        if "receipt" in headers:
            self.give("RECEIPT", receipt_id=headers["receipt"])


class TLSTests(TestCase):
    """Who the broker has to be."""

    timeout = 60

    def listen(self, credential: Credential) -> int:
        """Have a broker of this certificate listen; gives its port."""
        self.factory = Factory.forProtocol(SmallBroker)
        self.factory.made, self.factory.frames = [], []
        loaded = PrivateCertificate.loadPEM(credential.cert_pem + credential.key_pem)
        options = CertificateOptions(privateKey=loaded.privateKey.original, certificate=loaded.original)
        port = reactor.listenSSL(0, self.factory, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self._hang_up)
        return port.getHost().port

    def _hang_up(self) -> None:
        for made in self.factory.made:
            if made.connected:
                made.transport.abortConnection()

    def bus(self, port: int, host: str = "127.0.0.1", **how: Any) -> BrokerBus:
        """A bus that has been started."""
        tls = {"tls": True, "roots": (ROOT.cert_pem,)}
        where = evolve(access(), broker=HostPort(host, port), **{**tls, **how})
        peer_log = PeerLog(reactor)
        bus = BrokerBus(endpoint_of(where, reactor), where, reactor, reactor.seconds, peer_log)
        self.addCleanup(peer_log.flush)
        self.addCleanup(bus.stopService)
        bus.startService()
        return bus

    @inlineCallbacks
    def until(self, true: Any) -> Generator[Deferred[Any], Any, None]:
        """Wait until something is so."""
        while not true():
            yield deferLater(reactor, 0.02)

    @inlineCallbacks
    def test_both_ways(self) -> Generator[Deferred[Any], Any, None]:
        """By an address and by a name that the certificate has; a megabyte comes through."""
        for host in ("127.0.0.1", "localhost"):
            got: list[Message] = []
            bus = self.bus(self.listen(ROOT.server(host)), host)
            bus.subscribe(TOPIC, got.append)
            yield self.until(lambda bus=bus: bus.state.up_since is not None)
            body = bytes(range(256)) * 4096
            self.assertTrue(bus.send(TOPIC, body))
            yield self.until(lambda got=got: got)
            self.assertEqual([message.body for message in got], [body])
            yield bus.stopService()

    @inlineCallbacks
    def assert_refused(self, credential: Credential, why: str) -> Generator[Deferred[Any], Any, None]:
        bus = self.bus(self.listen(credential))
        yield self.until(lambda: bus.state.last_error)
        self.assertIn(why, bus.state.last_error)
        self.assertEqual(self.factory.frames, [], "nothing is told to whom nobody knows")
        self.assertEqual(bus.state.connections, 0)
        yield bus.stopService()

    @inlineCallbacks
    def test_refused(self) -> Generator[Deferred[Any], Any, None]:
        """Another root's broker, one of another name, and one whose time is over are told no password."""
        yield self.assert_refused(
            Authority.make("another").server("127.0.0.1"), "TLS failed: certificate verify failed"
        )
        yield self.assert_refused(ROOT.server("127.0.0.2"), "it is of another name than gridappsd.address")
        nameless = ROOT.issue("nameless", (), subject="127.0.0.1")
        yield self.assert_refused(nameless, "it is of another name than gridappsd.address")
        yield self.assert_refused(ROOT.device("dev1"), "it is of another name than gridappsd.address")
        ended = ROOT.issue("ended", (), subject="127.0.0.1", end=datetime(2021, 1, 1, tzinfo=UTC))
        yield self.assert_refused(ended, "TLS failed: certificate verify failed")

    @inlineCallbacks
    def test_no_tls_there(self) -> Generator[Deferred[Any], Any, None]:
        """A broker that speaks no TLS is told no password."""
        heard: list[bytes] = []

        class Plain(Protocol):
            """Hears, and says what is no TLS."""

            def dataReceived(self, data: bytes) -> None:
                heard.append(data)
                self.transport.write(b"ERROR\n\n\0")
                self.transport.loseConnection()

        port = reactor.listenTCP(0, Factory.forProtocol(Plain), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        bus = self.bus(port.getHost().port)
        yield self.until(lambda: bus.state.last_error)
        self.assertIn("TLS failed", bus.state.last_error)
        self.assertEqual(b"".join(heard)[:2], b"\x16\x03", "a handshake")
        self.assertNotIn(b"CONNECT", b"".join(heard))
