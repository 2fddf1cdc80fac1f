"""DERPrograms, their default controls and their curves."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, devices, documents, groups, own_programs, programs
from csipd.refusals import Conflict, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.site import ROWS, Place
from tests.support.store import ISSUER, NOW, add_device, add_group, add_program, lfdi, store
from tests.support.world import der_control

OWN = programs.OwnPrograms(ISSUER, 3)


def default(watts: int) -> r.DefaultDERControl:
    return r.DefaultDERControl(mRID="0" * 32, DERControlBase=r.DERControlBase(opModMaxLimW=watts))


def curve(description: str, created: int = NOW, y: int = 0) -> r.DERCurve:
    return r.DERCurve(
        mRID="0" * 32,
        description=description,
        creationTime=created,
        CurveData=(r.CurveData(xvalue=0, yvalue=y),),
        curveType=0,
        xMultiplier=0,
        yMultiplier=0,
        yRefType=1,
    )


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.group = add_group(self.transaction, "feeder")
        self.program = add_program(self.transaction, self.group, "Program 1", 9)
        self.transaction.changed.clear()

    def reported(self) -> list[str]:
        """What was reported since the last look."""
        found, self.transaction.changed[:] = list(self.transaction.changed), []
        return found

    def programs(self, *numbers: int, own: programs.OwnPrograms = OWN) -> dict[int, r.DERProgram]:
        return programs.get(self.connection, numbers, own)

    def get(self, row: str, *ids: int) -> Any:
        return documents.get(self.connection, Place(ROWS[row], ids))


class ProgramTests(_Case):
    """Programs themselves."""

    def test_added(self) -> None:
        """A program has an mRID of ours, version 0, and what was said of it."""
        expected = r.DERProgram(
            mRID=ISSUER.mrid(Kind.PROGRAM, self.program), description="Program 1", version=0, primacy=9
        )
        self.assertEqual(self.programs(self.program, 99), {self.program: expected})
        self.assertEqual(programs.find(self.connection, "Program 1"), self.program)
        self.assertIsNone(programs.find(self.connection, "Program 2"))

    def test_long_description(self) -> None:
        """A description longer than the standard allows is cut where it is shown, and known in full."""
        name = "A program of which there is rather much to say"
        number = add_program(self.transaction, self.group, name)
        self.assertEqual(self.programs(number)[number].description, name[:32])
        self.assertEqual(programs.find(self.connection, name), number)

    def test_changed(self) -> None:
        """A change raises the version and is reported wherever programs are listed."""
        programs.change(self.transaction, self.program, group=self.group, primacy=3)
        changed = self.programs(self.program)[self.program]
        self.assertEqual((changed.primacy, changed.version), (3, 1))
        self.assertEqual(set(self.reported()), {"topology", f"program {self.program}"})

    def test_retired_and_back(self) -> None:
        """A retired program is shown nowhere, is still known, and comes back as what it was."""
        before = self.programs(self.program)[self.program]
        programs.retire(self.transaction, self.program, NOW)
        self.assertIn("topology", self.reported())
        self.assertEqual(self.programs(self.program), {})
        self.assertEqual(programs.find(self.connection, "Program 1"), self.program)
        programs.change(self.transaction, self.program, group=self.group, primacy=9)
        after = self.programs(self.program)[self.program]
        self.assertEqual(after, before.replace(version=1))


class OwnTests(_Case):
    """The program that each device has of its own (decision 19)."""

    def setUp(self) -> None:
        super().setUp()
        self.device = add_device(self.transaction, 1)
        self.own = programs.own_program(self.device)

    def order(self, primacy: int = 3) -> list[int]:
        """The programs of the device, by their numbers, where own ones have that primacy."""
        found = programs.of_device(self.connection, programs.OwnPrograms(ISSUER, primacy), self.device)
        return [number for number, _ in found]

    def join(self, *group_numbers: int) -> None:
        for group in group_numbers:
            devices.join(self.transaction, self.device, group, NOW)

    def test_numbers(self) -> None:
        """Its number follows from the device's and is that of no group's program."""
        self.assertEqual(programs.owner_of(self.own), self.device)
        self.assertIsNone(programs.owner_of(self.program))
        self.assertNotEqual(programs.own_program(self.device + 1), self.own)

    def test_made_of_nothing(self) -> None:
        """It is there without a row, beside those that are rows; its mRID and primacy are of its kind."""
        found = self.programs(self.own, self.program, own=programs.OwnPrograms(ISSUER, 7))
        self.assertEqual(sorted(found), [self.program, self.own])
        self.assertEqual(
            found[self.own],
            r.DERProgram(
                mRID=ISSUER.mrid(Kind.OWN_PROGRAM, self.device),
                description=programs.OWN_DESCRIPTION,
                version=0,
                primacy=7,
            ),
        )

    def use(self, device: int | None = None) -> None:
        own_programs.show(self.transaction, programs.own_program(device or self.device), NOW)

    def test_without_fsa(self) -> None:
        """A device without any FSA has none to show it in."""
        self.use()
        self.assertEqual(self.order(), [])

    def test_not_before_it_is_used(self) -> None:
        """Nobody sees it before its first use; from then on it is there, until it is hidden (case A1)."""
        self.join(self.group)
        self.assertEqual(self.order(), [self.program])
        self.assertFalse(programs.reaches(self.connection, self.device, False, self.own))
        self.transaction.changed.clear()
        for _ in range(2):
            self.use()
            self.assertEqual(self.order(), [self.own, self.program])
            self.assertTrue(programs.reaches(self.connection, self.device, False, self.own))
        self.assertEqual(self.transaction.changed, [f"own-program {self.device}"])
        own_programs.hide(self.transaction, self.own, NOW)
        self.assertEqual(self.order(), [self.program])
        self.assertRaises(NotFound, own_programs.hide, self.transaction, self.own, NOW)
        self.assertRaises(NotFound, own_programs.hide, self.transaction, self.program, NOW)

    def test_hidden_without_live_controls(self) -> None:
        """One with a control that is not over cannot be hidden; the refusal names it (decision 39)."""
        self.join(self.group)
        self.use()
        made = der_control(NOW, NOW + 10, 60)
        number = controls.add(self.transaction, ISSUER, self.own, made).ids[1]
        refusal = self.assertRaises(Conflict, own_programs.hide, self.transaction, self.own, NOW)
        self.assertIn(f"control {number}", str(refusal))
        controls.cancel(self.transaction, number, False, None, NOW + 1)
        own_programs.hide(self.transaction, self.own, NOW + 1)
        self.assertEqual(self.order(), [self.program])

    def default(self, program: int, grad: int | None = None, **base: Any) -> None:
        wanted = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(**base), setGradW=grad)
        programs.set_default(self.transaction, ISSUER, program, wanted, NOW)

    def view(self) -> r.DefaultDERControl:
        """What the device reads, its version kept as a read keeps it."""
        own_programs.keep_default(self.transaction, OWN, self.own)
        found = own_programs.default(self.connection, OWN, self.own)
        assert found is not None and found.is_kept
        return found.document

    def test_default_is_a_view(self) -> None:
        """Its default says for each mode what is in force: the best of its other programs (case A1)."""
        better = add_program(self.transaction, self.group, "better", 1)
        self.join(self.group)
        self.use()
        self.assertIsNone(own_programs.default(self.connection, OWN, self.own))
        self.assertEqual(own_programs.have_default(self.connection, [self.own, self.program]), set())
        href = f"/derp/{self.program}/dc/1"
        link = r.DERCurveLink(href=href)
        self.default(self.program, 7, opModMaxLimW=5000, opModVoltVar=link)
        self.assertEqual(self.view().DERControlBase, r.DERControlBase(opModMaxLimW=5000, opModVoltVar=link))
        self.default(better, opModMaxLimW=6000)
        found = self.view()
        self.assertEqual(found.DERControlBase, r.DERControlBase(opModMaxLimW=6000, opModVoltVar=link))
        self.assertEqual((found.setGradW, found.mRID), (7, ISSUER.mrid(Kind.DEFAULT, self.own)))
        self.assertEqual(own_programs.have_default(self.connection, [self.own, self.program]), {self.own})

    def test_version_of_the_view(self) -> None:
        """Its version rises with what it says, and stays where nothing changed; events are no part of it."""
        self.join(self.group)
        self.use()
        self.default(self.program, opModMaxLimW=5000)
        for _ in range(2):
            self.assertEqual(self.view().version, 0)
        self.default(self.program, opModMaxLimW=6000)
        self.assertFalse(own_programs.default(self.connection, OWN, self.own).is_kept)  # type: ignore[union-attr]  # there is one
        self.assertEqual(self.view().version, 1)
        controls.add(self.transaction, ISSUER, self.program, der_control(NOW, NOW - 10, 600))
        self.assertEqual(self.view().version, 1)
        devices.leave(self.transaction, self.device, self.group, NOW)
        self.assertIsNone(own_programs.default(self.connection, OWN, self.own))
        self.join(self.group)
        self.assertEqual(self.view().version, 1)

    def test_version_of_a_default(self) -> None:
        """A default that is taken away and set anew has a higher version than before (case A6)."""
        for version, value in enumerate((1, 2, 3)):
            self.default(self.program, opModMaxLimW=value)
            found = documents.get(self.connection, Place(ROWS["DefaultDERControl"], (self.program,)))
            assert isinstance(found, r.DefaultDERControl)
            self.assertEqual(found.version, version)
            programs.set_default(self.transaction, ISSUER, self.program, None, NOW)

    def test_service_point(self) -> None:
        """It is the program of the device's own SERVICE_POINT group, if it is alone in one (decision 39)."""

        def found() -> int:
            return own_programs.of_devices(self.connection, [self.device])[self.device]

        point = add_group(self.transaction, "point", parent=self.group, level=6)
        self.join(point)
        self.assertEqual(found(), self.own, "there is no program")
        program = add_program(self.transaction, point, "of the point", 4)
        self.assertEqual(found(), program)
        other = add_device(self.transaction, 2)
        devices.join(self.transaction, other, point, NOW)
        self.assertEqual(found(), self.own, "it is not alone")
        devices.leave(self.transaction, other, point, NOW)
        second = add_program(self.transaction, point, "another", 5)
        self.assertEqual(found(), self.own, "there are two")
        programs.retire(self.transaction, second, NOW)
        self.assertEqual(found(), program)
        groups.move(self.transaction, point, parent=self.group, level=5)
        self.assertEqual(found(), self.own, "it is no service point")

    def test_joining_a_service_point(self) -> None:
        """Nobody joins a service point, or comes under it, whose program has live controls (decision 39)."""
        point = add_group(self.transaction, "point", parent=self.group, level=6)
        below = add_group(self.transaction, "below", parent=point)
        program = add_program(self.transaction, point, "of the point", 4)
        self.join(point)
        made = controls.add(self.transaction, ISSUER, program, der_control(NOW, NOW, 60)).ids[1]
        other = add_device(self.transaction, 2)
        for group in (point, below):
            with self.transaction.connection.begin_nested() as part:
                refusal = self.assertRaises(Conflict, devices.join, self.transaction, other, group, NOW)
                part.rollback()
            self.assertIn(f"control {made}", str(refusal))
        self.join(point)
        devices.join(self.transaction, other, self.group, NOW)
        devices.join(self.transaction, other, point, NOW + 60)

    def test_of_a_fleet(self) -> None:
        """An aggregator's programs are those of all FSAs of its fleet, in any page (case A8)."""
        boss = add_device(self.transaction, 20, aggregator=True)
        home = add_group(self.transaction, "home")
        for number, primacy in enumerate((1, 3, 3, 9)):
            add_program(self.transaction, home, f"at home {number}", primacy)
        fleet = [add_device(self.transaction, number, manager=boss) for number in range(21, 26)]
        for device in fleet[:4]:
            devices.join(self.transaction, device, home, NOW)
        for device in fleet[1:]:
            self.use(device)
        devices.withdraw(self.transaction, lfdi(23), "operator", NOW)
        total, every = programs.of_fleet(self.connection, OWN, boss, (0, 100))
        union = {
            number
            for device in (fleet[0], fleet[1], fleet[3])
            for number, _ in programs.of_device(self.connection, OWN, device)
        }
        self.assertEqual((set(every), total, len(every)), (union, 6, 6))
        mrids = {n: p.mRID for n, p in self.programs(*every).items()}
        primacies = {n: p.primacy for n, p in self.programs(*every).items()}
        ordered = sorted(sorted(every, key=mrids.__getitem__, reverse=True), key=primacies.__getitem__)
        self.assertEqual(every, ordered)
        for start in range(8):
            for limit in range(8):
                found = programs.of_fleet(self.connection, OWN, boss, (start, limit))
                self.assertEqual(found, (6, every[start : start + limit]))
        self.assertEqual(programs.of_fleet(self.connection, OWN, boss, None), (6, []))

    def test_fsa(self) -> None:
        """It is in the first of the FSAs of its device, whatever it joined first and whatever is in it."""
        campaign = add_group(self.transaction, "campaign", assignment="Campaign")
        empty = add_group(self.transaction, "empty", assignment="Empty")
        self.join(empty)
        self.use()
        found = programs.of_device(self.connection, OWN, self.device)
        self.assertEqual(found, [(self.own, groups.assignment(self.transaction, "Empty"))])
        self.join(campaign)
        self.assertEqual(
            programs.of_device(self.connection, OWN, self.device),
            [(self.own, groups.assignment(self.transaction, "Campaign"))],
        )

    def test_order(self) -> None:
        """It stands where its primacy puts it: between equals first, for its mRID is the greatest."""
        for number, primacy in enumerate((0, 3, 3, 4, 255)):
            add_program(self.transaction, self.group, f"program {number}", primacy)
        self.join(self.group)
        every = [number for number, _ in groups.programs_of(self.connection, self.device)]
        self.assertEqual(len(every), 6)
        self.use()
        shown = self.programs(*every)
        for primacy in (0, 1, 3, 4, 100, 255):
            expected = sorted(
                [*every, self.own],
                key=lambda number: (
                    primacy if number == self.own else shown[number].primacy,
                    number != self.own,
                    every.index(number) if number in every else 0,
                ),
            )
            self.assertEqual(self.order(primacy), expected, primacy)

    def test_reached_by(self) -> None:
        """It is the device's, and its aggregator's while the device is shown; never an aggregator's own."""
        boss, rival = (add_device(self.transaction, number, aggregator=True) for number in (2, 3))
        managed = add_device(self.transaction, 4, manager=boss)

        def reached(of: int) -> list[int]:
            asked = ((self.device, False), (managed, False), (boss, True), (rival, True))
            program = programs.own_program(of)
            return [who for who, boss in asked if programs.reaches(self.connection, who, boss, program)]

        self.assertEqual(reached(managed), [])
        for device in (managed, self.device, boss, rival):
            self.use(device)
        self.assertEqual(reached(managed), [managed, boss])
        self.assertEqual(reached(self.device), [self.device])
        for nobody in (boss, rival, 999):
            self.assertEqual(reached(nobody), [])
        devices.update(self.transaction, managed, manager=rival)
        self.assertEqual(reached(managed), [managed, rival])
        devices.withdraw(self.transaction, lfdi(4), "operator", NOW)
        self.assertNotIn(rival, reached(managed))


