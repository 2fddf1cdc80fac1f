"""EndDevices, their Registration, and the server's own SelfDevice (IEEE 2030.5-2018 8.4, 8.5)."""

from __future__ import annotations

from collections.abc import Sequence

from csipd.db import devices, facts, fleet_list, registration
from csipd.db.database import Transaction
from csipd.db.tree import rates
from csipd.db.tree.chapter import Chapter, Ids, Members, Places, Singleton, Source, record
from csipd.db.tree.context import SMALL, Context
from csipd.sep2 import resources as r
from csipd.sep2.differences import differences
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place


class SelfDevice(Singleton):
    """The server itself."""

    def get(self, context: Context, ids: Ids) -> r.Resource:
        return r.SelfDevice(lFDI=context.server.lfdi, sFDI=context.server.sfdi)


class EndDevice(Source):
    """EndDevices, from the list of authorised LFDIs."""

    reads = (facts.device, facts.fleet)
    linked = (facts.device, facts.fleet)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.device(ids[0]))
        found = devices.end_device(context.connection, ids[0])
        if found is None:
            return None
        return rates.with_post_rates(context, [(Place(ROWS["EndDevice"], ids), found)])[0][1]

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        self._depend_on_fleet(context)
        return [fleet_list.count(context.connection, context.caller)] * len(many)

    def is_shared(self, context: Context, ids: Ids) -> bool:
        # A device's own: its list has it alone. Those of a fleet are many, and seen by two.
        return not context.caller.aggregator and ids == (context.caller.device,)

    def shared(self, context: Context, place: Place, part: Page) -> Places | None:
        # A list from a moment on looks at changedTime.
        device = context.caller.device
        if device is None or context.caller.aggregator or part.after is not None:
            return None
        return 1, [Place(ROWS["EndDevice"], (device,))][part.start : part.start + part.limit]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        self._depend_on_fleet(context)
        caller = context.caller
        behind = context.bookmark(("fleet", caller.device, part.after, part.start))
        total, members, last = fleet_list.page(
            context.connection, caller, part, behind, self._later(context, part.after)
        )
        context.depend(*(facts.device(member.ids[0]) for member, _ in members))
        if caller.device is not None and last is not None:
            # Whoever pages on is given what follows without passing over what it has.
            key = ("fleet", caller.device, part.after, part.start + len(members))
            context.set_bookmark(key, last, facts.fleet(caller.device))
        return total, rates.with_post_rates(context, members)

    def _later(self, context: Context, after: int | None) -> int | None:
        """How many of a fleet changed after a moment, counted once; None: it is kept with the aggregator."""
        caller = context.caller
        if after is None or not caller.aggregator:
            return None

        def count() -> int:
            self._depend_on_fleet(context)
            return fleet_list.later_count(context.connection, caller, after)

        return context.kept(("fleet later", caller.device, after), count, lambda _: SMALL, own=True)

    def said(self, context: Context, place: Place) -> bytes | None:
        # A fleet may be large: what changes in its list drops the fact of it, but for what is set for groups.
        if not context.caller.aggregator:
            return None
        return b"%d %r" % (self.counts(context, [place.ids])[0], rates.set_for_many(context, "EndDevice"))

    def certain(self, context: Context, place: Place) -> Sequence[str]:
        caller = context.caller
        if not (self.row.is_list and caller.aggregator) or caller.device is None:
            return ()
        return (facts.fleet(caller.device),)

    def _depend_on_fleet(self, context: Context) -> None:
        # Of another caller's list its rights say all.
        if context.caller.aggregator and context.caller.device is not None:
            context.depend(facts.fleet(context.caller.device))


class Registration(Singleton):
    """A device's PIN, and when it was registered."""

    reads = (facts.device,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.device(ids[0]))
        return devices.registration(context.connection, ids[0])


def register(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> Place:
    """A device, or an aggregator for one of its fleet, registers in band."""
    assert isinstance(body, r.EndDevice)
    return registration.register(transaction, context.caller, body, context.server.policy, context.now)


def change(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """A device changes what it may change of its EndDevice."""
    assert isinstance(body, r.EndDevice)
    before = devices.end_device(context.connection, place.ids[0])
    if not registration.change(transaction, place.ids[0], body, context.now):
        return
    after = devices.end_device(context.connection, place.ids[0])
    if changed := differences(before, after):
        record(transaction, context, "put", place, changed)


def unregister(transaction: Transaction, context: Context, place: Place, body: r.Resource | None) -> None:
    """An aggregator takes a device out of its fleet."""
    registration.unregister(transaction, place.ids[0], context.caller.lfdi, context.now)


CHAPTER = Chapter(
    sources={
        "SelfDevice": SelfDevice,
        "EndDeviceList": EndDevice,
        "EndDevice": EndDevice,
        "Registration": Registration,
    },
    writes={
        ("EndDeviceList", "POST"): register,
        ("EndDevice", "PUT"): change,
        ("EndDevice", "DELETE"): unregister,
    },
    drops={
        ("EndDeviceList", "POST"): (
            facts.certificate,
            facts.device,
            facts.fleet,
            facts.fleet_groups,
            facts.list_of,
            facts.document,
        ),
        ("EndDevice", "PUT"): (facts.device, facts.fleet),
        ("EndDevice", "DELETE"): (facts.device, facts.fleet, facts.fleet_groups),
    },
)
