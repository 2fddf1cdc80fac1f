"""The sockets of multicast DNS: one for each interface and version of IP.

Each is bound to the group's address, not to every address of the machine, and hears that group on its own
interface alone. So what is sent to port 5353 of this machine by unicast, from wherever, and what is asked on
interfaces that nobody named does not even arrive. How much is read is bounded, too: what comes faster is left
to the kernel, which drops it, so a flood costs the daemon a fixed share of its time.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from csipd.discovery.interfaces import Interface, Network
from csipd.discovery.messages import LARGEST
from csipd.discovery.packets import Peer
from csipd.discovery.responder import MDNS_PORT
from csipd.net.quotas import TokenBucket

GROUPS: Final = {4: "224.0.0.251", 6: "ff02::fb"}

#: Datagrams a second that are read, how many at once, and seconds until it is looked again beyond that.
_READ: Final = (200.0, 400.0)
_PAUSE: Final = 0.1
#: Octets that count as one datagram more: what is larger costs more time.
_PART: Final = 500
#: Datagrams that are read in one turn of the reactor: the largest take half a millisecond each.
_A_TURN: Final = 4

# Linux has these, Python 3.11 no names for them.
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29


def open_socket(interface: Interface, version: int) -> socket.socket:
    """A socket that hears and speaks to the group on one interface. OSError where that cannot be."""
    family, group = (socket.AF_INET, GROUPS[4]) if version == 4 else (socket.AF_INET6, GROUPS[6])
    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # Others on this machine may speak mDNS as well, such as avahi. Not SO_REUSEPORT: of a user's
        # sockets that have it Linux gives a datagram to one, be it the one of another interface.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if version == 4:
            member = socket.inet_aton(group) + struct.pack("@4si", b"\0" * 4, interface.index)
            opened.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            opened.bind((group, MDNS_PORT))
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
        else:
            member = socket.inet_pton(family, group) + struct.pack("@I", interface.index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            opened.bind((group, MDNS_PORT, 0, interface.index))
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
    except BaseException:
        opened.close()
        raise
    return opened


@implementer(IReadDescriptor)
class Link:
    """One socket in the reactor.

    :param networks: where senders on the link have their addresses; others are not heard
    :param heard: is given each datagram and its sender
    :param failed: is told of what ends the link, such as an interface that has gone
    """

    def __init__(
        self,
        opened: socket.socket,
        version: int,
        networks: tuple[Network, ...],
        reactor: Any,
        heard: Callable[[bytes, Peer], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self.networks = networks
        self._socket = opened
        self._version = version
        self._index = opened.getsockname()[3] if version == 6 else 0
        self._reactor = reactor
        self._heard = heard
        self._failed = failed
        self._rate = TokenBucket(*_READ)
        self._paused: Any = None
        reactor.addReader(self)

    def logPrefix(self) -> str:
        """What the reactor calls it."""
        return "mDNS"

    def fileno(self) -> int:
        """The descriptor, -1 once it is closed."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """Read what is there, as fast as may be."""
        for _ in range(_A_TURN):
            if self.fileno() < 0:
                return  # what was heard closed it
            now = self._reactor.seconds()
            if not self._rate.spend(now):
                self._reactor.removeReader(self)
                self._paused = self._reactor.callLater(_PAUSE, self._resume)
                return
            try:
                octets, sender = self._socket.recvfrom(LARGEST + 1)
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(error)
                return
            for _ in range(len(octets) // _PART):
                self._rate.spend(now)
            address = sender[0].partition("%")[0]
            if self._is_near(address):
                self._heard(octets, Peer(address, sender[1]))

    def _resume(self) -> None:
        self._paused = None
        self._reactor.addReader(self)

    def _is_near(self, address: str) -> bool:
        """Whether it is on the link, as whoever is answered has to be (RFC 6762 11)."""
        sender = ip_address(address)
        return sender.is_link_local or any(sender in network for network in self.networks)

    def send(self, octets: bytes, to: Peer | None) -> None:
        """Send to everybody on the link, or to one there. What cannot go now is lost, as datagrams are."""
        address, port = (GROUPS[self._version], MDNS_PORT) if to is None else (to.address, to.port)
        place = (address, port) if self._version == 4 else (address, port, 0, self._index)
        try:
            self._socket.sendto(octets, place)
        except BlockingIOError:
            return
        except OSError as error:
            if to is None:  # one that cannot be reached is no trouble of the link
                self._failed(error)

    def connectionLost(self, reason: Any) -> None:
        """The reactor has let go of it: something went wrong with what was heard, which its log has."""
        if self.fileno() >= 0:
            self._failed(OSError(errno.EIO, "an error, which the log has"))

    def close(self) -> None:
        """Neither hear nor speak any more."""
        if self.fileno() < 0:
            return
        self._reactor.removeReader(self)
        if self._paused is not None:
            self._paused.cancel()
            self._paused = None
        self._socket.close()