class DefaultTests(_Case):
    """A program's DefaultDERControl."""

    def set(self, wanted: r.DefaultDERControl | None) -> Any:
        programs.set_default(self.transaction, ISSUER, self.program, wanted, NOW)
        return self.get("DefaultDERControl", self.program)

    def test_versions(self) -> None:
        """It keeps its mRID while its version rises with each change."""
        first, second = self.set(default(1)), self.set(default(2))
        self.assertEqual((first.version, second.version), (0, 1))
        self.assertEqual(first.mRID, ISSUER.mrid(Kind.DEFAULT, self.program))
        self.assertEqual(second, default(2).replace(mRID=first.mRID, version=1))

    def test_the_same_again(self) -> None:
        """What is the same already is left alone, and nothing is notified."""
        before = self.set(default(1))
        self.reported()
        self.assertEqual(self.set(default(1)), before)
        self.assertEqual(self.reported(), [])

    def test_taken_away(self) -> None:
        """A program may be left without one."""
        self.set(default(1))
        self.assertIsNone(self.set(None))
        self.assertIsNone(self.set(None))

    def test_version_turns_over(self) -> None:
        """After the highest version comes 0 again."""
        place = Place(ROWS["DefaultDERControl"], (self.program,))
        last = default(1).replace(mRID=ISSUER.mrid(Kind.DEFAULT, self.program), version=2**16 - 1)
        documents.put(self.transaction, place, last, NOW, None)
        self.assertEqual(self.set(default(2)).version, 0)


