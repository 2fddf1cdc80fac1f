"""Certificates of many devices, made fast: one key for all of them, and so one LFDI each.

They are made in memory, a tenth of a millisecond each, and kept only where a store is kept that knows their
LFDIs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from socket import socket

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from OpenSSL.crypto import X509
from rich.progress import track

from benchmarks.stores import SHOWN
from tests.support import pki
from tests.support.pki import Authority, Credential

CIPHERS = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"


@define(eq=False)
class Fleet:
    """Devices with certificates, numbered from 1 as the store numbers them, and who issued these.

    :param boss: the aggregator's certificate
    """

    authority: Authority
    devices: Sequence[Credential]
    boss: Credential
    server: Credential = field(init=False)
    proxy: Credential = field(init=False)
    admin: Credential = field(init=False)
    _context: SSL.Context = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.server = self.authority.server("127.0.0.1", "localhost")
        self.proxy = self.authority.server("127.0.0.1", "localhost")
        self.admin = self.authority.admin()
        self._context = _context(self.authority)

    @classmethod
    def make(cls, number: int) -> Fleet:
        """So many devices and an aggregator."""
        authority = Authority.make()
        key = pki.ec_key("every device of a benchmark")
        serials = track(
            range(1, number + 1),
            f"{number:,} certificates",
            console=SHOWN,
            transient=True,
            disable=number < 10_000,
        )
        devices = [authority.device(f"bench {serial}", key=key) for serial in serials]
        return cls(authority, devices, authority.device("bench aggregator", key=key))

    def lfdis(self) -> list[str]:
        """Those of the devices, and behind them the aggregator's."""
        return [*(one.lfdi for one in self.devices), self.boss.lfdi]

    def keep(self, folder: Path) -> None:
        """Write all of it into a new folder, for `kept`."""
        folder.mkdir(mode=0o700, parents=True)
        (folder / "ca.pem").write_bytes(self.authority.cert_pem + self.authority.credential.key_pem)
        (folder / "key.pem").write_bytes(self.boss.key_pem)
        with (folder / "certificates").open("wb") as file:
            for one in (*self.devices, self.boss):
                file.write(len(one.der).to_bytes(2, "big") + one.der)

    @classmethod
    def kept(cls, folder: Path) -> Fleet:
        """What `keep` wrote."""
        content = (folder / "ca.pem").read_bytes()
        der = x509.load_pem_x509_certificate(content).public_bytes(serialization.Encoding.DER)
        authority = Authority(Credential(der, serialization.load_pem_private_key(content, None)), "kept")
        key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
        data, at, found = (folder / "certificates").read_bytes(), 0, []
        while at < len(data):
            size = int.from_bytes(data[at : at + 2], "big")
            found.append(Credential(data[at + 2 : at + 2 + size], key, (der,)))
            at += 2 + size
        return cls(authority, found[:-1], found[-1])

    def tls(self, credential: Credential, plain: socket) -> SSL.Connection:
        """The client's side of TLS over a socket, for the holder of a certificate.

        One context serves all: a certificate is given to the connection.
        """
        made = SSL.Connection(self._context, plain)
        made.use_certificate(credential.certificate)
        made.use_privatekey(credential.key)
        made.set_connect_state()
        return made

    @staticmethod
    def address(device: int) -> str:
        """Where a device calls from: an address of its own on the loopback interface.

        Who comes from one address shares what the quotas give to it.
        """
        return f"127.{1 + device // 62_500}.{device // 250 % 250}.{1 + device % 250}"


def _context(authority: Authority) -> SSL.Context:
    """TLS 1.2 with CCM-8 alone, and one root to trust."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS.encode())
    context.set_verify(SSL.VERIFY_PEER)
    roots = context.get_cert_store()
    assert roots is not None
    roots.add_cert(X509.from_cryptography(authority.credential.certificate))
    return context
