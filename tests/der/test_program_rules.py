"""What a device should be doing: named cases one by one, and against an oracle that plays second by second.

The rules: IEEE 2030.5-2018 10.2.3.3; CSIP G13, G14; decisions 16 and 17. Named cases count in minutes.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.events import ALL_CATEGORIES, Event
from csipd.der.programs import EndReason, ModeOutcome, ProgramEvent, addressed, holder, mode_outcomes
from tests.der.oracle import Device
from tests.support.schedules import END, MODES, candidates, known_candidates, moments

W, PF = "opModFixedW", "opModFixedPFInjectW"
SY, ST, SS, FD, SG, TF, SP = 10, 9, 8, 7, 6, 5, 4
INVERTERS, BATTERIES = 1, 2

#: (begin, until, end) of an event that never began.
NEVER = (None, None, EndReason.NEVER)

MANY = settings(max_examples=max(1500, settings().max_examples))


def candidate(
    name: str,
    primacy: int,
    start: int,
    duration: int,
    *modes: str,
    created: int = -10,
    categories: int = ALL_CATEGORIES,
) -> ProgramEvent:
    """An event of a program, of mode W or those given, that is made long before."""
    return ProgramEvent(Event(name, created, start, duration, frozenset(modes or (W,)), categories), primacy)


def cancelled(candidate: ProgramEvent, moment: int) -> ProgramEvent:
    """The same, cancelled at a moment."""
    return evolve(candidate, event=evolve(candidate.event, cancelled=moment))


def fates(
    candidates: list[ProgramEvent], mode: str = W
) -> dict[str, tuple[int | None, int | None, EndReason]]:
    """What becomes of each event in a mode."""
    return {
        outcome.candidate.event.mrid: (outcome.begin, outcome.until, outcome.end)
        for outcome in mode_outcomes(candidates, mode)
    }


def completed(begin: int, until: int) -> tuple[int | None, int | None, EndReason]:
    """It ran to its end."""
    return begin, until, EndReason.COMPLETED


def superseded(begin: int, until: int) -> tuple[int | None, int | None, EndReason]:
    """It ran until a better one started."""
    return begin, until, EndReason.SUPERSEDED


def timeline(candidates: list[ProgramEvent], until: int, mode: str = W) -> str:
    """Who holds a mode, minute by minute: the last letter of its name, or a dot for the default."""
    found = (holder(candidates, mode, minute) for minute in range(until))
    return "".join("." if outcome is None else outcome.candidate.event.mrid[-1] for outcome in found)


class OneProgramTests(SynchronousTestCase):
    """Events of one program."""

    def test_basic_016(self) -> None:
        """BASIC-016: where no event is, the default holds."""
        self.assertEqual(mode_outcomes([], W), [])
        self.assertIsNone(holder([], W, 0))

    def test_basic_017(self) -> None:
        """BASIC-017, 018: default, control, default."""
        found = [candidate("a", SP, 2, 1)]
        self.assertEqual(fates(found), {"a": completed(2, 3)})
        self.assertEqual(timeline(found, 5), "..a..")
        self.assertEqual(timeline(found, 5, PF), ".....")

    def test_basic_019(self) -> None:
        """BASIC-019: two controls that do not overlap both run, with the default between."""
        found = [candidate("a", SP, 2, 1), candidate("b", SP, 4, 1)]
        self.assertEqual(fates(found), {"a": completed(2, 3), "b": completed(4, 5)})
        self.assertEqual(timeline(found, 6), "..a.b.")

    def test_basic_015(self) -> None:
        """BASIC-015: of 24 controls those that are cancelled before their start never run."""
        found = [candidate(f"{n:02}", SP, 2 * n, 1) for n in range(1, 25)]
        found = [cancelled(o, 25) if o.event.start > 25 else o for o in found]
        expected = {f"{n:02}": completed(2 * n, 2 * n + 1) if n <= 12 else NEVER for n in range(1, 25)}
        self.assertEqual(fates(found), expected)

    def test_adjacent(self) -> None:
        """Where one ends the next begins, without a gap and without superseding."""
        found = [candidate("a", SP, 2, 2), candidate("b", SP, 4, 2)]
        self.assertEqual(fates(found), {"a": completed(2, 4), "b": completed(4, 6)})
        self.assertEqual(timeline(found, 7), "..aabb.")

    def test_late(self) -> None:
        """One that is made after its start runs at once, for the time that remains."""
        self.assertEqual(fates([candidate("a", SP, 2, 5, created=4)]), {"a": completed(4, 7)})

    def test_too_late(self) -> None:
        """One that is made when it is over never runs."""
        self.assertEqual(fates([candidate("a", SP, 2, 5, created=7)]), {"a": NEVER})

    def test_cancelled(self) -> None:
        """One that is cancelled before its start never runs; one that runs stops."""
        one = candidate("a", SP, 2, 5)
        self.assertEqual(fates([cancelled(one, 1)]), {"a": NEVER})
        self.assertEqual(fates([cancelled(one, 4)]), {"a": (2, 4, EndReason.CANCELLED)})
        self.assertEqual(timeline([cancelled(one, 4)], 8), "..aa....")
        self.assertEqual(fates([cancelled(one, 7)]), {"a": completed(2, 7)})

    def test_cancelled_as_it_starts(self) -> None:
        """One that is cancelled in the second of its start has started."""
        self.assertEqual(fates([cancelled(candidate("a", SP, 2, 5), 2)]), {"a": (2, 2, EndReason.CANCELLED)})

    def test_nested(self) -> None:
        """Of two of one program the one made later wins; the other, known before, never starts."""
        found = [candidate("e", SP, 2, 6), candidate("w", SP, 4, 2, created=-9)]
        self.assertEqual(fates(found), {"e": NEVER, "w": completed(4, 6)})

    def test_nested_while_running(self) -> None:
        """Made while the other runs, it ends it when it starts; the other does not resume."""
        found = [candidate("e", SP, 2, 6), candidate("w", SP, 4, 2, created=3)]
        self.assertEqual(fates(found), {"e": superseded(2, 4), "w": completed(4, 6)})
        self.assertEqual(timeline(found, 9), "..eeww...")

    def test_made_as_the_loser_starts(self) -> None:
        """A winner that is made in the second of the loser's start was not known before it."""
        found = [candidate("e", SP, 2, 6), candidate("w", SP, 4, 2, created=2)]
        self.assertEqual(fates(found), {"e": superseded(2, 4), "w": completed(4, 6)})
        at_once = [candidate("e", SP, 2, 6), candidate("w", SP, 1, 3, created=2)]
        self.assertEqual(fates(at_once), {"e": superseded(2, 2), "w": completed(2, 4)})

    def test_late_winner(self) -> None:
        """A winner that is made after its own start takes the mode at once."""
        found = [candidate("e", SP, 2, 6), candidate("w", SP, 1, 6, created=4)]
        self.assertEqual(fates(found), {"e": superseded(2, 4), "w": completed(4, 7)})

    def test_same_start(self) -> None:
        """At the same start and creation the higher mRID wins."""
        found = [candidate("a", SP, 2, 2), candidate("b", SP, 2, 3)]
        self.assertEqual(fates(found), {"a": NEVER, "b": completed(2, 5)})

    def test_winner_cancelled_in_time(self) -> None:
        """A winner that is cancelled before the loser is due is not in its way."""
        found = [candidate("e", SP, 2, 6), cancelled(candidate("w", SP, 4, 2, created=-9), 1)]
        self.assertEqual(fates(found), {"e": completed(2, 8), "w": NEVER})

    def test_winner_cancelled_too_late(self) -> None:
        """Cancelled after that it leaves the loser where it was: it never runs, or does not resume."""
        known = [candidate("e", SP, 2, 6), cancelled(candidate("w", SP, 4, 2, created=-9), 3)]
        self.assertEqual(fates(known), {"e": NEVER, "w": NEVER})
        running = [candidate("e", SP, 2, 6), cancelled(candidate("w", SP, 4, 3, created=3), 5)]
        self.assertEqual(fates(running), {"e": superseded(2, 4), "w": (4, 5, EndReason.CANCELLED)})

    def test_replaced(self) -> None:
        """An event that is made in the second in which another is cancelled follows it."""
        found = [cancelled(candidate("e", SP, 2, 6), 4), candidate("w", SP, 4, 2, created=4)]
        self.assertEqual(fates(found), {"e": (2, 4, EndReason.CANCELLED), "w": completed(4, 6)})
        lower = [cancelled(candidate("e", SP, 2, 6), 4), candidate("w", SY, 3, 3, created=4)]
        self.assertEqual(fates(lower), {"e": (2, 4, EndReason.CANCELLED), "w": completed(4, 6)})
        to_come = [cancelled(candidate("e", SP, 5, 6), 4), candidate("w", SY, 3, 3, created=4)]
        self.assertEqual(fates(to_come), {"e": NEVER, "w": completed(4, 6)})


