"""The bus on real brokers, with the platform's own client as the other application.

CoilMQ comes with the tests' packages. ActiveMQ, which is what the platform has, is tried where it is
installed: `make test-bus` says whether it was.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from csipd.config import HostPort
from csipd.gridappsd.broker import BrokerBus, endpoint_of
from csipd.gridappsd.bus import Message, NoAnswer
from csipd.gridappsd.topics import Topics
from csipd.net.peer_log import PeerLog
from tests.gridappsd.brokers import access
from tests.support.brokers import PASSWORD, ROOT, TIMEOUT, TOKEN, USER, ActiveMQ, Broker, CoilBroker
from tests.support.pki import Authority

TOPICS = Topics("IEEE_2030_5", "1234")


class OnABroker:
    """What holds on each broker."""

    timeout = 3 * TIMEOUT
    kind: type[Broker]

    @inlineCallbacks
    def setUp(self) -> Generator[Deferred[Any], Any, None]:
        self.broker = self.kind(self)
        yield self.broker.start()

    def bus(self, **how: Any) -> BrokerBus:
        """A bus that has been started."""
        where = evolve(
            access(),
            **{
                "broker": HostPort("127.0.0.1", self.broker.port),
                "username": USER,
                "password": PASSWORD,
                **how,
            },
        )
        peer_log = PeerLog(reactor)
        bus = BrokerBus(endpoint_of(where, reactor), where, reactor, reactor.seconds, peer_log)
        self.addCleanup(peer_log.flush)
        self.addCleanup(bus.stopService)
        bus.startService()
        return bus

    @inlineCallbacks
    def until(self, true: Any) -> Generator[Deferred[Any], Any, None]:
        """Wait until something is so."""
        for _ in range(int(TIMEOUT / 0.05)):
            if true():
                return
            yield deferLater(reactor, 0.05)
        self.fail("it never came to be")

    @inlineCallbacks
    def test_both_ways(self) -> Generator[Deferred[Any], Any, None]:
        """The application's messages come to csipd, and csipd's to it, as from a client of the platform."""
        got: list[Message] = []
        bus = self.bus()
        for topic in TOPICS.inputs:
            bus.subscribe(topic, got.append)
        application = yield self.broker.application()
        yield application.do(subscribe=TOPICS.output)
        yield self.until(lambda: bus.state.up_since is not None)
        text = {"command": "update", "text": 'ä:\\n\u2028 " \\'}
        for topic in TOPICS.inputs:
            yield application.do(send=topic, message=text)
        yield self.until(lambda: len(got) == 2)
        self.assertEqual([message.destination for message in got], list(TOPICS.inputs))
        self.assertEqual(json.loads(got[0].body), {**text, "number": 0})
        self.assertEqual(got[0].headers["GOSS_SUBJECT"], TOKEN)
        said = {"mrid": {"value": 1.5, "name": "ü"}}
        self.assertTrue(bus.send(TOPICS.output, json.dumps(said).encode()))
        heard = yield application.hear(lambda line: line.get("topic") == TOPICS.output)
        self.assertEqual(heard["message"], said)
        self.assertEqual(heard["headers"]["GOSS_SUBJECT"], TOKEN)
        self.assertEqual(heard["headers"]["GOSS_HAS_SUBJECT"], "True")
        self.assertEqual((bus.state.received, bus.state.sent, bus.state.refused), (2, 1, {}))

    @inlineCallbacks
    def test_requests(self) -> Generator[Deferred[Any], Any, None]:
        """csipd asks as the platform's clients do and is answered, or not."""
        bus = self.bus()
        application = yield self.broker.application()
        answer = {"data": {"feeders": ["x" * 100_000]}}
        heard, asked = self.broker.asked
        yield application.do(answer=heard, **{"with": answer})
        yield self.until(lambda: bus.state.up_since is not None)
        found = yield bus.request(asked, b'{"a": 1}', TIMEOUT)
        self.assertEqual(json.loads(found), answer)
        yield self.assertFailure(bus.request("/queue/nobody.there", b"{}", 0.5), NoAnswer)
        self.assertIsNotNone(bus.state.up_since)

    @inlineCallbacks
    def test_many(self) -> Generator[Deferred[Any], Any, None]:
        """A thousand messages at once all come, in their order."""
        got: list[int] = []
        bus = self.bus()
        bus.subscribe("/topic/many", lambda message: got.append(json.loads(message.body)["number"]))
        application = yield self.broker.application()
        yield self.until(lambda: bus.state.up_since is not None)
        yield application.do(send="/topic/many", message={"x": "y" * 300}, times=1000)
        yield self.until(lambda: len(got) >= 1000)
        self.assertEqual(got, list(range(1000)))

    @inlineCallbacks
    def test_killed(self) -> Generator[Deferred[Any], Any, None]:
        """A broker that is killed in the midst of it is gone at once, and there again when it is."""
        got: list[Message] = []
        ups: list[int] = []
        bus = self.bus()
        bus.subscribe("/topic/a", got.append)
        bus.when_up(lambda: ups.append(1))
        yield self.until(lambda: ups)
        asked = bus.request("/queue/nobody.there", b"{}", TIMEOUT)
        yield self.broker.kill()
        yield self.assertFailure(asked, NoAnswer)
        self.assertIsNone(bus.state.up_since)
        self.assertFalse(bus.send("/topic/a", b"lost"))
        yield self.broker.start()
        yield self.until(lambda: len(ups) == 2)
        self.assertTrue(bus.send("/topic/a", b"found"))
        yield self.until(lambda: got)
        self.assertEqual([message.body for message in got], [b"found"])
        self.assertEqual(bus.state.connections, 2)

    @inlineCallbacks
    def test_not_let_in(self) -> Generator[Deferred[Any], Any, None]:
        """A wrong password is told in the broker's words."""
        bus = self.bus(password="wrong")
        yield self.until(lambda: bus.state.last_error)
        self.assertIn("the broker says", bus.state.last_error)
        self.assertEqual(bus.state.connections, 0)

    @inlineCallbacks
    def test_without_a_token(self) -> Generator[Deferred[Any], Any, None]:
        """A broker without the platform takes name and password alone."""
        got: list[Message] = []
        bus = self.bus(token=False)
        bus.subscribe("/topic/a", got.append)
        yield self.until(lambda: bus.state.up_since is not None)
        bus.send("/topic/a", b"x")
        yield self.until(lambda: got)


class CoilTests(OnABroker, TestCase):
    """CoilMQ."""

    kind = CoilBroker


class ActiveMQTests(OnABroker, TestCase):
    """ActiveMQ."""

    kind = ActiveMQ
    if ActiveMQ.missing is not None:
        skip = ActiveMQ.missing

    @inlineCallbacks
    def test_tls(self) -> Generator[Deferred[Any], Any, None]:
        """Over TLS, too, once its certificate is of a root that is trusted."""
        got: list[Message] = []
        where = HostPort("localhost", self.broker.tls_port)
        stranger = self.bus(broker=where, tls=True, roots=(Authority.make("another").cert_pem,))
        bus = self.bus(broker=where, tls=True, roots=(ROOT.cert_pem,))
        bus.subscribe("/topic/a", got.append)
        yield self.until(lambda: bus.state.up_since is not None)
        body = b"x" * 500_000
        self.assertTrue(bus.send("/topic/a", body))
        yield self.until(lambda: got)
        self.assertEqual([message.body for message in got], [body])
        yield self.until(lambda: stranger.state.last_error)
        self.assertIn("TLS failed: certificate verify failed", stranger.state.last_error)
