"""What requests cost the server: `python -m benchmarks.get`.

`twistd csipd` in a process of its own, over TLS 1.2 with ECDHE-ECDSA-AES128-CCM8 and client certificates on
the loopback interface, asked by this process on kept connections: a GET that was answered before, one that
was not, a durable PUT, and what a device does when it polls, a handshake with eight GETs. What counts is the
server's CPU, as the kernel counts it. Where nginx is installed it serves the same answers from files, with
the same certificates and the same cipher: the ratio is to be trusted more than any figure.
"""

from __future__ import annotations

import argparse
import shutil
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attrs import frozen

from benchmarks import lab
from csipd.sep2 import codec
from tests.support import pki
from tests.support.pki import Credential

CONNECTIONS = (1, 4, 16)
REPEATS = 5
DEVICES = 1_000
#: What a device asks for when it polls.
POLL = (
    "/dcap",
    "/tm",
    "/edev",
    "/edev/{}",
    "/edev/{}/fsa",
    "/edev/{}/der",
    "/edev/{}/rg",
    "/edev/{}/der/1/ders",
)

#: Makes the octets of the next request of a device.
Next = Callable[[int], bytes]


@frozen
class Side:
    """A server and who asks it: for each device its number and its TLS.

    :param spelled: how a path is spelled there
    """

    server: lab.Process
    askers: tuple[tuple[int, ssl.SSLContext], ...]
    spelled: Callable[[str], str] = str

    @contextmanager
    def connected(self, number: int) -> Iterator[list[tuple[int, lab.Connection]]]:
        """So many devices with a connection each."""
        with ExitStack() as stack:
            found = []
            for device, context in self.askers[:number]:
                connection = lab.Connection(self.server.port, context)
                stack.callback(connection.close)
                found.append((device, connection))
            yield found

    def cpu_of(self, work: Callable[[], int]) -> float:
        """Microseconds of the server's CPU for each of the pieces of work that `work` says it did."""
        began = self.server.cpu()
        done = work()
        return 1e6 * (self.server.cpu() - began) / done


def main() -> None:
    options = argparse.ArgumentParser(description="Measure the server's CPU of requests.")
    options.add_argument("--requests", type=int, default=20_000, help="of a cached GET; fewer of dearer ones")
    requests = options.parse_args().requests
    credentials = [lab.LAB.device(f"bench {number}") for number in range(max(CONNECTIONS))]
    with TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        first = DEVICES - len(credentials) + 1
        known = [*(one.lfdi for one in credentials), lab.lfdi(DEVICES + 1)]
        lab.build(folder / "var", DEVICES, 0, known)
        contexts = [lab.client_context(folder, one) for one in credentials]
        askers = tuple(zip(range(first, DEVICES + 1), contexts, strict=True))
        ours = Side(stack.enter_context(lab.csipd(folder)), askers)
        theirs = _nginx(folder, ours, stack)
        compare(ours, theirs, requests)


