"""Rates at run time: ``/admin/rates``, and those of a group and of a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import sqlalchemy as sa

from csipd.db import audit, device_list, group_counts, groups, rates
from csipd.db.database import Transaction
from csipd.der.rates import LOST_POLLS, MOST, POSTED, RESOURCES, attribute, is_near
from csipd.der.wording import counted, duration_text, listed
from csipd.refusals import Impossible, NotFound
from csipd.sep2.schema import Element, Occurs
from csipd.sep2.types import Boolean, Choice, Integer, UInt32
from csipd.web.admin.checks import Flaws
from csipd.web.admin.devices import find_row, present, title
from csipd.web.admin.forms import Count, Line, Number, Page
from csipd.web.admin.names import Names
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.paging import PAGE, cut
from csipd.web.admin.summary import Consequences, line

#: Groups that a sentence names.
_NAMED = 10
_SOURCES = ("device", "group", "general", "wish", "configuration", "standard")

Resource = Annotated[str, Choice(64, RESOURCES)]
Attribute = Annotated[str, Choice(64, ("pollRate", "postRate"))]
Source = Annotated[str, Choice(64, _SOURCES)]
Seconds = Annotated[int, Integer(0, MOST)]


class Wanted(Element):
    """A rate that is to be; 0 seconds unset it."""

    resource: Resource
    seconds: Seconds


class WantedRates(Element):
    """Rates that are to be; those that are not named stay."""

    rates: Annotated[tuple[Wanted, ...], Occurs(1, len(RESOURCES))]


class InForce(Element):
    """The rate that counts, and whose word it is: an operator's for the device, for a group (which), or in
    general; the device's own wish; the configuration's or the standard's. In general, how many groups have
    another one, and whether any device has one of its own besides.
    """

    resource: Resource
    attribute: Attribute
    seconds: UInt32 | None = None
    source: Source
    group: Number | None = None
    group_name: Line | None = None
    groups: Count | None = None
    devices: Boolean | None = None


class Rates(Element):
    """The rates of all resources that have one. Of MirrorUsagePoint a device's wish stands before the
    configuration's.
    """

    items: tuple[InForce, ...]
    warnings: tuple[Line, ...] = ()


class Set(Element):
    """A rate that was set."""

    resource: Resource
    seconds: UInt32


class SetOf(Element):
    """What was set for a group, or for a device alone."""

    number: Number
    name: Line
    rates: tuple[Set, ...]


class SetPage(Page):
    """Groups or devices with rates of their own, in the order of their numbers."""

    items: tuple[SetOf, ...] = ()


def show(connection: sa.Connection, call: Call) -> Rates:
    """The rates in general."""
    items = []
    for resource in RESOURCES:
        found = rates.in_force(connection, resource, _without(call))
        known = rates.commanded(connection, resource)
        items.append(_form(Names(connection), resource, found, len(known.groups), known.devices))
    return Rates(items=tuple(items), warnings=_warnings(call, items))


def show_of_group(connection: sa.Connection, call: Call) -> Rates:
    """The rates of devices in a group that have no other."""
    group = _group(connection, call)
    return _shown(connection, call, group=group)


def show_of_device(connection: sa.Connection, call: Call) -> Rates:
    """The rates of a device."""
    return _shown(connection, call, device=find_row(connection, call.numbers["device"]).id)


def _shown(
    connection: sa.Connection, call: Call, *, group: int | None = None, device: int | None = None
) -> Rates:
    names, without = Names(connection), _without(call)
    items = [
        _form(names, resource, rates.in_force(connection, resource, without, group=group, device=device))
        for resource in RESOURCES
    ]
    return Rates(items=tuple(items), warnings=_warnings(call, items))


def _form(
    names: Names,
    resource: str,
    found: rates.InForce,
    of_groups: int | None = None,
    of_devices: bool | None = None,
) -> InForce:
    return InForce(
        resource=resource,
        attribute=attribute(resource),
        seconds=found.seconds,
        source=found.by,
        group=found.group,
        group_name=None if found.group is None else names.group(found.group),
        groups=of_groups,
        devices=of_devices,
    )


def page_of_groups(connection: sa.Connection, call: Call) -> SetPage:
    """Groups that have rates of their own."""
    return _page(call, rates.groups_with, connection, Names(connection).group)


def page_of_devices(connection: sa.Connection, call: Call) -> SetPage:
    """Devices that have rates of their own."""
    return _page(call, rates.devices_with, connection, Names(connection).device)


def _page(
    call: Call,
    find: Callable[[sa.Connection, int, int], Mapping[int, Mapping[str, int]]],
    connection: sa.Connection,
    name: Callable[[int], str],
) -> SetPage:
    limit = call.query["limit"]
    found = find(connection, call.query["after"] or 0, limit + 1)
    numbers, following = cut(list(found), limit, lambda number: number)
    items = [
        SetOf(
            number=number,
            name=name(number),
            rates=tuple(Set(resource=key, seconds=value) for key, value in found[number].items()),
        )
        for number in numbers
    ]
    return SetPage(items=tuple(items), next=following)


def change(transaction: Transaction, call: Call) -> Rates:
    """Set or unset rates in general."""
    for resource, seconds in _wanted(call):
        _record(transaction, call, resource, "", rates.set_general(transaction, resource, seconds), seconds)
    return show(transaction.connection, call)


def change_of_group(transaction: Transaction, call: Call) -> Rates:
    """Set or unset rates of a group."""
    group = _group(transaction.connection, call)
    for resource, seconds in _wanted(call):
        before = rates.set_of_group(transaction, resource, group, seconds)
        _record(transaction, call, resource, f" of group {group}", before, seconds)
    return show_of_group(transaction.connection, call)


def change_of_device(transaction: Transaction, call: Call) -> Rates:
    """Set or unset rates of a device alone."""
    device = present(transaction.connection, call).id
    for resource, seconds in _wanted(call):
        before = rates.set_of_device(transaction, resource, device, seconds, call.now)
        _record(transaction, call, resource, f" of /edev/{device}", before, seconds)
    return show_of_device(transaction.connection, call)


def preview(connection: sa.Connection, call: Call) -> Consequences:
    """Whom other rates in general are for, and what they were."""
    standing = device_list.numbers_by_standing(connection)["registered"]
    said = []
    for resource, seconds in _wanted(call):
        now = rates.in_force(connection, resource, _without(call))
        known = rates.commanded(connection, resource)
        then = seconds if seconds is not None else _general(call, resource)
        said += _sentences(call, resource, f"All EndDevices ({standing})", now.seconds, then)
        said += _others(connection, list(known.groups), "of")
        if known.devices or resource in _IN_ROWS:
            said.append("A device for which one was set alone keeps it.")
    return Consequences(summary=tuple(map(line, said)))


def preview_of_group(connection: sa.Connection, call: Call) -> Consequences:
    """Whom other rates of a group are for."""
    group = _group(connection, call)
    members = group_counts.numbers_under(connection, [group])[group]
    said = []
    for resource, seconds in _wanted(call):
        known = rates.commanded(connection, resource)
        now = rates.in_force(connection, resource, _without(call), group=group)
        then = seconds if seconds is not None else _above(connection, call, resource, group)
        who = f"The EndDevices ({members}) in {groups.called(connection, group)} and below it"
        said += _sentences(call, resource, who, now.seconds, then)
        below = groups.numbers_below(connection, group)
        said += _others(connection, [one for one in known.groups if one in below and one != group], "below,")
        if known.devices or resource in _IN_ROWS:
            said.append("A device for which one was set alone keeps it.")
    return Consequences(summary=tuple(map(line, said)))


def preview_of_device(connection: sa.Connection, call: Call) -> Consequences:
    """What other rates mean to a device."""
    row = present(connection, call)
    said = []
    for resource, seconds in _wanted(call):
        now = rates.in_force(connection, resource, _without(call), device=row.id)
        then = seconds
        if then is None:
            then = rates.in_force(connection, resource, _without(call), device=row.id, alone=False).seconds
        said += _sentences(call, resource, title(row), now.seconds, then)
    return Consequences(summary=tuple(map(line, said)))


#: Resources of which a device's own rate is not told apart from others' in what is kept of them all.
_IN_ROWS = frozenset(("EndDevice", "Registration"))


def _sentences(call: Call, resource: str, who: str, now: int | None, then: int | None) -> list[str]:
    """What becomes of one rate."""
    what = f"{who}: {attribute(resource)} of {resource}"
    if now == then:
        return [f"{what} stays {_rate_text(now)}."]
    said = [f"{what} will be {_rate_text(then)}, in place of {_rate_text(now)}."]
    if now is not None and resource not in POSTED:
        said.append(f"Who polls sees it within {duration_text(now)}, who subscribes is told.")
    if then is not None and resource not in POSTED and is_near(then, call.server.idle_timeout):
        said.append(_near_text(call, resource))
    return said


def _rate_text(seconds: int | None) -> str:
    return "none" if seconds is None else duration_text(seconds)


def _others(connection: sa.Connection, of: list[int], word: str) -> list[str]:
    """Groups that keep their own."""
    if not of:
        return []
    shown = listed(Names(connection).groups(sorted(of)[:_NAMED]), len(of))
    return [f"Devices {word} {counted(len(of), 'group')} keep the rate that was set there: {shown}."]


def _near_text(call: Call, resource: str) -> str:
    return f"{resource}: near idle_timeout, which is {call.server.idle_timeout} s; {LOST_POLLS}"


def _warnings(call: Call, items: list[InForce]) -> tuple[str, ...]:
    """What is doubtful about rates that operators have set; of its own the configuration file warns."""
    return tuple(
        line(_near_text(call, one.resource))
        for one in items
        if one.source in ("device", "group", "general")
        and one.resource not in POSTED
        and one.seconds is not None
        and is_near(one.seconds, call.server.idle_timeout)
    )


def _wanted(call: Call) -> list[tuple[str, int | None]]:
    """What is to be set; None: unset.

    :raises Impossible: one resource is named twice
    """
    body: WantedRates = call.body
    seen: set[str] = set()
    flaws: Flaws = []
    for place, one in enumerate(body.rates):
        if one.resource in seen:
            flaws.append((f"/rates/{place}/resource", f"{one.resource} is named twice"))
        seen.add(one.resource)
    if flaws:
        raise Impossible(flaws)
    return [(one.resource, one.seconds or None) for one in body.rates]


def _without(call: Call) -> Mapping[str, int]:
    """What rates are where no operator has said anything, as far as the configuration says it."""
    known = dict(call.server.poll_rates)
    if "MirrorUsagePointList" in known:
        known["MirrorUsagePoint"] = known["MirrorUsagePointList"]
    return known


def _general(call: Call, resource: str) -> int | None:
    """What a rate is in general without an operator's word."""
    found = _without(call).get(resource)
    return rates.standard(resource) if found is None else found


