"""What a caller sees at a place: stored documents and views over membership, dressed with links.

Every GET is answered here. A row of the resource table has a ``Source``: the tree of documents unless
one of the classes below stands in for it. What a source gives is bare; ``dress`` adds href, pollRate and
links, all of them from the table, so that a link is shown exactly where what it names answers for this
caller (IEEE 2030.5-2018 4.4; decisions 1 and 8).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import tzinfo
from functools import cache
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from attrs import define, field, frozen

from csipd.db import controls, devices, documents, groups, logevents, programs, responses
from csipd.der.access import Caller, Owner, Policy, may_see
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.clock import daylight_saving, time_resource
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.paging import Page
from csipd.sep2.schema import fields
from csipd.sep2.site import ROWS, Audience, Place, Row, children, enclosing, member

Ids = tuple[int, ...]
T = TypeVar("T")


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
    :param poll_rates: pollRate by resource name (s); the schema's default for the others
    :param policy: how certificates come to be registered
    :param page_maximum: the most members of a list in one answer
    :param own_primacy: primacy of devices' own programs
    :param log_events: how many log events are kept for each device
    """

    lfdi: str
    sfdi: int
    issuer: Issuer
    zone: tzinfo
    time_quality: int = 7
    poll_rates: Mapping[str, int] = field(factory=dict)
    policy: Policy = field(factory=Policy)
    page_maximum: int = 500
    own_primacy: int = 3
    log_events: int = 100

    @property
    def own(self) -> programs.Own:
        """What devices' own programs have in common."""
        return programs.Own(self.issuer, self.own_primacy)


@define
class View:
    """One caller's look at the tree at one moment.

    :param owner: the EndDevice in the URI that is looked at, where there is one
    :param now: TimeType
    :param until: when what was looked at so far stops being true though nothing is written; None: never
    :param places: hrefs of what was looked at so far: a change at one of them, or below, concerns it
    """

    connection: sa.Connection
    server: Server
    caller: Caller
    owner: Owner | None
    now: int
    until: int | None = None
    places: set[str] = field(factory=set)
    _answers: dict[tuple[Any, ...], Any] = field(init=False, factory=dict)

    def once(self, question: Callable[..., T], *about: Hashable) -> T:
        """What the store answers, asked once however many links and lists of a document want to know."""
        key = (question, *about)
        if key not in self._answers:
            self._answers[key] = question(self.connection, *about)
        answer: T = self._answers[key]
        return answer

    def holds_until(self, moment: int | None) -> None:
        if moment is not None and (self.until is None or moment < self.until):
            self.until = moment


def look(connection: sa.Connection, server: Server, identity: Identity, place: Place, now: int) -> View:
    """A certificate's look at a place. What it may see is asked anew at each request.

    :return: a view; ``visible`` says whether the place exists for it
    """
    caller = devices.caller(connection, identity.lfdi, identity.sfdi, server.policy)
    owner = None
    if place.device is not None:
        # Its own device needs no second look: the caller was found by it.
        own = place.device == caller.device
        owner = Owner(place.device) if own else devices.owner(connection, place.device)
    return View(connection, server, caller, owner, now)


def visible(view: View, place: Place) -> bool:
    """Whether a place exists for the caller of a view."""
    caller = view.caller
    reached = (
        place.row.audience is Audience.PROGRAM
        and caller.device is not None
        and programs.reaches(view.connection, caller.device, caller.aggregator, place.ids[0])
    )
    if not may_see(caller, place.row, view.owner, view.server.policy, reached):
        return False
    by_number = place.row.audience is not Audience.REGISTERED
    if not by_number and place.ids and not place.row.is_list:
        # Whose it is, its URI does not say.
        return source_of(place.row).present(view, [place.ids]) == [True]
    around = enclosing(place)
    # One number deep, an audience that goes by that number has answered for it: a device, a program.
    if around is None or (by_number and len(around.ids) < 2):
        return True
    return source_of(around.row).present(view, [around.ids]) == [True]


