"""What the benchmarks share: large stores made fast, csipd as a process of its own, clients, and CPU times.

Processes are measured from outside, by what the kernel says of them; loads come from another process than
the one that is measured. Nothing is left behind: each benchmark works in a temporary folder.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import controls, engine, programs, tables
from csipd.db.database import Transaction
from csipd.db.groups import assignment, put_group
from csipd.sep2 import codec, identity
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer
from csipd.sep2.ordering import order_key
from csipd.sep2.site import ROWS
from tests.support import pki
from tests.support.pki import Authority, Credential

NOW = 1_700_000_000
ISSUER = Issuer(store=1, pen=32473)
LAB = Authority.make()
CIPHERS = "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"
#: Seconds that a process may take to begin serving.
TIMEOUT = 120

DER_STATUS = r.DERStatus(
    alarmStatus=2,
    genConnectStatus=r.ConnectStatusType(dateTime=NOW, value=7),
    inverterStatus=r.InverterStatusType(dateTime=NOW, value=4),
    operationalModeStatus=r.OperationalModeStatusType(dateTime=NOW, value=2),
    readingTime=NOW,
    stateOfChargeStatus=r.StateOfChargeStatusType(dateTime=NOW, value=5000),
)

# --- stores


def lfdi(number: int) -> str:
    """The LFDI of a device whose certificate nobody has."""
    return sha256(b"%d" % number).hexdigest()[:40].upper()


@frozen
class Store:
    """A store with many devices.

    Devices are numbered from 1; each has a DER and its DERStatus, and is in one of 90 feeders, below one of
    9 substations, below the system: 100 groups, each with a program that has a default and two controls.

    :param devices: how many there are
    :param aggregator: the number of one that manages the devices up to `fleet`
    """

    url: str
    devices: int
    aggregator: int
    fleet: int
    feeders: tuple[int, ...]


def build(folder: Path, number: int, fleet: int, known: Sequence[str] = ()) -> Store:
    """Make a store and fill it.

    :param known: LFDIs of the last devices; the very last is the aggregator's
    """
    folder.mkdir()
    url = engine.sqlite_url(folder)
    engine.prepare(url)
    opened = engine.make_engine(url, immediate=True)
    with opened.begin() as connection:
        feeders = _groups(Transaction(connection))
    _devices(opened, number, fleet, known, feeders)
    opened.dispose()
    return Store(url, number, number + 1, fleet, feeders)


def _groups(transaction: Transaction) -> tuple[int, ...]:
    fsa = assignment(transaction, "Topology")

    def group(name: str, level: int, parent: int | None) -> int:
        made = put_group(transaction, name, parent=parent, level=level, assignment=fsa)
        program = programs.add(transaction, ISSUER, made, f"Program of {name}", 10 - level)
        base = r.DERControlBase(opModMaxLimW=9000)
        default = r.DefaultDERControl(mRID="0", DERControlBase=base)
        programs.set_default(transaction, ISSUER, program, default, NOW)
        for hour in (1, 2):
            control = r.DERControl(
                mRID="0",
                creationTime=NOW,
                EventStatus=r.EventStatus(currentStatus=0, dateTime=NOW, potentiallySuperseded=False),
                # Far ahead, so that what is shown does not change while it is measured.
                interval=r.DateTimeInterval(duration=3600, start=2 * NOW + 3600 * hour),
                DERControlBase=base,
            )
            controls.add(transaction, ISSUER, program, control)
        return made

    system = group("System", 0, None)
    substations = [group(f"Substation {number}", 2, system) for number in range(9)]
    return tuple(group(f"Feeder {number}", 3, substations[number % 9]) for number in range(90))


def _devices(
    opened: sa.Engine, number: int, fleet: int, known: Sequence[str], feeders: tuple[int, ...]
) -> None:
    boss = number + 1
    names = dict(zip(range(boss - len(known) + 1, boss + 1), known, strict=True))
    numbers = range(1, boss)

    def device(one: int) -> dict[str, Any]:
        name = names.get(one) or lfdi(one)
        return {
            "id": one,
            "lfdi": name,
            "sfdi": identity.sfdi(name),
            "aggregator": one == boss,
            "registered": NOW,
            "pin": 111115,
            "changed_time": NOW + one % 1000,
            "manager": boss if one <= fleet or one == boss else None,
            "fleet": fleet + 1 if one == boss else 0,
        }

    insert(opened, tables.devices, map(device, (boss, *numbers)))
    insert(
        opened,
        tables.memberships,
        ({"device": one, "group": feeders[one % len(feeders)], "since": NOW} for one in numbers),
    )
    list_row, der = ROWS["DERList"], codec.encode(r.DER())
    status = codec.encode(DER_STATUS)
    order = order_key(list_row, r.DER(), 1)
    insert(
        opened,
        tables.lists,
        ({"href": f"/edev/{one}/der", "members": 1, "last": 1} for one in numbers),
    )
    insert(
        opened,
        tables.documents,
        (
            {
                "href": f"/edev/{one}/der/1",
                "list": f"/edev/{one}/der",
                "order": order,
                "device": one,
                "changed": NOW,
                "body": der,
            }
            for one in numbers
        ),
    )
    insert(
        opened,
        tables.documents,
        (
            {"href": f"/edev/{one}/der/1/ders", "device": one, "changed": NOW, "body": status}
            for one in numbers
        ),
    )
    counts = [0] * len(feeders)
    for one in range(1, fleet + 1):
        counts[one % len(feeders)] += 1
    insert(
        opened,
        tables.fleets,
        (
            {"manager": boss, "group": group, "members": members}
            for group, members in zip(feeders, counts, strict=True)
        ),
    )


def insert(opened: sa.Engine, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
    """Insert many rows fast."""
    rows = iter(rows)
    while chunk := list(islice(rows, 20_000)):
        with opened.begin() as connection:
            connection.execute(sa.insert(table), chunk)


# --- processes


@frozen
class Process:
    """A server process, seen through the kernel; `pids` are those that do the work."""

    pids: tuple[int, ...]
    port: int

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak(self) -> int:
        """Octets of memory that it held at most."""
        total = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) * 1024
        return total


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def csipd(folder: Path) -> Iterator[Process]:
    """`twistd csipd` over the store in `folder`/var, until the block ends. It trusts what LAB issues."""
    folder = folder.absolute()
    port = free_port()
    if not (folder / "tls").exists():
        pki.write(folder / "tls", LAB, **{"127.0.0.1": LAB.server("127.0.0.1", "localhost")})
    (folder / "openssl.cnf").write_bytes((Path(__file__).parent.parent / "openssl.cnf").read_bytes())
    (folder / "config.yml").write_text(
        f"server: 127.0.0.1\nhttps_port: {port}\nadmin_port: {free_port()}\n"
        f"tls_repository: {folder / 'tls'}\nstorage_path: {folder / 'var'}\n"
        f"openssl_cnf: {folder / 'openssl.cnf'}\nserver_mode: enddevices_create_on_start\n"
        # A few devices ask as fast as they can: the quotas are kept, with figures that they do not meet.
        "limits: {requests_per_second: 1000000, handshakes_per_second: 1000000, "
        "address_handshakes_per_second: 1000000}\n"
    )
    run = "from twisted.scripts.twistd import run; run()"
    command = [sys.executable, "-c", run, "--nodaemon", "--pidfile=", "csipd", "--config", "config.yml"]
    with running(command, folder, port) as process:
        yield Process((process.pid,), port)


@contextmanager
def running(command: Sequence[str], folder: Path, port: int) -> Iterator[subprocess.Popen[Any]]:
    """A server, from when it listens on its port until the block ends."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for_port(port, process, folder / "log")
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[Any], log: Path) -> None:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


