"""What the tests of all families have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.conformance.bench import Bench
from tests.conformance.devices import DER, Station
from tests.conformance.independent import Independent

#: What is answered to an event that runs from its start to its end.
RECEIVED, STARTED, COMPLETED, CANCELLED, SUPERSEDED, OTHER_PROGRAM = 1, 2, 3, 6, 7, 14
WHOLE = [RECEIVED, STARTED, COMPLETED]


class ConformanceCase(SynchronousTestCase):
    """A bench, and what the tables of the procedures say of a DER.

    `device` is a client of ours, `other` one of others' making, once both were let `begin`.
    """

    device: Station
    other: Independent

    def setUp(self) -> None:
        self.bench = self.make()

    def make(self, **how: Any) -> Bench:
        bench = Bench(Path(self.mktemp()), **how)
        self.addCleanup(bench.close)
        return bench

    def begin(self, *places: str) -> None:
        """Two direct DERs in these groups find everything and follow it: dev1 is ours, dev2 is others'.

        What both are shown is observed from now on.
        """
        self.bench.observe(*places)
        self.device = self.bench.direct("dev1", *places)
        self.device.walk()
        self.other = self.bench.independent("dev2", *places)

    def assertAnswered(self, *names: str, **expected: list[int]) -> None:
        """The Responses that devices POSTed, by label of the event: all of them and no others."""
        for name in names or ("dev1", "dev2"):
            self.assertEqual(self.bench.answers(name), expected, name)

    def assertForced(self, *expected: str) -> None:
        """Whose values the client of others' making put into force, one after the other."""
        self.assertEqual(self.other.forced, list(expected))

    def assertStory(self, der: DER, mode: str, *expected: tuple[float, Any, str | None]) -> None:
        """What a control mode of a client of ours did: (minutes, value, whose)."""
        self.assertEqual(der.story(mode), list(expected))

    def assertTranscript(self, expected: str) -> None:
        """What went over the wire, whole: see tests/conformance/transcript.py."""
        lines = [line.strip() for line in expected.strip().splitlines()]
        found = self.bench.transcript()
        self.assertEqual(found, lines, "\n" + "\n".join(found))

    def assertSaid(self, *expected: str) -> None:
        """These lines are in the transcript, in this order."""
        found = iter(self.bench.transcript())
        for line in expected:
            self.assertIn(line, found, "\n" + "\n".join(self.bench.transcript()))
