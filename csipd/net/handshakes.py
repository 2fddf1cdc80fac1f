"""Handshakes that are not finished: how many there may be, who waits for that, and which are given up.

When a fleet comes back at once there are more of them than the server has room for. Those beyond it wait
where they are, in the kernel's queue, and come in as others finish: to cut a handshake that goes on, for one
that begins, would only have all of it done twice. Three kinds are cut all the same:

- the oldest of an address that has many, where half of the room is used, for one that comes from there;
- those that have said nothing since they came for `SILENCE_SECONDS`, which no client of TLS does, or that
  have gone no further for `STALL_SECONDS`;
- where no handshake at all was finished for `STALL_SECONDS`, those that are as old as that.

So whoever only opens connections, or begins handshakes and goes no further, has no more of the room than for
so long.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile
from typing import Generic, Protocol, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: After how many seconds a connection that has said nothing is given up, where others wait.
SILENCE_SECONDS = 1.0
#: For how many seconds one that has begun may say nothing more, and handshakes may go on without one of them
#: being finished, where others wait. A slow device takes two for its signature.
STALL_SECONDS = 3.0
#: How often it is looked whether there are such, in seconds.
_LOOK_SECONDS = 0.1


class Begun(Protocol):
    """What is asked of a connection here."""

    def has_unread(self) -> bool:
        """Whether something that the peer has sent waits to be read."""


C = TypeVar("C", bound=Begun)


class Handshakes(Generic[C]):
    """The connections without a finished handshake.

    :param most: at once
    :param most_of_address: of one address, while more than half of that are there
    """

    def __init__(self, clock: IReactorTime, most: int, most_of_address: int) -> None:
        self._clock = clock
        self._most = most
        self._most_of_address = most_of_address
        # Each with where it comes from and since when; the oldest first, as in all of these.
        self._begun: dict[C, tuple[str, float]] = {}
        self._by_origin: dict[str, dict[C, None]] = {}
        # Since when nothing was read: of those of whom nothing ever was, and of the others. And who is given
        # up for it.
        self._silent: dict[C, float] = {}
        self._paused: dict[C, float] = {}
        self._mute: dict[C, None] = {}
        # When one was last finished, and since when those must have begun that are not given up.
        self._finished = float("-inf")
        self._stalled = float("-inf")
        self._waiting: list[Callable[[], None]] = []
        self._look: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._begun)

    def add(self, connection: C, origin: str) -> None:
        """A connection begins.

        :param origin: IPv4 address, or /64 of IPv6
        """
        now = self._clock.seconds()
        self._begun[connection] = origin, now
        self._by_origin.setdefault(origin, {})[connection] = None
        self._silent[connection] = now

    def heard(self, connection: C) -> None:
        """Something was read of a connection."""
        if connection in self._begun:
            self._forget_silence(connection)
            self._paused[connection] = self._clock.seconds()

    def finished(self, connection: C) -> None:
        """A handshake is finished."""
        self._finished = self._clock.seconds()
        self.remove(connection)

    def remove(self, connection: C) -> None:
        """Forget a connection, if it is here."""
        found = self._begun.pop(connection, None)
        if found is None:
            return
        here = self._by_origin[found[0]]
        del here[connection]
        if not here:
            del self._by_origin[found[0]]
        self._forget_silence(connection)
        if self._waiting and len(self._begun) < self._most:
            self._go_on()

    def _forget_silence(self, connection: C) -> None:
        for silent in (self._silent, self._paused, self._mute):
            silent.pop(connection, None)

    def oldest(self) -> C | None:
        """That which was there first, of all."""
        return next(iter(self._begun), None)

    def in_the_way(self, origin: str) -> C | None:
        """Which one has to be cut for another one from there; None: there is room."""
        here = self._by_origin.get(origin, {})
        if 2 * len(self._begun) >= self._most and len(here) >= self._most_of_address:
            return next(iter(here))
        if len(self._begun) < self._most:
            return None
        return next(iter(self._mute or self._begun))

    # --- who waits

    def room(self, wanted: int) -> int:
        """For how many there is room, at most so many as are wanted; those that are given up make room."""
        free = self._most - len(self._begun)
        if free >= wanted:
            return wanted
        self._give_up()
        stalled = takewhile(lambda begun: begun[1] <= self._stalled, self._begun.values())
        given_up = max(len(self._mute), sum(1 for _ in islice(stalled, wanted)))
        return min(max(free, 0) + given_up, wanted)

    def when_room(self, call: Callable[[], None]) -> None:
        """Have this called once, as soon as there is room."""
        self._waiting.append(call)
        if self._look is None:
            self._look = self._clock.callLater(_LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._look = None
        if self.room(1):
            self._go_on()
        else:
            self._look = self._clock.callLater(_LOOK_SECONDS, self._look_again)

    def _go_on(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    def _give_up(self) -> None:
        """Find out who has said nothing for too long, and whether the rest stands still."""
        now = self._clock.seconds()
        for silent, seconds in ((self._silent, SILENCE_SECONDS), (self._paused, STALL_SECONDS)):
            while silent:
                connection, since = next(iter(silent.items()))
                if now - since < seconds:
                    break
                del silent[connection]
                # A server that is late has not read what was said in time.
                if connection.has_unread():
                    silent[connection] = now
                else:
                    self._mute[connection] = None
        if now - self._finished >= STALL_SECONDS:
            self._stalled = now - STALL_SECONDS
