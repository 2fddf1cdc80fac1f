"""Who is in which group, and what follows from it, against an oracle that walks the tree by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import sqlalchemy as sa
from attrs import Factory, define
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import (
    addressees,
    device_list,
    devices,
    documents,
    group_counts,
    group_devices,
    groups,
    own_programs,
    programs,
    registration,
)
from csipd.db.database import Transaction
from csipd.db.device_list import Wanted
from csipd.db.tables import abilities, fleets, memberships
from csipd.db.tables import devices as device_table
from csipd.refusals import Conflict
from csipd.sep2.site import ROWS, Place
from tests.support.bodies import FULL
from tests.support.store import (
    ISSUER,
    NOW,
    add_device,
    add_group,
    add_program,
    lfdi,
    statements,
    store,
)

#: Own programs of a primacy that others have too.
OWN = programs.OwnPrograms(ISSUER, 1)


@define
class Group:
    parent: int | None
    assignment: str


@define
class Device:
    number: int
    manager: int | None
    aggregator: bool
    registered: bool
    retired: bool = False
    withdrawn: bool = False
    #: (group, since, until) of each membership, in the order in which they began.
    history: list[tuple[int, int, int | None]] = Factory(list)
    #: What each of its DERs that has said supports (DERControlType), by the number of the DER.
    capabilities: dict[int, int] = Factory(dict)
    ders: int = 0

    @property
    def shown(self) -> bool:
        return self.registered and not self.retired and not self.withdrawn

    @property
    def modes(self) -> int:
        """What any of its DERs supports; -1 while none has said."""
        found = -1
        for modes in self.capabilities.values():
            found = modes | max(found, 0)
        return found

    @property
    def groups(self) -> list[int]:
        return [group for group, _, until in self.history if until is None]


@define
class Program:
    group: int
    primacy: int
    retired: bool = False


class World:
    """A store, and beside it the same world as plain values; every step is taken in both.

    Steps are given numbers from 0 to 1000 to choose with: what they choose from is not known before.
    """

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.connection = transaction.connection
        self.now = NOW
        self.groups: dict[int, Group] = {}
        self.devices: dict[int, Device] = {}
        self.programs: dict[int, Program] = {}
        # Something to choose from at the beginning.
        self.new_group(0, 0)
        self.new_device(0, 1)
        self.new_device(1, 0)

    # --- steps

    def new_group(self, parent: int, assignment: int) -> None:
        self._put_group(f"group {len(self.groups)}", parent, assignment)

    def move_group(self, which: int, parent: int, assignment: int) -> None:
        """Wherever it is put, even under itself: a walk has to end all the same."""
        self._put_group(f"group {which % len(self.groups)}", parent, assignment)

    def _put_group(self, name: str, parent: int, assignment: int) -> None:
        above = [None, *self.groups][parent % (len(self.groups) + 1)]
        fsa = f"FSA {assignment % 3}"
        self.groups[add_group(self.transaction, name, above, fsa)] = Group(above, fsa)

    def new_program(self, group: int, primacy: int) -> None:
        where = pick(self.groups, group)
        number = add_program(self.transaction, where, f"program {len(self.programs)}", primacy % 3)
        self.programs[number] = Program(where, primacy % 3)

    def change_program(self, which: int, group: int, primacy: int) -> None:
        if self.programs:
            number, where = pick(self.programs, which), pick(self.groups, group)
            programs.change(self.transaction, number, group=where, primacy=primacy % 3)
            self.programs[number] = Program(where, primacy % 3)

    def retire_program(self, which: int) -> None:
        if self.programs:
            number = pick(self.programs, which)
            programs.retire(self.transaction, number, self.now)
            self.programs[number].retired = True

    def new_device(self, manager: int, kind: int) -> None:
        """An aggregator, a device of somebody's, a listed one."""
        aggregator, registered = kind % 4 == 1, kind % 4 != 2
        boss = None if aggregator else self._manager(manager)
        number = len(self.devices)
        row = add_device(
            self.transaction, number, manager=boss, aggregator=aggregator, registered=registered, now=self.now
        )
        ders = 1 if registered and not aggregator else 0
        self.devices[row] = Device(number, row if aggregator else boss, aggregator, registered, ders=ders)

    def _manager(self, choice: int) -> int | None:
        managers = [None, *(row for row, device in self.devices.items() if device.aggregator)]
        return managers[choice % len(managers)]

    def join(self, which: int, group: int) -> None:
        row, where = pick(self.devices, which), pick(self.groups, group)
        devices.join(self.transaction, row, where, self.now)
        device = self.devices[row]
        if where not in device.groups:
            device.history.append((where, self.now, None))

    def leave(self, which: int, group: int) -> None:
        row, where = pick(self.devices, which), pick(self.groups, group)
        devices.leave(self.transaction, row, where, self.now)
        device = self.devices[row]
        device.history = [
            (one, since, self.now if one == where and until is None else until)
            for one, since, until in device.history
        ]

    def make_end_device(self, which: int) -> None:
        row = pick(self.devices, which)
        device = self.devices[row]
        known = devices.find(self.connection, lfdi(device.number))
        assert known is not None
        devices.make_end_device(self.transaction, known, self.now)
        device.registered = True
        device.ders = device.ders or int(not device.aggregator)

    def unregister(self, which: int) -> None:
        row = pick(self.devices, which)
        if self.devices[row].shown:
            registration.unregister(self.transaction, row, "test", self.now)
            self.devices[row].registered = False

    def withdraw(self, which: int) -> None:
        device = self.devices[pick(self.devices, which)]
        devices.withdraw(self.transaction, lfdi(device.number), "test", self.now)
        device.withdrawn = True

    def readmit(self, which: int) -> None:
        device = self.devices[pick(self.devices, which)]
        devices.readmit(self.transaction, lfdi(device.number), "test", self.now)
        device.withdrawn = False

    def retire(self, which: int) -> None:
        row = pick(self.devices, which)
        devices.update(self.transaction, row, retired=self.now)
        self.devices[row].retired = True

    def remove(self, which: int) -> None:
        """Retired by the operator: it leaves its groups too."""
        row = pick(self.devices, which)
        devices.retire(self.transaction, row, self.now)
        device = self.devices[row]
        device.retired = True
        device.history = [
            (group, since, self.now if until is None else until) for group, since, until in device.history
        ]

    def add_der(self, which: int) -> None:
        row = pick(self.devices, which)
        device = self.devices[row]
        if not device.aggregator:
            device.ders += 1
            devices.add_ders(self.transaction, row, device.ders, self.now)

    def say(self, which: int, der: int, modes: int) -> None:
        """One of its DERs says what it supports: little, so that unlike devices say the same."""
        row = pick(self.devices, which)
        device = self.devices[row]
        if device.ders:
            number, supported = 1 + der % device.ders, modes % 4
            place = Place(ROWS["DERCapability"], (row, number))
            capability = FULL["DERCapability"].replace(modesSupported=supported)
            documents.put(self.transaction, place, capability, self.now, row)
            devices.update_modes(self.transaction, row)
            device.capabilities[number] = supported

    def bring_back(self, which: int) -> None:
        row = pick(self.devices, which)
        devices.update(self.transaction, row, retired=None)
        self.devices[row].retired = False

    def hand_over(self, which: int, manager: int) -> None:
        row = pick(self.devices, which)
        if not self.devices[row].aggregator:
            boss = self._manager(manager)
            devices.update(self.transaction, row, manager=boss)
            self.devices[row].manager = boss

    # --- what follows from them

    def above(self, some: Iterable[int]) -> set[int]:
        """These groups and all above them."""
        found: set[int] = set()
        for group in some:
            at: int | None = group
            while at is not None and at not in found:
                found.add(at)
                at = self.groups[at].parent
        return found

    def below(self, group: int) -> list[int]:
        """This group and all that hang under it."""
        return [one for one in self.groups if group in self.above([one])]

    def abilities(self, some: Iterable[int]) -> Counter[int]:
        """How many devices that are shown are in these groups themselves, by what they support."""
        return Counter(
            device.modes
            for device in self.devices.values()
            if device.shown
            for group in device.groups
            if group in some
        )

    def assignments(self, row: int) -> set[str]:
        return {self.groups[group].assignment for group in self.above(self.devices[row].groups)}

    def programs_in(self, some: Iterable[int], assignment: str | None = None) -> list[int]:
        reached = self.above(some)
        found = [
            number
            for number, program in self.programs.items()
            if not program.retired
            and program.group in reached
            and assignment in (None, self.groups[program.group].assignment)
        ]
        # mRIDs rise with the number, and the highest comes first.
        return sorted(found, key=lambda number: (self.programs[number].primacy, -number))

    def fleet(self, manager: int) -> Counter[int]:
        """How many devices of an aggregator that are shown are in each group themselves."""
        return Counter(
            group
            for device in self.devices.values()
            if device.shown and device.manager == manager
            for group in device.groups
        )


