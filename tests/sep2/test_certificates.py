"""What certificates say, and which chains the profile refuses although OpenSSL verifies them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import crypto
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2.certificates import (
    ANY_POLICY,
    GENERIC_DEVICE,
    HARDWARE_MODULE_NAME,
    SERVICE_PROVIDER,
    CertificateError,
    ChainRefused,
    HardwareModule,
    check_chain,
    describe,
)
from tests.support import pki

LEAF_USAGE = (pki.key_usage("digital_signature", "key_agreement"), True)


def openssl_verifies(chain: Iterable[bytes]) -> bool:
    """Whether OpenSSL alone accepts a chain, its last certificate being trusted."""
    leaf, *above = [crypto.X509.from_cryptography(x509.load_der_x509_certificate(der)) for der in chain]
    store = crypto.X509Store()
    store.add_cert(above[-1] if above else leaf)
    try:
        crypto.X509StoreContext(store, leaf, above[:-1]).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


class DescribeTests(SynchronousTestCase):
    """Facts of one certificate."""

    def setUp(self) -> None:
        self.root = pki.Authority.make()

    def test_device(self) -> None:
        """A device of the profile has no subject; its hardware module, policy and identifiers are read."""
        device = self.root.device("dev1")
        facts = describe(device.der)
        self.assertEqual((facts.lfdi, facts.sfdi), (device.lfdi, device.sfdi))
        self.assertEqual(facts.hardware_module, HardwareModule(pki.HW_TYPE, b"dev1"))
        self.assertEqual(facts.policies, (GENERIC_DEVICE,))
        self.assertEqual((facts.subject, facts.common_name, facts.issuer), ("", None, "CN=root"))
        self.assertEqual((facts.version, facts.is_ca, facts.key), (3, False, "EC secp256r1"))

    def test_without_end(self) -> None:
        """The year 9999 is read as it stands, and has a time zone to be compared with."""
        facts = describe(self.root.device("dev1").der)
        self.assertEqual(facts.not_after, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
        self.assertEqual(facts.not_before, pki.BEGIN)

    def test_server(self) -> None:
        """A server's names and addresses are read in the form that people write."""
        facts = describe(self.root.server("gateway.example", "127.0.0.1", "::1").der)
        self.assertEqual(facts.names, ("gateway.example", "127.0.0.1", "::1"))
        self.assertEqual((facts.common_name, facts.hardware_module), ("gateway.example", None))

    def test_aggregator(self) -> None:
        """An aggregator is a device with a subject and the service provider policy."""
        facts = describe(self.root.aggregator("fleet").der)
        self.assertEqual(facts.policies, (GENERIC_DEVICE, SERVICE_PROVIDER))
        self.assertEqual(
            (facts.common_name, facts.hardware_module), ("fleet", HardwareModule(pki.HW_TYPE, b"fleet"))
        )

    def test_authority(self) -> None:
        """A CA is known as one."""
        facts = describe(self.root.der)
        self.assertEqual((facts.is_ca, facts.policies, facts.subject), (True, (ANY_POLICY,), "CN=root"))

    def test_other_kinds(self) -> None:
        """Certificates that the profile refuses are described all the same."""
        self.assertEqual(describe(pki.rsa_leaf(self.root).der).key, "RSA 2048")
        self.assertEqual(describe(pki.p384_leaf(self.root).der).key, "EC secp384r1")
        old = describe(pki.legacy(self.root).der)
        self.assertEqual((old.version, old.common_name, old.policies, old.names), (1, "legacy", (), ()))

    def test_long_hardware_module(self) -> None:
        """A serial number beyond the short form of DER lengths and an OID with large arcs are read whole."""
        serial, hw_type = bytes(range(256)), "2.25.340282366920938463463374607431768211455"
        names = x509.SubjectAlternativeName([pki.hardware_module(serial, hw_type)])
        facts = describe(self.root.issue("long", ((names, True),)).der)
        self.assertEqual(facts.hardware_module, HardwareModule(hw_type, serial))

    def test_broken_hardware_module(self) -> None:
        """What is not a whole HardwareModuleName and nothing else is refused in words."""
        oid, serial = b"\x06\x01\x2a", b"\x04\x01\x41"
        bodies = (
            b"",
            oid,
            serial + oid,
            oid + serial + serial,
            b"\x06\x00" + serial,
            b"\x06\x01\xaa" + serial,
            b"\x06\x16\x2a" + b"\xff" * 20 + b"\x7f" + serial,
        )
        values = [b"\x30" + bytes([len(body)]) + body for body in bodies]
        values += [b"\x04\x00", b"\x30\x06" + oid + b"\x04\x09\x41"]
        for value in values:
            other = x509.OtherName(x509.ObjectIdentifier(HARDWARE_MODULE_NAME), value)
            broken = self.root.issue("broken", ((x509.SubjectAlternativeName([other]), True),))
            error = self.assertRaises(CertificateError, describe, broken.der)
            self.assertIn("HardwareModuleName", str(error))

    @given(st.binary(max_size=60))
    def test_no_certificate(self, der: bytes) -> None:
        """Bytes that are no certificate are refused in words."""
        self.assertRaises(CertificateError, describe, der)

    def test_text_of_a_name(self) -> None:
        """A name whose text has a type that no text has is refused, whichever type that is."""
        device = self.root.device("dev1")
        at = device.der.index(b"\x55\x04\x03\x0c") + 3  # in the issuer: commonName, then the tag UTF8String
        for octet in range(256):
            damaged = device.der[:at] + bytes([octet]) + device.der[at + 1 :]
            for read in (describe, lambda der: check_chain((der, *device.above))):
                with contextlib.suppress(CertificateError, ChainRefused):
                    read(damaged)

    @given(st.data())
    def test_damaged(self, data: st.DataObject) -> None:
        """A damaged certificate is described or refused, judged or refused; nothing else is raised."""
        device = self.root.device("dev1")
        place = data.draw(st.integers(0, len(device.der) - 1))
        octet = data.draw(st.integers(0, 255))
        damaged = device.der[:place] + bytes([octet]) + device.der[place + 1 :]
        outcomes = []
        for read in (describe, lambda der: check_chain((der, *device.above))):
            try:
                read(damaged)
            except (CertificateError, ChainRefused) as refusal:
                outcomes.append(str(refusal))
        self.assertTrue(all(outcomes))


