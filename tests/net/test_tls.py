"""The server's TLS: what is agreed on, who is let in, and what a reload does."""

from __future__ import annotations

import contextlib
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet.task import Clock, deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import LogLevel, globalLogPublisher
from twisted.logger import formatEvent as format_event
from twisted.python.procutils import which
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from twisted.web.resource import Resource

from csipd.net import tls as tls_module
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.port import listen
from csipd.net.tls import ServerTLS, TLSError, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.sep2.certificates import ChainRefused, check_chain
from csipd.sep2.identity import lfdi
from csipd.web.server import Request, Site
from tests.support import pki
from tests.support.client import CCM8, ClientTLS, connect
from tests.support.memory_tls import Wire
from tests.support.pki import Authority, Credential
from tests.support.tls_pair import client_tls, outgoing, step

LAB = Authority.make()
DEVICE = LAB.device("dev1")
SERVER = LAB.server("localhost", "127.0.0.1")
#: More than a socket takes at once.
LARGE = bytes(range(256)) * 40_000
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


class Who(Resource):
    """Answers with the LFDI of whoever asks, or at length."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        if request.path == b"/large":
            return LARGE
        return request.peer.identity.lfdi.encode()


class Lab(SynchronousTestCase):
    """A server in memory, its files in a folder."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.peer_log = PeerLog(self.clock)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self, level: LogLevel = LogLevel.warn) -> list[str]:
        """What was logged by csipd at this level or above."""
        return [
            str(format_event(event))
            for event in self.events
            if event["log_namespace"].startswith("csipd") and event["log_level"] >= level
        ]

    def files(self, server: Credential = SERVER, *roots: Authority, **more: Any) -> TLSSettings:
        """Settings that lead to these certificates."""
        key, certificate = self.folder / "server.pem", self.folder / "server.crt"
        key.write_bytes(server.key_pem)
        certificate.write_bytes(server.chain_pem)
        paths = []
        for root in roots or (LAB,):
            paths.append(self.folder / f"{root.label}.crt")
            paths[-1].write_bytes(root.cert_pem)
        return TLSSettings(private_key=key, certificate=certificate, trust_roots=tuple(paths), **more)

    def server(self, settings: TLSSettings | None = None, now: float = NOW) -> ServerTLS:
        return ServerTLS(settings or self.files(), now=lambda: now, peer_log=self.peer_log)

    def factory(self, tls: ServerTLS) -> TLSFactory:
        site = Site(Who(), clock=self.clock, now=lambda: NOW, limits=ConnectionLimits())
        return TLSFactory(tls, site, clock=self.clock)

    def talk(self, client: ClientTLS, tls: ServerTLS | None = None) -> Wire:
        """A client in front of the server, the handshake over one way or the other."""
        wire = Wire.tls(self.factory(tls or self.server()), client, self.clock)
        wire.pump()
        return wire

    def assertServed(self, wire: Wire, device: Credential) -> None:
        answer = wire.result(wire.client.get("/"))
        self.assertEqual((answer.status, answer.body.decode()), (200, device.lfdi))

    def assertRefused(self, wire: Wire) -> None:
        """No byte of HTTP came, whatever was asked, and the connection is gone."""
        asked = wire.client.get("/")
        wire.pump()
        self.failureResultOf(asked)
        self.assertEqual(wire.client.received, b"")
        self.assertTrue(wire.closed)


