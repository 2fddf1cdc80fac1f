"""The proxy as it is run: a process of its own in front of csipd, with sockets and TLS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.support import pki
from tests.support.daemon import LAB, SCRIPTS, Daemon, Device, Place, Process, small_place
from tests.support.ports import free_port

#: What the proxy's log says once it takes requests.
SERVES = "taking devices' requests on"


def proxied_place(folder: Path, *more: str, certificates: bool = True) -> Place:
    """A folder with the configuration of a csipd with a proxy, of dev1 and dev2."""
    port = free_port()
    place = small_place(folder, f"proxy_hostname: 127.0.0.1:{port}", *more, certificates=certificates)
    if certificates:
        pki.write(place.tls, dev2=LAB.device("dev2"))
    place.add("- id: dev2", "  pin: 123455")
    return place


def proxy_port(place: Place) -> int:
    """Where the proxy of a place listens."""
    (line,) = [line for line in place.config.read_text().splitlines() if line.startswith("proxy_hostname: ")]
    return int(line.rpartition(":")[2])


def behind(case: SynchronousTestCase, place: Place, id: str) -> Device:
    """A device's connection by way of the proxy."""
    return Device(case, evolve(place, port=proxy_port(place)), id)


def proxy_command(place: Place, *flags: str) -> Sequence[str]:
    """The old server's command line."""
    return [str(SCRIPTS / "2030_5_proxy"), str(place.config), *flags]


def start_proxy(case: SynchronousTestCase, place: Place, *flags: str) -> Process:
    """Start the proxy, and wait until it takes requests; AssertionError if it does not."""
    process = Process(case, proxy_command(place, *flags), place.folder)
    try:
        process.log.wait_for(SERVES)
    except AssertionError as error:
        raise AssertionError("\n".join((str(error), *process.errors()))) from None
    return process


class ProxiedCase(SynchronousTestCase):
    """csipd with a proxy in front of it."""

    def serve(self, *more: str, certificates: bool = True) -> None:
        """Start both, with further lines of the configuration.

        :param certificates: whether these are there; else csipd makes them
        """
        self.place = proxied_place(Path(self.mktemp()), *more, certificates=certificates)
        self.daemon = Daemon(self, self.place)
        self.daemon.start("--debug")
        self.proxy = start_proxy(self, self.place, "--debug")

    def device(self, id: str) -> Device:
        """A device's connection by way of the proxy."""
        return behind(self, self.place, id)
