"""The keys of discovery: whether clients find the server by mDNS, on which links, by which name."""

from __future__ import annotations

from ipaddress import ip_address

from csipd.config.document import Node
from csipd.config.doors import Discovery, PlainHTTP
from csipd.config.fields import Fields, InvalidValue, boolean, is_address, matching, scalar

#: Octets of an interface's name that Linux takes.
_LONGEST_INTERFACE = 15
#: So long that the SFDI, a subtype and a number after a conflict still find room in a label of 63 octets.
NAME = "[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?"

_NAME = matching(
    NAME,
    "a name of at most 40 letters, digits and dashes, which begins and ends without a dash",
)


def read_discovery(top: Fields, https_port: int | None, plain: PlainHTTP | None) -> Discovery | None:
    """Read ``mdns``, ``mdns_interfaces`` and ``mdns_name``; None where nothing is announced.

    :param plain: the listener without TLS, where there is one
    """
    wanted = top.get("mdns", boolean, False)
    found = Discovery(
        interfaces=top.listed("mdns_interfaces", _interface),
        name=top.get("mdns_name", _NAME, Discovery(()).name),
    )
    if not wanted:
        return None
    if not top.has("mdns_interfaces") or top.size("mdns_interfaces") == 0:
        top.error("mdns", "expected mdns_interfaces beside it, the interfaces to be found on, such as [eth0]")
    for key, port in (("https_port", https_port), ("http_port", plain and plain.port)):
        if port == 0:
            named = key if top.has(key) else "mdns"
            top.error(named, f"expected a fixed {key} beside mdns: true, since it is announced, got 0")
    return found


def _interface(node: Node) -> str:
    """The name of an interface, or one of its addresses."""
    expected = "the name of an interface, such as eth0, or an address of it"
    written = scalar(node, expected).text
    if is_address(written) and "%" not in written:
        address = ip_address(written)
        if address.is_unspecified or address.is_multicast:  # no interface has these
            raise InvalidValue(expected)
        return str(address)
    octets = len(written.encode())
    if not 0 < octets <= _LONGEST_INTERFACE or not written.isprintable() or set(written) & set("/ :"):
        raise InvalidValue(expected)
    return written
