"""Certificates for tests, made in memory: good ones of every kind, and the bad ones a server must refuse.

Keys and certificates are kept for the life of the process, so that asking twice for the same device gives the
same LFDI and costs nothing. Nothing here is secret, and nothing here runs a program.

    lab = Authority.make()                       # a root
    device = lab.device("dev1")                  # chain of 2
    deep = lab.mca().mica().device("dev1")       # chain of 4
    lab.server("127.0.0.1", "localhost")
    Authority.make("stranger").device("dev1")    # issued by a root that nobody trusts
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha1
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from csipd.sep2 import certificates, identity

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
HW_TYPE = "1.3.6.1.4.1.32473.1.1"
KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

Key = Any  # a private key: EC and RSA share no interface that signs
Digest = type[hashes.SHA256] | type[hashes.SHA384]
Extension = tuple[x509.ExtensionType, bool]
"""An extension and whether it is critical."""


@cache
def ec_key(label: str, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Key:
    """The key of that label; a new label is a new key."""
    return ec.generate_private_key(curve())


@cache
def rsa_key(label: str) -> Key:
    """The RSA key of that label, 2048 bits."""
    return rsa.generate_private_key(65537, 2048)


@frozen(eq=False)
class Credential:
    """A certificate, its key, and the certificates above it (DER, root last; none above a root)."""

    der: bytes
    key: Key = field(repr=False)
    above: tuple[bytes, ...] = ()

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    @property
    def lfdi(self) -> str:
        return identity.lfdi(self.der)

    @property
    def sfdi(self) -> int:
        return identity.sfdi(self.lfdi)

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER, leaf first, root last: what check_chain takes."""
        return (self.der, *self.above)

    @property
    def cert_pem(self) -> bytes:
        return pem(self.der)

    @property
    def key_pem(self) -> bytes:
        encoded: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return encoded

    @property
    def chain_pem(self) -> bytes:
        """What the holder presents: its certificate and its issuers without the root."""
        return b"".join(map(pem, self.chain[:-1] or self.chain))

    @property
    def root_pem(self) -> bytes:
        """What the other side has to trust."""
        return pem(self.chain[-1])

    @property
    def combined_pem(self) -> bytes:
        """Certificate and key in one text."""
        return self.cert_pem + self.key_pem


@frozen(eq=False)
class Authority:
    """A CA and what it issues. The same arguments give the same certificate."""

    credential: Credential
    label: str

    @classmethod
    def make(cls, label: str = "root") -> Authority:
        """A root of the standard's profile; another label is another root."""
        return _authority(None, label, (), None)

    def namesake(self, label: str, path_length: int | None = None, end: datetime = FOREVER) -> Authority:
        """A root of the same name with another key."""
        key = ec_key(label)
        extensions: tuple[Extension, ...] = (
            (x509.BasicConstraints(ca=True, path_length=path_length), True),
            (key_usage("key_cert_sign", "crl_sign"), True),
        )
        name = self.credential.certificate.subject
        der = _signed(_builder(name, key, name, BEGIN, end), extensions, key, hashes.SHA256)
        return Authority(Credential(der, key), label)

    @property
    def der(self) -> bytes:
        return self.credential.der

    @property
    def cert_pem(self) -> bytes:
        return self.credential.cert_pem

    def mca(self, label: str = "mca", *extra: Extension) -> Authority:
        """A manufacturer's CA below this one, with `extra` extensions."""
        return _authority(self, f"{self.label}/{label}", extra, None)

    def mica(self, label: str = "mica", *extra: Extension) -> Authority:
        """A CA that issues to devices only (pathLen 0), with `extra` extensions."""
        return _authority(self, f"{self.label}/{label}", extra, 0)

    def issue(
        self,
        label: str,
        extensions: tuple[Extension, ...],
        *,
        subject: str = "",
        key: Key = None,
        begin: datetime = BEGIN,
        end: datetime = FOREVER,
        digest: Digest = hashes.SHA256,
        names_key: bool = True,
    ) -> Credential:
        """Any leaf at all: with no other `key`, that of the label; without authorityKeyIdentifier if told."""
        key = key or ec_key(f"{self.label}: {label}")
        return _leaf(self, extensions, subject, key, begin, end, digest, names_key)

    def device(self, serial: str, *policy: str, **how: Any) -> Credential:
        """A device to the letter of the profile; `policy` instead of the generic type, `how` as in issue."""
        names = x509.SubjectAlternativeName([hardware_module(serial.encode())])
        kind = policies(*(policy or (certificates.GENERIC_DEVICE,)))
        return self.issue(f"device {serial}", (_LEAF_USAGE, (kind, True), (names, True)), **how)

    def aggregator(self, name: str) -> Credential:
        """A service provider: a device that has a subject."""
        kinds = (certificates.GENERIC_DEVICE, certificates.SERVICE_PROVIDER)
        return self.device(name, *kinds, subject=name)

    def server(self, *names: str) -> Credential:
        """A server that answers to these DNS names and IP addresses; the first is its subject."""
        san = x509.SubjectAlternativeName(list(map(_general_name, names)))
        kind = policies(certificates.GENERIC_DEVICE)
        extensions = (_LEAF_USAGE, (kind, True), (san, True))
        return self.issue(f"server {' '.join(names)}", extensions, subject=names[0])

    def admin(self, name: str = "admin") -> Credential:
        """An operator."""
        return self.issue(f"admin {name}", (_LEAF_USAGE,), subject=name)


