"""A link of its own for multicast: a network namespace where one can be made, else the loopback interface.

In a namespace nobody else is on the link, and it has an interface as a real one: with a name, a subnet, and
multicast. Making one takes rights that not every machine gives; then it is 127.0.0.1, on which others may
speak, too.
"""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SynchronousTestCase

#: One end of a pair, so that there is a carrier; what is sent is heard by whoever else listens there.
_SETUP = (
    "ip link set lo up && ip link add csipd0 type veth peer name csipd1 && ip link set csipd1 up"
    " && ip addr add 192.0.2.1/24 dev csipd0 && ip link set csipd0 up"
    " && (ip -6 addr add fe80::c51/64 dev csipd0 nodad || true) && echo ready && exec cat"
)


class TestLink:
    """A link, for as long as a test runs.

    :ivar interface: its name
    :ivar address: this machine's on it
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        self._prefix: tuple[str, ...] = ()
        self.interface, self.address = "lo", "127.0.0.1"
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            return
        holder = subprocess.Popen(
            ("unshare", "-n", "sh", "-c", _SETUP),
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
            self._prefix = ("nsenter", "-t", str(holder.pid), "-n")
            self.interface, self.address = "csipd0", "192.0.2.1"

    def there(self, *command: str) -> list[str]:
        """A command as it is run on the link."""
        return [*self._prefix, *command]
