"""DERControls in the store: lists, statuses and for how long they hold, against the rules over all there is.

What the rules are is tested in tests/der. Here is tested that the store asks them with all that matters: that
what it leaves out, because its time is over, would have changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls
from csipd.db import schedules as stored
from csipd.db.database import Transaction
from csipd.db.schedules import Schedule, StoredControl
from csipd.db.tables import controls as table
from csipd.der.events import ALL_CATEGORIES, Event, Status, statuses
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import EventState
from tests.support import schedules
from tests.support.examples import fewer
from tests.support.schedules import END
from tests.support.store import ISSUER, NOW, add_group, add_program, statements, store

W, PF = "opModFixedW", "opModFixedPFInjectW"
#: Every mode of an event here with some value.
VALUES: dict[str, Any] = {
    "opModFixedW": 5000,
    "opModFixedPFInjectW": r.PowerFactorWithExcitation(displacement=950, excitation=True, multiplier=-3),
    "opModMaxLimW": 9000,
    "opModVoltVar": r.DERCurveLink(href="/derp/1/dc/1"),
}
ALL = Page(limit=1000)
#: Long after everything.
FAR = 10**9
#: The number of a program that nothing is in.
EMPTY = 999

MOMENTS = st.integers(-5, END + 5)
PAGES = st.builds(
    Page, st.integers(0, 3), st.integers(0, 4), st.none() | st.integers(0, END).map(lambda after: NOW + after)
)


def event(
    start: int,
    duration: int,
    *modes: str,
    created: int = 0,
    categories: int = ALL_CATEGORIES,
    randomize_start: int = 0,
    randomize_duration: int = 0,
    cancelled: int | None = None,
    randomized: bool = False,
) -> Event:
    """An event of mode W, or those given; times are counted from NOW."""
    return Event(
        "0",
        created,
        start,
        duration,
        frozenset(modes or (W,)),
        categories,
        randomize_start,
        randomize_duration,
        cancelled,
        randomized,
    )


def control(event: Event) -> r.DERControl:
    """The control of an event whose times are counted from NOW."""
    return r.DERControl(
        mRID="0",
        creationTime=NOW + event.created,
        EventStatus=r.EventStatus(currentStatus=9, dateTime=9, potentiallySuperseded=True),
        interval=r.DateTimeInterval(duration=event.duration, start=NOW + event.start),
        randomizeStart=event.randomize_start or None,
        randomizeDuration=event.randomize_duration or None,
        DERControlBase=r.DERControlBase(**{mode: VALUES[mode] for mode in event.modes}),
        deviceCategory=None if event.categories == ALL_CATEGORIES else event.categories,
    )


def some_events() -> st.SearchStrategy[list[Event]]:
    """Those of a program, in the order of their mRIDs: the store gives out rising ones."""
    return schedules.schedules().map(lambda found: sorted(found, key=lambda event: int(event.mrid)))


class Programs:
    """A store with two programs and what was commanded in them, and beside it the same as plain events."""

    def __init__(self, transaction: Transaction, *commanded: Sequence[Event]) -> None:
        self.transaction = transaction
        self.connection = transaction.connection
        group = add_group(transaction, "feeder")
        self.numbers = [add_program(transaction, group, name) for name in ("mine", "other")]
        self.mine, self.other = self.numbers
        #: By the number of the control: its program, its event and what it was made from.
        self.known: dict[int, tuple[int, Event, r.DERControl]] = {}
        for program, events in zip(self.numbers, commanded, strict=False):
            for one in events:
                self.add(program, one)

    def add(self, program: int, event: Event, who: str | None = None) -> int:
        """Make a control, and cancel it when the event says."""
        made = controls.add(self.transaction, ISSUER, program, control(event), who)
        number = made.ids[1]
        cancelled = event.cancelled
        if cancelled is not None:
            reason = f"reason {number}"
            controls.cancel(self.transaction, number, event.randomized, reason, NOW + cancelled)
            # One that is cancelled in the second in which it was made is so from the next.
            cancelled = NOW + max(cancelled, event.created + 1)
        mrid = ISSUER.mrid(Kind.CONTROL, number)
        kept = evolve(
            event,
            mrid=mrid,
            created=NOW + event.created,
            start=NOW + event.start,
            cancelled=cancelled,
        )
        self.known[number] = (program, kept, control(event).replace(mRID=mrid))
        return number

    def statuses(self, program: int, now: int) -> dict[int, Status]:
        """The status of every control of a program that is made by now, from all that there ever was."""
        events = {number: event for number, (of, event, _) in self.known.items() if of == program}
        found = statuses(events.values(), now)
        return {number: found[event.mrid] for number, event in events.items() if event.mrid in found}

    def shown(self, number: int, status: Status) -> r.DERControl:
        """A control as a device should see it."""
        cancelled = status.state in (EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED)
        return self.known[number][2].replace(
            version=status.version,
            EventStatus=r.EventStatus(
                currentStatus=int(status.state),
                dateTime=status.since,
                potentiallySuperseded=status.partly_since is not None,
                potentiallySupersededTime=status.partly_since,
                reason=f"reason {number}" if cancelled else None,
            ),
        )

    def listed(self, program: int, now: int, active: bool) -> list[tuple[Place, r.DERControl]]:
        """The members of a list, in the order of IEEE 2030.5-2018 10.10: start, newest, greatest mRID."""
        found = [
            (Place(ROWS["DERControl"], (program, number)), self.shown(number, status))
            for number, status in self.statuses(program, now).items()
            if now < status.listed_until and (not active or status.state is EventState.ACTIVE)
        ]
        found.sort(key=lambda pair: pair[1].mRID, reverse=True)
        found.sort(key=lambda pair: pair[1].creationTime, reverse=True)
        found.sort(key=lambda pair: pair[1].interval.start)
        return found

    def page(self, part: Page, now: int, active: bool = False) -> Any:
        """What a page shows, without how long."""
        return controls.page(self.connection, self.mine, part, now, active)[:2]

    def get(self, number: int, now: int, program: int | None = None) -> r.DERControl | None:
        found = controls.get(self.connection, program or self.mine, number, now)
        return None if found is None else found[0]

    def find(self, number: int, now: int) -> StoredControl:
        found = controls.find(self.connection, number, now)
        assert found is not None
        return found

    def states(self, now: int) -> dict[int, EventState]:
        """What is in the list of the program, and how it stands."""
        _, members = self.page(ALL, NOW + now)
        return {place.ids[1]: EventState(one.EventStatus.currentStatus) for place, one in members}


class RuleTests(SynchronousTestCase):
    """Any history, any moment."""

    @fewer(2)
    @given(some_events(), some_events(), st.lists(MOMENTS, min_size=1, max_size=4), PAGES)
    def test_lists(self, mine: list[Event], others: list[Event], delays: list[int], part: Page) -> None:
        """Members, their order, status and version, and counts are those of the rules over all there is."""
        with store() as transaction:
            fixture = Programs(transaction, mine, others)
            for now in (NOW + delay for delay in delays):
                found = stored.of(fixture.connection, [*fixture.numbers, EMPTY], now)
                for active in (False, True):
                    expected = fixture.listed(fixture.mine, now, active)
                    self.assertEqual(fixture.page(ALL, now, active), (len(expected), expected))
                    later = [
                        pair for pair in expected if part.after is None or pair[1].interval.start > part.after
                    ]
                    wanted = later[part.start : part.start + part.limit]
                    self.assertEqual(fixture.page(part, now, active), (len(later), wanted))
                    for program in fixture.numbers:
                        schedule = found.get(program, Schedule({}, now, None))
                        numbers = [kept.number for kept in schedule.listed(active)]
                        expected = fixture.listed(program, now, active)
                        self.assertEqual(numbers, [place.ids[1] for place, _ in expected])

    @fewer(2)
    @given(some_events(), some_events(), MOMENTS, PAGES, st.booleans())
    def test_until(
        self, mine: list[Event], others: list[Event], delay: int, part: Page, active: bool
    ) -> None:
        """Up to the moment that is given with it, nothing that is shown changes; after it, it may."""
        with store() as transaction:
            fixture = Programs(transaction, mine, others)
            now = NOW + delay
            total, members, until = controls.page(fixture.connection, fixture.mine, part, now, active)
            for moment in self.span(now, until):
                self.assertEqual(fixture.page(part, moment, active), (total, members), moment)
            found = stored.of(fixture.connection, [fixture.mine], now).get(fixture.mine)
            self.assertEqual(found.until if found else None, until)
            for number in fixture.known:
                one = controls.get(fixture.connection, fixture.mine, number, now)
                if one is None:
                    continue
                document, until = one
                self.assertIsNotNone(until, "it will be gone one day")
                for moment in self.span(now, until):
                    self.assertEqual(fixture.get(number, moment), document, moment)

    def span(self, now: int, until: int | None) -> Iterable[int]:
        """Moments from now on at which nothing may have changed."""
        if until is None:
            return [now + 1, now + 30, now + FAR]
        self.assertGreater(until, now)
        last = until - 1
        return sorted({min(now + 1, last), (now + last) // 2, last})

    @fewer(2)
    @given(some_events(), some_events(), MOMENTS | st.just(FAR))
    def test_find(self, mine: list[Event], others: list[Event], delay: int) -> None:
        """Each control by itself stands where the rules over all there is have it, also long after."""
        with store() as transaction:
            fixture = Programs(transaction, mine, others)
            now = NOW + delay
            for number, (program, kept, _) in fixture.known.items():
                status = fixture.statuses(program, now).get(number)
                found = controls.find(fixture.connection, number, now)
                if status is None:
                    self.assertIsNone(found, "not made yet: the clock was set back")
                    self.assertIsNotNone(controls.commanded(fixture.connection, number, now))
                    self.assertIsNone(fixture.get(number, now, program))
                    continue
                self.assertEqual(found, StoredControl(number, program, kept, status))
                self.assertEqual(controls.shown(fixture.connection, [found]), [fixture.shown(number, status)])
                there = now < kept.latest + controls.RETENTION
                self.assertEqual(
                    fixture.get(number, now, program), fixture.shown(number, status) if there else None
                )

    @given(some_events(), some_events(), MOMENTS, st.integers(0, 40))
    def test_changing(self, mine: list[Event], others: list[Event], delay: int, later: int) -> None:
        """What begins or ends in a time is reported, and when the next will is known."""
        with store() as transaction:
            fixture = Programs(transaction, mine, others)
            after, until = NOW + delay, NOW + delay + later
            moments = {
                (moment, program)
                for program, event, _ in fixture.known.values()
                for moment in (event.earliest, event.latest)
            }
            self.assertEqual(
                sorted(controls.changing(fixture.connection, after, until)),
                sorted({program for moment, program in moments if after < moment <= until}),
            )
            following = min((moment for moment, _ in moments if moment > after), default=None)
            self.assertEqual(controls.next_moment(fixture.connection, after), following)

    @given(some_events(), MOMENTS)
    def test_numbers(self, mine: list[Event], delay: int) -> None:
        """How many run and how many are to come, less what is cancelled; and how many are not over."""
        with store() as transaction:
            fixture = Programs(transaction, mine)
            now = NOW + delay
            events = [event for _, event, _ in fixture.known.values()]
            left = [event for event in events if now < event.latest]
            begun = [event.earliest <= now for event in left if event.cancelled is None]
            self.assertEqual(
                controls.numbers_now(fixture.connection, now),
                controls.LiveControls(sum(begun), len(begun) - sum(begun)),
            )
            self.assertEqual(controls.live(fixture.connection, fixture.mine, now), len(left))
            self.assertEqual(controls.live(fixture.connection, fixture.other, now), 0)

    @given(st.lists(st.integers(0, 3), max_size=9), st.integers(1, 4))
    def test_listed(self, starts: list[int], size: int) -> None:
        """Page by page all controls come, each once and in order, however many start at once."""
        with store() as transaction:
            fixture = Programs(transaction, [event(start, 10) for start in starts])
            every, end = controls.listed(fixture.connection, NOW)
            self.assertIsNone(end)
            order = [(kept.event.start, kept.number) for kept in every]
            self.assertEqual(order, sorted(order, reverse=True))
            self.assertEqual(len(order), len(starts))
            found: list[StoredControl] = []
            before, pages = None, 0
            while pages == 0 or before is not None:
                some, before = controls.listed(fixture.connection, NOW, before=before, limit=size)
                self.assertLessEqual(len(some), size)
                found, pages = found + some, pages + 1
            self.assertEqual(found, every)
            self.assertEqual(pages, max(1, -(-len(starts) // size)))


class _Case(SynchronousTestCase):
    """With a store of its own."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.fixture = Programs(self.transaction)
        self.connection = self.fixture.connection

    def add(self, start: int, duration: int, *modes: str, **more: Any) -> int:
        return self.fixture.add(self.fixture.mine, event(start, duration, *modes, **more))

    def reported(self) -> set[str]:
        """What changed since the last call."""
        found, self.transaction.changed[:] = set(self.transaction.changed), []
        return found