class AgreementTests(Lab):
    """Version, suite, curve (COMM-003)."""

    def test_profile(self) -> None:
        """A client of the profile gets TLS 1.2, CCM8, P-256 and is asked for its certificate."""
        client = ClientTLS(DEVICE, trust=LAB)
        wire = self.talk(client)
        self.assertServed(wire, DEVICE)
        agreed = (client.last.get_protocol_version_name(), client.last.get_cipher_name())
        self.assertEqual((*agreed, client.last.get_group_name()), ("TLSv1.2", CCM8, "secp256r1"))

    def test_ccm8_preferred(self) -> None:
        """CCM8 is taken even by a client that would rather have GCM."""
        client = ClientTLS(DEVICE, trust=LAB, ciphers=f"ECDHE-ECDSA-AES128-GCM-SHA256:{CCM8}")
        self.assertServed(self.talk(client), DEVICE)
        self.assertEqual(client.last.get_cipher_name(), CCM8)

    def test_gcm(self) -> None:
        """A client without CCM8 gets AES128-GCM-SHA256."""
        client = ClientTLS(DEVICE, trust=LAB, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
        self.assertServed(self.talk(client), DEVICE)

    def test_highest_version(self) -> None:
        """A client that can do TLS 1.3 ends up on 1.2."""
        client = ClientTLS(DEVICE, trust=LAB, versions=(SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION))
        self.assertServed(self.talk(client), DEVICE)
        self.assertEqual(client.last.get_protocol_version_name(), "TLSv1.2")

    def test_other_versions(self) -> None:
        """A client that insists on TLS 1.3 or 1.1 is refused."""
        for version in (SSL.TLS1_3_VERSION, SSL.TLS1_1_VERSION):
            with self.subTest(version=version):
                client = ClientTLS(DEVICE, trust=LAB, ciphers="ALL", versions=(version, version))
                self.assertRefused(self.talk(client))

    def test_other_suites(self) -> None:
        """A suite that is not offered is refused, however strong."""
        for suite in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "AES256-SHA256"):
            with self.subTest(suite=suite):
                self.assertRefused(self.talk(ClientTLS(DEVICE, trust=LAB, ciphers=suite)))

    def test_other_curve(self) -> None:
        """Key agreement is on P-256 or not at all."""
        self.assertRefused(self.talk(ClientTLS(DEVICE, trust=LAB, curve=ec.SECP384R1())))

    def test_extra_suite(self) -> None:
        """A suite from the settings is offered behind the two of the profile."""
        name = "ECDHE-ECDSA-AES256-GCM-SHA384"
        tls = self.server(self.files(extra_ciphers=(name,)))
        client = ClientTLS(DEVICE, trust=LAB, ciphers=name)
        self.assertServed(self.talk(client, tls), DEVICE)
        both = ClientTLS(DEVICE, trust=LAB, ciphers=f"{name}:{CCM8}")
        self.assertServed(self.talk(both, tls), DEVICE)
        self.assertEqual(both.last.get_cipher_name(), CCM8)

    def test_no_resumption(self) -> None:
        """A session is never resumed: who comes back is verified anew."""
        tls = self.server()
        client = ClientTLS(DEVICE, trust=LAB)
        self.talk(client, tls)
        first, client.session = client.last, client.last.get_session()
        self.assertServed(self.talk(client, tls), DEVICE)
        self.assertIsNot(first, client.last)
        self.assertNotEqual(first.master_key(), client.last.master_key())

    def test_chain_without_root(self) -> None:
        """The server sends its certificate and intermediates, but not the root."""
        for issuer in (LAB, LAB.mca(), LAB.mca().mica()):
            with self.subTest(issuer=issuer.label):
                server = issuer.server("localhost")
                settings = self.files(server)
                settings.certificate.write_bytes(b"".join(map(pki.pem, server.chain)))
                client = ClientTLS(DEVICE, trust=LAB)
                self.assertServed(self.talk(client, self.server(settings)), DEVICE)
                sent = client.last.get_peer_cert_chain(as_cryptography=True) or []
                self.assertEqual(
                    [certificate.public_bytes(pki.serialization.Encoding.DER) for certificate in sent],
                    list(server.chain[:-1]),
                )


