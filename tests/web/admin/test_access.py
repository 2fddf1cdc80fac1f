"""Who may use the operator's API: operators, by the fingerprints of their certificates, and nobody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.logger import LogLevel, capturedLogs
from twisted.logger import formatEvent as format_event

from csipd.daemon.services import ADMIN_QUOTAS
from csipd.net.identity import Identity, identify_by
from csipd.net.quotas import Quotas
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.sep2 import identity
from csipd.web.admin.openapi import DESCRIPTION
from csipd.web.admin.table import OPERATIONS
from tests.support import pki
from tests.support.client import Client, ClientTLS
from tests.support.memory_tls import Wire
from tests.support.operator import ALICE, BOB, GONE, Office
from tests.support.world import AGGREGATOR, BOUNDLESS, EVERYBODY, LAB, NOW, OTHER, OWNER, World
from tests.web.admin.case import Case
from tests.web.admin.examples import WRITES, example

#: Everybody of the devices' side, and an operator whose certificate has ended.
SHUT_OUT = {**EVERYBODY, "gone": GONE}
#: An operator whose certificate ended long ago.
ENDED = LAB.issue("old admin", (), subject="admin", end=datetime(2021, 1, 1, tzinfo=UTC))
#: Where nothing is, and where the description is.
ELSEWHERE = ("", "/", "/devices/0", "/devices/01", "/nothing", "/openapi.json")


class OperatorTests(Case):
    """Those who are let in, and all the others."""

    def shut_out(self, who: Identity, name: str) -> None:
        for operation in OPERATIONS:
            one = example(operation, self.world.numbers)
            for method in {one.method, "GET", "HEAD", "FOO"}:
                answer = self.office.send(method, one.path, one.body, who=who)
                self.assertEqual(answer.status, 403, f"{name}: {method} {one.path}")
        for path in ELSEWHERE:
            self.assertEqual(self.office.send("GET", path, who=who).status, 403, f"{name}: {path}")

    def test_others(self) -> None:
        """A device, an aggregator, a stranger and an operator whose certificate ended get 403 everywhere."""
        with capturedLogs() as captured:
            for name, who in SHUT_OUT.items():
                self.shut_out(who, name)
        self.assertEqual(self.office.log(), [])
        lines = [e for e in captured if (e["log_format"] or "").startswith("{peer} {what}")]
        self.assertEqual(len(lines), len(SHUT_OUT))
        self.assertFalse([event for event in captured if event["log_level"] > LogLevel.warn])

    def test_said_again(self) -> None:
        """One who is no operator makes one line a minute in the log, and one with the number of the rest."""
        with capturedLogs() as captured:
            for _ in range(3):
                self.office.send("GET", "/status", who=OWNER)
            self.world.clock.advance(60)
            self.office.send("GET", "/devices", who=OTHER)
        said = [format_event(event) for event in captured]
        self.assertEqual(len(said), 3)
        self.assertIn(f"{OWNER.lfdi} at 198.51.100.7 is no operator and asked for GET /admin/status", said[0])
        self.assertIn(f"{OWNER.lfdi}: no operator: 2 more", said[1])
        self.assertIn(f"{OTHER.lfdi} at 198.51.100.7 is no operator", said[2])

    def test_operators(self) -> None:
        """Every operation is open to every operator, known by the fingerprint alone."""
        same_lfdi = evolve(OWNER, fingerprint=ALICE.fingerprint)
        for operation in OPERATIONS:
            if not operation.writes:
                one = example(operation, self.world.numbers)
                for who in (ALICE, BOB, same_lfdi):
                    answer = self.office.send(one.method, one.path, one.body, who=who)
                    self.assertEqual(answer.status, operation.status, f"{one}: {answer}")
        self.assertEqual(self.office.send("GET", "/openapi.json").status, 200)

    def test_writes(self) -> None:
        """Every write succeeds in a world of its own, with the status that its operation names."""
        for operation in WRITES:
            world, office = self.fresh()
            one = example(operation, world.numbers)
            answer = office.send(one.method, one.path, one.body)
            self.assertEqual(answer.status, operation.status, f"{one}: {answer}")
            self.assertEqual("location" in answer.headers, operation.status == 201, one)

    def test_ends_meanwhile(self) -> None:
        """A connection that outlives the operator's certificate is of no more use."""
        ends = evolve(ALICE, not_after=NOW + 10.0)
        self.assertEqual(self.office.send("GET", "/status", who=ends).status, 200)
        self.world.now = NOW + 10.0
        self.assertEqual(self.office.send("GET", "/status", who=ends).status, 200)
        self.world.now = NOW + 10.5
        self.assertEqual(self.office.send("GET", "/status", who=ends).status, 403)

    def test_end_is_shown(self) -> None:
        """The status says when the certificate of whoever asks ends, if it does (case B8)."""
        for not_after, shown in ((NOW + 10.0, NOW + 10), (253_402_300_799.0, None), (None, None)):
            answer = self.office.send("GET", "/status", who=evolve(ALICE, not_after=not_after))
            self.assertEqual(json.loads(answer.body).get("your_certificate_ends"), shown)

    def test_lab_is_shown(self) -> None:
        """The status says of a lab that it is one, and how fast its clock runs."""
        plain = json.loads(self.office.send("GET", "/status").body)
        self.assertEqual(plain.keys() & {"warning", "lab_speed"}, set())
        world = World(Path(self.mktemp()), lab_speed=60)
        self.addCleanup(world.close)
        office = Office(world)
        self.addCleanup(office.close)
        shown = json.loads(office.send("GET", "/status").body)
        self.assertEqual(shown["lab_speed"], 60)
        self.assertIn("this is a lab, not for production", shown["warning"])

    def test_not_among_devices(self) -> None:
        """On the devices' listener there is no operator's API, neither for operators nor for devices."""
        for who in (ALICE, OWNER, AGGREGATOR):
            for operation in OPERATIONS:
                one = example(operation, self.world.numbers)
                self.assertEqual(self.world.send(who, one.method, f"/admin{one.path}").status, 404, one)
            self.assertEqual(self.world.get(who, DESCRIPTION).status, 404)
        self.assertEqual(self.world.get(ALICE, "/edev").status, 404)


