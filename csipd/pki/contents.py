"""What lies in `tls_repository`: what is missing, whether it belongs together, what an operator should know.

The layout is that of the server which csipd replaces: `certs/ID.crt`, `private/ID.pem`, and both in one text
in `combined/ID-combined.pem`. Nothing is changed here but owners.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from csipd.pki.files import as_pki_error, give, is_there, read
from csipd.pki.pem import (
    der_of,
    load_certificates,
    load_key,
    public_key_of,
    read_certificates,
    require_p256,
)
from csipd.pki.profiles import PROXY, CertificateSpec, PKIError
from csipd.sep2.certificates import CertificateError, describe
from csipd.sep2.identity import lfdi

FOLDERS = {"certs": 0o755, "private": 0o700, "combined": 0o700, "issued": 0o700, "openssl": 0o700}
_COMBINED = "-combined.pem"
#: A certificate that is there, whose it is meant to be, and where.
_Held = tuple[CertificateSpec, Path, x509.Certificate]


class Contents:
    """The files of a folder of keys and certificates. What cannot be used is a PKIError."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def certificate(self, id: str) -> Path:
        """The certificate of an id; behind it those of the CAs between it and the root."""
        return self.path / "certs" / f"{id}.crt"

    def key(self, id: str) -> Path:
        """The private key of an id."""
        return self.path / "private" / f"{id}.pem"

    def combined(self, id: str) -> Path:
        """Certificate and key of an id in one text."""
        return self.path / "combined" / f"{id}{_COMBINED}"

    def places(self) -> list[tuple[Path, str]]:
        """Where something may be made: folders, and the patterns of names in them."""
        names = {"certs": "*.crt", "private": "*.pem", "combined": f"*{_COMBINED}"}
        return [(self.path / folder, names.get(folder, "*")) for folder in FOLDERS]

    def missing(self, wanted: Iterable[CertificateSpec]) -> list[Path]:
        """The certificates and keys that are not there.

        The key of a CA may be kept elsewhere and a combined file is a convenience: neither counts.
        """
        with as_pki_error():
            return [path for one in wanted for path in self.needed(one) if not is_there(path)]

    def warnings(self, wanted: Iterable[CertificateSpec], *, accept_legacy: bool = False) -> list[str]:
        """What an operator should know: a line for each file with a key in it that is open to others than its
        owner, for each name by which clients may look for a server in vain, and for certificates that a
        CA of another key issued under the name of the one that is here, or that will be refused.

        :param accept_legacy: whether clients' certificates of X.509v1 are taken
        """
        wanted = tuple(wanted)
        with as_pki_error():
            files = sorted((*self.path.glob("private/*.pem"), *self.path.glob(f"combined/*{_COMBINED}")))
            modes = {path: path.stat().st_mode & 0o777 for path in files if path.exists()}
            held = {path: one for one in wanted if one.names and is_there(path := self.certificate(one.id))}
            lacking = [line for path, one in held.items() for line in _differences(path, one)]
            here = [
                (one, path, read_certificates(path)[0])
                for one in wanted
                if is_there(path := self.certificate(one.id))
            ]
            strangers = list(self._of_another_issuer(here))
            if not accept_legacy:
                strangers += _of_older_servers(here)
        return [
            *(
                f"{path} holds a private key and is open to others (mode {mode:04o}; 0600 would be right)"
                for path, mode in modes.items()
                if mode & 0o077
            ),
            *lacking,
            *strangers,
        ]

    def ending(self, wanted: Iterable[CertificateSpec], before: datetime) -> list[tuple[Path, datetime]]:
        """The certificates that end before a moment (both with time zone), and when."""
        with as_pki_error():
            paths = [path for one in wanted if is_there(path := self.certificate(one.id))]
            ends = [(path, read_certificates(path)[0].not_valid_after_utc) for path in paths]
        return [(path, end) for path, end in ends if end < before]

    def combined_index(self) -> dict[bytes, Path]:
        """Each combined file by the SHA-256 of the certificate (DER) in it.

        So `lfdi_mode_from_file` finds the file of the certificate that was presented, whatever its names.
        """
        with as_pki_error():
            files = sorted(self.path.glob(f"combined/*{_COMBINED}"))
            return {sha256(der_of(_certificate_in(path))).digest(): path for path in files}

    def set_owner(self, wanted: Iterable[CertificateSpec], uid: int, gid: int) -> None:
        """Make a user the owner of the folders and of the files of what is wanted and of its issuers.

        So the daemon can read its keys anew, and issue, after it has given up being root. See `files.give`
        for what is never given away.
        """
        ids = dict.fromkeys(each.id for one in wanted for each in _with_issuers(one))
        paths = [path for id in ids for path in (self.certificate(id), self.key(id), self.combined(id))]
        with as_pki_error():
            give(self.path, paths, FOLDERS, uid, gid)

    def needed(self, one: CertificateSpec) -> tuple[Path, ...]:
        """The files without which csipd does not start."""
        if one.key_elsewhere:
            return ()
        certificate = self.certificate(one.id)
        return (certificate,) if one.profile.is_ca else (certificate, self.key(one.id))

    def is_complete(self, one: CertificateSpec) -> bool:
        """Whether there is nothing to be made for it."""
        needed = self.needed(one)
        if needed and not one.profile.is_ca:
            needed = (*needed, self.combined(one.id))
        return all(map(is_there, needed))

    def check_together(self, one: CertificateSpec) -> None:
        """Raise PKIError if files of one id do not belong together."""
        certificate, key, combined = self.certificate(one.id), self.key(one.id), self.combined(one.id)
        if not (is_there(certificate) and is_there(key)):
            return
        try:
            held = read_certificates(certificate)[0]
            secret = public_key_of(load_key(read(key), str(key)))
            if is_there(combined) and not one.profile.is_ca:
                read_certificates(combined)
                load_key(read(combined), str(combined))
        except PKIError as error:
            raise PKIError(f"{error}; move it away, and the next start makes it from the others") from error
        if public_key_of(held) != secret:
            raise PKIError(
                f"{certificate} and {key} do not belong together: put the right one back, or move both and "
                f"{combined} away, and the next start makes new ones"
            )
        if one.profile.is_ca or not is_there(combined):
            return
        joined = public_key_of(load_key(read(combined), str(combined)))
        if (read_certificates(combined)[0], joined) != (held, secret):
            raise PKIError(
                f"{combined} holds something else than {certificate} and {key}: move it away, and the next "
                "start makes it from these two"
            )

    def check_makeable(self, one: CertificateSpec) -> None:
        """PKIError, with what to do, if what is missing of an id could not be made."""
        certificate, key = self.certificate(one.id), self.key(one.id)
        if not one.profile.is_ca and self.held_by_combined(one) is not None:
            return
        if is_there(certificate):
            if not one.profile.is_ca and not is_there(key):
                raise PKIError(
                    f"{certificate} has no key {key}: put it there; or give the device's lfdi in the "
                    "configuration if its key is kept elsewhere; or move it away, and another is made"
                )
            return
        if is_there(key):
            require_p256(load_key(read(key), str(key)).public_key(), str(key))
        if one.issuer is None:
            return
        issuer, issuer_key = self.certificate(one.issuer.id), self.key(one.issuer.id)
        if is_there(issuer) and not is_there(issuer_key):
            raise PKIError(f"{issuer_key} is missing: {one.id} cannot be given a certificate")
        self.check_makeable(one.issuer)

    def held_by_combined(self, one: CertificateSpec) -> tuple[list[x509.Certificate], bytes] | None:
        """What a certificate or a key that is gone can be taken from: the combined file, as read.

        PKIError if it does not go with what is left.
        """
        certificate, key, combined = self.certificate(one.id), self.key(one.id), self.combined(one.id)
        gone = [path for path in (certificate, key) if not is_there(path)]
        if not gone or not is_there(combined):
            return None
        content = read(combined)
        held = load_certificates(content, str(combined))
        secret = load_key(content, str(combined))
        here = [public_key_of(held[0]), public_key_of(secret)]
        if is_there(certificate):
            here.append(public_key_of(read_certificates(certificate)[0]))
        if is_there(key):
            here.append(public_key_of(load_key(read(key), str(key))))
        if len(set(here)) > 1:
            left = next((path for path in (certificate, key) if path not in gone), certificate)
            raise PKIError(
                f"{combined} does not go with {left}, and {gone[0]} is missing: put that back, or move "
                f"{combined} away, and the next start makes both"
            )
        return held, content

    def _of_another_issuer(self, here: Iterable[_Held]) -> Iterator[str]:
        """A line for each CA of whose name and another key certificates are here."""
        found: dict[Path, list[Path]] = {}
        issuers: dict[Path, x509.Certificate | None] = {}
        for one, path, certificate in here:
            if one.issuer is None:
                continue
            issuer = self.certificate(one.issuer.id)
            if issuer not in issuers:
                issuers[issuer] = read_certificates(issuer)[0] if is_there(issuer) else None
            above = issuers[issuer]
            if above is not None and _is_of_namesake(certificate, above):
                found.setdefault(issuer, []).append(path)
        for issuer, (first, *others) in found.items():
            more = f" (and {len(others)} more)" if others else ""
            yield (
                f"{first}{more} was issued by an earlier CA of the name of {issuer}: put that CA's "
                "certificate into trust_roots; or move the certificate, its key and its combined file away, "
                "and others are made"
            )


