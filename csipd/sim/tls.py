"""The client's side of TLS, for many devices in one process: the profile's suites, a certificate each.

One context serves all who trust the same roots and were issued by the same CAs; the certificate is given to
the connection. As with real devices the server's chain is checked, and not its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from csipd.net.tls import CIPHERS
from csipd.sep2 import identity

# SSL_MODE_NO_AUTO_CHAIN, for which pyOpenSSL has no name: send what was configured, nothing from the store.
_MODE_NO_AUTO_CHAIN = 0x8


@frozen(eq=False, slots=False)
class Credential:
    """A certificate with its key.

    :param above: the certificates that are sent behind it, the root left out
    """

    certificate: x509.Certificate
    key: Any = field(repr=False)
    above: tuple[x509.Certificate, ...] = ()

    @classmethod
    def read(cls, certificate: Path, key: Path) -> Credential:
        """From two PEM files. OSError and ValueError if they cannot be read."""
        leaf, *above = x509.load_pem_x509_certificates(certificate.read_bytes())
        return cls(
            leaf,
            load_pem_private_key(key.read_bytes(), None),
            tuple(one for one in above if one.issuer != one.subject),
        )

    @cached_property
    def lfdi(self) -> str:
        """LFDI of the certificate: 40 hexadecimal digits, upper case."""
        return identity.lfdi(self.certificate.public_bytes(Encoding.DER))


class Trust:
    """The roots that devices trust, and what their connections are made of.

    :param roots: PEM of one or more certificates
    """

    def __init__(self, roots: bytes) -> None:
        self._roots = x509.load_pem_x509_certificates(roots)
        self._contexts: dict[tuple[bytes, ...], SSL.Context] = {}

    def client(self, credential: Credential) -> ClientTLS:
        """How the holder of a certificate connects."""
        names = tuple(one.public_bytes(Encoding.DER) for one in credential.above)
        context = self._contexts.get(names)
        if context is None:
            context = self._contexts[names] = _context(self._roots, credential.above)
        return ClientTLS(context, credential)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """Makes the TLS connections of one device."""

    def __init__(self, context: SSL.Context, credential: Credential) -> None:
        self._context = context
        self._credential = credential

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """One connection, which presents the device's certificate."""
        made = SSL.Connection(self._context, None)
        made.use_certificate(self._credential.certificate)
        made.use_privatekey(self._credential.key)
        return made


@implementer(IStreamClientEndpoint)
class TLSEndpoint:
    """Connects with TLS over another endpoint.

    :param clock: the reactor; Twisted's own wrapper would take the global one
    """

    def __init__(self, endpoint: IStreamClientEndpoint, tls: ClientTLS, clock: Any) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """The protocol, connected; the handshake may still be going on."""
        factory = TLSMemoryBIOFactory(self._tls, True, protocolFactory, self._clock)
        factory.noisy = False
        connected: Deferred[Any] = self._endpoint.connect(factory)
        return connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)


def _context(roots: Iterable[x509.Certificate], above: Iterable[x509.Certificate]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS | _MODE_NO_AUTO_CHAIN)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER, lambda connection, certificate, error, depth, ok: bool(ok))
    store: Any = context.get_cert_store()
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    for one in above:
        context.add_extra_chain_cert(one)
    context.set_cipher_list(f"{':'.join(CIPHERS)}:@SECLEVEL=0".encode())
    return context