class TwoProgramsTests(SynchronousTestCase):
    """CSIP's cases of one device under two programs: SY (primacy 10) and SP (primacy 4)."""

    def test_basic_002(self) -> None:
        """BASIC-002: seven programs, a control in the nearest: default, control, default."""
        self.assertEqual(timeline([candidate("p", SP, 5, 2)], 9), ".....pp..")

    def test_basic_020(self) -> None:
        """BASIC-020: controls of two programs that do not overlap both run."""
        found = [candidate("y", SY, 2, 1), candidate("p", SP, 4, 1)]
        self.assertEqual(fates(found), {"y": completed(2, 3), "p": completed(4, 5)})
        self.assertEqual(timeline(found, 6), "..y.p.")

    def test_basic_021(self) -> None:
        """BASIC-021: nested in the lesser's time and known before, the better runs alone."""
        found = [candidate("y", SY, 2, 2), candidate("p", SP, 3, 1)]
        self.assertEqual(fates(found), {"y": NEVER, "p": completed(3, 4)})
        self.assertEqual(timeline(found, 5), "...p.")

    def test_basic_022(self) -> None:
        """BASIC-022: the better first: the lesser never runs, not even in the time that is left to it."""
        found = [candidate("p", SP, 2, 2), candidate("y", SY, 3, 2)]
        self.assertEqual(fates(found), {"p": completed(2, 4), "y": NEVER})
        self.assertEqual(timeline(found, 6), "..pp..")

    def test_basic_023(self) -> None:
        """BASIC-023: made while the lesser runs, the better ends it, and it does not resume."""
        found = [candidate("y", SY, 1, 4), candidate("p", SP, 2, 2, created=1)]
        self.assertEqual(fates(found), {"y": superseded(1, 2), "p": completed(2, 4)})
        self.assertEqual(timeline(found, 6), ".ypp..")

    def test_basic_024(self) -> None:
        """BASIC-024: of unlike modes, nested: both run."""
        found = [candidate("y", SY, 2, 2, PF), candidate("p", SP, 3, 1, W)]
        self.assertEqual((timeline(found, 5, PF), timeline(found, 5, W)), ("..yy.", "...p."))

    def test_basic_025(self) -> None:
        """BASIC-025: of unlike modes, the better first: both run."""
        found = [candidate("p", SP, 2, 2, W), candidate("y", SY, 3, 2, PF)]
        self.assertEqual((timeline(found, 6, PF), timeline(found, 6, W)), ("...yy.", "..pp.."))

    def test_basic_026(self) -> None:
        """BASIC-026: of unlike modes, the better made while the lesser runs: both run."""
        found = [candidate("y", SY, 1, 4, PF), candidate("p", SP, 2, 2, W, created=1)]
        self.assertEqual((timeline(found, 6, PF), timeline(found, 6, W)), (".yyyy.", "..pp.."))

    def test_core_013(self) -> None:
        """CORE-013: primacies 1 to 10, one minute after another: all run, as they only touch."""
        found = [candidate(str(n), n, n, 1) for n in range(1, 10)]
        self.assertEqual(timeline(found, 11), ".123456789.")

    def test_core_023(self) -> None:
        """CORE-023: of three with the same start in three programs, one runs."""
        found = [candidate("y", SY, 3, 2), candidate("p", SP, 3, 2), candidate("f", TF, 3, 2)]
        self.assertEqual(fates(found), {"y": NEVER, "p": completed(3, 5), "f": NEVER})
        by = {
            outcome.candidate.event.mrid: outcome.by.event.mrid
            for outcome in mode_outcomes(found, W)
            if outcome.by is not None
        }
        self.assertEqual(by, {"y": "p", "f": "p"})

    def test_primacy_before_creation(self) -> None:
        """Primacy counts before creationTime: the newer of the lesser program does not win."""
        found = [candidate("p", SP, 2, 4), candidate("y", SY, 3, 1, created=0)]
        self.assertEqual(fates(found), {"p": completed(2, 6), "y": NEVER})

    def test_equal_primacy(self) -> None:
        """Between programs of equal primacy the one made later wins."""
        found = [candidate("b", SP, 2, 4), candidate("a", SP, 3, 1, created=-9)]
        self.assertEqual(fates(found), {"b": NEVER, "a": completed(3, 4)})

    def test_some_modes(self) -> None:
        """The lesser loses the mode that the better wants and runs the other."""
        found = [candidate("y", SY, 2, 4, W, PF), candidate("p", SP, 3, 1, W)]
        self.assertEqual(fates(found, W), {"y": NEVER, "p": completed(3, 4)})
        self.assertEqual(fates(found, PF), {"y": completed(2, 6)})

    def test_several_together(self) -> None:
        """Two that together want all its modes each take theirs in their own time."""
        found = [
            candidate("y", SY, 1, 8, W, PF),
            candidate("p", SP, 3, 4, W, created=2),
            candidate("q", SP, 5, 1, PF, created=2),
        ]
        self.assertEqual((timeline(found, 9, W), timeline(found, 9, PF)), (".yypppp..", ".yyyyq..."))


