"""The way from the reactor to the database and back.

A hop to a thread costs more than the statements it carries, so calls that wait leave together: while
one group is away the next one gathers. Reads of a group share a transaction, hence a snapshot; writes
share a commit, and each has a savepoint of its own, so that one that fails fails alone. A write is
answered after its commit, and what it changed is published before it is answered, by this layer and
not by the caller: a client that hangs up must not lose it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from csipd.db.engine import make_engine
from csipd.refusals import Refusal, Unavailable

T = TypeVar("T")

#: Calls that may wait for a group to come back; more are refused.
LARGEST_QUEUE = 20_000
#: Calls that leave in one group: bounds what the first of them waits for the last.
LARGEST_GROUP = 256


@define(eq=False)
class Transaction:
    """What a write operation is given.

    :param connection: to read and write through, never to commit
    :param changed: hrefs of the resources that the operation made, changed or removed
    """

    connection: sa.Connection
    changed: list[str] = field(factory=list)

    def touch(self, *hrefs: str) -> None:
        """Say that what is served at these hrefs is no longer what it was."""
        self.changed.extend(hrefs)


Read = Callable[[sa.Connection], T]
Write = Callable[[Transaction], T]
Publish = Callable[[Sequence[str]], None]


@define
class _Group:
    """What came back: for each call its value or its Failure, and what was changed."""

    outcomes: list[Any]
    changed: list[str] = field(factory=list)


class _Lane:
    """Calls gather while a group is away, and leave together.

    :param hop: runs a function elsewhere and gives back what it returned
    :param run: carries out a group of operations, in the other thread
    :param publish: told what a group changed, before its callers are answered
    """

    def __init__(
        self,
        hop: Callable[[Callable[[], _Group]], Deferred[_Group]],
        run: Callable[[list[Any]], _Group],
        publish: Publish,
    ) -> None:
        self._hop = hop
        self._run = run
        self._publish = publish
        self._waiting: list[tuple[Any, Deferred[Any]]] = []
        self._away = False
        self._watchers: list[Deferred[None]] = []

    def submit(self, operation: Any) -> Deferred[Any]:
        if len(self._waiting) >= LARGEST_QUEUE:
            return fail(Unavailable("too many requests wait for the database"))
        answer: Deferred[Any] = Deferred()
        self._waiting.append((operation, answer))
        self._depart()
        return answer

    def idle(self) -> Deferred[None]:
        """Fires when nothing is away and nothing waits."""
        if not self._away:
            return succeed(None)
        watcher: Deferred[None] = Deferred()
        self._watchers.append(watcher)
        return watcher

    def _depart(self) -> None:
        if self._away:
            return
        if not self._waiting:
            watchers, self._watchers = self._watchers, []
            for watcher in watchers:
                watcher.callback(None)
            return
        group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
        self._away = True
        operations = [operation for operation, _ in group]
        self._hop(lambda: self._run(operations)).addBoth(self._arrive, [answer for _, answer in group])

    def _arrive(self, result: _Group | Failure, answers: list[Deferred[Any]]) -> None:
        self._away = False
        if isinstance(result, Failure):
            outcomes: list[Any] = [result] * len(answers)
        else:
            outcomes = result.outcomes
            if result.changed:
                self._publish(result.changed)
        # The next group leaves before this one's callers work with what came back.
        self._depart()
        for answer, outcome in zip(answers, outcomes, strict=True):
            answer.callback(outcome)  # a Failure takes the errback side


class Database(Service):
    """The store, as a service.

    :param url: SQLAlchemy URL of a database that ``engine.prepare`` has been run on
    :param reactor: for the threads; None carries every call out in place, as tests want it
    :param publish: called in the reactor's thread after each commit with the hrefs that it changed
    """

    _log = Logger()

    def __init__(
        self, url: str, reactor: IReactorFromThreads | None, publish: Publish = lambda hrefs: None
    ) -> None:
        self._reactor = reactor
        self._reader = _Held(make_engine(url))
        self._writer = _Held(make_engine(url, immediate=True))
        self._pools: list[ThreadPool] = []
        self._reads = _Lane(self._hop(), self._reader.read, publish)
        self._writes = _Lane(self._hop(), self._writer.write, publish)

    def read(self, operation: Read[T]) -> Deferred[T]:
        """Run an operation that reads; it must not return anything that holds on to the connection."""
        return self._reads.submit(operation)

    def write(self, operation: Write[T]) -> Deferred[T]:
        """Run an operation in a transaction; fires after the commit.

        Fails with what the operation raised (and it changed nothing then), or with ``Unavailable`` when
        the database could not take it.
        """
        return self._writes.submit(operation)

    def startService(self) -> None:
        super().startService()
        for pool in self._pools:
            pool.start()
        # A first connection makes files: where the disk is full already there would be none to read by. If
        # this fails the log says so, and the next read tries again.
        self.read(lambda connection: None).addErrback(lambda failure: failure.trap(Unavailable))

    def stopService(self) -> Deferred[None]:
        super().stopService()

        def close(_: object) -> None:
            for held in (self._reader, self._writer):
                held.close()
            for pool in self._pools:
                pool.stop()

        return gatherResults([self._reads.idle(), self._writes.idle()]).addCallback(close)

    def _hop(self) -> Callable[[Callable[[], _Group]], Deferred[_Group]]:
        reactor = self._reactor
        if reactor is None:
            return lambda run: succeed(run())
        # Pools of our own, of one thread each: the reactor's is shared with name resolution, and the
        # queue of a lane is the only queue.
        pool = ThreadPool(1, 1, name="database")
        self._pools.append(pool)
        return lambda run: deferToThreadPool(reactor, pool, run)


class _Held:
    """One connection, held open; dropped and opened anew after the database failed."""

    _log = Logger()

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._failing = False

    def read(self, operations: list[Read[Any]]) -> _Group:
        outcomes: list[Any] = []
        try:
            connection = self._open()
            with connection.begin():
                for operation in operations:
                    outcomes.append(_attempt(operation, connection))
        except sa.exc.SQLAlchemyError as error:
            return self._lost(error, len(operations))
        self._failing = False
        return _Group(outcomes)

    def write(self, operations: list[Write[Any]]) -> _Group:
        outcomes: list[Any] = []
        changed: list[str] = []
        try:
            connection = self._open()
            with connection.begin() as whole:
                for operation in operations:
                    transaction = Transaction(connection)
                    # Alone in its group, an operation needs no savepoint: the whole is its own.
                    part = connection.begin_nested() if len(operations) > 1 else whole
                    outcome = _attempt(operation, transaction)
                    outcomes.append(outcome)
                    if isinstance(outcome, Failure):
                        part.rollback()
                    else:
                        changed.extend(transaction.changed)
                        if part is not whole:
                            part.commit()
        except sa.exc.SQLAlchemyError as error:
            return self._lost(error, len(operations))
        self._failing = False
        return _Group(outcomes, changed)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _open(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _lost(self, error: Exception, calls: int) -> _Group:
        """The database gave out under a group: refuse it all, say so once, begin anew next time."""
        if not self._failing:
            self._failing = True
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            self._log.error("the database cannot be used: {reason}", reason=reason)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
        failure = Failure(Unavailable("the database cannot be used"))
        return _Group([failure] * calls)


def _attempt(operation: Callable[[Any], Any], argument: Any) -> Any:
    """The operation's value, or the Failure of it alone; what takes the database with it is raised."""
    try:
        return operation(argument)
    except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.InterfaceError) as error:
        # SQLite says so of a statement that is wrong, too: that is the operation's fault, and no outage.
        if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_ERROR":
            return Failure()
        raise
    except Refusal as refusal:
        return Failure(refusal)
    except Exception:
        return Failure()
