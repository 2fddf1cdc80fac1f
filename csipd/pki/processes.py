"""Other programs, run step by step: at once, or later without holding up the reactor.

What has to be done is written once, as a generator that yields a `Run` and is sent what came of it.
`run_now` drives it where blocking is right (at start, on the command line), `run_later` through the reactor's
processes. There is never a shell, and what a program reads and writes goes through pipes.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

TIMEOUT = 30.0
"""Seconds that one program may take."""

OUTPUT_LIMIT = 1 << 18
"""Bytes that one program may write, to stdout and stderr each, unless it is told otherwise."""

T = TypeVar("T")


class ProgramFailed(Exception):
    """A program that could not be started, did not end in time, or wrote without end. One line."""


@frozen
class Run:
    """A program to run, with an absolute or searched-for name in `argv[0]`. `stdin` may hold a key.

    It may write `most` bytes to stdout and stderr each.
    """

    argv: tuple[str, ...]
    cwd: Path
    stdin: bytes = field(default=b"", repr=False)
    most: int = OUTPUT_LIMIT


@frozen
class Pause:
    """Some seconds to wait; an empty `ProgramResult` comes back."""

    seconds: float


@frozen
class ProgramResult:
    """How a program ended: its exit code (negative: the signal that killed it) and what it wrote."""

    code: int = 0
    out: bytes = field(default=b"", repr=False)
    err: bytes = b""


Step = Run | Pause
Steps = Generator[Step, ProgramResult, T]


def run_now(steps: Steps[T], *, timeout: float = TIMEOUT) -> T:
    """Drive `steps` to their end in this thread. What they raise is raised."""
    try:
        step = next(steps)
        while True:
            try:
                ran = _perform_now(step, timeout)
            except ProgramFailed as failure:
                step = steps.throw(failure)
            else:
                step = steps.send(ran)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def run_later(reactor: Any, steps: Steps[T], *, timeout: float = TIMEOUT) -> Deferred[T]:
    """Drive `steps` to their end with `reactor` (IReactorProcess and IReactorTime).

    The Deferred fires with their result or what they raise. Cancelling it kills the program that runs and
    closes the generator, so that its `finally` blocks are done.
    """
    return Deferred.fromCoroutine(_drive(reactor, steps, timeout))


async def _drive(reactor: Any, steps: Steps[T], timeout: float) -> T:
    try:
        step = next(steps)
        while True:
            try:
                ran = await _perform_later(reactor, step, timeout)
            except ProgramFailed as failure:
                step = steps.throw(failure)
            else:
                step = steps.send(ran)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def _environment() -> dict[str, str]:
    """The environment that a program gets: where programs and libraries are, and English messages.

    HOME is left out on purpose, and OpenSSL is kept from reading the configuration of the machine.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "OPENSSL_CONF": os.devnull}


def _perform_now(step: Step, timeout: float) -> ProgramResult:
    if isinstance(step, Pause):
        time.sleep(step.seconds)
        return ProgramResult()
    try:
        done = subprocess.run(
            step.argv,
            cwd=step.cwd,
            env=_environment(),
            input=step.stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(_overdue(step, timeout)) from error
    except OSError as error:
        raise ProgramFailed(f"{step.argv[0]} cannot be run: {error.strerror}") from error
    return ProgramResult(done.returncode, done.stdout, done.stderr)


def _perform_later(reactor: Any, step: Step, timeout: float) -> Deferred[ProgramResult]:
    if isinstance(step, Pause):
        paused: Deferred[ProgramResult] = Deferred(lambda _: waiting.cancel())
        waiting = reactor.callLater(step.seconds, paused.callback, ProgramResult())
        return paused
    program = _Program(reactor, step, timeout)
    try:
        IReactorProcess(reactor).spawnProcess(
            program, step.argv[0], step.argv, env=_environment(), path=str(step.cwd)
        )
    except OSError as error:
        return fail(ProgramFailed(f"{step.argv[0]} cannot be run: {error.strerror}"))
    return program.done


def _overdue(step: Run, timeout: float) -> str:
    return f"{step.argv[0]} did not end within {timeout:g} s"


class _Program(ProcessProtocol):
    """One program in the reactor: feeds it, keeps what it writes within bounds, and reports how it ended."""

    transport: IProcessTransport
    _deadline: IDelayedCall

    def __init__(self, reactor: Any, run: Run, timeout: float) -> None:
        self._reactor = reactor
        self._run = run
        self._timeout = timeout
        self._written: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self._failure: str | None = None
        self.done: Deferred[ProgramResult] = Deferred(lambda _: self._give_up("cancelled"))

    def connectionMade(self) -> None:
        overdue = _overdue(self._run, self._timeout)
        self._deadline = IReactorTime(self._reactor).callLater(self._timeout, self._give_up, overdue)
        self.transport.write(self._run.stdin)
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._written[childFD] += data
        if len(self._written[childFD]) > self._run.most:
            self._give_up(f"{self._run.argv[0]} writes without end")

    def processEnded(self, reason: Failure) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        if self.done.called:  # it was cancelled
            return
        if self._failure is not None:
            self.done.errback(ProgramFailed(self._failure))
            return
        ended = reason.value
        code = 0
        if isinstance(ended, ProcessTerminated):
            code = ended.exitCode if ended.signal is None else -ended.signal
        self.done.callback(ProgramResult(code, bytes(self._written[1]), bytes(self._written[2])))

    def _give_up(self, why: str) -> None:
        """Kill the program: what it has written no longer matters."""
        self._failure = self._failure or why
        if self.transport.pid:
            self.transport.signalProcess("KILL")
