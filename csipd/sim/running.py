"""A fleet in a process of its own: a reactor that is nobody else's, until a time is over or Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall


def new_reactor() -> Any:
    """A reactor that is not installed for the whole process."""
    try:
        from csipd.net.reactor import Reactor
    except ImportError:
        from twisted.internet.selectreactor import SelectReactor

        return SelectReactor()
    return Reactor()


def run(
    reactor: Any,
    begin: Callable[[], None],
    end: Callable[[], object],
    *,
    seconds: float | None = None,
    show: Callable[[], None] = lambda: None,
    every: float = 1.0,
) -> None:
    """Run until so many real seconds are over, somebody stops the reactor, or Ctrl-C.

    :param begin: called once the reactor runs; what it raises ends the run and is raised here
    :param end: called when it stops; it is waited for where it gives a Deferred
    :param show: called `every` so many seconds
    """
    failed: list[Exception] = []
    showing = LoopingCall(show)
    showing.clock = reactor

    def start() -> None:
        try:
            begin()
        except Exception as error:
            failed.append(error)
            reactor.stop()
            return
        showing.start(every, now=False).addErrback(fail)
        if seconds is not None:
            reactor.callLater(seconds, reactor.stop)

    def fail(failure: Any) -> None:
        failed.append(failure.value)
        reactor.stop()

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", end)
    reactor.run()
    if failed:
        raise failed[0]
