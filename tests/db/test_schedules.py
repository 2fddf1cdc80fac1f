"""Schedules of programs: kept until something changes, never stale, and cheap for however many controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, fact_store, schedules
from csipd.db.schedules import Schedule
from csipd.der.events import Event
from csipd.sep2.paging import Page
from csipd.sep2.types import EventState
from tests.support.schedules import schedules as histories
from tests.support.steps import steps
from tests.support.store import ISSUER, NOW, add_group, add_program, forget, statements, store
from tests.support.world import der_control

SHORT = 300
ALL = Page(limit=10_000)


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.group = add_group(self.transaction, "group")
        self.program = add_program(self.transaction, self.group, "program")

    def add(self, start: int, duration: int, program: int | None = None, created: int = 0) -> int:
        made = der_control(NOW + created, NOW + start, duration)
        return controls.add(self.transaction, ISSUER, program or self.program, made).ids[1]

    def schedule(self, now: int = 0, program: int | None = None) -> Schedule:
        program = program or self.program
        return schedules.of(self.connection, [program], NOW + now)[program]

    def said(self, call: Callable[[], Any]) -> int:
        """How many statements a call makes."""
        with statements(self.transaction) as said:
            call()
        return len(said)


class KeptTests(_Case):
    """What is kept between two that ask."""

    def test_asked_again(self) -> None:
        """Who asks again, or later with nothing due in between, is given what was computed."""
        self.add(10, 100)
        first = self.schedule()
        self.assertEqual(self.said(self.schedule), 0)
        self.assertIs(self.schedule(), first)
        self.assertIs(self.schedule(9), first)
        later = self.schedule(10)
        self.assertEqual([kept.status.state for kept in later.listed()], [EventState.ACTIVE])
        self.assertEqual([kept.status.state for kept in self.schedule(9).listed()], [EventState.SCHEDULED])

    def test_changed(self) -> None:
        """A control that is made or cancelled is there for whoever asks next, and for no other program."""
        other = add_program(self.transaction, self.group, "other")
        self.add(0, 50, other)
        before = self.schedule(program=other)
        number = self.add(0, 100)
        self.assertEqual(list(self.schedule().all), [number])
        self.assertTrue(controls.cancel(self.transaction, number, False, None, NOW + 5))
        self.assertEqual(self.schedule(5).all[number].status.state, EventState.CANCELLED)
        self.assertIs(self.schedule(program=other), before)

    def test_rolled_back(self) -> None:
        """What was read in a transaction that failed is never taken for what came in its place."""
        first = self.add(0, 10)
        kept = fact_store.of(self.connection)
        assert kept is not None
        for _ in range(2):
            kept.attempt()
            with self.connection.begin_nested() as part:
                self.add(20, 10)
                self.assertEqual(len(self.schedule().all), 2)
                part.rollback()
            kept.undo()
            self.assertEqual(list(self.schedule().all), [first])
        self.add(30, 10)
        self.assertEqual([kept.event.start for kept in self.schedule().listed()], [NOW, NOW + 30])

    def test_clock_set_back(self) -> None:
        """Who asks for an earlier time is told what was in it."""
        loser, winner = self.add(0, 50), self.add(0, 50, created=1)
        self.assertEqual(self.schedule(60).listed(), [])
        self.assertEqual([kept.number for kept in self.schedule(20).listed(active=True)], [winner])
        self.assertEqual(self.schedule(20).all[loser].status.state, EventState.SUPERSEDED)


def _event(mrid: str, created: int, start: int, duration: int) -> Event:
    return Event(mrid, created, start, duration, frozenset(("opModMaxLimW",)))


class HistoryTests(SynchronousTestCase):
    """Any history."""

    @given(histories(), st.lists(st.integers(-5, 80), min_size=1, max_size=5))
    # One that is over by the clock before it is made: what is kept knows of it, who reads now does not.
    @example([_event("1", 7, -3, 4), _event("2", 0, 0, 1)], [0, 1])
    def test_any_history(self, events: list[Any], looks: list[int]) -> None:
        """In whatever order it is asked for, each moment is as if nothing had been kept.

        What is kept may be made anew sooner than what is read now, as it may know of more; never later.
        """
        with store() as transaction:
            program = add_program(transaction, add_group(transaction, "group"), "program")
            for one in sorted(events, key=lambda event: int(event.mrid)):
                made = der_control(
                    NOW + one.created,
                    NOW + one.start,
                    one.duration,
                    randomizeStart=one.randomize_start or None,
                    randomizeDuration=one.randomize_duration or None,
                )
                controls.add(transaction, ISSUER, program, made)
            for now in looks:
                found = schedules.of(transaction.connection, [program], NOW + now)[program]
                forget(transaction.connection)
                anew = schedules.of(transaction.connection, [program], NOW + now)[program]
                for active in (False, True):
                    self.assertEqual(found.listed(active), anew.listed(active))
                if anew.until is not None:
                    assert found.until is not None
                    self.assertLessEqual(found.until, anew.until)


class CostTests(_Case):
    """399 five-minute controls under one long event, and twice as many (case F3)."""

    def costs(self, call: Callable[[], Any]) -> tuple[int, int]:
        """The statements and steps of a call on cold schedules."""
        forget(self.connection)
        number = self.said(call)
        forget(self.connection)
        return number, steps(call)

    def test_lists(self) -> None:
        """No list asks per row, and each takes steps in proportion to the controls (case F3)."""
        part = Page(limit=255)
        lists: dict[str, Callable[[], Any]] = {
            "a device's list": lambda: controls.page(self.connection, self.program, part, NOW + 9, False),
            "active ones": lambda: controls.page(self.connection, self.program, part, NOW + 9, True),
            "the operator's, 50": lambda: controls.listed(self.connection, NOW + 9),
            "the operator's, 500": lambda: controls.listed(self.connection, NOW + 9, limit=500),
            "those that are over": lambda: controls.listed(self.connection, NOW + SHORT * 10**4, limit=500),
            "one": lambda: controls.find(self.connection, 1, NOW + 9),
        }
        self.add(0, SHORT * 800)
        for n in range(200):
            self.add(SHORT * n, SHORT, created=1)
        once = {name: self.costs(call) for name, call in lists.items()}
        for n in range(200, 400):
            self.add(SHORT * n, SHORT, created=1)
        for name, call in lists.items():
            number, number_of_steps = self.costs(call)
            self.assertEqual(number, once[name][0], name)
            self.assertLessEqual(number, 5, name)
            self.assertLess(number_of_steps / once[name][1], 2.6, name)

    def test_neighbours(self) -> None:
        """A long past of controls whose random ends touch is not read for what is listed now."""
        for n in range(-50, 2):
            made = der_control(NOW - 10**6, NOW + SHORT * n, SHORT, randomizeDuration=60)
            controls.add(self.transaction, ISSUER, self.program, made)
        self.assertLess(len(self.schedule(10).all), 6)
        self.assertLessEqual(self.said(lambda: self.schedule(10)), 2)

    def test_chain(self) -> None:
        """Where each overlaps the next, few statements lead to all that decides."""
        for n in range(200, -1, -1):
            self.add(-SHORT * n, SHORT + 60, created=-(10**6) - n)
        forget(self.connection)
        self.assertLessEqual(self.said(lambda: schedules.together(self.connection, [self.program], NOW)), 25)
