"""What all connections of one site share: its clocks, bounds, quotas, log and the questions it asks.

A channel and a site would otherwise have to know each other.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from csipd.net.bodies import BodyRoom
from csipd.net.connections import Connections
from csipd.net.contacts import Contacts
from csipd.net.identity import Identify
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.quotas import LookUp
from csipd.net.tls_failures import log_failed_handshake
from csipd.sep2.site import Place, locate
from csipd.web.endpoint import Answerer
from csipd.web.errors import Fault
from csipd.web.peer import Peer

#: Finds the whole answer, from status line to body, that was given before to a caller (LFDI) for the octets
#: of a GET, or None.
FindAnswer = Callable[[str, bytes], bytes | None]


class Proxies(Protocol):
    """The proxies that the site believes."""

    @property
    def fingerprints(self) -> Set[str]:
        """Those of their certificates."""

    def adopt(self, connection: Any) -> None:
        """Take a connection for that of a proxy, which speaks for devices."""


@define(eq=False)
class SiteContext:
    """What the connections of one site share.

    :param clock: drives every deadline; monotonic
    :param now: the time of day that answers are dated with (epoch s)
    :param look_up: asks who a caller is before a body of its is read; None: everybody's is read
    :param contacts: keeps when callers were last heard of, where that is wanted
    :param fault: the answer to what is refused before a resource is asked, or after one has failed
    :param endpoint: answers ordinary requests; None: all go the long way
    :param find_answer: finds what it answered before; asked only beside an endpoint
    :param locate: the place at a path
    :param proxies: who may speak for others; None: nobody
    :param log_requests: whether each answer makes one debug line
    """

    clock: IReactorTime
    now: Callable[[], float]
    limits: ConnectionLimits
    connections: Connections
    identify: Identify
    fault: Fault
    peer_log: PeerLog
    endpoint: Answerer | None = None
    find_answer: FindAnswer | None = None
    look_up: LookUp | None = None
    contacts: Contacts | None = None
    locate: Callable[[str], Place | None] = locate
    proxies: Proxies | None = None
    log_requests: bool = False
    large_bodies: BodyRoom = field(init=False)
    _date: tuple[int, bytes] = field(default=(0, b""), init=False)

    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.large_bodies = BodyRoom(self.limits.reading_bodies_bytes)

    def date(self) -> bytes:
        """The time of day as a Date header has it, made once a second."""
        now = int(self.now())
        if self._date[0] != now:
            self._date = (now, http.datetimeToString(now))
        return self._date[1]

    def log_answer(self, peer: Peer, method: bytes, target: bytes, status: int, length: int) -> None:
        """Write a line about an answer, where that is wanted.

        :param length: of the body that was sent (octets)
        """
        if self.log_requests:
            self._log.debug(
                "{lfdi} {method} {uri} {code} {length}",
                lfdi=peer.identity.lfdi,
                method=method.decode("ascii", "replace"),
                uri=target.decode("ascii", "replace"),
                code=status,
                length=length,
            )

    def handshake_failed(self, peer: Any, reason: Failure) -> None:
        """Log that a peer did not get through the handshake, if it was OpenSSL that objected.

        What the verdict on a certificate was is in the log already, from where it was found.
        """
        log_failed_handshake(self.peer_log, self._log, peer, reason)
