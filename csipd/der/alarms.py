"""Alarms: which log events raise and clear them, and what that makes of what is known already.

A device reports an alarm by one LogEvent when it begins and by another when all is normal again (CSIP IG
Table 14, G31, G32; IEEE 2030.5-2018 9.6, 10.10.6), each with the time at which that happened. They may arrive
late, twice and in any order: what counts is those times. Within one second they count as they arrive. A time
later than the receipt is that of a clock that runs ahead, and counts as the receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from attrs import evolve, frozen

from csipd.sep2.resources import LogEvent
from csipd.sep2.types import Alarm, FunctionSet, LogProfile


class AlarmChange(Enum):
    """What a log event does to an alarm."""

    RAISED = "raised"
    CLEARED = "cleared"


@frozen
class AlarmEvent:
    """A log event as alarms see it.

    :param function_set: a FunctionSet
    :param code: the logEventCode that raises the alarm
    :param name: of the alarm, for people
    :param clears: the logEventCode that clears it; None where there is none: it is over when it is reported
    """

    turn: AlarmChange
    function_set: int
    code: int
    name: str
    clears: int | None


@frozen
class _Kind:
    name: str
    clears: int | None


#: Alarms by function set and the code that raises them.
_KINDS: Mapping[tuple[int, int], _Kind] = {
    (FunctionSet.GENERAL, 0): _Kind("hardware fault", 1),
    (FunctionSet.GENERAL, 2): _Kind("software fault", None),
    **{
        (FunctionSet.DER, alarm.raised): _Kind(alarm.name.lower().replace("_", " "), alarm.cleared)
        for alarm in Alarm
    },
}
#: Stands in the place of a function set for what the server itself finds: no device can report it.
OWN = 255
MISSING_READINGS, NOT_OBEYED = 1, 2
_OWN_NAMES: Mapping[int, str] = {MISSING_READINGS: "readings are missing", NOT_OBEYED: "control not obeyed"}
_RAISED_BY = {
    (function_set, kind.clears): code
    for (function_set, code), kind in _KINDS.items()
    if kind.clears is not None
}


def name(function_set: int, code: int) -> str:
    """The name of an alarm by the code that raises it, for people."""
    if function_set == OWN and code in _OWN_NAMES:
        return _OWN_NAMES[code]
    kind = _KINDS.get((function_set, code))
    return f"alarm {code} of function set {function_set}" if kind is None else kind.name


def classify(event: LogEvent) -> AlarmEvent | None:
    """What a log event does to the alarms of its device; None: nothing.

    Codes mean what the standard says under its own profile alone: a vendor's are the vendor's.
    """
    if event.profileID != LogProfile.IEEE_2030_5:
        return None
    function_set, code = event.functionSet, event.logEventCode
    if (kind := _KINDS.get((function_set, code))) is not None:
        return AlarmEvent(AlarmChange.RAISED, function_set, code, kind.name, kind.clears)
    if (raises := _RAISED_BY.get((function_set, code))) is not None:
        return AlarmEvent(AlarmChange.CLEARED, function_set, raises, name(function_set, raises), code)
    return None


#: A clear that is dated so little before an alarm that counts by its receipt belongs to it (s): the two times
#: are those of different clocks.
SKEW = 60


def happened(created: int, received: int) -> int:
    """When what a log event reports happened, as far as that can be (TimeType).

    :param created: createdDateTime, by the device's clock
    """
    return min(created, received)


@frozen
class AlarmPeriod:
    """A time through which an alarm lasted.

    :param raised: when it began (TimeType)
    :param cleared: when all was normal again; None while it lasts
    """

    raised: int
    cleared: int | None = None


@frozen
class Outcome:
    """What a signal makes of an alarm.

    :param ahead: the episode that was given, as it is now
    :param made: one that is new
    """

    ahead: AlarmPeriod | None
    made: AlarmPeriod | None = None


def raised(at: int, ahead: AlarmPeriod | None, clear: int | None) -> Outcome:
    """An alarm that was raised at a moment.

    :param ahead: of the episodes of this alarm that end after that moment, or not yet, the first
    :param clear: when it was first cleared after that moment, as far as log events say
    """
    if ahead is None:
        return Outcome(None, AlarmPeriod(at, clear))
    if ahead.raised <= at:
        return Outcome(ahead)
    if clear is not None and clear <= ahead.raised:
        return Outcome(ahead, AlarmPeriod(at, clear))
    return Outcome(evolve(ahead, raised=at))


def cleared(at: int, ahead: AlarmPeriod | None, again: int | None) -> Outcome:
    """An alarm that was cleared at a moment. Without one that was raised before there is nothing to clear.

    :param ahead: of the episodes of this alarm that end after that moment, or not yet, the first
    :param again: when it was first raised after that moment, as far as log events say
    """
    if ahead is None or ahead.raised > at:
        return Outcome(ahead)
    lasted = again is not None and (ahead.cleared is None or again < ahead.cleared)
    return Outcome(
        evolve(ahead, cleared=at),
        AlarmPeriod(again, ahead.cleared) if again is not None and lasted else None,
    )
