"""The service on made-up interfaces and sockets: what it opens, says, closes, and writes into the log."""

from __future__ import annotations

import errno
import os
from collections import deque
from ipaddress import ip_address, ip_network
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.allowance import Allowance
from csipd.discovery.carriers import Carrier
from csipd.discovery.interfaces import Interface, Served
from csipd.discovery.links import GROUPS
from csipd.discovery.messages import read, write
from csipd.discovery.packets import Message, Packet, Question
from csipd.discovery.records import SERVICE, Address, Kind, Record
from csipd.discovery.service import Discovery
from csipd.net.peer_log import PeerLog
from tests.discovery.test_records import SERVER, ZONE

EVERYWHERE = Served.at(["0.0.0.0"])


def interface(name: str, index: int, *addresses: str) -> Interface:
    """One with these addresses, written with the lengths of their prefixes."""
    found: list[tuple[Address, Any]] = [
        (ip_address(one.partition("/")[0]), ip_network(one, strict=False)) for one in addresses
    ]
    return Interface(name, index, tuple(found))


ETH0 = interface("eth0", 2, "192.0.2.1/24")


class FakeSocket:
    """A socket whose datagrams are a list."""

    def __init__(self, index: int) -> None:
        self.number = 1000 + index
        self.index = index
        self.coming: deque[tuple[bytes, Any]] = deque()
        self.sent: list[tuple[bytes, Any]] = []
        self.error: OSError | None = None
        self.reads = 0

    def fileno(self) -> int:
        return self.number

    def getsockname(self) -> Any:
        return ("", 5353, 0, self.index)

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        if not self.coming:
            raise BlockingIOError
        return self.coming.popleft()

    def sendto(self, octets: bytes, place: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((octets, place))

    def close(self) -> None:
        self.number = -1


class ServiceCase(SynchronousTestCase):
    """A service on interfaces that the test makes up."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.there: list[Interface] = [ETH0]
        self.sockets: list[FakeSocket] = []
        self.refusal: OSError | None = None
        self.lines: list[str] = []
        self.unlistable: OSError | None = None

    def make(self, *wanted: str, served: Served = EVERYWHERE) -> Discovery:
        peer_log = PeerLog(self.reactor)
        found = Discovery(
            SERVER, wanted or ("eth0",), served, self.reactor, peer_log, lambda: 0.5, self.lister, self.opener
        )
        found._log = self  # type: ignore[assignment]  # what it writes is looked at
        found.startService()
        self.addCleanup(lambda: found.running and found.stopService())
        return found

    def info(self, form: str, **values: Any) -> None:
        self.lines.append(form.format(**values))

    warn = info

    def emit(self, level: Any, form: str, **values: Any) -> None:
        self.info(form, **values)

    def lister(self) -> list[Interface]:
        if self.unlistable is not None:
            raise self.unlistable
        return self.there

    def opener(self, given: Interface, version: int) -> Any:
        if self.refusal is not None:
            raise self.refusal
        self.sockets.append(FakeSocket(given.index))
        return self.sockets[-1]

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.reactor.advance(0.1)

    def said(self, at: int = 0) -> list[Message]:
        """What was sent on a socket."""
        found = [read(octets) for octets, _ in self.sockets[at].sent]
        assert None not in found
        return [one for one in found if one is not None]

    def hear(self, packet: Packet, sender: Any = ("192.0.2.9", 5353), at: int = 0) -> None:
        for octets in write(packet):
            self.sockets[at].coming.append((octets, sender))
        self.wake(at)

    def wake(self, at: int = 0) -> None:
        for reader in self.reactor.getReaders():
            if reader.fileno() == self.sockets[at].number:
                reader.doRead()


class LinkTests(ServiceCase):
    """What is open, and what is said there."""

    def test_announced(self) -> None:
        """It says once that it is announced, and by which name."""
        service = self.make()
        self.assertEqual(service.state.links, ())
        self.advance(30)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.assertEqual(self.lines, [f"discovery: announced as csipd-001234567890.{SERVICE} on eth0 (IPv4)"])
        ((_, place), *_) = self.sockets[0].sent
        self.assertEqual(place, (GROUPS[4], 5353))

    def test_answered(self) -> None:
        """Who asks is answered where it asked; by an address of the link alone."""
        self.make()
        self.advance(10)
        before = len(self.sockets[0].sent)
        asked = Packet(query=True, questions=(Question(SERVICE, Kind.PTR, unicast=True),))
        self.hear(asked, ("198.51.100.9", 5353))
        self.hear(asked, ("198.51.100.9", 999))
        self.advance(2)
        self.assertEqual(len(self.sockets[0].sent), before)
        self.hear(asked)
        self.assertEqual(self.sockets[0].sent[-1][1], ("192.0.2.9", 5353))

    def test_stop(self) -> None:
        """Goodbye is said before the sockets are closed, and no timer is left."""
        service = self.make()
        self.advance(10)
        service.stopService()
        self.assertEqual({one.ttl for one in self.said()[-1].records}, {0})
        self.assertEqual(self.sockets[0].fileno(), -1)
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.getReaders()), ([], []))

    def test_stop_at_once(self) -> None:
        """A stop before anything was announced says nothing."""
        self.make().stopService()
        self.assertEqual(self.sockets[0].sent, [])

    def test_every_address(self) -> None:
        """Where the server listens at every address both versions are spoken, with all addresses there."""
        self.there = [interface("eth0", 2, "192.0.2.1/24", "fe80::1/64")]
        self.make(served=Served.at(["::"]))
        self.assertEqual(len(self.sockets), 2)
        self.advance(5)
        for at, group in enumerate((GROUPS[4], GROUPS[6])):
            self.assertEqual(self.sockets[at].sent[0][1][0], group)
            kinds = {one.kind for message in self.said(at) for one in message.records}
            self.assertTrue({Kind.A, Kind.AAAA} <= kinds)

    def test_one_address(self) -> None:
        """Where it listens at one, only that one is announced, and only on the interface that has it."""
        self.there = [ETH0, interface("eth1", 3, "198.51.100.1/24")]
        self.make("eth0", "eth1", served=Served.at(["192.0.2.1"]))
        self.assertEqual([one.index for one in self.sockets], [2])
        self.assertEqual(
            self.lines,
            ["discovery: eth1 has no address now at which the server listens; it is looked again every 10 s"],
        )

    def test_by_address(self) -> None:
        """An interface may be meant by its address; twice is once."""
        self.make("192.0.2.1", "eth0")
        self.assertEqual(len(self.sockets), 1)


class TroubleTests(ServiceCase):
    """What goes wrong, is said once, and mends."""

    def test_missing_interface(self) -> None:
        """One that is not there is said once, and used when it comes; gone, its link is closed."""
        self.there = []
        service = self.make()
        self.advance(60)
        self.assertEqual(
            self.lines,
            [
                "discovery: eth0 is no interface of this machine now, nor an address of one; it is looked"
                " again every 10 s"
            ],
        )
        self.there = [ETH0]
        self.advance(20)
        self.assertEqual(self.lines[1], "discovery: eth0 can be used now")
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.there = []
        self.advance(10)
        self.assertEqual((service.state.links, self.sockets[0].fileno()), ((), -1))
        self.there = [interface("eth0", 7, "192.0.2.1/24")]
        self.advance(20)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))

    def test_connected_anew(self) -> None:
        """COMM-001: a cable that was out for a moment may lead elsewhere, so names are made sure of."""
        service = self.make()
        self.advance(15)
        before = len(self.sockets[0].sent)
        self.there = [evolve(ETH0, carrier=Carrier(True, 2))]
        self.advance(15)
        said = self.said()[before:]
        self.assertTrue(said[0].proposed)
        self.assertTrue(said[-1].response)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.assertEqual(len(self.lines), 2)
        self.assertEqual(len(set(self.lines)), 1)
        self.advance(60)
        self.assertEqual(len(self.said()[before:]), len(said))

    def test_another_has_the_name_elsewhere(self) -> None:
        """Who has the name in the network that the cable leads to now keeps it."""
        service = self.make()
        self.advance(15)
        self.there = [evolve(ETH0, carrier=Carrier(True, 2))]
        self.advance(5.5)
        other = Record(service.current.host, Kind.A, b"\xc0\0\2\7", 120, True)
        self.hear(Packet(answers=(other,)))
        self.advance(15)
        self.assertEqual(service.current, SERVER.numbered(2))

    def test_not_connected(self) -> None:
        """An interface without a carrier still has its addresses, and is not used until it is connected."""
        service = self.make()
        self.advance(15)
        self.there = [evolve(ETH0, carrier=Carrier(False, 1))]
        self.advance(25)
        self.assertEqual(service.state.links, ())
        self.assertEqual(
            self.lines[1:], ["discovery: eth0 is down, or not connected; it is looked again every 10 s"]
        )
        self.there = [evolve(ETH0, carrier=Carrier(True, 2))]
        self.advance(15)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.assertIn("discovery: eth0 can be used now", self.lines)

    def test_port_in_use(self) -> None:
        """A port that another program keeps to itself is tried again."""
        self.refusal = OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        service = self.make()
        self.advance(60)
        (line,) = self.lines
        self.assertIn("eth0 (IPv4): UDP port 5353 is in use by a program that lets no other have it", line)
        self.refusal = None
        self.advance(30)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.assertIn("discovery: eth0 (IPv4) can be used now", self.lines)

    def test_broken_link(self) -> None:
        """A socket that breaks is closed and opened anew; a lasting trouble is one line."""
        service = self.make()
        self.advance(10)
        down = OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
        for _ in range(10):
            self.sockets[-1].error = down
            self.wake(-1)
            self.assertEqual(self.sockets[-1].fileno(), -1)
            self.advance(10)
        self.assertEqual(len(self.sockets), 11)
        self.assertEqual(
            [line for line in self.lines if "Network is down" in line],
            [
                "discovery: eth0 (IPv4): multicast DNS cannot be spoken there: Network is down; it is looked"
                " again every 10 s"
            ],
        )
        self.advance(20)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.assertEqual(self.lines[-1], "discovery: eth0 (IPv4) can be used now")

    def test_broken_link_that_is_gone(self) -> None:
        """An interface that goes away with its trouble is not said to be of use."""
        self.make()
        self.advance(5)
        self.sockets[0].error = OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
        self.wake()
        self.there = []
        self.advance(30)
        self.assertIn("Network is down", self.lines[1])
        self.assertEqual([line for line in self.lines[2:] if "no interface" not in line], [])

    def test_interface_that_comes_with_a_trouble(self) -> None:
        """One that is there again is said to be of use once it is, by whatever it is called."""
        self.there = []
        self.make("192.0.2.1")
        self.there, self.refusal = [ETH0], OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self.advance(30)
        self.assertEqual([line for line in self.lines if "can be used" in line], [])
        self.refusal = None
        self.advance(30)
        (line,) = (line for line in self.lines if "can be used" in line)
        self.assertEqual(line, "discovery: eth0 (IPv4) can be used now")
        self.there = []
        self.advance(10)
        self.there = [ETH0]
        self.advance(10)
        self.assertIn("discovery: 192.0.2.1 can be used now", self.lines)

    def test_link_that_breaks_at_the_last_moment(self) -> None:
        """What could not be sent is not said to be announced."""
        self.make()
        self.advance(0.7)
        self.sockets[0].error = OSError(errno.ENETDOWN, os.strerror(errno.ENETDOWN))
        self.advance(2)
        (line,) = self.lines
        self.assertIn("Network is down", line)

    def test_unreachable_asker(self) -> None:
        """Who cannot be answered breaks no link."""
        service = self.make()
        self.advance(10)
        sendto = self.sockets[0].sendto

        def unreachable(octets: bytes, place: Any) -> None:
            if place[0] != GROUPS[4]:
                raise OSError(errno.EHOSTUNREACH, "No route to host")
            sendto(octets, place)

        self.sockets[0].sendto = unreachable  # type: ignore[method-assign]
        self.hear(Packet(query=True, questions=(Question(SERVICE, Kind.PTR, unicast=True),)))
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))

    def test_interfaces_cannot_be_listed(self) -> None:
        """What is open stays open."""
        service = self.make()
        self.advance(5)
        self.unlistable = OSError(errno.EMFILE, "Too many open files")
        self.advance(30)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        self.assertEqual(len([line for line in self.lines if "cannot be listed" in line]), 1)

    def test_troubles_that_last(self) -> None:
        """What was in the way before is still so while interfaces cannot be listed."""
        self.make("eth0", "eth1")
        self.unlistable = OSError(errno.EMFILE, "Too many open files")
        self.advance(30)
        self.assertFalse(any("eth1 can be used" in line for line in self.lines), self.lines)

    def test_reactor_that_lets_go(self) -> None:
        """After an error of ours that the reactor found the link is opened anew."""
        service = self.make()
        self.advance(9)
        (reader,) = self.reactor.getReaders()
        reader.connectionLost(None)
        self.assertEqual((service.state.links, self.sockets[0].fileno()), ((), -1))
        self.advance(20)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))
        service.stopService()
        reader.connectionLost(None)
        self.assertEqual(len(self.sockets), 2)

    def test_other_address(self) -> None:
        """An interface's new address is announced in the place of the old one."""
        self.make()
        self.advance(9)
        before = len(self.sockets[0].sent)
        self.there = [interface("eth0", 2, "192.0.2.7/24")]
        self.advance(9)
        records = [one for message in self.said()[before:] for one in message.records if one.kind == Kind.A]
        self.assertEqual(
            [(one.data, one.ttl) for one in records][:2], [(b"\xc0\0\2\1", 0), (b"\xc0\0\2\7", 120)]
        )
        self.hear(Packet(query=True, questions=(Question(SERVER.host, Kind.A),)))


class RivalTests(ServiceCase):
    """Others on the link."""

    def rival(self, number: int = 1) -> Packet:
        host = SERVER.numbered(number).host
        return Packet(answers=(Record(host, Kind.A, b"\xc0\0\2\7", 120, True),))

    def test_renamed(self) -> None:
        """Another server of the name: this one takes the next, on every link, and says so."""
        self.there = [ETH0, interface("eth1", 3, "198.51.100.1/24")]
        service = self.make("eth0", "eth1")
        self.advance(0.3)
        self.hear(self.rival())
        self.assertEqual(
            self.lines,
            [
                "discovery: another server on eth0 (IPv4) is csipd-001234567890.local.; this one will be"
                " csipd-2-001234567890.local."
            ],
        )
        self.advance(10)
        self.assertEqual(len(service.state.links), 2)
        for at in (0, 1):
            names = {one.name for one in self.said(at)[-1].records if one.kind == Kind.A}
            self.assertEqual(names, {"csipd-2-001234567890.local."})

    def test_one_who_takes_every_name(self) -> None:
        """Who claims each name that is tried slows it down, with a line a minute; in the end it has one."""
        service = self.make()
        tried = set()
        for _ in range(3000):
            self.reactor.advance(0.2)
            tried.add(service.current.name)
            self.hear(self.rival(service._number))
        self.assertLessEqual(len(tried), 25)
        self.assertLessEqual(len(self.lines), 12)
        self.advance(70)
        self.assertEqual(service.state.links, ("eth0 (IPv4)",))

    def test_own_on_another_link(self) -> None:
        """Two interfaces on one network: the server is no rival to itself."""
        self.there = [ETH0, interface("eth1", 3, "192.0.2.2/24")]
        service = self.make("eth0", "eth1")
        for _ in range(100):
            before = [len(one.sent) for one in self.sockets]
            self.reactor.advance(0.1)
            for at, socket in enumerate(list(self.sockets)):
                for octets, place in socket.sent[before[at] :]:
                    if place[0] == GROUPS[4]:
                        for other in self.sockets:
                            other.coming.append((octets, (f"192.0.2.{at + 1}", 5353)))
            for at in range(len(self.sockets)):
                self.wake(at)
        self.assertEqual(service.current, SERVER)
        self.assertEqual(len(service.state.links), 2)


class HostileTests(ServiceCase):
    """Floods and nonsense: a fixed share of time, hardly any traffic, a line a minute."""

    def test_flood(self) -> None:
        """So many are read in a turn and in a second, and the rest is left to the kernel."""
        self.make()
        self.advance(10)
        self.sockets[0].reads = 0
        octets = write(Packet(query=True, questions=(Question("x.local.", Kind.A),)))[0]
        for _ in range(100):
            self.sockets[0].coming.extend((octets, ("192.0.2.9", 5353)) for _ in range(200))
            before = self.sockets[0].reads
            self.wake()
            self.assertLessEqual(self.sockets[0].reads - before, 4)
            for _ in range(100):
                self.wake()
            self.reactor.advance(0.1)
        self.assertLessEqual(self.sockets[0].reads, 400 + 200 * 10 + 20)
        self.assertGreater(self.sockets[0].reads, 2000)

    def test_large_ones(self) -> None:
        """What is nine times as large is read a ninth as often."""
        self.make()
        self.advance(10)
        self.sockets[0].reads = 0
        self.sockets[0].coming.extend((bytes(4_500), ("192.0.2.9", 5353)) for _ in range(1000))
        for _ in range(100):
            for _ in range(100):
                self.wake()
            self.reactor.advance(0.1)
        self.assertLessEqual(self.sockets[0].reads, (400 + 200 * 10) / 9 + 20)

    def test_amplification(self) -> None:
        """A thousand questions in ten seconds: ten answers to the asker and five a second, no more."""
        self.make()
        self.advance(10)
        before = len(self.sockets[0].sent)
        asked = Packet(query=True, questions=(Question(SERVICE, Kind.PTR, unicast=True),))
        for _ in range(100):
            for _ in range(10):
                self.hear(asked, ("192.0.2.9", 4000))
            self.reactor.advance(0.1)
        self.assertLessEqual(len(self.sockets[0].sent) - before, 62)

    def test_names_that_cannot_be_written(self) -> None:
        """A question that comes with others of octets that are no text is answered, without these."""
        self.make()
        self.advance(10)
        before = len(self.sockets[0].sent)
        ours = b"\x0c_smartenergy\x04_tcp\x05local\0\0\x0c\0\1"
        other = b"\x3f" + b"\xff" * 63 + b"\0\0\x0c\0\1"
        head = b"\0\7\0\0\0\3\0\0\0\0\0\0"
        self.sockets[0].coming.append((head + other + ours + other, ("192.0.2.9", 4000)))
        self.wake()
        ((octets, _),) = self.sockets[0].sent[before:]
        answer = read(octets)
        assert answer is not None
        self.assertEqual(answer.questions, (Question(SERVICE, Kind.PTR),))

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_anything(self, data: st.DataObject) -> None:
        """Whatever octets come, from whomever, it goes on, and says no more than it may."""
        self.setUp()
        self.make()
        self.advance(6)
        before = len(self.sockets[0].sent)
        labels = st.sampled_from(
            [b"\x0c_smartenergy", b"\x04_tcp", b"\x05local", b"\xc0\x0c", b"\x3f" + b"\xff" * 63, b"\0"]
        )
        parts = st.one_of(
            st.builds(
                lambda names, tail: b"".join(names) + b"\0" + tail, st.lists(labels), st.binary(max_size=12)
            ),
            st.sampled_from([octets[12:] for octets in write(Packet(answers=ZONE.records))]),
            st.binary(max_size=60),
        )
        for _ in range(data.draw(st.integers(1, 8))):
            counts = data.draw(st.lists(st.integers(0, 4), min_size=4, max_size=4))
            flags = data.draw(st.sampled_from([0, 0x0200, 0x8400, 0x8000, 0xFFFF]))
            head = b"".join(one.to_bytes(2, "big") for one in (9, flags, *counts))
            body = b"".join(data.draw(st.lists(parts, max_size=5)))
            sender = (
                data.draw(st.sampled_from(["192.0.2.9", "192.0.2.1", "203.0.113.1"])),
                data.draw(st.sampled_from([5353, 99])),
            )
            self.sockets[0].coming.append((head + body, sender))
            self.wake()
            self.advance(data.draw(st.sampled_from([0.1, 0.5])))
        self.advance(2)
        self.assertGreaterEqual(self.sockets[0].fileno(), 0)
        self.assertLessEqual(len(self.sockets[0].sent) - before, 60)

    def test_nonsense(self) -> None:
        """What is no message is dropped, with a line a minute."""
        self.make()
        self.advance(10)
        self.lines.clear()
        for octets in (b"", b"\0" * 11, os.urandom(9001), b"\xff" * 500):
            self.sockets[0].coming.append((octets, ("192.0.2.9", 5353)))
        self.wake()
        self.assertEqual(self.lines, ["192.0.2.9: a message on the mDNS port that is none, or too large"])

    def test_allowance(self) -> None:
        """One address has its share, all together have theirs, and the table does not grow."""
        allowance = Allowance()
        self.assertEqual(sum(allowance.spend("a", 0.0) for _ in range(100)), 10)
        self.assertTrue(allowance.spend("b", 0.0))
        self.assertEqual(sum(allowance.spend(str(number), 0.0) for number in range(10_000)), 29)
        self.assertEqual(len(allowance._each), 256)
        self.assertEqual(sum(allowance.spend("a", 10.0 + at / 100) for at in range(1000)), 59)


class ServedTests(SynchronousTestCase):
    """At which addresses the server is reached."""

    def test_served(self) -> None:
        """Every address of a version, or those that were named; four of each version are announced."""
        many = interface("eth0", 2, "fe80::1/64", *(f"192.0.2.{host}/24" for host in range(1, 9)))
        self.assertEqual(Served.at(["127.0.0.1"]).on(many), ())
        self.assertEqual([str(one) for one in Served.at(["192.0.2.8"]).on(many)], ["192.0.2.8"])
        self.assertEqual(len(Served.at(["0.0.0.0"]).on(many)), 4)
        self.assertEqual(len(Served.at(["::"]).on(many)), 5)
        self.assertEqual([str(one) for one in Served.at(["fe80::1%eth0"]).on(many)], ["fe80::1"])
