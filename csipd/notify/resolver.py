"""Names of receivers to addresses, in threads of their own.

The system's resolver waits as long as it likes for a name's server. So its threads are few and nobody
else's, a name is looked up once at a time however many wait for it, and who waits has a deadline elsewhere.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail

from csipd.db.worker import Worker
from csipd.notify.failures import Unreachable

#: Names that are looked up at once; further ones wait.
THREADS: Final = 16
#: Names that are looked up or wait.
MOST_NAMES: Final = 256


def look_up(host: str) -> list[str]:
    """The addresses of a host as the system knows them, each once. OSError if there are none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver(Service):
    """Looks up names.

    :param deliver: calls a function in this thread: a reactor's ``callFromThread``
    """

    def __init__(self, deliver: Callable[..., Any], look_up: Callable[[str], list[str]] = look_up) -> None:
        self._deliver = deliver
        self._look_up = look_up
        self._idle: list[Worker] = []
        self._busy = 0
        self._queue: deque[str] = deque()
        self._waiting: dict[str, list[Deferred[list[str]]]] = {}

    def stopService(self) -> None:
        """Stop. A thread that waits for a name's server is left alone: it keeps no process from ending."""
        super().stopService()
        self._queue.clear()
        self._waiting.clear()
        for worker in self._idle:
            worker.stop()
        self._idle.clear()

    def resolve(self, host: str) -> Deferred[list[str]]:
        """The addresses of a host; fails with `Unreachable`."""
        if host not in self._waiting and len(self._waiting) >= MOST_NAMES:
            return fail(Unreachable("too many names are being looked up"))
        answer: Deferred[list[str]] = Deferred()
        self._waiting.setdefault(host, []).append(answer)
        if len(self._waiting[host]) == 1:
            self._queue.append(host)
            self._next()
        return answer

    def _next(self) -> None:
        if self._queue and self._busy < THREADS:
            self._busy += 1
            worker = self._idle.pop() if self._idle else self._new_worker()
            host = self._queue.popleft()
            worker.ask(lambda: self._try(host), lambda found: self._found(worker, host, found))

    def _new_worker(self) -> Worker:
        worker = Worker("names of receivers", self._deliver)
        worker.start()
        return worker

    def _try(self, host: str) -> list[str] | OSError:
        try:
            return self._look_up(host)
        except OSError as error:
            return error
        except UnicodeError:
            return OSError("not a name")

    def _found(self, worker: Worker, host: str, found: list[str] | OSError) -> None:
        self._busy -= 1
        if self.running:
            self._idle.append(worker)
        else:
            worker.stop()
        for answer in self._waiting.pop(host, ()):
            if isinstance(found, OSError):
                answer.errback(Unreachable(f"{host} has no address ({found.strerror or found})"))
            else:
                answer.callback(list(found))
        self._next()
