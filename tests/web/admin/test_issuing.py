"""Certificates for devices that are added while the server runs, made by the real openssl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from csipd import pki
from csipd.net.identity import Identity
from csipd.sep2 import identity
from csipd.sep2.certificates import GENERIC_DEVICE, SERVICE_PROVIDER, check_chain, describe
from csipd.web.admin.issuing import Issued, Issuing
from tests.support import pki as lab
from tests.support.client import Answer
from tests.support.operator import Office
from tests.support.world import World
from tests.web.admin.examples import DEVICE


def request(key: ec.EllipticCurvePrivateKey, name: str = "whoever") -> str:
    """A signing request in PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(lab.named(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def ders(chain: str) -> list[bytes]:
    """The certificates of a text."""
    found = x509.load_pem_x509_certificates(chain.encode())
    return [one.public_bytes(serialization.Encoding.DER) for one in found]


class _Issuing(TestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.office = Office(self.world)
        self.addCleanup(self.office.close)
        self.repository = pki.Repository(Path(self.mktemp()), None)
        self.issuer = pki.mica()
        self.made: list[Deferred[Any]] = []
        self.issuing = Issuing(reactor, self.repository, self.issuer, identity.lfdi, {"192.0.2.1"})
        self.office.prepare = self.prepare

    def prepare(self, body: Any) -> Deferred[Issued | None]:
        """Let a test wait for a certificate, or for the failure of it, before it looks at the answer."""
        made = self.issuing.for_device(body)
        done: Deferred[Any] = Deferred()
        self.made.append(done)

        def tell(result: Any) -> Any:
            done.callback(None)
            return result

        return made.addBoth(tell)

    async def add(self, **body: Any) -> Answer:
        """What the request for a device is answered with, when its certificate is there or is not."""
        asked = self.office.ask("POST", "/devices", {"name": "new", "registered": True, **body})
        self.office.wire().pump()
        for made in self.made:
            await made
        # What follows upon a certificate is done by the next turn of the reactor.
        await deferLater(reactor, 0)
        return self.office.wire().result(asked)

    def files(self) -> set[str]:
        """All that is in the repository, but for what the program works with."""
        found = (path for path in self.repository.path.rglob("*") if path.is_file())
        return {
            str(path.relative_to(self.repository.path)) for path in found if path.parent.name != "openssl"
        }


class CertificateTests(_Issuing):
    """Certificates that are made."""

    def setUp(self) -> None:
        super().setUp()
        pki.run_now(self.repository.ensure([self.issuer], make=True))
        self.root = self.repository.certificate("ca").read_bytes()
        self.before = self.files()

    def check(self, document: dict[str, Any], *policies: str) -> bytes:
        """The device's certificate is of the standard's profile, under our root, and makes its LFDI."""
        chain = [*ders(document["certificate"]), *ders(self.root.decode())]
        check_chain(chain)
        described = describe(chain[0])
        self.assertEqual(set(described.policies), set(policies))
        self.assertEqual(document["device"]["lFDI"], identity.lfdi(chain[0]))
        who = Identity(identity.lfdi(chain[0]), document["device"]["sFDI"], None, "")
        self.assertEqual(self.world.get(who, document["device"]["href"]).status, 200)
        return chain[0]

    async def test_request(self) -> None:
        """A signing request is signed for the device's name, and nothing else of it counts."""
        key = ec.generate_private_key(ec.SECP256R1())
        answer = await self.add(csr=request(key, "admin"))
        self.assertEqual(answer.status, 201, str(answer))
        document = self.office.call("GET", answer.headers["location"].removeprefix("/admin"))
        self.assertEqual(document["standing"], "registered")
        made = json.loads(answer.body)
        self.assertNotIn("key", made)
        leaf = self.check(made, GENERIC_DEVICE)
        certificate = x509.load_der_x509_certificate(leaf)
        self.assertEqual(certificate.public_key(), key.public_key())
        self.assertEqual(list(certificate.subject), [])
        # A copy of what was issued, and no key.
        self.assertEqual({Path(name).parent.name for name in self.files() - self.before}, {"issued"})

    async def test_key(self) -> None:
        """A key is made with its certificate for an aggregator, and is nowhere afterwards."""
        made = json.loads((await self.add(make_key=True, aggregator=True)).body)
        leaf = x509.load_der_x509_certificate(self.check(made, GENERIC_DEVICE, SERVICE_PROVIDER))
        key = serialization.load_pem_private_key(made["key"].encode(), None)
        self.assertEqual(key.public_key(), leaf.public_key())
        self.assertEqual({Path(name).parent.name for name in self.files() - self.before}, {"issued"})
        secret = made["key"].splitlines()[1].encode()
        for path in self.repository.path.rglob("*"):
            self.assertNotIn(secret, path.read_bytes() if path.is_file() else b"")


class RefusalTests(_Issuing):
    """Where there is none to be had."""

    async def test_request(self) -> None:
        """What is no signing request for a key on P-256 is refused before openssl is asked."""
        p256 = "a key on P-256 is needed for a certificate of IEEE 2030.5"
        none = "this is no certificate signing request in PEM"
        good = request(ec.generate_private_key(ec.SECP256R1()))
        other_curve = request(ec.generate_private_key(ec.SECP384R1()))
        for csr, expected in (
            ("x", none),
            ("\u00e9", none),
            (good[: len(good) // 2], none),
            (other_curve, f"the certificate signing request: {p256}"),
        ):
            answer = await self.add(csr=csr)
            self.assertEqual(answer.status, 400)
            self.assertEqual(json.loads(answer.body)["errors"], [{"pointer": "/csr", "detail": expected}])
        self.assertEqual((self.office.log(), self.files()), ([], set()))

    async def test_name(self) -> None:
        """A name that is no file's, or one of the server's own, is refused, with or without a certificate."""
        for name in ("admin", "CA", "mica", "192.0.2.1", "../x", "a b", "", "x\n", "\u00e9"):
            for source in ({"make_key": True}, {"lFDI": DEVICE["lFDI"]}):
                answer = await self.add(**{"name": name, **source})
                self.assertEqual(answer.status, 400, name)
                self.assertIn(b'"pointer": "/name"', answer.body)
        self.assertEqual((self.office.log(), self.files()), ([], set()))

    async def test_no_issuer(self) -> None:
        """Where the CA cannot issue, it is not the request that is wrong, and there is no device."""
        good = request(ec.generate_private_key(ec.SECP256R1()))
        for source in ({"csr": good}, {"make_key": True}):
            answer = await self.add(**source)
            self.assertEqual(answer.status, 409)
            self.assertIn(b"no certificate can be made", answer.body)
        self.assertEqual((self.office.log(), self.files()), ([], set()))

    async def test_repeated(self) -> None:
        """Neither a repeated request nor one that is refused has a certificate made."""
        pki.run_now(self.repository.ensure([self.issuer], make=True))
        before = self.files()
        answer = await self.add(make_key=True, groups=[77])
        self.assertEqual((answer.status, self.files()), (400, before))
        self.assertEqual(self.made, [])
