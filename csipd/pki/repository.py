"""How `openssl` is led to make what is missing in the folder of keys and certificates.

What exists is never overwritten. A private key goes through pipes into its own file, created for its owner
only, and into no other. Beside the files that `contents` describes, `issued/` keeps a copy of every
certificate, and `openssl/` is where the program works, one run at a time whoever starts it: its
configuration, and an index that is emptied before each run, so that an interrupted one cannot stand in the
way.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csipd.pki.contents import FOLDERS, Contents
from csipd.pki.files import as_pki_error, create, is_there, read
from csipd.pki.openssl_cnf import OpenSSLConfigError, OpenSSLDefaults, read_defaults
from csipd.pki.pem import (
    der_of,
    join,
    key_identifier,
    load_certificates,
    load_key,
    load_request,
    read_certificates,
    require_p256,
)
from csipd.pki.processes import Pause, Run, Steps
from csipd.pki.profiles import (
    LAB_HARDWARE,
    CertificateSpec,
    OpenSSLCnfError,
    PKIError,
    Profile,
    configuration,
    subject_of,
)
from csipd.sep2.identity import lfdi

LOCK_PAUSE = 0.05
LOCK_TRIES = 1200

_WITHOUT_END = "99991231235959Z"  # OpenSSL 3.0 writes that year only when `openssl ca` is told so
_NEW_KEY = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve")
_REQUEST = "[ req ]\ndistinguished_name = nothing\n[ nothing ]\n"
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+", re.ASCII)

T = TypeVar("T")


@frozen
class IssuedKey:
    """A key made for somebody, and its certificate with the intermediates it is to be presented with."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


