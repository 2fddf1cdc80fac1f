"""What GETs cost the server: `python -m benchmarks.get`.

First what was answered before: on 1, 4 and 16 kept connections, and with the handshake of a device that comes
and leaves. Then what was not: the first GET by a device that has not asked since csipd was started, of
something that is its own, while what it shares with others (its programs, their controls) has been asked for
by these. Such devices connect beforehand, so that no handshake is counted; csipd is started anew for each
turn. Then the same after a write to the program of each of them. And a page of ten controls of programs that
have 10, 100 and 500. What nginx is given to do beside these is a cached GET: what csipd costs is a multiple
of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import cycle, islice

from attrs import frozen

from benchmarks import clients, libraries, rig
from benchmarks.clients import crowd
from benchmarks.figures import NGINX, Row, Table, in_turns
from benchmarks.rig import AT_ONCE, Operator, Side
from benchmarks.stores import BUSY, CONTROLS, Layout

CACHED = {number: f"cached GET, connections: {number}" for number in (1, 4, 16)}
SHAKEN = "handshake + GET, cached"
POLLED = "handshake + 8 GETs, cached"
UNCACHED = {
    "uncached DERStatus": "/edev/{}/der/1/ders",
    "uncached DeviceCapability": "/dcap",
    "uncached EndDevice": "/edev/{}",
    "uncached page of 10 DERControls": "/derp/{program}/derc?l=10",
    "uncached list of 4 DERPrograms": "/edev/{}/fsa/1/derp?l=10",
}
WRITTEN = {name.replace("uncached", "after a write:"): path for name, path in UNCACHED.items()}
SCHEDULED = {number: f"10 of {number} scheduled controls" for number in BUSY}
RESCHEDULED = {number: f"after a write: 10 of {number} scheduled controls" for number in BUSY}
ROWS = (*CACHED.values(), SHAKEN, POLLED, *UNCACHED, *SCHEDULED.values(), *WRITTEN, *RESCHEDULED.values())

#: The devices that ask first for what is shared: one of each feeder.
_FIRST = range(1, 91)
#: Those that are in a busy program, of which one asks first.
BUSY_EACH = 49


@frozen
class Size:
    """How much is done.

    :param requests: cached GETs of a turn
    :param visits: devices with a handshake of a turn
    :param lot: devices of a turn that have not asked for anything yet, for each kind of GET
    """

    turns: int = 9
    requests: int = 3_200
    visits: int = 96
    starts: int = 3
    lot: int = 144

    @property
    def known(self) -> int:
        """Devices with certificates that are needed."""
        return len(_FIRST) + len(UNCACHED) * self.lot + len(BUSY) * BUSY_EACH


def compare(sides: Sequence[Side], table: Table, size: Size) -> None:
    """Print all rows."""
    for side in sides:
        _warm(side)
    for number, name in CACHED.items():
        table.add(
            Row(name, in_turns(size.turns, {s.name: partial(_cached, s, number, size) for s in sides}), 0, 1)
        )
    for name, polls in ((SHAKEN, False), (POLLED, True)):
        table.add(
            Row(name, in_turns(size.turns, {s.name: partial(_shaken, s, polls, size) for s in sides}), 1)
        )
    found: dict[str, dict[str, list[float]]] = {}
    for turn in range(size.starts):
        for side in sides:
            for name, figure in (_cold(side, turn, size) if side.is_csipd else _multiple(side, size)).items():
                found.setdefault(name, {}).setdefault(side.name, []).append(figure)
    for name, values in found.items():
        table.add(Row(name, values))


def _cached(side: Side, number: int, size: Size) -> float:
    devices = _FIRST[:number]
    asked = [
        (one, side.get("/edev/{}", device))
        for one, device in zip(side.connect(devices), devices, strict=True)
    ]
    side.wave(asked)
    requests = asked * (size.requests // number)
    return side.cpu_of(lambda: side.wave(requests, number))


def _shaken(side: Side, polls: bool, size: Size) -> float:
    side.connect(())
    devices = islice(cycle(_FIRST), size.visits)
    visits = [side.visit(one, side.poll(one) if polls else [side.get("/edev/{}", one)]) for one in devices]
    return side.cpu_of(lambda: crowd(visits, AT_ONCE))


def _multiple(side: Side, size: Size) -> dict[str, float]:
    """What everything uncached is a multiple of."""
    figure = _cached(side, AT_ONCE, size)
    return dict.fromkeys((*UNCACHED, *SCHEDULED.values(), *WRITTEN, *RESCHEDULED.values()), figure)


def _warm(side: Side) -> None:
    """Have the first devices ask, for the poll and for all that they share."""
    for device in _FIRST:
        (connection,) = side.connect([device])
        for request in side.poll(device):
            connection.ask(request)
        if side.is_csipd:
            for path in UNCACHED.values():
                connection.ask(_get(side, path, device))
            controls = connection.ask(_get(side, UNCACHED["uncached page of 10 DERControls"], device))
            programs = connection.ask(_get(side, UNCACHED["uncached list of 4 DERPrograms"], device))
            if controls.count(b"</DERControl>") != CONTROLS or programs.count(b"</DERProgram>") != 4:
                raise RuntimeError("a device sees other programs or controls than it should")
    for which, program in enumerate(side.store.busy_programs if side.is_csipd else ()):
        (connection,) = side.connect(side.store.busy_devices(which)[:1])
        connection.ask(clients.get(f"/derp/{program}/derc?l=10"))


def _get(side: Side, path: str, device: int) -> bytes:
    return side.get(path.replace("{program}", str(side.store.program_of(device))), device)


def _cold(side: Side, turn: int, size: Size) -> dict[str, float]:
    """Start csipd anew, and have devices ask it that have not asked."""
    side.restart()
    _warm(side)
    found = {}
    for number, (name, path) in enumerate(UNCACHED.items()):
        # The lots go round, so that each kind of GET is asked by other devices each time.
        first = _FIRST.stop + size.lot * ((number + turn) % len(UNCACHED))
        found[name] = _first_gets(side, range(first, first + size.lot), path)
    for which, name in enumerate(SCHEDULED.values()):
        devices = side.store.busy_devices(which)[1:]
        found[name] = _first_gets(side, devices, f"/derp/{side.store.busy_programs[which]}/derc?l=10")
    operator = Operator(side)
    devices = _FIRST[: size.lot]
    for name, path in WRITTEN.items():
        programs = [side.store.program_of(device) for device in devices]
        found[name] = _after_writes(side, operator, devices, path, programs)
    for which, name in enumerate(RESCHEDULED.values()):
        program = side.store.busy_programs[which]
        device = side.store.busy_devices(which)[:1]
        figures = [
            _after_writes(side, operator, device, f"/derp/{program}/derc?l=10", [program]) for _ in range(12)
        ]
        found[name] = sorted(figures)[len(figures) // 2]
    operator.close()
    return found


def _first_gets(side: Side, devices: Sequence[int], path: str) -> float:
    asked = [
        (connection, _get(side, path, device))
        for connection, device in zip(side.connect(devices), devices, strict=True)
    ]
    return side.cpu_of(lambda: side.wave(asked))


def _after_writes(
    side: Side, operator: Operator, devices: Sequence[int], path: str, programs: Iterable[int]
) -> float:
    for program in programs:
        operator.touch(program)
    return _first_gets(side, devices, path)


def main() -> None:
    parser = rig.options("Measure the server's CPU of GETs.", 1_000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--starts", type=int, default=3, help="of csipd, for what is not cached")
    chosen = parser.parse_args()
    size = Size(turns=chosen.turns, starts=chosen.starts)
    layout = Layout(max(chosen.devices, size.known), size.known, busy=BUSY_EACH)
    shake = libraries.measure()
    with rig.sides(chosen, layout) as sides:
        print(libraries.versions())
        Table(libraries.ROWS, (rig.CSIPD, NGINX)).add(shake)
        print(f"\nGETs by one of {layout.devices:,} devices; where nothing else is said {AT_ONCE} at once")
        table = Table(ROWS, [side.name for side in sides], library=libraries.difference(shake))
        compare(sides, table, size)
        ours = rig.CSIPD
        for kind, names in (("kept", SCHEDULED), ("after a write", RESCHEDULED)):
            growth = table.rows[names[500]].figure(ours) / table.rows[names[10]].figure(ours)
            print(f"{kind}: a page of 500 scheduled controls costs {growth:.2f} times one of 10")


if __name__ == "__main__":
    main()
