"""Asks by multicast DNS as three kinds of clients do, and says who was answered.

It is a process of its own, on the link that is tested. What it sends is written by hand, octet by octet.

    python -m tests.support.asker ADDRESS NAME...
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from zeroconf import DNSIncoming  # type: ignore[attr-defined]  # exported, though its __all__ leaves it out

GROUP, PORT = "224.0.0.251", 5353
#: Seconds that an answer may take, and those in which there is to be none.
PATIENCE, SILENCE = 10.0, 0.5
#: Seconds without a message on the link, after which a server that has just come has announced itself.
QUIET = 2.5


def question(name: str, unicast: bool) -> bytes:
    """A message that asks for the pointers of a name."""
    labels = b"".join(bytes((len(one),)) + one.encode() for one in name.split("."))
    return (
        bytes.fromhex("0000 0000 0001 0000 0000 0000")
        + labels
        + b"\0\0\x0c"
        + (b"\x80\1" if unicast else b"\0\1")
    )


def opened(host: str, port: int, address: str) -> socket.socket:
    """A socket at a place, which sends on the link of this machine's address."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        found.setsockopt(socket.SOL_SOCKET, option, 1)
    found.bind((host, port))
    member = socket.inet_aton(address)
    found.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)
    if host == GROUP:
        found.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + member)
    return found


def answered(sockets: dict[str, socket.socket], name: str, wanted: str) -> list[str]:
    """At which sockets an answer for a name came: until one came where it is wanted, and a moment longer."""
    found: set[str] = set()
    end = time.monotonic() + PATIENCE
    waits_on = True
    while (left := end - time.monotonic()) > 0:
        for ready in select.select(list(sockets.values()), [], [], left)[0]:
            octets = ready.recv(9000)
            came = DNSIncoming(octets)
            if octets[2] & 0x80 and any(one.name == name + "." and one.type == 12 for one in came.answers()):
                found.add(next(key for key, value in sockets.items() if value is ready))
        if waits_on and wanted in found:
            waits_on, end = False, time.monotonic() + SILENCE
    return sorted(found)


def main(address: str, *names: str) -> None:
    """Ask for each name: everybody, then for oneself, then as a resolver that knows no mDNS."""
    sockets = {"everybody": opened(GROUP, PORT, address), "asker": opened(address, PORT, address)}
    while select.select([sockets["everybody"]], [], [], QUIET)[0]:
        sockets["everybody"].recv(9000)
    result = {}
    for name in names:
        sockets["asker"].sendto(question(name, False), (GROUP, PORT))
        plain = answered(sockets, name, "everybody")
        sockets["asker"].sendto(question(name, True), (GROUP, PORT))
        alone = answered(sockets, name, "asker")
        resolver = opened(address, 0, address)
        resolver.sendto(question(name, False), (GROUP, PORT))
        legacy = answered({**sockets, "resolver": resolver}, name, "resolver")
        result[name] = [plain, alone, legacy]
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