class Repository(Contents):
    """The folder `tls_repository`.

    Its functions raise PKIError; those that give `Steps` are driven by `run_now` or `run_later`.
    """

    def __init__(self, path: Path, openssl_cnf: Path | None, *, hardware: str = LAB_HARDWARE) -> None:
        """`openssl_cnf` is the operator's openssl.cnf, read whenever something is made, and `hardware` the
        hwType (OID) of the devices whose certificates are made here."""
        if not _OID.fullmatch(hardware):
            raise PKIError(f"{hardware[:80]!r} is no object identifier (dotted numbers)")
        super().__init__(path)
        self._openssl_cnf = openssl_cnf and openssl_cnf.absolute()
        self._hardware = hardware
        self._work = self.path / "openssl"

    def check(self, wanted: Iterable[CertificateSpec], *, make: bool) -> None:
        """See that everything wanted is there and belongs together or, with `make`, that it could be made.

        Nothing is made.
        """
        wanted = tuple(wanted)
        profiles: dict[str, Profile] = {}
        with as_pki_error():
            if not make and (missing := self.missing(wanted)):
                others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
                raise PKIError(
                    f"{missing[0]}{others} is missing, and no certificates are to be made (--no-create-certs)"
                )
            for one in wanted:
                if profiles.setdefault(one.id, one.profile) != one.profile:
                    raise PKIError(f"{one.id}: one id cannot have two kinds of certificate")
                self.check_together(one)
            if make and not all(map(self.is_complete, wanted)):
                self._program()
                self._defaults()
                for one in wanted:
                    if not self.is_complete(one):
                        self.check_makeable(one)

    def ensure(self, wanted: Iterable[CertificateSpec], *, make: bool) -> Steps[list[Path]]:
        """See to it that everything wanted is there, and that keys and certificates belong together.

        With `make`, what is missing is made, issuers first, and the paths of what was made are the result.
        Without, a missing file is an error. What `check` refuses is refused before anything is made.
        """
        wanted = tuple(wanted)
        made: list[Path] = []
        self.check(wanted, make=make)
        if make:
            with as_pki_error():
                for one in wanted:
                    if not self.is_complete(one):
                        yield from self._locked(self._make(one, made))
                        self.check_together(one)
        return made

    def renew(self, wanted: CertificateSpec) -> Steps[Path]:
        """Put a new certificate for the same key in the place of the one that is there.

        Only for servers, proxies and operators. The old certificate is kept in `issued/`.
        """
        if not wanted.profile.renewable:
            raise PKIError(f"{wanted.id}: only certificates of servers, proxies and operators are renewed")
        with as_pki_error():
            yield from self._locked(self._renew(wanted))
        return self.certificate(wanted.id)

    def sign(self, csr_pem: bytes, wanted: CertificateSpec) -> Steps[bytes]:
        """The certificate (PEM, with its intermediates) for a certificate signing request (PEM).

        Of the request only the public key counts, which must be on P-256; all else is as `wanted` says. The
        result is not put in `certs/`, whose certificates have their keys here.
        """
        request = load_request(csr_pem)
        with as_pki_error():
            return (yield from self._locked(self._issue(wanted, request)))

    def issue_key(self, wanted: CertificateSpec) -> Steps[IssuedKey]:
        """A new key and its certificate for somebody else. The key is written nowhere."""
        with as_pki_error():
            return (yield from self._locked(self._issue_key(wanted)))

    def _make(self, one: CertificateSpec, made: list[Path]) -> Steps[None]:
        """Make what is missing of one id and of its issuers. With the lock held."""
        if self.is_complete(one):
            return
        certificate, key, combined = self.certificate(one.id), self.key(one.id), self.combined(one.id)
        if not one.profile.is_ca:
            made += self._restore(one)
        if not is_there(certificate):
            if one.issuer is not None:
                yield from self._make(one.issuer, made)
            if not is_there(key):
                made.append(create(key, (yield from self._new_key()), 0o600))
            request = yield from self._request(read(key), str(key))
            made.append(create(certificate, (yield from self._issue(one, request)), 0o644))
        elif not is_there(key):
            self.check_makeable(one)
        if not one.profile.is_ca and not is_there(combined):
            self.check_together(one)
            made.append(create(combined, join(read(certificate), read(key)), 0o600))

    def _restore(self, one: CertificateSpec) -> list[Path]:
        """Take a certificate or a key that is gone from the combined file: a new one would be another device.

        The paths of what was made.
        """
        found = self.held_by_combined(one)
        made: list[Path] = []
        if found is None:
            return made
        (held, content), certificate, key = found, self.certificate(one.id), self.key(one.id)
        if not is_there(certificate):
            pem = b"".join(each.public_bytes(Encoding.PEM) for each in held)
            made.append(create(certificate, pem, 0o644))
        if not is_there(key):
            made.append(create(key, _private_key(content), 0o600))
        return made

    def _renew(self, one: CertificateSpec) -> Steps[None]:
        certificate, key, combined = self.certificate(one.id), self.key(one.id), self.combined(one.id)
        for path in (certificate, key):
            if not is_there(path):
                raise PKIError(f"{path} is missing: there is nothing to renew")
        self.check_together(one)
        request = yield from self._request(read(key), str(key))
        renewed = yield from self._issue(one, request)
        before = lfdi(der_of(read_certificates(certificate)[0]))
        # Cut off from here on, this leaves a key without a certificate, which the next start makes.
        certificate.rename(self.path / "issued" / f"{one.id}-{before}.crt")
        combined.unlink(missing_ok=True)
        create(certificate, renewed, 0o644)
        create(combined, join(renewed, read(key)), 0o600)

    def _issue_key(self, one: CertificateSpec) -> Steps[IssuedKey]:
        key_pem = yield from self._new_key()
        request = yield from self._request(key_pem, one.id)
        return IssuedKey(cert_pem=(yield from self._issue(one, request)), key_pem=key_pem)

    def _new_key(self) -> Steps[bytes]:
        return (yield from self._openssl("genpkey", *_NEW_KEY))

    def _request(self, key_pem: bytes, source: str) -> Steps[x509.CertificateSigningRequest]:
        """A signing request for a key, which may be one that somebody put there. With the lock held."""
        require_p256(load_key(key_pem, source).public_key(), source)
        self._prepare(_REQUEST)
        arguments = ("-new", "-config", "openssl.cnf", "-sha256", "-subj", "/", "-key", "/dev/stdin")
        return load_request((yield from self._openssl("req", *arguments, stdin=key_pem)))

    def _issue(self, one: CertificateSpec, request: x509.CertificateSigningRequest) -> Steps[bytes]:
        """A certificate, and behind it those of the CAs between it and the root. With the lock held."""
        defaults = self._defaults()
        subject = subject_of(one, defaults)
        arguments = ["-config", "openssl.cnf", "-batch", "-notext", "-utf8", "-preserveDN"]
        arguments += ["-extensions", "extensions", "-in", "-", "-subj", _subject_argument(subject)]
        if one.profile.of_standard:
            arguments += ["-md", "sha256", "-enddate", _WITHOUT_END]
        else:
            arguments += ["-md", defaults.digest, "-days", str(defaults.days)]
        above: list[x509.Certificate] = []
        if one.issuer is None:
            arguments += ["-selfsign", "-keyfile", str(self.key(one.id))]
        else:
            certificate, key = self.certificate(one.issuer.id), self.key(one.issuer.id)
            for path in (certificate, key):
                if not is_there(path):
                    raise PKIError(f"{path} is missing: {one.id} cannot be given a certificate")
            self.check_together(one.issuer)
            above = [issuer for issuer in read_certificates(certificate) if issuer.issuer != issuer.subject]
            arguments += ["-cert", str(certificate), "-keyfile", str(key)]
        self._prepare(configuration(one, key_identifier(request), self._hardware))
        out = yield from self._openssl("ca", *arguments, stdin=request.public_bytes(Encoding.PEM))
        issued = load_certificates(out, "what openssl made")[0]
        if len(list(issued.subject)) != len(subject):
            raise OpenSSLCnfError(
                f"{self._openssl_cnf}: openssl does not know an attribute of the subject in it"
            )
        return b"".join(each.public_bytes(Encoding.PEM) for each in (issued, *above))

    def _defaults(self) -> OpenSSLDefaults:
        if self._openssl_cnf is None:
            return OpenSSLDefaults()
        try:
            return read_defaults(read(self._openssl_cnf).decode(), os.environ)
        except OSError as error:
            raise OpenSSLCnfError(f"{self._openssl_cnf}: {error.strerror}") from error
        except (OpenSSLConfigError, UnicodeDecodeError) as error:
            raise OpenSSLCnfError(f"{self._openssl_cnf}: {error}") from error

    def _prepare(self, configuration: str) -> None:
        """Prepare what the program works with, whatever the last run left behind."""
        for leftover in (*self._work.glob("index.txt*"), self._work / "openssl.cnf"):
            leftover.unlink(missing_ok=True)
        create(self._work / "index.txt", b"", 0o600)
        create(self._work / "openssl.cnf", configuration.encode(), 0o600)

    def _program(self) -> str:
        program = shutil.which("openssl")
        if program is None:
            raise PKIError("certificates are to be made, and there is no openssl program on the PATH")
        return program

    def _openssl(self, command: str, *arguments: str, stdin: bytes = b"") -> Steps[bytes]:
        ran = yield Run((self._program(), command, *arguments), cwd=self._work, stdin=stdin)
        if ran.code:
            raise PKIError(f"openssl {command} failed: {_last_line(ran.err)}")
        return ran.out

    def _locked(self, steps: Steps[T]) -> Steps[T]:
        """Take `steps` while no other process, and nobody else in this one, works here."""
        self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder, mode in FOLDERS.items():
            (self.path / folder).mkdir(mode=mode, exist_ok=True)
        lock = os.open(self._work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for _ in range(LOCK_TRIES):
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    yield Pause(LOCK_PAUSE)
            else:
                raise PKIError(f"{self._work}: another process has been making certificates for too long")
            return (yield from steps)
        finally:
            os.close(lock)


def _private_key(pem: bytes) -> bytes:
    """The private key's part of a text, as it was written."""
    found = _PRIVATE_KEY.search(pem)
    assert found is not None  # it was read before
    return found[0] + b"\n"


def _subject_argument(subject: Iterable[tuple[str, str]]) -> str:
    """What `-subj` takes: /NAME=VALUE/..., with a backslash before what would end a value."""
    escapes = str.maketrans({sign: f"\\{sign}" for sign in "/+\\"})
    return "".join(f"/{name}={value.translate(escapes)}" for name, value in subject) or "/"


def _last_line(stderr: bytes) -> str:
    """The end of what a failing program wrote, in one line that can be printed."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    said = "; ".join([line for line in lines if line][-2:]) or "it does not say why"
    return "".join(sign if sign.isprintable() else "?" for sign in said)[:300]
