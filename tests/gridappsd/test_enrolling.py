"""Devices of the platform's model become known."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd import pki
from csipd.config.doors import Gridappsd
from csipd.db import commands, devices, groups, tables
from csipd.gridappsd import enrolling, platform_model
from csipd.gridappsd.enrolling import Enrolment
from csipd.gridappsd.platform_model import PlatformModel
from csipd.gridappsd.topics import CONFIG_REQUEST
from csipd.net.identity import Identity
from csipd.pki import Repository
from csipd.pki.pem import der_of, read_certificates
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from tests.support.bus import MemoryBus
from tests.support.world import NAMESPACE, NOW, OUT_OF_BAND, PIN, World

FEEDER = "_49AD8E07"


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), policy=OUT_OF_BAND)
        self.addCleanup(self.world.close)
        self.bus = MemoryBus(up=False)
        self.bus.answers[CONFIG_REQUEST] = lambda body: self.answer
        self.clock = Clock()
        self.repository = Repository(Path(self.mktemp()), None)
        pki.run_now(self.repository.ensure([pki.root()], make=True))
        self.make = True
        self.wait: Deferred[Any] | None = None
        for module in (platform_model, enrolling):
            self.patch(module.pki, "run_later", self.run_steps)
        self.model("house_1", "house_2", "shop")

    def run_steps(self, reactor: Any, steps: Any, *, timeout: float = pki.processes.TIMEOUT) -> Deferred[Any]:
        """Do at once what the reactor's processes do, unless there is something to wait for."""
        waiting, self.wait = self.wait, None
        if waiting is not None:
            return waiting.addCallback(lambda _: pki.run_now(steps, timeout=timeout))
        return execute(pki.run_now, steps, timeout=timeout)

    def model(self, *names: str) -> None:
        """The platform's model: consumers of these names."""
        self.of(*({"mRID": f"_{name.upper()}", "name": name} for name in names))

    def of(self, *rows: dict[str, str]) -> None:
        self.answer = json.dumps({"data": {"feeders": [{"energyconsumers": rows}]}}).encode()

    def begin(
        self, *, pin: int | None = PIN, of_groups: tuple[str, ...] = (), file: Path | None = None
    ) -> Enrolment:
        settings = Gridappsd(houses=re.compile("house"), model_dict_file=file)
        model = PlatformModel(self.clock, self.bus, settings, FEEDER)
        made = Enrolment(
            model,
            self.world.database,
            self.bus,
            self.clock,
            lambda: self.world.now,
            self.world.server,
            self.repository,
            pki.root(),
            self.lfdi_of,
            make=self.make,
            reserved=("127.0.0.1",),
            pin=pin,
            groups=of_groups,
        )
        made.startService()
        self.addCleanup(made.stopService)
        return made

    def lfdi_of(self, id: str) -> str:
        return identity.lfdi(der_of(read_certificates(self.repository.certificate(id))[0]))

    def who(self, id: str) -> Identity:
        """The device of a certificate."""
        lfdi = self.lfdi_of(id)
        return Identity(lfdi=lfdi, sfdi=identity.sfdi(lfdi), not_after=None, fingerprint=lfdi)

    def names(self) -> list[str]:
        """Of the devices that were added, in order."""
        query = sa.select(tables.devices.c.name).where(tables.devices.c.name.startswith("_HOUSE"))
        return self.world.read(
            lambda connection: list(connection.scalars(query.order_by(tables.devices.c.id)))
        )