class OverTests(_Case):
    """What is over and out of the list may have decided what is in it."""

    def test_superseded_by_one_that_is_over(self) -> None:
        """A control that was superseded stays so when what superseded it is over."""
        loser, winner = self.add(0, 100), self.add(10, 10, created=1)
        self.assertEqual(self.fixture.states(15), {loser: EventState.SUPERSEDED, winner: EventState.ACTIVE})
        self.assertEqual(self.fixture.states(50), {loser: EventState.SUPERSEDED})
        for now in (50, 99, 100, FAR):
            found = self.fixture.find(loser, NOW + now)
            self.assertEqual(found.status.superseded_by, (ISSUER.mrid(Kind.CONTROL, winner),))
            self.assertEqual(found.status.since, NOW + 10)

    def test_saved_by_one_that_is_over(self) -> None:
        """One stays active, since what would have superseded it was superseded itself, by one that it never
        met; all of them but it are over.
        """
        loser = self.add(50, 50)
        spared = self.add(40, 20, created=1)
        saver = self.add(30, 15, created=2)
        self.assertEqual(
            self.fixture.states(44),
            {loser: EventState.SCHEDULED, spared: EventState.SUPERSEDED, saver: EventState.ACTIVE},
        )
        self.assertEqual(self.fixture.states(70), {loser: EventState.ACTIVE})
        self.assertIs(self.fixture.find(loser, NOW + FAR).status.state, EventState.ACTIVE)

    def test_in_part(self) -> None:
        """So does the flag of one that has lost a part to one that is over."""
        loser = self.add(0, 100, W, PF)
        self.add(10, 10, PF, created=1)
        self.assertEqual(self.fixture.find(loser, NOW + 50).status.partly_since, NOW + 1)
        ((_, shown),) = self.fixture.page(ALL, NOW + 50)[1]
        self.assertEqual(shown.EventStatus.potentiallySupersededTime, NOW + 1)

    def test_what_met_nothing_is_left_alone(self) -> None:
        """What is long over, and met nothing that is listed, is not read again and again."""
        for number in range(50):
            self.add(number * 10, 10)
        listed = self.add(1000, 10)
        found = stored.of(self.connection, [self.fixture.mine], NOW + 990)
        self.assertEqual(list(found[self.fixture.mine].all), [listed])

    def test_nothing(self) -> None:
        """A program without controls has an empty schedule, and an empty list for good."""
        for schedule in stored.of(self.connection, [self.fixture.mine, EMPTY], NOW).values():
            self.assertEqual((schedule.all, schedule.until), ({}, None))
        found = controls.page(self.connection, self.fixture.mine, ALL, NOW, False)
        self.assertEqual(found, (0, [], None))
        self.assertIsNone(controls.find(self.connection, 7, NOW))
        self.assertIsNone(controls.get(self.connection, self.fixture.mine, 7, NOW))
        self.assertIsNone(controls.next_moment(self.connection, NOW))
        self.assertEqual(controls.shown(self.connection, []), [])

    def test_many_programs_at_once(self) -> None:
        """The controls of many programs are read together, in a number of questions that does not grow."""
        group = add_group(self.transaction, "another")
        asked = []
        for several in (1, 30):
            numbers = [
                add_program(self.transaction, group, f"program {several} {number}")
                for number in range(several)
            ]
            for number in numbers:
                self.fixture.add(number, event(0, 100))
            with statements(self.transaction) as said:
                found = stored.of(self.connection, numbers, NOW + 5)
            self.assertEqual(sorted(found), numbers)
            asked.append(len(said))
        self.assertEqual(asked[0], asked[1])