class CurveTests(_Case):
    """A program's curves."""

    def test_added(self) -> None:
        """Curves of a program have mRIDs of their own, and are found by their descriptions."""
        one, other = (
            programs.add_curve(self.transaction, ISSUER, self.program, curve(name), NOW) for name in "ab"
        )
        self.assertEqual(programs.find_curve(self.connection, self.program, "a"), one)
        self.assertEqual(programs.find_curve(self.connection, self.program, "b"), other)
        self.assertIsNone(programs.find_curve(self.connection, self.program, "c"))
        mrids = [self.get("DERCurve", *place.ids).mRID for place in (one, other)]
        self.assertEqual(mrids, [ISSUER.mrid(Kind.CURVE, self.program, number) for number in (1, 2)])

    def test_an_mrid_is_not_used_again(self) -> None:
        """A curve that replaces a deleted one is another curve."""
        first = programs.add_curve(self.transaction, ISSUER, self.program, curve("a"), NOW)
        before = self.get("DERCurve", *first.ids).mRID
        documents.delete(self.transaction, first)
        second = programs.add_curve(self.transaction, ISSUER, self.program, curve("a"), NOW)
        self.assertNotEqual(self.get("DERCurve", *second.ids).mRID, before)

    def test_changed(self) -> None:
        """A curve that gets other points stays the curve it was; its version rises."""
        place = programs.add_curve(self.transaction, ISSUER, self.program, curve("a"), NOW)
        before = self.get("DERCurve", *place.ids)
        programs.change_curve(self.transaction, place, curve("a", y=5), NOW + 1)
        after = self.get("DERCurve", *place.ids)
        self.assertEqual(after, curve("a", y=5).replace(mRID=before.mRID, version=1))
        self.assertEqual(programs.find_curve(self.connection, self.program, "a"), place)

    def test_order(self) -> None:
        """The newest curve comes first, and a change of its time moves it."""
        a, b = (
            programs.add_curve(self.transaction, ISSUER, self.program, curve(name, NOW + age), NOW)
            for age, name in enumerate("ab")
        )
        self.assertEqual(self.order(), [b, a])
        programs.change_curve(self.transaction, a, curve("a", NOW + 9), NOW)
        self.assertEqual(self.order(), [a, b])

    def order(self) -> list[Place]:
        place = Place(ROWS["DERCurveList"], (self.program,))
        _, members = documents.page(self.connection, place, documents.ALL)
        return [member for member, _ in members]
