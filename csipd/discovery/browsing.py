"""The client's side: which servers answer on some links. zeroconf's, for a command that looks and ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen
from zeroconf import ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

from csipd.discovery.records import SERVICE

#: Milliseconds in which an instance has to say where it is.
_PATIENCE = 2_000
#: Instances that are looked at.
_MOST = 200


@frozen
class Found:
    """An instance of the service as it says of itself.

    :param text: the strings of its TXT record
    """

    name: str
    host: str
    port: int
    addresses: tuple[str, ...]
    text: tuple[str, ...]

    @property
    def dcap(self) -> str | None:
        """Where DeviceCapability is, by its first address; None where it does not say."""
        said = dict(string.partition("=")[::2] for string in self.text)
        if not self.addresses or "dcap" not in said:
            return None
        address = self.addresses[0]
        host = f"[{address}]" if ":" in address else address
        secure = "https" in said
        port = (said["https"] or "443") if secure else str(self.port)
        return f"{'https' if secure else 'http'}://{host}:{port}{said['dcap']}"


def browse(
    addresses: Sequence[str], subtype: str | None, seconds: float, sleep: Callable[[float], None] = time.sleep
) -> list[Found]:
    """Look for servers, or for those with a function set.

    :param addresses: of this machine, on the links where it is looked
    :param seconds: until no more are waited for
    :raises OSError: a link cannot be spoken on
    """
    wanted = SERVICE if subtype is None else f"_{subtype}._sub.{SERVICE}"
    names: dict[str, None] = {}

    def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is ServiceStateChange.Added and len(names) < _MOST:
            names[name] = None
        elif state_change is ServiceStateChange.Removed:
            names.pop(name, None)

    with Zeroconf(interfaces=list(addresses)) as zeroconf:
        ServiceBrowser(zeroconf, wanted, handlers=[changed])
        sleep(seconds)
        return list(_told(zeroconf, sorted(names), subtype))


def _told(zeroconf: Zeroconf, names: Sequence[str], subtype: str | None) -> Iterator[Found]:
    for name in names:
        info = ServiceInfo(SERVICE, name)
        if not info.request(zeroconf, _PATIENCE) or info.port is None or info.server is None:
            continue
        text = tuple(_strings(info.text))
        # zeroconf takes instances of subtypes for those of the type; these have a path of their own.
        if subtype is not None or not any(string.startswith("path=") for string in text):
            yield Found(name, info.server, info.port, tuple(info.parsed_scoped_addresses()), text)


def _strings(octets: bytes) -> Iterator[str]:
    while octets:
        size = octets[0]
        if size:
            yield octets[1 : 1 + size].decode("utf-8", "replace")
        octets = octets[1 + size :]
