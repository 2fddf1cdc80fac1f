"""The receiver of an aggregator's notifications: an HTTPS server with the aggregator's own certificate.

Whoever connects has to show a certificate of the roots that the aggregator trusts. What is posted is answered
201, what is no Notification 400, after which a server drops that subscription.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.interfaces import IProtocolFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from csipd.net.tls import ServerTLS, TLSSettings
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.lexical import DocumentError

#: Where notifications are posted to.
PATH: Final = "/notifications"
#: Octets of the longest body.
BODY_LIMIT: Final = 4 << 20
#: Seconds after which a connection without a request is closed: longer than a server waits between two.
_IDLE = 600

#: Whether a notification is welcome.
Receive = Callable[[r.Notification], bool]


def receiver_factory(
    receive: Receive, certificate: Path, key: Path, roots: Path, reactor: Any
) -> IProtocolFactory:
    """What to listen with.

    :param receive: called with each notification
    :param roots: PEM of the roots that servers are trusted by
    :raises csipd.net.tls.TLSError: a file cannot be used
    """
    tls = ServerTLS(
        TLSSettings(private_key=key, certificate=certificate, trust_roots=(roots,)),
        now=time.time,
        announce_end=False,
        what="notifications",
    )
    return TLSMemoryBIOFactory(tls, False, site(receive, reactor), reactor)


def site(receive: Receive, reactor: Any) -> IProtocolFactory:
    """The same below TLS."""
    root = Resource()
    root.putChild(PATH[1:].encode(), _Notifications(receive))
    made = Site(root, requestFactory=_Request, timeout=_IDLE, reactor=reactor)
    made.noisy = False
    return made


class _Request(Request):
    """A request whose body is bounded, and which leaves no line in a log."""

    def gotLength(self, length: int | None) -> None:
        if length is None or length > BODY_LIMIT:
            self.loseConnection()  # what is too long is not taken in
            length = 0
        super().gotLength(length)


class _Notifications(Resource):
    isLeaf = True

    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive = receive

    def render_POST(self, request: Request) -> bytes:
        content: Any = request.content
        try:
            notification = codec.decode(content.read(), r.Notification)
        except DocumentError:
            request.setResponseCode(400)
        else:
            request.setResponseCode(201 if self._receive(notification) else 400)
        return b""
