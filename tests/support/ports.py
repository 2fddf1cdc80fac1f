"""Ports for programs that are told theirs in a configuration, and cannot take any that is free.

A port that the system gives for 0 and that is let go again may be given to somebody else, or once more to the
same test, before the program binds it. So these are of a range from which the system gives none by itself,
and of that each process of tests has a part of its own, for as long as it runs.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Final

#: Below those that Linux and others give (``net.ipv4.ip_local_port_range``), and above the well-known ones.
_FIRST: Final = 20_000
_PARTS: Final = 60
#: Ports of a part: one comes again only when all the others were given.
_PART: Final = 200


def free_port() -> int:
    """A port of the loopback interface that is free, and that nobody else is told of soon."""
    _, ports = _own_part()
    for _, port in zip(range(_PART), ports, strict=False):
        listening = _listen(port)
        if listening is not None:
            listening.close()
            return port
    raise AssertionError("all ports of these tests are in use")


@cache
def _own_part() -> tuple[socket.socket, Iterator[int]]:
    """The ports of this process, and what keeps them: a socket on the first of them."""
    for first in range(_FIRST, _FIRST + _PARTS * _PART, _PART):
        sign = _listen(first)
        if sign is not None:
            return sign, cycle(range(first + 1, first + _PART))
    raise AssertionError("other tests have all the ports")


def _listen(port: int) -> socket.socket | None:
    """A socket that listens there, if one can."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None
