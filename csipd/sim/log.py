"""The log events of a device: alarms that begin, and that end (CSIP IG Table 14, G31, G32)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from csipd.sep2 import resources as r
from csipd.sep2.types import Alarm, FunctionSet, LogProfile

#: The Private Enterprise Number under which the standard's own codes are given.
IEEE_PEN: Final = 40732


def changes(before: Collection[Alarm], after: Collection[Alarm]) -> list[tuple[Alarm, bool]]:
    """Which alarms begin (True) and which end (False), in the order of their numbers."""
    return [(alarm, alarm in after) for alarm in sorted({*before} ^ {*after})]


def log_event(alarm: Alarm, raised: bool, number: int, now: int) -> r.LogEvent:
    """An alarm that begins or ends.

    :param number: of this device's log events, one after the other
    """
    words = alarm.name.lower().replace("_", " ")
    return r.LogEvent(
        createdDateTime=now,
        details=words if raised else f"{words} is over",
        functionSet=FunctionSet.DER,
        logEventCode=alarm.raised if raised else alarm.cleared,
        logEventID=number % 2**16,
        logEventPEN=IEEE_PEN,
        profileID=LogProfile.IEEE_2030_5,
    )
