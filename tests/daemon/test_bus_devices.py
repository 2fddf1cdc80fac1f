"""Devices of the platform's model in the daemon, and what is told of devices."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from csipd import config
from csipd.daemon import start
from csipd.daemon.bus_devices import Ids, build_devices
from csipd.daemon.certificates import first_certificate
from csipd.daemon.changes import ChangeNotifier
from csipd.daemon.start import StartOptions
from csipd.db import devices, groups
from csipd.db.database import Database
from csipd.gridappsd.enrolling import Enrolment
from csipd.gridappsd.publishing import Publisher
from csipd.pki import lfdi_from_file
from csipd.sep2 import identity
from tests.support.bus import MemoryBus
from tests.support.daemon import small_place

MODEL = {
    "feeders": [
        {
            "energyconsumers": [
                {"mRID": "_A1", "name": "house_1"},
                {"mRID": "_A2", "name": "house_2"},
                {"mRID": "_A3", "name": "shop"},
            ]
        }
    ]
}
PROGRAMS = (
    "programs:",
    "- {description: Second, primacy: 2}",
    "- {description: First, primacy: 1}",
    "fsas:",
    "- {description: The first, programs: [First]}",
    "- {description: The second, programs: [Second]}",
    "default_program: {description: Everybody, primacy: 9}",
)


class BusDevicesTests(TestCase):
    """What is built from a configuration, on the reactor."""

    def setUp(self) -> None:
        self.bus = MemoryBus(up=False)

    def build(self, *lines: str, certificates: bool = True, started: bool = True) -> Sequence[Service]:
        place = small_place(Path(self.mktemp()), *lines, certificates=certificates)
        (place.folder / "model.json").write_text(json.dumps(MODEL))
        self.ready = start.prepare(
            config.load(place.config), StartOptions(make_certificates=not certificates)
        )
        self.addCleanup(os.close, self.ready.lock)
        self.notifier = ChangeNotifier()
        self.database = Database(self.ready.url, reactor, self.notifier.publish)
        self.database.startService()
        self.addCleanup(self.database.stopService)
        made = build_devices(self.ready, Ids("7", None), self.bus, self.database, self.notifier, reactor)
        for service in made if started else ():
            service.startService()
            self.addCleanup(service.stopService)
        return made

    def test_nothing_asked_for(self) -> None:
        """What the configuration does not ask for is not made."""
        for lines, kinds in [
            (("gridappsd:", "  address: localhost", "  publish: []"), []),
            (("gridappsd:", "  address: localhost"), [Publisher]),
            (
                ("gridappsd:", "  address: localhost", "  publish: []", "  model_dict_file: model.json"),
                [Enrolment],
            ),
        ]:
            self.assertEqual([type(service) for service in self.build(*lines, started=False)], kinds)

    async def test_model(self) -> None:
        """Devices of a model get certificates, are known by them, and see the first FSA's programs."""
        self.build(
            "lfdi_mode: lfdi_mode_from_file",
            *PROGRAMS,
            "gridappsd:",
            "  address: localhost",
            "  model_dict_file: model.json",
            "  house_named_inverters_regex: house",
            "  default_pin: 111115",
            certificates=False,
        )
        added: list[str] = []
        all_there: Deferred[None] = Deferred()

        def changed(facts: Sequence[str]) -> None:
            added.extend(fact for fact in facts if fact.startswith("certificate "))
            if len(added) == 2 and not all_there.called:
                all_there.callback(None)

        self.notifier.subscribe(changed)
        self.bus.come_up()
        await all_there.addTimeout(120, reactor)

        def look(connection: sa.Connection) -> dict[str, Any]:
            found = {}
            for name in ("_A1", "_A2", "_A3"):
                device = devices.find_by_name(connection, name)
                if device is not None:
                    seen = [name for _, name in groups.assignments_of(connection, device.id)]
                    found[name] = (device.lfdi, sorted(seen))
            return found

        found = await self.database.read(look)
        self.assertEqual(list(found), ["_A1", "_A2"])
        for name, (lfdi, seen) in found.items():
            self.assertEqual(seen, ["Programs", "The first"])
            self.assertEqual(lfdi, lfdi_from_file(self.ready.repository.combined(name)))
            der = first_certificate(self.ready.repository.certificate(name))
            self.assertNotEqual(lfdi, identity.lfdi(der))
            self.assertEqual(self.ready.lfdi_of(der), lfdi)
