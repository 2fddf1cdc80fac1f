"""Where a connection comes from: what is logged of it, and what it is counted by."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

_SITE_PREFIX = 64


def host_of(address: Any) -> str:
    """The IP address in an `IAddress`, for the log; another kind of address in its own words."""
    host = getattr(address, "host", None)
    return host if isinstance(host, str) else str(address)


def origin_of(address: Any) -> str:
    """Whom a connection is counted for: an IPv4 address, or the /64 of an IPv6 one."""
    host = getattr(address, "host", None)
    return _origin(host) if isinstance(host, str) else ""


@lru_cache(maxsize=4096)
def _origin(host: str) -> str:
    try:
        ip = ip_address(host)
    except ValueError:
        return host
    if not isinstance(ip, IPv6Address):
        return host
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> _SITE_PREFIX << _SITE_PREFIX)}/{_SITE_PREFIX}"
