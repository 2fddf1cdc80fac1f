"""The model asked for on a real broker: ActiveMQ, which is what the platform has.

The platform's own client answers, as the platform's services do. On CoilMQ the model is asked for in
`test_devices_end_to_end`.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase

from csipd.config import Gridappsd, HostPort
from csipd.gridappsd.broker import BrokerBus, endpoint_of
from csipd.gridappsd.platform_model import PlatformModel
from csipd.gridappsd.topics import CONFIG_REQUEST, MODEL_REQUEST
from csipd.net.peer_log import PeerLog
from tests.gridappsd.brokers import access
from tests.support.brokers import PASSWORD, TIMEOUT, USER, ActiveMQ
from tests.support.feeder import FEEDER

#: A house's name so long that the dictionary has a few megabytes: more than any message but an answer.
PADDING = "x" * 200
HOUSES = 10_000


class RealModelTests(TestCase):
    """What csipd asks, and how it is answered."""

    timeout = 3 * TIMEOUT
    if ActiveMQ.missing is not None:
        skip = ActiveMQ.missing

    @inlineCallbacks
    def setUp(self) -> Generator[Deferred[Any], Any, None]:
        self.broker = ActiveMQ(self)
        yield self.broker.start()
        where = evolve(
            access(), broker=HostPort("127.0.0.1", self.broker.port), username=USER, password=PASSWORD
        )
        peer_log = PeerLog(reactor)
        self.addCleanup(peer_log.flush)
        self.bus = BrokerBus(endpoint_of(where, reactor), where, reactor, reactor.seconds, peer_log)
        self.addCleanup(self.bus.stopService)
        up: Deferred[None] = Deferred()
        self.bus.when_up(lambda: None if up.called else up.callback(None))
        self.bus.startService()
        yield up.addTimeout(TIMEOUT, reactor)
        self.application = yield self.broker.application()

    def answer(self, queue: str, content: Any) -> Deferred[None]:
        """Have the platform answer what comes to a queue."""
        return self.application.do(answer=queue.removeprefix("/queue/"), **{"with": content})

    def devices(self) -> Deferred[Any]:
        settings = Gridappsd(houses=re.compile("house_"))
        return PlatformModel(reactor, self.bus, settings, FEEDER).devices()

    @inlineCallbacks
    def test_dictionary(self) -> Generator[Deferred[Any], Any, None]:
        """A dictionary of ten thousand houses."""
        houses = [
            {"mRID": f"_{number:032X}", "name": f"house_{number}", "also": PADDING}
            for number in range(HOUSES)
        ]
        feeder = {"mRID": FEEDER, "energyconsumers": houses}
        yield self.answer(CONFIG_REQUEST, {"data": {"feeders": [feeder]}, "responseComplete": True})
        found = yield self.devices()
        self.assertEqual([one.name for one in found], [house["name"] for house in houses])

    @inlineCallbacks
    def test_sparql(self) -> Generator[Deferred[Any], Any, None]:
        """Equipment by SPARQL, where there is no dictionary."""
        rows = [{"mrid": {"value": "_1"}, "name": {"value": "house_1"}}]
        yield self.answer(CONFIG_REQUEST, {"error": {"message": "no such model"}})
        yield self.answer(MODEL_REQUEST, {"data": {"results": {"bindings": rows}}})
        found = yield self.devices()
        self.assertEqual([(one.mrid, one.name) for one in found], [("_1", "house_1")])
