"""The keys of the proxy: where it listens, how it speaks for devices, which proxies the server believes."""

from __future__ import annotations

import re
from typing import Final

from csipd.config.document import Node
from csipd.config.doors import HostPort, Proxy, ProxyMode
from csipd.config.fields import Fields, InvalidValue, boolean, fixed_hex, is_host, scalar, word_of

_FINGERPRINT: Final = fixed_hex(32, "the SHA-256 fingerprint of a proxy's certificate")
_PORT_DIGITS = re.compile("[0-9]{1,5}")
_LAB_ONLY = (
    "the proxy speaks with the keys of devices, which have to lie in tls_repository: for labs alone; with "
    "proxy_mode: hop it has a certificate of its own"
)


def host_port(node: Node) -> HostPort:
    """``host:port``, an IPv6 address in brackets."""
    expected = "host:port"
    name, _, port = scalar(node, expected).text.rpartition(":")
    bracketed = name.startswith("[") and name.endswith("]")
    name = name[1:-1] if bracketed else name
    if (
        bracketed != (":" in name)
        or not is_host(name)
        or not _PORT_DIGITS.fullmatch(port)
        or int(port) > 65_535
    ):
        raise InvalidValue(expected)
    return HostPort(name, int(port))


def read_proxy(top: Fields) -> Proxy:
    """Read ``proxy_hostname``, ``proxy``, ``proxy_mode`` and ``proxies``."""
    found = Proxy(
        listen=top.get("proxy_hostname", host_port, None),
        inside=top.get("proxy", boolean, False),
        mode=top.get("proxy_mode", word_of(ProxyMode), ProxyMode.HOP),
        proxies=top.listed("proxies", _FINGERPRINT),
    )
    if not top.has("proxy_hostname"):
        for key in ("proxy", "proxy_mode"):
            if top.has(key) and (key != "proxy" or found.inside):
                top.error(key, "expected proxy_hostname beside it, which says where the proxy listens")
    elif found.mode is ProxyMode.DEVICE_KEYS:
        top.warn("proxy_mode", _LAB_ONLY)
    return found
