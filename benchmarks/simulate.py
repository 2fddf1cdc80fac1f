"""What a simulated fleet costs, and what it costs csipd: `python -m benchmarks.simulate`.

1,000 devices of `csipctl simulate` in one process, each with a connection of its own, poll every minute:
their DeviceCapability, their four programs with ten scheduled controls and a default each, and their DERs. As
often they PUT status and availability and post their readings. Their physics goes on meanwhile. The devices
have one core and csipd another, where there are two. CPU is that of whole processes, in percent of a core.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, field

from benchmarks import processes
from benchmarks.figures import Row, Table
from benchmarks.fleets import Fleet
from benchmarks.processes import Csipd
from benchmarks.rig import CSIPD
from benchmarks.stores import Layout
from csipd.sim.assembly import Plan, assemble, place_of
from csipd.sim.clock import SimulatedClock
from csipd.sim.counts import Counts
from csipd.sim.neighbourhood import HOUSES
from csipd.sim.roster import Member, Roster
from csipd.sim.running import new_reactor, run
from csipd.sim.tls import Credential

DEVICES = "1,000 simulated devices, % of a core"
SERVER = "csipd under 1,000 simulated devices, % of a core"
REQUESTS = "requests of 1,000 simulated devices, a second"
ERRORS = "errors of 1,000 simulated devices"
ROWS = (DEVICES, SERVER, REQUESTS, ERRORS)
COUNT = 1_000
#: Seconds between two polls, seconds until all have come and polled once, seconds that are measured.
RATE, WARM, MEASURED = 60, 90.0, 120.0
_RATES = (
    "device_capability_poll_rate",
    "der_program_list_poll_rate",
    "der_list_poll_rate",
    "mirror_usage_point_post_rate",
)


@define
class KnownRoster(Roster):
    """Devices that are in the store already, with certificates in memory."""

    credentials: Mapping[str, Credential] = field(factory=dict)

    def credential(self, name: str) -> Credential:
        return self.credentials[name]


def roster(fleet: Fleet, count: int) -> KnownRoster:
    """The first devices of a store."""
    names = [f"bench-{number}" for number in range(1, count + 1)]
    made = KnownRoster(Path())
    made.members = [
        Member(name, number, one.lfdi, None, (number - 1) // HOUSES + 1)
        for number, (name, one) in enumerate(zip(names, fleet.devices, strict=True), 1)
    ]
    made.credentials = {
        name: Credential(one.certificate, one.key) for name, one in zip(names, fleet.devices, strict=True)
    }
    return made


def measure(folder: Path, count: int, warm: float, measured: float) -> dict[str, float]:
    """The figures of all rows."""
    fleet = Fleet.make(count)
    processes.laid_out_by(processes.HERE, folder / "var", Layout(count, known=count), fleet.lfdis())
    server = Csipd(folder, fleet)
    with (folder / "config.yml").open("a") as file:
        file.writelines(f"{name}: {RATE}\n" for name in _RATES)
    server.start()
    try:
        _apart(server)
        return _under(server, folder, roster(fleet, count), count, warm, measured)
    finally:
        server.stop()


def _apart(server: Csipd) -> None:
    """Give csipd one core and this process another, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        server.keep_to(cores[:1])
        os.sched_setaffinity(0, cores[1:2])


def _under(
    server: Csipd, folder: Path, known: KnownRoster, count: int, warm: float, measured: float
) -> dict[str, float]:
    reactor = new_reactor()
    place = place_of(reactor, "127.0.0.1", server.port, folder / "tls" / "certs" / "ca.crt")
    plan = Plan(count, spread=RATE * 0.9)
    simulated = assemble(reactor, SimulatedClock(reactor, time.time()), known, plan, place)
    began: list[Any] = []

    def begin() -> None:
        simulated.start()
        reactor.callLater(warm, lambda: began.append(_now(server, simulated.counts)))

    run(reactor, begin, lambda: began.append(_now(server, simulated.counts)), seconds=warm + measured)
    before, after = began
    spent = {name: after[name] - before[name] for name in before}
    return {
        DEVICES: 100 * spent["own"] / spent["seconds"],
        SERVER: 100 * spent["server"] / spent["seconds"],
        REQUESTS: spent["requests"] / spent["seconds"],
        ERRORS: after["errors"],
    }


def _now(server: Csipd, counts: Counts) -> dict[str, float]:
    return {
        "seconds": time.perf_counter(),
        "own": time.process_time(),
        "server": server.cpu() / 1e9,
        "requests": counts.polls + counts.puts + counts.responses + counts.log_events + counts.readings / 4,
        "errors": sum(counts.errors.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a simulated fleet, and csipd under it.")
    parser.add_argument("--devices", type=int, default=COUNT, help=f"how many ({COUNT:,})")
    parser.add_argument("--seconds", type=float, default=MEASURED, help=f"that are measured ({MEASURED:g})")
    chosen = parser.parse_args()
    with TemporaryDirectory() as name:
        found = measure(Path(name), chosen.devices, WARM, chosen.seconds)
    table = Table(ROWS, [CSIPD], "")
    for row, value in found.items():
        table.add(Row(row, {CSIPD: [value]}, places=1))


if __name__ == "__main__":
    main()
