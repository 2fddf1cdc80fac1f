"""The service tree: what runs, in the order in which it starts. It stops in the opposite order.

Nothing is opened here. The socket is bound when the tree starts with privileges, which twistd gives up
between then and the start proper.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.logger import Logger

from csipd.config import Settings
from csipd.daemon.backlog import make_backlog
from csipd.daemon.changes import ChangeNotifier
from csipd.daemon.contacts import ContactWriter
from csipd.daemon.descriptors import OWN, make_room
from csipd.daemon.discovery import build_discovery
from csipd.daemon.garbage import GarbageCollection
from csipd.daemon.listeners import Listener, Listeners
from csipd.daemon.notifying import build_notifying
from csipd.daemon.operators import OperatorDirectory
from csipd.daemon.proxies import ProxyDirectory
from csipd.daemon.readings import ReadingSweeps
from csipd.daemon.rounds import DeliveryRounds
from csipd.daemon.running import (
    AtHangup,
    DrainConnections,
    Notices,
    Program,
    add_all,
    limits_of,
    of_the_machine,
    quotas_of,
)
from csipd.daemon.scheduler import Scheduler
from csipd.daemon.start import PreparedDaemon
from csipd.daemon.switching import ThreadSwitching
from csipd.db.database import Database, Remark
from csipd.net.contacts import Contacts
from csipd.net.hop import judge_by
from csipd.net.identity import identify_by, identity_by, presented
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.quotas import Quotas
from csipd.net.tls import ServerTLS
from csipd.sep2.identity import lfdi
from csipd.version import VERSION
from csipd.web.admin.app import Admin, fault
from csipd.web.admin.issuing import Issuing
from csipd.web.app import Application
from csipd.web.cache import Cache
from csipd.web.endpoint import Endpoint
from csipd.web.server import Site

if TYPE_CHECKING:
    from csipd.daemon.bus import BusDoor
    from csipd.discovery.state import DiscoveryState
    from csipd.gridappsd.bus import BusState
    from csipd.web.hop import Hops

#: What one connection of the operator's API may ask for: few connections, larger bodies, longer URIs.
ADMIN_LIMITS = ConnectionLimits(body_bytes=1 << 20, uri_bytes=2048, connections=200)
#: What one operator may use of it. The room is its own, so that devices cannot fill it.
ADMIN_QUOTAS = Quotas(unfinished=100, unfinished_per_address=20)

_log = Logger()


def build(ready: PreparedDaemon, reactor: Any) -> MultiService:
    """The daemon as a service, from what was made ready before the fork.

    :param reactor: for sockets, threads and timers; its ``seconds`` is monotonic
    """
    settings, wall = ready.settings, ready.wall
    notifier = ChangeNotifier()
    peer_log = PeerLog(reactor)
    database = Database(
        ready.url,
        reactor,
        notifier.publish,
        partial(_log_remark, peer_log),
        fact_cache=settings.limits.fact_cache,
    )
    scheduler = Scheduler(
        database,
        reactor,
        wall.now,
        speed=wall.speed,
        sweep_seconds=settings.poll_rates["LogEventList"],
        log_events=settings.log_events_per_device,
        retention=settings.retention,
        metering=settings.metering,
    )
    sweeps = ReadingSweeps(
        database,
        reactor,
        wall.now,
        speed=wall.speed,
        retention=settings.retention,
        ages_count=scheduler.ages_count,
    )
    backlog = make_backlog(settings.limits.listen_backlog)
    inside = settings.proxy.inside
    room = make_room(settings.limits.connections, _reserved(settings), sides=2 if inside else 1)
    operators = OperatorDirectory(settings, ready.repository, ready.operators, wall.real)
    proxies = ProxyDirectory(settings, ready.repository, ready.proxies, wall.real)
    contacts = Contacts(reactor.seconds, wall.now, speed=wall.speed)
    bus = _bus(ready, reactor, database, notifier, peer_log)
    discovery = build_discovery(settings, ready.server.lfdi, reactor, peer_log)
    hops = _hops(settings, proxies)
    listeners = [
        _devices_listener(ready, reactor, database, notifier, room.connections, peer_log, contacts, hops)
    ]
    if ready.operators:
        # A copy of it: what is read in the database's thread may not change meanwhile.
        state = None if bus is None else bus.bus.state.copy
        announced = None if discovery is None else lambda: discovery.state
        listeners.append(
            _operators_listener(ready, reactor, database, operators.names, peer_log, state, announced)
        )
    notifier.subscribe(scheduler.changed)
    notifying = build_notifying(ready, reactor, database, peer_log)
    notifier.subscribe(notifying.deliverer.changed)
    tree = Program(settings)
    StoreLock(ready.lock).setServiceParent(tree)
    notices, warnings = of_the_machine(settings, room, backlog)
    Notices((*ready.notices, *notices), (*ready.warnings, *warnings)).setServiceParent(tree)
    peer_log.setServiceParent(tree)
    database.setServiceParent(tree)
    scheduler.setServiceParent(tree)
    DeliveryRounds(database, reactor, wall.now, ready.server, speed=wall.speed).setServiceParent(tree)
    add_all(notifying.services, tree)
    if bus is not None:
        add_all(bus.services, tree)
    sweeps.setServiceParent(tree)
    ContactWriter(database, contacts, listeners[0].site.connections, reactor).setServiceParent(tree)
    for listener in listeners:
        DrainConnections(listener.site, reactor).setServiceParent(tree)
    sockets = Listeners(
        settings,
        listeners,
        (operators, proxies),
        reactor,
        peer_log,
        backlog.connections,
    )
    sockets.setServiceParent(tree)
    read_anew = [sockets.reload, notifying.tls.reload]
    if inside:
        from csipd.daemon.proxying import build_proxying  # only where there is one

        proxying = build_proxying(
            settings,
            ready.repository,
            reactor,
            peer_log,
            connections=room.connections,
            backlog=backlog.connections,
            debug=ready.options.debug,
            port=lambda: sockets.port_of(0),
        )
        add_all(proxying.services, tree)
        read_anew.append(proxying.reload)
    if settings.plain is not None:
        from csipd.daemon.plain import build_plain  # the same

        build_plain(ready, settings.plain, reactor, peer_log, backlog.connections, tree)
    if discovery is not None:
        discovery.setServiceParent(tree)
    AtHangup(reactor, read_anew).setServiceParent(tree)
    GarbageCollection(reactor).setServiceParent(tree)
    ThreadSwitching().setServiceParent(tree)
    if ready.options.hints:
        Hints(ready.options.hints).setServiceParent(tree)
    return tree


def _reserved(settings: Settings) -> int:
    """Descriptors that are not there for devices."""
    number = ADMIN_LIMITS.connections + settings.notifications.connections + OWN
    if settings.plain is not None:
        from csipd.plain.protocol import CONNECTIONS

        number += CONNECTIONS
    return number


def _bus(
    ready: PreparedDaemon, reactor: Any, database: Database, notifier: ChangeNotifier, peer_log: PeerLog
) -> BusDoor | None:
    """What takes part in the GridAPPS-D bus; where there is none, nothing of it is imported."""
    if ready.bus is None:
        return None
    from csipd.daemon.bus import build_bus

    return build_bus(ready, ready.bus, reactor, database, notifier, peer_log)


def _log_remark(peer_log: PeerLog, remark: Remark) -> None:
    """Write what a transaction had to say; what devices cause at the rate of each."""
    if remark.peer:
        peer_log.info(_log, remark.peer, remark.reason, remark.line, peer=remark.peer, **remark.values)
    else:
        _log.info(remark.line, **remark.values)


def _hops(settings: Settings, proxies: ProxyDirectory) -> Hops | None:
    """What is known of the proxies in front of the server; None: there are none."""
    if settings.proxy.listen is None and not settings.proxy.proxies:
        return None
    from csipd.web.hop import Hops

    return Hops(proxies.fingerprints)


def _devices_listener(
    ready: PreparedDaemon,
    reactor: Any,
    database: Database,
    notifier: ChangeNotifier,
    connections: int,
    peer_log: PeerLog,
    contacts: Contacts,
    hops: Hops | None,
) -> Listener:
    settings, wall = ready.settings, ready.wall
    cache = Cache(wall.now, lambda: site.date(), settings.limits.answer_cache)
    notifier.subscribe(cache.changed)
    limits = limits_of(settings, connections)
    endpoint = Endpoint(database, ready.server, wall.now, cache)
    identity_of = identity_by(ready.lfdi_of, wall.of_real)
    site = Site(
        Application(endpoint.answer, ready.server.layout).resource(),
        clock=reactor,
        now=wall.now,
        limits=limits,
        quotas=quotas_of(settings),
        identify=presented(identity_of),
        endpoint=endpoint.answer if settings.straight_path else None,
        find_answer=cache.find,
        look_up=endpoint.look_up,
        log_requests=ready.options.debug,
        peer_log=peer_log,
        contacts=contacts,
        locate=ready.server.layout.locate,
        proxies=hops,
    )

    def judge_hops(tls: ServerTLS) -> None:
        """Have what proxies hand on judged as by a handshake."""
        if hops is not None:
            hops.use(judge_by(tls.judge, identity_of, wall.of_real), site.context)

    return Listener(
        "IEEE 2030.5",
        settings.dcap_path,
        settings.server,
        settings.https_port,
        site,
        ready.tls,
        at_reading=judge_hops,
    )


def _operators_listener(
    ready: PreparedDaemon,
    reactor: Any,
    database: Database,
    operators: Mapping[str, str],
    peer_log: PeerLog,
    bus: Callable[[], BusState] | None,
    discovery: Callable[[], DiscoveryState] | None,
) -> Listener:
    settings, wall = ready.settings, ready.wall
    issuing = Issuing(reactor, ready.repository, ready.issuing, ready.lfdi_of, {settings.server})
    admin = Admin(
        database,
        ready.server,
        wall.now,
        operators=operators,
        prepare={"certificate": issuing.for_device},
        version=VERSION,
        bus=bus,
        discovery=discovery,
    )
    site = Site(
        admin.resource(),
        clock=reactor,
        now=wall.now,
        limits=ADMIN_LIMITS,
        quotas=ADMIN_QUOTAS,
        identify=identify_by(lfdi, wall.of_real),
        look_up=admin.look_up,
        fault=fault,
        log_requests=ready.options.debug,
        peer_log=peer_log,
    )
    at = settings.admin
    return Listener("the operator's API", "/admin/status", at.host, at.port, site, ready.admin_tls)


class StoreLock(Service):
    """Keeps the storage folder for this daemon until all else has stopped."""

    def __init__(self, lock: int) -> None:
        self._lock = lock

    def stopService(self) -> None:
        super().stopService()
        os.close(self._lock)


class Hints(Service):
    """Says last of all what to try, where whoever started the daemon is there to read it."""

    _log = Logger()

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines

    def startService(self) -> None:
        super().startService()
        self._log.info("{lines}", lines="\n".join(self._lines))
