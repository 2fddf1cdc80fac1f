"""What it costs to tell the bus what devices report: `python -m benchmarks.bus_reports`.

In memory, without a broker: what has changed is taken down, read and written as messages. It has to cost what
the change costs, however many devices there are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.task import Clock

from benchmarks import stores
from benchmarks.figures import Row, Table, in_turns, spent
from benchmarks.stores import NOW, Layout
from csipd.config.doors import Gridappsd
from csipd.db.database import Database
from csipd.gridappsd import publishing
from csipd.gridappsd.publishing import Publisher
from csipd.sep2.measurements import DerForward
from tests.support.bus import MemoryBus

QUIET = "bus: an interval in which nothing is reported"
TAKEN_DOWN = "bus: a report that is taken down"
TOLD = "bus: a report that is told"
ALL = "bus: a device that is told of once the bus is up"
ROWS = (QUIET, TAKEN_DOWN, TOLD, ALL)
SIZES = (100_000, 1_000)
#: Devices that report in an interval.
REPORTS = 500
TURNS = 3
_INTERVAL = 15.0


class Subject:
    """A store, and what tells of it."""

    def __init__(self, folder: Path, devices: int) -> None:
        self.devices = devices
        self._clock = Clock()
        self.bus = MemoryBus(up=False)
        store = stores.build(folder, Layout(devices))
        self._database = Database(store.url, None)
        self._publisher = Publisher(
            self._database,
            self.bus,
            self._clock,
            lambda: float(NOW),
            topic="/topic/output",
            forms=Gridappsd().reports,
            interval=_INTERVAL,
            der_forward=DerForward.GENERATION,
            simulation_id=None,
            name_of=lambda subject: None,
            new_mrid=lambda: "m",
        )
        self._publisher.startService()
        self._turn = 0

    def all(self) -> float:
        """us for each device, of telling of them all."""
        told = len(self.bus.sent)
        began = time.process_time()
        self.bus.come_up()
        while any(feed.place is not None for feed in self._publisher._feeds):
            self._clock.advance(publishing.PAUSE)
        assert len(self.bus.sent) > told
        self.bus.sent.clear()
        return (time.process_time() - began) / self.devices * 1e6

    def quiet(self) -> float:
        """us of an interval."""
        seconds = spent(lambda: self._clock.advance(_INTERVAL), 100)
        assert not self.bus.sent
        return seconds * 1e6

    def taken_down(self) -> float:
        """us of each, with the other facts of its commit."""
        return self._reported() / REPORTS * 1e6

    def told(self) -> float:
        """us of each, beyond that."""
        self._reported()
        began = time.process_time()
        for _ in range(int(_INTERVAL / publishing.PAUSE)):
            self._clock.advance(publishing.PAUSE)
        assert len(self.bus.sent) >= REPORTS / publishing.PORTION
        self.bus.sent.clear()
        return (time.process_time() - began) / REPORTS * 1e6

    def _reported(self) -> float:
        self._turn += 1
        changes = [
            (f"document /edev/{1 + (self._turn * 7919 + number * 31) % self.devices}/der/1/ders",)
            for number in range(REPORTS)
        ]
        began = time.process_time()
        for dropped in changes:
            self._publisher.changed(dropped)
        return time.process_time() - began

    def close(self) -> None:
        """Let go of the store."""
        self._publisher.stopService()
        self._database.stopService()


def compare(subjects: Mapping[str, Subject], table: Table) -> None:
    """Print all rows."""
    found: dict[str, Mapping[str, Sequence[float]]] = {
        ALL: in_turns(TURNS, {name: one.all for name, one in subjects.items()})
    }
    for row, measure in ((QUIET, "quiet"), (TAKEN_DOWN, "taken_down"), (TOLD, "told")):
        found[row] = in_turns(TURNS, {name: getattr(one, measure) for name, one in subjects.items()})
    for row in ROWS:
        table.add(Row(row, found[row], places=1))


def main() -> None:
    chosen = argparse.ArgumentParser(description="Measure what is told on the bus.")
    chosen.add_argument("--devices", type=int, default=SIZES[0], help="of the larger store")
    sizes = (chosen.parse_args().devices, SIZES[1])
    with TemporaryDirectory() as folder:
        subjects = {f"{size:,}": Subject(Path(folder) / str(size), size) for size in sizes}
        compare(subjects, Table(ROWS, list(subjects)))
        for subject in subjects.values():
            subject.close()


if __name__ == "__main__":
    main()