class ChainTests(SynchronousTestCase):
    """Three events, each better than the one before."""

    def test_known_before(self) -> None:
        """An event that will not run takes nothing from others: the worst runs as the middle one does not."""
        found = [candidate("e", SY, 2, 3), candidate("w", TF, 4, 4), candidate("x", SP, 6, 3)]
        self.assertEqual(fates(found), {"e": completed(2, 5), "w": NEVER, "x": completed(6, 9)})

    def test_one_more(self) -> None:
        """And one that is kept from running by a fourth keeps nobody from running either."""
        found = [
            candidate("e", SY, 2, 3),
            candidate("w", TF, 4, 4),
            candidate("x", SP, 6, 3),
            candidate("z", 1, 8, 4),
        ]
        self.assertEqual(fates(found), {"e": NEVER, "w": completed(4, 8), "x": NEVER, "z": completed(8, 12)})

    def test_made_one_after_another(self) -> None:
        """Each ends the one that runs."""
        found = [
            candidate("e", SY, 0, 9),
            candidate("w", TF, 2, 6, created=1),
            candidate("x", SP, 4, 2, created=3),
        ]
        self.assertEqual(fates(found), {"e": superseded(0, 2), "w": superseded(2, 4), "x": completed(4, 6)})
        self.assertEqual(timeline(found, 9), "eewwxx...")

    def test_middle_is_out_of_the_way(self) -> None:
        """A better one that was ended before the loser is due is no longer in its way."""
        found = [candidate("w", TF, 0, 9), candidate("e", SY, 5, 3), candidate("x", SP, 2, 2, created=1)]
        self.assertEqual(fates(found), {"w": superseded(0, 2), "x": completed(2, 4), "e": completed(5, 8)})

    def test_winner_of_the_winner_cancelled(self) -> None:
        """What is known when an event is due decides: that the best is cancelled later changes nothing."""
        found = [candidate("e", SY, 2, 3), candidate("w", TF, 4, 4), cancelled(candidate("x", SP, 6, 3), 3)]
        self.assertEqual(fates(found), {"e": superseded(2, 4), "w": completed(4, 8), "x": NEVER})