def pick(some: dict[int, object] | dict[int, Group] | dict[int, Device] | dict[int, Program], n: int) -> int:
    return list(some)[n % len(some)]


def step(name: str, numbers: int) -> st.SearchStrategy[tuple[str, tuple[int, ...]]]:
    return st.tuples(st.just(name), st.tuples(*[st.integers(0, 1000)] * numbers))


STEPS = st.one_of(
    step("new_group", 2),
    step("move_group", 3),
    step("new_program", 2),
    step("change_program", 3),
    step("retire_program", 1),
    step("new_device", 2),
    step("join", 2),
    step("join", 2),
    step("leave", 2),
    step("make_end_device", 1),
    step("unregister", 1),
    step("withdraw", 1),
    step("readmit", 1),
    step("retire", 1),
    step("remove", 1),
    step("add_der", 1),
    step("say", 3),
    step("say", 3),
    step("bring_back", 1),
    step("hand_over", 2),
)


class ViewTests(SynchronousTestCase):
    """Whatever happened before, views and counts are what the memberships say."""

    # Hypothesis is brief if it may: long histories are where things meet.
    @given(st.lists(STEPS, min_size=15, max_size=45))
    def test_any_history(self, taken: list[tuple[str, tuple[int, ...]]]) -> None:
        """FSAs, programs, fleets, abilities and the record of memberships are those of the oracle."""
        with store() as transaction:
            world = World(transaction)
            for name, numbers in taken:
                world.now += 1
                method: Callable[..., None] = getattr(world, name)
                method(*numbers)
            self.compare_devices(world)
            self.compare_fleets(world)
            self.compare_abilities(world)
            self.compare_lists(world)
            self.compare_history(world)

    def compare_lists(self, world: World) -> None:
        """What operators list comes page by page, each device once, and numbers that are kept are theirs."""
        connection = world.connection
        under = {
            group: {row for row, device in world.devices.items() if {*device.groups} & {*world.below(group)}}
            for group in world.groups
        }
        for group, rows in under.items():
            pages = [group_devices.merged(connection, group, 0, 2) or []]
            while len(pages[-1]) == 2:
                pages.append(group_devices.merged(connection, group, pages[-1][-1], 2) or [])
            self.assertEqual([row for page in pages for row in page], sorted(rows))
            shared = {other: len(rows & theirs) for other, theirs in under.items() if rows & theirs}
            self.assertEqual(group_devices.numbers_in_both(connection, group, list(under)), shared)
        for standing, number in device_list.numbers_by_standing(connection).items():
            found, following = device_list.page(connection, Wanted(standing=standing), limit=500)
            self.assertEqual(([one.standing for one in found], following), ([standing] * number, None))
        retired = sum(program.retired for program in world.programs.values())
        self.assertEqual(programs.number(connection), len(world.programs) - retired)
        before = connection.execute(sa.select(abilities)).all()
        group_counts.recount(world.transaction)
        self.assertEqual(sorted(connection.execute(sa.select(abilities)).all()), sorted(before))

    def compare_devices(self, world: World) -> None:
        connection = world.connection
        counts = groups.assignment_counts(connection, list(world.devices))
        for row, device in world.devices.items():
            shown = groups.assignments_of(connection, row)
            self.assertEqual({name for _, name in shown}, world.assignments(row))
            self.assertEqual(shown, sorted(shown, reverse=True))
            self.assertEqual(counts.get(row, 0), len(shown))
            found = groups.programs_of(connection, row)
            self.assertEqual([program for program, _ in found], world.programs_in(device.groups))
            for number, name in shown:
                self.assertEqual(
                    [program for program, assignment in found if assignment == number],
                    world.programs_in(device.groups, name),
                )
            for program in world.programs:
                self.assertIs(
                    groups.reaches(connection, row, False, program),
                    program in world.programs_in(device.groups),
                )
            self.compare_own(world, row)

    def compare_own(self, world: World, row: int) -> None:
        """A device's own program, once used, is among its programs, where it has an FSA to be in."""
        own_programs.show(world.transaction, programs.own_program(row), NOW)
        found = programs.of_device(world.connection, OWN, row)
        own = [pair for pair in found if pair[0] == programs.own_program(row)]
        self.assertEqual(
            [pair for pair in found if pair not in own], groups.programs_of(world.connection, row)
        )
        fsas = [number for number, _ in groups.assignments_of(world.connection, row)]
        self.assertEqual([assignment for _, assignment in own], sorted(fsas)[:1])
        shown = programs.get(world.connection, [number for number, _ in found], OWN)
        primacies = [shown[number].primacy for number, _ in found]
        self.assertEqual(primacies, sorted(primacies))

    def compare_fleets(self, world: World) -> None:
        for row, device in world.devices.items():
            if not device.aggregator:
                continue
            managed = [one for one in world.devices.values() if one.shown and one.manager == row]
            size = sa.select(device_table.c.fleet).where(device_table.c.id == row)
            self.assertEqual(world.connection.scalar(size), len(managed))
            expected = world.fleet(row)
            query = sa.select(fleets.c.group, fleets.c.members).where(fleets.c.manager == row)
            kept = {group: members for group, members in world.connection.execute(query) if members}
            self.assertEqual(kept, dict(expected))
            reached = world.programs_in(expected)
            found = groups.programs_of_fleet(world.connection, row)
            self.assertEqual([program for program, _ in found], reached)
            for program in world.programs:
                self.assertIs(groups.reaches(world.connection, row, True, program), program in reached)

    def compare_abilities(self, world: World) -> None:
        connection = world.connection
        for group in world.groups:
            below = world.below(group)
            expected = world.abilities(below)
            self.assertEqual(group_counts.abilities_under(connection, group), dict(expected))
            self.assertEqual(group_counts.number_under(connection, group), expected.total())
            rows = [row for row, device in world.devices.items() if {*device.groups} & {*below}]
            self.assertEqual(sorted(connection.scalars(group_devices.under(group))), sorted(rows))
            shown = [row for row in rows if world.devices[row].shown]
            self.assertEqual(addressees.some_under(connection, group, 50), sorted(shown))
            own = [
                n for n, program in world.programs.items() if program.group == group and not program.retired
            ]
            self.assertEqual(groups.own_programs(connection, group), sorted(own))
            around = {*below, *world.above([group])}
            reached = [n for n, p in world.programs.items() if p.group in around and not p.retired]
            self.assertEqual(groups.programs_around(connection, group), sorted(reached))
        query = sa.select(abilities.c.members).where(abilities.c.members < 0)
        self.assertIsNone(connection.scalar(query), "nothing is counted out that was not counted in")
        rows = list(world.devices)
        several = {program for row in rows[:2] for program in world.programs_in(world.devices[row].groups)}
        self.assertEqual(set(groups.programs_of_any(connection, rows[:2])), several)
        kept = groups.memberships_of_many(connection, rows)
        self.assertEqual(kept, {row: sorted(d.groups) for row, d in world.devices.items() if d.groups})

    def compare_history(self, world: World) -> None:
        query = sa.select(memberships).order_by(memberships.c.id)
        kept: dict[int, list[tuple[int, int, int | None]]] = {row: [] for row in world.devices}
        for one in world.connection.execute(query):
            kept[one.device].append((one.group, one.since, one.until))
        self.assertEqual(kept, {row: device.history for row, device in world.devices.items()})


