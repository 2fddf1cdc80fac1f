"""Everything that can fail, tried before the daemon forks, where an error is one line and exit code 1.

The order keeps a promise: a wrong configuration changes nothing on disk. What is read comes first (the
configuration, the names of hosts, the port), then what is made: certificates, database, and the
configuration laid over it. Decision 31.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import randbits

import sqlalchemy as sa
from attrs import evolve, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csipd import pki
from csipd.config import DeviceIssuer, LFDIMode, ServerMode, Settings, UnknownCertificate
from csipd.daemon import zones
from csipd.db import declarations, engine
from csipd.db.database import Transaction
from csipd.db.tree.context import Server
from csipd.der.access import Policy
from csipd.net.tls import ServerTLS, TLSError, TLSSettings
from csipd.pki import PKIError, Repository
from csipd.reconcile.context import ReconcileError
from csipd.reconcile.reconciliation import reconcile
from csipd.reconcile.statements import certificate_holders
from csipd.sep2 import identity
from csipd.sep2.mrid import Issuer


class StartError(Exception):
    """The daemon cannot start; one line that says why."""


@frozen
class Choices:
    """What the command line adds to the configuration.

    :param resolve: see that the hosts of devices can be resolved
    :param make_certificates: make what is missing in tls_repository
    :param debug: a line in the log for every answer
    :param user: uid and gid that the daemon will run as, if it gives up being root
    """

    resolve: bool = True
    make_certificates: bool = True
    debug: bool = False
    user: tuple[int, int] | None = None


@frozen
class Ready:
    """What the daemon is built from.

    :param operators: names of the operators by the fingerprints of their certificates
    :param issuing: the CA that issues certificates of devices
    :param told: what was done, a line each
    :param lock: a descriptor that keeps the storage folder for this daemon as long as it is open
    """

    settings: Settings
    choices: Choices
    url: str
    server: Server
    tls: TLSSettings
    admin_tls: TLSSettings
    operators: Mapping[str, str]
    repository: Repository
    issuing: pki.Wanted
    lfdi_of: Callable[[bytes], str]
    told: tuple[str, ...]
    lock: int


def check(settings: Settings, choices: Choices) -> None:
    """See whether the daemon could start, and change nothing.

    :raises StartError: it could not
    """
    with _as_start_error():
        _try(settings, choices)


def prepare(settings: Settings, choices: Choices) -> Ready:
    """Make ready all that the daemon needs: certificates, the database, what the configuration declares.

    :raises StartError: it cannot start
    """
    with _as_start_error():
        repository, wanted = _try(settings, choices)
        made = pki.run_now(repository.ensure(wanted, make=choices.make_certificates))
        lfdi_of = _lfdi_reader(settings, repository)
        lfdis = _lfdis(settings, repository, lfdi_of)
        own = identity.lfdi(_certificate(repository.certificate(settings.server)))
        tls = _tls(settings, repository)
        if made:
            _try_tls(tls)
        url = engine.sqlite_url(settings.storage_path)
        settings.storage_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(settings.storage_path)
        prepared = engine.prepare(url)
        issuer, told = _lay(settings, lfdis, url)
        if choices.user is not None:
            repository.give_to(wanted, *choices.user)
            _give_storage(settings.storage_path, choices.user)
        server = Server(
            lfdi=own,
            sfdi=identity.sfdi(own),
            issuer=issuer,
            zone=settings.time_zone,
            time_quality=settings.time_quality,
            poll_rates=settings.poll_rates,
            policy=policy(settings),
            page_maximum=settings.page_maximum,
            own_primacy=settings.service_point_primacy,
            log_events=settings.log_events_per_device,
        )
    lines = (
        *(f"made {path}" for path in made),
        *prepared,
        *told,
        *repository.warnings(wanted),
        *zones.warnings(settings.time_zone.key),
    )
    return Ready(
        settings=settings,
        choices=choices,
        url=url,
        server=server,
        tls=tls,
        admin_tls=evolve(tls, trust_roots=_admin_roots(settings, repository)),
        operators=_operators(settings, repository),
        repository=repository,
        issuing=_device_issuer(settings),
        lfdi_of=lfdi_of,
        told=lines,
        lock=lock,
    )


def _try(settings: Settings, choices: Choices) -> tuple[Repository, list[pki.Wanted]]:
    """Try everything that can be tried before anything is made; the certificates that there are to be."""
    _resolve(settings, choices)
    _try_port(settings.server, settings.https_port)
    if settings.generate_admin_cert or settings.operators:
        _try_port(settings.admin.host, settings.admin.port)
    repository = Repository(settings.tls_repository, settings.openssl_cnf)
    wanted = certificates(settings)
    repository.check(wanted, make=choices.make_certificates)
    missing = repository.missing(wanted)
    _lfdis(settings, repository, _lfdi_reader(settings, repository), missing)
    if not missing:
        _try_tls(_tls(settings, repository))
    for root in settings.trust_roots:
        if root not in missing:
            root.read_bytes()
    _try_storage(settings.storage_path)
    engine.check(engine.sqlite_url(settings.storage_path))
    return repository, wanted


def _tls(settings: Settings, repository: Repository) -> TLSSettings:
    return TLSSettings(
        private_key=repository.key(settings.server),
        certificate=repository.certificate(settings.server),
        trust_roots=settings.trust_roots,
        accept_legacy=settings.accept_legacy_certs,
    )


def _try_tls(settings: TLSSettings) -> None:
    """Read once what TLS needs; the daemon reads it anew where it opens its socket."""
    ServerTLS(settings, monotonic=time.monotonic, now=time.time)


def certificates(settings: Settings) -> list[pki.Wanted]:
    """The certificates that a configuration asks for, each after its issuer."""
    everywhere = settings.server in ("0.0.0.0", "::")  # noqa: S104 - a name, not a socket
    local = everywhere or settings.server in ("127.0.0.1", "::1", "localhost")
    names = ["localhost", "127.0.0.1"] if local else []
    if everywhere:
        names.append(socket.gethostname())
    if settings.generate_admin_cert or settings.operators:
        names.append(settings.admin.host)
    wanted = [pki.root(), pki.server(settings.server, names)]
    if settings.generate_admin_cert:
        wanted.append(pki.operator())
    issuer = _device_issuer(settings)
    for device in settings.devices:
        wanted.append(pki.device(device.id, key_elsewhere=device.lfdi is not None, issuer=issuer))
    for one in settings.aggregators:
        wanted.append(pki.aggregator(one.id, key_elsewhere=one.lfdi is not None, issuer=issuer))
    return wanted


def _device_issuer(settings: Settings) -> pki.Wanted:
    return {
        DeviceIssuer.CA: pki.root(),
        DeviceIssuer.MICA: pki.mica(),
        DeviceIssuer.MCA: pki.mica(pki.mca()),
    }[settings.device_issuer]


def _operators(settings: Settings, repository: Repository) -> dict[str, str]:
    """The operators: those of the configuration, and the one whose certificate is made here."""
    found = {operator.fingerprint: operator.name for operator in settings.operators}
    if settings.generate_admin_cert:
        admin = pki.operator()
        found[sha256(_certificate(repository.certificate(admin.id))).hexdigest().upper()] = admin.id
    return found


def _admin_roots(settings: Settings, repository: Repository) -> tuple[Path, ...]:
    """Whom operators' certificates may come from: the roots of devices', and the repository's own CA."""
    own = repository.certificate(pki.root().id)
    return tuple(dict.fromkeys((*settings.trust_roots, own)))


