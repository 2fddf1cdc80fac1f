"""Which certificates a configuration asks for, and what LFDIs and operators follow from them."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from csipd import pki
from csipd.config import DeviceIssuer, LFDIMode, Settings
from csipd.config.server import EVERY_ADDRESS
from csipd.daemon.failures import StartError
from csipd.net.tls import WARN_BEFORE_END
from csipd.pki import Repository
from csipd.pki.pem import der_of, read_certificates
from csipd.reconcile.statements import certificate_holders
from csipd.sep2 import identity


def certificates(settings: Settings) -> list[pki.CertificateSpec]:
    """The certificates that a configuration asks for, each after its issuer."""
    policies = settings.server_policies
    names = _names_of(settings.server, settings)
    if settings.generate_admin_cert or settings.operators:
        names.append(settings.admin.host)
    wanted = [pki.root(), pki.server(settings.server, names, policies=policies)]
    if settings.proxy.listen is not None:
        wanted.append(pki.proxy(_names_of(settings.proxy.listen.host, settings), policies=policies))
    if settings.generate_admin_cert:
        wanted.append(pki.operator())
    issuer = device_issuer(settings)
    for device in settings.devices:
        wanted.append(pki.device(device.id, key_elsewhere=device.lfdi is not None, issuer=issuer))
    for one in settings.aggregators:
        wanted.append(pki.aggregator(one.id, key_elsewhere=one.lfdi is not None, issuer=issuer))
    return wanted


def _names_of(host: str, settings: Settings) -> list[str]:
    """The names and addresses by which clients reach what listens on `host`."""
    everywhere = host in EVERY_ADDRESS
    names = [host]
    if everywhere or host in ("127.0.0.1", "::1", "localhost"):
        names += ["localhost", "127.0.0.1"]
    if everywhere:
        names.append(socket.gethostname())
    return [*names, *settings.server_names]


def device_issuer(settings: Settings) -> pki.CertificateSpec:
    """The CA that issues devices' certificates."""
    return {
        DeviceIssuer.CA: pki.root(),
        DeviceIssuer.MICA: pki.mica(),
        DeviceIssuer.MCA: pki.mica(pki.mca()),
    }[settings.device_issuer]


def operators(settings: Settings, repository: Repository) -> dict[str, str]:
    """Names of the operators by the SHA-256 of their certificates, 64 upper-case digits.

    They are those of the configuration, and the one whose certificate is made here.

    :raises PKIError: that one cannot be read
    """
    found = {operator.fingerprint: operator.name for operator in settings.operators}
    if settings.generate_admin_cert:
        admin = pki.operator()
        found[sha256(first_certificate(repository.certificate(admin.id))).hexdigest().upper()] = admin.id
    return found


def admin_roots(settings: Settings, repository: Repository) -> tuple[Path, ...]:
    """Whom operators' certificates may come from: the roots of devices', and the repository's own CA."""
    own = repository.certificate(pki.root().id)
    return tuple(dict.fromkeys((*settings.trust_roots, own)))


class FileLFDIs:
    """LFDIs of `lfdi_mode_from_file`: of the text of the combined file that a certificate (DER) is in.

    A certificate whose file is not here is known by itself: it is on no list of files either.
    """

    def __init__(self, repository: Repository) -> None:
        self._known = {made: pki.lfdi_from_file(path) for made, path in repository.combined_index().items()}

    def __call__(self, der: bytes) -> str:
        return self._known.get(sha256(der).digest()) or identity.lfdi(der)

    def learn(self, der: bytes, combined: Path) -> None:
        """A certificate was made, and its combined file."""
        self._known[sha256(der).digest()] = pki.lfdi_from_file(combined)


def lfdi_reader(settings: Settings, repository: Repository) -> Callable[[bytes], str]:
    """How the LFDI of a certificate (DER) is computed under lfdi_mode."""
    if settings.lfdi_mode is LFDIMode.CERT_FINGERPRINT:
        return identity.lfdi
    return FileLFDIs(repository)


def lfdi_of_made(id: str, repository: Repository, lfdi_of: Callable[[bytes], str]) -> str:
    """The LFDI of a device whose certificate was made in the repository since the start.

    :param lfdi_of: of `lfdi_reader`, which knows the certificate from now on
    :raises PKIError: it cannot be read
    """
    der = first_certificate(repository.certificate(id))
    if isinstance(lfdi_of, FileLFDIs):
        lfdi_of.learn(der, repository.combined(id))
    return lfdi_of(der)


def lfdis(
    settings: Settings,
    repository: Repository,
    lfdi_of: Callable[[bytes], str],
    missing: Collection[Path] = (),
) -> dict[str, str]:
    """The LFDI of each device and aggregator by its id, where its certificate is not still to be made.

    :raises StartError: two have the same
    :raises PKIError: a certificate cannot be read
    """
    missing = frozenset(missing)
    found: dict[str, str] = {}
    for one in certificate_holders(settings):
        certificate = repository.certificate(one.id)
        if one.lfdi is not None or certificate not in missing:
            found[one.id] = one.lfdi or lfdi_of(first_certificate(certificate))
    for lfdi, times in Counter(found.values()).most_common(1):
        if times > 1:
            ids = ", ".join(id for id, value in found.items() if value == lfdi)
            message = f"{ids} have the same LFDI {lfdi}; expected one for each"
            raise StartError(settings.problem("devices", message, "aggregators"))
    return found


def ending(repository: Repository, one: pki.CertificateSpec, now: float, command: str) -> list[str]:
    """A line where a certificate ends within 90 days, with the command that makes another.

    :param now: the time of day (epoch s)
    :raises PKIError: it cannot be read
    """
    before = datetime.fromtimestamp(now + WARN_BEFORE_END, UTC)
    return [
        f"{path} {'ends' if end.timestamp() > now else 'has ended'} on {end.date().isoformat()}: {command} "
        "makes another, which csipd takes at SIGHUP (systemctl reload csipd)"
        for path, end in repository.ending([one], before)
    ]


def first_certificate(path: Path) -> bytes:
    """The first certificate of a PEM file, in DER.

    :raises PKIError: there is none
    """
    return der_of(read_certificates(path)[0])