class OrderTests(_Case):
    """The order of a list, and where it may begin."""

    def shown(self, **part: Any) -> tuple[int, list[int]]:
        total, members = self.fixture.page(Page(**{"limit": 255, **part}), NOW + 9)
        return total, [place.ids[1] for place, _ in members]

    def test_order(self) -> None:
        """First by start, then the newest first, then the greatest mRID first."""
        later = self.add(50, 10)
        old, equal, new = (self.add(20, 10, created=created) for created in (3, 3, 7))
        oldest, first = self.add(20, 10, created=2), self.add(10, 10, created=9)
        self.assertEqual(self.shown(), (6, [first, new, equal, old, oldest, later]))

    def test_after(self) -> None:
        """`a` leaves those that start later, strictly; they alone are counted, and `s` counts from them."""
        a, b, c = (self.add(start, 10, created=1) for start in (20, 30, 40))
        for after, left in ((19, [a, b, c]), (20, [b, c]), (39, [c]), (40, [])):
            self.assertEqual(self.shown(after=NOW + after), (len(left), left))
        self.assertEqual(self.shown(after=NOW + 20, start=1), (2, [c]))
        self.assertEqual(self.shown(after=NOW + 20, limit=0), (2, []))


class RetentionTests(_Case):
    """What becomes of a control that is over."""

    def test_out_of_the_list_and_a_day_more(self) -> None:
        """It leaves both lists at its end; its own href answers for a day, and then no more."""
        number = self.add(0, 60, randomize_start=30, randomize_duration=-5)
        end = NOW + 90
        for active in (False, True):
            self.assertEqual(self.fixture.page(ALL, end - 1, active)[0], 1)
            self.assertEqual(self.fixture.page(ALL, end, active), (0, []))
        last = end + controls.RETENTION - 1
        found = controls.get(self.connection, self.fixture.mine, number, end)
        assert found is not None
        self.assertEqual(found[1], last + 1)
        self.assertIsNotNone(self.fixture.get(number, last))
        self.assertIsNone(self.fixture.get(number, last + 1))

    def test_known_for_good(self) -> None:
        """The operator finds it for good."""
        number = self.add(0, 60)
        self.assertEqual(self.fixture.find(number, NOW + FAR).number, number)
        found, _ = controls.listed(self.connection, NOW + FAR)
        self.assertEqual([kept.number for kept in found], [number])

    def test_of_its_program_only(self) -> None:
        """A control is found under its own program, not under another."""
        number = self.add(0, 60)
        self.assertIsNone(self.fixture.get(number, NOW, self.fixture.other))
        self.assertIsNone(self.fixture.get(number + 1, NOW))


