"""The server's side of TLS as who connects: what is agreed on, and what a reload does."""

from __future__ import annotations

from pathlib import Path

from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.client_tls import ClientTLS, is_address
from csipd.net.tls import ServerTLS, TLSError
from tests.support.client import CCM8
from tests.support.pki import Authority
from tests.support.receivers import tls_settings
from tests.support.tls_pair import outgoing, step

LAB = Authority.make()
SERVER = LAB.server("csipd.example")
RECEIVER = LAB.aggregator("agg1")


class ClientTLSTests(SynchronousTestCase):
    """A client and a receiver, joined in memory."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.client = ClientTLS(tls_settings(self.folder / "own", SERVER, LAB), now=lambda: 0.0)
        receiver = ServerTLS(
            tls_settings(self.folder / "receiver", RECEIVER, LAB), now=lambda: 0.0, announce_end=False
        )
        self.receiver = receiver

    def shake(self) -> tuple[SSL.Connection, SSL.Connection]:
        """Both sides, their handshake over."""
        client = self.client.to("a.example").clientConnectionForTLS(None)  # type: ignore[arg-type]
        client.set_connect_state()
        receiver = self.receiver.serverConnectionForTLS(None)  # type: ignore[arg-type]
        receiver.set_accept_state()
        for _ in range(4):
            for one, other in ((client, receiver), (receiver, client)):
                step(one)
                if data := outgoing(one):
                    other.bio_write(data)
        return client, receiver

    def test_agreed(self) -> None:
        """TLS 1.2 with the profile's suite; the receiver sees the server's own certificate."""
        client, receiver = self.shake()
        self.assertEqual((client.get_protocol_version_name(), client.get_cipher_name()), ("TLSv1.2", CCM8))
        shown = receiver.get_peer_certificate(as_cryptography=True)
        self.assertEqual(shown, SERVER.certificate)
        self.assertEqual(receiver.get_servername(), b"a.example")

    def test_reload(self) -> None:
        """Another certificate is taken from its files; one that cannot be read leaves the old in force."""
        other = LAB.server("csipd.example", "csipd2.example")
        tls_settings(self.folder / "own", other, LAB)
        self.assertTrue(self.client.reload())
        _, receiver = self.shake()
        self.assertEqual(receiver.get_peer_certificate(as_cryptography=True), other.certificate)
        (self.folder / "own" / "certs" / "own.crt").write_text("nothing")
        self.assertFalse(self.client.reload())
        _, receiver = self.shake()
        self.assertEqual(receiver.get_peer_certificate(as_cryptography=True), other.certificate)

    def test_unreadable(self) -> None:
        """Files that are not there are one line, at the start."""
        settings = tls_settings(self.folder / "none", SERVER, LAB)
        settings.private_key.unlink()
        self.assertRaises(TLSError, ClientTLS, settings, now=lambda: 0.0)

    def test_addresses(self) -> None:
        """What is an address is told to no receiver as a name."""
        self.assertEqual(list(map(is_address, ("8.8.8.8", "2001:db8::1", "a.example"))), [True, True, False])
