"""How many connections the kernel keeps until csipd accepts them: a fleet comes back all at once.

A connection beyond that is dropped by the kernel, and its device tries again after one second, three, seven.
The kernel cuts what is asked for to a limit of its own, and does not say so.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

#: Where Linux has its limit.
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


@frozen
class Backlog:
    """How many there is room for, and a line where that is less than configured."""

    connections: int
    warning: str | None = None


def make_backlog(wanted: int, limit: Path = _SOMAXCONN) -> Backlog:
    """As much as is wanted, or as the system allows.

    :param limit: the file with the system's limit; where there is none nothing is cut
    """
    try:
        most = int(limit.read_text())
    except (OSError, ValueError):
        return Backlog(wanted)
    if wanted <= most:
        return Backlog(wanted)
    return Backlog(
        most,
        f"limits.listen_backlog is {wanted}, but this system keeps {most} waiting connections at most "
        "(net.core.somaxconn)",
    )
