"""What a certificate says, and the rules of the 2030.5 profile that OpenSSL does not check.

OpenSSL builds and verifies the path (signatures, dates, pathLen, trust in the root; RFC 5280 section 6). It
accepts chains that the standard and the conformance tests want refused, and at SECLEVEL=0, which CCM-8 needs,
it asks nothing of keys. `check_chain` is the rest. Nothing here knows what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from csipd.sep2.identity import lfdi, sfdi

HARDWARE_MODULE_NAME = "1.3.6.1.5.5.7.8.4"
"""The otherName of a device (RFC 4108)."""

ANY_POLICY = "2.5.29.32.0"
GENERIC_DEVICE = "1.3.6.1.4.1.40732.1.1"
MOBILE_DEVICE = "1.3.6.1.4.1.40732.1.2"
POST_MANUFACTURE_DEVICE = "1.3.6.1.4.1.40732.1.3"
TEST = "1.3.6.1.4.1.40732.2.1"
SELF_SIGNED = "1.3.6.1.4.1.40732.2.2"
SERVICE_PROVIDER = "1.3.6.1.4.1.40732.2.3"
BULK_ISSUED = "1.3.6.1.4.1.40732.2.4"

LONGEST_CHAIN = 4
"""Root, MCA, MICA, device."""

_NEVER = {
    ExtensionOID.NAME_CONSTRAINTS: "nameConstraints",
    ExtensionOID.POLICY_MAPPINGS: "policyMappings",
}
_CRITICAL_IN_ISSUERS = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
}
_CRITICAL_IN_LEAVES = _CRITICAL_IN_ISSUERS | {ExtensionOID.SUBJECT_ALTERNATIVE_NAME}

# cryptography reads lazily and has no common ancestor for what it finds wrong in a certificate.
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    # A name whose text is of a type that a name cannot have, a BIT STRING for example.
    TypeError,
    KeyError,
)


class CertificateError(ValueError):
    """Bytes that are no certificate, or one that breaks X.509."""


class ChainRefused(Exception):
    """A chain that OpenSSL verified and the profile refuses.

    `reason` is one line for the log and holds nothing that the peer could have written into its names.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen
class HardwareModule:
    """HardwareModuleName of RFC 4108: who made the kind of hardware, and which piece of it this is."""

    hw_type: str
    """An OID, dotted."""
    serial: bytes


@frozen
class CertificateFacts:
    """What a certificate says about its holder. Text in it was written by the holder or its issuer."""

    lfdi: str
    sfdi: int
    version: int
    subject: str
    """The subject as RFC 4514 writes it; empty for a device of the standard's profile."""
    common_name: str | None
    issuer: str
    hardware_module: HardwareModule | None
    policies: tuple[str, ...]
    names: tuple[str, ...]
    """DNS names and IP addresses of subjectAltName."""
    not_before: datetime
    not_after: datetime
    """With a time zone (UTC). 9999-12-31 23:59:59 means without end: adding anything to it overflows."""
    is_ca: bool
    key: str
    """The kind of key: `EC secp256r1`, `RSA 2048`."""


