"""TLS as IEEE 2030.5-2018 clause 6 wants it: what both sides have in common, and the server's side.

TLS 1.2 only, ECDHE-ECDSA-AES128-CCM8 first and AES128-GCM-SHA256 beside it, key agreement on P-256
whatever the client would rather have, a client certificate always. No compression, no renegotiation
and no resumption: a resumed session brings no verified chain, and the full handshake costs little more.

Four facts about OpenSSL decide how a context is built. The 64-bit tag of CCM8 is below every security
level but 0, so ``@SECLEVEL=0`` is set with the cipher list (Twisted's own ``AcceptableCiphers`` drops it)
and what that level lets through is closed by hand: versions, suites, curve and signature algorithms are
all named. A context cannot be changed once a connection was made from it, so it is finished here and
replaced as a whole by `ServerTLS.reload`. Left to itself OpenSSL completes the server's chain from the
trust store, root included, which clause 6 forbids: that is switched off. A client may hold several
certificates and choose by the names of authorities that the server lists; some only look at the direct
issuer and would then send nothing, so none are listed.

Client certificates are verified in the verify callback. OpenSSL checks path, signatures and dates;
`csipd.sep2.certificates.check_chain` then applies the rules of the profile that OpenSSL does not have
(COMM-004 D to F), over the chain that OpenSSL has put together and verified from the root down, when it
comes to the leaf. It is done there rather than after the handshake because a refusal ends the handshake with
an alert: no byte of HTTP is ever read from, or answered to, such a peer. The alert is bad_certificate:
pyOpenSSL hands a callback's "no" to OpenSSL without an error code, which would make it internal_error, so
`_set_verify` adds the code.

The rules' verdict on a chain is kept, by the hash of all its certificates as OpenSSL put it together, until
the files are read anew (decision 52). OpenSSL verifies each handshake all the same: dates are those of the
moment. Only what is not known as accepted goes through pyOpenSSL's part of the callback.

OpenSSL finds the issuer of a certificate by name and, where the certificate names it, key identifier. Of two
trust roots of one name it takes one for a certificate that names no key identifier, and does not try the
other. So when such a signature does not verify, `_other_root` tries the rest.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from csipd.net import openssl
from csipd.net.certificate_cache import CertificateCache
from csipd.net.origin import host_of, origin_of
from csipd.net.peer_log import PeerLog
from csipd.sep2.certificates import LONGEST_CHAIN, ChainRefused, check_chain
from csipd.sep2.identity import lfdi

#: The suite that clause 6 makes mandatory, and the one most clients outside of it have.
CIPHERS = ("ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-GCM-SHA256")

#: How long before its end the server's certificate is announced, in seconds.
WARN_BEFORE_END = 90 * 86400

#: Of a context of either side.
OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION

# SSL_MODE_NO_AUTO_CHAIN, for which pyOpenSSL has no name: send what was configured, nothing from the store.
_MODE_NO_AUTO_CHAIN = 0x8
# X509_V_ERR_CERT_REJECTED, which OpenSSL answers with the alert bad_certificate.
_CERTIFICATE_REJECTED = 28
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_ECDSA = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512"
_RSA = "rsa_pss_rsae_sha256:RSA+SHA256:RSA+SHA384:RSA+SHA512"
_WEAK = frozenset(("ADH", "AECDH", "NULL", "EXP", "DES", "RC4", "MD5", "PSK", "SRP"))
_VERIFY_ERRORS: dict[int, str] = {
    code: name.removeprefix("ERR_").lower().replace("_", " ")
    for name, code in vars(SSL.X509VerificationCodes).items()
    if name.startswith("ERR_")
}


class TLSError(Exception):
    """A key, certificate or cipher suite that cannot be used: one line with the file and the reason."""


@frozen
class TLSSettings:
    """Where the server's key, certificate and trust roots lie, and what the profile leaves open.

    `certificate` is a PEM file: the server's own first, then its intermediates; a root in it is not sent.
    Each of `trust_roots` is a PEM file of one or more certificates. `extra_ciphers` are OpenSSL names of
    TLS 1.2 suites offered after the two of the profile. `accept_legacy` takes client certificates of the
    old server (X.509 v1, no extensions).
    """

    private_key: Path
    certificate: Path
    trust_roots: tuple[Path, ...]
    extra_ciphers: tuple[str, ...] = ()
    accept_legacy: bool = False


class TLSContexts(ABC):
    """What both sides of TLS have in common: contexts of key, certificate and trust roots, and whom they let.

    Files are read anew on request. Which side it is, and what is done about a refusal, a subclass says.
    """

    _log = Logger()

    def __init__(
        self,
        settings: TLSSettings,
        *,
        now: Callable[[], float],
        what: str,
        ciphers: tuple[str, ...] = CIPHERS,
    ) -> None:
        """Read the files of `settings`; `now` is the time of day (epoch s), `what` it is for, for the log.

        `ciphers` are those of the profile's two suites that are offered, the preferred one first.

        Raises `TLSError` when a file cannot be read or used.
        """
        self._settings = settings
        self._now = now
        self._what = what
        self._ciphers = ciphers
        self._loaded = self._load()

    @property
    def certificate_end(self) -> float:
        """When the server's certificate ends (epoch s)."""
        return self._loaded.certificate_end

    def reload(self) -> bool:
        """Take key, certificate and roots from their files again, for connections made from now on.

        Open connections stay as they are. When anything is wrong with the files what was in force stays
        in force, one line in the log says why, and the answer is False.
        """
        try:
            self._loaded = self._load()
        except TLSError as error:
            self._log.error(
                "TLS of {what}: not reloaded, the old files stay in force: {error}",
                what=self._what,
                error=str(error),
            )
            return False
        self._log.info("TLS of {what}: key, certificate and trust roots reloaded", what=self._what)
        return True

    @abstractmethod
    def _new_context(self) -> SSL.Context:
        """A context of this side, with what that side alone has to say."""

    @abstractmethod
    def _refused(self, connection: SSL.Connection, chain: list[bytes], depth: int, reason: str) -> None:
        """Hear that the peer's chain is refused.

        :param depth: of the certificate that is at fault, 0 for the peer's own
        """

    @abstractmethod
    def _not_judged(self, connection: SSL.Connection) -> None:
        """Hear that an error kept the peer's chain from being judged; it is being handled."""

    def _load(self) -> _Loaded:
        settings = self._settings
        key = _read_key(settings.private_key)
        leaf, *others = _read_certificates(settings.certificate)
        if _public_bytes(key.public_key()) != _public_bytes(leaf.public_key()):
            raise TLSError(f"{settings.private_key}: is not the key of {settings.certificate}")
        ecdsa = isinstance(key, ec.EllipticCurvePrivateKey)
        if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, ec.SECP256R1):
            raise TLSError(f"{settings.private_key}: the key is on {key.curve.name}, P-256 is needed")
        if not ecdsa and not settings.extra_ciphers:
            raise TLSError(
                f"{settings.private_key}: an RSA key, which needs cipher suites beside the profile's"
            )
        for name in settings.extra_ciphers:
            _check_cipher(name)

        context = self._new_context()
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS | _MODE_NO_AUTO_CHAIN)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_tmp_ecdh(ec.SECP256R1())
        _set_signature_algorithms(context, _ECDSA if ecdsa else f"{_ECDSA}:{_RSA}")
        try:
            context.use_certificate(leaf)
            context.use_privatekey(key)
            for certificate in others:
                if certificate.issuer != certificate.subject:
                    context.add_extra_chain_cert(certificate)
        except (SSL.Error, TypeError) as error:
            raise TLSError(f"{settings.certificate}: OpenSSL does not take it") from error
        roots = _trust(context, settings.trust_roots)
        context.set_verify_depth(LONGEST_CHAIN)
        judge = _Judge(accept_legacy=settings.accept_legacy)
        _set_verify(context, partial(self._verify, roots, judge), judge)
        context.set_cipher_list(":".join((*self._ciphers, *settings.extra_ciphers, "@SECLEVEL=0")).encode())
        return _Loaded(context, leaf.not_valid_after_utc.timestamp(), roots)

    def _verify(
        self,
        roots: tuple[x509.Certificate, ...],
        judge: _Judge,
        connection: SSL.Connection,
        certificate: crypto.X509,
        error: int,
        depth: int,
        ok: int,
    ) -> bool:
        """Judge a certificate that OpenSSL refuses, or the leaf of a chain that it does not.

        A certificate whose signature is found wrong is verified twice if it is let through: its dates follow.
        Must not raise, or the exception would come out of the reactor's read of this connection.
        """
        chain = judge.chain
        try:
            # The one below the root, which may be that of another root of the same name.
            if error == SSL.X509VerificationCodes.ERR_CERT_SIGNATURE_FAILURE and depth == len(chain) - 2:
                other = _other_root(roots, certificate.to_cryptography(), depth, self._now())
                if other is not None:
                    judge.other_root = other.public_bytes(Encoding.DER)
                    return True
            if ok:
                judge.check()
                return True
            self._refused(connection, chain, depth, _VERIFY_ERRORS.get(error, f"OpenSSL error {error}"))
        except ChainRefused as refused:
            self._refused(connection, chain, depth, refused.reason)
        except Exception:
            self._not_judged(connection)
        return False


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS(TLSContexts):
    """Makes the server's side of each TLS connection."""

    def __init__(
        self,
        settings: TLSSettings,
        *,
        now: Callable[[], float],
        peer_log: PeerLog | None = None,
        announce_end: bool = True,
        what: str = "IEEE 2030.5",
    ) -> None:
        """Read the files of `settings`; see `TLSContexts`.

        `what` is served, for the log, which says of each listener whether its files were reloaded.
        `peer_log` writes why peers are refused; without it nothing is written, as where TLS is only tried.
        `announce_end`: warn when the server's certificate ends; of several that share it one does.
        """
        self._peer_log = peer_log
        self._announce_end = announce_end
        super().__init__(settings, now=now, what=what)
        self.warn_if_ending()

    def reload(self) -> bool:
        """Read the files anew; see `TLSContexts.reload`."""
        reloaded = super().reload()
        if reloaded:
            self.warn_if_ending()
        return reloaded

    def warn_if_ending(self) -> None:
        """Log a warning when the server's certificate ends within 90 days (to be asked once a day)."""
        left = self.certificate_end - self._now()
        if self._announce_end and left < WARN_BEFORE_END:
            self._log.warn(
                "TLS: the server's certificate {file} {ends} on {end}",
                file=str(self._settings.certificate),
                ends="ends" if left > 0 else "has ended",
                end=datetime.fromtimestamp(self.certificate_end, UTC).date().isoformat(),
            )

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The TLS connection of one peer, from the context in force at this moment."""
        return SSL.Connection(self._loaded.context, None)

    def judge(self, leaf: bytes, above: Sequence[bytes]) -> float:
        """Judge the certificate of a client that shook hands with somebody else, as a handshake here would.

        Gives the end of the first certificate of its chain (epoch s). Raises ChainRefused.

        :param leaf: in DER
        :param above: those of the CAs between it and its root, in DER; the root may be among them
        """
        certificate, *others = (_read_der(each) for each in (leaf, *above))
        roots = self._loaded.roots
        try:
            try:
                chain = _built_chain(roots, certificate, others)
            except crypto.X509StoreContextError as error:
                if error.errors[0] != SSL.X509VerificationCodes.ERR_CERT_SIGNATURE_FAILURE:
                    raise
                # OpenSSL takes one root of a name, and does not try the other.
                chain = _built_chain_by_one_of(roots, certificate, others, error)
        except crypto.X509StoreContextError as error:
            code: int = error.errors[0]
            raise ChainRefused(_VERIFY_ERRORS.get(code, f"OpenSSL error {code}")) from None
        check_chain(
            [each.public_bytes(Encoding.DER) for each in chain], accept_legacy=self._settings.accept_legacy
        )
        return min(each.not_valid_after_utc.timestamp() for each in chain)

    def _new_context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_options(OPTIONS | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_session_id(b"csipd")
        return context

    def _not_judged(self, connection: SSL.Connection) -> None:
        if self._peer_log is not None:
            peer: Any = connection.get_app_data().getPeer()
            self._peer_log.failure(
                self._log,
                host_of(peer),
                "a certificate could not be judged",
                "TLS: {host}: a certificate could not be judged",
                origin=origin_of(peer),
                host=host_of(peer),
            )

    def _refused(self, connection: SSL.Connection, chain: list[bytes], depth: int, reason: str) -> None:
        if self._peer_log is None:
            return
        # Twisted makes the protocol of a connection its app data.
        peer: Any = connection.get_app_data().getPeer()
        device = None if depth else lfdi(chain[0])
        self._peer_log.warn(
            self._log,
            device or host_of(peer),
            f"TLS refused: {reason}",
            "TLS: {host} refused: {who}: {reason}",
            origin=origin_of(peer),
            host=host_of(peer),
            who=f"LFDI {device}" if device else f"certificate {depth} above the leaf",
            reason=reason,
        )


@frozen
class _Loaded:
    """What one reading of the files gave."""

    context: SSL.Context
    certificate_end: float
    roots: tuple[x509.Certificate, ...]


class _Judge:
    """Applies the rules of the profile to chains, and remembers those that it accepted.

    One for each reading of the files, so that nothing that was accepted under other ones is remembered. One
    chain at a time: OpenSSL walks a whole one within one call.
    """

    def __init__(self, *, accept_legacy: bool) -> None:
        self._accept_legacy = accept_legacy
        self._accepted: CertificateCache[bool] = CertificateCache()
        self._digest = b""
        #: What is judged, in DER, leaf first, root last.
        self.chain: list[bytes] = []
        #: The trust root that signed it in place of that which OpenSSL took.
        self.other_root: bytes | None = None

    def take(self, chain: list[bytes], depth: int) -> None:
        """Take in the chain that OpenSSL has put together.

        :param depth: how far it has got; it begins with the root
        """
        if depth == len(chain) - 1:
            self.other_root = None
        if self.other_root is not None:
            chain[-1] = self.other_root
        self.chain = chain
        # DER says how long it is, so two chains never join to the same octets.
        self._digest = sha256(b"".join(chain)).digest()

    def is_known(self) -> bool:
        """Whether the chain was accepted before."""
        return self._accepted.find(self._digest) is not None

    def check(self) -> None:
        """Raise ChainRefused as `check_chain` does, or accept the chain."""
        check_chain(self.chain, accept_legacy=self._accept_legacy)
        self._accepted.keep(self._digest, True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TLSError(f"{path}: {error.strerror}") from error


def _read_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        raise TLSError(f"{path}: holds no certificate in PEM form that can be read") from error


def _read_key(path: Path) -> _Key:
    try:
        key = load_pem_private_key(_read(path), None)
    except TypeError as error:
        raise TLSError(f"{path}: the key is encrypted; csipd has nobody to ask for a password") from error
    except ValueError as error:
        raise TLSError(f"{path}: holds no private key in PEM form that can be read") from error
    if not isinstance(key, _Key):
        raise TLSError(f"{path}: neither an elliptic curve key nor an RSA key")
    return key


def _public_bytes(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _trust(context: SSL.Context, files: tuple[Path, ...]) -> tuple[x509.Certificate, ...]:
    """Trust every certificate of these files; all of them."""
    store: Any = context.get_cert_store()
    roots = tuple(certificate for path in files for certificate in _read_certificates(path))
    for certificate in roots:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    return roots


def _other_root(
    roots: tuple[x509.Certificate, ...], child: x509.Certificate, depth: int, now: float
) -> x509.Certificate | None:
    """The trust root of the issuer's name that did sign a certificate, of `depth` issuers above the leaf.

    It is held to what OpenSSL asked of the root that it took: dates and pathLen. `check_chain` asks the rest.
    """
    for root in roots:
        if root.subject != child.issuer:
            continue
        if not root.not_valid_before_utc.timestamp() <= now <= root.not_valid_after_utc.timestamp():
            continue
        try:
            child.verify_directly_issued_by(root)
            constraints = root.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound):
            continue
        if constraints.path_length is None or constraints.path_length >= depth:
            return root
    return None


def _read_der(der: bytes) -> x509.Certificate:
    """A certificate that is these octets and no others. Raises ChainRefused."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        same = certificate.public_bytes(Encoding.DER) == der
    except ValueError:
        same = False
    if not same:
        raise ChainRefused("unreadable")
    return certificate


