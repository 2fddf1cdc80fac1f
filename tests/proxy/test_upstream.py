"""Who is taken for the server, and how it is found."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.peer_log import PeerLog
from csipd.proxy.lane import READING, Asked, Lane
from csipd.proxy.upstream import ServerAddress, ServerConnector, why_not
from tests.support.pki import Authority

LAB = Authority.make()
NAMES = frozenset(("csipd.example", "192.0.2.1"))


class NameTests(SynchronousTestCase):
    """Certificates of the same roots."""

    def test_server(self) -> None:
        """One of its names is enough, a DNS name or an address, however it is written."""
        for names in (("csipd.example", "other.example"), ("192.0.2.1",), ("CSIPD.Example",)):
            self.assertIsNone(why_not(LAB.server(*names).der, NAMES), names)

    def test_others(self) -> None:
        """A device, an aggregator, a server of another name and what is no certificate are not the server."""
        for der in (LAB.device("dev1").der, LAB.aggregator("agg1").der):
            self.assertIn("is the device", why_not(der, NAMES) or "")
        for der in (LAB.server("csipd.example.org").der, LAB.admin().der):
            self.assertIn("without any of the server's names", why_not(der, NAMES) or "")
        self.assertIn("not a readable certificate", why_not(b"nothing", NAMES) or "")


class Noted:
    """Who asked, and what it was told."""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def answered(self, asked: Asked, status: int, octets: bytes) -> None:
        self.statuses.append(status)

    def failed(self, asked: Asked, status: int) -> None:
        self.statuses.append(status)


class ResolvingTests(SynchronousTestCase):
    """A server that is known by its name."""

    def ask(self, host: str, found: Deferred[list[str]]) -> tuple[list[Any], Noted]:
        """Ask for something; what was connected to, and what came of it."""
        connected: list[Any] = []
        clock = Clock()

        class TLS:
            def to(self, host: str) -> str:
                return f"TLS to {host}"

        tls: Any = TLS()
        connector = ServerConnector(
            ServerAddress(host, lambda: 7443, NAMES),
            lambda: tls,
            lambda name: found,
            lambda *given: connected.append(given[:3]),
            5.0,
        )
        noted = Noted()
        lane = Lane(connector, clock, READING, PeerLog(clock))
        lane.ask(Asked(b"", False, True, noted, 60.0))
        self.lane = lane
        return connected, noted

    def test_address(self) -> None:
        """An address is not looked up."""
        connected, _ = self.ask("192.0.2.1", Deferred())
        self.assertEqual(connected, [("192.0.2.1", 7443, "TLS to 192.0.2.1")])

    def test_name(self) -> None:
        """A name is; the server is told the name."""
        connected, _ = self.ask("csipd.example", succeed(["2001:db8::1", "192.0.2.1"]))
        self.assertEqual(connected, [("2001:db8::1", 7443, "TLS to csipd.example")])

    def test_no_name(self) -> None:
        """One that has no address is 502."""
        connected, noted = self.ask("csipd.example", fail(OSError("csipd.example has no address")))
        self.assertEqual((connected, noted.statuses), ([], [502]))

    def test_late_name(self) -> None:
        """A look-up that ends when nobody waits any more connects to nothing."""
        found: Deferred[list[str]] = Deferred()
        connected, noted = self.ask("csipd.example", found)
        self.lane.look(61.0)
        self.assertEqual(noted.statuses, [504])
        self.lane.close()
        found.callback(["192.0.2.1"])
        self.assertEqual(connected, [])
