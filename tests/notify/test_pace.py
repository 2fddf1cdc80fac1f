"""How many begin together, and how long nothing begins then."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.notify.pace import HANDSHAKES, NOTIFICATIONS, Pace, Share

SHARE = Share(together=3, rest=2, shortest=0.001, longest=0.5)


class PaceTests(SynchronousTestCase):
    """However much wants to begin."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.pace = Pace(self.clock, SHARE)
        self.given: list[int] = []

    def ask(self, number: int) -> None:
        """So many want to begin."""
        for one in range(len(self.given), len(self.given) + number):
            self.pace.turn().addCallback(lambda _, one=one: self.given.append(one))

    def begun(self, seconds: float) -> None:
        """Those that have a turn are on their way after so long."""
        self.clock.advance(seconds)
        for _ in range(len(self.given) - self.over):
            self.pace.begun()
        self.over = len(self.given)

    over = 0

    def test_few_together(self) -> None:
        """Few begin together, in their order; the next ones when twice as long has passed as these took."""
        self.ask(7)
        self.assertEqual(self.given, [0, 1, 2])
        self.clock.advance(9)
        self.assertEqual(len(self.given), 3, "they are not on their way")
        self.begun(0)
        self.clock.advance(SHARE.longest)
        self.assertEqual(self.given, [0, 1, 2, 3, 4, 5])
        self.begun(0.1)
        self.clock.advance(0.19)
        self.assertEqual(len(self.given), 6)
        self.clock.advance(0.02)
        self.assertEqual(self.given, [0, 1, 2, 3, 4, 5, 6])

    def test_all_of_them(self) -> None:
        """As long as one of them is not on its way, no others begin; there is a rest after the last."""
        self.ask(4)
        self.pace.begun()
        self.pace.begun()
        self.clock.advance(1)
        self.assertEqual(len(self.given), 3)
        self.pace.begun()
        self.assertEqual(len(self.given), 3)
        self.clock.advance(SHARE.longest)
        self.assertEqual(len(self.given), 4)

    def test_idle(self) -> None:
        """What comes after a pause begins at once, and no timer is left where nobody waits."""
        for _ in range(3):
            self.ask(1)
            self.begun(0.01)
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.clock.advance(0.02)
        self.assertEqual(len(self.given), 3)

    def test_comes_in_the_rest(self) -> None:
        """What comes while nothing may begin waits for the end of that, and no longer."""
        self.ask(1)
        self.begun(0.1)
        self.clock.advance(0.15)
        self.ask(1)
        self.assertEqual(len(self.given), 1)
        self.clock.advance(0.051)
        self.assertEqual(len(self.given), 2)

    def test_at_once(self) -> None:
        """What is on its way in its turn has a rest behind it, too."""
        pace = Pace(self.clock, HANDSHAKES)
        times: list[float] = []

        def begin(_: object) -> None:
            times.append(self.clock.seconds())
            pace.begun()

        for _ in range(5):
            pace.turn().addCallback(begin)
        self.clock.pump([0.001] * 30)
        self.assertEqual(len(times), 5)
        for before, after in pairwise(times):
            self.assertGreaterEqual(after - before, HANDSHAKES.shortest)

    @given(st.lists(st.floats(0.0001, 0.05), min_size=1, max_size=40))
    def test_share(self, durations: list[float]) -> None:
        """Whatever they take: beginning has a third of the time, but for the longest rest."""
        clock = Clock()
        pace = Pace(clock, NOTIFICATIONS)
        waiting = [pace.turn() for _ in range(NOTIFICATIONS.together * (len(durations) + 1))]
        busy = rest = 0.0
        for number, seconds in enumerate(durations):
            group = waiting[number * NOTIFICATIONS.together : (number + 1) * NOTIFICATIONS.together]
            for one in group:
                self.successResultOf(one)
            clock.advance(seconds)
            busy += seconds
            began = clock.seconds()
            for _ in group:
                pace.begun()
            following = waiting[(number + 1) * NOTIFICATIONS.together]
            self.assertNoResult(following)
            while not following.called:
                clock.advance(max(clock.getDelayedCalls()[0].getTime() - clock.seconds(), 1e-9))
            rest += clock.seconds() - began
            self.assertLessEqual(clock.seconds() - began, NOTIFICATIONS.longest + 1e-6)
        least = sum(min(NOTIFICATIONS.rest * seconds, NOTIFICATIONS.longest) for seconds in durations)
        self.assertAlmostEqual(rest, least, places=5)

    def test_no_time(self) -> None:
        """What takes no time at all leaves a turn of the reactor to others."""
        self.pace = Pace(self.clock, NOTIFICATIONS)
        for _ in range(5_000):
            self.pace.turn().addCallback(lambda _: (self.given.append(0), self.pace.begun()))
        self.assertEqual(len(self.given), 1)
        while self.clock.getDelayedCalls():
            self.clock.advance(0)
        self.assertEqual(len(self.given), 5_000)