def answer(view: View, place: Place, part: Page) -> r.Resource:
    """The document that a GET of a place gives to a caller that may see it.

    :raises NotFound: there is nothing there
    """
    row = place.row
    source = source_of(row)
    view.places.add(place.href)
    if not row.is_list:
        stands_for = source.alias(view, place.ids)
        found = source_of(stands_for.row).get(view, stands_for.ids)
        if found is None:
            raise NotFound(place.href)
        return dress(view, stands_for.row, [(stands_for, found)])[0].replace(href=place.href)
    if not source.exists(view, place.ids):
        raise NotFound(place.href)
    total, members = source.page(view, place, part)
    row_of_members = member(row)
    attributes: dict[str, Any] = {"href": place.href, "all": total, "results": len(members)}
    if "pollRate" in _names(row.resource_type):
        attributes["pollRate"] = _poll_rate(view, row)
    attributes[row_of_members.name] = tuple(dress(view, row_of_members, members))
    return row.resource_type(**attributes)


def dress(view: View, row: Row, members: Sequence[tuple[Place, r.Resource]]) -> list[r.Resource]:
    """Bare resources of one row with their href, pollRate and links."""
    added: list[dict[str, Any]] = [{"href": place.href} for place, _ in members]
    view.places.update(more["href"] for more in added)
    if "pollRate" in _names(row.resource_type):
        for (_, resource), more in zip(members, added, strict=True):
            # A resource of its own rate (a device's Registration) keeps it.
            if "pollRate" not in resource.__dict__:
                more["pollRate"] = _poll_rate(view, row)
    owners = [_owner(view, place) for place, _ in members]
    for child in children(row):
        if not child.on or not members:
            continue
        makes = getattr(r, child.link)
        shown = [
            i
            for i, owner in enumerate(owners)
            if may_see(view.caller, child, owner, view.server.policy, True)
        ]
        every = [members[i][0].ids[: child.depth] for i in shown]
        source = source_of(child)
        if child.is_list:
            lists = [(i, ids) for i, ids in zip(shown, every, strict=True) if source.exists(view, ids)]
            numbers = source.counts(view, [ids for _, ids in lists])
            for (i, ids), number in zip(lists, numbers, strict=True):
                added[i][child.link] = makes(href=child.href(ids), all=number)
        else:
            # What the caller itself is to PUT is linked to before it is there.
            there = [True] * len(every) if child.put else source.present(view, every)
            for i, ids, present in zip(shown, every, there, strict=True):
                if present:
                    added[i][child.link] = makes(href=child.href(ids))
    return [resource.replace(**more) for (_, resource), more in zip(members, added, strict=True)]


def _owner(view: View, place: Place) -> Owner | None:
    """The owner of a place that the caller is known to see."""
    device = place.device
    if device is None:
        return None
    return Owner(device, None if device == view.caller.device else view.caller.device)


def _poll_rate(view: View, row: Row) -> int:
    default: int = getattr(row.resource_type, "pollRate")  # noqa: B009  (the schema's default, where it has one)
    # By type, not by row: an FSA's list of programs has the rate of every such list.
    return view.server.poll_rates.get(row.resource_type.__name__, default)


@cache
def _names(cls: type[r.Resource]) -> frozenset[str]:
    return frozenset(item.name for item in fields(cls))


class Source:
    """Where the documents of a row come from: the tree of documents, unless a subclass knows better."""

    def __init__(self, row: Row) -> None:
        self.row = row

    def alias(self, view: View, ids: Ids) -> Place:
        """The place whose document stands here: this one, except for a resource under two names."""
        return Place(self.row, ids)

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        """The bare resource, or None where there is none."""
        return documents.get(view.connection, Place(self.row, ids))

    def present(self, view: View, many: Sequence[Ids]) -> list[bool]:
        """Which of the resources there are."""
        hrefs = [self.row.href(ids) for ids in many]
        found = documents.present(view.connection, hrefs)
        return [href in found for href in hrefs]

    def exists(self, view: View, ids: Ids) -> bool:
        """Whether there is such a list, empty or not, for whoever may see it."""
        return True

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        """How many members each of the lists has for this caller."""
        hrefs = [self.row.href(ids) for ids in many]
        found = documents.counts(view.connection, hrefs)
        return [found.get(href, 0) for href in hrefs]

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        """A part of the list: how many members there are after the filter, and those wanted."""
        return documents.page(view.connection, place, part)


class Always(Source):
    """A resource that is there for whoever may see it."""

    def present(self, view: View, many: Sequence[Ids]) -> list[bool]:
        return [True] * len(many)


class DeviceCapability(Always):
    """The entry point: nothing but links (IEEE 2030.5-2018 8.2)."""

    def get(self, view: View, ids: Ids) -> r.Resource:
        return r.DeviceCapability()


class Time(Always):
    """The server's clock (IEEE 2030.5-2018 9.2)."""

    def get(self, view: View, ids: Ids) -> r.Resource:
        view.holds_until(view.now)
        rules = daylight_saving(view.server.zone, view.now)
        return time_resource(view.now, rules, view.server.time_quality)


