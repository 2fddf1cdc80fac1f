"""Log lines that a peer can cause, at a bounded rate.

How often a handshake fails or a request is refused is up to whoever sends them. So each peer has one line
for each reason in an interval: the first is written at once, the rest are counted, and the count is written
when the interval ends or the server does. A peer is an LFDI, or an address where there is none.

The table is bounded twice. Certificates that nobody signed can be made by the thousand, so what comes from
one origin shares a number of entries; and all origins together share the table. What finds no room is
counted too, by origin or in all.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel

#: Seconds in which a peer has one line for each reason.
INTERVAL = 60.0
#: Entries of the table.
LARGEST = 2_000
#: Entries of one origin: enough for the devices of a lab behind one address.
PER_ORIGIN = 100


@frozen
class _Key:
    peer: str
    reason: str


@define
class _Entry:
    """What is held back of one peer and reason."""

    origin: str
    ends: float
    log: Logger
    level: Any
    held: int = 0


class PeerLog(Service):
    """Writes the lines that peers cause. Stopping the service writes what it holds back.

    :param clock: for the intervals
    :param interval: seconds in which a peer has one line for each reason
    :param largest: entries of the table
    :param per_origin: entries of one origin
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        interval: float = INTERVAL,
        largest: int = LARGEST,
        per_origin: int = PER_ORIGIN,
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._largest = largest
        self._per_origin = per_origin
        # In the order in which they end.
        self._entries: dict[_Key, _Entry] = {}
        self._origins: Counter[str] = Counter()
        self._without_room = 0
        self._timer: IDelayedCall | None = None

    @property
    def size(self) -> int:
        """Entries of the table."""
        return len(self._entries)

    def warn(
        self, log: Logger, peer: str, reason: str, line: str, /, *, origin: str = "", **values: Any
    ) -> None:
        """Write a warning, unless this peer had one for this reason in the interval.

        :param log: of the module whose line it is
        :param peer: LFDI or address
        :param reason: a few words from a fixed vocabulary, never what the peer sent
        :param line: format of the line, with its values
        :param origin: address that the peer shares with others
        """
        if self.admits(log, LogLevel.warn, peer, reason, origin):
            log.warn(line, **values)

    def info(
        self, log: Logger, peer: str, reason: str, line: str, /, *, origin: str = "", **values: Any
    ) -> None:
        """Write a line that is no warning, otherwise like `warn`."""
        if self.admits(log, LogLevel.info, peer, reason, origin):
            log.info(line, **values)

    def failure(
        self,
        log: Logger,
        peer: str,
        reason: str,
        line: str,
        failure: Any = None,
        /,
        *,
        origin: str = "",
        **values: Any,
    ) -> None:
        """Write a traceback, otherwise like `warn`; ``failure`` None stands for the exception at hand."""
        if self.admits(log, LogLevel.critical, peer, reason, origin):
            log.failure(line, failure, **values)

    def admits(self, log: Logger, level: Any, peer: str, reason: str, origin: str = "") -> bool:
        """Whether a line is to be written now; one that is not is counted."""
        origin = origin or peer
        entry = self._entries.get(_Key(peer, reason))
        if entry is None and self._origins[origin] >= self._per_origin:
            peer, reason = origin, "other lines from there"
            entry = self._entries.get(_Key(peer, reason))
        if entry is not None:
            entry.held += 1
            return False
        if len(self._entries) >= self._largest:
            self._without_room += 1
            return False
        self._entries[_Key(peer, reason)] = _Entry(origin, self._clock.seconds() + self._interval, log, level)
        self._origins[origin] += 1
        if self._timer is None:
            self._timer = self._clock.callLater(self._interval, self._look)
        return True

    def flush(self) -> None:
        """Write all that is held back, and begin anew."""
        for key in list(self._entries):
            self._end(key)
        self._tell_without_room()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stopService(self) -> None:
        super().stopService()
        self.flush()

    def _look(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for key, entry in list(self._entries.items()):
            if entry.ends > now:
                break
            self._end(key)
        self._tell_without_room()
        first = next(iter(self._entries.values()), None)
        if first is not None:
            self._timer = self._clock.callLater(max(first.ends - now, 0), self._look)

    def _end(self, key: _Key) -> None:
        entry = self._entries.pop(key)
        self._origins[entry.origin] -= 1
        if not self._origins[entry.origin]:
            del self._origins[entry.origin]
        if entry.held:
            entry.log.emit(
                entry.level if entry.level is not LogLevel.critical else LogLevel.error,
                "{peer}: {reason}: {held} more in the last {seconds:.0f} s",
                peer=key.peer,
                reason=key.reason,
                held=entry.held,
                seconds=self._interval,
            )

    def _tell_without_room(self) -> None:
        held, self._without_room = self._without_room, 0
        if held:
            self._log.warn(
                "{held} more lines about other peers in the last {seconds:.0f} s",
                held=held,
                seconds=self._interval,
            )
