"""Who the operators are while the daemon runs: read anew at SIGHUP; warns before a certificate ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from csipd import pki
from csipd.config import Settings
from csipd.daemon.certificates import ending, operators
from csipd.pki import PKIError, Repository


class OperatorDirectory:
    """The operators of the configuration, and the one whose certificate lies in tls_repository.

    :param names: names by the SHA-256 fingerprints of certificates; always the same mapping, changed in place
    :param now: the time of day (epoch s)
    """

    _log = Logger()

    def __init__(
        self, settings: Settings, repository: Repository, names: Mapping[str, str], now: Callable[[], float]
    ) -> None:
        self.names = dict(names)
        self._settings = settings
        self._repository = repository
        self._now = now

    def reload(self) -> None:
        """Take the certificate from its file anew: a renewed one is known, the one before is not."""
        try:
            found = operators(self._settings, self._repository)
        except (PKIError, OSError) as error:
            self._log.error("operators: not reloaded, who was known stays known: {error}", error=str(error))
            return
        added = len(found.keys() - self.names.keys())
        self.names.clear()
        self.names.update(found)
        if added:
            self._log.info("operators: a new certificate of {name} is known", name=pki.operator().id)
        self.warn_if_ending()

    def warn_if_ending(self) -> None:
        """Log a warning when the certificate made here ends within 90 days (to be asked once a day)."""
        for line in operators_ending(self._settings, self._repository, self._now()):
            self._log.warn("{line}", line=line)


def operators_ending(settings: Settings, repository: Repository, now: float) -> list[str]:
    """A line for each operator's certificate made here that ends within 90 days, and what to do.

    :raises PKIError: it cannot be read
    """
    if not settings.generate_admin_cert:
        return []
    return ending(repository, pki.operator(), now, "`csipctl certs renew operator`")
