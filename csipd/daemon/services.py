"""The service tree: what runs, in the order in which it starts. It stops in the opposite order.

Nothing is opened here. The socket is bound when the tree starts with privileges, which twistd gives up
between then and the start proper.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from attrs import frozen
from twisted.application import strports
from twisted.application.service import MultiService, Service
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csipd import config
from csipd.config import HostPort
from csipd.daemon.changes import Hub
from csipd.daemon.scheduler import Scheduler
from csipd.daemon.start import Ready
from csipd.db.database import Database
from csipd.net.gate import Gate
from csipd.net.identity import identify_by
from csipd.net.limits import Limits
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.version import VERSION
from csipd.web.admin.app import Admin, fault
from csipd.web.admin.issuing import Issuing
from csipd.web.app import Application
from csipd.web.cache import Cache
from csipd.web.server import Site

#: What one connection of the operator's API may ask for: few connections, larger bodies, longer URIs.
ADMIN_LIMITS = Limits(body_bytes=1 << 20, uri_bytes=2048, connections=200, connections_per_address=100)
#: Seconds that requests in the works have to end when the daemon stops: less than an init system waits.
_PATIENCE = 10

#: Seconds between two looks at how long the server's certificate still lasts.
_DAY = 86_400


class InOrder(MultiService):
    """Stops its services one after the other, the last one first: what others need goes last."""

    @inlineCallbacks
    def stopService(self) -> Any:
        Service.stopService(self)
        for service in reversed(list(self)):
            yield service.stopService()


@frozen
class Door:
    """Where a site is served.

    :param what: for the log
    :param path: where a client begins
    """

    what: str
    path: str
    host: str
    port: int
    site: Site
    tls: TLSSettings
    limits: Limits

    @property
    def url(self) -> str:
        return f"https://{HostPort(self.host, self.port)}{self.path}"


def build(ready: Ready, reactor: Any) -> MultiService:
    """The daemon as a service, from what was made ready before the fork.

    :param reactor: for sockets, threads and timers; its ``seconds`` is monotonic
    """
    settings = ready.settings
    hub = Hub()
    database = Database(ready.url, reactor, hub.publish)
    scheduler = Scheduler(
        database,
        reactor,
        time.time,
        sweep_seconds=settings.poll_rates["LogEventList"],
        log_events=settings.log_events_per_device,
    )
    doors = [_devices_door(ready, reactor, database, hub)]
    if ready.operators:
        doors.append(_operators_door(ready, reactor, database))
    hub.subscribe(scheduler.changed)
    tree = InOrder()
    StoreLock(ready.lock).setServiceParent(tree)
    Notices(ready.notices).setServiceParent(tree)
    database.setServiceParent(tree)
    scheduler.setServiceParent(tree)
    for door in doors:
        Connections(door.site, reactor).setServiceParent(tree)
    Listener(doors, reactor).setServiceParent(tree)
    return tree


def _devices_door(ready: Ready, reactor: Any, database: Database, hub: Hub) -> Door:
    settings = ready.settings
    cache = Cache(time.time, lambda: site.date())
    hub.subscribe(cache.changed)
    limits = limits_of(settings)
    site = Site(
        Application(database, ready.server, time.time, cache).resource(),
        clock=reactor,
        now=time.time,
        limits=limits,
        identify=identify_by(ready.lfdi_of),
        fast_lane=lambda identity, head: cache.find(identity.lfdi, head),
        log_requests=ready.choices.debug,
    )
    return Door("IEEE 2030.5", "/dcap", settings.server, settings.https_port, site, ready.tls, limits)


def _operators_door(ready: Ready, reactor: Any, database: Database) -> Door:
    settings = ready.settings
    reserved = {settings.server, *((settings.proxy.host,) if settings.proxy else ())}
    issuing = Issuing(reactor, ready.repository, ready.issuing, ready.lfdi_of, reserved)
    admin = Admin(
        database,
        ready.server,
        time.time,
        monotonic=reactor.seconds,
        operators=ready.operators,
        prepare={"certificate": issuing.for_device},
        version=VERSION,
    )
    site = Site(
        admin.resource(),
        clock=reactor,
        now=time.time,
        limits=ADMIN_LIMITS,
        fault=fault,
        log_requests=ready.choices.debug,
    )
    at = settings.admin
    return Door("the operator's API", "/admin/", at.host, at.port, site, ready.admin_tls, ADMIN_LIMITS)


def limits_of(settings: config.Settings) -> Limits:
    """The bounds of a connection, as the configuration has them."""
    own = settings.limits
    return Limits(
        handshake_seconds=own.handshake_timeout,
        idle_seconds=own.idle_timeout,
        request_seconds=own.request_deadline,
        head_bytes=own.header_size,
        uri_bytes=own.uri_length,
        body_bytes=own.body_size,
        connections=own.connections,
        connections_per_address=own.connections_per_address,
    )


class StoreLock(Service):
    """Keeps the storage folder for this daemon until all else has stopped."""

    def __init__(self, lock: int) -> None:
        self._lock = lock

    def stopService(self) -> None:
        super().stopService()
        os.close(self._lock)


class Notices(Service):
    """Writes into the log what was done before there was one."""

    _log = Logger()

    def __init__(self, notices: tuple[str, ...]) -> None:
        self._notices = notices

    def startService(self) -> None:
        super().startService()
        for line in self._notices:
            self._log.info("{line}", line=line)


class Connections(Service):
    """Lets requests in the works end when the daemon stops, but does not wait for ever."""

    def __init__(self, site: Site, clock: Any) -> None:
        self._site = site
        self._clock = clock

    def stopService(self) -> Any:
        super().stopService()
        # What was to be written is committed by then; what is left is a peer that does not take its answer.
        return self._site.connections.retire().addTimeout(
            _PATIENCE, self._clock, onTimeoutCancel=lambda result, timeout: None
        )


class Listener(MultiService):
    """The TLS sockets, and what SIGHUP does to them: certificates are read anew, connections stay."""

    _log = Logger()

    def __init__(self, doors: Sequence[Door], reactor: Any) -> None:
        super().__init__()
        self._doors = doors
        self._reactor = reactor
        self._contexts: list[ServerTLS] = []
        self._daily: LoopingCall | None = None

    def privilegedStartService(self) -> None:
        """Read the keys and bind, which may take rights that the daemon gives up next."""
        for door in self._doors:
            tls = ServerTLS(door.tls, monotonic=self._reactor.seconds, now=time.time)
            self._contexts.append(tls)
            gate = Gate(tls, door.site, clock=self._reactor, limits=door.limits)
            kind = "tcp6" if ":" in door.host else "tcp"
            where = f"{kind}:{door.port}:interface={quoteStringArgument(door.host)}"
            strports.service(where, gate, self._reactor).setServiceParent(self)
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        signal.signal(signal.SIGHUP, self._hang_up)
        self._daily = LoopingCall(self._look_at_certificates)
        self._daily.clock = self._reactor
        self._daily.start(_DAY, now=False)
        for door in self._doors:
            self._log.info("serving {what} on {url}", what=door.what, url=door.url)

    def stopService(self) -> Any:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if self._daily is not None and self._daily.running:
            self._daily.stop()
        return super().stopService()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        # A signal interrupts whatever runs; files are read in the reactor's own turn.
        for tls in self._contexts:
            self._reactor.callFromThread(tls.reload)

    def _look_at_certificates(self) -> None:
        # The doors share the server's certificate.
        for tls in self._contexts[:1]:
            tls.warn_if_ending()
