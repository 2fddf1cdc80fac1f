"""What the bus did, for operators."""

from __future__ import annotations

from collections import Counter

from attrs import Factory, define, evolve


@define
class BusState:
    """What the bus did, for operators.

    :ivar broker: where its broker is
    :ivar up_since: wall clock, s; None while it is down
    :ivar connections: how often it came up since the start
    :ivar last_error: why it was down the last time, or could not come up; in words
    :ivar last_error_at: wall clock, s
    :ivar received: messages that were handed on
    :ivar sent: messages that were given to the broker
    :ivar refused: messages, or parts of them, that nothing was made of, by kind
    :ivar commanded: what was made of difference messages, by kind (commanding.py)
    """

    broker: str = ""
    up_since: float | None = None
    connections: int = 0
    last_error: str | None = None
    last_error_at: float | None = None
    received: int = 0
    sent: int = 0
    refused: Counter[str] = Factory(Counter)
    commanded: Counter[str] = Factory(Counter)

    def copy(self) -> BusState:
        """The same, as it is now."""
        return evolve(self, refused=Counter(self.refused), commanded=Counter(self.commanded))
