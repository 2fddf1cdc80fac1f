"""The proxy, built from the configuration: inside the daemon, or as a program of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from attrs import evolve, field, frozen
from twisted.application.service import MultiService, Service
from twisted.logger import Logger

from csipd.config import ProxyMode, Settings
from csipd.config.server import EVERY_ADDRESS
from csipd.daemon.backlog import make_backlog
from csipd.daemon.certificates import admin_roots
from csipd.daemon.descriptors import OWN, Capacity, make_room
from csipd.daemon.failures import StartError, attributed_to
from csipd.daemon.roots import check_roots
from csipd.daemon.running import DrainConnections, Notices, StopInOrder, limits_of, of_the_machine, quotas_of
from csipd.daemon.sockets import try_port
from csipd.net.client_tls import ClientTLS, is_address
from csipd.net.connections import Connections
from csipd.net.hop import PROBE
from csipd.net.identity import identify_by
from csipd.net.peer_log import PeerLog
from csipd.net.tls import CIPHERS, ServerTLS, TLSSettings
from csipd.notify.resolver import Resolver
from csipd.pki import PKIError, Repository
from csipd.pki.profiles import PROXY
from csipd.proxy.context import ProxyContext
from csipd.proxy.lane import READING, WRITING
from csipd.proxy.service import DeviceSide, ProxySite, Upstream
from csipd.proxy.speaking import DeviceKeys, Hop
from csipd.proxy.upstream import ServerAddress, ServerConnector, connect_with
from csipd.sep2.identity import lfdi

#: How a server that listens on every address of its machine is reached from there.
_LOOPBACK = dict(zip(EVERY_ADDRESS, ("127.0.0.1", "::1"), strict=True))
_COMBINED = "-combined.pem"
_log = Logger()


@frozen
class Proxying:
    """The proxy.

    :param services: all of it, in the order in which it starts
    """

    services: tuple[Service, ...]
    device_side: DeviceSide
    _reload: Callable[[], None] = field(repr=False)

    def add_to(self, tree: MultiService) -> None:
        """Have it started and stopped with a tree."""
        for service in self.services:
            service.setServiceParent(tree)

    def reload(self) -> None:
        """Read keys, certificates and roots anew, for connections that are made from now on."""
        self._reload()


def build_proxying(
    settings: Settings,
    repository: Repository,
    reactor: Any,
    peer_log: PeerLog,
    *,
    connections: int,
    backlog: int,
    debug: bool,
    port: Callable[[], int],
) -> Proxying:
    """The proxy of a configuration that has one.

    :param connections: of devices, for which there is room
    :param backlog: connections that the kernel keeps until they are accepted
    :param debug: a line in the log for every answer
    :param port: the server's
    """
    listen = settings.proxy.listen
    assert listen is not None
    limits = limits_of(settings, connections)
    resolver = Resolver(reactor.callFromThread)
    host = _LOOPBACK.get(settings.server, settings.server)
    server = ServerAddress(host, port, frozenset(name.lower() for name in (host, *settings.names)))

    def connector(tls: Callable[[], ClientTLS], probe: bytes = b"") -> ServerConnector:
        return ServerConnector(
            server, tls, resolver.resolve, connect_with(reactor), limits.handshake_seconds, probe
        )

    def side_of(id: str) -> ClientTLS:
        files = _towards_server(settings, repository, id)
        # Both ends are csipd, and of the profile's two suites this one costs less.
        return ClientTLS(files, now=time.time, what="proxy", peer="server", ciphers=CIPHERS[1:])

    seconds = limits.handshake_seconds
    speaking: Hop | DeviceKeys
    own: _OwnKey | None = None
    if settings.proxy.mode is ProxyMode.HOP:
        own = _OwnKey(lambda: side_of(PROXY))
        speaking = Hop(connector(own.get, PROBE), reactor, peer_log, seconds)
    else:
        keys = _Keys(repository)
        speaking = DeviceKeys(connector, keys.ids, side_of, reactor, peer_log, seconds)
    # The proxy does not know aggregators from other devices, and the server keeps to its quotas all the same.
    quotas = evolve(quotas_of(settings), connections=settings.limits.connections_per_aggregator)
    name = f"[{host}]" if ":" in host and is_address(host) else host
    context = ProxyContext(
        clock=reactor,
        now=time.time,
        limits=limits,
        connections=Connections(reactor, quotas, connections),
        identify=identify_by(lfdi),
        speaking=speaking,
        peer_log=peer_log,
        host=f"{name}:{settings.https_port}".encode(),
        log_requests=debug,
    )
    site = ProxySite(context)
    device_side = DeviceSide(
        site,
        _towards_devices(settings, repository),
        listen.host,
        listen.port,
        reactor,
        time.time,
        backlog,
    )

    def reload() -> None:
        device_side.reload()
        if own is not None:
            own.get().reload()
        speaking.reload()

    services: list[Service] = [resolver]
    if own is not None:
        services.append(own)
    services += [Upstream(speaking, reactor), DrainConnections(site, reactor), device_side]
    return Proxying(tuple(services), device_side, reload)


class _OwnKey(Service):
    """The side of TLS that speaks for the proxy, from files that may need rights which are given up."""

    def __init__(self, make: Callable[[], ClientTLS]) -> None:
        self._make = make
        self._tls: ClientTLS | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._tls = self._make()

    def get(self) -> ClientTLS:
        """The side of TLS, once the service has been started."""
        assert self._tls is not None
        return self._tls


class _Keys:
    """Whose keys lie in tls_repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._last: Mapping[str, str] = {}

    def ids(self) -> Mapping[str, str]:
        """The ids by the fingerprints of their certificates; those of the last time where a file is wrong."""
        try:
            index = self._repository.combined_index()
        except PKIError as error:
            _log.error("proxy: keys of devices: not read anew: {error}", error=str(error))
            return self._last
        found = {digest.hex().upper(): path.name.removesuffix(_COMBINED) for digest, path in index.items()}
        self._last = found
        return found


