"""A thread that carries out one call after the other and hands back what each gave.

Twisted's pool of threads does as much for any number of threads, with locks, workers and log contexts that
cost several times what a group of reads takes.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

#: Calls a function with an argument in the thread that results belong to.
Deliver = Callable[[Callable[[Any], object], Any], object]


class Worker:
    """One thread. What is asked before it is started waits.

    :param name: of the thread
    :param deliver: hands back results: a reactor's ``callFromThread``
    """

    def __init__(self, name: str, deliver: Deliver) -> None:
        self._name = name
        self._deliver = deliver
        self._asked: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], object]] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to work."""
        # A daemon: a process that breaks down does not wait for it, and what was not committed is nobody's.
        self._thread = Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def ask(self, function: Callable[[], T], done: Callable[[T], object]) -> None:
        """Have a function called, which must not raise; what it gives is handed to another one."""
        self._asked.put((function, done))

    def stop(self) -> None:
        """Work off what was asked, and wait until that is done."""
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            function, done = asked
            self._deliver(done, function())
            # Nothing of it is held on to while nothing is asked.
            del asked, function, done