class SelfDevice(Always):
    """The server itself (IEEE 2030.5-2018 8.4)."""

    def get(self, view: View, ids: Ids) -> r.Resource:
        return r.SelfDevice(lFDI=view.server.lfdi, sFDI=view.server.sfdi)


class EndDevice(Source):
    """EndDevices, from the list of authorised LFDIs."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        return devices.end_device(view.connection, ids[0])

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        return [devices.end_device_count(view.connection, view.caller)] * len(many)

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        return devices.end_devices(view.connection, view.caller, part)


class Registration(Always):
    """A device's PIN, and when it was registered."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        return devices.registration(view.connection, ids[0])


class FunctionSetAssignments(Source):
    """A device's FSAs: a view over the groups it is in."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        device, wanted = ids
        for number, name in view.once(groups.assignments_of, device):
            if number == wanted:
                return self._bare(view, device, number, name)
        return None

    def present(self, view: View, many: Sequence[Ids]) -> list[bool]:
        return [self.get(view, ids) is not None for ids in many]

    def exists(self, view: View, ids: Ids) -> bool:
        return not _is_own_aggregator(view, ids[0])

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        found = groups.assignment_counts(view.connection, [ids[0] for ids in many])
        return [found.get(ids[0], 0) for ids in many]

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        device = place.ids[0]
        every = view.once(groups.assignments_of, device)
        wanted = every[part.start : part.start + part.limit]
        return len(every), [
            (Place(ROWS["FunctionSetAssignments"], (device, number)), self._bare(view, device, number, name))
            for number, name in wanted
        ]

    def _bare(self, view: View, device: int, number: int, name: str) -> r.Resource:
        return r.FunctionSetAssignments(
            mRID=view.server.issuer.mrid(Kind.ASSIGNMENTS, device, number),
            description=name[:32],
            ResponseSetListLink=r.ResponseSetListLink(href=ROWS["ResponseSetList"].uri, all=1),
            TimeLink=r.TimeLink(href=ROWS["Time"].uri),
        )


class DERProgram(Source):
    """DERPrograms, and the lists of them that follow from who is in which group."""

    def numbers(self, view: View, ids: Ids) -> list[int]:
        """The programs of this list, in its order."""
        if self.row.name == "DERProgramList":
            caller = view.caller
            assert caller.device is not None
            if caller.aggregator:
                return [number for number, _ in view.once(groups.programs_of_fleet, caller.device)]
            return [number for number, _ in _programs_of(view, caller.device)]
        wanted = ids[1] if self.row.name == "FSADERProgramList" else None
        found = _programs_of(view, ids[0])
        return [number for number, assignment in found if wanted in (None, assignment)]

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        return programs.get(view.connection, ids, view.server.own).get(ids[0])

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        return [len(self.numbers(view, ids)) for ids in many]

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        every = self.numbers(view, place.ids)
        wanted = every[part.start : part.start + part.limit]
        found = programs.get(view.connection, wanted, view.server.own)
        return len(every), [(Place(ROWS["DERProgram"], (number,)), found[number]) for number in wanted]


class CurrentDERProgram(DERProgram):
    """The program that a DER follows: of those with an active control the one of highest priority, and
    with none active the one of highest priority that has a default (IEEE 2030.5-2018 10.10.4)."""

    def alias(self, view: View, ids: Ids) -> Place:
        current = self._current(view, ids[0])
        if current is None:
            raise NotFound(self.row.href(ids))
        return Place(ROWS["DERProgram"], (current,))

    def present(self, view: View, many: Sequence[Ids]) -> list[bool]:
        return [self._current(view, ids[0]) is not None for ids in many]

    def _current(self, view: View, device: int) -> int | None:
        ordered = [number for number, _ in _programs_of(view, device)]
        view.places.update(ROWS["DERProgram"].href((number,)) for number in ordered)
        schedules = _schedules(view, ordered)
        for number in ordered:
            if number in schedules and schedules[number].listed(active=True):
                return number
        place = ROWS["DefaultDERControl"]
        defaults = documents.present(view.connection, [place.href((number,)) for number in ordered])
        return next((number for number in ordered if place.href((number,)) in defaults), None)


class DERControl(Source):
    """DERControls, with the status that the clock gives them."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        program, number = ids
        found = controls.get(view.connection, program, number, view.now)
        if found is None:
            return None
        view.holds_until(found[1])
        return found[0]

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        found = _schedules(view, [ids[0] for ids in many])
        return [len(found[ids[0]].listed(self._active)) if ids[0] in found else 0 for ids in many]

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        total, members, until = controls.page(view.connection, place.ids[0], part, view.now, self._active)
        view.holds_until(until)
        return total, list(members)

    @property
    def _active(self) -> bool:
        return self.row.name == "ActiveDERControlList"


