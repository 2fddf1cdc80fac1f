"""The lab bench: a server over TLS whose clock is turned by hand, its operator, and who calls (devices.py).

Requests go through handshake, channel, site, app, database and scheduler as in the daemon; only sockets
and threads are missing. All times of the procedures are minutes after the start of a test (T0):

    bench = Bench(Path(self.mktemp()))
    self.addCleanup(bench.close)
    bench.ladder("SY", "SP")
    bench.default("SP", opModMaxLimW=5000)
    device = bench.direct("dev1", "SP")
    device.walk()
    bench.command("SP", start=5, lasts=1, opModMaxLimW=6000)
    bench.run(until=10)
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from csipd.config import PlainMode
from csipd.db import (
    commands,
    controls,
    devices,
    groups,
    programs,
    registration,
    response_counts,
    subscriptions,
)
from csipd.db.database import Database, Read, Write
from csipd.db.response_counts import ResponseCounts
from csipd.db.responses import REPLY_TO
from csipd.db.tree.context import Server
from csipd.der.access import Policy
from csipd.der.receivers import ReceiverPolicy
from csipd.net.peer_log import PeerLog
from csipd.net.tls import TLSSettings
from csipd.plain.answers import Signpost
from csipd.plain.protocol import PlainFactory
from csipd.sep2 import resources as r
from csipd.sep2.layout import Layout
from csipd.sep2.mrid import Issuer
from csipd.sep2.types import MODE, CurveType, UnitRef
from tests.conformance.devices import Station
from tests.conformance.independent import Independent, Independents
from tests.conformance.listener import Listener
from tests.conformance.served import Served
from tests.conformance.transcript import GRID, Answered, Observer, answers, labels_of, written
from tests.support import pki
from tests.support.client import Answer, Client
from tests.support.client import ClientTLS as StationTLS
from tests.support.memory_tls import Wire
from tests.support.pki import Authority, Credential
from tests.support.receivers import MemoryNetwork
from tests.support.store import new_database

T = TypeVar("T")
Points = Sequence[tuple[int, int]]

#: When every test starts (epoch s), and how long before that everything was registered.
T0 = 1_767_225_600
REGISTERED = T0 - 3600
MINUTE = 60
PIN = 111115
LAB = Authority.make()
SERVER = LAB.server("localhost")
ISSUER = Issuer(store=0xABCDEF, pen=40732)
OPERATOR = "operator"

#: Where Notifications may go.
RECEIVERS = ReceiverPolicy(names=frozenset({"*.fleet.example"}), networks=(ip_network("192.0.2.0/24"),))
#: The topology from the top down: level and primacy of each group's program.
LADDER: Mapping[str, tuple[int, int]] = {
    "SY": (0, 10),
    "ST": (1, 9),
    "SS": (2, 8),
    "FD": (3, 7),
    "SG": (4, 6),
    "TF": (5, 5),
    "SP": (6, 4),
}
#: What devices are told to poll by (s): all different, programs often enough for events a minute away and
#: never in the second in which one starts, so that it has to be read once more then.
RATES: Mapping[str, int] = {
    "DeviceCapability": 900,
    "Time": 600,
    "EndDeviceList": 300,
    "FunctionSetAssignmentsList": 120,
    "DERProgramList": 37,
    "DERList": 450,
}


@frozen
class Command:
    """A DERControl as the operator knows it; devices' records call it by `label`."""

    label: str
    number: int
    href: str
    mrid: str


