"""csipd as it is run: a process of its own, with its folder, its port and its log.

    daemon = Daemon(case, small_configuration(folder))
    daemon.start()
    answer = daemon.device("dev1").get("/dcap")
    daemon.kill()                        # as a power cut would
    daemon.start()
    code = daemon.stop()

The other side is another process, so that this one needs no reactor: what is asked of it blocks, and every
wait has an end. `serve_here` runs it in this process instead, where a test has to reach into it.
"""

from __future__ import annotations

import ssl
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from hashlib import sha256
from http.client import HTTPSConnection
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from csipd import config
from csipd.daemon import start
from csipd.daemon.services import build
from csipd.daemon.start import StartOptions
from tests.support import pki
from tests.support.client import CCM8, SEP_XML, Answer, Client, ClientTLS, connect
from tests.support.pki import Authority, Credential
from tests.support.ports import free_port

SCRIPTS = Path(sysconfig.get_path("scripts"))
SEED = Path(__file__).resolve().parent.parent / "vectors" / "seed-config.yml"
OPENSSL_CNF = Path(__file__).resolve().parent.parent.parent / "openssl.cnf"

#: Seconds that anything here may take before the test fails; far more than it does.
TIMEOUT = 60.0

LAB = Authority.make()


@frozen
class Place:
    """A folder that csipd is started from: its configuration, and what that names."""

    folder: Path
    port: int
    admin_port: int

    @property
    def config(self) -> Path:
        return self.folder / "config.yml"

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    @property
    def database(self) -> Path:
        return self.folder / "var" / "csipd.sqlite"

    def add(self, *lines: str) -> None:
        """Add lines to the end of the configuration."""
        with self.config.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


def small_place(
    folder: Path, *more: str, mode: str = "enddevices_create_on_start", certificates: bool = True
) -> Place:
    """A folder with a configuration of dev1, as a rule with certificates: then a start takes half a second.

    :param more: lines of the configuration
    :param mode: server_mode
    """
    folder = folder.absolute()
    folder.mkdir()
    place = Place(folder, free_port(), free_port())
    place.config.write_text(
        f"server: 127.0.0.1\n"
        f"https_port: {place.port}\n"
        f"admin_port: {place.admin_port}\n"
        f"tls_repository: {place.tls}\n"
        f"storage_path: {place.database.parent}\n"
        f"openssl_cnf: {folder / 'openssl.cnf'}\n"
        f"server_mode: {mode}\n"
    )
    place.add(*more, "devices:", "- id: dev1", "  pin: 111115")
    (folder / "openssl.cnf").write_bytes(OPENSSL_CNF.read_bytes())
    if certificates:
        servers = {"127.0.0.1": LAB.server("127.0.0.1", "localhost")}
        pki.write(place.tls, LAB, dev1=LAB.device("dev1"), **servers)
    return place


def seed_place(folder: Path, *replaced: tuple[str, str]) -> Place:
    """A folder with the seed's configuration as it stands, but for the ports and what is `replaced`."""
    folder = folder.absolute()
    folder.mkdir()
    place = Place(folder, free_port(), free_port())
    text = SEED.read_text()
    ports = f"https_port: {place.port}\nadmin_port: {place.admin_port}"
    for old, new in (("https_port: 7443", ports), *replaced):
        if text.count(f"\n{old}\n") != 1:
            raise AssertionError(f"the seed's configuration has no single line {old!r}")
        text = text.replace(f"\n{old}\n", f"\n{new}\n")
    place.config.write_text(text)
    (folder / "openssl.cnf").write_bytes(OPENSSL_CNF.read_bytes())
    return place


def certificate_of(place: Place, id: str) -> bytes:
    """The certificate of an id, in DER: the first of its file, in which the issuers follow."""
    chain = x509.load_pem_x509_certificates((place.tls / "certs" / f"{id}.crt").read_bytes())
    return chain[0].public_bytes(Encoding.DER)


def twistd(place: Place, *flags: str) -> list[str]:
    """The command that the init script and systemd run, in the foreground."""
    return [
        str(SCRIPTS / "twistd"),
        "--nodaemon",
        "--pidfile=",
        "csipd",
        "--config",
        str(place.config),
        *flags,
    ]


def run(folder: Path, *command: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """What comes of a command that ends by itself."""
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        **how,
    )