def _towards_devices(settings: Settings, repository: Repository) -> TLSSettings:
    return TLSSettings(
        private_key=repository.key(PROXY),
        certificate=repository.certificate(PROXY),
        trust_roots=settings.trust_roots,
        accept_legacy=settings.accept_legacy_certs,
    )


def _towards_server(settings: Settings, repository: Repository, id: str) -> TLSSettings:
    # The server's certificate is of the repository's own CA, whoever's devices are.
    return TLSSettings(
        private_key=repository.key(id),
        certificate=repository.certificate(id),
        trust_roots=admin_roots(settings, repository),
    )


# --- a program of its own


@frozen
class PreparedProxy:
    """What the proxy is built from, as a program of its own.

    :param debug: a line in the log for every answer
    """

    settings: Settings
    repository: Repository
    debug: bool


def prepare_proxy(settings: Settings, *, debug: bool) -> PreparedProxy:
    """Try everything that can fail. Nothing is made.

    :raises StartError: the proxy cannot start
    """
    listen = settings.proxy.listen
    if listen is None:
        message = "missing; expected host:port, where devices are to reach the proxy"
        raise StartError(settings.problem("proxy_hostname", message))
    if settings.proxy.inside:
        message = "the proxy runs inside the daemon; expected false, or no such key, to run it by itself"
        raise StartError(settings.problem("proxy", message))
    with attributed_to(settings, "tls_repository"):
        repository = Repository(settings.tls_repository, settings.openssl_cnf)
        for path in (repository.certificate(PROXY), repository.key(PROXY)):
            if not path.exists():
                raise PKIError(
                    f"{path} is missing: start the server once with this configuration, it makes it"
                )
        check_roots(settings, (), time.time())
        ServerTLS(_towards_devices(settings, repository), now=time.time, announce_end=False)
        ClientTLS(_towards_server(settings, repository, PROXY), now=time.time)
        if settings.proxy.mode is ProxyMode.DEVICE_KEYS:
            repository.combined_index()
    try_port(settings, "proxy_hostname", ("proxy_hostname",), listen.host, listen.port, False)
    return PreparedProxy(settings, repository, debug)


def build_proxy(ready: PreparedProxy, reactor: Any) -> MultiService:
    """The proxy as a service of its own. Nothing is opened.

    :param reactor: for sockets and timers; its ``seconds`` is monotonic
    """
    settings = ready.settings
    peer_log = PeerLog(reactor)
    backlog = make_backlog(settings.limits.listen_backlog)
    room = room_for(settings)
    proxying = build_proxying(
        settings,
        ready.repository,
        reactor,
        peer_log,
        connections=room.connections,
        backlog=backlog.connections,
        debug=ready.debug,
        port=lambda: settings.https_port,
    )
    tree = StopInOrder()
    Notices(*of_the_machine(settings, room, backlog)).setServiceParent(tree)
    peer_log.setServiceParent(tree)
    proxying.add_to(tree)
    AtHangup(reactor, proxying.reload).setServiceParent(tree)
    return tree


def room_for(settings: Settings) -> Capacity:
    """For how many connections of devices there is room in a process of its own."""
    if settings.proxy.mode is ProxyMode.DEVICE_KEYS:
        return make_room(settings.limits.connections, OWN, sides=2)
    return make_room(settings.limits.connections, READING.connections + WRITING.connections + OWN)


class AtHangup(Service):
    """Has something done at SIGHUP."""

    def __init__(self, reactor: Any, call: Callable[[], None]) -> None:
        self._reactor = reactor
        self._call = call

    def startService(self) -> None:
        super().startService()
        signal.signal(signal.SIGHUP, self._hang_up)

    def stopService(self) -> None:
        super().stopService()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        # A signal interrupts whatever runs; files are read in the reactor's own turn.
        self._reactor.callFromThread(self._call)
