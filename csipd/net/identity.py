"""Who is at the other end of a connection, from the certificate that was presented and verified."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives.serialization import Encoding

from csipd.sep2.identity import sfdi


@frozen
class Identity:
    """Who is at the other end, from the certificate that was presented and verified.

    Authentication, once a connection; whether this caller may do a thing is asked at every request.
    """

    #: 40 upper case hex digits.
    lfdi: str
    sfdi: int
    #: When the certificate ends (epoch s); None if that is not known. A connection may outlive it.
    not_after: float | None
    #: SHA-256 of the whole certificate, 64 upper case hex digits: what operators are known by.
    fingerprint: str


#: Finds out who is at the other end of a transport whose handshake is over. May raise: the connection is cut.
Identify = Callable[[Any], Identity]


def identify_by(lfdi_of: Callable[[bytes], str]) -> Identify:
    """An `Identify` for TLS transports; `lfdi_of` makes the LFDI from the leaf in DER."""

    def identify(transport: Any) -> Identity:
        certificate = transport.getHandle().get_peer_certificate(as_cryptography=True)
        der = certificate.public_bytes(Encoding.DER)
        name = lfdi_of(der)
        return Identity(
            lfdi=name,
            sfdi=sfdi(name),
            not_after=certificate.not_valid_after_utc.timestamp(),
            fingerprint=sha256(der).hexdigest().upper(),
        )

    return identify
