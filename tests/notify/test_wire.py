"""Notifications over real TLS on loopback: csipd as it is run, and a receiver."""

from __future__ import annotations

import contextlib
from http.client import HTTPException
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import TestCase

from csipd.net.tls import ServerTLS
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support import pki
from tests.support.client import Client
from tests.support.daemon import (
    LAB,
    Daemon,
    Place,
    Process,
    connect_here,
    serve_here,
    small_place,
    twistd,
)
from tests.support.pki import Credential
from tests.support.receivers import CREATED, Answers, Received, Receiver, receiver_tls
from tests.support.schema import validate

AGGREGATOR = LAB.aggregator("agg1")
DEVICE = LAB.device("dev1")
#: Seconds that anything here may take; far more than it does.
TIMEOUT = 60


class Arrivals(Receiver):
    """A receiver that can be waited for."""

    def __init__(self, answers: Answers = lambda request: CREATED) -> None:
        super().__init__(answers)
        self._awaited: list[tuple[int, Deferred[None]]] = []
        self._say = answers
        self.answers = self._answer

    def arrived(self, number: int) -> Deferred[None]:
        """Fires when so many Notifications have come in all."""
        waiting: Deferred[None] = Deferred()
        self._awaited.append((number, waiting))
        self._tell()
        return waiting.addTimeout(TIMEOUT, reactor)

    def _answer(self, request: Any) -> bytes | None:
        self._tell()
        return self._say(request)

    def _tell(self) -> None:
        ready = [waiting for number, waiting in self._awaited if len(self.received) >= number]
        self._awaited = [(number, it) for number, it in self._awaited if len(self.received) < number]
        for waiting in ready:
            waiting.callback(None)


def listen(case: TestCase, receiver: Receiver, own: Credential = AGGREGATOR) -> str:
    """Have a receiver listen on loopback; a URI that leads there."""
    net: Any = reactor
    tls: ServerTLS = receiver_tls(own, LAB)
    factory: Any = TLSMemoryBIOFactory(tls, False, receiver, net)
    factory.protocol = TLSMemoryBIOProtocol
    port = net.listenTCP(0, factory, interface="127.0.0.1")
    case.addCleanup(port.stopListening)
    return f"https://127.0.0.1:{port.getHost().port}/notify"


def fleet_place(folder: Path) -> Place:
    """A configuration of an aggregator and its one device."""
    place = small_place(folder, "aggregators:", "- {id: agg1, devices: [dev1]}")
    pki.write(place.tls, LAB, agg1=AGGREGATOR)
    return place


def subscription(resource: str, uri: str, limit: int = 10) -> bytes:
    return codec.encode(
        r.Subscription(subscribedResource=resource, encoding=0, level="-S1", limit=limit, notificationURI=uri)
    )


class WireTests(TestCase):
    """From a change to the receiver's 201."""

    def setUp(self) -> None:
        self.place = fleet_place(Path(self.mktemp()))
        self.receiver = Arrivals()
        self.uri = listen(self, self.receiver)

    def test_notified(self) -> Any:
        """A device changes its EndDevice: its aggregator is told, over mutual TLS, what a GET would give."""
        return ensureDeferred(self._notified())

    async def _notified(self) -> None:
        serve_here(self, self.place)
        aggregator = await connect_here(self, self.place, AGGREGATOR)
        device = await connect_here(self, self.place, DEVICE)
        own = await own_path(aggregator, AGGREGATOR)
        made = await aggregator.post(f"{own}/sub", subscription("/edev?l=5", self.uri))
        self.assertEqual(made.status, 201, made.body)
        for number, category in enumerate((12, 13), start=1):
            changed = await device.put(await own_path(device, DEVICE), end_device(category))
            self.assertEqual(changed.status, 204, changed.body)
            if number == 1:
                await self.receiver.arrived(1)
        (told,) = self.receiver.received
        (connection,) = self.receiver.open
        peer = connection.transport.getPeerCertificate().to_cryptography()
        self.assertEqual(peer, LAB.server("127.0.0.1", "localhost").certificate)
        validate(told.body)
        said = codec.decode(told.body, r.Notification)
        self.assertEqual((said.status, said.subscribedResource), (0, "/edev?l=5"))
        self.assertEqual([device.deviceCategory for device in listed(said) if device.deviceCategory], [12])
        self.assertEqual(
            said.subscriptionURI, f"https://127.0.0.1:{self.place.port}{made.headers['location']}"
        )
        # The second change waits for the 30 s rule, in the store.
        self.assertEqual(len(self.receiver.received), 1)


