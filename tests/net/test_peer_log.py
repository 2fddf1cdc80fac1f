"""Lines that peers cause: one for each peer and reason in the interval, in a bounded table."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger, globalLogPublisher
from twisted.logger import formatEvent as format_event
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.peer_log import PeerLog

LOG = Logger(namespace="csipd.test")


class PeerLogTests(SynchronousTestCase):
    """Case C1, and the flood of case F4."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = PeerLog(self.clock, largest=20, per_origin=5)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def say(self, peer: str, reason: str = "refused", origin: str = "") -> None:
        self.log.warn(LOG, peer, reason, "{peer}: {reason}", origin=origin, peer=peer, reason=reason)

    def lines(self) -> list[str]:
        found = [str(format_event(event)) for event in self.events]
        self.events.clear()
        return found

    def test_each(self) -> None:
        """Each peer has one line for each reason, at once."""
        for _ in range(3):
            for peer in ("a", "b"):
                for reason in ("one", "two"):
                    self.say(peer, reason)
        self.assertEqual(self.lines(), ["a: one", "a: two", "b: one", "b: two"])

    def test_held_back(self) -> None:
        """What was held back is written when the interval ends, and the next one makes a line again."""
        for _ in range(5):
            self.say("a")
        self.say("b")
        self.lines()
        self.clock.advance(60)
        self.assertEqual(self.lines(), ["a: refused: 4 more in the last 60 s"])
        self.assertEqual((self.log.size, self.clock.getDelayedCalls()), (0, []))
        self.say("a")
        self.assertEqual(self.lines(), ["a: refused"])

    def test_every_five_seconds(self) -> None:
        """One that tries each five seconds for two minutes hides nobody (case C1)."""
        for second in range(120):
            if second % 5 == 0:
                self.say("noisy")
            if second == 31:
                self.say("quiet")
            self.clock.advance(1)
        lines = self.lines()
        self.assertEqual(lines.count("quiet: refused"), 1)
        self.assertEqual(lines.count("noisy: refused"), 2)
        self.assertEqual(lines.count("noisy: refused: 11 more in the last 60 s"), 2)

    def test_end(self) -> None:
        """When the server stops what is held back is written, too."""
        self.log.startService()
        for _ in range(3):
            self.say("a")
        self.lines()
        self.log.stopService()
        self.assertEqual(self.lines(), ["a: refused: 2 more in the last 60 s"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_many_of_one_origin(self) -> None:
        """A thousand peers of one address, as forged certificates are, have so many lines together."""
        for number in range(1000):
            self.say(f"forged {number}", origin="192.0.2.1")
        self.say("honest", origin="192.0.2.2")
        lines = self.lines()
        self.assertEqual(len(lines), 7)
        self.assertEqual(lines[-1], "honest: refused")
        self.clock.advance(60)
        self.assertEqual(self.lines(), ["192.0.2.1: other lines from there: 994 more in the last 60 s"])

    def test_many_origins(self) -> None:
        """The table is bounded, and what found no room in it is counted."""
        for number in range(1000):
            self.say(f"peer {number}")
        self.assertEqual((self.log.size, len(self.lines())), (20, 20))
        self.clock.advance(60)
        self.assertEqual(self.lines(), ["980 more lines about other peers in the last 60 s"])

    def test_traceback(self) -> None:
        """A traceback is written once, and counted after that."""
        for _ in range(3):
            try:
                raise ZeroDivisionError
            except ZeroDivisionError:
                self.log.failure(LOG, "a", "failed", "it failed")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.lines()
        self.clock.advance(60)
        self.assertEqual(self.lines(), ["a: failed: 2 more in the last 60 s"])
