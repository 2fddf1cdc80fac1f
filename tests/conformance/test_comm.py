"""COMM: finding the server, and who it lets in (CSIP Conformance Test Procedures v1.3)."""

from __future__ import annotations

from cryptography import x509

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
