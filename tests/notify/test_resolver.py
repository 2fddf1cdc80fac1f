"""Names to addresses."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.defer import inlineCallbacks as inline_callbacks
from twisted.trial.unittest import TestCase

from csipd.notify.failures import Unreachable
from csipd.notify.resolver import MOST_NAMES, THREADS, Resolver, look_up


class ResolverTests(TestCase):
    """Look-ups in threads."""

    def resolver(self, look_up: Callable[[str], list[str]]) -> Resolver:
        from twisted.internet import reactor

        deliver: Any = reactor
        made = Resolver(deliver.callFromThread, look_up)
        made.startService()
        self.addCleanup(made.stopService)
        return made

    def test_loopback(self) -> None:
        """The system's own answer: each address once."""
        self.assertEqual(look_up("127.0.0.1"), ["127.0.0.1"])

    @inline_callbacks
    def test_found(self) -> Any:
        """A name's addresses, in order; a thread is used again."""
        resolver = self.resolver(lambda host: [host[0], "x"])
        for host in ("a.example", "b.example"):
            found = yield resolver.resolve(host)
            self.assertEqual(found, [host[0], "x"])
        self.assertEqual(len(resolver._idle), 1)

    @inline_callbacks
    def test_not_found(self) -> Any:
        """A name that is not known, and one that cannot be one, are the receiver's failure."""

        def fail(host: str) -> list[str]:
            if host == "odd":
                raise UnicodeError
            raise OSError(-2, "Name or service not known")

        resolver = self.resolver(fail)
        for host in ("a.example", "odd"):
            error = yield self.assertFailure(resolver.resolve(host), Unreachable)
            self.assertIn(f"{host} has no address", str(error))

    @inline_callbacks
    def test_one_at_a_time(self) -> Any:
        """However many wait for a name, it is looked up once; names beyond the threads wait their turn."""
        asked: list[str] = []
        go = Event()

        def wait(host: str) -> list[str]:
            asked.append(host)
            go.wait(30)
            return [host]

        resolver = self.resolver(wait)
        names = [f"{number}.example" for number in range(THREADS + 3)]
        answers: list[Deferred[list[str]]] = [resolver.resolve(name) for name in names for _ in range(3)]
        self.assertLessEqual(resolver._busy, THREADS)
        go.set()
        found = yield gatherResults(answers)
        self.assertEqual(found, [[name] for name in names for _ in range(3)])
        self.assertEqual(sorted(asked), sorted(names))

    @inline_callbacks
    def test_bounded(self) -> Any:
        """More names than there is room for are refused at once."""
        go = Event()

        def wait(host: str) -> list[str]:
            go.wait(30)
            return [host]

        resolver = self.resolver(wait)
        answers = [resolver.resolve(f"{number}.example") for number in range(MOST_NAMES)]
        yield self.assertFailure(resolver.resolve("more.example"), Unreachable)
        go.set()
        yield gatherResults(answers)
