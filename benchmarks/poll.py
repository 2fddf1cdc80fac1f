"""What a real fleet costs, the headline: `python -m benchmarks.poll`.

50,000 devices, each with a certificate and an LFDI of its own, come one after the other, 16 at once: each
shakes hands, PUTs a DERStatus that is another one each time, asks for the eight resources that it polls, and
leaves; then the first ones come again. There are more of them than csipd keeps answers for: where fewer are
asked for it keeps fewer in proportion. The quotas are those that it ships with. Beside it nginx shakes hands
with the same devices under the same cipher and serves them the same eight answers from files: it is given no
PUT, since it has nothing to do with one. Then the same on connections that were made beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, cycle, islice

from rich.progress import Progress

from benchmarks import clients, libraries, rig
from benchmarks.clients import crowd
from benchmarks.figures import NGINX, Row, Table
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import SHOWN, Layout

HEADLINE = "handshake + PUT DERStatus + 8 GETs, devices in turn"
FIRST = "the same, each for the first time since the start"
KEPT = "PUT DERStatus + 8 GETs on a kept connection"
ROWS = (HEADLINE, FIRST, KEPT)
#: Devices of one turn of a side.
_PART, _KEPT_PART = 500, 250
_TURNS = 8
#: The fleet that is meant, and the octets of answers that csipd keeps as it ships.
_FLEET, _CACHE = 50_000, 64 * 2**20
#: Gives the microseconds of CPU of each of the devices that it has come.
Work = Callable[[Side, Sequence[int]], float]


def first(sides: Sequence[Side]) -> Row:
    """Each device comes once; sides take turns by parts of the fleet."""
    return _in_parts(FIRST, sides, _PART, None, _came)


def headline(sides: Sequence[Side], turns: int = _TURNS) -> Row:
    """The first ones come again, as they all do in turn."""
    return _in_parts(HEADLINE, sides, _PART, turns, _came)


def kept(sides: Sequence[Side], turns: int = _TURNS) -> Row:
    """The same without the handshake."""
    return _in_parts(KEPT, sides, _KEPT_PART, turns, _stayed)


_NUMBERS = count(1)


def _requests(side: Side, device: int) -> list[bytes]:
    """What a device has to say: nginx is not told how it is."""
    written = [clients.put_status(device, next(_NUMBERS))] if side.is_csipd else []
    return written + side.poll(device)


def _came(side: Side, devices: Sequence[int]) -> float:
    return side.cpu_of(lambda: crowd((side.visit(one, _requests(side, one)) for one in devices), AT_ONCE))


def _stayed(side: Side, devices: Sequence[int]) -> float:
    visits = [side.visit(one, ()) for one in devices]
    crowd(visits, AT_ONCE, keep=True)
    for visit, device in zip(visits, devices, strict=True):
        visit.ask(_requests(side, device))
    return side.cpu_of(lambda: crowd(visits, AT_ONCE))


def _in_parts(name: str, sides: Sequence[Side], size: int, turns: int | None, work: Work) -> Row:
    found: dict[str, list[float]] = {side.name: [] for side in sides}
    known = {side.name: side.store.layout.known for side in sides}
    longest = max(known.values())
    size = min(size, longest)
    turns = turns or max(longest // size, 1)
    # A smaller fleet comes again.
    devices = {name: cycle(range(1, number + 1)) for name, number in known.items()}
    with Progress(console=SHOWN, transient=True, disable=not SHOWN.is_terminal) as progress:
        task = progress.add_task(name, total=turns * len(sides))
        for _ in range(turns):
            for side in sides:
                found[side.name].append(work(side, list(islice(devices[side.name], size))))
                progress.advance(task)
    return Row(name, found, 0 if name == KEPT else 1)


def main() -> None:
    parser = rig.options("Measure what the poll of a fleet costs.", 50_000)
    chosen = parser.parse_args()
    layout = Layout(chosen.devices, known=chosen.devices)
    shake = libraries.measure()
    cache = None if chosen.devices >= _FLEET else max(_CACHE * chosen.devices // _FLEET, 2**20)
    with rig.sides(chosen, layout, shipped=True, cache=cache) as sides:
        print(libraries.versions())
        Table(libraries.ROWS, (rig.CSIPD, NGINX)).add(shake)
        print(f"\n{chosen.devices:,} devices, {AT_ONCE} at once, quotas as shipped")
        table = Table(ROWS, [side.name for side in sides], library=libraries.difference(shake))
        table.add(first(sides))
        table.add(headline(sides))
        table.add(kept(sides))
        for side in sides:
            print(f"{side.name}'s memory at most: {side.server.memory('VmHWM') / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
