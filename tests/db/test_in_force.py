"""What a device should be doing, as the operator is told: the rules over all that there ever was.

The rules are tested in tests/der. Here is tested that they are asked with all that matters, also with what is
over, and that values, programs and numbers are those of the store.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, devices, own_programs, programs
from csipd.db.database import Transaction
from csipd.db.in_force import ModeInForce, ModesOfDevice, OverriddenMode, current_program, of_device
from csipd.der.events import Event
from csipd.der.programs import EndReason, ModeOutcome, ProgramEvent, addressed, mode_outcomes, program_events
from csipd.sep2 import resources as r
from csipd.sep2.types import MODE
from tests.db.test_controls import PF, VALUES, Programs, W, event
from tests.support.examples import fewer
from tests.support.schedules import END, candidates
from tests.support.store import ISSUER, NOW, add_device, add_group, add_program, store

OWN = programs.OwnPrograms(ISSUER, 3)
LIMIT = "opModMaxLimW"


class Fixture:
    """A device in a group of several programs, and beside the store all that was commanded in them."""

    def __init__(self, transaction: Transaction, *primacies: int) -> None:
        self.transaction = transaction
        self.connection = transaction.connection
        self.group = add_group(transaction, "home")
        self.device = add_device(transaction, 1)
        devices.join(transaction, self.device, self.group, NOW)
        self.primacies = {
            add_program(transaction, self.group, f"program {number}", primacy): primacy
            for number, primacy in enumerate(primacies)
        }
        self.own = programs.own_program(self.device)
        self.primacies[self.own] = OWN.primacy
        own_programs.show(transaction, self.own, NOW)
        self.commanded = Programs(transaction)

    def add(self, program: int, event: Event) -> int:
        return self.commanded.add(program, event)

    def default(self, program: int, **base: Any) -> None:
        wanted = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(**base))
        programs.set_default(self.transaction, ISSUER, program, wanted, NOW)

    def in_force(self, now: int) -> ModesOfDevice:
        return of_device(self.connection, OWN, self.device, NOW + now)

    def acting(self, now: int) -> dict[str, tuple[int | None, int]]:
        """By mode the control that holds it, None for a default, and the program that it is of."""
        return {one.mode: (one.control, one.program) for one in self.in_force(now).acting}

    def candidates(self, now: int, category: int) -> tuple[list[ProgramEvent], dict[str, int]]:
        """The events that the device has to follow by a moment, and the numbers of the controls by mRID."""
        numbers = {event.mrid: number for number, (_, event, _) in self.commanded.known.items()}
        found: list[ProgramEvent] = []
        for program, primacy in self.primacies.items():
            made = [e for of, e, _ in self.commanded.known.values() if of == program and e.created <= now]
            found += program_events(made, primacy, program)
        return addressed(found, category), numbers


class RuleTests(SynchronousTestCase):
    """Any history, any moment."""

    @fewer(2)
    @given(
        candidates(),
        st.lists(st.integers(0, END), min_size=1, max_size=3),
        st.sampled_from([None, 1, 2, 6]),
        st.booleans(),
    )
    def test_all_that_matters(
        self, commanded: list[ProgramEvent], delays: list[int], category: int | None, one_is_own: bool
    ) -> None:
        """Each mode is held by the event by which the rules over all there ever was have it, for as long, and
        those that lost it are named.
        """
        with store() as transaction:
            by_program = {candidate.program: candidate.primacy for candidate in commanded}
            fixture = Fixture(transaction, *by_program.values())
            numbers = dict(zip(by_program, fixture.primacies, strict=False))
            if one_is_own:
                # Among the others by the primacy that own programs have.
                numbers[next(iter(numbers))] = fixture.own
            devices.update(transaction, fixture.device, device_category=category)
            for candidate in sorted(commanded, key=lambda candidate: int(candidate.event.mrid)):
                fixture.add(numbers[candidate.program], candidate.event)
            for delay in delays:
                self.compare(fixture, delay, category or 0)

    def compare(self, fixture: Fixture, delay: int, category: int) -> None:
        found, numbers = fixture.candidates(NOW + delay, category)
        acting: list[ModeInForce] = []
        passed: set[tuple[str, int, EndReason]] = set()
        for mode in MODE:
            for outcome in mode_outcomes(found, mode):
                number, program = numbers[outcome.candidate.event.mrid], outcome.candidate.program
                assert isinstance(program, int)
                if outcome.at(NOW + delay):
                    acting.append(
                        ModeInForce(mode, VALUES[mode], program, number, outcome.begin, outcome.until)
                    )
                elif self.lost(outcome, NOW + delay):
                    passed.add((mode, number, outcome.end))
        reported = fixture.in_force(delay)
        self.assertEqual(list(reported.acting), acting)
        self.assertEqual({(one.mode, one.control, one.reason) for one in reported.passed}, passed)
        self.assertEqual(len(reported.passed), len(passed))

    def lost(self, outcome: ModeOutcome, now: int) -> bool:
        """Whether it is an event's time and another has the mode, or had it first."""
        event = outcome.candidate.event
        in_time = max(event.start, event.created) <= now < event.start + event.duration
        return in_time and outcome.by is not None and outcome.end in (EndReason.SUPERSEDED, EndReason.NEVER)


