"""The store as a service: reads, operators' reads and writes run in a thread each, in groups.

A call into a thread costs more than the statements that it carries, so operations that wait are run
together: a group gathers until the reactor has looked at all that came at once, since no answer goes out
before that, and while it runs the next one gathers. Whose operations come first is a matter of fair shares
(`fair_queue`), and a group ends when it has taken its time: what it did not come to waits again. Reads of a
group share a transaction, hence a snapshot; writes share a commit, and each has a savepoint of its own, so
that one that fails fails alone. A write is answered after its commit, and what it changed is published
before it is answered, by this layer and not by the caller: a client that hangs up must not lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic as _monotonic
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.db import changes, fact_store
from csipd.db.columns import Unreadable
from csipd.db.engine import (
    DriverTransaction,
    checkpoint,
    make_engine,
    release_savepoint,
    rows_written,
    set_savepoint,
    undo_to_savepoint,
)
from csipd.db.fact_store import Commits, FactStore
from csipd.db.facts import EVERYTHING
from csipd.db.fair_queue import SERVER, FairQueue, Kind, QueuedOperation, Share
from csipd.db.health import Health, is_damage, is_outage, reason_of
from csipd.db.worker import Worker
from csipd.refusals import Refusal, Unavailable

T = TypeVar("T")

#: Operations that may wait for a group to end; more are refused.
LARGEST_QUEUE = 20_000
#: Operations of one group: bounds what the first of them waits for the last.
LARGEST_GROUP = 256
#: Seconds after which a group ends, and with it what an operation of somebody else waits for it.
LONGEST_GROUP = 0.02


@frozen
class Remark:
    """A line for the log about what a transaction did.

    :param peer: LFDI of the device that caused it; empty where an operator or the clock did
    :param reason: a few words from a fixed vocabulary
    :param line: format of the line, with its values
    """

    peer: str
    reason: str
    line: str
    values: Mapping[str, Any]


@define(eq=False)
class Transaction:
    """What a write operation is given.

    :param connection: to read and write through, never to commit
    :param changed: facts that the operation has dropped (``csipd.db.facts``)
    :param remarks: what is to be logged once it is committed
    """

    connection: sa.Connection
    changed: list[str] = field(factory=list)
    remarks: list[Remark] = field(factory=list)

    def invalidate(self, *facts: str) -> None:
        """Say that these facts (``csipd.db.facts``) may no longer be true: what hangs on them is dropped."""
        self.changed.extend(facts)
        kept = fact_store.of(self.connection)
        if kept is not None:
            kept.drop(facts)

    def remark(self, reason: str, line: str, /, *, peer: str = "", **values: Any) -> None:
        """Have a line logged once the transaction is committed; the arguments are those of `Remark`."""
        self.remarks.append(Remark(peer, reason, line, values))


Read = Callable[[sa.Connection], T]
Write = Callable[[Transaction], T]
Publish = Callable[[Sequence[str]], None]
Report = Callable[[Remark], None]
_Ask = Callable[[Callable[[], "_Group"], Callable[["_Group"], None]], None]


class _Reactor(Protocol):
    """What the threads need of a reactor."""

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> object: ...

    def callLater(self, delay: float, function: Callable[[], Any]) -> object: ...


@define
class _Group:
    """What a group of operations came to.

    :param outcomes: the value or the Failure of each, as far as the group came
    :param changed: facts that were dropped
    :param remarks: for the log
    :param seconds: what each of them took; empty where none was carried out
    """

    outcomes: list[Any]
    changed: list[str] = field(factory=list)
    remarks: list[Remark] = field(factory=list)
    seconds: list[float] = field(factory=list)


class _Timer:
    """Measures the operations of a group, and says when it has had its time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = self._last = monotonic()
        self.seconds: list[float] = []

    def is_over(self) -> bool:
        """Note the end of an operation; whether the group ends with it."""
        now = self._monotonic()
        self.seconds.append(now - self._last)
        self._last = now
        return now - self._began >= LONGEST_GROUP


