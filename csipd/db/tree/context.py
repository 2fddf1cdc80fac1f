"""What is known while one request is answered: who asks, for what, at what moment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import tzinfo
from math import inf
from operator import attrgetter
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from attrs import define, field, frozen

from csipd.db import devices, fact_store, facts, programs, replacement
from csipd.db.database import Transaction
from csipd.db.fact_store import FactStore
from csipd.der.access import Caller, Owner, Policy
from csipd.der.metering import Metering
from csipd.der.receivers import ReceiverPolicy
from csipd.der.subscribing import SubscriptionLimits
from csipd.sep2.layout import Layout
from csipd.sep2.mrid import Issuer
from csipd.sep2.site import Place

T = TypeVar("T")

#: Octets that an object of a few numbers and names takes.
SMALL = 400
_NAME = attrgetter("name")


class Outdated(Exception):
    """The store must be brought up to date before a request is answered: a version has to be kept before
    anybody sees it, a certificate that was replaced ends with the new one's first request.

    :param update: the write that does it; the request is then carried out anew
    """

    def __init__(self, update: Callable[[Transaction], None]) -> None:
        super().__init__("has to be brought up to date first")
        self.update = update


class Identity(Protocol):
    """What a certificate says of its holder."""

    @property
    def lfdi(self) -> str: ...

    @property
    def sfdi(self) -> int: ...


@frozen
class Server:
    """What the server says of itself.

    :param lfdi: LFDI of the server's certificate
    :param sfdi: the SFDI that follows from it
    :param issuer: who makes its mRIDs
    :param zone: for the Time resource
    :param time_quality: Time.quality (7: intentionally uncoordinated)
    :param idle_timeout: after so many seconds without a request a connection is closed
    :param lab_speed: how many times as fast as the machine's a lab's clock runs; None: this is no lab
    :param poll_rates: pollRate by resource name (s); the schema's default for the others
    :param policy: how certificates come to be registered
    :param page_maximum: the most members of a list in one answer
    :param own_primacy: primacy of devices' own programs
    :param log_events: how many log events are kept for each device
    :param metering: what is taken of readings
    :param strict_pins: whether a PIN with a wrong check digit is refused, and not only warned of
    :param receivers: where Notifications may go
    :param subscriptions: how many there may be, and how long one lasts
    :param base_uris: what its paths are behind in absolute URIs (scheme and authority): the first in its own
    :param layout: where its resources are
    """

    lfdi: str
    sfdi: int
    issuer: Issuer
    zone: tzinfo
    time_quality: int = 7
    poll_rates: Mapping[str, int] = field(factory=dict)
    idle_timeout: int = 172_800
    lab_speed: int | None = None
    policy: Policy = field(factory=Policy)
    page_maximum: int = 500
    own_primacy: int = 3
    log_events: int = 100
    metering: Metering = field(factory=Metering)
    strict_pins: bool = False
    receivers: ReceiverPolicy = field(factory=ReceiverPolicy)
    subscriptions: SubscriptionLimits = field(factory=SubscriptionLimits)
    base_uris: tuple[str, ...] = ("https://localhost",)
    layout: Layout = field(factory=Layout)

    @property
    def base_uri(self) -> str:
        return self.base_uris[0]

    @property
    def own(self) -> programs.OwnPrograms:
        """What devices' own programs have in common."""
        return programs.OwnPrograms(self.issuer, self.own_primacy)


