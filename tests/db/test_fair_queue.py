"""Whose turn it is at the database: who is served in which order, by what each operation costs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db.fair_queue import (
    BULK,
    OUTBOX,
    SERVER,
    FairQueue,
    Kind,
    Share,
    device_share,
    readings_share,
)
from tests.support.steps import steps

A, B, C = (device_share(name) for name in "ABC")
OPERATOR = Share(Kind.OPERATORS, "alice")


class TurnsTests(SynchronousTestCase):
    """The order of turns."""

    def setUp(self) -> None:
        self.queue: FairQueue[str] = FairQueue()

    def put(self, share: Share, number: int = 1) -> None:
        for _ in range(number):
            self.queue.put(share.key or share.kind.name, share)

    def serve(self, number: int, cost: Callable[[str], float] = lambda key: 0.001) -> list[str]:
        """Carry out so many operations, and say whose they were."""
        served = []
        for _ in range(number):
            queued = self.queue.take()
            self.queue.measured(queued, cost(queued.item))
            served.append(queued.item)
        return served

    def test_order_of_one(self) -> None:
        """The operations of one caller keep their order."""
        for number in range(5):
            self.queue.put(str(number), A)
        self.assertEqual(self.serve(5), ["0", "1", "2", "3", "4"])
        self.assertEqual(len(self.queue), 0)

    def test_another_comes(self) -> None:
        """Who comes while one has two hundred costly ones waiting is next (case F5)."""
        self.put(A, 200)
        self.serve(5, lambda key: 0.05)
        self.put(B)
        self.assertEqual(self.serve(2, lambda key: 0.05), ["B", "A"])

    def test_time_and_not_calls(self) -> None:
        """One that costs ten times as much is served a tenth as often."""
        self.put(A, 200)
        self.put(B, 200)
        served = Counter(self.serve(110, lambda key: 0.01 if key == "A" else 0.001))
        self.assertAlmostEqual(served["A"], 10, delta=1)
        self.assertAlmostEqual(served["B"], 100, delta=1)

    def test_weight(self) -> None:
        """An aggregator of 300 devices has four times the time of a device (decision 37)."""
        self.queue = FairQueue()
        self.put(A, 200)
        self.put(device_share("B", 300), 200)
        served = Counter(self.serve(100))
        self.assertAlmostEqual(served["B"], 80, delta=1)

    def test_many_readings(self) -> None:
        """Lists of readings, which cost much, delay neither a status nor an operator, nor are held up by
        what may wait (decision 37)."""
        for name in "ABC":
            for _ in range(100):
                self.queue.put("many readings", readings_share(name))
        self.put(A, 3000)
        self.put(OPERATOR, 2000)
        self.put(BULK, 100)
        cost = {"many readings": 0.02, "BULK": 0.02}
        served = Counter(self.serve(2000, lambda key: cost.get(key, 0.001)))
        seconds = {key: number * cost.get(key, 0.001) for key, number in served.items()}
        self.assertGreater(seconds["A"], 2.5 * seconds["many readings"])
        self.assertGreater(seconds["alice"], 2 * seconds["many readings"])
        self.assertGreaterEqual(seconds["many readings"], seconds["BULK"])
        self.assertGreater(seconds["BULK"], 0)

    def test_notifications(self) -> None:
        """Ten thousand Notifications delay neither a device, an operator nor the scheduler by more than a
        few of them, and are held up by no clean-up."""
        self.put(OUTBOX, 10_000)
        self.put(BULK, 100)
        self.serve(100)
        for share in (A, OPERATOR, SERVER):
            self.put(share)
        self.assertLessEqual({"A", "alice", "SERVER"}, set(self.serve(6)))
        served = Counter(self.serve(100))
        self.assertGreater(served["OUTBOX"], 2 * served["BULK"])

    def test_idle_time_is_not_saved(self) -> None:
        """Who did not ask for a while gets no more than its share when it does."""
        self.put(A, 300)
        self.serve(100)
        self.put(B, 100)
        served = Counter(self.serve(20))
        self.assertAlmostEqual(served["A"], 10, delta=1)

    def test_what_was_used_is_not_forgotten(self) -> None:
        """Nor does it help to ask for one thing at a time: what it cost is owed to those who wait."""
        self.put(A)
        self.put(B, 100)
        self.serve(1, lambda key: 0.05)
        served = []
        for _ in range(60):
            self.put(A)
            served += self.serve(1)
        self.assertEqual(served[:45].count("A"), 0)
        self.assertGreater(served[45:].count("A"), 4)

    def test_kinds(self) -> None:
        """Neither a thousand devices nor a clean-up delays a command, the scheduler or a device (F5)."""
        for number in range(1000):
            self.put(device_share(f"{number:040X}"))
        self.put(BULK, 100)
        self.serve(50)
        self.put(SERVER)
        self.put(OPERATOR)
        self.assertLessEqual({"SERVER", "alice"}, set(self.serve(4)))
        self.put(B)
        self.put(OPERATOR, 100)
        served = Counter(self.serve(200))
        self.assertGreater(served["alice"], 70)
        self.assertLess(served["BULK"], 20)

    def test_put_back(self) -> None:
        """What a group did not come to stands where it stood, and costs nothing."""
        self.queue.put("first", A)
        self.queue.put("second", A)
        self.put(B)
        group = [self.queue.take() for _ in range(3)]
        self.queue.measured(group[0], 0.03)
        self.queue.put_back(group[1:])
        self.assertEqual(len(self.queue), 2)
        self.assertEqual([queued.item for queued in group], ["first", "B", "second"])
        self.assertEqual(self.serve(2), ["B", "second"])

    def test_nothing_is_kept(self) -> None:
        """Of callers that are gone no more is kept than there are places for (bounded memory)."""
        self.put(A, 20_000)
        for number in range(20_000):
            self.put(device_share(str(number)))
            self.serve(2)
            self.put(A)
        kept = self.queue._kinds[Kind.DEVICES]
        self.assertLess(len(kept.flows), 3_000)
        self.assertLess(len(kept.heap), 3_000)

    def test_fleet_in_turn(self) -> None:
        """Where many ask once each and the queue is never empty, little is kept, and it costs the same."""
        chance = random.Random(1)

        def ask(numbers: range) -> None:
            for number in numbers:
                self.put(device_share(str(number)))
                self.serve(1, lambda key: chance.uniform(0.0001, 0.001))

        self.put(A)
        ask(range(1000))
        few = steps(lambda: ask(range(1000, 3000)))
        ask(range(3000, 20_000))
        many = steps(lambda: ask(range(20_000, 22_000)))
        self.assertLess(many, 1.2 * few)
        kept = self.queue._kinds[Kind.DEVICES]
        self.assertLess(len(kept.flows), 3_000)
        self.assertLess(len(kept.heap), 3_000)

    def test_debts_are_kept(self) -> None:
        """Of those that are no longer there the ones that took most are known longest."""
        self.put(A)
        self.put(B)
        self.serve(1, lambda key: 1.0)
        for number in range(5_000):
            self.put(device_share(str(number)))
            self.serve(1)
        self.put(A)
        self.put(C)
        self.assertEqual(self.serve(3)[-1], "A")

    def test_forget(self) -> None:
        """With nothing waiting all begin anew."""
        self.put(A)
        self.serve(1, lambda key: 1.0)
        self.queue.forget()
        self.put(A)
        self.put(B)
        self.assertEqual(self.serve(2), ["A", "B"])
        self.assertEqual(len(self.queue), 0)

    @given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(1, 50)), max_size=60))
    def test_all_are_served(self, asked: list[tuple[str, int]]) -> None:
        """Whatever they cost, and put back or not: each is served once, the ones of a caller in order."""
        queue: FairQueue[tuple[str, int, int]] = FairQueue()
        numbers = count()
        for key, cost in asked:
            queue.put((key, next(numbers), cost), device_share(key))
        served = []
        while len(queue):
            group = [queue.take() for _ in range(min(3, len(queue)))]
            queue.measured(group[0], group[0].item[2] / 1000)
            queue.put_back(group[1:])
            served.append(group[0].item)
        self.assertEqual(len(served), len(asked))
        for key in "ABCD":
            mine = [number for one, number, _ in served if one == key]
            self.assertEqual(mine, sorted(mine))
