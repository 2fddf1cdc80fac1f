"""Numbers that are never used again, also by a store that was restored from a backup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, documents, numbering, programs
from csipd.db.tables import lists, metadata
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer, Kind
from csipd.sep2.site import ROWS, Place
from tests.support.store import NOW, add_device, add_group, add_program, store

PEN = 32473


def drawn(*numbers: int) -> Callable[[int], int]:
    """A source of chance that is none."""
    left: Iterator[int] = chain(numbers, repeat(0))
    return lambda bits: next(left) % 2**bits


def control() -> r.DERControl:
    return r.DERControl(
        mRID="0",
        creationTime=NOW,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=NOW, potentiallySuperseded=False),
        interval=r.DateTimeInterval(start=NOW, duration=600),
        DERControlBase=r.DERControlBase(opModMaxLimW=50),
    )


def curve() -> r.DERCurve:
    return r.DERCurve(
        mRID="0",
        creationTime=NOW,
        CurveData=(r.CurveData(xvalue=1, yvalue=1),),
        curveType=11,
        xMultiplier=0,
        yMultiplier=0,
        yRefType=3,
    )


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.group = add_group(self.transaction, "Feeder")
        self.program = add_program(self.transaction, self.group, "Program")
        self.device = add_device(self.transaction, 1)

    def issuer(self, *chance: int) -> Issuer:
        return numbering.issuer(self.transaction, PEN, drawn(*chance))

    def restore(self, *chance: int) -> None:
        numbering.go_on_elsewhere(self.transaction, drawn(*chance))


class IssuerTests(_Case):
    """Who makes the mRIDs of a store."""

    def test_drawn_once(self) -> None:
        """The number is drawn the first time that it is asked for."""
        self.assertEqual(self.issuer(7), Issuer(7, PEN))
        self.assertEqual(self.issuer(8), Issuer(7, PEN))

    def test_after_a_restore(self) -> None:
        """What is made after a restore has a new number, what is computed keeps the first (case B4)."""
        before = self.issuer(7)
        self.restore(7, 9, 0, 0)  # 7 is drawn again, and not taken
        after = self.issuer()
        self.assertEqual(after, Issuer(7, PEN, since_restore=9))
        for kind in Kind:
            made = kind in (Kind.PROGRAM, Kind.CONTROL, Kind.CURVE)
            self.assertEqual(before.mrid(kind, 5) != after.mrid(kind, 5), made, kind)

    def test_restored_twice(self) -> None:
        """A second restore draws again, neither the first number nor the last (case B4)."""
        self.issuer(7)
        self.restore(9, 0, 0)
        self.restore(9, 7, 11, 0, 0)
        self.assertEqual(self.issuer(), Issuer(7, PEN, since_restore=11))


class CounterTests(_Case):
    """Counters of rows and lists."""

    def made(self, issuer: Issuer) -> dict[str, set[object]]:
        """Make one of each thing that has a number; the numbers, hrefs and mRIDs."""
        place = controls.add(self.transaction, issuer, self.program, control())
        kept = controls.find(self.transaction.connection, place.ids[1], NOW)
        assert kept is not None
        dc = programs.add_curve(self.transaction, issuer, self.program, curve(), NOW)
        found = documents.get(self.transaction.connection, dc)
        assert isinstance(found, r.DERCurve)
        group = add_group(self.transaction, f"G{issuer.since_restore}{place}", assignment=f"{place}")
        program = programs.add(self.transaction, issuer, group, f"{place}", 1)
        return {
            "control": {place.href, kept.event.mrid},
            "curve": {dc.href, found.mRID},
            "program": {program, programs.listed(self.transaction.connection, number=program)[0].mrid},
            "group": {group},
        }

    def test_nothing_is_used_again(self) -> None:
        """What is made after a backup and what is made after its restore share nothing (case B4)."""
        connection = self.transaction.connection
        issuer = self.issuer(7)
        self.made(issuer)
        backup = connection.begin_nested()
        lost = self.made(issuer)
        backup.rollback()
        self.restore(9, 0, 0)
        found = self.made(self.issuer())
        for what, numbers in lost.items():
            self.assertEqual(numbers & found[what], set(), what)

    def test_one_backup_restored_twice(self) -> None:
        """Nor do two restores of one backup (case B4)."""
        connection = self.transaction.connection
        self.issuer(7)
        both = []
        for chance in ((9, 1, 2), (9, 3, 4)):
            backup = connection.begin_nested()
            self.restore(*chance)
            both.append(self.made(self.issuer()))
            backup.rollback()
        first, second = both
        for what in first:
            # With the same number drawn, too: the counters differ.
            self.assertEqual(first[what] & second[what], set(), what)

    def test_a_list_that_was_empty(self) -> None:
        """A list that had no member when the backup was made does not begin at 1 again (case B4)."""
        place = Place(ROWS["DERCurveList"], (self.program,))
        self.restore(9, 0, 0)
        made = programs.add_curve(self.transaction, self.issuer(7), self.program, curve(), NOW)
        self.assertEqual(made.ids[1], 2**12 + 1)
        self.assertEqual(documents.next_number(self.transaction.connection, place), 2**12 + 2)

    def test_every_table_that_counts(self) -> None:
        """Each counter that SQLite keeps is raised, also of tables that had no row yet."""
        counting = [
            table.name
            for table in metadata.sorted_tables
            if table.dialect_options["sqlite"]["autoincrement"] is True
        ]
        self.restore(9, 5, 6)
        query = sa.text("SELECT name, seq FROM sqlite_sequence")
        found = {row.name: row.seq for row in self.transaction.connection.execute(query)}
        self.assertEqual(sorted(found), sorted(counting))
        self.assertGreaterEqual(min(found.values()), 2**12)
        self.assertGreaterEqual(found["devices"], 2**20)

    def test_numbers_fit_into_mrids(self) -> None:
        """After many restores numbers still have room in an mRID, and the end is said in time."""
        connection = self.transaction.connection
        self.patch(numbering, "_MOST_MEMBERS", 2**18)  # of 2**23, which would take long
        done = 0
        with self.assertRaises(numbering.Exhausted):
            while True:
                backup = connection.begin_nested()
                self.restore(done + 10, 2**20 - 1, 2**12 - 1)
                done += 1
        backup.rollback()
        self.assertEqual(done, 2**18 // 2**13)
        self.assertLess(connection.scalar(sa.select(sa.func.max(lists.c.last))) or 0, 2**18)
        self.made(self.issuer())

    def test_versions(self) -> None:
        """Versions of what keeps its mRID are raised: a device may have seen higher ones (case B4)."""
        issuer = self.issuer(7)
        default = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(opModMaxLimW=50))
        programs.set_default(self.transaction, issuer, self.program, default, NOW)
        dc = programs.add_curve(self.transaction, issuer, self.program, curve(), NOW)
        self.restore(9, 0, 0)
        for place in (Place(ROWS["DefaultDERControl"], (self.program,)), dc):
            found = documents.get(self.transaction.connection, place)
            self.assertEqual(getattr(found, "version", None), 256)
        self.assertEqual(programs.listed(self.transaction.connection)[0].version, 256)
        changed = default.replace(DERControlBase=r.DERControlBase(opModMaxLimW=60))
        programs.set_default(self.transaction, issuer, self.program, changed, NOW)
        found = documents.get(self.transaction.connection, Place(ROWS["DefaultDERControl"], (self.program,)))
        self.assertEqual(getattr(found, "version", None), 257)
