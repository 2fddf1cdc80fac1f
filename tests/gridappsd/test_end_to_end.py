"""One story through all of it: an application on a broker, csipd as it is run, a device over TLS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gridappsd import DifferenceBuilder, GridAPPSD
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.types import EventState
from tests.support.daemon import Daemon, Process, small_place
from tests.support.feeder import SimulatedFeeder
from tests.support.platform import HOST, PASSWORD, USER, Services
from tests.support.ports import free_port
from tests.support.schema import validate

ROOT = Path(__file__).resolve().parent.parent.parent
TOPIC = "/topic/goss.gridappsd.IEEE_2030_5.input"
WATTS = {"multiplier": 3, "value": 4}


class EndToEndTests(SynchronousTestCase):
    """gridappsd-python commands by a CoilMQ broker; what the device is given is asked for over TLS."""

    def setUp(self) -> None:
        port = free_port()
        command = (sys.executable, "-m", "tests.support.platform", "--only-broker", "--port", str(port))
        broker = Process(self, command, ROOT)
        broker.log.wait_for("broker: listens")
        services = Services(port, SimulatedFeeder("1"))
        self.addCleanup(services.close)
        place = small_place(
            Path(self.mktemp()),
            "gridappsd:",
            f"  address: {HOST}",
            f"  port: {port}",
            "  publish: []",
            "default_program: {description: Everybody, primacy: 9}",
        )
        self.daemon = Daemon(self, place)
        self.start()
        self.application = GridAPPSD(stomp_address=HOST, stomp_port=port, username=USER, password=PASSWORD)
        self.addCleanup(self.application.disconnect)

    def start(self) -> None:
        self.daemon.start().log.wait_for("the GridAPPS-D bus: connected")

    def message(self, attribute: str, forward: Any, reverse: Any) -> Any:
        builder = DifferenceBuilder()
        builder.add_difference("_dev1", attribute, forward, reverse)
        return builder.get_message()

    def controls(self) -> list[r.DERControl]:
        """What the device is given."""
        with self.daemon.device("dev1") as device:
            assigned = codec.decode(device.get("/edev/1/fsa").body, r.FunctionSetAssignmentsList)
            (one,) = assigned.FunctionSetAssignments
            programs = codec.decode(device.get(one.DERProgramListLink.href).body, r.DERProgramList)
            own, *_ = programs.DERProgram
            answer = device.get(f"{own.DERControlListLink.href}?l=10")
            validate(answer.body)
            return list(codec.decode(answer.body, r.DERControlList).DERControl)

    def test_story(self) -> None:
        """A difference is a control, over a restart; what is taken back ends, and no message counts twice."""
        first = self.message("DERControl.DERControlBase.opModTargetW", WATTS, None)
        self.application.send(TOPIC, json.dumps(first))
        self.daemon.process.log.wait_for("GridAPPS-D: create")
        (control,) = self.controls()
        self.assertEqual(
            control.DERControlBase, r.DERControlBase(opModTargetW=r.ActivePower(multiplier=3, value=4))
        )
        self.assertEqual(control.EventStatus.currentStatus, EventState.ACTIVE)
        self.daemon.kill()
        self.start()
        self.assertEqual(self.controls(), [control])
        back = self.message("DERControlBase.opModTargetW", None, WATTS)
        back["input"]["message"]["forward_differences"] = []
        self.application.send(TOPIC, json.dumps(back))
        self.daemon.process.log.wait_for("GridAPPS-D: cancel")
        (cancelled,) = self.controls()
        self.assertEqual(cancelled.EventStatus.currentStatus, EventState.CANCELLED)
        self.application.send(TOPIC, json.dumps(first))
        again = self.message("DERControlBase.opModConnect", False, None)
        self.application.send(TOPIC, json.dumps(again))
        self.application.send(TOPIC, "no JSON")
        self.daemon.process.log.wait_for("malformed messages: is not JSON")
        self.daemon.stop()
        self.start()
        self.assertEqual(
            [vars(one.DERControlBase) for one in self.controls()],
            [vars(control.DERControlBase), {"opModConnect": False}],
        )
