"""The GridAPPS-D bus in the daemon: how csipd gets there, and what is built for it."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.application.service import Service

from csipd.daemon.bus_devices import Ids, build_devices
from csipd.daemon.changes import ChangeNotifier
from csipd.daemon.start import PreparedDaemon
from csipd.db.database import Database
from csipd.gridappsd.access import Access
from csipd.gridappsd.broker import BrokerBus, endpoint_of
from csipd.gridappsd.commanding import Commanding
from csipd.gridappsd.topics import Topics
from csipd.net.peer_log import PeerLog


@frozen
class BusDoor:
    """What takes part in the bus.

    :param services: all of it, in the order in which it starts
    """

    services: tuple[Service, ...]
    bus: BrokerBus


def build_bus(
    ready: PreparedDaemon,
    access: Access,
    reactor: Any,
    database: Database,
    notifier: ChangeNotifier,
    peer_log: PeerLog,
) -> BusDoor:
    """What takes part in the bus, from what was made ready before the fork.

    The bus comes first: it stops last, when nobody has anything to say any more.
    """
    bus = BrokerBus(endpoint_of(access, reactor), access, reactor, ready.wall.now, peer_log)
    ids = Ids(access.simulation_id, access.feeder_id)
    settings = ready.settings.gridappsd
    commanding = Commanding(
        bus,
        database,
        reactor,
        ready.wall.now,
        ready.server,
        Topics(settings.service_name, ids.simulation),
        settings.control_seconds,
    )
    return BusDoor((bus, *build_devices(ready, ids, bus, database, notifier, reactor), commanding), bus)
