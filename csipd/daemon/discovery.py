"""Discovery in the daemon: whether it can be, and what is built for it. Off, none of its modules loads."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from csipd import config
from csipd.config import Settings
from csipd.daemon.failures import StartError
from csipd.net.peer_log import PeerLog
from csipd.sep2.identity import sfdi

if TYPE_CHECKING:
    from csipd.discovery.records import Advertisement
    from csipd.discovery.service import Discovery

#: Packages of the extra.
_PACKAGES = ("zeroconf", "ifaddr")


def check_discovery(settings: Settings) -> None:
    """See that what discovery needs is installed, where it is wanted. StartError."""
    missing = [name for name in _PACKAGES if settings.discovery is not None and find_spec(name) is None]
    if missing:
        message = f"needs the package {missing[0]}, which is not installed: pip install 'csipd[mdns]'"
        raise StartError(settings.problem("mdns", message))


def advertisement(settings: Settings, lfdi: str, name: str | None = None) -> Advertisement:
    """What is, or would be, announced of the server.

    :param lfdi: the server's own
    :param name: in the place of the configuration's
    """
    from csipd.discovery.records import Advertisement

    return Advertisement(
        name=name or (settings.discovery or config.Discovery(())).name,
        sfdi=sfdi(lfdi),
        https_port=settings.https_port,
        dcap=settings.dcap_path,
        http_port=None if settings.plain is None else settings.plain.port,
    )


def build_discovery(settings: Settings, lfdi: str, reactor: Any, peer_log: PeerLog) -> Discovery | None:
    """What announces the server; None where nothing does.

    :param lfdi: the server's own
    """
    if settings.discovery is None:
        return None
    from csipd.discovery.interfaces import Served, interfaces
    from csipd.discovery.service import Discovery

    said = settings.discovery
    ((_, _, _, _, (listened, *_)), *_) = socket.getaddrinfo(
        settings.server, settings.https_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return Discovery(
        advertisement(settings, lfdi),
        said.interfaces,
        Served.at((str(listened),)),
        reactor,
        peer_log,
        SystemRandom().random,
        interfaces,
    )
