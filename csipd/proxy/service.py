"""The proxy as services: where devices connect, and the connections with the server behind that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csipd.net.accept import AcceptLog, watch
from csipd.net.connections import Connections
from csipd.net.peer_log import PeerLog
from csipd.net.port import listen
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.proxy.context import ProxyContext
from csipd.proxy.device import DeviceConnection

#: How often what takes too long is looked for, in seconds.
_LOOK_SECONDS: Final = 1.0
_DAY: Final = 86_400


class ProxySite(Factory):
    """What TLS connections of devices are handed to."""

    noisy = False

    def __init__(self, context: ProxyContext) -> None:
        self.context = context

    @property
    def connections(self) -> Connections:
        """The live connections of devices."""
        return self.context.connections

    @property
    def peer_log(self) -> PeerLog:
        """Writes the lines that peers cause."""
        return self.context.peer_log

    def buildProtocol(self, addr: IAddress | None) -> DeviceConnection:
        return DeviceConnection(self.context)


class ServerSide(Protocol):
    """The connections with the server."""

    def look(self, now: float) -> None: ...
    def close(self) -> None: ...
    def reload(self) -> None: ...


class Upstream(Service):
    """The connections with the server: what takes too long on them is given up, once a second."""

    def __init__(self, side: ServerSide, clock: Any) -> None:
        self._side = side
        self._clock = clock
        self._looking: LoopingCall | None = None

    def startService(self) -> None:
        super().startService()
        self._looking = LoopingCall(lambda: self._side.look(self._clock.seconds()))
        self._looking.clock = self._clock
        self._looking.start(_LOOK_SECONDS, now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._looking is not None and self._looking.running:
            self._looking.stop()
        self._side.close()


class DeviceSide(Service):
    """The socket that devices connect to.

    :param backlog: connections that the kernel keeps until they are accepted
    """

    _log = Logger()

    def __init__(
        self,
        site: ProxySite,
        tls: TLSSettings,
        host: str,
        port: int,
        reactor: Any,
        now: Callable[[], float],
        backlog: int,
    ) -> None:
        self._site = site
        self._settings = tls
        self._host = host
        self._wanted = port
        self._reactor = reactor
        self._now = now
        self._backlog = backlog
        self._tls: ServerTLS | None = None
        self._port: Any = None
        self._daily: LoopingCall | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it does."""
        number: int = self._port.getHost().port
        return number

    def privilegedStartService(self) -> None:
        """Read the keys and bind, which may take rights that the daemon gives up next."""
        log = self._site.peer_log
        self._tls = ServerTLS(self._settings, now=self._now, peer_log=log, what="the proxy")
        self._port = listen(
            self._reactor,
            self._wanted,
            TLSFactory(self._tls, self._site, clock=self._reactor),
            backlog=self._backlog,
            interface=self._host,
            gate=self._site.connections,
        )
        watch(self._port, AcceptLog(log))
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        assert self._tls is not None
        self._daily = LoopingCall(self._tls.warn_if_ending)
        self._daily.clock = self._reactor
        self._daily.start(_DAY, now=False)
        at = f"[{self._host}]" if ":" in self._host else self._host
        self._log.info("proxy: taking devices' requests on {url}", url=f"https://{at}:{self.port}")

    def stopService(self) -> Any:
        super().stopService()
        if self._daily is not None and self._daily.running:
            self._daily.stop()
        return maybeDeferred(self._port.stopListening)

    def reload(self) -> None:
        """Read key, certificate and roots anew, for connections that are made from now on."""
        if self._tls is not None:
            self._tls.reload()
