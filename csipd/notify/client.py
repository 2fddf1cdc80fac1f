"""One POST to a receiver over a connection that is kept for the next one.

A name is looked up each time that a connection is made; each address that it has is judged, and the one that
was judged is connected to (`csipd.der.receivers`). Redirects are not followed: a status is a status. A kept
connection may have been closed by its receiver just when something was sent on it. Where nothing at all was
answered on such a one it is sent once more, on a new connection; a receiver may so get a Notification twice.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from csipd.der.receivers import Forbidden, ReceiverPolicy, Target
from csipd.net.client_tls import ClientTLS, is_address
from csipd.net.identity import Identify
from csipd.notify.connection import ReceiverConnection
from csipd.notify.failures import ClosedInSilence, Undelivered, Unreachable
from csipd.notify.pace import HANDSHAKES, Pace

#: Addresses of a name that are tried, one after the other.
MOST_ADDRESSES: Final = 4

_Place = tuple[bool, str, int]

Resolve = Callable[[str], Deferred[list[str]]]
#: Connects to an address and port with a protocol of a factory; the protocol, or a ConnectError.
Connect = Callable[[str, int, IProtocolFactory], Deferred[Any]]


@frozen
class ClientLimits:
    """What a receiver may take of time and room; seconds.

    :param connections: that are open at once, in use or kept
    :param connecting: from the look-up of a name to the end of the handshake
    :param answering: from a request's first octet to the answer's last
    :param idle: that a connection without use is kept
    """

    connections: int
    connecting: float
    answering: float
    idle: float


class Client:
    """Sends Notifications.

    :param clock: for deadlines
    :param now: time of day (epoch s), real: certificates end by it
    :param policy: where they may go
    :param tls: the side of TLS that connects
    :param identify: finds out whose certificate answers
    """

    def __init__(
        self,
        clock: Any,
        now: Callable[[], float],
        policy: ReceiverPolicy,
        resolve: Resolve,
        connect: Connect,
        tls: Callable[[], ClientTLS],
        identify: Identify,
        limits: ClientLimits,
    ) -> None:
        self._clock = clock
        self._now = now
        self._policy = policy
        self._resolve = resolve
        self._connect = connect
        self._tls = tls
        self._identify = identify
        self._limits = limits
        self._handshakes = Pace(clock, HANDSHAKES)
        self._connections: set[ReceiverConnection] = set()
        # Those that wait for their next use; the one that has waited longest first.
        self._idle: OrderedDict[ReceiverConnection, IDelayedCall] = OrderedDict()
        self._idle_at: dict[_Place, list[ReceiverConnection]] = {}
        self._places: dict[ReceiverConnection, _Place] = {}
        self._closing: list[Deferred[None]] = []

    @property
    def connections(self) -> int:
        """How many are open, or are being opened."""
        return len(self._connections)

    def post(self, uri: str, lfdis: tuple[str, ...], body: bytes) -> Deferred[int]:
        """Send a Notification; fires with the status that it is answered with.

        Fails with `Undelivered`: `Unreachable` where that is so for all that goes to this receiver,
        `Unanswered` where it may have arrived all the same.

        :param lfdis: of which one has to answer; empty: any
        """
        return ensureDeferred(self._post(uri, lfdis, body))

    def close(self) -> Deferred[None]:
        """Close all connections, in use or not; fires when they are gone."""
        for connection in list(self._connections):
            self._forget(connection)
            connection.abort()
        gone: Deferred[None] = Deferred()
        self._closing.append(gone)
        self._tell_closing()
        return gone

    async def _post(self, uri: str, lfdis: tuple[str, ...], body: bytes) -> int:
        try:
            target = self._policy.target(uri)
        except Forbidden as error:
            raise Undelivered(f"the notificationURI {error}") from error
        request = _request(target, body)
        kept = self._take(target)
        if kept is not None:
            try:
                return await self._send(kept, lfdis, request)
            except ClosedInSilence:
                pass
        return await self._send(await self._connect_to(target), lfdis, request)

    async def _send(self, connection: ReceiverConnection, lfdis: tuple[str, ...], request: bytes) -> int:
        try:
            identity = connection.identity
            if lfdis and identity is not None and identity.lfdi not in lfdis:
                raise Undelivered(
                    f"LFDI {identity.lfdi} answers there, which is neither the subscriber's nor listed for it"
                )
            return await connection.post(request, self._limits.answering)
        finally:
            self._keep(connection)

    async def _connect_to(self, target: Target) -> ReceiverConnection:
        """A new connection, within its deadline; that runs from when it may begin."""
        seconds = self._limits.connecting
        await self._handshakes.turn()
        try:
            opening = ensureDeferred(self._open(target))
        finally:
            self._handshakes.begun()
        try:
            return await opening.addTimeout(seconds, self._clock)
        except DeadlineError:
            raise Unreachable(f"no connection within {seconds:g} s") from None

    async def _open(self, target: Target) -> ReceiverConnection:
        error = Unreachable(f"{target.host} has no address")
        for address in (await self._addresses(target.host))[:MOST_ADDRESSES]:
            self._make_room()
            connection = self._new(target)
            ready = connection.ready
            try:
                await self._connect(address, target.port, self._factory(target, connection))
            except ConnectError as refused:
                self._lost(connection)
                error = Unreachable(f"{address} port {target.port}: {_said(refused)}")
                continue
            except BaseException:
                self._lost(connection)
                raise
            await ready
            return connection
        raise error

    async def _addresses(self, host: str) -> list[str]:
        """The addresses of a host that may be connected to."""
        found = [host] if is_address(host) else await self._resolve(host)
        admitted = []
        why = "has no address"
        for address in found:
            try:
                self._policy.admit(host, address)
            except Forbidden as error:
                why = str(error)
            else:
                admitted.append(address)
        if not admitted:
            raise Unreachable(f"{host} {why}")
        return admitted

    def _new(self, target: Target) -> ReceiverConnection:
        connection = ReceiverConnection(self._clock, self._identify if target.secure else None, self._lost)
        self._connections.add(connection)
        self._places[connection] = _place_of(target)
        return connection

    def _factory(self, target: Target, connection: ReceiverConnection) -> IProtocolFactory:
        factory: Any = _OneConnection(connection)
        if target.secure:
            factory = TLSMemoryBIOFactory(self._tls().to(target.host), True, factory, self._clock)
            # A request is written in one piece; to gather small writes would cost a timer for each.
            factory.protocol = TLSMemoryBIOProtocol
        made: IProtocolFactory = factory
        return made

    def _make_room(self) -> None:
        """Close the connection that was idle longest, where there are as many as there may be."""
        if self._idle and len(self._connections) >= self._limits.connections:
            self._let_go(next(iter(self._idle)))

    def _take(self, target: Target) -> ReceiverConnection | None:
        """A kept connection of which the certificate is still good."""
        for connection in reversed(self._idle_at.get(_place_of(target), ())):
            self._forget(connection)
            end = None if connection.identity is None else connection.identity.not_after
            if end is None or end > self._now():
                return connection
            connection.close()
        return None

    def _keep(self, connection: ReceiverConnection) -> None:
        if connection.usable:
            self._idle[connection] = self._clock.callLater(self._limits.idle, self._let_go, connection)
            self._idle_at.setdefault(self._places[connection], []).append(connection)

    def _let_go(self, connection: ReceiverConnection) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: ReceiverConnection) -> None:
        """Take a connection out of those that wait for their next use."""
        timer = self._idle.pop(connection, None)
        if timer is None:
            return
        if timer.active():
            timer.cancel()
        place = self._places[connection]
        self._idle_at[place].remove(connection)
        if not self._idle_at[place]:
            del self._idle_at[place]

    def _lost(self, connection: ReceiverConnection) -> None:
        self._forget(connection)
        self._connections.discard(connection)
        self._places.pop(connection, None)
        self._tell_closing()

    def _tell_closing(self) -> None:
        if not self._connections:
            closing, self._closing = self._closing, []
            for gone in closing:
                gone.callback(None)


class _OneConnection(Factory):
    """Gives the one connection that it was made for."""

    noisy = False

    def __init__(self, connection: ReceiverConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: Any) -> ReceiverConnection:
        return self._connection


def connect_with(reactor: Any, seconds: float) -> Connect:
    """Connections by a reactor.

    :param seconds: for the kernel to connect
    """

    def connect(address: str, port: int, factory: IProtocolFactory) -> Deferred[Any]:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        connected: Deferred[Any] = kind(reactor, address, port, seconds).connect(factory)
        return connected

    return connect


def _request(target: Target, body: bytes) -> bytes:
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n"
        f"Content-Type: application/sep+xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def _place_of(target: Target) -> _Place:
    return target.secure, target.host, target.port


def _said(error: ConnectError) -> str:
    number = error.osError
    return os.strerror(number) if isinstance(number, int) else (str(error) or "cannot be connected to")