class TLSTests(Case):
    """The same with certificates, over TLS in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.wires: list[Wire] = []
        self.addCleanup(lambda: [wire.hang_up() for wire in self.wires if not wire.closed])

    def factory(self, quotas: Quotas = BOUNDLESS) -> TLSFactory:
        folder = Path(self.mktemp())
        pki.write(folder, LAB, server=LAB.server("localhost"))
        settings = TLSSettings(
            private_key=folder / "private" / "server.pem",
            certificate=folder / "certs" / "server.crt",
            trust_roots=(folder / "certs" / "ca.crt",),
        )
        tls = ServerTLS(settings, now=lambda: self.world.now)
        names = {sha256(one.der).hexdigest().upper(): "alice" for one in (LAB.admin(), ENDED)}
        site = Office(self.world, identify_by(identity.lfdi), names, quotas).site
        return TLSFactory(tls, site, clock=self.world.clock)

    def wire(self, credential: pki.Credential, factory: TLSFactory | None = None) -> Wire:
        wire = Wire.tls(factory or self.factory(), ClientTLS(credential, trust=LAB), self.world.clock)
        self.wires.append(wire)
        wire.pump()
        return wire

    def finish(self) -> None:
        """Let those go that were closed to make room."""
        for wire in self.wires:
            if wire.closing and not wire.closed:
                wire.pump()

    def test_silent_connections(self) -> None:
        """A hundred and more that are opened and say nothing do not shut the operator out (case F8)."""
        factory = self.factory(ADMIN_QUOTAS)
        for host in ("127.0.0.1", *(f"192.0.2.{n}" for n in range(3))):
            peer = IPv4Address("TCP", host, 1)
            for _ in range(100):
                client = Client()
                made = factory.buildProtocol(peer)
                self.wires.append(Wire(made, client, client, self.world.clock, peer))
                self.finish()
        wire = self.wire(LAB.admin(), factory)
        self.assertEqual(wire.result(wire.client.get("/admin/status")).status, 200)

    def test_other_certificates(self) -> None:
        """Nor do those who come in with a certificate that is no operator's, however many (case F8)."""
        factory = self.factory(ADMIN_QUOTAS)
        for number in range(6):
            device = LAB.device(f"dev{number % 2}")
            for _ in range(20):
                self.wire(device, factory)
                self.finish()
        wire = self.wire(LAB.admin(), factory)
        self.assertEqual(wire.result(wire.client.get("/admin/status")).status, 200)

    def status(self, credential: pki.Credential) -> int:
        wire = self.wire(credential)
        return wire.result(wire.client.get("/admin/status")).status

    def test_by_certificate(self) -> None:
        """The certificate that the configuration knows opens the door; one of the same name does not."""
        self.assertEqual(self.status(LAB.admin()), 200)
        same_name = LAB.issue("another admin", (), subject="admin")
        for credential in (same_name, LAB.device("dev1"), LAB.aggregator("agg1")):
            self.assertEqual(self.status(credential), 403)

    def test_ended(self) -> None:
        """An operator's certificate that has ended does not get through the handshake."""
        self.assertTrue(self.wire(ENDED).closed)
