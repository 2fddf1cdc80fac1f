"""What the daemon and the proxy's own program have in common: bounds, notices, SIGHUP, how they stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, Protocol

from twisted.application.service import MultiService, Service
from twisted.internet.defer import inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from csipd.config import Limits, Settings
from csipd.daemon.backlog import Backlog
from csipd.daemon.descriptors import Capacity
from csipd.daemon.sockets import taken_since
from csipd.net.connections import Connections
from csipd.net.limits import ConnectionLimits
from csipd.net.quotas import Quotas

#: Seconds that requests in the works have to end when the daemon stops: less than an init system waits.
_STOP_TIMEOUT = 10


class _Site(Protocol):
    @property
    def connections(self) -> Connections: ...


class Program(MultiService):
    """All services of a program. They stop one after the other, what others need last: in reverse order."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def privilegedStartService(self) -> None:
        """Open what may take rights that are given up next.

        :raises StartError: a port is in use that was free when it was tried
        """
        try:
            super().privilegedStartService()
        except CannotListenError as error:
            raise taken_since(self._settings, error) from error

    @inlineCallbacks
    def stopService(self) -> Any:
        Service.stopService(self)
        for service in reversed(list(self)):
            yield service.stopService()


class Notices(Service):
    """Writes into the log what was done before there was one."""

    _log = Logger()

    def __init__(self, notices: tuple[str, ...], warnings: tuple[str, ...]) -> None:
        self._notices = notices
        self._warnings = warnings

    def startService(self) -> None:
        super().startService()
        for line in self._notices:
            self._log.info("{line}", line=line)
        for line in self._warnings:
            self._log.warn("{line}", line=line)


class DrainConnections(Service):
    """Lets requests in the works end when the daemon stops, but does not wait for ever."""

    def __init__(self, site: _Site, clock: Any) -> None:
        self._site = site
        self._clock = clock

    def stopService(self) -> Any:
        super().stopService()
        # What was to be written is committed by then; what is left is a peer that does not take its answer.
        return self._site.connections.drain().addTimeout(
            _STOP_TIMEOUT, self._clock, onTimeoutCancel=lambda result, timeout: None
        )


class AtHangup(Service):
    """Has files read anew at SIGHUP.

    :param calls: in their order
    """

    def __init__(self, reactor: Any, calls: Sequence[Callable[[], object]]) -> None:
        self._reactor = reactor
        self._calls = tuple(calls)

    def startService(self) -> None:
        super().startService()
        signal.signal(signal.SIGHUP, self._hang_up)

    def stopService(self) -> None:
        super().stopService()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        # A signal interrupts whatever runs; files are read in the reactor's own turn.
        for call in self._calls:
            self._reactor.callFromThread(call)


def add_all(services: Iterable[Service], tree: MultiService) -> None:
    """Have services started in their order with a tree, and stopped with it."""
    for service in services:
        service.setServiceParent(tree)


def of_the_machine(
    settings: Settings, room: Capacity, backlog: Backlog
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Notices and warnings of what the machine has less of than the configuration says."""
    notices: list[str] = []
    warnings: list[str] = []
    usual = Limits()
    for line, asked in (
        (room.warning, settings.limits.connections != usual.connections),
        (backlog.warning, settings.limits.listen_backlog != usual.listen_backlog),
    ):
        if line is not None:
            (warnings if asked else notices).append(line)  # else nobody asked for so many
    return tuple(notices), tuple(warnings)


def limits_of(settings: Settings, connections: int) -> ConnectionLimits:
    """The bounds of a connection, as the configuration has them.

    :param connections: how many there is room for
    """
    own = settings.limits
    return ConnectionLimits(
        handshake_seconds=own.handshake_timeout,
        idle_seconds=own.idle_timeout,
        request_seconds=own.request_deadline,
        head_bytes=own.header_size,
        uri_bytes=own.uri_length,
        body_bytes=own.body_size,
        # It says what is more than others' bodies: never less than they.
        reading_body_bytes=max(own.reading_body_size, own.body_size),
        reading_bodies_bytes=own.reading_bodies,
        connections=connections,
    )


def quotas_of(settings: Settings) -> Quotas:
    """What one caller may use, as the configuration has it."""
    own = settings.limits
    return Quotas(
        connections=own.connections_per_device,
        aggregator_connections=own.connections_per_aggregator,
        requests_per_second=own.requests_per_second,
        requests_per_managed_device=own.requests_per_managed_device,
        handshakes_per_second=own.handshakes_per_second,
        address_handshakes_per_second=own.address_handshakes_per_second,
        unfinished=own.unfinished_handshakes,
    )