class AggregatorTests(SynchronousTestCase):
    """CSIP's cases of an aggregator: EDA under TFA (primacy 5) and SY (10), EDB under SY alone."""

    def check(self, sy: ProgramEvent, tfa: ProgramEvent, eda: str, edb: str, mode: str = W) -> None:
        """The devices do this, minute by minute."""
        self.assertEqual(timeline([sy, tfa], len(eda), mode), eda)
        self.assertEqual(timeline([sy], len(edb), mode), edb)

    def test_agg_002(self) -> None:
        """AGG-002 to 006: without overlap every device runs what addresses it."""
        self.check(candidate("y", SY, 4, 1), candidate("t", TF, 2, 1), "..t.y.", "....y.")

    def test_agg_007(self) -> None:
        """AGG-007: SY first, both known beforehand: EDA runs TFA's alone, EDB SY's."""
        self.check(candidate("y", SY, 2, 2), candidate("t", TF, 3, 1), "...t.", "..yy.")

    def test_agg_008(self) -> None:
        """AGG-008: TFA first: after it EDA goes to the default, though SY's still runs on EDB."""
        self.check(candidate("y", SY, 3, 2), candidate("t", TF, 2, 2), "..tt..", "...yy.")

    def test_agg_009(self) -> None:
        """AGG-009: TFA's is made when SY's runs: EDA ends SY's and does not resume it."""
        sy, tfa = candidate("y", SY, 1, 4), candidate("t", TF, 2, 2, created=1)
        self.check(sy, tfa, ".ytt..", ".yyyy.")
        self.assertEqual(fates([sy, tfa])["y"], superseded(1, 2))

    def test_agg_010(self) -> None:
        """AGG-010: unlike modes, SY first: both run on EDA."""
        sy, tfa = candidate("y", SY, 2, 2, PF), candidate("t", TF, 3, 1, W)
        self.check(sy, tfa, "..yy.", "..yy.", PF)
        self.check(sy, tfa, "...t.", ".....", W)

    def test_agg_011(self) -> None:
        """AGG-011: unlike modes, TFA first: both run on EDA."""
        sy, tfa = candidate("y", SY, 3, 2, PF), candidate("t", TF, 2, 2, W)
        self.check(sy, tfa, "...yy.", "...yy.", PF)
        self.check(sy, tfa, "..tt..", "......", W)

    def test_agg_012(self) -> None:
        """AGG-012: unlike modes, TFA's made when SY's runs: both run on EDA."""
        sy, tfa = candidate("y", SY, 1, 4, PF), candidate("t", TF, 2, 2, W, created=1)
        self.check(sy, tfa, ".yyyy.", ".yyyy.", PF)
        self.check(sy, tfa, "..tt..", "......", W)


