"""The live connections: whose they are, who has to make room, and whose deadline has passed.

Their number is bounded in three ways, and the newest comes in as a rule: whoever asks has something to say,
and an idle connection is opened again when it is needed. A caller beyond its quota loses its own longest
idle one, a full server the longest idle of all. Which of those whose handshake is not finished make room is
for `handshakes`. What a caller may do is no matter of its connections: it is asked at each request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import nsmallest
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from csipd.net.handshakes import Handshakes
from csipd.net.quotas import Account, Quotas, TokenBucket

#: How often the deadlines are checked, in seconds: how late one may be noticed.
SWEEP_SECONDS = 1.0
# How many of the longest idle connections are looked up together.
_IDLE_BATCH = 256
# Connections beyond the bound that are still closing: one for so many.
_SLACK = 10


class Connection(Protocol):
    """What is asked of a channel here."""

    deadline: float
    write_deadline: float

    @property
    def idle_since(self) -> float | None:
        """A number that is the smaller the longer the connection has been idle; None: it is at work."""

    @property
    def host(self) -> str:
        """The address that it comes from."""

    @property
    def last_used(self) -> float | None:
        """When it was last used, by the clock of deadlines; None before its handshake is finished."""

    def has_unread(self) -> bool:
        """Whether something that the peer has sent waits to be read."""

    def expire(self, now: float) -> None:
        """Close or cut the connection if one of its deadlines has passed."""

    def make_room(self) -> None:
        """Close the connection, and do not wait long for the peer."""

    def loseConnection(self) -> None:
        """Close the connection."""

    def close_when_done(self) -> None:
        """Close the connection when it has no request in progress."""


class Behind(Protocol):
    """A caller that is behind a proxy, on no connection of its own."""

    @property
    def host(self) -> str:
        """The address of the proxy."""

    @property
    def last_used(self) -> float | None:
        """When it last asked for something, by the clock of deadlines."""


class Connections:
    """Every live connection, by caller once that is known, with the one timer that keeps their deadlines.

    :param most: connections at once
    """

    def __init__(self, clock: IReactorTime, quotas: Quotas, most: int) -> None:
        self._clock = clock
        self._quotas = quotas
        self._most = most
        self._live: dict[Connection, Account | None] = {}
        self._accounts: dict[str, Account] = {}
        self._behind: dict[Behind, Account] = {}
        self._handshakes: Handshakes[Connection] = Handshakes(
            clock, quotas.unfinished, quotas.unfinished_per_address
        )
        self._rates: dict[str, TokenBucket] = {}
        self._making_room: set[Connection] = set()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._sweep: IDelayedCall | None = None
        self._gone: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._live)

    @property
    def unfinished(self) -> int:
        """How many connections have not finished their handshake."""
        return len(self._handshakes)

    def account(self, lfdi: str) -> Account | None:
        """What a caller has used of its quotas; None: nothing."""
        return self._accounts.get(lfdi)

    # --- coming in

    def room(self, wanted: int) -> int:
        """How many connections may be accepted now, at most so many as are wanted.

        None while more handshakes go on than are let: who comes then waits in the kernel's queue.
        """
        return self._handshakes.room(wanted)

    def when_room(self, call: Callable[[], None]) -> None:
        """Have this called once, as soon as `room` is not 0."""
        self._handshakes.when_room(call)

    def make_way(self, origin: str) -> str | None:
        """Why a connection from there is not taken, or None where it may come in. Room is made for it.

        :param origin: IPv4 address, or /64 of IPv6
        """
        now = self._clock.seconds()
        quotas = self._quotas
        rate = self._rates.get(origin)
        if rate is None:
            rate = TokenBucket(quotas.address_handshakes_per_second, quotas.address_handshake_burst)
            self._rates[origin] = rate
        if not rate.spend(now):
            return "too many connections begun from there in a short time"
        if len(self._live) >= self._most + self._most // _SLACK + 1:
            return "no room, and the connections that were closed for others are not gone yet"
        in_the_way = self._handshakes.in_the_way(origin)
        if in_the_way is not None:
            self._close(in_the_way)
        if len(self._live) - len(self._making_room) >= self._most:
            longest = self._longest_idle() or self._handshakes.oldest()
            if longest is None:
                return "no room, and no connection is idle"
            self._close(longest)
        return None

    def add(self, connection: Connection, origin: str = "") -> None:
        """Take a connection in; its deadlines are kept from now on."""
        self._live[connection] = None
        self._handshakes.add(connection, origin)
        if self._sweep is None:
            self._sweep = self._clock.callLater(SWEEP_SECONDS, self._check_deadlines)

    def heard(self, connection: Connection) -> None:
        """Note that something was read of a connection whose handshake is not finished."""
        self._handshakes.heard(connection)

    def handshake_finished(self, connection: Connection, lfdi: str) -> Account:
        """Note whose a connection is: its handshake is finished."""
        self._handshakes.finished(connection)
        account = self._account(lfdi)
        self._live[connection] = account
        account.connections[connection] = None
        return account

    def add_behind(self, behind: Behind, lfdi: str) -> Account:
        """Note that a caller is behind a proxy. It has the quotas that it has on connections of its own."""
        account = self._behind[behind] = self._account(lfdi)
        account.behind += 1
        return account

    def remove_behind(self, behind: Behind) -> None:
        """Forget that a caller is behind a proxy."""
        account = self._behind.pop(behind)
        account.behind -= 1
        if account.is_unused(self._clock.seconds()):
            self._accounts.pop(account.lfdi, None)

    def identified(self) -> Iterator[tuple[str, Connection | Behind]]:
        """The callers that are known, with their LFDIs: on connections of their own, and behind proxies."""
        for connection, account in self._live.items():
            if account is not None:
                yield account.lfdi, connection
        for behind, account in self._behind.items():
            yield account.lfdi, behind

    def _account(self, lfdi: str) -> Account:
        account = self._accounts.get(lfdi)
        if account is None:
            account = self._accounts[lfdi] = Account(lfdi, self._quotas)
        return account

    def keep_to_quota(self, account: Account) -> int:
        """Close a caller's longest idle connections but the newest until it is within its quota; how many."""
        closed = 0
        while len(account.connections) > account.most_connections:
            *others, _ = account.connections
            idle = [(each.idle_since, each) for each in others]
            # One that is at work goes only when all are.
            longest = min(
                idle, key=lambda pair: (pair[0] is None, pair[1].deadline if pair[0] is None else pair[0])
            )[1]
            self._close(longest)
            closed += 1
        return closed

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._handshakes.remove(connection)
        self._making_room.discard(connection)
        account = self._live.pop(connection)
        if account is not None:
            account.connections.pop(connection, None)
            if account.is_unused(self._clock.seconds()):
                self._accounts.pop(account.lfdi, None)
        if self._live:
            return
        # What was used up stays used up: who is alone, and comes again and again, has the same quotas.
        self._forget_unused(self._clock.seconds())
        self._idle.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        gone, self._gone = self._gone, []
        for waiting in gone:
            waiting.callback(None)

    # --- going

    def drain(self) -> Deferred[None]:
        """Close every connection as soon as it has no request in progress: the server is going down.

        Fires when the last one is gone, which the limits bound: an answer's time, then a peer's to take it.
        """
        if not self._live:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._gone.append(waiting)
        for connection in list(self._live):
            connection.close_when_done()
        return waiting

    def _close(self, connection: Connection) -> None:
        """Close a connection to make room; from now on it is not counted."""
        self._handshakes.remove(connection)
        self._making_room.add(connection)
        account = self._live[connection]
        if account is not None:
            account.connections.pop(connection, None)
        connection.make_room()

    def _longest_idle(self) -> Connection | None:
        """The longest idle of all. A batch of them is looked up at once, which keeps a flood cheap."""
        for fresh in (False, True):
            if fresh:
                found = (
                    (since, connection)
                    for connection in self._live
                    if connection not in self._making_room and (since := connection.idle_since) is not None
                )
                self._idle = deque(nsmallest(_IDLE_BATCH, found, key=lambda pair: pair[0]))
            while self._idle:
                since, connection = self._idle.popleft()
                # It may have gone, or been used, since the batch was looked up.
                if (
                    connection in self._live
                    and connection not in self._making_room
                    and connection.idle_since == since
                ):
                    return connection
        return None

    def _check_deadlines(self) -> None:
        self._sweep = self._clock.callLater(SWEEP_SECONDS, self._check_deadlines)
        now = self._clock.seconds()
        for connection in [each for each in self._live if now >= each.deadline or now >= each.write_deadline]:
            connection.expire(now)
        self._forget_unused(now)

    def _forget_unused(self, now: float) -> None:
        """Forget what is kept of callers and addresses whose quotas are whole again."""
        for lfdi in [lfdi for lfdi, account in self._accounts.items() if account.is_unused(now)]:
            del self._accounts[lfdi]
        for origin in [origin for origin, rate in self._rates.items() if rate.is_full(now)]:
            del self._rates[origin]
