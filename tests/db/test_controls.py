"""DERControls as the clock has them: what is listed, what is active, and for how long that is so."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls
from csipd.db.database import Transaction
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import Place
from csipd.sep2.types import EventState
from tests.support.store import ISSUER, NOW, add_group, add_program, store

ALL = Page(limit=1000)
FAR = 10**9

#: What a page or a single control shows: how many there are, and those that are there.
Shown = tuple[int, list[tuple[Place, r.DERControl]]]


def control(
    start: int = 0,
    duration: int = 3600,
    created: int = 0,
    randomize_start: int | None = None,
    randomize_duration: int | None = None,
) -> r.DERControl:
    """A control; start and creationTime are counted from NOW."""
    return r.DERControl(
        mRID="0" * 32,
        creationTime=NOW + created,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=0, potentiallySuperseded=False),
        interval=r.DateTimeInterval(start=NOW + start, duration=duration),
        randomizeStart=randomize_start,
        randomizeDuration=randomize_duration,
        DERControlBase=r.DERControlBase(opModMaxLimW=5000),
    )


small = st.integers(-20, 20)
some_controls = st.lists(
    st.builds(control, small, st.integers(1, 20), st.integers(-25, 0), st.none() | small, st.none() | small),
    max_size=6,
)
pages = st.builds(
    Page, st.integers(0, 3), st.integers(0, 4), st.none() | small.map(lambda moment: NOW + moment)
)


def bounds(one: r.DERControl) -> tuple[int, int]:
    """The first moment at which a device may start, and the last at which one may end."""
    shift, stretch = one.randomizeStart or 0, one.randomizeDuration or 0
    start, end = one.interval.start, one.interval.start + one.interval.duration
    return start + min(shift, 0), end + max(shift, 0) + max(stretch, 0)


def expected(known: list[tuple[Place, r.DERControl]], part: Page, now: int, active: bool) -> Shown:
    """What a list shows, by the standard's words."""
    listed = []
    for place, one in known:
        earliest, latest = bounds(one)
        if latest <= now or (active and earliest > now):
            continue
        if now < earliest:
            state, since = EventState.SCHEDULED, one.creationTime
        else:
            state, since = EventState.ACTIVE, max(earliest, one.creationTime)
        status = r.EventStatus(currentStatus=int(state), dateTime=since, potentiallySuperseded=False)
        listed.append((place, one.replace(EventStatus=status)))
    listed.sort(key=lambda pair: pair[1].mRID, reverse=True)
    listed.sort(key=lambda pair: pair[1].creationTime, reverse=True)
    listed.sort(key=lambda pair: pair[1].interval.start)
    if part.after is not None:
        listed = [pair for pair in listed if pair[1].interval.start > part.after]
    return len(listed), listed[part.start : part.start + part.limit]


class _Programs:
    """Two programs with controls, in a store."""

    def __init__(
        self, transaction: Transaction, mine: list[r.DERControl], others: list[r.DERControl]
    ) -> None:
        self.connection = transaction.connection
        group = add_group(transaction, "feeder")
        self.mine, self.other = (add_program(transaction, group, name) for name in ("mine", "other"))
        self.known = []
        for program, some in ((self.mine, mine), (self.other, others)):
            for one in some:
                place = controls.add(transaction, ISSUER, program, one)
                mrid = ISSUER.mrid(controls.Kind.CONTROL, place.ids[1])
                if program == self.mine:
                    self.known.append((place, one.replace(mRID=mrid)))

    def page(self, part: Page, now: int, active: bool) -> tuple[Shown, int | None]:
        total, members, until = controls.page(self.connection, self.mine, part, now, active)
        return (total, members), until

    def tallies(self, now: int) -> dict[int, controls.Tally]:
        return controls.tallies(self.connection, [self.mine, self.other], now)


def moments(until: int | None) -> list[int]:
    """Moments from NOW on at which nothing may have changed."""
    if until is None:
        return [NOW + 1, NOW + 30, NOW + FAR]
    return list(range(NOW, until))