class AddTests(_Case):
    """A new control."""

    def test_told(self) -> None:
        """It drops what its program's controls are and have come to, and nothing else."""
        self.reported()
        program = self.fixture.mine
        place = controls.add(self.transaction, ISSUER, program, control(event(0, 60)))
        self.assertEqual(place, Place(ROWS["DERControl"], (program, place.ids[1])))
        self.assertEqual(self.reported(), {f"controls {program}", f"schedule {program}"})

    def test_mrids_rise(self) -> None:
        """Of two controls the later has the higher mRID, in whatever program; no number is given twice."""
        numbers = [
            self.fixture.add(program, event(0, 60)) for program in (*self.fixture.numbers, self.fixture.mine)
        ]
        mrids = [self.fixture.find(number, NOW).event.mrid for number in numbers]
        self.assertEqual(mrids, sorted(set(mrids)))
        self.assertEqual(
            controls.numbers_of(self.connection, [*mrids, "0" * 32]), dict(zip(mrids, numbers, strict=True))
        )
        self.connection.execute(sa.delete(table).where(table.c.id == numbers[-1]))
        self.assertGreater(self.add(0, 60), numbers[-1])

    def test_late(self) -> None:
        """One that is made when it should have begun begins active, at the moment it was made."""
        self.add(-10, 60)
        ((_, shown),) = self.fixture.page(ALL, NOW, True)[1]
        self.assertEqual(
            (shown.EventStatus.currentStatus, shown.EventStatus.dateTime, shown.version),
            (EventState.ACTIVE, NOW, 0),
        )

    def test_clock_set_back(self) -> None:
        """One that was made later than it is now, for the clock was set back, is not there yet; whoever looks
        is told to look again when it is.
        """
        number = self.add(100, 60, created=20)
        self.assertEqual(
            controls.page(self.connection, self.fixture.mine, ALL, NOW, False), (0, [], NOW + 20)
        )
        self.assertIsNone(self.fixture.get(number, NOW + 19))
        self.assertEqual(self.fixture.states(20), {number: EventState.SCHEDULED})

    def test_who(self) -> None:
        """By whom it was made stays known."""
        numbers = [self.fixture.add(self.fixture.mine, event(0, 60), who) for who in ("ann", None)]
        found = controls.whose(self.connection, [*numbers, 99])
        self.assertEqual(found, dict(zip(numbers, ("ann", None), strict=True)))