class AbilityTests(SynchronousTestCase):
    """What the devices of a group support, case by case."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.top = add_group(self.transaction, "system")
        self.group = add_group(self.transaction, "feeder", parent=self.top)
        self.device = add_device(self.transaction, 1)
        devices.join(self.transaction, self.device, self.group, NOW)

    def say(self, der: int, modes: int | None) -> None:
        """A DER of the device says what it supports, or takes that back."""
        place = Place(ROWS["DERCapability"], (self.device, der))
        if modes is None:
            documents.delete(self.transaction, place)
        else:
            capability = FULL["DERCapability"].replace(modesSupported=modes)
            documents.put(self.transaction, place, capability, NOW, self.device)
        devices.update_modes(self.transaction, self.device)

    def check(self, expected: dict[int, int]) -> None:
        for group in (self.group, self.top):
            self.assertEqual(group_counts.abilities_under(self.transaction.connection, group), expected)
            number = group_counts.number_under(self.transaction.connection, group)
            self.assertEqual(number, sum(expected.values()))

    def test_several_ders(self) -> None:
        """A device supports what any of its DERs does, and nothing is known before one has said."""
        devices.add_ders(self.transaction, self.device, 2, NOW)
        self.check({-1: 1})
        for der, modes, expected in ((2, 4, 4), (1, 3, 7), (2, 0, 3), (1, None, 0), (2, None, -1)):
            self.say(der, modes)
            self.check({expected: 1})

    def test_only_what_is_shown(self) -> None:
        """A device that is withdrawn, retired or not registered counts nowhere; readmitted it does."""
        self.say(1, 5)
        devices.withdraw(self.transaction, lfdi(1), "operator", NOW)
        self.check({})
        devices.readmit(self.transaction, lfdi(1), "operator", NOW)
        self.check({5: 1})
        registration.unregister(self.transaction, self.device, "boss", NOW)
        self.check({})

    def test_in_several_groups(self) -> None:
        """A device that is in several of the groups counts in each of them."""
        devices.join(self.transaction, self.device, self.top, NOW)
        self.assertEqual(group_counts.abilities_under(self.transaction.connection, self.top), {-1: 2})
        self.assertEqual(group_counts.abilities_under(self.transaction.connection, self.group), {-1: 1})
        devices.leave(self.transaction, self.device, self.group, NOW)
        self.assertEqual(group_counts.abilities_under(self.transaction.connection, self.group), {})


class TreeTests(SynchronousTestCase):
    """Groups under the operator's hand."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.top = add_group(self.transaction, "system", level=0)
        self.middle = add_group(self.transaction, "feeder", parent=self.top, level=3)
        self.low = add_group(self.transaction, "point", parent=self.middle, level=6)

    def test_hang(self) -> None:
        """A group is hung elsewhere with all under it, never under itself; that is told."""
        device = add_device(self.transaction, 1)
        devices.join(self.transaction, device, self.low, NOW)
        program = add_program(self.transaction, self.top, "of the system")
        self.transaction.changed.clear()
        for parent in (self.middle, self.low):
            self.assertRaises(Conflict, groups.move, self.transaction, self.middle, parent=parent, level=3)
        self.assertEqual(self.transaction.changed, [])
        self.assertTrue(groups.reaches(self.connection, device, False, program))
        groups.move(self.transaction, self.middle, parent=None, level=None)
        self.assertIn("topology", self.transaction.changed)
        self.assertFalse(groups.reaches(self.connection, device, False, program))
        (found,) = groups.listed(self.connection, number=self.middle)
        self.assertEqual(found, groups.Group(self.middle, "feeder", None, None, "Topology"))

    def test_change_of_places(self) -> None:
        """Two groups that the configuration has change places, one after the other, count what is theirs."""
        for number, group in enumerate((self.middle, self.low, self.low), 1):
            devices.join(self.transaction, add_device(self.transaction, number), group, NOW)
        fsa = groups.assignment(self.transaction, "Topology")

        def counted() -> list[int]:
            numbers = [self.top, self.middle, self.low]
            return [*group_counts.numbers_under(self.connection, numbers).values()]

        self.assertEqual(counted(), [3, 3, 2])
        names = groups.names(self.connection, [self.middle, self.low])
        for number, parent in ((self.middle, self.low), (self.low, self.top)):
            groups.put_group(self.transaction, names[number], parent=parent, level=None, assignment=fsa)
        self.assertEqual(counted(), [3, 1, 3])

    def test_under_alone(self) -> None:
        """Who is said to lose and gain by a move of a group loses and gains (case B10)."""
        other = add_group(self.transaction, "other feeder", parent=self.top, level=3)
        beside = add_group(self.transaction, "beside", parent=self.middle)
        places = (
            [self.low],
            [self.low, self.middle],
            [self.low, beside],
            [self.low, other],
            [beside],
            [other],
        )
        for number, held in enumerate(places, 1):
            device = add_device(self.transaction, number)
            for group in held:
                devices.join(self.transaction, device, group, NOW)
        left = add_device(self.transaction, 9)
        devices.join(self.transaction, left, self.low, NOW)
        devices.leave(self.transaction, left, self.low, NOW + 1)

        def alone(group: int, of: int, *, cut_off: bool = False) -> set[int]:
            return set(self.connection.scalars(group_devices.under_alone(group, of, cut_off=cut_off)))

        def under(group: int) -> set[int]:
            return set(self.connection.scalars(group_devices.under(group)))

        self.assertEqual(alone(self.middle, other), under(self.middle) - under(other))
        self.assertEqual(alone(self.low, self.middle), set())
        lose = alone(self.low, self.middle, cut_off=True)
        gain = alone(self.low, other, cut_off=True)
        was, others = under(self.middle), under(other)
        groups.move(self.transaction, self.low, parent=other, level=6)
        self.assertEqual(was - under(self.middle), lose)
        self.assertEqual(under(other) - others, gain)
        self.assertEqual((len(lose), len(gain)), (2, 3))

    def test_level_below(self) -> None:
        """The highest level right below a group is known, not that of those further down."""
        add_group(self.transaction, "beside", parent=self.top)
        add_group(self.transaction, "station", parent=self.top, level=2)
        for group, level in ((self.top, 2), (self.middle, 6), (self.low, None)):
            self.assertEqual(groups.level_below(self.connection, group), level)

    def test_remove(self) -> None:
        """A group goes only when nothing is in it and nothing was: neither program nor group nor device."""
        device = add_device(self.transaction, 1)
        devices.join(self.transaction, device, self.low, NOW)
        devices.leave(self.transaction, device, self.low, NOW + 1)
        other = add_group(self.transaction, "other")
        add_program(self.transaction, other, "retired")
        for group in (self.low, self.middle, other):
            self.assertRaises(Conflict, groups.remove, self.transaction, group)
        empty = add_group(self.transaction, "empty", parent=self.top)
        groups.remove(self.transaction, empty)
        self.assertFalse(groups.exists(self.connection, empty))
        self.assertTrue(groups.exists(self.connection, self.top))

    def test_listed(self) -> None:
        """Groups are listed by number, page by page."""
        every = [group.id for group in groups.listed(self.connection)]
        self.assertEqual(every, [self.top, self.middle, self.low])
        found = groups.listed(self.connection, after=self.top, limit=1)
        self.assertEqual([group.name for group in found], ["feeder"])
        self.assertEqual(groups.listed(self.connection, number=99), [])


