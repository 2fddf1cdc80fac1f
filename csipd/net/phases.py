"""What a connection of a device waits for, with the server or with the proxy, and for how long."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from csipd.net.limits import ConnectionLimits
from csipd.net.origin import host_of


class Phase(IntEnum):
    """What a connection waits for; the index of its deadline in `timeouts`."""

    HANDSHAKE = 0
    IDLE = 1
    REQUEST = 2
    ANSWER = 3
    CLOSING = 4


# Compared at every step of every request, which an attribute of the enumeration would slow down.
HANDSHAKE, IDLE, REQUEST, ANSWER, CLOSING = Phase

#: How long (s) a peer that has all that it asked for is waited for to close, where others wait for its place.
CLOSE_SECONDS: Final = 1.0
#: What is taken in of what is not wanted, so that its sender gets to read the answer.
DRAIN_BYTES: Final = 64 * 1024


def timeouts(limits: ConnectionLimits) -> tuple[float, ...]:
    """For how many seconds a connection stays in each phase."""
    return (
        limits.handshake_seconds,
        limits.idle_seconds,
        limits.request_seconds,
        limits.answer_seconds,
        limits.drain_seconds,
    )


class InPhases:
    """What a connection that goes through these says of itself to `csipd.net.connections`.

    :ivar deadline: of what its phase waits for, by the clock of deadlines (s)
    """

    transport: Any
    deadline: float
    _phase: Phase

    def has_unread(self) -> bool:
        """Whether something that the peer has sent waits to be read."""
        waits: bool = self.transport.has_unread()
        return waits

    @property
    def idle_since(self) -> float | None:
        """A number that is the smaller the longer the connection has been idle; None: it is at work."""
        return self.deadline if self._phase is IDLE else None

    @property
    def host(self) -> str:
        """The address of the peer."""
        return host_of(self.transport.getPeer())
