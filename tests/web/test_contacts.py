"""Who was heard of when, and what was refused, as connections and requests tell it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.net.contacts import Contact
from csipd.net.identity import Identity
from tests.support.world import NOW, OTHER, OWNER, UNKNOWN, World


class HeardTests(SynchronousTestCase):
    """Contacts of devices (case B7)."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.path = f"/edev/{self.world.numbers.owner}"

    def collect(self) -> dict[str, Contact]:
        new = self.world.contacts.collect(self.world.site.connections.identified())
        return {contact.lfdi: contact for contact in new}

    def advance(self, seconds: int) -> None:
        self.world.now += seconds
        self.world.clock.advance(seconds)

    def test_heard(self) -> None:
        """A request is a contact at its time, from its address, by whichever way it is answered."""
        for hits in range(3):
            self.advance(10)
            self.assertEqual(self.world.get(OWNER, self.path).status, 200)
            found = self.collect()[OWNER.lfdi]
            self.assertEqual((found.at, found.refusals), (NOW + 10 * (hits + 1), 0))
        self.assertGreater(self.world.hits, 0)
        self.advance(10)
        self.assertEqual(self.collect(), {})

    def test_no_work(self) -> None:
        """A request that is answered costs nothing here: nothing is taken down until it is collected."""
        taken = 0

        def note(contact: Contact) -> None:
            nonlocal taken
            taken += 1

        self.patch(self.world.contacts, "_note", note)
        for _ in range(20):
            self.assertEqual(self.world.get(OWNER, self.path).status, 200)
        self.assertEqual(taken, 0)

    def test_refused(self) -> None:
        """Refused requests are counted, with what was asked for and why."""
        self.world.get(OWNER, f"/edev/{self.world.numbers.other}")
        self.world.send(OWNER, "DELETE", "/tm")
        found = self.collect()[OWNER.lfdi]
        self.assertEqual((found.refusals, found.refused), (2, NOW))
        assert found.reason is not None
        self.assertIn("DELETE /tm", found.reason)

    def test_body(self) -> None:
        """Of a body that is refused the reason is kept."""
        self.world.put(OWNER, f"{self.path}/di", b"<a/>")
        found = self.collect()[OWNER.lfdi]
        self.assertEqual(found.refusals, 1)
        self.assertIn(f"PUT {self.path}/di", found.reason or "")

    def test_malformed(self) -> None:
        """A request that is no HTTP is counted too."""
        wire = self.world.wire(OWNER)
        wire.client.transport.write(b"GET /dcap HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        wire.pump()
        found = self.collect()[OWNER.lfdi]
        self.assertEqual((found.refusals, found.reason), (1, "malformed request: Bad Request"))

    def test_strangers(self) -> None:
        """What a certificate on no list is refused is counted; that it is no device, the store finds."""
        callers: tuple[Identity, ...] = (UNKNOWN, OTHER)
        for who in callers:
            self.world.get(who, self.path)
        self.assertEqual(
            {lfdi: one.refusals for lfdi, one in self.collect().items()},
            {
                UNKNOWN.lfdi: 1,
                OTHER.lfdi: 1,
            },
        )
