"""The kinds of certificates that csipd makes, as IEEE 2030.5-2018 6.11 has them, and which ones are wanted.

What the standard fixes (policies, key usage, criticality, key identifiers, a certificate without end, a
device without subject) is here; `OpenSSLDefaults` fills in what it leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from ipaddress import ip_address

from attrs import evolve, frozen

from csipd.pki.openssl_cnf import OpenSSLDefaults
from csipd.sep2.certificates import ANY_POLICY, GENERIC_DEVICE, HARDWARE_MODULE_NAME, SERVICE_PROVIDER, TEST

ADMIN = "admin"
PROXY = "proxy"
RESERVED = frozenset((ADMIN, PROXY, "ca", "mca", "mica"))
"""Stems of files that no device may have."""

LAB_HARDWARE = "1.3.6.1.4.1.32473.1.1"
"""The hwType of devices made here, below the enterprise number that RFC 5612 sets aside for examples."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")  # a file name, and no longer than a commonName
_DNS_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_-]{1,63})*\.?")
_COMMON_NAME_MAX = 64


class PKIError(Exception):
    """A key or certificate that is missing, does not fit, or cannot be made. One line, without secrets."""


class OpenSSLCnfError(PKIError):
    """The operator's openssl.cnf is missing, or says something that cannot be used."""


@frozen
class Profile:
    """A kind of certificate."""

    usage: str = "digitalSignature, keyAgreement"
    policies: tuple[str, ...] = ()
    is_ca: bool = False
    path_length: int | None = None
    common_name: str | None = "{id}"
    """None: a certificate without subject."""
    has_hardware: bool = False
    """Whether subjectAltName holds a HardwareModuleName whose serial number is the id."""
    of_standard: bool = True
    """Whether the standard fixes digest and end; if not, openssl.cnf does."""
    renewable: bool = False
    """Whether another certificate may take its place. Another one for a device would change its LFDI."""


ROOT = Profile(
    usage="keyCertSign, cRLSign", policies=(ANY_POLICY,), is_ca=True, common_name="csipd lab root CA"
)
MCA = Profile(usage="keyCertSign", policies=(ANY_POLICY,), is_ca=True, common_name="csipd lab MCA")
MICA = evolve(MCA, path_length=0, common_name="csipd lab MICA")
SERVER = Profile(policies=(GENERIC_DEVICE,), renewable=True)
DEVICE = Profile(policies=(GENERIC_DEVICE,), common_name=None, has_hardware=True)
AGGREGATOR = Profile(policies=(GENERIC_DEVICE, SERVICE_PROVIDER), has_hardware=True)
OPERATOR = Profile(of_standard=False, renewable=True)


@frozen
class CertificateSpec:
    """A certificate that there should be. The functions below make it and check its names."""

    id: str
    """Stem of its files."""
    profile: Profile
    issuer: CertificateSpec | None
    """None for a root."""
    names: tuple[str, ...] = ()
    """What subjectAltName holds besides, as openssl.cnf writes it: `DNS:...`, `IP:...`."""
    key_elsewhere: bool = False
    """Whether key and certificate were made elsewhere: nothing is made, and nothing is missing."""


def root() -> CertificateSpec:
    """The lab's root, id `ca`."""
    return CertificateSpec("ca", ROOT, None)


def mca(issuer: CertificateSpec | None = None) -> CertificateSpec:
    """A manufacturer's CA, id `mca`."""
    return CertificateSpec("mca", MCA, issuer or root())


def mica(issuer: CertificateSpec | None = None) -> CertificateSpec:
    """A CA that issues to devices only, id `mica`."""
    return CertificateSpec("mica", MICA, issuer or root())


def server(
    host: str, names: Iterable[str] = (), *, policies: bool = True, issuer: CertificateSpec | None = None
) -> CertificateSpec:
    """A server's certificate; its id is the host name or address it is configured with.

    Without `policies` it has no certificatePolicies: mbedTLS 2.28 refuses critical ones that it does not
    know.

    It holds `names`, the DNS names and IP addresses by which clients reach the server, and `host` unless that
    stands for every address. PKIError for what is neither.
    """
    return _reached_by(host, (host, *names), policies=policies, issuer=issuer)


def proxy(
    names: Iterable[str], *, policies: bool = True, issuer: CertificateSpec | None = None
) -> CertificateSpec:
    """The proxy's certificate, id `proxy`: it is a server to devices, and a client to the server.

    `names` and `policies` as those of `server`.
    """
    return _reached_by(PROXY, names, policies=policies, issuer=issuer)


