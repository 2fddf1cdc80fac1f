"""What benchmarks of requests work on: csipd over a store, nginx with the same answers, devices that ask
both.

A side is a server with those who ask it. Beside csipd there may be nginx, the csipd of another checkout
(`--against`), or one with another store (`benchmarks.scale`): all sides do the same work in turns.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import asdict, define, field

from benchmarks import clients, processes, stores
from benchmarks.clients import Connection, Visit
from benchmarks.figures import NGINX
from benchmarks.fleets import Fleet
from benchmarks.processes import Csipd, Nginx, Proxied, ProxiedInside, Server
from benchmarks.stores import Layout, Store

CSIPD = "csipd"
#: Devices whose answers nginx has in its files; the others are given those of one of them.
SHOWN = 90
#: Connections at once where nothing else is said.
AT_ONCE = 16


@define(eq=False)
class Side:
    """A server, what it serves, and who asks it.

    :param connections: those that are kept, by device
    """

    name: str
    server: Server
    store: Store
    fleet: Fleet
    connections: dict[int, Connection] = field(factory=dict)

    @property
    def is_csipd(self) -> bool:
        """Whether it can be written to."""
        return isinstance(self.server, Csipd | Proxied | ProxiedInside)

    def get(self, path: str, device: int) -> bytes:
        """What a device sends that asks for `path`, its number put in."""
        path = path.format(device)
        return clients.get(
            path if self.is_csipd else _flat(path.replace(f"/{device}", f"/{device % SHOWN}", 1))
        )

    def poll(self, device: int) -> list[bytes]:
        """What a device sends when it polls."""
        return [self.get(path, device) for path in clients.POLL]

    def visit(self, device: int, requests: Sequence[bytes]) -> Visit:
        """A device that comes with these requests."""
        return Visit(
            self.server.port, self.fleet, self.fleet.devices[device - 1], self.fleet.address(device), requests
        )

    def connect(self, devices: Sequence[int]) -> list[Connection]:
        """A kept connection of each device; those of others are closed."""
        for device in self.connections.keys() - set(devices):
            self.connections.pop(device).close()
        for device in devices:
            if device not in self.connections:
                self.connections[device] = Connection(
                    self.server.port, self.fleet, self.fleet.devices[device - 1], self.fleet.address(device)
                )
        return [self.connections[device] for device in devices]

    def restart(self) -> None:
        """Have the server begin anew."""
        self.connect(())
        self.server.restart()

    def cpu_of(self, work: Callable[[], int]) -> float:
        """Microseconds of the server's CPU for each of the pieces of work that `work` says it did."""
        began = self.server.settled()
        done = work()
        used: float = (self.server.settled() - began) / done / 1000
        return used

    def wave(self, requests: Sequence[tuple[Connection, bytes]], at_once: int = AT_ONCE) -> int:
        """Ask on kept connections, so many at once; each is answered before the next ones ask."""
        for first in range(0, len(requests), at_once):
            part = requests[first : first + at_once]
            for connection, request in part:
                connection.send(request)
            for connection, _ in part:
                connection.receive()
        return len(requests)

    def operator(self) -> Connection:
        """A connection to the operator's door."""
        assert isinstance(self.server, Csipd)
        return Connection(self.server.admin_port, self.fleet, self.fleet.admin)


def _flat(path: str) -> str:
    """A path without folders: what stands for one and has others below it can be no file."""
    return "/" + path.partition("?")[0].strip("/").replace("/", "_")


def options(about: str, devices: int) -> argparse.ArgumentParser:
    """The options that all of these benchmarks have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--devices", type=int, default=devices, help=f"in the store ({devices:,})")
    parser.add_argument(
        "--against", type=Path, help="another checkout, with its .venv: its csipd does the same"
    )
    parser.add_argument("--keep", type=Path, help="a folder for store and certificates, used again next time")
    return parser


@contextmanager
def sides(
    chosen: argparse.Namespace,
    layout: Layout,
    *,
    nginx: bool = True,
    shipped: bool = False,
    cache: int | None = None,
) -> Iterator[list[Side]]:
    """csipd, nginx, and the csipd of the other checkout if one was named: they run until the block ends.

    :param cache: octets of answers that csipd keeps; None: what it ships with
    """
    # Who ends a benchmark ends its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        older = chosen.against
        store, fleet, place = stored(layout, folder, chosen.keep, older or processes.HERE)
        ours = Side(CSIPD, Csipd(place, fleet, shipped=shipped, cache=cache), store, fleet)
        found = [ours]
        if older is not None:
            other = folder / "other"
            shutil.copytree(place / "var", other / "var")
            found.append(Side("other", Csipd(other, fleet, older, shipped), store, fleet))
        for side in found:
            side.server.start()
            stack.callback(side.server.stop)
        if nginx:
            theirs = Side(NGINX, Nginx(folder / "nginx", fleet), store, fleet)
            write_answers(ours, folder / "nginx" / "files")
            theirs.server.start()
            stack.callback(theirs.server.stop)
            found.append(theirs)
            ours.restart()
        for side in found:
            stack.callback(side.connect, ())
        yield found


def stored(layout: Layout, folder: Path, keep: Path | None, checkout: Path) -> tuple[Store, Fleet, Path]:
    """A store, who is in it, and the folder that it lies in: one that was kept, or a new one."""
    place = keep or folder / "csipd"
    note = place / "layout.json"
    if note.exists():
        told = json.loads(note.read_text())
        if told["layout"] != asdict(layout):
            raise SystemExit(f"{place} holds another store: {told['layout']}")
        return stores.found(note.read_text()), Fleet.kept(place / "fleet"), place
    fleet = Fleet.make(layout.known)
    place.mkdir(parents=True, exist_ok=True)
    store = processes.laid_out_by(checkout, place / "var", layout, fleet.lfdis())
    if keep:
        fleet.keep(place / "fleet")
        note.write_text(stores.described(store))
    return store, fleet, place


def write_answers(side: Side, files: Path) -> None:
    """Write what csipd answers to some devices' polls into files."""
    for device in range(1, min(SHOWN, side.store.layout.known) + 1):
        (connection,) = side.connect([device])
        for path in clients.POLL:
            name = _flat(path.format(device % SHOWN))
            (files / name[1:]).write_bytes(connection.ask(side.get(path, device)))


class Operator:
    """Writes to programs, as an operator does."""

    def __init__(self, side: Side) -> None:
        self._connection = side.operator()

    def touch(self, program: int) -> None:
        """Make a control of a program, and cancel it: its list is changed twice, and then as it was."""
        body = {"program": program, "start": stores.AHEAD, "duration": 60, "base": {"opModMaxLimW": 5000}}
        made = self._ask("/admin/controls", body)
        self._ask(f"/admin/controls/{made['items'][0]['number']}/cancel", {})

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        told = json.dumps(body).encode()
        answer: dict[str, Any] = json.loads(
            self._connection.ask(clients.send_body("POST", path, told, "application/json"))
        )
        return answer

    def close(self) -> None:
        self._connection.close()
