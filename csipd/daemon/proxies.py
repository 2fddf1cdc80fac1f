"""Which proxies the server believes: the one whose certificate is made here, and those of the configuration.

Read anew at SIGHUP. A renewed certificate has the key of the one before, which stays known until the next
start, so that a proxy is believed while it still shows that; one of another key takes its place at once.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from hashlib import sha256

from attrs import frozen
from cryptography import x509
from twisted.logger import Logger

from csipd import pki
from csipd.config import ProxyMode, Settings
from csipd.daemon.certificates import ending, first_certificate
from csipd.pki import PKIError, Repository
from csipd.pki.pem import public_key_of
from csipd.pki.profiles import PROXY
from csipd.sep2.certificates import CertificateError, describe


@frozen
class KnownProxies:
    """Whom the server believes what it says of devices.

    :param fingerprints: SHA-256 of certificates, 64 upper-case digits
    :param own: the fingerprint of the certificate made here, and its key; None where there is none
    """

    fingerprints: frozenset[str]
    own: tuple[str, bytes] | None = None


def known_proxies(settings: Settings, repository: Repository) -> KnownProxies:
    """The proxies that a configuration has the server believe.

    :raises PKIError: the certificate made here cannot be read, or is a device's
    """
    named = frozenset(settings.proxy.proxies)
    if not has_own(settings):
        return KnownProxies(named)
    path = repository.certificate(PROXY)
    der = first_certificate(path)
    try:
        facts = describe(der)
    except CertificateError as error:
        raise PKIError(f"{path}: {error}") from error
    if facts.hardware_module is not None:
        raise PKIError(
            f"{path} is a device's certificate, which would speak for all others: move it, its key and its "
            "combined file away, and the next start makes the proxy's"
        )
    fingerprint = sha256(der).hexdigest().upper()
    key = public_key_of(x509.load_der_x509_certificate(der))
    return KnownProxies(named | {fingerprint}, (fingerprint, key))


def has_own(settings: Settings) -> bool:
    """Whether the certificate that is made here belongs to a proxy that the server believes."""
    return settings.proxy.listen is not None and settings.proxy.mode is ProxyMode.HOP


class ProxyDirectory:
    """The proxies that are believed while the daemon runs.

    :param now: the time of day (epoch s)
    """

    _log = Logger()

    def __init__(
        self, settings: Settings, repository: Repository, known: KnownProxies, now: Callable[[], float]
    ) -> None:
        self._fingerprints = set(known.fingerprints)
        self._own = known.own
        self._settings = settings
        self._repository = repository
        self._now = now

    @property
    def fingerprints(self) -> Set[str]:
        """Those of certificates that are believed now; always the same set, changed in place."""
        return self._fingerprints

    def reload(self) -> None:
        """Take the certificate from its file anew."""
        try:
            found = known_proxies(self._settings, self._repository)
        except (PKIError, OSError) as error:
            self._log.error("proxies: not reloaded, who was known stays known: {error}", error=str(error))
            return
        renewed = found.own is not None and self._own is not None and found.own[1] == self._own[1]
        if not renewed:
            self._fingerprints.clear()
        if found.own != self._own:
            self._log.info("proxies: a new certificate of the proxy is known")
        self._fingerprints.update(found.fingerprints)
        self._own = found.own
        self.warn_if_ending()

    def warn_if_ending(self) -> None:
        """Log a warning when the certificate made here ends within 90 days (to be asked once a day)."""
        for line in proxy_ending(self._settings, self._repository, self._now()):
            self._log.warn("{line}", line=line)


def proxy_ending(settings: Settings, repository: Repository, now: float) -> list[str]:
    """A line if the proxy's certificate made here ends within 90 days, and what to do.

    :raises PKIError: it cannot be read
    """
    if settings.proxy.listen is None:
        return []
    return ending(repository, pki.proxy(()), now, "`csipctl certs renew proxy`")