class ClockTests(SynchronousTestCase):
    """Lists of controls at a moment, and until when they stay as they are."""

    @given(some_controls, some_controls, st.integers(-50, 90), st.booleans(), pages)
    def test_lists(
        self, mine: list[r.DERControl], others: list[r.DERControl], at: int, active: bool, part: Page
    ) -> None:
        """Members, their order and status are the standard's at every moment, and counts agree."""
        with store() as transaction:
            programs = _Programs(transaction, mine, others)
            now = NOW + at
            for wanted in (part, ALL):
                shown, _ = programs.page(wanted, now, active)
                self.assertEqual(shown, expected(programs.known, wanted, now, active))
            tally = programs.tallies(now).get(programs.mine, controls.Tally())
            total = expected(programs.known, ALL, now, active)[0]
            self.assertEqual(tally.active if active else tally.listed, total)

    @given(some_controls, some_controls, st.booleans(), pages)
    def test_until(
        self, mine: list[r.DERControl], others: list[r.DERControl], active: bool, part: Page
    ) -> None:
        """Up to the moment that is given with them, neither a page nor the counts change."""
        with store() as transaction:
            programs = _Programs(transaction, mine, others)
            shown, until = programs.page(part, NOW, active)
            self.assertTrue(until is None or until > NOW)
            for moment in moments(until):
                self.assertEqual(programs.page(part, moment, active)[0], shown)
            before = programs.tallies(NOW)
            self.assertTrue(all(tally.until is None or tally.until > NOW for tally in before.values()))
            until = min((tally.until for tally in before.values() if tally.until), default=None)
            for moment in moments(until):
                self.assertEqual(programs.tallies(moment), before)

    @given(st.builds(control, small, st.integers(1, 20), st.integers(-25, 0), st.none() | small), small)
    def test_one(self, one: r.DERControl, at: int) -> None:
        """A control's own document holds until its next change of status, or until it is gone."""
        with store() as transaction:
            programs = _Programs(transaction, [one], [])
            ids = programs.known[0][0].ids

            def shown(now: int) -> Any:
                found = controls.get(transaction.connection, *ids, now)
                return None if found is None else found[0]

            now = NOW + at
            found = controls.get(transaction.connection, *ids, now)
            assert found is not None and found[1] is not None
            until = found[1]
            for moment in (now, (now + until) // 2, until - 1):
                self.assertEqual(shown(moment), found[0])
            earliest, latest = bounds(programs.known[0][1])
            self.assertIn(until, (earliest, latest, latest + controls.RETENTION))


class RetentionTests(SynchronousTestCase):
    """What becomes of a control that is over."""

    def test_out_of_the_list_and_a_day_more(self) -> None:
        """It leaves both lists at its end; its own href answers for a day, and then no more."""
        with store() as transaction:
            programs = _Programs(transaction, [control(0, 60, randomize_start=30, randomize_duration=-5)], [])
            end = NOW + 90
            for active in (False, True):
                self.assertEqual(programs.page(ALL, end - 1, active)[0][0], 1)
                self.assertEqual(programs.page(ALL, end, active)[0], (0, []))
            ids = programs.known[0][0].ids
            last = end + controls.RETENTION - 1
            self.assertIsNotNone(controls.get(transaction.connection, *ids, last))
            self.assertIsNone(controls.get(transaction.connection, *ids, last + 1))

    def test_of_its_program_only(self) -> None:
        """A control is found under its own program, not under another."""
        with store() as transaction:
            programs = _Programs(transaction, [control()], [])
            number = programs.known[0][0].ids[1]
            self.assertIsNone(controls.get(transaction.connection, programs.other, number, NOW))
            self.assertIsNone(controls.get(transaction.connection, programs.mine, number + 1, NOW))


class AddTests(SynchronousTestCase):
    """A new control."""

    def test_told(self) -> None:
        """It is told of at its own href and at both lists of its program."""
        with store() as transaction:
            program = add_program(transaction, add_group(transaction, "feeder"), "mine")
            transaction.changed.clear()
            place = controls.add(transaction, ISSUER, program, control())
            told = {place.href, f"/derp/{program}/derc", f"/derp/{program}/actderc"}
            self.assertEqual(set(transaction.changed), told)

    def test_mrids_rise(self) -> None:
        """Of two controls the later has the higher mRID, in whatever program."""
        with store() as transaction:
            programs = _Programs(transaction, [control(), control()], [control()])
            mrids = [one.mRID for _, one in programs.known]
            shown = [one.mRID for _, one in programs.page(ALL, NOW, False)[0][1]]
            self.assertEqual(shown, sorted(mrids, reverse=True))
            self.assertEqual(len(set(shown)), 2)

    def test_late(self) -> None:
        """One that is made when it should have begun begins active, at the moment it was made."""
        with store() as transaction:
            programs = _Programs(transaction, [control(start=-10, created=0)], [])
            status = programs.page(ALL, NOW, True)[0][1][0][1].EventStatus
            self.assertEqual((status.currentStatus, status.dateTime), (EventState.ACTIVE, NOW))