class ChainTests(SynchronousTestCase):
    """check_chain."""

    def setUp(self) -> None:
        self.root = pki.Authority.make()

    def refused(self, chain: tuple[bytes, ...], reason: str) -> None:
        """Assert that check_chain refuses a chain, and why."""
        refusal = self.assertRaises(ChainRefused, check_chain, chain)
        self.assertIn(reason, refusal.reason)

    def only_we_refuse(self, chain: tuple[bytes, ...], reason: str) -> None:
        """Assert that check_chain refuses a chain which OpenSSL verifies."""
        self.assertTrue(openssl_verifies(chain))
        self.refused(chain, reason)

    def test_lengths(self) -> None:
        """Chains of two, three and four certificates are accepted (COMM-004A, B, C)."""
        for issuer in (self.root, self.root.mica(), self.root.mca().mica()):
            chain = issuer.device("dev1").chain
            self.assertTrue(openssl_verifies(chain))
            check_chain(chain)

    def test_too_long(self) -> None:
        """A chain of five is refused."""
        self.only_we_refuse(self.root.mca().mca().mica().device("dev1").chain, "a chain of 5")

    def test_every_holder(self) -> None:
        """Servers, operators and aggregators with their subjects are accepted like devices."""
        for holder in (
            self.root.server("a.example", "::1"),
            self.root.admin(),
            self.root.aggregator("fleet"),
        ):
            self.assertTrue(openssl_verifies(holder.chain))
            check_chain(holder.chain)

    def test_critical_purpose(self) -> None:
        """An issuer with a critical extendedKeyUsage is refused (COMM-004D)."""
        self.only_we_refuse(pki.critical_purpose(self.root).chain, "2 of 3: critical extension 2.5.29.37")

    def test_name_constraints(self) -> None:
        """An issuer with nameConstraints is refused, critical or not (COMM-004E)."""
        self.only_we_refuse(pki.name_constraints(self.root).chain, "2 of 3: nameConstraints")

    def test_policy_mappings(self) -> None:
        """An issuer with policyMappings is refused, critical or not (COMM-004F)."""
        self.only_we_refuse(pki.policy_mappings(self.root).chain, "2 of 3: policyMappings")

    def test_self_signed(self) -> None:
        """A device that issued itself is refused, alone or behind another's root (COMM-004G)."""
        self.only_we_refuse(pki.self_signed().chain, "self-signed")
        self.refused((pki.self_signed().der, self.root.der), "self-signed")

    def test_nothing(self) -> None:
        """No chain at all is refused."""
        self.assertRaises(ChainRefused, check_chain, ())

    def test_root_is_judged_too(self) -> None:
        """What an intermediate may not hold, a root may not hold either."""
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        authority = self.root.mica("as root", (purpose, True))
        self.refused((authority.device("dev1").der, authority.der), "2 of 2")

    def test_other_keys(self) -> None:
        """RSA keys and other curves are refused, in a leaf and in an issuer."""
        self.only_we_refuse(pki.rsa_leaf(self.root).chain, "P-256")
        self.only_we_refuse(pki.p384_leaf(self.root).chain, "P-256")
        authority = (x509.BasicConstraints(ca=True, path_length=0), True)
        usage = (pki.key_usage("key_cert_sign"), True)
        issuer = self.root.issue(
            "p384 CA", (authority, usage), subject="p384", key=pki.ec_key("p384", ec.SECP384R1)
        )
        self.refused((self.root.device("dev1").der, *issuer.chain), "2 of 3: the key is not on P-256")

    def test_other_digest(self) -> None:
        """A certificate signed with another digest is refused."""
        self.only_we_refuse(pki.sha384_leaf(self.root).chain, "ecdsa-with-SHA256")

    def test_first_version(self) -> None:
        """An X.509v1 leaf is refused, unless certificates of older servers are admitted."""
        chain = pki.legacy(self.root).chain
        self.only_we_refuse(chain, "X.509v1")
        check_chain(chain, accept_legacy=True)

    def test_first_version_as_issuer(self) -> None:
        """No X.509v1 certificate is an issuer, whatever is admitted of leaves."""
        chain = (self.root.device("dev1").der, pki.legacy(self.root).der, self.root.der)
        refusal = self.assertRaises(ChainRefused, check_chain, chain, accept_legacy=True)
        self.assertIn("2 of 3: an issuer that is X.509v1", refusal.reason)

    def test_legacy_admits_nothing_else(self) -> None:
        """Admitting certificates of older servers lets through no other fault."""
        for bad in (pki.rsa_leaf(self.root), pki.policy_mappings(self.root), pki.self_signed()):
            self.assertRaises(ChainRefused, check_chain, bad.chain, accept_legacy=True)

    def test_critical_in_leaf(self) -> None:
        """A leaf may hold what the profile does not name, but not as critical."""
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        check_chain(self.root.issue("purpose", (LEAF_USAGE, (purpose, False))).chain)
        self.only_we_refuse(
            self.root.issue("purpose", (LEAF_USAGE, (purpose, True))).chain, "1 of 2: critical"
        )

    def test_usage_of_leaf(self) -> None:
        """A leaf without keyUsage is accepted; one whose keyUsage lacks digitalSignature is refused."""
        check_chain(self.root.issue("no usage", ()).chain)
        agreement = (pki.key_usage("key_agreement"), True)
        self.only_we_refuse(self.root.issue("agreement", (agreement,)).chain, "digitalSignature")

    def test_authority_as_leaf(self) -> None:
        """A CA's certificate does not make its holder a device."""
        self.only_we_refuse(self.root.mica().credential.chain, "a CA is no device")

    def test_issuer_that_is_none(self) -> None:
        """Neither a device nor a CA that may not sign certificates is an issuer."""
        device, below = self.root.device("dev2"), self.root.device("dev1")
        self.refused((below.der, device.der, self.root.der), "2 of 3: an issuer that is no CA")
        authority = (x509.BasicConstraints(ca=True, path_length=None), True)
        for usage in ((), ((pki.key_usage("crl_sign"), True),)):
            weak = self.root.issue("weak", (authority, *usage), subject="weak")
            self.refused((below.der, weak.der, self.root.der), "lacks keyCertSign")

    def test_root_without_usage(self) -> None:
        """A trusted root may leave keyUsage out, as the CA of older servers does."""
        authority = (x509.BasicConstraints(ca=True, path_length=None), True)
        older = self.root.issue("older root", (authority,), subject="older", key=pki.ec_key("older"))
        check_chain((self.root.device("dev1").der, older.der))

    def test_unreadable(self) -> None:
        """Bytes that are no certificate are refused, as a leaf and as an issuer."""
        device = self.root.device("dev1")
        for chain in ((b"", self.root.der), (device.der, b"\x30\x00", self.root.der)):
            refusal = self.assertRaises(ChainRefused, check_chain, chain)
            self.assertIn("unreadable", refusal.reason)

    def test_reason_holds_no_names(self) -> None:
        """What the peer wrote into its certificate does not get into the reason."""
        leaf = self.root.issue("x", (), subject="line\nbreak", key=pki.ec_key("x", ec.SECP384R1))
        refusal = self.assertRaises(ChainRefused, check_chain, leaf.chain)
        self.assertEqual(str(refusal), "certificate 1 of 2: the key is not on P-256")
