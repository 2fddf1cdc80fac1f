"""EventStatus: named cases one by one, and against an oracle that plays second by second.

The rules: IEEE 2030.5-2018 10.2.3; decisions 17, 18 and 20.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.events import ALL_CATEGORIES, Event, Status, next_change, statuses
from csipd.sep2.types import EventState
from tests.der.oracle import Program, Record
from tests.support.schedules import END, known, moments, schedules

SCHEDULED, ACTIVE = EventState.SCHEDULED, EventState.ACTIVE
CANCELLED, CANCELLED_RANDOMIZED = EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED
SUPERSEDED = EventState.SUPERSEDED

W, PF = "opModFixedW", "opModFixedPFInjectW"
INVERTERS, BATTERIES = 1, 2

MANY = settings(max_examples=max(1500, settings().max_examples))


def event(
    mrid: str,
    start: int,
    duration: int,
    *modes: str,
    created: int = 0,
    categories: int = ALL_CATEGORIES,
    randomize_start: int = 0,
    randomize_duration: int = 0,
) -> Event:
    """An event of mode W, or those given, that is made at 0."""
    return Event(
        mrid,
        created,
        start,
        duration,
        frozenset(modes or (W,)),
        categories,
        randomize_start,
        randomize_duration,
    )


def cancelled(event: Event, moment: int, randomized: bool = False) -> Event:
    """The same event, cancelled at a moment."""
    return evolve(event, cancelled=moment, randomized=randomized)


def listed(events: list[Event], now: int) -> set[str]:
    """What is in the DERControlList."""
    return {mrid for mrid, status in statuses(events, now).items() if now < status.listed_until}


class Examples(SynchronousTestCase):
    """What the examples ask."""

    def states(self, events: list[Event], now: int) -> dict[str, tuple[EventState, int]]:
        """currentStatus and dateTime of each event."""
        return {mrid: (status.state, status.since) for mrid, status in statuses(events, now).items()}

    def check(self, events: list[Event], now: int, **expected: tuple[EventState, int]) -> None:
        """The events have these statuses since these moments."""
        self.assertEqual(self.states(events, now), expected, f"at {now}")

    def partly(self, events: list[Event], now: int) -> dict[str, int]:
        """potentiallySupersededTime of those that are potentially superseded."""
        found = statuses(events, now)
        return {mrid: s.partly_since for mrid, s in found.items() if s.partly_since is not None}


class LifeTests(Examples):
    """An event by itself."""

    def test_life(self) -> None:
        """It is scheduled from its creation, active from its start, and leaves the list at its end."""
        events = [event("e", 20, 10, created=5)]
        self.check(events, 4)
        self.check(events, 5, e=(SCHEDULED, 5))
        self.check(events, 19, e=(SCHEDULED, 5))
        self.check(events, 20, e=(ACTIVE, 20))
        self.check(events, 29, e=(ACTIVE, 20))
        self.assertEqual(listed(events, 29), {"e"})
        self.assertEqual(listed(events, 30), set())

    def test_completed_has_no_status(self) -> None:
        """The 2018 edition has no status for an event that is over: it keeps its last."""
        self.check([event("e", 20, 10)], 30, e=(ACTIVE, 20))

    def test_late(self) -> None:
        """One that is made after its start was never scheduled: it is active from its creation."""
        events = [event("e", 20, 10, created=25)]
        self.check(events, 25, e=(ACTIVE, 25))
        self.assertEqual(statuses(events, 25)["e"].version, 0)
        self.assertEqual(listed(events, 30), set())

    def test_made_at_its_start(self) -> None:
        """One that is made at its start, too, begins active."""
        self.check([event("e", 20, 10, created=20)], 20, e=(ACTIVE, 20))

    def test_randomisation(self) -> None:
        """CORE-021: randomizeStart of 0, +30 and -30 s: active from the earliest start to the latest end."""
        events = [
            event("a", 180, 60),
            event("b", 360, 60, randomize_start=30),
            event("c", 540, 60, randomize_start=-30),
        ]
        self.check(events, 360, a=(ACTIVE, 180), b=(ACTIVE, 360), c=(SCHEDULED, 0))
        self.check(events, 509, a=(ACTIVE, 180), b=(ACTIVE, 360), c=(SCHEDULED, 0))
        self.check(events, 510, a=(ACTIVE, 180), b=(ACTIVE, 360), c=(ACTIVE, 510))
        self.assertEqual(listed(events, 239), {"a", "b", "c"})
        self.assertEqual(listed(events, 240), {"b", "c"})
        self.assertEqual(listed(events, 449), {"b", "c"})
        self.assertEqual(listed(events, 450), {"c"})
        self.assertEqual(listed(events, 599), {"c"})
        self.assertEqual(listed(events, 600), set())

    def test_randomised_duration(self) -> None:
        """A longer duration keeps it in the list; a shorter one, which not every device draws, does not."""
        self.assertEqual(listed([event("e", 20, 10, randomize_duration=5)], 34), {"e"})
        self.assertEqual(listed([event("e", 20, 10, randomize_duration=5)], 35), set())
        self.assertEqual(listed([event("e", 20, 10, randomize_duration=-5)], 29), {"e"})
        self.assertEqual(listed([event("e", 20, 10, randomize_start=-5)], 29), {"e"})

    def test_core_022(self) -> None:
        """CORE-022: the first of three controls is cancelled before its start, the others run."""
        events = [cancelled(event("a", 60, 60), 30), event("b", 180, 60), event("c", 300, 60)]
        self.check(events, 29, a=(SCHEDULED, 0), b=(SCHEDULED, 0), c=(SCHEDULED, 0))
        self.check(events, 30, a=(CANCELLED, 30), b=(SCHEDULED, 0), c=(SCHEDULED, 0))
        self.check(events, 180, a=(CANCELLED, 30), b=(ACTIVE, 180), c=(SCHEDULED, 0))
        self.check(events, 300, a=(CANCELLED, 30), b=(ACTIVE, 180), c=(ACTIVE, 300))

    def test_basic_015(self) -> None:
        """BASIC-015: 24 controls, of which the rest is cancelled midway, stay for their own time."""
        events = [event(f"{n:02}", 120 * n, 60) for n in range(1, 25)]
        self.assertEqual(len(listed(events, 100)), 24)
        now = 120 * 12 + 90
        events = [cancelled(e, now) if e.start > now else e for e in events]
        states = [status.state for status in statuses(events, now).values()]
        self.assertEqual((states.count(ACTIVE), states.count(CANCELLED)), (12, 12))
        self.assertEqual(len(listed(events, now)), 12)
        self.assertEqual(listed(events, 120 * 24 + 59), {"24"})

    def test_versions(self) -> None:
        """Each change of the state raises the version."""
        events = [cancelled(event("e", 20, 10), 25)]
        self.assertEqual([statuses(events, now)["e"].version for now in (0, 20, 25, 40)], [0, 1, 2, 2])
        early = [cancelled(event("e", 20, 10), 15)]
        self.assertEqual([statuses(early, now)["e"].version for now in (0, 15, 20)], [0, 1, 1])


class CancelTests(Examples):
    """An event that the operator cancels."""

    def test_before(self) -> None:
        """Before its start: cancelled at once, and shown for its own time."""
        events = [cancelled(event("e", 20, 10), 15)]
        self.check(events, 14, e=(SCHEDULED, 0))
        self.check(events, 15, e=(CANCELLED, 15))
        self.check(events, 20, e=(CANCELLED, 15))
        self.assertEqual(listed(events, 29), {"e"})
        self.assertEqual(listed(events, 30), set())

    def test_while_active(self) -> None:
        """While it is active: cancelled at once."""
        events = [cancelled(event("e", 20, 10), 25)]
        self.check(events, 24, e=(ACTIVE, 20))
        self.check(events, 25, e=(CANCELLED, 25))

    def test_randomised(self) -> None:
        """With randomisation it is another status, shown for the Effective Scheduled Period."""
        one = event("e", 20, 10, randomize_start=3, randomize_duration=4)
        events = [cancelled(one, 25, randomized=True)]
        self.check(events, 25, e=(CANCELLED_RANDOMIZED, 25))
        self.assertEqual(listed(events, 36), {"e"})
        self.assertEqual(listed(events, 37), set())
        self.assertEqual(listed([cancelled(one, 25)], 29), {"e"})
        self.assertEqual(listed([cancelled(one, 25)], 30), set())

    def test_in_the_second_of_its_start(self) -> None:
        """What was read at its start was right: it has been active, and the version rises once more."""
        plain = event("e", 20, 10)
        self.assertEqual(statuses([plain], 20)["e"].version, 1)
        found = statuses([cancelled(plain, 20)], 20)["e"]
        self.assertEqual((found.state, found.since, found.version), (CANCELLED, 20, 2))

    def test_too_late(self) -> None:
        """When it is over, or superseded, there is nothing to cancel."""
        self.check([cancelled(event("e", 20, 10), 30)], 40, e=(ACTIVE, 20))
        events = [cancelled(event("e", 20, 10), 26), event("w", 25, 10, created=1)]
        self.check(events, 30, e=(SUPERSEDED, 25), w=(ACTIVE, 25))

    def test_gives_nothing_back(self) -> None:
        """What an active event took from another stays taken when it is cancelled."""
        events = [event("e", 0, 60), cancelled(event("w", 20, 20, created=1), 25)]
        self.check(events, 30, e=(SUPERSEDED, 20), w=(CANCELLED, 25))

    def test_gives_nothing_back_in_the_same_second(self) -> None:
        """Not even when it is cancelled in the very second in which it began."""
        events = [event("e", 0, 60), event("w", 20, 20, created=1)]
        self.check(events, 20, e=(SUPERSEDED, 20), w=(ACTIVE, 20))
        events[1] = cancelled(events[1], 20)
        self.check(events, 20, e=(SUPERSEDED, 20), w=(CANCELLED, 20))

    def test_takes_nothing(self) -> None:
        """One that is cancelled before its start takes nothing."""
        events = [event("e", 0, 60), cancelled(event("w", 20, 20, created=1), 19)]
        self.check(events, 30, e=(ACTIVE, 0), w=(CANCELLED, 19))

    def test_replaced(self) -> None:
        """An event that is cancelled and replaced in one second is cancelled, not superseded."""
        events = [cancelled(event("e", 0, 60), 20), event("w", 10, 50, created=20)]
        self.check(events, 20, e=(CANCELLED, 20), w=(ACTIVE, 20))


class SupersedeTests(Examples):
    """Two or more events of one program that want the same."""

    def test_overlap(self) -> None:
        """Specified periods overlap where they have a second in common, whichever is asked."""
        one = event("e", 10, 10, randomize_start=-5, randomize_duration=5)
        for other, expected in (
            (event("w", 20, 5), False),
            (event("w", 5, 5), False),
            (event("w", 19, 5), True),
            (event("w", 5, 6), True),
            (event("w", 12, 2), True),
            (event("w", 5, 50), True),
        ):
            self.assertEqual((one.overlaps(other), other.overlaps(one)), (expected, expected), other)

    def test_nested(self) -> None:
        """A later event inside an earlier one: superseded at its start, and never back."""
        events = [event("e", 10, 40), event("w", 20, 10, created=1)]
        self.check(events, 19, e=(ACTIVE, 10), w=(SCHEDULED, 1))
        self.check(events, 20, e=(SUPERSEDED, 20), w=(ACTIVE, 20))
        self.check(events, 30, e=(SUPERSEDED, 20), w=(ACTIVE, 20))
        self.check(events, 45, e=(SUPERSEDED, 20), w=(ACTIVE, 20))
        self.assertEqual(statuses(events, 20)["e"].superseded_by, ("w",))
        self.assertEqual(listed(events, 49), {"e"})

    def test_longer(self) -> None:
        """An earlier event inside a later one is superseded before it begins."""
        events = [event("e", 20, 10), event("w", 10, 40, created=1)]
        self.check(events, 9, e=(SCHEDULED, 0), w=(SCHEDULED, 1))
        self.check(events, 10, e=(SUPERSEDED, 10), w=(ACTIVE, 10))
        self.assertEqual(statuses(events, 20)["e"].version, 1)

    def test_adjacent(self) -> None:
        """Where one ends and the next begins, neither supersedes the other (BASIC-019)."""
        events = [event("e", 10, 10), event("w", 20, 10, created=1)]
        self.check(events, 20, e=(ACTIVE, 10), w=(ACTIVE, 20))
        self.assertEqual(listed(events, 20), {"w"})

    def test_adjacent_randomised(self) -> None:
        """Neighbours stay neighbours when randomisation lets them touch."""
        events = [
            event("e", 10, 10, randomize_duration=5),
            event("w", 20, 10, created=1, randomize_start=-5),
        ]
        self.check(events, 16, e=(ACTIVE, 10), w=(ACTIVE, 15))
        self.check(events, 22, e=(ACTIVE, 10), w=(ACTIVE, 15))
        self.assertEqual(self.partly(events, 16), {})
        self.assertEqual(listed(events, 22), {"e", "w"})

    def test_same_start(self) -> None:
        """At the same start the one that was made later wins, and of equals that of the higher mRID."""
        self.check([event("a", 10, 10), event("b", 10, 10)], 10, a=(SUPERSEDED, 10), b=(ACTIVE, 10))
        events = [event("a", 10, 10, created=1), event("b", 10, 10)]
        self.check(events, 10, a=(ACTIVE, 10), b=(SUPERSEDED, 10))
        self.assertEqual(statuses(events, 10)["b"].version, 1)

    def test_made_in_the_second_of_the_start(self) -> None:
        """A winner that is made in the second in which the loser began finds it active."""
        events = [event("e", 10, 20)]
        self.assertEqual(statuses(events, 10)["e"].version, 1)
        events.append(event("w", 5, 20, created=10))
        self.check(events, 10, e=(SUPERSEDED, 10), w=(ACTIVE, 10))
        self.assertEqual(statuses(events, 10)["e"].version, 2)

    def test_late(self) -> None:
        """One that is made after its start supersedes from its creation on, not before."""
        events = [event("e", 0, 60), event("w", 10, 30, created=25)]
        self.check(events, 24, e=(ACTIVE, 0))
        self.check(events, 25, e=(SUPERSEDED, 25), w=(ACTIVE, 25))

    def test_randomised_winner(self) -> None:
        """It is superseded at the earliest start that a device may draw for the winner."""
        events = [event("e", 0, 60), event("w", 20, 10, created=1, randomize_start=-5)]
        self.check(events, 14, e=(ACTIVE, 0), w=(SCHEDULED, 1))
        self.check(events, 15, e=(SUPERSEDED, 15), w=(ACTIVE, 15))
        events = [event("e", 0, 60), event("w", 20, 10, created=1, randomize_start=5)]
        self.check(events, 20, e=(SUPERSEDED, 20), w=(ACTIVE, 20))

    def test_earlier_one_takes_nothing(self) -> None:
        """The earlier never supersedes the later, wherever they lie."""
        events = [event("e", 20, 10, created=1), event("l", 0, 60)]
        self.check(events, 10, e=(SCHEDULED, 1), l=(ACTIVE, 0))
        self.check(events, 20, e=(ACTIVE, 20), l=(SUPERSEDED, 20))

    def test_unlike(self) -> None:
        """Events of unlike modes, or for unlike categories, have nothing to do with each other."""
        modes = [event("e", 0, 60, W), event("w", 20, 10, PF, created=1)]
        categories = [
            event("e", 0, 60, categories=INVERTERS),
            event("w", 20, 10, created=1, categories=BATTERIES),
        ]
        for events in (modes, categories):
            self.check(events, 20, e=(ACTIVE, 0), w=(ACTIVE, 20))
            self.assertEqual(self.partly(events, 20), {})

    def test_no_modes(self) -> None:
        """An event without a mode (only rampTms, say) neither takes nor loses anything."""
        events = [
            Event("e", 0, 0, 60, frozenset()),
            event("w", 20, 10, created=1),
            Event("x", 2, 25, 5, frozenset()),
        ]
        self.check(events, 25, e=(ACTIVE, 0), w=(ACTIVE, 20), x=(ACTIVE, 25))
        self.assertEqual(self.partly(events, 25), {})

    def test_chain(self) -> None:
        """Of three, each superseding the one before, only the last is left."""
        events = [event("e", 0, 60), event("w", 10, 40, created=1), event("x", 20, 20, created=2)]
        self.check(events, 10, e=(SUPERSEDED, 10), w=(ACTIVE, 10), x=(SCHEDULED, 2))
        self.check(events, 20, e=(SUPERSEDED, 10), w=(SUPERSEDED, 20), x=(ACTIVE, 20))
        self.check(events, 55, e=(SUPERSEDED, 10), w=(SUPERSEDED, 20), x=(ACTIVE, 20))

    def test_chain_without_the_middle(self) -> None:
        """One that is itself superseded before it begins takes nothing."""
        events = [
            event("e", 0, 30),
            event("w", 20, 20, created=1),
            event("x", 31, 5, created=2, randomize_start=-15),
        ]
        self.check(events, 16, e=(ACTIVE, 0), w=(SUPERSEDED, 16), x=(ACTIVE, 16))
        self.check(events, 29, e=(ACTIVE, 0), w=(SUPERSEDED, 16), x=(ACTIVE, 16))


class PartTests(Examples):
    """An event that loses a part of what it wants."""

    def test_modes(self) -> None:
        """One of its two modes: it stays active, potentially superseded since the other was made."""
        events = [event("e", 10, 40, W, PF), event("w", 20, 10, PF, created=5)]
        self.assertEqual(self.partly(events, 4), {})
        for now in (5, 20, 30, 45):
            self.assertEqual(self.partly(events, now), {"e": 5})
        self.check(events, 20, e=(ACTIVE, 10), w=(ACTIVE, 20))

    def test_categories(self) -> None:
        """Some of its categories: likewise."""
        events = [event("e", 10, 40), event("w", 20, 10, created=5, categories=BATTERIES)]
        self.check(events, 20, e=(ACTIVE, 10), w=(ACTIVE, 20))
        self.assertEqual(self.partly(events, 20), {"e": 5})

    def test_all(self) -> None:
        """One that is to lose all to one other is not potentially superseded: it will be superseded."""
        events = [event("e", 10, 40), event("w", 20, 10, W, PF, created=5)]
        self.assertEqual(self.partly(events, 5), {})
        self.assertEqual(self.partly(events, 20), {})

    def test_several_modes(self) -> None:
        """Two that together take all of its modes supersede it when the second begins."""
        events = [
            event("e", 0, 60, W, PF),
            event("v", 10, 40, W, created=1),
            event("w", 20, 10, PF, created=2),
        ]
        self.check(events, 19, e=(ACTIVE, 0), v=(ACTIVE, 10), w=(SCHEDULED, 2))
        self.assertEqual(self.partly(events, 19), {"e": 1})
        self.check(events, 20, e=(SUPERSEDED, 20), v=(ACTIVE, 10), w=(ACTIVE, 20))
        self.assertCountEqual(statuses(events, 20)["e"].superseded_by, ("v", "w"))

    def test_several_at_once(self) -> None:
        """By whom it was superseded does not depend on the order in which they are given."""
        events = [event("e", 0, 60, W, PF), event("v", 10, 40, W), event("w", 10, 10, PF)]
        for given_as in (events, events[::-1]):
            self.assertEqual(statuses(given_as, 10)["e"].superseded_by, ("v", "w"))

    def test_several_categories(self) -> None:
        """Two that together take all of its categories, likewise."""
        events = [
            event("e", 0, 60, categories=INVERTERS | BATTERIES),
            event("v", 10, 40, created=1, categories=INVERTERS),
            event("w", 20, 10, created=2, categories=BATTERIES),
        ]
        self.check(events, 19, e=(ACTIVE, 0), v=(ACTIVE, 10), w=(SCHEDULED, 2))
        self.check(events, 20, e=(SUPERSEDED, 20), v=(ACTIVE, 10), w=(ACTIVE, 20))

    def test_crosswise(self) -> None:
        """All modes and all categories, but not each mode for each category, is a part."""
        events = [
            event("e", 0, 60, W, PF, categories=INVERTERS | BATTERIES),
            event("v", 10, 40, W, created=1, categories=INVERTERS),
            event("w", 20, 10, PF, created=2, categories=BATTERIES),
        ]
        self.check(events, 20, e=(ACTIVE, 0), v=(ACTIVE, 10), w=(ACTIVE, 20))

    def test_one_after_the_other(self) -> None:
        """Two that take all of it, but not at the same time, leave it potentially superseded."""
        events = [
            event("e", 0, 60, W, PF),
            event("v", 10, 10, W, created=1),
            event("w", 20, 10, PF, created=2),
        ]
        self.check(events, 20, e=(ACTIVE, 0), v=(ACTIVE, 10), w=(ACTIVE, 20))
        self.assertEqual(self.partly(events, 30), {"e": 1})

    def test_withdrawn(self) -> None:
        """The flag falls when the other is cancelled before it begins; what it took, it keeps."""
        e, w = event("e", 10, 40, W, PF), event("w", 20, 10, PF, created=5)
        self.assertEqual(self.partly([e, cancelled(w, 15)], 14), {"e": 5})
        self.assertEqual(self.partly([e, cancelled(w, 15)], 15), {})
        self.assertEqual(self.partly([e, cancelled(w, 25)], 25), {"e": 5})

    def test_unforeseen(self) -> None:
        """That the other will be cancelled is known to nobody before."""
        e, w = event("e", 10, 40, W, PF), event("w", 20, 10, PF, created=5)
        self.assertEqual(self.partly([e, cancelled(w, 15)], 10), self.partly([e, w], 10))

    def test_without_a_break(self) -> None:
        """The time of the flag is when it was set: it does not move while one reason follows another."""
        e = event("e", 10, 40, W, PF)
        v, w = event("v", 20, 10, PF, created=5), event("w", 30, 10, PF, created=8)
        self.assertEqual(self.partly([e, cancelled(v, 15), w], 15), {"e": 5})
        self.assertEqual(self.partly([e, cancelled(v, 7), w], 7), {})
        self.assertEqual(self.partly([e, cancelled(v, 7), w], 8), {"e": 8})

    def test_closed(self) -> None:
        """The flag of an event that is cancelled, superseded or over stays as it was."""
        e, w = event("e", 10, 40, W, PF), event("w", 30, 20, PF, created=25)
        self.assertEqual(self.partly([cancelled(e, 20), w], 25), {})
        self.assertEqual(self.partly([cancelled(e, 27), w], 30), {"e": 25})
        self.assertEqual(self.partly([event("e", 10, 10, W, PF), event("w", 15, 30, PF, created=25)], 25), {})


class NextChangeTests(SynchronousTestCase):
    """When to look again."""

    def test_life(self) -> None:
        """The earliest start, then the ends, then never."""
        events = [event("e", 20, 10, randomize_start=-5, randomize_duration=5)]
        self.assertEqual(next_change(events, 0), 15)
        self.assertEqual(next_change(events, 15), 30)
        self.assertEqual(next_change(events, 30), 35)
        self.assertIsNone(next_change(events, 35))

    def test_nothing(self) -> None:
        """Without events nothing changes."""
        self.assertIsNone(next_change([], 0))

    def test_of_several(self) -> None:
        """It is the first of all."""
        events = [event("e", 20, 10), event("w", 12, 10)]
        self.assertEqual(next_change(events, 0), 12)
        self.assertEqual(next_change(events, 12), 20)


def shown(status: Status, now: int) -> tuple[object, ...]:
    """What of a status the oracle knows too."""
    by = frozenset(status.superseded_by)
    return status.state, status.since, status.partly_since, by, now < status.listed_until


def recorded(record: Record, now: int) -> tuple[object, ...]:
    """The same, from the oracle."""
    return record.state, record.since, record.flagged, record.by, record.listed(now)


def represented(status: Status) -> tuple[EventState, int, int | None]:
    """What a DERControl shows of its status."""
    return status.state, status.since, status.partly_since


def closed(found: Mapping[str, Status]) -> dict[str, tuple[EventState, int, int]]:
    """Those events for which nothing can change any more."""
    return {
        mrid: (status.state, status.since, status.version)
        for mrid, status in found.items()
        if status.state not in (SCHEDULED, ACTIVE)
    }


class PropertyTests(SynchronousTestCase):
    """Any schedule at all."""

    @MANY
    @given(schedules(bare=True), moments())
    def test_oracle(self, events: list[Event], looks: list[int]) -> None:
        """At every moment the status of every event is what came of playing it second by second."""
        history = Program(events).history(looks[-1])
        for now in looks:
            expected = {mrid: recorded(record, now) for mrid, record in history[now].items()}
            found = {mrid: shown(status, now) for mrid, status in statuses(events, now).items()}
            self.assertEqual(found, expected, f"at {now}")

    @given(schedules(), moments())
    def test_only_the_past(self, events: list[Event], looks: list[int]) -> None:
        """What is yet to be commanded changes nothing, and no date is in the future."""
        for now in looks:
            found = statuses(events, now)
            self.assertEqual(found, statuses(known(events, now), now))
            for status in found.values():
                self.assertLessEqual(status.since, now)
                self.assertLessEqual(status.partly_since or 0, now)

    @given(schedules(), st.randoms(use_true_random=False), st.integers(0, END))
    def test_order(self, events: list[Event], random: Random, now: int) -> None:
        """In which order the events are given does not matter."""
        shuffled = list(events)
        random.shuffle(shuffled)
        self.assertEqual(statuses(shuffled, now), statuses(events, now))
        self.assertEqual(next_change(shuffled, now), next_change(events, now))

    @given(schedules())
    def test_for_good(self, events: list[Event]) -> None:
        """A superseded or cancelled event stays what it is."""
        before: dict[str, Status] = {}
        for now in range(END):
            found = statuses(known(events, now), now)
            self.assertGreaterEqual(closed(found).items(), closed(before).items())
            before = found

    @given(schedules())
    def test_each_representation_has_a_version(self, events: list[Event]) -> None:
        """The version rises with whatever changes of what is shown, and with nothing else (case A6).

        The state, its time, potentiallySuperseded and its time: a client that keeps the highest version of a
        control has what is true now.
        """
        before: dict[str, Status] = {}
        for now in range(END):
            # Between two commands of a second a client may read, too.
            for facts in (known(events, now - 1), known(events, now)):
                found = statuses(facts, now)
                for mrid, status in before.items():
                    changed = represented(found[mrid]) != represented(status)
                    self.assertGreaterEqual(found[mrid].version, status.version + changed)
                before = found

    @given(schedules())
    def test_the_version_does_not_rise_for_nothing(self, events: list[Event]) -> None:
        """Where nobody commanded anything in a second, the version is the same if what is shown is."""
        commanded = {e.created for e in events} | {e.cancelled for e in events}
        before: dict[str, Status] = {}
        for now in range(END):
            found = statuses(known(events, now), now)
            for mrid, status in before.items():
                if not commanded & {now, now - 1} and represented(found[mrid]) == represented(status):
                    self.assertEqual(found[mrid].version, status.version)
            before = found

    @given(schedules(), st.integers(0, END))
    def test_commands_undo_nothing(self, events: list[Event], choice: int) -> None:
        """Who read in a second and reads again after a command in it, sees what was closed still closed, and
        of what has changed a higher version.
        """
        commands = sorted(
            {e.created for e in events} | {e.cancelled for e in events if e.cancelled is not None}
        )
        now = commands[choice % len(commands)]
        before = statuses(known(events, now - 1), now)
        after = statuses(known(events, now), now)
        self.assertGreaterEqual(closed(after).items(), closed(before).items())
        for mrid, status in before.items():
            if after[mrid].state is not status.state:
                self.assertGreater(after[mrid].version, status.version)

    @settings(max_examples=max(300, settings().max_examples))
    @given(schedules(bare=True), st.integers(-1, END))
    def test_next_change_after_the_clock_was_set_back(self, events: list[Event], now: int) -> None:
        """Where the store knows what is commanded only later by the clock, nothing changes before the next
        change either.
        """
        following = next_change(events, now)
        last = END if following is None else following - 1
        first = {mrid: shown(s, now) for mrid, s in statuses(events, now).items()}
        for later in range(now + 1, last + 1):
            found = {mrid: shown(s, later) for mrid, s in statuses(events, later).items()}
            self.assertEqual(found, first, f"{now} to {later}")

    @settings(max_examples=max(300, settings().max_examples))
    @given(schedules(bare=True))
    def test_next_change(self, events: list[Event]) -> None:
        """Between now and the next change nothing changes, and after the last nothing ever does."""
        for now in sorted({e.created for e in events} | {e.cancelled or 0 for e in events}):
            facts = known(events, now)
            moment: int | None = now
            while moment is not None:
                following = next_change(facts, moment)
                self.assertGreater(END + 1 if following is None else following, moment)
                last = END if following is None else following - 1
                first = {mrid: shown(s, moment) for mrid, s in statuses(facts, moment).items()}
                for later in {moment + 1, (moment + last) // 2, last} - {moment}:
                    if later <= last:
                        found = {mrid: shown(s, later) for mrid, s in statuses(facts, later).items()}
                        self.assertEqual(found, first, f"{moment} to {later}")
                moment = following
