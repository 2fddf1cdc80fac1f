"""What devices notice of the GridAPPS-D bus: `python -m benchmarks.bus`.

50 devices are commanded by 1,000 difference messages a second, each of which has a new value for one of
them, so that each device gets a control each second. 16 of them ask meanwhile on kept connections, one
request every few milliseconds, and 16 others, that nobody commands: each polls, and PUTs its DERStatus. In
every second turn the bus says nothing. What counts is how long the slowest in a hundred of their GETs take,
by the clock, from when they were due. The broker is a process on the other core that does nothing but send:
what a real one costs is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from socket import create_server, socket
from statistics import quantiles
from threading import Thread
from typing import Any

import sqlalchemy as sa

from benchmarks import clients, rig
from benchmarks.figures import Row, Table, in_turns
from benchmarks.processes import HERE
from benchmarks.rig import AT_ONCE, Side
from benchmarks.stores import Layout
from csipd.db import engine, tables

COMMANDED = "GET of a device that is commanded: the slowest in a hundred, ms"
OTHERS = "GET of a device that is not: the slowest in a hundred, ms"
CPU = "csipd: CPU used, % of one core"
ROWS = (COMMANDED, OTHERS, CPU)
DEVICES, TURNS = 1_000, 5
#: Devices that are commanded, and messages a second.
TOLD, RATE = 50, 1_000
#: Seconds of a turn, between two requests of devices, and between two portions of messages.
TURN, DUE, PORTION = 10.0, 0.005, 0.01
BESIDE = "with the bus"
_numbers = count()
TOPIC = "/topic/goss.gridappsd.IEEE_2030_5.input"


# --- the broker, in a process of its own


def _name(device: int) -> str:
    return f"BENCHMARK-{device}"


def _message(number: int, subscription: str) -> bytes:
    """A frame with a difference: the next value for the next device."""
    difference = {
        "object": f"_{_name(1 + number % TOLD)}",
        "attribute": "DERControl.DERControlBase.opModTargetW",
        "value": {"multiplier": 0, "value": number // TOLD % 30_000},
    }
    message = {
        "timestamp": 1,
        "difference_mrid": f"00000000-0000-4000-8000-{number:012d}",
        "reverse_differences": [],
        "forward_differences": [difference],
    }
    body = json.dumps({"command": "update", "input": {"message": message}}).encode()
    head = f"MESSAGE\nsubscription:{subscription}\nmessage-id:{number}\ndestination:{TOPIC}\n"
    return f"{head}content-length:{len(body)}\n\n".encode() + body + b"\0"


def serve() -> None:
    """Take connections, confirm what is asked for, and send messages while standard input says so."""
    listening = create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    current: list[tuple[socket, str]] = []
    sending = [False]

    def listen() -> None:
        for line in sys.stdin:
            sending[0] = line.strip() == "send"

    def take() -> None:
        while True:
            taken, _ = listening.accept()
            Thread(target=_confirm, args=(taken, current), daemon=True).start()

    for work in (listen, take):
        Thread(target=work, daemon=True).start()
    # Values go on over the broker's life, and none of them is a former run's.
    number = int(time.time()) % 100_000 * 1_000_000
    due = time.perf_counter()
    while True:
        due += PORTION
        time.sleep(max(due - time.perf_counter(), 0))
        if sending[0] and current:
            connection, subscription = current[0]
            frames = [_message(number + one, subscription) for one in range(round(RATE * PORTION))]
            number += len(frames)
            connection.sendall(b"".join(frames))


def _confirm(connection: socket, current: list[tuple[socket, str]]) -> None:
    """Answer what a client sends."""
    data = b""
    while received := connection.recv(65536):
        data += received
        while b"\0" in data:
            frame, _, data = data.partition(b"\0")
            lines = frame.decode().strip().splitlines()
            headers = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
            if lines and lines[0] in ("CONNECT", "STOMP"):
                connection.sendall(b"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0")
            elif "receipt" in headers:
                connection.sendall(f"RECEIPT\nreceipt-id:{headers['receipt']}\n\n\0".encode())
            if headers.get("destination") == TOPIC and lines[0] == "SUBSCRIBE":
                current[:] = [(connection, headers["id"])]


class Broker:
    """The process of the broker, as it is asked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bus", "--serve"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send until the block ends."""
        self._say("send")
        try:
            yield
        finally:
            self._say("stop")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


