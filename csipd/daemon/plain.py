"""The listener of plain HTTP in the daemon."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from csipd.config import HostPort, PlainHTTP
from csipd.daemon.start import PreparedDaemon
from csipd.net.accept import AcceptLog, watch
from csipd.net.peer_log import PeerLog
from csipd.net.port import Port, listen
from csipd.plain.answers import Signpost
from csipd.plain.protocol import PlainFactory


class PlainListener(Service):
    """The socket, at the address of devices."""

    _log = Logger()

    def __init__(
        self, at: HostPort, factory: PlainFactory, reactor: Any, peer_log: PeerLog, backlog: int
    ) -> None:
        """Make what opens it.

        :param backlog: connections that the kernel keeps until they are accepted
        """
        self._at = at
        self._factory = factory
        self._reactor = reactor
        self._peer_log = peer_log
        self._backlog = backlog
        self._port: Port | None = None

    def privilegedStartService(self) -> None:
        """Bind, which may take rights that the daemon gives up next."""
        self._port = listen(
            self._reactor,
            self._at.port,
            self._factory,
            backlog=self._backlog,
            interface=self._at.host,
            gate=self._factory,
        )
        watch(self._port, AcceptLog(self._peer_log))
        super().privilegedStartService()

    def startService(self) -> None:
        super().startService()
        assert self._port is not None
        signpost = self._factory.signpost
        self._log.info(
            "plain HTTP on {at} shows the way to {to}",
            at=HostPort(self._at.host, self._port.getHost().port),
            to=signpost.base + signpost.path,
        )

    async def _close(self) -> None:
        assert self._port is not None
        await self._port.stopListening()
        await self._factory.connections.drain()

    def stopService(self) -> Any:
        super().stopService()
        return None if self._port is None else ensureDeferred(self._close())


def build_plain(
    ready: PreparedDaemon,
    wanted: PlainHTTP,
    reactor: Any,
    peer_log: PeerLog,
    backlog: int,
    tree: MultiService,
) -> None:
    """Add the listener that the configuration wants to a tree."""
    settings = ready.settings
    signpost = Signpost(wanted.mode, ready.server.base_uri, settings.dcap_path)
    factory = PlainFactory(
        signpost, clock=reactor, now=ready.wall.now, peer_log=peer_log, log_requests=ready.options.debug
    )
    at = HostPort(settings.server, wanted.port)
    PlainListener(at, factory, reactor, peer_log, backlog).setServiceParent(tree)