class Bench:
    """A server, its operator and the clock of all.

    :param folder: for its database and its keys, made here
    :param rates: pollRate by resource (s)
    :param credential: the server's certificate and key
    :param dcap: where DeviceCapability is
    """

    def __init__(
        self,
        folder: Path,
        *,
        policy: Policy = Policy(),  # noqa: B008 - frozen
        rates: Mapping[str, int] = RATES,
        credential: Credential = SERVER,
        dcap: str = "/dcap",
    ) -> None:
        self.clock = Clock()
        self.server = Server(
            receivers=RECEIVERS,
            lfdi=credential.lfdi,
            sfdi=credential.sfdi,
            issuer=ISSUER,
            zone=UTC,
            policy=policy,
            poll_rates=rates,
            layout=Layout(dcap),
        )
        pki.write(folder, LAB, server=credential)
        self._settings = TLSSettings(
            private_key=folder / "private" / "server.pem",
            certificate=folder / "certs" / "server.crt",
            trust_roots=(folder / "certs" / "ca.crt",),
        )
        self._url = new_database(str(folder / "db"))
        self._network = MemoryNetwork(self.clock)
        self._addresses: dict[str, str] = {}
        self._stations: list[Station] = []
        self._names: dict[str, str] = {}
        self._observers: list[Observer] = []
        self._keys = folder / "clients"
        self._independents = Independents(self.clock.seconds, self.wall, self._pass)
        self._groups: dict[str, int] = {}
        #: Numbers of programs, by the name of their group.
        self.programs: dict[str, int] = {}
        self._served = self._serve()

    def _serve(self) -> Served:
        return Served(
            self.server,
            self._url,
            self._settings,
            self.clock,
            self.wall,
            self._network,
            lambda name: succeed([self._addresses[name]]),
        )

    def restart(self) -> None:
        """Stop the server, and start another one on its store; all connections are gone."""
        for station in self._stations:
            station.hang_up()
        self._served.close()
        self._served = self._serve()
        self._network.pump()

    @property
    def database(self) -> Database:
        """That of the server as it runs now."""
        return self._served.database

    def close(self) -> None:
        self._independents.close()
        for station in self._stations:
            station.hang_up()
        self._served.close()

    # --- the clock

    def wall(self) -> float:
        """What time it is (epoch s)."""
        return T0 + self.clock.seconds()

    @property
    def now(self) -> int:
        return int(self.wall())

    def run(self, until: float) -> None:
        """Let time pass up to so many minutes after T0, inclusive; everybody does what is due on the way."""
        self._observe()
        self._independents.run(until * MINUTE)
        # What is left of it: all, where no client of others is there.
        self._pass(until * MINUTE - self.clock.seconds())

    def _pass(self, seconds: float) -> None:
        """Let so many seconds pass for everybody but the clients of others, who turn this very clock."""
        end = self.clock.seconds() + seconds
        while True:
            self._network.pump()
            moments = [at - T0 for s in self._stations if (at := s.next_moment()) is not None]
            if self._addresses:
                # Whatever has a time of its own falls on it: the 30 s between two Notifications, back-offs.
                moments += [call.getTime() for call in self.clock.getDelayedCalls()]
            if self._observers:
                moments.append((self.clock.seconds() // GRID + 1) * GRID)
            moment = min([end, *moments])
            self.clock.advance(max(0, moment - self.clock.seconds()))
            # Sums of hundredths would miss whole seconds by a hair.
            self.clock.rightNow = round(self.clock.rightNow, 3)
            due = [s for s in self._stations if (at := s.next_moment()) is not None and at - T0 <= moment]
            for station in due:
                station.act()
            self._network.pump()
            self._observe()
            if moment >= end and not due and not any(station.has_heard for station in self._stations):
                return

    # --- the record

    def observe(self, *places: str) -> None:
        """Write down from now on what a device in these groups is shown; for `transcript`."""
        station = self.direct(f"observer{len(self._observers)}", *places)
        self._observers.append(Observer(self, station, T0))

    def _observe(self) -> None:
        if self.clock.seconds() % GRID == 0:
            for observer in self._observers:
                observer.look()

    def answers(self, name: str) -> dict[str, list[int]]:
        """The statuses that were POSTed for a device, by label of the event, in their order."""
        found: dict[str, list[int]] = {}
        for one in answers(self._stations, self._names, labels_of(self._stations)):
            if one.who == name:
                found.setdefault(one.what, []).append(one.status)
        return found

    def answered(self) -> list[Answered]:
        """Every Response that anybody POSTed."""
        return answers(self._stations, self._names, labels_of(self._stations))

    def transcript(self) -> list[str]:
        """What was seen on the wire, and what was answered, line by line."""
        seen = [each for observer in self._observers for each in observer.seen]
        return written(seen, answers(self._stations, self._names, labels_of(self._stations)))

    # --- those who call

    def wire(self, tls: StationTLS, host: str = "198.51.100.7") -> Wire:
        """A connection from somebody, the handshake over one way or the other."""
        wire = Wire.tls(self._served.factory, tls, self.clock, host)
        wire.pump()
        return wire

    def station(self, credential: Credential, **how: Any) -> Station:
        """Somebody who calls with a certificate, registered or not; `how` as for Station."""
        made = Station(self, credential, LAB, **how)
        self._stations.append(made)
        return made

    def plain(self, mode: PlainMode, data: bytes, *, bodiless: bool = False) -> Answer:
        """What somebody's request without TLS is answered with, on a connection of its own."""
        factory = PlainFactory(
            Signpost(mode, self.server.base_uri, self.server.layout.path),
            clock=self.clock,
            now=self.wall,
            peer_log=PeerLog(self.clock),
        )
        peer = IPv4Address("TCP", "198.51.100.9", 50_000)
        client = Client()
        wire = Wire(factory.buildProtocol(peer), client, client, self.clock, peer)
        (answer,) = wire.results(client.raw(data, bodiless=bodiless))
        return answer

    def listen(self, station: Station, name: str) -> Listener:
        """Have a station run a notification receiver, at a host of that name."""
        host = f"{name.lower()}.fleet.example"
        self._addresses[host] = address = f"192.0.2.{len(self._addresses) + 10}"
        return Listener(self, station, host, address, self._network)

    def direct(self, name: str, *places: str, credential: Credential | None = None, **how: Any) -> Station:
        """A direct DER that is registered and in these groups."""
        credential = credential or LAB.device(name)
        self.make_end_device(credential.lfdi, name, *places)
        return self.station(credential, **how)

    def independent(self, name: str, *places: str) -> Independent:
        """A direct DER of others' making (py20305), registered and in these groups; it begins at once."""
        credential = LAB.device(name)
        pki.write(self._keys, LAB, **{name: credential})
        member = Independent(
            self.direct(name, *places, credential=credential), self._keys, name, PIN, self.clock.seconds
        )
        self._independents.add(member)
        return member

    def aggregator(self, name: str, fleet: Mapping[str, str], *, at: int = REGISTERED, **how: Any) -> Station:
        """An aggregator, registered at a moment, that manages DERs: the group that each is in, by name."""
        credential = LAB.aggregator(name)
        number = self.make_end_device(credential.lfdi, name, at=at, aggregator=True)
        for member, place in fleet.items():
            self.make_end_device(LAB.device(member).lfdi, member, place, manager=number)
        return self.station(credential, aggregator=True, **how)

    def independent_aggregator(
        self, name: str, fleet: Mapping[str, str], *, listens: bool = False
    ) -> Independent:
        """An aggregator of others' making (py20305), registered, with its fleet; it begins at once.

        :param listens: whether it subscribes, and is told at a host of its name
        """
        station = self.aggregator(name, fleet)
        pki.write(self._keys, LAB, **{name: station.credential})
        member = Independent(station, self._keys, name, PIN, self.clock.seconds)
        if listens:
            member.listen(self.listen(station, name), self._independents.loop)
        self._independents.add(member)
        return member

    def tell(self, steps: Awaitable[T]) -> T:
        """Have a client of others do something, and let time pass until it is done."""
        return self._independents.do(steps)

    # --- the operator

    def write(self, operation: Write[T]) -> T:
        found: T = _result(self.database.write(operation))
        self._network.pump()
        return found

    def read(self, operation: Read[T]) -> T:
        found: T = _result(self.database.read(operation))
        return found

    def make_end_device(
        self, lfdi: str, name: str, *places: str, at: int = REGISTERED, pin: int = PIN, **more: Any
    ) -> int:
        """Register an LFDI and put it into groups; the number of its EndDevice."""

        def make_end_device(transaction: Any) -> int:
            device = devices.add(transaction, lfdi, now=at, name=name, pin=pin, **more)
            devices.make_end_device(transaction, device, at)
            self._names[lfdi] = name
            for place in places:
                devices.join(transaction, device.id, self._groups[place], at)
            return device.id

        return self.write(make_end_device)

    def join_fleet(self, aggregator: str, name: str, place: str) -> str:
        """Put one more DER under an aggregator; its EndDevice's place."""
        station = self._device(aggregator)
        number = self.make_end_device(LAB.device(name).lfdi, name, place, at=self.now, manager=station)
        return f"/edev/{number}"

    def unregister(self, name: str) -> None:
        """Take a device's EndDevice away."""
        number = self._device(name)
        self.write(lambda t: registration.unregister(t, number, OPERATOR, self.now))

    def categorize(self, name: str, category: int) -> None:
        """Say what kind of device one is."""
        number = self._device(name)
        self.write(lambda t: devices.update(t, number, device_category=category, changed_time=self.now))

    def rank(self, primacies: Mapping[str, int]) -> None:
        """Change the primacy of programs, in one transaction."""

        def rank(transaction: Any) -> None:
            for name, primacy in primacies.items():
                programs.change(transaction, self.programs[name], group=self._groups[name], primacy=primacy)

        self.write(rank)

    def end_subscription(self, place: str) -> None:
        """End a client's subscription, by the number at the end of its place."""
        number = int(place.rpartition("/")[2])
        assert self.write(lambda t: subscriptions.cancel(t, number, self.now)), place

    def _device(self, name: str) -> int:
        found = self.read(lambda connection: devices.find_by_name(connection, name))
        assert found is not None, name
        return found.id

    def move(self, name: str, out_of: str | None, into: str | None) -> None:
        """Put a device into another group; None: only take it out, or only put it in."""

        def move(transaction: Any) -> None:
            device = devices.find_by_name(transaction.connection, name)
            assert device is not None
            if out_of is not None:
                devices.leave(transaction, device.id, self._groups[out_of], self.now)
            if into is not None:
                devices.join(transaction, device.id, self._groups[into], self.now)

        self.write(move)

    def program(
        self, name: str, primacy: int, *, parent: str | None = None, level: int | None = None, fsa: str = ""
    ) -> None:
        """A group and its program, both of that name, in the FSA of a name (its own if none is given)."""

        def make(transaction: Any) -> None:
            above = None if parent is None else self._groups[parent]
            assignment = groups.assignment(transaction, fsa or name)
            group = groups.put_group(transaction, name, parent=above, level=level, assignment=assignment)
            self._groups[name] = group
            self.programs[name] = programs.add(transaction, ISSUER, group, name, primacy)

        self.write(make)

    def ladder(self, *names: str, fsa: str = "Topology") -> None:
        """The topology's groups of these names (all seven if none is named), each under the one before.

        :param fsa: the FSA that all are in; empty: one each
        """
        above = None
        for name in names or LADDER:
            level, primacy = LADDER[name]
            self.program(name, primacy, parent=above, level=level, fsa=fsa)
            above = name

    def curve(self, program: str, mode: str, points: Points, **more: Any) -> r.DERCurveLink:
        """A curve of a program for a mode, hundredths on both axes unless told otherwise."""
        kind = MODE[mode].curve
        assert kind is not None
        scale = {
            "xMultiplier": -2,
            "yMultiplier": -2,
            "yRefType": _REFERENCE.get(kind, UnitRef.SET_EFFECTIVE_V),
        }
        made = r.DERCurve(
            mRID="0",
            creationTime=self.now,
            curveType=kind,
            CurveData=tuple(r.CurveData(xvalue=x, yvalue=y) for x, y in points),
            **{**scale, **more},
        )
        number = self.programs[program]
        place = self.write(lambda t: programs.add_curve(t, ISSUER, number, made, self.now))
        return r.DERCurveLink(href=place.href)

    def default(self, program: str, *, settings: Mapping[str, Any] | None = None, **base: Any) -> None:
        """Give a program its DefaultDERControl; devices' records call it "SP default"."""
        made = r.DefaultDERControl(
            mRID="0",
            description=f"{program} default",
            DERControlBase=r.DERControlBase(**base),
            **(settings or {}),
        )
        number = self.programs[program]
        self.write(lambda t: programs.set_default(t, ISSUER, number, made, self.now))

    def command(
        self,
        program: str,
        *,
        start: float,
        lasts: float,
        label: str = "",
        required: int = 7,
        randomize_start: int | None = None,
        randomize_duration: int | None = None,
        **base: Any,
    ) -> Command:
        """Order a control of a program, as of now: times in minutes, `start` after T0; randomisation in s."""
        command = commands.Command(
            r.DERControlBase(**base),
            round(lasts * MINUTE),
            T0 + round(start * MINUTE),
            randomize_start=randomize_start,
            randomize_duration=randomize_duration,
            response_required=required,
            description=label or program,
        )
        target = commands.Target(program=self.programs[program])
        own, now = self.server.own, self.now
        (place,), _ = self.write(lambda t: commands.create(t, own, REPLY_TO, target, command, now, OPERATOR))
        kept = self.read(lambda connection: controls.find(connection, place.ids[1], now))
        assert kept is not None
        return Command(label or program, kept.number, place.href, kept.event.mrid)

    def counts(self, command: Command) -> ResponseCounts:
        """What the devices that a control was for have said to it, as the operator is told."""

        def ask(connection: Any) -> ResponseCounts:
            kept = controls.find(connection, command.number, self.now)
            assert kept is not None
            (found,) = response_counts.answers(connection, [kept], RATES["DERProgramList"], self.now)
            return found

        return self.read(ask)

    def cancel(self, command: Command) -> None:
        """Cancel a control, without randomisation."""
        self.write(lambda t: commands.cancel(t, command.number, False, None, self.now, OPERATOR))


#: yRefType of curves that are not of the effective voltage.
_REFERENCE = {
    CurveType.FREQ_WATT: UnitRef.SET_MAX_W,
    CurveType.VOLT_WATT: UnitRef.SET_MAX_W,
    CurveType.VOLT_VAR: UnitRef.STAT_VAR_AVAIL,
    CurveType.HFRT_MUST_TRIP: UnitRef.NOT_APPLICABLE,
    CurveType.LFRT_MUST_TRIP: UnitRef.NOT_APPLICABLE,
}


def _result(deferred: Any) -> Any:
    outcomes: list[Any] = []
    deferred.addBoth(outcomes.append)
    (outcome,) = outcomes
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome
