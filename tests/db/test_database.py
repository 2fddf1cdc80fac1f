"""The way to the database and back: how calls are grouped, what each gets, and what a failure costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import database as module
from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import SERVER, Kind, Share, device_share
from csipd.db.tables import assignments, facts, memberships
from csipd.refusals import NotFound, Unavailable
from tests.support.store import new_database


class HandReactor:
    """Takes what threads hand back, and gives it when the test says so: one hop a turn.

    Each call is taken for a round of its own, unless `round` says what comes in one.
    """

    def __init__(self) -> None:
        self._calls: Queue[Callable[[], object]] = Queue()
        self._later: list[Callable[[], None]] | None = None

    def callLater(self, delay: float, function: Callable[[], None]) -> None:
        assert not delay
        if self._later is None:
            function()
        else:
            self._later.append(function)

    @contextmanager
    def round(self) -> Iterator[None]:
        """What happens meanwhile happens in one round of the reactor."""
        self._later = later = []
        yield
        self._later = None
        for function in later:
            function()

    def callFromThread(self, function: Callable[..., object], *args: Any, **kw: Any) -> None:
        self._calls.put(lambda: function(*args, **kw))

    def turn(self) -> None:
        """Wait for the next group to come back, and let it arrive."""
        self._calls.get(timeout=30)()

    @property
    def idle(self) -> bool:
        return self._calls.empty()


def note(name: str, *touched: str) -> Callable[[Transaction], str]:
    """A write: keeps a fact, touches hrefs, gives back its name."""

    def write(transaction: Transaction) -> str:
        transaction.connection.execute(sa.insert(facts).values(name=name, value=""))
        transaction.invalidate(*touched)
        return name

    return write


def break_commit(transaction: Transaction) -> None:
    """A write that takes the commit with it: SQLite finds only then that its row refers to nothing."""
    transaction.connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    transaction.connection.execute(sa.insert(memberships).values(device=1, group=1, since=0))


def names(connection: sa.Connection) -> list[str]:
    """A read: the names of all facts."""
    return list(connection.scalars(sa.select(facts.c.name).order_by(facts.c.name)))


def lost(connection: sa.Connection) -> None:
    """A read under which the disk gives out."""
    raise sa.exc.OperationalError("SELECT", None, sqlite3.OperationalError("disk I/O error"))


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.url = new_database(self.mktemp())
        self.file = Path(sa.engine.make_url(self.url).database or "")
        self.published: list[list[str]] = []
        self.said: list[str] = []
        self.reactor = HandReactor()
        self.now = 0.0

    def stored(self) -> list[str]:
        """The names of all facts, as another process sees them."""
        connection = sqlite3.connect(self.file)
        try:
            return [name for (name,) in connection.execute("SELECT name FROM facts ORDER BY name")]
        finally:
            connection.close()


class _Threaded(_Case):
    """With threads; a group that came back arrives when the test takes a turn."""

    def setUp(self) -> None:
        super().setUp()
        self.database = self.started(lambda hrefs: self.published.append(list(hrefs)))

    def started(self, publish: module.Publish) -> Database:
        reactor: Any = self.reactor  # the threads need no more of one
        made = Database(
            self.url,
            reactor,
            publish,
            lambda remark: self.said.append(remark.line),
            monotonic=lambda: self.now,
        )
        made.startService()
        self.reactor.turn()  # it opens its connection to read by
        self.addCleanup(self.stop, made)
        return made

    def stop(self, database: Database) -> None:
        if database.running:
            stopped = database.stopService()
            while not stopped.called:
                self.reactor.turn()


class GroupTests(_Threaded):
    """Calls that wait leave together."""

    def test_what_waits_leaves_in_one_hop(self) -> None:
        """While the first is away the others gather, and come back after one hop more."""
        answers = [self.database.write(note(f"{n:03}")) for n in range(100)]
        self.reactor.turn()
        self.assertEqual([answer.called for answer in answers], [True] + [False] * 99)
        self.reactor.turn()
        self.assertEqual([self.successResultOf(answer) for answer in answers], self.stored())
        self.assertTrue(self.reactor.idle)

    def test_what_comes_at_once_leaves_in_one_hop(self) -> None:
        """What is asked in one round of the reactor is one group, and begins when that ends."""
        with self.reactor.round():
            answers = [self.database.read(names) for _ in range(100)]
            stopping = self.database.stopService()
            self.assertFalse(stopping.called)
        self.reactor.turn()
        self.assertEqual([self.successResultOf(answer) for answer in answers], [[]] * 100)
        self.assertTrue(self.reactor.idle)
        self.successResultOf(stopping)

    def test_a_group_is_bounded(self) -> None:
        """No call waits for more than a group of the largest size before its own."""
        self.patch(module, "LARGEST_GROUP", 10)
        answers = [self.database.read(names) for _ in range(25)]
        arrived = []
        while not answers[-1].called:
            self.reactor.turn()
            arrived.append(sum(answer.called for answer in answers))
        self.assertEqual(arrived, [1, 11, 21, 25])

    def test_reads_do_not_wait_for_writes(self) -> None:
        """A read comes back while a write is away, and sees what was before it."""
        proceed = Event()

        def slow(transaction: Transaction) -> None:
            note("slow")(transaction)
            proceed.wait(30)

        written, read = self.database.write(slow), self.database.read(names)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(read), [])
        self.assertNoResult(written)
        proceed.set()
        self.reactor.turn()
        self.successResultOf(written)

    def test_reads_of_a_group_see_one_moment(self) -> None:
        """What another process commits meanwhile is seen by the next group, not by half of this one."""

        def meddle(connection: sa.Connection) -> None:
            other = sqlite3.connect(self.file)
            with other:
                other.execute("INSERT INTO facts (name, value) VALUES ('meddler', '')")
            other.close()

        self.database.read(names)
        before, meddled, after = map(self.database.read, (names, meddle, names))
        self.reactor.turn()
        self.reactor.turn()
        self.successResultOf(meddled)
        self.assertEqual((self.successResultOf(before), self.successResultOf(after)), ([], []))
        later = self.database.read(names)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(later), ["meddler"])

    def test_too_many(self) -> None:
        """Beyond the bound of the queue a call is refused at once; those that wait are not."""
        self.patch(module, "LARGEST_QUEUE", 3)
        away = self.database.write(note("away"))
        waiting = [self.database.write(note(name)) for name in "abc"]
        self.failureResultOf(self.database.write(note("d")), Unavailable)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual([self.successResultOf(each) for each in (away, *waiting)], ["away", "a", "b", "c"])
        self.assertEqual(self.stored(), ["a", "away", "b", "c"])

    def test_an_answer_may_ask_again(self) -> None:
        """What is asked from within an answer leaves with the next group."""
        answer = self.database.read(names).addCallback(lambda _: self.database.write(note("again")))
        self.reactor.turn()
        self.assertNoResult(answer)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(answer), "again")


class WriteTests(_Threaded):
    """Each write of a group stands or falls by itself, and is answered when it is safe."""

    def group(self, *operations: Callable[[Transaction], Any]) -> list[Deferred[Any]]:
        """Submit operations so that they leave in one group, and let it come back."""
        first = self.database.write(lambda transaction: None)
        answers = [self.database.write(operation) for operation in operations]
        self.reactor.turn()
        self.reactor.turn()
        self.successResultOf(first)
        return answers

    def test_remarks(self) -> None:
        """What a write has to say is logged once it is committed, and never where it failed (case C2)."""

        def says(line: str) -> Callable[[Transaction], None]:
            return lambda transaction: transaction.remark("test", line)

        def fails(transaction: Transaction) -> None:
            transaction.remark("test", "never")
            raise NotFound("nowhere")

        first = self.database.write(says("one"))
        second, failed = self.database.write(says("two")), self.database.write(fails)
        self.assertEqual(self.said, [])
        self.reactor.turn()
        self.assertEqual(self.said, ["one"])
        self.reactor.turn()
        self.assertEqual(self.said, ["one", "two"])
        for answer in (first, second):
            self.successResultOf(answer)
        self.failureResultOf(failed, NotFound)

    def test_a_failure_is_its_own(self) -> None:
        """One that fails changes nothing and tells of nothing; the others of its group are committed."""

        def refused(transaction: Transaction) -> None:
            note("refused", "/refused")(transaction)
            raise NotFound("nowhere")

        def broken(transaction: Transaction) -> None:
            note("broken", "/broken")(transaction)
            raise ZeroDivisionError

        first, twice, no, bug, last = self.group(
            note("first", "/first"), note("first", "/twice"), refused, broken, note("last", "/last")
        )
        self.assertEqual(self.successResultOf(first), "first")
        self.failureResultOf(twice, sa.exc.IntegrityError)
        self.failureResultOf(no, NotFound)
        self.failureResultOf(bug, ZeroDivisionError)
        self.assertEqual(self.successResultOf(last), "last")
        self.assertEqual(self.stored(), ["first", "last"])
        self.assertEqual(self.published, [["/first", "/last"]])

    def test_a_wrong_statement(self) -> None:
        """A statement that is wrong is a defect of its operation, and not of the database."""

        def wrong(transaction: Transaction) -> None:
            transaction.connection.exec_driver_sql("SELECT FROM nowhere")

        answer, beside = self.group(wrong, note("beside"))
        self.failureResultOf(answer, sa.exc.OperationalError)
        self.assertEqual(self.successResultOf(beside), "beside")

    def test_a_failure_alone_in_its_group(self) -> None:
        """One that fails without company is rolled back as well."""

        def refused(transaction: Transaction) -> None:
            note("refused", "/refused")(transaction)
            raise NotFound("nowhere")

        answer = self.database.write(refused)
        self.reactor.turn()
        self.failureResultOf(answer, NotFound)
        self.assertEqual((self.stored(), self.published), ([], []))

    def test_told_after_the_commit_and_before_the_answer(self) -> None:
        """Whoever hears of a change finds it in the database, and hears of it before the writer does."""
        order: list[Any] = []
        database = self.started(lambda hrefs: order.append((list(hrefs), self.stored())))
        answer = database.write(note("a", "/a", "/b")).addCallback(order.append)
        self.reactor.turn()
        self.successResultOf(answer)
        self.assertEqual(order, [(["/a", "/b"], ["a"]), "a"])

    def test_asked_for_while_told(self) -> None:
        """What is asked for by who is told of a commit is in the next group, and waited for at the end."""
        asked: list[Deferred[str]] = []

        def publish(dropped: Sequence[str]) -> None:
            if not asked:
                asked.append(database.write(note("more")))

        database = self.started(publish)
        first = database.write(note("first", "/first"))
        stopping = database.stopService()
        with self.reactor.round():
            self.reactor.turn()
        self.successResultOf(first)
        self.assertNoResult(stopping)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(asked[0]), "more")
        self.successResultOf(stopping)
        self.assertTrue(self.reactor.idle)

    def test_a_caller_that_gives_up(self) -> None:
        """A write whose caller no longer waits is committed and told of all the same."""
        self.database.write(note("first"))
        answer = self.database.write(note("second", "/second"))
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual((self.stored(), self.published), (["first", "second"], [["/second"]]))

    def test_failed_commit(self) -> None:
        """A commit that fails refuses the whole group; nothing is kept, and the next one works.

        What it would have changed is told all the same: it may be found on the disk later.
        """
        answers = self.group(note("a", "/a"), break_commit, note("b", "/b"))
        for answer in answers:
            self.failureResultOf(answer, Unavailable)
        self.assertEqual((self.stored(), self.published), ([], [["/a", "/b"]]))
        (answer,) = self.group(note("c", "/c"))
        self.assertEqual(self.successResultOf(answer), "c")
        self.assertEqual((self.stored(), self.published), (["c"], [["/a", "/b"], ["/c"]]))

    def test_full_disk(self) -> None:
        """A database that gives out in the middle refuses the group, those before included."""

        def fill(transaction: Transaction) -> None:
            transaction.connection.exec_driver_sql("PRAGMA max_page_count = 1")
            for number in range(1000):
                transaction.connection.execute(sa.insert(assignments).values(name=f"{number}" + "x" * 1000))

        for answer in self.group(note("a"), fill, note("b")):
            self.failureResultOf(answer, Unavailable)
        (answer,) = self.group(note("c"))
        self.assertEqual(self.successResultOf(answer), "c")
        self.assertEqual(self.stored(), ["c"])

    def test_a_failing_database_is_one_line(self) -> None:
        """While the database fails the log says so once, and anew after it worked."""
        with capturedLogs() as lines:
            for operation in (break_commit, break_commit, note("a"), break_commit):
                self.database.write(operation).addErrback(lambda failure: failure.trap(Unavailable))
                self.reactor.turn()
        failures = [line["line"] for line in lines if "FOREIGN KEY constraint failed" in line.get("line", "")]
        self.assertEqual(len(failures), 2)

    def test_to_write_nothing_proves_nothing(self) -> None:
        """What found nothing to write has not shown that the database works: no second line in the log."""
        with capturedLogs() as lines:
            for operation in (break_commit, lambda transaction: None, break_commit):
                self.database.write(operation).addErrback(lambda failure: failure.trap(Unavailable))
                self.reactor.turn()
        said = [line["line"] for line in lines if "line" in line]
        self.assertEqual(["cannot be used" in line for line in said], [True], said)


class ReadTests(_Threaded):
    """Reads fail by themselves too."""

    def test_a_failure_is_its_own(self) -> None:
        """A read that is refused does not touch the others of its group."""

        def refused(connection: sa.Connection) -> None:
            raise NotFound("nowhere")

        first, no, last = map(self.database.read, (names, refused, names))
        self.reactor.turn()
        self.reactor.turn()
        self.failureResultOf(no, NotFound)
        self.assertEqual((self.successResultOf(first), self.successResultOf(last)), ([], []))

    def test_a_database_that_gives_out(self) -> None:
        """When the database cannot answer, its readers are told to come later, and later it works."""
        answer = self.database.read(lost)
        self.reactor.turn()
        self.failureResultOf(answer, Unavailable)
        answer = self.database.read(names)
        self.reactor.turn()
        self.assertEqual(self.successResultOf(answer), [])

    def test_operators_have_a_lane(self) -> None:
        """While an operator's list takes its time the reads of devices go on, on another connection."""
        proceed = Event()

        def slow(connection: sa.Connection) -> list[str]:
            proceed.wait(30)
            return names(connection)

        listed = self.database.read(slow, Share(Kind.OPERATORS, "operator"))
        asked = self.database.read(names, device_share("A"))
        self.reactor.turn()
        self.assertEqual(self.successResultOf(asked), [])
        self.assertNoResult(listed)
        proceed.set()
        self.reactor.turn()
        self.assertEqual(self.successResultOf(listed), [])


class StopTests(_Threaded):
    """The end of the service."""

    def test_what_was_taken_is_carried_out(self) -> None:
        """Stopping waits for what is away and what waits; then connections are closed."""
        answers = [self.database.write(note(name)) for name in "abc"]
        answers.append(self.database.read(names))
        stopped = self.database.stopService()
        self.assertNoResult(stopped)
        while not stopped.called:
            self.reactor.turn()
        self.successResultOf(stopped)
        self.assertEqual([self.successResultOf(answer) for answer in answers[:3]], list("abc"))
        self.assertTrue(answers[3].called)
        self.assertEqual([path.name for path in self.file.parent.iterdir()], ["csipd.sqlite"])

    def test_nothing_to_wait_for(self) -> None:
        """With nothing under way it stops at once."""
        self.successResultOf(self.database.stopService())


class InPlaceTests(_Case):
    """Without a reactor every call is carried out where it is made."""

    def test_answers_at_once(self) -> None:
        """A write is committed, told of and answered before the call returns; a read likewise."""
        database = Database(self.url, None, lambda hrefs: self.published.append(list(hrefs)))
        self.addCleanup(database.stopService)
        self.assertEqual(self.successResultOf(database.write(note("a", "/a"))), "a")
        self.assertEqual((self.stored(), self.published), (["a"], [["/a"]]))
        self.assertEqual(self.successResultOf(database.read(names)), ["a"])

    def test_a_store_that_is_gone(self) -> None:
        """A database that cannot be opened refuses, and does not raise."""
        database = Database("sqlite:////nowhere/at/all.sqlite", None)
        self.addCleanup(database.stopService)
        self.failureResultOf(database.read(names), Unavailable)
        self.failureResultOf(database.write(note("a")), Unavailable)


class TurnTests(_Threaded):
    """Fair turns, by the time that operations take (decision 37)."""

    def costly(self, name: str, seconds: float, done: list[str]) -> module.Read[None]:
        def operation(connection: sa.Connection) -> None:
            self.now += seconds
            done.append(name)

        return operation

    def test_costly_lists_on_many_connections(self) -> None:
        """One device that loops a costly list does not keep another's GET waiting (case F5)."""
        done: list[str] = []
        for _ in range(50):
            self.database.read(self.costly("A", 0.015, done), device_share("A"))
        self.reactor.turn()
        self.reactor.turn()
        # One went at once, two are back, two run just now.
        self.database.read(self.costly("B", 0.0001, done), device_share("B"))
        while "B" not in done:
            self.reactor.turn()
        self.assertEqual(done.index("B"), 5)
        while len(done) < 51 or not self.reactor.idle:
            self.reactor.turn()

    def test_before_what_takes_long(self) -> None:
        """What is cheap is answered before somebody's costly one begins, not after it (case F5)."""
        done: list[str] = []

        def write(name: str, seconds: float) -> Deferred[None]:
            operation = self.costly(name, seconds, done)
            return self.database.write(
                lambda transaction: operation(transaction.connection), device_share(name)
            )

        costly = [write("A", 0.1) for _ in range(3)]
        self.reactor.turn()
        # The first is back, the second runs just now.
        cheap = write("B", 0.001)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual([answer.called for answer in (*costly, cheap)], [True, True, False, True])
        self.reactor.turn()
        self.assertEqual(done, ["A", "A", "B", "A"])

    def test_group_ends(self) -> None:
        """A group of reads ends after 20 ms; what it did not come to is in the next ones."""
        done: list[str] = []
        answers = [self.database.read(self.costly(str(n), 0.009, done), SERVER) for n in range(8)]
        sizes = []
        while not all(answer.called for answer in answers):
            self.reactor.turn()
            sizes.append(sum(answer.called for answer in answers))
        self.assertEqual(done, [str(n) for n in range(8)])
        self.assertEqual(sizes, [1, 4, 7, 8])

    def test_writes(self) -> None:
        """So does a group of writes, each of which is committed before it is answered."""
        done: list[str] = []

        def slow(name: str) -> module.Write[None]:
            def operation(transaction: module.Transaction) -> None:
                self.now += 0.015
                done.append(name)
                transaction.invalidate(f"/{name}")

            return operation

        answers = [self.database.write(slow(str(n)), device_share("A")) for n in range(6)]
        while not all(answer.called for answer in answers):
            self.reactor.turn()
        self.assertEqual(done, [str(n) for n in range(6)])
        self.assertEqual([href for group in self.published for href in group], [f"/{n}" for n in range(6)])
        self.assertGreater(len(self.published), 2)