class MembershipTests(SynchronousTestCase):
    """What a step tells of itself, and what it costs."""

    def test_one_program_is_one_row(self) -> None:
        """Giving a program to a group writes the program, however many devices are in the group."""
        with store() as transaction:
            group = add_group(transaction, "feeder")
            written = []
            for number in range(20):
                devices.join(transaction, add_device(transaction, number), group, NOW)
                with statements(transaction) as said:
                    programs.add(transaction, ISSUER, group, f"program {number}", 1)
                written.append(said)
            self.assertEqual(written[0], written[-1])
            self.assertTrue(written[0][0].startswith("INSERT INTO programs"))

    def test_order(self) -> None:
        """Programs come by primacy, and among equals the highest mRID first."""
        with store() as transaction:
            device, group = add_device(transaction, 1), add_group(transaction, "feeder")
            devices.join(transaction, device, group, NOW)
            first, second, urgent = (
                add_program(transaction, group, name, primacy)
                for name, primacy in (("a", 5), ("b", 5), ("c", 4))
            )
            found = [number for number, _ in groups.programs_of(transaction.connection, device)]
            self.assertEqual(found, [urgent, second, first])

    def test_one_fsa_of_two_groups(self) -> None:
        """A device in two groups of one FSA has that FSA once."""
        with store() as transaction:
            device = add_device(transaction, 1)
            for name, assignment in (("a", "A"), ("b", "A"), ("c", "B")):
                devices.join(transaction, device, add_group(transaction, name, None, assignment), NOW)
            connection = transaction.connection
            self.assertEqual([name for _, name in groups.assignments_of(connection, device)], ["B", "A"])
            self.assertEqual(groups.assignment_counts(connection, [device]), {device: 2})

    def test_joining_twice_is_once(self) -> None:
        """A device that is in a group already does not join it again."""
        with store() as transaction:
            device, group = add_device(transaction, 1), add_group(transaction, "feeder")
            self.assertTrue(groups.join(transaction, device, group, NOW))
            self.assertFalse(groups.join(transaction, device, group, NOW + 1))
            self.assertTrue(groups.leave(transaction, device, group, NOW + 2))
            self.assertFalse(groups.leave(transaction, device, group, NOW + 3))
            self.assertEqual(groups.set_of(transaction.connection, device), ())

    def test_a_move_is_told(self) -> None:
        """A move drops which groups the device is in, and those of its aggregator's fleet."""
        with store() as transaction:
            boss = add_device(transaction, 1, aggregator=True)
            device, group = add_device(transaction, 2, manager=boss), add_group(transaction, "feeder")
            for move in (devices.join, devices.leave):
                transaction.changed.clear()
                move(transaction, device, group, NOW)
                reported = {f"fleet-groups {boss}", f"groups {device}"}
                self.assertEqual(set(transaction.changed), reported)
                transaction.changed.clear()
                move(transaction, device, group, NOW)
                self.assertEqual(transaction.changed, [])

    def test_a_moved_group_is_told(self) -> None:
        """A group that gets another place changes what programs there are for those under it."""
        with store() as transaction:
            top = add_group(transaction, "system")
            transaction.changed.clear()
            add_group(transaction, "feeder", parent=top)
            self.assertIn("topology", transaction.changed)

    def test_names(self) -> None:
        """Groups and FSAs are found by their names; a name is given once."""
        with store() as transaction:
            first = add_group(transaction, "feeder", assignment="A")
            self.assertEqual(add_group(transaction, "feeder", assignment="B"), first)
            self.assertEqual(groups.find(transaction.connection, "feeder"), first)
            self.assertIsNone(groups.find(transaction.connection, "Feeder"))
            numbers = [groups.assignment(transaction, name) for name in ("A", "B", "A")]
            self.assertEqual(numbers[0], numbers[2])
            self.assertNotEqual(numbers[0], numbers[1])
