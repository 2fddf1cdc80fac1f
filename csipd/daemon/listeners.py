"""The TLS sockets: what is served where, and what is read anew for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csipd.config import HostPort, Settings
from csipd.daemon.failures import StartError
from csipd.daemon.operators import OperatorDirectory
from csipd.daemon.proxies import ProxyDirectory
from csipd.daemon.roots import check_roots
from csipd.net.accept import AcceptLog, watch
from csipd.net.peer_log import PeerLog
from csipd.net.port import listen
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.web.server import Site

#: Seconds between two checks of how long certificates still last.
_DAY = 86_400


@frozen
class Listener:
    """Where a site is served.

    :param what: for the log
    :param path: where a client begins
    :param at_reading: is given its TLS each time that files were read for it
    """

    what: str
    path: str
    host: str
    port: int
    site: Site
    tls: TLSSettings
    at_reading: Callable[[ServerTLS], None] = lambda tls: None


class Listeners(Service):
    """The sockets."""

    _log = Logger()

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[Listener],
        directories: Sequence[OperatorDirectory | ProxyDirectory],
        reactor: Any,
        peer_log: PeerLog,
        backlog: int,
    ) -> None:
        """Make what opens them.

        :param directories: know certificates by their fingerprints
        :param backlog: connections that the kernel keeps, for each of them, until they are accepted
        """
        self._settings = settings
        self._backlog = backlog
        self._listeners = listeners
        self._directories = directories
        self._reactor = reactor
        self._peer_log = peer_log
        self._ports: list[Any] = []
        self._contexts: list[ServerTLS] = []
        self._daily: LoopingCall | None = None

    def port_of(self, number: int) -> int:
        """Where one of the listeners listens, once it does; they are numbered from 0."""
        port: int = self._ports[number].getHost().port
        return port

    def privilegedStartService(self) -> None:
        """Read the keys and bind, which may take rights that the daemon gives up next."""
        log = AcceptLog(self._peer_log)
        for listener in self._listeners:
            # the listeners share the server's certificate: one of them warns of its end.
            first = not self._contexts
            tls = ServerTLS(
                listener.tls,
                now=time.time,
                peer_log=self._peer_log,
                announce_end=first,
                what=listener.what,
            )
            self._contexts.append(tls)
            listener.at_reading(tls)
            factory = TLSFactory(tls, listener.site, clock=self._reactor)
            port = listen(
                self._reactor,
                listener.port,
                factory,
                backlog=self._backlog,
                interface=listener.host,
                gate=listener.site.connections,
            )
            watch(port, log)
            self._ports.append(port)
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        self._daily = LoopingCall(self._warn_of_ends)
        self._daily.clock = self._reactor
        self._daily.start(_DAY, now=False)
        for listener, port in zip(self._listeners, self._ports, strict=True):
            at = HostPort(listener.host, port.getHost().port)
            self._log.info("serving {what} on {url}", what=listener.what, url=f"https://{at}{listener.path}")

    def stopService(self) -> Any:
        super().stopService()
        if self._daily is not None and self._daily.running:
            self._daily.stop()
        return DeferredList([maybeDeferred(port.stopListening) for port in self._ports])

    def reload(self) -> None:
        """Read certificates, roots, operators and proxies anew; connections stay."""
        for listener, tls in zip(self._listeners, self._contexts, strict=True):
            if tls.reload():
                listener.at_reading(tls)
        for directory in self._directories:
            directory.reload()
        try:
            warnings = check_roots(self._settings, (), time.time())
        except StartError:
            return  # a file that cannot be read: the reload has said so
        for line in warnings:
            self._log.warn("{line}", line=line)

    def _warn_of_ends(self) -> None:
        for tls in self._contexts:
            tls.warn_if_ending()
        for directory in self._directories:
            directory.warn_if_ending()