@define
class Context:
    """What is known while one request is answered.

    :param owner: the EndDevice in the URI that is asked for, where there is one
    :param now: TimeType
    :param valid_until: when what was read so far stops being true though nothing is written; None: never
    :param store: what the connection keeps; None: nothing
    :param depends_on: facts that what was read so far hangs on (``csipd.db.facts``), the caller's rights too
    """

    connection: sa.Connection
    server: Server
    caller: Caller
    owner: Owner | None
    now: int
    valid_until: int | None = None
    depends_on: set[str] = field(factory=set)
    store: FactStore | None = None
    _results: dict[tuple[Any, ...], Any] = field(init=False, factory=dict)

    def cached(self, query: Callable[..., T], *arguments: Hashable) -> T:
        """The result of a query, made once however many links and lists of a document need it."""
        key = (query, *arguments)
        if key not in self._results:
            self._results[key] = query(self.connection, *arguments)
        result: T = self._results[key]
        return result

    @property
    def rights(self) -> str | None:
        """The fact that the caller's rights hang on; None for one that has no EndDevice."""
        return None if self.caller.device is None else facts.device(self.caller.device)

    def depend(self, *names: str) -> None:
        """Note that what is read hangs on facts."""
        self.depends_on.update(names)

    def kept(
        self, key: Hashable, make: Callable[[], T], weigh: Callable[[T], int], *, own: bool = False
    ) -> T:
        """A value that is made once, and kept with the connection while the facts that it hangs on are true.

        What it was made from, and until when it is true, is noted of this answer, too.

        :param key: not to be taken for any other value's: it begins with a word of its own
        :param make: asks this context; what it makes has to follow from the key and the store alone
        :param weigh: the octets that a value takes
        :param own: whether it is of one device alone, and not of any number of them
        """
        if self.store is None:
            return make()
        entry = self.store.find(key, self.now, own=own)
        if entry is not None:
            self.depends_on.update(map(_NAME, entry.facts))
            if entry.until != inf:
                self.limit_validity(int(entry.until))
            value: T = entry.value
            return value
        around = self.depends_on, self.valid_until
        self.depends_on, self.valid_until = set(), None
        try:
            value = make()
            mine, until = self.depends_on, self.valid_until
        finally:
            self.depends_on, self.valid_until = around
        self.depends_on |= mine
        self.limit_validity(until)
        ends = inf if until is None else until
        self.store.keep(key, value, weigh(value), mine, self.now, ends, own=own)
        return value

    def bookmark(self, key: Hashable) -> Any:
        """Where a part of a list begins, if it was noted and the list is still that one (decision 55)."""
        entry = None if self.store is None else self.store.find(("bookmark", key), self.now, own=True)
        return None if entry is None else entry.value

    def set_bookmark(self, key: Hashable, value: Hashable, *of: str) -> None:
        """Note where a part of a list begins, for as long as the facts are true that the list hangs on."""
        if self.store is not None:
            self.store.keep(("bookmark", key), value, SMALL, of, self.now, own=True)

    def limit_validity(self, moment: int | None) -> None:
        """Note that what was read may change by itself at a moment (TimeType); None: it does not."""
        if moment is not None and (self.valid_until is None or moment < self.valid_until):
            self.valid_until = moment

    @property
    def may_subscribe(self) -> bool:
        """Whether the caller may have subscriptions."""
        caller = self.caller
        limits = self.server.subscriptions
        return caller.device is not None and limits.most(aggregator=caller.aggregator, managed=0) > 0

    def is_own_aggregator(self, device: int) -> bool:
        """Whether this is the caller's own EndDevice and it is an aggregator.

        That is no DER: it has no FSAs and no DERs (CSIP IG 6.1.7).
        """
        return self.caller.aggregator and device == self.caller.device


def identify(
    connection: sa.Connection, server: Server, identity: Identity, place: Place, now: int
) -> Context:
    """Look up who asks and whose resource it is. What a caller may do is asked of the store at each request.

    In a write this comes before anything is written: who is refused costs no look-up the next time.

    :return: a context; `access.authorize` says whether the place exists for it
    :raises Outdated: it is the first request by a certificate that replaces another, which ends with it
    """
    caller = find_caller(connection, server, identity)
    replaces = caller.replaces
    if replaces is not None:
        raise Outdated(lambda transaction: replacement.end_former(transaction, replaces))
    context = known(connection, server, caller, place, now)
    if context.store is not None:
        context.store.settle()
    return context


def known(connection: sa.Connection, server: Server, caller: Caller, place: Place, now: int) -> Context:
    """The context of somebody who is known already, for another place."""
    owner = None
    if place.device is not None:
        # Its own device needs no second query: the caller was found by it.
        own = place.device == caller.device
        owner = Owner(place.device, caller.manager) if own else devices.owner(connection, place.device)
    context = Context(connection, server, caller, owner, now, store=fact_store.of(connection))
    if context.rights is not None:
        context.depend(context.rights)
    if place.device is not None:
        context.depend(facts.device(place.device))
    return context


def find_caller(connection: sa.Connection, server: Server, identity: Identity) -> Caller:
    """What the store knows of a certificate. What it knows of one that has an EndDevice is kept."""
    store = fact_store.of(connection)
    key = ("caller", identity.lfdi)
    entry = None if store is None else store.find(key, 0, own=True)
    if entry is not None:
        kept: Caller = entry.value
        return kept
    caller = devices.caller(connection, identity.lfdi, identity.sfdi, server.policy)
    if store is not None and caller.device is not None:
        of = [facts.certificate(caller.lfdi)]
        of += [kind(caller.device) for kind in (facts.device, facts.groups_of, facts.own_program)]
        if caller.aggregator:
            of.append(facts.fleet(caller.device))
        store.keep(key, caller, SMALL, of, 0, own=True)
    return caller
