"""A link of its own for multicast: a network namespace where one can be made, else the loopback interface.

In a namespace nobody else is on the link, and it has an interface as a real one: with a name, a subnet, and
multicast. Making one takes rights that not every machine gives; then it is 127.0.0.1, on which others may
speak, too. What needs two links has no such way out, and is skipped.
"""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SkipTest, SynchronousTestCase

#: One end of a pair, so that there is a carrier; what is sent is heard by whoever else listens there.
_SETUP = (
    "ip link set lo up && ip link add csipd0 type veth peer name csipd1 && ip link set csipd1 up"
    " && ip addr add 192.0.2.1/24 dev csipd0 && ip link set csipd0 up"
    " && (ip -6 addr add fe80::c51/64 dev csipd0 nodad || true)"
)
#: A pair whose other end is in another namespace, so that what is sent there comes in by this end alone.
_PAIR = (
    "set -e; ip link set lo up; ip link add {near} type veth peer name {far} netns {pid}"
    "; ip addr add {network}.1/24 dev {near}; ip link set {near} up"
    "; ip -6 addr add fe80::c51/64 dev {near} nodad || true"
)
_FAR_END = (
    "set -e; ip addr add {network}.2/24 dev {far}; ip link set {far} up"
    "; ip -6 addr add fe80::c52/64 dev {far} nodad || true"
)


class _Namespace:
    """A network namespace for as long as a test runs.

    :param setup: commands of the shell that are run in it
    :ivar pid: a process in it; None where it cannot be made
    """

    def __init__(self, case: SynchronousTestCase, setup: str = "true") -> None:
        self.pid: int | None = None
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            return
        holder = subprocess.Popen(
            ("unshare", "-n", "sh", "-c", f"{setup} && echo ready && exec cat"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert holder.stdin is not None and holder.stdout is not None
        case.addCleanup(holder.wait)
        case.addCleanup(holder.stdout.close)
        case.addCleanup(holder.stdin.close)
        if holder.stdout.readline() == "ready\n":
            self.pid = holder.pid

    def there(self, *command: str) -> list[str]:
        """A command as it is run in it."""
        return [*(() if self.pid is None else ("nsenter", "-t", str(self.pid), "-n")), *command]


class TestLink:
    """A link, for as long as a test runs.

    :ivar interface: its name
    :ivar address: this machine's on it
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self._namespace = _Namespace(case, _SETUP)
        made = self._namespace.pid is not None
        self.interface, self.address = ("csipd0", "192.0.2.1") if made else ("lo", "127.0.0.1")

    def there(self, *command: str) -> list[str]:
        """A command as it is run on the link."""
        return self._namespace.there(*command)


class TwoLinks:
    """A machine on two links, and a neighbour that is on both; for as long as a test runs.

    The machine has ``csipd0`` with 192.0.2.1 and ``csipd2`` with 198.51.100.1, the neighbour ``csipd1`` with
    192.0.2.2 and ``csipd3`` with 198.51.100.2. Raises SkipTest where that cannot be made.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self._machine, self._neighbour = _Namespace(case), _Namespace(case)
        pid = self._neighbour.pid
        if self._machine.pid is None or pid is None:
            raise SkipTest("two links need network namespaces, and this machine lets none be made")
        for near, far, network in (("csipd0", "csipd1", "192.0.2"), ("csipd2", "csipd3", "198.51.100")):
            for run_in, commands in ((self.there, _PAIR), (self.at_neighbour, _FAR_END)):
                script = commands.format(near=near, far=far, network=network, pid=pid)
                made = subprocess.run(run_in("sh", "-c", script), capture_output=True, text=True, check=False)
                if made.returncode != 0:
                    raise SkipTest(f"two links need pairs of interfaces, and none was made: {made.stderr}")

    def there(self, *command: str) -> list[str]:
        """A command as it is run on the machine."""
        return self._machine.there(*command)

    def at_neighbour(self, *command: str) -> list[str]:
        """A command as it is run on the neighbour."""
        return self._neighbour.there(*command)
