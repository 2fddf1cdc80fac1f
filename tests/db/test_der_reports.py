"""What devices said of their DERs, many at a time; the settings of before."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import der_reports, documents
from csipd.db.database import Transaction
from csipd.db.tables import former_settings
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from tests.support.store import NOW, add_device, statements, store


def settings(watts: int, *, updated: int = NOW, gradient: int = 27) -> r.DERSettings:
    return r.DERSettings(
        setGradW=gradient, setMaxW=r.ActivePower(multiplier=0, value=watts), updatedTime=updated
    )


class ReportTests(SynchronousTestCase):
    """Reports of DERs."""

    def with_ders(self, transaction: Transaction, device: int, *watts: int) -> None:
        """Each device has one from the beginning."""
        for number, value in enumerate(watts, 1):
            if number > 1:
                documents.post(transaction, Place(ROWS["DERList"], (device,)), r.DER(), NOW, device)
            place = Place(ROWS["DERSettings"], (device, number))
            documents.put(transaction, place, settings(value), NOW, device)

    def test_all_at_once(self) -> None:
        """However many devices are asked for, as few statements are; one that is silent has nothing."""
        with store() as transaction:
            devices = [add_device(transaction, number) for number in range(1, 8)]
            for device in devices[1:]:
                self.with_ders(transaction, device, 100, 200)
            connection = transaction.connection
            with statements(transaction) as few:
                der_reports.of_devices(connection, devices[:3])
            with statements(transaction) as many:
                found = der_reports.of_devices(connection, devices)
        self.assertEqual(len(few), len(many))
        self.assertEqual(sorted(found), devices)
        self.assertEqual(found[devices[0]], [der_reports.Reported(1)])
        (first, second) = found[devices[1]]
        assert first.settings is not None and second.settings is not None
        self.assertEqual((first.der, second.der, first.received), (1, 2, {"settings": NOW}))
        self.assertEqual((first.settings.setMaxW.value, second.settings.setMaxW.value), (100, 200))
        self.assertIsNone(first.capability)

    def test_ratings(self) -> None:
        """Ratings are those of all DERs together, as they were at a moment."""
        with store() as transaction:
            device = add_device(transaction, 1)
            self.with_ders(transaction, device, 100, 200)
            for until, watts in ((NOW + 10, 50), (NOW + 20, 70)):
                der_reports.keep_former(transaction, device, 1, settings(watts), settings(1), until)
            found = [
                der_reports.ratings_at(transaction.connection, [device], at)[device]
                for at in (NOW, NOW + 9, NOW + 10, NOW + 19, NOW + 20)
            ]
        self.assertEqual([ratings.max_w for ratings, _ in found], [250, 250, 270, 270, 300])
        self.assertEqual({ders for _, ders in found}, {2})

    def test_bounded(self) -> None:
        """Of one DER so many former settings are kept, and none where nothing that matters has changed."""
        self.patch(der_reports, "MOST_FORMER", 3)
        with store() as transaction:
            device = add_device(transaction, 1)
            for second in range(10):
                before, after = settings(second), settings(second + 1)
                der_reports.keep_former(transaction, device, 1, before, after, NOW + second)
                der_reports.keep_former(transaction, device, 1, after, settings(0), NOW + second)
                again = settings(second + 1, updated=NOW + second)
                der_reports.keep_former(transaction, device, 2, after, again, NOW + second)
            der_reports.keep_former(transaction, device, 3, None, settings(1), NOW)
            kept = transaction.connection.execute(
                sa.select(former_settings.c.der, former_settings.c.until).order_by(former_settings.c.until)
            ).all()
        self.assertEqual([tuple(row) for row in kept], [(1, NOW + 7), (1, NOW + 8), (1, NOW + 9)])
