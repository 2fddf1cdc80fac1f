"""Server processes, started and stopped, and seen through the kernel.

CPU is what the scheduler counts of each thread, in nanoseconds: ticks of a hundredth of a second would hide
a cached GET altogether. Loads come from another process than the one that is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from benchmarks import fleets, stores
from benchmarks.fleets import Fleet
from benchmarks.stores import Layout, Store
from tests.support import pki

HERE = Path(__file__).parent.parent
#: Seconds that a process may take to begin serving.
TIMEOUT = 300
#: Quotas that a few devices which ask as fast as they can do not meet: they are kept all the same.
_WIDE = (
    "requests_per_second: 1000000, handshakes_per_second: 1000000, address_handshakes_per_second: 1000000, "
    "connections_per_device: 100000"
)


class Server:
    """A server process that listens on `port`, once `start` has returned."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder = folder
        self._command = command
        self._process: subprocess.Popen[Any] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(self._command, cwd=self.folder, stdout=log, stderr=log)
        self.wait()

    def wait(self) -> None:
        """Wait until it listens."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            if self._process is not None and self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text())
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"nothing listens on port {self.port}")

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Have it begin anew: with nothing in memory."""
        self.stop()
        self.start()

    @property
    def pids(self) -> Iterable[int]:
        """The processes that do the work."""
        assert self._process is not None
        return (self._process.pid,)

    def keep_to(self, cores: Iterable[int]) -> None:
        """Have all of its threads run on these cores alone."""
        for pid in self.pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores)

    def cpu(self) -> int:
        """Nanoseconds of CPU that all of its threads have used so far."""
        return sum(
            int(path.read_text().split()[0])
            for pid in self.pids
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )

    def settled(self) -> int:
        """The same, once it has nothing more to do for the moment."""
        seen, quiet = self.cpu(), 0
        for _ in range(1000):
            time.sleep(0.003)
            now = self.cpu()
            quiet = quiet + 1 if now == seen else 0
            if quiet == 3:
                break
            seen = now
        return self.cpu()

    def memory(self, what: str = "VmRSS") -> int:
        """Octets of memory that it holds now; VmHWM: held at most."""
        return 1024 * sum(
            int(line.split()[1])
            for pid in self.pids
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith(what + ":")
        )


class Csipd(Server):
    """`twistd csipd` over the store in `folder`/var, for a fleet and an operator.

    :param checkout: whose code runs
    :param shipped: whether the quotas are those of a configuration that says nothing of them
    :param cache: octets of answers that it keeps; None: what it ships with
    :param more: further lines of its configuration
    """

    def __init__(
        self,
        folder: Path,
        fleet: Fleet,
        checkout: Path = HERE,
        shipped: bool = False,
        cache: int | None = None,
        more: Sequence[str] = (),
    ) -> None:
        super().__init__(folder.absolute(), _twistd(checkout, "csipd"))
        self.admin_port = free_port()
        # A fleet that was kept has certificates of its own for these each time.
        shutil.rmtree(folder / "tls", ignore_errors=True)
        pki.write(folder / "tls", fleet.authority, **{"127.0.0.1": fleet.server, "proxy": fleet.proxy})
        shutil.copy(HERE / "openssl.cnf", folder)
        limits = [] if shipped else [_WIDE]
        if cache is not None:
            limits.append(f"answer_cache: {cache}")
        (folder / "config.yml").write_text(
            f"server: 127.0.0.1\nhttps_port: {self.port}\nadmin_port: {self.admin_port}\n"
            f"tls_repository: {self.folder / 'tls'}\nstorage_path: {self.folder / 'var'}\n"
            f"openssl_cnf: {self.folder / 'openssl.cnf'}\nserver_mode: enddevices_create_on_start\n"
            f"operators: [{{name: benchmark, fingerprint: {_fingerprint(fleet)}}}]\n"
            + (f"limits: {{{', '.join(limits)}}}\n" if limits else "")
            + "".join(f"{line}\n" for line in more)
        )


class Proxied(Server):
    """A csipd, and a proxy in front of it that devices ask; it works as much as both do.

    :param behind: the csipd, which has to have been started once with the proxy's port in its configuration
    """

    def __init__(self, behind: Csipd, port: int) -> None:
        super().__init__(behind.folder / "proxy", _twistd(HERE, "csipd-proxy", "../config.yml"))
        self.folder.mkdir(exist_ok=True)
        self._behind = behind
        self.port = port

    @property
    def pids(self) -> Iterable[int]:
        return (*super().pids, *self._behind.pids)


class ProxiedInside(Server):
    """A csipd that devices ask by way of the proxy inside of it, which starts and stops it.

    :param behind: the csipd
    """

    def __init__(self, behind: Csipd, port: int) -> None:
        super().__init__(behind.folder, ())
        self._behind = behind
        self.port = port

    @property
    def pids(self) -> Iterable[int]:
        return self._behind.pids


def _twistd(checkout: Path, plugin: str, config: str = "config.yml") -> list[str]:
    run = "from twisted.scripts.twistd import run; run()"
    return [python_of(checkout), "-c", run, "--nodaemon", "--pidfile=", plugin, "--config", config]


def _fingerprint(fleet: Fleet) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256

    return str(fleet.admin.certificate.fingerprint(SHA256()).hex())


class Nginx(Server):
    """nginx with one worker over the files in `folder`/files. RuntimeError if it is not installed."""

    def __init__(self, folder: Path, fleet: Fleet) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError("nginx is not installed: there is nothing to compare with")
        super().__init__(
            folder, [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]
        )
        (folder / "files").mkdir(parents=True)
        (folder / "server.crt").write_bytes(fleet.server.chain_pem)
        (folder / "server.pem").write_bytes(fleet.server.key_pem)
        (folder / "root.crt").write_bytes(fleet.authority.cert_pem)
        (folder / "nginx.conf").write_text(_NGINX.format(port=self.port, ciphers=fleets.CIPHERS))

    @property
    def pids(self) -> Iterable[int]:
        (master,) = super().pids
        return map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())


_NGINX = """\
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid nginx.pid;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 900;
  default_type application/sep+xml;
  open_file_cache max=1000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate server.crt;
    ssl_certificate_key server.pem;
    ssl_client_certificate root.crt;
    ssl_verify_client on;
    ssl_protocols TLSv1.2;
    ssl_ciphers {ciphers};
    ssl_ecdh_curve prime256v1;
    ssl_session_cache off;
    ssl_session_tickets off;
    root files;
  }}
}}
"""


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def python_of(checkout: Path) -> str:
    """The Python that runs a checkout's csipd."""
    return sys.executable if checkout == HERE else str(checkout / ".venv" / "bin" / "python")


def laid_out_by(checkout: Path, folder: Path, layout: Layout, known: Sequence[str]) -> Store:
    """Have a checkout's csipd make a store: of two the older one, since a newer one migrates it."""
    # Its csipd and these benchmarks: each package is taken from where its folder stands first on the path.
    run = (
        f"import sys; sys.path.insert(0, {str(checkout.absolute())!r}); import csipd; "
        f"sys.path.insert(0, {str(HERE)!r}); from benchmarks import stores; stores.main()"
    )
    told = json.dumps({"folder": str(folder.absolute()), "layout": asdict(layout), "known": list(known)})
    command = [python_of(checkout), "-c", run]
    done = subprocess.run(command, input=told.encode(), check=True, stdout=subprocess.PIPE, cwd=HERE)
    return stores.found(done.stdout.decode())
