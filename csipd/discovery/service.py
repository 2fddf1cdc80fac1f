"""Discovery as a service: it keeps the links that were named open, and has one responder speak on each.

Interfaces come and go, and so do their addresses: every few seconds it is looked what there is. What keeps a
link from being used is said once, and that it can be used again. Everything happens in the reactor's thread.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, Final

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.logger import Logger

from csipd.discovery import messages
from csipd.discovery.allowance import Allowance
from csipd.discovery.carriers import Carrier
from csipd.discovery.interfaces import Interface, Lister, Served
from csipd.discovery.links import Link, open_socket
from csipd.discovery.packets import Packet, Peer
from csipd.discovery.records import Address, Advertisement, Record, Zone
from csipd.discovery.responder import Responder, State
from csipd.discovery.state import DiscoveryState
from csipd.net.peer_log import PeerLog

#: Seconds between two looks at the interfaces.
_LOOK: Final = 10.0
#: The highest number behind a name that is somebody else's, after which it begins anew.
_MOST_NUMBERS: Final = 99
#: Seconds until another name is tried, and those once so many have been somebody else's (RFC 6762 8.1).
_NEXT_NAME: Final = 1.0
_MANY_NAMES: Final = 10
_MUCH_LATER: Final = 60.0

Opener = Callable[[Interface, int], socket.socket]


@frozen
class Key:
    """A link: an interface, and a version of IP on it."""

    name: str
    index: int
    version: int

    def __str__(self) -> str:
        return f"{self.name} (IPv{self.version})"


@define
class _Station:
    """One link with who speaks on it.

    :param addresses: at which the server is reached there
    :param zone: what is to be published there
    :param carrier: how it was connected when it was last looked
    :param told: by which name it was said to be announced
    """

    link: Link
    responder: Responder
    carrier: Carrier
    addresses: tuple[Address, ...] = ()
    zone: Zone = field(factory=Zone)
    told: str = ""


class Discovery(Service):
    """Announces a server on links.

    :param wanted: interfaces as the configuration has them: names or addresses
    :param reactor: for sockets and timers
    :param draw: a number from 0 to 1, by chance
    :param lister: gives the interfaces that there are
    """

    _log = Logger()

    def __init__(
        self,
        server: Advertisement,
        wanted: Sequence[str],
        served: Served,
        reactor: Any,
        peer_log: PeerLog,
        draw: Callable[[], float],
        lister: Lister,
        opener: Opener = open_socket,
    ) -> None:
        self._server = server
        self._wanted = tuple(wanted)
        self._served = served
        self._reactor = reactor
        self._peer_log = peer_log
        self._draw = draw
        self._lister = lister
        self._opener = opener
        self._number = 1
        self._renamed = 0
        self._stations: dict[Key, _Station] = {}
        self._troubles: dict[str, str] = {}
        self._looking: Any = None
        self._timer: Any = None

    @property
    def current(self) -> Advertisement:
        """The server by the name that it has now."""
        return self._server.numbered(self._number)

    @property
    def state(self) -> DiscoveryState:
        """How it is now."""
        announced = [key for key, one in self._stations.items() if one.responder.state is State.ANNOUNCED]
        return DiscoveryState(
            name=self.current.instance,
            links=tuple(sorted(map(str, announced))),
            troubles=tuple(self._troubles.values()),
        )

    def startService(self) -> None:
        """Look at the interfaces, from now on again and again."""
        super().startService()
        self._look()

    def stopService(self) -> None:
        """Say goodbye on every link, and close them."""
        super().stopService()
        for timer in (self._looking, self._timer):
            if timer is not None and timer.active():
                timer.cancel()
        self._looking = self._timer = None
        for key in list(self._stations):
            self._close(key)

    # What there is.

    def _look(self) -> None:
        self._looking = self._reactor.callLater(_LOOK, self._look)
        try:
            there = self._lister()
        except OSError as error:
            self._say({**self._troubles, "interfaces": f"interfaces cannot be listed: {error.strerror}"})
            return  # what is open stays so
        troubles: dict[str, str] = {}
        spellings: dict[str, list[str]] = {}
        wanted: dict[Key, tuple[Interface, tuple[Address, ...]]] = {}
        for written in self._wanted:
            meant = [one for one in there if one.is_called(written)]
            if not meant:
                troubles[written] = f"{written} is no interface of this machine now, nor an address of one"
            for interface in meant:
                spellings.setdefault(interface.name, []).append(written)
                addresses = self._served.on(interface) if interface.carrier.on else ()
                if not interface.carrier.on:
                    troubles[written] = f"{interface.name} is down, or not connected"
                elif not addresses:
                    troubles[written] = f"{interface.name} has no address now at which the server listens"
                for version in {address.version for address in addresses}:
                    wanted[Key(interface.name, interface.index, version)] = (interface, addresses)
        for key in [key for key in self._stations if key not in wanted]:
            self._close(key)
        for key, (interface, addresses) in wanted.items():
            try:
                station = self._stations.get(key) or self._open(key, interface)
            except OSError as error:
                troubles[str(key)] = f"{key}: {_reason(error)}"
                continue
            station.link.networks = interface.networks
            station.addresses = addresses
            if station.carrier != interface.carrier:
                # It was away, and may be in another network now, where the names are somebody's (RFC 6762 8).
                station.carrier, station.told = interface.carrier, ""
                station.responder.connected_anew(self._now())
            if str(key) in self._troubles and station.responder.state is not State.ANNOUNCED:
                troubles[str(key)] = self._troubles[str(key)]  # until it has been seen to work
        usable = {str(key) for key in self._stations}
        usable.update(written for key in self._stations for written in spellings[key.name])
        self._say(troubles, usable | {"interfaces"})
        self._publish()
        self._wake()

    def _publish(self, delay: float = 0.0) -> None:
        """Have every link's records say what is so now."""
        for station in list(self._stations.values()):
            zone = Zone.of(self.current, station.addresses)
            if station.zone != zone:
                station.zone = zone
                self._send(station, station.responder.publish(zone, self._now(), delay))

    def _say(self, troubles: dict[str, str], usable: Set[str] = frozenset()) -> None:
        """Write what is new of what keeps it from being found, and what is so no more.

        :param usable: what works now; what had a trouble and is just gone, or has another, does not
        """
        for about, line in troubles.items():
            if self._troubles.get(about) != line:
                self._log.warn(
                    "discovery: {line}; it is looked again every {seconds} s", line=line, seconds=int(_LOOK)
                )
        for about in (self._troubles.keys() - troubles.keys()) & usable:
            self._log.info("discovery: {about} can be used now", about=about)
        self._troubles = troubles

    def _open(self, key: Key, interface: Interface) -> _Station:
        allowance = Allowance()
        link = Link(
            self._opener(interface, key.version),
            key.version,
            interface.networks,
            self._reactor,
            lambda octets, peer: self._heard(key, octets, peer),
            lambda error: self._failed(key, error),
        )
        responder = Responder(self._draw, allowance.spend, self._is_own)
        self._stations[key] = found = _Station(link, responder, interface.carrier)
        return found

    def _close(self, key: Key) -> None:
        station = self._stations.pop(key)
        for packet in station.responder.withdraw():
            for octets in messages.write(packet):
                station.link.send(octets, packet.to)
        station.link.close()

    def _failed(self, key: Key, error: OSError) -> None:
        """A link that broke is closed; the next look opens it again if it can."""
        station = self._stations.pop(key, None)
        if station is not None:
            station.link.close()
            self._say({**self._troubles, str(key): f"{key}: {_reason(error)}"})

    def _is_own(self, record: Record) -> bool:
        return any(station.responder.has(record) for station in self._stations.values())

    # What is said.

    def _heard(self, key: Key, octets: bytes, peer: Peer) -> None:
        station = self._stations[key]
        message = messages.read(octets)
        if message is None:
            self._peer_log.info(
                self._log,
                peer.address,
                "mDNS",
                "{peer}: a message on the mDNS port that is none, or too large",
                peer=peer.address,
            )
            return
        self._send(station, station.responder.received(message, peer, self._now()))
        if station.responder.conflicted:
            self._rename(key)
        self._wake()

    def _rename(self, key: Key) -> None:
        """Somebody on a link has the names: take others, on every link."""
        former = self.current.host
        self._renamed += 1
        self._number = self._number % _MOST_NUMBERS + 1
        later = _NEXT_NAME if self._renamed <= _MANY_NAMES else _MUCH_LATER
        self._peer_log.info(
            self._log,
            str(key),
            "mDNS name",
            "discovery: another server on {link} is {former}; this one will be {name}",
            link=str(key),
            former=former,
            name=self.current.host,
        )
        self._publish(later)

    def _send(self, station: _Station, packets: Iterable[Packet]) -> None:
        for packet in packets:
            for octets in messages.write(packet):
                station.link.send(octets, packet.to)

    def _wake(self) -> None:
        """Have a timer for what is due next."""
        moments = [one.responder.next_due for one in self._stations.values()]
        known = [moment for moment in moments if moment is not None]
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if known and self.running:
            self._timer = self._reactor.callLater(max(0.0, min(known) - self._now()), self._due)

    def _due(self) -> None:
        self._timer = None
        for key, station in list(self._stations.items()):
            self._send(station, station.responder.due(self._now()))
            announced = key in self._stations and station.responder.state is State.ANNOUNCED
            if announced and station.told != self.current.instance:
                station.told = self.current.instance
                self._log.info("discovery: announced as {name} on {link}", name=station.told, link=str(key))
        self._wake()

    def _now(self) -> float:
        now: float = self._reactor.seconds()
        return now


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "UDP port 5353 is in use by a program that lets no other have it"
    return f"multicast DNS cannot be spoken there: {error.strerror}"
