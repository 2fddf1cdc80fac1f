"""DERPrograms, their default controls and their curves."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import documents, programs
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.site import ROWS, Place
from tests.support.store import ISSUER, NOW, add_group, add_program, store


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

    def told(self) -> list[str]:
        """What was told of since the last look."""
        found, self.transaction.changed[:] = list(self.transaction.changed), []
        return found

    def get(self, row: str, *ids: int) -> Any:
        return documents.get(self.connection, Place(ROWS[row], ids))


class ProgramTests(_Case):
    """Programs themselves."""

    def test_added(self) -> None:
        """A program has an mRID of ours, version 0, and what was said of it."""
        expected = r.DERProgram(
            mRID=ISSUER.mrid(Kind.PROGRAM, self.program), description="Program 1", version=0, primacy=9
        )
        self.assertEqual(programs.get(self.connection, [self.program, 99]), {self.program: expected})
        self.assertEqual(programs.find(self.connection, "Program 1"), self.program)
        self.assertIsNone(programs.find(self.connection, "Program 2"))

    def test_long_description(self) -> None:
        """A description longer than the standard allows is cut where it is shown, and known in full."""
        name = "A program of which there is rather much to say"
        number = add_program(self.transaction, self.group, name)
        self.assertEqual(programs.get(self.connection, [number])[number].description, name[:32])
        self.assertEqual(programs.find(self.connection, name), number)

    def test_changed(self) -> None:
        """A change raises the version and is told of wherever programs are listed."""
        programs.change(self.transaction, self.program, group=self.group, primacy=3)
        changed = programs.get(self.connection, [self.program])[self.program]
        self.assertEqual((changed.primacy, changed.version), (3, 1))
        self.assertEqual(set(self.told()), {"/derp", f"/derp/{self.program}"})

    def test_retired_and_back(self) -> None:
        """A retired program is shown nowhere, is still known, and comes back as what it was."""
        before = programs.get(self.connection, [self.program])[self.program]
        programs.retire(self.transaction, self.program, NOW)
        self.assertIn("/derp", self.told())
        self.assertEqual(programs.get(self.connection, [self.program]), {})
        self.assertEqual(programs.find(self.connection, "Program 1"), self.program)
        programs.change(self.transaction, self.program, group=self.group, primacy=9)
        after = programs.get(self.connection, [self.program])[self.program]
        self.assertEqual(after, before.replace(version=1))


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
        """What is the same already is left alone, and nothing is told."""
        before = self.set(default(1))
        self.told()
        self.assertEqual(self.set(default(1)), before)
        self.assertEqual(self.told(), [])

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
