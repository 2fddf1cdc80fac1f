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
from csipd.refusals import Impossible
from csipd.web.admin import forms as f


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
        issuer: pki.Wanted,
        lfdi_of: Callable[[bytes], str],
        reserved: Container[str],
    ) -> None:
        self._reactor = reactor
        self._repository = repository
        self._issuer = issuer
        self._lfdi_of = lfdi_of
        self._reserved = reserved

    def for_device(self, body: f.NewDevice) -> Deferred[Issued | None]:
        """The certificate that a new device asks for, if it asks for one.

        Fails with ``Impossible`` where the request is none, or the name cannot be that of a certificate.
        """
        asked = [name for name in ("lFDI", "csr", "make_key") if getattr(body, name)]
        if len(asked) > 1:
            return fail(Impossible([("", f"one of {', '.join(asked)} is enough")]))
        try:
            pki.check_id(body.name, self._reserved)
            wanted = (pki.aggregator if body.aggregator else pki.device)(body.name, issuer=self._issuer)
        except PKIError as error:
            return fail(Impossible([("/name", str(error))]))
        if body.csr:
            signed = pki.run_later(self._reactor, self._repository.sign(body.csr.encode(), wanted))
            return signed.addCallbacks(self._issued, _impossible, errbackArgs=("/csr",))
        if body.make_key:
            handed = pki.run_later(self._reactor, self._repository.hand_out(wanted))
            return handed.addCallbacks(
                lambda out: self._issued(out.cert_pem, out.key_pem), _impossible, errbackArgs=("/make_key",)
            )
        return succeed(None)

    def _issued(self, certificate: bytes, key: bytes | None = None) -> Issued:
        der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
        return Issued(self._lfdi_of(der), certificate.decode(), None if key is None else key.decode())


def _impossible(failure: Failure, pointer: str) -> None:
    failure.trap(PKIError)
    raise Impossible([(pointer, str(failure.value))])
