"""Everything that can fail, tried before the daemon forks, where an error is one line and exit code 1.

The order keeps a promise: a start that fails changes nothing on disk. What is only read comes first (the
configuration, names of hosts, the lock of the store, ports, certificates, trust roots, the database), then
what is made: certificates, the database, and the reconciliation with the configuration. If that fails after
all, as on a full disk, what was made is taken back. Decision 31.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from secrets import randbits
from typing import TYPE_CHECKING

import sqlalchemy as sa
from attrs import evolve, field, frozen

from csipd import pki
from csipd.config import HostPort, ServerMode, Settings, UnknownCertificate
from csipd.daemon import lab, storage, zones
from csipd.daemon.certificates import (
    admin_roots,
    certificates,
    device_issuer,
    ending,
    first_certificate,
    lfdi_reader,
    lfdis,
    operators,
)
from csipd.daemon.discovery import check_discovery
from csipd.daemon.failures import StartError, attributed_to
from csipd.daemon.lab import check_lab
from csipd.daemon.operators import operators_ending
from csipd.daemon.proxies import KnownProxies, known_proxies, proxy_ending
from csipd.daemon.roots import check_roots
from csipd.daemon.scheduler import last_tick, tick_seconds
from csipd.daemon.sockets import try_ports
from csipd.daemon.undo import Undo
from csipd.daemon.wallclock import WallClock
from csipd.db import changes, engine, fact_store, numbering
from csipd.db.database import Transaction
from csipd.db.tree.context import Server
from csipd.der.access import Policy
from csipd.der.receivers import ReceiverPolicy
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.pki import Repository
from csipd.pki.profiles import PROXY
from csipd.reconcile.reconciliation import reconcile
from csipd.sep2 import identity
from csipd.sep2.layout import Layout
from csipd.sep2.mrid import Issuer

if TYPE_CHECKING:
    from csipd.gridappsd.access import Access


@frozen
class StartOptions:
    """What the command line adds to the configuration.

    :param resolve: see that the hosts of devices can be resolved
    :param make_certificates: make what is missing in tls_repository
    :param debug: a line in the log for every answer
    :param hints: what to try, said last of all at the start, a line each
    :param user: uid and gid that the daemon will run as, if it gives up being root
    """

    resolve: bool = True
    make_certificates: bool = True
    debug: bool = False
    hints: tuple[str, ...] = ()
    user: tuple[int, int] | None = None


@frozen
class CheckResult:
    """What there was to see before anything is made.

    :param wanted: the certificates that there are to be
    :param bus: how csipd gets to the GridAPPS-D bus; None: not at all
    :param runs: whether a daemon runs with this storage folder
    :param warnings: a line each
    """

    repository: Repository
    wanted: list[pki.CertificateSpec]
    bus: Access | None
    runs: bool
    warnings: tuple[str, ...]


@frozen
class PreparedDaemon:
    """What the daemon is built from.

    :param operators: names of the operators by the fingerprints of their certificates
    :param proxies: which proxies are believed
    :param issuing: the CA that issues certificates of devices
    :param bus: how csipd gets to the GridAPPS-D bus; None: not at all
    :param wall: the clock that devices see
    :param notices: what was made and changed, a line each
    :param warnings: what an operator should know, a line each
    :param lock: a descriptor that keeps the storage folder for this daemon as long as it is open
    """

    settings: Settings
    options: StartOptions
    url: str
    server: Server
    tls: TLSSettings
    admin_tls: TLSSettings
    operators: Mapping[str, str]
    proxies: KnownProxies
    repository: Repository
    issuing: pki.CertificateSpec
    lfdi_of: Callable[[bytes], str]
    bus: Access | None
    wall: WallClock
    notices: tuple[str, ...]
    warnings: tuple[str, ...]
    lock: int = field(repr=False)


def check(settings: Settings, options: StartOptions) -> CheckResult:
    """See whether the daemon could start, and change nothing.

    Where one runs with this store, ports that are in use are its own, and so is the database.

    :raises StartError: it could not
    """
    checked = _check(settings, options)
    with attributed_to(settings, "tls_repository"):
        server = pki.server(settings.server)
        ends = ending(checked.repository, server, time.time(), "`csipctl certs renew server`")
    of_all = _warnings(settings, checked.repository, checked.wanted)
    return evolve(checked, warnings=(*checked.warnings, *of_all, *ends))


def prepare(settings: Settings, options: StartOptions) -> PreparedDaemon:
    """Make ready all that the daemon needs: certificates, the database, what the configuration declares.

    :raises StartError: it cannot start, and everything on disk is as it was
    """
    checked = _check(settings, options)
    folder = settings.storage_path
    with attributed_to(settings, "storage_path"):
        new = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only who has the lock may take anything back: it could be another's that starts at the same time.
    lock = storage.lock(settings)
    undo = Undo.of((*checked.repository.places(), (folder, storage.FILES)), new)
    copies = storage.copies(folder)
    try:
        return _make(settings, options, checked, lock)
    except BaseException:
        storage.take_back_migration(folder, copies)
        undo.take_back()
        os.close(lock)
        raise


def _make(settings: Settings, options: StartOptions, checked: CheckResult, lock: int) -> PreparedDaemon:
    repository, wanted = checked.repository, checked.wanted
    with attributed_to(settings, "tls_repository"):
        made = pki.run_now(repository.ensure(wanted, make=options.make_certificates))
        lfdi_of = lfdi_reader(settings, repository)
        by_id = lfdis(settings, repository, lfdi_of)
        own = identity.lfdi(first_certificate(repository.certificate(settings.server)))
        known_operators = operators(settings, repository)
        proxies = known_proxies(settings, repository)
        reserved = _reserved(settings, repository, {*known_operators, *proxies.fingerprints}, lfdi_of)
        tls = _tls(settings, repository)
        if made:
            _try_tls(tls)
    url = engine.sqlite_url(settings.storage_path)
    with attributed_to(settings, "storage_path"):
        prepared = engine.prepare(url)
    with attributed_to(settings, "storage_path"):
        known = _last_tick(url)
    wall = lab.wall_clock(settings, known, tick_seconds(settings.lab_speed))
    issuer, said = _reconcile(settings, by_id, url, int(wall.now()))
    if options.user is not None:
        with attributed_to(settings, "service_user"):
            repository.set_owner(wanted, *options.user)
            storage.give(settings.storage_path, options.user)
    server = Server(
        lfdi=own,
        sfdi=identity.sfdi(own),
        issuer=issuer,
        zone=settings.time_zone,
        time_quality=settings.time_quality,
        poll_rates=settings.poll_rates,
        idle_timeout=settings.limits.idle_timeout,
        lab_speed=settings.lab_speed if settings.lab else None,
        policy=evolve(policy(settings), reserved=reserved),
        page_maximum=settings.page_maximum,
        own_primacy=settings.service_point_primacy,
        log_events=settings.log_events_per_device,
        metering=settings.metering,
        strict_pins=settings.strict_pins,
        receivers=receiver_policy(settings, by_id),
        subscriptions=settings.notifications.limits,
        base_uris=tuple(f"https://{HostPort(name, settings.https_port)}" for name in settings.names),
        layout=Layout(settings.dcap_path),
    )
    return PreparedDaemon(
        settings=settings,
        options=options,
        url=url,
        server=server,
        tls=tls,
        admin_tls=evolve(tls, trust_roots=admin_roots(settings, repository)),
        operators=known_operators,
        proxies=proxies,
        repository=repository,
        issuing=device_issuer(settings),
        lfdi_of=lfdi_of,
        bus=checked.bus,
        wall=wall,
        notices=(
            *(f"made {path}" for path in made),
            *prepared,
            *said,
        ),
        warnings=(
            *checked.warnings,
            *lab.warnings(settings, known, wall.real()),
            *_warnings(settings, repository, wanted),
        ),
        lock=lock,
    )


def _check(settings: Settings, options: StartOptions) -> CheckResult:
    """Try everything that can be tried before anything is made."""
    _resolve(settings, options)
    storage.try_folder(settings, "storage_path", settings.storage_path)
    check_lab(settings, options.user)
    bus = _access(settings)
    check_discovery(settings)
    runs = storage.is_locked(settings.storage_path)
    try_ports(settings, runs=runs)
    with attributed_to(settings, "tls_repository"):
        repository = Repository(settings.tls_repository, settings.openssl_cnf)
        wanted = certificates(settings)
        repository.check(wanted, make=options.make_certificates)
        missing = repository.missing(wanted)
    if missing:
        storage.try_folder(settings, "tls_repository", settings.tls_repository)
    warnings = [*check_roots(settings, missing, time.time()), *_open_secrets(settings, bus)]
    with attributed_to(settings, "tls_repository"):
        lfdis(settings, repository, lfdi_reader(settings, repository), missing)
        if not missing:
            known_proxies(settings, repository)
            _try_tls(_tls(settings, repository))
    if not runs:
        with attributed_to(settings, "storage_path"):
            engine.check(engine.sqlite_url(settings.storage_path))
    return CheckResult(repository, wanted, bus, runs, tuple(warnings))


def _access(settings: Settings) -> Access | None:
    """How csipd gets to the GridAPPS-D bus, with what files say of it; None: there is none."""
    if settings.gridappsd.broker is None:
        return None
    from csipd.gridappsd.access import AccessError, read_access

    try:
        return read_access(settings.gridappsd)
    except AccessError as error:
        key = f"gridappsd.{error.key}"
        missing = isinstance(error.__cause__, FileNotFoundError)
        where = settings.looked_for(key) if missing else ""
        raise StartError(settings.problem(key, f"{error}{where}")) from error


def _open_secrets(settings: Settings, bus: Access | None) -> list[str]:
    message = "others than its owner may read {}; expected nobody to (chmod 600)"
    return [
        settings.problem(f"gridappsd.{key}", message.format(path))
        for key, path in (bus.open_to_others if bus is not None else {}).items()
    ]


def _warnings(settings: Settings, repository: Repository, wanted: list[pki.CertificateSpec]) -> list[str]:
    """What an operator should know of the certificates, the storage folder and the machine."""
    with attributed_to(settings, "tls_repository"):
        of_certificates = [
            *repository.warnings(wanted, accept_legacy=settings.accept_legacy_certs),
            *operators_ending(settings, repository, time.time()),
            *proxy_ending(settings, repository, time.time()),
        ]
    return [
        *of_certificates,
        *storage.warnings(settings),
        *zones.warnings(settings.time_zone.key),
    ]


def _tls(settings: Settings, repository: Repository) -> TLSSettings:
    return TLSSettings(
        private_key=repository.key(settings.server),
        certificate=repository.certificate(settings.server),
        trust_roots=settings.trust_roots,
        accept_legacy=settings.accept_legacy_certs,
    )


def _try_tls(settings: TLSSettings) -> None:
    """Read once what TLS needs; the daemon reads it anew where it opens its socket."""
    ServerTLS(settings, now=time.time, announce_end=False)


def policy(settings: Settings) -> Policy:
    """How certificates come to be registered, by server_mode (CSIP IG 6.1.3, 6.1.4)."""
    return Policy(
        in_band=settings.server_mode is not ServerMode.CREATE_ON_START,
        anyone=settings.server_mode is ServerMode.ALLOW_ALL_ACCESS,
        aggregators_may_add=settings.aggregators_may_add,
        empty_list=settings.unknown_certificate is UnknownCertificate.EMPTY_LIST,
    )


def receiver_policy(settings: Settings, by_id: Mapping[str, str]) -> ReceiverPolicy:
    """Where Notifications may go.

    A server that listens on loopback alone may notify there: who subscribes is on this machine. A lab may do
    without TLS (decision 67).

    :param by_id: LFDIs by the ids of the file
    """
    said = settings.notifications.receivers
    return evolve(
        said,
        plain=settings.lab,
        loopback=HostPort(settings.server, settings.https_port).is_loopback,
        lfdis={by_id.get(name, name): lfdis for name, lfdis in said.lfdis.items()},
    )


def _reserved(
    settings: Settings,
    repository: Repository,
    fingerprints: Iterable[str],
    lfdi_of: Callable[[bytes], str],
) -> frozenset[str]:
    """The LFDIs of the server, its proxies and of operators, which are no devices, however they are computed
    (decision 6).

    :param fingerprints: of proxies and operators
    """
    # A fingerprint begins with the LFDI that follows from it.
    found = {fingerprint[: identity.LFDI_DIGITS] for fingerprint in fingerprints}
    own = [
        settings.server,
        *([pki.operator().id] if settings.generate_admin_cert else []),
        *([PROXY] if settings.proxy.listen is not None else []),
    ]
    for name in own:
        der = first_certificate(repository.certificate(name))
        found |= {identity.lfdi(der), lfdi_of(der)}
    return frozenset(found)


def _last_tick(url: str) -> int | None:
    """The last tick that the store knows of (epoch s)."""
    opened = engine.make_engine(url)
    try:
        with opened.connect() as connection:
            return last_tick(connection)
    finally:
        opened.dispose()


def _reconcile(settings: Settings, by_id: Mapping[str, str], url: str, now: int) -> tuple[Issuer, list[str]]:
    opened = engine.make_engine(url, immediate=True, lock_seconds=1)
    try:
        with attributed_to(settings, "storage_path"), opened.begin() as connection:
            transaction = Transaction(connection)
            issuer = numbering.issuer(transaction, settings.pen, randbits)
            said = reconcile(transaction, settings, by_id, issuer, now)
            changes.record(connection, transaction.changed)
            fact_store.renumber(connection)
            return issuer, said
    except sa.exc.DBAPIError as error:
        message = (
            f"{settings.storage_path}: {str(error.orig).splitlines()[0]}; expected a database that csipd can "
            "write to"
        )
        raise StartError(settings.problem("storage_path", message)) from error
    finally:
        opened.dispose()


def _resolve(settings: Settings, options: StartOptions) -> None:
    if not options.resolve:
        return
    for device in settings.devices:
        for key, host in (("hostname", device.hostname), ("ip", device.ip)):
            if host is None:
                continue
            try:
                socket.getaddrinfo(host, None)
            except OSError as error:
                message = (
                    f"{device.id}: {key}: {host} cannot be resolved ({error.strerror}); expected a name that "
                    "can; --no-validate skips this"
                )
                raise StartError(settings.problem("devices", message)) from error
