"""Controls that their lists show as active and that nobody, or not everybody, follows (case B3)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, devices, displacement, own_programs, programs
from csipd.db.displacement import Displacement
from csipd.sep2 import resources as r
from tests.support.store import ISSUER, NOW, add_device, add_group, add_program, forget, statements, store
from tests.support.world import der_control

OWN = programs.OwnPrograms(ISSUER, 3)
W = ("opModFixedW",)


class DisplacementTests(SynchronousTestCase):
    """A longer control of a worse program, and what a better one made of it."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.system = add_group(self.transaction, "system")
        self.feeder = add_group(self.transaction, "feeder", parent=self.system)
        self.point = add_group(self.transaction, "point", parent=self.feeder)
        self.beside = add_group(self.transaction, "beside", assignment="Beside")
        self.one, self.two, self.three = (add_device(self.transaction, n) for n in (1, 2, 3))
        for device, group in ((self.one, self.point), (self.two, self.feeder), (self.three, self.feeder)):
            devices.join(self.transaction, device, group, NOW - 1000)
        devices.join(self.transaction, self.three, self.beside, NOW - 1000)
        self.program = add_program(self.transaction, self.feeder, "of the feeder", 7)
        self.long = self.add(self.program, 0, 3600)

    def add(self, program: int, start: int, duration: int, created: int = 0) -> int:
        own_programs.show(self.transaction, program, NOW)
        made = der_control(NOW + created, NOW + start, duration)
        return controls.add(self.transaction, ISSUER, program, made).ids[1]

    def found(self, now: int) -> list[Displacement]:
        """What displaced the long one, as the operator's list has it."""
        every, _ = controls.listed(self.connection, NOW + now)
        return displacement.of_controls(self.connection, OWN, every, NOW + now).get(self.long, [])

    def test_by_all(self) -> None:
        """One of a better program above it ends it on all devices, also after that is over: no resumption."""
        better = add_program(self.transaction, self.system, "for all", 2)
        short = self.add(better, 600, 60, created=300)
        self.assertEqual(self.found(599), [])
        for now in (600, 659, 660, 3599):
            self.assertEqual(self.found(now), [Displacement(short, better, W, 3)])
        self.assertEqual(self.found(3600), [])

    def test_by_some(self) -> None:
        """One of a group below, of a group beside, or by name, ends it on those that are in both."""
        below = add_program(self.transaction, self.point, "of the point", 4)
        beside = add_program(self.transaction, self.beside, "beside", 1)
        own = programs.own_program(self.two)
        expected = [
            Displacement(self.add(program, 600, 60, created=300), program, W, 1)
            for program in (below, beside, own)
        ]
        self.assertCountEqual(self.found(700), expected)

    def test_by_its_own_program(self) -> None:
        """A later one of its own program takes some of its modes, in which it does not resume (case B3)."""
        program = add_program(self.transaction, self.feeder, "another", 6)
        both = r.DERControlBase(opModConnect=True, opModFixedW=5000)
        made = der_control(NOW, NOW, 3600).replace(DERControlBase=both)
        self.long = controls.add(self.transaction, ISSUER, program, made).ids[1]
        short = self.add(program, 600, 60, created=300)
        self.assertEqual(self.found(599), [])
        for now in (600, 660, 3599):
            self.assertEqual(self.found(now), [Displacement(short, program, W, 3)])

    def test_never_began(self) -> None:
        """One that was known before keeps it from beginning at all, from its start on."""
        better = add_program(self.transaction, self.system, "for all", 2)
        late = self.add(self.program, 100, 50, created=1)
        short = self.add(better, 120, 5, created=2)
        every, _ = controls.listed(self.connection, NOW + 100)
        found = displacement.of_controls(self.connection, OWN, every, NOW + 100)
        self.assertEqual(found[late], [Displacement(short, better, W, 3)])

    def test_retired(self) -> None:
        """One of a program that was retired while it was active is left out, and no other is (case B3)."""
        gone = add_program(self.transaction, self.system, "gone from the file", 1)
        short = self.add(gone, 600, 600, created=300)
        better = add_program(self.transaction, self.system, "for all", 2)
        next_one = self.add(better, 650, 60, created=300)
        programs.retire(self.transaction, gone, NOW + 640)
        every, _ = controls.listed(self.connection, NOW + 700)
        self.assertIn(short, [each.number for each in every])
        found = displacement.of_controls(self.connection, OWN, every, NOW + 700)
        self.assertEqual(found, {self.long: [Displacement(next_one, better, W, 3)]})

    def test_not_at_all(self) -> None:
        """A worse program, other devices, other modes or a neighbour in time displace nothing."""
        worse = add_program(self.transaction, self.system, "worse", 9)
        elsewhere = add_program(self.transaction, add_group(self.transaction, "elsewhere"), "elsewhere", 1)
        better = add_program(self.transaction, self.system, "better", 1)
        for program in (worse, elsewhere):
            self.add(program, 600, 60, created=300)
        self.add(better, 3600, 60, created=300)
        self.add(programs.own_program(add_device(self.transaction, 9)), 600, 60, created=300)
        self.assertEqual(self.found(700), [])

    def test_cost(self) -> None:
        """However many controls there are, the statements are the same."""
        better = add_program(self.transaction, self.system, "for all", 2)
        numbers = []
        for _ in range(2):
            for n in range(20):
                self.add(better, 600 + n, 60, created=300)
            forget(self.connection)
            every, _ = controls.listed(self.connection, NOW + 700)
            with statements(self.transaction) as said:
                displacement.of_controls(self.connection, OWN, every, NOW + 700)
            numbers.append(len(said))
        self.assertEqual(numbers[0], numbers[1])
