"""How many subscriptions who may have."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from csipd.der.subscribing import SubscriptionLimits


class LimitTests(SynchronousTestCase):
    """Bounds by caller (decision 64)."""

    def test_most(self) -> None:
        """An aggregator has more for each device that it manages; a device has some, or none at all."""
        limits = SubscriptionLimits()
        self.assertEqual(limits.most(aggregator=True, managed=100), 1_800)
        self.assertEqual(limits.most(aggregator=False, managed=0), 20)
        self.assertEqual(SubscriptionLimits(direct=False).most(aggregator=False, managed=0), 0)