class _Queue:
    """Operations wait while a group runs, and are run together when it has ended.

    :param later: calls a function when the reactor has looked at what else came
    :param ask: calls a function in the thread of this queue, and another one with what it gave in this one
    :param run: carries out a group of operations, in that thread
    :param publish: called with what a group changed, before its callers are answered
    :param report: called with what is to be logged of a group
    """

    def __init__(
        self,
        later: Callable[[Callable[[], None]], object],
        ask: _Ask,
        run: Callable[[list[Any]], _Group],
        publish: Publish,
        report: Report,
    ) -> None:
        self._later = later
        self._ask = ask
        self._run = run
        self._publish = publish
        self._report = report
        self._waiting: FairQueue[tuple[Any, Deferred[Any]]] = FairQueue()
        self._gathering = False
        self._running = False
        self._observers: list[Deferred[None]] = []

    def submit(self, operation: Any, share: Share) -> Deferred[Any]:
        """Run an operation when it is its share's turn."""
        if len(self._waiting) >= LARGEST_QUEUE:
            return fail(Unavailable("too many requests wait for the database"))
        answer: Deferred[Any] = Deferred()
        self._waiting.put((operation, answer), share)
        if not (self._running or self._gathering):
            self._gathering = True
            self._later(self._gathered)
        return answer

    def idle(self) -> Deferred[None]:
        """Fires when nothing runs and nothing waits."""
        if not (self._running or self._gathering):
            return succeed(None)
        observer: Deferred[None] = Deferred()
        self._observers.append(observer)
        return observer

    def _gathered(self) -> None:
        self._gathering = False
        self._start()

    def _start(self) -> None:
        if not self._waiting:
            self._waiting.forget()
            observers, self._observers = self._observers, []
            for observer in observers:
                observer.callback(None)
            return
        group: list[QueuedOperation[tuple[Any, Deferred[Any]]]] = []
        expected = 0.0
        # No more than can be hoped for: what a group does not come to is put back.
        while len(self._waiting) and len(group) < LARGEST_GROUP and expected < 4 * LONGEST_GROUP:
            queued = self._waiting.take()
            if group and queued.charged >= LONGEST_GROUP:
                # It would be a group's time by itself. What is before it is not answered that much later.
                self._waiting.put_back([queued])
                break
            group.append(queued)
            expected += queued.charged
        self._running = True
        operations = [queued.item[0] for queued in group]
        self._ask(lambda: self._carry_out(operations), lambda result: self._ended(result, group))

    def _carry_out(self, operations: list[Any]) -> _Group:
        """Run a group in its thread; what is wrong with the code around it fails all of it."""
        try:
            return self._run(operations)
        except Exception:
            return _Group([Failure()] * len(operations))

    def _ended(self, result: _Group, group: list[QueuedOperation[tuple[Any, Deferred[Any]]]]) -> None:
        outcomes = result.outcomes
        for queued, seconds in zip(group, result.seconds, strict=False):
            self._waiting.measured(queued, seconds)
        if len(outcomes) < len(group):
            self._waiting.put_back(group[len(outcomes) :])
        if result.changed:
            self._publish(result.changed)
        for remark in result.remarks:
            self._report(remark)
        # The next group starts before this one's callers work with what came of it. What was asked for until
        # here is in it.
        self._running = False
        self._start()
        for queued, outcome in zip(group, outcomes, strict=False):
            queued.item[1].callback(outcome)  # a Failure takes the errback side


