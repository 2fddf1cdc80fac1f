"""Mirrors and usage points, as callers reach them by their numbers; what is asked of them again and again."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from attrs import frozen

from csipd.db import facts, meter_readings, mirrors
from csipd.db.meter_readings import Meter
from csipd.db.mirrors import Mirror, Position
from csipd.db.tree.context import SMALL, Context
from csipd.der import access
from csipd.der.access import Caller
from csipd.sep2.paging import Page


@frozen
class Seen:
    """What there is for a caller.

    :param mirrors: how many it has made
    :param usage_points: how many it and its fleet have
    :param room: whether one more mirror can be kept, whoever makes it
    """

    mirrors: int
    usage_points: int
    room: bool


def mirror(context: Context, number: int) -> Mirror | None:
    """The mirror of a number."""

    def make() -> Mirror | None:
        context.depend(facts.mirror(number))
        found = mirrors.find(context.connection, number)
        if found is not None:
            context.depend(facts.device(found.device))
        return found

    return context.kept(("mirror", number), make, _weight, own=True)


def may_mirror(context: Context, number: int) -> bool:
    """Whether the caller may use the mirror of a number."""
    found = mirror(context, number)
    return found is not None and access.may_mirror(context.caller, found.owner, found.subject)


def may_see(context: Context, number: int) -> bool:
    """Whether the caller may see the usage point of a number."""
    found = mirror(context, number)
    return found is not None and access.acts_for(context.caller, found.subject)


def meter(context: Context, number: int, mrid: str) -> Meter | None:
    """The MeterReading that a MirrorMeterReading of that mRID is about."""

    def make() -> Meter | None:
        context.depend(facts.mirror(number))
        return meter_readings.find(context.connection, number, mrid)

    return context.kept(("meter", number, mrid), make, lambda _: SMALL, own=True)


def part(
    context: Context,
    name: str,
    read: Callable[[sa.Connection, Caller, Page, Position | None], list[Mirror]],
    wanted: Page,
) -> list[Mirror]:
    """A part of a list of mirrors; whoever pages on is given what follows without passing over what it has.

    :param name: of the list
    :param read: `mirrors.made` or `mirrors.metered`
    """
    caller = context.caller
    device = caller.device
    behind = context.bookmark((name, device, wanted.start))
    found = read(context.connection, caller, wanted, behind)
    for each in found:
        context.depend(facts.mirror(each.number), facts.device(each.device))
    if found:
        key = (name, device, wanted.start + len(found))
        of = facts.mirrors(device), facts.usage_points(device), facts.fleet(device)
        context.set_bookmark(key, found[-1].position, *of)
    return found


def seen(context: Context) -> Seen:
    """What there is for the caller, which is registered."""
    caller = context.caller
    device = caller.device

    def make() -> Seen:
        context.depend(facts.mirrors(device), facts.usage_points(device), facts.MIRROR_ROOM)
        if caller.aggregator:
            context.depend(facts.fleet(device))
        found = mirrors.counts(context.connection, caller)
        return Seen(found.made, found.metered, found.kept < context.server.metering.mirrors)

    return context.kept(("seen", device), make, lambda _: SMALL, own=True)


def _weight(found: Mirror | None) -> int:
    return SMALL + (0 if found is None else len(found.body))
