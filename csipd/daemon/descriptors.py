"""The limit of open files, of which each connection takes one (case F8).

It is raised as far as this process may: to the hard limit, and as root beyond it. What it still lacks is
taken from the devices' connections, so that operators, the database and certificates always have theirs.
"""

from __future__ import annotations

import resource
from typing import Protocol

from attrs import frozen

#: Open files beside connections: the database, logs, timers, programs that make certificates.
OWN = 100
#: Of a limit that is too low devices leave at most one file in so many to all else.
_SHARE = 4


class System(Protocol):
    """What is used of the ``resource`` module."""

    RLIMIT_NOFILE: int
    RLIM_INFINITY: int

    def getrlimit(self, resource: int, /) -> tuple[int, int]: ...
    def setrlimit(self, resource: int, limits: tuple[int, int], /) -> None: ...


@frozen
class Capacity:
    """How many connections of devices there is room for, and a line where that is less than configured."""

    connections: int
    warning: str | None = None


def make_room(connections: int, reserved: int, system: System = resource, *, sides: int = 1) -> Capacity:
    """Raise the limit for so many connections of devices and ``reserved`` other open files.

    :param sides: 2 where a connection of a device may take two files: one with a proxy and one behind it
    """
    needed = sides * connections + reserved
    limit = _raise_to(needed, system)
    if limit >= needed:
        return Capacity(connections)
    room = max(1, (limit - min(reserved, limit // _SHARE)) // sides)
    return Capacity(
        room,
        f"limits.connections is {connections}, but this process may open {limit} files only: {room} "
        f"connections at most; expected {needed} (LimitNOFILE of csipd.service, OPEN_FILES of "
        "/etc/default/csipd)",
    )


def _raise_to(needed: int, system: System) -> int:
    """The limit after it was raised; one that is high enough stays."""
    soft, hard = system.getrlimit(system.RLIMIT_NOFILE)
    if soft == system.RLIM_INFINITY or soft >= needed:
        return needed
    # Beyond the hard limit only root may go, and not beyond what the kernel has for anybody (fs.nr_open).
    attempts = [(needed, hard if hard == system.RLIM_INFINITY else max(hard, needed))]
    if hard != system.RLIM_INFINITY:
        attempts.append((min(needed, hard), hard))
    for limits in attempts:
        try:
            system.setrlimit(system.RLIMIT_NOFILE, limits)
        except (OSError, ValueError):
            continue
        return limits[0]
    return soft
