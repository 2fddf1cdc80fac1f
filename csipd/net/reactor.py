"""The reactor that csipd runs on: Twisted's for epoll, with less around an event, by a monotonic clock.

Twisted runs each event within a context that names the connection in the lines of its older log, which makes
a sixth of what a GET of a cached answer costs; csipd's own lines say whom they are about. It measures delays
by the wall clock, which would freeze every timer and deadline where that is set back (decision 22).

Relied upon of Twisted 26.10, and pinned by tests/net/test_reactor.py: that ``doIteration`` is what the loop
calls, that ``_doReadOrWrite`` logs what a handler raises and drops its connection, and that all delays are
measured by ``seconds``. Epoll is Linux's: elsewhere this module cannot be imported.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

#: How many events a round handles at most. Python makes room for so many each time: Twisted has it make as
#: much as there are connections, which costs more than the wait where there are thousands.
_EVENTS = 512


class Reactor(EPollReactor):
    """Twisted's reactor for epoll, without a log context, by the monotonic clock."""

    seconds = staticmethod(time.monotonic)
    _log = Logger()
    _poller: Any
    _selectables: dict[int, Any]

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, `timeout` seconds or without end, and handle them."""
        # Python tries again where a signal interrupts it.
        events = self._poller.poll(-1 if timeout is None else timeout, _EVENTS)
        selectables = self._selectables
        handle = self._doReadOrWrite
        for number, event in events:
            # One that is gone was closed by another event of the same round.
            selectable = selectables.get(number)
            if selectable is not None:
                try:
                    handle(selectable, number, event)
                except Exception:
                    self._log.failure("closing a connection failed")

    doIteration = doPoll
