"""The service tree: what runs, in the order in which it starts. It stops in the opposite order.

Nothing is opened here. The socket is bound when the tree starts with privileges, which twistd gives up
between then and the start proper.
"""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any

from twisted.application import strports
from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csipd import config
from csipd.cache import Cache
from csipd.changes import Hub
from csipd.db.database import Database
from csipd.start import Ready
from csipd.tls import ServerTLS
from csipd.web.app import Application
from csipd.web.gate import Gate
from csipd.web.identity import identify_by
from csipd.web.limits import Limits
from csipd.web.server import Site

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


def build(ready: Ready, reactor: Any) -> MultiService:
    """The daemon as a service, from what was made ready before the fork.

    :param reactor: for sockets, threads and timers; its ``seconds`` is monotonic
    """
    settings = ready.settings
    hub = Hub()
    database = Database(ready.url, reactor, hub.publish)
    cache = Cache(time.time, lambda: site.date())
    hub.subscribe(cache.changed)
    application = Application(database, ready.server, time.time, cache)
    limits = limits_of(settings)
    site = Site(
        application.resource(),
        clock=reactor,
        now=time.time,
        limits=limits,
        identify=identify_by(ready.lfdi_of),
        fast_lane=lambda identity, head: cache.find(identity.lfdi, head),
        log_requests=ready.choices.debug,
    )
    tree = InOrder()
    Held(ready.lock).setServiceParent(tree)
    Notes(ready.told).setServiceParent(tree)
    database.setServiceParent(tree)
    Connections(site, reactor).setServiceParent(tree)
    Listener(ready, site, reactor, limits).setServiceParent(tree)
    return tree


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


class Held(Service):
    """Keeps the storage folder for this daemon until all else has stopped."""

    def __init__(self, lock: int) -> None:
        self._lock = lock

    def stopService(self) -> None:
        super().stopService()
        os.close(self._lock)


class Notes(Service):
    """Writes into the log what was done before there was one."""

    _log = Logger()

    def __init__(self, told: tuple[str, ...]) -> None:
        self._told = told

    def startService(self) -> None:
        super().startService()
        for line in self._told:
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
    """The TLS socket, and what SIGHUP does to it: certificates are read anew, connections stay."""

    _log = Logger()

    def __init__(self, ready: Ready, site: Site, reactor: Any, limits: Limits) -> None:
        super().__init__()
        self._ready = ready
        self._site = site
        self._reactor = reactor
        self._limits = limits
        self._tls: ServerTLS | None = None
        self._daily: LoopingCall | None = None
        self.port: IService | None = None

    def privilegedStartService(self) -> None:
        """Read the key and bind, which may take rights that the daemon gives up next."""
        self._tls = ServerTLS(self._ready.tls, monotonic=self._reactor.seconds, now=time.time)
        gate = Gate(self._tls, self._site, clock=self._reactor, limits=self._limits)
        settings = self._ready.settings
        kind = "tcp6" if ":" in settings.server else "tcp"
        interface = quoteStringArgument(settings.server)
        self.port = strports.service(
            f"{kind}:{settings.https_port}:interface={interface}", gate, self._reactor
        )
        self.port.setServiceParent(self)
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        signal.signal(signal.SIGHUP, self._hang_up)
        self._daily = LoopingCall(self._look_at_certificate)
        self._daily.clock = self._reactor
        self._daily.start(_DAY, now=False)
        settings = self._ready.settings
        self._log.info(
            "serving IEEE 2030.5 on https://{host}:{port}/dcap",
            host=f"[{settings.server}]" if ":" in settings.server else settings.server,
            port=settings.https_port,
        )

    def stopService(self) -> Any:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        if self._daily is not None and self._daily.running:
            self._daily.stop()
        return super().stopService()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        # A signal interrupts whatever runs; files are read in the reactor's own turn.
        if self._tls is not None:
            self._reactor.callFromThread(self._tls.reload)

    def _look_at_certificate(self) -> None:
        if self._tls is not None:
            self._tls.warn_if_ending()