def policy(settings: Settings) -> Policy:
    """How certificates come to be registered, by server_mode (CSIP IG 6.1.3, 6.1.4)."""
    return Policy(
        in_band=settings.server_mode is not ServerMode.CREATE_ON_START,
        anyone=settings.server_mode is ServerMode.ALLOW_ALL_ACCESS,
        empty_list=settings.unknown_certificate is UnknownCertificate.EMPTY_LIST,
    )


def _lfdi_reader(settings: Settings, repository: Repository) -> Callable[[bytes], str]:
    """How the LFDI of a certificate (DER) is computed under lfdi_mode."""
    if settings.lfdi_mode is LFDIMode.CERT_FINGERPRINT:
        return identity.lfdi
    files = repository.combined_index()
    known = {fingerprint: pki.lfdi_from_file(path) for fingerprint, path in files.items()}

    def by_file(der: bytes) -> str:
        # A certificate whose file is not here is known by itself: it is on no list of files either.
        return known.get(sha256(der).digest()) or identity.lfdi(der)

    return by_file


def _lfdis(
    settings: Settings,
    repository: Repository,
    lfdi_of: Callable[[bytes], str],
    missing: Collection[Path] = (),
) -> dict[str, str]:
    """The LFDI of each device and aggregator by its id, where its certificate is not still to be made."""
    found: dict[str, str] = {}
    for one in certificate_holders(settings):
        certificate = repository.certificate(one.id)
        if one.lfdi is not None or certificate not in missing:
            found[one.id] = one.lfdi or lfdi_of(_certificate(certificate))
    for lfdi, times in Counter(found.values()).most_common(1):
        if times > 1:
            ids = ", ".join(id for id, value in found.items() if value == lfdi)
            raise StartError(f"{settings.file}: {ids} have the same LFDI {lfdi}")
    return found


