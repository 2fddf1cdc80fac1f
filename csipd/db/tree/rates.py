"""The rate that a caller is shown: whose word counts is for `der.rates` to say.

What is kept hangs on the facts of what was set, so an answer that shows a rate is dropped with it, and a
subscriber hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from csipd.db import devices, facts, groups, rates
from csipd.db.tree.context import SMALL, Context
from csipd.der.rates import Commanded
from csipd.sep2 import resources as r
from csipd.sep2.site import Place


def poll_rate(context: Context, kind: type[r.Resource], device: int | None) -> int:
    """pollRate of a resource (s).

    :param kind: its class: an FSA's list of programs has the rate of every such list
    :param device: whose it is, or else who asks; None: a caller without an EndDevice
    """
    found = commanded(context, kind.__name__, device)
    if found is not None:
        return found
    default: int = getattr(kind, "pollRate")  # noqa: B009  (the schema's default, where it has one)
    return context.server.poll_rates.get(kind.__name__, default)


def is_one(context: Context, kind: type[r.Resource]) -> bool:
    """Whether a resource has one pollRate for all devices."""
    known = _commanded(context, kind.__name__)
    return not (known.groups or known.devices)


def commanded(context: Context, resource: str, device: int | None) -> int | None:
    """What operators want the rate of a resource to be for a device (s); None: they have not said."""
    known = _commanded(context, resource)
    if device is None or not (known.groups or known.devices):
        return known.general
    return commanded_of_each(context, resource, [device])[0]


def commanded_of_each(context: Context, resource: str, numbers: Sequence[int]) -> list[int | None]:
    """The same for many devices."""
    known = _commanded(context, resource)
    own = _own(context, resource, numbers) if known.devices else {}
    if not known.groups:
        return [own.get(device, known.general) for device in numbers]
    sets = _sets(context, numbers)
    return [
        own[device] if device in own else _by_group(context, resource, known, sets[device])
        for device in numbers
    ]


def set_for_many(context: Context, resource: str) -> tuple[object, ...]:
    """What operators have set for more than one device, as a value to compare."""
    known = _commanded(context, resource)
    return known.general, sorted(known.groups.items())


def with_post_rates(
    context: Context, members: Sequence[tuple[Place, r.Resource]]
) -> list[tuple[Place, r.Resource]]:
    """EndDevices with the postRates that count: theirs are what an operator set for them, or their wish."""
    known = _commanded(context, "EndDevice")
    if not members or not (known.groups or known.general):
        return list(members)
    numbers = [place.ids[0] for place, _ in members]
    set_alone = context.cached(devices.with_post_rate, tuple(numbers))
    return [
        (place, shown if found is None or place.ids[0] in set_alone else shown.replace(postRate=found))
        for (place, shown), found in zip(
            members, commanded_of_each(context, "EndDevice", numbers), strict=True
        )
    ]


def _commanded(context: Context, resource: str) -> Commanded:
    def make() -> Commanded:
        context.depend(facts.rates(resource))
        return rates.commanded(context.connection, resource)

    return context.kept(("rates", resource), make, lambda found: SMALL * (1 + len(found.groups)))


def _own(context: Context, resource: str, numbers: Sequence[int]) -> dict[int, int]:
    if len(numbers) > 1:
        context.depend(*map(facts.own_rates, numbers))
        return context.cached(rates.own_of_each, resource, tuple(numbers))
    (device,) = numbers

    def make() -> dict[str, int]:
        context.depend(facts.own_rates(device))
        return rates.own(context.connection, device)

    found = context.kept(("own-rates", device), make, lambda found: SMALL * (1 + len(found)), own=True)
    return {device: found[resource]} if resource in found else {}


def _sets(context: Context, numbers: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """The groups that each device is in itself."""
    context.depend(*map(facts.groups_of, numbers))
    caller = context.caller
    others = tuple(device for device in numbers if device != caller.device)
    found = context.cached(groups.memberships_of_many, others) if others else {}
    return {
        device: caller.groups if device == caller.device else tuple(found.get(device, ()))
        for device in numbers
    }


def _by_group(context: Context, resource: str, known: Commanded, of: tuple[int, ...]) -> int | None:
    """What is set for devices in some groups."""

    def make() -> tuple[int, int] | None:
        context.depend(facts.TOPOLOGY, facts.rates(resource))
        return rates.of_set(context.connection, known.groups, of)

    found = context.kept(("rates", resource, of), make, lambda _: SMALL)
    return known.general if found is None else found[1]