class ChainTests(Lab):
    """Whose certificate is good (COMM-004), in a handshake and where a proxy hands it on."""

    def talk(self, client: ClientTLS, tls: ServerTLS | None = None) -> Wire:
        """As in all, and what is handed on is judged as the handshake was, for the same reason."""
        tls = tls or self.server()
        wire = super().talk(client, tls)
        shown = client.credential
        # Who has an RSA key cannot sign, and is not asked for its certificate.
        if shown is None or shown.der == pki.rsa_leaf(LAB).der:
            return wire
        above = shown.above[:-1] if client.present is None else client.present
        if not wire.closed:
            end = tls.judge(shown.der, above)
            ends = [x509.load_der_x509_certificate(each).not_valid_after_utc for each in shown.chain]
            self.assertEqual(end, min(ends).timestamp())
            self.assertEqual(tls.judge(shown.der, shown.above), end, "with the root")
            return wire
        refused = self.assertRaises(ChainRefused, tls.judge, shown.der, above)
        for line in self.lines()[-1:]:
            self.assertIn(refused.reason, line)
        return wire

    def test_octets(self) -> None:
        """What is handed on is a certificate and nothing else."""
        tls = self.server()
        for der in (b"", b"x", DEVICE.der[:-1], DEVICE.der + b"x", DEVICE.cert_pem):
            self.assertRaises(ChainRefused, tls.judge, der, ())
            self.assertRaises(ChainRefused, tls.judge, DEVICE.der, (der,))

    def test_purpose(self) -> None:
        """A certificate that is a server's alone is no client's, handed on or not."""
        purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
        device = LAB.issue("a server's alone", ((purpose, False),))
        self.assertRefused(self.talk(ClientTLS(device, trust=LAB)))

    def test_chains(self) -> None:
        """Chains of two, three and four certificates are good (COMM-004 A, B, C)."""
        for issuer in (LAB, LAB.mica(), LAB.mca().mica()):
            with self.subTest(issuer=issuer.label):
                device = issuer.device("deep")
                self.assertServed(self.talk(ClientTLS(device, trust=LAB)), device)

    def test_profile_violations(self) -> None:
        """What only the profile forbids is refused too, and the log says what and who (COMM-004 D, E, F)."""
        for make, word in (
            (pki.critical_purpose, "critical extension"),
            (pki.name_constraints, "nameConstraints"),
            (pki.policy_mappings, "policyMappings"),
            (pki.p384_leaf, "P-256"),
            (pki.sha384_leaf, "ecdsa-with-SHA256"),
        ):
            with self.subTest(make=make.__name__):
                self.events.clear()
                device = make(LAB)
                self.assertRefused(self.talk(ClientTLS(device, trust=LAB)))
                (line,) = self.lines()
                self.assertIn(word, line)
                self.assertIn(device.lfdi, line)
                self.assertIn("198.51.100.7", line)

    def test_self_signed(self) -> None:
        """A certificate that issued itself is refused (COMM-004 G)."""
        self.assertRefused(self.talk(ClientTLS(pki.self_signed(), trust=LAB)))
        self.assertIn("self signed", self.lines()[0])

    def test_self_signed_root(self) -> None:
        """Even when somebody made it a trust root."""
        device = pki.self_signed()
        settings = self.files()
        settings.trust_roots[0].write_bytes(device.cert_pem)
        self.assertRefused(self.talk(ClientTLS(device, trust=LAB), self.server(settings)))

    def test_rsa(self) -> None:
        """A client with an RSA key finds no signature algorithm it could use, and is refused."""
        self.assertRefused(self.talk(ClientTLS(pki.rsa_leaf(LAB), trust=LAB)))

    def test_no_certificate(self) -> None:
        """A client without a certificate is refused."""
        self.assertRefused(self.talk(ClientTLS(None, trust=LAB)))
        self.assertIn("peer did not return a certificate", self.lines(LogLevel.info)[-1])

    def test_unknown_root(self) -> None:
        """A chain that ends at a root that is not trusted is refused."""
        stranger = Authority.make("stranger").device("dev1")
        self.assertRefused(self.talk(ClientTLS(stranger, trust=LAB)))

    def test_missing_intermediate(self) -> None:
        """A device that leaves out its intermediates is refused."""
        device = LAB.mica().device("dev1")
        self.assertRefused(self.talk(ClientTLS(device, trust=LAB, present=())))

    def test_dates(self) -> None:
        """A certificate that has ended, or has not begun, is refused; the year 9999 is no trouble."""
        early = LAB.device("early", begin=datetime(2900, 1, 1, tzinfo=UTC))
        for device in (pki.expired(LAB), early):
            with self.subTest(device=device.lfdi):
                self.assertRefused(self.talk(ClientTLS(device, trust=LAB)))
        self.assertEqual(DEVICE.certificate.not_valid_after_utc.year, 9999)
        self.assertServed(self.talk(ClientTLS(DEVICE, trust=LAB)), DEVICE)

    def test_legacy(self) -> None:
        """A certificate of the old server is good only where the settings say so."""
        device = pki.legacy(LAB)
        client = ClientTLS(device, trust=LAB)
        self.assertRefused(self.talk(client))
        self.assertServed(self.talk(client, self.server(self.files(accept_legacy=True))), device)

    def test_several_roots(self) -> None:
        """Each root of each file is trusted."""
        others = [Authority.make(label) for label in ("second", "third")]
        settings = self.files(SERVER, LAB, others[0])
        both = others[0].cert_pem + others[1].cert_pem
        settings.trust_roots[1].write_bytes(both)
        tls = self.server(settings)
        for root in (LAB, *others):
            device = root.device("dev1")
            self.assertServed(self.talk(ClientTLS(device, trust=LAB), tls), device)

    def test_roots_of_one_name(self) -> None:
        """Of roots of one name with different keys each is tried, named by the leaf or not (case A15)."""
        others = [LAB.namesake("namesake 1"), LAB.namesake("namesake 2")]
        tls = self.server(self.files(SERVER, LAB, *others))
        for root in (LAB, *others):
            for names_key in (False, True):
                with self.subTest(root=root.label, names_key=names_key):
                    device = root.device("dev1", names_key=names_key)
                    self.assertServed(self.talk(ClientTLS(device, trust=LAB), tls), device)
            deep = root.mica()
            device = deep.device("dev1", names_key=False)
            self.assertServed(self.talk(ClientTLS(device, trust=LAB), tls), device)
        self.assertEqual(self.lines(), [])

    def test_namesake_that_is_not_trusted(self) -> None:
        """A root of a trusted root's name that is not trusted itself is no root (case A15)."""
        stranger = LAB.namesake("not trusted").device("dev1", names_key=False)
        tls = self.server(self.files(SERVER, LAB, LAB.namesake("namesake 1")))
        self.assertRefused(self.talk(ClientTLS(stranger, trust=LAB), tls))
        self.assertIn("signature", self.lines()[0])

    def test_namesake_that_may_not(self) -> None:
        """The root that is tried has its dates and its pathLen like any other (case A15)."""
        ended = LAB.namesake("ended", end=datetime(2021, 1, 1, tzinfo=UTC))
        short = LAB.namesake("short", path_length=0)
        tls = self.server(self.files(SERVER, LAB, ended, short))
        for device in (
            ended.device("dev1", names_key=False),
            short.mica("below").device("dev1", names_key=False),
        ):
            self.assertRefused(self.talk(ClientTLS(device, trust=LAB), tls))
        good = short.device("dev1", names_key=False)
        self.assertServed(self.talk(ClientTLS(good, trust=LAB), tls), good)

    def test_alerts(self) -> None:
        """What the profile refuses ends in bad_certificate; OpenSSL's own refusals keep theirs (case A14)."""
        for device, alert in (
            (pki.critical_purpose(LAB), "bad certificate"),
            (pki.p384_leaf(LAB), "bad certificate"),
            (pki.sha384_leaf(LAB), "bad certificate"),
            (pki.legacy(LAB), "bad certificate"),
            (Authority.make("stranger").device("dev1"), "unknown ca"),
            (pki.expired(LAB), "certificate expired"),
        ):
            with self.subTest(alert=alert):
                wire = self.talk(ClientTLS(device, trust=LAB))
                asked = wire.client.get("/")
                wire.pump()
                self.assertIn(alert, str(self.failureResultOf(asked).value))

    def test_flood_of_refusals(self) -> None:
        """Many refusals of one peer make one line a minute, and one that counts the rest (case C1)."""
        tls = self.server()
        bad = ClientTLS(pki.self_signed(), trust=LAB)
        for _ in range(5):
            self.talk(bad, tls)
        self.assertEqual(len(self.lines()), 1)
        self.clock.advance(60)
        self.assertIn("4 more", self.lines()[1])
        self.talk(bad, tls)
        self.assertEqual(len(self.lines()), 3)

    def test_every_peer_and_reason(self) -> None:
        """Thirteen devices behind one address have a line each, whatever the others do (case C1)."""
        tls = self.server()
        devices = [pki.self_signed(f"dev{number}") for number in range(13)]
        for _ in range(3):
            for device in devices:
                self.talk(ClientTLS(device, trust=LAB), tls)
        for device in devices:
            self.assertEqual(len([line for line in self.lines() if device.lfdi in line]), 1)

    def test_nothing_of_the_certificate_in_the_log(self) -> None:
        """The log names a device by LFDI and address, never by what its certificate says."""
        device = LAB.device("dev1", subject="a name with a secret", key=pki.ec_key("p384", ec.SECP384R1))
        self.assertRefused(self.talk(ClientTLS(device, trust=LAB)))
        said = " ".join(self.lines(LogLevel.debug))
        self.assertIn(device.lfdi, said)
        self.assertNotIn("secret", said)


