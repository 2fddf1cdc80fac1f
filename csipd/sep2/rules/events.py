"""What makes the timing of an event wrong (IEEE 2030.5-2018 10.2.3)."""

from __future__ import annotations

from typing import Final

from csipd.sep2.rules.flaws import Flaw

#: When an event ends at the latest (TimeType): the end of the year 9999, as certificates do.
LATEST: Final = 253_402_300_799
#: How long an event lasts at most (s): ten years. The schema would let it be 136.
LONGEST: Final = 10 * 366 * 86_400


def timing_flaws(
    start: int, duration: int, randomize_duration: int | None = None, *, now: int | None = None
) -> list[Flaw]:
    """What is wrong with the interval of an event, with paths into the event.

    A negative randomizeDuration shortens an event by up to so many seconds: what is left must be something.

    :param start: TimeType
    :param duration: s
    :param randomize_duration: bound (s), or None for no element
    :param now: TimeType; None where it is not known, so that an event that is over is not found
    """
    found = []
    length, begin = ("interval", "duration"), ("interval", "start")
    if duration < 1:
        found.append(Flaw(length, f"is {duration}", "an event that lasts at least a second"))
    elif duration > LONGEST:
        found.append(Flaw(length, f"is {duration}", f"at most {LONGEST} s (ten years)"))
    elif randomize_duration is not None and duration + randomize_duration < 1:
        found.append(
            Flaw(
                ("randomizeDuration",),
                f"is {randomize_duration}, and may leave nothing of {duration} s",
                f"{1 - duration} or more",
            )
        )
    if start < 0:
        found.append(Flaw(begin, f"is {start}", "a time after 1970, in seconds"))
    elif start + duration > LATEST:
        found.append(Flaw(begin, f"is {start}", f"an event that ends by {LATEST}, the end of 9999"))
    elif now is not None and duration >= 1 and start + duration <= now:
        found.append(Flaw(begin, f"is {start}: the event would be over already", f"an end after {now}"))
    return found
