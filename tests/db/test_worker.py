"""The thread of a database's connection."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from queue import SimpleQueue
from threading import get_ident
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csipd.db.worker import Worker


class Token:
    """Something that can be watched going away."""


class WorkerTests(SynchronousTestCase):
    """One call after the other, and back."""

    def setUp(self) -> None:
        self.back: SimpleQueue[tuple[Callable[[Any], object], Any]] = SimpleQueue()
        self.worker = Worker("test", lambda done, result: self.back.put((done, result)))
        self.addCleanup(self.worker.stop)
        self.done: list[Any] = []

    def arrive(self) -> None:
        """Let the next result arrive."""
        done, result = self.back.get(timeout=30)
        done(result)

    def test_in_order(self) -> None:
        """Calls are carried out in one other thread, in the order in which they were asked."""
        self.worker.start()
        for number in range(10):
            self.worker.ask(lambda number=number: (number, get_ident()), self.done.append)  # type: ignore[misc]
        for _ in range(10):
            self.arrive()
        self.assertEqual([number for number, _ in self.done], list(range(10)))
        (thread,) = {thread for _, thread in self.done}
        self.assertNotEqual(thread, get_ident())

    def test_waits(self) -> None:
        """What is asked before the start is carried out after it."""
        self.worker.ask(lambda: "early", self.done.append)
        self.worker.start()
        self.arrive()
        self.assertEqual(self.done, ["early"])

    def test_stop(self) -> None:
        """The end waits for what was asked; a second one for nothing."""
        self.worker.start()
        for number in range(3):
            self.worker.ask(lambda number=number: number, self.done.append)  # type: ignore[misc]
        self.worker.stop()
        self.worker.stop()
        self.assertEqual(self.back.qsize(), 3)

    def test_holds_nothing(self) -> None:
        """What was asked and given is not held on to while nothing is asked."""
        self.worker.start()
        token = Token()
        seen = weakref.ref(token)
        self.worker.ask(lambda token=token: token, lambda result: None)  # type: ignore[misc]
        del token
        self.arrive()
        self.worker.stop()
        self.assertIsNone(seen())
