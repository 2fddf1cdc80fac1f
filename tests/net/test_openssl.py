"""The names of pyOpenSSL that have no public one."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.trial.unittest import SynchronousTestCase

from csipd.net import openssl
from tests.support.pki import Authority
from tests.support.tls_pair import Pair, client_tls


class OpenSSLTests(SynchronousTestCase):
    """That they do what pyOpenSSL's own calls do (26.4)."""

    def test_read(self) -> None:
        """A record is read like with ``bio_write`` and ``recv``, and nothing where there is none."""
        pair = Pair()
        openssl.receive(pair.server, pair.sealed(b"one"))
        self.assertEqual(openssl.open_record(pair.server), b"one")
        self.assertEqual(openssl.open_record(pair.server), b"")
        pair.server.bio_write(pair.sealed(b"two"))
        self.assertEqual(pair.server.recv(100), b"two")

    def test_longest(self) -> None:
        """The longest record is read and written at once."""
        pair = Pair()
        longest = b"x" * openssl.RECORD_BYTES
        openssl.receive(pair.server, pair.sealed(longest))
        self.assertEqual(openssl.open_record(pair.server), longest)
        taken, sealed = openssl.seal(pair.server, longest)
        self.assertEqual(taken, len(longest))
        pair.client.bio_write(sealed)
        self.assertEqual(pair.client.recv(2**15), longest)
        self.assertRaises(SSL.WantReadError, pair.server.bio_read, 100)

    def test_error(self) -> None:
        """An error is told by the value, and pyOpenSSL finds out which it was."""
        pair = Pair()
        record = pair.sealed(b"one")
        openssl.receive(pair.server, record[:-1] + bytes((record[-1] ^ 1,)))
        self.assertEqual(openssl.open_record(pair.server), b"")
        with self.assertRaises(SSL.Error) as caught:
            pair.server.recv(100)
        self.assertIn("bad record mac", str(caught.exception))
        self.assertEqual(openssl.seal(pair.server, b"x"), (0, b""))
        self.assertRaises(SSL.Error, pair.server.send, b"x")

    def test_peer_certificate(self) -> None:
        """The octets of what was presented; who has presented nothing has none."""
        pair = Pair()
        theirs: Any = pair.server.get_peer_certificate()
        self.assertEqual(
            openssl.peer_certificate(pair.server), crypto.dump_certificate(crypto.FILETYPE_ASN1, theirs)
        )
        self.assertRaises(ValueError, openssl.peer_certificate, client_tls())

    def test_chain(self) -> None:
        """The chain as pyOpenSSL gives it, long certificates in it, as often as it is asked for."""
        lab = Authority.make()
        long = x509.SubjectAlternativeName([x509.DNSName(f"{n:060}.example") for n in range(1000)])
        maker = lab.mica("maker", (long, False))
        device = maker.device("dev1")
        store = crypto.X509Store()
        store.add_cert(crypto.X509.from_cryptography(lab.credential.certificate))
        known = crypto.X509StoreContext(
            store,
            crypto.X509.from_cryptography(device.certificate),
            [crypto.X509.from_cryptography(maker.credential.certificate)],
        )
        expected = [
            crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in known.get_verified_chain()
        ]
        self.assertEqual(expected, [device.der, maker.der, lab.der])
        self.assertGreater(len(maker.der), 2**16)
        verified: Any = vars(crypto.X509StoreContext)["_verify_certificate"](known)
        for _ in range(3):
            self.assertEqual(openssl.built_chain(verified), expected)

    def test_purpose(self) -> None:
        """A store that is told so asks whether a certificate is a client's, which it does not by itself."""
        lab = Authority.make()
        purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
        servers = lab.issue("of a server alone", ((purpose, False),)).certificate
        for told in (False, True):
            store = crypto.X509Store()
            store.add_cert(crypto.X509.from_cryptography(lab.credential.certificate))
            if told:
                openssl.trust_for_clients(store)
            for certificate, good in ((servers, not told), (lab.device("dev1").certificate, True)):
                context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate))
                if good:
                    context.verify_certificate()
                else:
                    self.assertRaises(crypto.X509StoreContextError, context.verify_certificate)