# What a server must refuse. The first four are COMM-004D to G of the CSIP test procedures.


def critical_purpose(root: Authority) -> Credential:
    """A device below a MICA whose extendedKeyUsage is critical (COMM-004D)."""
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    return root.mica("critical purpose", (purpose, True)).device("dev1")


def name_constraints(root: Authority) -> Credential:
    """A device below a MICA with nameConstraints, not critical (COMM-004E)."""
    constraints = x509.NameConstraints([x509.DNSName("example")], None)
    return root.mica("name constraints", (constraints, False)).device("dev1")


def policy_mappings(root: Authority) -> Credential:
    """A device below a MICA with policyMappings, not critical (COMM-004F)."""
    both = oid_der(certificates.GENERIC_DEVICE) + oid_der(certificates.MOBILE_DEVICE)
    mappings = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), _sequence(_sequence(both)))
    return root.mica("policy mappings", (mappings, False)).device("dev1")


@cache
def self_signed(serial: str = "dev1") -> Credential:
    """A device that issued itself (COMM-004G)."""
    key = ec_key(f"self-signed {serial}")
    kinds = policies(certificates.GENERIC_DEVICE, certificates.SELF_SIGNED)
    builder = _builder(named(serial), key, named(serial), BEGIN, FOREVER)
    return Credential(_signed(builder, (_LEAF_USAGE, (kinds, True)), key, hashes.SHA256), key)


def expired(root: Authority, end: datetime = datetime(2021, 1, 1, tzinfo=UTC)) -> Credential:
    """A device whose certificate ended then."""
    return root.device("expired", end=end)


def rsa_leaf(root: Authority) -> Credential:
    """A device with an RSA key."""
    return root.device("rsa", key=rsa_key("rsa"))


def p384_leaf(root: Authority) -> Credential:
    """A device with a key on another curve."""
    return root.device("p384", key=ec_key("p384", ec.SECP384R1))


def sha384_leaf(root: Authority) -> Credential:
    """A device whose certificate is signed with another digest."""
    return root.device("sha384", digest=hashes.SHA384)


@cache
def legacy(root: Authority, name: str = "legacy") -> Credential:
    """A device of older servers: X.509v1, a subject, no extensions. Accepted where that is configured."""
    modern = root.issue(f"legacy {name}", (), subject=name)
    ((_, tbs),) = _elements(modern.certificate.tbs_certificate_bytes)
    parts = [_tagged(tag, body) for tag, body in _elements(tbs) if tag not in (_VERSION, _EXTENSIONS)]
    older = _sequence(*parts)
    signature = root.credential.key.sign(older, ec.ECDSA(hashes.SHA256()))
    algorithm = _sequence(oid_der(SignatureAlgorithmOID.ECDSA_WITH_SHA256.dotted_string))
    return evolve(modern, der=_sequence(older, algorithm, _tagged(0x03, b"\0" + signature)))


