"""The bus of a broker: connected, with a token, for as long as the service runs.

What is lost is made again: after a pause that doubles up to a minute, with some chance in it so that not all
of a platform's clients come back at once. Subscriptions are made anew on each connection; the bus is up once
the broker has confirmed them all. What was to be sent meanwhile is not kept: whoever sends is told.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from secrets import token_hex
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.gridappsd.access import Access
from csipd.gridappsd.broker_tls import BrokerTLS
from csipd.gridappsd.bus import LARGEST, BusState, Handler, Message, NoAnswer
from csipd.gridappsd.connection import Connection
from csipd.gridappsd.live import Live
from csipd.gridappsd.token import NoConnection, TokenRequest
from csipd.net.peer_log import PeerLog
from csipd.stomp.session import Received, Session

#: Octets that wait for the broker to take them, and requests that wait for answers.
MOST_WAITING: Final = 4 << 20
MOST_REQUESTS: Final = 16

#: Pauses between attempts (s): the first, the longest, and how much of one is chance. A connection that held
#: for as long as the longest pause lets them begin anew.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_CHANCE: Final = 0.25
#: How long the broker's machine may take to be found and to answer (s).
_CONNECT_SECONDS: Final = 15.0

#: Who the log speaks of.
_PEER: Final = "the GridAPPS-D bus"


def endpoint_of(access: Access, reactor: Any) -> IStreamClientEndpoint:
    """Where the broker is, with TLS where the configuration says so."""
    host, port = access.broker.host, access.broker.port
    endpoint: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port, timeout=_CONNECT_SECONDS)
    if access.tls:
        endpoint = wrapClientTLS(BrokerTLS(access), endpoint)
    return endpoint


class _Once(Factory):
    """Gives the one connection that it was made for, and says nothing of it in the log."""

    noisy = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        return self._connection


class BrokerBus(Service):
    """A `csipd.gridappsd.bus.Bus` behind a broker.

    :param endpoint: of the broker, see `endpoint_of`
    :param clock: for timers; monotonic
    :param wall: for the times that operators see
    :param draw: a number in 0..1 by chance
    :param largest: octets of a message's body that is taken
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        access: Access,
        clock: IReactorTime,
        wall: Callable[[], float],
        peer_log: PeerLog,
        *,
        draw: Callable[[], float] = random.random,
        largest: int = LARGEST,
    ) -> None:
        self.state = BusState(broker=str(access.broker))
        self._endpoint = endpoint
        self._access = access
        self._clock = clock
        self._wall = wall
        self._peer_log = peer_log
        self._draw = draw
        self._largest = largest
        self._handlers: dict[str, list[Handler]] = {}
        self._when_up: list[Callable[[], None]] = []
        self._pause = _FIRST_PAUSE
        self._up_at = 0.0
        # At a time there is one of these: an attempt to come, one to connect, a connection.
        self._next_attempt: IDelayedCall | None = None
        self._connecting: Deferred[Connection] | None = None
        self._user: TokenRequest | Live | None = None
        self._stopped: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._attempt()

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        if self._next_attempt is not None:
            self._next_attempt.cancel()
            self._next_attempt = None
        if self._connecting is None and self._user is None:
            return None
        stopped = self._stopped = Deferred()
        if self._connecting is not None:
            self._connecting.cancel()
        elif self._user is not None:
            self._user.connection.end()
        return stopped

    def subscribe(self, destination: str, handler: Handler) -> None:
        handlers = self._handlers.setdefault(destination, [])
        handlers.append(handler)
        if len(handlers) == 1 and isinstance(self._user, Live):
            self._user.subscribe(destination)

    def send(self, destination: str, body: bytes, *, reply_to: str | None = None) -> bool:
        live = self._live()
        if live is None:
            self.state.refused["not sent: the bus is down"] += 1
            return False
        if live.waiting + len(body) > MOST_WAITING:
            self.refuse("not sent: the broker is slow", "{octets} octets wait", octets=live.waiting)
            return False
        live.send(destination, body, {} if reply_to is None else {"reply-to": reply_to})
        self.state.sent += 1
        return True

    def request(self, destination: str, body: bytes, seconds: float) -> Deferred[bytes]:
        live = self._live()
        if live is None:
            return fail(NoAnswer("the bus is down"))
        if live.requests >= MOST_REQUESTS or live.waiting + len(body) > MOST_WAITING:
            return fail(NoAnswer("too much waits for the bus already"))
        self.state.sent += 1
        return live.request(destination, body, seconds)

    def when_up(self, call: Callable[[], None]) -> None:
        self._when_up.append(call)
        if self._live() is not None:
            call()

    def refuse(self, kind: str, line: str, /, **values: Any) -> None:
        self.state.refused[kind] += 1
        self._peer_log.warn(self._log, _PEER, kind, f"{{peer}}: {kind}: {line}", peer=_PEER, **values)

    def received(self, destination: str, message: Received) -> None:
        if message.dropped:
            self.refuse("message too large", "{octets} octets", octets=message.dropped)
            return
        self.state.received += 1
        for handler in tuple(self._handlers[destination]):
            self._guarded(partial(handler, Message(destination, message.body, message.headers)))

    def came_up(self) -> None:
        self.state.up_since = self._wall()
        self.state.connections += 1
        self._up_at = self._clock.seconds()
        self._log.info("{peer}: connected to {broker}", peer=_PEER, broker=self.state.broker)
        for call in tuple(self._when_up):
            self._guarded(call)

    def went_down(self, kind: str, reason: str) -> None:
        """Say so, and try again after a pause; or end, where the service has been stopped."""
        self._user = self._connecting = None
        was_up, self.state.up_since = self.state.up_since is not None, None
        if not self.running:
            stopped, self._stopped = self._stopped, None
            if stopped is not None:
                stopped.callback(None)
            return
        if was_up and self._clock.seconds() - self._up_at >= _LONGEST_PAUSE:
            self._pause = _FIRST_PAUSE
        pause = self._pause * (1 - _CHANCE + 2 * _CHANCE * self._draw())
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._next_attempt = self._clock.callLater(pause, self._attempt)
        self.state.last_error, self.state.last_error_at = reason, self._wall()
        self._peer_log.warn(
            self._log,
            _PEER,
            kind,
            "{peer}: {reason}; the next attempt is in {pause:.0f} s",
            peer=_PEER,
            reason=reason,
            pause=pause,
        )

    def _guarded(self, call: Callable[[], object]) -> None:
        """Call what a connection must not be lost for."""
        try:
            call()
        except Exception:
            self.state.refused["fault"] += 1
            line = "{peer}: what came of it failed"
            self._peer_log.failure(self._log, _PEER, "fault", line, peer=_PEER)

    def _live(self) -> Live | None:
        """The connection that messages go over, while the bus is up."""
        return self._user if isinstance(self._user, Live) and self.state.up_since is not None else None

    def _attempt(self) -> None:
        self._next_attempt = None
        name, password = self._access.username, self._access.password
        if not self._access.token:
            self._go_live(name, password, {})
            return
        request = TokenRequest(name, password, f"temp.token_resp.{name}-{token_hex(8)}", self._clock)
        request.token.addCallbacks(self._take_token, self._no_token)
        self._open(request, name, password)

    def _take_token(self, token: str) -> None:
        if self.running:
            self._go_live(token, "", {"GOSS_HAS_SUBJECT": "True", "GOSS_SUBJECT": token})
        else:
            self.went_down("ended", "csipd stops")

    def _no_token(self, failure: Failure) -> None:
        failure.trap(NoConnection)
        error: Any = failure.value
        self.went_down(error.kind, str(error))

    def _go_live(self, login: str, passcode: str, subject: Mapping[str, str]) -> None:
        self._open(Live(self, self._clock, self._handlers, subject), login, passcode)

    def _open(self, user: TokenRequest | Live, login: str, passcode: str) -> None:
        def session(now: float) -> Session:
            return Session(login, passcode, self._access.broker.host, now, most_body=self._largest)

        user.connection = Connection(session, self._clock, user)
        self._user = None
        connecting: Deferred[Any] = self._endpoint.connect(_Once(user.connection))
        self._connecting = connecting
        connecting.addCallbacks(self._opened, self._not_opened, callbackArgs=(user,))

    def _opened(self, connection: Connection, user: TokenRequest | Live) -> None:
        if self._connecting is not None:
            self._connecting, self._user = None, user

    def _not_opened(self, failure: Failure) -> None:
        why = failure.getErrorMessage()[:200]
        self.went_down("no connection", f"{self.state.broker} cannot be reached: {why}")