class CancelTests(_Case):
    """A control that is cancelled."""

    def status(self, number: int, now: int) -> tuple[int, int, str | None]:
        found = self.fixture.get(number, NOW + now)
        assert found is not None
        status = found.EventStatus
        return status.currentStatus, status.dateTime - NOW, status.reason

    def test_once(self) -> None:
        """It is cancelled once; a second time, or where there is none, changes nothing and tells nobody."""
        number = self.add(10, 60)
        self.reported()
        self.assertTrue(controls.cancel(self.transaction, number, False, "a mistake", NOW + 5))
        mine = self.fixture.mine
        self.assertEqual(self.reported(), {f"controls {mine}", f"schedule {mine}"})
        self.assertFalse(controls.cancel(self.transaction, number, True, "another", NOW + 6))
        self.assertFalse(controls.cancel(self.transaction, number + 1, True, None, NOW + 6))
        self.assertEqual(self.reported(), set())
        self.assertEqual(self.status(number, 7), (EventState.CANCELLED, 5, "a mistake"))

    def test_before_it_is_known(self) -> None:
        """The reason is shown from the moment of the cancellation, not to one whose clock is behind it."""
        number = self.add(10, 60)
        controls.cancel(self.transaction, number, False, "a mistake", NOW + 5)
        self.assertEqual(self.status(number, 4), (EventState.SCHEDULED, 0, None))
        found = controls.get(self.connection, self.fixture.mine, number, NOW + 4)
        assert found is not None
        self.assertEqual(found[1], NOW + 5)

    def test_in_the_second_in_which_it_was_made(self) -> None:
        """Whoever read it in that second has read something true: it is cancelled from the next."""
        number = self.add(0, 60)
        controls.cancel(self.transaction, number, False, None, NOW)
        self.assertEqual(self.status(number, 0), (EventState.ACTIVE, 0, None))
        self.assertEqual(self.status(number, 1), (EventState.CANCELLED, 1, None))

    def test_clock_set_back_meanwhile(self) -> None:
        """The clock having been set back since it was made, it is cancelled as soon as it was made."""
        number = self.add(30, 60, created=20)
        controls.cancel(self.transaction, number, False, None, NOW + 3)
        self.assertEqual(self.status(number, 21), (EventState.CANCELLED, 20, None))

    def test_stays_in_the_list(self) -> None:
        """It stays in the list to the end of its time, for those who poll late; with randomisation to the end
        of that. In the list of active ones it is no more.
        """
        for randomized, last in ((False, 70), (True, 80)):
            number = self.add(10, 60, randomize_duration=10)
            controls.cancel(self.transaction, number, randomized, None, NOW + 20)
            for now, there in ((last - 1, True), (last, False)):
                self.assertEqual(number in self.fixture.states(now), there)
            _, active = self.fixture.page(ALL, NOW + 20, True)
            self.assertEqual(active, [])