def _reached_by(
    id: str, names: Iterable[str], *, policies: bool, issuer: CertificateSpec | None
) -> CertificateSpec:
    reached = dict.fromkeys(map(_general_name, names))
    for everywhere in ("IP:0.0.0.0", "IP:::"):
        reached.pop(everywhere, None)
    profile = SERVER if policies else evolve(SERVER, policies=())
    return CertificateSpec(id, profile, issuer or root(), names=tuple(reached))


def operator(id: str = ADMIN, *, issuer: CertificateSpec | None = None) -> CertificateSpec:
    """An operator's client certificate."""
    return CertificateSpec(_safe(id), OPERATOR, issuer or root())


def device(
    id: str, *, test: bool = False, key_elsewhere: bool = False, issuer: CertificateSpec | None = None
) -> CertificateSpec:
    """A device's certificate; `test` marks it as one that shall not be trusted outside of tests."""
    profile = evolve(DEVICE, policies=(*DEVICE.policies, TEST)) if test else DEVICE
    return CertificateSpec(check_id(id), profile, issuer or root(), key_elsewhere=key_elsewhere)


def aggregator(
    id: str, *, key_elsewhere: bool = False, issuer: CertificateSpec | None = None
) -> CertificateSpec:
    """An aggregator's certificate: that of a device with a subject, belonging to a service provider."""
    return CertificateSpec(check_id(id), AGGREGATOR, issuer or root(), key_elsewhere=key_elsewhere)


def check_id(id: str, servers: Container[str] = ()) -> str:
    """The id, if a device may have it.

    PKIError if it is not a safe file name of at most 64 characters, or stands for csipd's own certificates:
    `admin`, `proxy`, those of CAs, and `servers`, the host of the server.
    """
    if id in servers or _safe(id).lower() in RESERVED:
        raise PKIError(f"{id}: no device may have the id of one of the server's own certificates")
    return id


def subject_of(wanted: CertificateSpec, defaults: OpenSSLDefaults) -> tuple[tuple[str, str], ...]:
    """The attributes of a certificate's subject. A host name that is too long for commonName is left out."""
    if wanted.profile.common_name is None:
        return ()
    common_name = wanted.profile.common_name.format(id=wanted.id)
    named = (("CN", common_name),) if len(common_name) <= _COMMON_NAME_MAX else ()
    return (*defaults.subject, *named)


def configuration(wanted: CertificateSpec, key_id: bytes, hardware: str) -> str:
    """What `openssl ca` is to read so that it makes this certificate. All paths in it are relative.

    `key_id` is the identifier of the subject's key, `hardware` the hwType of devices.
    """
    profile = wanted.profile
    alternatives = list(wanted.names)
    if profile.has_hardware:
        alternatives.append(f"otherName:{HARDWARE_MODULE_NAME};SEQ:hardware")
    constraints = "CA:TRUE" if profile.path_length is None else f"CA:TRUE, pathlen:{profile.path_length}"
    extensions = {
        "basicConstraints": f"critical, {constraints}" if profile.is_ca else "",
        "keyUsage": f"critical, {profile.usage}",
        "certificatePolicies": f"critical, {', '.join(profile.policies)}" if profile.policies else "",
        "subjectAltName": f"critical, {', '.join(alternatives)}" if alternatives else "",
        "subjectKeyIdentifier": key_id.hex(),
        # The issuer's key identifier, or its name and serial number if it has none, as some older CAs.
        "authorityKeyIdentifier": "keyid, issuer" if wanted.issuer else "",
    }
    sections: dict[str, dict[str, str]] = {
        "ca": {"default_ca": "lab"},
        "lab": {
            "database": "index.txt",
            "new_certs_dir": "../issued",
            "rand_serial": "yes",
            "unique_subject": "no",
            "copy_extensions": "none",  # a request asks for a key to be certified and for nothing else
            "policy": "any",
        },
        "any": {"commonName": "optional"},
        "extensions": {name: value for name, value in extensions.items() if value},
        "hardware": {
            "hwType": f"OID:{hardware}",
            "hwSerialNum": f"FORMAT:HEX, OCTETSTRING:{wanted.id.encode().hex()}",
        },
    }
    lines = ["# Made by csipd for the last certificate it issued; changes here are lost."]
    for section, values in sections.items():
        lines += ["", f"[ {section} ]", *(f"{name} = {value}" for name, value in values.items())]
    return "\n".join(lines) + "\n"


def _safe(id: str) -> str:
    if not _ID.fullmatch(id):
        raise PKIError(f"{id[:80]!r}: an id has 1 to 64 letters, digits, dots, dashes and underscores")
    return id


def _general_name(name: str) -> str:
    try:
        return f"IP:{ip_address(name)}"
    except ValueError:
        if not _DNS_NAME.fullmatch(name):
            raise PKIError(f"{name[:80]!r} is neither a host name nor an IP address") from None
        return f"DNS:{name}"
