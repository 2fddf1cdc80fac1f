"""A device's certificate is replaced, and the device stays itself."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import audit, device_list, devices, former, groups, registration, replacement, responses
from csipd.db.database import Transaction
from csipd.db.tables import former_lfdis
from csipd.der.access import Caller, Owner, Policy, Standing
from csipd.refusals import BadRequest, Conflict, Duplicate, Forbidden, NotFound
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from tests.support.store import NOW, add_device, add_group, lfdi, store

ANYONE = Policy(in_band=True, anyone=True, aggregators_may_add=True)
OLD, NEW = lfdi(1), lfdi(51)


def end_device(number: int) -> r.EndDevice:
    return r.EndDevice(lFDI=lfdi(number), sFDI=identity.sfdi(lfdi(number)), changedTime=0)


class ReplacementTests(SynchronousTestCase):
    """Replacing certificates in the store (case B5)."""

    def setUp(self) -> None:
        opened = store()
        self.transaction: Transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.boss = add_device(self.transaction, 9, aggregator=True)
        self.device = add_device(self.transaction, 1, manager=self.boss)
        self.group = add_group(self.transaction, "Feeder", level=3)
        devices.join(self.transaction, self.device, self.group, NOW)
        self.transaction.changed.clear()

    @property
    def connection(self) -> sa.Connection:
        return self.transaction.connection

    def replace(self, number: int = 51, at_once: bool = False, now: int = NOW + 5) -> None:
        replacement.replace(self.transaction, self.device, lfdi(number), "ada", now, at_once=at_once)

    def caller(self, number: int) -> Caller:
        return devices.caller(self.connection, lfdi(number), identity.sfdi(lfdi(number)), ANYONE)

    def test_stays_itself(self) -> None:
        """Number, PIN, groups and manager stay; LFDI, SFDI and changedTime are new."""
        (before,) = device_list.get(self.connection, [self.device])
        self.replace()
        shown = devices.end_device(self.connection, self.device)
        assert shown is not None
        self.assertEqual((shown.lFDI, shown.sFDI, shown.changedTime), (NEW, identity.sfdi(NEW), NOW + 5))
        (after,) = device_list.get(self.connection, [self.device])
        for name in ("id", "name", "pin", "manager", "registered"):
            self.assertEqual(getattr(after, name), getattr(before, name), name)
        self.assertEqual(groups.set_of(self.connection, self.device), (self.group,))
        (line,) = audit.lines(self.connection, who="ada")[0]
        self.assertEqual((line.action, line.subject), ("replace certificate", f"/edev/{self.device}"))

    def test_until_the_first_request(self) -> None:
        """The old certificate is its device until the new one comes, and is nobody from then on."""
        self.replace()
        self.assertEqual((self.caller(1).device, self.caller(1).replaces), (self.device, None))
        self.assertEqual((self.caller(51).device, self.caller(51).replaces), (self.device, self.device))
        replacement.end_former(self.transaction, self.device)
        self.assertEqual((self.caller(1).standing, self.caller(1).device), (Standing.UNKNOWN, None))
        self.assertEqual((self.caller(51).device, self.caller(51).replaces), (self.device, None))

    def test_at_once(self) -> None:
        """On the operator's word the old one is nobody at once, and what was kept for it is dropped."""
        self.replace(at_once=True)
        self.assertEqual(self.caller(1).standing, Standing.UNKNOWN)
        self.assertIn(f"device {self.device}", self.transaction.changed)

    def test_never_again(self) -> None:
        """A former LFDI registers nobody, is listed for nobody and comes back to no device."""
        self.replace(at_once=True)
        asker = self.caller(1)
        with self.assertRaises((Duplicate, Forbidden)):
            registration.register(self.transaction, asker, end_device(1), ANYONE, NOW)
        for number, whose in ((1, "was"), (51, "is"), (9, "is")):
            with self.assertRaisesRegex(Conflict, whose):
                self.replace(number)
        with self.assertRaises(NotFound):
            replacement.replace(self.transaction, 99, lfdi(60), "ada", NOW)

    def test_twice(self) -> None:
        """Replaced again before it was used: the newest one's first request ends both."""
        self.replace()
        self.replace(52)
        for number in (1, 51, 52):
            self.assertEqual(self.caller(number).device, self.device)
        self.assertIsNone(self.caller(51).replaces)
        replacement.end_former(self.transaction, self.device)
        self.assertEqual([self.caller(n).device for n in (1, 51, 52)], [None, None, self.device])
        works = self.connection.execute(sa.select(former_lfdis.c.works)).scalars().all()
        self.assertEqual(works, [False, False])

    def test_in_bodies(self) -> None:
        """The old LFDI in bodies means the device: in Responses, in an EndDevice, in a registration."""
        self.replace(at_once=True)
        self.assertEqual(devices.owner_by_lfdi(self.connection, OLD), Owner(self.device, self.boss))
        body = r.DERControlResponse(endDeviceLFDI=OLD, status=1, subject="F" * 32)
        responses.post(self.transaction, self.caller(51), body, NOW)
        registration.change(self.transaction, self.device, end_device(1), NOW)
        registration.change(self.transaction, self.device, end_device(51), NOW)
        mixed = end_device(1).replace(sFDI=identity.sfdi(NEW))
        with self.assertRaises(BadRequest):
            registration.change(self.transaction, self.device, mixed, NOW)
        for asker in (self.caller(51), self.caller(9)):
            for number in (1, 51):
                with self.assertRaises(Duplicate):
                    registration.register(self.transaction, asker, end_device(number), ANYONE, NOW)

    def test_found(self) -> None:
        """The operator finds a device by an LFDI that it had."""
        self.replace()
        for number in (1, 51):
            row = device_list.find(self.connection, lfdi(number))
            assert row is not None
            self.assertEqual((row.id, row.lfdi), (self.device, NEW))
        self.assertEqual(former.among(self.connection, [OLD, NEW]), {OLD: self.device})

    def test_withdrawn(self) -> None:
        """A device that is shut out is shut out with every certificate."""
        self.replace()
        devices.withdraw(self.transaction, NEW, "ada", NOW)
        self.assertEqual([self.caller(n).standing for n in (1, 51)], [Standing.UNKNOWN] * 2)
