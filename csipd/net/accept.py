"""Connections that cannot be accepted, at a bounded rate in the log (case F12).

When descriptors run out Twisted gives up a spare one for each connection that waits, closes it, and writes a
line for every one of them. Whoever connects decides how many those are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from zope.interface import implementer

from csipd.net.peer_log import PeerLog

#: How Twisted's lines about a connection begin; each stands for one.
_CLOSED = "EMFILE recovery: Closed socket"
_REFUSED = "Could not accept new connection"
#: What it says before and after, once for all that wait.
_AROUND = ("EMFILE encountered", "Re-reserving EMFILE")


@implementer(ILogObserver)
class AcceptLog:
    """An observer for what a listening port logs: one line a minute for all that it could not accept.

    :param peer_log: keeps the rate
    :param publish: where anything else that the port logs goes
    """

    _log = Logger()

    def __init__(
        self,
        peer_log: PeerLog,
        publish: Callable[[dict[str, Any]], None] = globalLogPublisher,
    ) -> None:
        self._peer_log = peer_log
        self._publish = publish

    def __call__(self, event: dict[str, Any]) -> None:
        """Take one event of the port's logger."""
        format = str(event.get("log_format"))
        if format.startswith(_AROUND):
            return
        if format.startswith(_CLOSED):
            self._refused("no file descriptor is left")
        elif format.startswith(_REFUSED):
            self._refused(str(event.get("acceptError")))
        else:
            self._publish(event)

    def _refused(self, reason: str) -> None:
        self._peer_log.warn(
            self._log,
            "listening",
            "a connection could not be accepted",
            "a connection could not be accepted: {reason}",
            reason=reason,
        )


def watch(port: IListeningPort, log: AcceptLog) -> None:
    """Have a listening TCP port log through an `AcceptLog`.

    Twisted has no public way to this: a port writes what it could not accept to the observer of its logger.
    """
    if hasattr(port, "_logger"):
        vars(port)["_logger"] = Logger("twisted.internet.tcp.Port", observer=log)