class ListedTests(_Case):
    """The operator's list of controls."""

    def numbers(self, **wanted: Any) -> list[int]:
        now = wanted.pop("now", NOW)
        return [kept.number for kept in controls.listed(self.connection, now, **wanted)[0]]

    def test_wanted(self) -> None:
        """Only those of a program, of a time, over or not, cancelled or not, the latest start first."""
        a, b, c = self.add(0, 10), self.add(20, 10, randomize_duration=5), self.add(40, 10, cancelled=3)
        d = self.fixture.add(self.fixture.other, event(20, 10))
        self.assertEqual(self.numbers(), [c, d, b, a])
        self.assertEqual(self.numbers(program=self.fixture.other), [d])
        self.assertEqual(self.numbers(program=EMPTY), [])
        self.assertEqual(self.numbers(since=NOW + 30), [c, b])
        self.assertEqual(self.numbers(since=NOW + 35, until=NOW + 40), [])
        self.assertEqual(self.numbers(until=NOW + 21), [d, b, a])
        self.assertEqual(self.numbers(now=NOW + 30, over=True), [d, a])
        self.assertEqual(self.numbers(now=NOW + 30, over=False), [c, b])
        self.assertEqual(self.numbers(cancelled=True), [c])
        self.assertEqual(self.numbers(cancelled=False, program=self.fixture.mine), [b, a])

    def test_status(self) -> None:
        """Each comes with the status that it stands at, also when it is over."""
        loser, winner = self.add(0, 100), self.add(10, 10, created=1)
        found, _ = controls.listed(self.connection, NOW + FAR)
        self.assertEqual(
            [(kept.number, kept.status.state) for kept in found],
            [(winner, EventState.ACTIVE), (loser, EventState.SUPERSEDED)],
        )

    def test_from_the_future(self) -> None:
        """What was made before the clock was set back stays in sight, as it stood when it was made (F13)."""
        first, late, begun = (
            self.add(start, 60, created=created) for start, created in ((1, 0), (90, 50), (3, 50))
        )
        found, _ = controls.listed(self.connection, NOW + 1)
        self.assertEqual(
            [(kept.number, kept.status.state) for kept in found],
            [(late, EventState.SCHEDULED), (begun, EventState.ACTIVE), (first, EventState.ACTIVE)],
        )

    def test_from_the_future_cancelled(self) -> None:
        """It can be cancelled meanwhile, and no device ever sees it run (case F13)."""
        number = self.add(0, 100, created=50)
        self.assertTrue(controls.cancel(self.transaction, number, False, "the clock was wrong", NOW + 40))
        for now in (49, 50, 51, 99):
            _, members, _ = controls.page(self.connection, self.fixture.mine, ALL, NOW + now, True)
            self.assertEqual(members, [])
        found = controls.get(self.connection, self.fixture.mine, number, NOW + 50)
        assert found is not None
        self.assertEqual(found[0].EventStatus.currentStatus, EventState.CANCELLED)
        self.assertGreater(found[0].version or 0, 0)
