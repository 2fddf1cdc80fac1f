"""Who is at the other end of a connection, from the certificate that was presented and verified."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from attrs import frozen
from cryptography import x509

from csipd.net import openssl
from csipd.net.certificate_cache import CertificateCache
from csipd.sep2.identity import sfdi


@frozen
class Identity:
    """Who is at the other end, from the certificate that was presented and verified.

    Authentication, once a connection; whether this caller may do a thing is asked at every request.
    """

    #: 40 upper case hex digits.
    lfdi: str
    sfdi: int
    #: When the certificate ends, by the clock that devices see (epoch s); None if that is not known. A
    #: connection may outlive it.
    not_after: float | None
    #: SHA-256 of the whole certificate, 64 upper case hex digits: what operators are known by.
    fingerprint: str


#: Finds out who is at the other end of a transport whose handshake is over. May raise: the connection is cut.
Identify = Callable[[Any], Identity]


#: Says whose a certificate (DER) is.
IdentityOf = Callable[[bytes], Identity]


def identity_by(lfdi_of: Callable[[bytes], str], seen: Callable[[float], float] = float) -> IdentityOf:
    """An `IdentityOf`; `lfdi_of` makes the LFDI from the leaf in DER.

    `seen` gives what the clock that devices see shows at a moment of the machine's.
    What it finds follows from the certificate's octets alone, and is kept.
    """
    kept: CertificateCache[Identity] = CertificateCache()

    def identity_of(der: bytes) -> Identity:
        digest = sha256(der).digest()
        identity = kept.find(digest)
        if identity is None:
            name = lfdi_of(der)
            identity = Identity(
                lfdi=name,
                sfdi=sfdi(name),
                not_after=seen(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()),
                fingerprint=digest.hex().upper(),
            )
            kept.keep(digest, identity)
        return identity

    return identity_of


def identify_by(lfdi_of: Callable[[bytes], str], seen: Callable[[float], float] = float) -> Identify:
    """An `Identify` for TLS transports, by the certificates that were presented; see `identity_by`."""
    return presented(identity_by(lfdi_of, seen))


def presented(identity_of: IdentityOf) -> Identify:
    """An `Identify` for TLS transports: who it is whose certificate was presented."""
    return lambda transport: identity_of(openssl.peer_certificate(transport.getHandle()))