class CaseTests(SynchronousTestCase):
    """Case by case."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.fixture = Fixture(self.transaction, 9, 5)
        self.low, self.high = list(self.fixture.primacies)[:2]

    def test_nothing(self) -> None:
        """A device for which nothing is commanded does nothing; so does one in no group."""
        self.assertEqual(self.fixture.in_force(0), ModesOfDevice((), ()))
        alone = add_device(self.transaction, 2)
        self.assertEqual(of_device(self.fixture.connection, OWN, alone, NOW), ModesOfDevice((), ()))

    def test_defaults(self) -> None:
        """Where no event is, the default of the best program that sets the mode holds, mode by mode."""
        self.fixture.default(self.low, opModMaxLimW=1, opModConnect=True)
        self.fixture.default(self.high, opModMaxLimW=2)
        low, high = self.low, self.high
        acting = (ModeInForce("opModConnect", True, low), ModeInForce(LIMIT, 2, high))
        self.assertEqual(self.fixture.in_force(0), ModesOfDevice(acting, ()))
        number = self.fixture.add(low, event(10, 10, LIMIT))
        for now, expected in ((9, (None, high)), (10, (number, low)), (20, (None, high))):
            self.assertEqual(self.fixture.acting(now)[LIMIT], expected)

    def test_event(self) -> None:
        """An event is reported with its value, since when it holds and until when it will."""
        number = self.fixture.add(self.high, event(10, 30, W, PF))
        self.assertEqual(
            self.fixture.in_force(15).acting,
            tuple(ModeInForce(mode, VALUES[mode], self.high, number, NOW + 10, NOW + 40) for mode in (PF, W)),
        )

    def test_does_not_resume(self) -> None:
        """What a better event ended does not resume when that is over, however long ago that was."""
        loser = self.fixture.add(self.low, event(0, 1000))
        winner = self.fixture.add(self.high, event(10, 10, created=5))
        self.assertEqual(self.fixture.acting(5), {W: (loser, self.low)})
        self.assertEqual(self.fixture.acting(15), {W: (winner, self.high)})
        for now in (20, 500, 999):
            expected = (OverriddenMode(W, loser, self.low, EndReason.SUPERSEDED, winner),)
            self.assertEqual(self.fixture.in_force(now), ModesOfDevice((), expected))
        self.assertEqual(self.fixture.in_force(1000), ModesOfDevice((), ()))

    def test_never_began(self) -> None:
        """What lost to a better one before its start is reported while its time lasts."""
        loser = self.fixture.add(self.low, event(20, 50))
        winner = self.fixture.add(self.fixture.own, event(10, 20))
        self.assertEqual(self.fixture.in_force(15).passed, ())
        for now in (20, 40, 69):
            expected = (OverriddenMode(W, loser, self.low, EndReason.NEVER, winner),)
            self.assertEqual(self.fixture.in_force(now).passed, expected)
        self.assertEqual(self.fixture.in_force(70).passed, ())

    def test_current_program(self) -> None:
        """The best program with a control in force, and until when that is certain (case A7)."""
        self.fixture.default(self.high, opModMaxLimW=2)
        self.fixture.add(self.low, event(20, 100))
        self.fixture.add(self.high, event(40, 20, LIMIT, randomize_start=-5, created=5))
        self.fixture.add(self.fixture.own, event(50, 5, W, created=25))

        def found(now: int) -> tuple[int | None, int | None]:
            every = list(self.fixture.primacies)
            every = sorted(every, key=self.fixture.primacies.__getitem__)
            number, until = current_program(self.fixture.connection, OWN, 0, every, NOW + now)
            return number, None if until is None else until - NOW

        for now, expected in (
            (0, (None, 5)),
            (19, (None, 20)),
            (20, (self.low, 25)),
            (25, (self.low, 35)),
            (35, (self.low, 40)),
            (40, (self.high, 50)),
            (50, (self.fixture.own, 55)),
            (55, (self.high, 60)),
            (60, (None, 120)),
            (120, (None, None)),
        ):
            self.assertEqual(found(now), expected, now)

    def test_cancelled(self) -> None:
        """What was cancelled holds nothing; what it ended stays ended."""
        loser = self.fixture.add(self.low, event(0, 100))
        winner = self.fixture.add(self.high, event(10, 50, created=5, cancelled=20))
        self.assertEqual(self.fixture.acting(19), {W: (winner, self.high)})
        expected = OverriddenMode(W, loser, self.low, EndReason.SUPERSEDED, winner)
        self.assertEqual(self.fixture.in_force(20), ModesOfDevice((), (expected,)))

    def test_category(self) -> None:
        """Events for other categories are not the device's; one that has said none follows all."""
        number = self.fixture.add(self.high, event(0, 100, categories=2))
        for category, expected in ((None, {W: (number, self.high)}), (2, {W: (number, self.high)}), (4, {})):
            devices.update(self.transaction, self.fixture.device, device_category=category)
            self.assertEqual(self.fixture.acting(5), expected)

    def test_own_programs_only(self) -> None:
        """What is in programs of others does not count."""
        elsewhere = add_program(self.transaction, add_group(self.transaction, "elsewhere"), "theirs", 1)
        self.fixture.add(elsewhere, event(0, 100))
        other = add_device(self.transaction, 2)
        self.fixture.add(programs.own_program(other), event(0, 100))
        self.assertEqual(self.fixture.in_force(5), ModesOfDevice((), ()))

    def test_retired(self) -> None:
        """Those of a program that is retired do not count any more."""
        self.fixture.add(self.high, event(0, 100))
        self.fixture.default(self.high, opModMaxLimW=2)
        programs.retire(self.transaction, self.high, NOW)
        self.assertEqual(self.fixture.in_force(5), ModesOfDevice((), ()))

    def test_moved(self) -> None:
        """A device that moves follows its new programs from then on."""
        number = self.fixture.add(self.high, event(0, 100))
        self.assertEqual(self.fixture.acting(5), {W: (number, self.high)})
        devices.leave(self.transaction, self.fixture.device, self.fixture.group, NOW + 6)
        self.assertEqual(self.fixture.in_force(6), ModesOfDevice((), ()))

    def test_clock_set_back(self) -> None:
        """What was made later than it is now, for the clock was set back, is not there yet."""
        number = self.fixture.add(self.high, event(0, 100, created=50))
        self.assertIsNone(controls.find(self.fixture.connection, number, NOW + 49))
        self.assertEqual(self.fixture.acting(49), {})
        self.assertEqual(self.fixture.acting(50), {W: (number, self.high)})