class CategoryTests(SynchronousTestCase):
    """Events that address some categories of devices only."""

    everybody = candidate("e", SP, 2, 6)
    batteries = candidate("b", SP, 4, 2, created=3, categories=BATTERIES)

    def test_addressed(self) -> None:
        """A device follows what names none, or one of its own categories; all, where its own are unknown."""
        both = [self.everybody, self.batteries]
        self.assertEqual(addressed(both, INVERTERS), [self.everybody])
        self.assertEqual(addressed(both, BATTERIES), both)
        self.assertEqual(addressed(both, INVERTERS | BATTERIES), both)
        self.assertEqual(addressed(both, 0), both)

    def test_partial(self) -> None:
        """A better event for some categories ends the other on those devices only."""
        both = [self.everybody, self.batteries]
        self.assertEqual(timeline(addressed(both, INVERTERS), 9), "..eeeeee.")
        self.assertEqual(timeline(addressed(both, BATTERIES), 9), "..eebb...")


def last(candidates: list[ProgramEvent]) -> dict[tuple[str, str], ModeOutcome]:
    """What becomes of each event in each mode."""
    return {
        (outcome.candidate.event.mrid, mode): outcome
        for mode in MODES
        for outcome in mode_outcomes(candidates, mode)
    }


class PropertyTests(SynchronousTestCase):
    """Any schedule at all."""

    @MANY
    @given(candidates(), st.integers(0, 7))
    def test_oracle(self, all_candidates: list[ProgramEvent], categories: int) -> None:
        """In every mode the events run, and end, as they do on a device that is played second by second."""
        followed = [o for o in all_candidates if categories == 0 or o.event.categories & categories]
        for mode in MODES:
            device = Device(followed, mode)
            history = device.history(END)
            expected = {
                mrid: (fate.begin, fate.until, fate.end, bool(fate.lost_to))
                for mrid, fate in device.fates().items()
            }
            held: list[str | None] = [None] * (END + 1)
            found = {}
            for outcome in mode_outcomes(addressed(all_candidates, categories), mode):
                mrid = outcome.candidate.event.mrid
                found[mrid] = outcome.begin, outcome.until, outcome.end, outcome.by is not None
                if outcome.by is not None:
                    self.assertIn(outcome.by.event.mrid, device.fates()[mrid].lost_to)
                for second in range(outcome.begin or 0, outcome.until or 0):
                    self.assertTrue(outcome.at(second))
                    held[second] = mrid
            self.assertEqual(found, expected, mode)
            self.assertEqual(held, history, mode)

    @given(candidates(), moments())
    def test_holder(self, all_candidates: list[ProgramEvent], looks: list[int]) -> None:
        """At any moment one event at most holds a mode: the holder, as far as was known by then."""
        for mode in MODES:
            found = mode_outcomes(all_candidates, mode)
            for now in looks:
                holding = [outcome for outcome in found if outcome.at(now)]
                self.assertLessEqual(len(holding), 1)
                by_then = holder(known_candidates(all_candidates, now), mode, now)
                names = [outcome.candidate.event.mrid for outcome in holding]
                self.assertEqual([] if by_then is None else [by_then.candidate.event.mrid], names)

    @given(candidates(), st.randoms(use_true_random=False))
    def test_order(self, all_candidates: list[ProgramEvent], random: Random) -> None:
        """In which order they are given does not matter; they come out in the order in which they are due."""
        shuffled = list(all_candidates)
        random.shuffle(shuffled)
        for mode in MODES:
            found = mode_outcomes(all_candidates, mode)
            self.assertEqual(mode_outcomes(shuffled, mode), found)
            begins = [outcome.candidate.begins for outcome in found]
            self.assertEqual(begins, sorted(begins))
            self.assertEqual(
                Counter(outcome.candidate.event.mrid for outcome in found),
                Counter(o.event.mrid for o in all_candidates if mode in o.event.modes),
            )

    @given(candidates())
    def test_for_good(self, all_candidates: list[ProgramEvent]) -> None:
        """What has begun, ended, or not begun when it was due stays so whatever is commanded afterwards."""
        before: dict[tuple[str, str], ModeOutcome] = {}
        for now in range(END):
            found = last(known_candidates(all_candidates, now))
            for key, outcome in before.items():
                due = outcome.candidate.begins < now
                if due:
                    self.assertEqual(found[key].begin, outcome.begin)
                if due and (outcome.until is None or outcome.until < now):
                    self.assertEqual((found[key].until, found[key].end), (outcome.until, outcome.end))
            before = found

    @given(candidates(), st.integers(0, END))
    def test_commands_undo_nothing(self, all_candidates: list[ProgramEvent], choice: int) -> None:
        """What began or ended by the clock in a second stays so after the commands of that second."""
        commands = {o.event.created for o in all_candidates} | {o.event.cancelled for o in all_candidates}
        times = sorted(moment for moment in commands if moment is not None)
        now = times[choice % len(times)]
        after = last(known_candidates(all_candidates, now))
        for key, outcome in last(known_candidates(all_candidates, now - 1)).items():
            if outcome.candidate.begins <= now:
                self.assertEqual(after[key].begin, outcome.begin)
            if outcome.until is not None and outcome.until <= now:
                self.assertEqual((after[key].until, after[key].end), (outcome.until, outcome.end))
