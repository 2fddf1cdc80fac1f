"""Which interfaces are connected, and how often that has changed: Linux's word, asked over netlink.

An interface keeps its addresses while its cable is out, so they do not tell; and it may have come back, in
another network, before anybody looked. The kernel counts (rtnetlink(7), RTM_GETLINK).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator

from attrs import frozen

_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
#: A request for all there are.
_REQUEST_DUMP = 0x301
#: Length, type, flags, number, sender; then family, type, index, flags, which of them change; an attribute.
_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_CARRIER_CHANGES = 35
#: Switched on, and connected (IFF_UP, IFF_LOWER_UP of netdevice(7)).
_UP_AND_CONNECTED = 0x10001
#: Octets of an answer's part; the kernel makes none larger.
_PART = 65_536


@frozen
class Carrier:
    """How an interface is connected.

    :param on: whether it is, and switched on
    :param changes: how often it was connected or disconnected
    """

    on: bool
    changes: int


def carriers() -> dict[int, Carrier]:
    """The interfaces by their indices, on Linux. OSError where it does not tell."""
    if sys.platform != "linux":
        return {}
    found: dict[int, Carrier] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as asked:
        asked.sendto(
            _HEADER.pack(_HEADER.size + _LINK.size, _RTM_GETLINK, _REQUEST_DUMP, 1, 0) + bytes(_LINK.size),
            (0, 0),
        )
        while True:
            for kind, body in _messages(asked.recv(_PART)):
                if kind == _NLMSG_DONE:
                    return found
                if kind == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                if kind == _RTM_NEWLINK:
                    _, _, index, flags, _ = _LINK.unpack_from(body)
                    found[index] = Carrier(
                        flags & _UP_AND_CONNECTED == _UP_AND_CONNECTED, _changes(body[_LINK.size :])
                    )


def _messages(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while len(octets) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(octets)
        if length < _HEADER.size:
            return
        yield kind, octets[_HEADER.size : length]
        octets = octets[_aligned(length) :]


def _changes(attributes: bytes) -> int:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if length < _ATTRIBUTE.size:
            break
        if kind == _CARRIER_CHANGES:
            return int.from_bytes(attributes[_ATTRIBUTE.size : length], sys.byteorder)
        attributes = attributes[_aligned(length) :]
    return 0


def _aligned(length: int) -> int:
    return (length + 3) & ~3
