"""A server's and a client's TLS connection, joined in memory, and a hand that writes records like the client.

OpenSSL sends no record without content, and none that is wrong. `Pair.sealed` makes any: it seals as TLS 1.2
does with AES128-CCM8 (RFC 5246 6.2.3.3, RFC 6655), by the keys that the client agreed on.
"""

from __future__ import annotations

import hmac
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from OpenSSL import SSL

from csipd.net.tls import ServerTLS, TLSSettings
from tests.support import pki
from tests.support.client import ClientTLS
from tests.support.pki import Authority, Credential

LAB = Authority.make()
DEVICE = LAB.device("dev1")


def server_tls() -> ServerTLS:
    """A server that trusts what LAB issues."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        pki.write(folder, LAB, server=LAB.server("localhost"))
        settings = TLSSettings(
            private_key=folder / "private" / "server.pem",
            certificate=folder / "certs" / "server.crt",
            trust_roots=(folder / "certs" / "ca.crt",),
        )
        return ServerTLS(settings, now=lambda: 0.0)


def client_tls(device: Credential = DEVICE, trust: Authority = LAB) -> SSL.Connection:
    """The client's side of a connection that has not begun."""
    connection = ClientTLS(device, trust=trust).clientConnectionForTLS(None)  # type: ignore[arg-type]
    connection.set_connect_state()
    return connection


def outgoing(connection: SSL.Connection) -> bytes:
    """What a connection has to send."""
    try:
        return connection.bio_read(2**20)
    except SSL.WantReadError:
        return b""


def step(connection: SSL.Connection) -> None:
    """Go on with a handshake as far as it goes."""
    with suppress(SSL.WantReadError):
        connection.do_handshake()


class Sealer:
    """Makes the records of a client whose handshake is over, from the first behind it."""

    def __init__(self, client: SSL.Connection) -> None:
        seed = b"key expansion" + client.server_random() + client.client_random()
        block, a = b"", seed
        while len(block) < 40:
            a = hmac.digest(client.master_key(), a, "sha256")
            block += hmac.digest(client.master_key(), a + seed, "sha256")
        self._aead = AESCCM(block[:16], tag_length=8)
        self._salt = block[32:36]
        self._number = 1  # Finished was the first under these keys

    def __call__(self, plain: bytes, kind: int = 23) -> bytes:
        """The next record: application data, or of another type."""
        number = self._number.to_bytes(8)
        self._number += 1
        head = bytes((kind, 3, 3))
        sealed = self._aead.encrypt(self._salt + number, plain, number + head + len(plain).to_bytes(2))
        return head + (len(sealed) + 8).to_bytes(2) + number + sealed


class Pair:
    """Both sides, their handshake over."""

    def __init__(self) -> None:
        self.client = client_tls()
        self.server = SSL.Connection(server_tls()._loaded.context, None)
        self.server.set_accept_state()
        for _ in range(4):
            for one, other in ((self.client, self.server), (self.server, self.client)):
                step(one)
                if data := outgoing(one):
                    other.bio_write(data)
        self.sealed = Sealer(self.client)