def _built_chain(
    roots: Iterable[x509.Certificate], certificate: x509.Certificate, others: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """The chain that OpenSSL puts together and verifies, leaf first, root last.

    Raises X509StoreContextError. Paths, dates and purposes are asked as in a handshake of a client.
    """
    store = crypto.X509Store()
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    openssl.trust_for_clients(store)
    context = crypto.X509StoreContext(
        store,
        crypto.X509.from_cryptography(certificate),
        [crypto.X509.from_cryptography(each) for each in others],
    )
    return [each.to_cryptography() for each in context.get_verified_chain()]


def _built_chain_by_one_of(
    roots: Iterable[x509.Certificate],
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    error: crypto.X509StoreContextError,
) -> list[x509.Certificate]:
    """The same, where one root alone is trusted; `error` is raised if none of them will do."""
    for root in roots:
        try:
            return _built_chain((root,), certificate, others)
        except crypto.X509StoreContextError:
            continue
    raise error


def _set_verify(context: SSL.Context, callback: Callable[..., bool], judge: _Judge) -> None:
    """Have certificates verified; what the callback alone refuses ends in the alert bad_certificate.

    OpenSSL asks for each certificate, from the root down. What it accepts above the leaf needs nobody's word,
    and a chain that is known to the judge none either; the rest is the callback's, by way of pyOpenSSL.
    pyOpenSSL has no way to give OpenSSL an error code with a "no". So its own wrapper of the callback is
    wrapped once more. Both are kept alive by the context.
    """
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, callback)
    library: Any = vars(SSL)["_lib"]
    ffi: Any = vars(SSL)["_ffi"]
    wrapped: Any = vars(context)["_verify_callback"]

    def verify(ok: int, store_context: Any) -> int:
        depth: int = library.X509_STORE_CTX_get_error_depth(store_context)
        if ok and depth and judge.other_root is None:
            return 1
        judge.take(openssl.built_chain(store_context), depth)
        if ok and (depth or judge.is_known()):
            accepted = 1
        else:
            accepted = wrapped(ok, store_context)
            if ok and not accepted:
                library.X509_STORE_CTX_set_error(store_context, _CERTIFICATE_REJECTED)
        if not accepted or (ok and depth == 0):
            judge.other_root = None
        return accepted

    outer = ffi.callback("int (*)(int, X509_STORE_CTX *)", verify)
    library.SSL_CTX_set_verify(
        vars(context)["_context"], SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, outer
    )
    vars(context)["_csipd_verify_callback"] = outer


def _set_signature_algorithms(context: SSL.Context, names: str) -> None:
    """Forbid what security level 0 would let through: handshakes signed over SHA-1.

    pyOpenSSL has the call but no public name for it; without it a client could sign with SHA-1.
    """
    openssl: Any = vars(SSL)["_lib"]
    if openssl.SSL_CTX_set1_sigalgs_list(vars(context)["_context"], names.encode()) != 1:
        raise TLSError(f"OpenSSL does not know the signature algorithms {names}")


def _check_cipher(name: str) -> None:
    """Refuse what is not the name of one authenticated TLS 1.2 suite: a group could bring in anything."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_cipher_list(f"{name}:@SECLEVEL=0".encode())
    except SSL.Error as error:
        raise TLSError(f"cipher suite {name}: OpenSSL does not know it") from error
    known = [each for each in SSL.Connection(context, None).get_cipher_list() if not each.startswith("TLS_")]
    if known != [name] or _WEAK.intersection(re.split("-", name)):
        raise TLSError(f"cipher suite {name}: not the name of one strong TLS 1.2 suite")
