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
    """

    controls_days: int = 400
    audit_days: int = 731
    alarms_days: int = 731
    refusals_days: int = 30

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
