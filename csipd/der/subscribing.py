"""How many subscriptions who may have, and how long one lasts (decision 64; IEEE 2030.5-2018 8.7.3.4)."""

from __future__ import annotations

from attrs import frozen


@frozen
class SubscriptionLimits:
    """Bounds on subscriptions.

    :param direct: whether a device may subscribe that no aggregator acts for
    :param per_device: how many such a device may have
    :param per_aggregator: how many an aggregator may have
    :param per_managed_device: how many more for each device that it manages
    :param expiry: seconds after which one that was not renewed ends; clients renew within 24 h
    """

    direct: bool = True
    per_device: int = 20
    per_aggregator: int = 1_000
    per_managed_device: int = 8
    expiry: int = 129_600

    def most(self, *, aggregator: bool, managed: int) -> int:
        """How many one caller may have.

        :param managed: the devices that it manages
        """
        if aggregator:
            return self.per_aggregator + self.per_managed_device * managed
        return self.per_device if self.direct else 0
