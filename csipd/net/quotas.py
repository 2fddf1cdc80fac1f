"""How much of the server one caller may use: the one table of quotas, and what of it is used up.

A quota belongs to a caller, which is an LFDI, on whatever connections it comes and by whichever way its
requests are answered; what is asked before a caller is known belongs to the address that it comes from. The
defaults are far above what an honest device or aggregator needs. How long and how large the parts of one
connection may be stands in `limits`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from attrs.validators import gt
from twisted.internet.defer import Deferred

from csipd.net.identity import Identity


@frozen
class Quotas:
    """The table. Rates are per second and sustained; a burst is what may come at once before they apply."""

    #: Connections of one caller at once (clients open up to ten), and of an aggregator.
    connections: int = field(default=20, validator=gt(0))
    aggregator_connections: int = field(default=200, validator=gt(0))
    #: Requests of one caller, and how many more for each device that it manages.
    requests_per_second: float = field(default=200.0, validator=gt(0))
    requests_per_managed_device: float = field(default=2.0, validator=gt(0))
    #: Seconds of that rate that may be used at once.
    request_burst: float = field(default=5.0, validator=gt(0))
    #: Finished handshakes of one caller. An aggregator has as many times more as it has more connections.
    handshakes_per_second: float = field(default=20.0, validator=gt(0))
    handshake_burst: int = field(default=200, validator=gt(0))
    #: Connections that begin from one IPv4 address or one /64 of IPv6: a carrier's NAT hides thousands.
    address_handshakes_per_second: float = field(default=100.0, validator=gt(0))
    address_handshake_burst: int = field(default=1_000, validator=gt(0))
    #: Connections whose handshake is not finished, of all. Addresses are counted above the half of it.
    unfinished: int = field(default=1_000, validator=gt(0))
    unfinished_per_address: int = field(default=50, validator=gt(0))


class TokenBucket:
    """A rate with a burst: full at first, it is filled again as time goes by.

    :param per_second: what is filled in again
    :param burst: what it holds
    """

    # On the way of every request: one number is kept, the moment at which the bucket is full again.
    __slots__ = ("_depth", "_full_at", "_interval")

    def __init__(self, per_second: float, burst: float) -> None:
        self._full_at = float("-inf")
        self.set_rate(per_second, burst)

    def set_rate(self, per_second: float, burst: float) -> None:
        """Change the rate; what was used stays used."""
        self._interval = 1.0 / per_second
        self._depth = (burst - 1) / per_second

    def spend(self, now: float) -> bool:
        """Take one out, if there is one."""
        full_at = self._full_at
        if full_at <= now:
            self._full_at = now + self._interval
            return True
        # A millionth of a second is granted, since sums of intervals are never exact.
        if full_at - now > self._depth + 1e-6:
            return False
        self._full_at = full_at + self._interval
        return True

    def is_full(self, now: float) -> bool:
        return self._full_at <= now


@frozen
class CallerInfo:
    """What the store knows of a caller, as far as its quotas go.

    :param listed: whether it is on any list; a certificate that is not is a stranger's
    :param managed: how many devices it manages
    """

    listed: bool
    aggregator: bool = False
    managed: int = 0


#: Asks the store about a caller.
LookUp = Callable[[Identity], "Deferred[CallerInfo]"]


@define(eq=False)
class Account:
    """What one caller has used of its quotas, on all of its connections.

    :param info: what was last known of the caller; None: nothing yet
    :param connections: those that are counted, in the order in which they came
    :param behind: how many proxies speak for the caller
    :param large_bodies: octets of those that are being taken in (``bodies``)
    """

    lfdi: str
    quotas: Quotas
    info: CallerInfo | None = None
    connections: dict[Any, None] = field(factory=dict)
    behind: int = 0
    large_bodies: int = 0
    requests: TokenBucket = field(init=False)
    handshakes: TokenBucket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.requests = TokenBucket(1, 1)
        self.handshakes = TokenBucket(1, 1)
        self._set_rates()

    @property
    def most_connections(self) -> int:
        """How many connections the caller may have at once."""
        aggregator = self.info is not None and self.info.aggregator
        return self.quotas.aggregator_connections if aggregator else self.quotas.connections

    def learn(self, info: CallerInfo) -> None:
        """Take in what the store says of the caller."""
        if info != self.info:
            self.info = info
            self._set_rates()

    def is_unused(self, now: float) -> bool:
        """Whether nothing would be lost by forgetting this account."""
        if self.connections or self.behind:
            return False
        return self.requests.is_full(now) and self.handshakes.is_full(now)

    def _set_rates(self) -> None:
        quotas = self.quotas
        managed = 0 if self.info is None else self.info.managed
        rate = quotas.requests_per_second + quotas.requests_per_managed_device * managed
        self.requests.set_rate(rate, rate * quotas.request_burst)
        share = self.most_connections / quotas.connections
        self.handshakes.set_rate(quotas.handshakes_per_second * share, quotas.handshake_burst * share)
