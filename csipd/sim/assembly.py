"""A fleet from its roster: each device with its brain, plant, certificate and misbehaviour, on a street."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any, Final

from attrs import field, frozen
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from csipd.der.client import Device
from csipd.sep2.types import ResponseStatus
from csipd.sim import neighbourhood, receiver, strangers
from csipd.sim.aggregator import Aggregator
from csipd.sim.behaviour import Behaviour
from csipd.sim.clock import SimulatedClock
from csipd.sim.counts import Counts
from csipd.sim.fleet import STEP, Fleet
from csipd.sim.http import HTTPClient
from csipd.sim.plant import Plant
from csipd.sim.roster import Member, Roster
from csipd.sim.station import Station
from csipd.sim.tls import Credential, TLSEndpoint, Trust
from csipd.sim.unit import Unit

DAY: Final = 86_400
_LOCALHOST, _LOOPBACK = "localhost", "127.0.0.1"


@frozen
class Plan:
    """What a fleet is to be like.

    :param devices: that have a certificate of their own
    :param aggregated: that an aggregator speaks for
    :param misbehaving: how many of each kind, among those with a certificate of their own
    :param seed: of clouds, loads and everything that is drawn
    :param hour: of the day when it begins (0 to 24); the sun stands highest at 12
    :param cloudiness: 0 a clear sky, 1 clouds all the time
    :param spread: real seconds within which the devices come
    """

    devices: int
    aggregated: int = 0
    misbehaving: Mapping[Behaviour, int] = field(factory=dict)
    seed: int = 1
    hour: float = 11.0
    cloudiness: float = 0.3
    spread: float = 10.0


@frozen
class Place:
    """Where the server is, and how it and its notifications are trusted.

    :param roots: PEM file of the roots
    :param connect: connects to the server, without TLS
    :param listen: has a protocol factory listened with; the authority of its URI, None: nobody is notified
    """

    host: str
    port: int
    roots: Path
    connect: Callable[[], IStreamClientEndpoint]
    listen: Callable[[Any], str] | None = None

    @property
    def authority(self) -> str:
        """Host and port as in a URI."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place_of(
    reactor: Any, host: str, port: int, roots: Path, receiver: tuple[str, int] | None = None
) -> Place:
    """A server on the network.

    :param receiver: an address of this machine and a port (0: a free one) where an aggregator is notified;
        None: beside the server where that is written as an address of this machine alone, else nowhere
    """
    if receiver is None and _is_loopback(host):
        receiver = (_LOOPBACK if host == _LOCALHOST else host, 0)
    listen = None if receiver is None else partial(_listen, reactor, *receiver)
    try:
        kind = TCP4ClientEndpoint if ip_address(host).version == 4 else TCP6ClientEndpoint
    except ValueError:
        return Place(host, port, roots, lambda: HostnameEndpoint(reactor, host, port), listen)
    return Place(host, port, roots, lambda: kind(reactor, host, port), listen)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == _LOCALHOST


def _listen(reactor: Any, host: str, port: int, factory: Any) -> str:
    at: int = reactor.listenTCP(port, factory, interface=host).getHost().port
    return f"[{host}]:{at}" if ":" in host else f"{host}:{at}"


def assemble(
    reactor: Any, clock: SimulatedClock, roster: Roster, plan: Plan, place: Place, *, step: float = STEP
) -> Fleet:
    """A fleet that has not begun. RosterError, TLSError and OSError where files cannot be used.

    :param step: real seconds between two steps of the physics
    """
    return _Assembly(reactor, clock, roster, plan, place).fleet(step)


