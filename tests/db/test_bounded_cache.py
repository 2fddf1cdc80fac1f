"""Values that are kept: true while their facts hold, and what fits of them."""

from __future__ import annotations

from math import inf
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db.bounded_cache import BoundedCache
from csipd.db.facts import EVERYTHING, KINDS, kind_of

NAMES = ["device 1", "device 2", "schedule 1", "topology"]


class KeptTests(SynchronousTestCase):
    """One dictionary."""

    @given(st.data())
    def test_as_if_it_remembered_all(self, data: st.DataObject) -> None:
        """Where there is room for all, what is found is what is true, whatever happened."""
        kept: BoundedCache[str, int] = BoundedCache(10**6)
        model: dict[str, tuple[int, set[str], float, float]] = {}
        now = 100.0
        for step in range(data.draw(st.integers(0, 30))):
            key = data.draw(st.sampled_from("abc"))
            match data.draw(st.integers(0, 4)):
                case 0:
                    facts = set(data.draw(st.lists(st.sampled_from(NAMES))))
                    until = data.draw(st.sampled_from([now, now + 2, inf]))
                    kept.keep(key, step, 10, facts, now, until)
                    model[key] = (step, facts, now, until)
                case 1:
                    dropped = set(data.draw(st.lists(st.sampled_from([*NAMES, EVERYTHING]))))
                    kept.drop(dropped)
                    if EVERYTHING in dropped:
                        model = {}
                    model = {k: m for k, m in model.items() if not m[1] & dropped}
                case 2:
                    now += data.draw(st.sampled_from([-1.0, 1.0, 2.0]))
                case 3:
                    kept.forget(key)
                    model.pop(key, None)
                case 4:
                    entry = kept.find(key, now)
                    expected = model.get(key)
                    if expected is not None and not expected[2] <= now < expected[3]:
                        model.pop(key)
                        expected = None
                    self.assertEqual(
                        None if entry is None else (entry.value, {fact.name for fact in entry.facts}),
                        None if expected is None else expected[:2],
                    )

    def test_facts_go_with_what_hangs_on_them(self) -> None:
        """A fact that nothing hangs on any longer takes no room, whichever way that came."""
        kept: BoundedCache[str, int] = BoundedCache(10**6)
        kept.keep("a", 1, 10, ["device 1", "device 2"], 0.0)
        kept.keep("b", 1, 10, ["device 1"], 0.0)
        kept.forget("a")
        self.assertEqual(list(kept._facts), ["device 1"])
        kept.drop(["device 1"])
        kept.keep("c", 2, 10, ["device 1"], 0.0)
        self.assertIsNone(kept.find("b", 1.0))
        self.assertEqual(list(kept._facts), ["device 1"])
        self.assertIsNotNone(kept.find("c", 1.0))
        kept.keep("c", 3, 10, [], 0.0)
        self.assertEqual((len(kept), len(kept._facts)), (1, 0))

    def test_everything(self) -> None:
        """Nothing is kept when everything is dropped, and what comes then is."""
        kept: BoundedCache[str, int] = BoundedCache(10**6)
        kept.keep("a", 1, 10, ["device 1"], 0.0)
        kept.drop([EVERYTHING])
        self.assertEqual((kept.find("a", 0.0), kept.size, len(kept._facts)), (None, 0, 0))
        kept.keep("a", 1, 10, ["device 1"], 0.0)
        self.assertIsNotNone(kept.find("a", 0.0))

    def test_counts(self) -> None:
        """Hits and misses are counted."""
        kept: BoundedCache[str, int] = BoundedCache(10**6)
        kept.find("a", 0.0)
        kept.keep("a", 1, 10, [], 0.0)
        for _ in range(2):
            kept.find("a", 0.0)
        self.assertEqual((kept.hits, kept.misses), (2, 1))


class RoomTests(SynchronousTestCase):
    """More is asked for than there is room for."""

    def hits(self, number: int, room: int, turns: int = 12) -> float:
        """The share of hits where so many ask in turn and there is room for so many."""
        each = 1000
        kept: BoundedCache[int, bytes] = BoundedCache(room * each, Random(1).randrange)
        found = 0
        for turn in range(turns):
            for key in range(number):
                if kept.find(key, 0.0) is None:
                    kept.keep(key, b"", each - 500, [], 0.0)
                elif turn >= turns // 2:
                    found += 1
            self.assertLessEqual(kept.size, room * each)
        return found / (number * (turns - turns // 2))

    def test_no_cliff(self) -> None:
        """A fleet that asks in turn is served in part where there is room for a part of it."""
        self.assertEqual(self.hits(500, 500), 1)
        self.assertGreater(self.hits(600, 500), 0.65)
        self.assertGreater(self.hits(1000, 500), 0.3)
        self.assertGreater(self.hits(5000, 500), 0.01)

    def test_what_is_new_comes_in(self) -> None:
        """Where others ask from now on, they are those who are served before long."""
        kept: BoundedCache[int, bytes] = BoundedCache(100_000, Random(1).randrange)
        for start in (0, 1000):
            for _ in range(20):
                for key in range(start, start + 100):
                    if kept.find(key, 0.0) is None:
                        kept.keep(key, b"", 500, [], 0.0)
        self.assertGreater(sum(kept.find(key, 0.0) is not None for key in range(1000, 1100)), 60)

    def test_dead_ones_go_first(self) -> None:
        """What is no longer true makes room for what is new, as a rule before anything that is true."""
        kept: BoundedCache[int, bytes] = BoundedCache(100_000, Random(1).randrange)
        for key in range(100):
            kept.keep(key, b"", 350, ["device 1" if key % 2 else "device 2"], 0.0)
        self.assertEqual(len(kept), 100)
        kept.drop(["device 1"])
        taken = sum(kept.keep(key, b"", 350, ["device 2"], 0.0) is not None for key in range(100, 120))
        self.assertGreater(taken, 15)
        self.assertGreater(sum(kept.find(key, 0.0) is not None for key in range(0, 100, 2)), 45)

    def test_replaced(self) -> None:
        """A newer value takes the place of the one before, also where there is no room for others."""
        kept: BoundedCache[int, int] = BoundedCache(10_000, Random(1).randrange)
        for key in range(10):
            kept.keep(key, 0, 500, [], 0.0)
        for value in range(1, 100):
            kept.keep(3, value, 500, [], 0.0)
            entry = kept.find(3, 0.0)
            assert entry is not None
            self.assertEqual(entry.value, value)
        self.assertEqual(len(kept), 10)


class NameTests(SynchronousTestCase):
    """Facts by their names."""

    def test_kinds(self) -> None:
        """A fact's kind is known by its name, and kinds are told apart."""
        self.assertEqual(len({kind.name for kind in KINDS}), len(KINDS))
        for kind in KINDS:
            self.assertIs(kind_of(kind("/edev/1/der 2")), kind)
            self.assertIs(kind_of(kind.name), kind)
