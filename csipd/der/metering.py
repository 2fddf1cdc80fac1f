"""Rules of the metering mirror (IEEE 2030.5-2018 10.11.3): bounds, rates, and which readings are taken."""

from __future__ import annotations

from attrs import frozen

from csipd.sep2.measurements import DerForward

#: The longest postRate that a device may wish for (s).
LONGEST_POST_RATE = 86_400
#: Seconds between two notes of when something was posted to a mirror: not each post writes them.
NOTED_EVERY = 3600


@frozen
class Metering:
    """What is taken of readings, and how much of it.

    :param mirrors_per_device: MirrorUsagePoints that a device may make; an aggregator, so many for
        each device that it manages and for itself
    :param mirrors: of all devices together
    :param meter_readings_per_mirror: MirrorMeterReadings of one MirrorUsagePoint
    :param reading_sets: ReadingSets that devices are shown of each MeterReading; older ones make room
    :param post_rate: what a mirror's postRate is where nobody has said anything (s)
    :param least_post_rate: the shortest that a device may wish for (s)
    :param ahead_seconds: so far ahead of its receipt a reading may begin
    :param expiry_hours: after so long without a post a mirror is removed
    :param der_forward: what forward is taken for at a DER's own meter that has no other direction
    """

    mirrors_per_device: int = 16
    mirrors: int = 1_000_000
    meter_readings_per_mirror: int = 64
    reading_sets: int = 1000
    post_rate: int = 300
    least_post_rate: int = 60
    ahead_seconds: int = 86_400
    expiry_hours: int = 72
    der_forward: DerForward = DerForward.GENERATION

    def most_mirrors(self, managed: int) -> int:
        """How many a caller may make that manages so many devices."""
        return self.mirrors_per_device * (1 + managed)

    def rate(self, set_by_operator: int | None, wished: int | None) -> int:
        """The postRate of a mirror (decision 42): what a device says itself is a wish, which has bounds."""
        if set_by_operator is not None:
            return set_by_operator
        if wished is not None:
            return min(max(wished, self.least_post_rate), LONGEST_POST_RATE)
        return self.post_rate

    def expired(self, now: int) -> int:
        """Mirrors whose last post was noted before this are removed.

        It is noted once in ``NOTED_EVERY``, so the last one may have been so much later.
        """
        return now - 3600 * self.expiry_hours - NOTED_EVERY

    def is_too_far_ahead(self, start: int, now: int) -> bool:
        """Whether a reading begins in a time that nobody can have measured: its sender's clock is wrong."""
        return start > now + self.ahead_seconds
