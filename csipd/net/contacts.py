"""When each caller was last heard of, from where, and what it was refused, until it is written in batches.

A connection knows when it was last used, so a request costs nothing here. What is taken down is the end of a
connection and each refusal; the connections that are open are asked when what changed is collected
(decision 43).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from attrs import define

#: Callers about whom something is kept that was not collected yet.
MOST = 100_000
#: How much of the reason of a refusal is kept.
LONGEST_REASON = 200


@define
class Contact:
    """What is new about a caller.

    :param at: when it was last heard of (epoch s)
    :param host: the address that it came from
    :param refusals: how many of its requests were refused since the last time
    :param refused: when the last of these was (epoch s)
    :param reason: why that was
    """

    lfdi: str
    at: float
    host: str
    refusals: int = 0
    refused: float | None = None
    reason: str | None = None


class OpenConnection(Protocol):
    """A connection that is open."""

    @property
    def host(self) -> str:
        """The address that it comes from."""

    @property
    def last_used(self) -> float | None:
        """When it was last used, by the clock of deadlines; None before its handshake is finished."""


class Contacts:
    """What is new about callers since it was last collected.

    :param clock: seconds of the clock that connections go by; monotonic
    :param wall: seconds since 1970
    :param speed: how many of its seconds pass in one of the clock's: 1 but in a lab
    :param most: callers of whom something is kept; at that number ``full`` is called, and who comes before it
        is collected is counted and not kept
    """

    def __init__(
        self, clock: Callable[[], float], wall: Callable[[], float], most: int = MOST, *, speed: float = 1
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._speed = speed
        self._most = most
        self._new: dict[str, Contact] = {}
        self._collected = float("-inf")
        #: Asks whoever collects to do so now.
        self.full: Callable[[], None] = lambda: None
        #: Callers that were not kept, since there was no room.
        self.lost = 0

    def __len__(self) -> int:
        return len(self._new)

    def closed(self, lfdi: str, connection: OpenConnection) -> None:
        """Take down a connection that ends."""
        used = connection.last_used
        if used is not None and used > self._collected:
            self._note(Contact(lfdi, self._epoch(used), connection.host))

    def refused(self, lfdi: str, host: str, reason: str) -> None:
        """Take down a request that was refused."""
        now = self._wall()
        self._note(Contact(lfdi, now, host, 1, now, reason[:LONGEST_REASON]))

    def collect(self, open_connections: Iterable[tuple[str, OpenConnection]] = ()) -> list[Contact]:
        """What is new, also of the connections that are open, with the LFDIs of their callers."""
        for lfdi, connection in open_connections:
            self.closed(lfdi, connection)
        self._collected = self._clock()
        new, self._new = self._new, {}
        return list(new.values())

    def give_back(self, contacts: Iterable[Contact]) -> None:
        """Take back what was collected and could not be written."""
        for contact in contacts:
            self._note(contact)

    def _epoch(self, used: float) -> float:
        return self._wall() - (self._clock() - used) * self._speed

    def _note(self, contact: Contact) -> None:
        known = self._new.get(contact.lfdi)
        if known is None:
            if len(self._new) >= self._most:
                self.full()
            if len(self._new) >= self._most:
                self.lost += 1
                return
            self._new[contact.lfdi] = contact
        else:
            self._new[contact.lfdi] = _both(known, contact)


def _both(one: Contact, other: Contact) -> Contact:
    """What two contacts of a caller say together."""
    last = one if one.at > other.at else other
    refusal = one if (one.refused or 0) > (other.refused or 0) else other
    refusals = one.refusals + other.refusals
    return Contact(last.lfdi, last.at, last.host, refusals, refusal.refused, refusal.reason)