def _above(connection: sa.Connection, call: Call, resource: str, group: int) -> int | None:
    """What a rate is in a group that has none of its own."""
    known = dict(rates.commanded(connection, resource).groups)
    known.pop(group, None)
    found = rates.of_set(connection, known, [group])
    if found is not None:
        return found[1]
    general = rates.commanded(connection, resource).general
    return _general(call, resource) if general is None else general


def _group(connection: sa.Connection, call: Call) -> int:
    group = call.numbers["group"]
    if not groups.exists(connection, group):
        raise NotFound(f"there is no group {group}")
    return group


def _record(
    transaction: Transaction,
    call: Call,
    resource: str,
    whose: str,
    before: int | None,
    after: int | None,
) -> None:
    if before == after:
        return
    was, now = ("none" if one is None else str(one) for one in (before, after))
    subject = f"{attribute(resource)} of {resource}{whose}"
    audit.record(transaction, call.now, call.who, "change", subject, f"{was} -> {now}")


def _three(path: str, name: str, whose: str, run: tuple[Callable[..., object], ...]) -> tuple[Operation, ...]:
    """The operations on rates of one scope: show, change, preview."""
    shown, changed, previewed = run
    return (
        Operation("GET", path, f"show{name}Rates", f"The rates {whose}", shown, gives=Rates),
        Operation(
            "PATCH",
            path,
            f"change{name}Rates",
            f"Set or unset rates {whose}",
            changed,
            takes=WantedRates,
            gives=Rates,
            writes=True,
            refuses=(409,),
        ),
        Operation(
            "POST",
            f"{path}/preview",
            f"preview{name}Rates",
            f"Whom other rates {whose} would be for",
            previewed,
            takes=WantedRates,
            gives=Consequences,
            refuses=(409,),
        ),
    )


OPERATIONS = (
    *_three("/admin/rates", "General", "in general", (show, change, preview)),
    Operation(
        "GET",
        "/admin/rates/groups",
        "listGroupRates",
        "Groups with rates of their own",
        page_of_groups,
        gives=SetPage,
        query=PAGE,
    ),
    Operation(
        "GET",
        "/admin/rates/devices",
        "listDeviceRates",
        "Devices with rates of their own",
        page_of_devices,
        gives=SetPage,
        query=PAGE,
    ),
    *_three(
        "/admin/groups/{group}/rates",
        "Group",
        "of a group",
        (show_of_group, change_of_group, preview_of_group),
    ),
    *_three(
        "/admin/devices/{device}/rates",
        "Device",
        "of a device",
        (show_of_device, change_of_device, preview_of_device),
    ),
)
