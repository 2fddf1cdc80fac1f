"""Certificates for devices that an operator adds while the server runs.

Made by the openssl program, without blocking the reactor. A signing request is preferred: the key then never
leaves its device. A key that is made here is handed out once and kept nowhere (decision 30).
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from csipd import pki
from csipd.pki import PKIError, Repository
from csipd.pki.pem import load_request
from csipd.refusals import Conflict, Impossible
from csipd.web.admin.devices import NewDevice


@frozen
class Issued:
    """What was made for a device: the certificate, with those of its issuers, and perhaps a key."""

    lfdi: str
    certificate: str
    key: str | None = field(default=None, repr=False)


class Issuing:
    """Makes certificates for new devices.

    :param reactor: for processes
    :param repository: of the lab PKI that issues them
    :param issuer: the CA in it
    :param lfdi_of: how an LFDI is computed from a certificate (DER)
    :param reserved: names that no device may have
    """

    def __init__(
        self,
        reactor: Any,
        repository: Repository,
        issuer: pki.CertificateSpec,
        lfdi_of: Callable[[bytes], str],
        reserved: Container[str],
    ) -> None:
        self._reactor = reactor
        self._repository = repository
        self._issuer = issuer
        self._lfdi_of = lfdi_of
        self._reserved = reserved

    def for_device(self, body: NewDevice) -> Deferred[Issued | None]:
        """The certificate that a new device asks for, if it asks for one.

        Fails with ``Impossible`` where the name cannot be that of a certificate or the request is none, and
        with ``Conflict`` where the CA cannot issue.
        """
        try:
            pki.check_id(body.name, self._reserved)
            wanted = (pki.aggregator if body.aggregator else pki.device)(body.name, issuer=self._issuer)
        except PKIError as error:
            return fail(Impossible([("/name", str(error))]))
        if body.csr:
            return self._sign(body.csr.encode(), wanted)
        if body.make_key:
            handed = pki.run_later(self._reactor, self._repository.issue_key(wanted))
            return handed.addCallbacks(lambda out: self._issued(out.cert_pem, out.key_pem), _no_certificate)
        return succeed(None)

    def _sign(self, csr: bytes, wanted: pki.CertificateSpec) -> Deferred[Issued | None]:
        try:
            load_request(csr)
        except PKIError as error:
            return fail(Impossible([("/csr", str(error))]))
        signed = pki.run_later(self._reactor, self._repository.sign(csr, wanted))
        return signed.addCallbacks(self._issued, _no_certificate)

    def _issued(self, certificate: bytes, key: bytes | None = None) -> Issued:
        der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
        return Issued(self._lfdi_of(der), certificate.decode(), None if key is None else key.decode())


def _no_certificate(failure: Failure) -> None:
    failure.trap(PKIError)
    raise Conflict(f"no certificate can be made: {failure.value}")