class KeptVerdictTests(Lab):
    """What is remembered of chains (decision 52)."""

    def setUp(self) -> None:
        super().setUp()
        self.judged: list[list[bytes]] = []

        def judge(chain: list[bytes], **how: Any) -> None:
            self.judged.append(list(chain))
            check_chain(chain, **how)

        self.patch(tls_module, "check_chain", judge)
        self.tls = self.server()

    def test_once(self) -> None:
        """The rules are applied to a chain once, until the files are read anew."""
        other = LAB.device("dev2")
        for device, judged in ((DEVICE, 1), (DEVICE, 1), (other, 2), (DEVICE, 2), (other, 2)):
            self.assertServed(self.talk(ClientTLS(device, trust=LAB), self.tls), device)
            self.assertEqual(len(self.judged), judged)
        self.assertTrue(self.tls.reload())
        self.assertServed(self.talk(ClientTLS(DEVICE, trust=LAB), self.tls), DEVICE)
        self.assertEqual(len(self.judged), 3)

    def test_known(self) -> None:
        """What is known as accepted goes no further; a chain that is refused is judged each time."""
        verify = ServerTLS._verify
        asked: list[int] = []

        def counted(*parameters: Any) -> bool:
            asked.append(1)
            return verify(*parameters)

        self.patch(ServerTLS, "_verify", counted)
        tls = self.server()
        deep = LAB.mica().device("dev3")
        for device, calls in ((DEVICE, 1), (DEVICE, 1), (deep, 2), (deep, 2), (DEVICE, 2)):
            self.assertServed(self.talk(ClientTLS(device, trust=LAB), tls), device)
            self.assertEqual(len(asked), calls)
        for calls in (3, 4):
            self.assertRefused(self.talk(ClientTLS(pki.critical_purpose(LAB), trust=LAB), tls))
            self.assertEqual(len(asked), calls)

    def test_root_that_signed(self) -> None:
        """What is judged ends with the root that did sign, whatever came before it (case A15)."""
        namesake = LAB.namesake("namesake 1")
        tls = self.server(self.files(SERVER, LAB, namesake))
        roots = (LAB, namesake)
        for number in range(2):
            for root in roots:
                device = root.device(f"dev{number}", names_key=False)
                self.assertServed(self.talk(ClientTLS(device, trust=LAB), tls), device)
                self.assertEqual(self.judged.pop(), [device.der, root.der])
                below = root.mica(f"below {number}")
                deep = below.device("dev1")
                self.assertServed(self.talk(ClientTLS(deep, trust=LAB), tls), deep)
                self.assertEqual(self.judged.pop(), [deep.der, below.der, root.der])
                bad = pki.critical_purpose(root)
                self.assertRefused(self.talk(ClientTLS(bad, trust=LAB), tls))
                self.assertEqual(self.judged.pop(), [bad.der, *bad.above])

    def test_walk_that_was_broken_off(self) -> None:
        """A root that was put in another's place is so for that walk alone."""
        judge = tls_module._Judge(accept_legacy=False)
        judge.take([b"leaf", b"root"], 1)
        judge.other_root = b"other"
        judge.take([b"leaf", b"root"], 0)
        self.assertEqual(judge.chain, [b"leaf", b"other"])
        judge.take([b"leaf", b"root"], 1)
        judge.take([b"leaf", b"root"], 0)
        self.assertEqual(judge.chain, [b"leaf", b"root"])

    def test_that_chain_alone(self) -> None:
        """A verdict is on the chain that OpenSSL put together: the same leaf elsewhere is judged."""
        good = LAB.mica("twin")
        bad = LAB.mica("twin", (x509.NameConstraints([x509.DNSName("example")], None), False))
        device = good.device("dev1")
        for issuer, served in ((good, True), (bad, False), (good, True), (bad, False)):
            wire = self.talk(ClientTLS(device, trust=LAB, present=(issuer.der,)), self.tls)
            if served:
                self.assertServed(wire, device)
            else:
                self.assertRefused(wire)
        # Only what was accepted is remembered.
        chains = [[device.der, issuer.der, LAB.der] for issuer in (good, bad, bad)]
        self.assertEqual(self.judged, chains)

    def test_dates_are_of_the_moment(self) -> None:
        """A chain that was accepted is refused once it has ended: OpenSSL asks at each handshake."""
        device = LAB.device("brief", end=datetime(2035, 1, 1, tzinfo=UTC))
        client = ClientTLS(device, trust=LAB)
        self.assertServed(self.talk(client, self.tls), device)
        store: Any = vars(self.tls)["_loaded"].context.get_cert_store()
        store.set_time(datetime(2036, 1, 1, tzinfo=UTC))
        self.assertRefused(self.talk(client, self.tls))
        self.assertIn("has expired", self.lines()[-1])
        self.assertEqual(len(self.judged), 1)

    def test_legacy(self) -> None:
        """What one server accepts is nothing to another that is stricter."""
        device = pki.legacy(LAB)
        lenient = self.server(self.files(accept_legacy=True))
        self.assertServed(self.talk(ClientTLS(device, trust=LAB), lenient), device)
        self.assertRefused(self.talk(ClientTLS(device, trust=LAB), self.tls))


