"""One story of the model's devices: a broker, csipd as it is run, a device over TLS, who hears of it."""

from __future__ import annotations

import sys
from pathlib import Path
from queue import Queue
from typing import Any

from gridappsd import GridAPPSD
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd.reports import value_mrid
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support.daemon import Daemon, Process, certificate_of, small_place
from tests.support.feeder import FEEDER, SimulatedFeeder, mrid
from tests.support.metering import OF_DER, WATTS, meter, reading
from tests.support.platform import HOST, PASSWORD, USER, Services
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
TOPIC = "/topic/goss.gridappsd.IEEE_2030_5.output"
AT = 1_767_225_540
#: Seconds that a message may take; far more than it does.
TIMEOUT = 60.0


class DevicesEndToEndTests(SynchronousTestCase):
    """gridappsd-python hears by a CoilMQ broker what a device reports that came from the model."""

    def setUp(self) -> None:
        port = free_port()
        command = (sys.executable, "-m", "tests.support.platform", "--only-broker", "--port", str(port))
        Process(self, command, ROOT).log.wait_for("broker: listens")
        feeder = SimulatedFeeder("1", houses=2)
        self.house = mrid(feeder.names[0])
        services = Services(port, feeder)
        self.addCleanup(services.close)
        place = small_place(
            Path(self.mktemp()),
            "gridappsd:",
            f"  address: {HOST}",
            f"  port: {port}",
            f"  feeder_id: {FEEDER}",
            "  house_named_inverters_regex: house_",
            "  publish: [state_of_charge, status, analog_values]",
            "  publish_interval_seconds: 1",
            certificates=False,
        )
        self.heard: Queue[Any] = Queue()
        application = GridAPPSD(stomp_address=HOST, stomp_port=port, username=USER, password=PASSWORD)
        self.addCleanup(application.disconnect)
        application.subscribe(TOPIC, lambda headers, message: self.heard.put(message))
        self.daemon = Daemon(self, place)

    def start(self, added: int) -> None:
        log = self.daemon.start().log
        log.wait_for(f"the platform's model has 2 devices; {added} of them are new")
        if added:
            log.wait_for(f"{added} devices of the platform's model were added")

    def told(self, key: str) -> Any:
        """The next message that says something by this key."""
        while key not in (message := self.heard.get(timeout=TIMEOUT)):
            continue
        return message

    def test_story(self) -> None:
        """What a device of the model reports is heard once, in all forms; after a restart all of it is."""
        self.start(added=2)
        certificate = certificate_of(self.daemon.place, self.house)
        with self.daemon.device(self.house) as device:
            own = codec.decode(device.get("/edev").body, r.EndDeviceList).EndDevice[0]
            status = r.DERStatus(
                readingTime=AT, stateOfChargeStatus=r.StateOfChargeStatusType(dateTime=AT, value=4321)
            )
            self.assertIn(device.put(f"{own.href}/der/1/ders", codec.encode(status)).status, (201, 204))
            charge = self.told(self.house)[self.house]
            self.assertEqual((charge["value"], charge["name"], charge["timeStamp"]), (4321, "house_01", AT))
            said = self.told("command")["input"]["message"]
            self.assertEqual(said["reverse_differences"], said["forward_differences"])
            self.assertEqual(
                [(one["object"], one["attribute"], one["value"]) for one in said["forward_differences"]],
                [
                    (self.house, "DERStatus.readingTime", AT),
                    (self.house, "DERStatus.stateOfChargeStatus", 43.21),
                ],
            )
            point = r.MirrorUsagePoint(
                mRID="F0",
                roleFlags=OF_DER,
                serviceCategoryKind=0,
                status=1,
                deviceLFDI=own.lFDI,
                MirrorMeterReading=(meter("A1", WATTS, reading(1500, AT)),),
            )
            self.assertEqual(device.post("/mup", codec.encode(point)).status, 201)
            (value,) = self.told(value_mrid(self.house, f"{'A1':0>32}")).values()
            self.assertEqual(
                (value["value"], value["Analog"]["unitSymbol"], value["Analog"]["PowerSystemResource"]),
                (1500, "W", self.house),
            )
        self.daemon.kill()
        self.start(added=0)
        self.assertEqual(self.told(self.house)[self.house], charge)
        self.assertEqual(certificate_of(self.daemon.place, self.house), certificate)
