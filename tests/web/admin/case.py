"""What the tests of the operator's API begin with: a small utility and an office that operates it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.operator import Office
from tests.support.world import Numbers, World


class Case(SynchronousTestCase):
    """`world` is the utility, `office` the operator's API over it, `numbers` where things are."""

    def setUp(self) -> None:
        self.world, self.office = self.fresh()

    @property
    def numbers(self) -> Numbers:
        return self.world.numbers

    def fresh(self, **more: Any) -> tuple[World, Office]:
        """Another utility, as they all begin; with `more` of what its server is told."""
        world = World(Path(self.mktemp()), **more)
        self.addCleanup(world.close)
        office = Office(world)
        self.addCleanup(office.close)
        return world, office

    def everything(self) -> dict[str, Any]:
        """All that an operator can see change: the items of the lists, and the audit log."""
        lists = ("devices", "groups", "programs", "controls", "audit")
        return {name: [one for page in self.office.pages(f"/{name}", 500) for one in page] for name in lists}
