"""Last contacts are written once a minute, and when the daemon stops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon import contacts as module
from csipd.daemon.contacts import EVERY, ContactWriter
from csipd.db import contacts as stored
from csipd.db import device_list, devices, replacement
from csipd.db.contacts import LastContact
from csipd.db.device_list import Wanted
from csipd.net.contacts import Contacts
from csipd.refusals import Unavailable
from tests.support.store import NOW, add_device, lfdi, statements, store


class _Database:
    """Carries writes out in place, unless it is out of order."""

    def __init__(self, transaction: Any) -> None:
        self.transaction = transaction
        self.writes = 0
        self.unusable = False

    def write(self, operation: Any) -> Deferred[Any]:
        self.writes += 1
        if self.unusable:
            return fail(Unavailable("out of order"))
        return succeed(operation(self.transaction))


class _Connections:
    """No connection is open."""

    def identified(self) -> Iterator[tuple[str, Any]]:
        return iter(())


class WriterTests(SynchronousTestCase):
    """The writer and its table (case B7, decision 43)."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.device = add_device(self.transaction, 1)
        self.transaction.changed.clear()
        self.clock = Clock()
        self.contacts = Contacts(self.clock.seconds, lambda: NOW + self.clock.seconds())
        self.database: Any = _Database(self.transaction)
        connections: Any = _Connections()
        self.writer = ContactWriter(self.database, self.contacts, connections, self.clock)
        self.writer.startService()

    def known(self) -> LastContact | None:
        return stored.of(self.transaction.connection, [self.device]).get(self.device)

    def test_every_minute(self) -> None:
        """What is new is written each minute by one statement, and changes no resource."""
        before = devices.end_device(self.transaction.connection, self.device)
        for number in range(1, 4):
            self.contacts.refused(lfdi(number), "192.0.2.7", "because")
        self.assertIsNone(self.known())
        with statements(self.transaction) as said:
            self.clock.advance(EVERY)
        self.assertEqual(len(set(said)), 1)
        self.assertEqual(self.known(), LastContact(NOW, "192.0.2.7", 1, NOW, "because"))
        self.assertEqual(self.transaction.changed, [])
        self.assertEqual(devices.end_device(self.transaction.connection, self.device), before)
        self.clock.advance(10 * EVERY)
        self.assertEqual(self.database.writes, 1)

    def test_adds_up(self) -> None:
        """Later contacts go over earlier ones, and refusals add up; an earlier moment changes nothing."""
        for at, host, refused in ((10, "192.0.2.1", 5), (20, "192.0.2.2", None), (15, "192.0.2.3", None)):
            row = {"lfdi": lfdi(1), "at": at, "host": host, "refusals": 1 if refused else 0}
            stored.write(self.transaction, [{**row, "refused": refused, "reason": refused and "so"}])
        self.assertEqual(self.known(), LastContact(20, "192.0.2.2", 1, 5, "so"))

    def test_stop(self) -> None:
        """What is new when the daemon stops is written before it has stopped."""
        self.contacts.refused(lfdi(1), "192.0.2.7", "because")
        self.successResultOf(self.writer.stopService())
        self.assertIsNotNone(self.known())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unusable(self) -> None:
        """What cannot be written is written when it can."""
        self.database.unusable = True
        self.contacts.refused(lfdi(1), "192.0.2.7", "because")
        self.clock.advance(EVERY)
        self.assertIsNone(self.known())
        self.database.unusable = False
        self.clock.advance(EVERY)
        self.assertEqual(self.known(), LastContact(NOW, "192.0.2.7", 1, NOW, "because"))

    def test_full(self) -> None:
        """At the bound it is written at once, in portions, and nothing is dropped."""
        self.patch(module, "PORTION", 2)
        self.contacts._most = 5
        for number in range(1, 7):
            add_device(self.transaction, 100 + number)
            self.contacts.refused(lfdi(100 + number), "192.0.2.7", "because")
        self.assertEqual((self.database.writes, len(self.contacts), self.contacts.lost), (3, 1, 0))

    def test_former(self) -> None:
        """A certificate that was replaced and still works is its device; afterwards it is nobody."""
        replacement.replace(self.transaction, self.device, lfdi(51), "ada", NOW)
        self.contacts.refused(lfdi(1), "192.0.2.1", "old")
        self.clock.advance(EVERY)
        found = self.known()
        assert found is not None
        self.assertEqual(found.reason, "old")
        replacement.end_former(self.transaction, self.device)
        self.contacts.refused(lfdi(1), "192.0.2.1", "nobody")
        self.clock.advance(EVERY)
        self.assertEqual(self.known(), found)

    def test_silent(self) -> None:
        """Devices that were not heard of since a moment, or never, are found."""
        other = add_device(self.transaction, 2)
        connection = self.transaction.connection

        def silent(moment: int) -> list[int]:
            return [row.id for row in device_list.page(connection, Wanted(silent_since=moment))[0]]

        self.assertEqual(silent(0), [self.device, other])
        self.contacts.refused(lfdi(1), "", "")
        self.clock.advance(EVERY)
        self.assertEqual((silent(NOW), silent(NOW + 1)), ([other], [self.device, other]))
