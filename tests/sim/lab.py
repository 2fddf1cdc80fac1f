"""A server and simulated devices in one process, joined in memory, on a clock that is turned by hand.

self.lab = Lab(Path(self.mktemp()))
self.addCleanup(self.lab.close)
self.lab.ladder("SY")
station = self.lab.device("dev1", "SY")
station.start()
self.lab.pass_time(60)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from zope.interface import implementer

from csipd.der.client import Device
from csipd.sim.behaviour import Behaviour
from csipd.sim.clock import SimulatedClock
from csipd.sim.counts import Counts
from csipd.sim.http import HTTPClient
from csipd.sim.plant import Plant
from csipd.sim.station import Station
from csipd.sim.street import example
from csipd.sim.tls import Credential, TLSEndpoint, Trust
from csipd.sim.unit import Unit
from tests.conformance.bench import LAB, PIN, T0, Bench
from tests.support import pki
from tests.support.memory_tls import SERVER, Wire

#: Where the receiver of notifications is: a host that the bench's server may notify.
RECEIVER = "simulated.fleet.example"
ADDRESS = "192.0.2.200"


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects to a factory of servers in memory."""

    def __init__(self, factory: Callable[[], Any], clock: Clock, wires: list[Wire], port: int) -> None:
        self._factory = factory
        self._clock = clock
        self._wires = wires
        self._peer = IPv4Address("TCP", "198.51.100.7", port)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        server = self._factory().buildProtocol(self._peer)
        if server is None:
            return fail(ConnectionRefusedError())
        client = protocolFactory.buildProtocol(SERVER)
        self._wires.append(Wire(server, client, client, self._clock, self._peer))
        return succeed(client)


class Lab(Bench):
    """A bench whose stations are simulated ones."""

    def __init__(self, folder: Path, **how: Any) -> None:
        super().__init__(folder, **how)
        self.folder = folder
        self._ports = count(20_000)
        self.sim_clock = SimulatedClock(self.clock, T0)
        self.counts = Counts()
        self.wires: list[Wire] = []
        self.trust = Trust(LAB.cert_pem)
        #: What stands in the way of connections, if anything.
        self.refuses = False
        self._running: list[Station] = []

    def close(self) -> None:
        for station in self._running:
            station.stop()
        self.settle()
        for wire in self.wires:
            wire.hang_up()
        super().close()

    # --- time

    def settle(self) -> None:
        """Carry what is on its way until nothing is."""
        for _ in range(1000):
            self.wires[:] = [wire for wire in self.wires if not wire.closed]
            before = self._seen()
            self._network.pump()
            for wire in list(self.wires):
                if not wire.closed:
                    wire.pump()
            if self._seen() == before:
                return
        raise AssertionError("the wires never come to rest")

    def _seen(self) -> object:
        return (len(self.wires), sum(self.counts.errors.values()), *vars_of(self.counts))

    def pass_time(self, seconds: float) -> None:
        """Let time pass; everybody does what is due on the way."""
        end = self.clock.seconds() + seconds
        self.settle()
        while True:
            moments = [call.getTime() for call in self.clock.getDelayedCalls()]
            moment = min([end, *moments])
            self.clock.advance(max(0.0, moment - self.clock.seconds()))
            self.settle()
            if moment >= end:
                return

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done, which has to be done at once."""
        done = Deferred.fromCoroutine(work)
        failures: list[Any] = []
        done.addErrback(failures.append)
        self.settle()
        assert done.called, "it is not done"
        if failures:
            failures[0].raiseException()

    # --- who is there

    def receive_at(self, factory: IProtocolFactory) -> str:
        """Have a receiver of notifications listened with; the authority of its URI."""
        self._addresses[RECEIVER] = ADDRESS
        self._network.places[(ADDRESS, 8443)] = factory
        return f"{RECEIVER}:8443"

    def cut_off(self) -> None:
        """Have nobody listen for notifications any more."""
        self._network.places.clear()

    def endpoint(self, credential: Credential) -> TLSEndpoint:
        """How the holder of a certificate connects to the server."""
        return TLSEndpoint(self.plain(), self.trust.client(credential), self.clock)

    def plain(self) -> MemoryEndpoint:
        """The same without TLS."""
        return MemoryEndpoint(lambda: self._served.factory, self.clock, self.wires, next(self._ports))

    def client(self, credential: Credential) -> HTTPClient:
        return HTTPClient(self.endpoint(credential), self.clock, "localhost", self.counts)

    def unit(self, name: str, lfdi: str, pin: int = PIN, **how: Any) -> Unit:
        """A unit with the plant of a house, which is stepped by nobody yet."""
        plant = example(1, noon=T0).houses["house-01"].plant
        assert plant is not None
        brain = Device(lfdi, int(plant.category), supported=plant.nameplate.modes)
        return Unit(name, lfdi, plant, brain, pin=pin, **how)

    def device(
        self, name: str, *places: str, pin: int = PIN, behaviour: Behaviour = Behaviour.GOOD
    ) -> Station:
        """A simulated device that is registered and in these groups; it has not begun."""
        credential = credential_of(LAB.device(name))
        self.make_end_device(credential.lfdi, name, *places)
        unit = self.unit(name, credential.lfdi, pin, behaviour=behaviour)
        return self.add(
            Station(
                self.client(credential),
                self.sim_clock,
                credential.lfdi,
                [unit],
                self.counts,
                chance=Random(1),
                behaviour=behaviour,
            )
        )

    def add(self, station: Station) -> Station:
        self._running.append(station)
        return station


def vars_of(counts: Counts) -> list[int]:
    """The numbers that a count has."""
    return [
        counts.polls,
        counts.puts,
        counts.readings,
        counts.responses,
        counts.log_events,
        counts.notifications,
        counts.connections,
        counts.failed_connections,
    ]


def credential_of(credential: pki.Credential) -> Credential:
    """A certificate of the tests' as the simulator has it."""
    return Credential(credential.certificate, credential.key)


def step(unit: Unit, now: float, seconds: float, volts_pu: float = 1.0) -> None:
    """Let the physics of one unit go on by itself."""
    plant: Plant = unit.plant
    unit.take(now, seconds, plant.step(now, seconds, volts_pu, 60.0, unit.obeyed(int(now))))