# --- clients


def client_context(folder: Path, credential: Credential) -> ssl.SSLContext:
    """The TLS of a device: CCM-8 alone, its certificate, and LAB's root to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.load_verify_locations(cadata=LAB.cert_pem.decode())
    combined = folder / f"{credential.lfdi}.pem"
    combined.write_bytes(credential.chain_pem + credential.key_pem)
    context.load_cert_chain(combined)
    return context


class Connection:
    """A kept connection. Requests are octets; an answer is read before the next request is sent."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain)

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def receive(self) -> bytes:
        """One whole answer; RuntimeError if it is none of success."""
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[:end].lower()
        if not head.startswith((b"http/1.1 200", b"http/1.1 204")):
            raise RuntimeError(data.decode("utf-8", "replace"))
        mark = head.find(b"content-length:")
        size = int(head[mark:].split(b"\r\n", 1)[0].split(b":")[1]) if mark >= 0 else 0
        while len(data) < end + 4 + size:
            data += self._more()
        return data

    def _more(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise RuntimeError("the server hung up")
        return data

    def close(self) -> None:
        self._socket.close()


def get(path: str) -> bytes:
    """A GET as a device sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/sep+xml\r\n\r\n".encode()


def put(path: str, body: bytes) -> bytes:
    """A PUT as a device sends it."""
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/sep+xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# --- figures


def spent(work: Callable[[], object], times: int) -> float:
    """Seconds of this process's CPU that one piece of work costs."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def middle(measure: Callable[[], float], repeats: int) -> float:
    """The median of a few measurements."""
    return median(measure() for _ in range(repeats))


def mebibytes(octets: int) -> str:
    return f"{octets / 2**20:,.0f} MiB"
