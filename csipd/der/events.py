"""Where an event stands at a moment: a function of its times and of `now`.

An event is scheduled until the earliest moment at which a device may start it and active from then on;
it is shown until the latest moment at which a device may end it (IEEE 2030.5-2018 10.2.3; 2018 has no
status for a completed event, so one that is over leaves the list).
"""

from __future__ import annotations

from attrs import frozen

from csipd.sep2.types import EventState


@frozen
class Span:
    """The Effective Scheduled Period: randomisation bounds included.

    :param earliest: the first moment at which a device may start (TimeType)
    :param latest: the last moment at which a device may end (TimeType)
    """

    earliest: int
    latest: int


def span(start: int, duration: int, randomize_start: int = 0, randomize_duration: int = 0) -> Span:
    """The Effective Scheduled Period of an event.

    Randomisation is the device's work, uniform between 0 and the bound, which may be negative: a
    negative bound lets it start sooner or end sooner, never later.

    :param start: interval.start (TimeType)
    :param duration: interval.duration (s)
    :param randomize_start: bound of the shift of the start (s, -3600 to 3600)
    :param randomize_duration: bound of the change of the duration (s, -3600 to 3600)
    """
    return Span(
        earliest=start + min(0, randomize_start),
        latest=start + duration + max(0, randomize_start) + max(0, randomize_duration),
    )


@frozen
class Standing:
    """An event's EventStatus at a moment.

    :param status: EventStatus.currentStatus
    :param since: EventStatus.dateTime: the moment of the change to that status, never in the future
    :param until: when this stops being true; None when it never does
    """

    status: EventState
    since: int
    until: int | None


def standing(period: Span, created: int, now: int) -> Standing:
    """Where an event that nobody cancelled stands.

    One that was created when it should already have begun has never been scheduled: it begins active.

    :param created: creationTime (TimeType)
    """
    if now < period.earliest:
        return Standing(EventState.SCHEDULED, created, period.earliest)
    since = max(period.earliest, created)
    return Standing(EventState.ACTIVE, since, period.latest if now < period.latest else None)