class Making:
    """How stations and units are made of certificates and plants, wherever these stand.

    `counts` is what all of them share.
    """

    def __init__(self, reactor: Any, clock: SimulatedClock, plan: Plan, place: Place) -> None:
        self.reactor = reactor
        self.clock = clock
        self.plan = plan
        self._place = place
        self._trust = Trust(place.roots.read_bytes())
        self.counts = Counts()

    def device(
        self,
        name: str,
        credential: Credential,
        lfdi: str,
        pin: int | None,
        plant: Plant,
        behaviour: Behaviour = Behaviour.GOOD,
    ) -> Station:
        """A device that speaks for itself.

        :param lfdi: by which the server knows it: as a rule that of its certificate
        """
        if behaviour is Behaviour.WRONG_CERTIFICATE:
            credential = strangers.credential(name)
        return Station(
            self.client(credential),
            self.clock,
            lfdi,
            [self.unit(name, lfdi, pin, plant, ResponseStatus.SUPERSEDED, behaviour)],
            self.counts,
            chance=self.chance(name),
            behaviour=behaviour,
            spread=self.spread,
        )

    def unit(
        self,
        name: str,
        lfdi: str,
        pin: int | None,
        plant: Plant,
        early: ResponseStatus,
        behaviour: Behaviour = Behaviour.GOOD,
    ) -> Unit:
        """A device apart from the wire.

        :param early: what it answers where an event is superseded before it has begun
        """
        chance = self.chance(f"{name} starts")
        brain = Device(
            lfdi,
            int(plant.category),
            lambda bound: chance.randint(min(0, bound), max(0, bound)),
            supported=plant.nameplate.modes,
            superseded_early=early,
        )
        shown = neighbourhood.copy_of(plant) if behaviour is Behaviour.CHEATING_METER else None
        return Unit(name, lfdi, plant, brain, pin=pin, behaviour=behaviour, shown=shown)

    def client(self, credential: Credential) -> HTTPClient:
        """How the holder of a certificate asks the server."""
        endpoint = TLSEndpoint(self._place.connect(), self._trust.client(credential), self.reactor)
        return HTTPClient(endpoint, self.reactor, self._place.authority, self.counts)

    def chance(self, name: str) -> Random:
        """What is drawn for one of the fleet: the same for the same seed."""
        return Random(sha256(f"{self.plan.seed} {name}".encode()).digest())  # noqa: S311 - no secret

    @property
    def spread(self) -> float:
        """Seconds of their clock within which they come."""
        return self.plan.spread * self.clock.speed

    @property
    def noon(self) -> float:
        """A moment at which the sun stands highest."""
        return self.clock.now() + (12.0 - self.plan.hour) * DAY / 24


class _Assembly:
    def __init__(self, reactor: Any, clock: SimulatedClock, roster: Roster, plan: Plan, place: Place) -> None:
        self._making = Making(reactor, clock, plan, place)
        self._reactor = reactor
        self._clock = clock
        self._roster = roster
        self._place = place
        direct = [member for member in roster.devices if not member.aggregator][: plan.devices]
        managed = [member for member in roster.devices if member.aggregator][: plan.aggregated]
        self._direct, self._managed = direct, managed
        self._behaviours = _behaviours(direct, plan)
        self._places = {
            member.name: neighbourhood.house_of(place) for place, member in enumerate(roster.devices)
        }
        self._streets = neighbourhood.streets(
            len(roster.devices), self._making.noon, plan.seed, plan.cloudiness
        )

    def fleet(self, step: float) -> Fleet:
        stations: list[Station] = [self._device(member) for member in self._direct]
        stations += self._aggregators()
        return Fleet(
            self._clock, self._streets, self._places, stations, self._making.counts, self._reactor, step
        )

    def _device(self, member: Member) -> Station:
        behaviour = self._behaviours.get(member.name, Behaviour.GOOD)
        credential = self._roster.credential(member.name)
        plant = self._plant(member)
        return self._making.device(member.name, credential, member.lfdi, member.pin, plant, behaviour)

    def _aggregators(self) -> Sequence[Station]:
        if not self._managed:
            return []
        (member,) = self._roster.aggregators
        units = [
            self._making.unit(
                each.name, each.lfdi, each.pin, self._plant(each), ResponseStatus.ABORTED_PROGRAM
            )
            for each in self._managed
        ]
        made = Aggregator(
            self._making.client(self._roster.credential(member.name)),
            self._clock,
            member.lfdi,
            units,
            self._making.counts,
            chance=self._making.chance(member.name),
            spread=self._making.spread,
        )
        if self._place.listen is not None:
            factory = receiver.receiver_factory(
                made.receive,
                self._roster.certificate(member.name),
                self._roster.key(member.name),
                self._place.roots,
                self._reactor,
            )
            made.listen_at(f"https://{self._place.listen(factory)}{receiver.PATH}")
        return [made]

    def _plant(self, member: Member) -> Plant:
        street, house = self._places[member.name]
        plant = self._streets[street].houses[house].plant
        assert plant is not None
        return plant


def _behaviours(direct: Sequence[Member], plan: Plan) -> Mapping[str, Behaviour]:
    """Who misbehaves, and how: drawn, each one way at most."""
    chance = Random(plan.seed)  # noqa: S311 - no secret
    drawn = chance.sample([member.name for member in direct], len(direct))
    found: dict[str, Behaviour] = {}
    for behaviour, count in plan.misbehaving.items():
        for _ in range(min(count, len(drawn))):
            found[drawn.pop()] = behaviour
    return found