class Database(Service):
    """The store, as a service.

    While it cannot be used every call fails with ``Unavailable`` (``csipd.db.health``).

    :param url: SQLAlchemy URL of a database that ``engine.prepare`` has been run on
    :param reactor: for the threads; None carries every call out in place, as tests want it
    :param publish: called in the reactor's thread after each commit with the facts that it dropped
    :param report: likewise with each line for the log; as a rule they are logged as they come
    :param monotonic: seconds
    :param fact_cache: octets that are kept of what devices' reads found; a quarter as much for the others'
    """

    _log = Logger()

    def __init__(
        self,
        url: str,
        reactor: _Reactor | None,
        publish: Publish = lambda facts: None,
        report: Report | None = None,
        *,
        monotonic: Callable[[], float] = _monotonic,
        fact_cache: int = fact_store.LARGEST,
    ) -> None:
        self._reactor = reactor
        health = Health(url, monotonic, self._log_health)
        self._workers: list[Worker] = []
        self._connections: list[_Connection] = []
        self._queues: list[_Queue] = []

        commits = Commits()

        def connection(does: str, octets: int, *, immediate: bool = False) -> _Connection:
            kept = FactStore(commits, octets)
            made = _Connection(make_engine(url, immediate=immediate), health, does, monotonic, kept)
            self._connections.append(made)
            return made

        def queue(run: Callable[[list[Any]], _Group]) -> _Queue:
            made = _Queue(self._later, self._ask(), run, publish, report or self._log_remark)
            self._queues.append(made)
            return made

        self._reads = queue(connection("reading", fact_cache).read)
        # A list that an operator asks for may take long, and what a thousand subscribers are to be told: no
        # device waits behind it (decision 37).
        self._operators_reads = queue(connection("reading for operators", fact_cache // 8).read)
        self._writes = queue(connection("writing", fact_cache // 8, immediate=True).write)

    def read(self, operation: Read[T], share: Share = SERVER) -> Deferred[T]:
        """Run an operation that reads; it must not return anything that holds on to the connection.

        :param share: on whose account
        """
        reads = (
            self._operators_reads if share.kind in (Kind.OPERATORS, Kind.OUTBOX, Kind.BUS) else self._reads
        )
        return reads.submit(operation, share)

    def write(self, operation: Write[T], share: Share = SERVER) -> Deferred[T]:
        """Run an operation in a transaction; fires after the commit.

        :param share: on whose account

        Fails with what the operation raised (and it changed nothing then), or with ``Unavailable`` when
        the database could not take it.
        """
        return self._writes.submit(operation, share)

    def startService(self) -> None:
        super().startService()
        for worker in self._workers:
            worker.start()
        # A first connection makes files: where the disk is full already there would be none to read by. If
        # this fails the log says so, and the next read tries again.
        self.read(lambda connection: None).addErrback(lambda failure: failure.trap(Unavailable))

    def stopService(self) -> Deferred[None]:
        super().stopService()

        def close(_: object) -> None:
            for connection in self._connections:
                connection.close()
            for worker in self._workers:
                worker.stop()

        return gatherResults([queue.idle() for queue in self._queues]).addCallback(close)

    def _log_health(self, line: str, failure: bool) -> None:
        (self._log.error if failure else self._log.info)("{line}", line=line)

    def _log_remark(self, remark: Remark) -> None:
        self._log.info(remark.line, peer=remark.peer, **remark.values)

    def _later(self, function: Callable[[], None]) -> None:
        if self._reactor is None:
            function()
        else:
            self._reactor.callLater(0, function)

    def _ask(self) -> _Ask:
        if self._reactor is None:
            return lambda function, done: done(function())
        worker = Worker("database", self._reactor.callFromThread)
        self._workers.append(worker)
        return worker.ask


class _Connection:
    """One connection, kept open; closed after the database failed, and opened again for the next group.

    :param does: what it is for, in the words of ``Health.failed``
    :param kept: what it keeps of what it has read
    """

    def __init__(
        self,
        engine: sa.Engine,
        health: Health,
        does: str,
        monotonic: Callable[[], float],
        kept: FactStore,
    ) -> None:
        self._engine = engine
        self._health = health
        self._does = does
        self._monotonic = monotonic
        self._kept = kept
        self._connection: sa.Connection | None = None
        self._companions: Any = None

    def read(self, operations: list[Read[Any]]) -> _Group:
        """Carry out a group of reads, all of one moment."""
        displaced = self._health.displaced(self._companions)
        if displaced is not None:
            return self._refuse(displaced, len(operations))
        outcomes: list[Any] = []
        try:
            connection = self._open()
            with DriverTransaction(connection):
                self._kept.begin(connection)
                timer = _Timer(self._monotonic)
                for operation in operations:
                    outcomes.append(self._attempt(operation, connection))
                    if timer.is_over():
                        break
        except sa.exc.SQLAlchemyError as error:
            return self._lost(error, len(operations))
        self._health.worked(self._does)
        return _Group(outcomes, seconds=timer.seconds)

    def write(self, operations: list[Write[Any]]) -> _Group:
        """Carry out a group of writes, and commit those that succeed."""
        displaced = self._health.displaced(self._companions)
        if displaced is not None:
            self._save()
            return self._refuse(displaced, len(operations))
        outcomes: list[Any] = []
        changed: list[str] = []
        remarks: list[Remark] = []
        committing = False
        try:
            connection = self._open()
            if self._health.damage is not None:
                if self._health.check_is_due():
                    self._health.check(connection)
                if self._health.damage is not None:
                    return self._refuse(self._health.damage, len(operations))
            before = rows_written(connection)
            with DriverTransaction(connection):
                if not self._kept.begin(connection):
                    # Another process has written: what was published does not know of it.
                    changed.append(EVERYTHING)
                timer = _Timer(self._monotonic)
                for operation in operations:
                    transaction = Transaction(connection)
                    set_savepoint(connection)
                    self._kept.attempt()
                    outcome = self._attempt(operation, transaction)
                    outcomes.append(outcome)
                    if isinstance(outcome, Failure):
                        undo_to_savepoint(connection)
                        self._kept.undo()
                    else:
                        release_savepoint(connection)
                        changed.extend(transaction.changed)
                        remarks.extend(transaction.remarks)
                    if timer.is_over():
                        break
                # Who subscribed is told of what caches hear of: nobody can forget to say so.
                changes.record(connection, changed)
                number = self._kept.commit(connection, changed) if changed else None
                committing = True
            if number is not None:
                self._kept.committed(number)
        except sa.exc.SQLAlchemyError as error:
            group = self._lost(error, len(operations))
            if committing:
                # A commit that failed on its way to the disk may be found there later: what is kept
                # elsewhere of these facts must not outlive that.
                group.changed = changed
            return group
        if before is None or rows_written(connection) != before:
            # To have committed nothing proves nothing: a full disk takes that, too.
            self._health.worked(self._does)
        return _Group(outcomes, changed, remarks, timer.seconds)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _open(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            self._kept.attach(self._connection)
            self._companions = self._health.companions()
        return self._connection

    def _attempt(self, operation: Callable[[Any], Any], argument: Any) -> Any:
        """The operation's value, or the Failure of it alone; what takes the database with it is raised."""
        try:
            return operation(argument)
        except Unreadable as unreadable:
            self._health.unreadable(str(unreadable))
            return Failure(unreadable)
        except Refusal as refusal:
            return Failure(refusal)
        except Exception as error:
            if is_outage(error):
                raise
            return Failure()

    def _save(self) -> None:
        """Bring what was committed from a -wal that was deleted into the database, where it is not lost."""
        if self._connection is not None:
            checkpoint(self._connection)

    def _lost(self, error: Exception, calls: int) -> _Group:
        """Give up a connection on which the database failed, and the whole group with it."""
        connection, self._connection = self._connection, None
        self._companions = None
        if connection is not None:
            connection.invalidate()
            connection.close()
        return self._refuse(reason_of(error), calls, damage=is_damage(error))

    def _refuse(self, reason: str, calls: int, *, damage: bool = False) -> _Group:
        return _Group([Failure(self._health.failed(self._does, reason, damage=damage))] * calls)
