"""Programs run step by step, at once and through the reactor: the same generators, the same results."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from csipd.pki.processes import Pause, ProgramFailed, ProgramResult, Run, Steps, run_later, run_now

HERE = Path("/")


def single(step: Run | Pause) -> Steps[ProgramResult]:
    """One step, and what came of it."""
    return (yield step)


def echo(text: bytes) -> Run:
    """A program that writes what it reads."""
    return Run(("cat",), HERE, text)


def tolerant(step: Run) -> Steps[str]:
    """A step whose failure is the result, and another one after it."""
    try:
        yield step
    except ProgramFailed as failure:
        after = yield echo(b"went on")
        return f"{failure}; {after.out.decode()}"
    return "no failure"


@implementer(IReactorProcess)
class HandTurned(Clock):
    """The real reactor's processes with a clock turned by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Any] = []

    def spawnProcess(self, *args: Any, **kwargs: Any) -> Any:
        self.started.append(reactor.spawnProcess(*args, **kwargs))
        return self.started[-1]


class AtOnceTests(SynchronousTestCase):
    """run_now."""

    def test_pipes(self) -> None:
        """A program reads what it is given and its output comes back."""
        self.assertEqual(run_now(single(echo(b"abc"))), ProgramResult(0, b"abc", b""))

    def test_exit_code(self) -> None:
        """A program that fails says so by its code and stderr, and is not an exception."""
        ran = run_now(single(Run(("cat", "/there/is/nothing"), HERE)))
        self.assertEqual(ran.code, 1)
        self.assertIn(b"nothing", ran.err)

    def test_result(self) -> None:
        """What the generator returns is the result, after as many steps as it takes."""

        def steps() -> Steps[bytes]:
            first = yield echo(b"a")
            second = yield echo(first.out + b"b")
            yield Pause(0)
            return second.out

        self.assertEqual(run_now(steps()), b"ab")

    def test_failure_is_thrown_in(self) -> None:
        """A program that does not exist, or does not end, is a ProgramFailed inside of the generator."""
        absent = run_now(tolerant(Run(("/no/such/program",), HERE)))
        self.assertEqual(absent, "/no/such/program cannot be run: No such file or directory; went on")
        endless = run_now(tolerant(Run(("sleep", "60"), HERE)), timeout=0.05)
        self.assertEqual(endless, "sleep did not end within 0.05 s; went on")

    def test_environment(self) -> None:
        """A program gets no HOME, and where it runs is what it was given."""
        self.patch(os, "environ", {**os.environ, "HOME": "/home/somebody"})
        reported = run_now(single(Run(("env",), HERE))).out
        self.assertNotIn(b"HOME", reported)
        self.assertIn(b"LC_ALL=C", reported)
        self.assertEqual(run_now(single(Run(("pwd",), HERE))).out, b"/\n")

    def test_secrets_are_not_shown(self) -> None:
        """What goes through the pipes does not show when a step is printed."""
        self.assertNotIn("secret", repr(echo(b"secret")) + repr(ProgramResult(0, b"secret", b"")))


class LaterTests(TestCase):
    """run_later."""

    async def test_pipes(self) -> None:
        """A program reads what it is given and its output comes back, with its code and stderr."""
        self.assertEqual(await run_later(reactor, single(echo(b"abc"))), ProgramResult(0, b"abc", b""))
        ran = await run_later(reactor, single(Run(("cat", "/there/is/nothing"), HERE)))
        self.assertEqual(ran.code, 1)
        self.assertIn(b"nothing", ran.err)

    async def test_pause(self) -> None:
        """A pause is over when its time has passed."""
        hand = HandTurned()
        paused = run_later(hand, single(Pause(3)))
        hand.advance(2.9)
        self.assertNoResult(paused)
        hand.advance(0.1)
        self.assertEqual(await paused, ProgramResult())

    async def test_writes_without_end(self) -> None:
        """A program that writes without end is killed, and the generator told."""
        result = await run_later(reactor, tolerant(Run(("yes",), HERE)))
        self.assertEqual(result, "yes writes without end; went on")

    async def test_takes_too_long(self) -> None:
        """A program that does not end in its time is killed, and the generator told."""
        hand = HandTurned()
        running = run_later(hand, tolerant(Run(("sleep", "60"), HERE)))
        hand.advance(29)
        self.assertNoResult(running)
        hand.advance(1)
        self.assertEqual(await running, "sleep did not end within 30 s; went on")
        self.assertEqual(hand.getDelayedCalls(), [])

    async def test_killed(self) -> None:
        """A program killed by somebody else is known by the signal."""
        hand = HandTurned()
        running = run_later(hand, single(Run(("sleep", "60"), HERE)))
        hand.started[0].signalProcess("KILL")
        self.assertEqual((await running).code, -9)

    async def test_cancel(self) -> None:
        """Cancelling kills the program and closes the generator."""
        closed: list[str] = []

        def steps() -> Steps[None]:
            try:
                yield Run(("sleep", "60"), HERE)
            finally:
                closed.append("closed")

        hand = HandTurned()
        running = run_later(hand, steps())
        ended: Deferred[None] = Deferred()
        program = hand.started[0].proto
        self.patch(program, "processEnded", after(program.processEnded, ended))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        self.assertEqual(closed, ["closed"])
        await ended
        self.assertEqual(hand.getDelayedCalls(), [])


def after(function: Callable[..., None], done: Deferred[None]) -> Callable[..., None]:
    """`function`, and then `done` fires."""

    def both(*args: Any) -> None:
        function(*args)
        done.callback(None)

    return both