def listed(said: r.Notification) -> tuple[r.EndDevice, ...]:
    """The devices in a Notification of the list of them."""
    assert isinstance(said.Resource, r.EndDeviceList)
    return said.Resource.EndDevice


async def own_path(client: Client, who: Credential) -> str:
    """Where a caller's own EndDevice is."""
    answer = await client.get("/edev?l=10")
    return path_of(answer.body, who)


def path_of(document: bytes, who: Credential) -> str:
    """Where somebody's EndDevice is, from a list of them."""
    found = codec.decode(document, r.EndDeviceList)
    (own,) = (device for device in found.EndDevice if device.sFDI == who.sfdi)
    assert own.href is not None
    return own.href


def end_device(category: int) -> bytes:
    return codec.encode(r.EndDevice(deviceCategory=category, sFDI=DEVICE.sfdi, changedTime=0))


class KillTests(TestCase):
    """kill -9 in the midst of deliveries."""

    #: Subscriptions, and the arrivals at which the daemon is killed, before it has an answer.
    SUBSCRIPTIONS, KILLS = 40, (3, 17, 38)

    def test_nothing_lost(self) -> Any:
        """Whenever the daemon is killed, each subscription is told the last state, once at least."""
        return ensureDeferred(self._killed())

    async def _killed(self) -> None:
        daemon = Daemon(self, fleet_place(Path(self.mktemp())))
        receiver = Arrivals(self._kill_or_answer)
        self.daemon, self.receiver = daemon, receiver
        uri = listen(self, receiver)
        self.kills = list(self.KILLS)
        self.killed: Deferred[None] = Deferred()
        await deferToThread(daemon.start)
        await deferToThread(self._subscribe, uri)
        for _ in self.KILLS:
            await self.killed.addTimeout(TIMEOUT, reactor)
            self.killed = Deferred()
            # It may be killed again before it serves devices: that it does is not waited for.
            daemon.process = Process(self, twistd(daemon.place), daemon.place.folder)
        while len({request.target for request in receiver.received}) < self.SUBSCRIPTIONS:
            await receiver.arrived(len(receiver.received) + 1)
        for request in receiver.received:
            said = codec.decode(request.body, r.Notification)
            self.assertIn(12, [device.deviceCategory for device in listed(said)])
        # What had been taken and written down is not sent again: those under way at each kill, at most.
        most = self.SUBSCRIPTIONS + len(self.KILLS) * 16
        self.assertLessEqual(len(receiver.received), most)
        self.assertEqual(await deferToThread(daemon.stop), 0)

    def _subscribe(self, uri: str) -> None:
        with self.daemon.device("agg1") as aggregator, self.daemon.device("dev1") as device:
            own = path_of(aggregator.get("/edev?l=10").body, AGGREGATOR)
            for number in range(self.SUBSCRIPTIONS):
                made = aggregator.post(f"{own}/sub", subscription("/edev", f"{uri}/{number}"))
                self.assertEqual(made.status, 201, made.body)
            # The daemon may be killed before this is answered; what it says is kept by then.
            with contextlib.suppress(ConnectionError, HTTPException):
                device.put(path_of(device.get("/edev").body, DEVICE), end_device(12))

    def _kill_or_answer(self, request: Received) -> bytes | None:
        if self.kills and len(self.receiver.received) >= self.kills[0]:
            self.kills.pop(0)
            self.daemon.kill()
            self.killed.callback(None)
            return None
        return CREATED
