"""What a device was commanded, what its readings say that it delivered, and whether that is obedience.

Decision 59: generation is positive; shares are those of the DERSettings as they were; what was delivered is
the mean over the effective interval less the ramp, weighted by time; it may miss what was commanded by two
hundredths of setMaxW. Who gives no readings is said to give none, and is never counted as obeying.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum

from attrs import field, frozen

from csipd.der.rollups import HOLD
from csipd.sep2 import resources as r

#: Hundredths of a percent in a whole.
_WHOLE = 10_000
#: How far what is delivered may be from what is commanded, as a share of setMaxW.
TOLERANCE = Decimal("0.02")
#: Ramps are taken to last no longer (s): the slowest gradients would leave nothing to judge.
_LONGEST_RAMP = 600
#: refType of a FixedVar (IEEE 2030.5-2018 10.10, type DERUnitRefType).
_OF_MAX_W, _OF_MAX_VAR, _OF_AVAILABLE = 1, 2, 3

Watts = Decimal


class Verdict(Enum):
    """What became of a command on a device."""

    OBEYED = "obeyed"
    NOT_OBEYED = "not obeyed"
    NO_READINGS = "no readings"
    NOT_YET = "not yet"  #: its time, less the ramp, has not come
    NO_SETTINGS = "no settings"  #: nobody knows what its share is of
    DECLINED = "declined"  #: the device said that it does not follow
    OVERRIDDEN = "overridden"  #: another control or default held the mode on this device


@frozen
class Ratings:
    """What shares are of, of all DERs of a device together (W, var); None: it has not said.

    :param gradient: setGradW (hundredths of a percent a second)
    :param available_var: statVarAvail
    """

    max_w: Decimal | None = None
    max_charge_w: Decimal | None = None
    max_var: Decimal | None = None
    max_var_negative: Decimal | None = None
    available_var: Decimal | None = None
    gradient: int | None = None


@frozen
class Command:
    """What a control has a device do to one quantity.

    :param mode: the control mode
    :param quantity: ``active_power`` or ``reactive_power``
    :param amount: in W or var, generation positive; None: a share of what the device has not said
    :param limits: whether it is a most, and not what is to be met
    """

    mode: str
    quantity: str
    amount: Decimal | None
    limits: bool


#: The modes that limit or set active or reactive power, and which.
QUANTITIES = {
    "opModConnect": "active_power",
    "opModEnergize": "active_power",
    "opModFixedVar": "reactive_power",
    "opModFixedW": "active_power",
    "opModMaxLimW": "active_power",
    "opModTargetVar": "reactive_power",
    "opModTargetW": "active_power",
}


def commands(base: r.DERControlBase, ratings: Ratings, ders: int = 1) -> list[Command]:
    """What a DERControlBase has a device do that readings can be held against, in the order of the standard.

    To be connected or energized is no command about power: to be neither is.

    :param ders: how many DERs the device has: each is commanded by itself
    """
    found = []
    for mode, quantity in QUANTITIES.items():
        value = getattr(base, mode)
        if value is None or value is True:
            continue
        amount = _amount(mode, value, ratings, max(ders, 1))
        found.append(Command(mode, quantity, amount, mode == "opModMaxLimW"))
    return found


def _amount(mode: str, value: object, ratings: Ratings, ders: int) -> Decimal | None:
    match value:
        case bool():
            return Decimal(0)
        case r.ActivePower() | r.ReactivePower():
            return Decimal(value.value).scaleb(value.multiplier) * ders
        case r.FixedVar():
            of = {
                _OF_MAX_W: ratings.max_w,
                _OF_MAX_VAR: _var_rating(value.value, ratings),
                _OF_AVAILABLE: ratings.available_var,
            }
            return _share(value.value, of.get(value.refType))
        case int() if value < 0:
            return _share(value, ratings.max_w if ratings.max_charge_w is None else ratings.max_charge_w)
        case int():
            return _share(value, ratings.max_w)
    raise TypeError(f"{mode} is {value!r}")


def _var_rating(share: int, ratings: Ratings) -> Decimal | None:
    if share < 0 and ratings.max_var_negative is not None:
        return abs(ratings.max_var_negative)
    return ratings.max_var


def _share(hundredths: int, of: Decimal | None) -> Decimal | None:
    return None if of is None else of * hundredths / _WHOLE


@frozen
class Interval:
    """The time in which a device is judged (TimeType): from then until before then; it may be empty."""

    begin: int
    end: int

    @property
    def seconds(self) -> int:
        return max(self.end - self.begin, 0)


def judged(
    begin: int,
    end: int,
    *,
    randomize_start: int = 0,
    randomize_duration: int = 0,
    ramp_hundredths: int | None = None,
    gradient: int | None = None,
) -> Interval:
    """The interval that is judged: what is sure to be inside it, whatever a device draws, less the ramp.

    :param begin: when the control began, ``end`` when it was over (TimeType)
    :param randomize_start: and ``randomize_duration``: as the control says (s)
    :param ramp_hundredths: rampTms of the control (hundredths of a second)
    :param gradient: setGradW of the device (hundredths of a percent a second)
    """
    if ramp_hundredths is not None:
        ramp = -(-ramp_hundredths // 100)
    elif gradient:
        ramp = -(-_WHOLE // gradient)
    else:
        ramp = 0
    first = begin + max(randomize_start, 0) + min(ramp, _LONGEST_RAMP)
    # A device that began early ends early.
    return Interval(first, end + min(randomize_start, 0) + min(randomize_duration, 0))


@frozen
class Point:
    """A reading in its unit: when its period begins (TimeType), how long that is (s), and what was read."""

    start: int
    duration: int | None
    value: Decimal


def inside(points: Iterable[Point], interval: Interval) -> list[Point]:
    """The readings that speak of an interval alone: begun in it, and of no period that goes beyond it.

    One of five minutes in whose midst a control begins says half of it what was before.
    """
    return [
        point
        for point in points
        if point.start >= interval.begin and point.start + (point.duration or 0) <= interval.end
    ]


def mean(points: Iterable[Point], interval: Interval) -> Decimal | None:
    """What readings say on average over an interval, each weighted by the time that it holds in it.

    A reading holds until the next one, for as long as its period at most; one of a moment for ``HOLD``.

    :param points: in the order of time; those from before the interval may hold into it
    :return: None: none of them says anything of it
    """
    known = list(points)
    total, weight = Decimal(0), 0
    for place, point in enumerate(known):
        until = point.start + (point.duration or HOLD)
        if place + 1 < len(known):
            until = min(until, known[place + 1].start)
        held = min(until, interval.end) - max(point.start, interval.begin)
        if held > 0:
            total += point.value * held
            weight += held
    return total / weight if weight else None


@frozen
class Delivery:
    """What a command came to on a device.

    :param delivered: the mean of its readings (W, var); None: there are none, or its time has not come
    :param tolerance: how far it may be off (W, var)
    """

    command: Command
    verdict: Verdict
    delivered: Decimal | None = None
    tolerance: Decimal | None = None
    interval: Interval = field(default=Interval(0, 0), kw_only=True)


def judge(
    command: Command,
    interval: Interval,
    ratings: Ratings,
    points: Sequence[Point],
    *,
    newest: int | None,
    post_rate: int,
    now: int,
    declined: bool = False,
) -> Delivery:
    """What became of a command.

    :param interval: that is judged, as far as it has passed
    :param points: the device's readings of the quantity, in the order of time, generation positive
    :param newest: when the newest of them is, if there is any (TimeType)
    :param post_rate: how often the device is to post (s)
    :param declined: whether the device said that it does not follow
    """
    tolerance = None if ratings.max_w is None else ratings.max_w * TOLERANCE
    passed = Interval(interval.begin, min(interval.end, now))
    known = Delivery(command, Verdict.NOT_YET, None, tolerance, interval=passed)
    if declined:
        return Delivery(command, Verdict.DECLINED, mean(points, passed), tolerance, interval=passed)
    if not passed.seconds:
        return known
    # Readings of the last two post rates may still be on their way.
    if newest is None or newest < passed.end - 2 * post_rate:
        verdict = Verdict.NO_READINGS if passed.seconds >= post_rate or newest is None else Verdict.NOT_YET
        return Delivery(command, verdict, None, tolerance, interval=passed)
    delivered = mean(points, passed)
    if delivered is None:
        return known
    if command.amount is None or tolerance is None:
        return Delivery(command, Verdict.NO_SETTINGS, delivered, tolerance, interval=passed)
    verdict = _verdict(command, delivered, tolerance)
    if verdict is Verdict.NOT_OBEYED:
        # Readings that speak of other times, too, accuse nobody: those without them have to say the same.
        alone = mean(inside(points, passed), passed)
        if alone is None:
            verdict = Verdict.NOT_YET if passed.end < interval.end else verdict
        elif _verdict(command, alone, tolerance) is Verdict.OBEYED:
            verdict, delivered = Verdict.OBEYED, alone
    return Delivery(command, verdict, delivered, tolerance, interval=passed)


def _verdict(command: Command, delivered: Decimal, tolerance: Decimal) -> Verdict:
    assert command.amount is not None
    miss = delivered - command.amount
    obeyed = miss <= tolerance and (command.limits or miss >= -tolerance)
    return Verdict.OBEYED if obeyed else Verdict.NOT_OBEYED
