"""The interfaces of this machine: which are meant, and which addresses of theirs the server is reached at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import ifaddr
from attrs import frozen

from csipd.discovery.carriers import Carrier, carriers
from csipd.discovery.records import Address

Network = IPv4Network | IPv6Network

#: Addresses of an interface that are announced, of each family.
_MOST = 4
_CONNECTED = Carrier(True, 0)


@frozen
class Interface:
    """An interface as the system has it.

    :param addresses: with the networks that they are on
    :param carrier: whether it is connected
    """

    name: str
    index: int
    addresses: tuple[tuple[Address, Network], ...]
    carrier: Carrier = _CONNECTED

    def is_called(self, written: str) -> bool:
        """Whether the configuration means it: by its name, or by an address of it."""
        return written == self.name or any(written == str(address) for address, _ in self.addresses)

    @property
    def networks(self) -> tuple[Network, ...]:
        """Where whoever is on the link has its address."""
        return tuple(dict.fromkeys(network for _, network in self.addresses))


#: Gives the interfaces of the machine. OSError where the system does not tell.
Lister = Callable[[], Sequence[Interface]]


def interfaces() -> list[Interface]:
    """The interfaces of this machine."""
    found = []
    connected = carriers()
    for adapter in ifaddr.get_adapters():
        addresses = []
        for one in adapter.ips:
            written = one.ip if isinstance(one.ip, str) else one.ip[0]
            address = ip_address(written.partition("%")[0])
            addresses.append((address, ip_network(f"{address}/{one.network_prefix}", strict=False)))
        if adapter.index is not None:
            carrier = connected.get(adapter.index, _CONNECTED)
            found.append(Interface(adapter.name, adapter.index, tuple(addresses), carrier))
    return found


@frozen
class Served:
    """Where the server listens.

    :param every: the versions of IP of which it listens at every address
    :param addresses: those that it listens at, where it is not every one
    """

    every: frozenset[int]
    addresses: frozenset[Address]

    @classmethod
    def at(cls, listened: Iterable[str]) -> Served:
        """Of the addresses that are listened at; ``::`` takes IPv4, too."""
        given = [ip_address(one.partition("%")[0]) for one in listened]
        every = {one.version for one in given if one.is_unspecified}
        return cls(
            frozenset(every | ({4} if 6 in every else set())),
            frozenset(one for one in given if not one.is_unspecified),
        )

    def on(self, interface: Interface) -> tuple[Address, ...]:
        """The addresses of an interface at which the server is reached there."""
        found = [
            address
            for address, _ in interface.addresses
            if address.version in self.every or address in self.addresses
        ]
        return tuple(one for version in (4, 6) for one in [a for a in found if a.version == version][:_MOST])
