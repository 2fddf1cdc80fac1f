"""DERPrograms, their lists and their controls (IEEE 2030.5-2018 10.10)."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from csipd.db import controls, facts, groups, in_force, own_programs, programs, schedules
from csipd.db.facts import Kind
from csipd.db.tree.chapter import Chapter, Ids, Members, Places, Source
from csipd.db.tree.context import SMALL, Context, Outdated
from csipd.db.tree.reach import programs_of
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place


@frozen
class _Bookmarks:
    """Where parts of the own programs of a fleet begin, for as long as its groups are what they are."""

    context: Context

    def find(self, start: int) -> int | None:
        found: int | None = self.context.bookmark(self._key(start))
        return found

    def note(self, start: int, device: int) -> None:
        asker = self.context.caller.device
        self.context.set_bookmark(self._key(start), device, facts.fleet_groups(asker))

    def _key(self, start: int) -> tuple[object, ...]:
        return ("own programs", self.context.caller.device, start)


class DERProgram(Source):
    """DERPrograms, and the lists of them that follow from who is in which group."""

    reads = (facts.program,)
    linked: tuple[Kind, ...] = (facts.groups_of, facts.fleet_groups, facts.own_program, facts.topology)

    def numbers(self, context: Context, ids: Ids) -> list[int]:
        """The programs of a device's list, in its order."""
        if self.row.name == "DERProgramList":
            assert context.caller.device is not None
            return [number for number, _ in programs_of(context, context.caller.device)]
        wanted = ids[1] if self.row.name == "FSADERProgramList" else None
        found = programs_of(context, ids[0])
        return [number for number, assignment in found if wanted in (None, assignment)]

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        context.depend(facts.program(ids[0]))
        return programs.get(context.connection, ids, context.server.own).get(ids[0])

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        if many and self._is_of_fleet(context):
            self._depend_on_fleet(context)
            return [context.cached(programs.of_fleet, *self._fleet(context), None)[0]] * len(many)
        return [len(self.numbers(context, ids)) for ids in many]

    def shared(self, context: Context, place: Place, part: Page) -> Places:
        if self._is_of_fleet(context):
            self._depend_on_fleet(context)
            within = (part.start, part.limit)
            marks = _Bookmarks(context)
            total, wanted = programs.of_fleet(context.connection, *self._fleet(context), within, marks)
        else:
            every = self.numbers(context, place.ids)
            total, wanted = len(every), every[part.start : part.start + part.limit]
        row = ROWS["DERProgram"]
        return total, [Place(row, (number,)) for number in wanted]

    def _is_of_fleet(self, context: Context) -> bool:
        return self.row.name == "DERProgramList" and context.caller.aggregator

    def _depend_on_fleet(self, context: Context) -> None:
        assert context.caller.device is not None
        context.depend(facts.fleet_groups(context.caller.device), facts.TOPOLOGY)

    def _fleet(self, context: Context) -> tuple[programs.OwnPrograms, int]:
        assert context.caller.device is not None
        return context.server.own, context.caller.device


class CurrentDERProgram(DERProgram):
    """The program that a device follows; there is none while no control is in force on it (decision 41)."""

    linked = (
        facts.device,
        facts.groups_of,
        facts.own_program,
        facts.topology,
        facts.program,
        facts.schedule,
    )

    def target(self, context: Context, ids: Ids) -> Place:
        current = self._current(context, ids[0])
        if current is None:
            raise NotFound(self.row.href(ids))
        return Place(ROWS["DERProgram"], (current,))

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        return [self._current(context, ids[0]) is not None for ids in many]

    def _current(self, context: Context, device: int) -> int | None:
        numbers = tuple(number for number, _ in programs_of(context, device))
        context.depend(facts.device(device))
        own = device == context.caller.device
        category = context.caller.category if own else context.cached(in_force.category_of, device)

        def make() -> int | None:
            context.depend(*map(facts.program, numbers), *map(facts.schedule, numbers))
            connection, own = context.connection, context.server.own
            number, until = in_force.current_program(connection, own, category, numbers, context.now)
            context.limit_validity(until)
            return number

        # The same for all devices of a category that have the same programs.
        own = any(programs.owner_of(number) for number in numbers)
        return context.kept(("current program", category, numbers), make, lambda _: SMALL, own=own)


