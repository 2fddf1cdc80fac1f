"""What Notifications cost: `python -m benchmarks.notify`.

One control is told to 10,000 subscriptions of one aggregator, over the few connections that it is given, and
to 1,000 receivers of one subscription each, with a receiver among them that hangs and without. Then a control
every two seconds to these thousand, for a while, beside devices that ask: what they wait, and whether memory
grows. The clock of csipd runs 30 times as fast as the machine's (a lab), so that the least time between two
Notifications of a subscription, 30 s, is one. "Lost" are subscriptions whose last Notification is not of the
last control. The receivers are one process on the other core, by Twisted over TLS: their own cost bounds what
is shown here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

from benchmarks import clients, rig, stores
from benchmarks.clients import Connection
from benchmarks.figures import Row, Table, mebibytes
from benchmarks.fleets import Fleet
from benchmarks.processes import HERE, Csipd
from benchmarks.rig import Side
from benchmarks.stores import CONTROLS, Layout
from csipd.sep2 import codec
from csipd.sep2 import resources as r

LAST_OF_ONE = "10,000 subscriptions of one aggregator: until the last, s"
CPU_OF_ONE = "10,000 subscriptions of one aggregator: us CPU each"
LAST_OF_MANY = "1,000 receivers: until the last, s"
CPU_OF_MANY = "1,000 receivers: us CPU each"
P99_OF_MANY = "1,000 receivers: p99, ms"
P99_BESIDE_ONE = "1,000 receivers, one of which hangs: p99 of the others, ms"
CPU_STEADY = "500 Notifications a second: us CPU each"
GET_ALONE = "a GET, a control every two seconds, nobody subscribed: p99, ms"
GET_BESIDE = "the same beside 500 Notifications a second: p99, ms"
GET_BESIDE_SHAKES = "the same beside one control to 1,000 receivers, each with a handshake: p99, ms"
GET_BESIDE_ONE = "the same beside one control to 10,000 subscriptions of one aggregator: p99, ms"
ROWS = (
    LAST_OF_ONE,
    CPU_OF_ONE,
    LAST_OF_MANY,
    CPU_OF_MANY,
    P99_OF_MANY,
    P99_BESIDE_ONE,
    CPU_STEADY,
    GET_ALONE,
    GET_BESIDE,
    GET_BESIDE_SHAKES,
    GET_BESIDE_ONE,
)
RECEIVERS, SUBSCRIPTIONS, ASKING = 1_000, 10_000, 16
#: Seconds of the machine between two controls, and between two GETs of devices.
EVERY, DUE = 2.0, 0.005
#: The program that all devices have, and a list of its controls.
SYSTEM, LIST = 1, "/derp/1/derc"
TIMEOUT = 300.0


# --- receivers, in a process of their own


def receive(told: dict[str, Any]) -> None:
    """Open so many ports, and do what is asked on standard input: report, forget, hang."""
    from twisted.internet import reactor as installed
    from twisted.internet.protocol import Factory, Protocol
    from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

    from tests.support.receivers import CREATED, receiver_tls

    reactor: Any = installed
    fleet = Fleet.kept(Path(told["fleet"]))
    hanging: set[int] = set()
    arrived: list[tuple[int, float]] = []
    bodies: dict[tuple[int, bytes], bytes] = {}

    class Connected(Protocol):
        transport: Any

        def __init__(self, port: int) -> None:
            self._port = port
            self._data = b""

        def dataReceived(self, data: bytes) -> None:
            self._data += data
            while True:
                head, end, rest = self._data.partition(b"\r\n\r\n")
                size = int(head.rpartition(b"Content-Length: ")[2].split(b"\r")[0]) if end else 0
                if not end or len(rest) < size:
                    return
                self._data = rest[size:]
                if self._port not in hanging:
                    arrived.append((self._port, time.monotonic()))
                    bodies[self._port, head.split(b" ", 2)[1]] = rest[:size]
                    self.transport.write(CREATED)

    class Port(Factory):
        noisy = False

        def __init__(self, port: int) -> None:
            self._port = port

        def buildProtocol(self, addr: Any) -> Connected:
            return Connected(self._port)

    def answer() -> None:
        for line in sys.stdin:
            asked = json.loads(line)
            reactor.callFromThread(act, asked)
        reactor.callFromThread(reactor.stop)

    def act(asked: dict[str, Any]) -> None:
        hanging.clear()
        hanging.update(asked["hang"])
        if asked["forget"]:
            arrived.clear()
            bodies.clear()
        sign = asked["sign"].encode()
        known = sum(sign in body for body in bodies.values())
        print(json.dumps({"arrived": arrived if asked["all"] else len(arrived), "known": known}), flush=True)

    tls = receiver_tls(fleet.boss, fleet.authority)
    ports = []
    for number in range(told["ports"]):
        factory: Any = TLSMemoryBIOFactory(tls, False, Port(number), reactor)
        factory.protocol = TLSMemoryBIOProtocol
        factory.noisy = False
        ports.append(reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port)
    print(json.dumps(ports), flush=True)
    Thread(target=answer, daemon=True).start()
    reactor.run()


class Receivers:
    """The process of the receivers, as it is asked."""

    def __init__(self, fleet: Path, ports: int) -> None:
        command = [sys.executable, "-m", "benchmarks.notify", "--receive"]
        self._process = subprocess.Popen(
            [*command, json.dumps({"fleet": str(fleet), "ports": ports})],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ports: list[int] = self._line()

    def ask(
        self, sign: str = "", *, everything: bool = False, forget: bool = False, hang: Sequence[int] = ()
    ) -> Any:
        """What has arrived, and how many of the last bodies hold a sign."""
        assert self._process.stdin is not None
        asked = {"sign": sign, "all": everything, "forget": forget, "hang": list(hang)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._line()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


# --- what is measured


class Office:
    """An operator who makes controls in the program that all have."""

    def __init__(self, side: Side) -> None:
        self._connection = side.operator()
        self._made = CONTROLS

    def control(self) -> str:
        """Make a control; what a list of the controls says from then on."""
        body = {"program": SYSTEM, "start": stores.AHEAD + 10_000_000 + 3600 * self._made, "duration": 60}
        asked = json.dumps({**body, "base": {"opModMaxLimW": 6000}}).encode()
        self._connection.ask(clients.send_body("POST", "/admin/controls", asked, "application/json"))
        self._made += 1
        return f'all="{self._made}"'

    def drop(self, first: int, last: int) -> None:
        """End subscriptions."""
        for number in range(first, last + 1):
            self._connection.ask(f"DELETE /admin/subscriptions/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def subscribe(connection: Connection, device: int, uri: str) -> None:
    wanted = r.Subscription(
        subscribedResource=LIST, encoding=0, level="-S1", limit=CONTROLS, notificationURI=uri
    )
    connection.ask(clients.send_body("POST", f"/edev/{device}/sub", codec.encode(wanted)))


def told(
    side: Side, receivers: Receivers, office: Office, number: int, hang: Sequence[int] = ()
) -> tuple[float, float, float]:
    """One control to so many: seconds until the last, us of CPU and the 99th percentile (ms) of arrivals.

    SystemExit if any is lost.
    """
    receivers.ask(forget=True, hang=hang)
    before = side.server.settled()
    began = time.monotonic()
    sign = office.control()
    _until(lambda: receivers.ask(sign, hang=hang)["known"] >= number)
    cpu = (side.server.settled() - before) / number / 1000
    waited = sorted(at - began for _, at in receivers.ask(everything=True, hang=hang)["arrived"])
    return waited[-1], cpu, 1000 * quantiles(waited, n=100)[98]


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not done():
        if time.monotonic() > end:
            raise SystemExit("Notifications are lost")
        time.sleep(0.05)


@contextmanager
def asking(side: Side) -> Iterator[list[float]]:
    """Devices that ask until the block ends; what they waited (ms)."""
    devices = range(RECEIVERS + 1, RECEIVERS + ASKING + 1)
    connections = dict(zip(devices, side.connect(devices), strict=True))
    waited: list[float] = []
    over = Event()

    def ask() -> None:
        due = time.perf_counter()
        while not over.is_set():
            for device, connection in connections.items():
                time.sleep(max(due - time.perf_counter(), 0))
                began = time.perf_counter()
                connection.send(side.get(clients.POLL[len(waited) % len(clients.POLL)], device))
                connection.receive()
                waited.append(1000 * (time.perf_counter() - began))
                due = max(due + DUE, began)

    thread = Thread(target=ask)
    thread.start()
    try:
        yield waited
    finally:
        over.set()
        thread.join()


def steady(side: Side, receivers: Receivers, office: Office, seconds: float) -> tuple[float, str]:
    """A control every two seconds to all receivers: us of CPU for each, and what is to be said."""
    receivers.ask(forget=True)
    before, memory = side.server.settled(), side.server.memory()
    due = time.monotonic()
    end = due + seconds
    sign = ""
    while due < end:
        sign = office.control()
        due += EVERY
        time.sleep(max(due - time.monotonic(), 0))
    _until(lambda: receivers.ask(sign)["known"] >= RECEIVERS)
    number = receivers.ask()["arrived"]
    cpu = (side.server.settled() - before) / number / 1000
    grown = mebibytes(side.server.memory() - memory)
    return cpu, f"{number:,} Notifications in {seconds:.0f} s, none lost; memory grew by {grown}"


def to_many(
    side: Side, receivers: Receivers, office: Office, seconds: float, add: Callable[..., None]
) -> None:
    """What is told to receivers of one subscription each."""
    with asking(side) as waited:
        for _ in range(int(min(seconds, 20) / EVERY)):
            office.control()
            time.sleep(EVERY)
    add(GET_ALONE, quantiles(waited, n=100)[98], 1)
    for device in range(1, RECEIVERS + 1):
        (connection,) = side.connect([device])
        subscribe(connection, device, f"https://127.0.0.1:{receivers.ports[device - 1]}/n")
    with asking(side) as waited:
        told(side, receivers, office, RECEIVERS)
    add(GET_BESIDE_SHAKES, quantiles(waited, n=100)[98], 1)
    time.sleep(EVERY)
    last, cpu, p99 = told(side, receivers, office, RECEIVERS)
    add(LAST_OF_MANY, last, 2)
    add(CPU_OF_MANY, cpu)
    add(P99_OF_MANY, p99)
    time.sleep(EVERY)
    add(P99_BESIDE_ONE, told(side, receivers, office, RECEIVERS - 1, hang=[0])[2])
    receivers.ask(forget=True)
    time.sleep(2 * EVERY)
    with asking(side) as waited:
        cpu, said = steady(side, receivers, office, seconds)
    add(GET_BESIDE, quantiles(waited, n=100)[98], 1)
    add(CPU_STEADY, cpu)
    print(said)
    office.drop(1, RECEIVERS)


def to_one(side: Side, receivers: Receivers, office: Office, add: Callable[..., None]) -> None:
    """What is told to one aggregator of many subscriptions."""
    connection = Connection(side.server.port, side.fleet, side.fleet.boss)
    for number in range(SUBSCRIPTIONS):
        subscribe(connection, side.store.aggregator, f"https://127.0.0.1:{receivers.ports[0]}/{number}")
    time.sleep(EVERY)
    last, cpu, _ = told(side, receivers, office, SUBSCRIPTIONS)
    add(LAST_OF_ONE, last, 2)
    add(CPU_OF_ONE, cpu)
    time.sleep(EVERY)
    with asking(side) as waited:
        told(side, receivers, office, SUBSCRIPTIONS)
    add(GET_BESIDE_ONE, quantiles(waited, n=100)[98], 1)
    connection.close()


def compare(side: Side, table: Table, fleet: Path, seconds: float, which: str) -> None:
    """Print the rows that are asked for."""

    def add(name: str, figure: float, places: int = 0) -> None:
        table.add(Row(name, {side.name: [figure]}, places=places))

    receivers = Receivers(fleet, RECEIVERS)
    office = Office(side)
    try:
        if which != "one":
            to_many(side, receivers, office, seconds, add)
        if which != "many":
            to_one(side, receivers, office, add)
    finally:
        receivers.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what Notifications cost.")
    parser.add_argument("--seconds", type=float, default=20.0, help="of 500 Notifications a second (20)")
    parser.add_argument(
        "--only", choices=("many", "one"), default="", help="the rows of many receivers, or of one"
    )
    parser.add_argument("--receive", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.receive:
        receive(json.loads(chosen.receive))
        return
    layout = Layout(RECEIVERS + ASKING + 10, RECEIVERS + ASKING, fleet=10)
    with TemporaryDirectory() as name:
        folder = Path(name)
        store, fleet, place = rig.stored(layout, folder, None, HERE)
        fleet.keep(folder / "fleet")
        server = Csipd(place, fleet)
        with (place / "config.yml").open("a") as file:
            file.write(
                "lab: true\nlab_speed: 30\n"
                f"notifications: {{check_lfdi: false, subscriptions_per_aggregator: {SUBSCRIPTIONS}}}\n"
            )
        side = Side(rig.CSIPD, server, store, fleet)
        server.start()
        try:
            compare(side, Table(ROWS, [side.name], ""), folder / "fleet", chosen.seconds, chosen.only)
        finally:
            side.connect(())
            server.stop()


if __name__ == "__main__":
    main()
