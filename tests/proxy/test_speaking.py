"""Who speaks for a device."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.hop import LONGEST
from csipd.net.identity import Identity
from csipd.net.peer_log import PeerLog
from csipd.proxy.context import Spokesman
from csipd.proxy.speaking import Hop

IDENTITY = Identity(lfdi="AB" * 20, sfdi=0, not_after=None, fingerprint="")


class Certificate:
    """One of a verified chain, of so many octets."""

    def __init__(self, octets: int) -> None:
        self._octets = octets

    def to_cryptography(self) -> Certificate:
        return self

    def public_bytes(self, encoding: Any) -> bytes:
        return b"x" * self._octets


class Transport:
    """A finished handshake with a chain of certificates of these sizes, the root last."""

    def __init__(self, *sizes: int) -> None:
        self._chain = [Certificate(size) for size in sizes]

    def getHandle(self) -> Transport:
        return self

    def get_verified_chain(self) -> list[Certificate]:
        return self._chain


class HopTests(SynchronousTestCase):
    """The proxy's own certificate."""

    def speak_for(self, *sizes: int) -> Spokesman:
        clock = Clock()
        connecting: Any = None
        return Hop(connecting, clock, PeerLog(clock), 10.0).speak_for(Transport(*sizes), IDENTITY)

    def test_long(self) -> None:
        """PX-4: what is too long for the server, which closes everybody's connection then, is not sent."""
        for sizes in ((400, 500), (1_500, 1_400, 1_400, 9_000)):
            spokesman = self.speak_for(*sizes)
            self.assertLess(len(spokesman.header_lines), LONGEST)
            self.assertIsNotNone(spokesman.reading)
        for sizes in ((7_000, 500), (3_000, 2_000, 2_000, 500), (80_000, 500)):
            with capturedLogs() as events:
                spokesman = self.speak_for(*sizes)
            self.assertEqual(spokesman, Spokesman(b"", None, None))
            self.assertIn("too long to be handed on: answered 403", str(formatEvent(events[0])))
