"""What all devices' connections to the proxy share: its clocks, bounds, log, and who speaks for a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.web import http

from csipd.net.bodies import BodyRoom
from csipd.net.connections import Connections
from csipd.net.identity import Identify, Identity
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.phases import timeouts
from csipd.proxy.framing import Bounds
from csipd.proxy.lane import Lane
from csipd.proxy.turns import Turns

#: Octets of answers that wait for devices which do not read, over all of them.
MOST_HELD_UP: Final = 64 * 1024 * 1024


@frozen
class Spokesman:
    """On which ways a device's requests go to the server, and what says whose they are.

    :param header_lines: what each of its requests begins with
    :param reading: for GET and HEAD; None: nobody can speak for it
    :param writing: for all else
    """

    header_lines: bytes
    reading: Lane | None
    writing: Lane | None


class Speaking(Protocol):
    """Who speaks for a device."""

    def speak_for(self, transport: Any, identity: Identity) -> Spokesman:
        """Who speaks for the device at the other end of a finished handshake. May raise: it is cut off."""

    def done_with(self, lane: Lane) -> None:
        """Hear that the connection of a device is gone."""


@define(eq=False)
class ProxyContext:
    """What the connections of devices share.

    :param clock: drives every deadline; monotonic
    :param now: the time of day that the proxy's own answers are dated with (epoch s)
    :param host: what stands in Host where a request of HTTP/1.0 has none
    :param log_requests: whether each answer makes one debug line
    :ivar turns: of devices that are connected, by their LFDIs
    """

    clock: IReactorTime
    now: Callable[[], float]
    limits: ConnectionLimits
    connections: Connections
    identify: Identify
    speaking: Speaking
    peer_log: PeerLog
    host: bytes
    log_requests: bool = False
    most_held_up: int = MOST_HELD_UP
    bounds: Bounds = field(init=False)
    bodies: BodyRoom = field(init=False)
    timeouts: tuple[float, ...] = field(init=False)
    held_up: int = field(default=0, init=False)
    turns: dict[str, Turns] = field(factory=dict, init=False)
    _date: tuple[int, bytes] = field(default=(0, b""), init=False)

    def __attrs_post_init__(self) -> None:
        limits = self.limits
        self.bounds = Bounds(
            head=limits.head_bytes,
            lines=limits.header_lines,
            uri=limits.uri_bytes,
            # The server knows which of these are too large for their place.
            body=limits.reading_body_bytes,
        )
        self.bodies = BodyRoom(limits.reading_bodies_bytes)
        self.timeouts = timeouts(limits)

    def join(self, lfdi: str) -> Turns:
        """The turns of a device of which there is one connection more."""
        turns = self.turns.get(lfdi)
        if turns is None:
            turns = self.turns[lfdi] = Turns(self.limits.answer_seconds, self.clock.seconds)
        turns.connections += 1
        return turns

    def leave(self, lfdi: str) -> None:
        """Hear that there is one less."""
        turns = self.turns[lfdi]
        turns.connections -= 1
        if not turns.connections:
            del self.turns[lfdi]

    def hold_up(self, octets: int) -> bool:
        """Take room for an answer that its device does not read; False: there is none."""
        if self.held_up + octets > self.most_held_up:
            return False
        self.held_up += octets
        return True

    def let_go(self, octets: int) -> None:
        """Give it back."""
        self.held_up -= octets

    def date(self) -> bytes:
        """The time of day as a Date header has it, made once a second."""
        now = int(self.now())
        if self._date[0] != now:
            self._date = (now, http.datetimeToString(now))
        return self._date[1]
