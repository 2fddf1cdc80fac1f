"""The factory of TLS connections: how many come in, and what TLS adds to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import formatEvent as format_event
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from csipd.net.identity import Identity, identify_by
from csipd.net.limits import ConnectionLimits
from csipd.net.origin import origin_of
from csipd.net.quotas import CallerInfo, Quotas
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.sep2.identity import lfdi, sfdi
from csipd.web.answers import Answer as MadeAnswer
from csipd.web.server import Request, Site
from tests.support import pki
from tests.support.client import Answer, Client, ClientTLS
from tests.support.memory_tls import SERVER, Wire
from tests.support.pki import Authority, Credential
from tests.support.world import BOUNDLESS

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
        self.callers.append(request.peer.identity)
        return NOT_DONE_YET if request.path == b"/slow" else b"x" * 30_000


class FactoryCase(SynchronousTestCase):
    """A factory of connections in memory."""

    limits = ConnectionLimits(
        connections=4,
        handshake_seconds=10,
        idle_seconds=100,
        request_seconds=30,
        drain_seconds=20,
        pipelined_bytes=1000,
    )

    quotas = Quotas(connections=3, unfinished=4, unfinished_per_address=2)

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
            now=lambda: 0.0,
        )
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def make_site(self, **more: Any) -> Site:
        return Site(
            self.app, clock=self.clock, now=lambda: 0.0, limits=self.limits, quotas=self.quotas, **more
        )

    def wire(self, host: str = HERE, device: Credential = DEVICE) -> Wire:
        wire = Wire.tls(self.factory, ClientTLS(device, trust=LAB), self.clock, host)
        wire.pump()
        return wire

    def silent(self, host: str) -> Wire:
        """A connection that never begins its handshake."""
        peer = IPv4Address("TCP", host, 1)
        client = Client()
        made = self.factory.buildProtocol(peer)
        assert made is not None
        return Wire(made, client, client, self.clock, peer)

    def lines(self) -> list[str]:
        return [str(format_event(each)) for each in self.events if each["log_namespace"].startswith("csipd")]


class CountTests(FactoryCase):
    """How many come in, and who makes room."""

    def assertClosed(self, wires: list[Wire], *closed: int) -> None:
        for wire in wires:
            wire.pump()
        self.assertEqual([n for n, wire in enumerate(wires) if wire.closed], list(closed))

    def test_same_address(self) -> None:
        """Finished connections are not counted by address: a carrier's NAT hides many devices (case F8)."""
        wires = [self.wire(HERE, LAB.device(f"dev{n}")) for n in range(4)]
        self.assertClosed(wires)

    def test_of_one_caller(self) -> None:
        """A caller beyond its quota gets its new connection and loses its longest idle one (case F5)."""
        wires = [self.wire(f"192.0.2.{n}") for n in range(3)]
        self.clock.advance(1)
        wires[0].result(wires[0].client.get("/"))
        wires.append(self.wire(THERE))
        self.assertClosed(wires, 1)
        self.assertEqual(len(self.site.connections.account(DEVICE.lfdi).connections), 3)
        self.assertIn(f"{DEVICE.lfdi} at {THERE}: more connections than its quota of 3", self.lines()[-1])

    def test_busy_ones_stay(self) -> None:
        """A connection with a request in the works goes only where all have one."""
        wires = [self.wire() for _ in range(2)]
        for wire in wires:
            wire.client.get("/slow").addErrback(lambda _: None)
            wire.pump()
            self.clock.advance(1)
        idle = self.wire()
        newest = self.wire()
        self.assertClosed([*wires, idle, newest], 2)
        newest.client.get("/slow").addErrback(lambda _: None)
        newest.pump()
        self.wire()
        self.assertClosed([*wires, newest], 0)

    def test_aggregator(self) -> None:
        """An aggregator has more, which is asked of the store before anything is closed."""
        asked: list[str] = []

        def look_up(identity: Identity) -> Deferred[CallerInfo]:
            asked.append(identity.lfdi)
            return succeed(CallerInfo(listed=True, aggregator=True))

        self.limits = evolve(self.limits, connections=10)
        self.site = self.make_site(look_up=look_up)
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        wires = [self.wire() for _ in range(5)]
        self.assertClosed(wires)
        self.assertEqual(asked, [DEVICE.lfdi])

    def test_full(self) -> None:
        """Where there is no room left the newest comes in, and the longest idle of all makes room."""
        devices = [LAB.device(f"dev{n}") for n in range(6)]
        wires = [self.wire(device=devices[0])]
        for device in devices[1:4]:
            self.clock.advance(1)
            wires.append(self.wire(device=device))
        wires[0].result(wires[0].client.get("/"))
        wires.append(self.wire(device=devices[4]))
        self.assertClosed(wires, 1)
        wires.append(self.wire(device=devices[5]))
        self.assertClosed(wires, 1, 2)

    def test_full_and_at_work(self) -> None:
        """Only where nobody is idle a connection is not taken, which makes one line for each address."""
        for n in range(4):
            wire = self.wire(device=LAB.device(f"dev{n}"))
            wire.client.get("/slow").addErrback(lambda _: None)
            wire.pump()
        for _ in range(3):
            self.assertRaises(ConnectionRefusedError, self.wire, THERE)
        (line,) = self.lines()
        self.assertEqual(line, f"connection from {THERE} closed: no room, and no connection is idle")
        self.clock.advance(60)
        self.assertIn(f"{THERE}: no room, and no connection is idle: 2 more", self.lines()[-1])

    def test_silent_connections(self) -> None:
        """A hundred that say nothing shut nobody out, not even from their own address (case F8)."""
        for host in (HERE, THERE):
            self.limits = evolve(self.limits, connections=200)
            self.site = self.make_site()
            self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
            silent = [self.silent(HERE) for _ in range(100)]
            wire = self.wire(host)
            self.assertEqual(wire.result(wire.client.get("/")).status, 200)
            self.assertEqual(self.site.connections.unfinished, 1 if host == HERE else 2)
            self.assertClosed(silent, *range(99 if host == HERE else 98))

    def test_silent_from_everywhere(self) -> None:
        """Those of many addresses have so much room together; the oldest of them makes room."""
        self.limits = evolve(self.limits, connections=200)
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        silent = [self.silent(f"192.0.2.{n}") for n in range(50)]
        wire = self.wire()
        self.assertEqual(wire.result(wire.client.get("/")).status, 200)
        self.assertEqual(self.site.connections.unfinished, 3)
        self.assertClosed(silent, *range(47))

    def test_storm(self) -> None:
        """Where handshakes that go on have all places, who comes has to wait until one is finished."""
        self.limits = evolve(self.limits, connections=200)
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        wires = [
            Wire.tls(self.factory, ClientTLS(LAB.device(f"dev{n}"), trust=LAB), self.clock, f"192.0.2.{n}")
            for n in range(4)
        ]
        calls: list[int] = []
        connections = self.site.connections
        self.assertEqual(connections.room(9), 0)
        connections.when_room(lambda: calls.append(connections.room(9)))
        wires[2].pump()
        self.assertEqual((calls, connections.unfinished), ([1], 3))
        self.assertClosed(wires)
        self.assertEqual(connections.room(9), 4)

    def test_silent_ones_make_room(self) -> None:
        """Those that say nothing make room for who waits; those that have said something do not."""
        self.limits = evolve(self.limits, connections=200)
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        half = Wire.tls(self.factory, ClientTLS(DEVICE, trust=LAB), self.clock, THERE)
        half.reading = False
        half.pump()
        silent = [self.silent(f"192.0.2.{n}") for n in range(3)]
        connections = self.site.connections
        self.assertEqual(connections.room(9), 0)
        self.clock.advance(1.5)
        self.assertEqual(connections.room(9), 3)
        wire = self.wire()
        self.assertClosed([*silent, half], 0)
        self.assertFalse(wire.closed)

    def test_few_unfinished(self) -> None:
        """While less than half of their room is used, addresses are not counted."""
        self.quotas = evolve(self.quotas, unfinished=10, unfinished_per_address=1)
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        self.assertClosed([self.silent(HERE) for _ in range(4)])

    def test_addresses(self) -> None:
        """IPv6 counts by its /64, a mapped IPv4 address as itself."""
        for one, other in (
            ("2001:db8::1", "2001:db8::2:3"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::2"),
        ):
            with self.subTest(one=one):
                made = [origin_of(IPv6Address("TCP", host, 1)) for host in (one, other)]
                self.assertEqual(made[0], made[1])
        self.assertNotEqual(*(origin_of(IPv4Address("TCP", f"192.0.2.{n}", 1)) for n in (1, 2)))

    def test_handshakes_of_an_address(self) -> None:
        """An address begins so many connections in a time, whatever becomes of them."""
        self.quotas = evolve(self.quotas, address_handshakes_per_second=1.0, address_handshake_burst=3)
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        self.wire(THERE)
        for _ in range(3):
            self.wire().hang_up()
        for _ in range(2):
            self.assertRaises(ConnectionRefusedError, self.wire, HERE)
        self.assertEqual(len(self.lines()), 1)
        self.clock.advance(1)
        self.wire()

    def test_handshakes_of_a_caller(self) -> None:
        """So does a caller, from wherever it comes: one beyond that is cut when it is known."""
        self.quotas = evolve(self.quotas, handshakes_per_second=1.0, handshake_burst=2)
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        kept = self.wire(device=LAB.device("dev2"))
        for n in range(2):
            self.wire(f"192.0.2.{n}").hang_up()
        self.assertTrue(self.wire(THERE).closed)
        self.assertIn(f"{DEVICE.lfdi} at {THERE}: more handshakes than its quota", self.lines()[-1])
        self.assertFalse(kept.closed)
        self.clock.advance(1)
        self.assertFalse(self.wire(THERE).closed)

    def test_alone(self) -> None:
        """Who is the only one there, and closes before it comes again, has the same quotas (case F5)."""
        self.quotas = evolve(
            self.quotas, handshakes_per_second=1.0, handshake_burst=2, address_handshake_burst=4
        )
        self.site = self.make_site()
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        closed = []
        for _ in range(4):
            wire = self.wire()
            closed.append(wire.closed)
            wire.hang_up()
            self.assertEqual(len(self.site.connections), 0)
        self.assertEqual(closed, [False, False, True, True])
        self.assertRaises(ConnectionRefusedError, self.wire)
        self.clock.advance(10)
        self.wire().hang_up()
        held = vars(self.site.connections)
        self.clock.advance(10)
        self.wire(THERE).hang_up()
        self.assertEqual(list(held["_rates"]), [THERE])

    def test_nothing_is_kept(self) -> None:
        """Of connections that are gone nothing is left."""
        kept = self.wire(device=LAB.device("dev2"))
        for n in range(20):
            self.wire(f"192.0.2.{n}").hang_up()
        self.clock.advance(30)
        held = vars(self.site.connections)
        self.assertEqual([len(held[name]) for name in ("_live", "_accounts")], [1, 1])
        self.assertEqual((len(held["_rates"]), self.site.connections.unfinished), (0, 0))
        self.assertFalse(kept.closed)


class MemoryTests(FactoryCase):
    """What a connection that is cut leaves behind."""

    quotas = BOUNDLESS

    def get(self, wire: Wire) -> Deferred[Answer]:
        """Send a request in a TLS record of its own."""
        asked = wire.client.get("/")
        self.clock.advance(0)
        return asked

    def test_given_back(self) -> None:
        """Nothing that was written for it, and without the garbage collector's help (case F2)."""
        wire = self.wire()
        wire.reading = False
        wire.client.get("/slow").addErrback(lambda _: None)
        wire.client.get("/").addErrback(lambda _: None)
        wire.pump()
        (protocol,) = self.factory.protocols
        channel = protocol.wrappedProtocol
        self.assertFalse(not channel._dataBuffer)
        wire.hang_up()
        self.assertEqual((channel._buffer, channel._dataBuffer), (b"", []))
        self.assertEqual(
            (protocol._appSendBuffer, protocol._producer, protocol._tlsConnection), ([], None, None)
        )
        self.assertEqual((self.factory.protocols, len(self.site.connections)), ({}, 0))

    def test_one_table_of_names(self) -> None:
        """A handshake and ordinary requests give a connection no attribute that it had not from the start.

        Python keeps the names of 30 in one table for all objects of a class, and makes a table for each that
        is given another one later: half a kilobyte for each idle connection.
        """
        for find_answer in (None, lambda lfdi, head: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
            self.site = self.make_site(endpoint=lambda ask: MadeAnswer(200), find_answer=find_answer)
            self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
            wire = Wire.tls(self.factory, ClientTLS(DEVICE, trust=LAB), self.clock)
            (protocol,) = self.factory.protocols
            both = protocol, protocol.wrappedProtocol
            before = [set(vars(each)) for each in both]
            wire.pump()
            for _ in range(3):
                wire.result(wire.client.get("/tm"))
            self.assertEqual([set(vars(each)) for each in both], before)
            self.assertTrue(all(len(names) <= 30 for names in before), before)

    def test_burst_of_cached_answers(self) -> None:
        """Cached answers asked for in small TLS records by a peer that does not read stay few (case F2)."""
        big = b"HTTP/1.1 200 OK\r\nContent-Length: 800000\r\n\r\n" + b"x" * 800_000
        asked: list[bytes] = []

        def find_answer(lfdi: str, head: bytes) -> bytes:
            asked.append(head)
            return big

        self.site = self.make_site(endpoint=lambda ask: MadeAnswer(200), find_answer=find_answer)
        self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
        wire = self.wire()
        wire.reading = False
        for _ in range(900):
            self.get(wire).addErrback(lambda _: None)
        wire.pump()
        self.assertEqual(len(asked), 1)
        self.assertLess(wire.server_waiting, 900_000)
        self.assertFalse(wire.server_reading)
        wire.advance(22)
        self.assertTrue(wire.closed)

    def test_answers_in_a_row(self) -> None:
        """The records of one read count as one row, whichever way they are answered (case F2)."""
        small = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast"
        for find_answer in (None, lambda lfdi, head: small):
            self.limits = evolve(self.limits, pipelined_requests=10, pipelined_bytes=100_000)
            self.site = self.make_site(endpoint=lambda ask: MadeAnswer(200), find_answer=find_answer)
            self.factory = TLSFactory(self.tls, self.site, clock=self.clock)
            wire = self.wire()
            for _ in range(3):
                wire.results([self.get(wire) for _ in range(9)])
            self.assertFalse(wire.closed)
            asked = [self.get(wire) for _ in range(30)]
            for each in asked[10:]:
                each.addErrback(lambda _: None)
            answers = wire.results(asked[:10])
            self.assertEqual([each.headers.get("connection") for each in answers], [None] * 9 + ["close"])
            self.assertTrue(wire.closed)


class IdentityTests(FactoryCase):
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
        identify = self.site.context.identify

        def counted(transport: Any) -> Identity:
            made.append(identify(transport))
            return made[-1]

        self.site.context.identify = counted
        wire = self.wire()
        for _ in range(3):
            wire.result(wire.client.get("/"))
        self.assertEqual(len(made), 1)
        self.assertTrue(all(caller is made[0] for caller in self.app.callers))

    def test_kept(self) -> None:
        """What follows from a certificate is made once for all connections; another has its own."""
        made: list[bytes] = []

        def lfdi_of(der: bytes) -> str:
            made.append(der)
            return lfdi(der)

        self.site.context.identify = identify_by(lfdi_of)
        other = LAB.device("dev2")
        for device in (DEVICE, other, DEVICE, other):
            wire = self.wire(device=device)
            wire.result(wire.client.get("/"))
            self.assertEqual(self.app.callers[-1].lfdi, device.lfdi)
        self.assertEqual(made, [DEVICE.der, other.der])
        self.assertIs(self.app.callers[0], self.app.callers[2])

    def test_other_lfdi(self) -> None:
        """Another way from the certificate to an LFDI may be handed in."""
        self.site.context.identify = identify_by(lambda der: "0" * 39 + str(len(der) % 10))
        wire = self.wire()
        wire.result(wire.client.get("/"))
        (caller,) = self.app.callers
        self.assertEqual(caller.lfdi, "0" * 39 + str(len(DEVICE.der) % 10))
        self.assertEqual(caller.sfdi, sfdi(caller.lfdi))
        self.assertEqual(len(self.site.connections.account(caller.lfdi).connections), 1)

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


class DeadlineTests(FactoryCase):
    """Deadlines, with TLS between."""

    def test_half_a_handshake(self) -> None:
        """A handshake that goes no further is cut."""
        wire = Wire.tls(self.factory, ClientTLS(DEVICE, trust=LAB), self.clock)
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
        wire = Wire(self.factory.buildProtocol(peer), client, client, self.clock, peer)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        wire.pump()
        self.assertTrue(wire.closed)
        self.assertIn(f"TLS handshake with {HERE} failed: http request", self.lines()[-1])

    def test_idle(self) -> None:
        """An idle connection is closed with a close_notify of TLS."""
        wire = self.wire()
        wire.result(wire.client.get("/"))
        wire.advance(99)
        self.assertFalse(wire.closed)
        wire.advance(3)
        self.assertTrue(wire.closed)

    def test_silent_at_the_end(self) -> None:
        """A client that does not answer the close_notify is cut."""
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

    def test_closed_while_not_read(self) -> None:
        """The client's own close_notify is read although reading had stopped: nobody waits for a deadline."""
        wire = self.wire()
        for request in ("/slow", "/" + "a" * 200, "/" + "a" * 200, "/" + "a" * 200, "/" + "a" * 200):
            wire.client.get(request).addErrback(lambda _: None)
        wire.pump()
        self.assertFalse(wire.server_reading)
        for connection in list(vars(self.site.connections)["_live"]):
            connection.loseConnection()
        wire.pump()
        self.assertTrue(wire.closed)
