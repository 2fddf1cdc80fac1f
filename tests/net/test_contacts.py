"""When callers were last heard of, until it is written."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.contacts import LONGEST_REASON, Contact, Contacts

#: The wall clock when the clock of deadlines says 0.
WALL = 1_000_000.0


@define(eq=False)
class OpenConnection:
    """A connection."""

    host: str = "192.0.2.1"
    last_used: float | None = 0.0


class ContactTests(SynchronousTestCase):
    """What is kept of callers (case B7, decision 43)."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.contacts = self.made()

    def made(self, most: int = 100) -> Contacts:
        wall: Callable[[], float] = lambda: WALL + self.clock.seconds()  # noqa: E731 - a clock
        return Contacts(self.clock.seconds, wall, most)

    def test_closed(self) -> None:
        """The end of a connection tells when it was last used; one without a handshake tells nothing."""
        self.contacts.closed("A", OpenConnection(last_used=70.0))
        self.contacts.closed("B", OpenConnection(last_used=None))
        self.assertEqual(self.contacts.collect(), [Contact("A", WALL + 70, "192.0.2.1")])
        self.assertEqual(self.contacts.collect(), [])

    def test_of_a_fast_clock(self) -> None:
        """Where the wall clock runs fast, what was a moment ago was longer ago by it."""
        contacts = Contacts(self.clock.seconds, lambda: WALL + 60 * self.clock.seconds(), speed=60)
        contacts.closed("A", OpenConnection(last_used=70.0))
        self.assertEqual(contacts.collect(), [Contact("A", WALL + 60 * 70, "192.0.2.1")])

    def test_open(self) -> None:
        """Connections that are open are asked, and are nothing new until they are used again."""
        used = OpenConnection(last_used=90.0)
        self.assertEqual(self.contacts.collect([("A", used)]), [Contact("A", WALL + 90, "192.0.2.1")])
        self.clock.advance(60)
        self.assertEqual(self.contacts.collect([("A", used)]), [])
        self.clock.advance(60)
        used.last_used = 200.0
        self.assertEqual(self.contacts.collect([("A", used)]), [Contact("A", WALL + 200, "192.0.2.1")])

    def test_several(self) -> None:
        """Of a caller's connections the one that was used last counts."""
        for host, used in (("192.0.2.1", 10.0), ("192.0.2.2", 30.0), ("192.0.2.3", 20.0)):
            self.contacts.closed("A", OpenConnection(host, used))
        self.assertEqual(self.contacts.collect(), [Contact("A", WALL + 30, "192.0.2.2")])

    def test_refused(self) -> None:
        """Refusals are counted, with the last reason, which is bounded."""
        self.contacts.refused("A", "192.0.2.1", "one")
        self.clock.advance(5)
        self.contacts.refused("A", "192.0.2.1", "x" * 9999)
        self.contacts.closed("A", OpenConnection("192.0.2.9", 99.0))
        (found,) = self.contacts.collect()
        self.assertEqual((found.refusals, found.refused, found.host), (2, WALL + 105, "192.0.2.1"))
        self.assertEqual(found.reason, "x" * LONGEST_REASON)

    def test_full(self) -> None:
        """At the bound what there is is collected before another is kept; else that is counted."""
        contacts = self.made(most=3)
        taken: list[Contact] = []
        contacts.full = lambda: taken.extend(contacts.collect())
        for number in range(10):
            contacts.refused(str(number), "", "")
        self.assertEqual([one.lfdi for one in (*taken, *contacts.collect())], [str(n) for n in range(10)])
        contacts.full = lambda: None
        for number in range(10):
            contacts.refused(str(number), "", "")
        self.assertEqual((len(contacts), contacts.lost), (3, 7))

    def test_given_back(self) -> None:
        """What could not be written is there the next time, beside what came meanwhile."""
        self.contacts.refused("A", "192.0.2.1", "one")
        collected = self.contacts.collect()
        self.clock.advance(9)
        self.contacts.refused("A", "192.0.2.2", "two")
        self.contacts.give_back(collected)
        (found,) = self.contacts.collect()
        self.assertEqual((found.refusals, found.reason, found.host), (2, "two", "192.0.2.2"))