# --- what is measured


def compare(side: Side, broker: Broker, table: Table, turns: int = TURNS, seconds: float = TURN) -> None:
    """Print all rows: of csipd with messages and without."""
    waits: dict[str, dict[str, list[float]]] = {row: defaultdict(list) for row in ROWS}
    _turn(side, 1.0)
    with broker.sending():
        _turn(side, 2.0)
    if (made := _controls(side)) < TOLD:
        raise RuntimeError(f"{made} devices were commanded, not {TOLD}")

    def measure(name: str, beside: bool) -> float:
        before = side.server.cpu()
        began = time.perf_counter()
        if beside:
            with broker.sending():
                found = _turn(side, seconds)
        else:
            found = _turn(side, seconds)
        used = (side.server.cpu() - before) / 1e9 / (time.perf_counter() - began)
        for row, waited in zip((COMMANDED, OTHERS), found, strict=True):
            waits[row][name].append(quantiles(waited, n=100)[98])
        waits[CPU][name].append(100 * used)
        time.sleep(2.0)  # what waits is carried out
        return 0.0

    work: dict[str, Callable[[], float]] = {
        name: partial(measure, name, beside)
        for name, beside in ((f"{side.name} {BESIDE}", True), (f"{side.name} alone", False))
    }
    in_turns(turns, work)
    for name, found in waits.items():
        table.add(Row(name, found, places=1))


def _turn(side: Side, seconds: float) -> tuple[list[float], list[float]]:
    """How long GETs take that are due one after the other (ms): of those that are commanded, of others."""
    asking = [*range(1, AT_ONCE + 1), *range(TOLD + 1, TOLD + AT_ONCE + 1)]
    connections = dict(zip(asking, side.connect(asking), strict=True))
    requests = {device: side.poll(device) for device in asking}
    waited: tuple[list[float], list[float]] = ([], [])
    due = time.perf_counter()
    end = due + seconds
    while due < end:
        for step in range(len(requests[1]) + 1):
            for device, connection in connections.items():
                put = step == len(requests[1])
                request = clients.put_status(device, next(_numbers)) if put else requests[device][step]
                time.sleep(max(due - time.perf_counter(), 0))
                connection.ask(request)
                if not put:
                    waited[device > TOLD].append(1000 * (time.perf_counter() - due))
                due += DUE
    return waited


def _named(side: Side) -> None:
    """Have devices the names that the bus calls them by."""
    opened = engine.make_engine(engine.sqlite_url(side.server.folder / "var"), immediate=True)
    with opened.begin() as connection:
        for device in range(1, TOLD + 1):
            named = sa.update(tables.devices).where(tables.devices.c.id == device)
            connection.execute(named.values(name=_name(device)))
    opened.dispose()


def _controls(side: Side) -> int:
    """How many devices the bus has commanded."""
    opened = engine.make_engine(engine.sqlite_url(side.server.folder / "var"))
    with opened.begin() as connection:
        found: Any = connection.scalar(sa.select(sa.func.count(tables.bus_wishes.c.device)))
    opened.dispose()
    return int(found)


def main() -> None:
    parser = rig.options("Measure what devices notice of the GridAPPS-D bus.", DEVICES)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--seconds", type=float, default=TURN, help="of a turn")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve()
        return
    layout = Layout(chosen.devices, TOLD + AT_ONCE)
    broker = Broker()
    try:
        with rig.sides(chosen, layout, nginx=False) as sides:
            side = sides[0]
            _named(side)
            configuration = Path(side.server.folder) / "config.yml"
            with configuration.open("a") as file:
                file.write(f"gridappsd: {{address: localhost, port: {broker.port}, token: false}}\n")
            side.restart()
            print(f"{RATE:,} messages a second over {TOLD} devices, a request every {1000 * DUE:.0f} ms")
            names = [f"{side.name} {BESIDE}", f"{side.name} alone"]
            compare(side, broker, Table(ROWS, names, ""), chosen.turns, chosen.seconds)
    finally:
        broker.stop()


if __name__ == "__main__":
    main()