class ReloadTests(Lab):
    """New files for a running server."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = self.files()
        self.tls = self.server(self.settings)

    def served_by(self) -> str:
        """The LFDI of the server that a new connection meets."""
        client = ClientTLS(DEVICE, trust=LAB)
        self.assertServed(self.talk(client, self.tls), DEVICE)
        certificate = client.last.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return lfdi(certificate.public_bytes(pki.serialization.Encoding.DER))

    def test_new_certificate(self) -> None:
        """New connections meet the new certificate; open ones go on as they were."""
        open_before = self.talk(ClientTLS(DEVICE, trust=LAB), self.tls)
        other = LAB.server("elsewhere")
        self.files(other)
        self.assertTrue(self.tls.reload())
        self.assertEqual(self.served_by(), other.lfdi)
        self.assertServed(open_before, DEVICE)

    def test_new_roots(self) -> None:
        """A root that was added is trusted; who holds an old certificate stays connected."""
        other = Authority.make("second")
        open_before = self.talk(ClientTLS(DEVICE, trust=LAB), self.tls)
        self.settings.trust_roots[0].write_bytes(other.cert_pem)
        self.assertTrue(self.tls.reload())
        newcomer = other.device("dev1")
        self.assertServed(self.talk(ClientTLS(newcomer, trust=LAB), self.tls), newcomer)
        self.assertRefused(self.talk(ClientTLS(DEVICE, trust=LAB), self.tls))
        self.assertServed(open_before, DEVICE)

    def test_broken_files(self) -> None:
        """Whatever is wrong with a file, the old ones stay in force and one line names it and says why."""
        key, certificate = self.settings.private_key, self.settings.certificate
        stranger = LAB.server("elsewhere")
        for path, content, why in (
            (certificate, b"no PEM at all", "no certificate in PEM form"),
            (certificate, stranger.chain_pem, f"is not the key of {certificate}"),
            (key, b"no PEM either", "no private key in PEM form"),
            (key, SERVER.cert_pem, "no private key in PEM form"),
            (key, stranger.key_pem, f"is not the key of {certificate}"),
            (self.settings.trust_roots[0], b"", "no certificate in PEM form"),
        ):
            with self.subTest(path=path.name, why=why):
                self.events.clear()
                before = path.read_bytes()
                path.write_bytes(content)
                self.assertFalse(self.tls.reload())
                path.write_bytes(before)
                (line,) = self.lines()
                self.assertIn(why, line)
                self.assertIn(str(self.folder), line)
                self.assertIn("TLS of IEEE 2030.5: not reloaded", line)
                self.assertEqual(self.served_by(), SERVER.lfdi)

    def test_missing_file(self) -> None:
        """A file that is gone is named, and the old one stays in force."""
        self.settings.private_key.unlink()
        self.assertFalse(self.tls.reload())
        (line,) = self.lines()
        self.assertIn(f"{self.settings.private_key}: No such file", line)


class LoadTests(Lab):
    """What cannot be served is said at the start."""

    def assertUseless(self, settings: TLSSettings, why: str) -> None:
        error = self.assertRaises(TLSError, self.server, settings)
        self.assertIn(why, str(error))
        self.assertNotIn("\n", str(error))

    def test_wrong_keys(self) -> None:
        """A key on another curve, an RSA key, an encrypted key are refused."""
        p384 = LAB.device("server", key=pki.ec_key("p384", ec.SECP384R1))
        self.assertUseless(self.files(p384), "secp384r1, P-256 is needed")
        self.assertUseless(self.files(LAB.device("server", key=pki.rsa_key("rsa"))), "an RSA key")
        settings = self.files()
        settings.private_key.write_bytes(
            SERVER.key.private_bytes(
                pki.serialization.Encoding.PEM,
                pki.serialization.PrivateFormat.PKCS8,
                pki.serialization.BestAvailableEncryption(b"password"),
            )
        )
        self.assertUseless(settings, "encrypted")

    def test_wrong_suites(self) -> None:
        """An unknown suite, a group of suites and a weak one are refused."""
        for name in ("NO-SUCH", "ALL", "ECDHE", "ECDHE-ECDSA-NULL-SHA", "AECDH-AES128-SHA", "DES-CBC3-SHA"):
            with self.subTest(name=name):
                self.assertUseless(self.files(extra_ciphers=(name,)), f"cipher suite {name}")

    def test_rsa_server(self) -> None:
        """An RSA certificate serves the suites that need one, if they are in the settings."""
        name = "AES256-SHA256"
        server = LAB.device("server", key=pki.rsa_key("rsa"))
        client = ClientTLS(DEVICE, trust=LAB, ciphers=name)
        wire = self.talk(client, self.server(self.files(server, extra_ciphers=(name,))))
        self.assertServed(wire, DEVICE)

    def test_end_announced(self) -> None:
        """The end of the server's certificate is announced from 90 days before, not earlier."""
        end = datetime(2027, 6, 1, tzinfo=UTC)
        settings = self.files(LAB.device("server", end=end))
        for left, said in ((91, None), (89, "ends on 2027-06-01"), (-1, "has ended on 2027-06-01")):
            with self.subTest(left=left):
                self.events.clear()
                tls = self.server(settings, now=(end - timedelta(days=left)).timestamp())
                self.assertEqual(tls.certificate_end, end.timestamp())
                self.assertEqual(len(self.lines()), 0 if said is None else 1)
                self.assertIn(said or "", " ".join(self.lines()))


