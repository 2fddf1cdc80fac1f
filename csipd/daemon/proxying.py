"""The proxy, built from the configuration: what is in the daemon, and in a program of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from twisted.application.service import Service
from twisted.logger import Logger

from csipd.config import ProxyMode, Settings
from csipd.config.server import EVERY_ADDRESS
from csipd.daemon.certificates import admin_roots
from csipd.daemon.running import DrainConnections, limits_of, quotas_of
from csipd.net.client_tls import ClientTLS, is_address
from csipd.net.connections import Connections
from csipd.net.hop import PROBE
from csipd.net.identity import identify_by
from csipd.net.peer_log import PeerLog
from csipd.net.tls import CIPHERS, TLSSettings
from csipd.notify.resolver import Resolver
from csipd.pki import PKIError, Repository
from csipd.pki.profiles import PROXY
from csipd.proxy.context import ProxyContext
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
        files = towards_server(settings, repository, id)
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
        towards_devices(settings, repository),
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


def towards_devices(settings: Settings, repository: Repository) -> TLSSettings:
    """What devices see of the proxy."""
    return TLSSettings(
        private_key=repository.key(PROXY),
        certificate=repository.certificate(PROXY),
        trust_roots=settings.trust_roots,
        accept_legacy=settings.accept_legacy_certs,
    )


def towards_server(settings: Settings, repository: Repository, id: str) -> TLSSettings:
    """What the server sees: the proxy, or a device for which it speaks with its key.

    :param id: of the certificate in tls_repository
    """
    # The server's certificate is of the repository's own CA, whoever's devices are.
    return TLSSettings(
        private_key=repository.key(id),
        certificate=repository.certificate(id),
        trust_roots=admin_roots(settings, repository),
    )
