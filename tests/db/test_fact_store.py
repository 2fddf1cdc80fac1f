"""What connections keep of what they have read: neither staler nor newer than the snapshot of who asks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import documents, fact_store, facts
from csipd.db.database import Database, Transaction
from csipd.db.fact_store import Commits
from csipd.db.facts import EVERYTHING, REMEMBERED
from csipd.db.fair_queue import Kind, Share
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from tests.support.store import NOW, new_database

HREFS = ("/edev/1/ps", "/edev/2/ps")
PLACES = {href: Place(ROWS["PowerStatus"], (number,)) for number, href in enumerate(HREFS, 1)}


class Refused(Exception):
    """An operation fails after it has written."""


def ask(connection: sa.Connection, href: str) -> tuple[Any, bool]:
    """What is at a place, and whether it was kept."""
    store = fact_store.of(connection)
    assert store is not None
    entry = store.find(href, NOW)
    if entry is not None:
        return entry.value, True
    found = documents.get(connection, PLACES[href])
    store.keep(href, found, 100, [facts.document(href)], NOW)
    return found, False


def say(transaction: Transaction, href: str, value: int) -> None:
    documents.put(
        transaction,
        PLACES[href],
        r.PowerStatus(batteryStatus=value, changedTime=1, currentPowerSource=0),
        NOW,
        None,
    )


class Process:
    """A process with the store open."""

    def __init__(self, url: str) -> None:
        self.published: list[str] = []
        self.database = Database(url, None, self.published.extend)
        self.database.startService()

    def result(self, deferred: Deferred[Any]) -> Any:
        found: list[Any] = []
        deferred.addBoth(found.append)
        return found[0]

    def read(self, href: str) -> tuple[Any, bool]:
        found: tuple[Any, bool] = self.result(self.database.read(lambda c: ask(c, href)))
        return found

    def write(self, href: str, value: int, *, fails: bool = False) -> None:
        def operation(transaction: Transaction) -> None:
            ask(transaction.connection, href)
            say(transaction, href, value)
            found, _ = ask(transaction.connection, href)
            assert found.batteryStatus == value
            if fails:
                raise Refused

        self.result(self.database.write(operation))


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.url = new_database(self.mktemp())
        self.one, self.other = (self.run_another() for _ in range(2))

    def run_another(self) -> Process:
        made = Process(self.url)
        self.addCleanup(made.database.stopService)
        return made

    def value(self, process: Process, href: str = HREFS[0]) -> tuple[int | None, bool]:
        found, kept = process.read(href)
        return None if found is None else found.batteryStatus, kept


class ConnectionTests(_Case):
    """Reads and writes of two processes."""

    def test_kept(self) -> None:
        """What was read is found again until a write drops a fact that it hangs on, and nothing else goes."""
        self.one.write(HREFS[0], 1)
        self.one.write(HREFS[1], 2)
        self.assertEqual(self.value(self.one), (1, False))
        self.assertEqual(self.value(self.one, HREFS[1]), (2, False))
        self.one.write(HREFS[1], 3)
        self.assertEqual(self.value(self.one), (1, True))
        self.assertEqual(self.value(self.one, HREFS[1]), (3, False))

    def test_nothing(self) -> None:
        """That there was nothing is known, too, until there is something."""
        self.assertEqual(self.value(self.one), (None, False))
        self.assertEqual(self.value(self.one), (None, True))
        self.one.write(HREFS[0], 1)
        self.assertEqual(self.value(self.one), (1, False))

    def test_failed(self) -> None:
        """A write that failed leaves nothing behind, with whom ever."""
        self.one.write(HREFS[0], 1)
        self.assertEqual(self.value(self.one), (1, False))
        for _ in range(2):
            self.one.write(HREFS[0], 2, fails=True)
            self.assertEqual(self.value(self.one), (1, True))
        found = self.one.result(self.one.database.write(lambda t: ask(t.connection, HREFS[0])[0]))
        self.assertEqual(found.batteryStatus, 1)

    def test_another_process(self) -> None:
        """What another process has committed drops everything, and the next write publishes that it did."""
        self.one.write(HREFS[0], 1)
        self.assertEqual(self.value(self.one), (1, False))
        self.assertEqual(self.value(self.other), (1, False))
        self.other.write(HREFS[0], 2)
        self.assertEqual(self.value(self.one), (2, False))
        self.assertEqual(self.value(self.one), (2, True))
        self.one.published.clear()
        self.one.write(HREFS[1], 3)
        self.assertEqual(self.one.published, [EVERYTHING, facts.document(HREFS[1])])
        self.one.published.clear()
        self.one.write(HREFS[1], 4)
        self.assertEqual(self.one.published, [facts.document(HREFS[1])])

    def test_operators(self) -> None:
        """The connection for operators' reads keeps what it has read itself."""
        self.one.write(HREFS[0], 1)
        for expected in (False, True):
            found = self.one.result(
                self.one.database.read(lambda c: ask(c, HREFS[0])[1], Share(Kind.OPERATORS, "ann"))
            )
            self.assertEqual(found, expected)

    def test_damaged(self) -> None:
        """A number that has rotted, or is gone, is that of nobody: nothing is kept until the next one."""
        for damage in ("UPDATE commits SET number = 'x'", "DELETE FROM commits"):
            self.one.write(HREFS[0], 1)
            self.assertEqual(self.value(self.one)[0], 1)
            self.one.result(
                self.one.database.write(lambda t, d=damage: t.connection.execute(sa.text(d)) and None)
            )
            self.other.write(HREFS[0], 2)
            self.assertEqual(self.value(self.one), (2, False))
            self.assertEqual(self.value(self.other), (2, False))

    def test_no_number_for_nothing(self) -> None:
        """A write that drops nothing draws no number."""
        numbers = [
            self.one.result(self.one.database.read(lambda c: c.scalar(sa.text("SELECT number FROM commits"))))
            for _ in range(2)
            if self.one.result(self.one.database.write(lambda t: None)) is None
        ]
        self.assertEqual(numbers[0], numbers[1])


