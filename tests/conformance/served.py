"""The server of the bench: what the daemon runs, on one store, with the clock and the network handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from csipd.daemon.changes import ChangeNotifier
from csipd.daemon.scheduler import Scheduler
from csipd.db.database import Database
from csipd.db.tree.context import Server
from csipd.der.retention import Retention
from csipd.net.client_tls import ClientTLS
from csipd.net.identity import identify_by
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.notify.client import Client, ClientLimits
from csipd.notify.service import Deliverer
from csipd.notify.store import OutboxStore
from csipd.sep2 import identity
from csipd.web.app import Application
from csipd.web.cache import Cache
from csipd.web.endpoint import Endpoint
from csipd.web.server import Site
from tests.support.receivers import MemoryNetwork
from tests.support.ways import goes_straight


class Served:
    """A server that runs until it is closed; another one may go on with its store.

    :param url: of the store
    :param settings: its certificate, and whom it trusts
    :param resolve: addresses of receivers by name
    """

    def __init__(
        self,
        server: Server,
        url: str,
        settings: TLSSettings,
        clock: Clock,
        wall: Callable[[], float],
        network: MemoryNetwork,
        resolve: Callable[[str], Deferred[list[str]]],
    ) -> None:
        notifier = ChangeNotifier()
        self._network = network
        self.database = Database(url, None, notifier.publish)
        cache = Cache(wall, lambda: site.date())
        notifier.subscribe(cache.changed)
        endpoint = Endpoint(self.database, server, wall, cache)
        site = Site(
            Application(endpoint.answer, server.layout).resource(),
            clock=clock,
            now=wall,
            limits=ConnectionLimits(),
            identify=identify_by(identity.lfdi),
            endpoint=endpoint.answer if goes_straight() else None,
            find_answer=cache.find,
            locate=server.layout.locate,
        )
        self.factory = TLSFactory(ServerTLS(settings, now=wall), site, clock=clock)
        self._scheduler = Scheduler(
            self.database, clock, wall, sweep_seconds=900, log_events=100, retention=Retention()
        )
        notifier.subscribe(self._scheduler.changed)
        self._scheduler.startService()
        self._deliverer = self._delivering(server, settings, clock, wall, resolve)
        notifier.subscribe(self._deliverer.changed)
        self._deliverer.startService()

    def _delivering(
        self,
        server: Server,
        settings: TLSSettings,
        clock: Clock,
        wall: Callable[[], float],
        resolve: Callable[[str], Deferred[list[str]]],
    ) -> Deliverer:
        tls = ClientTLS(settings, now=wall)
        limits = ClientLimits(connections=50, connecting=10, answering=10, idle=60)
        client = Client(
            clock,
            wall,
            server.receivers,
            resolve,
            self._network.connect,
            lambda: tls,
            identify_by(identity.lfdi),
            limits,
        )
        store: Any = OutboxStore(self.database, server, wall)
        return Deliverer(store, client, clock, PeerLog(clock), speed=1, at_once=50, per_receiver=4)

    def close(self) -> None:
        """Stop it; what is pending stays in its store."""
        self._deliverer.stopService()
        self._network.pump()
        self._scheduler.stopService()
        self.database.stopService()
