"""The gate: how many come in, and what TLS adds to a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from csipd.net.gate import Gate
from csipd.net.identity import Identity, identify_by
from csipd.net.limits import Limits
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.sep2.identity import sfdi
from csipd.web.server import Request, Site
from tests.support import pki
from tests.support.client import Client, ClientTLS
from tests.support.memory_tls import SERVER, Wire
from tests.support.pki import Authority

LAB = Authority.make()
DEVICE = LAB.device("dev1")
HERE, THERE = "198.51.100.7", "198.51.100.8"


class App(Resource):
    """Remembers who asked and answers at length."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Identity] = []

    def render(self, request: Request) -> Any:
        self.callers.append(request.identity)
        return NOT_DONE_YET if request.path == b"/slow" else b"x" * 30_000


class GateCase(SynchronousTestCase):
    """A gate in memory."""

    limits = Limits(
        connections=4,
        connections_per_address=2,
        handshake_seconds=10,
        idle_seconds=100,
        request_seconds=30,
        drain_seconds=20,
        pipelined_bytes=1000,
    )

    def setUp(self) -> None:
        self.clock = Clock()
        self.app = App()
        folder = Path(self.mktemp())
        pki.write(folder, LAB, server=LAB.server("localhost"))
        self.tls = ServerTLS(
            TLSSettings(
                private_key=folder / "private" / "server.pem",
                certificate=folder / "certs" / "server.crt",
                trust_roots=(folder / "certs" / "ca.crt",),
            ),
            monotonic=self.clock.seconds,
            now=lambda: 0.0,
        )
        self.site = self.make_site()
        self.gate = Gate(self.tls, self.site, clock=self.clock, limits=self.limits)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def make_site(self, **more: Any) -> Site:
        return Site(self.app, clock=self.clock, now=lambda: 0.0, limits=self.limits, **more)

    def wire(self, host: str = HERE) -> Wire:
        wire = Wire.tls(self.gate, ClientTLS(DEVICE, trust=LAB), self.clock, host)
        wire.pump()
        return wire

    def lines(self) -> list[str]:
        return [str(format_event(each)) for each in self.events if each["log_namespace"].startswith("csipd")]