class InterleavedTests(SynchronousTestCase):
    """Two processes in any order."""

    @settings(max_examples=30)
    @given(
        st.lists(
            st.tuples(st.integers(0, 1), st.sampled_from(HREFS), st.sampled_from(["read", "write", "fail"]))
        )
    )
    def test_any_order(self, steps: list[tuple[int, str, str]]) -> None:
        """Whoever reads finds what was committed last."""
        url = new_database(self.mktemp())
        processes = [Process(url), Process(url)]
        truth: dict[str, int | None] = dict.fromkeys(HREFS)
        for number, (which, href, what) in enumerate(steps):
            process = processes[which]
            if what == "read":
                found, _ = process.read(href)
                self.assertEqual(None if found is None else found.batteryStatus, truth[href])
            else:
                process.write(href, number % 5, fails=what == "fail")
                if what == "write":
                    truth[href] = number % 5
        for process in processes:
            for href in HREFS:
                found, _ = process.read(href)
                self.assertEqual(None if found is None else found.batteryStatus, truth[href])
            process.database.stopService()


class CommitsTests(SynchronousTestCase):
    """The links from commit to commit."""

    def test_chain(self) -> None:
        """What was dropped between two numbers is known where all commits between are."""
        commits = Commits()
        commits.note(0, 7, ["a"])
        commits.note(7, 3, ["b"])
        self.assertEqual(commits.between(0, 3), [["a"], ["b"]])
        self.assertEqual(commits.between(3, 3), [])
        self.assertIsNone(commits.between(3, 7))
        self.assertIsNone(commits.between(7, 9))

    def test_failed(self) -> None:
        """A commit that failed is no part of the chain, whoever comes after it."""
        commits = Commits()
        commits.note(0, 7, ["never"])
        self.assertIsNone(commits.between(0, 5))
        commits.note(0, 6, ["a"])
        self.assertEqual(commits.between(0, 6), [["a"]])

    def test_found_later(self) -> None:
        """One that failed and is found on the disk later is known for what it dropped."""
        commits = Commits()
        commits.note(0, 7, ["a"])
        commits.note(7, 8, ["b"])
        self.assertEqual(commits.between(0, 8), [["a"], ["b"]])

    def test_bounded(self) -> None:
        """So many are remembered; who was away for longer begins with nothing."""
        commits = Commits()
        for number in range(5000):
            commits.note(number, number + 1, [])
        self.assertIsNone(commits.between(0, 5000))
        self.assertIsNotNone(commits.between(4000, 5000))

    def test_bounded_facts(self) -> None:
        """Where each drops many facts fewer are remembered, and none that drops too many of them."""
        commits = Commits()
        for number in range(100):
            commits.note(number, number + 1, ["x"] * (REMEMBERED // 10))
            # As after a commit that failed: the facts of one are counted once.
            commits.note(number, number + 1, ["x"] * (REMEMBERED // 10))
        self.assertIsNone(commits.between(89, 100))
        self.assertEqual(len(commits.between(90, 100) or ()), 10)
        commits.note(100, 101, ["x"] * (REMEMBERED + 1))
        self.assertIsNone(commits.between(100, 101))
        commits.note(101, 102, ["a"])
        self.assertEqual(commits.between(101, 102), [["a"]])


class RoomTests(SynchronousTestCase):
    """What is of one device, and what all share."""

    def test_shared_stays(self) -> None:
        """However many devices ask, what they share stays."""
        store = fact_store.FactStore(Commits(), 200_000)
        for number in range(50):
            store.keep(("page", number), b"", 500, [], NOW)
        for number in range(10_000):
            store.keep(("caller", number), None, 500, [], NOW, own=True)
        self.assertTrue(all(store.find(("page", number), NOW) for number in range(50)))
        self.assertLessEqual(store.size, 200_000)
        self.assertGreater(sum(bool(store.find(("caller", n), NOW, own=True)) for n in range(10_000)), 50)

    def test_next(self) -> None:
        """However full it is, what is of a device is there when that device asks again at once."""
        store = fact_store.FactStore(Commits(), 200_000)
        for number in range(2_000):
            store.keep(("caller", number), number, 500, [], NOW, own=True)
            found = store.find(("caller", number), NOW, own=True)
            self.assertEqual(found and found.value, number)