class SocketTests(TestCase):
    """The same on real sockets."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.folder = Path(self.mktemp())
        pki.write(self.folder, LAB, server=SERVER, dev1=DEVICE)
        settings = TLSSettings(
            private_key=self.folder / "private" / "server.pem",
            certificate=self.folder / "certs" / "server.crt",
            trust_roots=(self.folder / "certs" / "ca.crt",),
        )
        tls = ServerTLS(settings, now=lambda: NOW)
        self.site = Site(Who(), clock=reactor, now=lambda: NOW, limits=ConnectionLimits())
        self.factory = TLSFactory(tls, self.site, clock=reactor)
        port = listen(reactor, 0, self.factory, backlog=50, interface="127.0.0.1")
        self.port = port.getHost().port
        self.addCleanup(lambda: self.site.connections.drain())
        self.addCleanup(self.site.context.peer_log.flush)
        self.addCleanup(port.stopListening)

    async def test_keep_alive(self) -> None:
        """Sockets are tried by TCP keepalive: a peer without power does not keep its place (decision 36)."""
        client = await connect(self.reactor, self.port, ClientTLS(DEVICE, trust=LAB))
        self.addCleanup(client.close)
        await client.get("/")
        (protocol,) = self.factory.protocols
        self.assertTrue(protocol.transport.getTcpKeepAlive())

    async def test_client(self) -> None:
        """A device asks twice on one connection and is known both times."""
        client = await connect(self.reactor, self.port, ClientTLS(DEVICE, trust=LAB))
        for _ in range(2):
            answer = await client.get("/")
            self.assertEqual((answer.status, answer.body.decode()), (200, DEVICE.lfdi))
        await client.close()

    async def test_slow_reader(self) -> None:
        """A large answer waits for a peer that does not read, whose requests wait, too, and arrives whole."""
        client = await connect(self.reactor, self.port, ClientTLS(DEVICE, trust=LAB))
        self.addCleanup(client.close)
        await client.get("/")
        (protocol,) = self.factory.protocols
        client.transport.pauseProducing()  # type: ignore[union-attr]
        asked = [client.get("/large"), client.get("/")]
        while not protocol.transport.producerPaused:
            await deferLater(self.reactor, 0)
        self.assertLess(protocol.wrappedProtocol.write_deadline, float("inf"))
        client.transport.resumeProducing()  # type: ignore[union-attr]
        answers = [await each for each in asked]
        self.assertEqual([each.body for each in answers], [LARGE, DEVICE.lfdi.encode()])
        self.assertEqual(protocol.wrappedProtocol.write_deadline, float("inf"))

    async def test_torn_records(self) -> None:
        """Requests in TLS records that come octet by octet, and several at once, are answered in order."""
        wire = client_tls(DEVICE, LAB)
        plain = socket.create_connection(("127.0.0.1", self.port))
        self.addCleanup(plain.close)
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = b""

        async def exchange() -> None:
            """Send what there is, octet by octet, and take what comes."""
            nonlocal found
            for octet in outgoing(wire):
                plain.send(bytes((octet,)))
                await deferLater(self.reactor, 0)
            with contextlib.suppress(BlockingIOError):
                wire.bio_write(plain.recv(65_536))
            if wire.get_state_string() == b"SSL negotiation finished successfully":
                with contextlib.suppress(SSL.WantReadError):
                    found += wire.recv(65_536)
            else:
                step(wire)

        step(wire)
        while not self.site.connections or not wire.get_state_string().endswith(b"successfully"):
            await exchange()
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for number, together in ((1, 1), (3, 2), (4, 1)):
            for _ in range(together):
                wire.send(request)
            while found.count(DEVICE.lfdi.encode()) < number:
                await exchange()
        self.assertEqual(found.count(b"HTTP/1.1 200 OK"), 4)

    async def s_client(self, *more: str, offer: str = f"{CCM8}:@SECLEVEL=0") -> str:
        """What OpenSSL's own client says about this server."""
        found = which("openssl")
        if not found:
            raise SkipTest("no openssl program")
        certs, private = self.folder / "certs", self.folder / "private"
        arguments = ["s_client", "-connect", f"127.0.0.1:{self.port}", "-CAfile", f"{certs / 'ca.crt'}"]
        arguments += ["-cert", f"{certs / 'dev1.crt'}", "-key", f"{private / 'dev1.pem'}", "-cipher", offer]
        out, err, _ = await getProcessOutputAndValue(found[0], [*arguments, *more], env={}, stdinBytes=b"")
        said: str = (out + err).decode(errors="replace")
        return said

    async def test_openssl_client(self) -> None:
        """OpenSSL's client, which offers x25519 first, gets CCM8 on P-256 and a chain without the root."""
        said = await self.s_client("-groups", "X25519:P-256")
        self.assertIn(f"Cipher is {CCM8}", said)
        self.assertIn("prime256v1", said)
        self.assertIn("Verification: OK", said)
        self.assertNotIn("\n 1 s:", said)

    async def test_sha1(self) -> None:
        """A handshake signed over SHA-1, which OpenSSL's security level 0 would allow, is refused."""
        said = await self.s_client("-tls1_2", "-sigalgs", "ECDSA+SHA1")
        self.assertIn("alert handshake failure", said)