class DefaultDERControl(Source):
    """DefaultDERControls; those of devices' own programs are views of their other programs' (decision 39)."""

    reads = (facts.document, facts.groups_of, facts.topology, facts.program)
    linked = reads

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        owner = programs.owner_of(ids[0])
        if owner is None:
            return super().get(context, ids)
        own = context.server.own
        view = own_programs.default(context.connection, own, ids[0])
        others = groups.programs_of_each(context.connection, [owner])[owner]
        _depend_on_defaults(context, owner, others)
        context.depend(facts.document(self.row.href(ids)))
        if view is None:
            return None
        if not view.is_kept:
            raise Outdated(lambda transaction: own_programs.keep_default(transaction, own, ids[0]))
        return view.document

    def present(self, context: Context, many: Sequence[Ids]) -> list[bool]:
        numbers = [ids[0] for ids in many]
        found = super().present(context, many)
        if not any(programs.owner_of(number) for number in numbers):
            return found
        owners = [owner for number in numbers if (owner := programs.owner_of(number)) is not None]
        for owner, others in groups.programs_of_each(context.connection, owners).items():
            _depend_on_defaults(context, owner, others)
        own = own_programs.have_default(context.connection, numbers)
        return [there or number in own for there, number in zip(found, numbers, strict=True)]


def _depend_on_defaults(context: Context, owner: int, others: Sequence[int]) -> None:
    """The default of a device's own program follows from those of its other programs."""
    context.depend(facts.groups_of(owner), facts.TOPOLOGY, *map(facts.program, others))
    row = ROWS["DefaultDERControl"]
    context.depend(*(facts.document(row.href((number,))) for number in others))


class DERControl(Source):
    """DERControls, with the status that the clock gives them."""

    reads = (facts.schedule,)
    linked = (facts.schedule,)

    def get(self, context: Context, ids: Ids) -> r.Resource | None:
        program, number = ids
        context.depend(facts.schedule(program))
        found = controls.get(context.connection, program, number, context.now)
        if found is None:
            return None
        context.limit_validity(found[1])
        return found[0]

    def counts(self, context: Context, many: Sequence[Ids]) -> list[int]:
        found = _schedules(context, [ids[0] for ids in many])
        return [len(found[ids[0]].listed(self._active)) for ids in many]

    def page(self, context: Context, place: Place, part: Page) -> Members:
        context.depend(facts.schedule(place.ids[0]))
        total, members, until = controls.page(
            context.connection, place.ids[0], part, context.now, self._active
        )
        context.limit_validity(until)
        return total, list(members)

    def said(self, context: Context, place: Place) -> bytes | None:
        program = place.ids[0]

        def make() -> bytes:
            listed = _schedules(context, [program])[program].listed(self._active)
            # Besides its status a control never changes.
            stand = [(kept.number, kept.status) for kept in listed]
            return repr([(n, s.state.value, s.since, s.version, s.partly_since) for n, s in stand]).encode()

        own = programs.owner_of(program) is not None
        return context.kept(("own level", self.row.name, place.ids), make, len, own=own)

    @property
    def _active(self) -> bool:
        return self.row.name == "ActiveDERControlList"


def _schedules(context: Context, numbers: Sequence[int]) -> dict[int, schedules.Schedule]:
    """The controls of programs."""
    context.depend(*map(facts.schedule, numbers))
    found = context.cached(schedules.of, tuple(numbers), context.now)
    for schedule in found.values():
        context.limit_validity(schedule.until)
    return found


CHAPTER = Chapter(
    sources={
        "FSADERProgramList": DERProgram,
        "AssociatedDERProgramList": DERProgram,
        "DERProgramList": DERProgram,
        "DERProgram": DERProgram,
        "CurrentDERProgram": CurrentDERProgram,
        "DefaultDERControl": DefaultDERControl,
        "ActiveDERControlList": DERControl,
        "DERControlList": DERControl,
        "DERControl": DERControl,
    }
)