class DERList(Source):
    """The DERs of a device; an aggregator's own EndDevice has none (CSIP IG 6.1.7)."""

    def exists(self, view: View, ids: Ids) -> bool:
        return not _is_own_aggregator(view, ids[0])


class ResponseSet(Source):
    """The one set of responses there is: events of every kind are answered there."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        return self._bare(view) if ids == (responses.SET,) else None

    def present(self, view: View, many: Sequence[Ids]) -> list[bool]:
        return [ids == (responses.SET,) for ids in many]

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        return [1] * len(many)

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        every = [(Place(ROWS["ResponseSet"], (responses.SET,)), self._bare(view))]
        return len(every), every[part.start : part.start + part.limit]

    def _bare(self, view: View) -> r.Resource:
        mrid = view.server.issuer.mrid(Kind.RESPONSES, responses.SET)
        return r.ResponseSet(mRID=mrid, description="Responses to events")


class Response(Source):
    """Responses: a caller's own and those of its fleet."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        return responses.get(view.connection, view.caller, ids[1]) if ids[0] == responses.SET else None

    def present(self, view: View, many: Sequence[Ids]) -> list[bool]:
        return [self.get(view, ids) is not None for ids in many]

    def exists(self, view: View, ids: Ids) -> bool:
        return ids == (responses.SET,)

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        return [view.once(responses.count, view.caller)] * len(many)

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        total, members = responses.page(view.connection, view.caller, part)
        return total, list(members)


class LogEvent(Source):
    """Log events, those that their device has not deleted."""

    def get(self, view: View, ids: Ids) -> r.Resource | None:
        return logevents.get(view.connection, *ids)

    def counts(self, view: View, many: Sequence[Ids]) -> list[int]:
        found = logevents.counts(view.connection, [ids[0] for ids in many])
        return [found.get(ids[0], 0) for ids in many]

    def page(self, view: View, place: Place, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        total, members = logevents.page(view.connection, place.ids[0], part)
        return total, list(members)


def _programs_of(view: View, device: int) -> list[tuple[int, int]]:
    """The programs of a device, its own among them, each with the FSA that it is in."""
    return view.once(programs.of_device, view.server.own, device)


def _schedules(view: View, numbers: Sequence[int]) -> dict[int, controls.Schedule]:
    """The controls of programs; those without any are left out."""
    found = view.once(controls.schedules, tuple(numbers), view.now)
    for schedule in found.values():
        view.holds_until(schedule.until)
    return found


def _is_own_aggregator(view: View, device: int) -> bool:
    """An aggregator's own EndDevice is no DER: it has no FSAs and no DERs (CSIP IG 6.1.7)."""
    return view.caller.aggregator and device == view.caller.device


_SOURCES: Mapping[str, Callable[[Row], Source]] = {
    "DeviceCapability": DeviceCapability,
    "Time": Time,
    "SelfDevice": SelfDevice,
    "EndDeviceList": EndDevice,
    "EndDevice": EndDevice,
    "Registration": Registration,
    "FunctionSetAssignmentsList": FunctionSetAssignments,
    "FunctionSetAssignments": FunctionSetAssignments,
    "FSADERProgramList": DERProgram,
    "AssociatedDERProgramList": DERProgram,
    "DERProgramList": DERProgram,
    "DERProgram": DERProgram,
    "CurrentDERProgram": CurrentDERProgram,
    "ActiveDERControlList": DERControl,
    "DERControlList": DERControl,
    "DERControl": DERControl,
    "DERList": DERList,
    "ResponseSetList": ResponseSet,
    "ResponseSet": ResponseSet,
    "ResponseList": Response,
    "Response": Response,
    "LogEventList": LogEvent,
    "LogEvent": LogEvent,
}

_MADE: dict[str, Source] = {name: made(ROWS[name]) for name, made in _SOURCES.items()}


def source_of(row: Row) -> Source:
    """The source of a row's documents."""
    if row.name not in _MADE:
        _MADE[row.name] = Source(row)
    return _MADE[row.name]
