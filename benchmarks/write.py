"""What writes cost the server: `python -m benchmarks.write`.

Devices PUT a DERStatus, another one each time, POST log events and responses, and PUT what is refused: all on
16 kept connections, each answer awaited, and so each write durable, before that connection's next. With
`--against` the csipd of another checkout does the same in turns.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from benchmarks import clients, rig
from benchmarks.figures import Row, Table, in_turns
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import NOW, Layout
from csipd.sep2 import codec
from csipd.sep2 import resources as r

PUT = "PUT of a DERStatus, durable"
RATE = "the same, PUTs a second"
FOREIGN = "PUT refused: of another device"
WRONG = "PUT refused: no DERStatus"
LOG_EVENT = "POST of a LogEvent, durable"
RESPONSE = "POST of a Response, durable"
ROWS = (PUT, RATE, FOREIGN, WRONG, LOG_EVENT, RESPONSE)
TURNS, ROUNDS = 7, 60
_DEVICES = range(1, AT_ONCE + 1)
_NUMBERS = count(1)
_MRID = re.compile(rb"<mRID>([0-9A-F]{32})</mRID>")


def compare(sides: Sequence[Side], table: Table, turns: int = TURNS, rounds: int = ROUNDS) -> None:
    """Print all rows."""
    rates: dict[str, list[float]] = {side.name: [] for side in sides}

    def timed(side: Side) -> float:
        figure, rate = _rounds(side, rounds, clients.put_status)
        rates[side.name].append(rate)
        return figure

    def row(name: str, measure: Callable[[Side], float]) -> None:
        table.add(Row(name, in_turns(turns, {side.name: partial(measure, side) for side in sides})))

    row(PUT, timed)
    table.add(Row(RATE, rates))
    row(FOREIGN, lambda side: _rounds(side, rounds, _foreign, (b"403", b"404"))[0])
    row(WRONG, lambda side: _rounds(side, rounds, _wrong, (b"400",))[0])
    row(LOG_EVENT, lambda side: _rounds(side, rounds, _log_event)[0])
    subjects = {side.name: _subjects(side) for side in sides}
    row(RESPONSE, lambda side: _rounds(side, rounds, partial(_response, side, subjects[side.name]))[0])


def _rounds(
    side: Side, rounds: int, request: Callable[[int, int], bytes], wanted: Sequence[bytes] = (b"201", b"204")
) -> tuple[float, float]:
    """Microseconds of CPU of a request by each of the devices, and how many were answered in a second."""
    connected = list(zip(side.connect(_DEVICES), _DEVICES, strict=True))
    rate = 0.0

    def work() -> int:
        nonlocal rate
        began = time.perf_counter()
        for _ in range(rounds):
            for connection, device in connected:
                connection.send(request(device, next(_NUMBERS)))
            for connection, _ in connected:
                connection.receive(wanted)
        done = rounds * len(connected)
        rate = done / (time.perf_counter() - began)
        return done

    return side.cpu_of(work), rate


def _foreign(device: int, number: int) -> bytes:
    return clients.put_status(device % AT_ONCE + 1, number)


def _wrong(device: int, number: int) -> bytes:
    body = clients.status(number).replace(b"<readingTime>", b"<readingTime>x")
    return clients.send_body("PUT", f"/edev/{device}/der/1/ders", body)


def _log_event(device: int, number: int) -> bytes:
    event = r.LogEvent(
        createdDateTime=NOW + number,
        functionSet=11,
        logEventCode=200,
        logEventID=number % 65_536,
        logEventPEN=32473,
        profileID=2,
    )
    return clients.send_body("POST", f"/edev/{device}/lel", codec.encode(event))


def _subjects(side: Side) -> dict[int, list[str]]:
    """The mRIDs of the controls that each device may answer."""
    found = {}
    for connection, device in zip(side.connect(_DEVICES), _DEVICES, strict=True):
        page = connection.ask(clients.get(f"/derp/{side.store.program_of(device)}/derc?l=10"))
        found[device] = [mrid.decode() for mrid in _MRID.findall(page)]
    return found


def _response(side: Side, subjects: dict[int, list[str]], device: int, number: int) -> bytes:
    mrids = subjects[device]
    response = r.DERControlResponse(
        createdDateTime=NOW + number,
        endDeviceLFDI=side.fleet.devices[device - 1].lfdi,
        status=1 + number % 3,
        subject=mrids[number // AT_ONCE % len(mrids)],
    )
    return clients.send_body("POST", "/rsps/1/rsp", codec.encode(response))


def main() -> None:
    parser = rig.options("Measure the server's CPU of writes.", 1_000)
    parser.add_argument("--turns", type=int, default=TURNS)
    chosen = parser.parse_args()
    with rig.sides(chosen, Layout(chosen.devices, len(_DEVICES)), nginx=False) as sides:
        print(f"writes on {AT_ONCE} connections, {chosen.devices:,} devices")
        compare(sides, Table(ROWS, [side.name for side in sides]), chosen.turns)


if __name__ == "__main__":
    main()
