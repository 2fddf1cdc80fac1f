"""The collector of cyclic garbage."""

from __future__ import annotations

import gc
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.garbage import THRESHOLDS, GarbageCollection


class Reactor:
    """Notes what is to be called when it runs."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def callWhenRunning(self, call: Callable[[], None]) -> None:
        self.calls.append(call)


class Collector:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def collect(self) -> int:
        self.asked.append("collect")
        return 0

    def freeze(self) -> None:
        self.asked.append("freeze")

    def unfreeze(self) -> None:
        self.asked.append("unfreeze")

    def get_threshold(self) -> tuple[int, int, int]:
        return 1, 2, 3

    def set_threshold(self, *thresholds: int) -> None:
        self.asked.append(thresholds)


class GarbageCollectionTests(SynchronousTestCase):
    """When it is set up, and what is left of it."""

    def setUp(self) -> None:
        self.reactor = Reactor()

    def test_order(self) -> None:
        """Once all has started garbage goes, the rest is frozen; when the daemon stops all is as it was."""
        collector = Collector()
        service = GarbageCollection(self.reactor, collector)
        service.startService()
        self.assertEqual(collector.asked, [], "other services may have to start yet")
        (call,) = self.reactor.calls
        call()
        self.assertEqual(collector.asked, ["collect", "freeze", THRESHOLDS])
        service.stopService()
        self.assertEqual(collector.asked[3:], [(1, 2, 3), "unfreeze"])

    def test_stopped_before(self) -> None:
        """A daemon that stops before it runs changes nothing."""
        collector = Collector()
        service = GarbageCollection(self.reactor, collector)
        service.startService()
        service.stopService()
        for call in self.reactor.calls:
            call()
        self.assertEqual(collector.asked, [])

    def test_pythons(self) -> None:
        """It is Python's own that is set up: what is frozen is not looked through."""
        before = gc.get_threshold(), gc.get_freeze_count()
        service = GarbageCollection(self.reactor)
        service.startService()
        self.reactor.calls[0]()
        self.assertEqual(gc.get_threshold(), THRESHOLDS)
        self.assertGreater(gc.get_freeze_count(), before[1])
        service.stopService()
        self.assertEqual((gc.get_threshold(), gc.get_freeze_count()), (before[0], 0))