class Lines:
    """What a process writes, as it comes; whoever waits for a line is told."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: list[str] = []
        self._ended = False
        self._changed = Condition()
        Thread(target=self._gather, args=(stream,), daemon=True).start()

    def __call__(self) -> list[str]:
        """All lines so far."""
        with self._changed:
            return list(self._lines)

    def wait_for(self, part: str, times: int = 1) -> None:
        """Wait until so many lines hold this; AssertionError if they never do."""

        def there() -> bool:
            return self._ended or sum(part in line for line in self._lines) >= times

        with self._changed:
            in_time = self._changed.wait_for(there, TIMEOUT)
            if not in_time or sum(part in line for line in self._lines) < times:
                raise AssertionError(f"no line with {part!r} in\n" + "\n".join(self._lines))

    def wait_until(self, is_there: Callable[[list[str]], bool]) -> None:
        """Wait until the lines so far are as they should be; AssertionError if they never are."""
        with self._changed:
            in_time = self._changed.wait_for(lambda: self._ended or is_there(self._lines), TIMEOUT)
            if not in_time or not is_there(self._lines):
                raise AssertionError("not what should be there:\n" + "\n".join(self._lines))

    def all(self) -> list[str]:
        """All lines of a process that has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, TIMEOUT)
            return list(self._lines)

    def _gather(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Process:
    """A program that runs until it is stopped, and not beyond the test."""

    def __init__(self, case: SynchronousTestCase, command: Sequence[str], folder: Path) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self.log = Lines(self._process.stdout)
        self.errors = Lines(self._process.stderr)
        case.addCleanup(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end, as an init system does; its exit code."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """End it at once, without its knowing."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float = TIMEOUT) -> int:
        """Its exit code, once it has ended; subprocess.TimeoutExpired if that takes longer than this."""
        return self._process.wait(seconds)


class Daemon:
    """csipd in a place of its own: started, stopped and started again."""

    def __init__(self, case: SynchronousTestCase, place: Place) -> None:
        self.place = place
        self._case = case
        self.process: Process

    def start(self, *flags: str, command: Callable[..., list[str]] = twistd) -> Process:
        """Start it and wait until it serves; AssertionError with its last words if it does not."""
        self.process = Process(self._case, command(self.place, *flags), self.place.folder)
        try:
            self.process.log.wait_for("serving IEEE 2030.5 on")
        except AssertionError as error:
            raise AssertionError("\n".join((str(error), *self.process.errors()))) from None
        return self.process

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self.process.stop()

    def kill(self) -> None:
        """SIGKILL: nothing is written, closed or said."""
        self.process.kill()

    def device(self, id: str) -> Device:
        """A connection of a device that has its key and certificate here."""
        return Device(self._case, self.place, id)


class Device:
    """One kept connection of a device. It is never opened anew: what fails on it fails the test."""

    def __init__(self, case: SynchronousTestCase, place: Place, id: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers(f"{CCM8}:@SECLEVEL=0")
        context.load_verify_locations(place.tls / "certs" / "ca.crt")
        context.load_cert_chain(place.tls / "certs" / f"{id}.crt", place.tls / "private" / f"{id}.pem")
        self._connection = HTTPSConnection("127.0.0.1", place.port, timeout=TIMEOUT, context=context)
        self._connection.connect()
        self._connection.auto_open = 0
        case.addCleanup(self.close)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close; a daemon that stops waits a moment for that."""
        self._connection.close()

    @property
    def server_certificate(self) -> bytes:
        """What the server showed when this connection was made (DER)."""
        shown: bytes = self._connection.sock.getpeercert(binary_form=True)
        return shown

    def get(self, path: str, accept: str = SEP_XML) -> Answer:
        return self.request("GET", path, accept=accept)

    def put(self, path: str, body: bytes) -> Answer:
        return self.request("PUT", path, body)

    def post(self, path: str, body: bytes) -> Answer:
        return self.request("POST", path, body)

    def request(self, method: str, path: str, body: bytes | None = None, accept: str = SEP_XML) -> Answer:
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": SEP_XML})
        self._connection.request(method, path, body, headers)
        with self._connection.getresponse() as answer:
            fields = tuple((name.lower(), value) for name, value in answer.getheaders())
            return Answer(answer.status, answer.reason, fields, answer.read())


def serve_here(case: TestCase, place: Place, **options: Any) -> MultiService:
    """csipd in this process, on its reactor, with the certificates that are there; its tree of services."""
    ready = start.prepare(config.load(place.config), StartOptions(make_certificates=False, **options))
    tree = build(ready, reactor)
    tree.privilegedStartService()
    tree.startService()
    case.addCleanup(lambda: tree.stopService() if tree.running else None)
    return tree


async def connect_here(case: TestCase, place: Place, device: Credential) -> Client:
    """A connection of a device to a csipd in this process."""
    client = await connect(reactor, place.port, ClientTLS(device, trust=LAB))
    case.addCleanup(client.close)
    return client


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that lies in a folder: mode and owner of each, of files when they changed and what they hold."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        held: tuple[object, ...] = ()
        if path.is_file():
            held = (status.st_mtime_ns, sha256(path.read_bytes()).hexdigest())
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_uid, status.st_gid, *held)
    return found
