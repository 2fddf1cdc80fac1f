"""Keys, certificates and signing requests in PEM. What cannot be used is a PKIError that names its source."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from csipd.pki.files import read
from csipd.pki.profiles import PKIError

CSR_LIMIT = 1 << 14
"""Bytes of the longest signing request."""


def read_certificates(path: Path) -> list[x509.Certificate]:
    """The certificates of a file, of which there is one at least."""
    return load_certificates(read(path), str(path))


def load_certificates(pem: bytes, source: str) -> list[x509.Certificate]:
    """The certificates of a text, of which there is one at least."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise PKIError(f"{source}: no certificate in PEM is in it") from error


def load_key(key_pem: bytes, source: str) -> PrivateKeyTypes:
    """A private key without passphrase."""
    try:
        return load_pem_private_key(key_pem, None)
    except TypeError as error:
        raise PKIError(f"{source}: the key has a passphrase, which csipd has no way to ask for") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PKIError(f"{source}: no private key in PEM is in it") from error


def load_request(csr_pem: bytes) -> x509.CertificateSigningRequest:
    """A signing request that was signed with its own key, on P-256."""
    if len(csr_pem) > CSR_LIMIT:
        raise PKIError(f"a certificate signing request has at most {CSR_LIMIT} bytes")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        signed = request.is_signature_valid
        public_key = request.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise PKIError("this is no certificate signing request in PEM") from error
    if not signed:
        raise PKIError("the certificate signing request is not signed with its key")
    require_p256(public_key, "the certificate signing request")
    return request


def require_p256(key: PublicKeyTypes, source: str) -> None:
    """PKIError unless a public key is on the one curve of the profile. IEEE 2030.5-2018 6.7."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PKIError(f"{source}: a key on P-256 is needed for a certificate of IEEE 2030.5")


def public_key_of(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    """The public key that a certificate or a private key is about, in DER: what two of them share."""
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def der_of(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(Encoding.DER)


def key_identifier(request: x509.CertificateSigningRequest) -> bytes:
    """The identifier of a requested key: method 2 of RFC 5280 4.2.1.2, as IEEE 2030.5-2018 6.11 wants it.

    Eight octets: the bits 0100 and the last 60 of the SHA-1 of the public key.
    """
    point = request.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    end = sha1(point, usedforsecurity=False).digest()[-8:]
    return bytes((0x40 | end[0] & 0x0F,)) + end[1:]


def join(certificate_pem: bytes, key_pem: bytes) -> bytes:
    """Certificate and key in one text."""
    return certificate_pem + (b"" if certificate_pem.endswith(b"\n") else b"\n") + key_pem
