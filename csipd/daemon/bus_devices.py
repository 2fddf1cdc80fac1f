"""What the GridAPPS-D bus has to do with devices: those of the model, and what is told of them all."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

from attrs import frozen
from twisted.application.service import Service

from csipd.daemon.certificates import lfdi_of_made
from csipd.daemon.changes import ChangeNotifier
from csipd.daemon.start import PreparedDaemon
from csipd.db.database import Database
from csipd.gridappsd.bus import Bus
from csipd.gridappsd.enrolling import Enrolment
from csipd.gridappsd.platform_model import PlatformModel
from csipd.gridappsd.publishing import Publisher
from csipd.gridappsd.topics import Topics
from csipd.reconcile.statements import Declared


@frozen
class Ids:
    """What the configuration, or its files, call the simulation and the model; None: nothing."""

    simulation: str | None
    feeder: str | None


def build_devices(
    ready: PreparedDaemon, ids: Ids, bus: Bus, database: Database, notifier: ChangeNotifier, reactor: Any
) -> list[Service]:
    """The services: none of what the configuration does not ask for."""
    settings, wall = ready.settings.gridappsd, ready.wall
    model = PlatformModel(reactor, bus, settings, ids.feeder)
    enrolment = Enrolment(
        model,
        database,
        bus,
        reactor,
        wall.now,
        ready.server,
        ready.repository,
        ready.issuing,
        partial(lfdi_of_made, repository=ready.repository, lfdi_of=ready.lfdi_of),
        make=ready.options.make_certificates,
        reserved={ready.settings.server},
        pin=settings.default_pin,
        groups=Declared(ready.settings, {}).usual_groups,
    )
    found: list[Service] = [enrolment] if settings.has_model else []
    if settings.reports:
        publisher = Publisher(
            database,
            bus,
            reactor,
            wall.now,
            topic=Topics(settings.service_name, ids.simulation).output,
            forms=settings.reports,
            interval=settings.publish_interval,
            der_forward=ready.settings.metering.der_forward,
            simulation_id=ids.simulation,
            name_of=enrolment.name_of,
            new_mrid=lambda: str(uuid4()),
        )
        notifier.subscribe(publisher.changed)
        found.append(publisher)
    return found
