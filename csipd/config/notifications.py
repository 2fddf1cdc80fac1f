"""The section ``notifications``: where they may go, and what sending them may cost."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_network

from csipd.config.document import Node
from csipd.config.fields import (
    Fields,
    InvalidValue,
    boolean,
    did_you_mean,
    fixed_hex,
    integer,
    is_host,
    once,
    scalar,
)
from csipd.config.settings import Notifications
from csipd.der.receivers import Network, ReceiverPolicy
from csipd.der.subscribing import SubscriptionLimits

_DELIVERY = {
    "at_once": (2, 10_000),
    "connections": (1, 100_000),
    "connections_per_receiver": (1, 100),
    "connect_timeout": (1, 300),
    "answer_timeout": (1, 300),
    "idle_timeout": (1, 3600),
}
_SUBSCRIPTIONS = {
    "subscriptions_per_device": ("per_device", (1, 10_000)),
    "subscriptions_per_aggregator": ("per_aggregator", (1, 10_000_000)),
    "subscriptions_per_managed_device": ("per_managed_device", (0, 1_000)),
    "expiry": ("expiry", (86_400, 31_536_000)),
}
_LFDI = fixed_hex(20, "an LFDI")


def read_notifications(top: Fields, ids: Collection[str]) -> Notifications:
    """Read the section.

    :param ids: of the file's devices and aggregators
    """
    section = top.section("notifications")
    if section is None:
        return Notifications()
    allowed = section.listed("allow", _allowed)
    usual = Notifications()
    delivery = {
        name: section.get(name, integer(*bounds), getattr(usual, name)) for name, bounds in _DELIVERY.items()
    }
    bounds = {
        name: section.get(key, integer(*bounds), getattr(SubscriptionLimits(), name))
        for key, (name, bounds) in _SUBSCRIPTIONS.items()
    }
    found = Notifications(
        receivers=ReceiverPolicy(
            names=frozenset(entry for entry in allowed if isinstance(entry, str)),
            networks=tuple(entry for entry in allowed if not isinstance(entry, str)),
            check_lfdi=section.get("check_lfdi", boolean, True),
            lfdis=_read_receivers(section, ids),
        ),
        limits=SubscriptionLimits(direct=section.get("direct_subscriptions", boolean, True), **bounds),
        **delivery,
    )
    section.close()
    return found


def _allowed(node: Node) -> str | Network:
    """A host name, ``*.`` and a domain, an address or a network of addresses."""
    expected = "a host name, *.domain, an address or a network such as 10.1.0.0/16"
    written = scalar(node, expected).text
    try:
        return ip_network(written)
    except ValueError as error:
        if "host bits" in str(error):
            network = ip_network(written, strict=False)
            raise InvalidValue(expected, f"the network is written {network}") from None
    name = written.lower().removesuffix(".")
    if "/" in written or ":" in name or not is_host(name.removeprefix("*.")):
        raise InvalidValue(expected)
    return name


def _read_receivers(section: Fields, ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Who may answer besides a subscriber, by its id in the file or its LFDI."""
    seen: dict[str, int] = {}
    found = {}

    def subscriber(node: Node) -> str:
        expected = "an LFDI, or the id of a device or aggregator in this file"
        written = scalar(node, expected).text
        if written in ids:
            return written
        try:
            return _LFDI(node)
        except InvalidValue:
            raise InvalidValue(expected, did_you_mean(written, ids)) from None

    for entry in section.each("receivers"):
        name = entry.need("subscriber", subscriber, "")
        once(entry, "subscriber", name, seen)
        lfdis = entry.listed("lfdis", _LFDI)
        if not entry.has("lfdis"):
            entry.error("lfdis", "expected the LFDIs that may answer for this subscriber, found none")
        entry.close()
        found[name] = lfdis
    return found