def _certificate(path: Path) -> bytes:
    """The first certificate of a PEM file, in DER."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    except ValueError as error:
        raise StartError(f"{path}: holds no certificate in PEM") from error


def _lay(settings: Settings, lfdis: dict[str, str], url: str) -> tuple[Issuer, list[str]]:
    opened = engine.make_engine(url, immediate=True, lock_seconds=1)
    try:
        with opened.begin() as connection:
            transaction = Transaction(connection)
            store = int(declarations.fact(transaction, "store", str(randbits(24))))
            issuer = Issuer(store, settings.pen)
            return issuer, reconcile(transaction, settings, lfdis, issuer, int(time.time()))
    except sa.exc.DBAPIError as error:
        raise StartError(f"{settings.storage_path}: {str(error.orig).splitlines()[0]}") from error
    finally:
        opened.dispose()


def _lock(folder: Path) -> int:
    """Keep a storage folder for this daemon: another would not hear of what this one changes.

    The lock is the folder's own and goes with the process, however that ends; it passes through the fork.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StartError(f"{folder}: another csipd keeps its state there") from error
    return descriptor


def _give_storage(folder: Path, user: tuple[int, int]) -> None:
    for path in (folder, *folder.glob("csipd.sqlite*")):
        os.chown(path, *user, follow_symlinks=False)


def _resolve(settings: Settings, choices: Choices) -> None:
    if not choices.resolve:
        return
    for device in settings.devices:
        for key, host in (("hostname", device.hostname), ("ip", device.ip)):
            if host is None:
                continue
            try:
                socket.getaddrinfo(host, None)
            except OSError as error:
                raise StartError(
                    f"{settings.file}: devices: {device.id}: {key}: {host} cannot be resolved "
                    f"({error.strerror}); --no-validate skips this"
                ) from error


def _try_storage(folder: Path) -> None:
    """See that the storage folder is there or can be made, can be written to, and is nobody else's."""
    if folder.is_dir():
        os.close(_lock(folder))
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise StartError(f"{folder}: is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StartError(f"{folder}: cannot be written to")


def _try_port(host: str, port: int) -> None:
    """See that a port can be had. It is let go again: sockets are opened after the fork."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "is in use by another program",
            errno.EACCES: "needs more rights than this user has",
            errno.EADDRNOTAVAIL: "is no address of this machine",
        }.get(error.errno or 0, error.strerror)
        raise StartError(f"{host} port {port}: {reason}") from error


@contextmanager
def _as_start_error() -> Iterator[None]:
    """One kind of error for the command line, one line each."""
    try:
        yield
    except (PKIError, TLSError, engine.StoreError, ReconcileError) as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"{error.filename}: {error.strerror}") from error
