"""The sockets, real ones on the loopback interface: what they hear, and what they do not."""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from secrets import token_bytes

from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.carriers import Carrier
from csipd.discovery.interfaces import Interface, interfaces
from csipd.discovery.links import GROUPS, open_socket
from csipd.discovery.responder import MDNS_PORT
from tests.support.daemon import Process
from tests.support.link import TestLink, TwoLinks

ROOT = Path(__file__).resolve().parents[2]

#: Seconds that a datagram may take on its way.
PATIENCE = 10.0
# Python 3.11 has no name for it.
_IP_RECVTTL = 12

#: Opens a socket on each of two interfaces, the later one first, and says which of them hears what.
LISTEN = """
import json, select, sys, time
from csipd.discovery.interfaces import interfaces
from csipd.discovery.links import open_socket
names, version, patience = sys.argv[1:3], int(sys.argv[3]), float(sys.argv[4])
there = sorted((one for one in interfaces() if one.name in names), key=lambda one: -one.index)
opened = {open_socket(one, version): one.name for one in there}
print("open", flush=True)
heard = []
end = time.monotonic() + patience
while len(heard) < len(names) and (left := end - time.monotonic()) > 0:
    for ready in select.select(list(opened), [], [], left)[0]:
        heard.append((opened[ready], ready.recv(9000).decode()))
print(json.dumps(heard))
"""
#: Sends to the group on each of the interfaces: the interface's name.
SEND = """
import socket, struct, sys
group, port, *names = sys.argv[1:]
family = socket.AF_INET6 if ":" in group else socket.AF_INET
for name in names:
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        index = socket.if_nametoindex(name)
        if family == socket.AF_INET6:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            member = struct.pack("@4s4si", bytes(4), bytes(4), index)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, member)
        sender.sendto(name.encode(), (group, int(port)))
"""


def loopback() -> Interface:
    """The loopback interface as the machine has it."""
    return next(one for one in interfaces() if one.is_called("127.0.0.1"))


class SocketTests(SynchronousTestCase):
    """One socket of discovery, and others who send."""

    def opened(self, version: int) -> socket.socket:
        found = open_socket(loopback(), version)
        self.addCleanup(found.close)
        return found

    def sender(self) -> socket.socket:
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(found.close)
        return found

    def heard(self, listener: socket.socket, last: bytes) -> list[bytes]:
        """What came, until this did; others may speak on this machine, too."""
        found = [b""]
        while found[-1] != last:
            ready, _, _ = select.select([listener], [], [], PATIENCE)
            self.assertTrue(ready, f"{last!r} did not come")
            found.append(listener.recv(9000))
        return found

    def test_interfaces(self) -> None:
        """The machine's interfaces are found, with their networks."""
        found = loopback()
        self.assertIn((ip_address("127.0.0.1"), ip_network("127.0.0.0/8")), found.addresses)
        self.assertTrue(found.is_called(found.name))
        self.assertFalse(found.is_called("192.0.2.1"))
        self.assertEqual(socket.if_nametoindex(found.name), found.index)
        self.assertTrue(found.carrier.on)

    def test_carriers(self) -> None:
        """Linux tells of every interface whether it is connected, and counts how often that changed."""
        link = TestLink(self)
        script = (
            "import json; from csipd.discovery.carriers import carriers; "
            "print(json.dumps([(index, one.on, one.changes) for index, one in carriers().items()]))"
        )
        shown = f"ip -o link | wc -l; {sys.executable} -c '{script}'"
        if link.interface != "lo":
            shown += f"; ip link set csipd1 down; {sys.executable} -c '{script}'"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        said = subprocess.check_output(link.there("sh", "-c", shown), env=environment, text=True)
        number, *found = said.splitlines()
        before, *after = ({index: Carrier(*said) for index, *said in json.loads(one)} for one in found)
        self.assertEqual(len(before), int(number))
        self.assertTrue(before[1].on)
        for later in after:
            index = next(index for index, one in later.items() if index > 1 and not one.on)
            self.assertTrue(before[index].on)
            self.assertGreater(later[index].changes, before[index].changes)

    def test_group_alone(self) -> None:
        """What is sent to the group is heard; what is sent to an address of this machine is not."""
        listener, sender = self.opened(4), self.sender()
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        alone, last = token_bytes(16), token_bytes(16)
        for at in ("127.0.0.1", "127.0.0.9"):
            sender.sendto(alone, (at, MDNS_PORT))
        sender.sendto(last, (GROUPS[4], MDNS_PORT))
        self.assertNotIn(alone, self.heard(listener, last))

    def test_others_beside(self) -> None:
        """Several programs may speak on one interface: each hears what is sent to all."""
        listeners = [self.opened(4), self.opened(4)]
        last = token_bytes(16)
        listeners[0].sendto(last, (GROUPS[4], MDNS_PORT))
        for listener in listeners:
            self.heard(listener, last)

    def test_two_interfaces(self) -> None:
        """COMM-001: what is asked on an interface is heard by its own socket, whichever was opened first."""
        links = TwoLinks(self)
        for version in self.versions(links):
            python = (sys.executable, "-c")
            listen = (*python, LISTEN, "csipd0", "csipd2", str(version), str(PATIENCE))
            listener = Process(self, links.there(*listen), ROOT)
            listener.log.wait_for("open")
            send = (*python, SEND, GROUPS[version], str(MDNS_PORT), "csipd1", "csipd3")
            subprocess.run(links.at_neighbour(*send), check=True)
            heard = json.loads(listener.log.all()[-1])
            self.assertEqual(sorted(heard), [["csipd0", "csipd1"], ["csipd2", "csipd3"]])

    def versions(self, links: TwoLinks) -> tuple[int, ...]:
        """The versions of IP that the machine on two links speaks."""
        shown = subprocess.check_output(links.there("ip", "-6", "addr", "show", "dev", "csipd0"), text=True)
        return (4, 6) if "fe80::c51" in shown else (4,)

    def test_sends_from_its_port(self) -> None:
        """What it sends comes from port 5353 and with a hop limit of 255 (RFC 6762 6, 11)."""
        speaker, listener = self.opened(4), self.opened(4)
        listener.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        last = token_bytes(16)
        speaker.sendto(last, (GROUPS[4], MDNS_PORT))
        octets = b""
        while octets != last:
            self.assertTrue(select.select([listener], [], [], PATIENCE)[0])
            octets, ancillary, _, (_, port) = listener.recvmsg(9000, 64)
        ((_, _, hops),) = ancillary
        self.assertEqual((port, struct.unpack("@i", hops)), (MDNS_PORT, (255,)))

    def test_version_6(self) -> None:
        """The same of IPv6, where this machine has it: bound to the group, on the interface alone."""
        if not any(address.version == 6 for address, _ in loopback().addresses):
            self.assertRaises(OSError, open_socket, loopback(), 6)
            return
        listener = self.opened(6)
        self.assertEqual(listener.getsockname()[0].partition("%")[0], GROUPS[6])
        self.assertEqual(listener.getsockname()[3], loopback().index)
        hops = listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS)
        self.assertEqual(hops, 255)

    def test_refused(self) -> None:
        """An interface that is not there is an error of the system, and no socket stays open."""
        gone = Interface("gone0", 9_999, ())
        for version in (4, 6):
            self.assertRaises(OSError, open_socket, gone, version)