def describe(der: bytes) -> CertificateFacts:
    """The facts of one certificate in DER. CertificateError if it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return _facts(der, certificate)
    except _UNREADABLE as error:
        raise CertificateError(f"not a readable certificate: {error}") from error


def check_chain(chain: Sequence[bytes], *, accept_legacy: bool = False) -> None:
    """Apply the profile to a chain that OpenSSL has verified: DER, leaf first, root last.

    Raises ChainRefused. Numbers are clauses of IEEE 2030.5-2018 and tests of the SunSpec CSIP procedures:

    - 2, 3 or 4 certificates (COMM-004A-C); one, or a leaf that issued itself, is refused (COMM-004G);
    - no critical extension but those the profile names: basicConstraints, keyUsage, certificatePolicies, and
      in a leaf subjectAltName (COMM-004D); nameConstraints and policyMappings not at all (COMM-004E, F);
    - X.509v3, a P-256 key, signed with ecdsa-with-SHA256 (6.7, 6.11), the root included;
    - issuers are CAs whose keyUsage allows keyCertSign. A root alone may leave keyUsage out, as the CA of
      older servers does: a trust anchor is trusted because it was configured (RFC 5280 6.1);
    - a leaf is no CA, and keyUsage, where it has one, allows digitalSignature.

    `accept_legacy` lets a leaf be X.509v1, as older servers made them, and nothing else.

    Not asked, since CSIP leaves the choice of PKI to the utility (IG 5.2.1) and no test wants it: an empty
    subject, a HardwareModuleName, certificate policies, key identifiers, the absence of other extensions as
    long as they are not critical (a commercial CA's extendedKeyUsage), and that what is critical in the
    profile is marked so. pathLen and dates are OpenSSL's.
    """
    length = len(chain)
    if length < 2:
        raise ChainRefused("a self-signed certificate, or one without its issuers")
    if length > LONGEST_CHAIN:
        raise ChainRefused(f"a chain of {length} certificates; the longest is {LONGEST_CHAIN}")
    faults = [_leaf_fault(chain[0], accept_legacy=accept_legacy)]
    faults += [_issuer_fault(der, is_root=False) for der in chain[1:-1]]
    faults += [_issuer_fault(chain[-1], is_root=True)]
    for place, fault in enumerate(faults, start=1):
        if fault is not None:
            raise ChainRefused(f"certificate {place} of {length}: {fault}")


def root_fault(der: bytes) -> str | None:
    """Why no chain can end in a trust root (DER), as `check_chain` will say; None: one can."""
    return _issuer_fault(der, is_root=True)


def _leaf_fault(der: bytes, *, accept_legacy: bool) -> str | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.version is x509.Version.v1 and not accept_legacy:
            return "X.509v1, from before the profile (accept_legacy_certs admits a client's)"
        if certificate.issuer == certificate.subject:
            return "self-signed"
        if _is_ca(certificate.extensions):
            return "a CA is no device"
        usage = _key_usage(certificate.extensions)
        if usage is not None and not usage.digital_signature:
            return "keyUsage without digitalSignature"
        return _common_fault(certificate, _CRITICAL_IN_LEAVES)
    except _UNREADABLE:
        return "unreadable"


@lru_cache(maxsize=64)  # few issuers, seen at every handshake, and only after they were verified
def _issuer_fault(der: bytes, *, is_root: bool) -> str | None:
    try:
        certificate = x509.load_der_x509_certificate(der)
        if certificate.version is x509.Version.v1:
            return "an issuer that is X.509v1"
        if not _is_ca(certificate.extensions):
            return "an issuer that is no CA"
        usage = _key_usage(certificate.extensions)
        if not (is_root if usage is None else usage.key_cert_sign):
            return "an issuer whose keyUsage lacks keyCertSign"
        return _common_fault(certificate, _CRITICAL_IN_ISSUERS)
    except _UNREADABLE:
        return "unreadable"


def _common_fault(certificate: x509.Certificate, may_be_critical: set[x509.ObjectIdentifier]) -> str | None:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return "the key is not on P-256"
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        return "not signed with ecdsa-with-SHA256"
    for extension in certificate.extensions:
        if extension.oid in _NEVER:
            return f"{_NEVER[extension.oid]} is not allowed"
        if extension.critical and extension.oid not in may_be_critical:
            return f"critical extension {extension.oid.dotted_string} is not of the profile"
    return None


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _key_usage(extensions: x509.Extensions) -> x509.KeyUsage | None:
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _facts(der: bytes, certificate: x509.Certificate) -> CertificateFacts:
    identifier = lfdi(der)
    extensions = certificate.extensions
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        alternatives = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = x509.SubjectAlternativeName([])
    try:
        policies = extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        policies = None
    return CertificateFacts(
        lfdi=identifier,
        sfdi=sfdi(identifier),
        version=certificate.version.value + 1,
        subject=certificate.subject.rfc4514_string(),
        common_name=str(common_names[0].value) if common_names else None,
        issuer=certificate.issuer.rfc4514_string(),
        hardware_module=_hardware_module(alternatives),
        policies=tuple(policy.policy_identifier.dotted_string for policy in policies or ()),
        names=(
            *alternatives.get_values_for_type(x509.DNSName),
            *map(str, alternatives.get_values_for_type(x509.IPAddress)),
        ),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=_is_ca(extensions),
        key=_kind_of_key(certificate),
    )


def _kind_of_key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "unknown"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        return f"{'RSA' if isinstance(key, rsa.RSAPublicKey) else 'DSA'} {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _hardware_module(alternatives: x509.SubjectAlternativeName) -> HardwareModule | None:
    """The first HardwareModuleName, SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }."""
    for other in alternatives.get_values_for_type(x509.OtherName):
        if other.type_id.dotted_string == HARDWARE_MODULE_NAME:
            (sequence,) = _elements(other.value, (0x30,))
            hw_type, serial = _elements(sequence, (0x06, 0x04))
            return HardwareModule(hw_type=_dotted(hw_type), serial=serial)
    return None


def _elements(der: bytes, tags: tuple[int, ...]) -> list[bytes]:
    """The contents of the DER elements that fill `der`, which must bear these tags. ValueError otherwise."""
    contents = []
    for tag in tags:
        if len(der) < 2 or der[0] != tag:
            raise ValueError("HardwareModuleName has another form")
        size, start = der[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(der[2:start], "big")
        if len(der) < start + size:
            raise ValueError("HardwareModuleName is cut short")
        contents.append(der[start : start + size])
        der = der[start + size :]
    if der:
        raise ValueError("HardwareModuleName has something behind it")
    return contents


def _dotted(octets: bytes) -> str:
    """The dotted form of an object identifier's contents (X.690 8.19)."""
    if not octets or octets[-1] & 0x80:
        raise ValueError("HardwareModuleName has a broken hwType")
    arcs, arc = [], 0
    for octet in octets:
        arc = arc << 7 | octet & 0x7F
        if arc >> 136:  # what a UUID needs (X.667), and time for a number is not linear in its octets
            raise ValueError("HardwareModuleName has an arc of too many bits in its hwType")
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))
