"""COMM: finding the server, and who it lets in (CSIP Conformance Test Procedures v1.3)."""

from __future__ import annotations

from ipaddress import ip_address

from cryptography import x509

from csipd.discovery.messages import read, write
from csipd.discovery.packets import Packet, Peer, Question
from csipd.discovery.records import SERVICE, Advertisement, Kind, Record, Where, Zone
from csipd.discovery.responder import Responder
from csipd.sep2 import resources as r
from tests.conformance.bench import LAB, SERVER
from tests.conformance.case import ConformanceCase
from tests.conformance.devices import Station
from tests.support import pki
from tests.support.client import CCM8, ClientTLS
from tests.support.pki import Credential
from tests.support.ways import both_ways


class CommunicationTests(ConformanceCase):
    """Direct clients that know host, port and /dcap, each registered by its LFDI."""

    def setUp(self) -> None:
        super().setUp()
        self.bench.ladder("SY")

    def assertServed(self, credential: Credential, length: int) -> None:
        """With a chain of that length it walks to its own EndDevice; the server sent its own chain."""
        self.assertEqual(1 + len(credential.above), length)
        station = self.bench.direct("dev1", "SY", credential=credential)
        station.walk()
        self.assertEqual(station.der.device.lFDI, credential.lfdi)
        self.assertEqual(sent_chain(station)[0], SERVER.certificate)

    def assertRefused(self, credential: Credential | None) -> None:
        """No byte of HTTP comes, although its LFDI is registered, and the connection is gone."""
        if credential is not None:
            self.bench.make_end_device(credential.lfdi, "dev1", "SY")
        wire = self.bench.wire(ClientTLS(credential, trust=LAB))
        asked = wire.client.get("/dcap")
        wire.pump()
        self.failureResultOf(asked)
        self.assertEqual((wire.client.received, wire.closed), (b"", True))

    def assertDiscovered(self, type_: str, *, unicast: bool) -> dict[str, str]:
        """A question for a type of service leads to an instance with all that says where it is; its TXT."""
        (asked,) = write(Packet(query=True, questions=(Question(type_, Kind.PTR, unicast),)))
        message = read(asked)
        assert message is not None
        asker = Peer("192.0.2.9", 5353)
        packets = self.responder.received(message, asker, self.bench.clock.seconds())
        self.bench.clock.advance(1)
        packets += self.responder.due(self.bench.clock.seconds())
        (packet,) = packets
        self.assertEqual(packet.to, asker if unicast else None)
        (octets,) = write(packet)
        answer = read(octets)
        assert answer is not None
        found: dict[Kind, Record] = {record.kind: record for record in answer.records}
        instance = found[Kind.PTR].data
        self.assertEqual((found[Kind.SRV].name, found[Kind.TXT].name), (instance, instance))
        self.assertEqual(found[Kind.SRV].data, Where(7443, found[Kind.A].name))
        label = str(instance).partition(".")[0]
        self.assertTrue(label.endswith(f"-{self.bench.server.sfdi:012d}"), label)
        data = found[Kind.TXT].data
        assert isinstance(data, bytes)
        strings = []
        while data:
            strings.append(data[1 : 1 + data[0]].decode())
            data = data[1 + data[0] :]
        self.assertEqual(strings[0], "txtvers=1")
        return dict(string.split("=", 1) for string in strings)

    def test_comm_001(self) -> None:
        """Asked for the service, derp and tm, all or the asker alone are told where DeviceCapability is."""
        server = Advertisement("csipd", self.bench.server.sfdi, 7443, self.bench.server.layout.path)
        self.responder = Responder(lambda: 0.5, lambda address, now: True, lambda record: False)
        self.responder.publish(Zone.of(server, [ip_address("192.0.2.1")]), self.bench.clock.seconds())
        for _ in range(20):
            self.bench.clock.advance(1)
            self.responder.due(self.bench.clock.seconds())
        station = self.bench.direct("dev1", "SY")
        kinds: tuple[tuple[str, type[r.Resource]], ...] = (
            (SERVICE, r.DeviceCapability),
            (f"_derp._sub.{SERVICE}", r.DERProgramList),
            (f"_tm._sub.{SERVICE}", r.Time),
        )
        for type_, kind in kinds:
            for unicast in (False, True):
                text = self.assertDiscovered(type_, unicast=unicast)
                self.assertEqual((text["https"], text["level"]), ("7443", "-S1"))
                station.get(text["dcap"], r.DeviceCapability)
                station.get(text.get("path", text["dcap"]), kind)

    def test_comm_002(self) -> None:
        """Who was reported /dcap gets it, and what it links to."""
        station = self.bench.direct("dev1", "SY")
        capability = station.get("/dcap", r.DeviceCapability)
        assert capability.TimeLink is not None
        station.get(capability.TimeLink.href, r.Time)

    def test_comm_003(self) -> None:
        """TLS 1.2 with ECDHE-ECDSA-AES128-CCM8 on P-256; the client has to present a certificate."""
        station = self.bench.direct("dev1", "SY")
        station.walk()
        agreed = station.tls.last
        self.assertEqual(
            (agreed.get_protocol_version_name(), agreed.get_cipher_name(), agreed.get_group_name()),
            ("TLSv1.2", CCM8, "secp256r1"),
        )
        self.assertRefused(None)

    def test_comm_004_chain(self) -> None:
        """The server sends its own chain, of two, three or four certificates; the root may be left out."""
        for issuer in (LAB, LAB.mica(), LAB.mca().mica()):
            credential = issuer.server("localhost")
            self.bench = self.make(credential=credential)
            self.bench.ladder("SY")
            station = self.bench.direct("dev1", "SY")
            station.walk()
            sent = sent_chain(station)
            self.assertEqual(sent[0], credential.certificate)
            above = [x509.load_der_x509_certificate(der) for der in credential.above]
            self.assertEqual(sent[1 : len(above)], above[:-1])
            self.assertEqual(above[-1], LAB.credential.certificate)

    def test_comm_004a(self) -> None:
        """A chain of two is good."""
        self.assertServed(LAB.device("deep"), 2)

    def test_comm_004b(self) -> None:
        """A chain of three is good."""
        self.assertServed(LAB.mica().device("deep"), 3)

    def test_comm_004c(self) -> None:
        """A chain of four is good."""
        self.assertServed(LAB.mca().mica().device("deep"), 4)

    def test_comm_004d(self) -> None:
        """An issuer with a critical extension that is wrong there is refused."""
        self.assertRefused(pki.critical_purpose(LAB))

    def test_comm_004e(self) -> None:
        """An issuer with nameConstraints is refused."""
        self.assertRefused(pki.name_constraints(LAB))

    def test_comm_004f(self) -> None:
        """An issuer with policyMappings is refused."""
        self.assertRefused(pki.policy_mappings(LAB))

    def test_comm_004g(self) -> None:
        """A certificate that issued itself is refused."""
        self.assertRefused(pki.self_signed())


def sent_chain(station: Station) -> list[x509.Certificate]:
    """The certificates that the server sent in the handshake, its own first."""
    return [one.to_cryptography() for one in station.tls.last.get_peer_cert_chain() or ()]


both_ways(globals())
