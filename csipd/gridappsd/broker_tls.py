"""TLS to a broker: its certificate is of trusted roots, and of the name that the configuration gives.

Twisted's own client side looks for the name, too, but lets a certificate without any pass: whoever has one of
the roots' other certificates, such as a device's, could take the broker's place.
"""

from __future__ import annotations

from functools import partial

from OpenSSL import SSL, crypto
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, CertificateOptions, platformTrust, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.gridappsd.access import Access
from csipd.net.client_tls import is_address


class AnotherName(Exception):
    """The broker's certificate is not of the name that it is looked for by."""


@implementer(IOpenSSLClientConnectionCreator)
class BrokerTLS:
    """Makes the client's side of connections to a broker."""

    def __init__(self, access: Access) -> None:
        self._host = access.broker.host
        roots = (
            platformTrust()
            if access.roots is None
            else trustRootFromCertificates([Certificate.loadPEM(pem) for pem in access.roots])
        )
        self._context: SSL.Context = CertificateOptions(trustRoot=roots).getContext()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        connection.set_verify(mode, partial(self._verify, tlsProtocol))
        return connection

    def _verify(
        self,
        protocol: TLSMemoryBIOProtocol,
        connection: SSL.Connection,
        certificate: crypto.X509,
        error: int,
        depth: int,
        ok: int,
    ) -> bool:
        """OpenSSL's verdict, and for the broker's own certificate the name. Nothing may be raised here."""
        if not ok or depth:
            return bool(ok)
        try:
            verify = verify_certificate_ip_address if is_address(self._host) else verify_certificate_hostname
            verify(certificate.to_cryptography(), self._host)
        except Exception:  # whatever keeps the name from being found there
            protocol.failVerification(Failure(AnotherName()))
            return False
        return True
