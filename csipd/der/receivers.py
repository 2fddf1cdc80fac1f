"""Where Notifications may be sent, and which certificate may answer there (decisions 65 and 67).

Whoever subscribes names the place that the server then connects to, from inside the utility's network. So a
place is judged twice: as it is written, when somebody subscribes (`ReceiverPolicy.target`), and by each
address that its name leads to, when a connection is made (`ReceiverPolicy.admit`). The address that was
judged is the one to connect to: a name may lead elsewhere a moment later.

A URI is read more strictly than programs that fetch pages read it. Whatever one of them could take for
another host than the next does (a user's name, a backslash, an octal or hexadecimal address, letters of other
alphabets) is refused, not understood. Of what the standard's anyURI may be this takes absolute https URIs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from attrs import field, frozen

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

#: Characters of a notificationURI.
LONGEST_URI: Final = 1024
_DEFAULT_PORT: Final = {"https": 443, "http": 80}

# RFC 3986, without what nobody needs here: no user info, no fragment, no percent-encoded host.
_URI = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# What inet_aton and the libraries built on it take for a number, hence for an address.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")

_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
#: Ranges that are somebody's own: only where the operator lists a network within them.
_OWN: Final[tuple[Network, ...]] = (
    *_LOOPBACK,
    ip_network("10.0.0.0/8"),
    ip_network("172.16.0.0/12"),
    ip_network("192.168.0.0/16"),
    ip_network("100.64.0.0/10"),  # carriers' NAT
    ip_network("198.18.0.0/15"),  # laboratories
    ip_network("192.0.0.0/24"),
    ip_network("192.0.2.0/24"),  # documentation, as the next three
    ip_network("198.51.100.0/24"),
    ip_network("203.0.113.0/24"),
    ip_network("2001:db8::/32"),
    ip_network("fc00::/7"),
)
#: Ranges where no receiver is: never, whatever is listed.
_NEVER: Final[tuple[Network, ...]] = (
    ip_network("0.0.0.0/8"),
    ip_network("169.254.0.0/16"),  # link-local, where clouds keep their machines' credentials
    ip_network("192.88.99.0/24"),
    ip_network("224.0.0.0/4"),
    ip_network("240.0.0.0/4"),  # the broadcast address too
    ip_network("::/96"),  # unspecified, and IPv4 in a form nobody uses; ::1 is asked before
    ip_network("64:ff9b:1::/48"),  # a translator's own networks
    ip_network("100::/64"),
    ip_network("2001::/32"),  # Teredo
    ip_network("fe80::/9"),  # link-local and site-local
    ip_network("ff00::/8"),
)
_NAT64: Final = ip_network("64:ff9b::/96")
_6TO4: Final = ip_network("2002::/16")


class Forbidden(Exception):
    """No Notification goes there; the text says why, to follow the place's name."""


@frozen
class Target:
    """What a notificationURI says.

    :param secure: whether it is https
    :param host: a name in lower case without a last dot, or an IP address in its usual form, without brackets
    :param path: what is asked for there, with the query: the request's target
    """

    secure: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port, as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == _DEFAULT_PORT["https" if self.secure else "http"] else f"{host}:{self.port}"
        )


def parse(uri: str) -> Target:
    """Read a notificationURI.

    :raises Forbidden: it is not an absolute http or https URI in the form that is taken here
    """
    if len(uri) > LONGEST_URI:
        raise Forbidden(f"is longer than {LONGEST_URI} characters")
    found = _URI.fullmatch(uri)
    scheme = "" if found is None else found["scheme"].lower()
    if found is None or scheme not in _DEFAULT_PORT:
        raise Forbidden("is not an absolute https URI of plain ASCII without user, password and fragment")
    port = _DEFAULT_PORT[scheme] if found["port"] is None else int(found["port"])
    if not 0 < port <= 65_535:
        raise Forbidden("has a port outside of 1 to 65535")
    return Target(
        scheme == "https", _host(found["host"]), port, (found["path"] or "/") + (found["query"] or "")
    )