def write(folder: Path, ca: Authority | None = None, /, **credentials: Credential) -> None:
    """Write a tls_repository: certs, private and combined. Names with dots go in by `**{...}`."""
    for name, mode in (("certs", 0o755), ("private", 0o700), ("combined", 0o700)):
        (folder / name).mkdir(mode=mode, parents=True, exist_ok=True)
    everything: Mapping[str, Credential] = {"ca": ca.credential, **credentials} if ca else credentials
    for name, credential in everything.items():
        (folder / "certs" / f"{name}.crt").write_bytes(credential.chain_pem)
        _write_secret(folder / "private" / f"{name}.pem", credential.key_pem)
        if name != "ca":
            content = credential.chain_pem + credential.key_pem
            _write_secret(folder / "combined" / f"{name}-combined.pem", content)


# The pieces that certificates are made of.


def pem(der: bytes) -> bytes:
    """A certificate in PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def named(common_name: str) -> x509.Name:
    """A name of one attribute, or an empty one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def key_usage(*allowed: str) -> x509.KeyUsage:
    """keyUsage with these bits and no others."""
    return x509.KeyUsage(**{usage: usage in allowed for usage in KEY_USAGES})


def policies(*oids: str) -> x509.CertificatePolicies:
    """certificatePolicies without qualifiers."""
    return x509.CertificatePolicies(
        [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    )


def key_identifier(key: Key) -> bytes:
    """Method 2 of RFC 5280 4.2.1.2: 0100, then the last 60 bits of the SHA-1 of the public key."""
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    tail = int.from_bytes(sha1(point).digest()[-8:], "big") & ((1 << 60) - 1)
    return (4 << 60 | tail).to_bytes(8, "big")


def hardware_module(serial: bytes, hw_type: str = HW_TYPE) -> x509.OtherName:
    """A HardwareModuleName."""
    value = _sequence(oid_der(hw_type), _tagged(0x04, serial))
    return x509.OtherName(x509.ObjectIdentifier(certificates.HARDWARE_MODULE_NAME), value)


def oid_der(dotted: str) -> bytes:
    """An object identifier in DER, cut from what an encoder makes: extendedKeyUsage is SEQUENCE OF OID."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)]).public_bytes()[2:]


_LEAF_USAGE: Extension = (key_usage("digital_signature", "key_agreement"), True)
_VERSION, _EXTENSIONS = 0xA0, 0xA3  # their tags in a TBSCertificate


@cache
def _authority(
    parent: Authority | None, label: str, extra: tuple[Extension, ...], path_length: int | None
) -> Authority:
    key = ec_key(label)
    issuer = parent.credential if parent else None
    extensions: tuple[Extension, ...] = (
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage("key_cert_sign", "crl_sign"), True),
        (policies(certificates.ANY_POLICY), True),
        (x509.SubjectKeyIdentifier(key_identifier(key)), False),
        *((_issued_by(issuer),) if issuer else ()),
        *extra,
    )
    subject = named(label)
    builder = _builder(subject, key, issuer.certificate.subject if issuer else subject, BEGIN, FOREVER)
    der = _signed(builder, extensions, issuer.key if issuer else key, hashes.SHA256)
    return Authority(Credential(der, key, issuer.chain if issuer else ()), label)


@cache
def _leaf(
    authority: Authority,
    extensions: tuple[Extension, ...],
    subject: str,
    key: Key,
    begin: datetime,
    end: datetime,
    digest: Digest,
    names_key: bool,
) -> Credential:
    issuer = authority.credential
    builder = _builder(named(subject), key, issuer.certificate.subject, begin, end)
    above = (_issued_by(issuer),) if names_key else ()
    der = _signed(builder, (*extensions, *above), issuer.key, digest)
    return Credential(der, key, issuer.chain)


def _issued_by(issuer: Credential) -> Extension:
    return (x509.AuthorityKeyIdentifier(key_identifier(issuer.key), None, None), False)


def _builder(
    subject: x509.Name, key: Key, issuer: x509.Name, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _signed(
    builder: x509.CertificateBuilder,
    extensions: tuple[Extension, ...],
    key: Key,
    digest: Digest,
) -> bytes:
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, digest()).public_bytes(serialization.Encoding.DER)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _sequence(*elements: bytes) -> bytes:
    return _tagged(0x30, b"".join(elements))


def _tagged(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and body of each DER element, one behind the other."""
    elements = []
    while der:
        size, start = der[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(der[2:start], "big")
        elements.append((der[0], der[start : start + size]))
        der = der[start + size :]
    return elements


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
