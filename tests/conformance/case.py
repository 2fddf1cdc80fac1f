"""What the tests of all families have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.conformance.bench import Bench
from tests.conformance.devices import DER

#: What is answered to an event that runs from its start to its end.
RECEIVED, STARTED, COMPLETED, CANCELLED, SUPERSEDED, OTHER_PROGRAM = 1, 2, 3, 6, 7, 14
WHOLE = [RECEIVED, STARTED, COMPLETED]


class ConformanceCase(SynchronousTestCase):
    """A bench, and what the tables of the procedures say of a DER."""

    def setUp(self) -> None:
        self.bench = self.make()

    def make(self, **how: Any) -> Bench:
        bench = Bench(Path(self.mktemp()), **how)
        self.addCleanup(bench.close)
        return bench

    def assertAnswered(self, der: DER, **expected: list[int]) -> None:
        """What a DER has answered, by label of the event: all of it and nothing else."""
        found = {label: der.answers(label) for _, label, _ in der.answered}
        self.assertEqual(found, {label: answers for label, answers in expected.items() if answers})

    def assertStory(self, der: DER, mode: str, *expected: tuple[float, Any, str | None]) -> None:
        """What a control mode did: (minutes, value, whose)."""
        self.assertEqual(der.story(mode), list(expected))
