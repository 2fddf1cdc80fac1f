"""The limit of open files (case F8)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon.descriptors import Capacity, make_room


class System:
    """A process with limits; ``ceiling`` is how far it may raise the hard one."""

    RLIMIT_NOFILE = 7
    RLIM_INFINITY = -1

    def __init__(self, soft: int, hard: int, ceiling: int = 0) -> None:
        self.limits = (soft, hard)
        self.ceiling = ceiling

    def getrlimit(self, resource: int, /) -> tuple[int, int]:
        return self.limits

    def setrlimit(self, resource: int, limits: tuple[int, int], /) -> None:
        soft, hard = limits
        now = self.limits[1]
        if now != self.RLIM_INFINITY and (hard > max(now, self.ceiling) or hard == self.RLIM_INFINITY):
            raise ValueError("not allowed to raise maximum limit")
        if hard != self.RLIM_INFINITY and soft > hard:
            raise ValueError("current limit exceeds maximum limit")
        self.limits = limits


class MakeRoomTests(SynchronousTestCase):
    """Connections, reserved files and what the system allows."""

    def test_high_enough(self) -> None:
        """A limit that is high enough is left alone."""
        for limits in ((1500, 1500), (-1, -1), (65_536, 1_048_576)):
            system = System(*limits)
            self.assertEqual(make_room(1000, 500, system), Capacity(1000))
            self.assertEqual(system.limits, limits)

    def test_raised(self) -> None:
        """It is raised to what is needed, below the hard limit, without one, and as root beyond it."""
        for system in (System(1024, 65_536), System(1024, -1), System(1024, 4096, ceiling=1_048_576)):
            self.assertEqual(make_room(20_000, 300, system), Capacity(20_000))
            self.assertEqual(system.limits[0], 20_300)

    def test_too_low(self) -> None:
        """Where it stays too low that is said with what to do, and devices have what is left."""
        system = System(256, 1024)
        room = make_room(20_000, 300, system)
        self.assertEqual((system.limits, room.connections), ((1024, 1024), 768))
        for part in ("20000", "1024", "768", "expected 20300", "LimitNOFILE", "OPEN_FILES"):
            self.assertIn(part, room.warning or "")

    def test_two_sides(self) -> None:
        """Where a device may take two files, one with the proxy, there is room for half as many."""
        system = System(1024, 524_288)
        self.assertEqual(make_room(20_000, 300, system, sides=2), Capacity(20_000))
        self.assertEqual(system.limits[0], 40_300)
        self.assertEqual(make_room(1_000, 300, System(1_300, 1_300), sides=2).connections, 500)

    def test_far_too_low(self) -> None:
        """There is room for some, and for one at least."""
        self.assertEqual(make_room(100, 300, System(64, 64)).connections, 48)
        self.assertEqual(make_room(100, 300, System(1, 1)).connections, 1)
