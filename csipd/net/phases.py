"""What a connection of a device waits for, with the server or with the proxy, and for how long."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from csipd.net.limits import ConnectionLimits


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