def compare(ours: Side, theirs: Side | None, requests: int) -> None:
    """Print the figures of csipd, and of nginx where it is."""
    numbers = count()
    status = codec.encode(lab.DER_STATUS)

    def cached(side: Side, path: str) -> Next:
        return lambda device: lab.get(side.spelled(path.format(device)))

    def uncached(path: str) -> Next:
        # A parameter that nobody knows makes it another request for the same document.
        return lambda device: lab.get(f"{path.format(device)}?x={next(numbers)}")

    def put(device: int) -> bytes:
        return lab.put(f"/edev/{device}/der/1/ders", status)

    print(f"us of server CPU a request, medians of {REPEATS}; connections: {'':10}", end="")
    print("".join(f"{number:>10}" for number in CONNECTIONS))
    mine = row("csipd, GET /edev/{}, cached", ours, cached(ours, "/edev/{}"), requests)
    if theirs is not None:
        static = row("nginx, GET /edev/{}, a file", theirs, cached(theirs, "/edev/{}"), requests)
        ratios = "".join(f"{one / other:10.2f}" for one, other in zip(mine, static, strict=True))
        print(f"{'ratio':60}{ratios}")
    for path in ("/tm", "/dcap", "/edev/{}", "/edev/{}/der/1/ders", "/edev/{}/fsa/1/derp"):
        row(f"csipd, GET {path}, not cached", ours, uncached(path), requests // 10)
    row("csipd, PUT of a DERStatus, durable", ours, put, requests // 10)
    polls = requests // 100
    mine_poll = poll(ours, polls)
    print(f"\na handshake and {len(POLL)} GETs: csipd {mine_poll:,.0f} us", end="")
    if theirs is not None:
        their_poll = poll(theirs, polls)
        print(f", nginx {their_poll:,.0f} us, ratio {mine_poll / their_poll:.2f}", end="")
    print(f"\ncsipd's memory at most: {lab.mebibytes(ours.server.peak())}")


def row(name: str, side: Side, request: Next, requests: int) -> list[float]:
    """Print and give the medians of a kind of request for each number of connections."""
    found = []
    for number in CONNECTIONS:
        with side.connected(number) as connected:

            def work(rounds: int, connected: list[tuple[int, lab.Connection]] = connected) -> int:
                for _ in range(rounds):
                    for device, connection in connected:
                        connection.send(request(device))
                    for _, connection in connected:
                        connection.receive()
                return rounds * len(connected)

            rounds = requests // number
            work(max(rounds // 20, 1))
            found.append(median(side.cpu_of(lambda: work(rounds)) for _ in range(REPEATS)))  # noqa: B023 - at once
    print(f"{name:60}" + "".join(f"{figure:10.0f}" for figure in found))
    return found


def poll(side: Side, polls: int) -> float:
    """Microseconds of the server's CPU for a device that connects, asks for what it polls, and leaves."""

    def work() -> int:
        for number in range(polls):
            device, context = side.askers[number % len(side.askers)]
            connection = lab.Connection(side.server.port, context)
            for path in POLL:
                connection.send(lab.get(side.spelled(path.format(device))))
                connection.receive()
            connection.close()
        return polls

    work()
    return median(side.cpu_of(work) for _ in range(REPEATS))


# --- nginx


def _nginx(folder: Path, ours: Side, stack: ExitStack) -> Side | None:
    """nginx with what csipd answers to each of the askers, in files; None where it is not installed."""
    program = shutil.which("nginx")
    if program is None:
        print("nginx is not installed: nothing to compare with")
        return None
    place = folder / "nginx"
    place.mkdir()
    (place / "files").mkdir()
    for path, answer in _answers(ours).items():
        (place / "files" / _flat(path)[1:]).write_bytes(answer)
    port = lab.free_port()
    _write_configuration(place, lab.LAB.server("127.0.0.1", "localhost"), port)
    command = [program, "-p", str(place), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
    master = stack.enter_context(lab.running(command, place, port))
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
    return Side(lab.Process(tuple(map(int, children)), port), ours.askers, _flat)


def _flat(path: str) -> str:
    """A path without folders: what stands for one and has others below it can be no file."""
    return "/" + path.strip("/").replace("/", "_")


def _answers(side: Side) -> Mapping[str, bytes]:
    found = {}
    with side.connected(len(side.askers)) as connected:
        for device, connection in connected:
            for path in POLL:
                connection.send(lab.get(path.format(device)))
                found[path.format(device)] = connection.receive().partition(b"\r\n\r\n")[2]
    return found


def _write_configuration(place: Path, server: Credential, port: int) -> None:
    (place / "server.crt").write_bytes(server.chain_pem)
    (place / "server.pem").write_bytes(server.key_pem)
    (place / "root.crt").write_bytes(pki.pem(lab.LAB.der))
    (place / "nginx.conf").write_text(
        f"""\
user root;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 900;
  default_type application/sep+xml;
  open_file_cache max=1000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate server.crt;
    ssl_certificate_key server.pem;
    ssl_client_certificate root.crt;
    ssl_verify_client on;
    ssl_protocols TLSv1.2;
    ssl_ciphers {lab.CIPHERS};
    ssl_ecdh_curve prime256v1;
    ssl_session_cache off;
    ssl_session_tickets off;
    root files;
  }}
}}
"""
    )


if __name__ == "__main__":
    main()
