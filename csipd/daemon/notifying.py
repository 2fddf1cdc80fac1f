"""Notifications in the daemon: what is built for them, and the key that they are sent with."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.application.service import Service

from csipd.daemon.start import PreparedDaemon
from csipd.daemon.wallclock import WallClock
from csipd.db.database import Database
from csipd.net.client_tls import ClientTLS
from csipd.net.identity import identify_by
from csipd.net.peer_log import PeerLog
from csipd.net.tls import TLSSettings
from csipd.notify.client import Client, ClientLimits, connect_with
from csipd.notify.resolver import Resolver
from csipd.notify.service import Deliverer
from csipd.notify.store import OutboxStore


class SenderTLS(Service):
    """The side of TLS that connects, from files that may need rights which the daemon gives up."""

    def __init__(self, settings: TLSSettings, wall: WallClock) -> None:
        self._settings = settings
        self._wall = wall
        self._tls: ClientTLS | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._tls = ClientTLS(self._settings, now=self._wall.real)

    def get(self) -> ClientTLS:
        """The side of TLS, once the service has been started."""
        assert self._tls is not None
        return self._tls

    def reload(self) -> None:
        """Read the files anew."""
        self.get().reload()


@frozen
class Notifying:
    """What sends Notifications.

    :param services: all of it, in the order in which it starts
    """

    services: tuple[Service, ...]
    tls: SenderTLS
    deliverer: Deliverer


def build_notifying(ready: PreparedDaemon, reactor: Any, database: Database, peer_log: PeerLog) -> Notifying:
    """What sends Notifications, from what was made ready before the fork."""
    said, wall = ready.settings.notifications, ready.wall
    resolver = Resolver(reactor.callFromThread)
    tls = SenderTLS(ready.tls, wall)
    client = Client(
        reactor,
        wall.real,
        ready.server.receivers,
        resolver.resolve,
        connect_with(reactor, said.connect_timeout),
        tls.get,
        identify_by(ready.lfdi_of),
        ClientLimits(
            connections=said.connections,
            connecting=said.connect_timeout,
            answering=said.answer_timeout,
            idle=said.idle_timeout,
        ),
    )
    deliverer = Deliverer(
        OutboxStore(database, ready.server, wall.now),
        client,
        reactor,
        peer_log,
        speed=wall.speed,
        at_once=said.at_once,
        per_receiver=said.connections_per_receiver,
    )
    return Notifying((resolver, tls, deliverer), tls, deliverer)
