"""Alarms of voltage and frequency, with hysteresis: what is raised at a limit is cleared well within it."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from csipd.sep2.types import Alarm


@frozen
class Limits:
    """Where alarms are raised, and how far within that they are cleared.

    :param high_pu: of voltage, per unit
    :param high_hertz: of frequency (Hz)
    :param back_pu: how far below the high limit or above the low one the voltage must come back (per unit)
    """

    low_pu: float = 0.95
    high_pu: float = 1.05
    back_pu: float = 0.005
    low_hertz: float = 59.5
    high_hertz: float = 60.5
    back_hertz: float = 0.1

    def alarms(self, before: Iterable[Alarm], volts_pu: float, hertz: float) -> frozenset[Alarm]:
        """The alarms that hold now, given those that held before."""
        held = frozenset(before)

        def back(alarm: Alarm, distance: float) -> float:
            return distance if alarm in held else 0.0

        found = {
            Alarm.OVER_VOLTAGE: volts_pu > self.high_pu - back(Alarm.OVER_VOLTAGE, self.back_pu),
            Alarm.UNDER_VOLTAGE: volts_pu < self.low_pu + back(Alarm.UNDER_VOLTAGE, self.back_pu),
            Alarm.OVER_FREQUENCY: hertz > self.high_hertz - back(Alarm.OVER_FREQUENCY, self.back_hertz),
            Alarm.UNDER_FREQUENCY: hertz < self.low_hertz + back(Alarm.UNDER_FREQUENCY, self.back_hertz),
        }
        return frozenset(alarm for alarm, holds in found.items() if holds)


def bits(alarms: Iterable[Alarm]) -> int:
    """DERStatus.alarmStatus of these alarms."""
    return sum(1 << alarm for alarm in alarms)
