"""The proxy as a program of its own: what is tried before it starts, and what runs then."""

from __future__ import annotations

import time
from typing import Any

from attrs import frozen
from twisted.application.service import MultiService

from csipd.config import ProxyMode, Settings
from csipd.daemon.backlog import make_backlog
from csipd.daemon.descriptors import OWN, Capacity, make_room
from csipd.daemon.failures import StartError, attributed_to
from csipd.daemon.proxying import build_proxying, towards_devices, towards_server
from csipd.daemon.roots import check_roots
from csipd.daemon.running import (
    AtHangup,
    Notices,
    Program,
    add_all,
    of_the_machine,
)
from csipd.daemon.sockets import try_proxy_port
from csipd.net.client_tls import ClientTLS
from csipd.net.peer_log import PeerLog
from csipd.net.tls import ServerTLS
from csipd.pki import PKIError, Repository
from csipd.pki.profiles import PROXY
from csipd.proxy.lane import READING, WRITING


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
    if settings.proxy.listen is None:
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
        ServerTLS(towards_devices(settings, repository), now=time.time, announce_end=False)
        ClientTLS(towards_server(settings, repository, PROXY), now=time.time)
        if settings.proxy.mode is ProxyMode.DEVICE_KEYS:
            repository.combined_index()
    try_proxy_port(settings)
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
    tree = Program(settings)
    Notices(*of_the_machine(settings, room, backlog)).setServiceParent(tree)
    peer_log.setServiceParent(tree)
    add_all(proxying.services, tree)
    AtHangup(reactor, [proxying.reload]).setServiceParent(tree)
    return tree


def room_for(settings: Settings) -> Capacity:
    """For how many connections of devices there is room in a process of its own."""
    if settings.proxy.mode is ProxyMode.DEVICE_KEYS:
        return make_room(settings.limits.connections, OWN, sides=2)
    return make_room(settings.limits.connections, READING.connections + WRITING.connections + OWN)
