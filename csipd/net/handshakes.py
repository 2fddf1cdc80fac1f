"""Handshakes that are not finished: how many there may be, who waits for that, and which are given up.

When a fleet comes back at once there are more of them than the server has room for. Those beyond it wait
where they are, in the kernel's queue, and come in as others finish: to cut a handshake that goes on, for one
that begins, would only have all of it done twice. Some are cut all the same:

- the oldest of an address that has many, where half of the room is used, for one that comes from there;
- those of an address that has a fifth of that and finishes none, but for so many, after `CROWD_SECONDS`;
- those that have said nothing since they came for `SILENCE_SECONDS`, which no client of TLS does, or that
  have gone no further for `STALL_SECONDS`, and for twice as long as others take;
- where no handshake at all was finished for `STALL_SECONDS`, those that are as old as that.

So whoever only opens connections, or begins handshakes and goes no further, has no more of the room than for
so long, and the less the fewer addresses it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, Protocol, TypeVar

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: How old handshakes of an address are that are too many of it, where others wait.
CROWD_SECONDS = 0.25
#: After how many seconds a connection that has said nothing is given up, where others wait.
SILENCE_SECONDS = 1.0
#: For how many seconds one that has begun may say nothing more, and handshakes may go on without one of them
#: being finished, where others wait. A slow device takes two for its signature.
STALL_SECONDS = 3.0
# An address is crowded with one in so many of what it may have.
_CROWD = 5
#: How often it is looked whether there are such, in seconds.
_LOOK_SECONDS = 0.1


class Begun(Protocol):
    """What is asked of a connection here."""

    def has_unread(self) -> bool:
        """Whether something that the peer has sent waits to be read."""


C = TypeVar("C", bound=Begun)


@define(eq=False)
class _Address(Generic[C]):
    """What an address has.

    :param begun: its connections, the oldest first
    :param finished: when a handshake of it was last finished, while it had others
    """

    begun: dict[C, None] = field(factory=dict)
    finished: float = float("-inf")


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
        self._addresses: dict[str, _Address[C]] = {}
        # Since when nothing was read: of those of whom nothing ever was, and of the others. And those of whom
        # that is so for too long.
        self._silent: dict[C, float] = {}
        self._paused: dict[C, float] = {}
        self._mute: dict[C, None] = {}
        # Who makes room for those that come next.
        self._given_up: dict[C, None] = {}
        # When one was last finished, and how long that took. Who began before the last of these is given up.
        self._finished = float("-inf")
        self._took = 0.0
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
        address = self._addresses.get(origin)
        if address is None:
            address = self._addresses[origin] = _Address()
        address.begun[connection] = None
        self._silent[connection] = now

    def heard(self, connection: C) -> None:
        """Something was read of a connection."""
        if connection in self._begun:
            self._forget_silence(connection)
            self._paused[connection] = self._clock.seconds()

    def finished(self, connection: C) -> None:
        """A handshake is finished."""
        found = self._begun.get(connection)
        if found is not None:
            now = self._clock.seconds()
            self._finished = self._addresses[found[0]].finished = now
            self._took = now - found[1]
            self.remove(connection)

    def remove(self, connection: C) -> None:
        """Forget a connection, if it is here."""
        found = self._begun.pop(connection, None)
        if found is None:
            return
        address = self._addresses[found[0]]
        del address.begun[connection]
        if not address.begun:
            del self._addresses[found[0]]
        self._forget_silence(connection)
        if self._waiting and len(self._begun) < self._most:
            self._go_on()

    def _forget_silence(self, connection: C) -> None:
        for silent in (self._silent, self._paused, self._mute, self._given_up):
            silent.pop(connection, None)

    def oldest(self) -> C | None:
        """That which was there first, of all."""
        return next(iter(self._begun), None)

    def in_the_way(self, origin: str) -> C | None:
        """Which one has to be cut for another one from there; None: there is room."""
        here = self._addresses.get(origin)
        if (
            here is not None
            and 2 * len(self._begun) >= self._most
            and len(here.begun) >= self._most_of_address
        ):
            return next(iter(here.begun))
        if len(self._begun) < self._most:
            return None
        return next(iter(self._given_up or self._begun))

    # --- who waits

    def room(self, wanted: int) -> int:
        """For how many there is room, at most so many as are wanted; those that are given up make room."""
        free = self._most - len(self._begun)
        if free >= wanted:
            return wanted
        now = self._clock.seconds()
        self._find_mute(now)
        if now - self._finished >= STALL_SECONDS:
            self._stalled = now - STALL_SECONDS
        self._given_up = dict.fromkeys(islice(self._hopeless(now), wanted))
        return min(max(free, 0) + len(self._given_up), wanted)

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

    def _find_mute(self, now: float) -> None:
        """Find out who has said nothing for too long."""
        # Where all are slow, as the whole of a fleet behind one busy machine, each is as slow as the others.
        pause = max(STALL_SECONDS, 2 * self._took)
        for silent, seconds in ((self._silent, SILENCE_SECONDS), (self._paused, pause)):
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

    def _hopeless(self, now: float) -> Iterator[C]:
        """Those that may be cut for others, some of them twice."""
        few = max(self._most_of_address // _CROWD, 1)
        for address in self._addresses.values():
            if len(address.begun) > few and now - address.finished >= STALL_SECONDS:
                for connection in islice(address.begun, len(address.begun) - few):
                    if now - self._begun[connection][1] < CROWD_SECONDS:
                        break
                    yield connection
        yield from self._mute
        for connection, (_, since) in self._begun.items():
            if since > self._stalled:
                break
            yield connection