class CountTests(GateCase):
    """How many come in."""

    def assertShut(self, host: str) -> None:
        self.assertRaises(ConnectionRefusedError, self.wire, host)

    def test_per_address(self) -> None:
        """One address has so many connections; another one has its own, and who leaves makes room."""
        first, _ = self.wire(), self.wire()
        self.assertShut(HERE)
        self.wire(THERE)
        first.hang_up()
        self.wire()
        self.assertShut(HERE)

    def test_total(self) -> None:
        """All together have so many."""
        wires = [self.wire(f"192.0.2.{n}") for n in range(4)]
        self.assertShut("192.0.2.100")
        wires[2].hang_up()
        self.wire("192.0.2.100")
        self.assertShut("192.0.2.101")

    def test_idle_count(self) -> None:
        """A connection counts from its first moment, without any handshake."""
        peer = IPv4Address("TCP", HERE, 1)
        for _ in range(2):
            client = Client()
            Wire(self.gate.buildProtocol(peer), client, client, self.clock, peer)
        self.assertIsNone(self.gate.buildProtocol(peer))

    def test_addresses(self) -> None:
        """IPv6 counts by its /64, a mapped IPv4 address as itself."""
        for same in (
            ("2001:db8::1", "2001:db8::2:3"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::2"),
        ):
            with self.subTest(same=same):
                wires = [self.wire(host) for host in same]
                self.assertIsNone(self.gate.buildProtocol(IPv6Address("TCP", same[0], 1)))
                for wire in wires:
                    wire.hang_up()
                self.assertEqual(self.gate.protocols, {})

    def test_flood(self) -> None:
        """Surplus connections make one line a minute, which counts the rest."""
        wires = [self.wire(), self.wire()]
        for _ in range(5):
            self.assertShut(HERE)
        self.assertEqual(len(self.lines()), 1)
        self.assertIn(HERE, self.lines()[0])
        self.clock.advance(60)
        self.assertShut(HERE)
        self.assertIn("4 more", self.lines()[1])
        for wire in wires:
            wire.hang_up()


class IdentityTests(GateCase):
    """Who is there, from a real handshake."""

    def test_device(self) -> None:
        """The identity is that of the leaf that was presented, whole and without an end to speak of."""
        wire = self.wire()
        wire.result(wire.client.get("/"))
        (caller,) = self.app.callers
        self.assertEqual((caller.lfdi, caller.sfdi), (DEVICE.lfdi, DEVICE.sfdi))
        self.assertEqual(caller.not_after, pki.FOREVER.timestamp())
        self.assertEqual((len(caller.fingerprint), caller.fingerprint[:40]), (64, DEVICE.lfdi))

    def test_once(self) -> None:
        """It is made once a connection, however many requests there are."""
        made: list[Identity] = []
        identify = self.site.identify

        def counted(transport: Any) -> Identity:
            made.append(identify(transport))
            return made[-1]

        self.site.identify = counted
        wire = self.wire()
        for _ in range(3):
            wire.result(wire.client.get("/"))
        self.assertEqual(len(made), 1)
        self.assertTrue(all(caller is made[0] for caller in self.app.callers))

    def test_other_lfdi(self) -> None:
        """Another way from the certificate to an LFDI may be handed in."""
        self.site.identify = identify_by(lambda der: "0" * 39 + str(len(der) % 10))
        wire = self.wire()
        wire.result(wire.client.get("/"))
        (caller,) = self.app.callers
        self.assertEqual(caller.lfdi, "0" * 39 + str(len(DEVICE.der) % 10))
        self.assertEqual(caller.sfdi, sfdi(caller.lfdi))
        self.assertEqual(self.site.connections.of(caller.lfdi), 1)

    def test_without_tls(self) -> None:
        """Without TLS there is no caller, and nothing is served."""
        client = Client()
        channel = self.site.buildProtocol(None)
        wire = Wire(channel, client, client, self.clock, SERVER)
        client.get("/").addErrback(lambda _: None)
        wire.pump()
        channel.handshakeCompleted()
        wire.pump()
        self.assertEqual((client.received, self.app.callers, wire.closed), (b"", [], True))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class DeadlineTests(GateCase):
    """Deadlines, with TLS between."""

    def test_half_a_handshake(self) -> None:
        """A handshake that goes no further is cut."""
        wire = Wire.tls(self.gate, ClientTLS(DEVICE, trust=LAB), self.clock)
        wire.reading = False
        wire.pump()
        wire.advance(9)
        self.assertFalse(wire.closed)
        wire.advance(3)
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.site.connections), 0)

    def test_no_handshake(self) -> None:
        """What speaks no TLS is cut at once and makes a line in the log."""
        peer = IPv4Address("TCP", HERE, 1)
        client = Client()
        wire = Wire(self.gate.buildProtocol(peer), client, client, self.clock, peer)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        wire.pump()
        self.assertTrue(wire.closed)
        self.assertIn(f"TLS handshake with {HERE} failed: http request", self.lines()[-1])

    def test_idle(self) -> None:
        """An idle connection is closed with a goodbye of TLS."""
        wire = self.wire()
        wire.result(wire.client.get("/"))
        wire.advance(99)
        self.assertFalse(wire.closed)
        wire.advance(3)
        self.assertTrue(wire.closed)

    def test_silent_at_the_end(self) -> None:
        """A client that does not answer the goodbye is cut."""
        wire = self.wire()
        wire.reading = False
        wire.advance(102)
        self.assertFalse(wire.closed)
        wire.advance(21)
        self.assertTrue(wire.closed)

    def test_not_reading(self) -> None:
        """A client that asks and never reads is cut, and what waits for it stays small."""
        wire = self.wire()
        wire.reading = False
        for _ in range(20):
            wire.client.get("/").addErrback(lambda _: None)
            wire.pump()
        self.assertLess(wire.server_waiting, 100_000)
        wire.advance(22)
        self.assertTrue(wire.closed)

    def test_withdrawn(self) -> None:
        """A connection whose LFDI is closed goes with a goodbye."""
        wire = self.wire()
        wire.result(wire.client.get("/"))
        self.assertEqual(self.site.connections.close(DEVICE.lfdi), 1)
        wire.pump()
        self.assertTrue(wire.closed)

    def test_withdrawn_while_not_read(self) -> None:
        """The client's own goodbye is heard although reading had stopped: nobody waits for a deadline."""
        wire = self.wire()
        for request in ("/slow", "/" + "a" * 200, "/" + "a" * 200, "/" + "a" * 200, "/" + "a" * 200):
            wire.client.get(request).addErrback(lambda _: None)
        wire.pump()
        self.assertFalse(wire.server_reading)
        self.site.connections.close(DEVICE.lfdi)
        wire.pump()
        self.assertTrue(wire.closed)
