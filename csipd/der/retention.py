"""For how long what is kept: the one table of it (decision 47)."""

from __future__ import annotations

from attrs import frozen

_DAY = 86_400


@frozen
class Retention:
    """Ages in days, and the moments (TimeType) that follow from them.

    :param controls_days: a control and the Responses to it, after it has ended
    :param audit_days: a line of the audit log
    :param alarms_days: an alarm, after it is over
    :param refusals_days: what a device was refused, after the last time
    :param readings_days: a reading as it came, and a set of them
    :param five_minutes_days: what readings come to in five minutes, ``hours_days`` in an hour; days of that
        are kept for ever
    """

    controls_days: int = 400
    audit_days: int = 731
    alarms_days: int = 731
    refusals_days: int = 30
    readings_days: int = 30
    five_minutes_days: int = 365
    hours_days: int = 1826

    def controls(self, now: int) -> int:
        """Controls that ended before this go."""
        return now - self.controls_days * _DAY

    def audit(self, now: int) -> int:
        """Lines of the audit log from before this go."""
        return now - self.audit_days * _DAY

    def alarms(self, now: int) -> int:
        """Alarms that were over before this go."""
        return now - self.alarms_days * _DAY

    def refusals(self, now: int) -> int:
        """What was refused last before this is forgotten."""
        return now - self.refusals_days * _DAY

    # What readings come to goes by whole days of UTC, so that each series is looked at once a day.

    def readings(self, now: int) -> int:
        """Readings from before this go."""
        return _whole_days(now, self.readings_days)

    def five_minutes(self, now: int) -> int:
        """What they come to in five minutes goes from before this."""
        return _whole_days(now, self.five_minutes_days)

    def hours(self, now: int) -> int:
        """What they come to in an hour goes from before this."""
        return _whole_days(now, self.hours_days)


def _whole_days(now: int, days: int) -> int:
    return now - now % _DAY - days * _DAY