def _host(written: str) -> str:
    """A host in the one form that it is known by."""
    if written.startswith("["):
        try:
            return str(IPv6Address(written[1:-1]))
        except ValueError:
            raise Forbidden("has no IPv6 address in its brackets") from None
    name = written.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise Forbidden(
                "has a number for a host that is no IPv4 address of four decimal numbers"
            ) from None
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise Forbidden("has no host name or IP address for a host")
    return name


@frozen
class ReceiverPolicy:
    """Where Notifications may go.

    With nothing listed that is every public address. A list leaves only what is on it: names, and whatever
    leads into its networks. Private ranges and loopback are admitted by a network that lies within them
    alone; one that reaches beyond, as 0.0.0.0/0 does, or a name does not.

    :param names: in lower case; ``*.example.org`` stands for every name below example.org
    :param plain: whether http will do, as in a lab
    :param loopback: whether this machine will do, as for a server that listens there alone
    :param check_lfdi: whether who answers has to be the subscriber, or listed for it
    :param lfdis: LFDIs that may answer besides, by the LFDI of the subscriber
    """

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    plain: bool = False
    loopback: bool = False
    check_lfdi: bool = True
    lfdis: Mapping[str, tuple[str, ...]] = field(factory=dict)

    def target(self, uri: str) -> Target:
        """Where a notificationURI leads, judged by what is written.

        :raises Forbidden: no Notification may go there
        """
        target = parse(uri)
        if not (target.secure or self.plain):
            raise Forbidden("is not https")
        address = _literal(target.host)
        if address is not None:
            self.admit(target.host, target.host)
        elif target.host.split(".")[-1] == "localhost":
            if not any(self._admits(loop[0]) for loop in _LOOPBACK):
                raise Forbidden("is this server's own machine")
        elif self.names and not self.networks and not self._is_listed(target.host):
            raise Forbidden("is on no list of receivers of this server")
        return target

    def admit(self, host: str, address: str) -> None:
        """Judge an address that a host has.

        :param host: as in `Target`: a name, or the address itself
        :param address: as the resolver gives it
        :raises Forbidden: no connection may be made to it
        """
        try:
            given = ip_address(address)
        except ValueError:
            raise Forbidden("leads to what is no IP address") from None
        if isinstance(given, IPv6Address) and given.scope_id is not None:
            raise Forbidden(f"leads to {given}, an address of one link")
        meant = _meant(given)
        if self._admits(meant):
            return
        if _is_special(meant):
            raise Forbidden(f"leads to {given}, which is no public address and in no listed network")
        if (self.names or self.networks) and not self._is_listed(host):
            raise Forbidden(f"leads to {given}; neither name nor address are on this server's list")

    def may_answer(self, subscriber: str) -> tuple[str, ...]:
        """The LFDIs of which one has to answer at a subscriber's receiver; empty: any of a good chain."""
        return (subscriber, *self.lfdis.get(subscriber, ())) if self.check_lfdi else ()

    def _is_listed(self, host: str) -> bool:
        if host in self.names:
            return True
        labels = host.split(".")
        return any("*." + ".".join(labels[place:]) in self.names for place in range(1, len(labels)))

    def _admits(self, address: Address) -> bool:
        """Whether loopback or a listed network takes in an address of itself."""
        if _in(address, _NEVER) and not _in(address, _LOOPBACK):
            return False
        if self.loopback and _in(address, _LOOPBACK):
            return True
        around = next((own for own in _OWN if address in own), None)
        return any(
            address in listed and (around is None or _within(listed, around)) for listed in self.networks
        )


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it stands for one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
        if address in _6TO4:
            return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return address


def _is_special(address: Address) -> bool:
    # What is not registered as special today may be tomorrow: Python's table is asked too.
    return _in(address, _NEVER) or _in(address, _OWN) or not address.is_global


def _in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