class EnrolmentTests(_Case):
    """What is made of a model."""

    def test_devices(self) -> None:
        """Each device of the model is registered once the bus is up, and its certificate is its own."""
        enrolment = self.begin()
        self.assertEqual(self.names(), [])
        self.bus.come_up()
        self.assertEqual(self.names(), ["_HOUSE_1", "_HOUSE_2"])
        who, lfdi = self.who("_HOUSE_1"), self.lfdi_of("_HOUSE_1")
        found = self.world.read(lambda connection: devices.find(connection, lfdi))
        assert found is not None
        self.assertEqual((found.name, found.registered), ("_HOUSE_1", NOW))
        for path, text in [
            (f"/edev/{found.id}", lfdi),
            (f"/edev/{found.id}/rg", f"{PIN}"),
            (f"/edev/{found.id}/der", 'all="1"'),
        ]:
            self.assertIn(text, self.world.get(who, path).body.decode(), path)
        self.assertEqual(enrolment.name_of("_HOUSE_2"), "house_2")
        self.assertIsNone(enrolment.name_of("_SHOP"))

    def test_audit(self) -> None:
        """Who added them is told as of an operator, and a PIN is not."""
        self.begin()
        self.bus.come_up()
        query = sa.select(tables.audit).where(tables.audit.c.who == "GridAPPS-D")
        lines = self.world.read(lambda connection: connection.execute(query).all())
        self.assertEqual([line.action for line in lines], ["add"] * 3)
        self.assertEqual(lines[0].detail, "GridAPPS-D")  # their group
        self.assertIn("_HOUSE_1; LFDI", lines[1].detail)
        self.assertNotIn(str(PIN), lines[1].detail)

    def test_again(self) -> None:
        """A second start makes nothing, and a device that is new in the model is added."""
        self.begin()
        self.bus.come_up()
        before = self.repository.certificate("_HOUSE_1").read_bytes()
        self.model("house_1", "house_2", "house_3")
        self.bus.go_down()
        self.bus.come_up()
        self.assertEqual(len(self.bus.sent), 1)
        self.begin()
        self.assertEqual(self.names(), ["_HOUSE_1", "_HOUSE_2", "_HOUSE_3"])
        self.assertEqual(self.repository.certificate("_HOUSE_1").read_bytes(), before)

    def test_known_otherwise(self) -> None:
        """A device that is known with or without the underscore, or was removed, is left as it is."""
        numbers = self.world.numbers
        self.world.write(lambda transaction: devices.update(transaction, numbers.owner, name="HOUSE_1"))
        self.world.write(lambda transaction: devices.update(transaction, numbers.retired, name="_HOUSE_2"))
        self.begin()
        self.bus.come_up()
        self.assertEqual(self.names(), ["_HOUSE_2"])
        self.assertFalse(self.repository.certificate("_HOUSE_1").exists())
        self.assertFalse(self.repository.certificate("_HOUSE_2").exists())

    def test_groups(self) -> None:
        """They are put into the groups that there are."""
        self.begin(of_groups=("Campaign", "no such group"))
        self.bus.come_up()

        def group(connection: sa.Connection) -> list[int]:
            found = devices.find_by_name(connection, "_HOUSE_1")
            assert found is not None
            return list(groups.set_of(connection, found.id))

        self.assertEqual(self.world.read(group), [self.world.numbers.campaign])

    def test_without_groups(self) -> None:
        """Where the file has no FSA they are in one of their own, so that they can be commanded."""
        self.begin(of_groups=("no such group",))
        self.bus.come_up()

        def named(connection: sa.Connection) -> list[int]:
            found = (devices.find_by_name(connection, name) for name in ("_HOUSE_1", "_HOUSE_2"))
            return [device.id for device in found if device is not None]

        numbers = self.world.read(named)
        for number in numbers:
            found = self.world.read(lambda connection, n=number: groups.assignments_of(connection, n))
            self.assertEqual([name for _, name in found], ["GridAPPS-D"])
        base = r.DERControlBase(opModTargetW=r.ActivePower(multiplier=0, value=1))
        command = commands.Command(base, 60)
        places, _ = self.world.write(
            lambda transaction: commands.create(
                transaction,
                self.world.server.own,
                "/rsps/1/r",
                commands.Target(devices=tuple(numbers)),
                command,
                NOW,
                "GridAPPS-D",
            )
        )
        self.assertEqual(len(places), 2)
        who = self.who("_HOUSE_1")
        (fsa,) = self.world.document(who, f"/edev/{numbers[0]}/fsa")
        programs = self.world.document(who, f"{fsa.get('href')}/derp")
        self.assertEqual([child.tag for child in programs], [f"{NAMESPACE}DERProgram"])

    def test_pins(self) -> None:
        """Without a default PIN one is drawn for each."""
        self.begin(pin=None)
        self.bus.come_up()
        query = sa.select(tables.devices.c.pin).where(tables.devices.c.name.startswith("_HOUSE"))
        for pin in self.world.read(lambda connection: list(connection.scalars(query))):
            self.assertNotIn(pin, (None, 0))

    def test_no_certificates(self) -> None:
        """With --no-create-certs those alone are added whose certificates are there."""
        self.make = False
        pki.run_now(self.repository.ensure([pki.device("_HOUSE_2")], make=True))
        self.begin()
        self.bus.come_up()
        self.assertEqual(self.names(), ["_HOUSE_2"])
        self.assertIn("no certificates are to be made", self.bus.refusals[0][1])

    def test_names_that_are_none(self) -> None:
        """An mRID that is no file's name, or another certificate's, is refused, and the others are added."""
        self.of(
            {"mRID": "../../etc/passwd", "name": "house_a"},
            {"mRID": "admin", "name": "house_b"},
            {"mRID": "127.0.0.1", "name": "house_c"},
            {"mRID": "x" * 70, "name": "house_d"},
            {"mRID": "a\nb", "name": "house_e"},
            {"mRID": "_HOUSE_9", "name": "house_f"},
        )
        self.begin()
        self.bus.come_up()
        self.assertEqual(self.names(), ["_HOUSE_9"])
        self.assertEqual(self.bus.state.refused["devices of the model"], 5)
        for _, line in self.bus.refusals:
            self.assertTrue(line.isprintable(), line)

    def test_certificate_of_another(self) -> None:
        """A certificate that is on the list under another name is not taken over."""
        pki.run_now(self.repository.ensure([pki.device("_HOUSE_1")], make=True))
        lfdi = self.lfdi_of("_HOUSE_1")
        self.world.write(lambda transaction: devices.add(transaction, lfdi, now=NOW, name="mine"))
        self.begin()
        self.bus.come_up()
        self.assertEqual(self.names(), ["_HOUSE_2"])
        self.assertIn("is on the list already", self.bus.refusals[0][1])

    def test_interrupted(self) -> None:
        """A stop in the middle is gone on from: certificates that were made are used."""
        enrolment = self.begin()
        pki.run_now(self.repository.ensure([pki.device("_HOUSE_1")], make=True))
        before = self.repository.certificate("_HOUSE_1").read_bytes()
        self.wait = Deferred()
        self.bus.come_up()
        self.assertEqual(self.names(), [])
        stopped = enrolment.stopService()
        assert stopped is not None
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.begin()
        self.assertEqual(self.names(), ["_HOUSE_1", "_HOUSE_2"])
        self.assertEqual(self.repository.certificate("_HOUSE_1").read_bytes(), before)

    def test_model_that_cannot_be_used(self) -> None:
        """It is said, and tried again after a time."""
        right, self.answer = self.answer, b"nonsense"
        self.begin()
        self.bus.come_up()
        self.bus.asked.pop()[1].callback(b"nonsense too")
        self.assertEqual(
            self.bus.refusals, [("models", "the platform's model cannot be used: it is no JSON")]
        )
        self.answer = right
        self.clock.advance(enrolling.RETRY)
        self.assertEqual(self.names(), ["_HOUSE_1", "_HOUSE_2"])

    def test_file(self) -> None:
        """A model that a file has waits for no bus, and is read again where it could not be."""
        file = Path(self.mktemp()).absolute()
        self.begin(file=file)
        self.assertIn("No such file", self.bus.refusals[0][1])
        file.write_bytes(self.answer)
        self.clock.advance(enrolling.RETRY)
        self.assertEqual(self.names(), ["_HOUSE_1", "_HOUSE_2"])
        self.bus.come_up()
        self.assertEqual(self.bus.sent, [])

    def test_bus_is_lost(self) -> None:
        """A model that was asked for when the bus was lost is asked for when it is back."""
        right, self.answer = self.answer, b"nonsense"
        self.begin()
        self.bus.come_up()
        self.bus.go_down()
        self.answer = right
        self.bus.come_up()
        self.assertEqual(self.names(), ["_HOUSE_1", "_HOUSE_2"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_strict_pins(self) -> None:
        """The rules of an operator's devices are theirs."""
        self.world.close()
        self.world = World(Path(self.mktemp()), policy=OUT_OF_BAND, strict_pins=True)
        self.begin(pin=12345)
        self.bus.come_up()
        self.assertEqual(self.names(), [])
        self.assertIn("/pIN", self.bus.refusals[0][1])