def _of_older_servers(here: Iterable[_Held]) -> Iterator[str]:
    """A line for the clients whose certificates are X.509v1."""
    old = [
        path
        for one, path, certificate in here
        if certificate.version is x509.Version.v1 and not one.names and not one.profile.is_ca
    ]
    if old:
        more = f" (and {len(old) - 1} more)" if old[1:] else ""
        yield (
            f"{old[0]}{more} is X.509v1, as older servers made it, and will be refused; expected "
            "accept_legacy_certs: true"
        )


def _is_of_namesake(certificate: x509.Certificate, above: x509.Certificate) -> bool:
    """Whether a certificate was issued by a CA of the same name as this one, but not by this one."""
    if certificate.issuer != above.subject:
        return False  # of an authority that is not here
    try:
        # The identifiers are compared, without verifying a signature, of which a fleet has many.
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        if named.key_identifier is not None:
            return named.key_identifier != own.digest
    except (x509.ExtensionNotFound, ValueError):
        pass
    try:
        certificate.verify_directly_issued_by(above)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return True
    return False


def lfdi_from_file(combined: Path) -> str:
    """The LFDI that `lfdi_mode_from_file` gives to the holder of a combined file (40 upper case hex digits).

    The leftmost 160 bits of the SHA-256 of its text, certificate and key. PKIError if it cannot be read.
    """
    with as_pki_error():
        return lfdi(read(combined).replace(b"\r\n", b"\n"))


def _differences(path: Path, one: CertificateSpec) -> Iterator[str]:
    """What a server's certificate has otherwise than is wanted now; another one may take its place."""
    try:
        facts = describe(der_of(read_certificates(path)[0]))
    except CertificateError as error:
        raise PKIError(f"{path}: {error}") from error
    renew = f"`csipctl certs renew {PROXY if one.id == PROXY else 'server'}`"
    for name in sorted({name.split(":", 1)[1] for name in one.names} - set(facts.names)):
        yield f"{path} does not hold {name}, which clients may check; {renew} makes one that does"
    if facts.policies and not one.profile.policies:
        yield f"{path} holds certificatePolicies; {renew} makes one without"


def _certificate_in(combined: Path) -> x509.Certificate:
    """The certificate of a combined file, of whomever it is."""
    try:
        return read_certificates(combined)[0]
    except PKIError as error:
        raise PKIError(
            f"{error}; move it away: every combined file is somebody's in this lfdi_mode"
        ) from error


def _with_issuers(one: CertificateSpec) -> Iterator[CertificateSpec]:
    each: CertificateSpec | None = one
    while each is not None:
        yield each
        each = each.issuer
